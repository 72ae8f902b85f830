"""Agents that learn all at once, with parameters of their own or shared ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netac.centralized._base import Agents, Shareable, ascend, deal
from netac.centralized._diagnostics import diagnose
from netac.centralized._divergences import Distribution, log_density
from netac.centralized._masks import kept
from netac.centralized._sessions import Session, own_advantages
from netac.centralized._surrogates import Surrogate
from netac.processes.star import Star


def at_once(session: Session, agents: Agents, star: Star, settings: Shareable, weigh: Callable[..., Surrogate],
            epsilon: float | None = None, joint: bool = False) -> None:
    """All agents climb their surrogates, step by step side by side.

    Surrogates are means over the samples an agent took part in; with shared parameters there is one for all, a mean over all
    samples of all agents.

    Args:
        epsilon: of the clip range, for the diagnosis; None without one.
        joint: there is one surrogate of joint ratios, a mean over the samples in which any agent took part.
    """
    b, samples, minibatches, together = session.b, session.b.over.size, settings.minibatches, agents.together
    shared = settings.parameters == "shared"
    A, scales = own_advantages(_told(session, star), b.active, settings)
    own = b.among(b.samples, "any" if joint else "all" if shared else "own")
    before = together.policy.distributions(together.theta, own)
    old = _log_densities(before, b.own)
    parts = deal(samples, minibatches, settings.epochs, agents.seed, session.k, star.placement.agents + 1,
                 chunks=own.chunks)
    ascend(together, own, old, A, weigh, session.alpha, parts, samples // minibatches, star.mean if shared else None)
    after = together.policy.distributions(together.theta, own)
    log_ratio, nothing = kept(_log_densities(after, b.own) - old, b.active), np.zeros((1, samples))
    for row, (then, now) in enumerate(zip(before, after, strict=True)):
        one = slice(row, row + 1)
        agents.report.rows[row] = diagnose(then, now, log_ratio[one], A[one], nothing,
                                           None if b.active is None else b.active[one], epsilon, scales[row])


def _log_densities(distributions: list[Distribution], own: list[np.ndarray]) -> np.ndarray:
    """(n, M)."""
    return np.stack([log_density(each, actions) for each, actions in zip(distributions, own, strict=True)])


def _told(session: Session, star: Star) -> np.ndarray:
    """(n, M) advantages: the agents' own, or the trainer's handed out to all."""
    if session.own:
        return session.A
    rows = np.repeat(session.A, star.placement.agents, axis=0) if star.is_trainer else None
    return star.hand_out(rows, session.b.over.size)
