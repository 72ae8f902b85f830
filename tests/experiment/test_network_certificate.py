"""What `netac graph` tells of networks with conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from netac import topology
from netac.experiment import config
from netac.experiment.network_certificate import under_conditions
from netac.utils.errors import InputError

ROOT = Path(__file__).parents[2]


def rows(network: dict, agents: int = 8, graph: str | dict = "ring", **others) -> dict[str, str]:
    tables = {"agents": agents, "iterations": 100, "env": "coordination", "topology": graph, "algorithm": "cac",
              "network": network} | others
    experiment = config.read(tables).experiment()
    return dict(under_conditions(experiment, topology.load(experiment.topology, agents)))


def test_what_is_measured_under_loss_takes_no_more_rounds_than_the_worst_start_and_about_as_many():
    for p in (0.0, 0.2, 0.5):
        found = rows({"loss": p})
        promised, measured = (int(found[key]) for key in ("rounds to a root mean square of 1e-06",
                                                          "rounds to 1e-06, measured"))
        assert 0.7 * promised <= measured <= 1.1 * promised
        assert found["drift of the mean (variance)"] == "0"


def test_loss_is_foretold_where_nothing_else_happens_to_messages():
    foretold = "rounds to a root mean square of 1e-06"
    alone = rows({"loss": 0.2})
    assert rows({"loss": 0.2, "clock": {"latency": 0.02}}).items() >= {foretold: alone[foretold]}.items()
    for more in {"skip": 2}, {"delay": 2}, {"noise": 0.1}, {"sleep": 0.1}:
        assert foretold not in rows({"loss": 0.2} | more)


@pytest.mark.parametrize(("loss", "graph"), [(1.0, "ring"), (0.2, "disconnected")])
def test_who_hears_nobody_never_agrees(loss, graph):
    found = rows({"loss": loss}, graph=graph, allow_disconnected=True)
    assert found["rounds to a root mean square of 1e-06"] == "never" and found["mean square factor of a round"] == "1"


def test_losses_one_way_drift():
    found = rows({"loss": {"probability": 0.3, "both_ways": False}})["drift of the mean (variance)"]
    average, worst = (float(part.split()[0]) for part in found.split(", "))
    assert 0.0 < average <= worst < 1.0


def test_simulated_seconds_are_those_of_the_rounds():
    found = rows({"clock": {"latency": 0.02, "compute": 0.03}})
    assert float(found["simulated seconds for them"]) == pytest.approx(0.03 * int(found["rounds to 1e-06, measured"]))


@pytest.mark.parametrize("graph,bears", [("complete", True), ("ring", False)])
def test_liars_are_borne_where_the_graph_is_robust_enough(graph, bears):
    network = {"adversaries": {"attack": "sign-flip", "number": 2}, "trimmed-mean": 2, "allow_insecure": True}
    found = rows(network, 9, graph)
    assert found["robustness of the first graph"] == {"complete": "5", "ring": "1"}[graph]
    assert (found["trimmed-mean bears 2 liars"] == "yes") == bears
    if bears:
        assert int(found["rounds to honest agents at 1e-06, measured"]) < 100
    else:
        with pytest.raises(InputError, match="not borne"):
            rows(network | {"allow_insecure": False}, 9, graph)


def test_agents_that_never_agree_are_told_so():
    found = rows({"quantisation": {"bits": 4, "feedback": "none"}})["rounds to 1e-06, measured"]
    assert found.startswith("more than ") and found.endswith(" is left)")


def test_one_agent_agrees_with_itself():
    assert rows({"loss": 0.5}, 1, "complete")["rounds to 1e-06, measured"] == "0"
