"""Cells of a study side by side over seeds: every run in a folder of its own, so that an interrupted one goes on."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from netac.comm import launch
from netac.comm.launch.addresses import lay_out_alike
from netac.comm.launch.command import command, count_cores, netac_run
from netac.comm.launch.explain import failure
from netac.comm.launch.guard import guarded
from netac.comm.launch.notices import MARK, Hearing, new_mark
from netac.experiment import config
from netac.experiment import study as planning
from netac.experiment.jobs import Job, begin, mpi, side_by_side, title_of
from netac.experiment.listening import Callback, refuse_unfit, refuse_unsendable
from netac.experiment.run import run
from netac.results import pairs
from netac.results.comparison import Comparison, SeedResult, Shown, compare_results
from netac.results.records import SUMMARY, load_run
from netac.results.tables import Cell, csv_text
from netac.utils.errors import InputError, NetacError
from netac.utils.files import atomic_write
from netac.utils.progress import Progress
from netac.utils.workers import Workers


@dataclass(frozen=True)
class ComparisonResult(Comparison):
    """A comparison with its learning curves.

    Attributes:
        shown: what its picture shows.
        folder: where it was written, None if nowhere.
        pairs: one mapping for every two cells: the columns of `comparison_pairs.csv`.
        jobs: the runs, in the order of `runs`.
    """

    shown: Shown
    folder: Path | None
    pairs: tuple[dict[str, Cell], ...] = ()
    jobs: tuple[Job, ...] = ()

    @property
    def curves(self) -> dict[str, dict]:
        """Per algorithm, "iteration" and "env_steps" (points,), "reward" (seeds, points)."""
        return self.shown.curves

    def table(self) -> dict[str, list[Any]]:
        """The columns of `comparison_runs.csv`, a row for every run, with what varies as it was given (tables and lists
        as text), `evaluation` if runs were evaluated, and `folder`, the run folder; None where something is not known.
        """
        rows = [{**row, **job.values, "folder": str(job.folder) if self.folder else None}
                for row, job in zip(self.runs, self.jobs, strict=True)]
        return {name: [row.get(name) for row in rows] for name in rows[0]}


def study(experiment: str | Path | Mapping[str, Any], *, out: str | Path, **arguments: Any) -> Any:
    """`netac.compare`, which takes the same arguments, as a tidy table: a row for every run, one column for each thing
    that varies, then `seed`, `status`, `final_reward`, `env_steps`, `bytes_per_agent`, `wall_seconds`, ..., `folder`.

    Args:
        experiment: as in `netac.compare`.
        out: where the runs go, each of them in `folder`, which `netac.load_result` reads; those there are kept.
        arguments: the others of `netac.compare`: vary, cells, algorithms, seeds, budget, jobs, set, ...

    Returns:
        a pandas.DataFrame if pandas is installed, else a dict of columns.

    Raises:
        InputError: as `netac.compare`.
    """
    table = compare(experiment, out=out, **arguments).table()
    if find_spec("pandas") is None:
        return table
    from pandas import DataFrame
    return DataFrame(table)


def compare(experiment: str | Path | Mapping[str, Any], algorithms: Sequence[str] | None = None,
            seeds: int | None = None, *, vary: Mapping[str, Sequence[Any]] | None = None,
            cells: Sequence[Mapping[str, Any]] = (), budget: str | None = None, jobs: int | None = None,
            processes: int = 1, set: Mapping[str, Any] | None = None, overrides: Mapping[str, Any] | None = None,
            out: str | Path | None = None, metric: str = "reward", only: int | None = None, collect: bool = False,
            progress: bool = False, on_iteration: Callback | None = None,
            on_evaluation: Callback | None = None) -> ComparisonResult:
    """Run every cell of a study with the same seeds, beginning with the experiment's own, and put the results side by
    side.

    A cell is an algorithm, or any combination of values of any keys: see `netac.experiment.study`.  What is varied here
    comes before what the file's table [study] says of the same key.

    Under mpirun the runs follow one another, each on all processes; one that fails ends the launch.  In a script of
    your own, call this under `if __name__ == "__main__":`, as worker processes import the script.

    Args:
        experiment: an experiment file, or its tables.
        algorithms: names, in the order they are to be shown; short for `vary` of "algorithm".
        seeds: how many seeds each; by default as the file says, or 10.
        vary: values by key, e.g. {"topology": ["ring", "complete"], "algorithm.actor_step": [0.02, 0.05]}.
        cells: keys with one value each, in place of every combination, or with every combination of what varies.
        budget: what every run may spend, in place of a number of iterations: "samples=100000", or bytes, seconds,
            simulated_seconds.
        jobs: runs at a time; by default one per core.
        processes: MPI processes of each run (launched with mpirun where it is more than one).
        set, overrides: either of them: overrides {"agents": 10}.
        out: where runs, tables and picture go; finished runs found there are taken as they are.  None: nowhere.
        metric: the column of metrics.csv that the curves show.
        only: of all runs, seed by seed and cell by cell, perform this one alone, counted from 0, and write no tables.
        collect: perform none: put together those in `out` that have finished.
        progress: show progress on a terminal.
        on_iteration, on_evaluation: called by every run as `netac.run` calls them.  One that answers True stops that
            run, which then counts as it stands, and stays so when the comparison goes on.  With jobs=1 they are called
            in this process, else in processes that are sent them: functions at the top of a module.

    Raises:
        InputError: a cell's experiment is not valid, `out` cannot be used, or a function cannot be sent to the
            processes of the runs; before anything runs.
    """
    source = config.read(experiment, config.one_of(set, overrides))
    functions = {"on_iteration": on_iteration, "on_evaluation": on_evaluation}
    return compare_cells(source, lambda: planning.plan(source, algorithms, vary, cells), seeds, budget, jobs, processes,
                         out, metric, only, collect, progress,
                         functions={name: function for name, function in functions.items() if function is not None})


def compare_cells(source: config.Source, plan: Callable[[], planning.Study], seeds: int | None, budget: str | None,
                  jobs: int | None, processes: int, out: str | Path | None, metric: str, only: int | None = None,
                  collect: bool = False, progress: bool = False, workers: Workers | None = None,
                  functions: Mapping[str, Callback] | None = None) -> ComparisonResult:
    """`compare` of the cells that `plan` tells, by workers that are there, or new ones."""
    comm, functions = launch.communicator(), dict(functions or {})
    refuse_unfit(None, **functions)
    if functions and comm is None:
        if processes > 1:
            raise InputError("runs on several processes call no functions", key=next(iter(functions)),
                             valid="processes=1, or this script itself under mpirun")
        if jobs != 1:
            refuse_unsendable(functions)
    with TemporaryDirectory() as temporary:
        folder = launch.agree(comm, lambda: Path(out or temporary))
        todo = launch.agree(comm, lambda: begin(source, plan(), seeds, folder, processes, budget, progress))
        if only is not None:
            todo = [_chosen(todo, only)]
        todo = [replace(job, functions=functions) for job in todo]
        alone = collect or comm is not None or workers is not None or (jobs == 1 and bool(functions))
        with nullcontext(workers) if alone else Workers(side_by_side(todo, jobs, processes)) as crew:
            results = performed(todo, crew, collect, progress)
    table = compare_results(results)
    found = ComparisonResult(table.rows, table.runs, Shown.of(results, title_of(todo), metric),
                             Path(out) if out else None, tuple(pairs.pairs(results)), tuple(todo))
    if out is not None and only is None:
        launch.agree(comm, lambda: _write(found, Path(out)))
    return found


def performed(todo: Sequence[Job], workers: Workers | None, collect: bool = False,
              progress: bool = False) -> list[SeedResult]:
    """What each of the runs comes to, performed by workers or, without, in this process; or found, with `collect`."""
    work = _in_parallel(todo, workers) if workers else map(_collected if collect else _perform, todo)
    with Progress(len(todo), progress, "runs") as bar:
        results = []
        for result in work:
            results.append(result)
            bar.show(len(results))
    order = {job.key: k for k, job in enumerate(todo)}
    return sorted(results, key=lambda result: order[result.key])


def _chosen(todo: Sequence[Job], only: int) -> Job:
    """One of the runs.

    Raises:
        InputError: there are not so many.
    """
    if not 0 <= only < len(todo):
        raise InputError("there is no such run", key="--only", found=only, valid=f"0 to {len(todo) - 1}")
    return todo[only]


def _collected(job: Job) -> SeedResult:
    """What a run has come to, if it has finished."""
    try:
        if (record := load_run(job.folder)).stopped and not job.functions:
            raise InputError("the run has been stopped", file=job.folder, found=record.iterations,
                             valid="netac compare without --collect goes on with it")
        return SeedResult.from_record(record, job.cell)
    except InputError as error:
        return SeedResult(job.algorithm, job.seed, "failed", error=str(error), cell=job.cell)


def _perform(job: Job) -> SeedResult:
    """One run, in this process (or all processes of this launch); a failure is a result too."""
    try:
        if job.processes > 1 and not launch.is_mpi_launch():
            _launch(job)
        elif not (job.functions and (job.folder / SUMMARY).exists()):         # stopped is finished
            run(job.experiment, out=job.folder, resume=True, until=job.until,
                on_iteration=job.functions.get("on_iteration"), on_evaluation=job.functions.get("on_evaluation"))
        return launch.agree(launch.communicator(), lambda: SeedResult.from_record(load_run(job.folder), job.cell))
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        return SeedResult(job.algorithm, job.seed, "failed", error=str(error), cell=job.cell)


def _launch(job: Job) -> None:
    """One run under mpirun."""
    import tomli_w
    by = mpi()
    with TemporaryDirectory() as temporary:
        file, mark = Path(temporary) / "experiment.toml", new_mark()
        file.write_text(tomli_w.dumps(job.experiment))
        lay_out_alike(job.processes, count_cores())
        until = () if job.until is None else ("--until", str(job.until))
        run_it = netac_run(str(file), "--out", str(job.folder), "--resume", *until)
        argv, environment = command(by, job.processes, run_it, variables={MARK: mark})
        launched = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, process_group=0)
        with guarded(launched):
            printed, told = launched.communicate()
    hearing = Hearing(mark)
    told = hearing.feed(told) + hearing.end()
    status = launched.returncode
    if status or not hearing.done:
        raise NetacError(failure(told.decode(errors="replace"), printed.decode(errors="replace"),
                                 128 - status if status < 0 else status, by.title, hearing.placement, hearing.said))


def _in_parallel(todo: Sequence[Job], workers: Workers) -> Iterator[SeedResult]:
    """Results as they come.

    A process that dies takes the others' work with it: each run that was under way is tried again, alone, and counted
    as failed if its process dies then.
    """
    pending, suspects = deque(todo), set[Path]()
    running: dict[Future[SeedResult], Job] = {}
    broken = False

    def may_start() -> bool:
        if not pending or broken or len(running) == workers.number:
            return False
        return not running or suspects.isdisjoint([pending[0].folder, *(job.folder for job in running.values())])

    while pending or running:
        if broken and not running:
            workers.renew()
            broken = False
        while may_start():
            try:
                running[workers.pool.submit(_perform, pending[0])] = pending[0]
                pending.popleft()
            except BrokenProcessPool:
                broken = True
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            try:
                yield future.result()
            except BrokenProcessPool:
                broken = True
                if job.folder in suspects:
                    yield SeedResult(job.algorithm, job.seed, "failed", error="its process died", cell=job.cell)
                else:
                    suspects.add(job.folder)
                    pending.append(job)


def _write(found: ComparisonResult, folder: Path) -> None:
    found.write(folder)
    if found.pairs:
        atomic_write(folder / pairs.TABLE, csv_text(tuple(found.pairs[0]), found.pairs))
    if found.curves:
        from netac.results.comparison_plots import plot_comparisons
        plot_comparisons([found.shown], folder / "comparison.png")
        if found.pairs:
            from netac.results.profiles import PICTURE, plot_profiles
            plot_profiles(found.shown, found.pairs, folder / PICTURE)
