"""Successive halving: how many settings train how long, and which of them go on (Jamieson and Talwalkar, 2016).

A rung is a stage of training.  All settings train through the first one, the best through the second, and so on; the
last rung is the whole run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from netac.utils.errors import InputError

MOST = 20        # rungs


@dataclass(frozen=True)
class Halving:
    """The rungs of a tuning.

    Attributes:
        rungs: how many.
        keep: the share of settings that go on from each of them, and how long it trains as a share of the next.
    """

    rungs: int
    keep: Fraction

    @classmethod
    def of(cls, rungs: int, keep: Any) -> Halving:
        """From numbers, or from text as "1/3".

        Raises:
            InputError: there is no such halving.
        """
        if isinstance(rungs, bool) or not isinstance(rungs, int) or not 1 <= rungs <= MOST:
            raise InputError("is no number of rungs", key="--rungs", found=rungs, valid=f"1 (none is halved) to {MOST}")
        try:
            share = Fraction(keep).limit_denominator(10**6)
        except (ValueError, TypeError, ZeroDivisionError, OverflowError):
            share = Fraction(0)
        if not 0 < share < 1:
            raise InputError("is no share", key="--keep", found=keep, valid="between 0 and 1, as 1/3 or 0.5")
        return cls(rungs, share)

    def settings(self, number: int) -> list[int]:
        """How many settings train through each rung, of `number` in all."""
        found = [number]
        for _ in range(self.rungs - 1):
            found.append(max(1, math.ceil(found[-1] * self.keep)))
        return found

    def end(self, rung: int, iterations: int, log_every: int) -> int:
        """The iteration that ends a rung, counted from 0, of a run of so many: one with a row of metrics.csv."""
        share = math.ceil(iterations * self.keep ** (self.rungs - 1 - rung))
        return min(iterations, math.ceil(share / log_every) * log_every)


def ranked(scores: Sequence[float | None], maximise: bool) -> list[int]:
    """The places of scores from the best on, the first of equal ones first; those of None are left out."""
    known = [(place, score) for place, score in enumerate(scores) if score is not None]
    return [place for place, _ in sorted(known, key=lambda pair: -pair[1] if maximise else pair[1])]
