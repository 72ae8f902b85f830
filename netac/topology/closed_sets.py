"""Two disjoint sets of agents that hear too little of what is outside of them: what keeps agents from agreeing.

A set S is k-closed if each of its agents hears at most k agents outside of S, that is, if it is not (k+1)-reachable.
Two disjoint nonempty k-closed sets show that a graph is not (k+1)-robust (LeBlanc, Zhang, Koutsoukos and Sundaram 2013,
"Resilient asymptotic consensus in robust networks").  Two such sets are soon found by annealing, and that there are
none is shown by branch and bound, whose sets are the bits of a uint64: agent i is bit i.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

MOST_AGENTS = 40
"""Agents up to which sets are searched for."""
MOST_STATES = 400_000
"""Partly decided sets that are looked at before a search ends undecided: about five seconds."""
_BATCH = 8192
_TRIES, _SWAPS, _HEAT, _LOOK = 64, 300, 2.0, 10     # of annealing: sets, swaps, noise at first, swaps between looks
_NEVER = -100         # a deficit of who need not be looked at
_BITS = np.uint64(1) << np.arange(MOST_AGENTS, dtype=np.uint64)

Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""Two disjoint nonempty sets of agents."""


@dataclass(frozen=True)
class Search:
    """The outcome of a search.

    Args:
        sets: two disjoint nonempty sets; None where none were found.
        decided: whether it is certain that there are none where none were found.
        states: how many partly decided sets were looked at.
    """

    sets: Pair | None
    decided: bool
    states: int


def disjoint_closed_sets(hears: np.ndarray, k: int, exceptions: int = 0, most: int = MOST_STATES) -> Search:
    """Two disjoint nonempty sets in which all agents but `exceptions` of both together hear at most k outside of their
    set, and in each at least one that is no exception.

    Args:
        hears: (n, n) bool, hears[i, j] where agent i hears agent j; n is at most `MOST_AGENTS`.
        k: the most that is heard.
        exceptions: how many agents may hear more.
        most: partly decided sets that are looked at, at most.
    """
    graph = _Masks.of(hears)
    if graph.n < 2:
        return Search(None, True, 0)
    exceptions, looked_at = min(exceptions, graph.n - 2), 0
    if comb(graph.n, exceptions) * (graph.n - exceptions) > most:
        return Search(None, False, 0)
    waiting = _States.roots(graph, exceptions)
    while len(waiting):
        states, waiting = waiting.split()
        looked_at += len(states)
        if looked_at > most:
            return Search(None, False, looked_at)
        states, deficit, other = _promising(states, graph, k)
        closed = (deficit <= 0).all(axis=1)
        if closed.any():
            first = int(closed.argmax())
            return Search((_members(states.inside[first]), _members(other[first])), True, looked_at)
        waiting = waiting.joined(_branches(states, graph, k))
    return Search(None, True, looked_at)


