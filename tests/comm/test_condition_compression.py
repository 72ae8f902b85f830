"""Compressed messages against plain loops of the three ways to mix them; codes themselves: test_codes."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest
from support.conditioned import Processes, digraph, load, network, of

from netac.comm.conditions._scaled import Quantisation, Sign
from netac.comm.conditions._sparse import RandomK, TopK
from netac.topology import Topology
from netac.utils.errors import InputError
from netac.utils.streams import Purpose, pair_uniforms

SEED = 3
CODES = {"top-k": ({"k": 3}, TopK(k=3)), "random-k": ({"fraction": 0.4}, RandomK(fraction=0.4)),
         "quantisation": ({"bits": 3, "bucket": 4}, Quantisation(3, 4, "contracting")),
         "sign": ({"bucket": 4}, Sign(4))}
GRAPHS = {"ring": lambda: load("ring", 5), "one": lambda: load("complete", 1), "two": lambda: load("complete", 2),
          "none": lambda: load("disconnected", 3), "one way round": lambda: of(digraph(5, 3))}
SOMETIMES = ({"name": "periodic-complete", "period": 2}, 4)


class Loops:
    """The table of `_compression`, agent by agent."""

    def __init__(self, name: str, feedback: str, gamma: float):
        self.name, self.code, self.feedback, self.gamma = name, CODES[name][1], feedback, gamma
        self.public: dict[tuple[str, int], np.ndarray] = {}

    def decoded(self, x: np.ndarray, i: int, t: int, r: int) -> np.ndarray:
        def numbers(draw: int, count: int) -> np.ndarray:
            key = crc32(self.name.encode()), t, r, draw
            return pair_uniforms(SEED, Purpose.NETWORK, key, np.full(count, i), np.arange(count))[None]

        return self.code.decode(self.code.encode(x[None], numbers), len(x), x.dtype, numbers)[0]

    def mix(self, graph: Topology, t: int, r: int, what: str, x: np.ndarray, sums: bool) -> np.ndarray:
        W, N = graph.matrix(t).toarray(), len(x)
        if sums:
            W = (W != 0) * (1.0 - np.eye(N))
        said = []
        for i in range(N):
            if self.feedback == "none":
                said.append(self.decoded(x[i], i, t, r))
            else:
                copy = self.public.get((what, i), np.zeros_like(x[i]))
                if any(W[j, i] != 0 for j in range(N) if j != i):
                    copy = copy + self.decoded(x[i] - copy, i, t, r)
                said.append(copy)
                self.public[what, i] = copy
        mixed = np.zeros(x.shape)
        for i in range(N):
            degree = sum(W[i, j] != 0 for j in range(N) if j != i)
            mixed[i] = degree * x[i].astype(float) if sums else x[i]
            for j in range(N):
                if j != i:
                    mixed[i] += self.gamma * W[i, j] * (said[j].astype(float) - said[i])
        return mixed


@pytest.mark.parametrize("sums", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("feedback", ["none", "choco", "error"])
@pytest.mark.parametrize("name", CODES)
def test_rounds_are_those_of_the_loops_for_any_number_of_processes_and_after_a_stop(name, feedback, graph, sums):
    graph, kind = GRAPHS[graph](), np.float32 if name == "sign" else float
    options = CODES[name][0] | {"feedback": feedback} | ({"step": 0.3} if feedback == "choco" else {})
    if name == "quantisation":
        options["rounding"] = "contracting"
    through, parts = network(graph, {name: options}), Processes(graph, {name: options}, 2 if graph.agents > 1 else 1)
    loops, rng = Loops(name, feedback, 0.3 if feedback == "choco" else 1.0), np.random.default_rng(4)
    x, y = (rng.standard_normal((graph.agents, width)).astype(kind) for width in (7, 5))
    for t in range(4):
        if t == 2:
            kept = {f"rows_{key}": rows.copy() for key, rows in through.rows.items()} | through.state()
            through = network(graph, {name: options})
            through.restore(kept)
        for r, what in enumerate("xxy"):
            values = x if what == "x" else y
            through.post(t, values.copy(), what, sums)
            found = through.wait()
            assert found.dtype == kind
            wanted = loops.mix(graph, t, r, what, values, sums)
            assert np.allclose(found, wanted, rtol=0, atol=1e-4 if kind is np.float32 else 1e-10)
            assert parts.mix(t, values.copy(), what, r, sums).tobytes() == found.tobytes()
            if what == "x":
                x = (0.9 * found + 0.1 * rng.standard_normal(x.shape)).astype(kind)


@pytest.mark.parametrize("name", CODES)
def test_the_default_step_leads_to_the_exact_average(name):
    graph, start = load("ring", 6), np.random.default_rng(5).standard_normal((6, 20))
    x = network(graph, {name: CODES[name][0]}).mix(0, start, rounds=1500)
    assert np.allclose(x, start.mean(axis=0), rtol=0, atol=1e-9)


def test_copies_stay_while_a_graph_that_recurs_has_no_edges():
    graph = load(*SOMETIMES)
    through, x = network(graph, {"top-k": {"k": 3, "step": 0.3}}), np.random.default_rng(6).standard_normal((4, 7))
    loops = Loops("top-k", "choco", 0.3)
    for t in range(6):
        wanted = loops.mix(graph, t, 0, "x", x, False)
        x = through.mix(t, x)
        assert np.allclose(x, wanted, rtol=0, atol=1e-10)


def test_messages_of_few_numbers_travel_as_they_are():
    graph, x = load("ring", 5), np.random.default_rng(7).standard_normal((5, 4))
    assert np.array_equal(network(graph, {"sign": True}).mix(0, x), network(graph, {}).mix(0, x))


@pytest.mark.parametrize(("table", "graph", "message"), [
    ({"top-k": {"k": 2, "feedback": "none", "step": 0.5}}, "ring", "network.top-k.step"),
    ({"random-k": {"k": 2, "unbiased": True}}, "ring", "network.random-k.unbiased"),
    ({"quantisation": {"bits": 4, "rounding": "unbiased"}}, "ring", "network.quantisation.rounding"),
    ({"quantisation": {"bits": 1, "rounding": "nearest"}}, "ring", "network.quantisation.rounding"),
    ({"quantisation": 0}, "ring", "network.quantisation.bits"), ({"top-k": 0.0}, "ring", "network.top-k.fraction"),
    ({"sign": True}, "gossip", "network.sign.feedback"), ({"sign": True, "delay": 1}, "ring", "does not go with delay"),
    ({"sign": True, "top-k": 0.5}, "ring", "a message has one code")])
def test_what_cannot_be_is_refused(table, graph, message):
    with pytest.raises(InputError, match=message):
        network(load(graph, 5), table)
