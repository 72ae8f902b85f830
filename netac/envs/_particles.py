"""What mpe2's games of particles have in common: discs on a plane that push each other, many games at once.

Bodies i = 0, ..., n - 1 move and landmarks stay where they are.  With u_i the direction of i's action, a_i the
force of a full one, d = |p_i - p_j| and c_ij the distance at which i and j touch, in every step

    F_i = a_i u_i + sum over the j that push i of 100 (p_i - p_j) / d * k log(1 + exp((c_ij - d) / k)),    k = 0.001,
    p_i <- p_i + 0.1 v_i,    v_i <- 0.75 v_i + 0.1 F_i,

in double precision, with mpe2's operations in its order (mpe2 1.1, `_mpe_utils/core.py`).  Until May 2023 (PettingZoo's
pull request 965) bodies moved by their new velocities, v_i before p_i, so that what is published of versions 2 of these
games holds for `dynamics = "v2"`: there actions are felt a step sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from netac.envs._batched import Step
from netac.envs._starts import BLOCK, Starts
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace

DT, KEPT = 0.1, 0.75                     # seconds of a step; the share of its velocity that a body keeps
CONTACT_FORCE, CONTACT_MARGIN = 100.0, 1e-3
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


class ParticleOptions(Options):
    """Options of all games of particles, named as mpe2's, with its defaults; each game describes those without one."""

    max_cycles: int = Field(25, ge=1, le=10**9, description="steps after which an episode is truncated")
    continuous_actions: bool = Field(False, description="five forces in [0, 1] instead of one of five moves")
    terminate_on_success: bool
    num_agent_neighbors: int | None = Field(
        None, ge=1, le=10_000, description="an agent sees only so many of the nearest other agents")
    num_landmark_neighbors: int | None
    dynamics: Literal["v3", "v2"] = Field("v3", description=(
        "v2: bodies move by their new velocities, as in PettingZoo's simple_..._v2; v3: by those before the step"))


