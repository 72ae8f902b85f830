"""cac-rates, consensus-rates and mini-batch: what they measure against brute force, and that their claims can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import softmax

import netac
from netac import theory
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, induced_chain, objective, stationary_distribution, visitation_distribution
from netac.theory import _ferry, cac_rates, consensus_rates, mini_batch
from netac.theory._fits import local_slopes, power_law
from netac.theory._walk import in_parameters, looks, policies, save_game, walk
from netac.topology import load
from netac.utils.errors import InputError, RunError

T = np.array([100, 316, 1000, 3162, 10_000])
pairs = np.array([[0.99], [1.01]])          # two seeds whose mean is 1


# --- power laws --------------------------------------------------------------------------------------

@given(slope=st.floats(-1.5, -0.1), constant=st.floats(1e-3, 1e3), share=st.floats(0.0, 0.9))
@settings(max_examples=30, deadline=None)
def test_exact_power_laws_are_found_with_and_without_a_floor(slope, constant, share):
    law = constant * T**slope
    found = power_law(T, list((law * pairs).T), draws=10)
    assert (found.slope.estimate == pytest.approx(slope, abs=1e-9)
            and found.constant == pytest.approx(constant, rel=1e-6))
    floor = share * law[0]
    found = power_law(T, list(((floor + law) * pairs).T), floored=True, draws=10)
    assert found.floor.estimate == pytest.approx(floor, abs=0.02 * law[0])
    assert found.slope.estimate == pytest.approx(slope, abs=0.05)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng, hits, repetitions = np.random.default_rng(0), np.zeros(2), 40
    for k in range(repetitions):
        noisy = [3.0 * t**-0.5 * np.exp(0.2 * rng.normal(size=5)) for t in T]
        raised = [0.05 + each for each in noisy]
        plain, floored = power_law(T, noisy, draws=200, seed=k), power_law(T, raised, floored=True, draws=40, seed=k)
        hits += [plain.slope.low <= -0.5 <= plain.slope.high, floored.slope.low <= -0.5 <= floored.slope.high]
    assert (hits / repetitions >= 0.85).all()


def test_a_floor_that_is_left_in_makes_the_slope_flatter():
    raised = list(((0.05 + 3.0 * T**-0.5) * pairs).T)
    plain, floored = power_law(T, raised, draws=50), power_law(T, raised, floored=True, draws=50)
    assert plain.slope.high > floored.slope.estimate + 0.1
    assert floored.floor.low <= 0.05 <= floored.floor.high


@pytest.mark.parametrize("samples", [[[1.0, 1.0]] * 2, [[1.0], [1.0, 2.0], [1.0, 2.0]],
                                     [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]])
def test_too_few_or_vanishing_values_are_refused(samples):
    with pytest.raises(ValueError, match="two positive values"):
        power_law(T[:len(samples)], samples)


def test_local_slopes_are_those_between_neighbours():
    assert local_slopes([1, 10, 100], [1.0, 0.1, 0.1]) == pytest.approx([-1.0, 0.0])


# --- the watched runs --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def ferry(tmp_path_factory):
    """The tables of a run of cac-rates' own game, with step sizes that do not depend on T."""
    return {**_ferry.tables(tmp_path_factory.mktemp("ferry")), "agents": 3, "topology": "path",
            "algorithm": {"name": "cac", "sampling": "iid", "actor_step": 1.0, "critic_step": 0.3, "reward_step": 0.3}}


@pytest.mark.parametrize("algorithm", ["cac", "dac"])
def test_a_watched_run_is_a_run(ferry, algorithm):
    tables = {**ferry, "seed": 3, "algorithm": {**ferry["algorithm"], "name": algorithm}}
    watched = walk({**tables, "iterations": 60}, range(0, 60, 10))
    seen = {k: parts.agents.parameters.theta.copy() for k, parts in enumerate(watched)}
    assert sorted(seen) == list(range(6)) and not seen[0].any()
    for k, theta in seen.items():
        if k:
            assert np.array_equal(theta, netac.run({**tables, "iterations": 10 * k}).parameters["theta"])


