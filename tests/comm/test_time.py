"""Simulated time: works and flights by their distributions, who waits for whom, and how late messages are."""

from __future__ import annotations

import math
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netac.comm.conditions._time import EdgeValues, Times, late, ready
from netac.topology.edges import from_edges
from netac.utils.errors import InputError

MANY = np.arange(20_000)
S = math.log(1.25) ** 0.5            # standard deviation of the logarithm where the relative one is 0.5


def test_work_without_jitter_is_what_is_said_of_each_agent():
    times = Times(compute=[0.5, 2.0, 3.0], stragglers=(2,), factor=10.0)
    np.testing.assert_array_equal(times.work(7, np.array([2, 0, 1])), [30.0, 0.5, 2.0])
    np.testing.assert_array_equal(Times(compute=0.25).work(0, np.arange(3)), [0.25] * 3)
    assert Times(compute=0.25).work(np.arange(4), np.arange(3)[:, None]).shape == (3, 4)


@pytest.mark.parametrize(("distribution", "jitter"), [("lognormal", 0.3), ("lognormal", 1.5), ("exponential", 0.3),
                                                      ("exponential", 1.0)])
def test_jitter_is_the_relative_standard_deviation_and_leaves_the_mean(distribution, jitter):
    times = Times(compute=2.0, jitter=jitter, distribution=distribution, latency=3.0, latency_jitter=jitter)
    for drawn, mean in ((times.work(5, MANY), 2.0), (times.flight(5, MANY, MANY[::-1], 10.0), 3.0)):
        assert (drawn > 0).all()
        assert abs(drawn.mean() / mean - 1.0) < 5 * jitter / len(MANY) ** 0.5
        assert 0.85 < drawn.std() / mean / jitter < 1.15


@pytest.mark.parametrize(("times", "distribution_function"), [
    (Times(compute=1.0, jitter=0.4, distribution="exponential"), lambda w: 1 - math.exp(-max(0.0, w - 0.6) / 0.4)),
    (Times(compute=1.0, jitter=0.5), lambda w: 0.5 + 0.5 * math.erf((math.log(w) / S + S / 2) / 2**0.5))])
def test_distributions_are_the_named_ones(times, distribution_function):
    work = times.work(3, MANY)
    for w in (0.5, 0.59, 0.7, 0.9, 1.0, 1.3, 2.0, 3.0):
        assert abs((work <= w).mean() - distribution_function(w)) < 0.015


def test_chance_is_by_seed_iteration_and_agent_or_link_alone():
    times = Times(compute=1.0, jitter=0.5, latency=1.0, latency_jitter=0.5, stragglers=0.5, factor=3.0)
    agents, others = np.arange(50), np.arange(50)[::-1]
    some = np.array([40, 3, 17])
    work, flight = times.work(4, agents, 9), times.flight(4, agents, others, 0.0, 9)
    np.testing.assert_array_equal(times.work(4, some, 9), work[some])
    np.testing.assert_array_equal(times.flight(4, some, others[some], 0.0, 9), flight[some])
    table = times.work(np.arange(6), agents[:, None], 9)
    np.testing.assert_array_equal(table[:, 4], work)
    assert len(np.unique(np.concatenate([work, times.work(5, agents, 9), times.work(4, agents, 8)]))) == 150
    assert (times.flight(4, others, agents, 0.0, 9) != flight).all()          # the two links of an edge differ
    poisson = Times(compute=1.0, jitter=1.0, distribution="exponential")
    assert abs(np.corrcoef(poisson.work(0, MANY), poisson.work(1, MANY))[0, 1]) < 0.03


def test_a_fraction_of_the_agents_are_stragglers_for_the_whole_run():
    times = Times(compute=1.0, stragglers=0.2, factor=4.0)
    work = times.work(0, MANY, 1)
    assert abs((work == 4.0).mean() - 0.2) < 0.02 and set(work) == {1.0, 4.0}
    np.testing.assert_array_equal(times.work(1, MANY, 1), work)
    assert (times.work(0, MANY, 2) != work).any()


