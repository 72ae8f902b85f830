"""Tables of the report: results as their CSV files have them, runs, bytes by purpose, versions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.experiment.report.reading import Exhibit, TextRow
from netac.results.records import RunRecord
from netac.results.statistics import iqm
from netac.results.tables import cell_text

PURPOSES = ("environment", "consensus", "trainer")
OF_RUNS = ("env", "agents", "processes", "iterations", "env_steps", "final_reward", "episode_return", "efficient", "J",
           "consensus_error", "messages_per_agent", "bytes_per_agent", "wall_seconds", "parameters_sha256")
_ENDS = ("_low", "_high")


@dataclass(frozen=True)
class Cells:
    """One cell of a table.

    Attributes:
        text: as it is read.
        exact: the cells of the file that it shows, as they are written there: one, or an estimate and its bounds.
        bar: parts of a bar, in percent of the largest; empty where there is none.
    """

    text: str
    exact: tuple[str, ...] = ()
    bar: tuple[float, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it shows a number of a file."""
        return bool(self.exact) and _is_number(self.exact[0])


@dataclass(frozen=True)
class Sheet:
    """A table: its caption, its columns, and a cell for each of them in every row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cells, ...], ...]


def results(exhibit: Exhibit) -> list[Sheet]:
    """What came of an exhibit: `comparison.csv` with intervals beside their estimates, or a row for each run."""
    if exhibit.table:
        return [of_file("Interquartile means over the seeds that succeeded, with 95 % intervals", exhibit.table)]
    rows: list[TextRow] = [{"algorithm": setup.label, "seed": cell_text(seed)} | {
        name: cell_text(record.summary.get(name)) for name in OF_RUNS}
        for setup in exhibit.setups for seed, record in zip(setup.seeds, setup.records, strict=True)]
    return [of_file("Runs, as their summary.json tells", rows)] if rows else []


def of_file(caption: str, rows: Sequence[TextRow]) -> Sheet:
    """Rows of a CSV file, whatever its columns: those that no row fills are left out, and the bounds of an interval
    stand beside their estimate."""
    filled = [name for name in rows[0] if any(row.get(name) for row in rows)]
    bounds = {name: tuple(f"{name}{end}" for end in _ENDS) for name in filled
              if all(f"{name}{end}" in filled for end in _ENDS)}
    of_others = {end for ends in bounds.values() for end in ends}
    columns = [name for name in filled if name not in of_others]
    cells = tuple(tuple(_cell([row.get(each, "") for each in (name, *bounds.get(name, ()))]) for name in columns)
                  for row in rows)
    return Sheet(caption, tuple(name.replace("_", " ") for name in columns), cells)


def as_written(caption: str, rows: Sequence[TextRow]) -> Sheet:
    """Rows of a CSV file with every cell as it is written there."""
    return Sheet(caption, tuple(rows[0]), tuple(tuple(Cells(text, (text,)) for text in row.values()) for row in rows))


def traffic(exhibit: Exhibit) -> Sheet:
    """Bytes that an agent of each setup has sent in all, by purpose; interquartile means over its seeds."""
    sent = np.array([[_mean(setup.records, f"bytes_{purpose}") for purpose in PURPOSES] for setup in exhibit.setups])
    together = np.nansum(sent, axis=1)
    bars = 100 * np.nan_to_num(sent) / (together.max() or 1.0)
    rows = []
    for setup, parts, total, bar in zip(exhibit.setups, sent.tolist(), together.tolist(), bars.tolist(), strict=True):
        numbers = map(cell_text, (*parts, total, _mean(setup.records, "messages")))
        rows.append((Cells(setup.label), *(Cells(shown(text), (text,)) for text in numbers), Cells("", bar=tuple(bar))))
    return Sheet(f"Bytes sent per agent, in the whole run: {exhibit.title}",
                 ("runs", *PURPOSES, "together", "messages", ""), tuple(rows))


def versions(exhibits: Iterable[Exhibit]) -> list[tuple[Sheet, int]]:
    """Each set of versions with which runs were made, and how many runs those were."""
    found: dict[str, tuple[Mapping[str, Any], int]] = {}
    for record in (record for exhibit in exhibits for record in exhibit.records):
        told = record.summary.get("versions", {}) | {
            f"kernels: {name}": value for name, value in record.summary.get("kernels", {}).items()}
        key = json.dumps(told, sort_keys=True, default=str)
        found[key] = told, found.get(key, (told, 0))[1] + 1
    return [(Sheet("", ("package", "version"), tuple((Cells(str(name)), Cells(str(value)))
                                                      for name, value in told.items())), runs)
            for told, runs in found.values()]


def shown(text: str) -> str:
    """A cell of a CSV file as it is read: numbers in five digits, or whole, with commas; long hashes in part."""
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return f"{text[:10]}…"
    if not _is_number(text):
        return text
    value = float(text)
    if not math.isfinite(value) or text.isdecimal():
        return f"{int(text):,}" if text.isdecimal() else text
    return f"{value:,.0f}" if abs(value) >= 1e5 and abs(value) < 1e15 else f"{value:,.5g}"


def _cell(texts: Sequence[str]) -> Cells:
    if len(texts) == 1:
        return Cells(shown(texts[0]), (texts[0],))
    estimate, low, high = map(shown, texts)
    return Cells(f"{estimate} [{low}, {high}]" if low or high else estimate, tuple(texts))


def _mean(records: Sequence[RunRecord], column: str) -> float:
    """The interquartile mean of the last entries of a column of metrics.csv."""
    last = [float(record.metrics[column][-1]) for record in records if len(record.metrics.get(column, ()))]
    return iqm(np.array(last)) if last else math.nan


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
