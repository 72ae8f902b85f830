"""A sequence of graphs and its weight matrices W_0, W_1, ...: data that is asked for by t, checked when asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import EdgeGraph, Graph, as_networkx
from netac.topology.labels import Labels
from netac.topology.size import Extent
from netac.topology.stochastic import soundness
from netac.utils.errors import InputError, RunError, raised

if TYPE_CHECKING:
    import networkx as nx

PERIODIC_CACHE = 64
APERIODIC_CACHE = 8
FEW = 100         # agents whose graphs are likely to recur without a period, and small
UNPROVEN = ("file", "out-degree")
"""Weight rules whose weights need not be doubly stochastic."""


@dataclass(frozen=True)
class Topology:
    """Who hears whom at every iteration, and with which weights.

    Args:
        name: a built-in's name, or the file's.
        agents: N; the graphs' nodes are 0..N-1.
        weights: name of the weight rule.
        period: graph(t) depends on t mod period only (1: static); None where no period is known.
        spec: the complete specification in TOML's types; `load(spec, agents)` gives the same topology again.
        source: t -> graph, as its file defines it.
        rule: graph, as `source` gives it -> W.
        foreign: whether a user's code or file takes part, be it as a part of a built-in topology.
        labels: what the file calls the agents, for messages; empty where it has no names of its own for them.
        notes: what the user should know of how its files were read.
        extent: how large its graphs are.
        push_sum: whether agents mix by push-sum, which asks of weights that columns sum to 1, and not rows.
        radius: how near agents must be to hear each other, where graphs follow them about: those of a run are known as
            its iterations begin, and `source` gives those of a rehearsal until `following` binds it to the run.
        first: t -> an earlier iteration with the same graph, or t, where that is known though there is no period.
    """

    name: str
    agents: int
    weights: str
    period: int | None
    spec: dict = field(hash=False)
    source: Callable[[int], Graph] = field(repr=False, compare=False)
    rule: Callable[[Graph], csr_array] = field(repr=False, compare=False)
    foreign: bool = True
    labels: Labels = ()
    notes: tuple[str, ...] = ()
    extent: Extent = field(default=Extent(), repr=False, compare=False)
    push_sum: bool = False
    radius: float | None = None
    first: Callable[[int], int] | None = field(default=None, repr=False, compare=False)
    _recent: OrderedDict[int, csr_array] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)

    def following(self, source: Callable[[int], Graph], first: Callable[[int], int]) -> Topology:
        """The same with a run's graphs in the place of the rehearsal's."""
        return replace(self, source=source, first=first)

    @property
    def where(self) -> str:
        """The topology in a message's words: its file's path or its name."""
        return f"topology {self.spec.get('path', self.name)}"

    def graph(self, t: int) -> nx.Graph | nx.DiGraph:
        """The graph of iteration t >= 0 as a networkx graph.  In a DiGraph, i -> j means that j hears i.

        Raises:
            RunError: as `as_given`.
        """
        return as_networkx(self.as_given(t))

    def as_given(self, t: int) -> Graph:
        """The graph of iteration t >= 0 as its family gives it, perhaps as arrays.

        Raises:
            RunError: the topology's function raised, or what it returned is no simple graph on 0..N-1; its cause is an
                InputError where the family has no graph for this number of agents.
        """
        try:
            graph = self.source(t)
        except RunError:
            raise
        except InputError as error:
            raise RunError(f"{self.where}: graph(t={t}): {error}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RunError(f"{self.where}: graph(t={t}) raised {raised(error)}") from error
        problem = graph_problem(graph, self.agents)
        if problem:
            raise RunError(f"{self.where}: graph(t={t}) returned {problem}")
        return graph

    def matrix(self, t: int, checked: bool = True) -> csr_array:
        """W_t, (N, N) float64: sorted indices, the diagonal stored, no other zeros.  Read-only.

        The latest matrices are kept, and one that equals a kept one *is* that one: a graph that recurs gives the same
        object again.

        Args:
            t: the iteration.
            checked: whether a new matrix is held against Assumption 2, if it is not a built-in's (whose are proven).

        Raises:
            RunError: as `graph`, or the weight rule does not fit the graph (an InputError is its cause), or W_t is not
                doubly stochastic (for push-sum: its columns do not sum to 1) with a positive diagonal.
        """
        at = self._phase(t)
        if at not in self._recent:
            return self.pair(at, checked)[1]
        self._recent.move_to_end(at)
        return self._recent[at]

    def pair(self, t: int, checked: bool = False) -> tuple[Graph, csr_array]:
        """The graph of iteration t, asked for anew and as its family gives it, and W_t, made of it if not kept.

        Arguments and errors are those of `matrix`.
        """
        at = self._phase(t)
        graph = self.as_given(at)
        if at in self._recent:
            return graph, self._recent[at]
        try:
            built = self.rule(graph)
        except InputError as error:
            told = InputError(f"graph(t={at}): {error.problem}", key=error.key or "weights", found=error.found,
                              valid=error.valid)
            raise RunError(f"{self.where}: {told}") from told.located(file=self.spec.get("path"))
        built.data.flags.writeable = False
        W = next((kept for kept in self._recent.values() if same_matrix(kept, built)), built)
        if W is built and checked and (self.foreign or self.weights in UNPROVEN):
            for problem in soundness(W, at, self.labels, self.push_sum).problems.values():
                raise RunError(f"{self.where}: {problem}")
        self._recent[at] = W
        recurring = self.period is not None or (self.first is not None and self.agents <= FEW)
        if len(self._recent) > (PERIODIC_CACHE if recurring else APERIODIC_CACHE):
            self._recent.popitem(last=False)
        return graph, W

    def _phase(self, t: int) -> int:
        """The first iteration whose graph is that of t, as far as the period tells."""
        if self.first is not None:
            return self.first(t)
        return t if self.period is None else t % self.period


def as_input_error(error: RunError, key: str = "topology") -> InputError:
    """A failure of `Topology.graph` or `Topology.matrix` as the user's to mend, before anything runs."""
    cause = error.__cause__
    return located(cause, key) if isinstance(cause, InputError) else InputError(error.cause)


