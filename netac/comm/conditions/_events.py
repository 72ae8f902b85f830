"""Asynchronous gossip in virtual time: every agent acts when it is ready, and mixes the newest that has reached it.

Agent i acts at times t_i0 < t_i1 < ..., its *events*; its work of event k lies between t_i(k-1) and t_ik.  At an event

    x_i <- x_i + sum_j W_ij (m_ij - x_i),      m_ij the newest message from j that has arrived; x_i itself if none has,

and i then sends x_i to all that hear it.  Events take place in the order of their times, at equal times of their
agents.  With exponential work and no flight these are the clocks of Boyd, Ghosh, Prabhakar and Shah (2006, "Randomized
gossip algorithms").

No time depends on the values.  So the times of all events of a *beat*, a stretch of virtual time, are drawn at once,
and it is found which messages they read (`_wiring`).  With a row of values for every event, in the order of time, their
weighted sums are a sparse lower triangular system, and one forward substitution computes them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache

import numpy as np

from netac.comm.conditions._time import Times
from netac.comm.conditions._wiring import Beat, Past, Reads, Wiring, find, system
from netac.comm.plan import csr_matvecs
from netac.utils.errors import InputError

_ENTRIES = 2**20          # entries of a beat's sparse rows, at most, where two events an agent do not have more
_NUMBERS = 2**23          # numbers of a beat's rows, likewise
_COLUMNS = 256            # event times of an agent in a beat, at most
_MISSED = 1e-9            # probability, about, with which a message is forgotten that would have been read


class AsynchronousGossip:
    """The events of N agents on a static graph.

    What it keeps are arrays of fixed shapes (`state`), the same in every process.  An agent's last `depth` messages
    are there to be read; a link whose newest arrived message is older counts as one over which nothing has come.

    Args:
        agents: N.
        hearer, speaker, weight: (L,) the links over which agents hear others, and W_ij.
        times: how long work and flights take.
        width: W, how many numbers an agent holds.
        bits: of a message; a number, or one for each agent.  By default those of its numbers.
        loss: probability with which a message does not arrive over a link; a number, or (L,).
        depth: how many messages of an agent are kept; by default so many that none is missed but with a probability
            of about 1e-9.
        seed: the run's.
        dtype: of the agents' numbers, double or single.

    Raises:
        InputError: an agent needs no time for its work, or a number is out of its range.
    """

    def __init__(self, agents: int, hearer: np.ndarray, speaker: np.ndarray, weight: np.ndarray, times: Times,
                 width: int, *, bits: np.ndarray | float | None = None, loss: np.ndarray | float = 0.0,
                 depth: int | None = None, seed: int = 0, dtype: type | np.dtype = np.float64):
        times.check(agents)
        everybody, bits_of_numbers = np.arange(agents), 8 * width * np.dtype(dtype).itemsize
        self._mean_work = times.mean_work(everybody, seed)
        if not (self._mean_work > 0.0).all():
            raise InputError("agents that act when they are ready need some time for their work", key="compute",
                             found=float(self._mean_work.min()), valid="seconds, more than 0")
        self._wiring = Wiring.of(agents, hearer, speaker, weight, times, bits_of_numbers if bits is None else bits,
                                 loss, seed)
        self._weight = self._wiring.weight.astype(dtype)
        self.depth = enough(self._wiring, self._mean_work) if depth is None else depth
        most = min(_ENTRIES // len(self._weight), _NUMBERS // max(1, agents * width))
        self._most_columns = _power_of_two(max(2, min(1 + most, _COLUMNS)))
        self._kept = agents * (1 + self.depth)       # rows of values: the agents', the messages', then those of events
        self._rows = np.zeros((self._kept + agents * (self._most_columns - 1), width), dtype)
        none = np.zeros(agents, dtype=np.int64)
        self._past = Past(none, times.work(none, everybody, seed).astype(np.float64), none.copy(),
                          np.zeros((agents, self.depth)), self._rows[agents:self._kept],
                          np.full(len(self._weight), -1))

    @property
    def events(self) -> np.ndarray:
        """(N,) how often each agent has acted."""
        return self._past.done.copy()

    @property
    def messages(self) -> np.ndarray:
        """(N,) how many messages each has sent."""
        return self._past.done * self._wiring.listeners

    @property
    def lost(self) -> np.ndarray:
        """(N,) how many of these never arrive."""
        return self._past.lost.copy()

    def state(self) -> dict[str, np.ndarray]:
        """What the next events depend on besides the agents' values: the arrays of `Past`."""
        return {field.name: getattr(self._past, field.name).copy() for field in fields(Past)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from there."""
        for field in fields(Past):
            getattr(self._past, field.name)[:] = state[field.name]

    def advance(self, x: np.ndarray, until: float) -> np.ndarray:
        """The agents' values after all events before the time `until`: (N, W) -> (N, W), a new array.

        Before them the agents hold `x`; messages under way are as they were sent.
        """
        agents = len(self._past.done)
        self._rows[:agents] = x
        while (self._past.next < until).any():
            beat = self._draw(until)
            reads = find(self._wiring, self._past, beat)
            self._compute(beat, reads)
            self._keep(beat, reads)
        return self._rows[:agents].copy()

    def _draw(self, until: float) -> Beat:
        """The times of the next events, those before `until` or some of them."""
        past, times = self._past, self._wiring.times
        agents = np.arange(len(past.done))
        expected = min(float(((until - past.next) / self._mean_work).max()), float(_COLUMNS))
        columns = min(_power_of_two(2 * int(expected + 4.0 * expected**0.5 * bool(times.jitter) + 2.0) - 1),
                      self._most_columns)
        while True:
            numbers = past.done[:, None] + np.arange(1, columns)
            works = times.work(numbers, agents[:, None], self._wiring.seed)
            drawn = np.add.accumulate(np.concatenate([past.next[:, None], works], axis=1), axis=1)
            within = drawn < min(until, drawn[:, -1].min())
            count = within.sum(axis=1)
            if count.any():
                break
            columns *= 2             # an agent's works are so short that its first and its last event are at one time
        following = drawn[agents, count]
        order = np.argsort(drawn[within], kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        drawn[~within] = np.inf
        agent, column = np.nonzero(within)
        return Beat(drawn, following, count, agent, column, order, place)

    def _compute(self, beat: Beat, reads: Reads) -> None:
        """The rows of a beat's events."""
        indptr, indices, link = system(self._wiring, beat, reads)
        end = self._kept + len(beat.order)
        if end > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows, shape=(end, self._rows.shape[1]))])
            self._past = replace(self._past, messages=self._rows[len(self._past.done):self._kept])
        substitute(self._rows[:end], self._kept, indptr, indices, self._weight[link])

    def _keep(self, beat: Beat, reads: Reads) -> None:
        """What the next events need of these."""
        past, wiring, values = self._past, self._wiring, self._rows[self._kept:]
        kept = np.flatnonzero(beat.column >= (beat.count - self.depth)[beat.agent])
        agent, column = beat.agent[kept], beat.column[kept]
        slot = agent * self.depth + (past.done[agent] + column) % self.depth
        past.messages[slot] = values[beat.place[kept]]
        past.sent.ravel()[slot] = beat.times[agent, column]
        last = np.flatnonzero(beat.column == (beat.count - 1)[beat.agent])
        self._rows[beat.agent[last]] = values[beat.place[last]]
        count = beat.count[wiring.hearer]
        heard = np.flatnonzero(count)
        past.newest[heard] = reads.number[reads.newest[(reads.table + count - 1)[heard]]]
        past.lost[:] += reads.lost
        past.done[:] += beat.count
        past.newest[past.newest < (past.done - self.depth)[wiring.speaker]] = -1
        past.newest[wiring.own] = -1
        past.next[:] = beat.next


