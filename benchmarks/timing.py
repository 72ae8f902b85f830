"""Interleaved timings of two programs, so that what else the machine does falls on both alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One measured line of the table: `ratio` of the medians of two interleaved series of timings.

    Attributes:
        what: what is compared with what.
        netac, floor: the two figures, with their units.
        ratio: what the limit speaks of.
        quartiles: first and third quartile of the ratios of timings taken side by side.
        limit: largest (or, `at_least`, smallest) ratio wanted; None: for information.
        note: what else there is to know.
    """

    what: str
    netac: str
    floor: str
    ratio: float | None = None
    quartiles: tuple[float, float] | None = None
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none, or nothing was measured."""
        if self.limit is None or self.ratio is None:
            return None
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Row:
        """The row of which `as_dict` gave `kept`, by way of JSON."""
        return cls(**{**kept, "quartiles": kept["quartiles"] and tuple(kept["quartiles"])})


def race(first: Callable[[], float], second: Callable[[], float], blocks: int) -> np.ndarray:
    """(blocks, 2) timings of two programs in the order A B, B A, A B, ..., after one of each that does not count."""
    sides, timings = (first, second), np.empty((blocks + 1, 2))
    for block in range(blocks + 1):
        for side in (0, 1) if block % 2 else (1, 0):
            gc.collect()
            timings[block, side] = sides[side]()
    return timings[1:]


def per_round(work: Callable[[], object], rounds: int, comm=None) -> Callable[[], float]:
    """A side of `race`: seconds per call of `work`, of `rounds` calls between two barriers."""
    def timed() -> float:
        if comm is not None:
            comm.Barrier()
        started = time.perf_counter()
        for _ in range(rounds):
            work()
        if comm is not None:
            comm.Barrier()
        return (time.perf_counter() - started) / rounds
    return timed


def compare(what: str, timings: np.ndarray, unit: Callable[[float], str], limit: float | None, *,
            inverse: bool = False, note: str = "") -> Row:
    """The row of a race of netac (first) with a floor.

    Args:
        unit: seconds in words.
        inverse: the ratio is floor / netac, to be at least `limit`; else netac / floor, to be at most that.
    """
    netac, floor = np.median(timings, axis=0)
    ratios = timings[:, 1] / timings[:, 0] if inverse else timings[:, 0] / timings[:, 1]
    low, high = np.quantile(ratios, [0.25, 0.75]).tolist()
    return Row(what, unit(netac), unit(floor), float(floor / netac if inverse else netac / floor), (low, high), limit,
               inverse, note)


def seconds(what: str, work: Callable[[], object], limit: float, blocks: int = 5) -> Row:
    """The row of work that may take `limit` seconds."""
    taken = []
    for _ in range(blocks):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    low, middle, high = np.quantile(taken, [0.25, 0.5, 0.75]).tolist()
    return Row(f"{what}: seconds / those it may take", f"{middle:.2f} s", f"{limit} s", middle / limit,
               (low / limit, high / limit), 1)


def microseconds(seconds: float) -> str:
    """'12.3 us'."""
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-3 else f"{seconds * 1e6:,.0f} us"
