"""Cells of a study side by side over seeds: `comparison.csv`, `comparison_runs.csv` and the table on the screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.results.cells import RUNS, called, of_row, read_study
from netac.results.curves import SECONDS, Curve, reward_at, stack_curves
from netac.results.records import METRICS, SUMMARY, RunRecord, has_finished, load_run
from netac.results.statistics import Interval, iqm, iqm_interval, rate_interval
from netac.results.tables import Cell, csv_text, read_rows
from netac.utils.errors import InputError
from netac.utils.files import atomic_write

if TYPE_CHECKING:
    from rich.table import Table

ALGORITHM = "algorithm"
TABLE, RUN_TABLE = "comparison.csv", "comparison_runs.csv"
UNKNOWN = Interval(math.nan, math.nan, math.nan)
_COSTS = ("env_steps", "bytes_per_agent", "wall_seconds")
_RUN_COLUMNS = ("seed", "status", "final_reward", *_COSTS, "efficient", "reward_at_samples", "error")


@dataclass(frozen=True)
class SeedResult:
    """What one cell reached with one seed.

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
        curve: the columns of its `metrics.csv`, with at least `iteration`, `env_steps` and `reward`; `seconds` only
            where it had the machine to itself.
        evaluations: `iteration`, `env_steps` and `evaluation`, the mean return of the episodes of each evaluation;
            empty without any.
        cell: what varies besides the algorithm, as tables show it, by key.
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
    evaluations: Curve = field(default_factory=dict, repr=False, compare=False)
    cell: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_record(cls, record: RunRecord, cell: Mapping[str, str] | None = None) -> SeedResult:
        """The result of a finished run, from its folder; a null in its summary is NaN, a missing key an InputError."""
        summary, needed = record.summary, ("final_reward", *_COSTS)
        if missing := {"algorithm", "seed", *needed} - set(summary):
            raise InputError(f"has no {', '.join(sorted(missing))}", file=record.folder / SUMMARY)
        if "env_steps" not in record.metrics:
            raise InputError("has columns missing", file=record.folder / METRICS, key="env_steps")
        numbers: dict[str, Any] = {name: math.nan if summary[name] is None else summary[name] for name in needed}
        shared = summary.get("runs_at_a_time", 1) > 1
        curve = ({name: column for name, column in record.metrics.items() if name != SECONDS} if shared
                 else record.metrics)
        return cls(algorithm=summary["algorithm"], seed=summary["seed"], efficient=summary.get("efficient"),
                   curve=curve, evaluations=evaluation_curve(record), cell=cell or {}, **numbers)

    @property
    def name(self) -> str:
        """Its cell's."""
        return called(self.algorithm, self.cell)

    @property
    def key(self) -> tuple[str, tuple[str, ...], int]:
        """What no other result of the comparison has."""
        return self.algorithm, tuple(self.cell.values()), self.seed

    @property
    def evaluation(self) -> float:
        """The return of its last evaluation's episodes; NaN without any."""
        return float(self.evaluations["evaluation"][-1]) if self.evaluations else math.nan


def evaluation_curve(record: RunRecord) -> dict[str, np.ndarray]:
    """The evaluations of a run: "iteration", "env_steps" and "evaluation" (evaluations,), the mean return of their
    episodes; {} if there were none."""
    table = record.evaluations
    return table and {"iteration": table["iteration"], "env_steps": table["env_steps"],
                      "evaluation": table["episode_return"]}


