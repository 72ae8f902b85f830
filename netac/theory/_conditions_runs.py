"""Runs of the games of `learning_under_conditions` under a network's conditions, and what they cost to a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import netac
from netac.results.statistics import Interval, mean_interval
from netac.theory._claims import Row

RADIO = {"schedule": "wait", "latency": 0.02, "bandwidth": 1e6}        # every link: 20 ms, 1 Mbit/s
CONDITIONS: dict[str, dict[str, Any]] = {
    "plain": {}, "loss 10 %": {"loss": 0.1}, "loss 30 %": {"loss": 0.3}, "loss 50 %": {"loss": 0.5},
    "delay 1": {"delay": 1}, "delay 3": {"delay": 3}, "delay 10": {"delay": 10}, "1 bit": {"quantisation": 1},
    "2 bits": {"quantisation": 2}, "4 bits": {"quantisation": 4}, "8 bits": {"quantisation": 8}}
SPENT = ("samples", "kilobytes", "seconds")


@dataclass(frozen=True)
class Game:
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
class Course:
    """One run, row by row of metrics.csv, of which the first `window` - 1 are left out.

    Attributes:
        spent: by `SPENT`, (rows,) each; kilobytes are an agent's own in consensus, on average; NaN seconds under delays.
        value: (rows,) what is measured, the mean over a window.
        exchanges: rounds of consensus in all.
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
        """The value when so much was spent, or at the end where the run spent less; NaN before the first row."""
        within = np.flatnonzero(self.spent[spent] <= budget)
        return float(self.value[within[-1]]) if len(within) else np.nan


@dataclass(frozen=True)
class Cell:
    """The runs of one algorithm on one game under one condition: one for each seed."""

    game: Game
    algorithm: str
    condition: str
    courses: Sequence[Course]

    def at(self, spent: str) -> Interval:
        """The value at the game's budget: mean over seeds with its bootstrap interval."""
        return mean_interval(np.array([course.at(spent, self.game.budgets[spent]) for course in self.courses]))

    def until(self, spent: str) -> np.ndarray:
        """(seeds,) what was spent to reach the level."""
        return np.array([course.until(self.game.level)[spent] for course in self.courses])

    @property
    def reached(self) -> float:
        """The share of seeds that reached the level."""
        return float(np.isfinite(self.until("samples")).mean())

    def row(self) -> Row:
        """For the table: values at equal costs, costs to the level (medians over seeds; None where half did not)."""
        found: Row = {"game": self.game.name, "algorithm": self.algorithm, "condition": self.condition}
        for spent in SPENT:
            known = not np.isnan(self.courses[0].spent[spent]).any()
            value = self.at(spent) if known else Interval(None, None, None)
            found[f"at_{spent}"] = value.estimate
            if spent == "samples":
                found |= {"low": value.low, "high": value.high}
        found["reached"] = self.reached
        for spent in SPENT:
            middle = float(np.median(self.until(spent)))
            found[spent] = middle if np.isfinite(middle) else None
        return found


def run(item: tuple[Game, str, str, int]) -> Course:
    """The run of (game, algorithm, condition, seed)."""
    game, algorithm, condition, seed = item
    clock = {} if "delay" in CONDITIONS[condition] else {"clock": RADIO}    # nobody waits for what may come late
    found = netac.run({**game.tables, **game.algorithms[algorithm], "seed": seed,
                       "network": clock | CONDITIONS[condition]}).metrics
    value = np.asarray(found[game.measured], dtype=float)[1:]               # the first row is before any sample
    rows, window = slice(game.window, None), np.ones(game.window) / game.window
    samples = found["env_steps"].astype(float)[rows]
    seconds = found["network_seconds"][rows] if "network_seconds" in found else np.full(len(samples), np.nan)
    return Course({"samples": samples, "kilobytes": found["bytes_consensus"][rows] / 1000.0, "seconds": seconds},
                  np.convolve(value, window, "valid"), 0.0)
