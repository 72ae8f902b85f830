"""Simulated time: who waits for whom, what comes late, and agents that act when they are ready."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from support.condition_networks import network

from netac import topology
from netac.comm.conditions._events import AsynchronousGossip
from netac.comm.conditions._time import Times
from netac.comm.exchange import SECONDS
from netac.utils.errors import InputError

WIDTH = 6
BITS = 64 * WIDTH


def values(agents: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((agents, WIDTH))


def seconds(net) -> np.ndarray:
    return net.told()[SECONDS]


@pytest.mark.parametrize("graph,agents", [("ring", 5), ("star", 4), ("ring", 2), ("complete", 1)])
def test_an_agent_waits_for_its_work_and_for_all_that_was_sent_to_it(graph, agents):
    compute = [0.01 * (i + 1) for i in range(agents)]
    clock = {"latency": 0.02, "bandwidth": 1e4, "compute": compute, "stragglers": [0], "factor": 3.0}
    net, neighbours = network({"clock": clock}, agents, graph), topology.load(graph, agents).graph(0)
    T, x = [0.0] * agents, values(agents)
    for t in range(12):
        for round in range(1 + t % 2):
            x = net.mix(t, x)
            T = [max([T[i] + (compute[i] * (3.0 if i == 0 else 1.0) if round == 0 or t % 2 == 0 else 0.0),
                      *(T[j] + 0.02 + BITS / 1e4 for j in nx.Graph(neighbours)[i])]) for i in range(agents)]
            assert np.allclose(seconds(net), T, rtol=1e-12)
            if t % 2 == 0:
                break
    plain = network({}, agents, graph)
    y = values(agents)
    for t in range(12):
        for _ in range(1 + t % 2):
            y = plain.mix(t, y)
    assert np.array_equal(x, y), "time changes nothing but the time"


def test_rounds_of_an_iteration_take_its_work_once():
    net = network({"clock": {"compute": 1.0, "latency": 0.25}}, 4)
    net.mix(0, values(4), rounds=3)
    assert np.allclose(seconds(net), 1.0 + 2 * 0.25)


def test_the_latencies_of_edges_are_those_of_the_graph(tmp_path):
    file = tmp_path / "slow.py"
    file.write_text("""import networkx as nx

def period(n):
    return 1

def graph(t, n):
    made = nx.path_graph(n)
    for i, j in made.edges:
        made.edges[i, j].update(latency_ms=10.0 * (i + 1), mbit=0.001)
    return made
""")
    net = network({"clock": {"latency": "edges", "bandwidth": "edges"}}, 3, str(file))
    net.mix(0, values(3))
    first, second = 0.01 + BITS / 1000, 0.02 + BITS / 1000
    assert np.allclose(seconds(net), [first, second, second])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_message_late_by_d_beats_is_delayed_by_d_iterations(d):
    net = network({"clock": {"schedule": "beat", "period": 0.01, "latency": 0.01 * d + 0.005}}, 5)
    delayed = network({"delay": d}, 5)
    for t in range(12):
        x = values(5, t)
        assert np.array_equal(net.mix(t, x), delayed.mix(t, x))
    assert np.allclose(seconds(net), 0.12)
    assert net.told()["delayed"].tolist() == delayed.told()["delayed"].tolist() == [24.0] * 5


def test_what_is_in_time_is_not_late_and_what_is_much_too_late_is_lost():
    x = values(5)
    in_time = network({"clock": {"schedule": "beat", "period": 0.01, "compute": 0.004, "latency": 0.006}}, 5)
    assert np.array_equal(in_time.mix(0, x), network({}, 5).mix(0, x))
    lost = network({"clock": {"schedule": "beat", "period": 0.01, "latency": 0.05, "most": 2}}, 5)
    for t in range(6):
        assert np.allclose(lost.mix(t, x), x, rtol=1e-15, atol=0)
    assert lost.told()["lost"].tolist() == [12.0] * 5


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_agents_that_act_when_they_are_ready_are_the_engine(loss):
    table = {"clock": {"schedule": "asynchronous", "period": 0.03, "compute": 0.01, "jitter": 1.0,
                       "distribution": "exponential", "latency": 0.004}} | ({"loss": loss} if loss else {})
    net, seed = network(table, 6, seed=7), 7
    W = topology.load("ring", 6).matrix(0).tocoo()
    off = W.row != W.col
    engine = AsynchronousGossip(6, W.row[off], W.col[off], W.data[off], Times(
        latency=0.004, compute=0.01, jitter=1.0, distribution="exponential"), WIDTH, loss=loss, seed=seed)
    for t in range(10):
        x = values(6, t)
        assert np.array_equal(net.mix(t, x), engine.advance(x, (t + 1) * 0.03))
    assert math.isclose(seconds(net).max(), 0.3)
    assert net._ledger.consensus_messages.tolist() == engine.messages.tolist()
    assert net.told()["lost"].tolist() == engine.lost.tolist()


@pytest.mark.parametrize("clock,key", [
    ({"latency": -1.0}, "latency"), ({"bandwidth": 0.0}, "bandwidth"), ({"compute": [1.0]}, "compute"),
    ({"stragglers": [9]}, "stragglers"), ({"stragglers": 1.5}, "stragglers"), ({"jitter": -0.1}, "jitter"),
    ({"schedule": "beat"}, "period"), ({"period": 1.0}, "period"), ({"latency": "edges"}, "latency"),
    ({"schedule": "asynchronous", "period": 1.0}, "compute"), ({"schedule": "beat", "period": 1.0, "most": 50}, "most"),
    ({"factor": 0.0}, "factor"), ({"latency": math.nan}, "latency")])
def test_times_that_cannot_be_are_refused(clock, key):
    with pytest.raises(InputError) as caught:
        network({"clock": clock}, 5, iterations=20)
    assert caught.value.key == f"network.clock.{key}" and caught.value.valid


def test_agents_without_a_common_round_ask_for_a_graph_that_stays_and_no_other_condition():
    asynchronous = {"schedule": "asynchronous", "compute": 0.1}
    with pytest.raises(InputError, match="does not change"):
        network({"clock": asynchronous}, 5, {"name": "gossip"})
    with pytest.raises(InputError, match="misses a difference"):
        network({"clock": {"schedule": "beat", "period": 1.0}, "quantisation": 4}, 5)
    with pytest.raises(InputError, match="common round"):
        network({"clock": asynchronous, "noise": 0.1}, 5)
