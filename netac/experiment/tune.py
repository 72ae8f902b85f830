"""Tuning: settings tried on a training budget, the bad ones stopped early, the best tested on seeds of its own.

Every setting is a cell of a study.  Its runs train through the first rung, stop there, and go on from their checkpoints
if the setting is among the best.  All that is written is a function of the run folders, and these of the arguments, so
that a tuning that was interrupted comes to the same when it is asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from netac.comm import launch
from netac.experiment import config, search
from netac.experiment.compare import ComparisonResult, compare_cells, performed
from netac.experiment.expense import UNMEASURED, of_length
from netac.experiment.halving import Halving, ranked
from netac.experiment.jobs import Job, begin, jobs_of, side_by_side
from netac.experiment.run import run
from netac.experiment.run_folder import as_toml
from netac.experiment.study import ALGORITHM, Cell, Study
from netac.results.cells import called, of_row
from netac.results.comparison import SeedResult
from netac.results.curves import last_tenth
from netac.results.statistics import Interval, improvement_interval, iqm, iqm_interval
from netac.results.tables import csv_text
from netac.results.tuning import BEST, PICTURE, RECORD, TABLE, TEST, columns_of, plot_tuning
from netac.utils.errors import InputError, RunError
from netac.utils.files import atomic_write
from netac.utils.workers import Workers

SEEDS, TEST_SEEDS = 3, 10
APART = 1000           # from the first seed of tuning to the first one of the test; seeds of tuning at most


@dataclass(frozen=True)
class Tuning:
    """What is asked for, checked.

    Attributes:
        source: the experiment, without its table [study].
        axes: what each key may be.
        samples: settings to try.
        sampler: that draws them.
        halving: its rungs.
        seeds, test_seeds: of every setting's runs, and of the test's.
        metric: the column of metrics.csv whose mean over the last tenth of a rung is the score.
        maximise: whether a larger score is better.
        budget: of every run, None: its number of iterations.
        processes: of each run.
        jobs: runs at a time; None: one per core.
    """

    source: config.Source
    axes: search.Axes
    samples: int
    sampler: str
    halving: Halving
    seeds: range
    test_seeds: range
    metric: str
    maximise: bool
    budget: str | None
    processes: int
    jobs: int | None

    @property
    def keys(self) -> tuple[str, ...]:
        """That vary besides the algorithm."""
        return tuple(key for key in self.axes if key != ALGORITHM)

    def study(self, settings: Sequence[search.Setting], *cells: Cell) -> Study:
        """Settings, and cells besides, as those of a study."""
        algorithms = getattr(self.axes.get(ALGORITHM), "values", ())
        return Study(self.keys, (*map(Cell.of, settings), *cells), algorithms)

    def score(self, result: SeedResult, end: int) -> float:
        """The mean of the metric over the last tenth of the iterations up to `end`; NaN where there is none."""
        return last_tenth(result.curve, self.metric, end) if self.metric in result.curve else float("nan")


@dataclass
class Candidate:
    """A setting that is tried.

    Attributes:
        sample: its number, in the order in which settings were drawn.
        setting: its values by key.
        jobs: its runs.
        rows: of tuning.csv, one for every rung.
    """

    sample: int
    setting: search.Setting
    jobs: list[Job]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """That of its last rung; None if a run failed, or it is not a number."""
        return self.rows[-1]["score"]


@dataclass(frozen=True)
class TuningResult:
    """What a tuning has come to.

    Attributes:
        values: the best setting's, by key.
        rows: the rows of tuning.csv: one for every setting and rung.
        record: what tuning.json tells: the best setting, the seeds, and the test.
        test: the best setting beside the experiment's own, on seeds that no tuning has seen.
        experiment: the tables of best.toml.
        folder: where it was written, None if nowhere.
    """

    values: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    record: dict[str, Any]
    test: ComparisonResult
    experiment: dict[str, Any]
    folder: Path | None


def tune(experiment: str | Path | Mapping[str, Any], vary: Mapping[str, Any], samples: int, *, sampler: str = "random",
         seeds: int = SEEDS, test_seeds: int = TEST_SEEDS, test_seed: int | None = None, rungs: int = 3,
         keep: Any = "1/3", budget: str | None = None, metric: str = "reward", minimise: bool = False,
         jobs: int | None = None, processes: int = 1, set: Mapping[str, Any] | None = None,
         overrides: Mapping[str, Any] | None = None, out: str | Path | None = None,
         progress: bool = False) -> TuningResult:
    """Search for the best settings of an experiment, and test them on seeds that the search has not seen.

    Args:
        experiment: an experiment file, or its tables; a table [study] is not heard.
        vary: what each key may be: a list of values, or a range as text, {"algorithm.actor_step": "0.001..0.5:log",
            "topology": ["ring", "star"]}.
        samples: settings to try.
        sampler: "random", or "optuna", which learns from the scores of the first rung.
        seeds: runs of each setting, with the experiment's own seed and those that follow.
        test_seeds, test_seed: runs of the test, and the first seed of them, by default the experiment's plus 1000.
        rungs, keep: of successive halving: `keep` of the settings go on from each rung to the next, which trains 1/keep
            times as long; the last one is the whole run.
        budget, jobs, processes, set, overrides, progress: as in `netac.compare`.
        metric: the column of metrics.csv that tells good from bad: its mean over the last tenth of a rung.
        minimise: less is better.
        out: where it goes; what has been run there is taken as it is.  None: nowhere.

    Raises:
        InputError: a setting's experiment is not valid, or something else is not as it should be; before anything runs.
        RunError: every setting has failed.
    """
    source = config.read(experiment, config.one_of(set, overrides))
    asked = checked_tuning(source, vary, samples, sampler, seeds, test_seeds, test_seed, Halving.of(rungs, keep),
                           metric, not minimise, budget, processes, jobs)
    with TemporaryDirectory() as temporary:
        folder = Path(out or temporary)
        ends = try_out(asked, folder)
        drawing = search.begun(sampler, asked.axes, samples, asked.seeds[0], not minimise)
        with Workers(at_a_time(asked, ends)) as workers:
            candidates = _tried(asked, drawing, folder, workers, progress)
            best = _halved(asked, candidates, folder, workers, progress)
            test = _tested(asked, best, folder / TEST, workers, progress)
        record = _record(asked, candidates, best, test)
        tables = best.jobs[0].experiment
        rows = _rows(candidates)
        plot_tuning(rows, {key: getattr(axis, "log", False) for key, axis in asked.axes.items()}, metric, not minimise,
                    folder / PICTURE)
        atomic_write(folder / BEST, as_toml(tables))
        atomic_write(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return TuningResult(best.setting, tuple(rows), record, test, tables, Path(out) if out else None)


def checked_tuning(source: config.Source, vary: Mapping[str, Any], samples: int, sampler: str, seeds: int,
                   test_seeds: int, test_seed: int | None, halving: Halving, metric: str, maximise: bool,
                   budget: str | None, processes: int, jobs: int | None) -> Tuning:
    """What is asked for, as far as it can be checked without making an experiment.

    Raises:
        InputError: something is not as it should be.
    """
    if launch.is_mpi_launch():
        raise InputError("is not for mpirun", key="netac tune", valid="--processes N, which launches every run")
    source = replace(source, tables={key: value for key, value in source.tables.items() if key != config.STUDY})
    try:
        axes = search.axes_of(vary)
        search.begun(sampler, axes, samples, 0, maximise)
        for name, number, most in (("--seeds", seeds, APART), ("--test-seeds", test_seeds, APART)):
            if not 1 <= number <= most:
                raise InputError("is no number of seeds", key=name, found=number, valid=f"1 to {most}")
        first = source.experiment().seed
        tuned, start = range(first, first + seeds), first + APART if test_seed is None else test_seed
        tested = range(start, start + test_seeds)
        if start < 0:
            raise InputError("is no seed", key="--test-seed", found=start, valid=f"{tuned.stop} or more")
        if tested.start < tuned.stop and tuned.start < tested.stop:
            raise InputError("the test needs seeds that no tuning has seen", key="--test-seed", found=(
                f"{tested.start} to {tested.stop - 1}"), valid=(
                f"{tuned.stop} or more; tuning has {tuned.start} to {tuned.stop - 1}"))
    except InputError as error:
        raise error.located(file=source.file) from None
    return Tuning(source, axes, samples, sampler, halving, tuned, tested, metric, maximise, budget, processes, jobs)


def try_out(asked: Tuning, folder: Path) -> list[Job]:
    """Runs of what may be drawn, every value and end of a range among them, and the experiment's own; nothing is
    written.

    Raises:
        InputError: a setting's experiment is not valid, or there is no such metric.
    """
    found = jobs_of(asked.source, asked.study(list(search.corners(asked.axes)), Cell()), 1, folder, asked.processes)
    if asked.metric != "reward":
        columns = run({**found[-1].experiment, **UNMEASURED, **of_length(1)}).metrics
        if asked.metric not in columns:
            raise InputError("is no column of metrics.csv", key="--metric", found=asked.metric,
                             valid=", ".join(name for name in columns if name != "iteration"))
    return found


def at_a_time(asked: Tuning, jobs: Sequence[Job]) -> int:
    """How many runs at a time, as if all were as large as the largest of `jobs`."""
    largest = max(jobs, key=lambda job: job.nbytes)
    return side_by_side([largest] * max(asked.samples * len(asked.seeds), 2 * len(asked.test_seeds)), asked.jobs,
                        asked.processes)


def _tried(asked: Tuning, drawing: search.Search, folder: Path, workers: Workers, progress: bool) -> list[Candidate]:
    """All settings that the search draws from their scores, after the first rung."""
    found: list[Candidate] = []
    batch = next(drawing)
    while True:
        cells = asked.study(batch)
        made = begin(asked.source, cells, len(asked.seeds), folder, asked.processes, asked.budget, progress)
        of_cell: dict[str, list[Job]] = {}
        for job in made:
            of_cell.setdefault(job.folder.parent.name, []).append(job)
        # `begin` sorts by seeds and keeps the order of cells within each
        tried = [Candidate(len(found) + k, setting, jobs) for k, (setting, jobs) in enumerate(
            zip(batch, of_cell.values(), strict=True))]
        found += tried
        _climb(asked, tried, 0, workers, progress)
        atomic_write(folder / TABLE, csv_text(columns_of(asked.keys), _rows(found)))
        try:
            batch = drawing.send([candidate.score for candidate in tried])
        except StopIteration:
            return found


def _halved(asked: Tuning, candidates: list[Candidate], folder: Path, workers: Workers, progress: bool) -> Candidate:
    """The best of the candidates, after all rungs.

    Raises:
        RunError: all of them have failed.
    """
    left = candidates
    for rung, number in enumerate([*asked.halving.settings(len(candidates))[1:], 1], start=1):
        left = [left[place] for place in ranked([each.score for each in left], asked.maximise)[:number]]
        for candidate in left:
            candidate.rows[-1]["kept"] = True
        if left and rung < asked.halving.rungs:
            _climb(asked, left, rung, workers, progress)
        atomic_write(folder / TABLE, csv_text(columns_of(asked.keys), _rows(candidates)))
    if not left:
        last = next(row["error"] for candidate in candidates for row in reversed(candidate.rows))
        raise RunError(f"no setting is left; the first failed: {last or f'its {asked.metric} is not a number'}")
    return left[0]


def _climb(asked: Tuning, candidates: Sequence[Candidate], rung: int, workers: Workers, progress: bool) -> None:
    """Train settings through a rung, from where they are, and add its rows."""
    ends = [asked.halving.end(rung, each.jobs[0].experiment["iterations"], each.jobs[0].experiment["log_every"])
            for each in candidates]
    todo = [replace(job, until=end) for each, end in zip(candidates, ends, strict=True) for job in each.jobs]
    todo.sort(key=lambda job: job.seed)
    found = {result.key: result for result in performed(todo, workers, progress=progress)}
    for candidate, end in zip(candidates, ends, strict=True):
        results = [found[job.key] for job in candidate.jobs]
        failed = [result.error for result in results if result.status != "ok"]
        score = float("nan") if failed else iqm(np.array([asked.score(result, end) for result in results]))
        known = bool(np.isfinite(score))
        candidate.rows.append({
            "sample": candidate.sample, ALGORITHM: candidate.jobs[0].algorithm, **candidate.jobs[0].cell,
            "rung": rung + 1, "iterations": end, "seeds": len(results) - len(failed), "failed": len(failed),
            "score": score if known else None, "status": "ok" if known else "failed", "kept": False,
            "error": failed[0] if failed else None if known else f"its {asked.metric} is not a number"})


def _rows(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """The rows of tuning.csv, rung by rung."""
    rows = [row for candidate in candidates for row in candidate.rows]
    return sorted(rows, key=lambda row: (row["rung"], row["sample"]))


def _tested(asked: Tuning, best: Candidate, folder: Path, workers: Workers, progress: bool) -> ComparisonResult:
    """The best setting beside the experiment's own, as a comparison."""
    source = replace(asked.source, overrides=config.nested({"seed": asked.test_seeds[0]}, asked.source.overrides))
    own = source.experiment().algorithm.name
    study = asked.study([best.setting], *(() if best.setting == {ALGORITHM: own} else (Cell(),)))
    return compare_cells(source, lambda: study, len(asked.test_seeds), asked.budget, asked.jobs, asked.processes,
                         folder, asked.metric, progress=progress, workers=workers)