def test_a_message_flies_for_its_latency_and_its_bits():
    hearer, speaker = np.array([0, 1, 1]), np.array([1, 0, 2])
    graph = nx.Graph()
    graph.add_edge(1, 0, latency_ms=20.0, mbit=1.0)
    graph.add_edge(2, 1, mbit=2.0)
    latency, bandwidth = EdgeValues.of(graph, "latency_ms", 5.0, 1e-3), EdgeValues.of(graph, "mbit", 8.0, 1e6)
    found = Times(latency=latency, bandwidth=bandwidth).flight(0, hearer, speaker, np.array([1e6, 2e6, 3e6]))
    np.testing.assert_allclose(found, [1.02, 2.02, 1.505], rtol=1e-12)
    np.testing.assert_array_equal(Times(latency=0.5).flight(0, hearer, speaker, 1e9), [0.5] * 3)


def test_directed_edges_have_values_of_their_own_and_edge_arrays_the_default():
    graph = nx.DiGraph([(0, 1), (1, 0)])
    graph.edges[0, 1]["ms"], graph.edges[1, 0]["ms"] = 1.0, 2.0
    values = EdgeValues.of(graph, "ms", 0.0)
    np.testing.assert_array_equal(values.at(np.array([1, 0]), np.array([0, 1])), [1.0, 2.0])     # 1 hears 0 over 0 -> 1
    plain = EdgeValues.of(from_edges(3, (np.array([0, 1]), np.array([1, 2]))), "ms", 7.0, 0.5)
    np.testing.assert_array_equal(plain.at(np.array([2, 0]), np.array([1, 1])), [3.5, 3.5])
    with pytest.raises(InputError) as error:
        Times(latency=values).flight(0, np.array([0, 2]), np.array([1, 1]), 0.0)
    assert error.value.key == "latency" and error.value.found == (1, 2)
    with pytest.raises(InputError):
        EdgeValues(*np.empty((3, 0))).at(np.array([0]), np.array([1]))


@given(st.integers(1, 6), st.data())
def test_agents_begin_when_their_work_and_their_neighbours_messages_are_there(n, data):
    seconds = st.floats(0, 100)
    done = np.array(data.draw(st.lists(seconds, min_size=n, max_size=n)))
    links = data.draw(st.lists(st.tuples(st.integers(0, n - 1), seconds, seconds), max_size=12))
    expected = list(done)
    for hearer, sent, flight in links:
        expected[hearer] = max(expected[hearer], sent + flight)
    hearer, sent, flight = (np.array([link[k] for link in links], dtype) for k, dtype in enumerate((int, float, float)))
    before = done.copy()
    np.testing.assert_array_equal(ready(done, sent, flight, hearer), expected)
    np.testing.assert_array_equal(done, before)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_messages_are_late_by_whole_beats(work, flight, period):
    exact = max(0, math.ceil(Fraction(work + flight, period)) - 1)           # in tenths of a second
    assert late(np.array([work * 0.1]), np.array([flight * 0.1]), period * 0.1).tolist() == [exact]


def test_a_message_that_is_there_at_the_end_of_its_beat_is_in_time():
    assert late(np.array([0.1, 0.1, 0.1, 0.0]), np.array([0.2, 0.2001, 0.5001, 0.0]), 0.3).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(("wrong", "key"), [
    ({"latency": -1.0}, "latency"), ({"latency": math.inf}, "latency"), ({"bandwidth": 0.0}, "bandwidth"),
    ({"compute": [1.0, -1.0]}, "compute"), ({"compute": math.nan}, "compute"), ({"jitter": -0.1}, "jitter"),
    ({"jitter": 1.1, "distribution": "exponential"}, "jitter"), ({"latency_jitter": -1.0}, "latency_jitter"),
    ({"distribution": "normal"}, "distribution"), ({"factor": 0.0}, "factor"), ({"stragglers": 1.5}, "stragglers"),
    ({"latency": EdgeValues(np.array([0]), np.array([1]), np.array([-2.0]))}, "latency")])
def test_times_that_cannot_be_are_refused(wrong, key):
    with pytest.raises(InputError) as error:
        Times(**wrong)
    assert error.value.key == key and error.value.valid


def test_what_is_said_of_agents_that_are_not_there_is_refused():
    Times(compute=[1.0, 2.0], stragglers=[1]).check(2)
    for wrong, key in (({"compute": [1.0, 2.0]}, "compute"), ({"stragglers": (3,)}, "stragglers")):
        with pytest.raises(InputError) as error:
            Times(**wrong).check(3)
        assert error.value.key == key
    with pytest.raises(InputError):
        late(np.zeros(1), np.zeros(1), 0.0)
