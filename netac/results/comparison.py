"""Algorithms held side by side over seeds: `comparison.csv`, `comparison_runs.csv` and the table on the screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.errors import InputError
from netac.results.curves import Curve, reward_at, stack_curves
from netac.results.files import atomic_write
from netac.results.metrics import Cell, csv_text
from netac.results.runs import SUMMARY, RunRecord
from netac.results.statistics import Interval, iqm, iqm_interval, rate_interval

if TYPE_CHECKING:
    from rich.table import Table

_UNKNOWN = Interval(math.nan, math.nan, math.nan)
_COSTS = ("env_steps", "bytes_per_agent", "wall_seconds")
_RUN_COLUMNS = ("algorithm", "seed", "status", "final_reward", *_COSTS, "efficient", "reward_at_samples", "error")


@dataclass(frozen=True)
class SeedResult:
    """What one algorithm reached with one seed.

    Attributes:
        algorithm: its name.
        seed: the run's seed.
        status: "ok" or "failed"; of a failed run only `error` counts.
        final_reward: team-mean reward per step over the last 10 % of iterations.
        env_steps: joint samples drawn.
        bytes_per_agent: bytes sent by an agent, all purposes together.
        wall_seconds: duration.
        efficient: whether the coordination game ended in an efficient equilibrium; None in other environments.
        error: why the run failed.
        curve: the columns of its `metrics.csv`, with at least `iteration`, `env_steps` and `reward`.
    """

    algorithm: str
    seed: int
    status: str = "ok"
    final_reward: float = math.nan
    env_steps: float = math.nan
    bytes_per_agent: float = math.nan
    wall_seconds: float = math.nan
    efficient: bool | None = None
    error: str | None = None
    curve: Curve = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_record(cls, record: RunRecord) -> SeedResult:
        """The result of a finished run, from its folder; a null in its summary is NaN, a missing key an InputError."""
        summary, numbers = record.summary, ("final_reward", *_COSTS)
        if missing := {"algorithm", "seed", *numbers} - set(summary):
            raise InputError(f"has no {', '.join(sorted(missing))}", file=record.folder / SUMMARY)
        numbers = {name: math.nan if summary[name] is None else summary[name] for name in numbers}
        return cls(algorithm=summary["algorithm"], seed=summary["seed"], efficient=summary.get("efficient"),
                   curve=record.metrics, **numbers)


@dataclass(frozen=True)
class Comparison:
    """A comparison of algorithms over seeds.

    Attributes:
        rows: one mapping per algorithm: the columns of `comparison.csv`.
        runs: one mapping per algorithm and seed: the columns of `comparison_runs.csv`.
    """

    rows: tuple[dict[str, Cell], ...]
    runs: tuple[dict[str, Cell], ...]

    def column(self, name: str) -> np.ndarray:
        """One column of `rows`, shape (algorithms,); NaN for a number that is not known."""
        return np.array([math.nan if row[name] is None else row[name] for row in self.rows])

    def write(self, folder: str | Path) -> None:
        """Write `comparison.csv` and `comparison_runs.csv` into `folder`; RunError where that fails."""
        for name, rows in (("comparison.csv", self.rows), ("comparison_runs.csv", self.runs)):
            atomic_write(Path(folder) / name, csv_text(tuple(rows[0]), rows))


def compare_results(results: Sequence[SeedResult]) -> Comparison:
    """Put the results of several algorithms and seeds side by side, algorithms in the order of their first result.

    Numbers are interquartile means over the seeds that succeeded, `_low` and `_high` the bounds of 95 % intervals:
    bootstrap for rewards, Wilson for `efficient_rate`.  `samples_compared` is the largest number of joint samples that
    every run drew; `reward_at_samples` is the reward there (see `curves.reward_at`), so that algorithms that draw
    several samples in an iteration are held against the others fairly.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("no results to compare")
    succeeded = [result for result in results if result.status == "ok"]
    samples = min((_samples_drawn(result.curve) for result in succeeded), default=0)
    rewards = {id(result): reward_at(result.curve, samples) if samples else math.nan for result in succeeded}
    has_rate = any(result.efficient is not None for result in succeeded)
    rows = [_algorithm_row(algorithm, group, samples, rewards, has_rate) for algorithm, group in _groups(results)]
    runs = [_run_row(result, rewards.get(id(result), math.nan), has_rate) for result in results]
    return Comparison(tuple(rows), tuple(runs))


def comparison_curves(results: Iterable[SeedResult], column: str = "reward") -> dict[str, dict[str, np.ndarray]]:
    """The curves of the runs that succeeded, stacked for each algorithm, as `plots.plot_comparison` takes them."""
    succeeded = [result for result in results if result.status == "ok"]
    return {name: stack_curves([result.curve for result in group], column) for name, group in _groups(succeeded)}


