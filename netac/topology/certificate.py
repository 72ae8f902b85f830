"""The certificate of a topology: what the theory assumes about graphs and weights, checked before anything runs.

Assumption 1 of the CAC paper (Zeng et al. 2022) asks that unions over B consecutive graphs are connected, Assumption 2
that every W_t is doubly stochastic, fits the graph and has W_ii >= c > 0.  Push-sum does with columns that sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from netac.topology.bounds import near_one
from netac.topology.connectivity import Links, deaf_agents, links_of, shortest, smallest_block, union
from netac.topology.edges import Graph, links, rows_of
from netac.topology.labels import Labels, agents_set
from netac.topology.mixing import TARGET, Mixing, Product, mixing
from netac.topology.push_sum import LARGEST_DENSE, Ratios, push_sum
from netac.topology.sequence import UNPROVEN, Topology, as_input_error, same_matrix
from netac.topology.stochastic import KINDS, Soundness, soundness
from netac.topology.weights import file
from netac.utils import memory
from netac.utils.errors import InputError, RunError

if TYPE_CHECKING:          # loads scipy.sparse.linalg
    from netac.topology.large import Factors
    pass

MEASURED = " (measured, not promised)"
LARGEST_SPECTRUM = 2000
"""Agents up to which products are formed, dense; beyond, they are bounded by sparse ones."""
LONGEST_PERIOD, MOST_LOOKS = 1000, 3_000_000
"""A period is looked at whole up to the first, and up to the second divided by agents + 100."""
LONGEST_LOOK = 100
"""Iterations looked at where no period is known and the user names no number."""
OF_LOOK = 1000
"""Bytes that are kept of an iteration, at least."""
PUSH_SUM = "or push-sum = true in the experiment's table [network], for which columns that sum to 1 are enough"
"""What there is to do where only the columns of weights sum to 1."""
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
        mixing: how fast disagreement shrinks, of T = `steps` iterations (`netac.topology.mixing.Mixing`), with bounds
            beyond 2,000 agents.  None if it was not asked for, or rows or columns do not sum to 1 among so many, or
            agents mix by push-sum.
        edges: (least, mean, most) edges an iteration, of those that carry weight.
        messages: (least, mean, most) messages an iteration: two for an undirected edge, one for a directed.
        problems: one sentence for each violation of Assumption 2 and for a function that is none of t and n.
        disconnected: one sentence if Assumption 1 fails, else None; None also where a period too long to be looked at
            whole left it undecided (then B is None, too).
        remedy: what would be valid, where weights that the graph brings with it, or those of push-sum, do not hold.
        push_sum: how fast it mixes, where agents mix by push-sum (`netac.topology.push_sum.Ratios`); None where they
            do not, or where it was not asked for.
        rehearsed: how many of the graphs connect all agents, where they are those of a rehearsal: they follow the
            agents about, and of connection and mixing all is measured, and nothing promised.  Else None.
    """

    agents: int
    steps: int
    period: int | None
    B: int | None
    row_error: float
    column_error: float
    smallest_diagonal: float
    off_graph_weight: float
    mixing: Mixing | None
    edges: tuple[int, float, int]
    messages: tuple[int, float, int]
    problems: list[str]
    disconnected: str | None
    remedy: str | None
    push_sum: Ratios | None = None
    rehearsed: int | None = None

    @property
    def connected(self) -> bool:
        """Whether some B was found that satisfies Assumption 1."""
        return self.B is not None

    @property
    def spectral_gap(self) -> float | None:
        """1 minus the spectral radius of a period's product on disagreements, for a static symmetric W 1 - |lambda_2|;
        None without a period or `mixing`."""
        if self.mixing is None or self.mixing.radius is None:
            return None
        bounds = self.mixing.bounds
        return bounds.gap[1] if bounds and bounds.gap else 1.0 - self.mixing.radius

    def as_rows(self) -> list[tuple[str, str]]:
        """(what, value) for printing; the problems are not among them."""
        undecided = (f"not decided within {self.steps} iterations" if self.B is None and self.disconnected is None
                     else None)
        period = {None: "none known", 1: "1 (static)"}.get(self.period, str(self.period))
        looked_at = [("period", period), ("iterations looked at", str(self.steps))]
        if self.rehearsed is not None:
            looked_at = [("steps of random play looked at", str(self.steps)),
                         ("graphs that connect all agents", f"{self.rehearsed} of {self.steps}{MEASURED}")]
        return [("agents", str(self.agents)), *looked_at, ("smallest B with connected unions", str(
                    self.B or undecided or "none") + MEASURED * (self.rehearsed is not None)),
                *([] if self.push_sum else [("worst row error", f"{self.row_error:.1e}")]),
                ("worst column error", f"{self.column_error:.1e}"),
                ("smallest diagonal", f"{self.smallest_diagonal:.4g}"),
                ("worst weight off the graph", f"{self.off_graph_weight:.1e}"), *self._mixing_rows(),
                ("edges per iteration", _spread(self.edges)), ("messages per iteration", _spread(self.messages))]

    @property
    def note(self) -> str | None:
        """What the certificate does not say, where it is of a rehearsal; else None."""
        if self.rehearsed is None:
            return None
        together = f"taken {self.B} at a time, their unions did" if self.B else "their union did not"
        return (f"who hears whom depends on where agents are (topology.radius): weights are doubly stochastic on every "
                f"graph, and nobody can promise that the graphs connect all agents. Of {self.steps} steps of a game "
                f"with random actions {self.rehearsed} did" + f", and, {together}" * (self.B != 1))

    def _mixing_rows(self) -> list[tuple[str, str]]:
        """How fast disagreement shrinks: what is guaranteed, and in the long run."""
        if self.push_sum is not None:
            return self._push_sum_rows(self.push_sum)
        if self.mixing is None:
            return []
        gap, rounds, bounds = self.spectral_gap, self.mixing.rounds, self.mixing.bounds
        name = "spectral gap" if self.period == 1 else "spectral gap of a period"
        target = f"rounds until disagreement is {TARGET:g}"
        if bounds:
            factor = [] if gap is None else [("long-run factor of a round", near_one(self._loss_of_a_round(gap)))]
            long_run = [(name, bounds.gap_in_words()), *factor] if bounds.gap else []
            return [("contraction over these iterations", bounds.contraction_in_words()), *long_run,
                    (target, bounds.rounds_in_words())]
        return [("contraction over these iterations", f"{self.mixing.contraction:.6g}"), *self._long_run(name, gap),
                (target, str(rounds) if rounds is not None else self._not_reached())]

    def _push_sum_rows(self, found: Ratios) -> list[tuple[str, str]]:
        """What push-sum makes of the graphs, with shares 1 / (1 + how many hear an agent)."""
        rounds = (f"{found.rounds}" if found.rounds is not None else f"about {found.estimate:,}" if found.estimate
                  else "not known" if self.agents > LARGEST_DENSE else self._not_reached())
        name = "push-sum: spectral gap" + " of a period" * (self.period != 1)
        return [("push-sum: worst column error", f"{found.column_error:.1e}"),
                ("push-sum: smallest share", f"{found.smallest_weight:.4g}"),
                *self._long_run(name, None if found.radius is None else 1.0 - found.radius),
                (f"push-sum: rounds until {TARGET:g}", rounds)]

    def _long_run(self, name: str, gap: float | None) -> list[tuple[str, str]]:
        """The gap, under this name, and the factor of a round."""
        return [] if gap is None else [
            (name, f"{gap:.6g}"), ("long-run factor of a round", f"{(1.0 - gap) ** (1.0 / self.steps):.6g}")]

    def _not_reached(self) -> str:
        """In the place of a number of rounds within which the target was not reached."""
        never = self.disconnected is not None or self.steps == self.period
        return "never" if never else f"more than {self.steps}"

    def _loss_of_a_round(self, gap: float) -> float:
        """1 minus the T-th root of 1 - gap, without cancellation."""
        return -math.expm1(math.log1p(-gap) / self.steps) if gap < 1 else 1.0


