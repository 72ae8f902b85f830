"""How often networks' conditions strike, against what their equations say of it; what they count; bad options."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.plain_network import counted, made

import netac
from netac import topology
from netac.comm.exchange import Condition, Exchange, Phase
from netac.comm.network import Network
from netac.utils.errors import InputError

COMPLETE, RING = topology.load("complete", 24), topology.load("ring", 6)
EXPERIMENT = tomllib.loads((Path(__file__).parents[2] / "examples" / "coordination.toml").read_text()) | {
    "iterations": 20, "log_every": 20}


class Watching(Condition):
    """Remembers which links (i, j) brought something, by exchange, and what: the last to be asked."""

    phase = Phase.WHOLE

    def __init__(self):
        self.there: list[dict[tuple[int, int], np.ndarray | None]] = []

    def arrive(self, exchange: Exchange) -> None:
        links = exchange.links
        self.there.append({(i, j): value if came else None for i, j, came, value in zip(
            links.hearer.tolist(), links.speaker.tolist(), exchange.arrived, exchange.received, strict=True)})


def watched(graph: topology.Topology, table: dict[str, Any], T: int, rounds: int = 1) -> tuple[np.ndarray, Network]:
    """(T, L) whether each link brought something, in the last of the rounds of an iteration; without edges none."""
    watching = Watching()
    network, _ = made(graph, table, T, more=[watching])
    for t in range(T):
        network.mix(t, np.ones((graph.agents, 1)), rounds)
    there = [list(found.values()) for found in watching.there[rounds - 1::rounds] if found]
    return np.array([[value is not None for value in found] for found in there]), network


def test_bursts_are_as_long_and_as_many_as_they_should_be():
    there, network = watched(COMPLETE, {"gilbert-elliott": {"to_bad": 0.05, "to_good": 0.2}}, 300)
    T, good = len(there), there
    assert abs((~good).mean() - 0.2) < 0.015                          # to_bad / (to_bad + to_good), 4 deviations
    assert abs((~there[0]).mean() - 0.2) < 0.07, "from its stationary distribution"
    begins, ends = (~good[1:] & good[:-1]).sum(), (good[1:] & ~good[:-1]).sum()
    assert abs(begins / good[:-1].sum() - 0.05) < 0.004 and abs(ends / (~good[:-1]).sum() - 0.2) < 0.015
    assert counted(network)["lost"] == pytest.approx((~there).sum(axis=0).reshape(24, 23).sum(axis=1).tolist())
    square = np.zeros((T, 24, 24), dtype=bool)
    square[:, ~np.eye(24, dtype=bool)] = there
    assert (square == square.transpose(0, 2, 1)).all(), "both hearers of an edge see the same"


def test_edges_go_on_while_they_are_away():
    graph = topology.load({"name": "periodic-complete", "period": 3}, 24)
    there, _ = watched(graph, {"gilbert-elliott": {"to_bad": 0.05, "to_good": 0.1}}, 600)
    bad = (~there).astype(float) - 1 / 3
    assert len(there) == 200 and abs((~there).mean() - 1 / 3) < 0.02
    assert abs((bad[1:] * bad[:-1]).mean() / (bad**2).mean() - 0.85**3) < 0.02


def test_an_edge_stays_as_it_is_within_an_iteration():
    first, _ = watched(COMPLETE, {"gilbert-elliott": 0.3}, 20)
    last, _ = watched(COMPLETE, {"gilbert-elliott": 0.3}, 20, rounds=3)
    assert np.array_equal(first, last)


def test_one_way_bursts_are_not_those_of_the_other_way():
    there, _ = watched(topology.load("complete", 2), {"gilbert-elliott": {"to_bad": 0.3, "both_ways": False}}, 200)
    assert 0.3 < (there[:, 0] != there[:, 1]).mean() < 0.6


def test_agents_sleep_as_often_as_they_should_and_what_they_miss_was_sent():
    there, network = watched(COMPLETE, {"sleep": 0.3}, 300)
    assert abs((~there).mean() - (1 - 0.7**2)) < 0.02                  # neither end asleep
    missed, sent = np.array(counted(network)["lost"]), network._ledger.consensus_messages
    assert abs(sent.mean() / (23 * 300) - 0.7) < 0.02
    assert missed.sum() == sent.sum() - there.sum() and missed.min() > 0


def test_half_of_the_agents_sleep_and_the_others_go_on():
    graph = topology.load("complete", 8)
    network, ledger = made(graph, {"sleep": {"fraction": 0.5, "start": 2, "end": 4}})
    x = np.random.default_rng(0).standard_normal((8, 2))
    for t in range(5):
        mixed = network.mix(t, x)
        still = np.isclose(mixed, x, rtol=0, atol=1e-14).all(axis=1)
        assert still.sum() == (4 if 2 <= t < 4 else 0)
    assert sorted(ledger.consensus_messages.tolist()) == [3 * 7] * 4 + [5 * 7] * 4
    assert made(graph, {"sleep": {"fraction": 0.5, "start": 2, "end": 4}}, seed=9)[0].mix(2, x).tolist() != x.tolist()


def test_delays_are_uniform_and_late_messages_counted_once():
    watching = Watching()
    network, _ = made(COMPLETE, {"delay": {"most": 4, "least": 1}}, 200, more=[watching])
    for t in range(200):
        network.mix(t, np.full((24, 1), float(t)))
    ages = np.array([[np.nan if value is None else t - value[0] for value in found.values()]
                     for t, found in enumerate(watching.there)])
    assert np.isnan(ages[0]).all() and not np.isnan(ages[4:]).any()
    late = ages[4:].ravel()
    # at most k old: one of the last k messages has come, and message m has with probability m / 4
    expected = [1 - np.prod([1 - m / 4 for m in range(1, k + 1)]) for k in (1, 2, 3, 4)]
    assert np.allclose([(late <= k).mean() for k in (1, 2, 3, 4)], expected, rtol=0, atol=0.01)
    assert counted(network)["delayed"] == [23 * 200] * 24


def test_noise_is_normal_and_dither_leaves_a_uniform_error_of_no_correlation():
    graph, x = topology.load("complete", 2), np.random.default_rng(0).standard_normal((2, 20_000))
    W = graph.matrix(0).toarray()

    def error(table):
        mixed = made(graph, {"noise": table})[0].mix(0, x)
        return ((mixed - W @ x) / W[0, 1])[0]

    gaussian = error({"deviation": 0.3})
    assert abs(gaussian.std() - 0.3) < 0.006 and abs(gaussian.mean()) < 0.01
    assert abs((abs(gaussian) < 0.3).mean() - 0.6827) < 0.015
    plain, dithered = (error({"step": 4.0, "rounding": rounding}) for rounding in ("plain", "dithered"))
    for each in (plain, dithered):
        assert abs(each).max() <= 2.0 + 1e-9
    assert abs(dithered.std() - 4 / 12**0.5) < 0.02 and abs(np.corrcoef(dithered, x[1])[0, 1]) < 0.03
    assert np.corrcoef(plain, x[1])[0, 1] < -0.5
    relative = error({"deviation": 0.3, "relative": True})
    assert relative.std() == pytest.approx(gaussian.std() * abs(x[1]).max(), rel=1e-9)


def test_an_event_trigger_saves_messages_and_stays_near():
    network, ledger = made(RING, {"event-trigger": {"threshold": 0.05}})
    x = np.random.default_rng(4).standard_normal((6, 3))
    for t in range(100):
        x = network.mix(t, x)
    assert 12 <= ledger.consensus_messages.sum() < 0.2 * 12 * 100
    assert np.ptp(x, axis=0).max() < 6 * 0.05
    assert ledger.consensus_bytes.tolist() == (24 * ledger.consensus_messages).tolist()


def run(**network: Any) -> netac.RunResult:
    return netac.run(EXPERIMENT | {"network": network})


REFUSED = [
    ({"gilbert-elliott": {"to_bad": 1.5}}, "network.gilbert-elliott.to_bad", "found 1.5"),
    ({"gilbert-elliott": {"to_bad": 0.1, "to_good": 0.0}}, "network.gilbert-elliott.to_good", "more than 0"),
    ({"sleep": {"agents": [1, 5]}}, "network.sleep.agents", "found 5; valid: some of 0 to 4"),
    ({"sleep": {"agents": [-1]}}, "network.sleep.agents", "found -1"),
    ({"sleep": {"agents": []}}, "network.sleep.agents", "names no agent"),
    ({"sleep": {"agents": [1], "fraction": 0.5}}, "network.sleep.fraction", "one of agents and fraction"),
    ({"sleep": {"fraction": 0.01}}, "network.sleep.fraction", "0, or at least 0.1"),
    ({"sleep": {"start": 20}}, "network.sleep.start", "0 to 19"),
    ({"sleep": {"agents": [1], "start": 3, "end": 3}}, "network.sleep.end", "4 to 20"),
    ({"sleep": {"agents": [1], "end": 21}}, "network.sleep.end", "1 to 20"),
    ({"sleep": True}, "network.sleep", "all agents would be asleep all the time"),
    ({"delay": 20}, "network.delay.iterations", "longer than the run"),
    ({"delay": {"most": 20}}, "network.delay.most", "0 to 19"),
    ({"delay": {"most": 2, "least": 3}}, "network.delay.least", "more than most"),
    ({"delay": {"most": 2, "iterations": 3}}, "network.delay.most", "one of iterations and most"),
    ({"delay": {"iterations": 2, "least": 1}}, "network.delay.least", "goes with most"),
    ({"delay": True}, "network.delay", "one of iterations and most"),
    ({"skip": 21}, "network.skip.every", "1 to 20"),
    ({"skip": 5}, "network.skip.every", "the topology has period 5"),
    ({"event-trigger": 0.1, "skip": {"every": 2, "hold": True}}, "network.skip", "does not go with event-trigger"),
    ({"event-trigger": -1.0}, "network.event-trigger.threshold", "found -1.0"),
    ({"noise": {"rounding": "dithered"}}, "network.noise.rounding", "with a step above 0"),
    ({"noise": float("inf")}, "network.noise.deviation", "found inf"),
    ({"loss-schedule": "nowhere.csv"}, "network.loss-schedule.path", "there is no such file")]


@pytest.mark.parametrize(("network", "key", "told"), REFUSED, ids=lambda each: str(each)[:60])
def test_bad_options_are_refused_in_one_message(network, key, told):
    with pytest.raises(InputError) as caught:
        run(**network)
    assert key in str(caught.value) and told in str(caught.value)


@pytest.mark.parametrize(("text", "told"), [
    ("", "line 1 does not name the columns"),
    ("t,hearer,speaker\n", "line 1 does not name the columns (found 't,hearer,speaker'"),
    ("iteration,hearer,speaker\n0,1\n", "line 2 is no loss (found '0,1'"),
    ("iteration,hearer,speaker\n\n0,1,2\n0,1,two\n", "line 4: no such speaker (found 'two'; valid: 0 to 4)"),
    ("iteration,hearer,speaker\n0,5,2\n", "line 2: no such hearer (found '5'"),
    ("iteration,hearer,speaker\n20,1,2\n", "line 2: no such iteration (found '20'; valid: 0 to 19)"),
    ("iteration,hearer,speaker\n0,1.0,2\n", "line 2: no such hearer (found '1.0'"),
    ("iteration,hearer,speaker\n-1,1,2\n", "line 2: no such iteration"),
    ("iteration,hearer,speaker\n1,2,2\n", "line 2: hearer and speaker are one agent")])
def test_bad_lines_of_a_schedule_are_told(tmp_path, text, told):
    (tmp_path / "losses.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        run(**{"loss-schedule": str(tmp_path / "losses.csv")})
    assert str(tmp_path / "losses.csv") in str(caught.value) and told in str(caught.value)
    assert "network.loss-schedule.path" in str(caught.value)


def test_a_schedule_lies_beside_the_experiment_and_its_change_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    losses, file = tmp_path / "there" / "losses.csv", tmp_path / "there" / "experiment.toml"
    losses.write_text(" iteration, hearer, speaker\r\n4, 0, 1\r\n9,2,3\r\n")
    file.write_text('agents = 5\niterations = 20\ncheckpoint_every = 10\nenv = "coordination"\nalgorithm = "cac"\n'
                    'topology = { name = "periodic-complete", period = 5 }\n'
                    '[network]\nloss-schedule = "losses.csv"\n')
    found = netac.run(file, out=tmp_path / "run")
    assert found.summary["parameters_sha256"] != run().summary["parameters_sha256"]
    kept = tomllib.loads((tmp_path / "run" / "experiment.toml").read_text())
    assert kept["network"]["loss-schedule"]["path"] == str(losses)
    again = netac.run(tmp_path / "run" / "experiment.toml")
    assert again.summary["parameters_sha256"] == found.summary["parameters_sha256"]
    losses.write_text("iteration,hearer,speaker\n4,0,1\n")
    with pytest.raises(InputError, match="was changed since the run in this folder began"):
        netac.run(file, out=tmp_path / "run", resume=True)


def test_what_only_looks_late_or_lost_changes_nothing():
    plain = run().summary["parameters_sha256"]
    for network in ({"delay": 0}, {"skip": 1}, {"noise": 0.0}, {"gilbert-elliott": 0.0}, {"sleep": 0.0},
                    {"sleep": {"fraction": 0.0}}):
        assert run(**network).summary["parameters_sha256"] == plain, network
