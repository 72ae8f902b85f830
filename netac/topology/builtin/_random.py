"""Drawing random graphs until one is connected."""

from __future__ import annotations

import random
from collections.abc import Callable

import networkx as nx

from netac.utils.errors import InputError

TRIES = 1000


def connected_draw(draw: Callable[[random.Random], nx.Graph], seed: int, advice: str) -> nx.Graph:
    """The first connected graph that `draw(stream)` gives, the stream being seeded by `seed`.

    Raises:
        InputError: none in 1,000 draws; `advice` says which option to raise.
    """
    stream = random.Random(seed)
    for _ in range(TRIES):
        graph = draw(stream)
        if nx.is_connected(graph):
            return graph
    raise InputError(f"none of {TRIES} random graphs on {len(graph)} agents was connected", valid=advice)