@dataclass(frozen=True)
class Look:
    """What was found in one iteration of a topology: its counts, its errors, and its problems by kind.

    `links` connect the same agents as the graph's own, perhaps with fewer links (see `connectivity.shortest`).
    """

    links: Links
    edges: int
    messages: int
    soundness: Soundness
    off_graph_weight: float
    problems: dict[str, str]


def certify(topology: Topology, steps: int | None = None, spectrum: bool = True) -> Certificate:
    """Examines one whole period of the topology, or its first iterations where no period is known or it is too long.

    Args:
        topology: what to examine; where agents mix by push-sum (`topology.push_sum`), rows need not sum to 1.
        steps: how many iterations of an aperiodic one; by default 100, and beyond 20,000 agents fewer (at least 10)
            if these connect all agents.  A period up to `steps` is looked at whole; by default one up to 1,000, and
            a longer one as far as (agents + 100) times period stays below three million.
        spectrum: whether to compute `mixing`, up to 2,000 agents with dense N x N products, or `push_sum`.

    Raises:
        InputError: the topology's function raises or returns no graph on 0..N-1 at some t looked at.
    """
    n, period = topology.agents, topology.period
    whole = period if period and period <= max(steps or 0, LONGEST_PERIOD, MOST_LOOKS // (n + 100)) else None
    periodic, window = whole is not None, whole or steps or max(10, min(LONGEST_LOOK, 2_000_000 // n))
    longest = window if periodic or steps else LONGEST_LOOK
    memory.refuse_number(f"{window:,} iterations of the topology", "--steps", window, lambda t: t * OF_LOOK)
    product = _product(n) if spectrum and not topology.push_sum else None
    looks: list[Look] = []
    try:
        while len(looks) < window:
            _look_further(topology, looks, window, product)
            if window < longest and deaf_agents(union([look.links for look in looks]), n) is not None:
                window = min(2 * window, longest)
    except RunError as error:
        raise as_input_error(error) from error
    sequence = [look.links for look in looks]
    B = smallest_block(sequence, n, periodic)
    undecided = period is not None and not periodic
    problems = _first_of_each_kind(looks)
    return Certificate(
        agents=n, steps=window, period=period, B=B,
        row_error=max(look.soundness.row_error for look in looks),
        column_error=max(look.soundness.column_error for look in looks),
        smallest_diagonal=min(look.soundness.smallest_diagonal for look in looks),
        off_graph_weight=max(look.off_graph_weight for look in looks),
        mixing=_mixing(product, topology, periodic, B is not None, problems.keys()),
        edges=_summary([look.edges for look in looks]), messages=_summary([look.messages for look in looks]),
        problems=list(problems.values()), remedy=_remedy(topology, problems.keys()),
        disconnected=None if B or undecided else _disconnection(union(sequence), topology, window),
        push_sum=push_sum(partial(topology.matrix, checked=False), window, periodic, B is not None)
        if spectrum and topology.push_sum else None,
        rehearsed=None if topology.radius is None else sum(deaf_agents(look.links, n) is None for look in looks))


def _product(n: int) -> Product | Factors:
    if n <= LARGEST_SPECTRUM:
        return Product(n)
    from netac.topology.large import Factors
    return Factors(n)


def _mixing(product: Product | Factors | None, topology: Topology, periodic: bool, connected: bool,
            kinds: Collection[str]) -> Mixing | None:
    """How fast disagreement shrinks; None where it was not asked for, or bounds do not hold."""
    if isinstance(product, Product):
        return mixing(product, partial(topology.matrix, checked=False), periodic)
    if product is None or KINDS & set(kinds):
        return None
    from netac.topology.large import large_mixing
    return large_mixing(product, periodic, connected)


def _look_further(topology: Topology, looks: list[Look], window: int, product: Product | Factors | None) -> None:
    """Appends the looks at the iterations up to `window`; a matrix that stays the same is examined once."""
    before: csr_array | None = None
    look: Look | None = None
    for t in range(len(looks), window):
        graph, W = topology.pair(t)
        look = look if look and W is before else examine(graph, W, t, topology.labels, topology.push_sum)
        changed = _changed(topology, t, graph, W) if topology.foreign and topology.agents * t < SECOND_LOOKS else {}
        others = {kind: found for kind, found in look.problems.items() if kind != "stray" or "changed" not in changed}
        looks.append(replace(look, problems=changed | others) if changed else look)
        before = W
        if product is not None:
            product.add(W)


def examine(graph: Graph, W: csr_array, t: int, labels: Labels = (), push_sum: bool = False) -> Look:
    """Looks at W_t and holds it against the graph at t; `labels` and `push_sum` are as for `soundness`."""
    n, rows = len(graph), rows_of(W)
    found, carrying = soundness(W, t, labels, push_sum), links_of(W, rows)
    stray = _stray(_codes(graph), carrying, W, rows)
    problems = dict(found.problems)
    if len(stray):
        i, j = int(rows[stray[0]]), int(W.indices[stray[0]])
        problems["stray"] = f"W_{t} puts weight on ({i}, {j}), which is not an edge of the graph at t = {t}"
    return Look(shortest(carrying, n), len(carrying) if graph.is_directed() else len(carrying) // 2, len(carrying),
                found, float(np.abs(W.data[stray]).max(initial=0.0)), problems)


def _stray(allowed: Links, carrying: Links, W: csr_array, rows: np.ndarray) -> np.ndarray:
    """Positions in W.data of entries off the diagonal whose links, `carrying`, are not `allowed`."""
    if np.array_equal(allowed, carrying):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(rows != W.indices)[~np.isin(carrying, allowed, assume_unique=True)]


def _changed(topology: Topology, t: int, graph: Graph, W: csr_array) -> dict[str, str]:
    """The problem of a graph that is another one when asked for again, or one period later."""
    later = t + (topology.period or 0)
    if _same(topology, graph, W, topology.as_given(later)):
        return {}
    if later > t and _same(topology, graph, W, topology.as_given(t)):
        return {"period": f"graph(t={later}) is not graph(t={t}), although the period is said to be {topology.period}"}
    return {"changed": f"graph(t={t}) gave two different graphs when called twice: make it a function of t and n "
                       "(draw from a generator seeded by t)"}


def _same(topology: Topology, graph: Graph, W: csr_array, other: Graph) -> bool:
    """Whether another graph has the same links, and the same weights W where these are the graph's own."""
    if other is graph:
        return True
    if graph.is_directed() != other.is_directed() or not np.array_equal(_codes(graph), _codes(other)):
        return False
    try:
        return topology.weights != "file" or same_matrix(W, topology.rule(other))
    except InputError:      # its weights are none
        return False


def _codes(graph: Graph) -> Links:
    """The links of a graph."""
    hearer, heard = links(graph)
    return np.sort(hearer * len(graph) + heard)


def _disconnection(codes: Links, topology: Topology, window: int) -> str:
    """The sentence about a union of graphs that is not connected."""
    n, labels = topology.agents, topology.labels
    deaf = deaf_agents(codes, n)
    assert deaf is not None, "all are connected"
    others = np.setdiff1d(np.arange(n), deaf)
    graphs = "the graph" if topology.period == 1 else f"the union of the graphs over {window} iterations"
    if topology.radius is not None:
        graphs = f"the union of the graphs of {window} steps of random play, within a radius of {topology.radius:g},"
    hear = "never hears" if len(deaf) == 1 else "never hear"
    return f"{graphs} is not connected: {agents_set(deaf, labels)} {hear} from {agents_set(others, labels)}"


def _remedy(topology: Topology, kinds: Collection[str]) -> str | None:
    """What to do about weights that do not hold and need not; None where these are not at fault."""
    at_fault = KINDS & set(kinds)
    if topology.weights not in UNPROVEN or not at_fault:
        return None
    otherwise = file.without_weights(topology.graph(0))
    columns = f", {PUSH_SUM}" if at_fault == {"row"} else ""
    if topology.weights != "file":
        return f"{otherwise}{columns}"
    sums = "columns" if topology.push_sum else "rows and columns"
    sound = f"weights whose {sums} sum to 1, with something left for every agent itself"
    return f"{otherwise}, which ignores the weights{columns}; or {sound}"


def _first_of_each_kind(looks: list[Look]) -> dict[str, str]:
    """The first problem of every kind, with the number of further iterations that have one."""
    by_kind: dict[str, list[str]] = {}
    for look in looks:
        for kind, sentence in look.problems.items():
            by_kind.setdefault(kind, []).append(sentence)
    return {kind: found[0] + (f" (and so in {len(found) - 1} more iterations)" if len(found) > 1 else "")
            for kind, found in by_kind.items()}


def _summary(counts: list[int]) -> tuple[int, float, int]:
    """(least, mean, most)."""
    return min(counts), sum(counts) / len(counts), max(counts)


def _spread(summary: tuple[int, float, int]) -> str:
    """(least, mean, most) in words; one number if they are the same."""
    least, mean, most = summary
    return str(least) if least == most else f"{least} to {most}, {mean:.4g} on average"
