"""`diagnostics.csv`: what a trainer's iterations did to its policies, a row for each agent and one for all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netac.experiment.build import Parts
from netac.results.records import DIAGNOSTICS
from netac.results.tables import Cell, MetricsWriter

COLUMNS = ("iteration", "env_steps", "agent")      # and what the trainer's report has


class Diagnoses:
    """The diagnoses of a run with a trainer; process 0 keeps them.

    Args:
        parts: what is trained.
        folder: the run folder, None where nothing is written.

    Attributes:
        rows: those of the last diagnosis.
    """

    def __init__(self, parts: Parts, folder: Path | None):
        self._parts, self._folder, self._kept = parts, folder, 0
        self.rows: list[dict[str, Cell]] = []
        self._writer: MetricsWriter | None = None

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up a checkpoint: rows written after it will go."""
        self._kept = int(kept["diagnoses"])

    def open(self) -> None:
        """Begin the file, or go on with that of a checkpoint."""
        if self._folder is not None:
            self._writer = MetricsWriter(self._folder / DIAGNOSTICS, COLUMNS + self._parts.agents.report.columns, self._kept)

    def log(self, iteration: int) -> None:
        """What the iteration before this number did."""
        self.rows = [{"iteration": iteration, "env_steps": self._parts.ledger.samples, **row}
                     for row in self._parts.agents.report.table()]
        if self._writer is not None:
            for row in self.rows:
                self._writer.write(row)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        if self._writer is None:
            return {}
        self._writer.sync()
        return {"diagnoses": np.int64(self._writer.rows)}

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