class Particles:
    """E games of n bodies, the first N of which are the agents; the interface is `BatchedEnvironment`.

    What bodies see is kept as it comes from the dynamics, with the axis of games last: a body's velocity and position,
    the landmarks and the other bodies relative to it, and more vectors, which are up to the game.  The distances of one
    step are those that the forces of the next one need.

    Args:
        settings: what is played.
        names: (N) of the agents.
        landmarks: L, how many there are.
        more: (n) how many vectors a body sees besides, where it sees all others; else as many as it sees others.
        pushes: the force of an agent's full action, or (N, 1) forces.
        pushing: by how many things a body is pushed.
        drawn: uniforms that a start takes.
        games: E.

    Attributes:
        nbytes: what the games take of memory, from `begin` on.
    """

    gamma = None
    resumable = True

    def __init__(self, settings: ParticleOptions, names: Sequence[str], landmarks: int, more: Sequence[int],
                 pushes: float | np.ndarray, pushing: int, drawn: int, games: int):
        agents, bodies = len(names), len(more)
        near, others = settings.num_landmark_neighbors, settings.num_agent_neighbors
        self._settings, self._bodies, self._landmark_count = settings, bodies, landmarks
        self._pushes, self._pushing, self._drawn = pushes, pushing, drawn
        self._shown = landmarks if near is None else near, others or bodies - 1
        self._limited = not (near is None and others is None)
        self._sizes = [4 + 2 * (sum(self._shown) + (others or each)) for each in more]
        self._alike = len(set(self._sizes[:agents])) == 1    # all agents see as many numbers
        self.agents, self.games, self.active = agents, games, np.ones((agents, games), dtype=bool)
        self.names = tuple(names)
        self.observations = tuple((size,) for size in self._sizes[:agents])
        self.actions = (ActionSpace(low=(0.0,) * 5, high=(1.0,) * 5) if settings.continuous_actions
                        else ActionSpace(n_actions=len(MOVES)),) * agents
        self.state_shape = (sum(self._sizes[:agents]),)
        things = landmarks + bodies - 1                      # landmarks, then the other bodies by number
        self.nbytes = games * (bodies * (8 * max(self._sizes) + (40 + 16 * self._limited) * things
                                         + 40 * (1 + pushing)) + 8 * drawn * BLOCK) + 24 * bodies**2
        self._ready = False

    def _make_ready(self) -> None:
        """Make the arrays, which games that are only asked for their spaces do without."""
        settings, bodies, games, self._ready = self._settings, self._bodies, self.games, True
        landmarks, (near, others) = self._landmark_count, self._shown
        self._seen = np.zeros((bodies, max(self._sizes), games))
        self._velocities, self._positions = self._seen[:, :2], self._seen[:, 2:4]        # (n, 2, E) views
        shown = self._seen[:, 4:].reshape(bodies, -1, 2, games, copy=False).swapaxes(0, 1)
        self._parts = ((slice(landmarks), settings.num_landmark_neighbors, shown[:near]),
                       (slice(landmarks, None), settings.num_agent_neighbors, shown[near:near + others]))
        self._more = shown[near + others:]
        things = landmarks + bodies - 1
        self._targets = np.zeros((things, bodies, 2, games))                             # positions, once per body
        self._relative = np.empty_like(self._targets) if self._limited else shown[:things]
        self._squares, self._distances = np.empty_like(self._targets), np.empty((things, bodies, games))
        self._forces = np.zeros((1 + self._pushing, bodies, 2, games))                   # of actions, then contact
        self._pushed = self._forces[0, :self.agents].swapaxes(0, 1)                      # (2, N, E) view
        self._near: np.ndarray | None = None             # (k, n, E) numbers of the others that are seen, if not all are
        self._others = np.array([[j for j in range(bodies) if j != i] for i in range(bodies)], dtype=np.intp).T
        self._moves = np.array(MOVES, dtype=float).T
        self._told = np.flatnonzero(np.arange(max(self._sizes)) < np.array(self._sizes)[:self.agents, None])
        self._steps, self._episodes = np.zeros(games, dtype=np.int64), np.zeros(games, dtype=np.int64)

    @property
    def _landmarks(self) -> np.ndarray:
        return self._targets[:self._landmark_count, 0]

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with the random streams of the run's seed and of chain `chain`."""
        if not self._ready:
            self._make_ready()
        self._starts = Starts(seed, chain, self.games, self._drawn)
        self._episodes[:] = -1
        self.restart(np.ones(self.games, dtype=bool))

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew, the bodies at rest."""
        places = np.flatnonzero(games)
        self._episodes[places] += 1
        self._place(places, *self._start(self._starts.take(places, self._episodes[places])))
        self._velocities[..., places] = 0.0
        self._steps[places] = 0
        self._look()

    def _start(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n, 2, K) of bodies and (L, 2, K) of landmarks, from uniforms (drawn, K)."""
        raise NotImplementedError

    def _place(self, games: np.ndarray | slice, positions: np.ndarray, landmarks: np.ndarray) -> None:
        self._positions[..., games] = positions
        self._targets[:self._landmark_count, ..., games] = landmarks[:, None]

    def _look(self) -> None:
        """Where everything is, seen from the bodies."""
        self._positions.take(self._others, axis=0, out=self._targets[self._landmark_count:], mode="clip")
        np.subtract(self._targets, self._positions, out=self._relative)
        np.multiply(self._relative, self._relative, out=self._squares)
        np.add(self._squares[:, :, 0], self._squares[:, :, 1], out=self._distances)
        np.sqrt(self._distances, out=self._distances)
        if self._limited:
            _, self._near = (self._show(*part) for part in self._parts)

    def _show(self, part: slice, limit: int | None, shown: np.ndarray) -> np.ndarray | None:
        """All things of a kind, or the `limit` nearest ones, nearest first; where there are fewer the rest stays 0.

        Returns:
            (k, n, E) numbers of those that are shown, where that depends on how near they are.
        """
        if limit is None:
            shown[:] = self._relative[part]
            return None
        nearest = self._distances[part].argsort(axis=0, kind="stable")[:limit]
        shown[:len(nearest)] = np.take_along_axis(self._relative[part], nearest[:, :, None], axis=0)
        return nearest

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, size) each, see the class."""
        seen = self._seen[agents.start:agents.stop].swapaxes(1, 2).astype(np.float32, order="C")
        if self._alike:
            return list(seen)
        return [each[:, :size].copy() for each, size in zip(seen, self._sizes[agents.start:agents.stop], strict=True)]

    def positions(self) -> np.ndarray:
        """Where the agents are on the plane: (N, E, 2)."""
        return self._positions[:self.agents].swapaxes(1, 2).copy()

    def state(self) -> np.ndarray:
        """All agents' observations, one after the other: (E, sum of their sizes)."""
        seen = self._seen[:self.agents].reshape(-1, self.games)
        return (seen if self._alike else seen[self._told]).T.astype(np.float32, order="C")

    def step(self, actions: np.ndarray) -> Step:
        """Move all games on.

        Args:
            actions: (N, E) whole numbers 0..4 (stay, left, right, down, up), or (N, E, 5) doubles in [0, 1], of which
                the first does nothing and the others push left, right, down and up.
        """
        directions = ((actions[..., 2::2] - actions[..., 1::2]).transpose(2, 0, 1)
                      if self._settings.continuous_actions else self._moves.take(actions, axis=1))
        np.multiply(directions, self._pushes, out=self._pushed)
        self._move()
        self._look()
        self._steps += 1
        r, done = self._rewards(), self._steps >= self._settings.max_cycles
        terminated = np.zeros((self.agents, self.games), dtype=bool)
        if self._settings.terminate_on_success:
            successful = self._successful()
            terminated[:] = successful & ~done
            done |= successful
        return Step(r, terminated, done)

    def _move(self) -> None:
        """A step of the dynamics; the forces of the agents' actions are there."""
        raise NotImplementedError

    def _rewards(self) -> np.ndarray:
        """The agents' rewards where everything is now: (N, E)."""
        raise NotImplementedError

    def _successful(self) -> np.ndarray:
        """Which games have reached their aim, after `_rewards`: (E,) bool."""
        raise NotImplementedError

    def _touch(self, things: slice, contact: float | np.ndarray, forces: np.ndarray) -> None:
        """Contact forces of some things on all bodies.

        Args:
            things: which, of the landmarks and the other bodies.
            contact: the distance at which they touch, or (things, n, 1) distances.
            forces: (things, n, 2, E), where they are written to.
        """
        gaps = self._distances[things]
        depth = np.logaddexp(0.0, (contact - gaps) / CONTACT_MARGIN) * CONTACT_MARGIN
        np.multiply(self._relative[things], -CONTACT_FORCE, out=forces)
        forces /= gaps[:, :, None]
        forces *= depth[:, :, None]

    def _drift(self) -> None:
        """Positions and velocities after a step.  NumPy adds up a leading axis in order, as mpe2 does its forces."""
        sooner = self._settings.dynamics == "v2"
        if not sooner:
            self._positions += self._velocities * DT
        self._velocities *= KEPT
        self._velocities += np.add.reduce(self._forces, axis=0) * DT
        self._slow()
        if sooner:
            self._positions += self._velocities * DT

    def _slow(self) -> None:
        """Make bodies slower that have become too fast; by default any speed is allowed."""

    def get_state(self) -> dict[str, np.ndarray]:
        """Positions and velocities of bodies (n, E, 2) and positions of landmarks (L, E, 2); steps, episodes (E,)."""
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

    def close(self) -> None:
        """Nothing is held."""
