"""Action spaces: what environments offer and policies choose from, one agent's and all agents' together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from netac.utils.errors import short


@dataclass(frozen=True)
class ActionSpace:
    """What an agent may do: one of `n_actions` actions, 0, ..., n_actions - 1; or (n_actions = 0) several choices at
    once, independent of each other, of `nvec` actions each; or a vector between bounds.

    Its methods take and give the agent's own actions: (...,) whole numbers; or (..., d) doubles, whole ones for several
    choices.  Masks, (..., outputs) bool, have the choices' masks side by side.

    Attributes:
        n_actions: how many actions there are; 0 for several choices, and for vectors.
        low, high: bounds of a vector's entries (infinite ones allowed); empty for discrete actions.
        nvec: how many actions each of several choices is between (gymnasium's word).
    """

    n_actions: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    nvec: tuple[int, ...] = ()

    @property
    def choices(self) -> tuple[int, ...]:
        """How many actions every choice is between, the only one of `n_actions`; empty for vectors."""
        return (self.n_actions,) if self.n_actions else self.nvec

    @property
    def count(self) -> int:
        """How many actions there are, A; 0 for vectors."""
        return prod(self.choices) if self.choices else 0

    @property
    def size(self) -> int:
        """Numbers an action consists of: 1 for one choice."""
        return len(self.choices or self.low)

    @property
    def outputs(self) -> int:
        """What a policy network gives for it: a logit for every action of every choice, or a mean for every entry."""
        return sum(self.choices) or len(self.low)

    @property
    def dtype(self) -> np.dtype:
        """Of a single action, as it is handed to an environment's users."""
        return np.dtype(np.int64 if self.choices else np.float32)

    def clip(self, actions: np.ndarray) -> np.ndarray:
        """Vectors within their bounds; discrete actions as they are."""
        return actions if self.choices else np.clip(actions, self.low, self.high)

    def rounded(self, actions: np.ndarray) -> np.ndarray:
        """Actions as the games take them: vectors rounded to single precision, as they travel, then clipped."""
        return actions if self.choices else self.clip(actions.astype(np.float32).astype(float))

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Actions as numbers (..., outputs): one-hot, choice after choice, or the vector itself."""
        if self.nvec:
            return np.concatenate([one_hot(actions[..., k], n) for k, n in enumerate(self.nvec)], axis=-1)
        return one_hot(actions, self.n_actions) if self.n_actions else actions

    def every(self) -> np.ndarray:
        """All discrete actions as numbers, (A, outputs) single precision; the last choice changes fastest."""
        if self.nvec:
            return self.encode(np.stack(np.unravel_index(np.arange(self.count), self.nvec), axis=-1)).astype(np.float32)
        return np.eye(self.n_actions, dtype=np.float32)

    def of_choices(self, numbers: np.ndarray) -> list[np.ndarray]:
        """(..., outputs) of every choice, (..., n) each."""
        return np.split(numbers, np.cumsum(self.choices)[:-1], axis=-1)

    def mask(self, told: Any) -> np.ndarray:
        """An action mask as it is told, zeros and ones: (outputs,) bool.

        Args:
            told: of several choices a tuple of their masks, or these side by side.

        Raises:
            ValueError: it is something else.
        """
        if not self.choices:
            raise ValueError("is for finitely many actions, and these are vectors")
        try:
            parts = [np.asarray(part) for part in told] if self.nvec and isinstance(told, tuple | list) else []
            whole = len(parts) == len(self.nvec) and [part.shape for part in parts] == [(n,) for n in self.nvec]
            array = np.concatenate(parts) if self.nvec and whole else np.asarray(told)
        except ValueError:              # a ragged list
            array = np.empty(0, dtype=object)
        if array.shape != (self.outputs,) or array.dtype.kind not in "biuf" or not ((array == 0) | (array == 1)).all():
            raise ValueError(f"should be {self.outputs} zeros and ones, one for each action, not {short(told)}")
        return array.astype(bool)

    def lacks(self, allowed: np.ndarray) -> np.ndarray:
        """(...,) bool, where nothing is allowed, or nothing of one of several choices, of (..., outputs)."""
        if not self.nvec:
            return np.asarray(~allowed.any(axis=-1))
        return np.logical_or.reduce([~part.any(axis=-1) for part in self.of_choices(allowed)])

    def leaves_choice(self, allowed: np.ndarray) -> np.ndarray:
        """(...,) bool, where more than one action is allowed, of (..., outputs)."""
        return np.asarray(allowed.sum(axis=-1) > len(self.choices))

    def first(self, allowed: np.ndarray) -> np.ndarray:
        """The first action that is allowed, of (..., outputs); of vectors the least entries, or -10^6."""
        if self.nvec:
            return np.stack([part.argmax(axis=-1) for part in self.of_choices(allowed)], axis=-1).astype(float)
        return allowed.argmax(axis=-1) if self.n_actions else np.broadcast_to(np.maximum(self.low, -1e6), allowed.shape)

    def best(self, values: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
        """The action of the largest value (the first of several), choice by choice, of (..., outputs).

        Args:
            allowed: (..., outputs) bool; None: all.
        """
        return self.first(self._largest(values if allowed is None else np.where(allowed, values, -np.inf)))

    def random(self, rng: np.random.Generator, samples: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """Actions drawn evenly: (samples,), or (samples, d) within their bounds, or +-1 where those are wider.

        Args:
            allowed: (samples, outputs) bool; None: all.
        """
        if self.choices and (self.nvec or allowed is not None):
            drawn = rng.random((samples, self.outputs))
            return self.first(self._largest(drawn if allowed is None else np.where(allowed, drawn, -1.0)))
        if self.n_actions:
            return rng.integers(self.n_actions, size=samples)
        return rng.uniform(np.maximum(self.low, -1.0), np.minimum(self.high, 1.0), (samples, self.size))

    def read(self, entries: np.ndarray) -> np.ndarray:
        """The agent's own actions from its entries of a joint action that is held as vectors, (..., widest size)."""
        return entries[..., 0].astype(int) if self.n_actions else entries[..., :self.size]

    def _largest(self, numbers: np.ndarray) -> np.ndarray:
        """(..., outputs) bool, where the largest number of its choice is."""
        return np.concatenate([part == part.max(axis=-1, keepdims=True) for part in self.of_choices(numbers)], axis=-1)


@dataclass(frozen=True)
class ProductSpace:
    """What several agents may do together.

    An action is (..., size) doubles, the agents' in turn: one number of a discrete one, d of several choices or of a
    vector.

    Attributes:
        parts: (N) the agents' action spaces.
    """

    parts: tuple[ActionSpace, ...]

    @property
    def size(self) -> int:
        """Numbers an action consists of."""
        return sum(part.size for part in self.parts)

    @property
    def outputs(self) -> int:
        """What a policy network gives for it: what it gives for each agent's action."""
        return sum(part.outputs for part in self.parts)


class JointChoices:
    """Joint actions of agents that make one choice each: held as (N, E) whole numbers, E games side by side.

    Attributes:
        spaces: (N) the agents' action spaces.
        size: numbers that are held for an agent and a game.
        outputs: F, how many numbers encode a joint action.
        dtype, wire: types of the array, and of what travels.
        n_actions: the most actions an agent can choose from; 0 where somebody's are vectors or several choices.
    """

    size = 1
    dtype: np.dtype = np.dtype(np.int64)

    def __init__(self, spaces: Sequence[ActionSpace]):
        self.spaces, self._first = tuple(spaces), _firsts(spaces)
        self.outputs = int(self._first[-1])
        self.n_actions = max(space.n_actions for space in spaces)
        self.wire = np.min_scalar_type(max(self.n_actions, 2) - 1)

    @property
    def nbytes(self) -> int:
        """Bytes of one agent's action as it travels; shorter vectors are sent as long as the longest."""
        return self.wire.itemsize * self.size

    def columns(self, agent: int) -> slice:
        """Where an agent's numbers are in an encoded joint action."""
        return slice(int(self._first[agent]), int(self._first[agent + 1]))

    def stack(self, own: Sequence[np.ndarray], agents: Iterable[int]) -> np.ndarray:
        """Actions of some agents as rows of a joint action: (n) arrays (E,) -> (n, E)."""
        return np.array(own)           # np.stack takes four times as long

    def of_nobody(self, games: int) -> np.ndarray:
        """Rows of a joint action in so many games where there is no agent."""
        return np.zeros((0, games), self.dtype)

    def clip(self, joint: np.ndarray) -> np.ndarray:
        """As it is: there are no bounds."""
        return joint

    def encode(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E), and who took part, (N, E) -> (E, F) single precision: one-hot in turn, zeros for others."""
        encoded = np.zeros((joint.shape[1], self.outputs), np.float32)
        agents, played = np.nonzero(active)
        encoded[played, self._first[agents] + joint[agents, played]] = 1.0
        return encoded

    def beside(self, numbers: Iterable[np.ndarray], there: np.ndarray) -> np.ndarray:
        """The agents' own actions as numbers, (N) arrays (E, outputs_i) -> (E, F) single precision, agent after agent.

        Args:
            there: (N, E) bool; zeros for agents that are not.
        """
        encoded = np.empty((there.shape[1], self.outputs), np.float32)
        for agent, (own, present) in enumerate(zip(numbers, there, strict=True)):
            encoded[:, self.columns(agent)] = own * present[:, None]
        return encoded

    def product(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E), and who took part, (N, E) -> (E, S) actions of the `ProductSpace` of all agents.

        The numbers of agents that took no part are NaN.
        """
        return np.where(active, joint, np.nan).T


class JointVectors(JointChoices):
    """Joint actions, some of them of several numbers: held as (N, E, widest size) doubles, one number in the first."""

    dtype = np.dtype(float)

    def __init__(self, spaces: Sequence[ActionSpace]):
        super().__init__(spaces)
        self.size, self.n_actions, self.wire = max(space.size for space in spaces), 0, np.dtype(np.float32)
        if all(space.choices for space in spaces):
            self.wire = np.min_scalar_type(max(max(space.choices) for space in spaces) - 1)
        self._low, self._high = (np.full((len(spaces), 1, self.size), bound) for bound in (-np.inf, np.inf))
        for low, high, space in zip(self._low, self._high, spaces, strict=True):
            low[0, :len(space.low)], high[0, :len(space.high)] = space.low, space.high

    def stack(self, own: Sequence[np.ndarray], agents: Iterable[int]) -> np.ndarray:
        """Actions of some agents as rows of a joint action: (n) arrays (E,) or (E, d) -> (n, E, size), zero-padded."""
        rows = np.zeros((len(own), len(own[0]), self.size))
        for row, actions, agent in zip(rows, own, agents, strict=True):
            width = self.spaces[agent].size
            row[:, :width] = actions.reshape(len(row), width)
        return rows

    def of_nobody(self, games: int) -> np.ndarray:
        """Rows of a joint action in so many games where there is no agent."""
        return np.zeros((0, games, self.size))

    def clip(self, joint: np.ndarray) -> np.ndarray:
        """Vectors within their bounds."""
        return np.clip(joint, self._low, self._high)

    def encode(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E, size), and who took part, (N, E) -> (E, F) single precision: one-hot or clipped, agent after agent."""
        return self.beside([space.encode(space.read(own)) for space, own in zip(self.spaces, self.clip(joint),
                                                                              strict=True)], active)

    def product(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E, size), and who took part, (N, E) -> (E, S), as drawn, see `JointChoices.product`."""
        there = np.where(active[..., None], joint, np.nan)
        return np.concatenate([own[:, :space.size] for own, space in zip(there, self.spaces, strict=True)], axis=1)


def joint_space(spaces: Sequence[ActionSpace]) -> JointChoices:
    """How the joint actions of agents with these spaces are held; of mixed ones all as vectors."""
    return (JointChoices if all(space.n_actions for space in spaces) else JointVectors)(spaces)


def one_hot(actions: np.ndarray, n_actions: int) -> np.ndarray:
    """(...) -> (..., n_actions), double."""
    return (actions[..., None] == np.arange(n_actions)).astype(float)


def _firsts(spaces: Sequence[ActionSpace]) -> np.ndarray:
    """(N + 1,) where each agent's numbers begin in an encoded joint action, and where the last one's end."""
    return np.cumsum([0, *(space.outputs for space in spaces)])
