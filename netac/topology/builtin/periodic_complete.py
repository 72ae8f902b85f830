"""The complete graph at every `period`-th iteration, no edges otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from netac.topology.builtin import complete, disconnected
from netac.topology.edges import PlainGraph

if TYPE_CHECKING:
    import networkx as nx

Period = Annotated[int, Field(ge=1, le=10**12)]


def graph(t: int, n: int, *, period: Period = 5) -> nx.Graph:
    """K_n where t mod period = period - 1, the last iteration of each period (CAC paper, section 5)."""
    return plain(t, n, period=period).networkx()


def plain(t: int, n: int, *, period: int) -> PlainGraph:
    """The same, as arrays."""
    return (complete if t % period == period - 1 else disconnected).plain(t, n)


def edges(n: int) -> float:
    """How many edges there are in the iterations that have any."""
    return complete.edges(n)


def period(n: int, *, period: int) -> int:
    """The option itself."""
    return period
