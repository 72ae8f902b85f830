"""Cooperative navigation, many games at once: mpe2's `simple_spread_v3`, step for step.

N agents spread over N landmarks without colliding (Lowe et al., 2017, "Multi-agent actor-critic for mixed
cooperative-competitive environments").  Observations, rewards, terminations, truncations and the state are those of
`mpe2.simple_spread_v3.parallel_env` (mpe2 1.1) from the same positions: in double precision, with mpe2's operations in
its order.  With u_i agent i's action and d = |p_i - p_j|, in every step

    F_i = 5 u_i + sum over j != i of 100 (p_i - p_j) / d * k log(1 + exp((0.3 - d) / k)),    k = 0.001,
    p_i <- p_i + 0.1 v_i,    v_i <- 0.75 v_i + 0.1 F_i,

and agents less than 0.3 apart collide.  Rewards are each agent's own, not the team's sum:

    r_i = (1 - local_ratio) * global + local_ratio * local_i,
    global = - sum over landmarks of the distance to the nearest agent, local_i = - #{agents that i collides with}.

Version 3 does not count an agent's collision with itself, as version 2 did: with `scoring = "v2"` rewards are lower by
local_ratio per agent and step (by 37.5 in the team's sum over 25 steps of 3 agents).  Nothing else differs between the
two.  Episodes are truncated, never terminated, after `max_cycles` steps, unless `terminate_on_success`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from netac.envs._batched import Step
from netac.envs._spread_picture import picture
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace
from netac.utils.streams import APART, Purpose, Uniforms

DT, KEPT = 0.1, 0.75                     # seconds of a step; the share of its velocity that an agent keeps
PUSH = 5.0                               # force of an action
CONTACT = 0.3                            # distance of two agents that touch
CONTACT_FORCE, CONTACT_MARGIN = 100.0, 1e-3
CAPTURE = 0.1                            # a landmark with an agent nearer than that is covered
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
BLOCK = 32                               # starts of a game that are drawn at a time


class Settings(Options):
    """Options of `env = { name = "spread" }`, named as mpe2's, with its defaults; its `N` is `agents`."""

    local_ratio: float = Field(
        0.5, ge=0, le=1, description="weight of an agent's own collisions; 1 - it is the team's weight")
    max_cycles: int = Field(25, ge=1, le=10**9, description="steps after which an episode is truncated")
    continuous_actions: bool = Field(False, description="five forces in [0, 1] instead of one of five moves")
    terminate_on_success: bool = Field(False, description="an episode ends when every landmark is covered (within 0.1)")
    num_agent_neighbors: int | None = Field(
        None, ge=1, le=10_000, description="an agent sees only so many of the nearest other agents")
    num_landmark_neighbors: int | None = Field(
        None, ge=1, le=10_000, description="an agent sees only so many of the nearest landmarks")
    scoring: Literal["v3", "v2"] = Field(
        "v3", description="v2: as in simple_spread_v2, an agent collides with itself in every step; v3: it does not")


def make(settings: Settings, agents: int, games: int) -> Spread:
    """`games` games with `agents` agents, and as many landmarks, each."""
    return Spread(settings, agents, games)


