"""What the agents of a trainer with a replay hold: policies, targets of them, and the trainer's critics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Parameters
from netac.algorithms.centralized._on_policy import TrainerRequirements
from netac.algorithms.centralized._options import Replayed
from netac.algorithms.centralized._targets import Targeted, follow
from netac.algorithms.policy_gradient.learner import Learner, PolicyT, learners
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.replay import Replay, ReplayBatch
from netac.utils.streams import Purpose, generator

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.reparametrised import ReparametrisedPolicy
    from netac.algorithms.centralized._action_values import ActionValues

CriticsT = TypeVar("CriticsT", bound=Targeted)
ReportRow = dict[str, float | int | str]


@dataclass(frozen=True)
class ReplayRequirements(TrainerRequirements):
    """What the agents of a trainer with a replay hold.

    Attributes:
        every: whether the trainer has a critic Q(s, a_1, ..., a_N) for every agent, or one for the team.
    """

    builder: ClassVar[str] = "off-policy"

    value: Literal["state", "action"] = "action"
    every: bool = False


@dataclass
class OffPolicyReport:
    """What the updates of the last iteration did, as means over them.

    Attributes:
        norms: (n,) of the gradients of this process's policies, summed up until `close`.
        critics: (2, critics) losses of the trainer's critics, and their values of the samples, likewise.
        rows: of `table`.
    """

    norms: np.ndarray
    critics: np.ndarray
    rows: list[ReportRow] = field(default_factory=list)
    columns: ClassVar[tuple[str, ...]] = ("critic_loss", "mean_q", "policy_gradient")

    def close(self, links: TrainerLinks, updates: int) -> None:
        """Collect it after so many updates."""
        norms = links.gather(self.norms[:, None] / updates, counted=False)
        if norms is not None:
            self.rows = [{"agent": agent, "policy_gradient": norm} for agent, norm in enumerate(norms[:, 0].tolist())]
            whose: list[ReportRow] = self.rows if self.critics.shape[1] == len(norms) else [{"agent": "all"}]
            for row, (loss, value) in zip(whose, (self.critics / updates).T.tolist(), strict=True):
                row |= {"critic_loss": loss, "mean_q": value}
            self.rows += [row for row in whose if row["agent"] == "all"]
        self.norms[:] = self.critics[:] = 0.0

    def table(self) -> list[ReportRow]:
        """A row for each agent, and one called "all" for the team's critic (with one agent: in the agent's row)."""
        return self.rows


@dataclass(frozen=True)
class ReplayAgents(Generic[PolicyT, CriticsT]):
    """The agents of this process.

    Attributes:
        policy: as they act in the games, with exploration.
        targets: (n, d) theta', the parameters of their target policies.
        target_policy: networks for these.
        critics: the trainer's; those of other processes are none.
        replay: the samples that the agents keep, and the trainer on process 0.
        report: what the last iteration did.
    """

    parameters: Parameters
    policy: PolicyT
    optimizer: Optimizer
    targets: np.ndarray
    target_policy: PolicyT
    critics: CriticsT
    replay: Replay
    local: range
    seed: int
    report: OffPolicyReport

    @cached_property
    def together(self) -> Learner[PolicyT]:
        """All of them as one learner."""
        return Learner(self.policy, self.parameters.theta, self.optimizer)

    @cached_property
    def apart(self) -> dict[int, Learner[PolicyT]]:
        """Each as a learner by itself, by its number."""
        return learners(self.policy, self.parameters.theta, self.optimizer, self.local)

    def batches(self, k: int, links: TrainerLinks, settings: Replayed) -> Iterator[tuple[int, ReplayBatch]]:
        """The updates of iteration k by their numbers, with a batch each; then the report is closed.

        All processes draw the same batches, uniformly and with replacement.
        """
        slots = generator(self.seed, Purpose.REPLAY, k).integers(
            self.replay.held, size=(settings.updates, settings.batch))
        for u, drawn in enumerate(slots):
            yield k * settings.updates + u, self.replay.take(drawn)
        self.report.close(links, settings.updates)

    def follow(self, tau: float) -> None:
        """All targets go a part tau of the way."""
        follow(self.targets, self.parameters.theta, tau)
        self.critics.follow(tau)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What agents hold besides parameters and optimizers, (n, D) each: target policies, and the replay."""
        return {"target_policies": self.targets, **self.replay.rows}

    def state(self) -> dict[str, np.ndarray]:
        """What the trainer holds; on other processes only how many samples the replay has seen."""
        return self.critics.state() | self.replay.state()

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self.critics.restore(kept)
        self.replay.restore(kept)


OffPolicyAgents: TypeAlias = "ReplayAgents[ReparametrisedPolicy, ActionValues]"
"""Those whose policies are differentiable functions of observations, and critics of the state and the joint action."""
