"""MAPPO-Lagrangian: clipped steps on the advantage less the priced cost (Gu et al., 2021; slides 004, lines 707-745).

As HAPPO, agent after agent by clipped steps, in the paper, too, but for the Lagrangian of the constraint on its own
cost: agent i_m climbs

    E[min(ratio L, clip(ratio, 1 +- epsilon) L)],   L = factor x A - lambda_{i_m} A_c

with the advantage A_c of its costs.  Before the agents learn, the trainer moves every agent's multiplier by what the
trajectories cost above the limit (`netac.algorithms.centralized._costs`):

    lambda_i = softplus(nu_i),   nu_i <- nu_i + multiplier_step (E[C_i] - c_i)

(in the paper lambda_i itself moves, and is cut at 0; softplus keeps it positive, and a small one moves by a part of
itself).  A and A_c are in the same units: what brings A to one scale divides lambda A_c as well.  The trainer sends
every agent lambda_i A_c before they learn; the factor is that of A alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from netac.agents.steps import NonNegative
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Clipped, Limited, Sequential
from netac.algorithms.centralized._sequential import in_turn
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Clipped, Sequential, Limited):
    """Options of MAPPO-Lagrangian."""

    multiplier: float = Field(1.0, gt=0, le=1e6, description="lambda at first, in rewards for a unit of cost")
    multiplier_step: NonNegative = Field(0.5, description="the step size of nu")


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state and one of each agent's costs, multipliers, and policies of the agents' own."""
    return TrainerRequirements(costs=True, multipliers=True)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon, limited = settings.epsilon(links.placement.agents), agents.limited
    assert limited is not None, "required"
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, A and A_c by GAE
        charge, M = session.charge, session.b.done.size
        assert charge is not None, "required"
        rows = len(charge.excess)
        limited.nu[:rows] += settings.multiplier_step * charge.excess
        priced = limited.multipliers[:rows, None] * charge.advantages / session.scale
        in_turn(session, agents, links, settings, partial(clipped, epsilon=epsilon), epsilon, links.scatter(priced, M))
        session.fit()                                                       # V on the returns, V_c on the costs
        yield
