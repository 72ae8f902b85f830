"""Asynchronous gossip in virtual time: against an event simulation, whatever the stretches in which it is computed."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.comm.conditions import _events
from netac.comm.conditions._events import AsynchronousGossip, substitute
from netac.comm.conditions._time import CLOCK, LOSS, Times, link_codes
from netac.utils.errors import InputError
from netac.utils.streams import Purpose, pair_uniforms

POISSON = {"compute": 1.0, "jitter": 1.0, "distribution": "exponential"}


class Simulation:
    """One event after the other, from a heap: agents act, and messages arrive, which come first at equal times."""

    def __init__(self, x, links, times, bits, loss, depth, seed):
        self.x, self.times, self.seed, self.depth = [row.copy() for row in x], times, seed, depth
        self.weights = {(int(i), int(j)): float(w) for i, j, w in zip(*links, strict=True)}
        self.bits, self.loss = bits, loss
        self.acted = [0] * len(x)
        self.lost, self.sent = [0] * len(x), [0] * len(x)
        self.inbox = {}                                       # (hearer, speaker): (number, value)
        self.heap = []
        for i in range(len(x)):
            self.plan(i, 0.0)

    def plan(self, i, now):
        work = self.times.work(self.acted[i], np.array([i]), self.seed)[0]
        heapq.heappush(self.heap, (now + work, 1, i, self.acted[i], None, None))

    def run(self, until):
        while self.heap[0][0] < until:
            time, kind, i, number, j, value = heapq.heappop(self.heap)
            if kind == 0:
                if number > self.inbox.get((i, j), (-1, None))[0]:
                    self.inbox[i, j] = number, value
            else:
                self.act(i, number, time)
        return np.array(self.x)

    def act(self, i, number, time):
        x, step = self.x, 0.0
        for (hearer, j), weight in self.weights.items():
            if hearer == i and (i, j) in self.inbox:
                k, value = self.inbox[i, j]
                if self.acted[j] - k <= self.depth:
                    step = step + weight * (value - x[i])
        x[i] = x[i] + step
        for hearer, j in self.weights:
            if j == i:
                pair = np.array([hearer]), np.array([i])
                self.sent[i] += 1
                u = pair_uniforms(self.seed, Purpose.NETWORK, (CLOCK, LOSS), np.array([number]), link_codes(*pair))[0]
                if u < self.loss:
                    self.lost[i] += 1
                    continue
                flight = self.times.flight(number, *pair, self.bits, self.seed)[0]
                heapq.heappush(self.heap, (time + flight, 0, hearer, number, i, x[i].copy()))
        self.acted[i] += 1
        self.plan(i, time)


def random_links(rng, n, share, symmetric):
    """Links between agents, each with that probability, and weights of which no row has a sum of more than 1."""
    there = rng.random((n, n)) < share
    if symmetric:
        there |= there.T
    np.fill_diagonal(there, False)
    hearer, speaker = np.nonzero(there)
    return hearer, speaker, rng.random(len(hearer)) / np.maximum(1, there.sum(axis=1))[hearer]


CASES = st.fixed_dictionaries({
    "n": st.integers(1, 7), "width": st.integers(1, 3), "share": st.sampled_from([0.0, 0.3, 1.0]),
    "symmetric": st.booleans(), "latency": st.sampled_from([0.0, 0.01, 0.25, 1.0, 3.7]),
    "bits": st.sampled_from([0.0, 40.0]), "jitter": st.sampled_from([0.0, 0.3, 1.0]),
    "latency_jitter": st.sampled_from([0.0, 0.0, 0.8]), "distribution": st.sampled_from(["lognormal", "exponential"]),
    "loss": st.sampled_from([0.0, 0.3, 1.0]), "depth": st.sampled_from([None, 1, 2, 5]), "equal": st.booleans(),
    "until": st.sampled_from([0.5, 4.0, 12.0]), "seed": st.integers(0, 10**6)})


def build(case):
    """x, the links, the simulation and the engine of a case."""
    rng = np.random.default_rng(case["seed"])
    n = case["n"]
    links = random_links(rng, n, case["share"], case["symmetric"])
    times = Times(latency=case["latency"], bandwidth=100.0, compute=1.0 if case["equal"] else rng.uniform(0.3, 2.0, n),
                  jitter=case["jitter"], latency_jitter=case["latency_jitter"], distribution=case["distribution"],
                  stragglers=0.3, factor=4.0)
    engine = AsynchronousGossip(n, *links, times, case["width"], bits=case["bits"], loss=case["loss"],
                                depth=case["depth"], seed=case["seed"])
    x = rng.normal(size=(n, case["width"]))
    return x, engine, Simulation(x, links, times, case["bits"], case["loss"], engine.depth, case["seed"])


@settings(max_examples=80)
@given(CASES)
def test_events_are_those_of_a_simulation_event_by_event(case):
    x, engine, simulation = build(case)
    np.testing.assert_allclose(engine.advance(x, case["until"]), simulation.run(case["until"]), rtol=0, atol=1e-12)
    assert engine.events.tolist() == simulation.acted
    assert engine.messages.tolist() == simulation.sent and engine.lost.tolist() == simulation.lost


@settings(max_examples=40)
@given(CASES, st.lists(st.floats(0.0, 12.0), max_size=5), st.sampled_from([2, 4, 256]))
def test_stretches_of_time_do_not_matter_to_a_bit(case, cuts, columns):
    x, whole, _ = build(case)
    y, parts, _ = build(case)
    parts._most_columns = columns
    x = whole.advance(x, case["until"])
    for cut in [*sorted(cut for cut in cuts if cut < case["until"]), case["until"]]:
        y = parts.advance(y, cut)
    assert (x == y).all()
    same(whole.state(), parts.state())


@settings(max_examples=25)
@given(CASES, st.floats(0.0, 8.0))
def test_what_is_kept_is_all_that_goes_on_and_agents_may_learn_meanwhile(case, cut):
    x, engine, simulation = build(case)
    shapes = {name: array.shape for name, array in engine.state().items()}
    x = engine.advance(x, cut)
    simulation.run(cut)
    simulation.x = list(np.cos(x))
    _, resumed, _ = build(case)
    kept = engine.state()
    resumed.restore(kept)
    x = np.cos(x)
    y, z = engine.advance(x, cut + 6.0), resumed.advance(x, cut + 6.0)
    assert (y == z).all()
    same(engine.state(), resumed.state())
    np.testing.assert_allclose(y, simulation.run(cut + 6.0), rtol=0, atol=1e-12)
    assert {name: array.shape for name, array in engine.state().items()} == shapes


def same(one, other):
    """Two states have equal bits."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def ring(n):
    """Both links of every edge of a ring, and weights 1/3."""
    i = np.arange(n)
    return np.concatenate([i, i]), np.concatenate([(i + 1) % n, (i - 1) % n]), np.full(2 * n, 1 / 3)


