"""Local optimizers: they turn an agent's gradient into the direction of its step; their state is local, never mixed.

"plain" takes the mean of the gradient over the samples as it is, the papers' rule; "adam" is that of Kingma and Ba
(2015), Algorithm 1, with the step size left to the caller.  An agent whose gradient is exactly zero, as where it took
part in no sample, makes no step of that part, and its moments and count stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from netac.agents.parameters import Layout
from netac.utils.pulse import pulse

PARTS = ("omega", "lam", "theta")
Direction = Callable[[np.ndarray], np.ndarray]      # (n, size) gradients -> (n, size) directions


@dataclass(frozen=True)
class Directions:
    """Directions of omega, lambda and theta, from gradients that are sums over the same number of samples."""

    omega: Direction
    lam: Direction
    theta: Direction


class Optimizer:
    """The optimizers of all agents of a process.

    Args:
        layout: what the agents hold.
        agents: n, how many.
        adam: (beta1, beta2, epsilon), None for plain steps.
        clip: largest norm of an agent's gradient of omega, of lambda and of theta; None: any.
        radius: largest norm of an agent's direction of theta; None: any.

    Attributes:
        rows: (n, 2 (K + L + d)) first and second moments of every agent, which with `counts` are all its state.
        counts: (n, 3) how many steps of Adam every agent's omega, lambda and theta have made: those with a gradient.
    """

    def __init__(self, layout: Layout, agents: int, adam: tuple[float, float, float] | None = None,
                 clip: float | None = None, radius: float | None = None):
        self._adam, self._clip, self._radius = adam, clip, radius
        self._constants = adam or (0.0, 0.0, 0.0)      # of no use without Adam
        sizes = [getattr(layout, part) for part in PARTS] if adam else [0] * len(PARTS)
        ends = np.cumsum([0, *(size for size in sizes for _ in range(2))]).tolist()
        self.rows = np.zeros((agents, ends[-1]), layout.dtype)
        self.counts = np.zeros((agents, len(PARTS)), dtype=np.int64)
        moments = [self.rows[:, ends[k]:ends[k + 1]] for k in range(2 * len(PARTS))]
        self._moments = list(zip(moments[::2], moments[1::2], strict=True))
        self._scratch = [np.empty((agents, size), layout.dtype) for size in sizes]

    def of(self, row: int) -> Optimizer:
        """The optimizer of one agent, the one in that row: its state is this one's."""
        own, one = copy.copy(self), slice(row, row + 1)
        own.rows, own.counts = self.rows[one], self.counts[one]
        own._moments = [(m[one], v[one]) for m, v in self._moments]
        own._scratch = [scratch[one] for scratch in self._scratch]
        return own

    def begin(self) -> None:
        """Forget the moments of Adam, for a new objective."""
        self.rows[:] = 0.0
        self.counts[:] = 0

    def moments(self, shared: int) -> list[np.ndarray]:
        """Adam's moments of omega, of lambda and of the first `shared` coordinates of theta: views (n, size) each."""
        sizes = (None, None, shared)
        return [each[:, :size] for both, size in zip(self._moments, sizes, strict=True) for each in both]

    def over(self, samples: int) -> Directions:
        """Directions from gradients summed over `samples` samples; a call may overwrite the result of the last one."""
        if self._adam is None and self._clip is None and self._radius is None and samples == 1:
            return Directions(_as_it_is, _as_it_is, _as_it_is)
        return Directions(*(partial(self._direction, k, samples) for k in range(len(PARTS))))

    def _direction(self, k: int, samples: int, gradient: np.ndarray) -> np.ndarray:
        pulse.beats += 1
        scale = np.array(1.0 / samples, gradient.dtype)
        if self._clip is not None:
            norm = np.sqrt(np.vecdot(gradient, gradient)).astype(float) / samples
            scale = (self._clip / np.maximum(norm, self._clip) / samples)[:, None].astype(gradient.dtype)
        mean = gradient * scale
        found = mean if self._adam is None else self._by_adam(k, mean)
        if self._radius is not None and k == PARTS.index("theta"):
            norm = np.sqrt(np.vecdot(found, found)).astype(float)
            found *= (self._radius / np.maximum(norm, self._radius))[:, None].astype(found.dtype)
        return found

    def _by_adam(self, k: int, g: np.ndarray) -> np.ndarray:
        """Adam's direction; 0 for agents whose gradient is 0, whose moments and counts stay."""
        moving = g.any(axis=1)
        self.counts[:, k] += moving
        if moving.all():
            return self._step(k, g)
        (m, v), resting = self._moments[k], ~moving
        kept = m[resting], v[resting]
        g = self._step(k, g)
        m[resting], v[resting], g[resting] = *kept, 0.0
        return g

    def _step(self, k: int, g: np.ndarray) -> np.ndarray:
        """m^ / (sqrt(v^) + epsilon), as m (sqrt(c2) / c1) / (sqrt(v) + epsilon sqrt(c2)): fewer passes over arrays."""
        (m, v), scratch = self._moments[k], self._scratch[k]
        beta1, beta2, epsilon = self._constants
        counts = [max(count, 1) for count in self.counts[:, k].tolist()]
        c1, c2 = (np.array([[1.0 - beta**count] for count in counts]) for beta in (beta1, beta2))
        np.multiply(g, g, out=scratch)
        scratch *= 1.0 - beta2
        v *= beta2
        v += scratch                                   # v <- beta2 v + (1 - beta2) g^2
        g *= 1.0 - beta1
        m *= beta1
        m += g                                         # m <- beta1 m + (1 - beta1) g
        np.sqrt(v, out=scratch)
        root = np.sqrt(c2)
        scratch += (epsilon * root).astype(g.dtype)
        np.divide(m, scratch, out=g)
        g *= (root / c1).astype(g.dtype)
        return g


def _as_it_is(gradient: np.ndarray) -> np.ndarray:
    return gradient
