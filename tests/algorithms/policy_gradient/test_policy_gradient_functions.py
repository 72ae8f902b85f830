"""Advantages, surrogates, values and the optimal baseline against their definitions and finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.distributions import logit_score_norms, normal_score_norms
from netac.algorithms.centralized._options import Clipped
from netac.algorithms.policy_gradient.advantages import gae, normalised
from netac.algorithms.policy_gradient.masks import average, kept
from netac.algorithms.policy_gradient.surrogates import (
    clipped,
    effective_sample_size,
    optimal_baseline,
    ratios,
    unclipped,
)
from netac.algorithms.policy_gradient.values import VARIANCE_FLOOR, ValueNormaliser, value_loss

seeds = st.integers(0, 10**6)
several_times = settings(max_examples=40)
log_softmax = partial(scipy.special.log_softmax, axis=-1)


def numeric_gradient(f, x, h=1e-6):
    """Central differences of a scalar function."""
    gradient = np.zeros_like(x)
    for k in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[k] = h
        gradient[k] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@several_times
@given(seed=seeds, n=st.integers(1, 3), M=st.integers(0, 5))
def test_means_are_over_active_samples_and_do_not_depend_on_the_other_rows(seed, n, M):
    rng = np.random.default_rng(seed)
    x, active = rng.normal(size=(n, M)), rng.random((n, M)) < 0.5
    dirty = np.where(active, x, np.nan)
    expected = [row[mask].sum() / max(mask.sum(), 1) for row, mask in zip(x, active, strict=True)]
    np.testing.assert_allclose(average(dirty, active), expected, atol=1e-15)
    assert (kept(dirty, active) == np.where(active, x, 0)).all()
    np.testing.assert_allclose(average(x[0], active), average(np.broadcast_to(x[0], (n, M)), active))


def test_means_of_rows_have_the_same_bits_whatever_their_layout():
    x = np.random.default_rng(0).normal(size=(5, 3000))
    assert (average(np.asfortranarray(x)) == [average(row) for row in x]).all()


def advantage_by_definition(r, v, v_next, bootstrap_mask, done, gamma, lam):
    """sum_l (gamma lam)^l delta_{t+l} up to the end of t's episode, of (T,) rows."""
    T, A = len(r), np.zeros(len(r))
    for t in range(T):
        for later in range(t, T):
            bootstrap = gamma * v_next[later] if bootstrap_mask[later] else 0.0
            A[t] += (gamma * lam) ** (later - t) * (r[later] + bootstrap - v[later])
            if done[later]:
                break
    return A


