"""speed-up-with-agents and spectral-gap: exact second moments by enumeration, and a mistake makes each claim fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from netac import topology
from netac.algorithms.decentralized import cac
from netac.exact import stationary_distribution
from netac.theory import _critic_moments
from netac.theory import spectral_gap as gap
from netac.theory import speed_up_with_agents as speed_up
from netac.theory._cac_copies import Copies
from netac.theory._critic_moments import StandingCritics, mean_of_agents

P = np.array([[0.3, 0.7], [0.6, 0.4]])
FIRST = np.array([0.25, 0.75])


def enumerated(W, rewards, noise, critic: StandingCritics, T: int, running: bool):
    """E of the mean's squared error and of the agents' mean squared distance from it after T updates from 0, summed
    over all courses of the chain and of noise +-`noise` of each agent, by CAC's lines 4, 6 and 7 in loops."""
    n, fixed, found = len(W), critic.fixed_point(rewards.mean(axis=2)), np.zeros(2)
    mu = stationary_distribution(P)
    draws = 2 if running else 3
    for states in product(range(2), repeat=1 + (draws - 1) * T):
        chance = FIRST[states[0]]
        steps = []
        for t in range(T):
            s = states[t] if running else states[2 * t]
            after = states[t + 1] if running else states[2 * t + 1]
            chance *= P[s, after] * (1.0 if running else mu[states[2 * t + 2]])
            steps.append((s, after))
        for signs in product((-1.0, 1.0), repeat=n * T):
            omega = np.zeros((n, 2))
            for t, (s, after) in enumerate(steps):
                mixed = [sum(W[i][j] * omega[j] for j in range(n)) for i in range(n)]
                for i in range(n):
                    r = rewards[s, after, i] + noise * signs[t * n + i]
                    mixed[i][s] += critic.step * (r + critic.gamma * omega[i, after] - omega[i, s])
                omega = np.array(mixed)
            mean = omega.mean(axis=0)
            found += chance / 2**(n * T) * np.array([np.square(mean - fixed).sum(),
                                                     np.square(omega - mean).sum() / n])
    return found


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("W", [[[1.0]], [[0.7, 0.3], [0.3, 0.7]]])
def test_second_moments_are_those_of_all_courses(W, running):
    W, n, T, noise = np.array(W), len(W), 3, 0.8
    rewards = np.random.default_rng(n).normal(size=(2, 2, n))
    critic = StandingCritics(P, np.eye(2), 0.6, 0.3, running)
    mean, square = mean_of_agents(critic, rewards.mean(axis=2), noise**2 / n)
    fixed = critic.fixed_point(rewards.mean(axis=2))
    of_mean = critic.course(critic.recursion(1.0, mean, square), critic.start(-fixed, FIRST), np.array([T]))[0]
    apart = 0.0
    if n == 2:
        v = np.array([1.0, -1.0]) / np.sqrt(2.0)
        rho = rewards @ v
        apart = critic.course(critic.recursion(0.4, rho, rho**2 + noise**2), critic.start(np.zeros(2), FIRST),
                              np.array([T]))[0] / 2
    assert [of_mean, apart] == pytest.approx(enumerated(W, rewards, noise, critic, T, running))


def test_complex_eigenvalues_of_a_directed_ring():
    W = 0.6 * np.eye(3) + 0.4 * np.roll(np.eye(3), 1, axis=1)
    rewards = np.random.default_rng(3).normal(size=(2, 2, 3))
    critic = StandingCritics(P, np.eye(2), 0.6, 0.3)
    apart = 0.0
    for k in (1, 2):
        v = np.exp(2j * np.pi * k * np.arange(3) / 3) / np.sqrt(3.0)
        value = (W @ v)[0] / v[0]
        rho = rewards @ v.conj()
        moments = critic.recursion(value, rho, np.abs(rho)**2 + 0.25)
        apart += critic.course(moments, critic.start(np.zeros(2), FIRST), np.array([2]))[0] / 3
    assert apart == pytest.approx(enumerated(W, rewards, 0.5, critic, 2, True)[1])


def test_the_long_run_is_where_the_course_ends():
    critic = speed_up.critics(0.5)
    mean, square = mean_of_agents(critic, np.tile(speed_up.REWARD[:, None], (1, 3)), 0.3)
    moments = critic.recursion(1.0, mean, square)
    course = critic.course(moments, critic.start(np.ones(3), np.full(3, 1 / 3)), np.array([0, 10, 5000]))
    assert [course[0], course[-1]] == pytest.approx([3.0, critic.in_the_long_run(moments)])


