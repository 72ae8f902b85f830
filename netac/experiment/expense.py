"""What an iteration of an experiment costs, measured on a few of them, and how many of them a budget buys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netac.comm import launch
from netac.experiment.run import run
from netac.utils.errors import InputError

BUDGETS = {"samples": "env_steps", "bytes": "bytes_per_agent", "seconds": "wall_seconds",
           "simulated_seconds": "network_seconds"}                           # what summary.json says of each
ENOUGH, MOST = 0.3, 512          # seconds, and iterations, of a rehearsal
UNMEASURED = {"evaluate_every": 0, "tensorboard": False}


@dataclass(frozen=True)
class Budget:
    """How much every run of a comparison may spend.

    Attributes:
        kind: one of `BUDGETS`: joint samples, bytes sent by an agent, seconds of training, or of the network's clock.
        amount: of them.
    """

    kind: str
    amount: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """From 'samples=100000'.

        Raises:
            InputError: it cannot be understood.
        """
        kind, _, amount = text.partition("=")
        kind, valid = kind.strip().replace("-", "_"), "--budget " + ", ".join(f"{name}=NUMBER" for name in BUDGETS)
        try:
            number = float(amount.replace("_", ""))
        except ValueError:
            number = math.nan
        if kind not in BUDGETS or not 0 < number < math.inf:
            raise InputError("cannot be understood", key="--budget", found=text, valid=valid)
        return cls(kind, number)

    def __str__(self) -> str:
        return f"{self.kind}={self.amount:g}"

    def iterations(self, experiment: Mapping[str, Any]) -> int:
        """How many iterations an experiment may have: the fewest that spend it.

        Samples of an iteration are always as many.  Other costs are measured in a rehearsal: of graphs or networks that
        change, and of seconds, what is spent comes near to the budget.

        Raises:
            InputError: the experiment spends nothing of it.
        """
        spent = rehearse(experiment, 1 if self.kind == "samples" else MOST).get(self.kind, 0.0)
        if not spent > 0:
            why = {"bytes": "its agents send nothing", "simulated_seconds": "its network has no clock"}
            raise InputError(f"is never spent: {why.get(self.kind, 'nothing counts it')}", key="--budget",
                             found=str(self), valid="another budget, as samples=100000, or without this cell")
        return max(1, math.ceil(round(self.amount / spent, 6)))


def of_length(iterations: int) -> dict[str, int]:
    """The keys of a rehearsal of so many iterations."""
    return {"iterations": iterations, "log_every": iterations, "checkpoint_every": iterations}


def rehearse(experiment: Mapping[str, Any], most: int = MOST) -> dict[str, float]:
    """What an iteration costs, by the names of `BUDGETS`, those that the run counts.

    The experiment's first iterations are run in this process, and nothing is written: one, then twice as many until
    they have taken 0.3 seconds.

    Args:
        experiment: its tables.
        most: iterations.

    Raises:
        InputError: under mpirun, where others would have to take part.
    """
    if launch.is_mpi_launch():
        raise InputError("is not for mpirun", key="--budget", valid="--processes N, which launches every run by itself")

    def costs(iterations: int) -> dict[str, float]:
        summary = run({**experiment, **UNMEASURED, **of_length(iterations)}).summary
        return {name: float(summary[key]) for name, key in BUDGETS.items() if summary.get(key) is not None}

    first = last = costs(count := 1)
    while 2 * count <= most and last["seconds"] < ENOUGH:
        count *= 2
        last = costs(count)
    if count == 1:
        return first
    return {name: (last[name] - first[name]) / (count - 1) for name in last}
