"""Agents that learn all at once, with parameters of their own or shared ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netac.agents.distributions import Distribution
from netac.algorithms.centralized._diagnostics import diagnose
from netac.algorithms.centralized._on_policy import OnPolicyAgents
from netac.algorithms.centralized._options import Shareable
from netac.algorithms.centralized._sessions import Session, own_advantages
from netac.algorithms.policy_gradient.learner import ascend
from netac.algorithms.policy_gradient.masks import kept
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
    A, scales = own_advantages(_told(session, links), b.active, settings)
    own = b.among(b.samples, "any" if joint else "all" if shared else "own")
    before = together.policy.distributions(together.theta, own, keep=True)
    old = _log_densities(before, b.own)
    parts = deal(samples, minibatches, settings.epochs, agents.seed, session.k, links.placement.agents + 1,
                 chunks=own.chunks)
    ascend(together, own, old, A, weigh, session.alpha, parts, samples // minibatches, links.mean if shared else None,
           joint)
    if not session.measured:
        return
    after = together.policy.distributions(together.theta, own)
    log_ratio, nothing = kept(_log_densities(after, b.own) - old, b.active), np.zeros((1, samples))
    for row, (then, now) in enumerate(zip(before, after, strict=True)):
        one = slice(row, row + 1)
        agents.report.rows[row] = diagnose(then, now, log_ratio[one], A[one], nothing,
                                           None if b.active is None else b.active[one], epsilon, scales[row])


def _log_densities(distributions: list[Distribution], own: list[np.ndarray]) -> np.ndarray:
    """log pi_i of the actions taken, (n, M)."""
    return np.stack([each.log_prob(actions) for each, actions in zip(distributions, own, strict=True)])


def _told(session: Session, links: TrainerLinks) -> np.ndarray:
    """(n, M) advantages: the agents' own, or the trainer's handed out to all."""
    if session.own:
        return session.A
    rows = np.repeat(session.A, links.placement.agents, axis=0) if links.is_trainer else None
    return links.scatter(rows, session.b.done.size)