# --- the speed-up ---

@pytest.fixture(scope="module")
def evaluated():
    """Teams' measured errors, and times."""
    teams = [speed_up.Team("complete", n, True) for n in (1, 4, 32)]
    teams += [speed_up.Team("complete", n, False) for n in (1, 32)]
    found = [speed_up.Evaluated(team, speed_up.measured(team, 12, 900, 0), speed_up.predicted(team)) for team in teams]
    return found, speed_up.time_rows((1, 64, 256))


def failed(found, times, off=0.0) -> set[str]:
    return {claim.says for claim in speed_up._claims(found, times, off, True) if not claim.passes}


def test_all_claims_of_the_speed_up_hold(evaluated):
    assert not failed(*evaluated, speed_up.off(0))


def test_the_time_to_an_error_is_the_first(evaluated):
    step, agents = 0.005, 16
    time = speed_up.until(0.0, agents, step)
    critic = speed_up.critics(0.0, step)
    start = critic.start(-critic.fixed_point(np.tile(speed_up.REWARD[:, None], (1, 3))), np.full(3, 1 / 3))
    moments = speed_up._recursion(critic, agents, speed_up.VARIANCE)
    before, then = critic.course(moments, start, np.array([time - 3, time]))
    assert then <= speed_up.TARGET < before
    assert speed_up.until(0.0, 1, 0.3) is None


def test_agents_that_hear_less_make_claims_fail(monkeypatch, evaluated):
    """A tenth of what they should: the mean stays as it is, and an agent is farther from it."""
    def lazy(*fields):
        whole = Copies(*fields)
        return replace(whole, W=lambda t: 0.1 * whole.W(t) + 0.9 * np.eye(whole.games[0].agents))

    monkeypatch.setattr(speed_up, "Copies", lazy)
    found = [replace(each, measured=speed_up.measured(each.team, 12, 900, 0)) for each in evaluated[0]]
    assert any("exact second moments" in says for says in failed(found, evaluated[1]))


def test_noise_that_all_share_makes_claims_fail(monkeypatch, evaluated):
    """As if one agent's noise were everybody's: nothing falls with N."""
    alone = evaluated[0][0].measured
    found = [replace(each, measured=alone + np.array([0.0, 0.0, 0.04 / each.team.agents])) if each.team.noisy else each
             for each in evaluated[0]]
    wrong = failed(found, evaluated[1])
    assert any("errs by 1/N" in says for says in wrong) and any("so does V" in says for says in wrong)
    assert any("own error falls" in says for says in wrong)


def test_a_prediction_without_the_shared_transitions_makes_claims_fail(monkeypatch, evaluated):
    monkeypatch.setattr(_critic_moments.StandingCritics, "difference", lambda self, omega: np.zeros_like(self.P))
    found = [replace(each, predicted=speed_up.predicted(each.team)) for each in evaluated[0]]
    assert any("exact second moments" in says for says in failed(found, evaluated[1]))


def test_a_floor_that_is_not_there_makes_claims_fail(evaluated):
    found = [replace(each, measured=evaluated[0][0].measured / each.team.agents + [0.0, 0.0, 0.05])
             if each.team.noisy else each for each in evaluated[0]]
    assert "V errs by 1/N as well" in failed(found, evaluated[1])


def test_other_claims_of_the_speed_up_fail_by_their_numbers(monkeypatch, evaluated):
    found, times = evaluated
    quiet = [each if each.team.noisy else replace(each, measured=each.measured / each.team.agents) for each in found]
    assert failed(quiet, times) >= {"without noise of their own more agents do not err less"}
    monkeypatch.setattr(speed_up, "VARIANCE", 0.0)                      # no noise: nothing to average away
    assert failed(found, speed_up.time_rows((1, 64))) >= {"R is learned N times sooner"}
    assert failed(found, [{**row, "V speed-up": row["agents"]} for row in times]) >= {
        "V only as many times as one agent's error exceeds the floor"}


@pytest.mark.parametrize("module", [speed_up, gap])
def test_an_algorithm_that_does_not_mix_is_not_netacs(monkeypatch, module):
    monkeypatch.setattr(cac, "requirements", lambda settings, made=cac.requirements: replace(made(settings), mixed=()))
    off = speed_up.off(0) if module is speed_up else gap.traffic(0)[0]
    assert off > 1e-6


# --- the gap ---