@several_times
@given(seed=seeds, n=st.integers(1, 3), T=st.integers(1, 12), E=st.integers(1, 3),
       gamma=st.sampled_from([0.0, 0.9, 0.99]), lam=st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_gae_is_its_definition_in_every_game(seed, n, T, E, gamma, lam):
    rng = np.random.default_rng(seed)
    r, v, v_next = rng.normal(size=(3, n, T, E))
    done = rng.random((T, E)) < 0.3
    bootstrap_mask = ~(done & (rng.random((n, T, E)) < 0.5))
    unknown = np.where(bootstrap_mask, v_next, np.nan)         # nobody needs the value of a terminal state
    A, targets = gae(r, v, unknown, bootstrap_mask, done, gamma, lam)
    for i, e in np.ndindex(n, E):
        rows = (x[i, :, e] for x in (r, v, v_next, bootstrap_mask))
        np.testing.assert_allclose(A[i, :, e], advantage_by_definition(*rows, done[:, e], gamma, lam), atol=1e-12)
    np.testing.assert_allclose(targets, A + v)
    again, _ = gae(r.astype(np.float32), v, unknown, bootstrap_mask.astype(np.float32), done.astype(float), gamma, lam)
    assert again.dtype == float
    np.testing.assert_allclose(again, A, atol=1e-5)
    assert (gae(r[:1], v[:1], unknown[:1], bootstrap_mask[:1], done, gamma, lam)[0] == A[:1]).all()


def test_gae_of_an_episode_cut_short_and_of_one_that_ended():
    r, v, v_next = np.ones((3, 1)), np.zeros((3, 1)), np.full((3, 1), 10.0)
    done = np.array([[0], [1], [0]])
    truncated, _ = gae(r, v, v_next, np.ones((3, 1)), done, 0.5, 1.0)
    ended, _ = gae(r, v, v_next, 1 - done, done, 0.5, 1.0)
    assert truncated[:, 0].tolist() == [9.0, 6.0, 6.0] and ended[:, 0].tolist() == [6.5, 1.0, 6.0]


def test_nothing_flows_back_from_beyond_an_agents_own_end():
    r, v, v_next = np.array([[1.0], [100.0]]), np.zeros((2, 1)), np.zeros((2, 1))
    assert gae(r, v, v_next, np.array([[0], [1]]), np.zeros((2, 1)), 0.9, 0.9)[0][0, 0] == 1.0


def test_with_lambda_1_and_the_end_in_sight_targets_are_discounted_returns():
    rng = np.random.default_rng(0)
    r, v, done = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.zeros((6, 2))
    done[5] = 1
    _, targets = gae(r, v, np.vstack([v[1:], v[:1]]), 1 - done, done, 0.9, 1.0)
    expected = [sum(0.9**k * r[t + k] for k in range(6 - t)) for t in range(6)]
    np.testing.assert_allclose(targets, expected)


@several_times
@given(seed=seeds, n=st.integers(1, 4), share=st.sampled_from([0.0, 0.1, 0.7, 1.0]), scale=st.floats(0.1, 1e3))
def test_normalised_advantages_have_mean_0_and_deviation_1_over_active_samples(seed, n, share, scale):
    rng = np.random.default_rng(seed)
    A, active = 5 + scale * rng.normal(size=(n, 7, 3)), rng.random((n, 7, 3)) < share
    dirty = np.where(active, A, np.nan)
    joint, own = normalised(dirty, active, 1e-9), normalised(dirty, active.astype(float), 1e-9, joint=False)
    assert (joint[~active] == 0).all() and (own[~active] == 0).all()
    for found, mask in [(joint, active), *zip(own, active, strict=True)]:
        if mask.sum() > 1:
            np.testing.assert_allclose([found[mask].mean(), found[mask].std()], [0, 1], atol=1e-5)
        else:
            assert (found == 0).all()
    assert (own[:1] == normalised(dirty[:1], active[:1], 1e-9, joint=False)).all()
    if active.any():
        x = A[active]
        np.testing.assert_allclose(normalised(A, active)[active], (x - x.mean()) / (x.std() + 1e-5), atol=1e-9)


def test_normalising_keeps_agents_apart_only_where_it_is_asked_to():
    A = np.array([[1.0, 3.0], [10.0, 30.0]])
    np.testing.assert_allclose(normalised(A, joint=False), [[-1, 1], [-1, 1]], atol=1e-4)
    np.testing.assert_allclose(normalised(A), (A - 11) / A.std(), atol=1e-4)
    assert normalised(np.full((2, 3), 7.0)).tolist() == [[0.0] * 3] * 2
    assert normalised(np.empty((0, 3)), joint=False).shape == normalised(np.empty((0, 3))).shape == (0, 3)


def softmax_case(seed, M=30, A=4):
    """Logits (A,), old log probabilities, actions, what ratios are multiplied with, and who was active."""
    rng = np.random.default_rng(seed)
    logits, old = rng.normal(size=A), log_softmax(rng.normal(size=A))
    return logits, old, rng.integers(A, size=M), rng.normal(size=M), rng.random(M) < 0.8


@several_times
@given(seed=seeds, epsilon=st.sampled_from([0.05, 0.2, 1.5]))
def test_surrogate_weights_give_the_gradient_of_the_sum(seed, epsilon):
    logits, old, actions, M, active = softmax_case(seed)

    def log_ratio(x):
        return log_softmax(x)[actions] - old[actions]

    def by_definition(x):
        ratio = np.exp(log_ratio(x))
        return np.minimum(ratio * M, np.clip(ratio, 1 - epsilon, 1 + epsilon) * M)[active].sum()

    for surrogate, objective in [
        (clipped(log_ratio(logits), M, active, epsilon=epsilon), by_definition),
        (unclipped(log_ratio(logits), M, active), lambda x: (np.exp(log_ratio(x)) * M)[active].sum()),
    ]:
        scores = np.eye(len(logits))[actions] - np.exp(log_softmax(logits))
        np.testing.assert_allclose(surrogate.weights @ scores, numeric_gradient(objective, logits), atol=1e-6)
        np.testing.assert_allclose(surrogate.value * active.sum(), objective(logits), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(surrogate.improvement, surrogate.value - M[active].mean(), atol=1e-12)
        assert (surrogate.weights[~active] == 0).all()
    ratio = np.exp(log_ratio(logits))[active]
    assert clipped(log_ratio(logits), M, active, epsilon=epsilon).outside == np.mean(np.abs(ratio - 1) > epsilon)


@several_times
@given(seed=seeds, n=st.integers(1, 4), epsilon=st.floats(0.01, 2))
def test_the_clipped_surrogate_is_the_lower_one_and_rows_stay_apart(seed, n, epsilon):
    rng = np.random.default_rng(seed)
    log_ratio, M, active = rng.normal(size=(n, 9)), rng.normal(size=9), rng.random((n, 9)) < 0.6
    low, high = clipped(log_ratio, M, active, epsilon=epsilon), unclipped(log_ratio, M, active)
    assert (low.value <= high.value + 1e-15).all()
    for i in range(n):
        alone = clipped(log_ratio[i:i + 1], M, active[i:i + 1], epsilon=epsilon)
        for name in ("weights", "value", "improvement", "outside"):
            assert (getattr(alone, name) == getattr(low, name)[i:i + 1]).all()


def test_at_the_old_policy_both_surrogates_are_the_mean_of_m():
    M = np.array([[1.0, -2.0, 4.0]])
    for surrogate in (clipped(np.zeros((1, 3)), M, epsilon=0.2), unclipped(np.zeros((1, 3)), M)):
        assert surrogate.weights.tolist() == M.tolist() and surrogate.value == 1.0
        assert surrogate.improvement == 0 and surrogate.outside == 0


def test_no_active_sample_leaves_nothing():
    log_ratio, M, nobody = np.full((1, 3), np.nan), np.full((1, 3), np.nan), np.zeros((1, 3))
    for surrogate in (clipped(log_ratio, M, nobody, epsilon=0.2), unclipped(log_ratio, M, nobody)):
        assert not surrogate.weights.any() and surrogate.value == surrogate.improvement == surrogate.outside == 0
    assert effective_sample_size(log_ratio, nobody) == 1


def test_extreme_log_ratios_stay_finite_even_in_single_precision():
    log_ratio, M = np.array([700.0, -700.0, 1e4, -1e4] * 2), np.repeat([1e3, -1e3], 4)
    for surrogate in (clipped(log_ratio, M, epsilon=0.2), unclipped(log_ratio, M)):
        weights = surrogate.weights.astype(np.float32)
        assert np.isfinite(weights @ weights) and np.isfinite([surrogate.value, surrogate.improvement]).all()
    assert clipped(log_ratio, M, epsilon=0.2).outside == 1
    assert effective_sample_size(np.array([700.0, -700.0])) == 0.5
    assert effective_sample_size(np.array([[-700.0, -700.0], [700.0, 700.0]])).tolist() == [1, 1]
    np.testing.assert_array_equal(ratios(np.log([0.5, 3.0])), np.exp(np.log([0.5, 3.0])))


@several_times
@given(seed=seeds, n=st.integers(1, 3), M=st.integers(1, 20), spread=st.floats(0, 5))
def test_effective_sample_size_is_its_formula(seed, n, M, spread):
    rng = np.random.default_rng(seed)
    logs, active = spread * rng.normal(size=(n, M)), rng.random((n, M)) < 0.6
    found = effective_sample_size(np.where(active, logs, np.inf), active)
    for row, mask, fraction in zip(np.exp(logs), active, found, strict=True):
        f = row[mask]
        np.testing.assert_allclose(fraction, f.sum() ** 2 / (len(f) * (f * f).sum()) if len(f) else 1.0)
        assert 0 < fraction <= 1
    np.testing.assert_allclose(effective_sample_size(logs + 300), effective_sample_size(logs))


def test_clip_range_is_divided_among_the_agents_only_if_scaled():
    divided, whole = (Clipped(clip_range=0.3, clip_over_agents=each) for each in (True, False))
    assert [divided.epsilon(N) for N in (1, 2, 3)] == [0.3, 0.15, 0.3 / 3] and whole.epsilon(3) == 0.3


def score_variance(b, pi, q, scores):
    """Total variance of (q - b) x score under pi, (A, d) scores."""
    g = (q - b)[:, None] * scores
    mean = pi @ g
    return pi @ (g * g).sum(axis=1) - mean @ mean


@several_times
@given(seed=seeds, A=st.integers(2, 5))
def test_the_optimal_baseline_minimises_the_variance_of_the_score_estimate(seed, A):
    rng = np.random.default_rng(seed)
    pi, q = rng.dirichlet(np.ones(A)), rng.normal(size=A)
    scores = np.eye(A) - pi
    np.testing.assert_allclose(logit_score_norms(pi), (scores**2).sum(axis=1), rtol=1e-9, atol=1e-15)
    found = optimal_baseline(pi, q, logit_score_norms(pi))
    best = scipy.optimize.minimize_scalar(score_variance, args=(pi, q, scores), bounds=(q.min(), q.max()),
                                          method="bounded", options={"xatol": 1e-9})
    assert score_variance(found, pi, q, scores) <= best.fun + 1e-12
    assert q.min() - 1e-12 <= found <= q.max() + 1e-12
    np.testing.assert_allclose(optimal_baseline(pi, q + 5, logit_score_norms(pi)), found + 5)


@pytest.mark.parametrize("pi", [[1.0, 0.0], [1.0, 1e-300], [1 - 1e-12, 1e-12]])
def test_the_baseline_of_a_policy_that_is_all_but_deterministic(pi):
    q, pi = np.array([[1.0, 3.0]] * 2), np.array([pi] * 2)
    found = optimal_baseline(pi, q, logit_score_norms(pi))
    assert found.shape == (2,) and ((found >= 1) & (found <= 3)).all()
    assert pi[0, 1] or (found == 1).all()


def test_the_baseline_of_a_normal_policy_from_samples():
    rng = np.random.default_rng(1)
    mean, log_std, z = rng.normal(size=2), np.array([-0.5, 0.3]), rng.normal(size=(6, 2))
    actions = mean + np.exp(log_std) * z

    def log_prob(outputs, a):
        return scipy.stats.norm.logpdf(a, outputs[:2], np.exp(outputs[2:])).sum()

    outputs = np.concatenate([mean, log_std])
    scores = np.array([numeric_gradient(partial(log_prob, a=a), outputs) for a in actions])
    norms = normal_score_norms(z[None], log_std[None])
    np.testing.assert_allclose(norms[0], (scores**2).sum(axis=1), rtol=1e-6)
    q = rng.normal(size=(1, 6))
    np.testing.assert_allclose(optimal_baseline(1.0, q, norms), (q * norms).sum() / norms.sum())


@several_times
@given(seed=seeds, sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6), beta=st.sampled_from([0.0, 0.5, 0.99999]))
def test_value_statistics_are_weighted_means_over_the_updates(seed, sizes, beta):
    rng = np.random.default_rng(seed)
    normaliser, batches = ValueNormaliser(beta=beta), []
    for size in sizes:
        x, active = 50 + 3 * rng.normal(size=(2, size)), rng.random((2, size)) < 0.7
        normaliser.update(np.where(active, x, np.nan), active)
        if active.any():
            batches.append(x[active])
    x = rng.normal(size=(2, 3)).astype(np.float32)
    mean, deviation = 0.0, 1.0
    if batches:
        weights = beta ** np.arange(len(batches))[::-1]
        mean = np.average([b.mean() for b in batches], weights=weights)
        square = np.average([(b**2).mean() for b in batches], weights=weights)
        deviation = np.sqrt(max(square - mean**2, VARIANCE_FLOOR))
    np.testing.assert_allclose(normaliser.normalise(x), (x - mean) / deviation, rtol=1e-6)
    np.testing.assert_allclose(normaliser.denormalise(normaliser.normalise(x)), x, rtol=1e-9)
    assert normaliser.normalise(x).dtype == float


def test_value_statistics_live_in_the_rows_they_were_given():
    rows = np.zeros((2, 3))
    first = ValueNormaliser(rows[:1])
    first.update(np.array([1.0, 5.0]))
    assert rows[0].all() and not rows[1].any()
    restored = ValueNormaliser(rows[:1].copy())
    x = np.array([2.0, 7.0])
    assert (restored.normalise(x) == first.normalise(x)).all()
    np.testing.assert_allclose(first.normalise(x), (x - 3) / 2)
    rows[:] = 0
    assert (first.normalise(x) == x).all()


@several_times
@given(seed=seeds, clip=st.sampled_from([None, 0.2, 1.0]), huber=st.sampled_from([None, 0.3, 10.0]))
def test_values_are_pulled_down_the_slope_of_their_loss(seed, clip, huber):
    rng = np.random.default_rng(seed)
    v, target, old = rng.normal(size=(3, 2, 8))
    active = rng.random((2, 8)) < 0.7

    def loss(e):
        quadratic = e**2 / 2
        return quadratic if huber is None else np.where(np.abs(e) <= huber, quadratic, huber * (np.abs(e) - huber / 2))

    def total(v):
        losses = loss(target - v)
        if clip is not None:
            losses = np.maximum(losses, loss(target - old - np.clip(v - old, -clip, clip)))
        return losses[active].sum()

    pulls, mean = value_loss(v, np.where(active, target, np.nan), old, clip, huber, active)
    np.testing.assert_allclose(pulls, -numeric_gradient(total, v), atol=1e-6)
    np.testing.assert_allclose((mean * active.sum(axis=1)).sum(), total(v))
    assert (value_loss(v[:1], target[:1], old[:1], clip, huber, active[:1])[1] == mean[:1]).all()


def test_a_value_that_has_moved_too_far_is_left_alone_only_if_it_is_better_off():
    old, target = np.zeros(3), np.array([5.0, 5.0, -5.0])
    pulls, loss = value_loss(np.array([1.0, 0.1, 1.0]), target, old, clip=0.2)
    assert pulls.tolist() == [0.0, 4.9, -6.0]
    np.testing.assert_allclose(loss, (4.8**2 + 4.9**2 + 6**2) / 6)
    pulls, loss = value_loss(old, target, active=np.zeros(3))
    assert not pulls.any() and loss == 0
