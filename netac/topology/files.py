"""Graphs kept in files: GraphML, edge lists, and weight matrices in .npy and .npz.

Every reader is `read(path, *, options) -> graph` on the nodes 0..n-1.  Node labels become agents: as the integers they
are where they are exactly 0..n-1, else in the order in which the file mentions them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np

from netac.utils.errors import InputError
from netac.utils.files import load_npy, load_npz, read_text


def graphml(path: Path) -> nx.Graph:
    """A GraphML file, with its edge attributes (`weight`); directed where it says edgedefault="directed"."""
    try:
        return numbered(nx.read_graphml(path))
    except Exception as error:      # a damaged file can make the parser and networkx raise nearly anything
        raise InputError(f"cannot be read as GraphML: {error}", file=path) from error


def edge_list(path: Path, *, directed: bool = False) -> nx.Graph:
    """Text with one edge "u v" or "u v weight" a line; # starts a comment, a label alone is an agent without edges.

    With `directed`, "u v" means that v hears u; an edge listed twice (undirected: either way round) is an error.
    """
    graph = nx.DiGraph() if directed else nx.Graph()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        try:
            weight = [float(word) for word in words[2:]]
        except ValueError:
            weight = None
        if weight is None or len(words) > 3:
            raise InputError(f"line {number} is no edge", file=path, found=line.strip(), valid='"u v" or "u v weight"')
        graph.add_nodes_from(words[:2])
        if len(words) < 2:
            continue
        if graph.has_edge(*words[:2]):
            raise InputError(f"line {number} lists an edge a second time", file=path, found=line.strip(),
                             valid="each edge once; with directed = true, once each way")
        graph.add_edge(*words[:2], **({"weight": weight[0]} if weight else {}))
    return numbered(graph)


def npy(path: Path) -> nx.Graph:
    """A .npy file with the (N, N) weight matrix W itself: edges from its pattern, weights from its entries."""
    return from_matrix(load_npy(path), path)


def npz(path: Path, *, array: str = "W") -> nx.Graph:
    """The same from the array called `array` of a .npz file."""
    arrays = load_npz(path)
    if array not in arrays:
        raise InputError("the file has no such array", file=path, key="array", found=array, valid=", ".join(arrays))
    return from_matrix(arrays[array], path)


def from_matrix(W: np.ndarray, path: Path) -> nx.Graph:
    """W as a graph: undirected where W is symmetric, else j -> i where W_ij != 0; W_ii as node attribute `self_weight`.

    Raises:
        InputError: W is not a square matrix of finite numbers.
    """
    if W.ndim != 2 or W.shape[0] != W.shape[1] or W.dtype.kind not in "iuf" or not np.isfinite(W).all():
        raise InputError("must hold a square matrix of finite numbers", file=path, found=f"{W.dtype} {W.shape}")
    symmetric = np.array_equal(W, W.T)
    graph = nx.Graph() if symmetric else nx.DiGraph()
    graph.add_nodes_from((i, {"self_weight": own}) for i, own in enumerate(np.diagonal(W).tolist()))
    i, j = np.nonzero(np.triu(W, 1) if symmetric else W - np.diag(np.diagonal(W)))
    graph.add_weighted_edges_from(zip(j.tolist(), i.tolist(), W[i, j].tolist(), strict=True))
    return graph


def numbered(graph: nx.Graph) -> nx.Graph:
    """The graph with its labels replaced by 0..n-1 (see the head of this module)."""
    labels = list(graph)
    try:
        numbers = [int(label) for label in labels]
    except ValueError:
        numbers = []
    own = sorted(numbers) == list(range(len(labels)))
    return nx.relabel_nodes(graph, dict(zip(labels, numbers if own else range(len(labels)), strict=True)))


READERS: dict[str, Callable[..., nx.Graph]] = {".graphml": graphml, ".edgelist": edge_list, ".npy": npy, ".npz": npz}
