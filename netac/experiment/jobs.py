"""The runs of a study: every cell's experiment checked before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netac.comm.launch.family import Mpi, own_mpi
from netac.comm.placement import Placement
from netac.experiment import config, expense, study
from netac.experiment.listening import Callback
from netac.experiment.run import checked_setting
from netac.results.cells import RUNS, CellRecord, StudyRecord, called, read_study, write_study
from netac.utils import memory
from netac.utils.errors import InputError
from netac.utils.files import make_run_folder
from netac.utils.progress import doing, note, telling
from netac.utils.workers import cores

SEEDS = 10               # of each cell, if nothing is said
MOST_RUNS = 100_000      # of a comparison, whose results are held together


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    algorithm: str
    cell: dict[str, str]   # what else varies, as tables show it
    seed: int
    experiment: dict[str, Any]
    folder: Path
    env: str
    processes: int = 1
    nbytes: int = 0        # of memory, about
    values: dict[str, Any] = field(default_factory=dict)      # what else varies, as it was given; tables as text
    until: int | None = None        # the iteration after which it is stopped
    functions: dict[str, Callback] = field(default_factory=dict)     # what it calls, as `run` takes them

    @property
    def key(self) -> tuple[str, tuple[str, ...], int]:
        """What no other run of the comparison has."""
        return self.algorithm, tuple(self.cell.values()), self.seed


def begin(source: config.Source, cells: study.Study, seeds: int | None, folder: Path, processes: int = 1,
          budget: str | None = None, tell: bool = False) -> list[Job]:
    """All runs of a study, every experiment checked before the first one starts, with their folders.

    Args:
        tell: tell what there is to know of the experiments, on standard error.

    Raises:
        InputError: as `compare`.
    """
    found = jobs_of(source, cells, seeds, folder, processes, budget, tell)
    make_run_folder(folder)
    write_study(folder, StudyRecord(cells.keys, {
        job.folder.parent.name: CellRecord(job.algorithm, job.cell, job.experiment["iterations"]) for job in found},
        budget))
    with telling(tell), doing(f"making the folders of {len(found):,} runs"):
        for job in found:
            make_run_folder(job.folder)
    return sorted(found, key=lambda job: job.seed)


def jobs_of(source: config.Source, cells: study.Study, seeds: int | None, folder: Path, processes: int = 1,
            budget: str | None = None, tell: bool = False) -> list[Job]:
    """All runs of a study, cell by cell; nothing is written."""
    number = seeds if seeds is not None else study.table_of(source).seeds or SEEDS
    if number < 1:
        raise InputError("a comparison needs at least one seed", key="--seeds", found=number, valid="1, 2, ...")
    if len(cells.cells) * number > MOST_RUNS:
        raise InputError("would be too many runs", key="--seeds", found=number, valid=(
            f"at most {MOST_RUNS // len(cells.cells):,} of each cell, {MOST_RUNS:,} runs in all"))
    spends, before = None if budget is None else expense.Budget.parse(budget), read_study(folder)
    known = before.cells if before.budget == budget else {}      # what is measured again may differ, as seconds do
    found, notes = [], dict[str, list[str]]()
    for cell in cells.cells:
        try:
            with telling(tell):
                setting = checked_setting(cell.source(source), algorithm=cell.algorithm, compared=cells.algorithms,
                                          processes=processes)
            first, name, tables = setting.experiment, setting.experiment.algorithm.name, setting.experiment.tables()
            place = folder / RUNS / cell.folder(name)
            if spends is not None and place.name in known:
                tables["iterations"] = known[place.name].iterations
            elif spends is not None:
                with telling(tell), doing("measuring what an iteration costs"):
                    tables["iterations"] = spends.iterations(tables)
            if processes > 1:
                Placement(first.agents, processes)
        except InputError as error:
            raise cell.blamed(error) from error.__cause__
        for text in setting.notes:
            notes.setdefault(text, []).append(called(name, cell.told))
        values = {key: cell.told.get(key, "") for key in cells.keys}
        found += [Job(name, values, seed, tables | {"seed": seed}, place / f"seed-{seed:03d}", first.env.called,
                      processes, sum(setting.sizes.values()), values | cell.plain)
                  for seed in range(first.seed, first.seed + number)]
    if processes > 1:
        mpi()
    for text, names in notes.items() if tell else ():
        between = "; " if cells.keys else ", "
        note(text if len(names) == len(cells.cells) else f"{between.join(names)}: {text}")
    return found


def side_by_side(todo: Sequence[Job], jobs: int | None, processes: int) -> int:
    """How many runs at a time: `jobs`, or by default one per core, but no more than fit into memory together.

    Raises:
        InputError: so many jobs would not fit.
    """
    each = max(1, *(job.nbytes for job in todo))
    fit = max(1, memory.room().total // each)
    if jobs is None:
        return max(1, min(cores() // processes, fit, len(todo)))
    number = min(jobs, len(todo))
    memory.refuse({f"{number:,} runs at a time": number * each}, "--jobs", jobs, lambda: fit)
    return number


def mpi() -> Mpi:
    """The MPI with which runs are launched.

    Raises:
        InputError: there is none.
    """
    found = own_mpi()
    if found is None:
        raise InputError("there is no mpirun", key="--processes", valid='pip install "netac[mpi]", or --processes 1')
    return found


def title_of(todo: Sequence[Job]) -> str:
    """What stands above the picture: the environment and the number of agents, unless they vary."""
    envs, agents = {job.env for job in todo}, {job.experiment["agents"] for job in todo}
    return ", ".join([*(envs if len(envs) == 1 else ()), *(f"{n} agents" for n in agents if len(agents) == 1)])
