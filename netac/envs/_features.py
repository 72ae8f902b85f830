"""Feature maps psi(s, a) of linear critics; phi(s) is a table (S, K).

A map of joint actions offers `size`, `__call__(states, actions)` -> (M, size) and `alternatives(states, actions,
agents)` -> (n, M, A, size): the features with agent i's action replaced by each of its A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np


@dataclass(frozen=True)
class ActionsOneHot:
    """psi(s, a): every agent's action one-hot, scaled by 1/sqrt(N): N A numbers, of norm 1 (Assumption 4)."""

    agents: int
    actions: int

    @property
    def size(self) -> int:
        """L = N A."""
        return self.agents * self.actions

    def __call__(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(M,), (N, M) -> (M, L)."""
        samples, size = len(states), self.size
        psi, chosen = np.zeros((samples, size)), actions + self._first
        psi.reshape(-1)[chosen if samples == 1 else chosen + size * np.arange(samples)] = self._scale
        return psi

    def alternatives(self, states: np.ndarray, actions: np.ndarray, agents: range) -> np.ndarray:
        """(n, M, A, L)."""
        psi = np.broadcast_to(self(states, actions)[None, :, None, :],
                              (len(agents), len(states), self.actions, self.size)).copy()
        for row, agent in enumerate(agents):
            own = slice(agent * self.actions, (agent + 1) * self.actions)
            psi[row, :, :, own] = np.eye(self.actions) * self._scale
        return psi

    @cached_property
    def _first(self) -> np.ndarray:
        return (np.arange(self.agents) * self.actions)[:, None]

    @cached_property
    def _scale(self) -> np.ndarray:
        return np.array(1.0 / np.sqrt(self.agents))       # of no dimension: faster to assign than a float


@dataclass(frozen=True)
class ActionHistogram:
    """psi(s, a): how many agents took each action, over N: A numbers, whatever the number of agents."""

    agents: int
    actions: int

    @property
    def size(self) -> int:
        """L = A."""
        return self.actions

    def __call__(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(M,), (N, M) -> (M, A)."""
        return counts(actions, self.actions) / self.agents

    def alternatives(self, states: np.ndarray, actions: np.ndarray, agents: range) -> np.ndarray:
        """(n, M, A, A)."""
        others = counts(actions, self.actions) - np.eye(self.actions)[actions[agents.start:agents.stop]]
        return (others[:, :, None, :] + np.eye(self.actions)) / self.agents


@dataclass(frozen=True)
class JointTable:
    """psi(s, a) = row s J + a of `table` (S J, L), joint actions in C order (agent 0 slowest).

    Without a table psi is one-hot, L = S J.
    """

    states: int
    agents: int
    actions: int
    table: np.ndarray | None = None

    @property
    def size(self) -> int:
        """L."""
        return self.states * self.actions**self.agents if self.table is None else self.table.shape[1]

    def __call__(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(M,), (N, M) -> (M, L)."""
        return self.rows(states * self.actions**self.agents + joint_index(actions, self.actions))

    def alternatives(self, states: np.ndarray, actions: np.ndarray, agents: range) -> np.ndarray:
        """(n, M, A, L)."""
        taken = states * self.actions**self.agents + joint_index(actions, self.actions)
        stride = self.actions ** (self.agents - 1 - np.arange(agents.start, agents.stop))[:, None, None]
        own = actions[agents.start:agents.stop, :, None]
        return self.rows(taken[None, :, None] + (np.arange(self.actions) - own) * stride)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Rows s J + a of the table: (...) -> (..., L)."""
        if self.table is not None:
            return self.table[index]
        psi = np.zeros((*index.shape, self.size))
        np.put_along_axis(psi, index[..., None], 1.0, axis=-1)
        return psi


def counts(actions: np.ndarray, n_actions: int) -> np.ndarray:
    """How many agents took each of `n_actions` actions, per sample: (N, M) -> (M, n_actions), int."""
    samples = actions.shape[1]
    if samples == 1:
        return np.bincount(actions[:, 0], minlength=n_actions)[None]
    cells = (actions + n_actions * np.arange(samples)).ravel()
    return np.bincount(cells, minlength=n_actions * samples).reshape(samples, n_actions)


def joint_index(actions: np.ndarray, n_actions: int) -> np.ndarray:
    """Joint actions as one index in C order (agent 0 slowest): (N, M) -> (M,)."""
    return _place_values(len(actions), n_actions) @ actions


@lru_cache(maxsize=8)
def _place_values(agents: int, n_actions: int) -> np.ndarray:
    """What each agent's action counts in a joint action's index, (N,)."""
    return n_actions ** np.arange(agents - 1, -1, -1)
