"""Joint actions as numbers, for the models that see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netac.utils.spaces import ActionSpace, joint_space


class Encoding:
    """Joint actions as numbers for R(s, a) and Q(s, a): one-hot or vector, agent after agent.

    Attributes:
        joint: how joint actions are held before they are numbers.
    """

    def __init__(self, spaces: Sequence[ActionSpace]):
        self.joint = joint_space(spaces)

    @property
    def size(self) -> int:
        """F, how many numbers a joint action is."""
        return self.joint.outputs

    def columns(self, agent: int) -> slice:
        """The columns of an agent's numbers."""
        return self.joint.columns(agent)

    def __call__(self, joint: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(N, E) or (N, E, size), and who took part, (N, E) -> (E, F), single precision."""
        return self.joint.encode(joint, active)

    def alternatives(self, encoded: np.ndarray, agent: int, own: np.ndarray | None = None) -> np.ndarray:
        """(E, F) with the action of `agent` replaced by each of its A, or by each of K others: (E, A or K, F).

        Args:
            own: (E, K, d or more) actions, of which vectors are clipped to their bounds; None: all of its A actions.
        """
        space, columns = self.joint.spaces[agent], self.columns(agent)
        numbers = space.every() if own is None else space.encode(space.clip(own[..., :space.size]))
        others = np.repeat(encoded[:, None], numbers.shape[-2], axis=1)
        others[:, :, columns] = numbers
        return others

    def own_first(self, encoded: np.ndarray, agent: int) -> np.ndarray:
        """(..., F) with the numbers of `agent` before those of the others."""
        own = self.columns(agent)
        return np.concatenate([encoded[..., own], encoded[..., :own.start], encoded[..., own.stop:]], axis=-1)
