"""Distributions of actions against torch's, against sums over all actions, and with masks; spaces' joint actions."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import netac
from netac.agents.distributions import (
    Categorical,
    CategoricalFamily,
    DiagonalGaussian,
    GaussianFamily,
    ProductDistribution,
    ProductFamily,
    choose,
    distribution_of,
    relaxation_of,
)
from netac.agents.sequences import Sequences, chunked
from netac.agents.transitions import Transitions
from netac.utils.spaces import ActionSpace, ProductSpace, joint_space
from netac.utils.streams import normal

seeds = st.integers(0, 10**6)
several_times = settings(max_examples=40)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def derivative(f, x, h=1e-6):
    """Central differences of a scalar function of (d,)."""
    return np.array([(f(x + step) - f(x - step)) / (2 * h) for step in h * np.eye(len(x))])


def allowed(rng: np.random.Generator, sizes: tuple[int, ...], rows: int) -> np.ndarray:
    """Masks (rows, sum of sizes) with at least one choice allowed in each part."""
    found = [rng.random((rows, size)) < 0.5 for size in sizes]
    for part in found:
        part[np.arange(rows), rng.integers(part.shape[1], size=rows)] = True
    return np.concatenate(found, axis=1)


def every(sizes: tuple[int, ...]) -> np.ndarray:
    """(choices, k) all actions."""
    return np.array(list(product(*map(range, sizes))))


def choices(sizes: tuple[int, ...]) -> ProductFamily:
    """Categorical distributions side by side."""
    return ProductFamily(tuple(map(CategoricalFamily, sizes)))


def likelihoods(pi: ProductDistribution, actions: np.ndarray) -> np.ndarray:
    """(choices, rows) probabilities of every action in every row."""
    return np.exp([pi.log_prob(np.broadcast_to(action, (len(pi.entropy()), len(action)))) for action in actions])


@several_times
@given(seed=seeds, A=st.integers(1, 5), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_a_categorical_distribution_is_scipys(seed, A, scale):
    rng = np.random.default_rng(seed)
    logits, weights = scale * rng.normal(size=(3, 2, A)), rng.normal(size=(3, 2, 1))
    actions = rng.integers(A, size=(3, 2))
    pi = distribution_of(ActionSpace(n_actions=A))(logits)
    wanted = scipy.special.softmax(logits, axis=-1)
    np.testing.assert_allclose(pi.probabilities, wanted, rtol=1e-12)
    np.testing.assert_allclose(pi.log_prob(actions), np.take_along_axis(np.log(wanted), actions[..., None], -1)[..., 0])
    np.testing.assert_allclose(pi.entropy(), scipy.stats.entropy(wanted, axis=-1), atol=1e-12)
    np.testing.assert_array_equal(pi.mode(), logits.argmax(axis=-1))
    pull, nothing = pi.pull(actions, weights, 0.3 * np.ones_like(weights))

    def objective(x):
        here = Categorical(x.reshape(logits.shape))
        return (weights[..., 0] * here.log_prob(actions) + 0.3 * here.entropy()).sum()

    np.testing.assert_allclose(pull.ravel(), derivative(objective, logits.ravel()), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(pi.pull(actions, weights)[0], weights * pi.score(actions)[0])
    assert nothing is None is pi.score(actions)[1] is pi.fisher(logits)[1]


@several_times
@given(seed=seeds, A=st.integers(1, 5), M=st.integers(1, 4))
def test_draws_are_those_of_inversion(seed, A, M):
    rng = np.random.default_rng(seed)
    logits, uniforms = rng.normal(size=(2, M, A)), rng.random((2, M, 3))
    pi, (chances, drawn) = Categorical(logits), choose(logits, uniforms[..., :1])
    np.testing.assert_array_equal(pi.sample(uniforms), drawn[..., 0])
    np.testing.assert_array_equal(pi.probabilities, chances)
    below = np.cumsum(chances, axis=-1)
    np.testing.assert_array_equal(drawn[..., 0], np.minimum((below <= uniforms[..., :1]).sum(axis=-1), A - 1))
    several = choose(logits, uniforms)[1]
    for k in range(3):
        np.testing.assert_array_equal(several[..., k], choose(logits, uniforms[..., k:k + 1])[1][..., 0])


def test_a_gaussian_is_scipys():
    rng = np.random.default_rng(0)
    mean, log_std, actions = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(4, 3))
    weights, uniforms = rng.normal(size=(4, 1)), rng.random((4, 5))
    family = distribution_of(ActionSpace(low=(-1.0,) * 3, high=(1.0,) * 3))
    assert family == GaussianFamily(3) and family.deviations == 3
    pi = family(mean, log_std)
    wanted = scipy.stats.norm.logpdf(actions, mean, np.exp(log_std)).sum(axis=1)
    np.testing.assert_allclose(pi.log_prob(actions), wanted)
    np.testing.assert_array_equal(pi.sample(uniforms), mean + np.exp(log_std) * normal(uniforms[:, :3]))
    assert pi.mode() is mean and pi.probabilities is None
    np.testing.assert_allclose(pi.sample(np.full((4, 3), 0.5)), mean)
    pull, beside = pi.pull(actions, weights, np.full((4, 1), 0.3))

    def objective(x):
        here = DiagonalGaussian(x[:12].reshape(4, 3), x[12:])
        return (weights[:, 0] * here.log_prob(actions) + 0.3 * here.entropy()).sum()

    slope = derivative(objective, np.concatenate([mean.ravel(), log_std]))
    np.testing.assert_allclose(np.concatenate([pull.ravel(), beside.sum(axis=0)]), slope, rtol=1e-5, atol=1e-6)
    score, beside = pi.score(actions)
    np.testing.assert_allclose(pi.pull(actions, weights), (weights * score, weights * beside))
    with pytest.raises(TypeError, match="vectors"):
        pi.mask(np.zeros((4, 3), dtype=bool))
    assert pi.mask(np.ones((4, 3), dtype=bool)) is pi


@several_times
@given(seed=seeds, sizes=SIZES, masked=st.booleans())
def test_choices_side_by_side_are_independent(seed, sizes, masked):
    rng = np.random.default_rng(seed)
    family, logits = choices(sizes), rng.normal(size=(3, sum(sizes)))
    one, two = family(logits), family(rng.normal(size=(3, sum(sizes))))
    mask = allowed(rng, sizes, 3)
    if masked:
        one, two = one.mask(mask), two.mask(mask)
    actions = every(sizes)
    p, q = likelihoods(one, actions), likelihoods(two, actions)
    np.testing.assert_allclose(p.sum(axis=0), 1)
    np.testing.assert_allclose(one.entropy(), scipy.stats.entropy(p, axis=0), atol=1e-12)
    np.testing.assert_allclose(one.kl(two), scipy.special.rel_entr(p, q).sum(axis=0), atol=1e-12)
    exact, bound = 0.5 * np.abs(p - q).sum(axis=0), one.tv(two)
    assert (exact <= bound + 1e-12).all() and (bound <= 1).all()
    if len(sizes) == 1:
        np.testing.assert_allclose(bound, exact, atol=1e-12)
    np.testing.assert_array_equal(one.mode(), actions[p.argmax(axis=0)])
    drawn, weights = one.sample(rng.random((3, len(sizes) + 1))), rng.normal(size=(3, 1))
    assert drawn.shape == (3, len(sizes)) and (one.log_prob(drawn) > -np.inf).all()
    pull = one.pull(drawn, weights, np.full((3, 1), 0.3))[0]

    def objective(x):
        here = family(x.reshape(3, -1))
        here = here.mask(mask) if masked else here
        return (weights[:, 0] * here.log_prob(drawn) + 0.3 * here.entropy()).sum()

    np.testing.assert_array_equal(one.probabilities, np.concatenate([part.probabilities for part in one.parts], axis=1))
    np.testing.assert_allclose(pull.ravel(), derivative(objective, logits.ravel()), rtol=1e-4, atol=1e-6)
    v, h = rng.normal(size=logits.shape), 1e-4
    bent = family(logits + h * v), family(logits - h * v)
    bent = [each.mask(mask) if masked else each for each in bent]
    curvature = sum(one.kl(each) for each in bent) / h**2
    np.testing.assert_allclose((v * one.fisher(v)[0]).sum(axis=1), curvature, rtol=1e-3, atol=1e-4)
    if len(sizes) == 1 and not masked:
        np.testing.assert_array_equal(Categorical(logits).log_prob(drawn[:, 0].astype(int)), one.log_prob(drawn))


KINDS = {"choices": [3, 2], "vectors": [-2, -1], "mixed": [3, -2, 1, -1], "alone": [-3]}      # actions, or minus d


def spaces_of(kinds: list[int]) -> ProductSpace:
    """Discrete actions, or vectors of as many entries."""
    return ProductSpace(tuple(ActionSpace(n_actions=kind) if kind > 0 else ActionSpace(low=(-1.0,) * -kind,
                                                                                       high=(1.0,) * -kind)
                              for kind in kinds))


@pytest.mark.parametrize("kinds", KINDS)
@several_times
@given(seed=seeds)
def test_distributions_of_any_kind_stand_side_by_side(kinds, seed):
    """Values are sums over the parts that were there, slopes those of finite differences."""
    rng, space = np.random.default_rng(seed), spaces_of(KINDS[kinds])
    family, M = distribution_of(space), 4
    assert (family.outputs, family.numbers) == (space.outputs, space.size)
    assert family.deviations == sum(part.size for part in space.parts if not part.n_actions)
    outputs, log_std = rng.normal(size=(M, space.outputs)), 0.3 * rng.normal(size=(1, family.deviations))
    pi, uniforms, weights = family(outputs, log_std), rng.random((M, space.size + 1)), rng.normal(size=(M, 1))
    drawn, there = pi.sample(uniforms), rng.random((M, len(space.parts))) < 0.7
    assert drawn.shape == pi.mode().shape == (M, space.size) and drawn.dtype == float
    ends = np.cumsum([0, *(part.size for part in space.parts)])
    wanted = np.zeros(M)
    for j, part in enumerate(space.parts):
        alone, own = pi.parts[j], part.read(drawn[:, ends[j]:ends[j + 1]])
        np.testing.assert_array_equal(own, alone.sample(uniforms[:, ends[j]:ends[j + 1]]))
        np.testing.assert_array_equal(part.read(pi.mode()[:, ends[j]:ends[j + 1]]), alone.mode())
        wanted += alone.log_prob(own) * there[:, j]
    told = np.where(np.repeat(there, np.diff(ends), axis=1), drawn, np.nan)
    np.testing.assert_allclose(pi.log_prob(told), wanted)
    bonus, where = np.full((M, 1), 0.3), np.concatenate([outputs.ravel(), log_std.ravel()])

    def at(x):
        return family(x[:outputs.size].reshape(outputs.shape), x[outputs.size:].reshape(log_std.shape))

    def objective(x):
        return (weights[:, 0] * at(x).log_prob(told) + 0.3 * at(x).entropy()).sum()

    def flat(of_outputs, beside):
        assert (beside is None) == (not family.deviations)
        return np.concatenate([of_outputs.ravel(), np.zeros(0) if beside is None else beside.sum(axis=0)])

    np.testing.assert_allclose(flat(*pi.pull(told, weights, bonus)), derivative(objective, where), rtol=1e-4, atol=1e-5)
    score = [np.zeros((M, 0)) if each is None else each for each in pi.score(told)]
    np.testing.assert_allclose(flat(*pi.pull(told, weights)), np.concatenate(
        [(weights * score[0]).ravel(), (weights * score[1]).sum(axis=0)]))
    v, h = rng.normal(size=where.shape), 1e-4
    curvature = sum(pi.kl(at(where + sign * h * v)).sum() for sign in (1, -1)) / h**2
    bent, beside = pi.fisher(v[:outputs.size].reshape(outputs.shape), v[outputs.size:].reshape(log_std.shape))
    found = (bent.ravel() @ v[:outputs.size]) + (0.0 if beside is None else M * (beside.ravel() @ v[outputs.size:]))
    np.testing.assert_allclose(found, curvature, rtol=1e-3, atol=1e-4)
    other = at(where + 0.1 * v)
    np.testing.assert_allclose(pi.kl(other), sum(one.kl(two) for one, two in zip(pi.parts, other.parts, strict=True)))
    tvs = np.array([one.tv(two) for one, two in zip(pi.parts, other.parts, strict=True)])
    assert (tvs.max(axis=0) <= pi.tv(other) + 1e-12).all() and (pi.tv(other) <= tvs.sum(axis=0) + 1e-12).all()
    assert (pi.probabilities is None) == (family.deviations > 0)
    if family.deviations:
        with pytest.raises(TypeError, match="vectors"):
            pi.mask(np.zeros(space.outputs, dtype=bool))


def test_nobody_there_is_certain():
    pi = distribution_of(spaces_of([3, -2]))(np.zeros((2, 5)), np.zeros((1, 2)))
    nobody = np.full((2, 3), np.nan)
    assert not pi.log_prob(nobody).any() and not any(each.any() for each in pi.score(nobody))


@several_times
@given(seed=seeds, A=st.integers(1, 6), scale=st.sampled_from([1e-6, 1.0, 1e3]))
def test_masked_actions_are_impossible_and_nothing_pulls_at_them(seed, A, scale):
    rng = np.random.default_rng(seed)
    logits, mask = scale * rng.normal(size=(50, A)), allowed(rng, (A,), 50)
    with np.errstate(all="raise", under="ignore"):
        pi, other = (CategoricalFamily(A)(x).mask(mask) for x in (logits, logits[::-1]))
        actions, weights = pi.sample(rng.random((50, 1))), rng.normal(size=(50, 1))
        pull = pi.pull(actions, weights, np.ones((50, 1)))[0]
        assert mask[np.arange(50), actions].all() and mask[np.arange(50), pi.mode()].all()
        assert (pi.probabilities[~mask] == 0).all() and (pi.log_probabilities[~mask] == -np.inf).all()
        for each in (pull, pi.score(actions)[0], pi.fisher(rng.normal(size=(50, A)))[0]):
            assert np.isfinite(each).all() and (each[~mask] == 0).all()
        impossible = (~mask).argmax(axis=1)           # a possible one where all are
        assert (pi.score(impossible)[0][~mask] == 0).all()
        for each in (pi.entropy(), pi.kl(other), pi.kl(pi), pi.tv(other), pi.log_prob(actions)):
            assert np.isfinite(each).all()
    np.testing.assert_array_equal(pi.log_prob(impossible) == -np.inf, ~mask.all(axis=1))
    np.testing.assert_allclose(pi.probabilities.sum(axis=1), 1)
    for row in range(50):                              # the distribution over the allowed ones alone
        alone = Categorical(logits[row, mask[row]])
        np.testing.assert_allclose(pi.probabilities[row, mask[row]], alone.probabilities, rtol=1e-12)
        np.testing.assert_allclose(pi.entropy()[row], alone.entropy(), atol=1e-12)


def test_a_mask_that_allows_everything_changes_no_bit():
    rng = np.random.default_rng(3)
    logits, uniforms, actions = rng.normal(size=(5, 4)), rng.random((5, 1)), rng.integers(4, size=5)
    pi = Categorical(logits)
    free = pi.mask(np.ones(4, dtype=bool))
    for ask in (lambda x: x.probabilities, lambda x: x.sample(uniforms), lambda x: x.log_prob(actions),
                lambda x: x.entropy(), lambda x: x.score(actions)[0], lambda x: x.fisher(logits)[0]):
        np.testing.assert_array_equal(ask(pi), ask(free))


def test_an_action_that_only_one_of_two_distributions_allows():
    pi = Categorical(np.zeros(3))
    narrow = pi.mask(np.array([True, False, True]))
    assert pi.kl(narrow) == np.inf
    np.testing.assert_allclose([narrow.kl(pi), pi.tv(narrow)], [np.log(1.5), 1 / 3])


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_what_explores_is_left_out_of_the_mode(epsilon):
    rng = np.random.default_rng(1)
    outputs = rng.normal(size=(2, 5, 3))
    relaxed = relaxation_of([ActionSpace(n_actions=3)] * 2, 0.0, epsilon, 1.0)
    actions, pi = relaxed.act(outputs, None)
    np.testing.assert_array_equal(actions, outputs.argmax(axis=-1))
    np.testing.assert_allclose(pi, (1 - epsilon) * Categorical(outputs).probabilities + epsilon / 3)
    vectors = relaxation_of([ActionSpace(low=(-1.0,) * 3, high=(3.0, np.inf, np.inf))] * 2, 0.2, epsilon, 1.0)
    actions, pi = vectors.act(outputs, None)
    assert pi is None
    np.testing.assert_allclose(actions[..., 0], 1 + 2 * np.tanh(outputs[..., 0]))
    np.testing.assert_array_equal(actions[..., 1:], outputs[..., 1:])
    np.testing.assert_allclose(vectors.act(outputs, np.full((2, 5, 3), 0.5))[0], actions)


def test_joint_actions_are_whole_numbers_only_where_everybodys_are():
    choices, mixed = ActionSpace(n_actions=300), ActionSpace(low=(-1.0, 0.0), high=(1.0, np.inf))
    all_discrete, some = joint_space([choices, ActionSpace(n_actions=2)]), joint_space([choices, mixed])
    for joint, expected in {all_discrete: (1, np.uint16, 300, 302), some: (2, np.float32, 0, 302)}.items():
        assert (joint.size, joint.wire, joint.n_actions, joint.outputs) == expected
    own = [np.array([7, 299]), np.array([[0.5, 2.0], [-3.0, -1.0]])]
    joint = some.stack(own, range(2))
    np.testing.assert_array_equal(joint, [[[7, 0], [299, 0]], own[1]])
    np.testing.assert_array_equal(some.clip(joint)[1], [[0.5, 2.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(some.stack(own[1:], [1]), joint[1:])
    rng = np.random.default_rng(0)
    assert choices.random(rng, 4).dtype.kind == "i" and mixed.random(rng, 4).shape == (4, 2)
    assert (choices.dtype, mixed.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(mixed.rounded(np.array([0.1, -1.0])), [float(np.float32(0.1)), 0.0])
    active = np.array([[True, True], [False, True]])
    np.testing.assert_array_equal(some.product(joint, active), [[7, np.nan, np.nan], [299, -3.0, -1.0]])
    np.testing.assert_array_equal(all_discrete.product(np.array([[7, 299], [1, 0]]), active), [[7, np.nan], [299, 0]])


def test_only_distributions_and_spaces_are_told_how_many_actions_there_are():
    """Policies, samplers and algorithms ask the distribution or the space, and serve any."""
    package, homes = Path(netac.__file__).parent, {"distributions.py", "relaxations.py"}
    paths = [path for part in ("agents", "sampling", "algorithms") for path in (package / part).rglob("*.py")]
    asking = {path.relative_to(package) for path in paths
              for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
              if isinstance(node, ast.Attribute) and node.attr == "n_actions" and path.name not in homes}
    assert not asking


def test_some_of_the_samples_are_the_same_of_everything():
    rng = np.random.default_rng(2)
    T, E, L = 4, 3, 2
    M, names = T * E, ("obs", "seen", "joint", "next_joint")
    lists = {name: [rng.random((M, 2)) for _ in range(2)] for name in names}
    sequences = Sequences(chunked(T, E, L), list(rng.random((2, M // L, 5))), rng.random(M) < 0.5)
    b = Transitions(**lists, own=[rng.integers(5, size=M), rng.random((M, 3))], pi=[rng.random((M, 5)), None],
                    r=rng.random((2, M)), active=rng.integers(2, size=(2, M)).astype(float), sequences=sequences,
                    shares=rng.random(M))
    part = b.chunks[:, [4, 1]].ravel()
    found = b.take(part)
    for name in lists:
        np.testing.assert_array_equal(getattr(found, name), np.stack(getattr(b, name))[:, part])
    np.testing.assert_array_equal(found.own[1], b.own[1][part])
    np.testing.assert_array_equal(found.r, b.r[:, part])
    np.testing.assert_array_equal(found.shares, b.shares[part])
    assert found.pi[1] is None is found.bootstrap_mask and found.next_obs == [] and found.chunks.shape == (L, 2)
    np.testing.assert_allclose(found.sample_weight, b.active[:, part] * len(part) / b.shares[part].sum())
    whole = Transitions.joined(list(Transitions(obs=b.obs, r=b.r, active=b.active).parts(E)))
    np.testing.assert_array_equal(whole.r, b.r)
    np.testing.assert_array_equal(whole.obs, b.obs)
