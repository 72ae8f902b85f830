"""Dense layers; observations of any shape are flattened."""

from __future__ import annotations

from math import prod

from pydantic import Field

from netac.agents.networks._kernel import ACTIVATIONS, DenseKernel
from netac.agents.networks._layers import Activation, Width, activation, add_dense, dense
from netac.agents.networks._torch import torch
from netac.utils.options import Options


class Settings(Options):
    """Options of `name = "mlp"`."""

    hidden: list[Width] = Field([64, 64], max_length=64, description="widths of the hidden layers; [] for a linear map")
    activation: Activation = Field("tanh", description="after every hidden layer")


def make(settings: Settings, observation: tuple[int, ...], outputs: int, joint: int = 0, gain: float = 1.0) -> Mlp:
    """The module: parameters dense1.weight, dense1.bias, ..., output.weight, output.bias."""
    return Mlp(prod(observation) + joint, settings.hidden, outputs, settings.activation, gain)


def kernel(settings: Settings, observation: tuple[int, ...], outputs: int, joint: int = 0) -> DenseKernel | None:
    """The same without torch, for tanh, relu and elu."""
    if settings.activation not in ACTIVATIONS:
        return None
    return DenseKernel(prod(observation), joint, tuple(settings.hidden), outputs, settings.activation)


class Mlp(torch.nn.Module):
    """Dense layers of the flattened observation and the joint action."""

    def __init__(self, inputs: int, hidden: list[int], outputs: int, name: Activation, gain: float):
        super().__init__()
        self._layers, self._between = add_dense(self, inputs, hidden, outputs, name, gain), activation(name)

    def forward(self, observation: torch.Tensor, joint: torch.Tensor | None = None) -> torch.Tensor:
        """(M, *shape), (M, joint) -> (M, outputs)."""
        return dense(observation.flatten(1), joint, self._layers, self._between)
