"""What a run leaves behind: metrics, checkpoints, summary, and the typed result of reading them back."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netac.agents.parameters import Parameters
from netac.comm import checkpoints
from netac.experiment import config
from netac.experiment.build import Parts, Setting, prepare
from netac.experiment.diagnostics import Diagnoses
from netac.experiment.measures import COLUMNS, EPISODE_COLUMNS, EXACT_COLUMNS, Average, disagreement, exact_measures
from netac.experiment.periodic_evaluation import Evaluations
from netac.results.records import EXPERIMENT, METRICS, load_evaluations, load_summary, write_summary
from netac.results.tables import MetricsWriter, read_metrics
from netac.results.tensorboard import EventWriter
from netac.utils import kernels
from netac.utils.errors import InputError
from netac.utils.workers import RUNS_AT_A_TIME

PACKAGES = ("netac", "numpy", "scipy", "networkx", "mpi4py", "pydantic")
OPTIONAL_PACKAGES = ("torch", "gymnasium", "pettingzoo", "mpe2", "gymnasium_robotics", "mujoco")     # where loaded


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: its run folder, None if nothing was written.
        summary: what `summary.json` holds.
        metrics: the columns of `metrics.csv`, each (logged rows,).
        parameters: theta (N, d), omega (N, K), lambda (N, L), mu (N, 0 or 1) of all agents, in agent order.
        evaluations: the columns of `evaluations.csv`, each (evaluations,); without columns where there were none.
    """

    folder: Path | None
    summary: dict[str, Any]
    metrics: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    evaluations: dict[str, np.ndarray] = field(default_factory=dict)


