"""Spatially discounted rewards: sums by plain loops, what stays as it is, refusals, any number of processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netac
from netac.envs import platoon
from netac.envs._spatial import DiscountedGames, DiscountedTable, reward_weights
from netac.experiment import config
from netac.experiment.build import prepare
from netac.utils.errors import InputError

HERE = str(Path(__file__).parent)
CART = {"agents": 3, "iterations": 6, "algorithm": "cac", "topology": "environment",
        "env": {"factory": "test_environment_graph:make", "folder": str(Path(__file__).parents[1] / "experiment"),
                "kwargs": {"graph": "graph"}}}
PLATOON = {"agents": 4, "iterations": 2, "envs": 3, "env": "platoon", "topology": "environment",
           "policy": {"name": "mlp", "hidden": [4]}, "algorithm": {"name": "cppo", "rollout": 6, "reward": "own"}}


@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_weights_are_powers_of_distances(n, alpha, seed):
    graph = nx.gnp_random_graph(n, 0.3, seed=seed)
    found = reward_weights(nx.to_scipy_sparse_array(graph, format="csr"), alpha)
    distances = dict(nx.all_pairs_shortest_path_length(graph))
    for i in range(n):
        for j in range(n):
            expected = (1.0 if distances[i].get(j) == 0 else alpha ** distances[i][j]) if j in distances[i] else 0.0
            assert found[i, j] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("alpha", [0.0, 0.9, 1.0])
def test_games_give_sums_over_the_graph(alpha):
    games, raw = (platoon.make(platoon.Settings(), 4, 3) for _ in range(2))
    weights = reward_weights(nx.to_scipy_sparse_array(nx.path_graph(4)), alpha)
    wrapped = DiscountedGames(games, weights)
    wrapped.begin(1, 0)
    raw.begin(1, 0)
    for actions in np.random.default_rng(0).integers(4, size=(5, 4, 3)):
        found, plain = wrapped.step(actions), raw.step(actions)
        for i in range(4):
            expected = sum(alpha ** abs(i - j) * plain.r[j] if i != j else plain.r[j] for j in range(4))
            np.testing.assert_allclose(found.r[i], expected, rtol=1e-12)
        np.testing.assert_array_equal(found.team_mean(), plain.team_mean())
        np.testing.assert_array_equal(found.done, plain.done)
        assert all(np.array_equal(a, b) for a, b in zip(wrapped.observe(range(4)), raw.observe(range(4)), strict=True))
    assert wrapped.agents == 4 and wrapped.resumable


def test_who_takes_no_part_gets_nothing():
    games = platoon.make(platoon.Settings(), 3, 2)
    games.begin(0, 0)
    wrapped = DiscountedGames(games, np.ones((3, 3)))
    games.active[1, 0] = False
    found = wrapped.step(np.zeros((3, 2), dtype=int))
    assert found.r[1, 0] == 0.0 and (found.r[[0, 2], 0] != 0).all() and (found.r[:, 1] != 0).all()


def test_tables_give_sums_over_the_graph():
    environment = prepare(config.read(CART | {"spatial_discount": 0.5}).experiment()).environment
    plain = prepare(config.read(CART).experiment()).environment
    assert isinstance(environment, DiscountedTable) and environment.states == 3
    rng = np.random.default_rng(1)
    states, actions, after = rng.integers(3, size=7), rng.integers(2, size=(3, 7)), rng.integers(3, size=7)
    own, mean = plain.rewards(states, actions, after, range(3))
    weights = [[1, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 1]]
    for block in range(3), range(1, 3):
        found, team = environment.rewards(states, actions, after, block)
        np.testing.assert_allclose(found, np.array(weights)[block.start:block.stop] @ own, rtol=1e-12)
        np.testing.assert_array_equal(team, mean)


@pytest.mark.parametrize("tables", [CART, PLATOON], ids=["table", "games"])
def test_alpha_decides_what_is_learned_and_not_what_is_reported(tables):
    plain, own, far = (netac.run(tables | more) for more in ({}, {"spatial_discount": 0.0}, {"spatial_discount": 0.9}))
    assert plain.summary["parameters_sha256"] == own.summary["parameters_sha256"]
    assert far.summary["parameters_sha256"] != own.summary["parameters_sha256"]
    np.testing.assert_array_equal(far.metrics["reward"][:1], own.metrics["reward"][:1])


def test_evaluations_play_for_the_environments_rewards():
    """Greedy at the start: the same policies, whatever they will learn from."""
    more = {"evaluate_every": 2, "evaluate_episodes": 2, "evaluate_greedy": True, "evaluate_steps": 20}
    first = [netac.run(PLATOON | more | {"spatial_discount": alpha}).evaluations["episode_return"][0]
             for alpha in (0.0, 1.0)]
    assert first[0] == first[1]


@pytest.mark.parametrize(("changes", "says"), [
    ({"env": "coordination"}, "no graph"), ({"env": CART["env"] | {"kwargs": {"graph": "function"}}}, "changes"),
    ({"spatial_discount": 1.5}, "less than or equal to 1"),
    ({"agents": 2001, "env": {"name": "coordination", "features": "histogram"}}, "at most 2,000 agents")])
def test_what_cannot_be_is_refused(changes, says):
    with pytest.raises(InputError, match=says) as told:
        netac.run(CART | {"topology": "ring", "spatial_discount": 0.9} | changes)
    assert told.value.key == "spatial_discount"


def test_the_number_of_processes_does_not_matter(mpirun, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"import json, sys\nsys.path.insert(0, {HERE!r})\nimport netac\nimport test_spatial as of\n"
                       "found = [netac.run(tables | {'spatial_discount': 0.9}).summary['parameters_sha256']"
                       " for tables in (of.CART, of.PLATOON)]\n"
                       "if netac.comm.launch.communicator().rank == 0:\n    print(json.dumps(found))\n")
    done = mpirun(2, [sys.executable, program])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [netac.run(tables | {"spatial_discount": 0.9}).summary["parameters_sha256"]
                                       for tables in (CART, PLATOON)]
