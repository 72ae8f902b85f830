"""Push-sum: how soon the ratios x / w agree on the average, on graphs whose weights are not doubly stochastic.

Every agent divides its x and its w, which is 1 at first, among those that hear it and itself in equal shares: x <- A x
and w <- A w with A_ij = A_jj = 1 / (1 + d_j), d_j of them, whose columns sum to 1 (Kempe, Dobra and Gehrke 2003; Nedic
and Olshevsky 2015).  After t rounds the ratios are M x_0 with M = diag(w)^-1 P, P = A_{t-1} ... A_0 and w = P 1, and

    e_t = || diag(w)^(1/2) (M - J) ||_2

is how far they are from the average in the root of the mean square over agents, each counted by its w: from the worst
start, relative to its disagreement.  No round lets e_t grow, and with doubly stochastic A, whose w stay 1, it is the
||P - J||_2 of plain averaging.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import rows_of, share_matrix
from netac.topology.mixing import LOG_TARGET, MOST_SQUARINGS, Matrices, spectral_norm, spectral_radius

LARGEST_DENSE = 500
"""Agents up to which products are formed, dense, and rounds are exact but for rounding."""


@dataclass(frozen=True)
class Ratios:
    """How push-sum's ratios fare on T graphs, a period of them or as many as were looked at.

    Args:
        column_error: largest |sum - 1| over all columns of the A_t.
        smallest_weight: smallest entry of an A_t that is not 0.
        radius: the second largest modulus of the eigenvalues of a period's product: the factor of e_t in T rounds in
            the long run.  None where the graphs are no whole period, or Arnoldi's method does not find it.
        rounds: the smallest t for which e_t is 1e-6.  None where that is never so, or not within T graphs that are no
            period, or where there are too many agents for it.
        estimate: about how many rounds it takes, as `radius` tells, where there are too many agents for `rounds`.
    """

    column_error: float
    smallest_weight: float
    radius: float | None
    rounds: int | None
    estimate: int | None = None


def shares(W: csr_array) -> csr_array:
    """A of a round: 1 / (1 + d_j) where W has a weight, and on the diagonal."""
    rows = rows_of(W)
    off = (rows != W.indices) & (W.data != 0)
    return share_matrix(W.shape[0], rows[off], W.indices[off].astype(np.int64))


def push_sum(matrix: Matrices, steps: int, periodic: bool, connected: bool) -> Ratios:
    """What the graphs of t = 0, ..., steps - 1 say of push-sum.

    Args:
        matrix: t -> W_t, of which who hears whom counts.
        steps: how many; at least 1.
        periodic: whether they are one whole period.
        connected: whether the union of the graphs is strongly connected.
    """
    known: dict[int, tuple[csr_array, csr_array]] = {}        # by identity, with the W so that this stays its own
    made = []
    for W in map(matrix, range(steps)):
        if id(W) not in known:
            known[id(W)] = W, shares(W)
        made.append(known[id(W)][1])
    n, different = made[0].shape[0], [A for _, A in known.values()]
    facts = (max(float(np.abs(A.sum(axis=0) - 1).max()) for A in different),
             min(float(A.data.min()) for A in different))
    if n == 1:
        return Ratios(*facts, 0.0 if periodic else None, 0)
    if periodic and not connected:
        return Ratios(*facts, 1.0, None)
    if n > LARGEST_DENSE:
        radius = _sparse_radius(made) if periodic else None
        estimate = math.ceil(LOG_TARGET / math.log(radius)) * steps if radius and radius < 1 else None
        return Ratios(*facts, radius, None, estimate)
    product = _times(made, np.eye(n))
    if not periodic:
        return Ratios(*facts, None, None if _exceeds(product) else _first_round(made, np.eye(n)))
    radius = spectral_radius(product - product.sum(axis=1, keepdims=True) / n)
    periods, before = _last_exceeding(product)
    rounds = None if periods is None else periods * steps + _first_round(made, before)
    return Ratios(*facts, radius, rounds)


def _times(factors: Iterable[csr_array], product: np.ndarray) -> np.ndarray:
    """A_{t-1} ... A_0 P, with columns that sum to 1 in spite of rounding."""
    for A in factors:
        product = A @ product
    return product / product.sum(axis=0)


def _exceeds(product: np.ndarray) -> bool:
    """Whether e_t of P is above the target."""
    n, w = len(product), product.sum(axis=1, keepdims=True)
    size = spectral_norm((product - w / n) / np.sqrt(w))
    return size > 0 and math.log(size) > LOG_TARGET


def _last_exceeding(period: np.ndarray) -> tuple[int | None, np.ndarray]:
    """The largest number of periods after which e_t is above the target, None if it is always; and their product."""
    powers, step, periods, held = list[np.ndarray](), period, 0, np.eye(len(period))
    while _exceeds(further := _product(step, held)):
        periods, held = periods + 2 ** len(powers), further
        powers.append(step)
        if len(powers) == MOST_SQUARINGS:
            return None, held
        step = _product(step, step)
    while powers:
        further = _product(powers.pop(), held)
        if _exceeds(further):
            periods, held = periods + 2 ** len(powers), further
    return periods, held


def _product(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    product = later @ earlier
    return product / product.sum(axis=0)


def _first_round(factors: list[csr_array], before: np.ndarray) -> int:
    """The smallest t for which e_t of A_{t-1} ... A_0 `before` is at the target, as it is after all of them."""
    low, high = 0, len(factors)
    while high - low > 1:
        middle = (low + high) // 2
        after = _times(factors[low:middle], before)
        if _exceeds(after):
            low, before = middle, after
        else:
            high = middle
    return high


def _sparse_radius(factors: list[csr_array]) -> float | None:
    """The second largest modulus of the eigenvalues of A_{T-1} ... A_0, by Arnoldi's method."""
    from netac.topology.spectrum import largest_modulus

    def applied(x: np.ndarray) -> np.ndarray:
        x = x - x.mean()
        for A in factors:
            x = A @ x
        return x

    return largest_modulus(applied, factors[0].shape[0])