def test_agents_that_act_at_one_time_without_flight_do_so_in_their_order():
    engine = AsynchronousGossip(2, np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5]), Times(compute=1.0), 1)
    x = engine.advance(np.array([[0.0], [8.0]]), 1.0)
    np.testing.assert_array_equal(x, [[0.0], [8.0]])         # events at 1 are not before 1
    x = engine.advance(x, 1.5)
    np.testing.assert_array_equal(x, [[0.0], [4.0]])         # agent 0 has heard nobody, and agent 1 hears it at once
    np.testing.assert_array_equal(engine.advance(x, 2.5), [[2.0], [3.0]])


def test_many_agents_that_act_at_one_time_do_so_in_their_order():
    x = np.random.default_rng(4).normal(size=(40, 1))
    engine = AsynchronousGossip(40, *ring(40), Times(compute=1.0), 1, bits=0)
    simulation = Simulation(x, ring(40), Times(compute=1.0), 0.0, 0.0, engine.depth, 0)
    np.testing.assert_allclose(engine.advance(x, 4.5), simulation.run(4.5), rtol=0, atol=1e-12)


def test_a_message_is_there_for_an_event_at_the_very_time_of_its_arrival_and_not_before():
    for latency, heard in ((1.0, True), (1.0 + 2.0**-50, False)):
        engine = AsynchronousGossip(2, np.array([0]), np.array([1]), np.array([1.0]),
                                    Times(latency=latency, compute=1.0), 1)
        x = engine.advance(np.array([[0.0], [8.0]]), 2.5)
        assert x[0, 0] == (8.0 if heard else 0.0)


def test_a_lone_agent_and_agents_without_links_keep_their_values_and_act():
    for n in (1, 5):
        none = np.empty(0, dtype=np.int64)
        engine = AsynchronousGossip(n, none, none, np.empty(0), Times(**POISSON), 2)
        x = np.arange(2.0 * n).reshape(n, 2)
        np.testing.assert_array_equal(engine.advance(x, 50.0), x)
        assert (engine.events > 10).all() and not engine.messages.any()


def test_events_of_exponential_work_are_a_poisson_process():
    engine = AsynchronousGossip(2000, *ring(2000), Times(**POISSON), 1)
    engine.advance(np.zeros((2000, 1)), 20.0)
    assert abs(engine.events.mean() - 20.0) < 5 * (20.0 / 2000) ** 0.5
    assert 0.85 < engine.events.var() / 20.0 < 1.15


