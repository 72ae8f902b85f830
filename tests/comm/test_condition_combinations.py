"""Losses, sleep, delays, skipping, event triggers and noise, alone and together, against plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_network import PlainNetwork, counted, made

from netac import topology
from netac.comm.exchange import Condition, Exchange, Phase
from netac.comm.link_rows import LinkRows

GRAPHS = [("ring", 6), ({"name": "gossip", "probability": 0.5}, 5), ("one-peer-exponential", 5), ("disconnected", 4),
          ("complete", 2), ("disconnected", 1), ({"name": "periodic-complete", "period": 3}, 4), ("star", 5)]
SCHEDULE = str(Path(__file__).parents[1] / "data" / "losses.csv")

probability = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])
CONDITIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "loss": st.fixed_dictionaries({"probability": probability, "both_ways": st.booleans()}),
    "gilbert-elliott": st.fixed_dictionaries({
        "to_bad": probability, "to_good": st.sampled_from([0.1, 0.6, 1.0]), "good_loss": st.sampled_from([0.0, 0.1]),
        "bad_loss": st.sampled_from([0.7, 1.0]), "both_ways": st.booleans()}),
    "sleep": st.fixed_dictionaries({
        "probability": st.sampled_from([0.3, 0.8]), "start": st.sampled_from([0, 2]),
        "end": st.sampled_from([None, 5])}).flatmap(lambda one: st.sampled_from([
            one | {"agents": [0], "fraction": None}, one | {"agents": None, "fraction": 0.5},
            one | {"agents": None, "fraction": None}])),
    "loss-schedule": st.just({"path": SCHEDULE, "period": 3}),
    "delay": st.sampled_from([{"iterations": 0}, {"iterations": 1}, {"iterations": 3}, {"most": 1}, {"most": 4},
                              {"most": 3, "least": 2}]).map(
        lambda one: {"iterations": None, "most": None, "least": None} | one),
    "skip": st.fixed_dictionaries({"every": st.sampled_from([1, 2, 4]), "hold": st.booleans()}),
    "event-trigger": st.fixed_dictionaries({
        "threshold": st.sampled_from([0.0, 0.8, 1.7]), "relative": st.booleans(), "decay": st.sampled_from([0.0, 0.5]),
        "own": st.sampled_from(["value", "sent"])}),
    "noise": st.sampled_from([{"deviation": 0.1}, {"step": 0.25}, {"step": 0.2, "rounding": "dithered"},
                              {"deviation": 0.1, "step": 0.1, "relative": True}]).map(
        lambda one: {"deviation": 0.0, "step": 0.0, "rounding": "plain", "relative": False} | one)}
FEW_AGENTS = {"loss-schedule": 4}         # as many at least


def tables(names: list[str]) -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    return st.fixed_dictionaries({name: CONDITIONS[name] for name in names})


some = st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=4, unique=True).flatmap(tables).filter(
    lambda table: "event-trigger" not in table or not table.get("skip", {}).get("hold"))


def graph(number: int, table: dict[str, Any]) -> topology.Topology:
    name, N = GRAPHS[number]
    return topology.load(name, max(N, *(FEW_AGENTS.get(each, 1) for each in table)) if table else N)


def compare(graph: topology.Topology, table: dict[str, dict[str, Any]], seed: int = 3, T: int = 6, width: int = 2,
            dtype: type = float, sums: bool = False, more: tuple[Condition, ...] = (), stop: int | None = None) -> None:
    """Hold a network against plain loops: two kinds of values of different widths, the first in two rounds.

    Values walk at random, so that agents have something new to say.  At `stop` the network is made anew, from its rows.
    """
    network, ledger = made(graph, table, T, seed, more)
    plain, rng = PlainNetwork(graph, table, seed), np.random.default_rng(seed)
    tolerance = 1e-10 if dtype is float else 1e-5
    values = {"x": np.zeros((graph.agents, width)), "y": np.zeros((graph.agents, width + 1))}
    for t in range(T):
        if t == stop:
            kept = {f"rows_{name}": rows.copy() for name, rows in network.rows.items()
                    if rows.shape[1]} | network.state()
            network, ledger = made(graph, table, T, seed, more)
            network.restore(kept)
        for r, what in enumerate(("x", "x", "y")):
            values[what] += rng.standard_normal(values[what].shape)
            x = values[what].astype(dtype)
            network.post(t, x, what, sums)
            found = network.wait()
            assert found.dtype == dtype and x.tolist() == values[what].astype(dtype).tolist()
            expected = plain.exchange(t, r, what, x.astype(float), sums)
            assert np.allclose(found, expected, rtol=tolerance, atol=tolerance), (t, r, what)
    for column, count in counted(network).items():
        expected_count = {"lost": plain.lost, "delayed": plain.delayed}[column]
        assert count == [expected_count[i] for i in range(graph.agents)], column
    if stop is None:
        assert ledger.consensus_messages.tolist() == [plain.sent[i] for i in range(graph.agents)]


@pytest.mark.parametrize("name", sorted(CONDITIONS))
@given(data=st.data())
@settings(max_examples=12, derandomize=True)
def test_each_condition_does_what_its_equations_say(name, data):
    table = data.draw(tables([name]))
    compare(graph(data.draw(st.integers(0, len(GRAPHS) - 1)), table), table, data.draw(st.integers(0, 9)),
            width=data.draw(st.integers(1, 3)), sums=data.draw(st.booleans()))


@given(table=some, number=st.integers(0, len(GRAPHS) - 1), seed=st.integers(0, 99), sums=st.booleans())
@settings(max_examples=40, derandomize=True)
def test_conditions_together_do_what_their_equations_say(table, number, seed, sums):
    compare(graph(number, table), table, seed, sums=sums)


@given(table=some, number=st.integers(0, len(GRAPHS) - 1), stop=st.integers(0, 5))
@settings(max_examples=15, derandomize=True)
def test_a_network_made_anew_from_its_rows_goes_on(table, number, stop):
    compare(graph(number, table), table, stop=stop)


@pytest.mark.parametrize("table", [
    {"delay": {"iterations": None, "most": 3, "least": None}, "loss": {"probability": 0.3, "both_ways": False}},
    {"event-trigger": {"threshold": 0.8, "relative": True, "decay": 0.0, "own": "sent"},
     "sleep": {"probability": 0.3, "agents": None, "fraction": None, "start": 0, "end": None}},
    {"skip": {"every": 2, "hold": True}},
    {"noise": {"deviation": 0.1, "step": 0.0, "rounding": "plain", "relative": True},
     "gilbert-elliott": {"to_bad": 0.2, "to_good": 0.5, "good_loss": 0.1, "bad_loss": 1.0, "both_ways": True}}])
def test_single_precision_stays_single(table):
    compare(graph(1, table), table, dtype=np.float32)


class Differences(Condition):
    """Messages travel packed, as differences in single precision to what was sent before; both ends know this."""

    phase = Phase.ENCODE

    def depart(self, exchange: Exchange) -> None:
        public = self.rows.setdefault("public", np.zeros_like(exchange.sent))
        exchange.packed = (exchange.sent - public).astype(np.float32).view(np.uint8)
        public[:] = exchange.sent
        exchange.bits = exchange.bits // 2

    def arrive(self, exchange: Exchange) -> None:
        news = exchange.rows[exchange.links.place].view(np.float32).astype(float)
        copies = self.link_rows.setdefault("copies", LinkRows(len(exchange.agents), news.shape[1]))
        places = copies.of(exchange.links)
        copies.flat[places] += news
        exchange.received = copies.flat[places]


@pytest.mark.parametrize("number", [0, 3, 4, 5, 7])        # graphs that do not change
def test_encoded_messages_are_decoded_when_they_come_however_late_they_are_used(number):
    table = {"delay": {"iterations": None, "most": 3, "least": None}, "loss": {"probability": 0.3, "both_ways": True}}
    network, _ = made(graph(number, table), table, 9, 3, [Differences()])
    plain, rng = PlainNetwork(graph(number, table), table), np.random.default_rng(0)
    for t in range(9):
        x = rng.integers(-99, 99, (network.degrees(t).size, 3)) / 8.0         # exact in single precision
        assert np.allclose(network.mix(t, x), plain.exchange(t, 0, "x", x), rtol=0, atol=1e-12)


SYMMETRIC = [{"gilbert-elliott": {"to_bad": 0.3}}, {"sleep": {"probability": 0.4}}, {"sleep": {"agents": [1, 2]}},
             {"skip": {"every": 2}}, {"event-trigger": {"threshold": 0.5, "own": "sent"}},
             {"gilbert-elliott": 0.3, "sleep": 0.2, "skip": 3, "loss": 0.2}]
DRIFTING = [{"gilbert-elliott": {"to_bad": 0.3, "both_ways": False}}, {"delay": 2}, {"event-trigger": 0.5},
            {"skip": {"every": 2, "hold": True}}, {"noise": 0.1},
            {"event-trigger": {"threshold": 0.5, "own": "sent"}, "loss": 0.3},
            {"loss-schedule": {"path": SCHEDULE, "period": 3}}]


def mean_moves(table: dict[str, Any]) -> tuple[float, tuple[str, ...]]:
    """By how much averaging on a path moves the mean under a table's conditions, at most, and their notes."""
    graph = topology.load("path", 6)
    network, _ = made(graph, table)
    x, moved = np.random.default_rng(5).standard_normal((6, 3)), 0.0
    for t in range(30):
        before = x.mean(axis=0)
        x = network.mix(t, x)
        moved = max(moved, np.abs(x.mean(axis=0) - before).max())
    return moved, tuple(note for condition in network._conditions for note in condition.notes)


@pytest.mark.parametrize("table", SYMMETRIC, ids=str)
def test_what_fails_both_ways_keeps_the_mean(table):
    moved, notes = mean_moves(table)
    assert moved < 1e-14 and not notes


@pytest.mark.parametrize("table", DRIFTING, ids=str)
def test_what_lets_the_mean_drift_says_so(table):
    moved, notes = mean_moves(table)
    assert moved > 1e-3 and any("drifts" in note for note in notes)
