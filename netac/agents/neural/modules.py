"""The torch modules of a process's agents: parameters are views of rows of the caller's buffer, shared ones first.

Every agent has a module and a forward and backward pass of its own: no result depends on which agents are together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate, groupby
from math import prod

import numpy as np

from netac.agents.alignment import BOUNDARY, aligned, is_aligned, same_storage
from netac.agents.networks._torch import torch
from netac.agents.policies import shared_first
from netac.agents.sequences import Sequences
from netac.utils.errors import InputError


@dataclass(frozen=True)
class Tensors:
    """The tensors of one agent in stored order: those that are shared, then the personal ones.

    Attributes:
        shapes: by name.
        shared: how many tensors are shared.
    """

    shapes: dict[str, tuple[int, ...]]
    shared: int

    @property
    def places(self) -> dict[str, slice]:
        """The columns of each."""
        ends = list(accumulate(map(prod, self.shapes.values()), initial=0))
        return {name: slice(*ends[k:k + 2]) for k, name in enumerate(self.shapes)}

    @property
    def sizes(self) -> tuple[int, int]:
        """How many numbers are shared, and how many personal."""
        sizes = [prod(shape) for shape in self.shapes.values()]
        return sum(sizes[:self.shared]), sum(sizes[self.shared:])

    def parts(self) -> list[tuple[str, dict[str, tuple[int, ...]]]]:
        """The shared and the personal tensors, those parts that are not empty."""
        named = list(self.shapes.items())
        parts = [("shared", dict(named[:self.shared])), ("personal", dict(named[self.shared:]))]
        return [part for part in parts if part[1]]


class UnlikeAgentsError(InputError):
    """Agents that should share a layer have it in different shapes."""


def arrange(shapes: Sequence[dict[str, tuple[int, ...]]], patterns: Sequence[str], names: Sequence[str],
            key: str) -> list[Tensors]:
    """The tensors of all agents, those whose names match one of `patterns` first, in the order agent 0 has them.

    Args:
        shapes: every agent's tensors by name.
        names: what the environment calls the agents.
        key: the key at fault, for errors.

    Raises:
        InputError: a pattern matches nothing.
        UnlikeAgentsError: what is shared differs between two agents.  What would be valid is not said, since that
            depends on the algorithm.
    """
    shared_first(list(dict.fromkeys(name for own in shapes for name in own)), patterns, key)
    first = _matching(shapes[0], patterns)
    arranged: dict[tuple, Tensors] = {}
    for agent, own in enumerate(shapes):
        if (kind := tuple(own.items())) in arranged:
            continue
        shared = _matching(own, patterns)
        for name in [*first, *shared]:
            if first.get(name) != shared.get(name):
                one, other = first.get(name, "missing"), shared.get(name, "missing")
                raise UnlikeAgentsError(
                    f"agent 0 ({names[0]}) and agent {agent} ({names[agent]}) cannot share the layer {name}, which is "
                    f"{one} in the first and {other} in the second", key=key)
        personal = {name: shape for name, shape in own.items() if name not in first}
        arranged[kind] = Tensors(first | personal, len(first))
    return [arranged[tuple(own.items())] for own in shapes]


def describe(what: str, tensors: Sequence[Tensors]) -> str:
    """Which tensors are shared and which personal, with shapes and counts; agents that hold the same are told once."""
    lines, first = [], 0
    for own, group in groupby(tensors):
        last = first + len(list(group)) - 1
        several = f", agents {first}-{last}" if last > first else f", agent {first}"
        who = "" if last - first + 1 == len(tensors) else several
        lines.append(f"{what}{who}: {sum(own.sizes):,} parameters")
        lines += [f"  {part} ({sum(map(prod, shapes.values())):,}): "
                  + ", ".join(f"{name} {' x '.join(map(str, shape)) or '1'}" for name, shape in shapes.items())
                  for part, shapes in own.parts()]
        first = last + 1
    return "\n".join(lines)


def _matching(shapes: dict[str, tuple[int, ...]], patterns: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


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
        if self._source is not None and same_storage(rows, self._source):
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
        seen: list[tuple[torch.Tensor, ...]] = [(tensor(own),) for own in observations]
        if joint is not None:
            seen = [(*own, tensor(other)) for own, other in zip(seen, joint, strict=True)]
        with torch.set_grad_enabled(keep):
            outputs = [module(*own) if sequences is None else _unrolled(module, own[0], sequences, row)
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
            outputs = self.forward(rows, observations, joint, True, sequences)
        else:
            outputs = kept.outputs
        if last:
            self._kept = None
        return outputs

    def backward(self, outputs: list[torch.Tensor], pulls: list[np.ndarray]) -> np.ndarray:
        """sum over an agent's outputs of pull x grad output: `gradient`, overwritten by the next call."""
        self.gradient.fill(0.0)
        if len({pull.shape[1] for pull in pulls}) == 1:      # as one tensor: torch looks closely at every gradient
            torch.cat(outputs).backward(tensor(np.concatenate(pulls)))
        else:
            torch.autograd.backward(outputs, [tensor(pull) for pull in pulls])
        return self.gradient

    def slopes(self, rows: np.ndarray, observations: list[np.ndarray], joint: list[np.ndarray]) -> list[np.ndarray]:
        """The derivative of every agent's output, one number a sample, along its joint action: (M, F) each, double."""
        self.bind(rows)
        varied = [tensor(own).requires_grad_() for own in joint]
        outputs = [module(tensor(own), other)
                   for module, own, other in zip(self._modules, observations, varied, strict=True)]
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
    """The outputs (M, outputs) of an agent's module with memory along its chunks; the memory before is a constant."""
    order, places = (torch.from_numpy(index) for index in (sequences.order, sequences.places))
    steps = observations.index_select(0, order).unflatten(0, sequences.steps.shape)
    memory, outputs = tensor(sequences.memory[row]), []
    for now, kept in zip(steps, sequences.kept, strict=True):
        output, memory = module(now, memory if kept is None else memory * tensor(kept))
        outputs.append(output)
    return torch.cat(outputs).index_select(0, places)


def tensor(array: np.ndarray) -> torch.Tensor:
    """The array as a single-precision tensor that begins at a multiple of 64 bytes: itself if it already does."""
    if array.dtype != np.float32 or not array.flags.c_contiguous or not array.flags.writeable:
        array = np.array(array, dtype=np.float32, order="C")
    found = torch.from_numpy(array)
    return found if found.data_ptr() % BOUNDARY == 0 else found.clone()
