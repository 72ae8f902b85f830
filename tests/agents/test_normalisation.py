"""Running normalisation against statistics of all samples at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.normalisation import LIMIT, ObservationNormaliser, RewardNormaliser

SHAPES = [(3,), (2, 2), (1,)]


def batches(rng, agents, sizes, shapes):
    """For every size M: (M, *shape) observations of each agent, far from 0, and (agents, M) who took part."""
    for M in sizes:
        obs = [(1e3 + 5 * rng.standard_normal((M, *shapes[agent]))).astype(np.float32) for agent in range(agents)]
        yield obs, rng.random((agents, M)) < 0.7


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), agents=st.integers(1, 3), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_observations_are_normalised_by_all_samples_so_far(seed, agents, sizes):
    seen = list(batches(np.random.default_rng(seed), agents, sizes, SHAPES))
    normaliser = ObservationNormaliser(SHAPES[:agents])
    for obs, active in seen:
        normaliser.update(obs, active)
    applied = normaliser.apply(seen[-1][0])
    for agent in range(agents):
        samples = np.concatenate([obs[agent][active[agent]] for obs, active in seen]).astype(float)
        last = seen[-1][0][agent]
        expected = last.astype(float)
        if len(samples):
            expected = (last - samples.mean(axis=0)) / np.sqrt(samples.var(axis=0) + 1e-8)
        np.testing.assert_allclose(applied[agent], np.clip(expected, -10, 10), rtol=1e-5, atol=1e-5)
        assert applied[agent].dtype == np.float32 and applied[agent].shape == last.shape
        size, widest = last[0].size, normaliser.rows.shape[1] // 2
        count, mean, squares = np.split(normaliser.rows[agent], [1, 1 + widest])
        assert count == len(samples) and (mean[size:] == 0).all() and (squares[size:] == 0).all()
        if len(samples):
            np.testing.assert_allclose(mean[:size], samples.reshape(len(samples), -1).mean(axis=0))


def test_observations_before_the_first_sample_are_clipped_only():
    normaliser = ObservationNormaliser([(2,)])
    x = [np.array([[0.5, -30.0]], np.float32)]
    normaliser.update(x, np.zeros((1, 1)))
    assert normaliser.apply(x)[0].tolist() == [[0.5, -10.0]] and (normaliser.rows == 0).all()


def test_constant_numbers_become_zero():
    normaliser = ObservationNormaliser([(2,)])
    x = np.array([[3.0, 1.0], [3.0, 2.0]], np.float32)
    normaliser.update([x])
    np.testing.assert_allclose(normaliser.apply([x])[0], [[0, -1], [0, 1]], atol=1e-6)
    assert np.abs(normaliser.apply([x + 1])[0]).max() == LIMIT


def test_nothing_that_was_given_is_changed():
    normaliser = ObservationNormaliser([(2,)])
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    rewards = RewardNormaliser(1, 3, 0.9)
    r = np.array([[1.0, 2.0, 3.0]])
    normaliser.update([x])
    normaliser.apply([x])
    rewards.apply(r, np.zeros(3, dtype=bool))
    assert (x == np.arange(6).reshape(3, 2)).all() and r.tolist() == [[1, 2, 3]]


def test_bits_do_not_depend_on_who_is_together():
    shapes = [(3,), (7, 7, 3), (2,)]
    rng = np.random.default_rng(0)
    seen = list(batches(rng, 3, [4, 1, 64], shapes))
    rewards = rng.standard_normal((30, 3, 5))
    done = rng.random((30, 5)) < 0.2
    together, sums = ObservationNormaliser(shapes), RewardNormaliser(3, 5, 0.9)
    for obs, active in seen:
        together.update(obs, active)
    scaled = [sums.apply(r, o) for r, o in zip(rewards, done, strict=True)]
    for agent, shape in enumerate(shapes):
        alone, sum_alone = ObservationNormaliser([shape]), RewardNormaliser(1, 5, 0.9)
        for obs, active in seen:
            alone.update([obs[agent]], active[agent:agent + 1])
        obs = seen[0][0]
        np.testing.assert_array_equal(alone.apply([obs[agent]])[0], together.apply(obs)[agent])
        for r, o, expected in zip(rewards, done, scaled, strict=True):
            np.testing.assert_array_equal(sum_alone.apply(r[agent:agent + 1], o)[0], expected[agent])
        np.testing.assert_array_equal(sum_alone.rows[0], sums.rows[agent])


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), agents=st.integers(1, 3), games=st.integers(1, 4), steps=st.integers(1, 20),
       gamma=st.sampled_from([0.0, 0.9, 1.0]))
def test_rewards_are_divided_by_the_deviation_of_returns(seed, agents, games, steps, gamma):
    rng = np.random.default_rng(seed)
    normaliser = RewardNormaliser(agents, games, gamma)
    returns, seen = np.zeros((agents, games)), [[] for _ in range(agents)]
    for _ in range(steps):
        r, active, done = (rng.standard_normal((agents, games)), rng.random((agents, games)) < 0.8,
                           rng.random(games) < 0.2)
        found = normaliser.apply(r, done, active)
        for i, e in np.argwhere(active):
            returns[i, e] = gamma * returns[i, e] + r[i, e]
            seen[i].append(returns[i, e])
        deviation = np.array([np.sqrt(np.var(own) + 1e-8) if len(own) > 1 else 1.0 for own in seen])
        np.testing.assert_allclose(found, np.clip(r / deviation[:, None], -10, 10), rtol=1e-9)
        returns[:, done] = 0.0


def test_rewards_without_variance_are_clipped_only():
    normaliser = RewardNormaliser(1, 1, 0.5)
    assert normaliser.apply(np.array([[-3.0]]), np.array([True])).tolist() == [[-3.0]]
    assert normaliser.apply(np.array([[-3.0]]), np.array([True])).tolist() == [[-3.0]]
    assert normaliser.apply(np.array([[40.0]]), np.array([False]), learn=False).tolist() == [[LIMIT]]


def test_rewards_can_be_divided_without_learning():
    normaliser = RewardNormaliser(2, 3, 0.9)
    rng = np.random.default_rng(0)
    for _ in range(5):
        normaliser.apply(rng.standard_normal((2, 3)), np.zeros(3, dtype=bool))
    kept = normaliser.rows.copy()
    r = np.full((2, 3), 0.3)
    found = normaliser.apply(r, np.ones(3, dtype=bool), learn=False)
    np.testing.assert_array_equal(normaliser.rows, kept)
    np.testing.assert_allclose(found, r / np.sqrt(kept[:, 2] / kept[:, 0] + 1e-8)[:, None])


def test_rows_are_the_whole_state():
    rng = np.random.default_rng(0)
    seen = list(batches(rng, 3, [4, 4, 4], SHAPES))
    r, done = rng.standard_normal((8, 3, 2)), np.zeros(2, dtype=bool)
    whole, sums = ObservationNormaliser(SHAPES), RewardNormaliser(3, 2, 0.9)
    for (obs, active), own in zip(seen[:2], r[:2], strict=True):
        whole.update(obs, active)
        sums.apply(own, done)
    restored, again = ObservationNormaliser(SHAPES), RewardNormaliser(3, 2, 0.9)
    assert (restored.rows.shape == (3, 9) and again.rows.shape == (3, 5)
            and restored.rows.dtype == again.rows.dtype == float)
    restored.rows[:], again.rows[:] = whole.rows, sums.rows
    for each in (whole, restored):
        each.update(*seen[2])
    for a, b in zip(whole.apply(seen[0][0]), restored.apply(seen[0][0]), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(sums.apply(r[2], done), again.apply(r[2], done))


@pytest.mark.parametrize("masked", [False, True])
def test_rewards_of_an_agent_are_normalised_to_the_same_bits_whoever_is_with_it(masked):
    rng = np.random.default_rng(0)
    r, done, active = rng.normal(size=(60, 9, 64)), rng.random((60, 64)) < 0.05, rng.random((60, 9, 64)) < 0.7
    blocks = [slice(0, 1), slice(1, 4), slice(4, 9)]
    whole, parts = RewardNormaliser(9, 64, 0.98), [RewardNormaliser(b.stop - b.start, 64, 0.98) for b in blocks]
    for t in range(60):
        found = whole.apply(r[t], done[t], active[t] if masked else None)
        own = [part.apply(r[t][b], done[t], active[t][b] if masked else None)
               for part, b in zip(parts, blocks, strict=True)]
        assert np.array_equal(found, np.concatenate(own))
    assert np.array_equal(whole.rows, np.concatenate([part.rows for part in parts]))
