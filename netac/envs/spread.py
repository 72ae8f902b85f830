"""Cooperative navigation, many games at once: mpe2's `simple_spread_v3`, step for step.

N agents spread over N landmarks without colliding (Lowe et al., 2017, "Multi-agent actor-critic for mixed
cooperative-competitive environments").  Observations, rewards, terminations, truncations and the state are those of
`mpe2.simple_spread_v3.parallel_env` (mpe2 1.1) from the same positions, bit for bit: see `netac.envs._particles`, with
a_i = 5 and c_ij = 0.3; agents less than 0.3 apart collide, and landmarks push nobody.  Rewards are each agent's own,
not the team's sum:

    r_i = (1 - local_ratio) * global + local_ratio * local_i,
    global = - sum over landmarks of the distance to the nearest agent, local_i = - #{agents that i collides with}.

Version 3 does not count an agent's collision with itself as version 2 did: `scoring = "v2"` makes rewards lower by
local_ratio per agent and step (by 37.5 in the team's sum over 25 steps of 3 agents).  There bodies moved by their new
velocities, too (`dynamics = "v2"`).  Episodes are truncated, never terminated, after `max_cycles` steps, unless
`terminate_on_success`.

With `personal_goals = h`, which mpe2 does not have, agents have tasks of their own, alike (h = 0) to unlike (h = 1): in
place of `global` stands minus agent i's own distance to its goal, (1 - h) landmark 0 + h landmark i.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from netac.envs._particles import ParticleOptions, Particles
from netac.envs._spread_picture import picture

PUSH = 5.0                               # force of an action
CONTACT = 0.3                            # distance of two agents that touch
CAPTURE = 0.1                            # a landmark with an agent nearer than that is covered


class Settings(ParticleOptions):
    """Options of `env = { name = "spread" }`, named as mpe2's, with its defaults; its `N` is `agents`."""

    terminate_on_success: bool = Field(False, description=(
        "an episode ends when every landmark is covered, or every agent at its personal goal (within 0.1)"))
    num_landmark_neighbors: int | None = Field(
        None, ge=1, le=10_000, description="an agent sees only so many of the nearest landmarks")
    local_ratio: float = Field(
        0.5, ge=0, le=1, description="weight of an agent's own collisions; 1 - it is the team's weight")
    personal_goals: float | None = Field(None, ge=0, le=1, description=(
        "agents are paid for their own distance to a goal, in place of the team's distances to all landmarks: from "
        "landmark 0, the same for all (0), to the landmark of an agent's own number (1)"))
    scoring: Literal["v3", "v2"] = Field(
        "v3", description="v2: as in simple_spread_v2, an agent collides with itself in every step; v3: it does not")


def make(settings: Settings, agents: int, games: int) -> Spread:
    """`games` games with `agents` agents, and as many landmarks, each."""
    return Spread(settings, agents, games)


class Spread(Particles):
    """See the module, and `Particles` for what is kept; the agents see zeros where mpe2 shows messages, which nobody
    sends.

    Args:
        settings: what is played.
        agents, games: N of each of E games.
    """

    def __init__(self, settings: Settings, agents: int, games: int):
        super().__init__(settings, [f"agent_{i}" for i in range(agents)], landmarks=agents, more=[agents - 1] * agents,
                         pushes=PUSH, pushing=agents - 1, drawn=4 * agents, games=games)
        self._ratio, self._scoring, self._goals = settings.local_ratio, settings.scoring, settings.personal_goals
        self._agents = slice(agents, None)                   # the other agents among all things

    def _start(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Everything anywhere in [-1, 1] x [-1, 1]."""
        positions, landmarks = (2.0 * uniforms - 1.0).reshape(2, self.agents, 2, -1)
        return positions, landmarks

    def _move(self) -> None:
        self._touch(self._agents, CONTACT, self._forces[1:])
        self._drift()

    def _rewards(self) -> np.ndarray:
        if self._goals is None:
            self._left = np.minimum.reduce(self._distances[:self.agents], axis=1)      # landmarks' nearest agents
            missing = np.add.accumulate(self._left)[-1]       # in order, also where there is a single game
        else:
            self._left = missing = self._from_goals()
        collisions = np.add.reduce(self._distances[self._agents] < CONTACT, axis=0, dtype=float)
        if self._scoring == "v2":
            collisions += 1.0
        return -(missing * (1.0 - self._ratio)) - collisions * self._ratio

    def _from_goals(self) -> np.ndarray:
        """(N, E) distances of the agents to their personal goals."""
        landmarks = self._landmarks
        away = landmarks[:1] + self._goals * (landmarks - landmarks[:1]) - self._positions
        return np.sqrt(away[:, 0] * away[:, 0] + away[:, 1] * away[:, 1])

    def _successful(self) -> np.ndarray:
        return (self._left < CAPTURE).all(axis=0)

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one game: landmarks, agents, and which of them collide."""
        colliding = np.any(self._distances[self._agents, :, game] < CONTACT, axis=0)
        return picture(self._positions[..., game], self._landmarks[..., game], colliding)
