"""Graphs kept in files, by their endings: GraphML, GML, GEXF, Pajek, lists of edges or neighbours, matrices.

Every reader is `read(path, *, options) -> graph` on the agents 0..n-1, as `simple` makes it of what the file holds.
Nothing is unpickled, and all but .npz may be compressed (.gz).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse
from scipy.sparse import coo_array

from netac.topology.edge_lists import adjacency_list, csv, edge_list
from netac.topology.pajek import pajek
from netac.topology.rounding import ROUNDING
from netac.topology.simple import Parallel, simple
from netac.utils.errors import InputError
from netac.utils.files import load_npy, load_npz, read_bytes, read_text

GZIP = ".gz"
_OF_NUMPY = re.compile(r"^(\s*\w+\s+)NP\.\w+\(([^()\"]*)\)[ \t]*$", re.MULTILINE)
"""How networkx writes NumPy's numbers into GML."""


def graphml(path: Path, *, directed: bool | None = None, parallel: Parallel = "merge") -> nx.Graph:
    """A GraphML file, with its edge attributes (`weight`); edgedefault says whether it is directed, or `directed`."""
    held = read_bytes(path)
    return simple(_parsed("GraphML", path, lambda: nx.read_graphml(io.BytesIO(held))), path, directed, parallel)


def gexf(path: Path, *, directed: bool | None = None, parallel: Parallel = "merge") -> nx.Graph:
    """A GEXF file (Gephi's) with its edges' weights; defaultedgetype says whether it is directed, or `directed`."""
    held = read_bytes(path)
    return simple(_parsed("GEXF", path, lambda: nx.read_gexf(io.BytesIO(held))), path, directed, parallel)


def gml(path: Path, *, directed: bool | None = None, parallel: Parallel = "merge") -> nx.Graph:
    """A GML file; its nodes are called by their labels where each has one of its own, else by their ids."""
    text = read_text(path)
    if not re.search(r"\bmultigraph\s+\d", text):          # which networkx asks for before it takes parallel edges
        text = re.sub(r"\bgraph\s*\[", "graph [ multigraph 1", text, count=1)
    lines = _OF_NUMPY.sub(r"\1\2", text).splitlines()
    try:
        found = nx.parse_gml(lines, label="label")
    except Exception:       # labels that are missing or the same are no error
        found = _parsed("GML", path, lambda: nx.parse_gml(lines, label="id"))
    return simple(found, path, directed, parallel)


def npy(path: Path, *, directed: bool | None = None, parallel: Parallel = "merge") -> nx.Graph:
    """A .npy file with the (N, N) weight matrix W itself: edges from its pattern, weights from its entries."""
    return from_matrix(load_npy(path), path, directed, parallel)


def npz(path: Path, *, array: str = "W", directed: bool | None = None, parallel: Parallel = "merge") -> nx.Graph:
    """The same from the array called `array` of a .npz file, or from a sparse matrix saved by scipy.sparse.save_npz."""
    arrays = load_npz(path)
    if array not in arrays and {"format", "shape", "data"} <= arrays.keys():
        return from_matrix(_sparse(path), path, directed, parallel)
    if array not in arrays:
        raise InputError("the file has no such array", file=path, key="array", found=array, valid=", ".join(arrays))
    return from_matrix(arrays[array], path, directed, parallel)


def from_matrix(W: np.ndarray | coo_array, path: Path, directed: bool | None = None,
                parallel: Parallel = "merge") -> nx.Graph:
    """W as a graph: undirected where W is symmetric, else j -> i where W_ij != 0; W_ii as node attribute `self_weight`.

    Raises:
        InputError: W is not a square matrix of finite numbers.
    """
    numbers = W.data if isinstance(W, coo_array) else W
    if W.ndim != 2 or W.shape[0] != W.shape[1] or W.dtype.kind not in "biuf" or not np.isfinite(numbers).all():
        raise InputError("must hold a square matrix of finite numbers", file=path, found=f"{W.dtype} {W.shape}")
    entries = coo_array(W.astype(np.float64))
    rows = entries.tocsr()
    symmetric = not (rows - rows.T).data.any()
    graph: nx.Graph = nx.Graph() if symmetric else nx.DiGraph()
    graph.add_nodes_from((i, {"self_weight": own}) for i, own in enumerate(rows.diagonal().tolist()))
    kept = (entries.data != 0) & (entries.col > entries.row if symmetric else entries.col != entries.row)
    i, j, weights = (part[kept].tolist() for part in (entries.row, entries.col, entries.data))
    graph.add_weighted_edges_from(zip(j, i, weights, strict=True))
    rounding = 8 * float(np.finfo(W.dtype).eps) if W.dtype.kind == "f" else 0.0
    return simple(graph, path, directed, parallel, max(ROUNDING, rounding))


def _sparse(path: Path) -> coo_array:
    """The matrix of scipy.sparse.save_npz, entries row by row; scipy reads it without pickle."""
    return _parsed("a sparse matrix", path, lambda: coo_array(coo_array(scipy.sparse.load_npz(path)).tocsr()))


def _parsed(kind: str, path: Path, parse: Callable[[], Any]) -> Any:
    """What a parser makes of a file; a damaged file can make it raise nearly anything."""
    try:
        return parse()
    except Exception as error:
        raise InputError(f"cannot be read as {kind}: {error}", file=path) from error


READERS: dict[str, Callable[..., nx.Graph]] = {
    ".graphml": graphml, ".gml": gml, ".gexf": gexf, ".net": pajek, ".edgelist": edge_list, ".csv": csv,
    ".adjlist": adjacency_list, ".npy": npy, ".npz": npz}
SUFFIXES = (*READERS, *(f"{suffix}{GZIP}" for suffix in READERS if suffix != ".npz"))


def suffix_of(path: Path) -> str:
    """The ending that says what a file holds, in small letters, with that of its compression: ".gml.gz"."""
    endings = [ending.lower() for ending in path.suffixes]
    return "".join(endings[-2:] if endings[-1:] == [GZIP] else endings[-1:])


def reader_of(path: Path) -> Callable[..., nx.Graph]:
    """The reader of a file whose `suffix_of` is one of `SUFFIXES`."""
    return READERS[suffix_of(path).removesuffix(GZIP)]