def enough(wiring: Wiring, mean_work: np.ndarray) -> int:
    """How many messages of an agent to keep so that next to nothing is forgotten that would be read.

    Those that it sends while one flies, what of their number is chance (as in a Poisson process), and those lost one
    after the other.
    """
    times = wiring.times
    flight = wiring.latency * (1.0 + 4.0 * times.latency_jitter) + wiring.transfer
    meanwhile = float((flight / mean_work[wiring.speaker]).max())
    chance = times.jitter * (6.0 * meanwhile**0.5 + 10.0) if meanwhile else 0.0
    worst = float(wiring.loss.max())
    lost = np.log(_MISSED) / np.log(worst) if 0.0 < worst < 1.0 else 0.0
    return 1 + int(np.ceil(meanwhile + chance + lost))


def substitute(rows: np.ndarray, first: int, indptr: np.ndarray, indices: np.ndarray, weights: np.ndarray) -> None:
    """rows[first + e] = sum of weights[k] rows[indices[k]], k = indptr[e], ..., indptr[e + 1] - 1; for e = 0, 1, ...

    In this order, so that a row may read those before it: the kernel adds up the rows of a product one after the
    other, entry by entry, and here it reads the array that it writes into.
    """
    out = rows[first:]
    out[:] = 0.0
    if in_order():
        csr_matvecs(len(out), len(rows), rows.shape[1], indptr, indices, weights, rows.reshape(-1), out.reshape(-1))
        return
    for e, one in enumerate(out):
        part = slice(indptr[e], indptr[e + 1])
        csr_matvecs(1, len(rows), rows.shape[1], indptr[e:e + 2] - indptr[e], indices[part], weights[part],
                    rows.reshape(-1), one)


@cache
def in_order() -> bool:
    """Whether the kernel finds what it has just written; that of another scipy may not."""
    rows = np.array([1.0, 0.0, 0.0, 0.0])
    csr_matvecs(3, 4, 1, np.arange(4), np.arange(3), np.full(3, 2.0), rows, rows[1:])
    return bool((rows == [1.0, 2.0, 4.0, 8.0]).all())


def _power_of_two(number: int) -> int:
    """The largest power of 2 up to a number."""
    return 1 << (number.bit_length() - 1)
