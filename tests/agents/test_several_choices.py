"""Several choices at once (MultiDiscrete): spaces, distributions, relaxed draws, means over an agent's own action."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netac.agents.distributions import MOST, Categorical, distribution_of, logit_score_norms, relaxation_of
from netac.sampling.encoding import Encoding
from netac.utils.spaces import ActionSpace, joint_space

seeds, NVECS = st.integers(0, 2**31 - 1), st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
LARGE = (7, 8, 9)                    # more combinations than are listed


def masks(rng, nvec, samples):
    """At least one of every choice."""
    found = [rng.random((samples, n)) < 0.5 for n in nvec]
    for part in found:
        part[np.arange(samples), rng.integers(part.shape[1], size=samples)] = True
    return found


@given(seed=seeds, nvec=NVECS)
def test_all_actions_are_listed_once_in_the_order_of_their_weights(seed, nvec):
    rng, space = np.random.default_rng(seed), ActionSpace(nvec=nvec)
    every = space.every()
    assert every.shape == (space.count, space.outputs) and len(np.unique(every, axis=0)) == space.count
    parts = np.split(every, np.cumsum(nvec)[:-1], axis=1)
    assert all((part.sum(axis=1) == 1).all() for part in parts)
    logits = rng.normal(size=(5, space.outputs))
    family = distribution_of(space)
    pi = family(logits)
    allowed = masks(rng, nvec, 5)
    for mask in (None, np.concatenate(allowed, axis=1)):
        here = pi if mask is None else pi.mask(mask)
        own = np.stack([part.argmax(axis=1) for part in parts], axis=1).astype(float)         # every action, (A, k)
        weights = here.own_weights(0)
        chances = np.stack([np.exp(here.log_prob(np.tile(action, (5, 1)))) for action in own], axis=1)
        np.testing.assert_allclose(weights, chances, atol=1e-12)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)
        norms = np.stack([(here.score(np.tile(action, (5, 1)))[0] ** 2).sum(axis=1) for action in own], axis=1)
        at = weights > 0
        np.testing.assert_allclose(here.own_score_norms(None)[at], norms[at], atol=1e-12)
    assert family.enumerated and family.own_count(8) == space.count and family.noise(rng, 3, 8) is None


def test_of_very_many_actions_a_few_are_drawn():
    space, rng = ActionSpace(nvec=LARGE), np.random.default_rng(0)
    family = distribution_of(space)
    assert space.count > MOST and not family.enumerated and family.own_count(6) == 6
    logits = rng.normal(size=(4, space.outputs))
    pi, noise = family(logits), family.noise(rng, 4, 20_000)
    drawn = pi.own_actions(noise)
    assert drawn.shape == (4, 20_000, 3)
    for k, part in enumerate(space.of_choices(logits)):
        chances = Categorical(part).probabilities
        found = np.stack([(drawn[..., k] == a).mean(axis=1) for a in range(LARGE[k])], axis=1)
        np.testing.assert_allclose(found, chances, atol=0.02)
    norms = sum(np.take_along_axis(logit_score_norms(Categorical(part).probabilities), drawn[..., k].astype(int), 1)
                for k, part in enumerate(space.of_choices(logits)))
    np.testing.assert_allclose(pi.own_score_norms(noise), norms)
    np.testing.assert_array_equal(pi.own_weights(4), np.full((4, 4), 0.25))


@given(seed=seeds, nvec=NVECS, epsilon=st.sampled_from([0.0, 0.4]))
def test_relaxed_choices_are_those_of_each_by_itself(seed, nvec, epsilon):
    rng, space, M = np.random.default_rng(seed), ActionSpace(nvec=nvec), 6
    relaxed = relaxation_of([space] * 2, 0.1, epsilon, 0.7)
    outputs, uniforms = rng.normal(size=(2, M, space.outputs)), rng.random((2, M, space.size))
    noise = [relaxed.noise(np.random.default_rng(g), M) for g in range(2)]
    allowed = np.stack([np.concatenate(masks(rng, nvec, M), axis=1) for _ in range(2)])
    slopes = rng.normal(size=outputs.shape)
    for mask in (None, allowed):
        actions, chances = relaxed.act(outputs, uniforms, mask)
        numbers, pulls = relaxed.numbers(outputs, noise, mask), relaxed.pull(outputs, noise, slopes, mask)
        best, _ = relaxed.act(outputs, None, mask)
        first = 0
        for k, n in enumerate(nvec):
            own, alone = slice(first, first + n), relaxation_of([ActionSpace(n)], 0.1, epsilon, 0.7)
            here = None if mask is None else mask[..., own]
            one, pi = alone.act(outputs[..., own], uniforms[..., k:k + 1], here)
            np.testing.assert_array_equal(actions[..., k], one)
            np.testing.assert_array_equal(chances[..., own], pi)
            np.testing.assert_array_equal(best[..., k], alone.act(outputs[..., own], None, here)[0])
            drawn = [each[:, own] for each in noise]
            np.testing.assert_array_equal(numbers[..., own], alone.numbers(outputs[..., own], drawn, here))
            np.testing.assert_array_equal(pulls[..., own], alone.pull(outputs[..., own], drawn, slopes[..., own], here))
            if mask is not None:
                assert (pi[~here] == 0).all() and (numbers[..., own][~here] == 0).all()
                assert (pulls[..., own][~here] == 0).all()
            first += n


def test_joint_actions_with_several_choices_travel_as_small_numbers_and_are_one_hot():
    spaces = [ActionSpace(nvec=(2, 3)), ActionSpace(4), ActionSpace(nvec=(3,))]
    joint = joint_space(spaces)
    assert joint.wire == np.uint8 and joint.nbytes == 2 and joint.n_actions == 0
    stacked = joint.stack([np.array([[1.0, 2.0]]), np.array([3]), np.array([[0.0]])], range(3))
    encoded = Encoding(spaces)(stacked, np.ones((3, 1), dtype=bool))
    np.testing.assert_array_equal(encoded, [[0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]])
    others = Encoding(spaces).alternatives(encoded, 0)
    assert others.shape == (1, 6, 12) and (others[0, 4, :5] == [0, 1, 0, 1, 0]).all()
    drawn = Encoding(spaces).alternatives(encoded, 0, np.array([[[1.0, 0.0], [0.0, 2.0]]]))
    np.testing.assert_array_equal(drawn[0, :, :5], [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]])
    assert joint_space([*spaces, ActionSpace(low=(0.0,), high=(1.0,))]).wire == np.float32


MASKS = [((np.array([1, 0]), np.array([0, 1, 1])), [1, 0, 0, 1, 1]), ([1, 0, 0, 1, 1], [1, 0, 0, 1, 1]),
         (([1, 0], [0, 1, 1]), [1, 0, 0, 1, 1])]


@pytest.mark.parametrize(("told", "expected"), MASKS)
def test_masks_of_several_choices_are_told_one_by_one_or_side_by_side(told, expected):
    space = ActionSpace(nvec=(2, 3))
    np.testing.assert_array_equal(space.mask(told), np.array(expected, dtype=bool))
    for bad in (([1, 0], [0, 1]), [1, 0], ([1, 0], [0, 1, 2]), "10110"):
        with pytest.raises(ValueError, match="5 zeros and ones"):
            space.mask(bad)
    assert space.lacks(np.array([True, False, False, False, False])) and not space.lacks(np.array(expected, dtype=bool))
    np.testing.assert_array_equal(space.leaves_choice(np.array([[1, 0, 0, 1, 0], expected], dtype=bool)), [False, True])
    np.testing.assert_array_equal(space.first(np.array(expected, dtype=bool)), [0, 1])
    rng = np.random.default_rng(0)
    drawn = space.random(rng, 200, np.tile(np.array(expected, dtype=bool), (200, 1)))
    assert set(map(tuple, drawn)) == {(0, 1), (0, 2)} and len(set(map(tuple, space.random(rng, 300)))) == 6
