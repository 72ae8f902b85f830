"""All parameters of a process's agents in one flat buffer, so that consensus mixes and sends a slice of it.

Row i is agent i: [mu | omega | lambda | theta shared | theta personal | h].  What an algorithm mixes is a run of
neighbours in that order: omega (MDAC), omega and lambda (DAC), mu besides (DAC, average reward), or omega, lambda and the
shared part of theta (CAC).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.agents.alignment import NUMBERS, aligned

MIXED: dict[str, tuple[str, ...]] = {
    "nothing": (), "critic": ("omega",), "critics": ("omega", "lam"), "critics and mu": ("mu", "omega", "lam"),
    "critics and policy": ("omega", "lam", "shared")}
WORDS = {"mu": "mu (average reward)", "omega": "omega (value weights)", "lam": "lambda (reward model)",
         "theta": "theta (policy)", "h": "h (natural direction)"}


@dataclass(frozen=True)
class Layout:
    """How many numbers of each kind an agent holds.

    Attributes:
        mu, omega, lam, theta, h: sizes of the average reward (0 or 1), the value weights, the reward model's weights,
            the policy, and the natural direction.
        shared: how many coordinates of theta are shared (they come first).
        mixed: what consensus averages, a key of `MIXED`.
        dtype: float64, or float32 for networks.
    """

    omega: int
    lam: int
    theta: int
    shared: int
    mu: int = 0
    h: int = 0
    mixed: str = "nothing"
    dtype: str = "float64"

    @property
    def total(self) -> int:
        """Length of a row."""
        return self._padded(max(column.stop for column in self.columns.values()))

    def _padded(self, size: int) -> int:
        """Where the next quantity begins: in single precision at a multiple of 64 bytes, as the networks' kernels want it."""
        return -(-size // NUMBERS) * NUMBERS if self.dtype == "float32" else size

    @property
    def columns(self) -> dict[str, slice]:
        """Columns of each quantity, of the two parts of theta, and of what is mixed."""
        columns, end = {}, 0
        for name in WORDS:
            first = self._padded(end)
            end = first + getattr(self, name)
            columns[name] = slice(first, end)
        first, last = columns["theta"].start, columns["theta"].stop
        columns |= {"shared": slice(first, first + self.shared), "personal": slice(first + self.shared, last)}
        parts = MIXED[self.mixed]
        columns["mixed"] = slice(columns[parts[0]].start, columns[parts[-1]].stop) if parts else slice(0, 0)
        return columns

    def owner(self, column: int) -> str:
        """The quantity a column belongs to, in the words of messages."""
        columns = self.columns
        return next(WORDS[name] for name in WORDS if columns[name].start <= column < columns[name].stop)


class Parameters:
    """The buffer `flat` (n, total), zeros between its quantities, and views of its columns: `mu`, `omega`, `lam`, `theta`,
    `h`; `shared` and `personal`, the parts of theta; `mixed`, what consensus averages."""

    def __init__(self, layout: Layout, agents: int):
        self.layout = layout
        self._gaps = layout.dtype == "float32"
        self.flat = aligned(agents, layout.total) if self._gaps else np.zeros((agents, layout.total))
        columns = layout.columns
        self.mu, self.omega, self.lam, self.theta, self.h, self.shared, self.personal, self.mixed = (
            self.flat[:, columns[name]] for name in (*WORDS, "shared", "personal", "mixed"))
        held = [columns[name] for name in WORDS if getattr(layout, name)]
        self._steps = None if self._gaps else np.empty_like(self.flat)
        self._held = [self.flat[:, column] for column in held]

    def add(self, *steps: np.ndarray) -> None:
        """Add to every agent's row: steps (n, size) of all it holds, in the row's order."""
        if self._gaps:
            for part, step in zip(self._held, steps, strict=True):
                part += step
        else:
            self.flat += np.concatenate(steps, axis=1, out=self._steps)

    def hashed(self) -> bytes:
        """theta, omega, lambda and mu of every agent in turn, little-endian: what `parameters_sha256` covers."""
        rows = np.concatenate([self.theta, self.omega, self.lam, self.mu], axis=1)
        return np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).tobytes()