@pytest.mark.parametrize("T", [1, 7, 100, 10_000, 100_000])
def test_looks_at_a_run_give_its_average(T):
    """Also where everything happens at the start, and where something happens at every fifth iteration only."""
    t = np.arange(T)
    for course in (np.exp(-t / 30.0), (t % 5 == 4).astype(float), np.ones(T)):
        seen = []
        for seed in range(300):
            times, shares = looks(T, 60, seed)
            assert ((np.diff(times) > 0).all() and times[-1] < T and len(times) <= 60
                    and shares.sum() == pytest.approx(1))
            seen.append(shares @ course[times])
        assert np.mean(seen) == pytest.approx(course.mean(), abs=5 * np.std(seen) / np.sqrt(300) + 1e-12)
    assert looks(T, T, 0)[0][0] == 0


def test_a_watched_run_that_explodes_says_so(ferry):
    tables = {**ferry, "iterations": 400, "algorithm": {**ferry["algorithm"], "critic_step": 1e5}}
    with pytest.raises(RunError, match="omega"):
        list(walk(tables, range(400)))


@pytest.fixture(scope="module")
def somewhere(ferry):
    """The parts of a run after 200 iterations, its agents' shared policies pulled apart."""
    *_, parts = walk({**ferry, "iterations": 400}, [200])
    parts.agents.parameters.theta += np.random.default_rng(0).normal(size=(3, 2))
    return parts


def test_what_is_measured_is_what_the_theorem_speaks_of(somewhere):
    x, mdp, setting = somewhere.agents.parameters, _ferry.ferry(), somewhere.setting
    features = setting.environment.psi.table.reshape(mdp.states, mdp.joint_actions, -1)

    def pi_of(theta: np.ndarray) -> np.ndarray:
        return softmax(np.einsum("sad,nd->nsa", setting.model.policy.features[0], theta), axis=-1)

    def value(theta: np.ndarray) -> float:
        return objective(mdp, pi_of(theta)) / (1.0 - mdp.gamma)             # equation 3: not normalised

    pi = pi_of(x.theta)
    assert policies(somewhere) == pytest.approx(pi)
    joint = np.array([[np.prod([pi[i, s, (j >> (2 - i)) & 1] for i in range(3)]) for j in range(8)] for s in range(4)])
    move = np.einsum("sj,sjt->st", joint, mdp.P)
    mu = np.linalg.matrix_power(move, 500)[0]
    reward = mdp.r.mean(axis=2)
    V = sum(mdp.gamma**k * np.linalg.matrix_power(move, k) @ (joint * reward).sum(axis=1) for k in range(200))
    weights = mu[:, None] * joint                                           # phi is one-hot: omega* is V
    lam = np.linalg.solve(np.einsum("sj,sjk,sjl->kl", weights, features, features),
                          np.einsum("sj,sj,sjk->k", weights, reward, features))
    critic = sum(((x.omega[i] - V)**2).sum() + ((x.lam[i] - lam)**2).sum() for i in range(3))
    consensus = sum(((x.shared[i] - x.shared.mean(axis=0))**2).sum() for i in range(3))

    steps = [(i, k) for i in range(3) for k in range(2)]
    g = np.zeros((3, 2))
    for i, k in steps:
        up, down = x.theta.copy(), x.theta.copy()
        up[i, k] += 1e-5
        down[i, k] -= 1e-5
        g[i, k] = (value(up) - value(down)) / 2e-5
    gradient = 3 * g[:, 0].mean()**2 + (g[:, 1]**2).sum()
    assert cac_rates.measured(somewhere) == pytest.approx([critic, consensus, gradient], rel=1e-6)
    assert consensus > 0.01


def test_gradients_of_tabular_policies_come_in_stored_order(tmp_path):
    mdp = random_mdp(3, 2, 3, 2, "folded-normal")
    parts = next(walk({"agents": 2, "iterations": 1, "algorithm": {"name": "cac"}, "policy": {"shared": ["s1.*"]},
                       "env": {"name": "finite-mdp", "path": save_game(mdp, tmp_path / "game.npz")}}, [0]))
    gradient = np.arange(12.0).reshape(2, 3, 2)
    assert in_parameters(parts, gradient)[0].tolist() == [2, 3, 0, 1, 4, 5]


