"""Robustness by definition over all pairs of sets, and trimmed means with liars, by plain loops."""

from __future__ import annotations

import math
import time

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.topology import load
from netac.topology.closed_sets import annealed_closed_sets, closed, disjoint_closed_sets
from netac.topology.edges import links
from netac.topology.resilience import bears
from netac.topology.robustness import adjacency, is_robust, robustness
from netac.utils.errors import InputError


def heard_outside(graph: nx.DiGraph) -> dict[int, list[int]]:
    """For every nonempty set of agents, as bits, how many each member hears outside of it."""
    n, speakers = len(graph), {i: sum(1 << j for j in graph.predecessors(i)) for i in graph}
    return {members: [(speakers[i] & ~members).bit_count() for i in range(n) if members >> i & 1]
            for members in range(1, 1 << n)}


def disjoint_pairs(n: int):
    """Every two disjoint nonempty sets of 0..n-1, as bits."""
    return [(one, other) for one in range(1, 1 << n) for other in range(1, one) if not one & other]


def robust_by_definition(graph: nx.DiGraph, r: int, s: int) -> bool:
    """(r, s)-robustness, word for word."""
    hear = heard_outside(graph)
    for one, other in disjoint_pairs(len(graph)):
        first, second = (sum(heard >= r for heard in hear[members]) for members in (one, other))
        if first < one.bit_count() and second < other.bit_count() and first + second < s:
            return False
    return True


def largest_by_definition(graph: nx.DiGraph) -> int:
    """The largest r of r-robustness: of every two sets one has an agent that hears r outside of it."""
    hear = {members: max(heard) for members, heard in heard_outside(graph).items()}
    return min(max(hear[one], hear[other]) for one, other in disjoint_pairs(len(graph)))


def most_heard(graph: nx.DiGraph, pair: tuple[tuple[int, ...], ...]) -> int:
    """The most that an agent of one of two disjoint nonempty sets hears outside of its own."""
    one, other = map(set, pair)
    assert one and other and not one & other
    return max(sum(j not in members for j in graph.predecessors(i)) for members in (one, other) for i in members)


@st.composite
def digraphs(draw, most: int) -> nx.DiGraph:
    """Any directed graph, sparse, dense or symmetric."""
    n = draw(st.integers(2, most))
    possible = [(i, j) for i in range(n) for j in range(n) if i != j]
    kept = draw(st.lists(st.booleans(), min_size=len(possible), max_size=len(possible)))
    denser = draw(st.sampled_from([0, 2, 3]))
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(pair for k, (pair, keep) in enumerate(zip(possible, kept, strict=True))
                         if keep or (denser and k % denser))
    return nx.DiGraph(graph.to_undirected()) if draw(st.booleans()) else graph


@settings(max_examples=100)
@given(digraphs(6))
def test_robustness_is_the_definitions_on_any_graph(graph):
    found, expected = robustness(graph), largest_by_definition(graph)
    assert (found.r_low, found.r_high) == (expected, expected) and found.decided
    assert most_heard(graph, found.witness) <= expected


@settings(max_examples=60)
@given(digraphs(6), st.integers(1, 3), st.integers(1, 4))
def test_r_s_robustness_is_the_definitions_on_any_graph(graph, r, s):
    assert is_robust(graph, r, s) is robust_by_definition(graph, r, s)


@pytest.mark.parametrize("seed", range(4))
def test_eight_agents_against_all_pairs_of_sets(seed):
    graph = nx.gnp_random_graph(8, (0.5, 0.8)[seed % 2], seed=seed, directed=seed < 2)
    graph = nx.DiGraph(graph)
    expected = largest_by_definition(graph)
    assert (robustness(graph).r_low, robustness(graph).r_high) == (expected, expected)
    hears = adjacency(graph).toarray() != 0
    for k in range(5):                                # the search by itself, without the bounds
        search = disjoint_closed_sets(hears, k)
        assert search.decided and (search.sets is not None) == (k >= expected)
        assert search.sets is None or most_heard(graph, search.sets) <= k
    for k in (expected - 1, expected):
        annealed = annealed_closed_sets(hears, k)
        assert annealed is None or (k == expected and most_heard(graph, annealed) <= k)


