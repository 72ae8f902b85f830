"""Networks as a user would write them, good and bad ones, named in tests by import path."""

from __future__ import annotations

import sys

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
    """One layer used twice, another not at all, which stays as it is."""

    def __init__(self, outputs):
        super().__init__()
        self.first = torch.nn.Linear(6, 6)
        self.again, self.idle, self.last = self.first, torch.nn.Linear(3, 3), torch.nn.Linear(6, outputs)
        self.idle.requires_grad_(False)

    def forward(self, observation):
        return self.last(torch.tanh(self.again(torch.tanh(self.first(observation)))))


class Wide(torch.nn.Module):
    """A model of R(s, a) of a user's own."""

    def __init__(self, observation, joint, scale=1.0):
        super().__init__()
        self.map, self._scale = torch.nn.Linear(int(np.prod(observation)) + joint, 1), scale

    def forward(self, observation, joint):
        return self._scale * self.map(torch.cat([observation.flatten(1), joint], 1))


class Hoarder(torch.nn.Module):
    """Keeps what it made of its weights in __init__."""

    def __init__(self, observation, outputs, detached=True):
        super().__init__()
        self.map = torch.nn.Linear(int(np.prod(observation)), outputs)
        self._weight = self.map.weight.detach() if detached else self.map.weight * 1.0

    def forward(self, observation):
        return torch.nn.functional.linear(observation.flatten(1), self._weight, self.map.bias)


class Frozen(torch.nn.Module):
    """A fixed layer before one of zeros that is trained."""

    def __init__(self, observation, outputs, forward=None):
        super().__init__()
        self.fixed, self.map = torch.nn.Linear(int(np.prod(observation)), 8), torch.nn.Linear(8, outputs)
        self.fixed.requires_grad_(False)
        torch.nn.init.zeros_(self.map.weight)
        self._forward = forward or (lambda x: x)

    def forward(self, observation):
        return self.map(self._forward(self.fixed(observation.flatten(1))))


class Idle(torch.nn.Module):
    """A trainable layer that nothing uses."""

    def __init__(self, observation, outputs):
        super().__init__()
        self.map, self.idle = torch.nn.Linear(int(np.prod(observation)), outputs), torch.nn.Linear(3, 3)

    def forward(self, observation):
        return self.map(observation.flatten(1))


class Leaving(torch.nn.Module):
    """Ends Python, at once or when it is called."""

    def __init__(self, outputs, later=False):
        super().__init__()
        self.map = torch.nn.Linear(6, outputs)
        if not later:
            sys.exit(0)

    def forward(self, observation):
        sys.exit(3)


class InPlace(torch.nn.Module):
    """Counts its calls in a buffer, or changes its input."""

    def __init__(self, observation, outputs, counts=False):
        super().__init__()
        self.map, self._counts = torch.nn.Linear(int(np.prod(observation)), outputs), counts
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, observation):
        if self._counts:
            self.calls += 1
            return self.map(observation.flatten(1))
        return self.map(observation.add_(1.0).flatten(1))


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
        "functional dropout": lambda: Given([linear], lambda layers, x: layers(torch.nn.functional.dropout(x))),
        "dropout before zeros": lambda: Frozen((6,), outputs, torch.nn.functional.dropout),
        "batch mean": lambda: Given([linear], lambda layers, x: layers(x - x.mean(0))),
        "batch mean before zeros": lambda: Frozen((6,), outputs, lambda x: x - x.mean(0)),
        "squeezed batch": lambda: Given([linear], lambda layers, x: layers(x).squeeze(0)),
        "two at least": lambda: Given([linear], lambda layers, x: layers(x) + 0 * x[1, 0]),
        "old weight norm": lambda: Given([torch.nn.utils.weight_norm(linear)], plain),
        "detached copy": lambda: Hoarder((6,), outputs),
        "kept product": lambda: Hoarder((6,), outputs, detached=False),
        "idle": lambda: Idle((6,), outputs),
        "exit": lambda: Leaving(outputs),
        "later exit": lambda: Leaving(outputs, later=True),
        "in place": lambda: InPlace((6,), outputs),
        "counting": lambda: InPlace((6,), outputs, counts=True),
    }[kind]()
