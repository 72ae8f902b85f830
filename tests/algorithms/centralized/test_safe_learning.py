"""Safe learning: constrained steps against the dual, finite games against linear programming, what is told of costs."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from oracles.safe import Safe
from support.neural_variants import arena
from support.priced_games import LIMITS, RatioGame, two_states

import netac
from netac import exact
from netac.algorithms.policy_gradient.trust_region import backtrack, constrained_direction
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.evaluate import evaluate
from netac.utils.errors import InputError, RunError

# --- the constrained step ---


def quadratic(seed: int, d: int, parallel: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H, g and b; g and b may be parallel, in either direction."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    g = rng.normal(size=d)
    return root @ root.T + 0.1 * np.eye(d), g, g * rng.normal() if parallel else rng.normal(size=d)


def taken(H, g, b, excess, delta):
    return constrained_direction(lambda x: H @ x, g, b, excess, delta, 0.0, iterations=10 * len(g))


@given(seed=st.integers(0, 10**6), d=st.integers(2, 5), excess=st.floats(-2, 2),
       delta=st.sampled_from([0.01, 0.1, 1.0]))
@settings(max_examples=150)
def test_the_constrained_step_is_that_of_the_dual(seed, d, excess, delta):
    H, g, b = quadratic(seed, d, parallel=False)
    oracle = object.__new__(Safe)
    oracle.wrong = ""
    expected = oracle.by_dual(H, g, b, excess, delta)
    assert taken(H, g, b, excess, delta) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@given(seed=st.integers(0, 10**6), d=st.integers(1, 4), parallel=st.booleans(), excess=st.floats(-2, 2))
@settings(max_examples=100)
def test_no_step_of_the_region_is_better(seed, d, parallel, excess):
    H, g, b = quadratic(seed, d, parallel)
    delta, rng = 0.1, np.random.default_rng(seed)
    step = taken(H, g, b, excess, delta)
    inside = rng.normal(size=(4000, d)) @ np.linalg.cholesky(np.linalg.inv(H)).T
    lengths = np.sqrt(np.einsum("md,de,me->m", inside, H, inside))
    inside *= (np.sqrt(2 * delta) * rng.random(4000) ** (1 / d) / lengths)[:, None]
    assert step @ H @ step <= 2 * delta * (1 + 1e-6)
    feasible = excess + inside @ b <= 0
    if feasible.any():
        assert excess + b @ step <= 1e-6 and g @ step >= (inside[feasible] @ g).max() - 1e-6
    elif excess > np.sqrt(2 * delta * (b @ np.linalg.solve(H, b))):
        assert b @ step <= (inside @ b).min() + 1e-6


def test_costs_that_nobody_can_change_stop_an_agent_beyond_its_limit_alone():
    H, g, _ = quadratic(0, 3, parallel=False)
    nothing = np.zeros(3)
    assert taken(H, g, nothing, 1.0, 0.1).tolist() == [0.0] * 3
    assert taken(H, g, nothing, -1.0, 0.1) @ g > 0
    assert taken(H, nothing, g, -1.0, 0.1).tolist() == [0.0] * 3
    with pytest.raises(RunError, match="not finite"):
        taken(H, g, np.array([np.nan, 0.0, 0.0]), 1.0, 0.1)


def test_a_search_keeps_every_bound():
    assert backtrack(lambda s: (s, 0.01 * s, s), 1.0, 0.01, 0.3) == 0.25
    assert backtrack(lambda s: (s, 0.01 * s, np.nan), 1.0, 0.01, 0.3) == 0.0
    assert backtrack(lambda s: (s, 0.01 * s, -s), 1.0, 0.01, 0.0) == 1.0


# --- finite constrained games ---

MACPO = {"name": "macpo", "actor_step": 0.01, "critic_step": 0.01, "delta": 0.02}
LAGRANGIAN = {"name": "mappo-lagrangian", "actor_step": 0.5, "critic_step": 0.3, "optimizer": "plain", "epochs": 5,
              "critic_epochs": 3, "entropy": 0.2, "multiplier": 0.5}


def learned(folder, algorithm: dict, iterations: int, agents: int = 2, limits=LIMITS, **more):
    """A run in the game of two states."""
    game = two_states(folder, agents)
    tables = {"agents": agents, "iterations": iterations, "envs": 8, "env": game.path, "topology": "complete",
              "policy": {"name": "mlp", "hidden": [4]}, "critic": {"name": "mlp", "hidden": []}, "seed": 2,
              "algorithm": {"rollout": 50, "cost_limit": limits, **algorithm}}
    return game, netac.run(tables | more, out=folder / "run")


@pytest.mark.parametrize(("algorithm", "iterations", "part"), [(MACPO, 50, 0.97), (LAGRANGIAN, 60, 0.88)])
def test_trainers_end_near_the_best_policy_within_the_limits(algorithm, iterations, part, tmp_path):
    game, run = learned(tmp_path, algorithm, iterations)
    best = exact.feasible_optimum(game.mdp, game.costs, LIMITS)
    assert best.costs == pytest.approx(LIMITS) and exact.optimal_objective(game.mdp) > 1.5 * best.objective
    assert part * best.objective < run.summary["final_reward"] < 1.05 * best.objective
    assert run.summary["cost_max"] < 1.06 * max(LIMITS)
    with (tmp_path / "run" / "diagnostics.csv").open() as file:
        shown = list(csv.DictReader(file))
    for agent, limit in enumerate(LIMITS):
        own = [float(row["cost"]) for row in shown if row["agent"] == str(agent)][-10:]
        assert np.mean(own) == pytest.approx(limit, abs=0.05)
    if algorithm is LAGRANGIAN:
        prices = [float(row["multiplier"]) for row in shown if row["agent"] == "1"][-10:]
        assert np.mean(prices) == pytest.approx(best.multipliers[1], abs=0.15)


def test_an_agent_alone_that_begins_beyond_its_limit_recovers(tmp_path):
    game, run = learned(tmp_path, MACPO, 20, agents=1, limits=0.1, log_every=1)
    cost = run.metrics["cost"]
    assert cost[1] > 0.25 and np.diff(cost[1:5]).max() < 0 and cost[-5:].mean() < 0.11
    assert (cost == run.metrics["cost_max"])[1:].all()
    assert exact.feasible_optimum(game.mdp, game.costs, 0.1).costs[0] == pytest.approx(0.1)


# --- what users are told ---

def test_costs_are_told_of_every_algorithm_where_there_are_some_and_of_none_where_there_are_none(tmp_path):
    tables = {"agents": 2, "iterations": 2, "envs": 2, "topology": "complete", "log_every": 1, "evaluate_every": 2,
              "evaluate_episodes": 3, "policy": {"name": "mlp", "hidden": [3]},
              "critic": {"name": "mlp", "hidden": [3]},
              "algorithm": {"name": "happo", "rollout": 6, "epochs": 1, "team_reward": "mean"}}
    for name, priced in (("priced", True), ("free", False)):
        run = netac.run(tables | {"env": arena(falls=0.6, priced=priced)}, out=tmp_path / name)
        told = {"cost", "cost_max"} if priced else set()
        assert {key for key in run.metrics if "cost" in key} == told
        assert {key for key in run.evaluations if "cost" in key} == told
        assert {key for key in run.summary if "cost" in key} == told
    paid, free = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("priced", "free"))
    assert paid["parameters_sha256"] == free["parameters_sha256"] and paid["bytes_per_agent"] == free["bytes_per_agent"]
    found = evaluate(tmp_path / "priced", episodes=3, trust=True)
    assert found.costs.shape == (3, 2) and (found.costs > 0).all()
    summary = found.summary()
    assert summary["cost"] == pytest.approx(found.costs.mean())
    assert summary["cost_max"] == pytest.approx(found.costs.mean(axis=0).max())
    assert summary["cost_max_stderr"] > 0
    assert evaluate(tmp_path / "free", episodes=3, trust=True).costs is None


def test_a_rollouts_costs_are_those_of_its_steps_and_of_who_took_part():
    tables = {"agents": 3, "iterations": 1, "envs": 2, "topology": "complete", "env": arena(falls=0.6, priced=True),
              "policy": {"name": "mlp", "hidden": [3]}, "critic": {"name": "mlp", "hidden": [3]},
              "algorithm": {"name": "macpo", "rollout": 30, "cost_limit": [0.2, 0.4, 0.6], "team_reward": "mean"}}
    parts = assemble(prepare(config.read(tables).experiment()))
    from netac.algorithms.centralized._sessions import sessions
    session = next(iter(sessions(parts.agents, parts.sampler, parts.network, parts.setting.settings, range(1))))
    b, charge, part = session.b, session.charge, session.b.everyone_active.reshape(3, 30, 2)
    assert (b.costs[~part] == 0).all() and (b.costs[part] > 0).all() and not part.all()
    for agent, limit in enumerate([0.2, 0.4, 0.6]):
        own = b.costs[agent][part[agent]]
        assert charge.mean[agent] == pytest.approx(own.mean())
        assert charge.excess[agent] == pytest.approx(own.mean() - limit)
        advantages = charge.advantages[agent].reshape(30, 2)
        assert advantages[part[agent]].mean() == pytest.approx(0.0, abs=1e-12) and not advantages[~part[agent]].any()
    sums, counts = parts.sampler.tally.take_costs()
    assert sums == pytest.approx(b.costs.sum(axis=(1, 2))) and counts.tolist() == part.sum(axis=(1, 2)).tolist()


def test_a_cost_that_is_no_number_ends_a_run_with_the_agent_it_is_of():
    tables = {"agents": 3, "iterations": 2, "envs": 2, "topology": "complete", "policy": {"name": "mlp", "hidden": [3]},
              "env": arena(priced=True, fault="cost", agent=1, at=4),
              "algorithm": {"name": "macpo", "rollout": 6, "cost_limit": 1.0, "team_reward": "mean"}}
    with pytest.raises(RunError, match=r"agent 1.*cost in game 0 is nan"):
        netac.run(tables)


@pytest.mark.parametrize(("faults", "message"), [
    ({0: np.nan}, "cost of 'a' is nan"), ({0: "dear"}, "cost of 'a' is not a number"),
    ({0: np.array([1.0, 2.0])}, "cost of 'a' is not a number")])
def test_costs_of_infos_that_are_no_numbers_are_refused_at_the_start(faults, message):
    pytest.importorskip("pettingzoo")
    from netac.envs._pettingzoo import ParallelGames
    with pytest.raises(InputError, match=message):
        ParallelGames(lambda: RatioGame(faults), 2, 1, "game")


def test_costs_of_infos_are_read_of_who_took_part_and_missing_ones_end_a_run():
    pytest.importorskip("pettingzoo")
    from netac.envs._pettingzoo import ParallelGames
    games = ParallelGames(lambda: RatioGame({}, missing_from=5), 2, 2, "game")
    games.begin(0, 0)
    games.step(np.array([[0, 1], [1, 1]]))
    assert games.costs().tolist() == [[0.0, 2.0], [2.0, 2.0]]
    for _ in range(4):
        games.step(np.zeros((2, 2), dtype=int))
    with pytest.raises(RunError, match="info of 'b' has no 'cost'"):
        games.costs()
    assert ParallelGames(lambda: RatioGame({}, missing_from=0), 2, 1, "game").costs is None
