"""Platoon, many games at once: cooperative adaptive cruise control of n vehicles in a line behind a leader.

After Chu, Chinchali, Katti, "Multi-agent reinforcement learning for networked system control" (ICLR 2020), whose
published environment this one follows step for step.  Vehicle i drives at speed v_i (m/s), at a headway h_i (m) behind
the one ahead, whose speed is v^a_i = v_{i-1}, and the leader's speed v_0 for the first one.  The action is a pair of
gains (a, b) of the optimal velocity model, one of (0, 0), (1/2, 0), (0, 1/2), (1/2, 1/2).  In every step of dt = 0.1 s

    u_i  <- a (V(h_i) - v_i) + b (v^a_i - v_i), cut to [-2.5, 2.5] m/s^2,
    v_i' <- v_i + u_i dt, cut to [0, 30] m/s,       u_i <- (v_i' - v_i) / dt,
    h_i' <- h_i + dt/2 (v^a_i + v^a_i' - v_i - v_i'),
    V(h) = 0 below h = 5,   15 (1 - cos(pi (h - 5) / 30)) up to 35,   30 above.

Vehicle i sees five numbers, after the step,

    (v - 15)/15,  (v^a - v)/5 and (V(h) - v)/5, both cut to [-2, 2],  (h + (v^a - v) dt - 20)/20,  u/2.5,

and its reward is -(h - 20)^2 - (v - 15)^2 - u^2/10, in `training` less 5 min(h - 10, 0)^2.  From the step on after
which some headway is below 1 m, a collision, every vehicle's reward is -1000 and vehicles stand still in their places
while the leader's speed goes on, until the next multiple of 60 steps, after which the episode ends (terminated).
Other episodes are truncated after 600 steps.  What an episode is measured by is `collisions`, 1 if it saw one, else 0.

    catchup    all vehicles and the leader drive at 15 m/s, at 20 m from each other, but the first one, which is
               20 (1.5 + U) m behind the leader, U uniform in [0, 1);
    slowdown   at 20 m from each other all drive at 15 (1.5 + U) m/s, and the leader slows down from that to 15 m/s,
               linearly over its first 300 speeds.

The graph of the platoon is the path of its vehicles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from netac.envs._batched import Step
from netac.envs._platoon_picture import picture
from netac.envs._starts import BLOCK, Starts
from netac.utils.errors import InputError
from netac.utils.options import Options, checked
from netac.utils.spaces import ActionSpace

if TYPE_CHECKING:
    import networkx as nx

DT = 0.1                                             # s
H_STOP, H_GO, H_WANTED, H_COLLISION, H_SAFE = 5.0, 35.0, 20.0, 1.0, 10.0                     # m
V_MAX, V_WANTED = 30.0, 15.0                         # m/s
U_MAX = 2.5                                          # m/s^2
SCALES, CUT = np.array([15.0, 5.0, 5.0, 20.0, 2.5])[:, None, None], 2.0      # of what is seen
U_PRICE, UNSAFE_PRICE, COLLISION = 0.1, 5.0, -1000.0
GAINS = np.array([(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)]).T
SLOWING = 300                                        # speeds of the leader until it is as slow as is wanted
STEPS, BETWEEN = 600, 60                             # of an episode; collisions end it at multiples


class Settings(Options):
    """Options of `env = { name = "platoon" }`; the number of vehicles is `agents`."""

    scenario: Literal["catchup", "slowdown"] = Field(
        "catchup", description="catchup: the first vehicle is too far behind; "
                               "slowdown: all are too fast, and the leader slows down")
    training: bool = Field(True, description="headways below 10 m cost more, as in the training of published learners; "
                                             "false: rewards as they were scored")


def make(settings: Settings, agents: int, games: int) -> Platoon:
    """`games` platoons of `agents` vehicles each."""
    return Platoon(settings, agents, games)


def cut(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """x itself, with what is outside the interval put to its nearer end."""
    return np.minimum(np.maximum(x, low, out=x), high, out=x)


def optimal_velocity(h: np.ndarray) -> np.ndarray:
    """V(h), m/s: the speed that the optimal velocity model takes for right at a headway of h metres."""
    angle = cut((h - H_STOP) * (np.pi / (H_GO - H_STOP)), 0.0, np.pi)
    return V_MAX / 2.0 * (1.0 - np.cos(angle, out=angle))


def rewards(h: np.ndarray, v: np.ndarray, u: np.ndarray, training: bool) -> np.ndarray:
    """(n, E) rewards of vehicles that have not collided, of their headways, speeds and accelerations (n, E)."""
    r, term = h - H_WANTED, v - V_WANTED
    r *= -r
    term *= term
    r -= term
    np.multiply(u, u, out=term)
    term *= U_PRICE
    r -= term
    if training:
        np.minimum(np.subtract(h, H_SAFE, out=term), 0.0, out=term)
        term *= term
        term *= UNSAFE_PRICE
        r -= term
    return r


class Platoon:
    """E platoons of n vehicles; the interface is `BatchedEnvironment`.

    Arrays have the axis of games last and are doubles; observations are given in single precision.

    Args:
        settings: what is played.
        agents, games: n of each of E games.
    """

    gamma = None
    resumable = True
    measures = ("collisions",)

    def __init__(self, settings: Settings, agents: int, games: int):
        self._settings, self.agents, self.games = settings, agents, games
        self.names = tuple(f"vehicle_{i}" for i in range(agents))
        self.active = np.ones((agents, games), dtype=bool)
        self.observations = ((len(SCALES),),) * agents
        self.actions = (ActionSpace(n_actions=GAINS.shape[1]),) * agents
        self.state_shape = (len(SCALES) * agents,)
        self.nbytes = 8 * games * (agents * 20 + BLOCK + 4)
        self._h, self._u, self._wanted = (np.zeros((agents, games)) for _ in range(3))
        self._speeds = np.zeros((agents + 1, games))     # the leader's and the vehicles'
        self._seen = np.zeros((len(SCALES), agents, games))
        self._first = np.full(games, V_WANTED)           # the leader's speed at the start
        self._steps, self._episodes = np.zeros(games, dtype=np.int64), np.zeros(games, dtype=np.int64)
        self._collided = np.zeros(games, dtype=bool)

    @property
    def neighbours(self) -> nx.Graph:
        """The path of the vehicles: each knows the one ahead and the one behind."""
        import networkx as nx
        return nx.path_graph(self.agents)

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with the random streams of the run's seed and of chain `chain`."""
        self._starts = Starts(seed, chain, self.games, 1)
        self._episodes[:] = -1
        self.restart(np.ones(self.games, dtype=bool))

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew."""
        places = np.flatnonzero(games)
        self._episodes[places] += 1
        far = 1.5 + self._starts.take(places, self._episodes[places])[0]
        catching_up = self._settings.scenario == "catchup"
        self._h[:, places], self._u[:, places] = H_WANTED, 0.0
        if catching_up:
            self._h[0, places] = H_WANTED * far
        self._first[places] = V_WANTED if catching_up else V_WANTED * far
        self._speeds[:, places] = self._first[places]
        self._steps[places], self._collided[places] = 0, False
        self._look()

    def leader(self) -> np.ndarray:
        """(E,) the leader's speeds now, m/s."""
        slowed = np.minimum(self._steps / (SLOWING - 1.0), 1.0)
        return self._first + (V_WANTED - self._first) * slowed

    def _look(self) -> None:
        """Everything that follows from headways, speeds and accelerations."""
        self._speeds[0] = self.leader()
        v, seen = self._speeds[1:], self._seen
        self._wanted = optimal_velocity(self._h)
        np.subtract(v, V_WANTED, out=seen[0])
        np.subtract(self._speeds[:-1], v, out=seen[1])
        np.subtract(self._wanted, v, out=seen[2])
        np.multiply(seen[1], DT, out=seen[3])
        seen[3] += self._h
        seen[3] -= H_WANTED
        seen[4] = self._u
        seen /= SCALES
        cut(seen[1:3], -CUT, CUT)

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, 5) each, see the module."""
        return list(self._seen[:, agents.start:agents.stop].transpose(1, 2, 0).astype(np.float32, order="C"))

    def state(self) -> np.ndarray:
        """What all vehicles see, one after the other: (E, 5 n)."""
        return self._seen.transpose(2, 1, 0).astype(np.float32, order="C").reshape(self.games, -1)

    def step(self, actions: np.ndarray) -> Step:
        """Move all games on.

        Args:
            actions: (n, E) whole numbers 0..3, pairs of gains: see the module.
        """
        self._steps += 1
        ahead, v, still = self._speeds[:-1], self._speeds[1:], self._collided
        u, gains = self._wanted - v, GAINS.take(actions, axis=1)
        u *= gains[0]
        u += gains[1] * (ahead - v)
        cut(u, -U_MAX, U_MAX)
        speeds = np.empty_like(self._speeds)
        speeds[0] = self.leader()
        u *= DT
        cut(np.add(v, u, out=speeds[1:]), 0.0, V_MAX)
        np.subtract(speeds[1:], v, out=u)
        u /= DT
        h = ahead + speeds[:-1]
        h -= v
        h -= speeds[1:]
        h *= 0.5 * DT
        h += self._h
        if still.any():
            for after, before in ((h, self._h), (speeds[1:], v), (u, self._u)):
                np.copyto(after, before, where=still)
        self._h, self._speeds, self._u = h, speeds, u
        self._collided = still | (h.min(axis=0) < H_COLLISION)
        self._look()
        r, terminated = rewards(h, speeds[1:], u, self._settings.training), np.zeros(h.shape, dtype=bool)
        done = self._steps >= STEPS
        if self._collided.any():
            r[:, self._collided] = COLLISION
            terminated[:] = self._collided & (self._steps % BETWEEN == 0)
            done |= terminated[0]
        return Step(r, terminated, done)

    def measured(self) -> dict[str, np.ndarray]:
        """Which games have seen a collision, (E,) zeros and ones."""
        return {"collisions": self._collided.astype(np.float64)}

    def get_state(self) -> dict[str, np.ndarray]:
        """Headways, speeds and accelerations (n, E); the leader's first speeds, steps, episodes, collisions (E,)."""
        return {"headways": self._h.copy(), "speeds": self._speeds[1:].copy(), "accelerations": self._u.copy(),
                "first": self._first.copy(), "steps": self._steps.copy(), "episodes": self._episodes.copy(),
                "collided": self._collided.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin` with the same seed and chain."""
        for array, name in ((self._h, "headways"), (self._speeds[1:], "speeds"), (self._u, "accelerations"),
                            (self._first, "first"), (self._steps, "steps"), (self._episodes, "episodes"),
                            (self._collided, "collided")):
            array[:] = state[name]
        self._starts.seek(self._episodes)
        self._look()

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one platoon: vehicles where they are, coloured by speed, and their headways."""
        return picture(self._h[:, game], self._speeds[1:, game], float(self.leader()[game]), bool(self._collided[game]))

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class PlayedAgain:
    """A game that was played again; iterating gives (observations, rewards, done) after every step.

    Attributes:
        headways, speeds, accelerations: (T + 1, n), metres and seconds.
        observations: (T + 1, n, 5).
        rewards: (T, n).
        done: (T,) bool.
    """

    headways: np.ndarray
    speeds: np.ndarray
    accelerations: np.ndarray
    observations: np.ndarray
    rewards: np.ndarray
    done: np.ndarray

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
        return iter(zip(self.observations[1:], self.rewards, self.done.tolist(), strict=True))


class _Led(Platoon):
    """One game behind a leader whose every speed is given."""

    def __init__(self, settings: Settings, headways: np.ndarray, speeds: np.ndarray, leader: np.ndarray):
        super().__init__(settings, len(headways), 1)
        self._recorded = leader
        self._h[:, 0], self._speeds[1:, 0] = headways, speeds
        self._look()

    def leader(self) -> np.ndarray:
        return self._recorded[self._steps]

    def now(self) -> tuple[np.ndarray, ...]:
        """Headways, speeds, accelerations (n,) and what is seen (n, 5), in double precision."""
        held = self._h[:, 0], self._speeds[1:, 0], self._u[:, 0], self._seen[..., 0].T
        return tuple(array.copy() for array in held)


def replay(settings: Mapping[str, Any], headways: np.ndarray, speeds: np.ndarray, leader: np.ndarray,
           actions: np.ndarray) -> PlayedAgain:
    """Play a recorded game again, in double precision.

    Args:
        settings: `scenario` and `training` as in the environment's options, and `vehicles`, their number n; what else
            a recording says of itself is left alone.
        headways, speeds: (n,) at the start.
        leader: (T + 1,) speeds of the leader, or more.
        actions: (T, n) whole numbers 0..3.

    Raises:
        InputError: the arrays do not fit together.
    """
    n, T = int(settings.get("vehicles", len(headways))), len(actions)
    for name, array, wanted in (("headways", headways, (n,)), ("speeds", speeds, (n,)),
                                ("leader", leader[:T + 1], (T + 1,)), ("actions", actions, (T, n))):
        if np.shape(array) != wanted:
            raise InputError(f"replay: `{name}` has the wrong shape", key=name, found=np.shape(array),
                             valid=str(wanted))
    if not np.isin(actions, range(GAINS.shape[1])).all():
        raise InputError("replay: there is no such action", key="actions",
                         found=np.setdiff1d(actions, range(GAINS.shape[1])).tolist(), valid="0, 1, 2, 3")
    game = _Led(checked(Settings, {key: settings[key] for key in Settings.model_fields if key in settings}),
                *(np.asarray(array, dtype=float) for array in (headways, speeds, leader)))
    shown, steps = [game.now()], []
    for own in np.asarray(actions, dtype=np.int64):
        steps.append(game.step(own[:, None]))
        shown.append(game.now())
    h, v, u, seen = map(np.stack, zip(*shown, strict=True))
    return PlayedAgain(h, v, u, seen, np.array([step.r[:, 0] for step in steps]).reshape(T, n),
                       np.array([step.done[0] for step in steps], dtype=bool))
