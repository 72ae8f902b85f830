"""cac-rates: what it measures against brute force, and that every claim of it can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import netac
from netac import theory
from netac.agents.critics import StateValue
from netac.algorithms.decentralized import cac
from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, induced_chain, objective, stationary_distribution, visitation_distribution
from netac.sampling import tabular
from netac.sampling.chains import RestartingChain
from netac.theory import Lab, _cac_measures, _ferry, _two_terms, cac_rates
from netac.theory._fits import local_slopes, power_law
from netac.theory._walk import in_parameters, looks, policies, save_game, walk
from netac.utils.errors import InputError, RunError

T = np.array([100, 316, 1000, 3162, 10_000])
pairs = np.array([[0.99], [1.01]])          # two seeds whose mean is 1


# --- power laws --------------------------------------------------------------------------------------

@given(slope=st.floats(-1.5, -0.1), constant=st.floats(1e-3, 1e3), share=st.floats(0.0, 0.9))
@settings(max_examples=30)
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
    assert _cac_measures.measured(somewhere)[:3] == pytest.approx([critic, consensus, gradient], rel=1e-6)
    assert consensus > 0.01


@pytest.mark.parametrize("sampling", ["markov", "iid"])
def test_what_an_exchange_leaves_is_the_mean_over_samples(ferry, sampling):
    """By loops over (s, a, s') and agents; the actor of "iid" sees the discounted visitation."""
    tables = {**ferry, "iterations": 60, "algorithm": {**ferry["algorithm"], "sampling": sampling}}
    *_, parts = walk(tables, [50])
    x, mdp, pi = parts.agents.parameters, _ferry.ferry(), policies(parts)
    chain = induced_chain(mdp, pi).transition
    states = (stationary_distribution(chain) if sampling == "markov"
              else visitation_distribution(chain, mdp.xi, mdp.gamma))
    features, total = parts.setting.model.policy.features[0], 0.0
    for s, j, t in np.ndindex(mdp.P.shape):
        own = [(j >> (2 - i)) & 1 for i in range(3)]
        g = []
        for i in range(3):
            psi = np.eye(16)[4 * s + sum(own)]
            residual = psi @ x.lam[i] + mdp.gamma * x.omega[i][t] - x.omega[i][s]
            g.append(residual * (features[s, own[i], 0] - sum(pi[i, s, a] * features[s, a, 0] for a in range(2))))
        chance = states[s] * np.prod([pi[i, s, own[i]] for i in range(3)]) * mdp.P[s, j, t]
        total += chance * sum((each - np.mean(g))**2 for each in g)
    assert _cac_measures.after_exchange(parts) == pytest.approx(1.0**2 * total)             # alpha = 1


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
    assert _cac_measures.single_sampling_limit(ferry) > 0.005
    mdp = _ferry.ferry()
    P = np.broadcast_to(mdp.P.mean(axis=1, keepdims=True), mdp.P.shape)     # actions move nothing: all have the same mu
    same = replace(mdp, P=P, xi=stationary_distribution(P[:, 0]))
    env = {**ferry["env"], "path": save_game(same, tmp_path / "same.npz")}
    r = same.r.copy()
    r[2:] = 0.5
    env["path"] = save_game(replace(same, r=r), tmp_path / "plain.npz")
    assert _cac_measures.single_sampling_limit({**ferry, "env": env}) < 1e-15


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


def found(levels: np.ndarray, variant: cac_rates.Variant, exchange: float = 1.0) -> cac_rates.Found:
    """What runs with these averages of all quantities would give."""
    runs = [level * np.repeat(np.linspace(0.99, 1.01, 8)[:, None], 4, axis=1) * [1, 1, 1, exchange] for level in levels]
    return cac_rates.Found(variant, tuple(T), runs, {name: power_law(T, [each[:, 0] for each in runs], draws=50)
                                                     for name in cac_rates.RATES})


@pytest.mark.parametrize("slope, critic, consensus", [(-0.45, True, False), (-0.4, True, False), (-0.25, False, False),
                                                      (-1.2, True, True), (-1.0, True, False), (0.1, False, False)])
def test_the_rate_claims_tell_slopes_apart(slope, critic, consensus):
    each = found(3.0 * T**slope, cac_rates.SINGLE)
    assert [claim.passes for claim in cac_rates.rate_claims({"single": each})] == [critic, consensus]


@pytest.mark.parametrize("exchange, holds", [(1.0, True), (0.8, False), (1.3, False)])
def test_disagreement_that_is_not_one_exchanges_is_seen(exchange, holds):
    each = found(3.0 * T**-1.2, cac_rates.SINGLE, exchange)
    assert [claim.passes for claim in cac_rates.exchange_claims({"single": each})] == [holds]


@pytest.mark.parametrize("biased, fair, verdicts", [
    (0.01 + 3.0 * T**-0.5, 0.3 * T**-0.5, (True, False, True)),             # three times what double sampling allows
    (0.01 + 0.3 * T**-0.5, 0.3 * T**-0.5, (True, True, True)),
    (0.3 * T**-0.5, 0.3 * T**-0.5, (False, True, True)),                    # no bias where one is foretold
    (0.01 + 0.3 * T**-0.5, 0.01 + 0.3 * T**-0.5, (True, True, False))])     # double sampling biased, too
def test_the_bias_claims_tell_single_and_double_sampling_apart(biased, fair, verdicts):
    everything = {v.name: found(values, v) for v, values in (
        (cac_rates.SINGLE, biased), (cac_rates.DOUBLE, fair), (cac_rates.CHAIN, biased), (cac_rates.CHAINS, fair))}
    claims = cac_rates.gradient_claims(everything, 0.01)
    assert tuple(claim.passes for claim in claims) == (*verdicts[:2], *verdicts)


@pytest.mark.parametrize("pair, power", [((0.6, 0.4), -0.4), ((0.8, 0.5), -0.5), ((0.9, 0.2), -0.2), ((0.8, 0.7), -0.2),
                                         ((0.5, 0.5), None), ((0.4, 0.6), None)])
def test_exponents_are_the_largest_of_the_propositions(pair, power):
    assert cac_rates.exponent(*pair) == (power if power is None else pytest.approx(power))


# --- cac-rates: mutations ----------------------------------------------------------------------------

averaged, step_size, gradient = _two_terms._averaged, cac.step_size, StateValue.gradient
QUICK = Lab(quick=True)


def failed(claims: list[theory.Claim]) -> set[str]:
    return {claim.says for claim in claims if not claim.passes}


def exact_claims() -> list[theory.Claim]:
    """Those of the two terms alone."""
    known = cac_rates.critics(None)
    forecast = cac_rates._forecast_rows({T: cac_rates.two_terms(known, T, cac_rates.STEPS)
                                         for T in cac_rates.FORECAST})
    return cac_rates.term_claims({}, cac_rates.floor_rows(known), forecast)


def with_power(power: float):
    """Two terms with another power of T in the steps."""
    return lambda *first, power=power: averaged(*first[:5], first[5]**power, *first[6:])


EXACT = [
    (lambda W, *more: averaged(np.eye(len(W)), *more), "stationary error"),                     # nobody mixes
    (with_power(1.5), "as the transient does"),
    (lambda W, f, change, residual, *more: averaged(W, f, change, 0.0 * residual, *more), "for good"),      # no noise
    (with_power(0.8), "takes over near"),
]


def test_the_exact_claims_pass():
    assert failed(exact_claims()) == set()


@pytest.mark.parametrize(("wrong", "claim"), EXACT, ids=[claim for _, claim in EXACT])
def test_wrong_terms_make_a_claim_fail(monkeypatch, wrong, claim):
    monkeypatch.setattr(_two_terms, "_averaged", wrong)
    assert any(claim in says for says in failed(exact_claims()))


@pytest.fixture(scope="module")
def own_game(tmp_path_factory):
    return {**_ferry.tables(tmp_path_factory.mktemp("own")), "agents": 3, "topology": "complete"}


def run_claims(own_game) -> list[theory.Claim]:
    """Those of runs up to T = 1,000."""
    known, lengths = cac_rates.critics(None), {100: 4, 316: 4, 1000: 4}
    runs = {("single, chain", T, seed): _cac_measures.averages(
        cac_rates._run(own_game, "markov", cac_rates.STEPS, T, seed), 120) for T, seeds in lengths.items()
        for seed in range(seeds)}
    terms = {T: cac_rates.two_terms(known, T, cac_rates.STEPS) for T in (*lengths, *cac_rates.FORECAST)}
    each = {"single, chain": cac_rates._found(cac_rates.CHAIN, lengths, runs, terms)}
    claims = cac_rates.term_claims(each, cac_rates.floor_rows(known),
                                   cac_rates._forecast_rows({T: terms[T] for T in cac_rates.FORECAST}))
    return [*cac_rates.rate_claims(each), *cac_rates.exchange_claims(each), *claims]


def probe_claims(own_game) -> list[theory.Claim]:
    return cac_rates.probe_claims(*cac_rates.probes(QUICK, own_game))


def grid_claims(own_game) -> list[theory.Claim]:
    return cac_rates.grid_claims(cac_rates.grid_rows(QUICK, own_game, cac_rates.critics(None)))


def steps(actor, critic):
    """A step size that is not what the experiment file says: functions of it and T, the actor's and the critics'."""
    return lambda step, T, x: np.array((actor if step.sigma != 0.4 else critic)(step.at(T), T))


def of_grid(actor: float):
    return lambda step, T, x: np.array(step.at(T) * (actor if step.c in STEEP else 1.0))


STEEP = {cac_rates.AT_100["actor_step"] * 100**sigma for sigma in cac_rates.SIGMAS}
RUNS = [
    (run_claims, cac, "step_size", steps(lambda a, T: a, lambda b, T: b / 2.0), "both known"),
    (run_claims, cac, "step_size", steps(lambda a, T: a / 2.0, lambda b, T: b), "what one exchange leaves"),
    (run_claims, cac, "step_size", steps(lambda a, T: 0.2, lambda b, T: b), "O(alpha^2)"),
    (run_claims, cac, "step_size", steps(lambda a, T: a, lambda b, T: 10.0 / T), "O(T^-2/5)"),
    (probe_claims, StateValue, "gradient", lambda self, omega, b, weights: gradient(self, omega, b, weights)
     - 0.8 * weights * b.phi_next, "at the fixed point of TD(0)"),                              # residual gradients
    (probe_claims, StateValue, "gradient", lambda self, omega, b, weights: gradient(self, omega, b, weights)
     - 0.8 * weights * b.phi_next, "at the minimiser"),
    (probe_claims, cac, "SECOND", 0, "double sampling"),                                        # the running chain's
    (probe_claims, tabular, "Chain", lambda seed, index, initial: RestartingChain(seed, index, initial, 0.8),
     "single sampling"),
    (grid_claims, cac, "step_size", of_grid(20.0), "sigma_1 > sigma_2"),
    (grid_claims, cac, "step_size", of_grid(0.0), "sigma_1 < sigma_2"),
]


@pytest.mark.long
@pytest.mark.parametrize("claims", [run_claims, probe_claims, grid_claims])
def test_the_claims_of_runs_pass(claims, own_game):
    assert failed(claims(own_game)) == set()


@pytest.mark.long
@pytest.mark.parametrize(("claims", "module", "name", "wrong", "claim"), RUNS, ids=[claim for *_, claim in RUNS])
def test_a_wrong_step_gradient_or_chain_makes_a_claim_fail(monkeypatch, own_game, claims, module, name, wrong, claim):
    monkeypatch.setattr(module, name, wrong)
    assert any(claim in says for says in failed(claims(own_game)))


@pytest.mark.long
def test_the_rates_of_a_users_game():
    finding = theory.run("cac-rates", quick=True, jobs=1, game=game(np.array([[0.7, 0.3], [0.4, 0.6]])))
    assert len(finding.claims) == 6 and not any("eps_sp" in claim.says for claim in finding.claims)
    assert all(row["slope"] <= cac_rates.BOUND for row in finding.tables[0].rows if row["error"] != "gradient")
    assert [table.name for table in finding.tables] == ["slopes", "averages", "two_terms"]
