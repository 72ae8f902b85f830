"""A built-in graph and something of one's own on top: a ring with random chords, the same at every iteration.

    netac graph graphs/random_chords.py --agents 20
"""

from typing import Annotated

import networkx as nx
import numpy as np
from pydantic import Field

from netac.topology import load

PERIOD = 1                # static: graph(t) is graph(0)
WEIGHTS = "lazy-metropolis"


def graph(t: int, n: int, *, chords: Annotated[int, Field(ge=0)] = 3,
          seed: Annotated[int, Field(ge=0)] = 0) -> nx.Graph:
    """The ring and up to `chords` further edges (a chord may fall on an edge that is there, or on one agent twice)."""
    here = load("ring", n).graph(0)
    ends = np.random.default_rng(seed).integers(n, size=(chords, 2)).tolist()
    here.add_edges_from((u, v) for u, v in ends if u != v)
    return here
