"""`metrics.csv`: one row per logged iteration, appended as the run goes, exact to the bit, whole after any kill."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from netac.utils.errors import InputError
from netac.utils.files import atomic_write, cannot_write, read_text

Cell = float | int | bool | str | None


def cell_text(value: Cell) -> str:
    """One CSV cell: None is empty, whole numbers stay whole, a float is the shortest text that reads back as itself."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, int | np.integer) else repr(float(value))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> str:
    """A header and one line per row; a column a row does not have is empty.

    Raises:
        ValueError: a row has a column that `columns` lacks.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_cells(columns, row) for row in rows)
    return text.getvalue()


class MetricsWriter:
    """Appends rows to a metrics file; each row is with the operating system when `write` returns.

    Args:
        path: the file; made new unless `rows` > 0.
        columns: the header.
        rows: a resumed run keeps the first `rows` rows of the file; later ones, and a line torn by a kill, go.

    Raises:
        InputError: the file to go on with is missing, has other columns or fewer rows.
        RunError: the file cannot be written (also by `write`, which then leaves no torn line behind).
    """

    def __init__(self, path: str | Path, columns: Sequence[str], rows: int = 0):
        if unfit := [name for name in columns if not name or set(name) & set(',"\r\n')]:
            raise ValueError(f"column names {unfit} do not fit a CSV header")
        self.path, self.columns, self.rows = Path(path), tuple(columns), rows
        kept = _first_rows(self.path, self.columns, rows) if rows else csv_text(self.columns, ())
        atomic_write(self.path, kept)
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._size = len(kept.encode())

    def write(self, row: Mapping[str, Cell]) -> None:
        """Append one row; columns it lacks stay empty, a column the header lacks is a ValueError."""
        line = (",".join(_cells(self.columns, row)) + "\n").encode()
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise cannot_write(self.path, error) from error
        self._size += len(line)
        self.rows += 1

    def sync(self) -> None:
        """Force all rows to the disk; call it before a checkpoint that counts on them."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_metrics(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a metrics file as arrays of shape (rows,): int64 where all cells are whole numbers, else float64.

    Empty cells are NaN.  A last line without its newline (a run killed while writing it) is left out.

    Raises:
        InputError: there is no such file or it is not a metrics file; names the line and the column.
    """
    lines = read_text(path).replace("\r\n", "\n").split("\n")[:-1]
    if not lines:
        raise InputError("has no header line", file=path, valid="a CSV file written by netac run")
    columns = lines[0].split(",")
    if len(set(columns)) < len(columns):
        raise InputError("names a column twice", file=path, found=lines[0])
    table = [line.split(",") for line in lines[1:]]
    for number, cells in enumerate(table, start=2):
        if len(cells) != len(columns):
            raise InputError(f"line {number} has {len(cells)} cells", file=path, found=lines[number - 1],
                             valid=f"{len(columns)} cells, as in the header")
    by_column = zip(*table, strict=True) if table else ((),) * len(columns)
    return {name: _numbers(path, name, cells) for name, cells in zip(columns, by_column, strict=True)}


def _cells(columns: Sequence[str], row: Mapping[str, Cell]) -> list[str]:
    if unknown := set(row) - set(columns):
        raise ValueError(f"columns {sorted(unknown)} are not in the header {list(columns)}")
    return [cell_text(row.get(name)) for name in columns]


def _first_rows(path: Path, columns: Sequence[str], rows: int) -> str:
    """The header and the first `rows` rows of an existing file; InputError unless it has them."""
    if path.exists() and not path.is_file():
        raise InputError("is not a file, so the run cannot go on with it", file=path)
    lines = read_text(path).split("\n")[:-1]
    header = ",".join(columns)
    if not lines or lines[0] != header:
        raise InputError("has other columns than this run", file=path, found=lines[0] if lines else "", valid=header)
    if len(lines) - 1 < rows:
        raise InputError("has fewer rows than the checkpoint counts", file=path, found=len(lines) - 1,
                         valid=f"at least {rows} rows")
    return "\n".join(lines[:rows + 1]) + "\n"


def _numbers(path: str | Path, column: str, cells: Sequence[str]) -> np.ndarray:
    with contextlib.suppress(ValueError, OverflowError):
        return np.array([int(cell) for cell in cells], dtype=np.int64 if cells else np.float64)
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        number, cell = next((k, cell) for k, cell in enumerate(cells, start=2) if not _is_number(cell))
        raise InputError(f"line {number} is not a number", file=path, key=column, found=cell) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True
