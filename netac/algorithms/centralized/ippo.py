"""IPPO: independent proximal policy optimisation (de Witt et al., 2020; paper 002, eq. 3).

All agents learn at once, each with the clipped surrogate of its own ratio and the advantage that its own critic, of its
own observations, estimates.  With `parameters = "shared"` they have one policy and one critic (paper 002, eq. 4): the
trainer averages their gradients; with "separate" each learns for itself, and the trainer only steps the games.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Clipped, Shareable
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.centralized._simultaneous import at_once
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Clipped, Shareable):
    """Options of IPPO."""


def requirements(settings: Settings) -> TrainerRequirements:
    """Critics of the agents' own observations."""
    return TrainerRequirements("own", shared=settings.parameters != "separate")


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon = settings.epsilon(links.placement.agents)
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, advantages by GAE
        at_once(session, agents, links, settings, partial(clipped, epsilon=epsilon), epsilon)
        session.fit()                                                       # V on the returns
        yield
