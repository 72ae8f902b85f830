"""The files of a tuning, and its picture: scores by the values of each key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.results.looks import is_number
from netac.results.panels import as_label, label_of, panels
from netac.utils.pictures import PALETTE, STYLE, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

TABLE, BEST, PICTURE, RECORD, TEST = "tuning.csv", "best.toml", "tuning.png", "tuning.json", "test"
SHOWN = 10           # settings on the screen
MARKS = "osD^v<>phX"          # of rungs

Rows = Sequence[Mapping[str, Any]]


def is_tuning(folder: Path) -> bool:
    """Whether a folder is that of a tuning."""
    return (folder / TABLE).exists()


def goes_on(folder: Path) -> bool:
    """Whether a folder is that of a tuning that has not ended."""
    return is_tuning(folder) and not (folder / RECORD).exists()


def columns_of(keys: Sequence[str]) -> tuple[str, ...]:
    """The header of tuning.csv: `keys` vary besides the algorithm."""
    return ("sample", "algorithm", *keys, "rung", "iterations", "seeds", "failed", "score", "status", "kept", "error")


def last_rungs(rows: Rows, maximise: bool) -> list[Mapping[str, Any]]:
    """The row of each setting's last rung: those of the last rung first, better ones before, failed ones at the end."""
    last = {row["sample"]: row for row in sorted(rows, key=lambda row: row["rung"])}

    def place(row: Mapping[str, Any]) -> tuple[float, float]:
        score = row["score"]
        return -row["rung"], np.inf if score is None else -score if maximise else score

    return sorted(last.values(), key=place)


def format_tuning(rows: Rows, record: Mapping[str, Any]) -> Table:
    """The best settings as a table for the screen."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    keys = list(record["vary"])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for key in keys:
        table.add_column(key.rpartition(".")[2], overflow="fold")
    for name in ("rung", "iterations", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in last_rungs(rows, record["maximise"])[:SHOWN]:
        score = "failed" if row["score"] is None else f"{row['score']:.5g}"
        table.add_row(*(escape(str(row[key])) for key in keys), str(row["rung"]), f"{row['iterations']:,}", score)
    return table


def told(record: Mapping[str, Any]) -> list[str]:
    """What was tried, and what the test says: lines below the table."""
    test, number = record["test"], record["samples"]
    lines = [f"the best {min(SHOWN, number)} of {number} settings, by {record['metric']}, seeds "
             f"{_range(record['seeds'])}; test, seeds {_range(record['test_seeds'])}:"]
    for name, what in (("best", "the best setting"), ("own", "the file's own")):
        score = test[name]["score"]
        lines.append(f"  {what}: {'failed' if score is None else _interval(score)}")
    if (better := test.get("probability_of_improvement")) is not None:
        lines.append(f"  a run of the best ends better than one of the file's own with probability {_interval(better)}")
    return lines


def _range(seeds: Sequence[int]) -> str:
    """"0-2"."""
    return f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _interval(numbers: Sequence[float | None]) -> str:
    estimate, low, high = ("?" if number is None else f"{number:.4g}" for number in numbers)
    return f"{estimate} [{low}, {high}]"


def plot_tuning(rows: Rows, logs: Mapping[str, bool], metric: str, maximise: bool, file: str | Path) -> None:
    """Draw the picture.

    Args:
        rows: of tuning.csv.
        logs: the keys that vary, and whether they do logarithmically.

    Raises:
        RunError: `file` cannot be written.
    """
    save_figure(lambda: draw_tuning(rows, logs, metric, maximise), file, STYLE)


def draw_tuning(rows: Rows, logs: Mapping[str, bool], metric: str, maximise: bool) -> Figure:
    """The figure: a panel for each key, where every setting is a point at its value and the score of its last rung;
    colours and marks tell rungs, the star is the best setting, crosses at the bottom failed."""
    found = last_rungs(rows, maximise)
    figure, (axes,) = panels([len(logs)], [f"{len(found):,} settings by the score of their last rung"])
    for k, (panel, (key, log)) in enumerate(zip(axes, logs.items(), strict=True)):
        _draw_key(panel, found, key, log, metric)
        if not k:
            panel.legend(loc="best", fontsize=8)
    return figure


def _draw_key(panel: Axes, rows: Rows, key: str, log: bool, metric: str) -> None:
    texts = [str(row[key]) for row in rows]
    numeric = all(map(is_number, texts))
    names = list(dict.fromkeys(texts))
    places = np.array([float(text) if numeric else names.index(text) for text in texts])
    rungs, failed = np.array([row["rung"] for row in rows]), np.array([row["score"] is None for row in rows])
    scores = np.array([np.nan if row["score"] is None else row["score"] for row in rows])
    for rung in sorted(set(rungs[~failed].tolist())):
        own = ~failed & (rungs == rung)
        panel.scatter(places[own], scores[own], s=22, color=PALETTE[(rung - 1) % len(PALETTE)],
                      marker=MARKS[(rung - 1) % len(MARKS)], alpha=0.8, label=f"rung {rung}", linewidth=0)
    if not failed[0]:
        panel.scatter(places[:1], scores[:1], s=130, marker="*", color="black", label="the best", zorder=3)
    if failed.any():
        panel.scatter(places[failed], np.full(failed.sum(), 0.02), marker="x", color="#777777", label="failed",
                      transform=panel.get_xaxis_transform())
    panel.set(xlabel=as_label(key), ylabel=label_of(metric))
    if log:
        _as_powers(panel, places)
    if not numeric:
        panel.set_xticks(range(len(names)), [as_label(name)[:24] for name in names])


def _as_powers(panel: Axes, values: np.ndarray) -> None:
    """A logarithmic axis of numbers as one writes them, three for each power of ten where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    panel.set_xscale("log")
    few = values.max() < 300.0 * values.min()
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
