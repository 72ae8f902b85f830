"""What the agents of a central trainer hold, where they learn from what the current policies did.

A trainer is one module with `Settings`, `requirements(settings)` (which critics there are, whether policies are shared)
and `iterations(agents, sampler, links, settings, times)`, a generator that performs iteration t between two yields.

Means E[...] in the trainers' equations are over all samples of a rollout, as in the papers' code; with
`discounted_gradient = true` what their ratios are multiplied with is gamma^t as much in step t of an episode, as rho_pi
of the papers means (`netac.algorithms.policy_gradient.advantages.own_advantages`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Parameters
from netac.algorithms.centralized._costs import LimitedCosts
from netac.algorithms.policy_gradient.critics import Critics
from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport
from netac.algorithms.policy_gradient.learner import Learner, learners

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy


@dataclass(frozen=True)
class TrainerRequirements:
    """What a trainer's agents hold.

    Attributes:
        critics: "state": one critic, the trainer's, of the global state; "own": one for each agent, of its own
            observations.
        shared: whether all agents have the same policy (and critic) parameters.
        value: "state": critics are V(s); "action": the trainer's one is Q(s, a) of the state and the joint action.
        costs: whether costs are kept within limits: the trainer has a critic of each agent's costs, too.
        multipliers: whether by multipliers, which the trainer keeps.
        builder: what makes such agents, a key of `netac.experiment.build.BUILDERS`.
    """

    builder: ClassVar[str] = "on-policy"

    critics: Literal["state", "own"] = "state"
    shared: bool = False
    value: Literal["state", "action"] = "state"
    costs: bool = False
    multipliers: bool = False

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of what is reported of each agent besides what all trainers report."""
        return ("cost",) * self.costs + ("multiplier",) * self.multipliers


@dataclass(frozen=True)
class OnPolicyAgents:
    """The agents of this process.

    Attributes:
        local: which they are.
        seed: of the run.
        critics: theirs, or the trainer's; those of other processes are none.
        critics_are_local, critics_are_shared: whether they are theirs, and of equal parameters.
        report: what the last iteration did.
        limited: what the trainer knows of costs; None where nobody asks.
    """

    parameters: Parameters
    policy: NeuralPolicy
    optimizer: Optimizer
    critics: Critics
    critics_are_local: bool
    critics_are_shared: bool
    local: range
    seed: int
    report: OnPolicyReport
    limited: LimitedCosts | None = None

    @cached_property
    def together(self) -> Learner[NeuralPolicy]:
        """All of them as one learner."""
        return Learner(self.policy, self.parameters.theta, self.optimizer)

    @cached_property
    def apart(self) -> dict[int, Learner[NeuralPolicy]]:
        """Each as a learner by itself, by its number."""
        return learners(self.policy, self.parameters.theta, self.optimizer, self.local)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What agents hold besides parameters and optimizers, (n, D) each: statistics of their own critics."""
        return {"value_statistics": self.critics.statistics} if self.critics_are_local else {}

    def state(self) -> dict[str, np.ndarray]:
        """What the trainer holds; nothing on other processes."""
        kept = {} if self.critics_are_local else self.critics.state()
        return {"trainer_trace": self.report.trace.copy()} | kept | (self.limited.state() if self.limited else {})

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self.report.trace[:] = kept["trainer_trace"]
        if not self.critics_are_local:
            self.critics.restore(kept)
        if self.limited:
            self.limited.restore(kept)
