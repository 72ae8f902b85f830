"""How fast averaging mixes among so many agents that no dense product can be formed: bounds from sparse products."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array, eye_array

from netac.topology.bounds import Bounds, Interval
from netac.topology.mixing import LOG_TARGET, Mixing
from netac.topology.sequence import same_matrix
from netac.topology.spectrum import ARNOLDI, largest_modulus, smallest

MOST_STORED, MOST_BESIDE = 1e7, 50
"""Entries of a product that is formed: all in all, and for each agent."""
_NORMAL = 1e-13      # ||PP' - P'P||, largest entry, of a normal product


class Factors:
    """The product P = W_{t-1} ... W_0 of the matrices given so far, as its factors; of those, as many as make P = J.

    Args:
        agents: N.
        matrices: W_0, W_1, ...; `add` gives further ones.
    """

    def __init__(self, agents: int, matrices: Iterable[csr_array] = ()):
        self.agents, self.rounds = agents, 0
        self._kept: list[csr_array] = []
        self._probe = np.random.default_rng(1).standard_normal(agents)
        for W in matrices:
            self.add(W)

    def add(self, W: csr_array) -> None:
        """P becomes W P.  It is not kept where P is J up to rounding, as the values of random agents tell."""
        self.rounds += 1
        if np.ptp(self._probe) > self.agents * np.finfo(float).eps:
            self._kept.append(W)
            self._probe = W @ self._probe

    def first(self, t: int) -> list[csr_array]:
        """The factors of W_{t-1} ... W_0, the first to be applied first, without those that change nothing."""
        return [W for W in self._kept[:t] if W.nnz > self.agents or (W.data != 1).any()]


def large_mixing(product: Factors, periodic: bool, connected: bool) -> Mixing:
    """What the factors, doubly stochastic ones, say of the sequence.

    Args:
        product: of the matrices looked at.
        periodic: whether they are one whole period.
        connected: whether the union of their graphs is.
    """
    n = product.agents
    if n == 1:
        return Mixing(0.0, 0.0 if periodic else None, 0)
    if not connected:
        return Mixing(1.0, 1.0 if periodic else None, None)
    factors = product.first(product.rounds)
    if not periodic:
        return _aperiodic(product)
    if len(factors) == 1 and same_matrix(factors[0], factors[0].T.tocsr()):
        loss, how = _symmetric_loss(factors[0])
        return _periodic(loss, loss, product, how)
    loss, how = _loss(factors)
    return _periodic(loss, loss if _normal(factors) else _gap(factors, loss), product, how)


def _periodic(loss: Interval, gap: tuple[float, float | None], product: Factors, how: str) -> Mixing:
    """The rounds lie between what the radius and what the contraction of a period tell; both are one if P is normal."""
    T = product.rounds
    if reached := _reached(loss):
        return _mixing(Bounds(loss, gap, _rounds_within(product), how))
    fastest, slowest = None if gap[1] is None else _powers(gap[1]), _powers(loss[0])
    fewest = max((fastest - 1) * T + 1 if fastest else 1, T + 1 if reached is False else 1)
    return _mixing(Bounds(loss, gap, (fewest, slowest * T if slowest else None), how))


def _aperiodic(product: Factors) -> Mixing:
    """The rounds to the target where the product of all has reached it."""
    loss, how = _loss(product.first(product.rounds))
    reached = _reached(loss)
    rounds = _rounds_within(product) if reached else (product.rounds + 1 if reached is False else 1, None)
    return _mixing(Bounds(loss, None, rounds, how))


def _rounds_within(product: Factors) -> tuple[int, int]:
    """Bounds of the rounds to the target, which the whole product has reached: halves of it are ruled out."""
    before, most = 0, product.rounds
    while most - before > 1:
        middle = (before + most) // 2
        reached = _reached(_loss(product.first(middle))[0])
        if reached is None:
            break
        before, most = (before, middle) if reached else (middle, most)
    return before + 1, most


def _mixing(bounds: Bounds) -> Mixing:
    """The best estimates, and the bounds."""
    fewest, most = bounds.rounds
    radius = None if bounds.gap is None or bounds.gap[1] is None else 1.0 - bounds.gap[1]
    return Mixing(1.0 - bounds.loss[1], radius, fewest if fewest == most else None, bounds)


def _symmetric_loss(W: csr_array) -> tuple[Interval, str]:
    """1 - max(lambda_2, -lambda_N) of a symmetric W; lambda_N >= 2 min W_ii - 1 (Gershgorin) spares the second."""
    n = W.shape[0]
    second = smallest(lambda x: x - W @ x, n, lambda: (eye_array(n) - W).tocsr())
    if 2 * W.diagonal().min() >= second.high:
        return (second.low, second.high), second.how
    last = smallest(lambda x: x + W @ x, n, lambda: (eye_array(n) + W).tocsr())
    lower = min(second, last, key=lambda found: found.high)
    return (min(second.low, last.low), lower.high), lower.how


def _loss(factors: list[csr_array]) -> tuple[Interval, str]:
    """1 - ||P - J||_2, by the smallest eigenvalue 1 - ||P - J||^2 of I - P'P and its rounding."""
    if not factors:
        return (0.0, 0.0), ""
    n, P = factors[0].shape[0], _product(factors)
    forth = factors if P is None else [P]
    back = [W.T.tocsr() for W in reversed(forth)]
    found = smallest(lambda x: x - _applied(back, _applied(forth, x)), n,
                     lambda: None if P is None else (eye_array(n) - back[0] @ P).tocsr())
    return (_loss_of(found.low), _loss_of(min(1.0, found.high + found.rounding))), found.how


def _loss_of(eigenvalue: float) -> float:
    """1 - sigma of 1 - sigma^2, without cancellation."""
    return eigenvalue / (1.0 + math.sqrt(max(0.0, 1.0 - eigenvalue)))


def _gap(factors: list[csr_array], loss: Interval) -> tuple[float, float | None]:
    """1 minus the spectral radius of P - J, at least 1 - ||P - J||_2."""
    radius = largest_modulus(lambda x: _applied(factors, x - x.mean()), factors[0].shape[0])
    if radius is None:
        return loss[0], None
    return max(loss[0], 1.0 - radius - ARNOLDI), max(loss[0], 1.0 - radius + ARNOLDI)


def _normal(factors: list[csr_array]) -> bool:
    """Whether PP' = P'P, as far as P can be formed."""
    P = _product(factors)
    return P is not None and bool(abs(P @ P.T - P.T @ P).max() <= _NORMAL)


def _product(factors: list[csr_array]) -> csr_array | None:
    """P, sparse; None where it has too many entries."""
    P = factors[0]
    most = min(MOST_STORED, MOST_BESIDE * P.shape[0])
    for W in factors[1:]:
        if P.nnz > most:
            return None
        P = W @ P
    return P if P.nnz <= most else None


def _applied(factors: list[csr_array], x: np.ndarray) -> np.ndarray:
    """P x."""
    for W in factors:
        x = W @ x
    return x


def _powers(loss: float) -> int | None:
    """The smallest k >= 1 for which (1 - loss)^k is the target; None if it is never."""
    if loss <= 0:
        return None
    return max(1, math.ceil(LOG_TARGET / math.log1p(-loss))) if loss < 1 else 1


def _reached(loss: Interval) -> bool | None:
    """Whether 1 - loss is the target or less; None where the bounds leave it open."""
    target = math.exp(LOG_TARGET)
    if 1.0 - loss[0] <= target:
        return True
    return False if 1.0 - loss[1] > target else None