class Spread:
    """See the module; the interface is `netac.envs._batched.BatchedEnvironment`.

    What agents see is kept as it comes from the dynamics, with the axis of games last: an agent's velocity and
    position, the landmarks and the other agents relative to it, and zeros where mpe2 shows messages, which nobody
    sends.  The distances of one step are those that collisions of the next one need.

    Args:
        settings: what is played.
        agents, games: N of each of E games.

    Attributes:
        nbytes: what the games take of memory, from `begin` on.
    """

    gamma = None
    resumable = True

    def __init__(self, settings: Settings, agents: int, games: int):
        landmarks, others = settings.num_landmark_neighbors or agents, settings.num_agent_neighbors or agents - 1
        numbers = 4 + 2 * landmarks + 4 * others
        self.agents, self.games, self.active = agents, games, np.ones((agents, games), dtype=bool)
        self.names = tuple(f"agent_{i}" for i in range(agents))
        self.observations = ((numbers,),) * agents
        self.actions = (ActionSpace(low=(0.0,) * 5, high=(1.0,) * 5) if settings.continuous_actions
                        else ActionSpace(n_actions=len(MOVES)),) * agents
        self.state_shape = (agents * numbers,)
        self._settings = settings
        things = 2 * agents - 1                              # landmarks, then the other agents by number
        limited = bool(settings.num_landmark_neighbors or settings.num_agent_neighbors)
        self.nbytes = games * agents * (8 * numbers + (40 + 16 * limited) * things + 16 * agents + 24 * agents
                                        + 32 * BLOCK) + 24 * agents**2
        self._ready = False

    def _make_ready(self) -> None:
        """Make the arrays, which games that are only asked for their spaces do without."""
        settings, agents, games, self._ready = self._settings, self.agents, self.games, True
        landmarks, others = settings.num_landmark_neighbors or agents, settings.num_agent_neighbors or agents - 1
        self._seen = np.zeros((agents, *self.observations[0], games))
        self._velocities, self._positions = self._seen[:, :2], self._seen[:, 2:4]        # (N, 2, E) views
        shown = self._seen[:, 4:].reshape(agents, -1, 2, games, copy=False).swapaxes(0, 1)
        self._parts = ((slice(agents), settings.num_landmark_neighbors, shown[:landmarks]),
                       (slice(agents, None), settings.num_agent_neighbors, shown[landmarks:landmarks + others]))
        things = 2 * agents - 1
        self._limited = any(limit for _, limit, _ in self._parts)
        self._targets = np.zeros((things, agents, 2, games))                             # positions, once per agent
        self._relative = np.empty_like(self._targets) if self._limited else shown[:things]
        self._squares, self._distances = np.empty_like(self._targets), np.empty((things, agents, games))
        self._forces = np.zeros((agents, agents, 2, games))                              # of actions, then contact
        self._others = np.array([[j for j in range(agents) if j != i] for i in range(agents)], dtype=np.intp).T
        self._moves = PUSH * np.array(MOVES, dtype=float).T
        self._steps, self._episodes = np.zeros(games, dtype=np.int64), np.zeros(games, dtype=np.int64)

    @property
    def _landmarks(self) -> np.ndarray:
        return self._targets[:self.agents, 0]

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with the random streams of the run's seed and of chain `chain`."""
        if not self._ready:
            self._make_ready()
        self._starts = Starts(seed, chain, self.games, 4 * self.agents)
        self._episodes[:] = -1
        self.restart(np.ones(self.games, dtype=bool))

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew: everything anywhere in [-1, 1] x [-1, 1], the agents at rest."""
        places = np.flatnonzero(games)
        self._episodes[places] += 1
        start = 2.0 * self._starts.take(places, self._episodes[places]) - 1.0
        self._place(places, *start.reshape(2, self.agents, 2, -1))
        self._velocities[..., places] = 0.0
        self._steps[places] = 0
        self._look()

    def _place(self, games: np.ndarray | slice, positions: np.ndarray, landmarks: np.ndarray) -> None:
        self._positions[..., games] = positions
        self._targets[:self.agents, ..., games] = landmarks[:, None]

    def _look(self) -> None:
        """Where everything is, seen from the agents."""
        self._positions.take(self._others, axis=0, out=self._targets[self.agents:], mode="clip")
        np.subtract(self._targets, self._positions, out=self._relative)
        np.multiply(self._relative, self._relative, out=self._squares)
        np.add(self._squares[:, :, 0], self._squares[:, :, 1], out=self._distances)
        np.sqrt(self._distances, out=self._distances)
        if self._limited:
            for part, limit, shown in self._parts:
                self._show(self._relative[part], self._distances[part], limit, shown)

    def _show(self, relative: np.ndarray, distances: np.ndarray, limit: int | None, shown: np.ndarray) -> None:
        """All things of a kind, or the `limit` nearest ones, nearest first; where there are fewer the rest stays 0."""
        if limit is None:
            shown[:] = relative
        else:
            nearest = distances.argsort(axis=0, kind="stable")[:limit]
            shown[:len(nearest)] = np.take_along_axis(relative, nearest[:, :, None], axis=0)

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, 18) each for three agents, see the class."""
        return list(self._seen[agents.start:agents.stop].swapaxes(1, 2).astype(np.float32, order="C"))

    def state(self) -> np.ndarray:
        """All agents' observations, one after the other: (E, 54) for three agents."""
        return self._seen.reshape(-1, self.games).T.astype(np.float32, order="C")

    def step(self, actions: np.ndarray) -> Step:
        """Move all games on.

        Args:
            actions: (N, E) whole numbers 0..4 (stay, left, right, down, up), or (N, E, 5) doubles in [0, 1], of which
                the first does nothing and the others push left, right, down and up.
        """
        self._move(self._push(actions))
        self._look()
        self._steps += 1
        nearest = np.minimum.reduce(self._distances[:self.agents], axis=1)
        done = self._steps >= self._settings.max_cycles
        terminated = np.zeros((self.agents, self.games), dtype=bool)
        if self._settings.terminate_on_success:
            covered = (nearest < CAPTURE).all(axis=0)
            terminated[:] = covered & ~done
            done |= covered
        return Step(self._rewards(nearest), terminated, done)

    def _push(self, actions: np.ndarray) -> np.ndarray:
        """Forces of the agents' actions, with the axes of two coordinates, N agents and E games."""
        if self._settings.continuous_actions:
            return ((actions[..., 2::2] - actions[..., 1::2]) * PUSH).transpose(2, 0, 1)
        return self._moves.take(actions, axis=1)

    def _move(self, push: np.ndarray) -> None:
        """Positions and velocities after a step.  NumPy adds up a leading axis in order, as mpe2 does its forces."""
        gaps, contact = self._distances[self.agents:], self._forces[1:]
        depth = np.logaddexp(0.0, (CONTACT - gaps) / CONTACT_MARGIN) * CONTACT_MARGIN
        self._forces[0].swapaxes(0, 1)[:] = push
        np.multiply(self._relative[self.agents:], -CONTACT_FORCE, out=contact)
        contact /= gaps[:, :, None]
        contact *= depth[:, :, None]
        self._positions += self._velocities * DT
        self._velocities *= KEPT
        self._velocities += np.add.reduce(self._forces, axis=0) * DT

    def _rewards(self, nearest: np.ndarray) -> np.ndarray:
        """(N, E) rewards.

        Args:
            nearest: (N, E) distances of the landmarks to the agents nearest to them.
        """
        ratio = self._settings.local_ratio
        team = np.add.accumulate(nearest)[-1]                 # in order, also where there is a single game
        collisions = np.add.reduce(self._distances[self.agents:] < CONTACT, axis=0, dtype=float)
        if self._settings.scoring == "v2":
            collisions += 1.0
        return -(team * (1.0 - ratio)) - collisions * ratio

    def get_state(self) -> dict[str, np.ndarray]:
        """Positions, velocities and landmarks (N, E, 2); steps and episodes (E,)."""
        arrays = {"positions": self._positions, "velocities": self._velocities, "landmarks": self._landmarks}
        return {name: array.swapaxes(1, 2).copy() for name, array in arrays.items()} | {
            "steps": self._steps.copy(), "episodes": self._episodes.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin` with the same seed and chain."""
        self._place(slice(None), state["positions"].swapaxes(1, 2), state["landmarks"].swapaxes(1, 2))
        self._velocities[:] = state["velocities"].swapaxes(1, 2)
        self._steps[:], self._episodes[:] = state["steps"], state["episodes"]
        self._starts.seek(self._episodes)
        self._look()

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one game: landmarks, agents, and which of them collide."""
        colliding = np.any(self._distances[self.agents:, :, game] < CONTACT, axis=0)
        return picture(self._positions[..., game], self._landmarks[..., game], colliding)

    def close(self) -> None:
        """Nothing is held."""


class Starts:
    """Uniforms that games begin with: episode k of game e takes its numbers k size, ..., (k + 1) size - 1.

    Args:
        seed, chain: of the run's seed and of chain `chain`.
        games: E.
        size: uniforms of an episode.
    """

    def __init__(self, seed: int, chain: int, games: int, size: int):
        self._uniforms = Uniforms(seed, Purpose.ENVIRONMENT, chain, APART)
        self._drawn = np.empty((games, BLOCK, size))

    def take(self, games: np.ndarray, episodes: np.ndarray) -> np.ndarray:
        """(size, K) uniforms of the episodes (K,) of the games (K,); each game's in order, from 0 or from `seek`."""
        places = episodes % BLOCK
        for k in np.flatnonzero(places == 0).tolist():
            self._draw(int(games[k]), int(episodes[k]) // BLOCK)
        return self._drawn[games, places].T

    def seek(self, episodes: np.ndarray) -> None:
        """Continue as if the episodes 0, ..., k had been taken, for the numbers k (E,) of all games."""
        for game, block in enumerate((episodes // BLOCK).tolist()):
            self._draw(game, block)

    def _draw(self, game: int, block: int) -> None:
        numbers = BLOCK * self._drawn.shape[2]
        drawn = self._uniforms.rows(range(game, game + 1), range(block * numbers, (block + 1) * numbers))
        self._drawn[game] = drawn.reshape(BLOCK, -1)
