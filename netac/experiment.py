"""One experiment from file to run folder: `run` for Python users and the command line, on one process or many."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netac import config
from netac.agents.parameters import Parameters
from netac.build import Parts, Setting, assemble, layout, prepare
from netac.errors import InputError, NetacError, RunError
from netac.measures import COLUMNS, EXACT_COLUMNS, Rewards, disagreement, exact_measures, refuse_bad_numbers
from netac.processes import checkpoints, launch
from netac.processes.placement import Placement
from netac.progress import Progress
from netac.results.files import RunLock, atomic_write, make_run_folder
from netac.results.metrics import MetricsWriter, read_metrics
from netac.results.runs import EXPERIMENT, METRICS, SUMMARY, load_summary, write_summary
from netac.topology import certify

PACKAGES = ("netac", "numpy", "scipy", "networkx", "mpi4py", "pydantic")


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: its run folder, None if nothing was written.
        summary: what `summary.json` holds.
        metrics: the columns of `metrics.csv`, each (logged rows,).
        parameters: theta (N, d), omega (N, K), lambda (N, L), mu (N, 0 or 1) of all agents, in agent order.
    """

    folder: Path | None
    summary: dict[str, Any]
    metrics: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]


def run(experiment: str | Path | Mapping[str, Any] | config.Source, *, set: Mapping[str, Any] | None = None,
        out: str | Path | None = None, resume: bool = False, progress: bool = False, verbose: bool = False) -> RunResult:
    """Run an experiment; under mpirun every process calls this and gets the same result.

    Args:
        experiment: an experiment file, or its tables as a dict.
        set: overrides {"algorithm.name": "dac"}.
        out: the run folder; must not hold another run.  None: nothing is written.
        resume: go on from the newest checkpoint in `out`, or from the start if there is none.
        progress: show progress on process 0 of a terminal.
        verbose: say which process holds which agents.

    Raises:
        InputError: the experiment is not valid, or `out` cannot be used.
        RunError: a failure while running, e.g. a parameter that is not finite.
    """
    comm = launch.communicator()
    folder = Path(out) if out is not None else None
    try:
        return _run(experiment, dict(set or {}), folder, resume, progress, verbose, comm)
    except Exception as error:
        if comm is not None and not getattr(error, "told_by_root", False):
            launch.abort(error, comm, folder if folder and folder.is_dir() else None,
                         patience=0.5 if getattr(error, "hearsay", False) else 0.0)
        raise


def _run(experiment, overrides: dict, folder: Path | None, resume: bool, progress: bool, verbose: bool, comm) -> RunResult:
    root = comm is None or comm.rank == 0
    with ExitStack() as held:
        def begin() -> tuple[config.Experiment, bool]:
            source = experiment if isinstance(experiment, config.Source) else config.read(experiment, overrides)
            setting = checked_setting(source, comm)
            done = folder is not None and open_folder(folder, setting, resume, held)
            return setting.experiment, done

        complete, done = launch.agree(comm, begin)
        setting = prepare(complete)
        if done:
            return launch.agree(comm, lambda: load_result(folder, setting))
        parts = assemble(setting, comm)
        launch.announce(comm, parts.placement.describe, verbose)
        result = launch_loop(parts, folder, resume, Progress(complete.iterations, progress and root), root)
    return result if comm is None else comm.bcast(result, root=0)


def checked_setting(source: config.Source, comm=None, algorithm: str | None = None,
                    compared: Sequence[str] = ()) -> Setting:
    """The experiment with everything checked that can be before it runs, its topology's certificate included."""
    experiment = source.experiment(algorithm, compared)
    try:
        setting = prepare(experiment, source.folder)
        Placement(experiment.agents, comm.size if comm else 1)
        certificate = certify(setting.topology, spectrum=False)
        if certificate.problems:
            raise InputError("the topology does not hold: " + "; ".join(certificate.problems), key="topology")
        if certificate.disconnected and not experiment.allow_disconnected:
            raise InputError(f"the topology does not hold: {certificate.disconnected}", key="topology",
                             valid="a topology whose unions are connected, or allow_disconnected = true if it is meant")
    except InputError as error:
        raise source.located(error) from None
    return setting


