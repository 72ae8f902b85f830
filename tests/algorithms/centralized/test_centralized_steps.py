"""Divergences, Fisher products, the trust-region step against integrals, enumeration, Hessians and linear algebra."""

from __future__ import annotations

import itertools
from functools import partial, reduce

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.distributions import Categorical, DiagonalGaussian, distribution_of
from netac.algorithms.policy_gradient.divergences import joint_tv_bound
from netac.algorithms.policy_gradient.trust_region import backtrack, conjugate_gradient, natural_direction
from netac.utils.errors import RunError
from netac.utils.spaces import ActionSpace

seeds = st.integers(0, 10**6)
several_times = settings(max_examples=40)
log_softmax = partial(scipy.special.log_softmax, axis=-1)


def categorical_kl(log_p, log_q):
    return Categorical(log_p).kl(Categorical(log_q))


def categorical_tv(log_p, log_q):
    return Categorical(log_p).tv(Categorical(log_q))


def categorical_fisher(pi, x):
    return Categorical(np.log(pi)).fisher(x)[0]


def normal_kl(mean, log_std, new_mean, new_log_std):
    return DiagonalGaussian(mean, log_std).kl(DiagonalGaussian(new_mean, new_log_std))


def normal_tv(mean, log_std, new_mean, new_log_std):
    return DiagonalGaussian(mean, log_std).tv(DiagonalGaussian(new_mean, new_log_std))


def normal_fisher(log_std, dmean, dlog_std):
    return DiagonalGaussian(np.zeros_like(dmean), log_std).fisher(dmean, dlog_std)


def numeric_hessian(f, x, h=1e-4):
    """Central second differences of a scalar function of (d,)."""
    steps = h * np.eye(len(x))
    return np.array([[(f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b)) / (4 * h * h) for b in steps]
                     for a in steps])


