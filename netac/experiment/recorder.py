"""What a run writes while it runs: rows of its tables, checkpoints, and in the end its summary.

| what | is put together in | and written by |
| --- | --- | --- |
| a row of metrics.csv | `Recorder.metrics`, columns in `measures` | `writers.TableWriter`, `TensorBoardWriter` |
| a row of evaluations.csv | `periodic_evaluation.PeriodicEvaluation.play` | the same, and `BestPolicies` |
| rows of diagnostics.csv | `diagnostics.rows` | `writers.TableWriter` |
| a checkpoint | `Recorder.checkpoint` | `netac.comm.checkpoints` |
| summary.json | `summary.summarize` | `netac.results.records` |
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.comm import checkpoints, launch
from netac.comm.agreement import unlike
from netac.comm.gathering import Gathering
from netac.experiment import diagnostics, fingerprint
from netac.experiment.averages import RunAverages
from netac.experiment.build import Parts
from netac.experiment.description import Interface, by_name, columns_of, describe
from netac.experiment.measures import (
    COLUMNS,
    EXACT_COLUMNS,
    conditions,
    cost_columns,
    disagreement,
    exact_measures,
    game_columns,
    measured_by,
)
from netac.experiment.run_result import RunResult, load_result
from netac.experiment.summary import summarize
from netac.experiment.writers import RowWriter, TableWriter, TensorBoardWriter
from netac.results.records import CHECKPOINTS, DIAGNOSTICS, EVALUATIONS, METRICS, TENSORBOARD, write_summary
from netac.results.tables import Row, read_metrics
from netac.utils.errors import RunError

if TYPE_CHECKING:        # loaded where an experiment has evaluations
    from netac.experiment.periodic_evaluation import PeriodicEvaluation


class Stopwatch:
    """Seconds of iterating, those before a resumption included.

    Args:
        earlier: seconds before it is started.
    """

    def __init__(self, earlier: float = 0.0):
        self._earlier = earlier
        self.start()

    def start(self) -> None:
        """Count on from `earlier`."""
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._earlier + time.perf_counter() - self._started

    @contextmanager
    def paused(self) -> Iterator[float]:
        """What happens within does not count; gives the seconds so far."""
        self._earlier = self.seconds
        try:
            yield self._earlier
        finally:
            self.start()


class Recorder:
    """Keeps a run's records.  Every process takes part, process 0 writes.

    Args:
        parts: what is trained.
        folder: the run folder; None where nothing is written: on other processes, or without one.

    Attributes:
        shown: what a progress bar tells.
    """

    def __init__(self, parts: Parts, folder: Path | None):
        setting, experiment = parts.setting, parts.setting.experiment
        self.parts, self.folder, self.shown = parts, folder, ""
        self._gathering = Gathering(parts.placement, parts.comm)
        window = setting.efficient_over if getattr(setting.environment, "efficient", None) else 0
        self._averages = RunAverages(parts.sampler, experiment.iterations, window)
        self._description = describe(setting.layout, Interface.of(setting.model) if setting.plays_games else None)
        if folder is not None:
            self._description |= {fingerprint.ENTRY: checkpoints.as_entry(setting.marks)}
        self._compared = 0                                   # the iteration in which processes were last found alike
        exact, games = setting.mdp is not None, parts.sampler.episodes is not None
        of_network = parts.network.columns + (() if parts.following is None else parts.following.columns)
        of_games = game_columns(parts.sampler.environment) if games else ()
        self._metrics = TableWriter(METRICS, COLUMNS + of_network + EXACT_COLUMNS * exact + of_games, folder)
        self._evaluation: PeriodicEvaluation | None = None
        self._evaluations: TableWriter | None = None
        self._writers = list(self._needed())
        self._resumed: Mapping[str, np.ndarray] = {}         # the checkpoint to go on from, until the writers are open
        self._earlier_wire = np.zeros(2, dtype=np.int64)
        self._watch = Stopwatch()

    def _needed(self) -> Iterator[RowWriter]:
        """The writers of this run; rows come to them in this order."""
        parts, folder = self.parts, self.folder
        yield self._metrics
        if diagnostics.reported(parts) and folder is not None:
            yield TableWriter(DIAGNOSTICS, diagnostics.columns(parts), folder)
        if parts.setting.experiment.evaluate_every:
            from netac.experiment.periodic_evaluation import COLUMNS as OF_EVALUATIONS
            from netac.experiment.periodic_evaluation import BestPolicies, PeriodicEvaluation
            played = parts.sampler.environment
            columns = OF_EVALUATIONS + measured_by(played) + cost_columns(played) * (parts.sampler.episodes is not None)
            self._evaluations = TableWriter(EVALUATIONS, columns, folder, remember=True)
            self._evaluation = evaluation = PeriodicEvaluation(parts)
            yield self._evaluations
            yield BestPolicies(self._evaluations, lambda: evaluation.policies, self._description,
                               folder and folder / CHECKPOINTS)
        if parts.setting.experiment.tensorboard and folder is not None:
            yield TensorBoardWriter(folder / TENSORBOARD)

    def restore(self, checkpoint: dict[str, np.ndarray] | None) -> int:
        """Take up a checkpoint; the number of iterations done."""
        if checkpoint is None:
            return 0
        fresh, place = self._state(0), (self.folder or Path()) / CHECKPOINTS
        launch.agree(self.parts.comm, lambda: checkpoints.fit(checkpoint, fresh or {}, place))
        with checkpoints.taken_up(place):
            self.parts.restore(checkpoint)
            self._averages.restore(checkpoint)
        self._resumed, self._earlier_wire = checkpoint, checkpoint["wire"]
        self._watch = Stopwatch(float(checkpoint["seconds"]))
        self._compared = int(checkpoint["progress"].flat[0])
        return self._compared

    def __enter__(self) -> Recorder:
        with checkpoints.taken_up((self.folder or Path()) / CHECKPOINTS):
            for writer in self._writers:
                writer.open(self._resumed)
        self._resumed = {}
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        for writer in self._writers:
            writer.close()

    def add(self, t: int) -> None:
        """What iteration t brought."""
        self._averages.add(t)

    def log(self, iteration: int) -> tuple[Row, np.ndarray] | None:
        """One row of metrics.csv, and those of diagnostics.csv where the algorithm reports; the former, with all
        agents' parameters (N, D), on process 0."""
        flat, averages, told = self._parameters(), self._averages.take_row(), self.parts.network.told()
        if flat is None or told is None:
            return None
        graphs = {} if self.parts.following is None else self.parts.following.take_row()
        row = self.metrics(iteration, flat, {**averages, **graphs, **conditions(self.parts.network.columns, told)})
        self.shown = "" if row["reward"] is None else f"reward {row['reward']:.4g}"
        self._write(METRICS, row)
        if diagnostics.reported(self.parts):
            for report in diagnostics.rows(self.parts, iteration):
                self._write(DIAGNOSTICS, report)
        return row, flat

    def metrics(self, iteration: int, flat: np.ndarray, averages: Row) -> Row:
        """A row of metrics.csv, as the run stands; a column more here is one more in `netac.experiment.measures`.

        Args:
            flat: all agents' parameters (N, D).
            averages: the columns of rewards, episodes and the network's conditions.
        """
        setting, ledger = self.parts.setting, self.parts.ledger
        return {"iteration": iteration, "env_steps": ledger.samples, **averages, **disagreement(flat, setting.layout),
                **ledger.logical(), "seconds": self._watch.seconds,
                **(exact_measures(setting, flat) if setting.mdp is not None else {})}

    def evaluate(self, iteration: int) -> Row | None:
        """One row of evaluations.csv, on process 0, where the experiment wants one now; the time it takes is not the
        training's."""
        experiment = self.parts.setting.experiment
        if self._evaluation is None or (iteration % experiment.evaluate_every and iteration != experiment.iterations):
            return None
        flat = self._parameters()
        with self._watch.paused() as seconds:
            row = self._evaluation.play(iteration, seconds, flat)
            if row is not None:
                self._write(EVALUATIONS, row)
        return row

    def _write(self, table: str, row: Row) -> None:
        for writer in self._writers:
            writer.write(table, row)

    def checkpoint(self, iteration: int) -> None:
        """Everything needed to go on from here.

        Raises:
            RunError: what every process keeps by itself, and should be the same, is not.
        """
        self._compare(iteration)
        state = self._state(iteration)
        if self.folder is None or state is None:
            return
        for writer in self._writers:
            writer.sync()
        checkpoints.save(self.folder / CHECKPOINTS, iteration, state | {
            name: array for writer in self._writers for name, array in writer.state().items()})

    def _state(self, iteration: int) -> dict[str, np.ndarray] | None:
        """All that a checkpoint keeps but what the writers keep, on process 0; None elsewhere."""
        flat, wire, parts = self._parameters(), self._wire(), self.parts
        rows = {f"rows_{name}": self._gathering.rows(own) for name, own in parts.rows.items()}
        if flat is None:
            return None
        return {**self._description, "progress": np.array([iteration]), "parameters": flat,
                **{name: whole for name, whole in rows.items() if whole is not None},
                **self._averages.state(), "seconds": np.array(self._watch.seconds), "wire": wire, **parts.state()}

    def _compare(self, iteration: int) -> None:
        """Compare what every process keeps of games that all of them step: streams, chains, games, rewards."""
        comm, sampler = self.parts.comm, self.parts.sampler
        if comm is None or not self.parts.setting.replicated:
            return
        own = sampler.state() | {"rewards": np.array(self._averages.trace)}
        differs = unlike(comm, {name: array.tobytes() for name, array in own.items()})
        if differs and self.parts.setting.experiment.allow_mixed_hosts:
            return                                           # it was said at the start that they may
        if differs:
            rank, names = differs
            raise RunError(f"{self.parts.setting.experiment.env.called}: the environment, which every process steps by "
                           f"itself, went another way on rank {rank} than on rank 0 since iteration {self._compared} "
                           f"({', '.join(names)}): it must be a function of states, actions and the random numbers it "
                           "is given, and its files the same everywhere",
                           agent=self.parts.placement.block(rank), iteration=iteration)
        self._compared = iteration

    def result(self, done: int) -> RunResult | None:
        """The finished run, or the one that is stopped after `done` iterations, None on other processes; writes
        summary.json."""
        parts, seconds = self.parts, self._watch.seconds
        told, evaluations = {}, {}
        if self._evaluation is not None and self._evaluations is not None:
            from netac.experiment.periodic_evaluation import told as told_of
            self._evaluation.close()
            told, evaluations = told_of(self._evaluations.rows), self._evaluations.by_column()
        flat, wire, network = self._parameters(), self._wire(), parts.network.told()
        if flat is None or network is None:
            return None
        happened = conditions(parts.network.columns, network)
        summary = summarize(parts, flat, done, self._final(done), self._averages.rewards, wire, seconds, told, happened)
        if self.folder is not None:
            write_summary(self.folder, summary)
            return load_result(self.folder)
        return RunResult(None, summary, self._metrics.by_column(), by_name(flat, columns_of(parts.setting.layout)),
                         evaluations if told else {})

    def _final(self, done: int) -> Row:
        """Means over the last tenth of the iterations that are done; of a stopped run from the rows of metrics.csv."""
        means = self._averages.final()
        if done == self.parts.setting.experiment.iterations:
            return means
        from netac.results.curves import last_tenth
        table = self._metrics.by_column() if self.folder is None else read_metrics(self.folder / METRICS)
        return {name: last_tenth(table, name) for name in means}

    def _parameters(self) -> np.ndarray | None:
        """All agents' parameters (N, D) on process 0, what is under way included; None elsewhere."""
        self.parts.settle()
        return self._gathering.rows(self.parts.agents.parameters.flat)

    def _wire(self) -> np.ndarray:
        """Messages and bytes between all processes, those before a resumption included."""
        ledger = self.parts.ledger
        return self._earlier_wire + self._gathering.sums(np.array([ledger.wire_messages, ledger.wire_bytes]))
