"""Games that show agents what their neighbours see, or the state (`netac.utils.sight`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netac.envs._batched import BatchedEnvironment, global_state, state_shape
from netac.utils.sight import Shapes, Sight


class SeeingGames:
    """Games that show agents more than their own observations; all else is the games' own (`BatchedEnvironment`).

    Args:
        games: whose observations they are.
        sight: what is seen of them.
    """

    def __init__(self, games: BatchedEnvironment, sight: Sight):
        self._games, self._sight = games, sight
        self.observations: Shapes = sight.shapes(sight.widest)
        self.state_shape: tuple[int, ...] | None = state_shape(games)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._games, name)

    def state(self) -> np.ndarray:
        """As the games have it; where they have none, all agents' own observations."""
        return global_state(self._games)

    def observe(self, agents: range) -> list[np.ndarray]:
        """What is shown to `agents`."""
        if self._sight.widest == "state":
            return [self._games.state()] * len(agents)
        return self._sight.wide(self._games.observe(range(len(self._sight.own))), agents)


def as_seen(games: BatchedEnvironment, sight: Sight) -> BatchedEnvironment:
    """The games, showing as much as their agents see."""
    return games if sight.widest == "own" else SeeingGames(games, sight)
