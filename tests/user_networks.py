"""Networks as a user would write them, good and bad ones, named in tests by import path."""

from __future__ import annotations

import numpy as np
import torch


class Counting(torch.nn.Module):
    """A linear map that counts its forward passes."""

    calls = 0

    def __init__(self, observation, outputs):
        super().__init__()
        self.map = torch.nn.Linear(int(np.prod(observation)), outputs)

    def forward(self, observation):
        Counting.calls += 1
        return self.map(observation.flatten(1))


class Given(torch.nn.Module):
    """Whatever a test wants of it."""

    def __init__(self, layers, forward, dtype=None):
        super().__init__()
        self.layers, self._forward = torch.nn.Sequential(*layers).to(dtype or torch.float32), forward

    def forward(self, *inputs):
        return self._forward(self.layers, *inputs)


class Tied(torch.nn.Module):
    """One layer used twice, another not at all."""

    def __init__(self, outputs):
        super().__init__()
        self.first = torch.nn.Linear(6, 6)
        self.again, self.idle, self.last = self.first, torch.nn.Linear(3, 3), torch.nn.Linear(6, outputs)

    def forward(self, observation):
        return self.last(torch.tanh(self.again(torch.tanh(self.first(observation)))))


class Wide(torch.nn.Module):
    """A model of R(s, a) of a user's own."""

    def __init__(self, observation, joint, scale=1.0):
        super().__init__()
        self.map, self._scale = torch.nn.Linear(int(np.prod(observation)) + joint, 1), scale

    def forward(self, observation, joint):
        return self._scale * self.map(torch.cat([observation.flatten(1), joint], 1))


def broken(kind, outputs=5):
    """One module for each way of being unfit."""
    linear = torch.nn.Linear(6, outputs)
    plain = lambda layers, x: layers(x)     # noqa: E731
    return {
        "nothing": lambda: torch.nn.Identity(),
        "no module": lambda: [1, 2],
        "raises": lambda: 1 / 0,
        "double": lambda: Given([linear], plain, torch.float64),
        "other input": lambda: Given([torch.nn.Linear(4, outputs)], plain),
        "other output": lambda: Given([torch.nn.Linear(6, outputs + 1)], plain),
        "squeezed": lambda: Given([torch.nn.Linear(6, 1)], lambda layers, x: layers(x).squeeze(1)),
        "pair": lambda: Given([linear], lambda layers, x: (layers(x), x)),
        "infinite": lambda: Given([linear], lambda layers, x: layers(x) / 0.0),
        "detached": lambda: Given([linear], lambda layers, x: layers(x).detach()),
        "batch norm": lambda: Given([torch.nn.BatchNorm1d(6), linear], plain),
        "dropout": lambda: Given([linear, torch.nn.Dropout(0.5)], plain),
        "lazy": lambda: Given([torch.nn.LazyLinear(outputs)], plain),
        "noise": lambda: Given([linear], lambda layers, x: layers(x) + torch.rand(1)),
    }[kind]()