@several_times
@given(seed=seeds, A=st.integers(1, 5), scale=st.sampled_from([1e-6, 1.0, 50.0]))
def test_categorical_divergences_are_their_sums(seed, A, scale):
    rng = np.random.default_rng(seed)
    log_p = log_softmax(rng.normal(size=(3, 2, A)))
    log_q = log_softmax(log_p + scale * rng.normal(size=(3, 2, A)))
    p, q = np.exp(log_p), np.exp(log_q)
    kl, tv = categorical_kl(log_p, log_q), categorical_tv(log_p, log_q)
    np.testing.assert_allclose(kl, scipy.special.rel_entr(p, q).sum(axis=-1), rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(tv, np.where(q > p, q - p, 0).sum(axis=-1), atol=1e-14)       # paper 002, proposition 3
    assert (kl >= 0).all() and (tv <= 1).all() and (tv <= np.sqrt(kl / 2) + 1e-8).all()
    assert categorical_kl(log_p, log_p).max() == 0 == categorical_tv(log_p, log_p).max()


def test_impossible_actions_and_probabilities_that_underflow():
    p, q = np.array([-np.inf, 0.0]), np.array([-np.inf, 0.0])
    assert categorical_kl(p, q) == 0 == categorical_tv(p, q)
    half = np.log([0.5, 0.5])
    np.testing.assert_allclose([categorical_kl(p, half), categorical_tv(p, half)], [np.log(2), 0.5])
    assert categorical_kl(half, p) == np.inf
    assert categorical_kl(np.array([0.0, -900.0]), np.array([-900.0, 0.0])) == 900
    assert categorical_kl(np.array([0.0, -900.0]), np.array([0.0, -np.inf])) == 0


def test_entropies_are_those_of_scipy():
    rng = np.random.default_rng(2)
    log_p, log_std = log_softmax(rng.normal(size=(4, 3))), rng.normal(size=2)
    np.testing.assert_allclose(Categorical(log_p).entropy(), scipy.stats.entropy(np.exp(log_p), axis=-1))
    assert Categorical(np.array([[-np.inf, 0.0]])).entropy() == 0
    expected = scipy.stats.multivariate_normal(cov=np.diag(np.exp(2 * log_std))).entropy()
    np.testing.assert_allclose(DiagonalGaussian(rng.normal(size=(4, 2)), log_std).entropy(), np.full(4, expected))


def line_tv(mean, std, new_mean, new_std):
    """Half the integral of |p - q|."""
    p, q = scipy.stats.norm(mean, std), scipy.stats.norm(new_mean, new_std)
    ends = sorted({c + s * k for c, s in ((mean, std), (new_mean, new_std)) for k in (-12, -6, -3, -1, 0, 1, 3, 6, 12)})
    pieces = itertools.pairwise(ends)
    return 0.5 * sum(scipy.integrate.quad(lambda x: abs(p.pdf(x) - q.pdf(x)), *piece, limit=200)[0] for piece in pieces)


@pytest.mark.parametrize(("shift", "log_stretch"), [
    (0.3, 0.0), (-2.0, 0.0), (0.0, 0.4), (0.0, -0.4), (1.0, 1.0), (-1.0, -2.0), (1e-3, 1e-3), (0.5, 1e-9), (4.0, 0.1),
    (0.01, 3.0)])
def test_total_variation_on_the_line_is_the_integral(shift, log_stretch):
    mean, log_std = 0.7, -0.5
    new_mean, new_log_std = mean + shift, log_std + log_stretch
    expected = line_tv(mean, np.exp(log_std), new_mean, np.exp(new_log_std))
    ours = [np.array([x]) for x in (mean, log_std, new_mean, new_log_std)]
    np.testing.assert_allclose(normal_tv(*ours), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(normal_tv(*ours[2:], *ours[:2]), expected, rtol=1e-6, atol=1e-9)


def test_total_variation_at_its_ends():
    zero = np.zeros(1)
    assert normal_tv(zero, zero, zero, zero) == 0
    assert normal_tv(zero, zero, zero + 100, zero) == 1
    assert normal_tv(zero, zero, zero, zero + 300) == 1
    np.testing.assert_allclose(normal_tv(zero, zero, zero, zero + 1e-200), 0)
    np.testing.assert_allclose(normal_tv(zero, zero, zero + 1e-7, zero), 1e-7 / np.sqrt(2 * np.pi), rtol=1e-6)


@several_times
@given(seed=seeds, d=st.integers(1, 3), scale=st.sampled_from([1e-5, 0.1, 1.0]))
def test_normal_divergence_is_that_of_the_formula_with_matrices(seed, d, scale):
    rng = np.random.default_rng(seed)
    mean, log_std = rng.normal(size=(2, 4, d))
    new_mean, new_log_std = mean + scale * rng.normal(size=(4, d)), log_std + scale * rng.normal(size=(4, d))
    a, b = np.exp(log_std), np.exp(new_log_std)
    expected = (np.log(b / a) + (a**2 + (mean - new_mean) ** 2) / (2 * b**2) - 0.5).sum(axis=-1)
    found = normal_kl(mean, log_std, new_mean, new_log_std)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-14)
    assert (found >= 0).all() and (normal_kl(mean, log_std, mean, log_std) == 0).all()
    tv = normal_tv(mean, log_std, new_mean, new_log_std)
    assert (tv >= 0).all() and (tv <= np.sqrt(found / 2)).all()
    shared = normal_kl(mean, log_std[0], new_mean, new_log_std[0])
    assert shared.shape == (4,) and shared[0] == found[0]


@pytest.mark.parametrize("seed", range(5))
def test_total_variation_in_the_plane_is_bounded(seed):
    rng = np.random.default_rng(seed)
    mean, log_std = np.zeros(2), 0.3 * rng.normal(size=2)
    new_mean, new_log_std = rng.normal(size=2) * 0.5, log_std + 0.3 * rng.normal(size=2)
    x = np.stack(np.meshgrid(*[np.linspace(-9, 9, 601)] * 2), axis=-1)

    def density(mean, log_std):
        return scipy.stats.norm.pdf(x, mean, np.exp(log_std)).prod(axis=-1)

    exact = 0.5 * np.abs(density(mean, log_std) - density(new_mean, new_log_std)).sum() * 0.03**2
    bound = normal_tv(mean, log_std, new_mean, new_log_std)
    assert exact <= bound + 1e-6 and bound <= 1.5 * exact


def test_a_policy_without_deviations_is_categorical():
    rng = np.random.default_rng(0)
    first, second, (log_std, new_log_std) = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), rng.normal(size=(2, 2))
    log_p, log_q = log_softmax(first), log_softmax(second)
    before, after = (distribution_of(ActionSpace(n_actions=2))(logs) for logs in (log_p, log_q))
    expected = categorical_kl(log_p, log_q), categorical_tv(log_p, log_q)
    np.testing.assert_array_equal((before.kl(after), before.tv(after)), expected)
    vectors = distribution_of(ActionSpace(low=(0.0, 0.0), high=(1.0, 1.0)))
    before, after = vectors(first, log_std), vectors(second, new_log_std)
    expected = normal_kl(first, log_std, second, new_log_std), normal_tv(first, log_std, second, new_log_std)
    np.testing.assert_array_equal((before.kl(after), before.tv(after)), expected)


