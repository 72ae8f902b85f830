"""One platoon as one writes it from the equations: a loop over vehicles, with NumPy's functions or with plain floats.

Starts behind a leader at 15 m/s (`netac.envs.platoon`, catch-up), like a PettingZoo `ParallelEnv`: `agents`, `reset`
and `step` with a dictionary of actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np

GAINS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5))


def cut(x: float, low: float, high: float) -> float:
    """x, or the nearer end of the interval."""
    return max(low, min(x, high))


class Loop:
    """n vehicles; `library` has the cosine, and `clip` is its way to cut numbers.

    Args:
        n: vehicles.
        library, clip: `numpy, numpy.clip`, or `math, cut`.
    """

    def __init__(self, n: int, library: ModuleType = math, clip: Callable = cut):
        self.n, self._cos, self._clip = n, library.cos, clip
        self.agents = list(range(n))
        self.reset()

    def reset(self, seed: int = 0) -> None:
        """The first vehicle 40 m behind the leader, all others at 20 m; 15 m/s."""
        n = self.n
        self.t, self.leader, self.collided = 0, [15.0] * 601, False
        self.h, self.v, self.u = [40.0] + [20.0] * (n - 1), [15.0] * n, [0.0] * n

    def wanted(self, h: float) -> float:
        """V(h)."""
        if h < 5:
            return 0.0
        return 15.0 * (1.0 - self._cos(math.pi * (h - 5) / 30)) if h < 35 else 30.0

    def step(self, actions: dict[int, int]) -> tuple[list[np.ndarray], list[float], bool]:
        """What all vehicles see, their rewards, and whether the episode is over."""
        if not self.collided:
            h, v, u = [], [], []
            for i in range(self.n):
                ahead = self.v[i - 1] if i else self.leader[self.t]
                a, b = GAINS[actions[i]]
                push = self._clip(a * (self.wanted(self.h[i]) - self.v[i]) + b * (ahead - self.v[i]), -2.5, 2.5)
                v.append(self._clip(self.v[i] + 0.1 * push, 0.0, 30.0))
                u.append((v[i] - self.v[i]) / 0.1)
                after = v[i - 1] if i else self.leader[self.t + 1]
                h.append(self.h[i] + 0.05 * (ahead + after - self.v[i] - v[i]))
            self.h, self.v, self.u, self.collided = h, v, u, min(h) < 1
        self.t += 1
        seen, rewards = [], []
        for i, (h, v, u) in enumerate(zip(self.h, self.v, self.u, strict=True)):
            ahead = self.v[i - 1] if i else self.leader[self.t]
            seen.append(np.array([(v - 15) / 15, self._clip((ahead - v) / 5, -2, 2),
                                  self._clip((self.wanted(h) - v) / 5, -2, 2), (h + (ahead - v) * 0.1 - 20) / 20,
                                  u / 2.5]))
            rewards.append(-1000.0 if self.collided else -(h - 20) ** 2 - (v - 15) ** 2 - 0.1 * u**2
                           - 5 * min(h - 10, 0) ** 2)
        over = self.t == 600 or (self.collided and self.t % 60 == 0)
        if over:
            self.reset()
        return seen, rewards, over
