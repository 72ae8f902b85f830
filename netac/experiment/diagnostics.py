"""Rows of `diagnostics.csv`: what iterations did to policies, one for each agent and one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from netac.experiment.build import Parts
from netac.results.tables import Row

if TYPE_CHECKING:
    from netac.algorithms.centralized._off_policy import OffPolicyReport, ReplayAgents
    from netac.algorithms.centralized._on_policy import OnPolicyAgents
    from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport


def reported(parts: Parts) -> bool:
    """Whether the algorithm reports what an iteration did to its policies."""
    return hasattr(parts.agents, "report")


def columns(parts: Parts) -> tuple[str, ...]:
    """The header: where the run stands, whose row it is, and what the trainer reports."""
    return ("iteration", "env_steps", "agent", *_report(parts).columns)


def rows(parts: Parts, iteration: int) -> list[Row]:
    """What the iteration before this number did; on process 0."""
    return [{"iteration": iteration, "env_steps": parts.ledger.samples, **row} for row in _report(parts).table()]


def _report(parts: Parts) -> OnPolicyReport | OffPolicyReport:
    return cast("OnPolicyAgents | ReplayAgents", parts.agents).report
