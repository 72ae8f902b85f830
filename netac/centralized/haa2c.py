"""HAA2C: heterogeneous-agent advantage actor-critic (slides 004: an instance of heterogeneous-agent mirror learning).

As HAPPO, agent after agent on M = factor x A, but each climbs E[ratio M] itself, without a clip: the drift of mirror learning
is 0, and small steps keep the policies near the old ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from netac.centralized._base import Agents, Sequential, TrainerRequirements
from netac.centralized._sequential import in_turn
from netac.centralized._sessions import sessions
from netac.centralized._surrogates import unclipped
from netac.processes.games import Games
from netac.processes.star import Star


class Settings(Sequential):
    """Options of HAA2C."""

    epochs: int = Field(1, ge=1, le=10**4, description="passes over the samples for the policies")


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state, and policies of the agents' own."""
    return TrainerRequirements()


def iterations(agents: Agents, world: Games, star: Star, settings: Settings, times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for session in sessions(agents, world, star, settings, times):            # trajectories of pi_k, A by GAE
        in_turn(session, agents, star, settings, unclipped)                   # agent after agent
        session.fit()                                                         # V on the returns
        yield