def default_folder(source: config.Source, resume: bool) -> Path:
    """runs/FILE-ALGORITHM-seedS: the newest one to resume, else the first free one."""
    experiment = source.experiment()
    stem = source.file.stem if source.file else "experiment"
    first = Path("runs") / f"{stem}-{experiment.algorithm['name']}-seed{experiment.seed}"
    taken = first if first.exists() else None
    for number in range(2, 100_000):
        following = first.with_name(f"{first.name}-{number}") if taken else first
        if not following.exists():
            return taken if resume and taken else following
        taken = following
    raise InputError("too many runs of this name", file=first, valid="--out DIR")


def open_folder(folder: Path, setting: Setting, resume: bool, held: ExitStack) -> bool:
    """Take possession of a run folder; answers whether the run in it is finished already.

    Raises:
        InputError: it cannot be written, another run is writing into it, it holds a run and `resume` is false, or the
            run it holds is of another experiment.
    """
    make_run_folder(folder)
    held.enter_context(RunLock(folder))
    (folder / launch.CLAIM).unlink(missing_ok=True)
    mine = setting.experiment.tables()
    if (folder / EXPERIMENT).exists():
        theirs = config.read(folder / EXPERIMENT).tables
        if not resume:
            raise InputError("this folder holds a run", file=folder, valid="another --out, or --resume to go on with it")
        if theirs != mine:
            raise InputError("the run in this folder is of another experiment", file=folder / EXPERIMENT,
                             key=", ".join(_differing(mine, theirs)), valid="the same experiment, or another --out")
    elif any(path.name not in (".lock", launch.CLAIM) for path in folder.iterdir()):
        raise InputError("this folder holds other files", file=folder, valid="a new or empty folder")
    atomic_write(folder / EXPERIMENT, _toml(mine))
    make_run_folder(folder / "checkpoints")
    with suppress(InputError):       # a finished run whose last checkpoint is damaged goes on from the one before
        return (folder / SUMMARY).exists() and bool(
            checkpoints.final(folder / "checkpoints", setting.experiment.iterations))
    return False


def _toml(tables: dict[str, Any]) -> str:
    import tomli_w
    try:
        return tomli_w.dumps(tables)
    except (TypeError, ValueError) as error:     # an experiment given in Python may hold anything
        raise InputError(f"the experiment cannot be written as TOML: {error}", key="env.kwargs",
                         valid="texts, numbers, lists and tables") from None


def _differing(mine: dict, theirs: dict, prefix: str = "") -> list[str]:
    """Dotted keys in which two experiments differ."""
    keys = []
    for key in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += _differing(one, other, f"{prefix}{key}.")
        elif one != other:
            keys.append(prefix + key)
    return keys


