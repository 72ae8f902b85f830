"""How a trainer mixes its agents' utilities into the team's action value Q_tot, and how Q_tot is learned, on process 0.

A mixing is a pure function of numbers w, which a network of the trainer gives for every sample, and of the utilities.
It gives Q_tot with its derivatives, so that nothing else needs to know what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netac.agents.protocols import LEFT_OUT
from netac.agents.transitions import sample_weight
from netac.algorithms.centralized._on_policy import TrainerRequirements
from netac.algorithms.centralized._options import Factorised
from netac.algorithms.centralized._targets import Targeted
from netac.algorithms.policy_gradient.masks import average
from netac.algorithms.policy_gradient.values import team_reward, value_loss
from netac.sampling.replay import ReplayBatch
from netac.utils.spaces import ActionSpace

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.critics import NeuralWeights


@dataclass(frozen=True)
class MixingRequirements(TrainerRequirements):
    """What a trainer that mixes utilities asks for.

    Attributes:
        value: "state": w is of the state; "action": of the state and the joint action.
        weights: how many numbers w are, given all agents' action spaces; None: there are none.
        maxima: whether the mixing asks for every agent's largest utility.
        actions: whether it asks for the joint action.
    """

    builder: ClassVar[str] = "factorised"

    weights: Callable[[Sequence[ActionSpace]], int] | None = None
    maxima: bool = False
    actions: bool = False


@dataclass(frozen=True)
class Utilities:
    """What the agents say of M joint actions; 0 of agents that take no part.

    Attributes:
        Q: (N, M) Q_i(o_i, a_i).
        V: (N, M) the largest Q_i(o_i, .) of what is allowed, where the mixing asks for it.
        joint: (M, F) the joint action as numbers, where it does.
    """

    Q: np.ndarray
    V: np.ndarray = LEFT_OUT
    joint: np.ndarray = LEFT_OUT


@dataclass(frozen=True)
class TeamValue:
    """Q_tot, and its derivatives.

    Attributes:
        total: (M,) Q_tot.
        Q, V: (N, M) dQ_tot / dQ_i and, where the mixing asks for them, dQ_tot / dV_i.
        w: (M, K) dQ_tot / dw, where there are any.
    """

    total: np.ndarray
    Q: np.ndarray
    V: np.ndarray = LEFT_OUT
    w: np.ndarray = LEFT_OUT


Mix = Callable[[np.ndarray, Utilities], TeamValue]      # of w (M, K), and utilities


@dataclass(frozen=True)
class Mixer(Targeted):
    """The network that gives w, if there is one, and its target; see `Targeted`.

    Attributes:
        hypernetwork, target: networks of omega, and of omega'.
    """

    needs: MixingRequirements
    settings: Factorised
    hypernetwork: NeuralWeights | None = None
    target: NeuralWeights | None = None

    def returns(self, b: ReplayBatch, following: Utilities, mix: Mix) -> np.ndarray:
        """y = r + gamma Q'_tot(s', a'), the value of s' being 0 where it is terminal for all agents, (M,).

        Args:
            following: what the target utilities say of a'.
        """
        w = LEFT_OUT if self.target is None else self.target(self.targets, b.next_state, following.joint)
        beyond = np.where(b.valued.any(axis=0), mix(w, following).total, 0.0)
        return team_reward(b.r, self.settings.team_reward)[0] + self.settings.discount * beyond

    def regress(self, b: ReplayBatch, told: Utilities, y: np.ndarray, mix: Mix,
                beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A step of w down the mean of (y - Q_tot(s, a))^2 / 2.

        Returns:
            (2, 1) the loss and the mean value before it, and (N, C, M) minus the loss's derivatives in the agents' Q_i
            and, where the mixing asks for them, V_i: times a weight such that the sum over samples / M is a mean.
        """
        part = np.logical_or.reduce(b.part, axis=0, keepdims=True).astype(float)
        w = LEFT_OUT if self.hypernetwork is None else self.hypernetwork(self.omega, b.state, told.joint, keep=True)
        mixed = mix(w, told)
        values = mixed.total[None]
        pulls, losses = value_loss(values, y[None], huber=self.settings.huber, active=part)
        pulls *= sample_weight(part)
        if self.hypernetwork is not None:
            gradient = self.hypernetwork.gradient(self.omega, b.state, told.joint, pulls.T * mixed.w)
            self.omega[:] += beta * self.optimizer.over(len(y)).omega(gradient)
        slopes = [mixed.Q, mixed.V] if self.needs.maxima else [mixed.Q]
        return np.stack([losses, average(values, part)]), np.stack(slopes, axis=1) * pulls * b.part[:, None]
