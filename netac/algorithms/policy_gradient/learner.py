"""Policies that ascend a surrogate by steps of their local optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from netac.agents.optimizers import Direction, Optimizer
from netac.agents.transitions import Transitions
from netac.algorithms.policy_gradient.surrogates import Surrogate

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy, PolicyNetworks

PolicyT = TypeVar("PolicyT", bound="PolicyNetworks")


@dataclass(frozen=True)
class Learner(Generic[PolicyT]):
    """The policies of some agents of this process, with their parameters and optimizers.

    Attributes:
        theta: (n, d) their parameters, which learning changes in place.
    """

    policy: PolicyT
    theta: np.ndarray
    optimizer: Optimizer

    def direction(self, samples: int) -> Direction:
        """Gives the direction of theta's step, from gradients summed over `samples` samples."""
        return self.optimizer.over(samples).theta


def learners(policy: PolicyT, theta: np.ndarray, optimizer: Optimizer, agents: range) -> dict[int, Learner[PolicyT]]:
    """A learner for each agent of a process by itself, by the agent's number."""
    return {agent: Learner(policy.of(range(agent, agent + 1)), theta[row:row + 1], optimizer.of(row))
            for row, agent in enumerate(agents)}


def ascend(learner: Learner[NeuralPolicy], b: Transitions, old: np.ndarray, M: np.ndarray,
           weigh: Callable[..., Surrogate], alpha: np.ndarray, parts: Iterator[np.ndarray | None], size: int,
           whole: Callable[[np.ndarray], np.ndarray] | None = None, joint: bool = False) -> None:
    """Gradient steps up a surrogate, each along sum_e w_e grad log pi(a_e|o_e).

    The weights w are those of `weigh(log ratios, M, active)` at the parameters before the step.

    Args:
        old: (n, M) log probabilities at the old policy.
        M: (n, M) what the ratios are multiplied with.
        parts: the samples of each step; None: all.
        size: how many samples a step has.
        whole: applied to the gradients (n, d) before a step, e.g. their mean over all agents.
        joint: whether an agent's weights depend on the other agents' ratios.
    """
    policy, theta, direction = learner.policy, learner.theta, learner.direction(size)
    for part in parts:
        here, then, worth = (b, old, M) if part is None else (b.take(part), old[:, part], M[:, part])
        gradient = policy.gradient_by(theta, here, _weights(weigh, then, worth, here.active), joint)
        theta += alpha * direction(gradient if whole is None else whole(gradient))


def _weights(weigh: Callable[..., Surrogate], old: np.ndarray, M: np.ndarray,
             active: np.ndarray | None) -> Callable[[slice, np.ndarray], np.ndarray]:
    """The weights of some agents' samples, from their rows and their log probabilities now."""
    return lambda rows, now: weigh(now - old[rows], M[rows], None if active is None else active[rows]).weights
