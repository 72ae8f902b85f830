"""The networks of all agents of an experiment: what each holds, where it lies in a row, and its initial values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from netac.agents.networks._factory import (
    Network,
    make_kernel,
    make_module,
    memory_size,
    read_network,
    refuse_large,
    try_out,
)
from netac.agents.networks._kernel import Kernel
from netac.agents.networks._torch import torch
from netac.agents.neural.flat import Flat
from netac.agents.neural.modules import Modules
from netac.agents.neural.passes import Engine, Passes
from netac.agents.neural.tensors import Tensors, arrange
from netac.utils.errors import InputError
from netac.utils.streams import Purpose

Initial = Literal["common", "independent"]
KINDS = {"policy": 1, "critic": 2, "reward_model": 3}       # streams of initial values; 0 is that of linear policies


@dataclass(frozen=True)
class Networks:
    """The networks of all N agents, which may differ.

    Attributes:
        key: "policy", "critic" or "reward_model".
        network: what they are.
        inputs: (N) shapes of what they see.
        outputs: (N) how many numbers each gives.
        joint: size of the joint action they see besides, 0: none.
        gain: of a built-in network's last layer.
        tensors: (N) their tensors in stored order.
        initial: "common": what is shared, and whole critics, begin equal in all agents; "independent": nothing does.
        agents: those whose networks these are.
        memory: H, how many numbers each remembers; 0: none.
    """

    key: str
    network: Network
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    joint: int
    gain: float
    tensors: tuple[Tensors, ...]
    initial: Initial
    agents: range
    memory: int = 0

    @property
    def shared(self) -> int:
        """How many numbers of a row are shared; they come first."""
        return self.tensors[0].sizes[0]

    @property
    def size(self) -> int:
        """Width of a row."""
        return self.shared + max(own.sizes[1] for own in self.tensors)

    def make(self, agent: int, seed: int) -> torch.nn.Module:
        """An agent's module with initial values drawn from `seed`."""
        return make_module(self.network, self.inputs[agent], self.outputs[agent], key=self.key, seed=seed,
                           joint=self.joint, gain=self.gain)

    @cached_property
    def passes(self) -> Passes:
        """Passes through the networks of `agents`: by kernels where the network has them, else by its modules."""
        tensors = [self.tensors[agent] for agent in self.agents]
        kernels = [self._kernels[self._kinds[agent]] for agent in self.agents]
        own = [kernel for kernel in kernels if kernel is not None]
        engine: Engine = Flat(own, tensors) if len(own) == len(kernels) else self.modules()
        return Passes(engine, len(tensors), self.size)

    def modules(self) -> Modules:
        """The modules of `agents`; what they hold besides parameters is that of a module made with seed 0."""
        kinds = self._kinds
        made = {kind: self.make(agent, 0) for kind, agent in {kinds[agent]: agent for agent in self.agents}.items()}
        return Modules([copy.deepcopy(made[kinds[agent]]) for agent in self.agents],
                       [self.tensors[agent] for agent in self.agents])

    @cached_property
    def _kernels(self) -> dict[tuple, Kernel | None]:
        return {kind: make_kernel(self.network, *kind, joint=self.joint)
                for kind in dict.fromkeys(self._kinds[agent] for agent in self.agents)}

    @cached_property
    def _kinds(self) -> list[tuple]:
        return list(zip(self.inputs, self.outputs, strict=True))

    def rows(self, seed: int, agents: range) -> np.ndarray:
        """Initial values of `agents`, (n, size) single precision; zeros for tensors that are not the modules'."""
        number = KINDS[self.key]
        common: dict[tuple, dict[str, np.ndarray]] = {}

        def alike(agent: int) -> dict[str, np.ndarray]:
            kind = self._kinds[agent]
            common[kind] = common.get(kind) or self._values(agent, _seed(seed, number))
            return common[kind]

        rows = np.zeros((len(agents), self.size), dtype=np.float32)
        for row, agent in zip(rows, agents, strict=True):
            if self.initial == "common" and self.key != "policy":
                values = alike(agent)
            else:
                values = self._values(agent, _seed(seed, number, agent))
                if self.initial == "common" and self.shared:
                    shared = list(self.tensors[0].shapes)[:self.tensors[0].shared]
                    values |= {name: numbers for name, numbers in alike(0).items() if name in shared}
            places = self.tensors[agent].places
            for name, numbers in values.items():
                row[places[name]] = numbers
        return rows

    def _values(self, agent: int, seed: int) -> dict[str, np.ndarray]:
        return {name: parameter.detach().numpy().ravel()
                for name, parameter in self.make(agent, seed).named_parameters()}


def _seed(seed: int, *key: int) -> int:
    """63 bits derived from the run's seed."""
    sequence = np.random.SeedSequence(seed, spawn_key=(Purpose.INITIAL, *key))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def networks(key: str, spec: dict[str, Any] | Network, inputs: Sequence[tuple[int, ...]], outputs: Sequence[int],
             names: Sequence[str], *, joint: int = 0, gain: float = 1.0, shared: Sequence[str] = (),
             initial: Initial = "common", besides: Sequence[dict[str, tuple[int, ...]]] | None = None) -> Networks:
    """The networks of all N agents; of equal ones only the first is made and tried out.

    Args:
        spec: what they are: a network, or the table of one.
        names: (N) what the environment calls its agents, for messages.
        shared: patterns of the names of tensors that are shared.
        besides: (N) tensors that agents hold besides their modules', by name.

    Raises:
        InputError: a network cannot be made or does not fit, or a pattern matches nothing.
        UnlikeAgentsError: agents cannot share a layer.
    """
    made_of = read_network(spec, key)
    kinds = list(zip(inputs, outputs, besides or [{}] * len(names), strict=True))
    shapes: list[dict[str, tuple[int, ...]]] = []
    memories: set[int] = set()
    known: dict[tuple, dict[str, tuple[int, ...]]] = {}
    for kind in kinds:
        if (alike := (*kind[:2], tuple(kind[2].items()))) in known:
            shapes.append(known[alike])
            continue
        refuse_large(made_of, *kind[:2], key=key, joint=joint)
        module = make_module(made_of, *kind[:2], key=key, joint=joint, gain=gain)
        memories.add(memory_size(module))
        _refuse_memories(memories, made_of, key)
        try_out(module, made_of, *kind[:2], key=key, joint=joint)
        known[alike] = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()} | kind[2]
        shapes.append(known[alike])
    tensors = arrange(shapes, shared, names, "policy.shared" if key == "policy" else key)
    return Networks(key, made_of, tuple(inputs), tuple(outputs), joint, gain, tuple(tensors), initial,
                    range(len(tensors)), memories.pop())


def _refuse_memories(memories: set[int], made_of: Network, key: str) -> None:
    """Refuse critics with memory, and policies whose memories have different sizes."""
    if key != "policy" and any(memories):
        raise InputError("a critic has no memory", key=f"{key}.{made_of.said_by}", found=made_of.called,
                         valid='"mlp", "cnn", or a network without memory')
    if len(memories) > 1:
        raise InputError("the agents' networks remember differently many numbers", key=key,
                         found=", ".join(map(str, sorted(memories))), valid="one `memory` for all agents")
