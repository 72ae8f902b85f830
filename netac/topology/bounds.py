"""What is known of how fast a large network mixes, as bounds, and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

FOUND = 1e-3
"""Width of bounds, relative to the upper one, up to which a number is given and its error."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Bounds:
    """What is known where products are too large to be formed: each of these lies between two numbers.

    Args:
        loss: 1 - ||P - J||_2, as exact as it was found where that is near 0.
        gap: 1 minus the spectral radius of P - J; None without a period, and its upper bound where it was not found.
        rounds: as in `netac.topology.mixing.Mixing`; the upper one is None where it is not known.
        how: in words how the loss was computed.
    """

    loss: Interval
    gap: tuple[float, float | None] | None
    rounds: tuple[int, int | None]
    how: str

    def contraction_in_words(self) -> str:
        """1 - loss; how it was found, where no gap tells it."""
        low, high = self.loss
        if high - low <= FOUND * high:
            found = near_one(high)
            return found if self.gap == self.loss else f"{found} ({_how(low, high, self.how)})"
        return f"{near_one(high)} at least{f', {near_one(low)} at most' if low else ''} ({_how(low, high, self.how)})"

    def gap_in_words(self) -> str:
        """The gap and its error, or its bounds."""
        low, high = self.gap or (0.0, None)
        how = self.how if self.gap == self.loss else "Arnoldi"
        if high is None:
            return f"{low:.6g} at least ({how} did not converge)"
        number = f"{high:.6g}"
        if high - low > FOUND * high:
            number = f"{low:.3g} to {high:.3g}" if low else f"{high:.3g} at most"
        return f"{number} ({_how(low, high, how)})"

    def rounds_in_words(self) -> str:
        """A number, or from where to where it may be."""
        fewest, most = self.rounds
        if most is None:
            return f"{fewest:,} at least" if fewest > 1 else "not known"
        return f"{most}" if fewest == most else f"{fewest:,} to {most:,}"


def near_one(loss: float) -> str:
    """1 - loss, which is near 1 where the loss is near 0."""
    return f"{1.0 - loss:.6g}" if loss >= 1e-3 or loss <= 0 else f"1 - {loss:.6g}"


def _how(low: float, high: float, how: str) -> str:
    """How a number was found, and how well."""
    if not high or high == low:
        return how
    error = (high - low) / high
    if error > FOUND:
        return f"{how}, did not converge"
    power = 10.0 ** math.floor(math.log10(error))
    return f"{how}, error below {math.ceil(error / power) * power:.0e} of it"
