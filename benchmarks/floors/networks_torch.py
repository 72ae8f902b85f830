"""The forward and backward passes of a CAC iteration with nothing but torch: convolutional or dense networks.

Every agent has a policy, a value V and a reward model R of its own.  For E observations each, an iteration runs
policy, V(s) and R(s, a) forwards and backwards, and V(s') forwards, with the residuals of the algorithm as derivatives
of the outputs.  It draws no actions, plays no game, mixes nothing; Adam is optional.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

SIDE, COLOURS, CHANNELS, KERNEL, ACTIONS = 7, 3, (16, 32), 3, 5
GAMMA = 0.95


class Conv2d(torch.nn.Module):
    """As one writes it down: `nn.Conv2d`, images (E, C, H, W)."""

    def __init__(self, outputs: int, joint: int = 0):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(COLOURS, CHANNELS[0], KERNEL)
        self.conv2 = torch.nn.Conv2d(*CHANNELS, KERNEL)
        self.output = torch.nn.Linear(CHANNELS[1] * (SIDE - 2 * (KERNEL - 1)) ** 2 + joint, outputs)

    def forward(self, x: torch.Tensor, joint: torch.Tensor | None = None) -> torch.Tensor:
        """(E, H, W, C), (E, joint) -> (E, outputs)."""
        x = torch.relu(self.conv1(x.permute(0, 3, 1, 2)))
        x = torch.relu(self.conv2(x)).flatten(1)
        return self.output(x if joint is None else torch.cat([x, joint], dim=1))


class Products(torch.nn.Module):
    """The same convolutions as products of matrices, samples innermost: faster for few small images."""

    def __init__(self, outputs: int, joint: int = 0):
        super().__init__()
        window, last = KERNEL * KERNEL, SIDE - 2 * (KERNEL - 1)
        self.conv1 = torch.nn.Linear(COLOURS * window, CHANNELS[0])
        self.conv2 = torch.nn.Linear(CHANNELS[0] * window, CHANNELS[1])
        self.output = torch.nn.Linear(CHANNELS[1] * last**2 + joint, outputs)

    @staticmethod
    def _convolved(x: torch.Tensor, layer: torch.nn.Linear) -> torch.Tensor:
        """(C, H, W, E) -> (C', H - 2, W - 2, E), with relu."""
        channels, height, width, games = x.shape
        high, wide, row = height - KERNEL + 1, width - KERNEL + 1, width * games
        windows = x.as_strided((channels, KERNEL, KERNEL, high, wide, games), (height * row, row, games, row, games, 1))
        products = torch.addmm(layer.bias[:, None], layer.weight, windows.reshape(layer.in_features, -1))
        return torch.relu(products).view(-1, high, wide, games)

    def forward(self, x: torch.Tensor, joint: torch.Tensor | None = None) -> torch.Tensor:
        """(E, H, W, C), (E, joint) -> (E, outputs)."""
        x = self._convolved(self._convolved(x.permute(3, 1, 2, 0).contiguous(), self.conv1), self.conv2)
        x = x.view(-1, x.shape[3]).t()
        return self.output(x if joint is None else torch.cat([x, joint], dim=1))


class Dense(torch.nn.Sequential):
    """Two hidden layers of 64 with tanh, of observations (E, inputs)."""

    def __init__(self, inputs: int, outputs: int, joint: int = 0):
        super().__init__(torch.nn.Linear(inputs + joint, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(),
                         torch.nn.Linear(64, outputs))

    def forward(self, x: torch.Tensor, joint: torch.Tensor | None = None) -> torch.Tensor:
        """(E, inputs), (E, joint) -> (E, outputs)."""
        return super().forward(x if joint is None else torch.cat([x, joint], dim=1))


class Passes:
    """The passes of all agents.

    Args:
        network: called with outputs, and size of the joint action: `Conv2d`, `Products`, or `Dense` of some inputs.
        seen: (T, N, E, *shape) what the agents saw at T successive steps, single precision.
        adam: whether `torch.optim.Adam` (foreach) makes a step with the gradients.
    """

    def __init__(self, network: Callable[..., torch.nn.Module], seen: np.ndarray, adam: bool = False):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        steps, agents, games = seen.shape[:3]
        self._seen = [[torch.from_numpy(own) for own in step] for step in seen]
        rng = np.random.default_rng(0)
        drawn = rng.integers(ACTIONS, size=(steps, agents, games))
        self._chosen = torch.from_numpy(np.eye(ACTIONS, dtype=np.float32)[drawn])
        self._joint = self._chosen.transpose(1, 2).reshape(steps, games, -1).contiguous()
        self._r = torch.from_numpy(rng.random((steps, agents, games, 1), dtype=np.float32))
        self._agents = [(network(ACTIONS), network(1), network(1, agents * ACTIONS)) for _ in range(agents)]
        self._parameters = [parameter for own in self._agents for module in own for parameter in module.parameters()]
        self._adam = torch.optim.Adam(self._parameters, 1e-3, foreach=True) if adam else None
        self._t, self._steps = 0, steps - 1

    def iterate(self) -> None:
        """One iteration."""
        t = self._t = (self._t + 1) % self._steps
        for parameter in self._parameters:
            parameter.grad = None
        outputs: list[torch.Tensor] = []
        pulls: list[torch.Tensor] = []
        for agent, (policy, V, R) in enumerate(self._agents):
            s, s_next, r, joint = self._seen[t][agent], self._seen[t + 1][agent], self._r[t, agent], self._joint[t]
            logits, v, reward = policy(s), V(s), R(s, joint)
            with torch.no_grad():
                ahead = GAMMA * V(s_next) - v
                pulls += [-(reward + ahead) * (self._chosen[t, agent] - torch.softmax(logits, dim=1)), -(r + ahead),
                          reward - r]
            outputs += [logits, v, reward]
        torch.autograd.backward(outputs, pulls)
        if self._adam is not None:
            self._adam.step()


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Seconds a call of `work` takes, over `rounds` calls."""
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - started) / rounds
