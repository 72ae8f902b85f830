"""Agents that learn all at once, with parameters of their own or shared ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netac.algorithms.centralized._on_policy import OnPolicyAgents
from netac.algorithms.centralized._options import Shareable
from netac.algorithms.centralized._sessions import Session
from netac.algorithms.policy_gradient.advantages import own_advantages
from netac.algorithms.policy_gradient.learner import Measured, ascend
from netac.algorithms.policy_gradient.minibatches import deal
from netac.algorithms.policy_gradient.surrogates import Surrogate
from netac.comm.trainer_links import TrainerLinks


def at_once(session: Session, agents: OnPolicyAgents, links: TrainerLinks, settings: Shareable,
            weigh: Callable[..., Surrogate], epsilon: float | None = None, joint: bool = False) -> None:
    """All agents ascend their surrogates at the same time, step by step.

    Surrogates are means over the samples an agent took part in; with shared parameters there is one for all, a mean
    over all samples of all agents.

    Args:
        epsilon: half the width of the clip range, for the diagnostics; None without one.
        joint: there is one surrogate of joint ratios, a mean over the samples in which any agent took part.
    """
    b, samples, minibatches, together = session.b, session.b.done.size, settings.minibatches, agents.together
    shared = settings.parameters != "separate"
    A, scales = own_advantages(_told(session, links), b.active, settings.advantages, b.discounts)
    own = b.among(b.samples, "any" if joint else "all" if shared else "own")
    measured = Measured(together, own, epsilon)
    parts = deal(samples, minibatches, settings.epochs, agents.seed, session.k, links.placement.agents + 1,
                 chunks=own.chunks)
    ascend(together, own, measured.old, A, weigh, session.alpha, parts, samples // minibatches,
           links.mean if shared else None, joint)
    if session.measured:
        agents.report.rows[:] = measured.rows(A, b.active, scales)


def _told(session: Session, links: TrainerLinks) -> np.ndarray:
    """(n, M) advantages: the agents' own, or the trainer's handed out to all."""
    if session.own:
        return session.A
    rows = np.repeat(session.A, links.placement.agents, axis=0) if links.is_trainer else None
    return links.scatter(rows, session.b.done.size)
