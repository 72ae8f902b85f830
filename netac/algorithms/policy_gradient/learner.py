"""Policies that ascend a surrogate by steps of their local optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import numpy as np

from netac.agents.distributions import Distribution
from netac.agents.optimizers import Direction, Optimizer
from netac.agents.transitions import Transitions
from netac.algorithms.policy_gradient.diagnostics import diagnose
from netac.algorithms.policy_gradient.masks import kept
from netac.algorithms.policy_gradient.surrogates import Surrogate

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.autoregressive import AutoregressivePolicy
    from netac.agents.neural.policies import NeuralPolicy


class PolicyOfAgents(Protocol):
    """What a learner has for a policy."""

    def of(self, agents: range) -> Self:
        """The policies of some of the agents."""


PolicyT = TypeVar("PolicyT", bound=PolicyOfAgents)


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
        gradient = policy.gradient_by(theta, here, weights_of(weigh, then, worth, here.active), joint)
        theta += alpha * direction(gradient if whole is None else whole(gradient))


class Measured:
    """What the policies that drew some samples became, measured in these.

    Args:
        learner: the agents, at the policies that drew the samples `b`, for which gradients are asked for next.
        epsilon: half the width of the clip range; None without one.

    Attributes:
        old: (n, M) log probabilities of the actions taken, at the policies that drew them.
    """

    def __init__(self, learner: Learner[NeuralPolicy] | Learner[AutoregressivePolicy], b: Transitions,
                 epsilon: float | None):
        self._learner, self._b, self._epsilon = learner, b, epsilon
        self._before = learner.policy.distributions(learner.theta, b, keep=True)
        self.old = _log_densities(self._before, b)

    def rows(self, A: np.ndarray, active: np.ndarray | None, scales: np.ndarray) -> np.ndarray:
        """The numbers of `netac.algorithms.policy_gradient.diagnostics.COLUMNS`, (n, 7), at the policies now.

        Args:
            A: (n, M) advantages, divided by `scales` (n,).
            active: (n, M) who took part; None: all in all.
        """
        after = self._learner.policy.distributions(self._learner.theta, self._b)
        log_ratio = kept(_log_densities(after, self._b) - self.old, active)
        each = [slice(row, row + 1) for row in range(len(after))]
        nothing = np.zeros((1, A.shape[1]))
        return np.stack([diagnose(then, now, log_ratio[one], A[one], nothing, None if active is None else active[one],
                                  self._epsilon, scale)
                         for then, now, one, scale in zip(self._before, after, each, scales, strict=True)])


def _log_densities(distributions: list[Distribution], b: Transitions) -> np.ndarray:
    """log pi_i of the actions taken, (n, M)."""
    return np.stack([each.log_prob(actions) for each, actions in zip(distributions, b.own, strict=True)])


def weights_of(weigh: Callable[..., Surrogate], old: np.ndarray, M: np.ndarray,
             active: np.ndarray | None) -> Callable[[slice, np.ndarray], np.ndarray]:
    """The weights of some agents' samples, from their rows and their log probabilities now."""
    return lambda rows, now: weigh(now - old[rows], M[rows], None if active is None else active[rows]).weights
