"""What policies and critics see of games: what is their agent's own, what its neighbours see besides, or the state.

Where agents see their neighbours, agent i is shown, along the last axis of observations,

    (own features; those of its neighbours, in ascending order; for each of their places 1, or 0 where it is empty)

The places are as many for every agent: those of neighbours with lower numbers than its own come first and are filled
from the right, then those of neighbours with higher numbers, filled from the left.  So agents with the same spaces see
arrays of the same shape, and one in a line finds who is before it and who is behind it at the same places, wherever in
the line it is.  Features are padded with zeros to the longest neighbour's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Scope = Literal["own", "neighbours", "state"]
Shapes = tuple[tuple[int, ...], ...]
EMPTY = -1


@dataclass(frozen=True)
class Sight:
    """What the policies and critics of N agents see.

    A critic sees what its policy sees, or more; or each sees its own or its neighbours'.

    Attributes:
        own: (N) shapes of what each agent sees by itself.
        state: shape of the global state; None where there is none.
        policy, critics: what they see.
        places: (N) whose features stand at an agent's places for neighbours, `EMPTY` for nobody's; empty where nobody
            sees neighbours.
    """

    own: Shapes
    state: tuple[int, ...] | None = None
    policy: Scope = "own"
    critics: Scope = "own"
    places: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, games: Any) -> Sight:
        """Of a `netac.envs.BatchedEnvironment` of which everyone sees their own."""
        return cls(tuple(map(tuple, games.observations)), games.state_shape)

    @property
    def widest(self) -> Scope:
        """What games show, of which policies and critics see a part or all; a state that only critics see is apart."""
        return "state" if self.policy == "state" else "neighbours" if self.places else "own"

    def shapes(self, scope: Scope) -> Shapes:
        """(N) shapes of what is seen."""
        if scope == "state":
            assert self.state is not None, "who sees the state has one"
            return (self.state,) * len(self.own)
        return self.own if scope == "own" else tuple(
            (*shape[:-1], shape[-1] + len(places) * (self._longest + 1))
            for shape, places in zip(self.own, self.places, strict=True))

    @property
    def _longest(self) -> int:
        return max(shape[-1] for shape in self.own)

    def wide(self, obs: Sequence[np.ndarray], agents: Sequence[int]) -> list[np.ndarray]:
        """What `agents` see with their neighbours, (E, *shape) each, from what all N agents see by themselves."""
        # nobody's features, zeros, come last: EMPTY finds them
        all_features = np.zeros((len(obs) + 1, *obs[0].shape[:-1], self._longest), np.float32)
        for features, own in zip(all_features, obs, strict=False):
            features[..., :own.shape[-1]] = own
        return [self._beside(obs[agent], all_features, self.places[agent]) for agent in agents]

    @staticmethod
    def _beside(own: np.ndarray, all_features: np.ndarray, places: tuple[int, ...]) -> np.ndarray:
        lead, length, longest = own.shape[:-1], own.shape[-1], all_features.shape[-1]
        filled = length + len(places) * longest                      # where it begins to say which places are filled
        shown = np.empty((*lead, filled + len(places)), np.float32)
        shown[..., :length] = own
        for k, neighbour in enumerate(places):
            shown[..., length + k * longest:length + (k + 1) * longest] = all_features[neighbour]
        shown[..., filled:] = np.array(places) != EMPTY
        return shown

    def part(self, shown: list[np.ndarray], scope: Scope, agents: Sequence[int]) -> list[np.ndarray]:
        """What is seen of what games show, one array for each of `agents`."""
        if scope == self.widest or scope == "state":
            return shown
        return [np.ascontiguousarray(each[..., :self.own[agent][-1]])
                for each, agent in zip(shown, agents, strict=True)]

    @property
    def told(self) -> tuple[int, int]:
        """Messages, and bytes in one game, in which all agents tell their neighbours once what they see."""
        heard = [neighbour for places in self.places for neighbour in places if neighbour != EMPTY]
        return len(heard), sum(4 * int(np.prod(self.own[neighbour])) for neighbour in heard)

    def as_table(self) -> dict[str, Any]:
        """What is seen besides one's own, as a table that JSON can hold."""
        return {"state": self.state, "policy": self.policy, "critics": self.critics, "places": self.places}

    @classmethod
    def from_table(cls, own: Shapes, table: dict[str, Any]) -> Sight:
        """The sight that `as_table` made the table of, of agents with these own observations."""
        return cls(own, None if table["state"] is None else tuple(table["state"]), table["policy"], table["critics"],
                   tuple(map(tuple, table["places"])))


def places(hearer: np.ndarray, heard: np.ndarray, agents: int) -> tuple[tuple[int, ...], ...]:
    """(N) whose features stand at each agent's places, `EMPTY` for nobody's.

    Args:
        hearer, heard: the links of the graph, each edge in both directions.
    """
    lower, higher = ([sorted(heard[(hearer == agent) & side].tolist()) for agent in range(agents)]
                     for side in (heard < hearer, heard > hearer))
    before, behind = max(map(len, lower)), max(map(len, higher))
    return tuple((EMPTY,) * (before - len(low)) + (*low, *high) + (EMPTY,) * (behind - len(high))
                 for low, high in zip(lower, higher, strict=True))
