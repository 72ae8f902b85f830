"""Action spaces: what environments offer and policies choose from, one agent's and all agents' together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.utils.errors import short


@dataclass(frozen=True)
class ActionSpace:
    """What an agent may do: one of `n_actions` actions, 0, ..., n_actions - 1, or (n_actions = 0) a vector between
    bounds.

    Its methods take and give the agent's own actions: (...,) whole numbers, or (..., d) vectors.

    Attributes:
        n_actions: how many actions there are; 0 for vectors.
        low, high: bounds of a vector's entries (infinite ones allowed); empty for discrete actions.
    """

    n_actions: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Numbers an action consists of: 1 for discrete actions."""
        return 1 if self.n_actions else len(self.low)

    @property
    def outputs(self) -> int:
        """What a policy network gives for it: a logit for every action, or a mean for every entry."""
        return self.n_actions or len(self.low)

    @property
    def dtype(self) -> np.dtype:
        """Of a single action, as it is handed to an environment's users."""
        return np.dtype(np.int64 if self.n_actions else np.float32)

    def clip(self, actions: np.ndarray) -> np.ndarray:
        """Vectors within their bounds; discrete actions as they are."""
        return actions if self.n_actions else np.clip(actions, self.low, self.high)

    def rounded(self, actions: np.ndarray) -> np.ndarray:
        """Actions as the games take them: vectors rounded to single precision, as they travel, then clipped."""
        return actions if self.n_actions else self.clip(actions.astype(np.float32).astype(float))

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Actions as numbers (..., outputs): one-hot, or the vector itself."""
        return one_hot(actions, self.n_actions) if self.n_actions else actions

    def every(self) -> np.ndarray:
        """All discrete actions as numbers, (A, A) single precision."""
        return np.eye(self.n_actions, dtype=np.float32)

    def mask(self, told: Any) -> np.ndarray:
        """An action mask as it is told, zeros and ones: (outputs,) bool.

        Raises:
            ValueError: it is something else.
        """
        if not self.n_actions:
            raise ValueError("is for finitely many actions, and these are vectors")
        try:
            array = np.asarray(told)
        except ValueError:              # a ragged list
            array = np.empty(0, dtype=object)
        if array.shape != (self.outputs,) or array.dtype.kind not in "biuf" or not ((array == 0) | (array == 1)).all():
            raise ValueError(f"should be {self.outputs} zeros and ones, one for each action, not {short(told)}")
        return array.astype(bool)

    def lacks(self, allowed: np.ndarray) -> np.ndarray:
        """(...,) bool, where nothing is allowed, of (..., outputs)."""
        return np.asarray(~allowed.any(axis=-1))

    def leaves_choice(self, allowed: np.ndarray) -> np.ndarray:
        """(...,) bool, where more than one action is allowed, of (..., outputs)."""
        return np.asarray(allowed.sum(axis=-1) > self.size * bool(self.n_actions))

    def first(self, allowed: np.ndarray) -> np.ndarray:
        """The first action that is allowed, (...,) of (..., outputs); of vectors the least entries, or -10^6."""
        return allowed.argmax(axis=-1) if self.n_actions else np.broadcast_to(np.maximum(self.low, -1e6), allowed.shape)

    def random(self, rng: np.random.Generator, samples: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """Actions drawn evenly: (samples,), or (samples, d) within their bounds, or +-1 where those are wider.

        Args:
            allowed: (samples, outputs) bool; None: all.
        """
        if self.n_actions and allowed is not None:
            return np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=-1)
        if self.n_actions:
            return rng.integers(self.n_actions, size=samples)
        return rng.uniform(np.maximum(self.low, -1.0), np.minimum(self.high, 1.0), (samples, self.size))

    def read(self, entries: np.ndarray) -> np.ndarray:
        """The agent's own actions from its entries of a joint action that is held as vectors, (..., widest size)."""
        return entries[..., 0].astype(int) if self.n_actions else entries[..., :self.size]


@dataclass(frozen=True)
class ProductSpace:
    """What several agents may do together.

    An action is (..., size) doubles, the agents' in turn: one number of a discrete one, d of a vector.

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
    """Joint actions of agents that all choose among finitely many: held as (N, E) whole numbers, E games side by side.

    Attributes:
        spaces: (N) the agents' action spaces.
        size: numbers that are held for an agent and a game.
        outputs: F, how many numbers encode a joint action.
        dtype, wire: types of the array, and of what travels.
        n_actions: the most actions an agent can choose from; 0 where somebody's are vectors.
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

    def clip(self, joint: np.ndarray) -> np.ndarray:
        """As it is: there are no bounds."""
        return joint

    def encode(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E), and who took part, (N, E) -> (E, F) single precision: one-hot in turn, zeros for others."""
        encoded = np.zeros((joint.shape[1], self.outputs), np.float32)
        agents, played = np.nonzero(active)
        encoded[played, self._first[agents] + joint[agents, played]] = 1.0
        return encoded

    def product(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E), and who took part, (N, E) -> (E, S) actions of the `ProductSpace` of all agents.

        The numbers of agents that took no part are NaN.
        """
        return np.where(active, joint, np.nan).T


class JointVectors(JointChoices):
    """Joint actions, some of them vectors: held as (N, E, widest size) doubles, a discrete one in its first entry."""

    dtype = np.dtype(float)

    def __init__(self, spaces: Sequence[ActionSpace]):
        super().__init__(spaces)
        self.size, self.n_actions, self.wire = max(space.size for space in spaces), 0, np.dtype(np.float32)
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

    def clip(self, joint: np.ndarray) -> np.ndarray:
        """Vectors within their bounds."""
        return np.clip(joint, self._low, self._high)

    def encode(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E, size), and who took part, (N, E) -> (E, F) single precision: one-hot or clipped, agent after agent."""
        encoded, joint = np.zeros((joint.shape[1], self.outputs), np.float32), self.clip(joint)
        for agent, space in enumerate(self.spaces):
            encoded[:, self.columns(agent)] = space.encode(space.read(joint[agent])) * active[agent][:, None]
        return encoded

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
