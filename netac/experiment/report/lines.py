"""Learning curves and diagnostics as the page draws them: plain data, numbers kept once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netac.experiment.report.reading import Exhibit, Setup
from netac.results.curves import AXES, BYTES, NETWORK, SECONDS, Curve, stack_curves, stackable, thin
from netac.results.panels import LABELS, styles
from netac.results.plots import EVALUATION, LOGARITHMIC, has_column, table_with
from netac.results.records import DIAGNOSTICS, RunRecord
from netac.results.statistics import iqm_interval
from netac.results.tables import read_rows

POINTS, FEWER_POINTS, MANY = 150, 60, 30         # of a line; of one among many
MOST_LINES = 400         # of an exhibit, all columns together: beyond, only the columns of `LABELS` are shown
LARGEST_DIAGNOSTICS = 20_000_000     # bytes
WORDS = {"iteration": "iteration", "env_steps": "joint samples drawn", BYTES: "bytes sent per agent",
         SECONDS: "seconds of training", NETWORK: "simulated seconds of the network"}
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_MATHEMATICS = {"J": "J(θ)", "grad_norm_sq": "‖∇J(θ)‖²"}      # what pictures have as formulas


class Pool:
    """Rows of numbers, each kept once.

    Attributes:
        rows: the different ones, rounded to 6 digits; None for what is no number.
    """

    def __init__(self) -> None:
        self.rows: list[list[float | int | None]] = []
        self._places: dict[bytes, int] = {}

    def add(self, values: np.ndarray) -> int:
        """The place of the values in `rows`."""
        values = np.ascontiguousarray(values)
        key = values.dtype.char.encode() + values.tobytes()
        if key not in self._places:
            self._places[key] = len(self.rows)
            self.rows.append([rounded(value) for value in values.tolist()])
        return self._places[key]


def rounded(value: float | int | None) -> float | int | None:
    """A number with 6 digits, whole ones as they are; None for what is none."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def charts(exhibits: Sequence[Exhibit]) -> list[dict[str, Any]]:
    """For each exhibit its learning curves, and its diagnostics where there are any."""
    found = []
    for k, exhibit in enumerate(exhibits):
        if not exhibit.setups:
            continue
        found.append(_chart(f"curves-{k}", "Learning curves", exhibit, learning_curves))
        diagnostics = _chart(f"diagnostics-{k}", "Diagnostics", exhibit, diagnostic_lines)
        found += [diagnostics] if diagnostics["columns"] else []
    return found


def _chart(name: str, what: str, exhibit: Exhibit, columns: Callable[[Exhibit, Pool], list]) -> dict[str, Any]:
    """A chart: columns to choose from, each with its lines, whose numbers stand in `pool`."""
    pool, looks = Pool(), styles(setup.label for setup in exhibit.setups)
    shown = columns(exhibit, pool)
    axes = [axis for axis in WORDS if any(axis in line["x"] for column in shown for line in column["lines"])]
    return {"id": name, "what": what, "title": exhibit.title, "columns": shown, "pool": pool.rows,
            "axes": [{"name": axis, "label": WORDS[axis]} for axis in axes],
            "setups": [{"label": setup.label, "seeds": len(setup.seeds), "colour": looks[setup.label][0],
                        "dash": DASHES[looks[setup.label][1]]} for setup in exhibit.setups]}


def learning_curves(exhibit: Exhibit, pool: Pool) -> list[dict[str, Any]]:
    """For every column of metrics and evaluations a line of each setup: interquartile means over seeds, with 95 %
    intervals where there are several."""
    records = exhibit.records
    present = list(dict.fromkeys(name for record in records for name in (*record.metrics, EVALUATION)
                                 if name not in WORDS and not name.startswith("bytes_") and has_column(record, name)))
    present.sort(key=lambda name: [*LABELS].index(name) if name in LABELS else len(LABELS))
    if len(present) * len(exhibit.setups) > MOST_LINES:
        present = [name for name in present if name in LABELS]
    alone = all(record.summary.get("runs_at_a_time", 1) == 1 for record in records)
    points = FEWER_POINTS if len(exhibit.setups) > MANY else POINTS
    return [_column(name, [line for k, setup in enumerate(exhibit.setups)
                           for line in _lines_of(setup, name, k, pool, points, alone)]) for name in present]


