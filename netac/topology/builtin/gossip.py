"""Random edge activation: at every t each edge of a base topology is awake with one probability, by (seed, t)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from netac.topology.edges import EdgeGraph, from_edges
from netac.topology.parts import Part

PARTS = "base"


def graph(t: int, n: int, *, base: str = "complete", probability: Annotated[float, Field(gt=0, le=1)] = 0.3,
          seed: Annotated[int, Field(ge=0)] = 0, parts: Part) -> EdgeGraph:
    """The edges of `base` that are awake at t.

    Args:
        t, n: iteration and number of agents.
        base: a topology's name or path; undirected.
        probability: of each edge, independently, at each iteration.
        seed: of the activations.
        parts: `base`, loaded.
    """
    edges = parts.edges(t)
    awake = np.random.default_rng([seed, t]).random(len(edges)) < probability
    return from_edges(n, tuple(edges[awake].T), directed=parts.directed(t))
