"""Passes through networks that have a kernel, over the rows in which the agents' parameters lie, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from netac.agents.networks._kernel import Kernel, Tensor, Workspace
from netac.agents.neural.passes import Pass, Seen
from netac.agents.neural.tensors import Tensors

TOGETHER = 2**16      # numbers in an agent's widest layer up to which alike agents are computed with one call


@dataclass(slots=True, eq=False)
class _Block:
    """Alike agents with rows one after the other, computed together.

    Attributes:
        kept, passing: the numbers of the last pass for passes back, and of the last other one.
        weights: views of the bound rows, made when they are first asked for.
        held: while they are held: for how many samples, and copies of them.
    """

    rows: slice
    kernel: Kernel
    tensors: Tensors
    passing: Workspace
    kept: Workspace = field(default_factory=Workspace)
    weights: Any = None
    held: tuple[int, Any] | None = None

    def views(self, rows: np.ndarray) -> Any:
        """The tensors in `rows` (n, width), as the kernel uses them."""
        return self.kernel.weights(self._tensor(rows))

    def _tensor(self, rows: np.ndarray) -> Tensor:
        own, places, shapes = rows[self.rows], self.tensors.places, self.tensors.shapes
        return lambda name: own[:, places[name]].reshape(len(own), *shapes[name])


class Flat:
    """The networks of n agents; see `netac.agents.neural.passes.Engine`.

    Args:
        kernels: one for each agent.
        tensors: their tensors in stored order, among them some that are not the kernel's.
    """

    def __init__(self, kernels: Sequence[Kernel], tensors: Sequence[Tensors]):
        passing, alike = Workspace(), [list(group) for _, group in groupby(
            range(len(kernels)), key=lambda row: (kernels[row], tensors[row]))]
        self._alike = [_Block(slice(group[0], group[-1] + 1), kernels[group[0]], tensors[group[0]], Workspace())
                       for group in alike]
        self._alone = [[_Block(slice(row, row + 1), kernels[row], tensors[row], passing) for row in group]
                       for group in alike]
        self._source: np.ndarray | None = None
        self._gradient: np.ndarray | None = None
        self._gradients: dict[int, Any] = {}

    def bind(self, rows: np.ndarray) -> None:
        """Make the parameters those of `rows`, (n, width)."""
        self._source = rows
        for block in [*self._alike, *(block for group in self._alone for block in group)]:
            block.weights = None

    def hold(self, rows: np.ndarray | None, samples: int) -> None:
        """Until it is None, passes of so many samples that are not kept are those of `rows` as they are now."""
        for block in self._alike:
            block.held = None if rows is None else (samples, block.kernel.held(block.views(rows), samples))

    def forward(self, seen: Seen, keep: bool) -> Pass:
        """Every agent's outputs; with `keep`, their layers stay for passes back."""
        outputs: list[np.ndarray] = []
        done: list[tuple[_Block, Workspace]] = []
        for block in self._blocks(seen):
            work = block.kept if keep else block.passing
            found = self._forward(block, seen, work, held=not keep)
            outputs.extend(found if keep or len(found) > 1 else found.copy())      # the next agent writes there
            done.append((block, work))
        return Pass(outputs, done)

    def each(self, seen: Seen) -> Iterator[Pass]:
        """Passes for passes back, in parts that take turns with the same memory."""
        for block in self._blocks(seen):
            yield Pass(list(self._forward(block, seen, block.passing)), [(block, block.passing)], block.rows.start)

    def _blocks(self, seen: Seen) -> list[_Block]:
        """Agents with few numbers together, since calls take time; others one by one, since caches are small."""
        blocks = []
        for group, alone in zip(self._alike, self._alone, strict=True):
            samples, *others = {len(own) for own in seen.observations[group.rows]}
            blocks += [group] if not others and samples * group.kernel.widest <= TOGETHER else alone
        return blocks

    def _forward(self, block: _Block, seen: Seen, work: Workspace, held: bool = False) -> np.ndarray:
        if block.weights is None:
            assert self._source is not None, "parameters are bound"
            block.weights = block.views(self._source)
        joint, own = None if seen.joint is None else seen.joint[block.rows], seen.observations[block.rows]
        weights = block.weights
        if held and block.held is not None and block.held[0] == len(own[0]):
            weights = block.held[1]
        return block.kernel.forward(weights, own, joint, work)

    def backward(self, done: Pass, pulls: list[np.ndarray], gradient: np.ndarray) -> None:
        """Write sum over an agent's outputs of pull x grad output into its row of `gradient`, (n, width)."""
        if self._gradient is not gradient:
            self._gradient, self._gradients = gradient, {}
        for block, work in done.inner:
            into = self._gradients.get(id(block))
            if into is None:
                into = self._gradients[id(block)] = block.views(gradient)
            own = slice(block.rows.start - done.first, block.rows.stop - done.first)
            block.kernel.backward(block.weights, into, _together(pulls[own], work), work)

    def slopes(self, seen: Seen) -> list[np.ndarray]:
        """The derivative of every agent's one output along its joint action: (M, F) each."""
        slopes: list[np.ndarray] = []
        for block in self._blocks(seen):
            pull = np.ones_like(self._forward(block, seen, block.passing))
            slopes.extend(block.kernel.slopes(block.weights, pull, block.passing))
        return slopes

    def tangents(self, done: Pass, direction: np.ndarray) -> list[np.ndarray]:
        """The derivative of every agent's outputs along its row of `direction`: (M, outputs_i)."""
        found: list[np.ndarray] = []
        for block, work in done.inner:
            found.extend(block.kernel.tangents(block.weights, block.views(direction), work))
        return found


def _together(pulls: list[np.ndarray], work: Workspace) -> np.ndarray:
    """(g) arrays (M, outputs) -> (g, M, outputs) single precision."""
    pull = work("pull", len(pulls), *pulls[0].shape)
    for row, own in zip(pull, pulls, strict=True):
        row[:] = own
    return pull
