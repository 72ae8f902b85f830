"""Several topologies in turn, one iteration each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from netac.topology.edges import Graph
from netac.topology.parts import Part

PARTS = "of"

Names = Annotated[Sequence[str], Field(min_length=1)]


def graph(t: int, n: int, *, of: Names = ("ring", "star"), parts: Sequence[Part]) -> Graph:
    """of[t mod len(of)] (names or paths; `parts` are these, loaded) at its own iteration t // len(of)."""
    turn, which = divmod(t, len(parts))
    return parts[which].as_given(turn)


def period(n: int, *, parts: Sequence[Part]) -> int | None:
    """The turns after which all parts have come back to their start; None where one never does."""
    periods = [part.period for part in parts if part.period is not None]
    return len(parts) * math.lcm(*periods) if len(periods) == len(parts) else None