def annealed_closed_sets(hears: np.ndarray, k: int) -> Pair | None:
    """Two disjoint nonempty k-closed sets, or None where none were found, which does not say that there are none.

    Of a set and of all others it makes sum_i max(0, what i hears on the other side - k) small, by swaps of the two
    agents whose change of sides lessens it most, under noise that dies away; who hears too much after all is left out.
    Always the same for the same graph.
    """
    n, chance = len(hears), np.random.default_rng(0)
    A, rows = hears.astype(np.float32), np.arange(_TRIES)
    degree = A.sum(axis=1)
    sizes = np.linspace(max(1, n // 4), n // 2, _TRIES).astype(int)
    side = chance.random((_TRIES, n)).argsort(axis=1).argsort(axis=1) < sizes[:, None]
    for swap in range(_SWAPS + 1):
        if swap % _LOOK == 0:
            one, other = (_without_open(part, A, k) for part in (side, ~side))
            if (both := one.any(axis=1) & other.any(axis=1)).any():
                first = int(both.argmax())
                return tuple(np.flatnonzero(one[first]).tolist()), tuple(np.flatnonzero(other[first]).tolist())
        here = side.astype(np.float32)
        inside = here @ A.T
        across = np.where(side, degree - inside, inside)
        own = np.maximum(degree - across - k, 0) - np.maximum(across - k, 0)
        more, less = (across >= k).astype(np.float32), (across > k).astype(np.float32)
        leaves, joins = (here * more - (1 - here) * less) @ A, ((1 - here) * more - here * less) @ A
        change = own + np.where(side, leaves, joins) + _HEAT * (1 - swap / _SWAPS) * chance.random(side.shape)
        side[rows, np.where(side, change, np.inf).argmin(axis=1)] = False
        side[rows, np.where(side, np.inf, change).argmin(axis=1)] = True
    return None


def _without_open(sets: np.ndarray, A: np.ndarray, k: int) -> np.ndarray:
    """The largest k-closed subsets of the sets, (B, n) bool."""
    while (gone := sets & ((~sets).astype(np.float32) @ A.T > k)).any():
        sets = sets & ~gone
    return sets


def closed(hears: np.ndarray, members: Iterable[int]) -> int:
    """The smallest k for which a set is k-closed: the most that one of its agents hears outside of it."""
    inside = np.zeros(len(hears), dtype=bool)
    inside[list(members)] = True
    return int(hears[inside][:, ~inside].sum(axis=1).max(initial=0))


@dataclass(frozen=True)
class _Masks:
    """A graph: whom each agent hears, who hears it, how many it hears, and whom it does not hear."""

    n: int
    hears: np.ndarray
    heard_by: np.ndarray
    degree: np.ndarray
    deaf_to: np.ndarray

    @classmethod
    def of(cls, hears: np.ndarray) -> _Masks:
        n = len(hears)
        forth, back = (np.where(links, _BITS[:n], np.uint64(0)).sum(axis=1, dtype=np.uint64)
                       for links in (hears, hears.T))
        everybody = np.bitwise_or.reduce(_BITS[:n])
        return cls(n, forth, back, _count(forth), everybody & ~forth & ~_BITS[:n])

    @property
    def bits(self) -> np.ndarray:
        return _BITS[:self.n]

    @property
    def everybody(self) -> np.uint64:
        return np.bitwise_or.reduce(self.bits)


@dataclass(frozen=True)
class _States:
    """Partly decided sets, (B,) each: who is in the smaller set, who is not, and who may hear more than k."""

    inside: np.ndarray
    outside: np.ndarray
    excepted: np.ndarray

    def __len__(self) -> int:
        return len(self.inside)

    def __getitem__(self, which: np.ndarray | slice) -> _States:
        return _States(self.inside[which], self.outside[which], self.excepted[which])

    @classmethod
    def roots(cls, graph: _Masks, exceptions: int) -> _States:
        """One of the agents is in the set, and those before it in the order are not, for every choice of exceptions.

        Who hears most comes first: it is soon shown to be in no set, and then helps to show it of others.
        """
        order = np.argsort(-graph.degree, kind="stable")
        ranked = graph.bits[order]
        before = np.bitwise_or.accumulate(np.concatenate([[np.uint64(0)], ranked[:-1]]))
        inside, outside, excepted = [], [], []
        for chosen in combinations(range(graph.n), exceptions):
            allowed = np.bitwise_or.reduce(graph.bits[list(chosen)], initial=np.uint64(0))
            kept = (ranked & allowed) == 0
            inside.append(ranked[kept])
            outside.append(before[kept] & ~allowed)
            excepted.append(np.full(int(kept.sum()), allowed))
        return cls(*(np.concatenate(parts)[::-1] for parts in (inside, outside, excepted)))

    def split(self) -> tuple[_States, _States]:
        """The last ones, to be looked at now, and the others."""
        return self[-_BATCH:], self[:-_BATCH]

    def joined(self, other: _States) -> _States:
        return _States(*(np.concatenate([getattr(self, part), getattr(other, part)])
                         for part in ("inside", "outside", "excepted")))


def _promising(states: _States, graph: _Masks, k: int) -> tuple[_States, np.ndarray, np.ndarray]:
    """Those states that may yet become a set, with what they imply decided.

    The set has at most n // 2 agents, as the other one is not smaller without loss of generality.  So it lacks more
    agents, at least as many as the agent that hears most too much must have inside; and as many as must be added until
    all that its agents hear too much is inside, if those come first that most of them hear.  What is k-closed without
    the agents inside must not be smaller.

    Returns:
        The states, how many more each agent inside must hear inside, (B, n), and the largest other set, (B,).
    """
    largest = graph.n // 2
    need = graph.degree - np.int8(k)                                        # inside, for who is in the set
    states = _implied(states, graph, k, (largest - 1 - need).astype(np.int8))
    within = _has(states.inside & ~states.excepted, graph)
    deficit = np.where(within, need - _count(graph.hears & states.inside[:, None]), np.int8(_NEVER))
    lacking = np.where(deficit > 0, graph.bits, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    undecided = _has(~(states.inside | states.outside), graph)
    gains = np.where(undecided, _count(graph.heard_by & lacking[:, None]), np.int8(0))
    gained = np.cumsum(np.sort(gains, axis=1)[:, ::-1], axis=1, dtype=np.int16)
    missing = np.maximum(deficit, 0).sum(axis=1, dtype=np.int16)
    added = np.maximum((gained < missing[:, None]).sum(axis=1) + (missing > 0), deficit.max(axis=1, initial=0))
    size = _count(states.inside) + added
    kept = size <= largest
    states, deficit, size = states[kept], deficit[kept], size[kept]
    other = _largest_closed(graph.everybody & ~states.inside, states.excepted, graph, k)
    kept = (_count(other) >= size) & ((other & ~states.excepted) != 0)
    return states[kept], deficit[kept], other[kept]


def _implied(states: _States, graph: _Masks, k: int, spare: np.ndarray) -> _States:
    """The states with everything decided that follows from what is, without those that contradict themselves.

    An agent hears at most k that are outside, and at most `spare` of the set are others than those that it hears: who
    would exceed one of them is outside; where one inside has reached it, the rest is decided.
    """
    moved = np.arange(len(states))
    inside, outside = states.inside.copy(), states.outside.copy()
    while len(moved):
        own, out, bound = inside[moved], outside[moved], ~_has(states.excepted[moved], graph)
        beyond, apart = _count(graph.hears & out[:, None]), _count(graph.deaf_to & own[:, None])
        within = _has(own, graph) & bound
        never = _joined(graph.bits, ((beyond > k) | (apart > spare)) & bound)
        out = out | never | (_joined(graph.deaf_to, within & (apart == spare)) & ~own)
        own = own | (_joined(graph.hears, within & (beyond == k)) & ~outside[moved])
        changed = (own != inside[moved]) | (out != outside[moved])
        inside[moved], outside[moved] = own, out
        moved = moved[changed & (own & out == 0)]
    sound = inside & outside == 0
    return _States(inside[sound], outside[sound], states.excepted[sound])


def _branches(states: _States, graph: _Masks, k: int) -> _States:
    """Each state with one more agent outside, and with it inside: the one that has least to spare."""
    spare = (graph.n // 2 - 1 - (graph.degree - k)).astype(np.int8)
    left = (np.int8(k) - _count(graph.hears & states.outside[:, None])
            + spare - _count(graph.deaf_to & states.inside[:, None]))
    undecided = _has(~(states.inside | states.outside), graph)
    chosen = graph.bits[np.where(undecided, left, np.int8(127)).argmin(axis=1)]
    return _States(np.concatenate([states.inside, states.inside | chosen]),
                   np.concatenate([states.outside | chosen, states.outside]), np.tile(states.excepted, 2))


def _largest_closed(within: np.ndarray, excepted: np.ndarray, graph: _Masks, k: int) -> np.ndarray:
    """The largest k-closed subsets of the sets `within`, (B,): who hears too much is taken out as long as one does."""
    kept, moved = within.copy(), np.arange(len(within))
    while len(moved):
        now = kept[moved]
        gone = (graph.degree - _count(graph.hears & now[:, None]) > k) & _has(now & ~excepted[moved], graph)
        kept[moved] = now & ~_joined(graph.bits, gone)
        moved = moved[gone.any(axis=1)]
    return kept


def _count(sets: np.ndarray) -> np.ndarray:
    """How many agents sets have, int8."""
    return np.bitwise_count(sets).astype(np.int8)


def _has(sets: np.ndarray, graph: _Masks) -> np.ndarray:
    """(B, n) bool: which agents are in the sets (B,)."""
    return (sets[:, None] & graph.bits) != 0


def _joined(sets: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The unions of the sets (n,) that `which` (B, n) names: (B,)."""
    return np.bitwise_or.reduce(np.where(which, sets, np.uint64(0)), axis=1)


def _members(bits: np.uint64) -> tuple[int, ...]:
    """The agents of a set."""
    return tuple(i for i in range(MOST_AGENTS) if int(bits) >> i & 1)
