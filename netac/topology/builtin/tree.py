"""A balanced tree: agent i > 0 hears its parent (i - 1) // branching."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int, *, branching: Annotated[int, Field(ge=1)] = 2) -> EdgeGraph:
    """The first n nodes of the tree in which every node has `branching` children; n - 1 edges."""
    child = np.arange(1, n)
    return from_edges(n, (child, (child - 1) // branching))
