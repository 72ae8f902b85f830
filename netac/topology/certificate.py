"""The certificate of a topology: what the theory assumes about graphs and weights, checked before anything runs.

Assumption 1 of the CAC paper (Zeng et al. 2022) asks that unions over B consecutive graphs are connected, Assumption 2
that every W_t is doubly stochastic, fits the graph and has W_ii >= c > 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.sparse import csr_array

from netac.errors import InputError, RunError
from netac.topology.connectivity import Links, deaf_agents, links_of, smallest_block, union
from netac.topology.edges import agents_set, links, rows_of
from netac.topology.sequence import Topology

TOLERANCE = 1e-9
"""How far from 1 a row or column may sum."""
TARGET = 1e-6
"""The disagreement, relative to the start, that `predicted_rounds` speaks of."""
LARGEST_PERIOD = 1000
LARGEST_SPECTRUM = 2000
LONGEST_LOOK = 100
"""Iterations looked at where no period is known and the user names no number."""
SECOND_LOOKS = 200_000
"""Graphs are asked for a second time while agents times t is less."""


@dataclass(frozen=True)
class Certificate:
    """What was found in `steps` iterations of a topology (one whole period where there is one).

    Args:
        agents: N.
        steps: iterations looked at.
        period: the topology's period, None if it has none.
        B: smallest B for which the unions over iterations l B .. (l + 1) B - 1 are connected (strongly, if directed),
            for all l if periodic, for the full blocks of the iterations looked at if not; None if there is none.
        row_error, column_error: largest |sum - 1| over all rows, columns and iterations.
        smallest_diagonal: smallest W_ii, Assumption 2's c.
        off_graph_weight: largest |W_ij| where j is not i and no edge lets i hear j.
        contraction: sigma = || W_{T-1} ... W_0 - 11'/N ||_2 over the T iterations looked at, the second largest
            singular value of the product of doubly stochastic matrices: disagreement shrinks at least so much in T
            rounds.  None beyond 2,000 agents, or if it was not asked for.
        spectral_gap: 1 - sigma.
        edges: (least, mean, most) edges an iteration, of those that carry weight.
        messages: (least, mean, most) messages an iteration: two for an undirected edge, one for a directed.
        predicted_rounds: rounds after which disagreement is 1e-6 of its start: T ceil(log 1e-6 / log sigma) if
            periodic; else the first round whose product is that near to 11'/N (Frobenius norm), or log 1e-6 / log
            sigma windows.  None if it never shrinks, or sigma is not known.
        problems: one sentence for each violation of Assumption 2 and for a function that is none of t and n.
        disconnected: one sentence if Assumption 1 fails, else None.
    """

    agents: int
    steps: int
    period: int | None
    B: int | None
    row_error: float
    column_error: float
    smallest_diagonal: float
    off_graph_weight: float
    contraction: float | None
    spectral_gap: float | None
    edges: tuple[int, float, int]
    messages: tuple[int, float, int]
    predicted_rounds: int | None
    problems: list[str]
    disconnected: str | None

    @property
    def connected(self) -> bool:
        """Whether some B satisfies Assumption 1."""
        return self.disconnected is None

    def as_rows(self) -> list[tuple[str, str]]:
        """(what, value) for printing; the problems are not among them."""
        spectrum = [] if self.contraction is None else [
            ("contraction over these iterations", f"{self.contraction:.6g}"),
            ("spectral gap", f"{self.spectral_gap:.6g}"),
            (f"rounds until disagreement is {TARGET:g}", str(self.predicted_rounds or "never"))]
        period = {None: "none known", 1: "1 (static)"}.get(self.period, str(self.period))
        return [("agents", str(self.agents)), ("period", period), ("iterations looked at", str(self.steps)),
                ("smallest B with connected unions", str(self.B or "none")),
                ("worst row error", f"{self.row_error:.1e}"), ("worst column error", f"{self.column_error:.1e}"),
                ("smallest diagonal", f"{self.smallest_diagonal:.4g}"),
                ("worst weight off the graph", f"{self.off_graph_weight:.1e}"), *spectrum,
                ("edges per iteration", _spread(self.edges)), ("messages per iteration", _spread(self.messages))]


@dataclass(frozen=True)
class Look:
    """One iteration of a topology: its links, its errors, and the problems they are, by kind."""

    links: Links
    edges: int
    row_error: float
    column_error: float
    smallest_diagonal: float
    off_graph_weight: float
    problems: dict[str, str]


def certify(topology: Topology, steps: int | None = None, spectrum: bool = True) -> Certificate:
    """Examines one period of the topology, or its first iterations where no period (up to 1,000) is known.

    Args:
        topology: what to examine.
        steps: how many iterations of an aperiodic one; by default 100, and beyond 20,000 agents fewer (at least 10)
            if these connect all agents.
        spectrum: whether to compute the contraction, with dense N x N products.

    Raises:
        InputError: the topology's function raises or returns no graph on 0..N-1 at some t looked at.
    """
    n, period = topology.agents, topology.period
    periodic = period is not None and period <= max(steps or 0, LARGEST_PERIOD)
    window = period if periodic else steps or max(10, min(LONGEST_LOOK, 2_000_000 // n))
    longest = LONGEST_LOOK if period is None and steps is None else window
    looks: list[Look] = []
    try:
        while len(looks) < window:
            looks += [examine(topology, t, twice=n * t < SECOND_LOOKS) for t in range(len(looks), window)]
            if window < longest and deaf_agents(union([look.links for look in looks]), n) is not None:
                window = min(2 * window, longest)
    except RunError as error:
        raise InputError(error.cause) from error
    sequence = [look.links for look in looks]
    B = smallest_block(sequence, n, periodic)
    sigma, rounds = contraction(topology, window, periodic) if spectrum and n <= LARGEST_SPECTRUM else (None, None)
    return Certificate(
        agents=n, steps=window, period=period, B=B,
        row_error=max(look.row_error for look in looks), column_error=max(look.column_error for look in looks),
        smallest_diagonal=min(look.smallest_diagonal for look in looks),
        off_graph_weight=max(look.off_graph_weight for look in looks),
        contraction=sigma, spectral_gap=None if sigma is None else 1.0 - sigma,
        edges=_summary([look.edges for look in looks]), messages=_summary([len(look.links) for look in looks]),
        predicted_rounds=rounds, problems=_first_of_each_kind(looks),
        disconnected=None if B else _disconnection(union(sequence), n, window, period))


def examine(topology: Topology, t: int, twice: bool = True) -> Look:
    """Looks at W_t, holds it against the graph at t, and (with `twice`) asks for the graph again a period later."""
    graph, n = topology.graph(t), topology.agents
    problems = _changed(topology, t, graph) if twice else {}
    W = topology.matrix(t)
    rows = rows_of(W)
    row_sums, column_sums = (np.bincount(index, weights=W.data, minlength=n) for index in (rows, W.indices))
    diagonal = W.diagonal()
    carrying = links_of(W, rows)
    stray = _stray(graph, W, rows)
    lightest = int(W.data.argmin())
    for kind, sums in (("row", row_sums), ("column", column_sums)):
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > TOLERANCE:
            problems[kind] = f"W_{t} is not doubly stochastic: {kind} {worst} sums to {sums[worst]:.10g}"
    if W.data[lightest] < 0:
        place = f"({rows[lightest]}, {W.indices[lightest]})"
        problems["negative"] = f"W_{t} has the negative weight {W.data[lightest]:.6g} at {place}"
    elif diagonal.min() <= 0:
        problems["diagonal"] = (f"the diagonal of W_{t} is 0 at agent {diagonal.argmin()}: "
                                "Assumption 2 asks W_ii >= c > 0")
    if len(stray) and "changed" not in problems:
        i, j = int(rows[stray[0]]), int(W.indices[stray[0]])
        problems["stray"] = f"W_{t} puts weight on ({i}, {j}), which is not an edge of the graph at t = {t}"
    return Look(carrying, len(carrying) if graph.is_directed() else len(carrying) // 2,
                float(np.abs(row_sums - 1).max()), float(np.abs(column_sums - 1).max()), float(diagonal.min()),
                float(np.abs(W.data[stray]).max(initial=0.0)), problems)


def contraction(topology: Topology, steps: int, periodic: bool) -> tuple[float, int | None]:
    """sigma of the product of the first `steps` matrices, and the predicted rounds (see `Certificate`)."""
    n = topology.agents
    product, near = np.eye(n), None
    for t in range(steps):
        product = topology.matrix(t) @ product
        if near is None and not periodic and np.linalg.norm(product - 1.0 / n) <= TARGET:
            near = t + 1
    sigma = float(np.linalg.norm(product - 1.0 / n, 2))
    if abs(sigma - 1) < 1e-12:
        sigma = 1.0
    if near is not None or sigma >= 1:
        return sigma, near
    windows = math.log(TARGET) / math.log(max(sigma, 1e-300))
    return sigma, steps * math.ceil(windows) if periodic else math.ceil(steps * windows)


def _stray(graph: nx.Graph, W: csr_array, rows: np.ndarray) -> np.ndarray:
    """Positions in W.data of entries off the diagonal where the graph has no link."""
    n = W.shape[0]
    hearer, heard = links(graph)
    allowed = np.sort(hearer * n + heard)
    codes = rows * n + W.indices.astype(np.int64)
    if not len(allowed):
        return np.flatnonzero(rows != W.indices)
    found = allowed[np.minimum(np.searchsorted(allowed, codes), len(allowed) - 1)] == codes
    return np.flatnonzero(~found & (rows != W.indices))


def _changed(topology: Topology, t: int, graph: nx.Graph) -> dict[str, str]:
    """The problem of a graph that is another one when asked for again, or one period later."""
    known = dict(graph.adjacency())
    later = t + (topology.period or 0)
    if known == dict(topology.graph(later).adjacency()):
        return {}
    if later > t and known == dict(topology.graph(t).adjacency()):
        return {"period": f"graph(t={later}) is not graph(t={t}), although the period is said to be {topology.period}"}
    return {"changed": f"graph(t={t}) gave two different graphs when called twice: make it a function of t and n "
                       "(draw from a generator seeded by t)"}


def _disconnection(codes: Links, n: int, window: int, period: int | None) -> str:
    """The sentence about a union that is not connected."""
    deaf = deaf_agents(codes, n)
    others = np.setdiff1d(np.arange(n), deaf)
    graphs = "the graph" if period == 1 else f"the union of the graphs over {window} iterations"
    hear = "never hears" if len(deaf) == 1 else "never hear"
    return f"{graphs} is not connected: {agents_set(deaf)} {hear} from {agents_set(others)}"


def _first_of_each_kind(looks: list[Look]) -> list[str]:
    """The first problem of every kind, with the number of further iterations that have one."""
    by_kind: dict[str, list[str]] = {}
    for look in looks:
        for kind, sentence in look.problems.items():
            by_kind.setdefault(kind, []).append(sentence)
    return [found[0] + (f" (and so in {len(found) - 1} more iterations)" if len(found) > 1 else "")
            for found in by_kind.values()]


def _summary(counts: list[int]) -> tuple[int, float, int]:
    """(least, mean, most)."""
    return min(counts), sum(counts) / len(counts), max(counts)


def _spread(summary: tuple[int, float, int]) -> str:
    """(least, mean, most) in words; one number if they are the same."""
    least, mean, most = summary
    return str(least) if least == most else f"{least} to {most}, {mean:.4g} on average"
