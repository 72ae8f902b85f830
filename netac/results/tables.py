"""Tables as CSV files: written a row at a time, exact to the bit, whole after any kill; read back as text or numbers.

Every table of a run is written by `CsvWriter` (`metrics.csv`, `evaluations.csv`, `diagnostics.csv`), and every other
one by `csv_text`; quotes, commas and line breaks within a cell are the standard module `csv`'s business.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from netac.utils.errors import InputError
from netac.utils.files import atomic_write, cannot_write, read_text

Cell = float | int | bool | str | None
Row = Mapping[str, Cell]


def cell_text(value: Cell) -> str:
    """One CSV cell: None is empty, whole numbers stay whole, a float is the shortest text that reads back as itself."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, int | np.integer) else repr(float(value))


def csv_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """A header and one line per row; a column a row does not have is empty.

    Raises:
        ValueError: a row has a column that `columns` lacks.
    """
    return "".join([_line(columns), *(_line(_cells(columns, row)) for row in rows)])


class CsvWriter:
    """Appends rows to a CSV file; each row is with the operating system when `write` returns.

    Args:
        path: the file; made new unless `rows` > 0.
        columns: the header.
        rows: a resumed run keeps the first `rows` rows of the file; later ones, and a row torn by a kill, go.
        digest: the `digest` that there was after these rows; None where it is not known.

    Raises:
        InputError: the file to go on with is missing, has other columns or fewer rows, or its rows were changed.
        RunError: the file cannot be written (also by `write`, which then leaves no torn row behind).
    """

    def __init__(self, path: str | Path, columns: Sequence[str], rows: int = 0, digest: bytes | None = None):
        if unfit := [name for name in columns if not name or set(name) & set(',"\r\n')]:
            raise ValueError(f"column names {unfit} do not fit a CSV header")
        self.path, self.columns, self.rows = Path(path), tuple(columns), rows
        kept = _first_rows(self.path, self.columns, rows) if rows else csv_text(self.columns, ())
        self._hashed = hashlib.sha256(kept.encode())
        if digest is not None:
            _check_digest(self.path, rows, self.digest, digest)
        atomic_write(self.path, kept)
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._size = len(kept.encode())

    def write(self, row: Row) -> None:
        """Append one row; columns it lacks stay empty, a column the header lacks is a ValueError."""
        line = _line(_cells(self.columns, row)).encode()
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise cannot_write(self.path, error) from error
        self._size += len(line)
        self._hashed.update(line)
        self.rows += 1

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file: of its header and rows."""
        return self._hashed.digest()

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

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def check_rows(path: str | Path, rows: int, digest: bytes) -> None:
    """InputError unless a CSV file begins with so many rows, which have (with the header) this SHA-256 digest."""
    records = _records(path, text := read_text(path, torn=True))
    kept = text[:records[rows].end] if rows < len(records) else ""
    _check_digest(Path(path), rows, hashlib.sha256(kept.encode()).digest(), digest)


def _check_digest(path: Path, rows: int, found: bytes, digest: bytes) -> None:
    if found != digest:
        raise InputError(f"its first {rows} rows are not those that the run wrote", file=path, found=found.hex()[:8],
                         valid=f"SHA-256 {digest.hex()[:8]}...; or remove the folder's checkpoints, after which "
                               "--resume begins the run anew")


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text, by column; a last row torn by a kill is left out.

    Raises:
        InputError: there is no such file, or it is not a CSV file with a header and as many cells in every row.
    """
    table = _read(path)
    return [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows]


