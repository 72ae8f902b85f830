"""How samples follow each other, for policies with memory: they are unrolled over chunks of consecutive steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Sequences:
    """M samples as C chunks of L consecutive steps of one game each, M = L C.

    Attributes:
        steps: (L, C) which sample is step l of chunk c; the first row ascends.
        memory: (n) arrays (C, H): what the agents remembered before the first steps, single precision.
        fresh: (M,) bool: the game began anew with this sample, so that nothing is remembered before it.
        beyond: (K,) samples after each of which one more observation is seen, with what is remembered then: those of
            the K samples that come after the M; None: of no sample.
    """

    steps: np.ndarray
    memory: list[np.ndarray]
    fresh: np.ndarray
    beyond: np.ndarray | None = None

    def of(self, row: int) -> Sequences:
        """Those of one agent."""
        return replace(self, memory=self.memory[row:row + 1])

    def take(self, part: np.ndarray) -> Sequences:
        """Some of the chunks, of sequences that have nothing beyond.

        Args:
            part: (M',) their samples: columns of `steps`, flattened.
        """
        length = len(self.steps)
        chunks = np.searchsorted(self.steps[0], part[:len(part) // length])
        memory = [own[chunks] for own in self.memory]
        return Sequences(np.arange(len(part)).reshape(length, -1), memory, self.fresh[part])

    @cached_property
    def order(self) -> np.ndarray:
        """(M,) samples in the order in which they are computed: the first steps of all chunks, the second ones, ..."""
        return self.steps.ravel()

    @cached_property
    def places(self) -> np.ndarray:
        """(M + K,) where every sample is in that order, those beyond at its end."""
        found = np.argsort(self.order)
        return found if self.beyond is None else np.concatenate([found, len(found) + np.arange(len(self.beyond))])

    @cached_property
    def kept(self) -> list[np.ndarray | None]:
        """(L) arrays (C, 1), single precision: 0 before steps where a game began anew, else 1; None where none did."""
        rows = ~self.fresh[self.steps]
        return [None if row.all() else row[:, None].astype(np.float32) for row in rows]


def chunked(steps: int, games: int, length: int) -> np.ndarray:
    """`Sequences.steps` of samples t E + e, t < `steps`, e < E = `games`; `steps` is a multiple of `length`."""
    return np.arange(steps * games).reshape(-1, length, games).swapaxes(0, 1).reshape(length, -1)
