"""The result of a run, and how it is read back from a run folder: files are read, and no code of the run's is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netac.comm import checkpoints
from netac.experiment.description import Description, by_name, columns_of
from netac.results.records import CHECKPOINTS, DIAGNOSTICS, EVALUATIONS, EXPERIMENT, METRICS, RunRecord, load_run
from netac.results.tables import check_rows
from netac.utils.errors import InputError


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


def load_result(folder: str | Path) -> RunResult:
    """The result of a finished run, from its folder.  Its environment is not made.

    Raises:
        InputError: it is not the folder of a finished run, a file is damaged, or an older netac wrote it and only code
            of the user's could tell what its numbers are.
    """
    return read_result(Path(folder))


def read_result(folder: Path, columns: Mapping[str, slice] | None = None) -> RunResult:
    """The result of a finished run.

    Args:
        columns: where theta, omega, lambda and mu stand in the agents' rows if its checkpoint does not say.
    """
    record = load_run(folder)
    kept = checkpoints.final(folder / CHECKPOINTS, record.iterations)
    for name in (METRICS, EVALUATIONS, DIAGNOSTICS):
        count, digest = (kept.get(f"{Path(name).stem}{end}") for end in ("", "_sha256"))
        if count is not None and digest is not None:
            check_rows(folder / name, int(count), digest.tobytes())
    description = Description.read(kept, folder / CHECKPOINTS)
    columns = description.columns if description else columns or _columns_of_old(record)
    return RunResult(folder, record.summary, record.metrics, by_name(kept["parameters"], columns), record.evaluations)


def _columns_of_old(record: RunRecord) -> dict[str, slice]:
    """The columns of a checkpoint of format 0: the experiment's parts tell, unless some of them are a user's code."""
    from netac.experiment import config
    from netac.experiment.build import prepare
    from netac.utils.plugins import Factory, asking

    def refuse(key: str, code: Factory | Path) -> None:
        raise InputError(
            "an older netac wrote this run, and only the code that it names tells what its numbers are",
            file=record.folder / CHECKPOINTS, key=key, found=code.factory if isinstance(code, Factory) else str(code),
            valid=f'netac.run("{record.folder / EXPERIMENT}", out="{record.folder}", resume=True), which runs it')

    with asking(refuse):
        return columns_of(prepare(config.read(record.folder / EXPERIMENT).experiment()).layout)
