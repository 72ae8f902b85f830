"""CHOCO with the k largest values in plain NumPy, as a script without netac does it: no bits are packed or counted."""

from __future__ import annotations

import numpy as np


class Choco:
    """x_i <- x_i + gamma sum_j W_ij (x^_j - x^_i), after x^_i has moved by the k largest values of x_i - x^_i."""

    def __init__(self, W: np.ndarray, k: int, gamma: float, shape: tuple[int, int]):
        self.W, self.k, self.gamma, self.public = W - np.eye(len(W)), k, gamma, np.zeros(shape)

    def mix(self, x: np.ndarray) -> np.ndarray:
        """One round, (n, width)."""
        difference = x - self.public
        for row, copy in zip(difference, self.public, strict=True):
            largest = np.argpartition(np.abs(row), len(row) - self.k)[-self.k:]
            copy[largest] += row[largest]
        return x + self.gamma * (self.W @ self.public)