@pytest.mark.parametrize(("name", "r"), [("complete", 20), ("ring", 1), ("path", 1), ("star", 1), ("grid", 1),
                                         ("torus", 1), ("exponential", 2), ("tree", 1), ("disconnected", 0),
                                         ("geometric", 5), ("erdos-renyi", 5), ("one-peer-exponential", 1)])
def test_the_usual_graphs_of_forty_agents_are_decided_in_time(name, r):
    start = time.process_time()
    found = robustness(load(name, 40).as_given(0))
    assert time.process_time() - start < 5
    assert found.decided and found.r_low == r
    hears = adjacency(load(name, 40).as_given(0)).toarray() != 0
    assert max(closed(hears, group) for group in found.witness) <= r


def test_what_is_not_decided_is_told_with_bounds():
    graph = nx.random_regular_graph(20, 40, seed=1)
    found = robustness(graph, most=2000)
    assert not found.decided and 8 <= found.r_low < found.r_high <= 10
    assert found.in_words() == f"at least {found.r_low}, at most {found.r_high} (not decided)"
    assert is_robust(graph, found.r_high, most=2000) is None
    assert robustness(nx.complete_graph(7)).in_words() == "4"


@settings(max_examples=40)
@given(digraphs(6))
def test_bounds_alone_hold_and_have_a_witness(graph):
    found, expected = robustness(graph, most=0), largest_by_definition(graph)
    assert found.r_low <= expected <= found.r_high
    assert most_heard(graph, found.witness) <= found.r_high


@pytest.mark.parametrize(("name", "n", "low", "high"), [("ring", 3000, 1, 1), ("complete", 301, 151, 151),
                                                        ("torus", 900, 1, 1), ("grid", 900, 1, 1),
                                                        ("exponential", 64, 2, 3), ("disconnected", 50, 0, 0)])
def test_many_agents_have_bounds_at_once(name, n, low, high):
    found = robustness(load(name, n).as_given(0))
    assert low <= found.r_low <= found.r_high <= high
    hears = adjacency(load(name, n).as_given(0)).toarray() != 0
    assert max(closed(hears, group) for group in found.witness) <= found.r_high


def test_one_and_two_agents():
    assert (robustness(nx.empty_graph(1)).r_low, robustness(nx.empty_graph(1)).witness) == (1, None)
    assert robustness(nx.path_graph(2)).in_words() == "1" and robustness(nx.empty_graph(2)).in_words() == "0"
    assert robustness(nx.DiGraph([(0, 1)])).in_words() == "1"
    assert bears(nx.empty_graph(1), [], 1).holds and bears(nx.path_graph(2), [0, 1], 1).holds


def test_weights_tell_who_hears_whom_as_graphs_do():
    topology = load("geometric", 20)
    assert robustness(topology.matrix(0)) == robustness(topology.graph(0))


def trimmed(graph: nx.DiGraph, x: np.ndarray, f: int) -> np.ndarray:
    """One round by plain loops: without the f largest and f smallest heard, averaged with one's own value."""
    after = x.copy()
    for i in graph:
        heard = sorted(x[j] for j in graph.predecessors(i))
        left = heard[f:len(heard) - f]
        after[i] = (x[i] + sum(left)) / (1 + len(left))
    return after


@pytest.mark.parametrize(("graph", "liars", "f"), [
    (nx.complete_graph(7), [2, 5], 2), (nx.complete_graph(7), [3], 2), (nx.complete_graph(4), [], 1),
    (nx.circulant_graph(12, [1, 2, 3, 4, 5]), [4], 1), (nx.circulant_graph(20, [1, 2, 3, 4]), [0, 9], 1),
    (nx.gnp_random_graph(9, 0.9, seed=4, directed=True), [8], 1), (nx.cycle_graph(5), [], 0)])
