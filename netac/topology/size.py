"""How much memory a topology's graphs take, told before one of them is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from netac.utils import memory

NODE, EDGE = 600, 560
"""Bytes of an agent and of an edge: in a networkx graph, its weight matrix, and what the certificate makes of both."""
ARRAY_NODE, ARRAY_EDGE = 100, 180
"""The same where graphs are arrays."""
OF_TEXT = {".graphml": 20, ".gexf": 20, ".gml": 30, ".edgelist": 80, ".csv": 60, ".adjlist": 80, ".net": 80}
"""Bytes of memory for a byte of a file with a graph, at least."""
MOST_PACKED = 1032      # bytes that gzip makes one of, at most

Edges = Callable[[int], float]
"""n -> edges of the largest graph on n agents, about."""


@dataclass(frozen=True)
class Extent:
    """How large the graphs of a topology are.

    Args:
        edges: n -> edges of the largest graph on n agents, about.
        arrays: whether graphs are made as arrays, not as networkx graphs.
    """

    edges: Edges = float
    arrays: bool = False

    def nbytes(self, agents: int) -> int:
        """Bytes that the largest graph takes."""
        node, edge = (ARRAY_NODE, ARRAY_EDGE) if self.arrays else (NODE, EDGE)
        return int(node * agents + edge * self.edges(agents))

    def refuse(self, agents: int, name: str) -> None:
        """Refuse a topology, called `name`, whose largest graph would not fit.

        Raises:
            InputError: its key is "agents".
        """
        memory.refuse_number(f"the topology {name}, {self.edges(agents):,.0f} edges", "agents", agents, self.nbytes,
                             advice="a sparse topology such as ring")


def refuse_text(path: Path) -> None:
    """Refuse a file with a graph that would not fit once it is read; of a compressed one, as large as it says it is.

    Raises:
        InputError: its key is "path".
    """
    from netac.topology.files import GZIP, suffix_of
    with suppress(OSError):        # which the reader tells
        length, suffix = path.stat().st_size, suffix_of(path)
        if suffix.endswith(GZIP):
            with path.open("rb") as file:
                file.seek(max(0, length - 4))
                told = int.from_bytes(file.read(4), "little")
            length = max(length, told if told <= MOST_PACKED * length else 0)      # else it is not whole
        of_byte = OF_TEXT.get(suffix.removesuffix(GZIP), 1)
        memory.refuse({"the graph in this file": length * of_byte}, "path", str(path), advice=(
            "a smaller graph, or a topology of Python, which makes its graphs when they are asked for"))


def together(parts: Sequence[Extent]) -> Extent:
    """The extent of several topologies of which one is used at a time."""
    return Extent(partial(_most, parts), all(part.arrays for part in parts))


def _most(parts: Sequence[Extent], n: int) -> float:
    """Edges of the largest graph."""
    return max((part.edges(n) for part in parts), default=0.0)