def product(pis):
    """Joint distribution of independent agents, flat."""
    return reduce(np.multiply.outer, pis).reshape(-1)


@several_times
@given(seed=seeds, N=st.integers(1, 4), A=st.integers(2, 3), concentration=st.sampled_from([0.1, 1.0, 50.0]))
def test_the_joint_policy_moves_no_further_than_the_bound(seed, N, A, concentration):
    rng = np.random.default_rng(seed)
    old, new = rng.dirichlet(np.full(A, concentration), (2, N)) * (1 - 1e-9) + 1e-9 / A
    tvs = categorical_tv(np.log(old), np.log(new))
    exact = 0.5 * np.abs(product(old) - product(new)).sum()
    bound = joint_tv_bound(tvs)
    assert exact <= bound + 1e-12 and bound <= 1
    if N == 1:
        np.testing.assert_allclose(bound, exact, atol=1e-12)
    assert joint_tv_bound(np.tile(tvs[:, None], 3)).shape == (3,)


@several_times
@given(seed=seeds, N=st.integers(1, 4), alpha=st.floats(0.01, 0.9))
def test_ratios_within_alpha_over_n_keep_the_joint_policy_within_alpha(seed, N, alpha):
    rng = np.random.default_rng(seed)
    old = rng.dirichlet(np.ones(4), N)
    tilt = rng.uniform(-1, 1, size=(N, 4))
    tilt -= (old * tilt).sum(axis=1, keepdims=True)
    new = old * (1 + alpha / N * tilt / np.abs(tilt).max(axis=1, keepdims=True))         # ratios reach 1 +- alpha / N
    assert joint_tv_bound(categorical_tv(np.log(old), np.log(new))) < alpha              # paper 002, theorem 3


@several_times
@given(seed=seeds, A=st.integers(1, 4))
def test_categorical_fisher_is_the_hessian_of_the_divergence(seed, A):
    rng = np.random.default_rng(seed)
    logits, x = rng.normal(size=A), rng.normal(size=A)
    old = log_softmax(logits)
    H = numeric_hessian(lambda y: categorical_kl_raw(old, log_softmax(y)), logits)
    pi = np.exp(old)
    np.testing.assert_allclose(categorical_fisher(pi, x), H @ x, atol=1e-6)
    np.testing.assert_allclose(categorical_fisher(pi, np.ones(A)), 0, atol=1e-15)
    many = categorical_fisher(np.tile(pi, (2, 3, 1)), np.tile(x, (2, 3, 1)))
    assert many.shape == (2, 3, A) and (many == categorical_fisher(pi, x)).all()


def categorical_kl_raw(log_p, log_q):
    """Without the floor at 0, which second differences would see."""
    return np.exp(log_p) @ (log_p - log_q)


@pytest.mark.parametrize("d", [1, 2])
def test_normal_fisher_is_the_hessian_of_the_divergence(d):
    rng = np.random.default_rng(d)
    mean, log_std, x = rng.normal(size=d), rng.normal(size=d), rng.normal(size=2 * d)
    H = numeric_hessian(lambda y: normal_kl(mean, log_std, y[:d], y[d:]), np.concatenate([mean, log_std]))
    np.testing.assert_allclose(np.concatenate(normal_fisher(log_std, x[:d], x[d:])), H @ x, rtol=1e-4, atol=1e-5)


def positive_definite(rng, d):
    root = rng.normal(size=(d, d))
    return root @ root.T + 0.5 * np.eye(d)


@several_times
@given(seed=seeds, d=st.integers(1, 8))
def test_conjugate_gradients_solve_the_system(seed, d):
    rng = np.random.default_rng(seed)
    H, g = positive_definite(rng, d), rng.normal(size=d)
    kept = g.copy()
    x = conjugate_gradient(lambda v: H @ v, g, iterations=3 * d, tolerance=1e-24)
    np.testing.assert_allclose(x, np.linalg.solve(H, g), rtol=1e-7, atol=1e-9)
    assert (g == kept).all()
    np.testing.assert_allclose(conjugate_gradient(lambda v: H @ v, 1e-13 * g, 3 * d, 1e-24), 1e-13 * x,
                               rtol=1e-7, atol=1e-22)
    rough = conjugate_gradient(lambda v: H @ v, g, iterations=3 * d, tolerance=1e-4)
    assert np.linalg.norm(g - H @ rough) <= 1.001e-2 * np.linalg.norm(g)


