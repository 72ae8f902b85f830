"""Fastest mixing (Boyd, Diaconis, Xiao 2004): the symmetric W >= 0 on this graph with the largest spectral gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from scipy.sparse import coo_array, csr_array

from netac.topology.edges import Graph, csr, links, weight_matrix
from netac.topology.weights._undirected import only_undirected
from netac.utils.errors import InputError

if TYPE_CHECKING:
    pass


def weights(graph: Graph, *, min_self_weight: Annotated[float, Field(ge=0, lt=1)] = 0.05) -> csr_array:
    """W = I - sum_e w_e b_e b_e' (b_e = 1_i - 1_j of the edge e = {i, j}) with the edge weights w >= 0 that solve

        minimise || W - 11'/N ||_2   subject to   W_ii >= min_self_weight,

    a semidefinite program, solved for each connected component by itself.  0 gives the textbook optimum, whose
    diagonal may vanish and so fail Assumption 2 of the CAC paper.

    Raises:
        InputError: the graph is directed, or cvxpy is not installed.
    """
    from scipy.sparse.csgraph import connected_components
    only_undirected(graph, "fastest")
    n = len(graph)
    i, j = links(graph)
    if len(i) == 0:
        return weight_matrix(n, i, j, np.zeros(0))
    u, v = i[: len(i) // 2], j[: len(i) // 2]
    _, component = connected_components(csr(n, i, j, np.ones(len(i))), directed=False)
    solved = np.zeros(len(u))
    for which in np.unique(component[u]):
        members, inside = np.flatnonzero(component == which), component[u] == which
        solved[inside] = _edge_weights(len(members), np.searchsorted(members, u[inside]),
                                       np.searchsorted(members, v[inside]), min_self_weight)
    return weight_matrix(n, i, j, np.concatenate([solved, solved]))


def _edge_weights(n: int, u: np.ndarray, v: np.ndarray, min_self_weight: float) -> np.ndarray:
    """Optimal w (one per edge) on a connected graph, made exactly feasible: w >= 0 and W_ii >= min_self_weight."""
    try:
        import cvxpy
    except ImportError as error:
        raise InputError("the weight rule 'fastest' needs cvxpy", valid="pip install 'netac[fastest]'") from error
    m = len(u)
    edge = np.arange(m)
    incidence = coo_array((np.repeat([1.0, -1.0], m), (np.concatenate([u, v]), np.concatenate([edge, edge]))),
                          shape=(n, m)).tocsr()
    w, radius = cvxpy.Variable(m), cvxpy.Variable()
    disagreement = np.eye(n) - 1.0 / n - incidence @ cvxpy.diag(w) @ incidence.T
    problem = cvxpy.Problem(cvxpy.Minimize(radius), [
        w >= 0, abs(incidence) @ w <= 1 - min_self_weight,
        radius * np.eye(n) - disagreement >> 0, radius * np.eye(n) + disagreement >> 0])
    try:
        problem.solve(solver=cvxpy.CLARABEL)
    except cvxpy.SolverError:
        w.value = None
    if w.value is None:
        raise InputError(f"the solver found no fastest-mixing weights for this graph ({problem.status})",
                         valid="another weight rule")
    exact = np.where(w.value > 1e-8, w.value, 0.0)
    heaviest = (abs(incidence) @ exact).max()
    return exact * min(1.0, (1 - min_self_weight) / heaviest)
