"""The environment's own graph: agents hear those whom the problem makes their neighbours, or who are near them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from netac.topology.edges import Graph
from netac.topology.parts import Neighbours


def graph(t: int, n: int, *, environment: Neighbours, radius: Annotated[float, Field(gt=0)] | None = None) -> Graph:
    """What the environment says at iteration t: its attribute `neighbours`, or the file that env.neighbours names.

    With `radius` that is the graph of the agents whose distance is at most so much as iteration t begins.
    """
    return environment.at(t)


def period(n: int, *, environment: Neighbours) -> int | None:
    """1 where the graph is always the same; None where the environment has one for every t."""
    return environment.period