def located(error: InputError, key: str) -> InputError:
    """The error as one of the table `key`, unless it is of the number of agents, or of the environment."""
    elsewhere = error.key is not None and error.key.partition(".")[0] in ("agents", "env")
    return error if elsewhere else error.located(key=key)


def graph_problem(graph: object, n: int) -> str | None:
    """What is wrong with a graph for n agents, to be read after "returned"; None where nothing is."""
    if isinstance(graph, EdgeGraph):        # has none of the faults below
        return None if len(graph) == n else f"a graph of {len(graph)} nodes for {n} agents"
    import networkx as nx
    if not isinstance(graph, nx.Graph):
        return f"{type(graph).__name__}, not a networkx graph"
    if graph.is_multigraph():
        return "a multigraph, which may have parallel edges: return a networkx Graph or DiGraph"
    missing = [i for i in range(n) if i not in graph]
    if len(graph) != n or missing:
        extra = sorted((node for node in graph if node not in range(n)), key=str)
        detail = f"; missing {missing[:5]}" * bool(missing) + f"; not agents: {extra[:5]}" * bool(extra)
        return f"a graph of {len(graph)} nodes for {n} agents, whose nodes must be 0..{n - 1}{detail}"
    loop = next(nx.selfloop_edges(graph), None)
    if loop is not None:
        return f"a graph with the self loop {(loop[0], loop[0])}: agents always hear themselves, leave it out"
    return None


def same_matrix(one: csr_array, other: csr_array) -> bool:
    """Whether two canonical CSR matrices are equal, entry by entry."""
    return one.nnz == other.nnz and all(np.array_equal(getattr(one, part), getattr(other, part))
                                        for part in ("indptr", "indices", "data"))