def _column(name: str, lines: list[dict[str, Any]], label: str | None = None) -> dict[str, Any]:
    words = _MATHEMATICS.get(name) or LABELS.get(name, name.replace("_", " "))
    return {"name": name, "label": label or words, "log": name.startswith(LOGARITHMIC), "lines": lines}


def _lines_of(setup: Setup, column: str, place: int, pool: Pool, points: int, alone: bool) -> Iterable[dict[str, Any]]:
    """The line of a setup; one for each run where runs share no iterations."""
    having = [table_with(record, column) for record in setup.records if has_column(record, column)]
    for part in stackable(having, column) if having else ():
        curve = thin(stack_curves(part, column), points)
        values = curve[column]
        line: dict[str, Any] = {"setup": place, "x": _axes(curve, pool, alone), "seeds": len(values)}
        if len(values) > 1:
            line |= zip(("y", "low", "high"), map(pool.add, iqm_interval(values)), strict=True)
        else:
            line["y"] = pool.add(values[0])
        yield line


def _axes(curve: Curve, pool: Pool, alone: bool) -> dict[str, int]:
    return {axis: pool.add(curve[axis]) for axis in WORDS if axis in curve and (axis != SECONDS or alone)}


def diagnostic_lines(exhibit: Exhibit, pool: Pool) -> list[dict[str, Any]]:
    """For every column of `diagnostics.csv`, of each setup's first run, the mean over agents with the least and the
    most of them; and a column of its own of what is told of all together."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for k, setup in enumerate(exhibit.setups):
        table = read_diagnostics(setup.first)
        for column, values in table.items():
            if column in AXES:
                continue
            kept = np.isfinite(values).any(axis=1)
            kept[kept] &= _every(int(kept.sum()), POINTS)
            if not kept.any():
                continue
            line: dict[str, Any] = {"setup": k, "seeds": 1, "x": {axis: pool.add(table[axis][kept, 0])
                                                                  for axis in AXES if axis in table}}
            line["y"] = pool.add(np.nanmean(values[kept], axis=1))
            if values.shape[1] > 1:
                line |= {"low": pool.add(np.nanmin(values[kept], axis=1)),
                         "high": pool.add(np.nanmax(values[kept], axis=1))}
            lines.setdefault(column, []).append(line)
    return [_column(name, found, name.replace("_", " ")) for name, found in lines.items()]


def read_diagnostics(record: RunRecord) -> Mapping[str, np.ndarray]:
    """`diagnostics.csv` of a run: for each of its columns (iterations, agents), NaN where there is nothing, and for
    what is told of all agents together a column "NAME (all agents)", (iterations, 1); "iteration" and "env_steps"
    likewise.  Nothing where there is no such file, or a very large one.

    Raises:
        InputError: it is no CSV file.
    """
    file = Path(record.folder) / DIAGNOSTICS
    if not file.is_file() or file.stat().st_size > LARGEST_DIAGNOSTICS:
        return {}
    rows = read_rows(file)
    times = list(dict.fromkeys((row.get("iteration", ""), row.get("env_steps", "")) for row in rows))
    agents = sorted({int(row["agent"]) for row in rows if row.get("agent", "").isdecimal()})
    if len(times) * len(agents) > 4 * len(rows):         # no run's: most would be empty
        return {}
    at, place = {time: k for k, time in enumerate(times)}, {agent: k for k, agent in enumerate(agents)}
    names = [name for name in (rows[0] if rows else ()) if name not in (*AXES, "agent")]
    found = {name: np.full((len(times), len(agents)), np.nan) for name in names}
    found |= {_of_all(name): np.full((len(times), 1), np.nan) for name in names}
    for row in rows:
        t, agent = at[row.get("iteration", ""), row.get("env_steps", "")], row.get("agent", "")
        for name in names:
            if agent.isdecimal():
                found[name][t, place[int(agent)]] = _number(row[name])
            else:
                found[_of_all(name)][t, 0] = _number(row[name])
    found = {name: values for name, values in found.items() if np.isfinite(values).any()}
    columns = {axis: np.array([[_number(time[k])] for time in times]) for k, axis in enumerate(AXES)}
    return found and columns | found


def _of_all(name: str) -> str:
    return f"{name} (all agents)"


def _number(cell: str) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _every(count: int, most: int) -> np.ndarray:
    """Which of so many points are drawn: evenly spread ones, the first and the last among them; (count,) bool."""
    chosen = np.zeros(count, dtype=bool)
    chosen[np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(int))] = True
    return chosen
