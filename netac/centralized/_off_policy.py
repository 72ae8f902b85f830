"""What the trainers with a replay have in common: their options, and the agents of a process.

Their policies are differentiable functions of observations, and critics are of the state and the joint action.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Parameters
from netac.agents.steps import Common, NonNegative, Radius, Step
from netac.centralized._base import Learner, TrainerRequirements, learners
from netac.processes.replay import Replay
from netac.processes.star import Star

if TYPE_CHECKING:                # loads torch
    from netac.agents.reparametrised import ReparametrisedPolicy
    from netac.centralized._action_values import ActionValues


class OffPolicy(Common):
    """Options of the trainers that learn from a replay of what earlier policies did."""

    gamma: float | None = Field(0.95, ge=0, lt=1, allow_inf_nan=False, description="discount")
    actor_step: Step = Field(1e-3, description="alpha: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma")
    critic_step: Step = Field(1e-3, description="beta, the step size of critics")
    clip: Radius = Field(10.0, description="largest norm of a gradient")
    rollout: int = Field(10, ge=1, le=10**6, description="steps of every game in an iteration")
    updates: int = Field(10, ge=1, le=10**6, description="updates after the steps of an iteration, a batch each")
    buffer: int = Field(100_000, ge=1, le=10**9, description="joint samples the replay keeps")
    batch: int = Field(256, ge=1, le=10**6, description="samples of an update, drawn evenly from the replay")
    warmup: int = Field(1000, ge=0, le=10**12, description="joint samples before the first update")
    tau: float = Field(0.01, gt=0, le=1, description="what part of the way targets go towards what they follow, in an update")
    noise: NonNegative = Field(0.2, description=(
        "action vectors: standard deviation of the exploration noise, in half-ranges of the actions (in their own units where "
        "they are not bounded on both sides)"))
    epsilon: float = Field(0.0, ge=0, le=1, description="discrete actions: how often one is drawn evenly in training, not "
                                                        "from the policy")
    temperature: float = Field(1.0, gt=0, le=100, description="discrete actions: of the softmax that gradients pass")
    penalty: NonNegative = Field(1e-3, description="coefficient of the mean square of the policies' outputs")
    huber: Radius = Field(None, description="where the critics' loss becomes linear")
    team_reward: Literal["mean", "sum"] | None = Field(None, description=(
        "of the agents' rewards, for critics to learn from; without it each agent's critic learns from its own rewards, and a "
        "trainer with one critic wants to know where they differ"))


@dataclass(frozen=True)
class ReplayRequirements(TrainerRequirements):
    """What the agents of a trainer with a replay hold.

    Attributes:
        every: whether the trainer has a critic Q(s, a_1, ..., a_N) for every agent, or one for the team.
    """

    value: Literal["state", "action"] = "action"
    every: bool = False


@dataclass
class Report:
    """What the updates of the last iteration did, as means over them.

    Attributes:
        norms: (n,) of the gradients of this process's policies, summed up until `close`.
        critics: (2, critics) losses of the trainer's critics, and their values of the samples, likewise.
        rows: of `table`.
    """

    norms: np.ndarray
    critics: np.ndarray
    rows: list[dict[str, float | int | str]] = field(default_factory=list)
    columns: ClassVar[tuple[str, ...]] = ("critic_loss", "mean_q", "policy_gradient")

    def close(self, star: Star, updates: int) -> None:
        """Collect it after so many updates."""
        norms = star.collect(self.norms[:, None] / updates, counted=False)
        if norms is not None:
            self.rows = [{"agent": agent, "policy_gradient": norm} for agent, norm in enumerate(norms[:, 0].tolist())]
            whose = self.rows if self.critics.shape[1] == len(norms) else [{"agent": "all"}]
            for row, (loss, value) in zip(whose, (self.critics / updates).T.tolist(), strict=True):
                row |= {"critic_loss": loss, "mean_q": value}
            self.rows += [row for row in whose if row["agent"] == "all"]
        self.norms[:] = self.critics[:] = 0.0

    def table(self) -> list[dict[str, float | int | str]]:
        """A row for each agent; what is the team's critic's in one called "all" (with one agent: in its own)."""
        return self.rows


@dataclass(frozen=True)
class Agents:
    """The agents of this process.

    Attributes:
        policy: as they play, with what explores.
        targets: (n, d) theta', the parameters of their target policies.
        target_policy: networks for these.
        critics: the trainer's; those of other processes are none.
        replay: what the agents remember, and the trainer on process 0.
        report: what the last iteration did.
    """

    parameters: Parameters
    policy: ReparametrisedPolicy
    optimizer: Optimizer
    targets: np.ndarray
    target_policy: ReparametrisedPolicy
    critics: ActionValues
    replay: Replay
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
        """What agents hold besides parameters and optimizers, (n, D) each: target policies, and what they remember."""
        return {"target_policies": self.targets, **self.replay.rows}

    def state(self) -> dict[str, np.ndarray]:
        """What the trainer holds; of the replay how many samples it has seen on other processes."""
        return self.critics.state() | self.replay.state()

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take it up."""
        self.critics.restore(kept)
        self.replay.restore(kept)


def follow(target: np.ndarray, source: np.ndarray, tau: float) -> None:
    """target <- tau source + (1 - tau) target, in place; equal numbers stay equal."""
    target += np.array(tau, target.dtype) * (source - target)
