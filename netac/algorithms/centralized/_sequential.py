"""Agents that learn one after the other, each given the earlier ones' updates (Kuba et al., 2022, Proposition 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from netac.agents.transitions import Transitions
from netac.algorithms.centralized._on_policy import OnPolicyAgents
from netac.algorithms.centralized._options import InTurn, Sequential
from netac.algorithms.centralized._sessions import Session
from netac.algorithms.policy_gradient.advantages import discounted, own_advantages
from netac.algorithms.policy_gradient.diagnostics import COLUMNS, diagnose
from netac.algorithms.policy_gradient.learner import Learner, ascend
from netac.algorithms.policy_gradient.masks import kept
from netac.algorithms.policy_gradient.minibatches import deal
from netac.algorithms.policy_gradient.surrogates import Surrogate, ratios
from netac.comm.trainer_links import TrainerLinks
from netac.utils.streams import Purpose, generator

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy

Improve = Callable[[int, Learner["NeuralPolicy"], Transitions, np.ndarray, np.ndarray], None]
Within = Callable[[Learner["NeuralPolicy"], Transitions, np.ndarray], None]


def one_after_the_other(session: Session, agents: OnPolicyAgents, links: TrainerLinks, settings: Sequential,
                        improve: Improve, epsilon: float | None = None, less: np.ndarray | None = None) -> None:
    """For m = 1, ..., n: agent i_m improves its policy on M = factor x A, then multiplies the factor with its ratios.

    The factor goes from agent to agent, with A, unless each has advantages of its own.
    While the trainer's process would wait for agents of other processes, it fits its critic.

    Args:
        improve: called with the agent's number, itself, its samples, log pi before, and M (1, samples); changes theta.
        less: (n, samples) what an agent's M is less besides, in units of the session's A.
        epsilon: half the width of the clip range, for the diagnostics; None without one.
    """
    N, samples, apart = links.placement.agents, session.b.done.size, agents.apart

    def learn(i: int, load: np.ndarray) -> np.ndarray:
        row, learner, (log_factor, *told) = agents.local.index(i), apart[i], load
        A = session.A[row] if session.own else told[0]
        own, policy, theta = session.b.of(row), learner.policy, learner.theta
        before = policy.distributions(theta, own, keep=True)[0]
        old = before.log_prob(own.own[0])[None]
        worth, (scale,) = own_advantages(A[None], own.active, settings.advantages, session.b.discounts)
        M = ratios(log_factor) * worth                                                                # eq. 10
        if less is not None:
            M = M - discounted(less[row], session.b.discounts) / scale
        improve(i, learner, own, old, M)
        after = policy.distributions(theta, own)[0]
        log_ratio = kept(after.log_prob(own.own[0])[None] - old, own.active)
        if session.measured:
            agents.report.rows[row, :len(COLUMNS)] = diagnose(
                before, after, log_ratio, M, log_factor[None], own.active, epsilon, scale)
        return np.stack([log_factor + log_ratio[0], *told])

    told = 0 if session.own else 1
    load = np.stack([np.zeros(samples), *session.A[:told]]) if links.is_trainer else None
    links.relay(turns(N, settings, agents.seed, session.k), load, (1 + told, samples), learn, session.fit_critics)


def in_turn(session: Session, agents: OnPolicyAgents, links: TrainerLinks, settings: Sequential,
            weigh: Callable[..., Surrogate], epsilon: float | None = None, less: np.ndarray | None = None,
            within: Within | None = None) -> None:
    """The agents ascend a surrogate one after the other, by gradient steps.

    Args:
        weigh: as of `ascend`.
        epsilon, less: as above.
        within: called when an agent's steps are done, with itself, its samples, and its parameters before; may move it
            back.
    """
    samples, minibatches = session.b.done.size, settings.minibatches

    def improve(i: int, learner: Learner[NeuralPolicy], own: Transitions, old: np.ndarray, M: np.ndarray) -> None:
        parts = deal(samples, minibatches, settings.epochs, agents.seed, session.k, i, chunks=own.chunks)
        start = learner.theta.copy()
        ascend(learner, own, old, M, weigh, session.alpha, parts, samples // minibatches)
        if within is not None:
            within(learner, own, start)

    one_after_the_other(session, agents, links, settings, improve, epsilon, less)


def turns(agents: int, settings: InTurn, seed: int, t: int) -> list[int]:
    """The order in which the agents learn in iteration, or update, t."""
    return list(range(agents)) if settings.order == "fixed" else generator(
        seed, Purpose.ORDER, t).permutation(agents).tolist()