class Recorder:
    """Keeps a run's records: metrics, checkpoints, summary.  Every process takes part, process 0 writes."""

    def __init__(self, parts: Parts, folder: Path | None):
        self.parts, self.folder = parts, folder
        env, T = parts.setting.environment, parts.setting.experiment.iterations
        self._efficient = getattr(env, "efficient", None)
        self.rewards = Average(T, parts.setting.efficient_over if self._efficient else 0)
        self._tally = parts.sampler.tally
        self._episodes = parts.sampler.episodes
        self.returns, self.lengths, self._finished = Average(T), Average(T), 0
        self.columns = COLUMNS + (EXACT_COLUMNS if parts.setting.mdp is not None else ()) + (
            EPISODE_COLUMNS if self._episodes else ())
        self.rows: list[dict[str, Any]] = []
        self.shown = ""
        self._kept, self._before, self._started = 0, 0.0, time.perf_counter()
        self._wire_before = np.zeros(2, dtype=np.int64)
        self._done = 0
        self._evaluations = Evaluations(parts, folder) if parts.setting.experiment.evaluate_every else None
        self._diagnoses = Diagnoses(parts, folder) if parts.setting.trains_centrally else None
        self._besides = [each for each in (self._evaluations, self._diagnoses) if each is not None]
        self._writer: MetricsWriter | None = None
        self._events: EventWriter | None = None

    def restore(self, kept: dict[str, np.ndarray] | None) -> int:
        """Take up a checkpoint; the number of iterations done."""
        if kept is None:
            return 0
        self.parts.restore(kept)
        for name, average in self._averages.items():
            average.restore(kept[name])
        self._finished = int(kept["finished"])
        for each in self._besides:
            each.restore(kept)
        self._done, self._kept = kept["progress"].tolist()
        self._before = float(kept["seconds"])
        self._wire_before = kept["wire"]
        return self._done

    def __enter__(self) -> Recorder:
        if self.folder is not None:
            self._writer = MetricsWriter(self.folder / METRICS, self.columns, self._kept)
            if self.parts.setting.experiment.tensorboard:
                self._events = EventWriter(self.folder / "tensorboard", self._done, self.parts.ledger.samples)
        for each in self._besides:
            each.open()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        for writer in filter(None, (self._writer, self._events, *self._besides)):
            writer.close()

    @property
    def seconds(self) -> float:
        """Seconds spent iterating, those before a resume included."""
        return self._before + time.perf_counter() - self._started

    @property
    def _averages(self) -> dict[str, Average]:
        return {"rewards": self.rewards, **({"returns": self.returns, "lengths": self.lengths} if self._episodes else {})}

    def add(self, t: int) -> None:
        """What iteration t brought."""
        self.rewards.add(t, *self._tally.take())
        if self._episodes is not None:
            finished, returns, lengths = self._episodes.take()
            self.returns.add(t, returns, finished)
            self.lengths.add(t, lengths, finished)
            self._finished += finished

    def _gather(self) -> np.ndarray | None:
        self.parts.settle()
        return checkpoints.gather(self.parts.agents.parameters.flat, self.parts.placement, self.parts.comm)

    def log(self, iteration: int) -> None:
        """One row of metrics.csv."""
        flat = self._gather()
        reward = self.rewards.take_row()
        episodes, self._finished = self._finished, 0
        finished = {"episodes": episodes, "episode_return": self.returns.take_row(), "episode_length": self.lengths.take_row()}
        if flat is None:
            return
        setting = self.parts.setting
        row = {"iteration": iteration, "env_steps": self.parts.ledger.samples, "reward": reward,
               **disagreement(flat, setting.layout), **self.parts.ledger.logical(), "seconds": self.seconds}
        if setting.mdp is not None:
            row |= exact_measures(setting, flat)
        if self._episodes is not None:
            row |= finished
        self.shown = "" if reward is None else f"reward {reward:.4g}"
        if self._diagnoses is not None:
            self._diagnoses.log(iteration)
        if self._writer is not None:
            self._writer.write(row)
            if self._events is not None:
                self._events.write(row)
        else:
            self.rows.append(row)

    def evaluate(self, iteration: int) -> None:
        """One row of evaluations.csv, where the experiment wants one now; the time it takes is not the training's."""
        experiment = self.parts.setting.experiment
        if self._evaluations is None or (iteration % experiment.evaluate_every and iteration != experiment.iterations):
            return
        flat, seconds = self._gather(), self.seconds
        row = self._evaluations.add(iteration, seconds, flat)
        self._started = time.perf_counter() - (seconds - self._before)
        if self._events is not None:
            self._events.write({name if name == "iteration" else f"evaluation/{name}": cell for name, cell in row.items()})

    def checkpoint(self, iteration: int) -> None:
        """Everything needed to go on from here."""
        flat, wire, parts = self._gather(), self._wire(), self.parts
        rows = {f"rows_{name}": checkpoints.gather(rows, parts.placement, parts.comm) for name, rows in parts.rows.items()}
        if self._writer is None:
            return
        self._writer.sync()
        checkpoints.save(self.folder / "checkpoints", iteration, {
            "parameters": flat, **rows,
            **{name: average.state() for name, average in self._averages.items()}, "finished": np.int64(self._finished),
            "seconds": np.float64(self.seconds), "wire": wire,
            "progress": np.array([iteration, self._writer.rows]),
            **{name: array for each in self._besides for name, array in each.state().items()},
            **parts.state()})

    def result(self) -> RunResult | None:
        """The finished run; writes summary.json."""
        parts, seconds = self.parts, self.seconds
        if self._evaluations is not None:
            self._evaluations.finish()
        flat, wire = self._gather(), self._wire()
        if flat is None:
            return None
        summary = self._summary(flat, wire, seconds)
        if self.folder is not None:
            write_summary(self.folder, summary)
            return load_result(self.folder, parts.setting)
        evaluations = self._evaluations.rows if self._evaluations else []
        return RunResult(None, summary, _columns(self.rows, self.columns), _by_name(flat, parts.setting),
                         _columns(evaluations, evaluations[0] if evaluations else ()))

    def _wire(self) -> np.ndarray:
        """Messages and bytes between all processes, those before a resume included."""
        mine = np.array([self.parts.ledger.wire_messages, self.parts.ledger.wire_bytes])
        comm = self.parts.comm
        return self._wire_before + (mine if comm is None else comm.allreduce(mine))

    def _summary(self, flat: np.ndarray, wire: np.ndarray, seconds: float) -> dict[str, Any]:
        experiment, ledger = self.parts.setting.experiment, self.parts.ledger
        traffic = ledger.logical()
        summary = {
            "algorithm": experiment.algorithm.name,
            "env": experiment.env.called,
            "agents": experiment.agents, "processes": self.parts.placement.processes, "seed": experiment.seed,
            "iterations": experiment.iterations, "env_steps": ledger.samples, "final_reward": self.rewards.final,
            **disagreement(flat, self.parts.setting.layout),
            "messages_per_agent": traffic["messages"],
            "bytes_per_agent": sum(size for name, size in traffic.items() if name.startswith("bytes_")),
            **{f"{name}_per_agent": size for name, size in traffic.items() if name.startswith("bytes_")},
            "most_consensus_bytes_of_an_agent": int(ledger.consensus_bytes.max()),
            "wire_messages": int(wire[0]), "wire_bytes": int(wire[1]),
            "wall_seconds": seconds, "iterations_per_second": experiment.iterations / seconds,
            "runs_at_a_time": int(os.environ.get(RUNS_AT_A_TIME, "1"))}
        if self._episodes is not None:
            summary |= {"episode_return": self.returns.final, "episode_length": self.lengths.final}
        if self._evaluations is not None:
            summary |= self._evaluations.summary()
        if self._efficient:
            summary["efficient"] = self._efficient(self.rewards.last)
        if self.parts.setting.mdp is not None:
            summary |= exact_measures(self.parts.setting, flat)
        whole = Parameters(self.parts.setting.layout, len(flat))
        whole.flat[:] = flat
        summary["parameters_sha256"] = hashlib.sha256(whole.hashed()).hexdigest()
        summary["versions"], summary["kernels"] = versions(), kernels.fingerprint()
        return summary


