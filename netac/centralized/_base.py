"""What the trainers have in common: their options, agents that learn, and how samples are dealt into minibatches.

A trainer is one module with `Settings`, `requirements(settings)` (which critics there are, whether policies are shared) and
`iterations(agents, world, star, settings, times)`, a generator that performs iteration t between two yields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from netac.agents.optimizers import Direction, Optimizer
from netac.agents.parameters import Parameters
from netac.agents.steps import Common, NonNegative, Radius, Step
from netac.centralized._diagnostics import Report
from netac.centralized._surrogates import Surrogate
from netac.options import Options
from netac.processes.rollouts import Samples
from netac.streams import Purpose, generator

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural import NeuralPolicy
    from netac.agents.reparametrised import ReparametrisedPolicy
    from netac.centralized._critics import Critics
    Policy = NeuralPolicy | ReparametrisedPolicy


class OnPolicy(Common):
    """Options of the trainers that learn from what the current policies did."""

    gamma: float | None = Field(0.99, ge=0, lt=1, allow_inf_nan=False, description="discount")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of the generalised advantage estimate")
    actor_step: Step = Field(5e-4, description="alpha: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma")
    critic_step: Step = Field(5e-4, description="beta, the step size of critics")
    clip: Radius = Field(10.0, description="largest norm of a gradient")
    rollout: int = Field(200, ge=1, le=10**6, description="steps of every game in an iteration")
    chunk: int = Field(10, ge=1, le=10**6, description=(
        "policies with memory: steps over which they are unrolled to learn; minibatches are made of whole chunks"))
    epochs: int = Field(5, ge=1, le=10**4, description="passes over the samples for the policies")
    critic_epochs: int = Field(5, ge=1, le=10**4, description="passes over the samples for critics")
    minibatches: int = Field(1, ge=1, le=10**6, description="parts of the samples, one step each, in a pass")
    critic_minibatches: int = Field(1, ge=1, le=10**6, description="the same in a pass for critics")
    entropy: NonNegative = Field(0.01, description="coefficient of the entropy bonus")
    decay: Literal["none", "linear"] = Field("none", description="step sizes: constant, or falling to 0 at the last iteration")
    team_reward: Literal["mean", "sum"] | None = Field(None, description=(
        "of the agents' rewards, where they differ; a trainer with one critic wants to know"))
    advantages: Literal["joint", "agent", "raw"] = Field("joint", description=(
        "to mean 0 and deviation 1: over all samples in which any agent took part, agent by agent over its own, or not at all"))
    value_normalisation: bool = Field(True, description="critics learn returns less their running mean, by their deviation")
    huber: Radius = Field(10.0, description="where the critics' loss becomes linear (in deviations, if normalised)")
    value_clip: Radius = Field(0.2, description=(
        "how far a critic's values may move in an iteration before its loss is clipped (in deviations, if normalised)"))


class Clipped(OnPolicy):
    """Options of the trainers that clip probability ratios."""

    clip_range: float = Field(0.2, gt=0, le=100, description="epsilon: ratios beyond 1 +- epsilon are clipped")
    clip_over_agents: bool = Field(False, description="epsilon / N instead of epsilon (paper 002)")

    def epsilon(self, agents: int) -> float:
        """Half the width of the clip range of `agents` = N agents.

        With epsilon / N, ratios within 1 +- epsilon / N of all of them keep the total variation of the joint policy below
        epsilon (paper 002, theorem 3 and the text after it).
        """
        return self.clip_range / agents if self.clip_over_agents else self.clip_range


class InTurn(Options):
    """Options of the trainers whose agents learn one after the other."""

    order: Literal["random", "fixed"] = Field("random", description="of the agents: drawn anew every time, or 0, 1, ...")


class Sequential(OnPolicy, InTurn):
    """Options of those that do so from what the current policies did."""


class Shareable(OnPolicy):
    """Options of the trainers whose agents may share their parameters."""

    parameters: Literal["shared", "separate"] = Field("shared", description="one policy for all agents, or one each")


@dataclass(frozen=True)
class TrainerRequirements:
    """What a trainer's agents hold.

    Attributes:
        critics: "state": one critic, the trainer's, of the global state; "observation": each agent its own, of what it sees.
        shared: whether all agents have the same policy (and critic) parameters.
        value: "state": critics are V(s); "action": the trainer's one is Q(s, a) of the state and the joint action.
    """

    critics: Literal["state", "observation"] = "state"
    shared: bool = False
    value: Literal["state", "action"] = "state"


@dataclass(frozen=True)
class Learner:
    """The policies of some agents of this process, and how they climb.

    Attributes:
        theta: (n, d) their parameters, which learning changes in place.
    """

    policy: Policy
    theta: np.ndarray
    optimizer: Optimizer

    def direction(self, samples: int) -> Direction:
        """Of theta, from gradients summed over so many samples."""
        return self.optimizer.over(samples).theta


def learners(policy: Policy, theta: np.ndarray, optimizer: Optimizer, agents: range) -> dict[int, Learner]:
    """The agents of a process each by itself, by its number."""
    return {agent: Learner(policy.of(range(agent, agent + 1)), theta[row:row + 1], optimizer.of(row))
            for row, agent in enumerate(agents)}


@dataclass(frozen=True)
class Agents:
    """The agents of this process.

    Attributes:
        local: which they are.
        seed: of the run.
        critics: theirs, or the trainer's; those of other processes are none.
        critics_are_local, critics_are_shared: whether they are theirs, and of equal parameters.
        report: what the last iteration did.
    """

    parameters: Parameters
    policy: NeuralPolicy
    optimizer: Optimizer
    critics: Critics
    critics_are_local: bool
    critics_are_shared: bool
    local: range
    seed: int
    report: Report

    @cached_property
    def together(self) -> Learner:
        """All of them."""
        return Learner(self.policy, self.parameters.theta, self.optimizer)

    @cached_property
    def apart(self) -> dict[int, Learner]:
        """Each by itself, by its number."""
        return learners(self.policy, self.parameters.theta, self.optimizer, self.local)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What agents hold besides parameters and optimizers, (n, D) each: statistics of their own critics."""
        return {"value_statistics": self.critics.statistics} if self.critics_are_local else {}

    def state(self) -> dict[str, np.ndarray]:
        """What the trainer holds; nothing on other processes."""
        return {"trainer_trace": self.report.trace.copy()} | ({} if self.critics_are_local else self.critics.state())

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take it up."""
        self.report.trace[:] = kept["trainer_trace"]
        if not self.critics_are_local:
            self.critics.restore(kept)


def ascend(learner: Learner, b: Samples, old: np.ndarray, M: np.ndarray, weigh: Callable[..., Surrogate], alpha: np.ndarray,
           parts: Iterator[np.ndarray | None], size: int, whole: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
    """Climb a surrogate sum_e w_e log pi(a_e|o_e), w being what `weigh(log ratios, M, active)` says at the current parameters.

    Args:
        old: (n, M) log probabilities before.
        M: (n, M) what the ratios are multiplied with.
        parts: the samples of each step; None: all.
        size: how many those are.
        whole: what is done to the gradients (n, d) of all agents before a step.
    """
    policy, theta, direction = learner.policy, learner.theta, learner.direction(size)
    for part in parts:
        here, then, worth = (b, old, M) if part is None else (b.take(part), old[:, part], M[:, part])
        surrogate = weigh(policy.log_prob(theta, here) - then, worth, here.active)
        gradient = policy.gradient(theta, here, surrogate.weights)
        theta += alpha * direction(gradient if whole is None else whole(gradient))


def deal(samples: int, minibatches: int, epochs: int, *key: int,
         chunks: np.ndarray | None = None) -> Iterator[np.ndarray | None]:
    """The samples of every step of `epochs` passes: None where a pass is one step, else parts of a permutation.

    Args:
        key: seed, iteration, and whose samples they are.
        chunks: (L, C) samples of which each column stays together; None: they are dealt one by one.
    """
    if minibatches == 1:
        yield from [None] * epochs
        return
    seed, *rest = key
    shuffles, chunks = generator(seed, Purpose.SHUFFLE, *rest), np.arange(samples)[None] if chunks is None else chunks
    for _ in range(epochs):
        for part in np.split(shuffles.permutation(chunks.shape[1]), minibatches):
            yield chunks[:, part].ravel()


def turns(agents: int, settings: InTurn, seed: int, t: int) -> list[int]:
    """The order in which the agents learn in iteration, or update, t."""
    return list(range(agents)) if settings.order == "fixed" else generator(seed, Purpose.ORDER, t).permutation(agents).tolist()