@dataclass(frozen=True)
class Shown:
    """What a picture shows of a comparison, by the names of its cells.

    Attributes:
        curves: for each cell "iteration", "env_steps" and possibly "bytes" and "seconds", shape (points,), and
            `metric`, shape (seeds, points).
        efficient: for each cell, which of its runs were efficient, shape (runs,); empty where the environment cannot
            tell.
        evaluations: for each cell "env_steps" (points,) and "evaluation" (seeds, points); empty where there were none.
        title: above the panels.
        cells: for each cell its algorithm and the values of what varies besides, as tables show them.
        keys: "algorithm" and what varies besides.
        final: for each cell the final rewards of its runs, (runs,).
        metric: the column of metrics.csv that `curves` show.
    """

    curves: dict[str, dict[str, np.ndarray]]
    efficient: dict[str, np.ndarray] = field(default_factory=dict)
    evaluations: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    title: str | None = None
    cells: dict[str, tuple[str, ...]] = field(default_factory=dict)
    keys: tuple[str, ...] = (ALGORITHM,)
    final: dict[str, np.ndarray] = field(default_factory=dict)
    metric: str = "reward"

    @classmethod
    def of(cls, results: Sequence[SeedResult], title: str | None = None, metric: str = "reward") -> Shown:
        """Of the runs that succeeded, stacked for each cell.

        Raises:
            InputError: they have no such metric, or cannot be put together.
        """
        succeeded, keys = groups(result for result in results if result.status == "ok"), keys_of(results)
        known = [(name, [result for result in group if result.efficient is not None]) for name, group in succeeded]
        evaluated = [(name, [result.evaluations for result in group if result.evaluations])
                     for name, group in succeeded]
        if lacking := [name for name, group in succeeded if any(metric not in result.curve for result in group)]:
            there = set.intersection(*(set(result.curve) for _, group in succeeded for result in group))
            raise InputError("is no column of metrics.csv in every run", key="--metric", found=metric,
                             valid=f"{', '.join(sorted(there - {'iteration'}))}; {lacking[0]} has no other")
        try:
            return cls({name: stack_curves([result.curve for result in group], metric) for name, group in succeeded},
                       {name: np.array([result.efficient for result in group]) for name, group in known if group},
                       {name: stack_curves(tables, "evaluation") for name, tables in evaluated if tables}, title,
                       {name: (group[0].algorithm, *(group[0].cell.get(key, "") for key in keys[1:]))
                        for name, group in succeeded}, keys,
                       {name: np.array([result.final_reward for result in group]) for name, group in succeeded}, metric)
        except ValueError as error:
            raise InputError(f"the runs cannot be put together: {error}", key="metrics.csv",
                             valid="runs of one comparison, with rewards and iterations that they share") from error


    def best(self, number: int) -> Shown:
        """The same with at most `number` cells, those with the largest interquartile means of final rewards."""
        if len(self.curves) <= number or not self.final:
            return self
        reached = {name: np.nan_to_num(iqm(values), nan=-np.inf) for name, values in self.final.items()}
        kept = sorted(sorted(reached, key=lambda name: -reached[name])[:number], key=list(reached).index)

        def some(table: dict[str, Any]) -> dict[str, Any]:
            return {name: table[name] for name in kept if name in table}

        title = ", ".join(filter(None, [self.title, f"the best {number} of {len(self.curves):,} cells"]))
        return replace(self, title=title, curves=some(self.curves), efficient=some(self.efficient),
                       evaluations=some(self.evaluations), cells=some(self.cells), final=some(self.final))


def load_comparison(folder: str | Path, metric: str = "reward") -> Shown:
    """What the picture shows of a comparison, from its folder: of the runs in it that have finished.

    Raises:
        InputError: it is not the folder of a comparison, or none of its runs has finished.
    """
    folder = Path(folder)
    runs = [file.parent for file in sorted(folder.glob(f"{RUNS}/*/*/{SUMMARY}")) if has_finished(file.parent)]
    if not runs:
        raise InputError("holds no finished runs of a comparison", file=folder,
                         valid="a folder that netac compare has written")
    records, study = [load_run(run) for run in runs], read_study(folder)
    results = [SeedResult.from_record(record, study.cells[name].values if (
        name := record.folder.parent.name) in study.cells else None) for record in records]
    order = [called(cell.algorithm, cell.values) for cell in study.cells.values()] or _algorithms(folder / TABLE)
    results.sort(key=lambda result: order.index(result.name) if result.name in order else len(order))
    summary = records[0].summary
    return Shown.of(results, f"{summary.get('env', '?')}, {summary.get('agents', '?')} agents", metric)