def read_metrics(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a table of numbers as arrays of shape (rows,): int64 where all cells are whole, else float64.

    Empty cells are NaN.  A last line without its newline (a run killed while writing it) is left out.

    Raises:
        InputError: there is no such file or it is not a table of numbers; names the line and the column.
    """
    table = _read(path)
    if "\n" in table.torn:          # a torn row of numbers is a single line
        raise InputError(f"line {table.text[:-len(table.torn)].count(chr(10)) + 1} opens a quote that is never closed",
                         file=path, valid="a CSV file written by netac run")
    by_column = zip(*(row.cells for row in table.rows), strict=True) if table.rows else ((),) * len(table.columns)
    lines = [row.line for row in table.rows]
    return {name: _numbers(path, name, cells, lines) for name, cells in zip(table.columns, by_column, strict=True)}


def _line(cells: Sequence[str]) -> str:
    """One row of a CSV file."""
    text = io.StringIO(newline="")              # csv quotes what line endings consist of: with its own \r\n a \r, too
    csv.writer(text).writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _cells(columns: Sequence[str], row: Row) -> list[str]:
    if unknown := set(row) - set(columns):
        raise ValueError(f"columns {sorted(unknown)} are not in the header {list(columns)}")
    return [cell_text(row.get(name)) for name in columns]


class _Record(NamedTuple):
    """A row of a file: the number of its first line, counted from 1, its cells, and where its text ends."""

    line: int
    cells: list[str]
    end: int


class _Table(NamedTuple):
    """A CSV file: its text, its header, its whole rows, and the text of a last row that is torn."""

    text: str
    header: _Record
    rows: list[_Record]
    torn: str

    @property
    def columns(self) -> list[str]:
        return self.header.cells


def _records(path: str | Path, text: str) -> list[_Record]:
    """The whole records of a CSV file: those that end with a newline that stands in no quotes."""
    lines = list(io.StringIO(text, newline=""))
    ends = np.cumsum([0, *map(len, lines)]).tolist()
    reader, found, first = csv.reader(lines, strict=True), [], 0
    try:
        for cells in reader:
            found.append(_Record(first + 1, cells or [""], ends[reader.line_num]))
            first = reader.line_num
    except csv.Error as error:
        if reader.line_num < len(lines) or "end of data" not in str(error):      # the latter: quotes are torn
            raise InputError(f"line {reader.line_num} is not CSV: {error}", file=path) from error
    return found if not found or text.endswith("\n", 0, found[-1].end) else found[:-1]


def _read(path: str | Path) -> _Table:
    """A CSV file, every row as long as its header."""
    text = read_text(path, torn=True)
    records = _records(path, text)
    if not records:
        raise InputError("has no header line", file=path, valid="a CSV file written by netac run")
    header, *rows = records
    if len(set(header.cells)) < len(header.cells):
        raise InputError("names a column twice", file=path, found=text[:header.end].rstrip("\r\n"))
    for before, row in zip(records, rows, strict=False):
        if len(row.cells) != len(header.cells):
            raise InputError(f"line {row.line} has {len(row.cells)} cells", file=path,
                             found=text[before.end:row.end].rstrip("\r\n"),
                             valid=f"{len(header.cells)} cells, as in the header")
    return _Table(text, header, rows, text[records[-1].end:])


def _first_rows(path: Path, columns: Sequence[str], rows: int) -> str:
    """The header and the first `rows` rows of an existing file; InputError unless it has them."""
    if path.exists() and not path.is_file():
        raise InputError("is not a file, so the run cannot go on with it", file=path)
    text = read_text(path, torn=True)
    records = _records(path, text)
    header = ",".join(columns)
    if not records or records[0].cells != list(columns):
        raise InputError("has other columns than this run", file=path,
                         found=text[:records[0].end].rstrip("\r\n") if records else "", valid=header)
    if len(records) - 1 < rows:
        raise InputError("has fewer rows than the checkpoint counts", file=path, found=len(records) - 1,
                         valid=f"at least {rows} rows")
    return text[:records[rows].end]


def _numbers(path: str | Path, column: str, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    with contextlib.suppress(ValueError, OverflowError):
        return np.array([int(cell) for cell in cells], dtype=np.int64 if cells else np.float64)
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        line, cell = next((line, cell) for line, cell in zip(lines, cells, strict=True) if not _is_number(cell))
        raise InputError(f"line {line} is not a number", file=path, key=column, found=cell) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True
