"""HAA2C: heterogeneous-agent advantage actor-critic (slides 004: an instance of heterogeneous-agent mirror learning).

As HAPPO, agent after agent on M = factor x A, but each climbs E[ratio M] itself, without a clip: the drift of mirror
learning is 0, and small steps keep the policies near the old ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from netac.algorithms.centralized._counterfactual import use_baseline
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Baselined, Sequential
from netac.algorithms.centralized._sequential import in_turn
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.policy_gradient.surrogates import unclipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Sequential, Baselined):
    """Options of HAA2C."""

    epochs: int = Field(1, ge=1, le=10**4, description="passes over the samples for the policies")


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state (with a `baseline` of the joint action, too), and policies of the agents' own."""
    return TrainerRequirements(value=settings.judged)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, A by GAE
        use_baseline(session, agents, links, settings)                      # or Q(s, a) - b_i in the place of A
        in_turn(session, agents, links, settings, unclipped)                # agent after agent
        session.fit()                                                       # V on the returns
        yield
