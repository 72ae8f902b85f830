"""Evaluations of agents while they train: rows of `evaluations.csv`, and the best policies in `checkpoints/best.npz`.

Agents are played in games of their own, with random streams that neither training nor `netac evaluate` uses, and
training goes on as if nothing had happened.  Every evaluation plays the same episodes (common random numbers): two of
them differ by their policies alone.  So the best return is the greatest of many on these episodes; `netac evaluate
--which best` plays others.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np

from netac.comm import checkpoints
from netac.comm.gathering import Gathering
from netac.experiment.build import Parts
from netac.experiment.evaluate import Evaluation, Stage, Wanted
from netac.experiment.measures import COST_COLUMNS
from netac.experiment.schema import Experiment
from netac.experiment.writers import Arrays, TableWriter
from netac.results.records import EVALUATIONS
from netac.results.statistics import mean_interval, standard_error
from netac.results.tables import Row
from netac.utils.progress import Progress

STREAMS = 10**8     # the first chain index of these evaluations' random streams
COLUMNS = ("iteration", "env_steps", "episodes", "reward", "episode_return", "episode_return_stderr",
           "episode_return_low", "episode_return_high", "episode_length", "seconds", "evaluation_seconds")
KEYS = ("evaluate_episodes", "evaluate_steps")
TIMES = ("seconds", "evaluation_seconds")
PREFIX = "best_"    # of what a checkpoint keeps of the best policies


def wanted(experiment: Experiment) -> Wanted:
    """What an evaluation of this experiment plays."""
    return Wanted(experiment.evaluate_episodes, experiment.evaluate_steps, experiment.evaluate_greedy, streams=STREAMS,
                  keys=KEYS)


class PeriodicEvaluation:
    """Plays the agents of a run as they are.  Every process takes part.

    Args:
        parts: what is trained.

    Attributes:
        policies: all that acting needs of the agents last played, as a checkpoint holds it; on process 0.
    """

    def __init__(self, parts: Parts):
        experiment = parts.setting.experiment
        self._parts, self._gathering = parts, Gathering(parts.placement, parts.comm)
        with _undisturbed():
            self._stage = Stage(parts.setting, wanted(experiment), parts.comm)
        self.policies: dict[str, np.ndarray] = {}

    def play(self, iteration: int, seconds: float, flat: np.ndarray | None) -> Row | None:
        """The agents as they are after `iteration` iterations: a row of `COLUMNS` on process 0, None elsewhere.

        Args:
            seconds: spent training until now.
            flat: all agents' parameters (N, D) on process 0.
        """
        parts, began = self._parts, time.perf_counter()
        own = {name: parts.sampler.rows[name.removeprefix("rows_")] for name in self._stage.rows}
        with _undisturbed():
            found = self._stage.play(parts.agents.parameters.flat, own, Progress(0, wanted=False))
        whole = {name: self._gathering.rows(rows) for name, rows in own.items()}
        if flat is None:
            return None
        kept = {name: rows for name, rows in whole.items() if rows is not None}
        self.policies = {"parameters": flat, **kept, "progress": np.array([iteration])}
        return {"iteration": iteration, "env_steps": parts.ledger.samples, **_measures(found), "seconds": seconds,
                "evaluation_seconds": time.perf_counter() - began}

    def close(self) -> None:
        """Give back what the games hold."""
        self._stage.close()


class BestPolicies:
    """Keeps the policies that did best; a `netac.experiment.writers.RowWriter`.

    Args:
        evaluations: the table of evaluations, whose writer comes before this one.
        policies: gives the policies of the row that is being written.
        description: what else `best.npz` is to hold.
        folder: of checkpoints; None: nothing is written.
    """

    def __init__(self, evaluations: TableWriter, policies: Callable[[], Arrays], description: Arrays,
                 folder: Path | None):
        self._evaluations, self._policies, self._description, self._folder = evaluations, policies, description, folder
        self._best: dict[str, np.ndarray] = {}

    def open(self, checkpoint: Arrays) -> None:
        """Write those of the checkpoint, or remove those of a run that was not gone on with."""
        self._best = {name.removeprefix(PREFIX): array for name, array in checkpoint.items() if name.startswith(PREFIX)}
        self._save()

    def write(self, table: str, row: Row) -> None:
        """Keep the policies if the row is that of an evaluation better than all before."""
        if table == EVALUATIONS and row is best(self._evaluations.rows):
            self._best = {name: array.copy() for name, array in self._policies().items()}
            self._save()

    def _save(self) -> None:
        if self._folder is not None:
            checkpoints.save_best(self._folder, self._best and {**self._description, **self._best})

    def sync(self) -> None:
        """Nothing to do: they are on the disk."""

    def state(self) -> dict[str, np.ndarray]:
        """The best policies, since those of the file may be of a later iteration."""
        return {PREFIX + name: array for name, array in self._best.items()}

    def close(self) -> None:
        """Nothing is open."""


def best(rows: Sequence[Row]) -> Row | None:
    """The evaluation with the greatest return, the first of several; None if none is finite."""
    def reached(row: Row) -> float:
        return cast(float, row["episode_return"])

    return max((row for row in rows if isfinite(reached(row))), key=reached, default=None)


def told(rows: Sequence[Row]) -> dict[str, Any]:
    """What summary.json tells: the best and the last evaluation, and the seconds that all of them took; {} if none."""
    if not rows:
        return {}
    def untimed(row: Row | None) -> dict[str, Any] | None:
        return None if row is None else {name: cell for name, cell in row.items() if name not in TIMES}

    return {"best_evaluation": untimed(best(rows)), "last_evaluation": untimed(rows[-1]),
            "evaluation_seconds": sum(row["evaluation_seconds"] for row in rows)}


def _measures(found: Evaluation) -> Row:
    """Means over episodes; an episode of an environment without an end is as long as it was played."""
    summary, (mean, low, high) = found.summary(), mean_interval(found.sums)
    return {"episodes": summary["episodes"], "reward": summary["reward"], "episode_return": mean,
            "episode_return_stderr": standard_error(found.sums), "episode_return_low": low, "episode_return_high": high,
            "episode_length": float(found.lengths.mean()), **{name: summary[name] for name in (
                *found.measured, *(() if found.costs is None else COST_COLUMNS))}}


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
