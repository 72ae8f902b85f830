"""JR-PPO: proximal policy optimisation with joint ratios (paper 002, eq. 6 and Algorithm 1).

All agents learn at once with one ratio, the product over agents of pi_theta(a^k|s^k) / pi(a^k|s^k), which is clipped as
a whole, and the joint advantage A(s, a):

    max E[min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilon) A)]

The mean is over the samples in which any agent took part; those that did not have ratio 1.  The trainer adds the
logarithms of the agents' ratios up before every step and tells all agents the sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Clipped, Shareable
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.centralized._simultaneous import at_once
from netac.algorithms.policy_gradient.surrogates import Surrogate, clipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Clipped, Shareable):
    """Options of JR-PPO."""


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state."""
    return TrainerRequirements(shared=settings.parameters != "separate")


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon = settings.epsilon(links.placement.agents)

    def weigh(log_ratio: np.ndarray, A: np.ndarray, active: np.ndarray | None) -> Surrogate:
        joint = links.sum(log_ratio if active is None else log_ratio * active)
        return clipped(np.repeat(joint[None], len(log_ratio), axis=0), A, active, epsilon=epsilon)

    for session in sessions(agents, sampler, links, settings, times):                # trajectories of pi_k, A by GAE
        at_once(session, agents, links, settings, weigh, epsilon, joint=True)        # eq. 6
        session.fit()                                                                # V on the returns
        yield