def test_conjugate_gradients_stop_early():
    calls = []

    def identity(v):
        calls.append(v)
        return v.astype(np.float32)

    assert conjugate_gradient(identity, np.array([3.0, 4.0])).tolist() == [3.0, 4.0] and len(calls) == 1
    assert conjugate_gradient(identity, np.zeros(2)).tolist() == [0.0, 0.0] and len(calls) == 1
    assert conjugate_gradient(np.zeros_like, np.ones(2)).tolist() == [0.0, 0.0]


@several_times
@given(seed=seeds, d=st.integers(1, 6), delta=st.sampled_from([1e-4, 0.01, 1.0]), damping=st.sampled_from([0.0, 0.1]))
def test_the_natural_step_goes_up_and_to_the_edge_of_the_region(seed, d, delta, damping):
    rng = np.random.default_rng(seed)
    H, g = positive_definite(rng, d), rng.normal(size=d)
    step = natural_direction(lambda v: H @ v, g, delta, damping, iterations=3 * d)
    damped = H + damping * np.eye(d)
    solution = np.linalg.solve(damped, g)
    np.testing.assert_allclose(step, np.sqrt(2 * delta / (g @ solution)) * solution, rtol=1e-4, atol=1e-7)      # eq. 8
    np.testing.assert_allclose(0.5 * step @ damped @ step, delta)
    assert 0.5 * step @ H @ step <= delta * (1 + 1e-9) and g @ step > 0


def test_a_region_without_a_gradient_or_without_numbers():
    assert natural_direction(lambda v: v, np.zeros(3), 0.01, 0.1).tolist() == [0.0] * 3
    for product, g in [(lambda v: v, np.array([1.0, np.nan])), (lambda v: v * np.nan, np.ones(2))]:
        with pytest.raises(RunError, match="not finite"):
            natural_direction(product, g, 0.01, 0.1)


def test_the_line_search_takes_the_first_step_that_can_be_trusted():
    tried = []

    def search(improvement, kl, **options):
        tried.clear()

        def evaluate(scale):
            tried.append(scale)
            return improvement(scale), kl(scale)

        return backtrack(evaluate, 1.0, 0.01, **options)

    assert search(lambda s: s, lambda s: 0.01 * s) == 1.0 and tried == [1.0]
    assert search(lambda s: s, lambda s: 0.1 * s**2) == 0.25 and tried == [1.0, 0.5, 0.25]
    assert search(lambda s: s - 0.45 * np.sqrt(s), lambda s: 0.02 * s) == 0.5
    assert search(lambda s: 0.15 * s, lambda s: 0.1 * s**2) == 0.25
    assert search(lambda s: 0.05 * s, lambda s: 0.0) == 0.0 and len(tried) == 10
    assert search(lambda s: 0.05 * s, lambda s: 0.0, accept=0.01) == 1.0
    assert search(lambda s: -s, lambda s: 0.0, accept=0.0) == 0.0
    assert search(lambda s: 0.0, lambda s: 0.0, accept=0.0) == 0.0
    assert search(lambda s: s, lambda s: 0.1 * s, factor=0.8, tries=3) == 0.0 and len(tried) == 3
    assert search(lambda s: np.nan if s > 0.5 else s, lambda s: 0.0) == 0.5
    assert search(lambda s: s, lambda s: np.nan) == 0.0 and search(lambda s: np.inf, lambda s: 0.0) == 0.0


@several_times
@given(seed=seeds, delta=st.sampled_from([1e-3, 1e-2, 0.1]))
def test_a_whole_step_of_a_softmax_policy_obeys_the_bound_and_improves(seed, delta):
    rng = np.random.default_rng(seed)
    logits, A = rng.normal(size=4), rng.normal(size=4)
    old = log_softmax(logits)
    pi = np.exp(old)
    g = pi * (A - pi @ A)
    step = natural_direction(partial(categorical_fisher, pi), g, delta, 1e-3)

    def evaluate(scale):
        new = log_softmax(logits + scale * step)
        return (np.exp(new) - pi) @ A, categorical_kl(old, new)

    scale = backtrack(evaluate, g @ step, delta)
    improvement, kl = evaluate(scale)
    assert scale > 0 and kl <= delta and improvement > 0
