"""Means of rewards and episodes as they come: since the last row, over a run's last iterations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netac.envs import has_costs
from netac.experiment.measures import COST_COLUMNS, measured_by
from netac.results.tables import Cell, Row
from netac.sampling.protocol import Sampler


@dataclass
class Average:
    """The mean of a quantity: since the last row, over the last 10 % of iterations, over the last `window` iterations.

    Attributes:
        iterations: T, which says where the last 10 % begin.
        window: how many last iterations decide what is efficient; 0: none do.
    """

    iterations: int
    window: int = 0

    def __post_init__(self) -> None:
        self._sums = [[0.0, 0] for _ in range(3)]      # sum and number: row, final, window
        self._starts = (0, self.iterations - max(1, self.iterations // 10), self.iterations - self.window)
        self._first_final = min(self._starts[1:])

    def add(self, t: int, total: float, samples: int) -> None:
        """Iteration t had `samples` values, `total` in all."""
        row = self._sums[0]
        row[0] += total
        row[1] += samples
        if t >= self._first_final:
            for start, sums in zip(self._starts[1:], self._sums[1:], strict=True):
                if t >= start:
                    sums[0] += total
                    sums[1] += samples

    def take_row(self) -> float | None:
        """Mean since the last call, None before the first sample."""
        total, samples = self._sums[0]
        self._sums[0] = [0.0, 0]
        return total / samples if samples else None

    @property
    def final(self) -> float | None:
        """Mean over the last 10 % of iterations, None if they had no value."""
        total, samples = self._sums[1]
        return total / samples if samples else None

    @property
    def last(self) -> float:
        """Mean over the last `window` iterations."""
        return self._sums[2][0] / self._sums[2][1]

    def state(self) -> np.ndarray:
        """What a checkpoint keeps."""
        return np.array(self._sums)

    def restore(self, state: np.ndarray, longer: bool) -> None:
        """Take up the sums of a checkpoint.

        Args:
            longer: whether it is of a run of fewer iterations, whose last ones are not this one's.
        """
        row, *last = [[total, int(samples)] for total, samples in state.tolist()]
        self._sums = [row, *([0.0, 0] if longer else sums for sums in last)]


def of_agents(costs: list[float | None]) -> dict[str, float | None]:
    """The columns of costs, from every agent's mean; of those that there are, None where there is none."""
    known = [cost for cost in costs if cost is not None]
    numbers = (sum(known) / len(known), max(known)) if known else (None, None)
    return dict(zip(COST_COLUMNS, numbers, strict=True)) if costs else {}


class RunAverages:
    """The rewards and, where games are played, the episodes of a run.

    Args:
        sampler: where they come from.
        iterations: T.
        window: how many last iterations decide what is efficient; 0: none do.

    Attributes:
        trace: of all rewards that this process has seen, equal where all of them are, to the last bit.
    """

    def __init__(self, sampler: Sampler, iterations: int, window: int):
        self._iterations = iterations
        self.rewards = Average(iterations, window)
        self._tally, self._episodes = sampler.tally, sampler.episodes
        self._returns, self._lengths, self._finished = Average(iterations), Average(iterations), 0
        self._measured = {name: Average(iterations) for name in measured_by(sampler.environment)}
        priced = self._episodes is not None and has_costs(sampler.environment)
        self._costs = [Average(iterations) for _ in range(sampler.placement.agents if priced else 0)]
        self.trace = 0

    def add(self, t: int) -> None:
        """What iteration t brought."""
        team, samples = self._tally.take()
        self.trace = hash((self.trace, team, samples))
        self.rewards.add(t, team, samples)
        if self._episodes is not None:
            finished, returns, lengths, measured = self._episodes.take()
            self._returns.add(t, returns, finished)
            self._lengths.add(t, lengths, finished)
            for name, average in self._measured.items():
                average.add(t, measured.get(name, 0.0), finished)
            self._finished += finished
            if self._costs:
                sums, parts = (np.broadcast_to(each, len(self._costs)).tolist() for each in self._tally.take_costs())
                for average, total, taken in zip(self._costs, sums, parts, strict=True):
                    average.add(t, total, int(taken))

    def take_row(self) -> Row:
        """Since the last call: `reward` and, of games, `episodes`, `episode_return`, `episode_length`, what the
        environment measures, and costs."""
        row: dict[str, Cell] = {"reward": self.rewards.take_row()}
        if self._episodes is not None:
            row |= {"episodes": self._finished, "episode_return": self._returns.take_row(),
                    "episode_length": self._lengths.take_row(),
                    **{name: average.take_row() for name, average in self._measured.items()},
                    **of_agents([average.take_row() for average in self._costs])}
        self._finished = 0
        return row

    def final(self) -> Row:
        """Means over the last 10 % of iterations: `reward` and, of games, those of episodes."""
        if self._episodes is None:
            return {"reward": self.rewards.final}
        return {"reward": self.rewards.final, "episode_return": self._returns.final,
                "episode_length": self._lengths.final,
                **{name: average.final for name, average in self._measured.items()},
                **of_agents([average.final for average in self._costs])}

    @property
    def _averages(self) -> dict[str, Average]:
        games = {} if self._episodes is None else {"returns": self._returns, "lengths": self._lengths}
        return {"rewards": self.rewards, **games,
                **{f"measured_{name}": average for name, average in self._measured.items()},
                **{f"cost_{agent}": average for agent, average in enumerate(self._costs)}}

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        return {**{name: average.state() for name, average in self._averages.items()},
                "finished": np.array(self._finished), "iterations": np.array(self._iterations)}

    def restore(self, checkpoint: Mapping[str, np.ndarray]) -> None:
        """Take up the sums of a checkpoint."""
        longer = int(checkpoint["iterations"]) < self._iterations
        for name, average in self._averages.items():
            average.restore(checkpoint[name], longer)
        self._finished = int(checkpoint["finished"])
