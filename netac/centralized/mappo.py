"""MAPPO: multi-agent proximal policy optimisation with a critic of the global state (Yu et al., 2021; paper 001, eq. 5).

All agents learn at once, each with the clipped surrogate of its own ratio and the joint advantage.  With
`parameters = "shared"` they have one policy: the trainer averages their gradients (paper 001, eq. 5: a mean over all
samples of all agents); with "separate" each climbs its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from netac.centralized._base import Agents, Clipped, Shareable, TrainerRequirements
from netac.centralized._sessions import sessions
from netac.centralized._simultaneous import at_once
from netac.centralized._surrogates import clipped
from netac.processes.games import Games
from netac.processes.star import Star


class Settings(Clipped, Shareable):
    """Options of MAPPO."""


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state."""
    return TrainerRequirements(shared=settings.parameters == "shared")


def iterations(agents: Agents, world: Games, star: Star, settings: Settings, times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon = settings.epsilon(star.placement.agents)
    for session in sessions(agents, world, star, settings, times):            # trajectories of pi_k, advantages by GAE
        at_once(session, agents, star, settings, partial(clipped, epsilon=epsilon), epsilon)
        session.fit()                                                         # V on the returns
        yield
