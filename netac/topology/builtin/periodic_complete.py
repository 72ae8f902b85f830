"""The complete graph at every `period`-th iteration, no edges otherwise."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from netac.topology.builtin import complete
from netac.topology.edges import EdgeGraph, from_edges

Period = Annotated[int, Field(ge=1, le=10**12)]


def graph(t: int, n: int, *, period: Period = 5) -> EdgeGraph:
    """K_n where t mod period = period - 1, the last iteration of each period (CAC paper, section 5)."""
    return complete.graph(t, n) if t % period == period - 1 else from_edges(n)


def edges(n: int) -> float:
    """How many edges there are in the iterations that have any."""
    return complete.edges(n)


def period(n: int, *, period: int) -> int:
    """The option itself."""
    return period