@dataclass(frozen=True)
class Comparison:
    """A comparison of cells over seeds.

    Attributes:
        rows: one mapping per cell: the columns of `comparison.csv`.
        runs: one mapping per cell and seed: the columns of `comparison_runs.csv`.
    """

    rows: tuple[dict[str, Cell], ...]
    runs: tuple[dict[str, Cell], ...]

    def column(self, name: str) -> np.ndarray:
        """One column of `rows`, shape (cells,); NaN for a number that is not known."""
        return np.array([math.nan if row[name] is None else row[name] for row in self.rows])

    def write(self, folder: str | Path) -> None:
        """Write `comparison.csv` and `comparison_runs.csv` into `folder`; RunError where that fails."""
        for name, rows in ((TABLE, self.rows), (RUN_TABLE, self.runs)):
            atomic_write(Path(folder) / name, csv_text(tuple(rows[0]), rows))


def compare_results(results: Sequence[SeedResult]) -> Comparison:
    """Put the results of several cells and seeds side by side, cells in the order of their first result.

    Numbers are interquartile means over the seeds that succeeded, `_low` and `_high` the bounds of 95 % intervals:
    bootstrap for rewards, Wilson for `efficient_rate`.  `evaluation` is the return of the last evaluation's episodes.
    `samples_compared` is the largest number of joint samples that every run drew; `reward_at_samples` is the reward
    there (see `curves.reward_at`), so that algorithms that draw several samples in an iteration are compared with the
    others at equal numbers of samples.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("no results to compare")
    succeeded = [result for result in results if result.status == "ok"]
    samples = min((_samples_drawn(result.curve) for result in succeeded), default=0)
    has_rate = any(result.efficient is not None for result in succeeded)
    rows = [_cell_row(group, samples, has_rate) for _, group in groups(results)]
    if any(result.evaluations for result in succeeded):
        rows = [row | interval_cells("evaluation", _estimate(
            [result.evaluation for result in group if result.evaluations])) for row, (_, group) in zip(
                rows, groups(results), strict=True)]
    runs = [_run_row(result, samples, has_rate) for result in results]
    return Comparison(tuple(rows), tuple(runs))


def format_table(comparison: Comparison, title: str | None = None) -> Table:
    """The comparison as a table for the screen: estimates with their intervals (it fits 80 columns)."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    first = comparison.rows[0]
    samples = first["samples_compared"]
    names = [name for name in of_row(first, "seeds")
             if len({row[name] for row in comparison.rows}) > 1] or [ALGORITHM]
    columns = {name.rpartition(".")[2]: partial(_named, name) for name in names} | {
               "seeds": lambda row: f"{row['seeds']}/{row['seeds'] + row['failed']}",
               "final\nreward": lambda row: _with_interval(row, "final_reward")}
    if "efficient_rate" in first:
        columns["efficient"] = lambda row: _with_interval(row, "efficient_rate")
    if samples and any(row["env_steps"] not in (samples, None) for row in comparison.rows):
        columns[f"reward at\n{samples:,} samples"] = lambda row: _with_interval(row, "reward_at_samples")
    if "evaluation" in first:
        columns["evaluated\nreturn"] = lambda row: _with_interval(row, "evaluation")
    columns["samples\ndrawn"] = lambda row: _rounded(row["env_steps"], decimals=0)
    columns["kB per\nagent"] = lambda row: _rounded(row["bytes_per_agent"], 1e3)
    columns["wall\ntime"] = lambda row: _rounded(row["wall_seconds"], unit="s")
    table = Table(title=title, caption="seeds that succeeded; interquartile means [95 % interval]",
                  box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for k, name in enumerate(columns):
        table.add_column(name, justify="left" if k < len(names) else "right", overflow="fold",
                         no_wrap=k >= len(names))
    for row in comparison.rows:
        table.add_row(*(escape(text(row)) for text in columns.values()))
    return table


def _algorithms(table: Path) -> list[str]:
    """The first column of `comparison.csv`, in its order; none where there is no such file yet."""
    return [next(iter(row.values())) for row in read_rows(table)] if table.exists() else []


def _named(name: str, row: Mapping[str, Any]) -> str:
    return str(row[name])


def keys_of(results: Sequence[SeedResult]) -> tuple[str, ...]:
    """"algorithm", and what varies besides in some of the results."""
    return tuple(dict.fromkeys([ALGORITHM, *(key for result in results for key in result.cell)]))


def groups(results: Iterable[SeedResult]) -> list[tuple[str, list[SeedResult]]]:
    """The results of each cell, by its name, in the order of their first ones."""
    found: dict[str, list[SeedResult]] = {}
    for result in results:
        found.setdefault(result.name, []).append(result)
    return list(found.items())


def _samples_drawn(curve: Curve) -> int:
    drawn = curve.get("env_steps", np.empty(0))
    return int(drawn[-1]) if len(drawn) else 0


def _reward_at(result: SeedResult, samples: int) -> float:
    """The reward after `samples` joint samples; NaN of a run that failed, or where not all have drawn any."""
    return reward_at(result.curve, samples) if samples and result.status == "ok" else math.nan


def _cell_row(group: Sequence[SeedResult], samples: int, has_rate: bool) -> dict[str, Cell]:
    succeeded = [result for result in group if result.status == "ok"]
    row: dict[str, Cell] = {ALGORITHM: group[0].algorithm, **group[0].cell,
                            "seeds": len(succeeded), "failed": len(group) - len(succeeded)}
    row |= interval_cells("final_reward", _estimate([result.final_reward for result in succeeded]))
    for name in _COSTS:
        row[name] = _known(iqm(np.array([getattr(result, name) for result in succeeded])) if succeeded else math.nan)
    if has_rate:
        outcomes = [result.efficient for result in succeeded if result.efficient is not None]
        row |= interval_cells("efficient_rate", rate_interval(np.array(outcomes)) if outcomes else UNKNOWN)
    row["samples_compared"] = samples or None
    return row | interval_cells("reward_at_samples", _estimate([_reward_at(result, samples) for result in succeeded]))


def _run_row(result: SeedResult, samples: int, has_rate: bool) -> dict[str, Cell]:
    values = {name: getattr(result, name, None) for name in _RUN_COLUMNS}
    values["reward_at_samples"] = _reward_at(result, samples)
    return {ALGORITHM: result.algorithm, **result.cell} | {
        name: _known(values[name]) for name in _RUN_COLUMNS if has_rate or name != "efficient"}


def _estimate(values: Sequence[float]) -> Interval:
    return iqm_interval(np.array(values)) if values else UNKNOWN


def interval_cells(name: str, interval: Interval) -> dict[str, Cell]:
    """An estimate and its bounds as cells NAME, NAME_low and NAME_high, None where they are not known."""
    return {key: _known(value) for key, value in zip((name, f"{name}_low", f"{name}_high"), interval, strict=True)}


def _known(value: Cell) -> Cell:
    """`value`, None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _rounded(value: float | None, divisor: float = 1.0, decimals: int | None = None, unit: str = "") -> str:
    """A number in about four digits, "-" where it is not known."""
    if value is None:
        return "-"
    value /= divisor
    places = _decimals(value, 2) if decimals is None else decimals
    return f"{value:,.{places}f}" + (f" {unit}" if unit else "")


def _with_interval(row: dict[str, Any], name: str) -> str:
    """The estimate and below it the interval, with as many decimals as a screen of 80 columns has room for."""
    if row[name] is None:
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    places = 2 if name == "efficient_rate" else _decimals(max(abs(low), abs(high)), 4)
    return f"{row[name]:.{places}f}\n[{low:.{places}f},{high:.{places}f}]"


def _decimals(largest: float, of_fractions: int) -> int:
    """Decimals that make about four digits of a number of this size; `of_fractions` where it is below 1."""
    return of_fractions if largest < 1 else 2 if largest < 100 else 1 if largest < 1000 else 0
