"""Messages arrive d iterations after they are sent; hearers use the newest that has come.

What j sends in iteration s, as number r of the exchanges of this iteration, arrives at i in s + d_ij(s, r): d is
`iterations`, or uniform over least..most, drawn for every message.  In exchange r of iteration t

    x~_i = W_ii x_i(t) + sum over j of W_ij x_j(s_ij),      s_ij = max { s : s + d_ij(s, r) <= t, and it was not lost }

and x_i(t) stands for x_j where nothing has come yet.  So a message that was overtaken is never used, the last one is
used again where nothing new has come, and what arrives over a link that is not in the graph is used once it is.  Delays
count iterations: exchanges of one iteration (an algorithm's rounds, or its kinds of values) do not mix with each other.
`delayed` counts messages with d > 0, once each, at their hearers when they are sent.

A hearer keeps up to 1 + max(d, 1) messages of each link, kind of value and round, decoded.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.exchange import DELAYED, Condition, Exchange, Phase, Surroundings
from netac.comm.link_rows import LinkRows
from netac.utils.errors import InputError
from netac.utils.options import Options


class Settings(Options):
    """Options of `delay`."""

    iterations: int | None = Field(None, ge=0, description="d, the delay of all messages; 0: they arrive at once")
    most: int | None = Field(None, ge=0, description="in its place: the longest delay, each being drawn by itself")
    least: int | None = Field(None, ge=0, description="with `most`: the shortest, 0 if nothing is said")


class Delay(Condition):
    """The module's equation, with delays of least..most.

    Of each link there are K places for messages (`places_for`).
    """

    phase = Phase.DELAY
    columns: tuple[str, ...] = (DELAYED,)

    def __init__(self, least: int, most: int):
        self._least, self._most = least, most
        self.keeps = 0.0, float(places_for(most))
        if most:
            self.notes = ("agents mix what their neighbours had earlier (network.delay), so that consensus does not "
                          "keep the mean of what is mixed: it drifts",)

    def arrive(self, exchange: Exchange) -> None:
        """Put away what has been sent, and take out what is the newest that has arrived."""
        message = exchange.received
        places, flat, times = self._kept(exchange)
        t, came = exchange.t, exchange.arrived
        L = np.arange(len(places))
        sent, due = times[places, 0], times[places, 1]          # (L, K): 1 + s, 0 where the place is free; s + d
        there = np.where(due <= t, sent, 0)
        newest = there.argmax(axis=1)
        free = due <= t
        free[L, newest] = False
        into = free.argmax(axis=1)[came]
        d = self._drawn(exchange)
        exchange.count_links(DELAYED, came & (d > 0))
        flat[places[came], into] = message[came]
        times[places[came], 0, into] = t + 1
        times[places[came], 1, into] = t + d[came]
        now = np.flatnonzero(came)[d[came] == 0]
        newest[now], there[now] = into[d[came] == 0], 1
        exchange.received, exchange.arrived = flat[places, newest], there[L, newest] > 0

    def _kept(self, exchange: Exchange) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the links are in what is kept; the messages (., K, W), and their times (., 2, K), to be written."""
        n, K, what = len(exchange.agents), places_for(self._most), f"{exchange.what}_{exchange.round}"
        W, dtype = exchange.received.shape[1], exchange.received.dtype
        queue = self.link_rows.setdefault(f"queue_{what}", LinkRows(n, K * W, dtype))
        times = self.link_rows.setdefault(f"times_{what}", LinkRows(n, 2 * K, np.int64))
        places = queue.of(exchange.links)
        times.of(exchange.links)                                # the same: both have met the same links
        return places, queue.flat.reshape(-1, K, W), times.flat.reshape(-1, 2, K)

    def _drawn(self, exchange: Exchange) -> np.ndarray:
        """d, (L,)."""
        if self._least == self._most:
            return np.full(len(exchange.arrived), self._most)
        return self._least + (exchange.uniforms() * (self._most - self._least + 1)).astype(np.int64)


def places_for(most: int) -> int:
    """K: enough for the messages of a link that have not arrived, the newest that has, and another one."""
    return 1 + max(most, 1)


def make(settings: Settings, around: Surroundings) -> Delay:
    """The condition; InputError where it is not clear how long delays are, or where they are longer than the run."""
    most, least, T = settings.most, settings.least, around.iterations
    if (settings.iterations is None) == (most is None):
        raise InputError("says nothing of how long" if most is None else "says how long, and iterations does",
                         key=None if most is None else "most", valid="one of iterations and most")
    if most is None:
        if least is not None:
            raise InputError("goes with most", key="least", found=least, valid="without it, or most for iterations")
        most = least = settings.iterations
    assert most is not None
    if most >= T:
        raise InputError("is longer than the run: a message sent in its first iteration would never arrive",
                         key="most" if settings.iterations is None else "iterations", found=most, valid=f"0 to {T - 1}")
    if (least or 0) > most:
        raise InputError("is more than most", key="least", found=least, valid=f"0 to {most}")
    return Delay(least or 0, most)
