"""Algorithms side by side over seeds: every run in a folder of its own, so that an interrupted comparison goes on."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from netac.comm import launch
from netac.comm.launch.addresses import lay_out_alike
from netac.comm.launch.command import command, count_cores, netac_run
from netac.comm.launch.explain import failure
from netac.comm.launch.family import Mpi, own_mpi
from netac.comm.launch.guard import guarded
from netac.comm.launch.notices import MARK, Hearing, new_mark
from netac.comm.placement import Placement
from netac.experiment import config
from netac.experiment.run import checked_setting, run
from netac.results.comparison import RUNS, Comparison, SeedResult, Shown, compare_results
from netac.results.records import load_run
from netac.utils import memory
from netac.utils.errors import InputError, NetacError
from netac.utils.files import make_run_folder
from netac.utils.progress import Progress, doing, note, telling
from netac.utils.workers import Workers, cores

MOST_RUNS = 100_000      # of a comparison, whose results are held together


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    algorithm: str
    seed: int
    experiment: dict[str, Any]
    folder: Path
    processes: int = 1
    nbytes: int = 0        # of memory, about


@dataclass(frozen=True)
class ComparisonResult(Comparison):
    """A comparison with its learning curves.

    Attributes:
        shown: what its picture shows.
        folder: where it was written, None if nowhere.
    """

    shown: Shown
    folder: Path | None

    @property
    def curves(self) -> dict[str, dict]:
        """Per algorithm, "iteration" and "env_steps" (points,), "reward" (seeds, points)."""
        return self.shown.curves


def compare(experiment: str | Path | Mapping[str, Any], algorithms: Sequence[str], seeds: int = 10, *,
            jobs: int | None = None, processes: int = 1, set: Mapping[str, Any] | None = None,
            overrides: Mapping[str, Any] | None = None, out: str | Path | None = None,
            progress: bool = False) -> ComparisonResult:
    """Run every algorithm with `seeds` seeds, beginning with the experiment's own, and put the results side by side.

    Under mpirun the runs follow one another, each on all processes; one that fails ends the launch.  In a script of
    your own, call this under `if __name__ == "__main__":`, as worker processes import the script.

    Args:
        experiment: an experiment file, or its tables.
        algorithms: names, in the order they are to be shown.
        seeds: how many seeds each.
        jobs: runs at a time; by default one per core.
        processes: MPI processes of each run (launched with mpirun where it is more than one).
        set, overrides: either of them: overrides {"agents": 10}.
        out: where runs, tables and picture go; finished runs found there are taken as they are.  None: nowhere.
        progress: show progress on a terminal.

    Raises:
        InputError: the experiment is not valid for one of the algorithms, or `out` cannot be used.
    """
    source = config.read(experiment, config.one_of(set, overrides))
    comm = launch.communicator()
    with TemporaryDirectory() as temporary:
        folder = launch.agree(comm, lambda: Path(out or temporary))
        todo = launch.agree(comm, lambda: plan(source, algorithms, seeds, folder, processes, progress))
        work = map(_perform, todo) if comm is not None else _in_parallel(todo, _side_by_side(todo, jobs, processes))
        with Progress(len(todo), progress, "runs") as bar:
            results = []
            for result in work:
                results.append(result)
                bar.show(len(results))
    order = {(job.algorithm, job.seed): k for k, job in enumerate(todo)}
    results.sort(key=lambda result: order[result.algorithm, result.seed])
    table = compare_results(results)
    env, agents = _names(source, algorithms)
    found = ComparisonResult(table.rows, table.runs, Shown.of(results, f"{env}, {agents} agents"),
                             Path(out) if out else None)
    if out is not None:
        launch.agree(comm, lambda: _write(found, Path(out)))
    return found


def plan(source: config.Source, algorithms: Sequence[str], seeds: int, folder: Path, processes: int = 1,
         tell: bool = False) -> list[Job]:
    """All runs of a comparison, every experiment checked before the first one starts.

    Args:
        tell: tell what there is to know of the experiments, on standard error.

    Raises:
        InputError: as `compare`.
    """
    if not algorithms or seeds < 1:
        raise InputError("a comparison needs at least one algorithm and one seed", key="--algorithms, --seeds")
    twice = [name for name in algorithms if list(algorithms).count(name) > 1]
    if twice:
        raise InputError("is named twice", key="--algorithms", found=twice[0])
    if len(algorithms) * seeds > MOST_RUNS:
        raise InputError("would be too many runs", key="--seeds", found=seeds, valid=(
            f"at most {MOST_RUNS // len(algorithms):,} of each algorithm, {MOST_RUNS:,} runs in all"))
    found, notes = [], dict[str, list[str]]()
    for name in algorithms:
        with telling(tell):
            setting = checked_setting(source, algorithm=name, compared=algorithms, processes=processes)
        first = setting.experiment
        for text in setting.notes:
            notes.setdefault(text, []).append(name)
        found += [Job(name, seed, first.tables() | {"seed": seed}, folder / RUNS / name / f"seed-{seed:03d}", processes,
                      sum(setting.sizes.values()))
                  for seed in range(first.seed, first.seed + seeds)]
    if processes > 1:
        Placement(first.agents, processes)
        _mpi()
    for text, names in notes.items() if tell else ():
        note(text if len(names) == len(algorithms) else f"{', '.join(names)}: {text}")
    make_run_folder(folder)
    with telling(tell), doing(f"making the folders of {len(found):,} runs"):
        for job in found:
            make_run_folder(job.folder)
    return sorted(found, key=lambda job: job.seed)


def _side_by_side(todo: Sequence[Job], jobs: int | None, processes: int) -> int:
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


def _perform(job: Job) -> SeedResult:
    """One run, in this process (or all processes of this launch); a failure is a result too."""
    try:
        if job.processes > 1 and not launch.is_mpi_launch():
            _launch(job)
        else:
            run(job.experiment, out=job.folder, resume=True)
        return launch.agree(launch.communicator(), lambda: SeedResult.from_record(load_run(job.folder)))
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        return SeedResult(job.algorithm, job.seed, "failed", error=str(error))


def _launch(job: Job) -> None:
    """One run under mpirun."""
    import tomli_w
    mpi = _mpi()
    with TemporaryDirectory() as temporary:
        file, mark = Path(temporary) / "experiment.toml", new_mark()
        file.write_text(tomli_w.dumps(job.experiment))
        lay_out_alike(job.processes, count_cores())
        argv, environment = command(mpi, job.processes, netac_run(str(file), "--out", str(job.folder), "--resume"),
                                    variables={MARK: mark})
        launched = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, process_group=0)
        with guarded(launched):
            printed, told = launched.communicate()
    hearing = Hearing(mark)
    told = hearing.feed(told) + hearing.end()
    status = launched.returncode
    if status or not hearing.done:
        raise NetacError(failure(told.decode(errors="replace"), printed.decode(errors="replace"),
                                 128 - status if status < 0 else status, mpi.title, hearing.placement, hearing.said))


def _mpi() -> Mpi:
    """The MPI with which runs are launched.

    Raises:
        InputError: there is none.
    """
    mpi = own_mpi()
    if mpi is None:
        raise InputError("there is no mpirun", key="--processes", valid='pip install "netac[mpi]", or --processes 1')
    return mpi


def _in_parallel(todo: Sequence[Job], number: int) -> Iterator[SeedResult]:
    """Results as they come.

    A process that dies takes the others' work with it: each run that was under way is tried again, alone, and counted
    as failed if its process dies then.
    """
    pending, suspects = deque(todo), set[Path]()
    running: dict[Future[SeedResult], Job] = {}
    workers, broken = Workers(number), False

    def may_start() -> bool:
        if not pending or broken or len(running) == number:
            return False
        return not running or suspects.isdisjoint([pending[0].folder, *(job.folder for job in running.values())])

    try:
        while pending or running:
            if broken and not running:
                workers.close()
                workers, broken = Workers(number), False
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
                        yield SeedResult(job.algorithm, job.seed, "failed", error="its process died")
                    else:
                        suspects.add(job.folder)
                        pending.append(job)
    finally:
        workers.close()


def _write(found: ComparisonResult, folder: Path) -> None:
    found.write(folder)
    if found.curves:
        from netac.results.comparison_plots import plot_comparisons
        plot_comparisons([found.shown], folder / "comparison.png")


def _names(source: config.Source, algorithms: Sequence[str]) -> tuple[str, int]:
    experiment = source.experiment(algorithms[0], algorithms)
    return experiment.env.called, experiment.agents
