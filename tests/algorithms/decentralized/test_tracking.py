"""Gradient tracking of CAC: whatever the graphs, the trackers of all agents sum to their directions."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from support.variants import experiment

from netac.comm.network import Network
from netac.experiment import config
from netac.experiment.build import Parts, assemble, prepare
from netac.topology.weights.metropolis import weights

N, T = 4, 12
PAIRS = [(i, j) for i in range(N) for j in range(i)]
GRAPHS = st.lists(st.sets(st.sampled_from(PAIRS)), min_size=1, max_size=4)


def tracking(seed: int, *shared: str, **options) -> Parts:
    """CAC's parts on a small random game."""
    tables = experiment("cac-iid", seed=seed) | {"agents": N, "policy": {"shared": list(shared), "initial": "normal"}}
    tables["algorithm"] |= {"tracking": True, "sampling": "markov", **options}
    return assemble(prepare(config.read(tables).experiment()))


def directions(parts: Parts, W: list[csr_array]):
    """y and g after every iteration, mixed with one of W after the other."""
    setting = parts.setting
    network = Network(lambda t: W[t % len(W)], parts.placement, parts.ledger)
    for _ in setting.algorithm.iterations(parts.agents, parts.sampler, network, setting.settings, range(T)):
        yield parts.agents.parameters["y"].copy(), parts.agents.parameters["g"].copy()


@settings(max_examples=60)
@given(GRAPHS, st.integers(0, 2**31), st.sampled_from([("*",), ("s*.a1",), ()]), st.sampled_from(["plain", "adam"]))
def test_trackers_sum_to_directions_on_any_graphs(graphs, seed, shared, optimizer):
    W = []
    for edges in graphs:
        graph = nx.empty_graph(N)
        graph.add_edges_from(edges)
        W.append(weights(graph))
    parts = tracking(seed, *shared, optimizer=optimizer)
    moved = 0.0
    for y, g in directions(parts, W):
        np.testing.assert_allclose(y.sum(axis=0), g.sum(axis=0), rtol=0, atol=1e-11 * (1 + np.abs(g).max()))
        moved += np.abs(g).max()
    assert moved > 0
    layout = parts.setting.layout
    assert y.shape[1] == layout.omega + layout.lam + layout.shared


@pytest.mark.parametrize("seed", range(3))
def test_with_everybodys_mean_a_tracker_is_the_mean_before_and_what_is_new_of_ones_own(seed):
    before = np.zeros((1, 1))
    for y, g in directions(tracking(seed, "*"), [csr_array(np.full((N, N), 1 / N))]):
        np.testing.assert_allclose(y, before.mean(axis=0) + g - before, rtol=0, atol=1e-12)
        before = g


def test_what_is_mixed_is_one_slice_with_the_tracker():
    layout = tracking(0, "*").setting.layout
    assert layout.mixed == ("omega", "lam", "shared", "y")
    assert layout.columns["mixed"] == slice(0, 2 * layout.columns["y"].stop)
