"""The papers' proofs by small examples: shared parameters, steps together or in turn, trust regions, joint ratios."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import netac
from netac.agents.distributions import Categorical, DiagonalGaussian
from netac.algorithms.centralized import hatrpo, jrppo
from netac.algorithms.policy_gradient.trust_region import backtrack, natural_direction
from netac.envs import matrix
from netac.experiment import config
from netac.experiment.build import Parts, assemble, prepare
from netac.utils.options import checked

LINEAR = {"name": "mlp", "hidden": []}
DELTA = 0.5                      # the KL ball of Figure 1


def hash_of(tables: dict, **options) -> str:
    """What a run's parameters come to."""
    changed = {f"algorithm.{key}": value for key, value in options.items()}
    return netac.run(tables, set=changed).summary["parameters_sha256"]


def begun(tables: dict) -> Parts:
    """An experiment before its first iteration."""
    return assemble(prepare(config.read(tables).experiment()))


def iterate(parts: Parts, iterations: int = 1) -> None:
    setting = parts.setting
    for _ in setting.algorithm.iterations(parts.agents, parts.sampler, parts.network, setting.settings,
                                          range(iterations)):
        pass


# --- Proposition 1: parameters that all agents share ---

def proposition_1(agents: int) -> np.ndarray:
    """Its payoffs, an axis for each agent."""
    return matrix.payoff_table(checked(matrix.Settings, {"game": "proposition-1"}), agents)


def expected(payoff: np.ndarray, policies) -> np.ndarray:
    """J of policies (N, 2): the payoffs averaged over one agent's action after the other."""
    for policy in policies:
        payoff = np.tensordot(policy, payoff, axes=1)
    return payoff


