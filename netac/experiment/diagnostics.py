"""Rows of `diagnostics.csv`: what a trainer's iterations did to its policies, one for each agent and one for all."""

from __future__ import annotations

from netac.experiment.build import Parts
from netac.results.tables import Row


def columns(parts: Parts) -> tuple[str, ...]:
    """The header: where the run stands, whose row it is, and what the trainer reports."""
    return ("iteration", "env_steps", "agent", *parts.agents.report.columns)


def rows(parts: Parts, iteration: int) -> list[Row]:
    """What the iteration before this number did; on process 0."""
    return [{"iteration": iteration, "env_steps": parts.ledger.samples, **row} for row in parts.agents.report.table()]