def test_graphs_are_all_that_fit_and_no_two_are_the_same():
    found = gap.graphs(True)
    labels = [each.label for each in found]
    assert len(labels) == len(set(labels)) and {label.split()[0] for label in labels} == set(gap.FEW)
    assert not any("out-degree" in label for label in labels)
    assert not any(gap.same(one.topology, other.topology) for k, one in enumerate(found) for other in found[:k])


def test_gaps_and_messages_by_hand():
    def graph(spec):
        return gap.Graph("", topology.load(spec, gap.AGENTS))
    ring = graph("ring")
    assert ring.gap == pytest.approx(1 - (1 + 2 * np.cos(np.pi / 4)) / 3) and ring.messages == 2
    assert graph("complete").gap == pytest.approx(1.0) and graph("complete").messages == 7
    assert graph("disconnected").gap == pytest.approx(0.0) and graph("path").messages == 1.75
    assert graph({"name": "periodic-complete", "period": 5}).messages == pytest.approx(1.4)


@pytest.mark.parametrize("name", ["ring", "star", "exponential"])
def test_eigenvectors_are_those_of_w(name):
    graph = gap.Graph(name, topology.load(name, gap.AGENTS))
    values, vectors = graph.eigenvalues
    W = graph.topology.matrix(0).toarray()
    np.testing.assert_allclose(W @ vectors, values * vectors, atol=1e-9)
    np.testing.assert_allclose(vectors.sum(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(gap.AGENTS - 1), atol=1e-9)


@pytest.fixture(scope="module")
def measured():
    """What comes of the few graphs, and the rounds' rows."""
    found = gap.graphs(True)
    topologies = [each.topology for each in found]
    still, learned = (gap.measure(way, topologies, 6, 1500, 0) for way in (False, True))
    everything = [gap.OfGraph(graph, *still[:, k], *learned[:, k], gap.apart(graph)) for k, graph in enumerate(found)]
    rounds = sorted((row for each in everything if (row := gap.rounds_row(each))), key=lambda row: row["bytes"])
    return everything, rounds


def gap_failed(everything, rounds, off=(0.0, 0.0)) -> set[str]:
    return {claim.says for claim in gap._claims(everything, rounds, off, True) if not claim.passes}


def test_all_claims_of_the_gap_hold(measured):
    assert not gap_failed(*measured, gap.traffic(0))


def test_rounds_are_the_fewest(measured):
    exact = gap.apart(gap.Graph("", topology.load("complete", gap.AGENTS)))
    for row in measured[1]:
        [graph] = [each.graph for each in measured[0] if each.graph.label == row["graph"]]
        assert gap.apart(graph, row["rounds"]) <= (1 + gap.EXCESS) * exact
        assert row["rounds"] == 1 or gap.apart(graph, row["rounds"] - 1) > (1 + gap.EXCESS) * exact


GAP_MISTAKES = {
    "row-stochastic weights, which move the mean": (
        lambda each: replace(each, mean=each.mean * (1 + 0.01 * each.graph.gap)), "the same on every graph"),
    "twice the noise": (lambda each: replace(each, mean=2 * each.mean), "its error is that of the exact"),
    "squares that are not averaged": (lambda each: replace(each, apart=gap.AGENTS * each.apart), "so is the agents'"),
    "distances by the gap": (
        lambda each: replace(each, predicted=each.predicted and 0.1 / each.graph.gap), "the gap alone"),
    "agents that only learn on good graphs": (
        lambda each: replace(each, J=each.J * min(1.0, 10 * each.graph.gap)), "J hardly depends"),
    "agents that need not talk": (lambda each: replace(each, J=0.87), "it does where they are not"),
}


@pytest.mark.parametrize("name", GAP_MISTAKES)
def test_a_mistake_makes_a_claim_of_the_gap_fail(measured, name):
    wrong, claim = GAP_MISTAKES[name]
    assert any(claim in says for says in gap_failed([wrong(each) for each in measured[0]], measured[1]))


def test_the_other_claims_of_the_gap_fail_by_their_numbers(monkeypatch, measured):
    everything, rounds = measured
    assert "and send as many bytes" in gap_failed(everything, rounds, (0.0, 0.1))
    free = [{**row, "bytes": row["rounds"]} for row in rounds]                 # as if an edge cost nothing
    assert any("largest gap costs least" in says
               for says in gap_failed(everything, sorted(free, key=lambda row: row["bytes"])))
    assert any("exact second moments" in says for says in (
        monkeypatch.setattr(gap, "NOISE", 3.0), gap_failed(everything, rounds))[1])