def gradient(payoff: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """dJ / dlogits of every agent, (N, 2): pi (Q - J), Q being J with that agent's action given."""
    pi, found = scipy.special.softmax(logits, axis=1), []
    for agent, own in enumerate(pi):
        q = expected(np.moveaxis(payoff, agent, -1), np.delete(pi, agent, axis=0))
        found.append(own * (q - own @ q))
    return np.array(found)


def learned(name: str, agents: int, seed: int, env: dict | str = "matrix", **options):
    """A run of Proposition 1's game from logits of about +-0.01, and J of the policies it ends with, exactly."""
    result = netac.run({
        "agents": agents, "iterations": 80, "envs": 64, "seed": seed, "env": env, "policy": LINEAR,
        "algorithm": {"name": name, "rollout": 1, "actor_step": 0.05, "critic_step": 0.05, "entropy": 0.0, **options}})
    theta = result.parameters["theta"].astype(float)
    inputs = theta.shape[1] // 2 - 1
    weights = theta[:, :2 * inputs].reshape(agents, 2, inputs)
    seen = np.eye(agents) if inputs > 1 else np.ones((agents, 1))
    logits = np.vecdot(weights, seen[:, None]) + theta[:, 2 * inputs:]
    assert (np.abs(logits) > 1e-3).any()
    return result, float(expected(proposition_1(agents), scipy.special.softmax(logits, axis=1)))


@given(half=st.integers(1, 5), p=st.fractions(0, 1, max_denominator=60))
@settings(max_examples=60)
def test_one_policy_for_all_gets_two_in_two_to_the_n_at_best(half, p):
    """In exact fractions: J = 2 (p (1 - p))^(n / 2), and p (1 - p) is 1/4 at most, where p = 1/2."""
    won = np.argwhere(proposition_1(2 * half)).tolist()
    value = sum(math.prod(p if action else 1 - p for action in joint) for joint in won)
    optimum = Fraction(2, 2**(2 * half))
    assert value == 2 * (p * (1 - p))**half and (value < optimum or p == Fraction(1, 2))
    assert 2 * Fraction(1, 4)**half == optimum


@pytest.mark.parametrize("agents", [2, 4, 6])
def test_uniform_policies_are_a_saddle(agents):
    """The exact gradient vanishes, some directions climb, others descend, and most agents must leave for J to climb."""
    payoff, uniform = proposition_1(agents), np.zeros((agents, 2))
    assert np.abs(gradient(payoff, uniform)).max() < 1e-15
    width = 1e-3
    jiggled = width * np.eye(2 * agents).reshape(-1, agents, 2)
    hessian = np.array([(gradient(payoff, d) - gradient(payoff, -d)).ravel() / (2 * width) for d in jiggled])
    curvatures = np.linalg.eigvalsh(0.5 * (hessian + hessian.T))
    assert curvatures[0] < -1e-3 and curvatures[-1] > 1e-3
    for agent in range(agents):                                             # alone, nobody gains or loses anything
        alone = uniform.copy()
        alone[agent] = [3.0, -3.0]
        assert math.isclose(expected(payoff, scipy.special.softmax(alone, axis=1)), 2 / 2**agents, rel_tol=1e-12)


def test_exact_gradients_leave_the_saddle_from_perturbed_logits_only():
    payoff, rng = proposition_1(4), np.random.default_rng(0)
    for start, end in ((np.zeros((4, 2)), 2 / 2**4), (1e-2 * rng.normal(size=(4, 2)), 1.0)):
        logits = start.copy()
        for _ in range(300):
            logits += 2.0 * gradient(payoff, logits)
        assert math.isclose(expected(payoff, scipy.special.softmax(logits, axis=1)), end, abs_tol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_happo_reaches_the_optimum_of_proposition_1(seed):
    result, value = learned("happo", 4, seed)
    assert value > 0.99 and result.summary["final_reward"] > 0.98
    assert len(np.unique(result.parameters["theta"], axis=0)) == 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("agents", [2, 4])
def test_mappo_with_shared_parameters_ends_at_two_in_two_to_the_n_or_below(agents, seed):
    result, value = learned("mappo", agents, seed, parameters="shared")
    optimum, samples = 2 / 2**agents, 8 * 64                                # of the last tenth of the run
    assert (result.parameters["theta"] == result.parameters["theta"][0]).all()
    assert 0.3 * optimum < value <= optimum * (1 + 1e-9)
    assert result.summary["final_reward"] <= optimum + 4 * math.sqrt(optimum * (1 - optimum) / samples)


def test_it_is_neither_mappo_nor_sharing_alone_that_fails():
    """Policies of the agents' own do better, and so do shared ones that see whose they are."""
    _, separate = learned("mappo", 4, 0, parameters="separate")
    _, told = learned("mappo", 4, 0, {"name": "matrix", "identity": True}, parameters="shared")
    assert separate > 0.99 and told > 0.99


# --- Figure 1: r = a_1 a_2, normal policies of unit variance ---

def trust_region_step(means: np.ndarray, agent: int) -> float:
    """Where an agent's exact trust-region step takes its mean: its surrogate is its mean times the others' product.

    As far as the ball reaches, and nowhere from where there is nothing to gain.
    """
    slope = math.prod(np.delete(means, agent).tolist())
    start, g = np.array([means[agent], 0.0]), np.array([slope, 0.0])        # mean and log standard deviation
    step = natural_direction(lambda x: np.stack(DiagonalGaussian(*start).fisher(x[0], x[1])), g, DELTA, damping=0.0)

    def evaluate(scale: float) -> tuple[float, float]:
        mean, log_std = (start + scale * step)[:, None]
        return float((mean[0] - start[0]) * slope), float(
            DiagonalGaussian(start[:1], start[1:]).kl(DiagonalGaussian(mean, log_std)))

    scale = backtrack(evaluate, float(g @ step), DELTA * (1 + 1e-12))
    assert (scale == 1 and math.isclose(evaluate(scale)[1], DELTA, rel_tol=1e-9)) if slope else scale == 0
    return float(start[0] + scale * step[0])


def together(means: np.ndarray) -> np.ndarray:
    return np.array([trust_region_step(means, agent) for agent in range(len(means))])


def in_turn(means: np.ndarray, order) -> np.ndarray:
    means = means.copy()
    for agent in order:
        means[agent] = trust_region_step(means, agent)
    return means


def test_figure_1_by_exact_steps():
    means = np.array([-0.25, 0.25])
    np.testing.assert_allclose(together(means), [0.75, -0.75], rtol=1e-12)
    np.testing.assert_allclose(in_turn(means, (0, 1)), [0.75, 1.25], rtol=1e-12)
    np.testing.assert_allclose(in_turn(means, (1, 0)), [-1.25, -0.75], rtol=1e-12)


@given(a=st.floats(0.02, 0.48), order=st.permutations([0, 1]))
@settings(max_examples=60)
def test_together_is_worse_than_before_and_in_turn_is_better(a, order):
    """From (-a, a): -(1 - a)^2 < -a^2 as long as a < 1/2, and (1 - a) (1 + a) > 0."""
    means = np.array([-a, a])
    assert together(means).prod() < means.prod() < 0 < in_turn(means, order).prod()


@given(st.lists(st.floats(0.05, 2.0) | st.floats(-2.0, -0.05), min_size=1, max_size=5), st.randoms())
@settings(max_examples=60)
def test_steps_in_turn_never_make_a_product_smaller(means, random):
    """Of any number of factors, one alone included, in any order."""
    means = np.array(means)
    for agent in random.sample(range(len(means)), len(means)):
        after = in_turn(means, [agent])
        assert after.prod() > means.prod() or not np.delete(means, agent).all()
        means = after


def figure_1(means: tuple[float, float], seed: int, **options) -> np.ndarray:
    """The policies' means after an iteration of HATRPO from `means` and unit variance.

    With the damping the step's radius is 0.82 instead of 1, so that what the samples say of the variances, of which
    they should say nothing, does not take it out of the ball.
    """
    parts = begun({
        "agents": 2, "iterations": 1, "envs": 16384, "seed": seed, "env": "differential", "policy": LINEAR,
        "algorithm": {"name": "hatrpo", "rollout": 1, "delta": DELTA, "damping": 1.0, **options}})
    theta = parts.agents.parameters.theta                                   # weight, bias, log standard deviation
    theta[:] = [[mean, 0.0, 0.0] for mean in means]
    iterate(parts)
    return theta[:, :2].sum(axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_figure_1_by_hatrpo(seed):
    """The agent that is the first to move makes the step that it would make if both moved at once."""
    after = figure_1((-0.25, 0.25), seed)
    radius, other = np.sort(np.abs(after - [-0.25, 0.25]))
    assert after.prod() > 0.4 and 0.7 < radius < other < 0.9
    first, second = (figure_1(means, seed, order="fixed")[0] for means in ((-0.25, 0.25), (0.25, -0.25)))
    assert first * second < -0.2 < -0.25 * 0.25


# --- HATRPO: the bound of the KL divergence, and the line search ---

ENVIRONMENTS = {
    "spread": {"name": "spread", "max_cycles": 7},
    "pushes": {"name": "spread", "max_cycles": 7, "continuous_actions": True},
    "proposition-1": "matrix", "climbing": {"name": "matrix", "game": "climbing"}, "product": "differential"}
AGENTS = {"spread": [1, 2, 3], "pushes": [1, 2], "proposition-1": [2, 4], "climbing": [2], "product": [1, 2, 3]}


def log_chances(distribution, actions: np.ndarray) -> np.ndarray:
    """log pi of actions (M,) or (M, d), from what `NeuralPolicy.distributions` gives of an agent."""
    if isinstance(distribution, Categorical):
        return distribution.log_probabilities[np.arange(len(actions)), actions]
    return scipy.stats.norm(distribution.mean, np.exp(distribution.log_std)).logpdf(actions).sum(axis=1)


def exact_kl(before, after) -> np.ndarray:
    """KL(before || after) in every sample, (M,), by the definition or the textbook's formula."""
    if isinstance(before, Categorical):
        return scipy.special.rel_entr(np.exp(before.log_probabilities), np.exp(after.log_probabilities)).sum(axis=1)
    (p, log_std), (q, new_log_std) = ((each.mean, each.log_std) for each in (before, after))
    variance, new_variance = np.exp(2 * log_std), np.exp(2 * new_log_std)
    return (new_log_std - log_std + (variance + (p - q)**2) / (2 * new_variance) - 0.5).sum(axis=1)


def watched(tables: dict) -> tuple[list[tuple[float, float]], list[float]]:
    """HATRPO's run: mean KL and the surrogate's improvement in every agent's turn, computed anew; the steps' scales."""
    turns, scales = [], []

    def one_after_the_other(session, agents, links, settings, improve, *rest):
        def seen(i, learner, own, old, M):
            before = learner.policy.distributions(learner.theta, own)[0]
            start = learner.theta.copy()
            improve(i, learner, own, old, M)
            after = learner.policy.distributions(learner.theta, own)[0]
            change = log_chances(after, own.own[0]) - log_chances(before, own.own[0])
            turns.append((exact_kl(before, after).mean(), float((np.expm1(change) * M[0]).mean())))
            assert (scales[-1] == 0) == (start == learner.theta).all()
        original(session, agents, links, settings, seen, *rest)

    def recorded(*args, **kwargs):
        scales.append(backtrack(*args, **kwargs))
        return scales[-1]

    original = hatrpo.one_after_the_other
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hatrpo, "one_after_the_other", one_after_the_other)
        patch.setattr("netac.algorithms.policy_gradient.trust_region.backtrack", recorded)
        iterate(begun(tables), tables["iterations"])
    assert len(turns) == len(scales) == tables["iterations"] * tables["agents"]
    return turns, scales


def trust_region(env: str, agents: int, seed: int, **options) -> dict:
    return {"agents": agents, "iterations": 3, "envs": 4, "seed": seed, "env": ENVIRONMENTS[env],
            "policy": {"name": "mlp", "hidden": [8]},
            "algorithm": {"name": "hatrpo", "rollout": 10, "team_reward": "mean", **options}}


@given(env=st.sampled_from(sorted(ENVIRONMENTS)), seed=st.integers(0, 10**6),
       delta=st.sampled_from([1e-4, 0.01, 0.3, 2.0]), damping=st.sampled_from([0.0, 0.1]), data=st.data())
@settings(max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate])    # seeds have no order
def test_hatrpo_stays_within_its_bound_and_never_makes_a_surrogate_worse(env, seed, delta, damping, data):
    agents = data.draw(st.sampled_from(AGENTS[env]))
    turns, scales = watched(trust_region(env, agents, seed, delta=delta, damping=damping))
    for (kl, improvement), scale in zip(turns, scales, strict=True):
        assert -1e-12 <= kl <= delta * (1 + 1e-9) + 1e-12
        assert improvement > -1e-12 if scale else (kl == 0 == improvement)


def test_steps_are_really_halved_and_given_up():
    """Large balls, in which neither the quadratic model of KL nor the linear one of the surrogate holds."""
    scales = {scale for seed in range(3)
              for scale in watched(trust_region("spread", 3, seed, delta=2.0, damping=0.0))[1]}
    assert scales & {0.5, 0.25, 0.125}
    cautious = watched(trust_region("spread", 3, 0, delta=1e-4))[1]
    assert cautious.count(1.0) > len(cautious) // 2
    impatient = watched(trust_region("spread", 3, 0, delta=2.0, damping=0.0, backtracks=1))[1]
    assert 0.0 in impatient and set(impatient) <= {0.0, 1.0}


# --- paper 002: joint ratios, and the clip range over the agents ---

def clipping(name: str, agents: int = 3, **options) -> dict:
    return {"agents": agents, "iterations": 3, "envs": 4, "env": ENVIRONMENTS["spread"],
            "policy": {"name": "mlp", "hidden": [8]},
            "algorithm": {"name": name, "rollout": 10, "team_reward": "mean", "actor_step": 0.02, **options}}


@pytest.mark.parametrize("parameters", ["shared", "separate"])
@pytest.mark.parametrize("agents", [1, 2, 3])
def test_jrppo_clips_the_product_of_all_ratios(monkeypatch, agents, parameters):
    """All agents' samples weigh alike, by equation 6; some are stopped although every agent's own ratio is inside."""
    calls = []

    def at_once(session, its_agents, links, its_settings, weigh, *rest, **others):
        def seen(log_ratio, A, active):
            found = weigh(log_ratio, A, active)
            calls.append((log_ratio.copy(), A.copy(), found.weights.copy()))
            return found
        original(session, its_agents, links, its_settings, seen, *rest, **others)

    original = jrppo.at_once
    monkeypatch.setattr(jrppo, "at_once", at_once)
    iterate(begun(clipping("jrppo", agents, parameters=parameters, clip_range=0.1)), 3)
    assert len(calls) == 3 * 5
    outvoted = 0
    for log_ratio, A, weights in calls:
        ratio = np.exp(log_ratio.sum(axis=0))
        stopped = np.where(A > 0, ratio > 1.1, ratio < 0.9)
        sure = np.abs(np.abs(ratio - 1) - 0.1) > 1e-5
        np.testing.assert_allclose(weights[:, sure], np.where(stopped, 0.0, ratio * A)[:, sure], rtol=1e-5, atol=1e-7)
        assert (weights == weights[0]).all() and (A[0] == A).all()
        inside = (np.abs(np.expm1(log_ratio)) < 0.1).all(axis=0)
        outvoted += int((stopped[0] & inside & sure).sum())
    assert outvoted > 0 if agents > 1 else outvoted == 0


@pytest.mark.parametrize("agents", [1, 2, 3])
@pytest.mark.parametrize("name", ["happo", "mappo", "ippo", "jrppo"])
def test_the_clip_range_over_the_agents_is_a_part_of_it(name, agents):
    """With `clip_over_agents` runs are those of epsilon / N, bit by bit; others are not."""
    tables = clipping(name, agents)
    done = hash_of(tables, clip_range=0.3, clip_over_agents=True)
    assert done == hash_of(tables, clip_range=0.3 / agents)
    assert (done == hash_of(tables, clip_range=0.3)) == (agents == 1)
