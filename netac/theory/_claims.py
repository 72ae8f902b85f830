"""What an experiment found: claims held against measurements, tables, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
"""A row of a table: cells (`netac.results.tables.Cell`) by column, numbers where they are calculated with."""


@dataclass(frozen=True)
class Claim:
    """One claim, and the number that decides on it.

    Attributes:
        says: what is claimed, in a line, e.g. "the return never falls".
        source: where, e.g. "paper 001, Theorem 2".
        measure: what was measured, e.g. "least gain of an iteration".
        measured: its value; NaN decides against the claim.
        relation, bound, tolerance: the claim holds if measured <= bound + tolerance, or measured >= bound - tolerance.
        refuted: the claim is known to be wrong; measure, relation and bound are those of its counter-example, which has
            to reproduce.
    """

    says: str
    source: str
    measure: str
    measured: float
    relation: Literal["<=", ">="]
    bound: float
    tolerance: float = 0.0
    refuted: bool = False

    @property
    def passes(self) -> bool:
        """Whether the claim holds, or if it is refuted, whether the counter-example reproduces."""
        if self.relation == "<=":
            return bool(self.measured <= self.bound + self.tolerance)
        return bool(self.measured >= self.bound - self.tolerance)

    @property
    def verdict(self) -> str:
        """"holds" or "FAILS"; of a refuted claim "refuted" or "NOT REFUTED"."""
        if self.refuted:
            return "refuted" if self.passes else "NOT REFUTED"
        return "holds" if self.passes else "FAILS"


@dataclass(frozen=True)
class Table:
    """Numbers to look at.

    Attributes:
        name: of its file, without the ending.
        title: what it shows.
        rows: cells by column; the first row names the columns.
    """

    name: str
    title: str
    rows: Sequence[Row]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.rows[0])


@dataclass(frozen=True)
class Finding:
    """What an experiment found.

    Attributes:
        claims: at least one.
        tables: at least one.
        draw: makes the picture.
    """

    claims: Sequence[Claim]
    tables: Sequence[Table]
    draw: Callable[[], Figure]

    @property
    def passes(self) -> bool:
        """Whether every claim passes."""
        return all(claim.passes for claim in self.claims)
