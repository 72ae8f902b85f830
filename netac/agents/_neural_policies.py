"""What policies that are torch modules have in common, whatever they make of the modules' outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from netac.agents._neural_layout import describe
from netac.agents._neural_networks import Networks
from netac.agents.networks._torch import torch
from netac.utils.errors import InputError
from netac.utils.spaces import ActionSpace


@dataclass(frozen=True)
class PolicyNetworks:
    """The modules of some of N agents, and what these may do.

    Attributes:
        networks: the modules.
        actions: (N) action spaces.
    """

    networks: Networks
    actions: tuple[ActionSpace, ...]

    @property
    def size(self) -> int:
        """d."""
        return self.networks.size

    @property
    def shared(self) -> int:
        """How many coordinates of theta are shared; they come first."""
        return self.networks.shared

    @property
    def memory(self) -> int:
        """H, how many numbers an agent remembers in a game; 0: none."""
        return self.networks.memory

    def of(self, agents: range) -> Self:
        """The policies of some of the agents."""
        return replace(self, networks=replace(self.networks, agents=agents))

    def describe(self) -> str:
        """Which tensors are shared and which personal, with shapes and counts."""
        return describe("policy", self.networks.tensors)

    def initial(self, seed: int, agents: range) -> np.ndarray:
        """Initial theta of `agents`, (n, d) single precision."""
        return self.networks.rows(seed, agents)

    def _grouped(self, outputs: list[torch.Tensor]) -> Iterator[tuple[ActionSpace, list[int], np.ndarray]]:
        """Agents with equally many actions: the space of the first, their rows, and their outputs side by side (g, M, outputs),
        double."""
        for rows in self._groups:
            values = np.stack([outputs[row].detach().numpy() for row in rows]).astype(float)
            yield self.actions[self.networks.agents[rows[0]]], rows, values

    @cached_property
    def _groups(self) -> list[list[int]]:
        groups: dict[tuple[int, int], list[int]] = {}
        for row, agent in enumerate(self.networks.agents):
            groups.setdefault((self.actions[agent].n_actions, self.actions[agent].size), []).append(row)
        return list(groups.values())


def refuse_memory(made: Networks) -> None:
    """Refuse policies with memory, where the algorithm does not learn from sequences.

    Raises:
        InputError: they have one.
    """
    if made.memory:
        raise InputError("a policy with memory is for trainers that learn from sequences",
                         key=f"policy.{made.network.said_by}", found=made.network.called,
                         valid='"mlp", "cnn", or a trainer: algorithm.name = "happo", "mappo", ...')
