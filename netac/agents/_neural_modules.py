"""The torch modules of a process's agents: their parameters are views of rows of the caller's buffer.

Every agent has a module and a forward and backward pass of its own, so that no result depends on which agents are together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netac.agents._neural_layout import Tensors
from netac.agents.alignment import BOUNDARY, aligned, is_aligned, same_memory
from netac.agents.networks._torch import torch
from netac.agents.sequences import Sequences


@dataclass(slots=True)
class _Kept:
    """A forward pass whose gradient may still be asked for."""

    observations: list[np.ndarray]
    joint: list[np.ndarray] | None
    sequences: Sequences | None
    outputs: list[torch.Tensor]


class Modules:
    """The modules of n agents.

    Arrays (n, width) of parameters are bound: their memory is the parameters' as long as they are single precision and
    their rows begin at multiples of 64 bytes; others are copied at every forward pass.

    Args:
        modules: one for each agent.
        tensors: their tensors in stored order, among them some that are not the module's.
        width: of a row.

    Attributes:
        gradient: (n, width) single precision, what `backward` gave last.
    """

    def __init__(self, modules: Sequence[torch.nn.Module], tensors: Sequence[Tensors], width: int):
        self.gradient, self._copies = aligned(len(modules), width), aligned(len(modules), width)
        self._modules = list(modules)
        self._parameters = [[(parameter, own.places[name], tuple(parameter.shape))
                             for name, parameter in module.named_parameters()]
                            for module, own in zip(modules, tensors, strict=True)]
        self._source: np.ndarray | None = None      # what was handed in last, held so that its memory is not another's
        self._views: np.ndarray | None = None       # what the parameters are views of: the source, or copies of it
        self._kept: _Kept | None = None
        for row, own in zip(self.gradient, self._parameters, strict=True):
            for parameter, place, shape in own:
                parameter.grad = torch.from_numpy(row[place]).view(shape)

    def bind(self, rows: np.ndarray) -> None:
        """Make the parameters those of `rows`, (n, width)."""
        if self._source is not None and same_memory(rows, self._source):
            if self._views is self._copies:
                self._copies[:] = rows
            return
        self._kept, self._source = None, rows
        if is_aligned(rows):
            self._point(rows)
        else:
            self._copies[:] = rows
            if self._views is not self._copies:
                self._point(self._copies)

    def _point(self, views: np.ndarray) -> None:
        for row, own in zip(views, self._parameters, strict=True):
            numbers = torch.from_numpy(row)
            for parameter, place, shape in own:
                parameter.data = numbers[place].view(shape)
        self._views = views

    def forward(self, rows: np.ndarray, observations: list[np.ndarray],
                joint: list[np.ndarray] | None = None, keep: bool = False,
                sequences: Sequences | None = None) -> list[torch.Tensor]:
        """Every agent's output for its own observations, (M, outputs_i); kept for `outputs` if `keep`.

        Args:
            joint: (n) joint actions (M, F) that the modules see besides.
            sequences: of modules with memory, which are unrolled over them: how the observations follow each other.
        """
        self.bind(rows)
        seen = [(tensor(own),) for own in observations]
        if joint is not None:
            seen = [(*own, tensor(other)) for own, other in zip(seen, joint, strict=True)]
        with torch.set_grad_enabled(keep):
            outputs = [module(*own) for module, own in zip(self._modules, seen, strict=True)] if sequences is None else [
                _unrolled(module, *own, sequences, row)
                for row, (module, own) in enumerate(zip(self._modules, seen, strict=True))]
        if keep:
            self._kept = _Kept(list(observations), joint, sequences, outputs)
        return outputs

    def step(self, rows: np.ndarray, observations: list[np.ndarray], memory: np.ndarray) -> list[torch.Tensor]:
        """The outputs (M, outputs_i) of modules with memory, without a graph.

        Args:
            memory: (n, M, H) what they remember before; in place, what they do afterwards.
        """
        self.bind(rows)
        outputs = []
        with torch.no_grad():
            for module, own, kept in zip(self._modules, observations, memory, strict=True):
                output, after = module(tensor(own), tensor(kept))
                outputs.append(output)
                kept[:] = after.numpy()
        return outputs

    def outputs(self, rows: np.ndarray, observations: list[np.ndarray], joint: list[np.ndarray] | None = None,
                last: bool = True, sequences: Sequences | None = None) -> list[torch.Tensor]:
        """As `forward`, with a graph: that of the pass kept for the same arrays if there is one.

        Args:
            last: whether the graph is used up.
        """
        self.bind(rows)
        kept = self._kept
        if kept is None or kept.joint is not joint or kept.sequences is not sequences or any(
                one is not other for one, other in zip(kept.observations, observations, strict=True)):
            self.forward(rows, observations, joint, True, sequences)
            kept = self._kept
        if last:
            self._kept = None
        return kept.outputs

    def backward(self, outputs: list[torch.Tensor], pulls: list[np.ndarray]) -> np.ndarray:
        """sum over an agent's outputs of pull x grad output: `gradient`, overwritten by the next call."""
        self.gradient.fill(0.0)
        if len({pull.shape[1] for pull in pulls}) == 1:      # as one tensor: torch looks closely at every gradient it is given
            torch.cat(outputs).backward(tensor(np.concatenate(pulls)))
        else:
            torch.autograd.backward(outputs, [tensor(pull) for pull in pulls])
        return self.gradient

    def slopes(self, rows: np.ndarray, observations: list[np.ndarray], joint: list[np.ndarray]) -> list[np.ndarray]:
        """The derivative of every agent's output, one number per sample, along its joint action: (M, F) each, double."""
        self.bind(rows)
        varied = [tensor(own).requires_grad_() for own in joint]
        outputs = [module(tensor(own), other) for module, own, other in zip(self._modules, observations, varied, strict=True)]
        found = torch.autograd.grad(outputs, varied, [torch.ones_like(output) for output in outputs])
        return [slope.numpy().astype(float) for slope in found]

    def tangents(self, rows: np.ndarray, observations: list[np.ndarray], direction: np.ndarray,
                 sequences: Sequences | None = None) -> list[np.ndarray]:
        """The derivative of every agent's outputs along its row of `direction` (n, width): (M, outputs_i), double.

        It is the derivative with respect to v of direction' (J'v), J'v being a backward pass: any module will do whose
        backward pass can be differentiated.
        """
        outputs = self.outputs(rows, observations, last=False, sequences=sequences)
        directions, found = aligned(*self.gradient.shape), []
        directions[:] = direction
        for output, own, row in zip(outputs, self._parameters, directions, strict=True):
            numbers, v = torch.from_numpy(row), torch.zeros_like(output, requires_grad=True)
            trained = [each for each in own if each[0].requires_grad]
            pulled = torch.autograd.grad(output, [parameter for parameter, _, _ in trained], v, create_graph=True,
                                         allow_unused=True)
            used = [(pull, numbers[place].view(shape)) for pull, (_, place, shape) in zip(pulled, trained, strict=True)
                    if pull is not None]
            along, = torch.autograd.grad([pull for pull, _ in used], v, [along for _, along in used])
            found.append(along.numpy().astype(float))
        return found


def _unrolled(module: torch.nn.Module, observations: torch.Tensor, sequences: Sequences, row: int) -> torch.Tensor:
    """The outputs (M, outputs) of a module with memory, that of an agent, along its chunks; the memory before is a constant."""
    order, places = (torch.from_numpy(index) for index in (sequences.order, sequences.places))
    steps = observations.index_select(0, order).unflatten(0, sequences.steps.shape)
    memory, outputs = tensor(sequences.memory[row]), []
    for now, kept in zip(steps, sequences.kept, strict=True):
        output, memory = module(now, memory if kept is None else memory * tensor(kept))
        outputs.append(output)
    return torch.cat(outputs).index_select(0, places)


def tensor(array: np.ndarray) -> torch.Tensor:
    """The array as a single-precision tensor that begins at a multiple of 64 bytes: the same memory if it already does."""
    if array.dtype != np.float32 or not array.flags.c_contiguous or not array.flags.writeable:
        array = np.array(array, dtype=np.float32, order="C")
    found = torch.from_numpy(array)
    return found if found.data_ptr() % BOUNDARY == 0 else found.clone()
