"""Tag, many games at once: mpe2's `simple_tag_v3`, step for step, with preys that learn or that follow a script.

P slow pursuers hunt G faster preys among obstacles (Lowe et al., 2017, "Multi-agent actor-critic for mixed
cooperative-competitive environments").  Observations, rewards, terminations, truncations and the state are those of
`mpe2.simple_tag_v3.parallel_env` (mpe2 1.1) from the same positions, bit for bit: see `netac.envs._particles`, with
a_i = 3 of pursuers and 4 of preys, and c_ij the sum of two radii, 0.075 of pursuers, 0.05 of preys and 0.2 of
obstacles, which push everybody.  After each step velocities are cut to length 1 of pursuers and 1.3 of preys.  With
h_pg = 1 where pursuer p touches prey g, else 0, the rewards are

    of each pursuer          10 * sum over p and g of h_pg,
    of prey g               -10 * sum over p of h_pg - bound(|x_g|) - bound(|y_g|),
    bound(x) = 0 below 0.9,  10 (x - 0.9) below 1,  else min(exp(2 x - 2), 10).

Episodes are truncated after `max_cycles` steps; with `terminate_on_success` an earlier step after which every prey is
touched terminates them.

With `prey = "learning"` the agents are the pursuers, adversary_0, ..., and then the preys, agent_0, ....  With `prey =
"scripted"` they are the pursuers alone, who see what they saw before, and the preys flee.  Let d be the nearest
pursuer's position less the prey's (the first of several that are equally near); the prey's direction is

    u = -d / max(|d_x|, |d_y|),    then u_x = 0 where |x| >= 1.2 and u_x points outwards, and u_y likewise,

which is full force along the larger coordinate and its share along the other one.  Where actions are discrete the prey
makes the move along the larger of |u_x| and |u_y| (x, where they are equal; it rests where both are 0).

That is the prey of "DiNNO: Distributed neural network optimization for multi-robot collaborative learning" (Yu,
Vincent, Schwager, 2022) by the code of its authors.  Its experiment has three pursuers, continuous actions, episodes of
50 steps, and the sum of the pursuers' rewards in an episode for a return.  Besides, obstacles have fixed places
(`obstacle_places`), pursuers do not see them (`num_landmark_neighbors = 0`), and rewards are shaped: `shaped` switches
on what mpe2's code has switched off,

    of each pursuer, less    0.1 * sum over p of the distance to the nearest prey,
    of prey g, besides       0.1 * sum over p of the distance to pursuer p.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from netac.envs._particles import ParticleOptions, Particles
from netac.envs._tag_picture import picture
from netac.utils.errors import InputError

PURSUER, PREY, OBSTACLE = 0.075, 0.05, 0.2           # radii
PUSHES = 3.0, 4.0                                    # forces of a pursuer's and a prey's full action
SPEEDS = 1.0, 1.3                                    # the largest, of a pursuer and of a prey
HIT = 10.0                                           # reward
SHAPING = 0.1                                        # reward, for a distance of 1
SCATTER = 0.9                                        # obstacles are at most so far out, where they are placed at random
EDGE = 1.2                                           # where a scripted prey does not push outwards


class Settings(ParticleOptions):
    """Options of `env = { name = "tag" }`, named as mpe2's, with its defaults; its `num_adversaries` are the agents
    that are no preys."""

    terminate_on_success: bool = Field(False, description="an episode ends when every prey is touched by a pursuer")
    num_landmark_neighbors: int | None = Field(
        None, ge=0, le=10_000, description="an agent sees only so many of the nearest obstacles; 0: none")
    prey: Literal["learning", "scripted"] = Field(
        "learning", description="learning: preys are agents; scripted: all agents are pursuers, preys flee the nearest")
    num_good: int = Field(1, ge=1, le=10_000, description="how many preys there are")
    num_obstacles: int = Field(2, ge=0, le=10_000, description="how many obstacles there are")
    obstacle_places: list[Annotated[list[Annotated[float, Field(ge=-100, le=100)]],
                                    Field(min_length=2, max_length=2)]] | None = Field(
        None, description="[x, y] of each obstacle; without them they are placed at random, in every episode")
    prey_speed: float = Field(
        1.0, gt=0, le=10, description="times a prey's speed and force; mpe2's curriculum has 0.5, 0.75 and 1")
    shaped: bool = Field(False, description="rewards for how near pursuers are to preys, too")

    @field_validator("obstacle_places")
    @classmethod
    def _one_each(cls, places: list[list[float]] | None, info: ValidationInfo) -> list[list[float]] | None:
        number = info.data.get("num_obstacles")
        if places is not None and number is not None and len(places) != number:
            raise ValueError(f"has {len(places)} places, but num_obstacles is {number}")
        return places


def make(settings: Settings, agents: int, games: int) -> Tag:
    """`games` games with `agents` agents each.

    Raises:
        InputError: there would be no pursuer.
    """
    if settings.prey == "learning" and agents <= settings.num_good:
        raise InputError(f"with {settings.num_good} preys that learn there is no pursuer", key="agents", found=agents,
                         valid=f'{settings.num_good + 1} or more; with env.prey = "scripted" all agents are pursuers')
    return Tag(settings, agents, games)


class Tag(Particles):
    """See the module, and `Particles` for what is kept; what bodies see besides are the velocities of the other preys.

    Args:
        settings: what is played.
        agents, games: N of each of E games.
    """

    def __init__(self, settings: Settings, agents: int, games: int):
        preys, obstacles = settings.num_good, settings.num_obstacles
        self._scripted, self._shaped = settings.prey == "scripted", settings.shaped
        pursuers = self._pursuers = agents if self._scripted else agents - preys
        bodies = pursuers + preys
        pushes, self._fastest = (np.repeat([of_pursuers, of_preys * settings.prey_speed], [pursuers, preys])[:, None]
                                 for of_pursuers, of_preys in (PUSHES, SPEEDS))
        names = [f"adversary_{i}" for i in range(pursuers)] + [f"agent_{i}" for i in range(preys)]
        self._places = settings.obstacle_places
        super().__init__(settings, names[:agents], landmarks=obstacles, more=[preys] * pursuers + [preys - 1] * preys,
                         pushes=pushes[:agents], pushing=obstacles + bodies - 1, drawn=2 * (bodies + obstacles),
                         games=games)
        self._prey_push = PUSHES[1] * settings.prey_speed
        self._hunters = slice(obstacles, obstacles + pursuers)              # among the things that a prey sees
        if settings.num_agent_neighbors is not None:
            self.nbytes += 32 * games * bodies * (bodies - 1)

    def _make_ready(self) -> None:
        super()._make_ready()
        pursuers, others, obstacles = self._pursuers, self._bodies - 1, self._landmark_count
        is_prey = np.arange(self._bodies) >= pursuers
        radii = np.where(is_prey, PREY, PURSUER)
        self._other_preys = is_prey[self._others][:, :, None, None]                                 # (n - 1, n, 1, 1)
        by_bodies, by_obstacles = self._forces[1:1 + others], self._forces[1 + others:]             # in mpe2's order
        self._contact = ((slice(obstacles, None), (radii[self._others] + radii)[:, :, None], by_bodies),
                         (slice(obstacles), (radii + OBSTACLE)[:, None], by_obstacles))

    def _start(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bodies anywhere in [-1, 1] x [-1, 1], obstacles at their places or in [-0.9, 0.9] x [-0.9, 0.9]."""
        drawn = (2.0 * uniforms - 1.0).reshape(len(uniforms) // 2, 2, -1)
        bodies, obstacles = drawn[:self._bodies], SCATTER * drawn[self._bodies:]
        return bodies, obstacles if self._places is None else np.reshape(self._places, (-1, 2, 1))

    def _look(self) -> None:
        super()._look()
        pursuers = self._pursuers
        if self._near is None:
            self._more[:, :pursuers] = self._velocities[pursuers:, None]
            self._more[:-1, pursuers:] = self._velocities.take(self._others[pursuers:, pursuers:], axis=0)
        else:
            theirs = np.where(self._other_preys, self._velocities.take(self._others, axis=0), 0.0)
            self._more[:len(self._near)] = np.take_along_axis(theirs, self._near[:, :, None], axis=0)

    def _move(self) -> None:
        if self._scripted:
            np.multiply(self._flight(), self._prey_push, out=self._forces[0, self._pursuers:])
        for things, contact, forces in self._contact:
            self._touch(things, contact, forces)
        self._drift()

    def _slow(self) -> None:
        v = self._velocities
        speeds = np.sqrt(v[:, 0] * v[:, 0] + v[:, 1] * v[:, 1])
        fast = (speeds > self._fastest)[:, None]
        np.divide(v, speeds[:, None], out=v, where=fast)
        np.multiply(v, self._fastest[:, None], out=v, where=fast)

    def _flight(self) -> np.ndarray:
        """Directions u of the scripted preys, (G, 2, E): see the module."""
        seen, preys = self._hunters, slice(self._pursuers, None)
        nearest = self._distances[seen, preys].argmin(axis=0)
        u = -np.take_along_axis(self._relative[seen, preys], nearest[None, :, None], axis=0)[0]
        u /= np.abs(u).max(axis=1, keepdims=True)
        places = self._positions[preys]
        u[(np.abs(places) >= EDGE) & (u * places > 0.0)] = 0.0
        if not self._settings.continuous_actions:
            along = np.abs(u)
            u = np.sign(u) * np.stack([along[:, 0] >= along[:, 1], along[:, 0] < along[:, 1]], axis=1)
        return u

    def _rewards(self) -> np.ndarray:
        pursuers, preys, games = self._pursuers, self._bodies - self._pursuers, self.games
        gaps = self._distances[self._hunters, pursuers:]                        # (P, G, E)
        self._touched = gaps < PURSUER + PREY
        hits = HIT * self._touched
        r = np.empty((self.agents, games))
        near = [-SHAPING * gaps.min(axis=1)] if self._shaped else []
        r[:pursuers] = in_turn(*near, hits.reshape(pursuers * preys, games))
        if not self._scripted:
            far = [SHAPING * gaps] if self._shaped else []
            r[pursuers:] = in_turn(*far, -hits, -bound(np.abs(self._positions[pursuers:])).swapaxes(0, 1))
        return r

    def _successful(self) -> np.ndarray:
        return np.all(np.any(self._touched, axis=0), axis=0)

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one game: obstacles, pursuers, preys, and which of them are touched."""
        pursuers, positions = self._pursuers, self._positions[..., game]
        touched = np.any(self._distances[self._hunters, pursuers:, game] < PURSUER + PREY, axis=0)
        return picture(positions[:pursuers], positions[pursuers:], touched, self._landmarks[..., game],
                       (PURSUER, PREY, OBSTACLE))


def in_turn(*terms: np.ndarray) -> np.ndarray:
    """The sum over the first axis of all terms, added up in order, as mpe2 does."""
    return np.add.accumulate(np.concatenate(terms))[-1]


def bound(x: np.ndarray) -> np.ndarray:
    """What a prey at x >= 0 pays for being far out."""
    far = np.minimum(np.exp(np.minimum(2.0 * x - 2.0, 3.0)), 10.0)              # exp(3) > 10
    return np.where(x < 0.9, 0.0, np.where(x < 1.0, (x - 0.9) * 10.0, far))
