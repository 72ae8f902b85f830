"""The replay: the last joint samples, each part held by the process whose agents saw it.

The trainer (process 0) keeps states, joint actions and rewards; every agent keeps its own observations.  All of them
write sample number j into slot j modulo the capacity, so that a draw of slots, which follows from the run's seed, means
the same samples to all, and no sample needs to be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from netac.agents.protocols import LEFT_OUT
from netac.envs._batched import BatchedEnvironment, has_masks, state_shape
from netac.sampling.encoding import Encoding
from netac.sampling.feeds import Advance
from netac.sampling.game import GameSampler

SINGLE = np.dtype("f4")


@dataclass(frozen=True)
class ReplayBatch:
    """M samples (s, a, r, s') of the replay; the trainer's part is None on other processes.

    Attributes:
        obs, next_obs: (n) own observations in s and s', (M, *shape_i).
        active: (n, M) 1.0 where the agent took part in s, else 0.0.
        allowed, next_allowed: (n) what agents were allowed to do in s and s', (M, outputs_i) bool; None: all.
        state, next_state: (M, *shape) global states; of the final s' where a game ended.
        joint: (M, F) joint actions as numbers, zeros for agents that took no part.
        r, part, valued: (N, M) rewards; who took part in s; for whom s' has a value: it goes on, or was truncated.
    """

    obs: list[np.ndarray]
    next_obs: list[np.ndarray]
    active: np.ndarray
    allowed: list[np.ndarray] | None = None
    next_allowed: list[np.ndarray] | None = None
    state: np.ndarray = LEFT_OUT
    next_state: np.ndarray = LEFT_OUT
    joint: np.ndarray = LEFT_OUT
    r: np.ndarray = LEFT_OUT
    part: np.ndarray = LEFT_OUT
    valued: np.ndarray = LEFT_OUT


class Replay:
    """A ring of joint samples.

    Args:
        environment: whose samples they are.
        agents: those of this process; the trainer is where agent 0 is.
        capacity: how many samples are kept.

    Attributes:
        added: how many were ever added.
    """

    def __init__(self, environment: BatchedEnvironment, agents: range, capacity: int):
        shapes = environment.observations
        self.capacity, self.added = capacity, 0
        self._shapes = [shapes[agent] for agent in agents]
        self._encode = Encoding(environment.actions)
        n, widest, N = len(agents), max(map(prod, shapes)), environment.agents
        self._rows = {"obs": np.zeros((n, capacity * widest), SINGLE),
                      "next_obs": np.zeros((n, capacity * widest), SINGLE), "active": np.zeros((n, capacity), bool)}
        self._masks = [environment.actions[agent].outputs for agent in agents] if has_masks(environment) else []
        if self._masks:
            most = max(space.outputs for space in environment.actions)
            self._rows |= {name: np.zeros((n, capacity * most), bool) for name in ("allowed", "next_allowed")}
        self._own = {name: rows.reshape(n, capacity, -1) for name, rows in self._rows.items()}
        state = (state_shape(environment), SINGLE)
        told = {"state": state, "next_state": state, "joint": ((self._encode.size,), SINGLE),
                "r": ((N,), np.dtype(float)), "part": ((N,), np.dtype(bool)), "valued": ((N,), np.dtype(bool))}
        self._told = {name: np.zeros((capacity, *shape), kind) for name, (shape, kind) in told.items()} if (
            0 in agents) else {}

    @property
    def held(self) -> int:
        """How many samples there are to draw from, in slots 0, 1, ..."""
        return min(self.added, self.capacity)

    def add(self, step: Advance) -> None:
        """One joint step of E games."""
        games = len(step.again)
        kept = np.arange(games)[-self.capacity:]
        slots = (self.added + kept) % self.capacity
        self.added += games
        for k, (obs, after) in enumerate(zip(step.view.obs, step.after.obs, strict=True)):
            width = prod(obs.shape[1:])
            self._own["obs"][k, slots, :width] = obs[kept].reshape(len(kept), width)
            self._own["next_obs"][k, slots, :width] = after[kept].reshape(len(kept), width)
        if self._masks:
            for name, masks in ("allowed", step.allowed), ("next_allowed", step.after_allowed):
                for ring, mask in zip(self._own[name], masks or (), strict=True):
                    ring[slots, :mask.shape[1]] = mask[kept]
        self._rows["active"][:, slots] = step.active[:, kept]
        if self._told:
            everyone = step.outcome.everyone
            assert everyone is not None, "the trainer steps the games"
            told: dict[str, Any] = {
                "state": step.view.state, "next_state": step.after.state,
                "joint": self._encode(step.joint, step.view.active), "r": everyone.r.T,
                "part": step.view.active.T, "valued": step.outcome.valued.T}
            for name, ring in self._told.items():
                ring[slots] = told[name][kept]

    def collect(self, sampler: GameSampler, theta: np.ndarray, steps: int) -> None:
        """Add `steps` joint steps of all games with the policies at `theta` (n, d)."""
        source = sampler.feeds[0]
        for _ in range(steps):
            step = sampler.advance(theta, source, keep=False)
            self.add(step)
            sampler.renew(step, source)

    def take(self, slots: np.ndarray) -> ReplayBatch:
        """The samples in `slots` (M,)."""
        obs, after = ([ring[slots, :prod(shape)].reshape(len(slots), *shape)
                       for ring, shape in zip(self._own[name], self._shapes, strict=True)]
                      for name in ("obs", "next_obs"))
        told: dict[str, Any] = {
            name: ring[slots] if name in ("state", "next_state", "joint") else np.ascontiguousarray(ring[slots].T)
            for name, ring in self._told.items()}
        for name in ("allowed", "next_allowed") if self._masks else ():
            told[name] = [ring[slots, :width] for ring, width in zip(self._own[name], self._masks, strict=True)]
        return ReplayBatch(obs, after, self._rows["active"][:, slots].astype(float), **told)

    # --- checkpoints ---

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent of this process keeps of the samples held, (n, D) each: arrays that may be assigned into."""
        return {f"replay_{name}": rows[:, :self.held * (rows.shape[1] // self.capacity)]
                for name, rows in self._rows.items()}

    def state(self) -> dict[str, np.ndarray]:
        """How many samples were added, and on process 0 the trainer's part of them."""
        told = {f"replay_{name}": ring[:self.held].copy() for name, ring in self._told.items()}
        return {"replay_added": np.array(self.added), **told}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave; then `rows` have the length they had, to be assigned into."""
        self.added = int(kept["replay_added"])
        for name, ring in self._told.items():
            ring[:self.held] = kept[f"replay_{name}"]


def nbytes(environment: BatchedEnvironment) -> int:
    """Bytes of memory that a joint sample takes, of the trainer and all agents together."""
    seen = 2 * environment.agents * max(map(prod, environment.observations)) + 2 * prod(state_shape(environment))
    masks = 2 * environment.agents * max(space.outputs for space in environment.actions) * has_masks(environment)
    return SINGLE.itemsize * (seen + Encoding(environment.actions).size) + 11 * environment.agents + masks
