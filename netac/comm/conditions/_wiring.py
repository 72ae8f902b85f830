"""Asynchronous gossip, who hears what: which message every event of a stretch of virtual time reads over every link.

See `_events`.  Message k of agent j is what it sends at its event k, at the time t_jk, to all that hear it.  Event
(t, i) finds it if it has arrived, t_jk + flight <= t, and was sent by an event before (t, i); events are ordered by
their times, at equal times by their agents.  Of what it finds over a link it reads the newest, the largest k.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from netac.comm.conditions._time import CLOCK, LOSS, Times, link_codes
from netac.utils.errors import InputError
from netac.utils.streams import Purpose, pair_uniforms


@dataclass(frozen=True, eq=False)
class Wiring:
    """Over which agents hear others, and themselves: C = L + N links, by hearer and then by speaker, ascending.

    Attributes:
        hearer, speaker: (C,).
        weight: (C,) W_ij, and what of 1 the others leave to an agent's own.
        latency, transfer: (C,) seconds that a message flies; 0 for agents with themselves.
        loss: (C,) probability with which it does not arrive; 0 for agents with themselves.
        times, seed: for the jitter of latencies, and for losses.
    """

    hearer: np.ndarray
    speaker: np.ndarray
    weight: np.ndarray
    latency: np.ndarray
    transfer: np.ndarray
    loss: np.ndarray
    times: Times
    seed: int

    @classmethod
    def of(cls, agents: int, hearer: np.ndarray, speaker: np.ndarray, weight: np.ndarray, times: Times,
           bits: np.ndarray | float, loss: np.ndarray | float, seed: int) -> Wiring:
        """From the L links between different agents.

        Raises:
            InputError: a probability of loss is none.
        """
        hearer, speaker, me = np.asarray(hearer, np.int64), np.asarray(speaker, np.int64), np.arange(agents)
        weight, probability = np.asarray(weight, np.float64), np.broadcast_to(np.asarray(loss, np.float64), len(hearer))
        good = (probability >= 0.0) & (probability <= 1.0)
        if not good.all():
            raise InputError("a probability", key="loss", found=float(probability[~good][0]), valid="0 to 1")
        size, nothing = np.broadcast_to(np.asarray(bits, np.float64), agents), np.zeros(agents)
        own = 1.0 - np.bincount(hearer, weights=weight, minlength=agents)
        order = np.argsort(link_codes(np.append(hearer, me), np.append(speaker, me)), kind="stable")

        def merged(others: np.ndarray, with_oneself: np.ndarray) -> np.ndarray:
            return np.append(others, with_oneself)[order]

        return cls(merged(hearer, me), merged(speaker, me), merged(weight, own),
                   merged(times.latencies(hearer, speaker), nothing),
                   merged(times.transfers(hearer, speaker, size[speaker]), nothing), merged(probability, nothing),
                   times, seed)

    @cached_property
    def own(self) -> np.ndarray:
        """(N,) the link of each agent with itself."""
        return np.flatnonzero(self.hearer == self.speaker)

    @cached_property
    def size(self) -> np.ndarray:
        """(N,) how many links a hearer has, its own among them."""
        return np.bincount(self.hearer)

    @cached_property
    def first(self) -> np.ndarray:
        """(N,) the first of them."""
        return np.cumsum(self.size) - self.size

    @cached_property
    def listeners(self) -> np.ndarray:
        """(N,) how many others hear an agent."""
        return np.bincount(self.speaker) - 1

    @cached_property
    def instant(self) -> bool:
        """Whether every message is there as soon as it is sent."""
        return not (self.latency.any() or self.transfer.any() or self.loss.any())

    def flights(self, number: np.ndarray, link: np.ndarray) -> np.ndarray:
        """Seconds that messages of these numbers fly over these links: (M,)."""
        if not self.times.latency_jitter:
            return (self.latency + self.transfer)[link]
        stretch = self.times.stretch(number, self.hearer[link], self.speaker[link], self.seed)
        return self.latency[link] * stretch + self.transfer[link]

    def lost(self, number: np.ndarray, link: np.ndarray) -> np.ndarray:
        """The places, among these messages, of those that never arrive."""
        if not self.loss.any():
            return np.empty(0, dtype=np.int64)
        codes = link_codes(self.hearer, self.speaker)
        u = pair_uniforms(self.seed, Purpose.NETWORK, (CLOCK, LOSS), number, codes[link])
        return np.flatnonzero(u < self.loss[link])


@dataclass(frozen=True, eq=False)
class Past:
    """What the next events depend on besides the agents' values.  An agent's last D messages are kept.

    Attributes:
        done: (N,) how often each agent has acted, which is the number of its next event.
        next: (N,) the time of that event.
        lost: (N,) how many of its messages were lost, over all links.
        sent: (N, D) when each sent what is kept; message k is at place k modulo D.
        messages: (N D, W) what it sent, agent by agent.
        newest: (C,) the number of the newest message that has been read over each link; -1: none that is kept, or the
            link of an agent with itself.
    """

    done: np.ndarray
    next: np.ndarray
    lost: np.ndarray
    sent: np.ndarray
    messages: np.ndarray
    newest: np.ndarray


@dataclass(frozen=True, eq=False)
class Beat:
    """The E events of a stretch of virtual time: of agent i the `count[i]` next ones.

    Attributes:
        times: (N, K) their times; infinite from the beat's end on.  K is a power of 2, the last column infinite.
        next: (N,) the time of each agent's first event after the beat.
        count: (N,) how many events it has in the beat, less than K.
        agent, column: (E,) in a list of the events by agent and number: the agent, and the column in `times`.
        order: (E,) the events' places in this list in the order of time.
        place: (E,) the inverse permutation: at which place in the order of time the events of this list are.
    """

    times: np.ndarray
    next: np.ndarray
    count: np.ndarray
    agent: np.ndarray
    column: np.ndarray
    order: np.ndarray
    place: np.ndarray


@dataclass(frozen=True, eq=False)
class Reads:
    """Which messages a beat's events read, of the M that they may find, listed by link and number.

    Attributes:
        row: (M,) in which row of values a message is; -1: there is none.
        number: (M,) its number.
        expires: (M,) from which time on the hearer's events find it forgotten; None: nothing is forgotten.
        lost: (N,) how many messages of this beat are lost, by speaker.
        table: (C,) where the events of a link's hearer begin in `newest`.
        newest: (sum of the links' hearers' events,) the place in the list of the message that is read.
    """

    row: np.ndarray
    number: np.ndarray
    expires: np.ndarray | None
    lost: np.ndarray
    table: np.ndarray
    newest: np.ndarray


@dataclass(frozen=True, eq=False)
class _Listed:
    """The M messages: for each link the one read last, its head, then what its speaker has sent since, or sends now.

    Attributes:
        link, number: (M,).
        place: (M,) in the arrays of `_by_number`.
        none: the heads of links over which nothing has been read that is kept.
        head, size: (C,) the first message of each link, and how many it has.
    """

    link: np.ndarray
    number: np.ndarray
    place: np.ndarray
    none: np.ndarray
    head: np.ndarray
    size: np.ndarray


def find(wiring: Wiring, past: Past, beat: Beat) -> Reads:
    """What every event of a beat reads over every link.

    Rows of values are those of the N agents before the beat, of the N D messages kept, and of the beat's events in
    the order of time.
    """
    hearer, speaker, own, agents = wiring.hearer, wiring.speaker, wiring.own, len(past.done)
    listed, (sent, row) = _list(wiring, past, beat), _by_number(past, beat)
    link, head = listed.link, listed.head
    at, rows = sent.ravel()[listed.place], row.ravel()[listed.place]
    rows[listed.none], rows[head[own]] = -1, np.arange(agents)

    arrival, lost = at + wiring.flights(listed.number, link), wiring.lost(listed.number, link)
    arrival[lost], arrival[head] = np.inf, -np.inf
    new = lost[listed.number[lost] >= past.done[speaker[link[lost]]]]
    expires = _expiries(wiring, past, beat, listed, sent, arrival)
    at_once = np.flatnonzero((arrival == at) & (hearer < speaker)[link])
    arrival[at_once] = np.nextafter(at[at_once], np.inf)                   # events of lower agents were before

    reader = _count_below(beat.times, hearer[link], arrival)               # which of the hearer's events finds it first
    mine = ranges(head[own], listed.size[own])
    reader[mine] = mine - head[link[mine]]                                 # an agent has what it made at the next one
    count = beat.count[hearer]
    table = np.cumsum(count) - count
    seen = np.flatnonzero(reader < count[link])
    newest = np.zeros(int(count.sum()), dtype=np.int64)
    np.maximum.at(newest, table[link[seen]] + reader[seen], seen)
    return Reads(rows, listed.number, expires, np.bincount(speaker[link[new]], minlength=agents), table,
                 np.maximum.accumulate(newest))


def system(wiring: Wiring, beat: Beat, reads: Reads) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weighted sums of a beat's events, in the order of time, as compressed rows: indptr, indices, links."""
    agent, column = beat.agent[beat.order], beat.column[beat.order]
    size = wiring.size[agent]
    link = ranges(wiring.first[agent], size)
    found = reads.newest[reads.table[link] + np.repeat(column, size)]
    indices = reads.row[found]
    if reads.expires is not None:
        indices[reads.expires[found] <= np.repeat(beat.times[agent, column], size)] = -1
    none = np.flatnonzero(indices < 0)
    if len(none):
        own = reads.row[reads.newest[reads.table[wiring.own[agent]] + column]]
        indices[none] = np.repeat(own, size)[none]
    return np.concatenate([[0], np.cumsum(size)]), indices, link