def efficient_runs(results: Iterable[SeedResult]) -> dict[str, np.ndarray]:
    """For each algorithm, which of its runs were efficient, shape (runs,); empty where the environment cannot tell."""
    known = [result for result in results if result.status == "ok" and result.efficient is not None]
    return {name: np.array([result.efficient for result in group]) for name, group in _groups(known)}


def format_table(comparison: Comparison, title: str | None = None) -> Table:
    """The comparison as a table for the screen: estimates with their intervals (it fits 80 columns)."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    first = comparison.rows[0]
    samples = first["samples_compared"]
    columns = {"algorithm": lambda row: str(row["algorithm"]),
               "seeds": lambda row: f"{row['seeds']}/{row['seeds'] + row['failed']}",
               "final\nreward": lambda row: _with_interval(row, "final_reward")}
    if "efficient_rate" in first:
        columns["efficient"] = lambda row: _with_interval(row, "efficient_rate")
    if samples and any(row["env_steps"] not in (samples, None) for row in comparison.rows):
        columns[f"reward at\n{samples:,} samples"] = lambda row: _with_interval(row, "reward_at_samples")
    columns["samples\ndrawn"] = lambda row: _rounded(row["env_steps"], decimals=0)
    columns["kB per\nagent"] = lambda row: _rounded(row["bytes_per_agent"], 1e3)
    columns["wall\ntime"] = lambda row: _rounded(row["wall_seconds"], unit="s")
    table = Table(title=title, caption="seeds that succeeded; interquartile means [95 % interval]",
                  box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name == "algorithm" else "right", overflow="fold")
    for row in comparison.rows:
        table.add_row(*(escape(text(row)) for text in columns.values()))
    return table


def _groups(results: Iterable[SeedResult]) -> list[tuple[str, list[SeedResult]]]:
    groups: dict[str, list[SeedResult]] = {}
    for result in results:
        groups.setdefault(result.algorithm, []).append(result)
    return list(groups.items())


def _samples_drawn(curve: Curve) -> int:
    drawn = curve.get("env_steps", np.empty(0))
    return int(drawn[-1]) if len(drawn) else 0


def _algorithm_row(algorithm: str, group: Sequence[SeedResult], samples: int, rewards: dict[int, float],
                   has_rate: bool) -> dict[str, Cell]:
    succeeded = [result for result in group if result.status == "ok"]
    row: dict[str, Cell] = {"algorithm": algorithm, "seeds": len(succeeded), "failed": len(group) - len(succeeded)}
    row |= _interval_cells("final_reward", _estimate([result.final_reward for result in succeeded]))
    for name in _COSTS:
        row[name] = _known(iqm(np.array([getattr(result, name) for result in succeeded])) if succeeded else math.nan)
    if has_rate:
        outcomes = [result.efficient for result in succeeded if result.efficient is not None]
        row |= _interval_cells("efficient_rate", rate_interval(np.array(outcomes)) if outcomes else _UNKNOWN)
    row["samples_compared"] = samples or None
    return row | _interval_cells("reward_at_samples", _estimate([rewards[id(result)] for result in succeeded]))


def _run_row(result: SeedResult, reward: float, has_rate: bool) -> dict[str, Cell]:
    values = {name: getattr(result, name, None) for name in _RUN_COLUMNS} | {"reward_at_samples": reward}
    return {name: _known(values[name]) for name in _RUN_COLUMNS if has_rate or name != "efficient"}


def _estimate(values: Sequence[float]) -> Interval:
    return iqm_interval(np.array(values)) if values else _UNKNOWN


def _interval_cells(name: str, interval: Interval) -> dict[str, Cell]:
    return {key: _known(value) for key, value in zip((name, f"{name}_low", f"{name}_high"), interval, strict=True)}


def _known(value: Cell) -> Cell:
    """`value`, None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _rounded(value: Cell, divisor: float = 1.0, decimals: int | None = None, unit: str = "") -> str:
    """A number in about four digits, "-" where it is not known."""
    if value is None:
        return "-"
    value /= divisor
    places = _decimals(value, 2) if decimals is None else decimals
    return f"{value:,.{places}f}" + (f" {unit}" if unit else "")


def _with_interval(row: dict[str, Cell], name: str) -> str:
    """The estimate and below it the interval, with as many decimals as a screen of 80 columns has room for."""
    if row[name] is None:
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    places = 2 if name == "efficient_rate" else _decimals(max(abs(low), abs(high)), 4)
    return f"{row[name]:.{places}f}\n[{low:.{places}f},{high:.{places}f}]"


def _decimals(largest: float, of_fractions: int) -> int:
    """Decimals that make about four digits of a number of this size; `of_fractions` where it is below 1."""
    return of_fractions if largest < 1 else 2 if largest < 100 else 1 if largest < 1000 else 0