# --- the game ----------------------------------------------------------------------------------------

def test_the_ferry_is_what_its_docstring_says():
    mdp = _ferry.ferry()
    chain = induced_chain(mdp, np.full((3, 4, 2), 0.5))
    mu, d = stationary_distribution(chain.transition), visitation_distribution(chain.transition, mdp.xi, mdp.gamma)
    assert 2.5 < d[0] / mu[0] < 3.5
    both, none = 7, 0                   # all take action 1, or none
    assert mdp.P[2, both, 3] == pytest.approx(0.75) and mdp.P[3, both, 3] == pytest.approx(0.75)
    assert mdp.P[3, none, 2] == pytest.approx(0.75) and mdp.P[2, none, 2] == pytest.approx(0.75)
    assert mdp.team_reward[:, both] == pytest.approx([0.0, 1 - 0.35**2, 1.0, 0.0])
    assert mdp.team_reward[0, 1] == pytest.approx(1 - 1 / 9)
    assert (np.ptp(mdp.r, axis=2).max() > 0.9) and mdp.r.min() >= 0


def test_reward_features_of_the_ferry_are_exact(somewhere):
    table = somewhere.setting.environment.psi.table
    assert np.linalg.matrix_rank(table) == table.shape[1] and (np.square(table).sum(axis=1) <= 1).all()
    fit = table @ np.linalg.lstsq(table, _ferry.ferry().team_reward.ravel(), rcond=None)[0]
    assert fit == pytest.approx(_ferry.ferry().team_reward.ravel(), abs=1e-12)


def test_single_sampling_is_biased_on_the_ferry_and_not_where_both_distributions_agree(ferry, tmp_path):
    assert cac_rates.single_sampling_limit(ferry) > 0.005
    mdp = _ferry.ferry()
    P = np.broadcast_to(mdp.P.mean(axis=1, keepdims=True), mdp.P.shape)     # actions move nothing: all have the same mu
    same = replace(mdp, P=P, xi=stationary_distribution(P[:, 0]))
    env = {**ferry["env"], "path": save_game(same, tmp_path / "same.npz")}
    r = same.r.copy()
    r[2:] = 0.5
    env["path"] = save_game(replace(same, r=r), tmp_path / "plain.npz")
    assert cac_rates.single_sampling_limit({**ferry, "env": env}) < 1e-15


# --- cac-rates: games and claims ---------------------------------------------------------------------

def game(P: np.ndarray, agents: int = 2) -> FiniteMDP:
    """Two states, two actions for each agent, transitions P (S, S') whatever is done."""
    joint = 2**agents
    return FiniteMDP(np.repeat(P[:, None, :], joint, axis=1), np.random.default_rng(0).random((len(P), joint, agents)),
                     np.eye(len(P))[0], 0.8)


@pytest.mark.parametrize("P, agents, problem", [
    (np.array([[0.0, 1.0], [1.0, 0.0]]), 2, "no period"), (np.array([[0.5, 0.5], [0.0, 1.0]]), 2, "no period"),
    (np.full((2, 2), 0.5), 1, "two agents"), (np.full((2, 2), 0.5), 7, "often enough")])
def test_games_beyond_the_theorem_are_refused(P, agents, problem):
    with pytest.raises(InputError, match=problem):
        cac_rates.refuse(game(P, agents))


def test_games_within_the_theorem_are_not():
    cac_rates.refuse(game(np.full((2, 2), 0.5)))
    slow = np.roll(np.eye(5), 1, axis=1)
    slow[4] = [0.5, 0.5, 0, 0, 0]                   # cycles of four and five: primitive after many steps only
    cac_rates.refuse(game(slow))


def found(levels: np.ndarray, variant: cac_rates.Variant) -> cac_rates.Found:
    """What runs with these averages of all three quantities would give."""
    runs = [level * np.repeat(np.linspace(0.99, 1.01, 8)[:, None], 3, axis=1) for level in levels]
    return cac_rates.Found(variant, tuple(T), runs, {name: power_law(T, [each[:, 0] for each in runs], draws=50)
                                                     for name in cac_rates.QUANTITIES})


