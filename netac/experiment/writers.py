"""Where a run's rows go: tables in the run folder, TensorBoard's event files, or, without a folder, memory.

A writer of another kind is a class with the methods of `RowWriter` and a line in `netac.experiment.recorder.Recorder`,
which puts the rows together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from netac.results.records import EVALUATIONS, METRICS
from netac.results.tables import CsvWriter, Row, read_metrics
from netac.results.tensorboard import EventWriter

Arrays = Mapping[str, np.ndarray]


class RowWriter(Protocol):
    """Takes the rows of all tables as they come, and keeps those it is for.  It lives on process 0."""

    def open(self, checkpoint: Arrays) -> None:
        """Begin (the checkpoint is empty), or go on from a checkpoint: whatever was written after it is removed."""

    def write(self, table: str, row: Row) -> None:
        """A row of the table `table`, the name of its file."""

    def sync(self) -> None:
        """Force everything to the disk, before a checkpoint counts on it."""

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""

    def close(self) -> None:
        """Close what is open; nothing more is written."""


class TableWriter:
    """One table of numbers and text, as a CSV file or, without a file, in memory.

    Args:
        name: the table's name, which is its file's.
        columns: its header.
        folder: the run folder; None: nothing is written.
        remember: whether rows are kept in memory, too; without a folder they are in any case.

    Attributes:
        rows: all rows, where they are remembered.
    """

    def __init__(self, name: str, columns: tuple[str, ...], folder: Path | None, remember: bool = False):
        self.name, self.columns, self.rows = name, columns, list[Row]()
        self._file = None if folder is None else folder / name
        self._remember = remember or folder is None
        self._csv: CsvWriter | None = None

    @property
    def _count(self) -> str:
        """Under which name a checkpoint counts the rows."""
        return Path(self.name).stem

    def open(self, checkpoint: Arrays) -> None:
        """Begin the file, or go on after the rows that a checkpoint counts."""
        if self._file is None:
            return
        digest = checkpoint.get(f"{self._count}_sha256")
        self._csv = CsvWriter(self._file, self.columns, int(checkpoint.get(self._count, 0)),
                              None if digest is None else digest.tobytes())
        if self._remember:
            table = read_metrics(self._file)
            cells = zip(*(column.tolist() for column in table.values()), strict=True)
            self.rows = [dict(zip(table, row, strict=True)) for row in cells]

    def write(self, table: str, row: Row) -> None:
        """Append the row if it is one of this table."""
        if table != self.name:
            return
        if self._csv is not None:
            self._csv.write(row)
        if self._remember:
            self.rows.append(row)

    def sync(self) -> None:
        """Force all rows to the disk."""
        if self._csv is not None:
            self._csv.sync()

    def state(self) -> dict[str, np.ndarray]:
        """How many rows there are, and their digest."""
        return {} if self._csv is None else {self._count: np.array(self._csv.rows),
                                             f"{self._count}_sha256": np.frombuffer(self._csv.digest, np.uint8)}

    def close(self) -> None:
        """Close the file."""
        if self._csv is not None:
            self._csv.close()

    def by_column(self) -> dict[str, np.ndarray]:
        """The remembered rows as columns (rows,), of the types that `read_metrics` gives them."""
        columns = {name: [row.get(name) for row in self.rows] for name in self.columns}
        return {name: np.array(cells, dtype=np.int64 if all(isinstance(cell, int) for cell in cells) else float)
                for name, cells in columns.items()}


class TensorBoardWriter:
    """Metrics and evaluations as TensorBoard's events; those of evaluations are called evaluation/NAME.

    Args:
        folder: where event files go.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._events: EventWriter | None = None

    def open(self, checkpoint: Arrays) -> None:
        """A new file, which makes void what earlier ones hold of later iterations than the checkpoint's."""
        done = (int(checkpoint[name][0]) for name in ("progress", "ledger_samples")) if checkpoint else (0, 0)
        self._events = EventWriter(self._folder, *done)

    def write(self, table: str, row: Row) -> None:
        """A number for each column."""
        if table == EVALUATIONS:
            row = {name if name == "iteration" else f"evaluation/{name}": cell for name, cell in row.items()}
        if table in (METRICS, EVALUATIONS) and self._events is not None:
            self._events.write(row)

    def sync(self) -> None:
        """A resumed run writes a file of its own, whatever this one holds."""

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: iterations and samples are in a checkpoint already."""
        return {}

    def close(self) -> None:
        """Close the file."""
        if self._events is not None:
            self._events.close()
