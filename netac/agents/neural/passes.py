"""Forward and backward passes of the networks of a process's agents, whatever computes them.

Every agent has passes of its own: no result depends on which agents are together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from netac.agents.alignment import aligned, is_aligned, same_storage
from netac.agents.sequences import Sequences


class Seen(NamedTuple):
    """What the networks of n agents are asked about.

    Attributes:
        observations: (n) arrays (M, *shape_i).
        joint: (n) joint actions (M, F) that the networks see besides; None: none.
        sequences: of networks with memory, which are unrolled over them: how the observations follow each other.
        memory: (n, M, H) what networks with memory remember before one step, in place what they do afterwards.
    """

    observations: list[np.ndarray]
    joint: list[np.ndarray] | None = None
    sequences: Sequences | None = None
    memory: np.ndarray | None = None

    def is_that(self, other: Seen) -> bool:
        """Whether the other one holds the same arrays."""
        return self.joint is other.joint and self.sequences is other.sequences and all(
            one is two for one, two in zip(self.observations, other.observations, strict=True))


@dataclass(slots=True)
class Pass:
    """A forward pass of all agents, or of some that come one after the other.

    Attributes:
        outputs: one array (M, outputs_i) for each of them, single precision, valid until the next pass.
        inner: what its engine keeps of it for a backward pass.
        first: the row of the first of them.
        known: what was computed from the outputs, by name, and need not be computed again.
    """

    outputs: list[np.ndarray]
    inner: Any
    first: int = 0
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> slice:
        """Whose it is."""
        return slice(self.first, self.first + len(self.outputs))


class Engine(Protocol):
    """What computes passes: `netac.agents.neural.flat.Flat`, `netac.agents.neural.modules.Modules`."""

    def bind(self, rows: np.ndarray) -> None:
        """Make the parameters those of `rows`, (n, width) single precision, which begin at multiples of 64 bytes.

        They stay the caller's, whose changes show in the next pass.
        """

    def hold(self, rows: np.ndarray | None, samples: int) -> None:
        """Until it is None, `rows` stay as they are, which may make passes of so many samples faster."""

    def forward(self, seen: Seen, keep: bool) -> Pass:
        """Every agent's outputs; with `keep`, for passes back, and only the last such pass is of use."""

    def each(self, seen: Seen) -> Iterator[Pass]:
        """As `forward` with `keep`, in parts: each of use until the next one is asked for."""

    def backward(self, done: Pass, pulls: list[np.ndarray], gradient: np.ndarray) -> None:
        """Add sum over an agent's outputs of pull x grad output to its row of `gradient`, (n, width), zeros so far."""

    def slopes(self, seen: Seen) -> list[np.ndarray]:
        """The derivative of every agent's one output along its joint action: (M, F) each, single precision."""

    def tangents(self, done: Pass, direction: np.ndarray) -> list[np.ndarray]:
        """The derivative of every agent's outputs along its row of `direction`: (M, outputs_i), single precision."""


class Passes:
    """The passes of n agents.

    Arrays (n, width) of parameters are bound: the engine reads them where they are as long as they are single precision
    and their rows begin at multiples of 64 bytes; others are copied at every pass.

    Args:
        engine: what computes them.
        agents, width: n, and the width of a row.

    Attributes:
        gradient: (n, width) single precision, what `backward` gave last.
    """

    def __init__(self, engine: Engine, agents: int, width: int):
        self.gradient, self._engine = aligned(agents, width), engine
        self._source: np.ndarray | None = None      # what was handed in last, held so that its memory is not another's
        self._bound: np.ndarray | None = None       # what the engine reads: that, or a copy of it
        self._kept: tuple[Seen, Pass] | None = None

    def _bind(self, rows: np.ndarray) -> None:
        if self._source is None or self._bound is None or not same_storage(rows, self._source):
            self._kept, self._source = None, rows
            self._bound = rows if is_aligned(rows) else aligned(*self.gradient.shape)
            self._engine.bind(self._bound)
        if not same_storage(self._bound, self._source):
            self._bound[:] = rows

    @contextmanager
    def held(self, rows: np.ndarray, samples: int) -> Iterator[None]:
        """Within it `rows` stay as they are, which makes many passes of so many samples, that are not kept, faster."""
        self._bind(rows)
        self._engine.hold(self._bound, samples)
        try:
            yield
        finally:
            self._engine.hold(None, 0)

    def forward(self, rows: np.ndarray, seen: Seen, keep: bool = False) -> Pass:
        """Every agent's output for its own observations; kept for `again` if `keep`.

        Args:
            rows: (n, width) the parameters.
        """
        self._bind(rows)
        done = self._engine.forward(seen, keep)
        if keep:
            self._kept = seen, done
        return done

    def again(self, rows: np.ndarray, seen: Seen, last: bool = True) -> Pass:
        """As `forward`, for passes back: the one kept for the same arrays if there is one.

        Args:
            last: whether this is the last use of it.
        """
        self._bind(rows)
        if self._kept is None or not seen.is_that(self._kept[0]):
            self._kept = seen, self._engine.forward(seen, True)
        done = self._kept[1]
        if last:
            self._kept = None
        return done

    def each(self, rows: np.ndarray, seen: Seen) -> Iterator[Pass]:
        """As `again`, in parts: a pass back of some agents comes before the pass forth of others.

        What a pass back reads was then written a moment ago, and is still in the cache.  One that was kept is whole.
        """
        self._bind(rows)
        if self._kept is not None and seen.is_that(self._kept[0]):
            yield self.again(rows, seen)
        else:
            yield from self._engine.each(seen)

    def backward(self, done: Pass, pulls: list[np.ndarray]) -> np.ndarray:
        """sum over an agent's outputs of pull x grad output: its row of `gradient`, until the next call for it.

        Args:
            pulls: an array (M, outputs_i) for each agent of the pass.
        """
        self.gradient[done.rows].fill(0.0)
        self._engine.backward(done, pulls, self.gradient)
        return self.gradient

    def slopes(self, rows: np.ndarray, seen: Seen) -> list[np.ndarray]:
        """The derivative of every agent's output, one number a sample, along its joint action: (M, F) each, double."""
        self._bind(rows)
        return [slope.astype(float) for slope in self._engine.slopes(seen)]

    def tangents(self, rows: np.ndarray, seen: Seen, direction: np.ndarray) -> list[np.ndarray]:
        """The derivative of every agent's outputs along its row of `direction` (n, width): (M, outputs_i), double."""
        done = self.again(rows, seen, last=False)
        along = aligned(*self.gradient.shape)
        along[:] = direction
        return [found.astype(float) for found in self._engine.tangents(done, along)]
