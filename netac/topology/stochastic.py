"""Assumption 2 of the CAC paper (Zeng et al. 2022) on one matrix: doubly stochastic, W_ij >= 0, W_ii >= c > 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import rows_of

TOLERANCE = 1e-9
"""How far from 1 a row or column may sum."""


@dataclass(frozen=True)
class Soundness:
    """How near one W_t is to Assumption 2.

    Args:
        row_error, column_error: largest |sum - 1| over the rows, the columns.
        smallest_diagonal: smallest W_ii, Assumption 2's c.
        problems: one sentence for each violation, by its kind.
    """

    row_error: float
    column_error: float
    smallest_diagonal: float
    problems: dict[str, str]


def soundness(W: csr_array, t: int) -> Soundness:
    """Holds W, the matrix of iteration t, against Assumption 2."""
    n, rows, problems = W.shape[0], rows_of(W), {}
    row_sums, column_sums = (np.bincount(index, weights=W.data, minlength=n) for index in (rows, W.indices))
    for kind, sums in (("row", row_sums), ("column", column_sums)):
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > TOLERANCE:
            problems[kind] = f"W_{t} is not doubly stochastic: {kind} {worst} sums to {sums[worst]:.10g}"
    diagonal, lightest = W.diagonal(), int(W.data.argmin())
    if W.data[lightest] < 0:
        place = f"({rows[lightest]}, {W.indices[lightest]})"
        problems["negative"] = f"W_{t} has the negative weight {W.data[lightest]:.6g} at {place}"
    elif diagonal.min() <= 0:
        problems["diagonal"] = (f"the diagonal of W_{t} is 0 at agent {diagonal.argmin()}: "
                                "Assumption 2 asks W_ii >= c > 0")
    return Soundness(float(np.abs(row_sums - 1).max()), float(np.abs(column_sums - 1).max()), float(diagonal.min()),
                     problems)
