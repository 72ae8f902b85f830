"""Assumption 2 of the CAC paper (Zeng et al. 2022) on one matrix: doubly stochastic, W_ij >= 0, W_ii >= c > 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import rows_of
from netac.topology.labels import Labels, agent, edge

TOLERANCE = 1e-9
"""How far from 1 a row or column may sum."""
KINDS = frozenset({"row", "column", "negative", "diagonal"})
"""The kinds of problems of a matrix."""


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


def soundness(W: csr_array, t: int, labels: Labels = (), push_sum: bool = False) -> Soundness:
    """Holds W, the matrix of iteration t, against Assumption 2.

    Args:
        W, t: the matrix and its iteration.
        labels: the agents' in messages.
        push_sum: whether columns alone must sum to 1, as push-sum asks.
    """
    n, rows, problems = W.shape[0], rows_of(W), {}
    row_sums, column_sums = (np.bincount(index, weights=W.data, minlength=n) for index in (rows, W.indices))
    for kind, sums in (("row", row_sums), ("column", column_sums)):
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > TOLERANCE and not (push_sum and kind == "row"):
            how, what = "hears" if kind == "row" else "is heard", "column" if push_sum else "doubly"
            problems[kind] = (f"W_{t} is not {what} stochastic: the weights with which {agent(worst, labels)} {how}, "
                              f"{kind} {worst}, sum to {sums[worst]:.10g}")
    diagonal, lightest = W.diagonal(), int(W.data.argmin())
    if W.data[lightest] < 0:
        problems["negative"] = f"W_{t} has {_negative(W, int(rows[lightest]), lightest, row_sums, labels)}"
    elif diagonal.min() <= 0:
        problems["diagonal"] = (f"the diagonal of W_{t} is 0 at {agent(int(diagonal.argmin()), labels)}: "
                                "Assumption 2 asks W_ii >= c > 0")
    return Soundness(float(np.abs(row_sums - 1).max()), float(np.abs(column_sums - 1).max()), float(diagonal.min()),
                     problems)


def _negative(W: csr_array, i: int, entry: int, row_sums: np.ndarray, labels: Labels) -> str:
    """The words for a negative entry in row i: what the others' weights leave to the agent itself, or a weight."""
    j, weight = int(W.indices[entry]), W.data[entry]
    if i != j:
        return f"the negative weight {weight:.6g} on {edge(j, i, labels)}"
    others = row_sums[i] - weight
    return (f"the negative weight {weight:.6g} at ({i}, {i}): the weights with which {agent(i, labels)} hears the "
            f"others sum to {others:.10g}")
