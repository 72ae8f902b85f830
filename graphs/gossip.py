"""Random pairs: at every iteration a few disjoint pairs of agents, drawn at random, average with each other.

    netac graph graphs/gossip.py --agents 5

Randomness must come from (seed, t): all processes ask for the graph of iteration t by themselves and must get the same
one, and so must a resumed run.  The certificate asks twice and refuses a file that answers differently.
"""

from typing import Annotated

import networkx as nx
import numpy as np
from pydantic import Field


def graph(t: int, n: int, *, pairs: Annotated[int, Field(ge=1)] = 2, seed: Annotated[int, Field(ge=0)] = 0) -> nx.Graph:
    """At most `pairs` edges, no two of which share an agent."""
    order = np.random.default_rng([seed, t]).permutation(n).tolist()
    here = nx.empty_graph(n)
    here.add_edges_from(zip(order[0::2][:pairs], order[1::2][:pairs], strict=False))
    return here

# No period: a sequence that never repeats.