@pytest.mark.parametrize("attack", range(3))
def test_where_trimmed_means_bear_the_liars_honest_agents_agree_within_their_hull(graph, liars, f, attack):
    graph, chance = nx.DiGraph(graph), np.random.default_rng(attack)
    assert bears(graph, liars, f).holds
    honest, x = [i for i in graph if i not in liars], chance.standard_normal(len(graph))
    low, high = x[honest].min(), x[honest].max()
    for t in range(100):
        x[liars] = (high + 100, 100 * (-1) ** t, chance.normal(scale=100))[attack]
        x = trimmed(graph, x, f)
    assert np.ptp(x[honest]) < 1e-3 * (high - low)
    assert low - 1e-9 <= x[honest].min() and x[honest].max() <= high + 1e-9


def test_where_the_graph_is_not_robust_enough_honest_agents_stay_apart():
    """Two complete graphs of 4, each agent of which hears one of the others: with f = 1 nobody ever moves."""
    graph = nx.disjoint_union(nx.complete_graph(4), nx.complete_graph(4))
    graph.add_edges_from((i, i + 4) for i in range(4))
    assert bears(graph, [], 1).problems[0].startswith("the graph is not 2-robust")
    x = np.repeat([0.0, 1.0], 4)
    assert np.array_equal(trimmed(nx.DiGraph(graph), x, 1), x)


def test_what_fails_is_said_with_an_agent():
    ring = bears(load("ring", 10).graph(0), [3], 1)
    assert not ring.holds and ring.problems == (
        "agent 0 hears 2 others, and a trimmed mean with f = 1 needs more than 2 (and so for 8 more)",
        "the graph is not 3-robust, as f = 1 with 1 liar in a neighbourhood asks: no agent of {0, 1} hears 3 others "
        "outside of it, and none of {2, 3, 4, 5, 6, 7, 8, 9}")
    crowd = bears(nx.complete_graph(9), [3, 7], 1, labels=list("abcdefghi"))
    assert crowd.problems == ("agent 0 ('a') hears 2 liars, {3 ('d'), 7 ('h')}, and f = 1 (and so for 6 more)",)
    assert bears(nx.complete_graph(9), [3, 7], 2).holds and bears(nx.complete_graph(9), [], 0).holds
    apart = bears(nx.disjoint_union(nx.complete_graph(5), nx.complete_graph(5)), [], 1)
    assert apart.problems == ("the graph is not 2-robust, as f = 1 with no liars asks: no agent of {0, 1, 2, 3, 4} "
                              "hears 2 others outside of it, and none of {5, 6, 7, 8, 9}",)
    vague = bears(nx.random_regular_graph(20, 40, seed=1), [1, 5, 9, 12, 22], 5, most=100)
    assert not vague.holds and vague.undecided.startswith("it is not decided whether the graph is ")
    for liars, f, what in (([9], 1, "there is no agent 9"), ([1], -1, "must not be negative")):
        with pytest.raises(InputError, match=what):
            bears(nx.complete_graph(9), liars, f)


def test_few_liars_in_all_need_less_robust_graphs():
    """The exponential graph of 40 agents is 2-robust, not 3-robust, but (2, 2)-robust: it bears one liar."""
    graph = load("exponential", 40).graph(0)
    assert robustness(graph).r_high == 2 and is_robust(graph, 2, 2)
    assert bears(graph, [7], 1).holds
    apart = [7, 20]
    assert not set(graph[7]) & set(graph[20]), "nobody hears both"
    assert bears(graph, apart, 1).problems[0].startswith("the graph is not 3-robust")


def test_links_of_directed_graphs_point_from_the_speaker():
    graph = nx.DiGraph([(0, 1), (0, 2), (1, 2)])
    hearer, heard = links(graph)
    assert adjacency(graph).toarray()[hearer, heard].all() and adjacency(graph).nnz == 3
    assert math.isclose(adjacency(graph)[2, 0], 1.0)
