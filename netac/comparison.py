"""Algorithms side by side over seeds: every run in a folder of its own, so that an interrupted comparison goes on."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from netac import config
from netac.errors import InputError, NetacError
from netac.experiment import checked_setting, run
from netac.processes import launch
from netac.progress import Progress
from netac.results.comparison import Comparison, SeedResult, compare_results, comparison_curves, efficient_runs
from netac.results.files import make_run_folder
from netac.results.runs import load_run

ATTEMPTS = 2     # of a run whose process died


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    algorithm: str
    seed: int
    experiment: dict[str, Any]
    folder: Path
    processes: int = 1


@dataclass(frozen=True)
class ComparisonResult(Comparison):
    """A comparison with its learning curves.

    Attributes:
        curves: per algorithm, "iteration" and "env_steps" (points,), "reward" (seeds, points).
        efficient: per algorithm, which runs of the coordination game were efficient (seeds,).
        folder: where it was written, None if nowhere.
    """

    curves: dict[str, dict]
    efficient: dict[str, Any]
    folder: Path | None


def compare(experiment: str | Path | Mapping[str, Any], algorithms: Sequence[str], seeds: int = 10, *,
            jobs: int | None = None, processes: int = 1, set: Mapping[str, Any] | None = None,
            out: str | Path | None = None, progress: bool = False) -> ComparisonResult:
    """Run every algorithm with `seeds` seeds, beginning with the experiment's own, and put the results side by side.

    Under mpirun the runs follow one another, each on all processes.  In a script of your own, call this under
    `if __name__ == "__main__":`, as workers are started anew.

    Args:
        experiment: an experiment file, or its tables.
        algorithms: names, in the order they are to be shown.
        seeds: how many seeds each.
        jobs: runs at a time; by default one per core.
        processes: MPI processes of each run (launched with mpirun where it is more than one).
        set: overrides {"agents": 10}.
        out: where runs, tables and picture go; finished runs found there are taken as they are.  None: nowhere.
        progress: show progress on a terminal.

    Raises:
        InputError: the experiment is not valid for one of the algorithms, or `out` cannot be used.
    """
    source = config.read(experiment, set or {})
    comm = launch.communicator()
    with TemporaryDirectory() as temporary:
        folder = launch.agree(comm, lambda: Path(out or temporary))
        todo = launch.agree(comm, lambda: plan(source, algorithms, seeds, folder, processes))
        if comm is not None:
            work = (_perform(job) for job in todo)
        else:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            work = _in_parallel(todo, max(1, jobs or cores // processes))
        with Progress(len(todo), progress, "runs") as bar:
            results = []
            for result in work:
                results.append(result)
                bar.show(len(results))
    order = {(job.algorithm, job.seed): k for k, job in enumerate(todo)}
    results.sort(key=lambda result: order[result.algorithm, result.seed])
    table = compare_results(results)
    found = ComparisonResult(table.rows, table.runs, comparison_curves(results), efficient_runs(results),
                             Path(out) if out else None)
    if out is not None:
        launch.agree(comm, lambda: _write(found, source))
    return found


def plan(source: config.Source, algorithms: Sequence[str], seeds: int, folder: Path, processes: int = 1) -> list[Job]:
    """All runs of a comparison, every experiment checked before the first one starts.

    Raises:
        InputError: as `compare`.
    """
    if not algorithms or seeds < 1:
        raise InputError("a comparison needs at least one algorithm and one seed", key="--algorithms, --seeds")
    twice = [name for name in algorithms if list(algorithms).count(name) > 1]
    if twice:
        raise InputError("is named twice", key="--algorithms", found=twice[0])
    found = []
    for name in algorithms:
        first = source.experiment(name, algorithms)
        complete = checked_setting(source, algorithm=name, compared=algorithms).experiment.tables()
        found += [Job(name, seed, complete | {"seed": seed}, folder / "runs" / name / f"seed-{seed:03d}", processes)
                  for seed in range(first.seed, first.seed + seeds)]
    make_run_folder(folder)
    for job in found:
        make_run_folder(job.folder)
    return sorted(found, key=lambda job: job.seed)


def _perform(job: Job) -> SeedResult:
    """One run, in this process (or all processes of this launch); a failure is a result too."""
    try:
        if job.processes > 1 and not launch.is_mpi_launch():
            _launch(job)
        else:
            run(job.experiment, out=job.folder, resume=True)
        return SeedResult.from_record(load_run(job.folder))
    except InputError:
        raise
    except Exception as error:
        return SeedResult(job.algorithm, job.seed, "failed", error=str(error))


def _launch(job: Job) -> None:
    """One run under mpirun."""
    import tomli_w

    from netac.processes.mpirun import command
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / "experiment.toml"
        file.write_text(tomli_w.dumps(job.experiment))
        argv, environment = command(job.processes)
        argv += [sys.executable, "-m", "netac", "run", str(file), "--out", str(job.folder), "--resume"]
        done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("netac: error: ")]
        raise NetacError(said[0].removeprefix("netac: error: ") if said else f"mpirun ended with {done.returncode}")


def _in_parallel(todo: Sequence[Job], workers: int) -> Iterator[SeedResult]:
    """Results as they come; a run whose process died is tried again, then counted as failed."""
    pending, running, tries = deque(todo), {}, {job.folder: 0 for job in todo}
    start = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=start)
    try:
        while pending or running:
            while pending and len(running) < workers:
                job = pending.popleft()
                running[pool.submit(_perform, job)] = job
            broken = False
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    broken = True
                    tries[job.folder] += 1
                    if tries[job.folder] < ATTEMPTS:
                        pending.appendleft(job)
                    else:
                        yield SeedResult(job.algorithm, job.seed, "failed", error="its process died")
            if broken and not running:
                pool.shutdown(wait=False)
                pool = ProcessPoolExecutor(workers, mp_context=start)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _write(found: ComparisonResult, source: config.Source) -> None:
    found.write(found.folder)
    if found.curves:
        from netac.results.plots import plot_comparison
        env, agents = _names(source)
        plot_comparison(found.curves, found.folder / "comparison.png", f"{env}, {agents} agents", found.efficient)


def _names(source: config.Source) -> tuple[str, int]:
    experiment = source.experiment()
    return experiment.env.get("name", experiment.env.get("factory")), experiment.agents
