"""Push-sum against plain loops, with and without messages that get lost, and that nothing put in disappears."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.conditioned import Processes, Watching, digraph, load, made, network, of

from netac.comm.exchange import Condition, Exchange, Phase
from netac.comm.network import Network
from netac.experiment import config
from netac.topology import Topology
from netac.utils.errors import InputError

LOSS = {"loss": {"probability": 0.4, "both_ways": False}}
PUSH = {"push-sum": True}
GRAPHS = {"directed": lambda: of(digraph(8, 12)), "one way round": lambda: of(digraph(5, 0)),
          "star": lambda: load("star", 6), "complete": lambda: load("complete", 4),
          "none": lambda: load("disconnected", 3), "one": lambda: load("complete", 1),
          "two": lambda: load("complete", 2)}


class Late(Condition):
    """Every third message is one that left up to two exchanges ago, newest and oldest in disorder."""

    phase = Phase.DELAY

    def __init__(self):
        self._left = []

    def arrive(self, exchange: Exchange) -> None:
        self._left = [*self._left, exchange.received.copy()][-3:]
        which = exchange.links.speaker + exchange.links.hearer + exchange.t
        old = np.minimum(which % 3, len(self._left) - 1)
        exchange.received = np.stack([self._left[-1 - back][k] for k, back in enumerate(old)]) \
            if len(old) else exchange.received
        self.sent = exchange.t - old


class Skipping(Condition):
    """Agents send in every third exchange, each at another one."""

    phase = Phase.SEND

    def depart(self, exchange: Exchange) -> None:
        exchange.sends = (np.array(exchange.agents) + exchange.t) % 3 == 0


class Loops:
    """Push-sum as the equations have it: a mailbox for each link, which holds all that was ever put in and not taken.

    Lost shares lie in the mailbox until the next message arrives.
    """

    def __init__(self, hears: np.ndarray, amplify: float = 4.0):
        self.hears, self.amplify, self.N = hears, amplify, len(hears)
        self.z = None

    def round(self, v: np.ndarray, arrived: np.ndarray) -> np.ndarray:
        N = self.N
        if self.z is None:
            self.x, self.w, self.box = v.copy(), np.ones(N), np.zeros((N, N, v.shape[1] + 1))
        else:
            for i in range(N):
                self.x[i] += min(1.0, self.amplify * self.w[i]) * (v[i] - self.z[i])
        for j in range(N):
            a = 1.0 / (1 + self.hears[:, j].sum())
            for i in range(N):
                if self.hears[i, j]:
                    self.box[i, j] += a * np.append(self.x[j], self.w[j])
            self.x[j], self.w[j] = a * self.x[j], a * self.w[j]
        for i in range(N):
            for j in range(N):
                if arrived[i, j]:
                    self.x[i] += self.box[i, j, :-1]
                    self.w[i] += self.box[i, j, -1]
                    self.box[i, j] = 0.0
        self.z = self.x / self.w[:, None]
        return self.z


def hears(graph: Topology, t: int = 0) -> np.ndarray:
    found = graph.matrix(t).toarray() != 0
    np.fill_diagonal(found, False)
    return found


def push_sum(through: Network):
    return next(each for each in through._conditions if each.name == "push-sum")


def mass(through: Network, graph: Topology, what: str = "x") -> np.ndarray:
    """What agents hold and what is under way to them, all together: (x, w)."""
    kept = push_sum(through)
    total = kept.rows[f"held_{what}"].sum(axis=0)
    if f"given_{what}" in kept.rows:
        given, heard = kept.rows[f"given_{what}"], kept.link_rows[f"heard_{what}"]
        for i, j in zip(*np.nonzero(hears(graph)), strict=True):
            slot = np.flatnonzero(heard.speakers[i] == j)
            total += given[j] - (heard.numbers[i, slot[0]] if len(slot) else 0.0)
    return total


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_every_round_is_that_of_the_loops_and_nothing_disappears(graph, lost):
    graph, watching, rng = GRAPHS[graph](), Watching(), np.random.default_rng(0)
    through, loops = network(graph, PUSH | (LOSS if lost else {}), watching), Loops(hears(graph))
    x = wanted = rng.standard_normal((graph.agents, 3))
    put_in = x.sum(axis=0)
    for t in range(60):
        x = through.mix(t, x)
        wanted = loops.round(wanted, watching.arrived)
        assert np.allclose(x, wanted, rtol=0, atol=1e-10)
        held = mass(through, graph)
        assert np.allclose(held[:-1], put_in, rtol=0, atol=1e-12) and abs(held[-1] - graph.agents) < 1e-12
        if t < 20:
            change = rng.standard_normal(x.shape)
            counted = np.minimum(1.0, 4.0 * loops.w)[:, None]
            x, wanted, put_in = x + change, wanted + change, put_in + (counted * change).sum(axis=0)


@pytest.mark.parametrize("table", [{}, LOSS, {"push-sum": {"amplify": 1.0}} | LOSS], ids=["all", "loss", "damped"])
@settings(max_examples=6)
@given(n=st.integers(1, 9), more=st.integers(0, 12), seed=st.integers(0, 1000))
def test_agents_agree_on_the_exact_average(table, n, more, seed):
    in_agreement(of(digraph(n, more, seed)) if n > 1 else load("complete", 1), PUSH | table, seed)


@settings(max_examples=6)
@given(name=st.sampled_from(["ring", "star", "path", "tree", "complete"]), n=st.integers(1, 9), seed=st.integers(0, 99))
def test_on_undirected_graphs_too(name, n, seed):
    in_agreement(load(name, n), PUSH, seed)


def in_agreement(graph: Topology, table: dict, seed: int) -> None:
    through = network(graph, table, seed=seed)
    x = start = np.random.default_rng(seed).standard_normal((graph.agents, 2))
    for t in range(60):
        x = through.mix(t, x, rounds=25)
        if np.ptp(x, axis=0).max() < 3e-13:                # running sums of so many rounds are not more exact
            break
    assert np.allclose(x, start.mean(axis=0), rtol=0, atol=1e-12)


def test_on_a_graph_that_changes_the_shares_themselves_travel():
    graphs = [digraph(6, 3, seed) for seed in range(3)]
    through, topology = network(of(*graphs), PUSH), of(*graphs)
    x = start = np.random.default_rng(1).standard_normal((6, 2))
    held, w = x.copy(), np.ones(6)
    for t in range(200):
        A = np.where(hears(topology, t) | np.eye(6, dtype=bool), 1.0, 0.0)
        A /= A.sum(axis=0)
        held, w = A @ held, A @ w
        x = through.mix(t, x)
        assert np.allclose(x, held / w[:, None], rtol=0, atol=1e-12)
    assert np.allclose(x, start.mean(axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("others", [(Late,), (Skipping,), (Late, Skipping)])
@pytest.mark.parametrize("loss", [False, True])
def test_late_and_skipped_messages_change_nothing_in_the_end(others, loss):
    graph = of(digraph(6, 8))
    conditions = sorted([*made(graph, PUSH | (LOSS if loss else {})), *(other() for other in others)],
                        key=lambda each: each.phase)
    conditions[0].look_around(conditions)
    through = Network(graph.matrix, network(graph, {})._placement, network(graph, {})._ledger, conditions=conditions)
    x = start = np.random.default_rng(2).standard_normal((6, 3))
    for t in range(600):
        x = through.mix(t, x)
        if t % 50 == 0:
            assert np.allclose(mass(through, graph), [*start.sum(axis=0), 6], rtol=0, atol=1e-12)
            assert (push_sum(through).rows["held_x"][:, -1] > 0).all()
    assert np.allclose(x, start.mean(axis=0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("table", [
    {"delay": {"most": 3}}, {"skip": 3}, {"skip": {"every": 3, "hold": True}}, {"sleep": 0.3},
    {"gilbert-elliott": {"to_bad": 0.3, "to_good": 0.3}}, {"sleep": 0.2, "delay": {"most": 2}, "skip": 2} | LOSS])
def test_with_all_that_loses_messages_or_holds_them_back(table):
    graph = of(digraph(6, 8))
    through, parts = network(graph, PUSH | table), Processes(graph, PUSH | table, 3)
    x = three = start = np.random.default_rng(2).standard_normal((6, 3))
    for t in range(700):
        if t == 9:
            kept = {f"rows_{name}": rows for name, rows in through.rows.items()} | through.state()
            through = network(graph, PUSH | table)
            through.restore(kept)
        x = through.mix(t, x)
        if t < 20:
            three = parts.mix(t, three)
            assert x.tobytes() == three.tobytes()
        if t % 50 == 0:
            assert np.allclose(mass(through, graph), [*start.sum(axis=0), 6], rtol=0, atol=1e-12)
    assert np.allclose(x, start.mean(axis=0), rtol=0, atol=1e-11)


def test_an_agent_that_nobody_reaches_for_long_goes_on_and_comes_back():
    class Away(Condition):
        def arrive(self, exchange: Exchange) -> None:
            if 10 <= exchange.t < 50:
                exchange.arrived = exchange.arrived & (exchange.links.hearer != 2) & (exchange.links.speaker != 2)

    graph = load("complete", 4)
    conditions = [*made(graph, PUSH), Away()]
    conditions[0].look_around(conditions)
    through = Network(graph.matrix, network(graph, {})._placement, network(graph, {})._ledger, conditions=conditions)
    x, counted = np.zeros((4, 1)), 0.0
    for t in range(150):
        if t == 30:
            x = x + np.array([[1.0], [0.0], [0.0], [0.0]])
            counted = min(1.0, 4.0 * push_sum(through).rows["held_x"][0, -1])
        before, x = x, through.mix(t, x)
        assert np.isfinite(x).all()
        if t == 49:
            assert np.array_equal(x[2], before[2]) and np.allclose(x[[0, 1, 3]], x[0], rtol=0, atol=1e-12)
    assert 0.0 < counted < 0.02 and np.allclose(x, counted / 4, rtol=0, atol=1e-12)


def test_steps_count_once_whatever_the_weights():
    """Decentralized gradient descent on |x - b_i|^2 / 2: the minimum is the mean of the b_i, in spite of the graph."""
    graph, b = of(digraph(6, 6, 3)), np.arange(6.0)[:, None]
    through, x = network(graph, PUSH), np.zeros((6, 1))
    for t in range(3000):
        x = through.mix(t, x - 1.0 / (t + 20) * (x - b))
    w = push_sum(through).rows["held_x"][:, -1]
    assert w.max() / w.min() > 1.5 and abs((w * b[:, 0]).mean() - b.mean()) > 0.05, "else the graph tells nothing"
    assert np.allclose(x, b.mean(), rtol=0, atol=2e-2)


def test_variables_are_kept_apart_and_rounds_go_on():
    graph, rng = of(digraph(5, 4)), np.random.default_rng(3)
    x, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    through = network(graph, PUSH)
    for t in range(6):
        x, y = through.mix(t, x, 2), through.mix(t, y, 3, "y")
    again = np.random.default_rng(3)
    x_alone, y_alone = again.standard_normal((5, 2)), again.standard_normal((5, 3))
    assert np.array_equal(x, network(graph, PUSH).mix(0, x_alone, 12))
    assert np.array_equal(y, network(graph, PUSH).mix(0, y_alone, 18, "y"))


def test_sums_are_left_alone():
    graph, x = of(digraph(5, 4)), np.random.default_rng(4).standard_normal((5, 2))
    found = []
    for table in (PUSH | LOSS, LOSS):
        through = network(graph, table)
        through.post(0, x, "x", sums=True)
        found.append(through.wait())
    assert np.array_equal(*found)


@pytest.mark.parametrize("lost", [False, True])
def test_single_precision_outside_and_double_inside(lost):
    graph = of(digraph(6, 6))
    x = np.random.default_rng(5).standard_normal((6, 2)).astype(np.float32)
    through = network(graph, PUSH | (LOSS if lost else {}))
    mixed = through.mix(0, x, rounds=400)
    assert mixed.dtype == np.float32 and np.allclose(mixed, x.mean(axis=0), rtol=2e-7, atol=1e-7)
    assert np.allclose(mass(through, graph)[:-1], x.sum(axis=0, dtype=float), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lost", [False, True])
def test_the_bits_do_not_depend_on_the_number_of_processes_and_a_stop_changes_none(lost):
    graph, table = of(digraph(7, 9)), PUSH | (LOSS if lost else {})
    x = np.random.default_rng(6).standard_normal((7, 4))
    whole, parts, through = Processes(graph, table, 1), Processes(graph, table, 3), network(graph, table)
    one = three = alone = x
    for t in range(12):
        if t == 7:
            kept = {f"rows_{name}": rows for name, rows in through.rows.items()} | through.state()
            through = network(graph, table)
            through.restore(kept)
        one, three, alone = whole.mix(t, one), parts.mix(t, three), through.mix(t, alone)
        assert one.tobytes() == three.tobytes() == alone.tobytes()


def test_what_travels_is_counted():
    graph = of(digraph(5, 0))
    through = network(graph, PUSH)
    through.mix(0, np.ones((5, 3), np.float32))
    assert through._ledger.consensus_bytes.tolist() == [32] * 5, "3 numbers and w, in double precision"


def test_what_only_tells_the_time_lets_the_graph_change():
    graph, x = of(*(digraph(6, 3, seed) for seed in range(3))), np.random.default_rng(7).standard_normal((6, 2))
    clock = {"clock": {"latency": 0.1, "compute": 0.2}}
    assert np.array_equal(network(graph, PUSH | clock).mix(0, x, 5), network(graph, PUSH).mix(0, x, 5))


@pytest.mark.parametrize("table, graph, message", [
    ({"trimmed-mean": 1}, "complete", "network.push-sum: does not go with trimmed-mean"),
    ({"adversaries": {"attack": "scaled", "number": 0}}, "complete", "network.push-sum: does not go with adversaries"),
    ({"loss": 0.1}, "periodic-complete", "network.push-sum: does not go with loss on a graph that changes"),
    ({"event-trigger": 0.1}, "complete", "network.push-sum: does not go with event-trigger"),
    ({"quantisation": 4}, "complete", "does not go with"), ({"noise": 0.1}, "complete", "does not go with"),
    ({"clock": {"schedule": "asynchronous", "compute": 1.0}}, "complete", "does not go with"),
    ({"push-sum": {"amplify": 0.5}}, "complete", "network.push-sum.amplify")])
def test_bad_input_is_refused(table, graph, message):
    with pytest.raises(InputError, match=message):
        network(load({"name": graph} | ({"period": 3} if graph == "periodic-complete" else {}), 4), PUSH | table)


def test_nobody_is_told_of_a_drift_that_push_sum_prevents():
    table = {"loss": {"probability": 0.3, "both_ways": False}, "delay": 2}
    loaded = load("ring", 5)
    for push, told in (({}, 2), ({"push-sum": True}, 0)):
        tables = {"agents": 5, "iterations": 50, "env": "coordination", "topology": "ring", "algorithm": "cac",
                  "network": table | push}
        made = config.read(tables).experiment().network.make(loaded, 50)
        assert sum("drifts" in note for condition in made for note in condition.notes) == told
