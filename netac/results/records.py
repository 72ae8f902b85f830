"""A run folder: `summary.json` written and read, and the whole folder read back as one record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netac.results.tables import read_metrics
from netac.utils.errors import InputError
from netac.utils.files import atomic_write, load_json, load_toml

EXPERIMENT, METRICS, SUMMARY = "experiment.toml", "metrics.csv", "summary.json"
EVALUATIONS = "evaluations.csv"      # of a run that was evaluated while it trained
DIAGNOSTICS = "diagnostics.csv"      # of a run with a central trainer
CHECKPOINTS, TENSORBOARD = "checkpoints", "tensorboard"      # folders


LARGEST = 2**63 - 1
_TEXT, _WHOLE, _NUMBER = ((str,), "a text"), ((int,), "a whole number"), ((int, float), "a number")
OF_SUMMARY: dict[str, tuple[tuple[type, ...], str]] = {     # what summary.json says, where it says it
    **dict.fromkeys(("algorithm", "env", "parameters_sha256"), _TEXT),
    **dict.fromkeys(("agents", "processes", "seed", "iterations", "runs_at_a_time"), _WHOLE),
    **dict.fromkeys(("env_steps", "final_reward", "consensus_error", "messages_per_agent", "bytes_per_agent",
                     "wall_seconds", "iterations_per_second", "J", "episode_return"), _NUMBER),
    **dict.fromkeys(("lost", "delayed", "compressed_bits", "network_seconds"), _NUMBER),
    **dict.fromkeys(("efficient", "stopped"), ((bool,), "true or false")),
    **dict.fromkeys(("network", "versions", "kernels"), ((dict,), "a table"))}


@dataclass(frozen=True)
class RunRecord:
    """A finished run, or one that was stopped, as its folder tells it.

    Attributes:
        folder: where it lies.
        summary: `summary.json`.
        metrics: the columns of `metrics.csv`, each of shape (logged rows,).
        experiment: `experiment.toml`, with all defaults filled in.
        evaluations: the columns of `evaluations.csv`, each of shape (evaluations,); without columns where there were
            none.
    """

    folder: Path
    summary: dict
    metrics: dict[str, np.ndarray]
    experiment: dict
    evaluations: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end, and can go on."""
        return bool(self.summary.get("stopped"))

    @property
    def iterations(self) -> int:
        """T, as `experiment.toml` says, or those that were done before it was stopped; InputError where neither is
        known."""
        found = self.summary.get("iterations") if self.stopped else self.experiment.get("iterations")
        if not isinstance(found, int):
            raise InputError("should be a whole number", file=self.folder / EXPERIMENT, key="iterations", found=found,
                             valid="a whole number of iterations, as netac run has written it")
        return found


def load_run(folder: str | Path) -> RunRecord:
    """Read a run folder back.

    Raises:
        InputError: it is not the folder of a finished run (says which files are missing), or a file is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is not a folder", file=folder, valid="the folder of a run (netac run ... --out DIR)")
    missing = [name for name in (EXPERIMENT, METRICS, SUMMARY) if not (folder / name).is_file()]
    if missing:
        problem = "the run has not finished" if missing == [SUMMARY] else "is not the folder of a run"
        raise InputError(f"{problem}: {', '.join(missing)} missing", file=folder,
                         valid=f"a folder with {EXPERIMENT}, {METRICS} and {SUMMARY}")
    experiment, summary = load_toml(folder / EXPERIMENT), load_summary(folder)
    metrics = _with_columns(folder / METRICS, ("iteration", "reward"))
    return RunRecord(folder, summary, metrics, experiment, load_evaluations(folder))


def has_finished(folder: Path) -> bool:
    """Whether the run in a folder has come to its end, as its summary tells; not if it was stopped before.

    Raises:
        InputError: the summary is damaged.
    """
    return (folder / SUMMARY).exists() and not load_summary(folder).get("stopped")


def load_evaluations(folder: str | Path) -> dict[str, np.ndarray]:
    """The columns of `evaluations.csv`, each of shape (evaluations,); without columns where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    file = Path(folder) / EVALUATIONS
    return _with_columns(file, ("iteration", "env_steps", "episode_return")) if file.exists() else {}


def _with_columns(file: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns of a table of numbers; InputError where one of `needed` is missing, or iterations do not grow."""
    table = read_metrics(file)
    if missing := [name for name in needed if name not in table]:
        raise InputError("has columns missing", file=file, key=missing[0], found=", ".join(table),
                         valid=f"at least {', '.join(needed)}")
    for name in ("iteration", "env_steps"):
        column = table.get(name, np.zeros(0, int))
        if len(column) and (column.dtype.kind != "i" or (np.diff(column) < 0).any() or column[0] < 0):
            raise InputError("should be whole numbers that grow", file=file, key=name, found=column[:8].tolist(),
                             valid="a CSV file written by netac run")
    return table


def write_summary(folder: str | Path, summary: Mapping[str, object]) -> None:
    """Write `summary.json` atomically, keys in the given order; NaN and infinities become null.

    Raises:
        RunError: it could not be written.
    """
    text = json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(Path(folder) / SUMMARY, text + "\n")


def load_summary(folder: str | Path) -> dict:
    """Read `summary.json`.

    Raises:
        InputError: it is missing, not JSON or not a JSON object.
    """
    file = Path(folder) / SUMMARY
    summary = load_json(file)
    if not isinstance(summary, dict):
        raise InputError("is not a JSON object", file=file, found=summary)
    for key, (kinds, valid) in OF_SUMMARY.items():
        if key not in summary or (summary[key] is None and (float in kinds or bool in kinds)):
            continue
        value = summary[key]
        if (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
                or (isinstance(value, int) and abs(value) > LARGEST)):
            raise InputError("is damaged", file=file, key=key, found=value, valid=f"{valid}, as netac run wrote it")
    return summary


def _plain(value: object) -> object:
    """`value` in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