@pytest.mark.parametrize("slope, holds", [(-0.45, True), (-0.4, True), (-0.25, False), (0.1, False)])
def test_the_rate_claims_tell_slopes_apart(slope, holds):
    each = found(3.0 * T**slope, cac_rates.SINGLE)
    assert [claim.passes for claim in cac_rates._critic_claims({"single": each})] == [holds, holds]


@pytest.mark.parametrize("biased, fair, verdicts", [
    (0.01 + 3.0 * T**-0.5, 0.3 * T**-0.5, (True, True, False, True)),       # three times what double sampling allows
    (0.01 + 0.3 * T**-0.5, 0.3 * T**-0.5, (True, True, True, True)),
    (0.3 * T**-0.5, 0.3 * T**-0.5, (False, True, True, True)),              # no bias where one is foretold
    (0.01 + 0.3 * T**-0.5, 0.01 + 0.3 * T**-0.5, (True, False, True, False))])     # double sampling biased, too
def test_the_bias_claims_tell_single_and_double_sampling_apart(biased, fair, verdicts):
    everything = {v.name: found(values, v) for v, values in (
        (cac_rates.SINGLE, biased), (cac_rates.DOUBLE, fair), (cac_rates.CHAIN, biased), (cac_rates.CHAINS, fair))}
    claims = cac_rates._gradient_claims(everything, 0.01, quick=False)
    assert tuple(claim.passes for claim in claims) == verdicts * 2


@pytest.mark.long
def test_the_rates_of_a_users_game():
    finding = theory.run("cac-rates", quick=True, jobs=1, game=game(np.array([[0.7, 0.3], [0.4, 0.6]])))
    assert len(finding.claims) == 8 and not any("eps_sp" in claim.says for claim in finding.claims)
    assert all(row["slope"] <= cac_rates.BOUND for row in finding.tables[0].rows if row["error"] != "gradient")


# --- consensus-rates ---------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [8, 9, 16])
def test_sigma_of_a_ring_is_the_textbooks(n):
    each = consensus_rates.mixed(({"name": "ring", "weights": "metropolis"}, n), 0)
    textbook = max(abs(1 / 3 + 2 / 3 * np.cos(2 * np.pi * k / n)) for k in range(1, n))
    assert each.sigma == pytest.approx(textbook, abs=1e-12) and each.worst == pytest.approx(textbook, abs=1e-12)
    assert each.bytes == (each.rounds * 2 * 64, each.rounds * 2 * 64)


@pytest.mark.parametrize("spec", [
    {"name": "star", "weights": "max-degree"}, {"name": "alternating"},
    {"name": "gossip", "base": "ring", "probability": 0.5}, {"name": "one-peer-exponential"}])
def test_the_course_of_mixing_is_that_of_dense_products(spec):
    each, topology = consensus_rates.mixed((spec, 8), 5), load(spec, 8)
    x = start = np.random.default_rng([5, 8]).normal(size=(8, consensus_rates.WIDTH))
    for t, measured in enumerate(each.disagreement[1:]):
        x = topology.matrix(t).toarray() @ x
        apart = np.linalg.norm(x - x.mean(axis=0)) / np.linalg.norm(start - start.mean(axis=0))
        assert measured == pytest.approx(apart, abs=1e-12)
    assert measured <= 1e-6 < each.disagreement[-2]


@pytest.mark.parametrize("n, left", [(2, 0.0), (8, 0.0), (3, 0.25), (6, np.sqrt(3) / 8)])
def test_one_peer_exponential_is_exact_for_powers_of_two_only(n, left):
    assert consensus_rates.exactness(n) == pytest.approx(left, abs=1e-14)