def ranges(first: np.ndarray, size: np.ndarray) -> np.ndarray:
    """first_k, first_k + 1, ..., first_k + size_k - 1, for all k one after the other."""
    end = np.cumsum(size)
    return np.arange(end[-1] if len(end) else 0) + np.repeat(first - end + size, size)


def _list(wiring: Wiring, past: Past, beat: Beat) -> _Listed:
    """The messages that the events of a beat may find."""
    speaker, own, done, depth = wiring.speaker, wiring.own, past.done, past.sent.shape[1]
    kept = np.maximum(done - depth, 0)[speaker]                            # the oldest number that is
    oldest = np.maximum(past.newest + 1, kept)
    oldest[own] = done
    size = (done + beat.count)[speaker] - oldest + 1
    head = np.cumsum(size) - size
    link = np.repeat(np.arange(len(speaker)), size)
    number = np.arange(len(link)) + (oldest - 1 - head)[link]
    number[head] = past.newest
    width = depth + beat.times.shape[1]
    place = number + (speaker * width - (done - depth)[speaker])[link]
    none = head[past.newest < 0]
    place[none] = 0
    return _Listed(link, number, place, none, head, size)


def _by_number(past: Past, beat: Beat) -> tuple[np.ndarray, np.ndarray]:
    """(N, D + K) when agents sent their messages from number done - D on, and in which rows of values these are."""
    agents, depth = past.sent.shape
    slot = (past.done[:, None] + np.arange(depth)) % depth
    sent = np.concatenate([np.take_along_axis(past.sent, slot, axis=1), beat.times], axis=1)
    row = np.empty(sent.shape, dtype=np.int64)
    row[:, :depth] = agents + np.arange(agents)[:, None] * depth + slot
    row[beat.agent, depth + beat.column] = agents * (1 + depth) + beat.place
    return sent, row


