"""A note says that the mean drifts where it does, and only there; conditions in runs of unusual length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netac
from netac import topology
from netac.comm.exchange import Condition
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment import config

AGENTS, ITERATIONS = 6, 60
SENT = {"event-trigger": {"threshold": 0.5, "own": "sent"}}
HOLD = {"skip": {"every": 1, "hold": True}}
TELLING_TIME = {"clock": {"compute": 1.0, "latency": 0.1}}


def made(table: dict[str, Any], graph: Any, iterations: int = ITERATIONS) -> tuple[list[Condition], Network]:
    tables = {"agents": AGENTS, "iterations": iterations, "env": "coordination", "topology": graph, "algorithm": "cac",
              "network": table | {"allow_insecure": True}}
    loaded = topology.load(graph, AGENTS)
    conditions = config.read(tables).experiment().network.make(loaded, iterations)
    return conditions, Network(loaded.matrix, Placement(AGENTS), Ledger(AGENTS), None, conditions, 3)


def moved(network: Network, rounds: int) -> float:
    """By how much an exchange of values that walk at random moves their mean, at most."""
    rng, most = np.random.default_rng(5), 0.0
    x = rng.standard_normal((AGENTS, 7))
    for t in range(rounds):
        x = x + 0.3 * rng.standard_normal(x.shape)
        mixed = network.mix(t, x)
        most, x = max(most, np.abs(mixed.mean(axis=0) - x.mean(axis=0)).max()), mixed
    return float(most)


@pytest.mark.parametrize(("table", "graph"), [
    (HOLD, "ring"), (HOLD | {"loss": 0.3}, "ring"), (HOLD | {"sleep": 0.3}, "ring"), (HOLD | TELLING_TIME, "ring"),
    ({"skip": {"every": 2, "hold": True}}, "ring"), ({"skip": 2}, "ring"), (SENT, "ring"),
    (SENT | TELLING_TIME, "ring"),
    (SENT, {"name": "gossip", "base": "ring", "probability": 0.5}), (SENT | {"loss": 0.3}, "ring"),
    ({"event-trigger": 0.5}, "ring"), ({"median": True}, "ring"), ({"trimmed-mean": 1}, "complete"),
    ({"clipping": 0.5}, "ring"), ({"quantisation": 4}, "ring"), ({"sign": {"feedback": "none"}}, "ring"),
    ({"noise": 0.1}, "ring"), ({"delay": 1}, "path"), ({"loss": {"probability": 0.3, "both_ways": False}}, "ring"),
    ({"clock": {"schedule": "beat", "period": 0.1, "latency": 0.15}}, "path"), (TELLING_TIME, "ring")], ids=str)
def test_a_drift_is_told_where_there_is_one(table, graph):
    conditions, network = made(table, graph)
    drift = moved(network, ITERATIONS)
    assert drift < 1e-13 or drift > 1e-3
    assert any("drifts" in note for each in conditions for note in each.notes) == (drift > 1e-3)


def test_a_threshold_that_has_shrunk_to_nothing_is_0():
    _, network = made({"event-trigger": {"threshold": 0.01, "decay": 100}}, "ring", 10**6)
    x = np.random.default_rng(1).standard_normal((AGENTS, 3))
    for t in (5000, 999_999):
        x = network.mix(t, x)
    assert np.isfinite(x).all()


@pytest.mark.parametrize("iterations", [1, 2, 10])
def test_a_beat_needs_no_word_on_how_late_messages_may_be_in_short_runs(iterations, tmp_path):
    result = netac.run({"agents": 4, "iterations": iterations, "env": "coordination", "topology": "ring",
                        "algorithm": "cac", "network": {"clock": {"schedule": "beat", "compute": 1.0}}},
                       out=tmp_path / "run")
    assert result.summary["network_seconds"] == iterations
    again = netac.run(tmp_path / "run" / "experiment.toml")                 # which says all options
    assert again.summary["parameters_sha256"] == result.summary["parameters_sha256"]


@pytest.mark.parametrize("latency", [1e3, 1e8, 1e20])
def test_what_is_later_than_any_run_is_lost(latency):
    _, network = made({"clock": {"schedule": "beat", "compute": 1e-9, "latency": latency}}, "ring")
    x = np.random.default_rng(1).standard_normal((AGENTS, 3))
    assert np.allclose(network.mix(0, x), x, rtol=0, atol=1e-14)
    assert network.told()["lost"].tolist() == [2.0] * AGENTS
