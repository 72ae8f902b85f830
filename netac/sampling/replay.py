"""The replay: the last joint samples, each part held by the process whose agents saw it.

They are held as sequences of L consecutive steps of one game; with L = 1 every sample stands for itself.  The trainer
(process 0) keeps states, joint actions and rewards; every agent keeps its own observations.  All of them write sequence
number j into slot j modulo the capacity, so that a draw of slots, which follows from the run's seed, means the same
samples to all, and no sample needs to be sent.
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
from netac.utils.spaces import joint_space

SINGLE = np.dtype("f4")


@dataclass(frozen=True)
class ReplayBatch:
    """M samples (s, a, r, s') of the replay; the trainer's part is None on other processes.

    They are B sequences of L steps, M = L B: sample l B + b is step l of sequence b.

    Attributes:
        obs, next_obs: (n) own observations in s and s', (M, *shape_i).
        active: (n, M) 1.0 where the agent took part in s, else 0.0.
        allowed, next_allowed: (n) what agents were allowed to do in s and s', (M, outputs_i) bool; None: all.
        state, next_state: (M, *shape) global states; of the final s' where a game ended.
        joint: (M, F) joint actions as numbers, zeros for agents that took no part.
        r, part, valued: (N, M) rewards; who took part in s; for whom s' has a value: it goes on, or was truncated.
        own: (n) own actions, (M,) or (M, d_i), where they are kept.
        again: (M,) bool, where the game began anew after the sample, where sequences are longer than one step.
        memory: (n) what policies with memory remembered before the sequences, (B, H).
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
    own: list[np.ndarray] = LEFT_OUT
    again: np.ndarray = LEFT_OUT
    memory: list[np.ndarray] = LEFT_OUT


class Replay:
    """A ring of sequences of joint samples.

    Args:
        environment: whose samples they are.
        agents: those of this process; the trainer is where agent 0 is.
        samples: how many samples are kept, at most.
        length: L; always so many steps of all games are added before a batch is taken.
        memory: H, how many numbers policies remember, of which the replay keeps what they are before a sequence.
        acting: whether agents keep their own actions.

    Attributes:
        added: how many samples were ever added.
        capacity: how many sequences are kept.
    """

    def __init__(self, environment: BatchedEnvironment, agents: range, samples: int, length: int = 1, memory: int = 0,
                 acting: bool = False):
        shapes, spaces = environment.observations, environment.actions
        self.capacity, self.added, self._length, self._games = samples // length, 0, length, environment.games
        self._shapes = [shapes[agent] for agent in agents]
        self._encode, self._spaces = Encoding(spaces), [spaces[agent] for agent in agents]
        self._joint, self._agents = joint_space(spaces), agents
        widest, most = max(map(prod, shapes)), max(space.outputs for space in spaces)
        self._masks = has_masks(environment)
        parts = {"obs": (widest, SINGLE), "next_obs": (widest, SINGLE), "active": (1, np.dtype(bool))}
        if self._masks:
            parts |= {name: (most, np.dtype(bool)) for name in ("allowed", "next_allowed")}
        if acting:
            parts["own"] = self._joint.size, self._joint.wire
        if length > 1:
            parts["again"] = 1, np.dtype(bool)
        n, kept = len(agents), self.capacity * length
        self._rows = {name: np.zeros((n, kept * width), kind) for name, (width, kind) in parts.items()}
        self._own = {name: rows.reshape(n, self.capacity, length, -1) for name, rows in self._rows.items()}
        if memory:
            self._rows["memory"] = np.zeros((n, self.capacity * memory), SINGLE)
        state, each = (state_shape(environment), SINGLE), (environment.agents,)
        told = {"state": state, "next_state": state, "joint": ((self._encode.size,), SINGLE),
                "r": (each, np.dtype(float)), "part": (each, np.dtype(bool)), "valued": (each, np.dtype(bool))}
        self._told = {name: np.zeros((self.capacity, length, *shape), kind)
                      for name, (shape, kind) in told.items()} if 0 in agents else {}

    @property
    def held(self) -> int:
        """How many sequences there are to draw from, in slots 0, 1, ..."""
        return min(self.added // self._length, self.capacity)

    def add(self, step: Advance, memory: np.ndarray | None = None) -> None:
        """One joint step of E games.

        Args:
            memory: (n, E, H) what the agents remembered before it.
        """
        kept = np.arange(self._games)[-self.capacity:]
        rows, at = divmod(self.added // self._games, self._length)
        slots = (rows * self._games + kept) % self.capacity
        self.added += self._games
        for k, (obs, after) in enumerate(zip(step.view.obs, step.after.obs, strict=True)):
            width = prod(obs.shape[1:])
            self._own["obs"][k, slots, at, :width] = obs[kept].reshape(len(kept), width)
            self._own["next_obs"][k, slots, at, :width] = after[kept].reshape(len(kept), width)
        if self._masks:
            for name, masks in ("allowed", step.allowed), ("next_allowed", step.after_allowed):
                for ring, mask in zip(self._own[name], masks or (), strict=True):
                    ring[slots, at, :mask.shape[1]] = mask[kept]
        self._own["active"][:, slots, at, 0] = step.active[:, kept]
        if "own" in self._own:
            taken = self._joint.stack(step.own, self._agents).reshape(len(step.own), self._games, -1)
            self._own["own"][:, slots, at] = taken[:, kept]
        if "again" in self._own:
            self._own["again"][:, slots, at, 0] = step.again[kept]
        if memory is not None and at == 0:
            self._memory[:, slots] = memory[:, kept]
        if self._told:
            everyone = step.outcome.everyone
            assert everyone is not None, "the trainer steps the games"
            told: dict[str, Any] = {
                "state": step.view.state, "next_state": step.after.state,
                "joint": self._encode(step.joint, step.view.active), "r": everyone.r.T,
                "part": step.view.active.T, "valued": step.outcome.valued.T}
            for name, ring in self._told.items():
                ring[slots, at] = told[name][kept]

    def collect(self, sampler: GameSampler, theta: np.ndarray, steps: int) -> None:
        """Add `steps` joint steps of all games with the policies at `theta` (n, d)."""
        source = sampler.feeds[0]
        for _ in range(steps):
            memory = None if source.memory is None else source.memory.copy()
            step = sampler.advance(theta, source, keep=False)
            self.add(step, memory)
            sampler.renew(step, source)

    def take(self, slots: np.ndarray) -> ReplayBatch:
        """The samples of the sequences in `slots` (B,)."""
        obs, after = ([_samples(ring[slots, :, :prod(shape)]).reshape(-1, *shape)
                       for ring, shape in zip(self._own[name], self._shapes, strict=True)]
                      for name in ("obs", "next_obs"))
        told: dict[str, Any] = {name: _samples(ring[slots]) for name, ring in self._told.items()}
        told |= {name: np.ascontiguousarray(told[name].T) for name in ("r", "part", "valued") if name in told}
        for name in ("allowed", "next_allowed") if self._masks else ():
            told[name] = [_samples(ring[slots, :, :space.outputs])
                          for ring, space in zip(self._own[name], self._spaces, strict=True)]
        if "own" in self._own:
            told["own"] = [space.read(_samples(ring[slots]))
                           for ring, space in zip(self._own["own"], self._spaces, strict=True)]
        if "again" in self._own:
            told["again"] = _samples(self._own["again"][0, slots])[:, 0]
        if "memory" in self._rows:
            told["memory"] = [ring[slots] for ring in self._memory]
        active = np.stack([_samples(ring[slots])[:, 0] for ring in self._own["active"]])
        return ReplayBatch(obs, after, active.astype(float), **told)

    @property
    def _memory(self) -> np.ndarray:
        return self._rows["memory"].reshape(len(self._shapes), self.capacity, -1)

    # --- checkpoints ---

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent of this process keeps of the samples held, (n, D) each: arrays that may be assigned into."""
        return {f"replay_{name}": rows[:, :self.held * (rows.shape[1] // self.capacity)]
                for name, rows in self._rows.items()}

    def state(self) -> dict[str, np.ndarray]:
        """How many samples were added, and on process 0 the trainer's part of them."""
        told = {f"replay_{name}": ring[:self.held].reshape(-1, *ring.shape[2:]).copy()
                for name, ring in self._told.items()}
        return {"replay_added": np.array(self.added), **told}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave; then `rows` have the length they had, to be assigned into."""
        self.added = int(kept["replay_added"])
        for name, ring in self._told.items():
            ring[:self.held] = kept[f"replay_{name}"].reshape(-1, *ring.shape[1:])


def _samples(sequences: np.ndarray) -> np.ndarray:
    """(B, L, ...) -> (L B, ...), step after step."""
    return sequences.swapaxes(0, 1).reshape(-1, *sequences.shape[2:])


def nbytes(environment: BatchedEnvironment, memory: float = 0.0) -> int:
    """Bytes of memory that a joint sample takes, of the trainer and all agents together.

    Args:
        memory: numbers that an agent's policy remembers, where these are kept, over the steps of a sequence.
    """
    seen = 2 * environment.agents * max(map(prod, environment.observations)) + 2 * prod(state_shape(environment))
    masks = 2 * environment.agents * max(space.outputs for space in environment.actions) * has_masks(environment)
    numbers = seen + Encoding(environment.actions).size + environment.agents * memory
    return int(SINGLE.itemsize * numbers) + 11 * environment.agents + masks
