"""Joint actions as numbers, for the models that see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netac.utils.spaces import ActionSpace


def action_type(n_actions: Sequence[int]) -> np.dtype:
    """The numbers as which actions travel, given how many each agent chooses from: small ones; single precision where
    some agent's are vectors (0)."""
    return np.min_scalar_type(max(*n_actions, 2) - 1) if all(n_actions) else np.dtype("f4")


def action_bytes(spaces: Sequence[ActionSpace]) -> int:
    """Of one agent's action as it travels; shorter vectors are sent as long as the longest."""
    return action_type([space.n_actions for space in spaces]).itemsize * max(space.size for space in spaces)


class Encoding:
    """Joint actions as numbers for reward models: one-hot or vector, agent after agent."""

    def __init__(self, spaces: tuple[ActionSpace, ...]):
        self._spaces = spaces
        ends = np.cumsum([0, *(space.outputs for space in spaces)])
        self._first, self.size = ends[:-1], int(ends[-1])
        self._discrete = all(space.n_actions for space in spaces)
        size = max(space.size for space in spaces)
        self._low, self._high = np.full((2, len(spaces), 1, size), np.array([-np.inf, np.inf])[:, None, None, None])
        for agent, space in enumerate(spaces):
            if not space.n_actions:
                self._low[agent, 0, :space.size], self._high[agent, 0, :space.size] = space.low, space.high

    def columns(self, agent: int) -> slice:
        """Where the numbers of an agent are."""
        first = int(self._first[agent])
        return slice(first, first + self._spaces[agent].outputs)

    def within(self, joint: np.ndarray) -> np.ndarray:
        """The joint action as the environment takes it: vectors clipped to their bounds."""
        return joint if self._discrete else np.clip(joint, self._low, self._high)

    def __call__(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E) or (N, E, size), and who took part, (N, E) -> (E, F), single precision."""
        games = joint.shape[1]
        encoded = np.zeros((games, self.size), np.float32)
        if self._discrete:
            agents, played = np.nonzero(active)
            encoded[played, self._first[agents] + joint[agents, played]] = 1.0
            return encoded
        joint = self.within(joint)
        for agent, space in enumerate(self._spaces):
            if space.n_actions:
                encoded[np.arange(games), self._first[agent] + joint[agent, :, 0].astype(int)] = active[agent]
            else:
                encoded[:, self.columns(agent)] = joint[agent, :, :space.size] * active[agent][:, None]
        return encoded

    def alternatives(self, encoded: np.ndarray, agent: int) -> np.ndarray:
        """(E, F) with the action of `agent` replaced by each of its A: (E, A, F)."""
        return self._replaced(encoded, agent, np.eye(self._spaces[agent].n_actions, dtype=np.float32))

    def other_vectors(self, encoded: np.ndarray, agent: int, own: np.ndarray) -> np.ndarray:
        """(E, F) with the vector of `agent` replaced by each of K others, (E, K, d), within its bounds: (E, K, F)."""
        size = self._spaces[agent].size
        return self._replaced(encoded, agent, np.clip(own, self._low[agent, :, :size], self._high[agent, :, :size]))

    def _replaced(self, encoded: np.ndarray, agent: int, own: np.ndarray) -> np.ndarray:
        others = np.repeat(encoded[:, None], own.shape[-2], axis=1)
        others[:, :, self.columns(agent)] = own
        return others

    def own_first(self, encoded: np.ndarray, agent: int) -> np.ndarray:
        """(..., F) with the numbers of `agent` before those of the others."""
        own = self.columns(agent)
        return np.concatenate([encoded[..., own], encoded[..., :own.start], encoded[..., own.stop:]], axis=-1)
