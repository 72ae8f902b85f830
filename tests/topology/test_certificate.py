"""The certificate against brute force and known spectra; the drawing; the cost at many agents."""

from __future__ import annotations

import math
import time

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.topology import Topology, certificate, certify, load
from netac.topology.certificate import examine
from netac.topology.connectivity import deaf_agents, shortest, smallest_block
from netac.topology.drawing import distinct_graphs, draw, ranges
from netac.topology.edges import csr
from netac.topology.mixing import Mixing, Product, mixing
from netac.utils.errors import InputError


def by_definition(graphs: list[nx.DiGraph], n: int, periodic: bool) -> int | None:
    """Smallest B straight from Assumption 1, over blocks of a long stretch of the sequence."""
    steps = len(graphs)
    for B in range(1, steps + 1):
        blocks = steps if periodic else steps // B
        unions = [nx.compose_all([graphs[t % steps] for t in range(block * B, (block + 1) * B)])
                  for block in range(blocks)]
        if all(nx.is_strongly_connected(union) for union in unions):
            return B
    return None


@settings(max_examples=200)
@given(st.integers(1, 4), st.lists(st.integers(0, 2 ** 12 - 1), min_size=1, max_size=7), st.booleans(), st.booleans())
def test_smallest_block_is_the_definitions(n, masks, periodic, undirected):
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    sequence, graphs = [], []
    for mask in masks:
        some = {pair for bit, pair in enumerate(pairs) if mask >> bit & 1 and mask >> (bit + 1) & 1}
        some |= {(j, i) for i, j in some} if undirected else set()
        graph = nx.empty_graph(n, create_using=nx.DiGraph)
        graph.add_edges_from((j, i) for i, j in some)
        graphs.append(graph)
        sequence.append(np.array(sorted(i * n + j for i, j in some), dtype=np.int64))
    B = by_definition(graphs, n, periodic)
    assert smallest_block(sequence, n, periodic) == B
    assert smallest_block([shortest(codes, n) for codes in sequence], n, periodic) == B


def test_deaf_agents_are_a_component_that_no_link_enters():
    assert deaf_agents(np.array([1 * 3 + 0, 2 * 3 + 1]), 3).tolist() == [0]          # 0 -> 1 -> 2
    assert deaf_agents(np.array([0 * 3 + 1, 1 * 3 + 0, 2 * 3 + 1]), 3).tolist() == [0, 1]
    assert deaf_agents(np.array([1, 1 * 3 + 2, 2 * 3 + 0]), 3) is None


@pytest.mark.parametrize("n", [3, 8, 15])
def test_ring_metropolis_has_its_textbook_contraction(n):
    sigma = max(abs(1 + 2 * math.cos(2 * math.pi * k / n)) / 3 for k in range(1, n))
    found = certify(load("ring", n))
    assert found.mixing.contraction == pytest.approx(sigma, abs=1e-12)
    assert found.mixing.radius == found.mixing.contraction and found.spectral_gap == pytest.approx(1 - sigma, abs=1e-12)
    assert found.edges == (n, n, n) and found.messages == (2 * n, 2 * n, 2 * n)
    assert found.mixing.rounds == (1 if sigma < 1e-12 else math.ceil(math.log(1e-6) / math.log(sigma)))


def test_periodic_complete_counts_edges_per_iteration():
    found = certify(load({"name": "periodic-complete", "period": 4}, 5))
    assert (found.steps, found.period, found.B, found.mixing.rounds) == (4, 4, 4, 4)
    assert found.edges == (0, 2.5, 10) and found.messages == (0, 5.0, 20)
    assert found.mixing.contraction == pytest.approx(0, abs=1e-15)


