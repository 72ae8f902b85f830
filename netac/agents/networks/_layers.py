"""What the built-in networks have in common: activations, orthogonal initial values, dense layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from netac.agents.networks._torch import torch

Activation = Literal["tanh", "relu", "elu", "silu", "gelu"]
Width = Annotated[int, Field(ge=1, le=65536)]


def activation(name: Activation) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function of that name."""
    return torch.tanh if name == "tanh" else getattr(torch.nn.functional, name)


def gain_of(name: Activation) -> float:
    """The gain usual before that activation: 5/3 for tanh, the square root of 2 for those like relu."""
    return torch.nn.init.calculate_gain("tanh" if name == "tanh" else "relu")


def started(layer: torch.nn.Module, gain: float) -> torch.nn.Module:
    """The layer with orthogonal weights times `gain` and no bias."""
    torch.nn.init.orthogonal_(layer.weight, gain)
    torch.nn.init.zeros_(layer.bias)
    return layer


def add_dense(module: torch.nn.Module, inputs: int, hidden: Sequence[int], outputs: int, name: Activation,
              gain: float) -> tuple[torch.nn.Linear, ...]:
    """Give the module dense layers "dense1", "dense2", ... and "output", whose initial weights are of `gain`."""
    sizes = [inputs, *hidden, outputs]
    names = [*(f"dense{k}" for k in range(1, len(sizes) - 1)), "output"]
    layers = tuple(torch.nn.Linear(*around) for around in pairwise(sizes))
    for called, layer in zip(names, layers, strict=True):
        module.add_module(called, started(layer, gain if called == "output" else gain_of(name)))
    return layers


def dense(x: torch.Tensor, joint: torch.Tensor | None, layers: tuple[torch.nn.Linear, ...],
          between: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The layers applied to x beside the joint action: (M, inputs - joint), (M, joint) -> (M, outputs)."""
    if joint is not None:
        x = torch.cat([x, joint], dim=1)
    for layer in layers[:-1]:
        x = between(layer(x))
    return layers[-1](x)
