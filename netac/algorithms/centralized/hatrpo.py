"""HATRPO: heterogeneous-agent trust region policy optimisation (Kuba et al., 2022, section 4.1).

As HAPPO, agent after agent on M = factor x A (eq. 10), but agent i_m takes the natural step under a constraint on its
mean KL divergence from its old policy:

    theta <- theta + alpha^j sqrt(2 delta / g'H^-1 g) H^-1 g,  g = E[M grad log pi],  H the Hessian of E[KL]  (eq. 8)

H^-1 g comes from conjugate gradients on products with H, and alpha^j is the first of 1, 1/2, 1/4, ... at which the
exact KL divergence is at most delta and E[(ratio - 1) M] improves as it should.  With an entropy bonus, c E[H(pi)]
belongs to the objective: to g, and to what should improve.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netac.agents.steps import NonNegative
from netac.agents.transitions import Transitions
from netac.algorithms.centralized._counterfactual import use_baseline
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Baselined, Sequential
from netac.algorithms.centralized._sequential import one_after_the_other
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.policy_gradient.learner import Learner
from netac.algorithms.policy_gradient.options import TrustRegion
from netac.algorithms.policy_gradient.surrogates import unclipped
from netac.algorithms.policy_gradient.trust_region import natural_step
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy


class Settings(Sequential, TrustRegion, Baselined):
    """Options of HATRPO; those of gradient steps hold for its critic."""

    entropy: NonNegative = Field(0.0, description="coefficient of the entropy bonus")


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state (with a `baseline` of the joint action, too), and policies of the agents' own."""
    return TrainerRequirements(value=settings.judged)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""

    def improve(i: int, learner: Learner[NeuralPolicy], own: Transitions, old: np.ndarray, M: np.ndarray) -> None:
        g = learner.policy.gradient(learner.theta, own, M).astype(float)[0] / M.shape[1]
        natural_step(learner.policy, learner.theta, own, g,
                     lambda log_ratio: unclipped(log_ratio, M, own.active).improvement.item(), settings)

    for session in sessions(agents, sampler, links, settings, times):           # trajectories of pi_k, A by GAE
        use_baseline(session, agents, links, settings)                          # or Q(s, a) - b_i in the place of A
        one_after_the_other(session, agents, links, settings, improve)          # eqs. 8 and 10, agent after agent
        session.fit()                                                           # V on the returns
        yield