def test_aperiodic_windows_and_long_periods():
    assert certify(load("gossip", 5)).steps == 100
    assert certify(load("gossip", 5), steps=17).steps == 17
    found = certify(load({"name": "federated", "period": 1500}, 3))
    assert (found.steps, found.B, found.mixing.rounds, found.problems) == (1500, 1500, 1500, [])
    too_long = load({"name": "periodic-complete", "period": 3000}, 1000)
    found = certify(too_long)
    assert (found.steps, found.B, found.connected, found.disconnected, found.problems) == (100, None, False, None, [])
    rows = dict(found.as_rows())
    assert rows["smallest B with connected unions"] == "not decided within 100 iterations"
    assert rows["rounds until disagreement is 1e-06"] == "more than 100"
    assert certify(too_long, steps=3000, spectrum=False).B == 3000


def test_a_matrix_that_stays_is_examined_once(monkeypatch):
    looked_at = []
    monkeypatch.setattr(certificate, "examine",
                        lambda graph, W, t, *of: looked_at.append(t) or examine(graph, W, t, *of))
    certify(load({"name": "periodic-complete", "period": 50}, 4))
    assert looked_at == [0, 49]


@pytest.mark.parametrize("spec, n, steps", [("gossip", 7, 40), ("ring", 6, 30), ("one-peer-exponential", 6, 9),
                                            ({"name": "gossip", "base": "ring", "probability": 0.1}, 60, 50)])
def test_mixing_is_the_norm_of_the_product(spec, n, steps):
    topology, product = load(spec, n), np.eye(n)
    for t in range(steps):
        product = topology.matrix(t).toarray() @ product
    deviation = np.linalg.norm(product - 1 / n, 2)
    multiplied = Product(n, map(topology.matrix, range(steps)))
    assert multiplied.rounds == steps
    assert mixing(multiplied, topology.matrix, False).contraction == pytest.approx(deviation, rel=1e-9, abs=1e-13)


def test_weights_that_explode_have_a_certificate_all_the_same(tmp_path):
    path = tmp_path / "explodes.py"
    path.write_text("import networkx as nx\nWEIGHTS = 'file'\ndef graph(t, n):\n    g = nx.path_graph(n)\n"
                    "    nx.set_edge_attributes(g, 1e9, 'weight')\n    return g\n")
    found = certify(load(str(path), 4))
    assert found.mixing == Mixing(math.inf, None, None)
    assert found.problems == ["W_0 has the negative weight -2e+09 at (1, 1): the weights with which agent 1 hears the "
                              "others sum to 2000000000 (and so in 99 more iterations)"]


def test_a_hard_disconnection_names_who_never_hears_whom():
    found = certify(load("disconnected", 3))
    assert not found.connected and found.B is None and found.problems == []
    assert found.disconnected == "the graph is not connected: {0} never hears from {1, 2}"
    assert found.mixing == Mixing(1, 1, None) and found.spectral_gap == 0
    assert dict(found.as_rows())["rounds until disagreement is 1e-06"] == "never"


def test_one_agent_has_nothing_to_fail():
    found = certify(load("gossip", 1))
    assert (found.B, found.mixing, found.problems, found.edges) == (1, Mixing(0, None, 0), [], (0, 0.0, 0))
    assert certify(load("ring", 1)).mixing == Mixing(0, 0, 0)


def test_weight_off_the_graph_is_found():
    def crooked(graph):
        return csr(3, np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 0, 2]), np.array([.5, .5, 1, .5, .5]))

    found = certify(Topology("crooked", 3, "crooked", 1, {}, lambda t: nx.path_graph(3), crooked))
    assert found.problems == ["W_0 puts weight on (0, 2), which is not an edge of the graph at t = 0"]
    assert found.off_graph_weight == 0.5


def test_rows_for_printing_name_every_quantity():
    rows = dict(certify(load("periodic-complete", 5)).as_rows())
    assert rows["smallest B with connected unions"] == "5" and rows["period"] == "5"
    assert rows["edges per iteration"] == "0 to 10, 2 on average"
    assert rows["rounds until disagreement is 1e-06"] == "5"
    quick = dict(certify(load("disconnected", 5), spectrum=False).as_rows())
    assert quick["smallest B with connected unions"] == "none" and "spectral gap" not in quick


