"""Critics Q(s, a_1, ..., a_N) of the trainers with a replay, on process 0: one for every agent, or one for the team."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netac.agents.transitions import Transitions
from netac.algorithms.centralized._options import OffPolicy
from netac.algorithms.centralized._targets import Targeted
from netac.algorithms.policy_gradient.masks import average
from netac.algorithms.policy_gradient.values import team_reward, value_loss
from netac.sampling.replay import ReplayBatch

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.critics import NeuralActionValue


@dataclass(frozen=True)
class ActionValues(Targeted):
    """The critics of this process, see `Targeted`.

    Attributes:
        Q, Q_target: networks of omega, and of omega'.
        every: whether each agent has one.
    """

    Q: NeuralActionValue
    Q_target: NeuralActionValue
    every: bool
    settings: OffPolicy

    def samples(self, b: ReplayBatch, next_joint: np.ndarray) -> Transitions:
        """What each critic learns from: its agent's or the team's reward, and the samples in which that agent, or any,
        took part.

        Args:
            next_joint: (M, F) a' as numbers.
        """
        C, r, part, valued = len(self.omega), b.r, b.part, b.valued
        if not self.every:
            part, valued = (np.logical_or.reduce(each, axis=0, keepdims=True) for each in (part, valued))
        if not self.every or self.settings.team_reward is not None:
            r = np.repeat(team_reward(r, self.settings.team_reward), C, axis=0)
        return Transitions(seen=[b.state] * C, next_seen=[b.next_state] * C, joint=[b.joint] * C, r=r,
                           active=None if part.all() else part.astype(float), bootstrap_mask=valued.astype(float),
                           next_joint=[next_joint] * C)

    def returns(self, b: Transitions) -> np.ndarray:
        """y = r + gamma Q'(s', a'), the value of s' being 0 where it is terminal, (critics, M)."""
        return b.r + self.settings.discount * self.Q_target.next(self.targets, b)

    def regress(self, b: Transitions, y: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """A step down the mean of (y - Q(s, a))^2 / 2: the losses and the mean values before it, (2, critics)."""
        values = self.Q(self.omega, b)
        pulls, losses = value_loss(values, y, huber=self.settings.huber, active=b.active)
        self.omega[:] += beta * self.optimizer.over(y.shape[1]).omega(self.Q.gradient(self.omega, b, pulls))
        return np.stack([losses, average(values, b.active)])

    def slopes(self, state: np.ndarray, joint: list[np.ndarray]) -> list[np.ndarray]:
        """dQ(s, a) / da of every critic, (critics) arrays (M, F).

        Args:
            joint: (critics) joint actions (M, F), at which each is asked.
        """
        return self.Q.slopes(self.omega, [state] * len(joint), joint)
