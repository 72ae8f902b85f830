"""Evaluations of agents while they train: `evaluations.csv`, and the best policies in `checkpoints/best.npz`.

Agents are played in games of their own, with random streams that neither training nor `netac evaluate` uses, and training
goes on as if nothing had happened.  Every evaluation plays the same episodes (common random numbers): two of them differ by
their policies alone.  So the best return is the greatest of many on these episodes; `netac evaluate --which best` plays others.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from netac.comm import checkpoints
from netac.experiment.build import Parts
from netac.experiment.evaluate import Evaluation, Stage, Wanted, standard_error
from netac.results.records import EVALUATIONS
from netac.results.statistics import mean_interval
from netac.results.tables import Cell, MetricsWriter, read_metrics
from netac.utils.files import atomic_savez
from netac.utils.progress import Progress

STREAMS = 10**8     # the first chain index of these evaluations' random streams
COLUMNS = ("iteration", "env_steps", "episodes", "reward", "episode_return", "episode_return_stderr", "episode_return_low",
           "episode_return_high", "episode_length", "seconds", "evaluation_seconds")
TIMES = ("seconds", "evaluation_seconds")
PREFIX = "best_"    # of what a checkpoint keeps of the best policies


class Evaluations:
    """The evaluations of a run.  Every process takes part, process 0 keeps them.

    Args:
        parts: what is trained.
        folder: the run folder, None where nothing is written.

    Attributes:
        rows: one for each evaluation, of `COLUMNS`; on process 0.
    """

    def __init__(self, parts: Parts, folder: Path | None):
        experiment = parts.setting.experiment
        self._parts, self._folder = parts, folder
        wanted = Wanted(experiment.evaluate_episodes, experiment.evaluate_steps, experiment.evaluate_greedy, streams=STREAMS)
        with _undisturbed():
            self._stage = Stage(parts.setting, wanted, parts.comm)
        self.rows: list[dict[str, Cell]] = []
        self._kept, self._best = 0, {}
        self._writer: MetricsWriter | None = None

    def open(self) -> None:
        """Begin the files, or go on with those of a checkpoint."""
        if self._folder is None:
            return
        self._writer = MetricsWriter(self._folder / EVALUATIONS, COLUMNS, self._kept)
        columns = read_metrics(self._folder / EVALUATIONS)
        cells = zip(*(column.tolist() for column in columns.values()), strict=True)
        self.rows = [dict(zip(columns, row, strict=True)) for row in cells]
        self._save_best()

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()

    def finish(self) -> None:
        """Give back what the games hold."""
        self._stage.close()

    def add(self, iteration: int, seconds: float, flat: np.ndarray | None) -> dict[str, Cell] | None:
        """Evaluate the agents as they are after `iteration` iterations; the row on process 0, None elsewhere.

        Args:
            seconds: spent training until now.
            flat: all agents' parameters (N, D) on process 0.
        """
        parts, began = self._parts, time.perf_counter()
        own = {name: parts.sampler.rows[name.removeprefix("rows_")] for name in self._stage.rows}
        with _undisturbed():
            found = self._stage.play(parts.agents.parameters.flat, own, Progress(0, wanted=False))
        whole = {name: checkpoints.gather(rows, parts.placement, parts.comm) for name, rows in own.items()}
        if flat is None:
            return None
        row = {"iteration": iteration, "env_steps": parts.ledger.samples, **_measures(found), "seconds": seconds,
               "evaluation_seconds": time.perf_counter() - began}
        self.rows.append(row)
        if self._writer is not None:
            self._writer.write(row)
        if row is self._best_row:
            self._best = {"parameters": flat.copy(), **{name: rows.copy() for name, rows in whole.items()},
                          "progress": np.array([iteration])}
            self._save_best()
        return row

    @property
    def _best_row(self) -> dict[str, Cell] | None:
        """The evaluation with the greatest return, the first of several; None if none is finite."""
        finite = (row for row in self.rows if isfinite(row["episode_return"]))
        return max(finite, key=lambda row: row["episode_return"], default=None)

    def _save_best(self) -> None:
        """Write the best policies, or remove those of a run that was not gone on with."""
        if self._folder is None:
            return
        file = self._folder / "checkpoints" / checkpoints.BEST
        if self._best:
            atomic_savez(file, self._best)
        else:
            file.unlink(missing_ok=True)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps: how many rows there are, and the best policies."""
        self._writer.sync()
        return {"evaluations": np.int64(len(self.rows)), **{PREFIX + name: array for name, array in self._best.items()}}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take it up, before `open`."""
        self._kept = int(kept["evaluations"])
        self._best = {name.removeprefix(PREFIX): array for name, array in kept.items() if name.startswith(PREFIX)}

    def summary(self) -> dict[str, Any]:
        """What summary.json tells: the best and the last evaluation, and the seconds that all of them took."""
        chosen = {"best_evaluation": self._best_row, "last_evaluation": self.rows[-1]}
        return {**{name: row and {key: cell for key, cell in row.items() if key not in TIMES} for name, row in chosen.items()},
                "evaluation_seconds": sum(row["evaluation_seconds"] for row in self.rows)}


def _measures(found: Evaluation) -> dict[str, Cell]:
    """Means over episodes; an episode of an environment without an end is as long as it was played."""
    told, (mean, low, high) = found.summary(), mean_interval(found.sums)
    return {"episodes": told["episodes"], "reward": told["reward"], "episode_return": mean,
            "episode_return_stderr": standard_error(found.sums), "episode_return_low": low, "episode_return_high": high,
            "episode_length": float(found.lengths.mean())}


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leaves the global generators, from which a user's environment may draw, as they were."""
    before, ours = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    theirs = None if torch is None else torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(ours)
        if torch is not None:
            torch.random.set_rng_state(theirs)
