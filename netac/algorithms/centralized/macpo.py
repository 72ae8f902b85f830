"""MACPO: multi-agent constrained policy optimisation (Gu et al., 2021; slides 004, lines 707-745).

As HATRPO, agent after agent on M = factor x A, and besides within a limit of the agent's own cost: "when the changes in
policies of all agents are sufficiently small, each agent can learn a better policy by only considering its own
surrogate return and surrogate costs" (slides).  With the advantage A_c of the agent's costs and `excess`, what these
are above their limit (`netac.algorithms.centralized._costs`), agent i_m takes the step that solves

    max g'step   such that   excess + b'step <= 0   and   step'H step / 2 <= delta

with g and b the gradients of E[ratio M] and E[ratio A_c], and H the Hessian of the exact KL divergence: in closed form,
by conjugate gradients.  Where no step of the trust region fulfils the constraint, it takes the recovery step, down the
cost alone.  The step is halved until it can be trusted: KL within delta, and

- of an agent within its limit, E[(ratio - 1) M] improves, and the surrogate cost stays within the limit;
- of an agent beyond it, the surrogate cost falls.

The factor is that of M alone: in the paper an agent's costs are those of its own actions.  The trainer sends every
agent A_c and its excess before they learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netac.agents.steps import NonNegative
from netac.agents.transitions import Transitions
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Limited, Sequential
from netac.algorithms.centralized._sequential import one_after_the_other
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.policy_gradient.advantages import discounted
from netac.algorithms.policy_gradient.learner import Learner
from netac.algorithms.policy_gradient.options import TrustRegion
from netac.algorithms.policy_gradient.surrogates import unclipped
from netac.algorithms.policy_gradient.trust_region import constrained_step
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy


class Settings(Sequential, TrustRegion, Limited):
    """Options of MACPO; those of gradient steps hold for its critics."""

    entropy: NonNegative = Field(0.0, description="coefficient of the entropy bonus")


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state and one of each agent's costs, and policies of the agents' own."""
    return TrainerRequirements(costs=True)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for session in sessions(agents, sampler, links, settings, times):           # trajectories of pi_k, A and A_c by GAE
        charge, samples = session.charge, session.b.done.size
        assert charge is not None, "required"
        told = links.scatter(np.column_stack([charge.advantages, charge.excess]), samples + 1)
        costs, excess = discounted(told[:, :-1], session.b.discounts), told[:, -1]
        improve = partial(_improve, settings, agents.local, costs, excess)
        one_after_the_other(session, agents, links, settings, improve)          # agent after agent
        session.fit()                                                           # V on the returns, V_c on the costs
        yield


def _improve(settings: Settings, local: range, costs: np.ndarray, excess: np.ndarray, i: int,
             learner: Learner[NeuralPolicy], own: Transitions, old: np.ndarray, M: np.ndarray) -> None:
    """The step of agent i, one of those here.

    Args:
        costs: (n, samples) A_c of the agents here, as they weigh.
        excess: (n,) what their costs are above their limits.
        own, old, M: its samples, log pi before, and M.
    """
    row = local.index(i)
    policy, theta, A_c = learner.policy, learner.theta, costs[row:row + 1]
    g, b = (each.gradient(theta, own, weights).astype(float)[0] / M.shape[1]
            for each, weights in ((policy, M), (replace(policy, entropy=0.0), A_c)))

    def gained(worth: np.ndarray, log_ratio: np.ndarray) -> float:
        return unclipped(log_ratio, worth, own.active).improvement.item()

    constrained_step(policy, theta, own, g, partial(gained, M), b, partial(gained, A_c), excess[row].item(), settings)
