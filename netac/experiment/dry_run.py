"""What `netac compare --dry-run` tells: the cells of a study, and what their runs will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netac.experiment import config, study
from netac.experiment.expense import rehearse
from netac.experiment.jobs import jobs_of, side_by_side
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
