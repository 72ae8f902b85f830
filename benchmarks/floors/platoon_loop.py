"""One platoon as one writes it from the equations: a loop over vehicles, with NumPy's functions or with plain floats.

Like a PettingZoo `ParallelEnv` it has `agents`, `reset` and `step` with the actions of all; tests of
`netac.envs.platoon` hold this module's games against it.
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
        first: 1.5 + U, by which the first headway (catchup), or all speeds (slowdown), are multiplied at the start.
        scenario, training: as in the environment's options.
    """

    def __init__(self, n: int, library: ModuleType = math, clip: Callable = cut, first: float = 2.0,
                 scenario: str = "catchup", training: bool = True):
        self.n, self._cos, self._clip = n, library.cos, clip
        self._first, self._slowdown, self._unsafe = first, scenario == "slowdown", 5.0 if training else 0.0
        self.agents = list(range(n))
        self.reset()

    def reset(self, seed: int = 0) -> None:
        """The start of an episode."""
        n, start = self.n, 15.0 * self._first if self._slowdown else 15.0
        self.leader = [start + (15.0 - start) * min(t, 299) / 299 for t in range(601)]
        self.t, self.collided = 0, False
        self.h, self.v, self.u = [20.0] * n, [start] * n, [0.0] * n
        if not self._slowdown:
            self.h[0] = 20.0 * self._first

    def wanted(self, h: float) -> float:
        """V(h)."""
        if h < 5:
            return 0.0
        return 15.0 * (1.0 - self._cos(math.pi * (h - 5) / 30)) if h < 35 else 30.0

    def step(self, actions: dict[int, int]) -> tuple[list[np.ndarray], list[float], bool, bool]:
        """What all vehicles see, their rewards, whether a collision ended the episode, and whether it is over, after
        which the next one begins."""
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
                           - self._unsafe * min(h - 10, 0) ** 2)
        ended = self.collided and self.t % 60 == 0
        over = ended or self.t == 600
        if over:
            self.reset()
        return seen, rewards, ended, over
