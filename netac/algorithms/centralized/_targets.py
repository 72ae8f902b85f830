"""Parameters of a trainer's networks on process 0, beside those of targets that follow them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.agents.optimizers import Optimizer


@dataclass(frozen=True)
class Targeted:
    """The parameters of this process (there are none but on process 0).

    Attributes:
        omega: (networks, K) parameters.
        targets: omega', (networks, K).
        optimizer: turns gradients into directions.
    """

    omega: np.ndarray
    targets: np.ndarray
    optimizer: Optimizer

    def follow(self, tau: float) -> None:
        """omega' <- tau omega + (1 - tau) omega'."""
        follow(self.targets, self.omega, tau)

    @property
    def _held(self) -> dict[str, np.ndarray]:
        return {"trainer_critics": self.omega, "trainer_targets": self.targets,
                "trainer_optimizer": self.optimizer.rows,
                "trainer_optimizer_counts": self.optimizer.counts} if len(self.omega) else {}

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps of them."""
        return {name: rows.copy() for name, rows in self._held.items()}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave, on process 0."""
        for name, rows in self._held.items():
            rows[:] = kept[name]


def follow(target: np.ndarray, source: np.ndarray, tau: float) -> None:
    """target <- tau source + (1 - tau) target, in place; equal numbers stay equal, and tau = 1 makes them so."""
    if tau == 1.0:
        target[:] = source
    elif tau:
        target += np.array(tau, target.dtype) * (source - target)