def checkpoint_to_resume(folder: Path | None, resume: bool, setting: Setting) -> dict[str, np.ndarray] | None:
    """The checkpoint a run goes on from; None: from the start."""
    found = checkpoints.newest(folder / "checkpoints") if folder and resume else None
    expected = (setting.experiment.agents, setting.layout.total)
    if found is None:
        return None
    if "parameters" not in found or found["parameters"].shape != expected:
        raise InputError("the checkpoint does not fit the experiment", file=folder / "checkpoints")
    if not {"rows_optimizer_counts", "ledger_trainer"} <= found.keys():
        raise InputError("the checkpoint was written by an older netac", file=folder / "checkpoints", valid="another --out")
    return found


def _columns(rows: list[dict[str, Any]], names: Iterable[str]) -> dict[str, np.ndarray]:
    """Rows as columns, of the types `read_metrics` gives them."""
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {name: np.array(cells, dtype=np.int64 if all(isinstance(cell, int) for cell in cells) else float)
            for name, cells in columns.items()}


def _by_name(flat: np.ndarray, setting: Setting) -> dict[str, np.ndarray]:
    columns = setting.layout.columns
    return {name: flat[:, columns["lam" if name == "lambda" else name]].copy()
            for name in ("theta", "omega", "lambda", "mu")}


def load_result(folder: str | Path, setting: Setting | None = None) -> RunResult:
    """The result of a finished run, from its folder."""
    folder = Path(folder)
    setting = setting or prepare(config.read(folder / EXPERIMENT).experiment())
    kept = checkpoints.final(folder / "checkpoints", setting.experiment.iterations)
    return RunResult(folder, load_summary(folder), read_metrics(folder / METRICS), _by_name(kept["parameters"], setting),
                     load_evaluations(folder))


def versions() -> dict[str, str]:
    """Versions of what a run depends on (of a package only if it is installed)."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in (*PACKAGES, *(name for name in OPTIONAL_PACKAGES if name in sys.modules)):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "mpi4py.MPI" in sys.modules:
        found["mpi"] = sys.modules["mpi4py.MPI"].Get_library_version().split(",")[0].strip()
    return found
