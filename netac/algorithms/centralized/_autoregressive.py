"""What there is where a trainer holds one model of all agents' actions, and acts for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Parameters
from netac.algorithms.centralized._on_policy import TrainerRequirements
from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport
from netac.algorithms.policy_gradient.learner import Learner
from netac.algorithms.policy_gradient.values import ValueNormaliser

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.autoregressive import AutoregressivePolicy


@dataclass(frozen=True)
class AutoregressiveRequirements(TrainerRequirements):
    """What such a trainer asks for: values are of what agents see."""

    builder: ClassVar[str] = "autoregressive"


@dataclass(frozen=True)
class AutoregressiveAgents:
    """All agents, and the model that acts for them, on process 0; on others there are none.

    Attributes:
        parameters: theta, the model in the row of agent 0.
        optimizer: of what agents hold by themselves, which is nothing.
        model_optimizer: the model's, one row.
        statistics: (1, 3) of the normaliser of values.
        local: the agents of this process.
        seed: of the run.
        report: what the last iteration did.
    """

    parameters: Parameters
    policy: AutoregressivePolicy
    optimizer: Optimizer
    model_optimizer: Optimizer
    local: range
    seed: int
    report: OnPolicyReport
    statistics: np.ndarray = field(default_factory=lambda: np.zeros((1, 3)))

    rows: ClassVar[dict[str, np.ndarray]] = {}      # what agents keep besides

    def learner(self, order: list[int]) -> Learner[AutoregressivePolicy]:
        """The model, whose agents act in this order."""
        return Learner(self.policy.in_order(order), self.parameters.theta[:1], self.model_optimizer)

    @property
    def normaliser(self) -> ValueNormaliser:
        """Of values; its state is `statistics`."""
        return ValueNormaliser(self.statistics)

    @property
    def _held(self) -> dict[str, np.ndarray]:
        return {"trainer_trace": self.report.trace, "trainer_value_statistics": self.statistics,
                "trainer_optimizer": self.model_optimizer.rows, "trainer_optimizer_counts": self.model_optimizer.counts}

    def state(self) -> dict[str, np.ndarray]:
        """What the trainer holds besides the model."""
        return {name: rows.copy() for name, rows in self._held.items()}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        for name, rows in self._held.items():
            rows[:] = kept[name]