def test_gossip_without_loss_comes_to_agree_within_the_hull_of_the_first_values():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    engine = AsynchronousGossip(12, *ring(12), Times(latency=0.7, **POISSON), 3)
    y = engine.advance(x, 400.0)
    assert np.ptp(y, axis=0).max() < 1e-6
    assert (y >= x.min(axis=0)).all() and (y <= x.max(axis=0)).all()


def test_lost_messages_are_as_many_as_the_probability_says():
    engine = AsynchronousGossip(50, *ring(50), Times(**POISSON), 1, loss=np.repeat([0.0, 0.4], 50))
    engine.advance(np.zeros((50, 1)), 100.0)
    sent = engine.events.sum()
    assert abs(engine.lost.sum() - 0.4 * sent) < 5 * (0.24 * sent) ** 0.5


@pytest.mark.parametrize(("times", "loss"), [({"latency": 0.0}, 0.2), ({"latency": 3.0}, 0.2), ({"latency": 3.0}, 0.0),
                                             ({"latency": 0.5, "latency_jitter": 1.0}, 0.2)])
def test_next_to_nothing_is_forgotten_that_would_be_read(times, loss):
    x = np.random.default_rng(1).normal(size=(40, 2))
    some, all_ = (AsynchronousGossip(40, *ring(40), Times(**POISSON, **times), 2, loss=loss, depth=depth)
                  for depth in (None, 300))
    assert some.depth < 60
    np.testing.assert_array_equal(some.advance(x, 60.0), all_.advance(x, 60.0))


def test_single_precision_is_that_of_double_precision_rounded():
    x = np.random.default_rng(1).normal(size=(9, 4))
    single, double = (AsynchronousGossip(9, *ring(9), Times(latency=0.3, **POISSON), 4, dtype=dtype, bits=0)
                      for dtype in (np.float32, np.float64))
    y = single.advance(x.astype(np.float32), 5.0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, double.advance(x, 5.0), rtol=0, atol=1e-5)


def test_rows_are_substituted_in_order_whatever_the_kernel_does(monkeypatch):
    assert _events.in_order()
    rng = np.random.default_rng(2)
    size = rng.integers(0, 5, 30)
    indptr = np.concatenate([[0], np.cumsum(size)])
    indices = np.concatenate([rng.integers(0, 4 + e, count) for e, count in enumerate(size)])
    weights, rows = rng.normal(size=len(indices)), np.concatenate([rng.normal(size=(4, 3)), np.full((30, 3), 7.0)])
    expected = rows.copy()
    for e in range(30):
        entries = range(indptr[e], indptr[e + 1])
        expected[4 + e] = sum((weights[k] * expected[indices[k]] for k in entries), np.zeros(3))
    for in_order in (True, False):
        monkeypatch.setattr(_events, "in_order", lambda in_order=in_order: in_order)
        found = rows.copy()
        substitute(found, 4, indptr, indices, weights)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


class Stuck(Times):
    """Agent 0 needs no time at all for its first events but one."""

    def work(self, t, agents, seed=0):
        return np.where((np.asarray(t) > 0) & (np.asarray(t) < 11) & (agents == 0), 0.0, super().work(t, agents, seed))


def test_events_of_an_agent_at_one_time_take_place_one_after_the_other():
    x, times = np.random.default_rng(3).normal(size=(3, 2)), Stuck(compute=1.0)
    engine = AsynchronousGossip(3, *ring(3), times, 2, bits=0)
    engine._most_columns, engine._rows = 2, engine._rows[:engine._kept + 3]
    simulation = Simulation(x, ring(3), times, 0.0, 0.0, engine.depth, 0)
    for until in (1.5, 4.0):
        x = engine.advance(x, until)
        np.testing.assert_allclose(x, simulation.run(until), rtol=0, atol=1e-12)
    assert engine.events.tolist() == simulation.acted == [13, 3, 3]


def test_what_cannot_be_is_refused():
    for times, loss, key in ((Times(), 0.0, "compute"), (Times(compute=[1.0, 0.0, 1.0]), 0.0, "compute"),
                             (Times(compute=[1.0, 1.0]), 0.0, "compute"), (Times(compute=1.0), 1.5, "loss"),
                             (Times(compute=1.0), float("nan"), "loss")):
        with pytest.raises(InputError) as error:
            AsynchronousGossip(3, *ring(3), times, 1, loss=loss)
        assert error.value.key == key