def test_matrices_are_cached_shared_and_read_only():
    topology = load("periodic-complete", 5)
    assert topology.matrix(4) is topology.matrix(9) and topology.matrix(0) is topology.matrix(3)
    assert topology.matrix(0) is not topology.matrix(4)
    with pytest.raises(ValueError, match="read-only"):
        topology.matrix(0).data[0] = 2
    gossip = load("gossip", 4)
    assert gossip.matrix(7) is gossip.matrix(7)
    assert len({id(gossip.matrix(t)) for t in range(300)}) > 8
    for t in range(300):
        gossip.matrix(t)
    assert len(gossip._recent) <= 8


@pytest.mark.parametrize("spec", ["ring", {"name": "periodic-complete", "period": 3, "weights": "lazy-metropolis"},
                                  {"name": "ring", "weights": "fastest", "min_self_weight": 0.1}, "alternating",
                                  {"name": "gossip", "probability": 1}, "graphs/office.graphml",
                                  {"path": "graphs/gossip.py", "pairs": 1}])
def test_the_complete_spec_gives_the_same_topology_again(spec):
    first = load(spec, 5)
    again = load(first.spec, 5)
    assert again == first and again.spec == first.spec and "weights" in first.spec
    for t in range(6):
        assert np.array_equal(first.matrix(t).toarray(), again.matrix(t).toarray())


def test_a_rule_option_for_another_rule_is_kept_but_must_be_valid():
    spec = {"name": "ring", "weights": "metropolis", "min_self_weight": 0.05}
    assert load(spec, 4).spec == spec
    assert load("ring", 4).spec == {"name": "ring", "weights": "metropolis"}
    with pytest.raises(InputError, match=r"topology\.min_self_weight"):
        load(spec | {"min_self_weight": 1.5}, 4)


def test_a_hundred_thousand_agents_take_seconds():
    start = time.process_time()
    topology, gossip = load("ring", 100_000), load({"name": "gossip", "base": "ring"}, 100_000)
    found, often = certify(topology, spectrum=False), certify(gossip, spectrum=False)
    assert time.process_time() - start < 6
    assert found.B == 1 and found.problems == [] and found.mixing is None
    assert topology.matrix(5).nnz == 300_000
    assert (often.steps, often.B, often.problems) == (40, 34, [])


def test_drawing_groups_equal_graphs_and_writes_a_picture(tmp_path):
    groups = [times for times, _ in distinct_graphs(load("periodic-complete", 5), None)]
    assert groups == [[0, 1, 2, 3], [4]]
    assert ranges([0, 1, 2, 3, 7, 9, 10]) == "0..3, 7, 9, 10" and ranges([4]) == "4"
    for number, (spec, n) in enumerate([("gossip", 5), ("one-peer-exponential", 8), ("ring", 1), ("ring", 3000)]):
        file = tmp_path / f"{number}.png"
        draw(load(spec, n), file, steps=12)
        assert file.read_bytes()[:4] == b"\x89PNG" and file.stat().st_size > 5000


@pytest.mark.parametrize(("spec", "steps"), [("gossip", None), ("gossip", 150), ("alternating", None), ("ring", 7)])
def test_a_certificate_spares_the_drawing_its_work_and_changes_nothing(spec, steps, tmp_path):
    topology = load(spec, 6)
    draw(topology, tmp_path / "alone.png", steps)
    draw(topology, tmp_path / "with.png", steps, certify(topology, steps))
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "with.png").read_bytes()


def test_how_fast_a_topology_mixes_is_computed_once_for_table_and_picture(monkeypatch, tmp_path):
    topology = load("gossip", 6)
    certificate = certify(topology)
    monkeypatch.setattr("netac.topology.drawing.mixing", None)
    draw(topology, tmp_path / "drawn.png", certificate=certificate)
