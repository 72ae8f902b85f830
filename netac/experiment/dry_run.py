"""What `--dry-run` of `netac compare` and `netac tune` tells: what there is to run, and what that will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netac.experiment import config, search, study
from netac.experiment.expense import rehearse
from netac.experiment.halving import Halving
from netac.experiment.jobs import jobs_of, side_by_side
from netac.experiment.tune import SEEDS, TEST_SEEDS, at_a_time, checked_tuning, try_out
from netac.results.cells import described
from netac.results.records import has_finished
from netac.utils.progress import doing, telling

Row = dict[str, Any]


@dataclass(frozen=True)
class Foretold:
    """What a comparison will take.

    Attributes:
        rows: for each cell its name, runs that are left, and of a run iterations, samples, bytes of an agent, seconds.
        at_a_time: runs side by side.
        seconds: about how long it will take.
    """

    rows: tuple[Row, ...]
    at_a_time: int
    seconds: float


def foretell(experiment: str | Path | Mapping[str, Any], algorithms: Sequence[str] | None = None,
             seeds: int | None = None, *, vary: Mapping[str, Sequence[Any]] | None = None, budget: str | None = None,
             jobs: int | None = None, processes: int = 1, set: Mapping[str, Any] | None = None,
             out: str | Path) -> Foretold:
    """What `netac.compare` with the same arguments will take, from a rehearsal of each cell's first iterations in this
    process; nothing is written.

    Raises:
        InputError: as `netac.compare`.
    """
    source = config.read(experiment, set)
    todo = jobs_of(source, study.plan(source, algorithms, vary), seeds, Path(out), processes, budget, True)
    at_a_time, rows = side_by_side(todo, jobs, processes), dict[str, Row]()
    with telling(True), doing("measuring what an iteration costs"):
        for job in todo:
            name = described(job.algorithm, job.cell)
            if name not in rows:
                costs, iterations = rehearse(job.experiment), job.experiment["iterations"]
                rows[name] = {"cell": name, "runs left": 0, "iterations": iterations,
                              **{kind: costs.get(kind, 0.0) * iterations for kind in ("samples", "bytes", "seconds")}}
            rows[name]["runs left"] += not has_finished(job.folder)
    total = sum(row["runs left"] * row["seconds"] for row in rows.values()) / at_a_time
    return Foretold(tuple(rows.values()), at_a_time, total)


@dataclass(frozen=True)
class ForetoldTuning:
    """What a tuning will take.

    Attributes:
        settings: those that are drawn first, which are all of a random search.
        rungs: of each how many settings train up to which iteration.
        runs: in all, those of the test included.
        at_a_time: runs side by side.
        seconds: about how long it will take, if settings cost what the experiment's own do.
    """

    settings: tuple[str, ...]
    rungs: tuple[tuple[int, int], ...]
    runs: int
    at_a_time: int
    seconds: float


def foretell_tuning(experiment: str | Path | Mapping[str, Any], vary: Mapping[str, Any], samples: int, *,
                    sampler: str = "random", seeds: int = SEEDS, test_seeds: int = TEST_SEEDS,
                    test_seed: int | None = None, rungs: int = 3, keep: Any = "1/3", budget: str | None = None,
                    jobs: int | None = None, processes: int = 1, set: Mapping[str, Any] | None = None,
                    out: str | Path) -> ForetoldTuning:
    """What `netac.tune` with the same arguments will take; nothing is written.

    Raises:
        InputError: as `netac.tune`.
    """
    asked = checked_tuning(config.read(experiment, set), vary, samples, sampler, seeds, test_seeds, test_seed,
                           Halving.of(rungs, keep), "reward", True, budget, processes, jobs)
    ends_of_ranges = try_out(asked, Path(out))
    first = next(search.begun(sampler, asked.axes, samples, asked.seeds[0], True))
    own = study.Study((), (study.Cell(),))
    tables = jobs_of(asked.source, own, 1, Path(out), processes, budget, True)[0].experiment
    total = samples if search.all_of(asked.axes, samples) is None else len(first)
    ends = [asked.halving.end(rung, tables["iterations"], tables["log_every"]) for rung in range(asked.halving.rungs)]
    counts = asked.halving.settings(total)
    trained = sum(number * (end - before) for number, end, before in zip(counts, ends, [0, *ends], strict=False))
    side = at_a_time(asked, ends_of_ranges)
    iterations = trained * len(asked.seeds) + 2 * tables["iterations"] * len(asked.test_seeds)
    return ForetoldTuning(tuple(map(search.name_of, first)), tuple(zip(counts, ends, strict=True)),
                          total * len(asked.seeds) + 2 * len(asked.test_seeds), side,
                          rehearse(tables).get("seconds", 0.0) * iterations / side)
