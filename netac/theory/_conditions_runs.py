"""Runs under a network's conditions, and what they cost: samples, bytes and simulated seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import netac
from netac import topology
from netac.comm.conditions.delay import Delay
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.results.statistics import Interval, mean_interval
from netac.theory._claims import Row

RADIO = {"schedule": "wait", "latency": 0.02, "bandwidth": 1e6}        # every link: 20 ms, 1 Mbit/s
CONDITIONS: dict[str, dict[str, Any]] = {
    "plain": {}, "loss 10 %": {"loss": 0.1}, "loss 30 %": {"loss": 0.3}, "loss 50 %": {"loss": 0.5},
    "delay 1": {"delay": 1}, "delay 3": {"delay": 3}, "delay 10": {"delay": 10}, "1 bit": {"quantisation": 1},
    "2 bits": {"quantisation": 2}, "4 bits": {"quantisation": 4}, "8 bits": {"quantisation": 8}}
SPENT = ("samples", "kilobytes", "seconds")


@dataclass(frozen=True)
class Exercise:
    """What is learned, by whom, and what counts as learned.

    Attributes:
        name: in the tables.
        tables: the experiment, without its algorithm.
        algorithms: by name, the tables that differ.
        measured: the column of metrics.csv that says how well it goes.
        window: rows of metrics.csv over whose mean this is looked at.
        level: what is to be reached.
        budgets: by `SPENT`, at which algorithms are compared.
    """

    name: str
    tables: Mapping[str, Any]
    algorithms: Mapping[str, Mapping[str, Any]]
    measured: str
    window: int
    level: float
    budgets: Mapping[str, float]


@dataclass(frozen=True)
class RunCourse:
    """One run by rows of metrics.csv, without that before any sample.

    Attributes:
        spent: by `SPENT`, (rows,) each; kilobytes are what an agent sends to agree, on average; NaN seconds where
            nobody waits.
        value: (rows,) what is measured, the mean over the last rows of a window.
        exchanges: with all others, of an agent; where all hear all.
    """

    spent: Mapping[str, np.ndarray]
    value: np.ndarray
    exchanges: float

    def until(self, level: float) -> dict[str, float]:
        """What was spent when the level was first reached; infinite where it was not."""
        reached = self.value >= level
        row = int(reached.argmax())
        return {name: float(values[row]) if reached.any() else np.inf for name, values in self.spent.items()}

    def at(self, spent: str, budget: float) -> float:
        """The value in the last row within a budget, or in the first one where none is."""
        within = int(np.searchsorted(self.spent[spent], budget, side="right"))
        return float(self.value[max(0, within - 1)])


@dataclass(frozen=True)
class ConditionRuns:
    """The runs of one algorithm on one game under one condition: one for each seed."""

    game: Exercise
    algorithm: str
    condition: str
    courses: Sequence[RunCourse]

    @property
    def timed(self) -> bool:
        """Whether it is known how long it takes."""
        return "delay" not in CONDITIONS[self.condition]

    def at(self, spent: str) -> Interval:
        """The value at the game's budget: mean over seeds with its bootstrap interval."""
        return mean_interval(np.array([course.at(spent, self.game.budgets[spent]) for course in self.courses]))

    def ends(self) -> np.ndarray:
        """(seeds,) the value at the end."""
        return np.array([course.value[-1] for course in self.courses])

    def until(self, spent: str) -> np.ndarray:
        """(seeds,) what was spent to reach the level; infinite where it was not reached."""
        return np.array([course.until(self.game.level)[spent] for course in self.courses])

    def at_row(self) -> Row:
        """A line of a table: values at equal costs; None where nobody waits, so that it takes no known time."""
        found = self._name()
        for spent in SPENT:
            value = self.at(spent) if self.timed or spent != "seconds" else Interval(None, None, None)
            found |= {f"at {spent}": value.estimate, f"{spent} low": value.low, f"{spent} high": value.high}
        return found | {"end": float(self.ends().mean())}

    def until_row(self) -> Row:
        """A line of a table: costs to the level; None where they are not known or it was not reached."""
        found = self._name() | {"reached": float(np.isfinite(self.until("samples")).mean())}
        for spent in SPENT:
            costs = self.until(spent)
            for name, cost in (("", np.median(costs)), (" least", costs.min()), (" most", costs.max())):
                found[spent + name] = float(cost) if np.isfinite(cost) else None
        return found

    def _name(self) -> Row:
        return {"game": self.game.name, "algorithm": self.algorithm, "condition": self.condition}


def run(item: tuple[Exercise, str, str, int]) -> RunCourse:
    """The run of (game, algorithm, condition, seed)."""
    game, algorithm, condition, seed = item
    clock = {} if "delay" in CONDITIONS[condition] else {"clock": RADIO}    # nobody waits for what may come late
    found = netac.run({**game.tables, **game.algorithms[algorithm], "seed": seed,
                       "network": clock | CONDITIONS[condition]}).metrics
    value = np.asarray(found[game.measured], dtype=float)[1:]
    seconds = found["network_seconds"][1:] if "network_seconds" in found else np.full(len(value), np.nan)
    announced = found["bytes_environment"][-1] / np.min_scalar_type(1).itemsize      # actions, one byte a message
    spent = {"samples": found["env_steps"][1:].astype(float), "kilobytes": found["bytes_consensus"][1:] / 1000.0,
             "seconds": seconds}
    return RunCourse(spent, trailing(value, game.window),
                     float(found["messages"][-1] - announced) / max(1, game.tables["agents"] - 1))


def trailing(value: np.ndarray, window: int) -> np.ndarray:
    """(rows,) the mean of the last `window` values, at the beginning of those that there are."""
    sums = np.concatenate([[0.0], np.cumsum(value)])
    last = np.arange(1, len(value) + 1)
    first = np.maximum(0, last - window)
    return (sums[last] - sums[first]) / (last - first)


def speed(name: str, agents: int, delay: int, iterations: int) -> tuple[float, float]:
    """By how much agents that each add 1 in every iteration move in one, with late messages: measured, and foretold.

    x <- W_ii x(t) + (1 - W_ii) x(t - d) + 1 moves by 1 / (1 + d (1 - W_ii)) once it moves steadily; the graph is one in
    which all agents have the same weight W_ii.
    """
    loaded = topology.load(name, agents)
    late = Delay(delay, delay)
    late.name = "delay"
    network = Network(loaded.matrix, Placement(agents), Ledger(agents), None, [late])
    x, steps = np.zeros((agents, 1)), []
    for t in range(iterations):
        before = x[0, 0]
        x = network.mix(t, x) + 1.0
        steps.append(x[0, 0] - before)
    return float(np.mean(steps[-10 * (delay + 1):])), 1.0 / (1.0 + delay * (1.0 - float(loaded.matrix(0)[0, 0])))