def launch_loop(parts: Parts, folder: Path | None, resume: bool, progress: Progress, root: bool) -> RunResult | None:
    """Iterate, log, checkpoint; the result on process 0, None elsewhere."""
    setting, comm, x = parts.setting, parts.comm, parts.agents.parameters
    experiment, T = setting.experiment, setting.experiment.iterations
    book = _Book(parts, folder if root else None)
    start = book.restore(launch.agree(comm, lambda: _checkpoint(folder, resume, setting)))
    step = setting.algorithm.iterations(parts.agents, parts.world, parts.network, setting.settings, range(start, T))
    log_every, checkpoint_every = experiment.log_every, experiment.checkpoint_every
    world, rewards, agents, t = parts.world, book.rewards, parts.placement.local, start
    who = None if len(agents) == experiment.agents else agents
    with progress, book, np.errstate(over="ignore", invalid="ignore", divide="ignore"):    # `refuse_bad_numbers` tells
        if start == 0:
            book.log(0)
        try:
            for t in range(start, T):
                next(step)
                refuse_bad_numbers(x.flat, world.rewards, x.layout, agents, t)
                rewards.add(t, *world.take_reward())
                done = t + 1
                if done % log_every == 0 or done == T:
                    book.log(done)
                    progress.show(done, book.shown)
                if done % checkpoint_every == 0 or done == T:
                    book.checkpoint(done)
        except RunError as error:
            raise error if error.iteration is not None else RunError(
                error.cause, agent=who if error.agent is None else error.agent, iteration=t) from error
        except (NetacError, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:     # a user's environment may do anything
            raise RunError(in_words(error), agent=who, iteration=t) from error
        parts.network.close()
        return book.result()


def in_words(error: BaseException) -> str:
    """An unforeseen exception, with the place in the code it came from."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def _checkpoint(folder: Path | None, resume: bool, setting: Setting) -> dict[str, np.ndarray] | None:
    found = checkpoints.newest(folder / "checkpoints") if folder and resume else None
    expected = (setting.experiment.agents, layout(setting).total)
    if found is not None and ("parameters" not in found or found["parameters"].shape != expected):
        raise InputError("the checkpoint does not fit the experiment", file=folder / "checkpoints")
    return found


class _Book:
    """Keeps a run's records: metrics, checkpoints, summary.  Every process takes part, process 0 writes."""

    def __init__(self, parts: Parts, folder: Path | None):
        self.parts, self.folder = parts, folder
        env, T = parts.setting.environment, parts.setting.experiment.iterations
        self._efficient = getattr(env, "efficient", None)
        self.rewards = Rewards(T, min(T, env.EFFICIENT_OVER) if self._efficient else 0)
        self.columns = COLUMNS + (EXACT_COLUMNS if env.mdp is not None else ())
        self.rows: list[dict[str, Any]] = []
        self.shown = ""
        self._kept, self._before, self._started = 0, 0.0, time.perf_counter()
        self._writer: MetricsWriter | None = None

    def restore(self, kept: dict[str, np.ndarray] | None) -> int:
        """Take up a checkpoint; the number of iterations done."""
        if kept is None:
            return 0
        parts = self.parts
        local = parts.placement.local
        parts.agents.parameters.flat[:] = kept["parameters"][local.start:local.stop]
        parts.world.restore(kept)
        parts.ledger.restore(kept)
        self.rewards.sums[:] = kept["rewards"]
        iteration, self._kept = kept["progress"].tolist()
        self._before = float(kept["seconds"])
        return iteration

    def __enter__(self) -> _Book:
        if self.folder is not None:
            self._writer = MetricsWriter(self.folder / METRICS, self.columns, self._kept)
        self._started = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    @property
    def seconds(self) -> float:
        """Seconds spent iterating, those before a resume included."""
        return self._before + time.perf_counter() - self._started

    def _gather(self) -> np.ndarray | None:
        self.parts.network.settle()
        return checkpoints.gather(self.parts.agents.parameters.flat, self.parts.placement, self.parts.comm)

    def log(self, iteration: int) -> None:
        """One row of metrics.csv."""
        flat = self._gather()
        reward = self.rewards.take_row()
        if flat is None:
            return
        setting, plan = self.parts.setting, self.parts.agents.parameters.layout
        row = {"iteration": iteration, "env_steps": self.parts.ledger.samples, "reward": reward,
               **disagreement(flat, plan), **self.parts.ledger.logical(), "seconds": self.seconds}
        if setting.environment.mdp is not None:
            row |= exact_measures(setting, flat, plan)
        self.shown = "" if reward is None else f"reward {reward:.4g}"
        if self._writer is not None:
            self._writer.write(row)
        else:
            self.rows.append(row)

    def checkpoint(self, iteration: int) -> None:
        """Everything needed to go on from here."""
        flat = self._gather()
        if self._writer is None:
            return
        self._writer.sync()
        checkpoints.save(self.folder / "checkpoints", iteration, {
            "parameters": flat, "rewards": self.rewards.sums, "seconds": np.float64(self.seconds),
            "progress": np.array([iteration, self._writer.rows]),
            **self.parts.world.state(), **self.parts.ledger.state()})

    def result(self) -> RunResult | None:
        """The finished run; writes summary.json."""
        parts, seconds = self.parts, self.seconds
        flat, wire = self._gather(), self._wire()
        if flat is None:
            return None
        summary = self._summary(flat, wire, seconds)
        if self.folder is not None:
            write_summary(self.folder, summary)
            return load_result(self.folder, parts.setting)
        return RunResult(None, summary, {name: _column([row.get(name) for row in self.rows]) for name in self.columns},
                         _by_name(flat, parts.setting))

    def _wire(self) -> list[int]:
        mine = [self.parts.ledger.wire_messages, self.parts.ledger.wire_bytes]
        comm = self.parts.comm
        return mine if comm is None else np.sum(comm.allgather(mine), axis=0).tolist()

    def _summary(self, flat: np.ndarray, wire: list[int], seconds: float) -> dict[str, Any]:
        experiment, ledger = self.parts.setting.experiment, self.parts.ledger
        traffic = ledger.logical()
        summary = {
            "algorithm": experiment.algorithm["name"],
            "env": experiment.env.get("name", experiment.env.get("factory")),
            "agents": experiment.agents, "processes": self.parts.placement.processes, "seed": experiment.seed,
            "iterations": experiment.iterations, "env_steps": ledger.samples, "final_reward": self.rewards.final,
            **disagreement(flat, self.parts.agents.parameters.layout),
            "messages_per_agent": traffic["messages"],
            "bytes_per_agent": sum(size for name, size in traffic.items() if name.startswith("bytes_")),
            **{f"{name}_per_agent": size for name, size in traffic.items() if name.startswith("bytes_")},
            "most_consensus_bytes_of_an_agent": int(ledger.consensus_bytes.max()),
            "wire_messages": wire[0], "wire_bytes": wire[1],
            "wall_seconds": seconds, "iterations_per_second": experiment.iterations / seconds}
        if self._efficient:
            summary["efficient"] = self._efficient(self.rewards.last)
        if self.parts.setting.environment.mdp is not None:
            summary |= exact_measures(self.parts.setting, flat, self.parts.agents.parameters.layout)
        whole = Parameters(self.parts.agents.parameters.layout, len(flat))
        whole.flat[:] = flat
        summary["parameters_sha256"] = hashlib.sha256(whole.hashed()).hexdigest()
        summary["versions"] = versions()
        return summary


def _column(cells: list[float | int | None]) -> np.ndarray:
    """A column of metrics, of the type `read_metrics` gives it."""
    return np.array(cells, dtype=np.int64 if all(isinstance(cell, int) for cell in cells) else float)


def _by_name(flat: np.ndarray, setting: Setting) -> dict[str, np.ndarray]:
    columns = layout(setting).columns
    return {name: flat[:, columns["lam" if name == "lambda" else name]].copy()
            for name in ("theta", "omega", "lambda", "mu")}


def load_result(folder: str | Path, setting: Setting | None = None) -> RunResult:
    """The result of a finished run, from its folder."""
    folder = Path(folder)
    setting = setting or prepare(config.read(folder / EXPERIMENT).experiment())
    kept = checkpoints.final(folder / "checkpoints", setting.experiment.iterations)
    return RunResult(folder, load_summary(folder), read_metrics(folder / METRICS), _by_name(kept["parameters"], setting))


def versions() -> dict[str, str]:
    """Versions of what a run depends on (of a package only if it is installed)."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "mpi4py.MPI" in sys.modules:
        found["mpi"] = sys.modules["mpi4py.MPI"].Get_library_version().split(",")[0].strip()
    return found
