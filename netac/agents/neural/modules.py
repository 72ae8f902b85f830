"""Passes through the torch modules of a process's agents, whose parameters are views of rows of the caller's buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from netac.agents.alignment import BOUNDARY
from netac.agents.networks._torch import torch
from netac.agents.neural.passes import Pass, Seen
from netac.agents.neural.tensors import Tensors
from netac.agents.sequences import Sequences


class Modules:
    """The modules of n agents; see `netac.agents.neural.passes.Engine`.

    Args:
        modules: one for each agent.
        tensors: their tensors in stored order, among them some that are not the module's.
    """

    def __init__(self, modules: Sequence[torch.nn.Module], tensors: Sequence[Tensors]):
        self._modules = list(modules)
        self._parameters = [[(parameter, own.places[name], tuple(parameter.shape))
                             for name, parameter in module.named_parameters()]
                            for module, own in zip(modules, tensors, strict=True)]
        self._gradient: np.ndarray | None = None    # what their gradients are views of

    def bind(self, rows: np.ndarray) -> None:
        """Make the parameters those of `rows`, (n, width)."""
        for row, own in zip(rows, self._parameters, strict=True):
            numbers = torch.from_numpy(row)
            for parameter, place, shape in own:
                parameter.data = numbers[place].view(shape)

    def hold(self, rows: np.ndarray | None, samples: int) -> None:
        """Nothing: passes of modules are what they are."""

    def forward(self, seen: Seen, keep: bool) -> Pass:
        """Every agent's outputs; with `keep`, with a graph."""
        if seen.memory is not None:
            return self._step(seen.observations, seen.memory)
        taken: list[tuple[torch.Tensor, ...]] = [(tensor(own),) for own in seen.observations]
        if seen.joint is not None:
            taken = [(*own, tensor(other)) for own, other in zip(taken, seen.joint, strict=True)]
        with torch.set_grad_enabled(keep):
            outputs = [module(*own) if seen.sequences is None else _unrolled(module, own[0], seen.sequences, row)
                       for row, (module, own) in enumerate(zip(self._modules, taken, strict=True))]
        return Pass([output.detach().numpy() for output in outputs], outputs)

    def each(self, seen: Seen) -> Iterator[Pass]:
        """All agents' passes at once."""
        yield self.forward(seen, True)

    def _step(self, observations: list[np.ndarray], memory: np.ndarray) -> Pass:
        outputs = []
        with torch.no_grad():
            for module, own, kept in zip(self._modules, observations, memory, strict=True):
                output, after = module(tensor(own), tensor(kept))
                outputs.append(output)
                kept[:] = after.numpy()
        return Pass([output.numpy() for output in outputs], None)

    def backward(self, done: Pass, pulls: list[np.ndarray], gradient: np.ndarray) -> None:
        """Add sum over an agent's outputs of pull x grad output to its row of `gradient`, (n, width), zeros so far."""
        outputs: list[torch.Tensor] = done.inner
        if self._gradient is not gradient:
            self._gradient = gradient
            for row, own in zip(gradient, self._parameters, strict=True):
                for parameter, place, shape in own:
                    parameter.grad = torch.from_numpy(row[place]).view(shape)
        if len({pull.shape[1] for pull in pulls}) == 1:      # as one tensor: torch looks closely at every gradient
            torch.cat(outputs).backward(tensor(np.concatenate(pulls)))
        else:
            torch.autograd.backward(outputs, [tensor(pull) for pull in pulls])

    def slopes(self, seen: Seen) -> list[np.ndarray]:
        """The derivative of every agent's one output along its joint action: (M, F) each."""
        varied = [tensor(own).requires_grad_() for own in seen.joint or []]
        outputs = [module(tensor(own), other)
                   for module, own, other in zip(self._modules, seen.observations, varied, strict=True)]
        return [slope.numpy()
                for slope in torch.autograd.grad(outputs, varied, [torch.ones_like(output) for output in outputs])]

    def tangents(self, done: Pass, direction: np.ndarray) -> list[np.ndarray]:
        """The derivative of every agent's outputs along its row of `direction`: (M, outputs_i).

        It is the derivative with respect to v of direction' (J'v), J'v being a backward pass: any module will do whose
        backward pass can be differentiated.
        """
        outputs, found = done.inner, []
        for output, own, row in zip(outputs, self._parameters, direction, strict=True):
            numbers, v = torch.from_numpy(row), torch.zeros_like(output, requires_grad=True)
            trained = [each for each in own if each[0].requires_grad]
            pulled = torch.autograd.grad(output, [parameter for parameter, _, _ in trained], v, create_graph=True,
                                         allow_unused=True)
            used = [(pull, numbers[place].view(shape)) for pull, (_, place, shape) in zip(pulled, trained, strict=True)
                    if pull is not None]
            along, = torch.autograd.grad([pull for pull, _ in used], v, [along for _, along in used])
            found.append(along.numpy())
        return found


def _unrolled(module: torch.nn.Module, observations: torch.Tensor, sequences: Sequences, row: int) -> torch.Tensor:
    """The outputs (M + K, outputs) of an agent's module with memory along its chunks, then those beyond them.

    The memory before is a constant.
    """
    order, places = (torch.from_numpy(index) for index in (sequences.order, sequences.places))
    steps = observations.index_select(0, order).unflatten(0, sequences.steps.shape)
    kept = [None if row is None else tensor(row) for row in sequences.kept]
    unroll = getattr(module, "unroll", None) or partial(_step_by_step, module)
    outputs, memories = unroll(steps, tensor(sequences.memory[row]), kept)
    if sequences.beyond is not None:
        remembered = torch.from_numpy(sequences.places[sequences.beyond])
        beyond, _ = module(observations[len(order):], memories.index_select(0, remembered))
        outputs = torch.cat([outputs, beyond])
    return outputs.index_select(0, places)


def _step_by_step(module: torch.nn.Module, steps: torch.Tensor, memory: torch.Tensor,
                  kept: list[torch.Tensor | None]) -> tuple[torch.Tensor, torch.Tensor]:
    """What `netac.agents.networks.gru.Gru.unroll` gives, of any module with memory."""
    outputs, memories = [], []
    for now, rest in zip(steps, kept, strict=True):
        output, memory = module(now, memory if rest is None else memory * rest)
        outputs.append(output)
        memories.append(memory)
    return torch.cat(outputs), torch.cat(memories)


def tensor(array: np.ndarray) -> torch.Tensor:
    """The array as a single-precision tensor that begins at a multiple of 64 bytes: itself if it already does."""
    if array.dtype != np.float32 or not array.flags.c_contiguous or not array.flags.writeable:
        array = np.array(array, dtype=np.float32, order="C")
    found = torch.from_numpy(array)
    return found if found.data_ptr() % BOUNDARY == 0 else found.clone()
