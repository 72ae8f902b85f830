"""Dense layers, then a gated recurrent unit (GRU): a policy that remembers, for the trainers.

Of Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder", in the form of `torch.nn.GRUCell`.
Its memory is 0 when a game begins and goes on from step to step; observations of any shape are flattened.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

from pydantic import Field

from netac.agents.networks._layers import Activation, Width, activation, gain_of, started
from netac.agents.networks._torch import torch
from netac.utils.options import Options


class Settings(Options):
    """Options of `name = "gru"`."""

    hidden: list[Width] = Field([64], max_length=64, description=(
        "widths of the dense layers before the unit; [] for none"))
    units: Width = Field(64, description="numbers that are remembered")
    activation: Activation = Field("tanh", description="after every dense layer")


def make(settings: Settings, observation: tuple[int, ...], outputs: int, joint: int = 0, gain: float = 1.0) -> Gru:
    """The module: parameters dense1.weight, ..., cell.weight_ih, .weight_hh, .bias_ih, .bias_hh, output.weight, .bias.

    Args:
        joint: not used, since critics have no memory.
    """
    return Gru(prod(observation), settings.hidden, settings.units, outputs, settings.activation, gain)


def feed_forward(settings: Settings) -> dict[str, Any]:
    """The table of a network without memory with as many layers, for critics: the unit becomes a dense layer."""
    return {"name": "mlp", "hidden": [*settings.hidden, settings.units], "activation": settings.activation}


class Gru(torch.nn.Module):
    """Dense layers, a GRU cell, a dense output layer.

    Attributes:
        memory: H, how many numbers the cell remembers.
    """

    def __init__(self, inputs: int, hidden: list[int], units: int, outputs: int, name: Activation, gain: float):
        super().__init__()
        self.memory, self._between = units, activation(name)
        sizes = [inputs, *hidden]
        self._dense = tuple(started(torch.nn.Linear(*around), gain_of(name)) for around in pairwise(sizes))
        for k, layer in enumerate(self._dense, 1):
            self.add_module(f"dense{k}", layer)
        self.cell = torch.nn.GRUCell(sizes[-1], units)
        for gates in (self.cell.weight_ih, self.cell.weight_hh):
            for gate in gates.data.split(units):
                torch.nn.init.orthogonal_(gate)
        for bias in (self.cell.bias_ih, self.cell.bias_hh):
            torch.nn.init.zeros_(bias)
        self.output = started(torch.nn.Linear(units, outputs), gain)

    def forward(self, observation: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(M, *shape), (M, H) -> (M, outputs) and the memory afterwards, (M, H)."""
        memory = self.cell(self._before(observation), memory)
        return self.output(memory), memory

    def unroll(self, steps: torch.Tensor, memory: torch.Tensor,
               kept: list[torch.Tensor | None]) -> tuple[torch.Tensor, torch.Tensor]:
        """Steps (L, C, *shape) one after the other, but what is before and after the cell all at once.

        Args:
            memory: (C, H) before the first.
            kept: (L) what memories are multiplied by before a step, (C, 1); None: nothing.

        Returns:
            (L C, outputs) and the memories afterwards, (L C, H), step after step.
        """
        memories = []
        for x, rest in zip(self._before(steps.flatten(0, 1)).unflatten(0, steps.shape[:2]), kept, strict=True):
            memory = self.cell(x, memory if rest is None else memory * rest)
            memories.append(memory)
        found = torch.cat(memories)
        return self.output(found), found

    def _before(self, observation: torch.Tensor) -> torch.Tensor:
        x = observation.flatten(1)
        for layer in self._dense:
            x = self._between(layer(x))
        return x