def _record(asked: Tuning, candidates: Sequence[Candidate], best: Candidate, test: ComparisonResult) -> dict[str, Any]:
    """What tuning.json tells."""
    scores = [_scores(asked, test, row) for row in test.rows]
    told = [_told(asked, row, values) for row, values in zip(test.rows, scores, strict=True)]
    record: dict[str, Any] = {
        "file": str(asked.source.file) if asked.source.file else None,
        "vary": {key: str(axis) for key, axis in asked.axes.items()},
        "sampler": asked.sampler, "samples": len(candidates), "metric": asked.metric, "maximise": asked.maximise,
        "budget": asked.budget, "keep": str(asked.halving.keep),
        "rungs": [{"settings": len(rows), "iterations": max(row["iterations"] for row in rows),
                   "failed": sum(row["status"] == "failed" for row in rows)}
                  for rows in ([row for row in _rows(candidates) if row["rung"] == rung + 1]
                               for rung in range(asked.halving.rungs))],
        "seeds": list(asked.seeds), "test_seeds": list(asked.test_seeds),
        "best": {"sample": best.sample, "values": best.setting, "score": best.score},
        "test": {"best": told[0], "own": told[-1]}}
    if len(scores) > 1 and all(map(len, scores)):
        better, worse = scores if asked.maximise else [-values for values in scores]
        record["test"] |= {"probability_of_improvement": _numbers(improvement_interval(better, worse))}
    return record


def _scores(asked: Tuning, test: ComparisonResult, row: Mapping[str, Any]) -> np.ndarray:
    """The scores of the runs of a row of the test that succeeded, (runs,); of rewards the runs' final ones."""
    cell = of_row(row, "seeds")
    name = called(cell.pop(ALGORITHM), cell)
    if asked.metric == "reward":
        return test.shown.final.get(name, np.zeros(0))
    curve = test.curves.get(name)
    return np.array([last_tenth({"iteration": curve["iteration"], asked.metric: own}, asked.metric)
                     for own in curve[asked.metric]]) if curve else np.zeros(0)


def _told(asked: Tuning, row: Mapping[str, Any], scores: np.ndarray) -> dict[str, Any]:
    """A line of the test: the interquartile mean of the scores with its interval."""
    return {"seeds": row["seeds"], "failed": row["failed"],
            "score": _numbers(iqm_interval(scores)) if len(scores) else None}


def _numbers(interval: Interval) -> list[float | None]:
    """An estimate with its bounds; None where they are not finite."""
    return [float(number) if np.isfinite(number) else None for number in interval]
