"""Several topologies in turn, one iteration each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import networkx as nx
from pydantic import Field

from netac.topology.builtin._parts import part, part_graph

PARTS = "of"

Names = Annotated[Sequence[str], Field(min_length=1)]


def graph(t: int, n: int, *, of: Names = ("ring", "star")) -> nx.Graph:
    """of[t mod len(of)] (names or paths) at its own iteration t // len(of)."""
    turn, which = divmod(t, len(of))
    return part_graph(of[which], n, turn)


def period(n: int, *, of: Sequence[str]) -> int | None:
    """The turns after which all parts have come back to their start; None where one never does."""
    periods = [period for name in of if (period := part(name, n).period) is not None]
    return len(of) * math.lcm(*periods) if len(periods) == len(of) else None
