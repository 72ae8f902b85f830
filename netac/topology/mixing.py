"""How fast averaging mixes: the product of weight matrices against the exact average."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array

TARGET = 1e-6
"""The disagreement, relative to the start, that predicted rounds speak of."""
DENSE = 0.1
"""Share of entries stored from which a product with the dense matrix is the faster one."""


class Mixing:
    """The product P = W_{t-1} ... W_0 of the matrices given so far, dense (N, N).

    Args:
        agents: N.
        matrices: W_0, W_1, ...; `add` gives further ones.
    """

    def __init__(self, agents: int, matrices: Iterable[csr_array] = ()):
        self.product, self.rounds = np.eye(agents), 0
        self.near: int | None = None        # rounds after which P was the average up to TARGET
        self._distance = self._from_average()
        for W in matrices:
            self.add(W)

    def add(self, W: csr_array) -> None:
        """P becomes W P.  The product is not formed where it changes nothing: W = I, or P is 11'/N up to rounding."""
        n = len(self.product)
        self.rounds += 1
        moves = W.nnz > n or (W.data != 1).any()
        if moves and self._distance > n * np.finfo(float).eps:
            with np.errstate(over="ignore", invalid="ignore"):      # weights that are not doubly stochastic may explode
                self.product = (W.toarray() if W.nnz > DENSE * n * n else W) @ self.product
                self._distance = self._from_average()
        if self.near is None and self._distance <= TARGET:
            self.near = self.rounds

    def sigma(self) -> float:
        """|| P - 11'/N ||_2; infinite where P has no finite numbers any more."""
        if not math.isfinite(self._distance):
            return math.inf
        deviation = self.product - 1.0 / len(self.product)
        symmetric = np.array_equal(self.product, self.product.T)
        norm = np.abs(np.linalg.eigvalsh(deviation)).max() if symmetric else np.linalg.norm(deviation, 2)
        return 1.0 if abs(norm - 1) < 1e-12 else float(norm)

    def contraction(self, periodic: bool) -> tuple[float, int | None]:
        """sigma, and after how many rounds disagreement is 1e-6 of its start, if ever (see `Certificate`).

        Args:
            periodic: whether the matrices given are one whole period.
        """
        sigma, near = self.sigma(), None if periodic else self.near
        if near is not None or sigma >= 1:
            return sigma, near
        windows = math.log(TARGET) / math.log(max(sigma, 1e-300))
        return sigma, self.rounds * math.ceil(windows) if periodic else math.ceil(self.rounds * windows)

    def _from_average(self) -> float:
        """The Frobenius norm of P - 11'/N."""
        return float(np.linalg.norm(self.product - 1.0 / len(self.product)))
