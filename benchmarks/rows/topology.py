"""Certificates of large networks: seconds against those they may take, and against bare scipy and networkx."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
from scipy.sparse.linalg import eigsh

from benchmarks.timing import Row, compare, per_round, race, seconds
from netac.topology import certify, load
from netac.topology.spectrum import TOLERANCE

PROCESSES = 1
BLOCKS = 5


def measure(comm) -> list[Row]:
    """Four rows of seconds, two of ratios."""
    return [seconds(f"`netac graph` with the spectral gap of {n:,} agents and {2 * n:,} edges (small world)",
                     lambda n=n: _command("small-world", "--agents", str(n)), limit)
            for n, limit in ((4_500, 5), (100_000, 60))] + [
        seconds("certificate of gossip on a ring of 100,000 agents, with its contraction over 40 iterations",
                 lambda: certify(load({"name": "gossip", "base": "ring"}, 100_000)), 10),
        seconds("a ring of 1,000,000 agents: graph, weights, and the certificate that a run asks for",
                 lambda: certify(load("ring", 1_000_000), spectrum=False), 8),
        _gap(), _connectivity()]


def _command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "netac", "graph", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def _gap() -> Row:
    """A torus: both find the same number."""
    topology = load({"name": "torus", "rows": 60}, 4_500)
    W = topology.matrix(0)
    start = np.random.default_rng(0).standard_normal(W.shape[0])

    def theirs() -> float:
        return 1 - float(eigsh(W, k=2, which="LA", v0=start, tol=TOLERANCE, return_eigenvectors=False)[0])

    np.testing.assert_allclose(certify(topology).spectral_gap, theirs(), rtol=1e-4)
    timings = race(per_round(lambda: certify(topology), 1), per_round(theirs, 1), BLOCKS)
    return compare("the whole certificate of a torus of 4,500 agents / its second eigenvalue by a bare "
                   "`scipy.sparse.linalg.eigsh`", timings, _milliseconds, 1)


def _connectivity() -> Row:
    """Gossip on a ring: the same smallest B, without the spectrum."""
    topology = load({"name": "gossip", "base": "ring"}, 3_000)
    found = certify(topology, spectrum=False)
    graphs = [topology.graph(t) for t in range(found.steps)]
    assert _smallest_block(graphs) == found.B
    timings = race(per_round(lambda: certify(topology, spectrum=False), 1),
                   per_round(lambda: _smallest_block([topology.graph(t) for t in range(found.steps)]), 1), BLOCKS)
    return compare(f"the certificate of {found.steps} iterations of gossip on a ring of 3,000 agents, weights included "
                   "/ their graphs and the smallest B alone by networkx", timings, _milliseconds, 0.5)


def _smallest_block(graphs: list[nx.Graph]) -> int | None:
    """The smallest B whose full blocks have connected unions, by networkx."""
    steps = len(graphs)
    return next((B for B in range(1, steps + 1) if all(
        nx.is_connected(nx.compose_all(graphs[block * B:(block + 1) * B])) for block in range(steps // B))), None)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"