def _expiries(wiring: Wiring, past: Past, beat: Beat, listed: _Listed, sent: np.ndarray,
              arrival: np.ndarray) -> np.ndarray | None:
    """From which time on the events of the hearer find messages forgotten, (M,); None: no event would read one.

    Message k is forgotten when its speaker sends number k + D; in most cases a newer one has arrived by then.
    """
    if wiring.instant:
        return None
    hearer, speaker, depth, link = wiring.hearer, wiring.speaker, past.sent.shape[1], listed.link
    numbers = (past.done + beat.count)[speaker] - depth
    numbers[wiring.own] = -1
    old = np.flatnonzero(listed.number < numbers[link])
    time = sent.ravel()[listed.place[old] + depth]
    read = np.flatnonzero(time < arrival[old + 1])            # the last message of a link is not among the old ones
    if not len(read):
        return None
    old, time = old[read], time[read]
    expires = np.full(len(link), np.inf)
    expires[old] = np.where((hearer < speaker)[link[old]], np.nextafter(time, np.inf), time)
    return expires


def _count_below(times: np.ndarray, agent: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """How many of the ascending times (N, K) of an agent are below a limit, (M,): K a power of 2, the last one is not.

    A binary search, in step for all.
    """
    columns, flat = times.shape[1], times.ravel()
    begin = agent * columns
    place = begin - 1
    step = columns // 2
    while step:
        place += step * (flat[place + step] < limit)
        step //= 2
    return place + 1 - begin