def test_weights_by_degree_break_the_claims():
    """Row-stochastic weights move the mean; their transpose lets disagreement grow; a wrong sigma is found out."""
    fair = [consensus_rates.mixed((spec, 8), 0) for spec in ({"name": "star"}, {"name": "alternating"})]
    left, powers = {2: 0.0, 3: 0.25}, [2]
    assert all(claim.passes for claim in consensus_rates._claims(fair, left, powers))

    def failing(each: consensus_rates.Mixed) -> list[str]:
        return [claim.says for claim in consensus_rates._claims([each, *fair], left, powers) if not claim.passes]

    W = consensus_rates.by_degree(8)
    x = np.random.default_rng(0).normal(size=(8, 4))
    _, drift = consensus_rates.mix(network(W), x)
    assert failing(replace(fair[0], drift=drift)) == ["the agents' mean stays"]
    course, _ = consensus_rates.mix(network(W.T), x, rounds=5)
    assert "disagreement never grows" in failing(replace(fair[0], disagreement=course))
    wrong = replace(fair[0], sigma=0.9 * fair[0].sigma)
    assert [says.split(":")[0] for says in failing(wrong)] == ["static graphs",
                                                               "nothing shrinks slower than sigma per period"]
    assert failing(replace(fair[0], predicted=fair[0].rounds - 1)) == ["the certificate's rounds suffice"]
    assert [says.split(":")[0] for says in failing(replace(fair[0], before=0.99e-6))] == ["no fewer would"]


def network(W: np.ndarray) -> Network:
    """Netac's exchange with one matrix for ever."""
    matrix = csr_array(W)
    return Network(lambda t: matrix, Placement(len(W)), Ledger(len(W)))


# --- mini-batch --------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, rounds",
                         [("mdac", 50 + 10 + 5), ("dnac", 50 + 10 + 10 * (5 + 5)), ("cac", 1), ("dac", 1)])
@pytest.mark.parametrize("agents", [2, 4])
def test_rounds_samples_and_bytes_are_what_the_algorithm_says(name, rounds, agents, tmp_path):
    mdp = random_mdp(0, agents, 2, 2, "folded-normal")
    tables = {"agents": agents, "topology": "ring", "policy": {"shared": []},
              "env": {"name": "finite-mdp", "path": save_game(mdp, tmp_path / "game.npz")}}
    each = mini_batch.ALGORITHMS[name][1]
    seen = mini_batch.course((name, 0.1, 0), tables, 2 * each, 0)
    assert seen.spent["samples"].tolist() == [0, each, 2 * each]
    assert seen.spent["rounds"][1] == rounds and seen.spent["rounds"][0] == 0
    numbers = {"cac": 2 + 2 * 2**agents, "dac": 2 + 2 * 2**agents, "mdac": 60 * 2 + 5 * 100,
               "dnac": 60 * 2 + 10 * 10 * 100}
    assert seen.spent["kilobytes"][1] == pytest.approx(numbers[name] * 8 * min(2, agents - 1) / 1000)


def test_costs_are_those_of_the_first_row_at_the_level():
    spent = {name: np.arange(4.0) for name in mini_batch.QUANTITIES}
    course = mini_batch.Expense(spent, np.array([0.1, 0.6, 0.4, 0.7]), np.array([1.0, 0.5, 0.2, 0.3]))
    late = replace(course, J=np.zeros(4))
    chosen = mini_batch.Chosen("cac", 0.1, [course, late])
    assert course.until(course.J >= 0.5)["rounds"] == 1.0
    assert chosen.cost(0.5)["samples"].estimate == 2.0 and chosen.reached(0.5) == 0.5      # 1 and, never, 3
    assert chosen.gradient_cost()["samples"].estimate == 2.0


@pytest.mark.parametrize("change, problem", [
    (lambda mdp: replace(mdp, r=mdp.r * 4), "step sizes"), (lambda mdp: replace(mdp, r=mdp.r * 0), "nothing to learn"),
    (lambda mdp: random_mdp(0, 1, 3, 2, "folded-normal"), "two agents"),
    (lambda mdp: random_mdp(0, 11, 3, 2, "folded-normal"), "too large")])
def test_games_that_do_not_fit_are_refused(change, problem):
    with pytest.raises(InputError, match=problem):
        mini_batch.refuse(change(random_mdp(0, 2, 3, 2, "folded-normal")))


@pytest.mark.long
def test_mini_batches_on_a_users_game():
    finding = theory.run("mini-batch", quick=True, jobs=1, game=random_mdp(7, 3, 3, 2, "folded-normal"))
    assert len(finding.claims) == 7 and all(np.isfinite(claim.measured) for claim in finding.claims)
