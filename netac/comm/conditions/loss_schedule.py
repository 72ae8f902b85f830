"""Messages are lost as a file says, which names the iteration, the hearer and the speaker of each that is.

The file is CSV; its first line is `iteration,hearer,speaker`, and each other line a message that does not arrive: what
`hearer` would have heard of `speaker` in all rounds of this iteration.  Agents and iterations are counted from 0.  With
a period P, iteration t loses what the file says of t mod P.  A line about agents that are no neighbours in this
iteration does nothing.  The weight of what is lost goes to the hearer's own entry; where both directions of an edge are
always lost together, averages keep their mean.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.conditions.loss import DRIFT, lose
from netac.comm.exchange import LOST, Condition, Exchange, Phase, Surroundings
from netac.utils.errors import InputError
from netac.utils.files import read_text
from netac.utils.options import Options

HEADER = "iteration,hearer,speaker"


class Settings(Options):
    """Options of `loss-schedule`."""

    path: str = Field(description=f"a CSV file with the columns {HEADER}, a line for each message that is lost")
    period: int | None = Field(None, ge=1, description=(
        "iterations after which it begins again; without it, it is played once"))


class LossSchedule(Condition):
    """Losses (K, 3) of (t, hearer, speaker) among N agents, ascending."""

    phase, columns = Phase.LINK, (LOST,)

    def __init__(self, losses: np.ndarray, N: int, period: int | None):
        self._t, hearer, speaker = losses.T
        self._N, self._period, self._codes = N, period, hearer * N + speaker
        there, back = (np.unique(self._t * N * N + code) for code in (self._codes, speaker * N + hearer))
        if not np.array_equal(there, back):
            self.notes = (DRIFT,)

    def arrive(self, exchange: Exchange) -> None:
        """Lose them."""
        t = exchange.t if self._period is None else exchange.t % self._period
        first, last = np.searchsorted(self._t, [t, t + 1])
        links = exchange.links
        codes = (links.hearer + exchange.agents.start) * self._N + links.speaker
        lose(exchange, np.isin(codes, self._codes[first:last]))


def read(settings: Settings, N: int, T: int) -> np.ndarray:
    """The losses of a file, (K, 3), ascending, of a run of T iterations; InputError for a line that is none."""
    most = T if settings.period is None else settings.period
    ranges = (("iteration", most), ("hearer", N), ("speaker", N))
    header, *lines = read_text(settings.path).splitlines() or [""]
    if header.replace(" ", "") != HEADER:
        raise InputError("line 1 does not name the columns", file=settings.path, key="path", found=header, valid=HEADER)
    found = []
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(ranges):
            raise InputError(f"line {number} is no loss", file=settings.path, key="path", found=line,
                             valid=f"three whole numbers {HEADER}")
        for cell, (name, end) in zip(cells, ranges, strict=True):
            if not (cell.isascii() and cell.isdigit() and int(cell) < end):
                raise InputError(f"line {number}: no such {name}", file=settings.path, key="path", found=cell,
                                 valid=f"0 to {end - 1}")
        if int(cells[1]) == int(cells[2]):
            raise InputError(f"line {number}: hearer and speaker are one agent", file=settings.path, key="path",
                             found=line, valid="two agents")
        found.append([int(cell) for cell in cells])
    losses = np.array(found, dtype=np.int64).reshape(-1, 3)
    return losses[np.argsort(losses[:, 0], kind="stable")]


def make(settings: Settings, around: Surroundings) -> LossSchedule:
    """The condition, from the file; InputError for what is wrong in it."""
    N = around.topology.agents
    return LossSchedule(read(settings, N, around.iterations), N, settings.period)
