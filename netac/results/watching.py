"""How far runs and studies are, told from their files alone: nothing is locked, and nothing of theirs is run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.results.cells import RUNS, called, of_row, read_study
from netac.results.comparison import RUN_TABLE
from netac.results.records import EXPERIMENT, METRICS, SUMMARY
from netac.results.tables import read_metrics, read_rows
from netac.utils.errors import InputError
from netac.utils.files import load_toml

if TYPE_CHECKING:
    from rich.console import RenderableType

QUIET, TIMES = 60.0, 5.0     # seconds without a new row, and times those between rows, after which a run is quiet
BARS, WIDTH = "▁▂▃▄▅▆▇█", 16
DONE, RUNNING, QUIET_RUN, WAITING, FAILED, STOPPED = "done", "running", "quiet", "waiting", "failed", "stopped"
ENDED = (DONE, FAILED, STOPPED)


@dataclass(frozen=True)
class Progressed:
    """How far a run is.

    Attributes:
        cell: what it belongs to; its folder's name where it is alone.
        state: done, running, quiet (no new row for long), waiting (none yet), failed or stopped (it can go on).
        share: of its iterations that are done, 0 to 1.
        rewards: of the rows of metrics.csv that have one, (rows,).
        seconds: of training so far.
    """

    cell: str
    state: str
    share: float = 0.0
    rewards: np.ndarray = field(default_factory=partial(np.zeros, 0))
    seconds: float = 0.0

    @property
    def left(self) -> float:
        """Seconds that it will take still, as it looks now; NaN where that is not known."""
        if self.state in ENDED:
            return 0.0
        return self.seconds / self.share * (1.0 - self.share) if self.share > 0 else math.nan


def look(folder: str | Path) -> list[Progressed]:
    """How far the runs in a folder are: a run's own folder, or that of a comparison.

    Raises:
        InputError: it is neither.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is not a folder", file=folder, valid="the folder of a run or of a comparison")
    if not (folder / RUNS).is_dir():
        if not (folder / EXPERIMENT).is_file():
            raise InputError("holds neither a run nor a comparison", file=folder,
                             valid=f"a folder with {EXPERIMENT}, or with {RUNS}/")
        return [_run(folder, folder.name)]
    study = read_study(folder)
    names = [*study.cells, *sorted(path.name for path in (folder / RUNS).iterdir()
                                   if path.is_dir() and path.name not in study.cells)]
    failed = _failed(folder)
    found = []
    for name in names:
        cell = study.cells.get(name)
        title = called(cell.algorithm, cell.values) if cell else name
        places = sorted(place for place in (folder / RUNS / name).glob("*") if place.is_dir())
        found += [_run(place, title, (title, place.name) in failed) for place in places]
    if not found:
        raise InputError("holds no runs yet", file=folder, valid="a folder that netac compare has begun")
    return found


def _failed(folder: Path) -> set[tuple[str, str]]:
    """Cells and folders of runs that a comparison counted as failed when it ended."""
    if not (folder / RUN_TABLE).exists():
        return set()
    found = set()
    for row in read_rows(folder / RUN_TABLE):
        cell = of_row(row)
        if row.get("status") == FAILED:
            found.add((called(cell.pop("algorithm", ""), cell), f"seed-{int(row['seed']):03d}"))
    return found


def _run(folder: Path, cell: str, failed: bool = False) -> Progressed:
    if not (folder / METRICS).is_file() or not (folder / EXPERIMENT).is_file():
        return Progressed(cell, FAILED if failed else WAITING)
    table = read_metrics(folder / METRICS)
    iterations = load_toml(folder / EXPERIMENT).get("iterations")
    done = int(table["iteration"][-1]) if len(table.get("iteration", ())) else 0
    rewards, seconds = table.get("reward", np.zeros(0)), table.get("seconds", np.zeros(0))
    known = np.isfinite(rewards)
    spent = float(seconds[-1]) if len(seconds) and np.isfinite(seconds[-1]) else 0.0
    share = min(1.0, done / iterations) if isinstance(iterations, int) and iterations > 0 else 0.0
    age = time.time() - (folder / METRICS).stat().st_mtime
    patience = max(QUIET, TIMES * spent / max(len(rewards), 1))
    ended = STOPPED if 0.0 < share < 1.0 else DONE
    state = (ended if (folder / SUMMARY).exists() else FAILED if failed else RUNNING if age <= patience
             else QUIET_RUN)
    return Progressed(cell, state, 1.0 if state == DONE else share, rewards[known], spent)


def remaining(runs: Sequence[Progressed]) -> float:
    """Seconds until all have ended, if as many go on at a time as now; NaN where that is not known."""
    known = [run.seconds / run.share for run in runs if run.share > 0]
    if not known:
        return math.nan
    usual = float(np.mean(known))
    left = sum(usual if math.isnan(run.left) else run.left for run in runs)
    return left / max(1, sum(run.state == RUNNING for run in runs))


def sparkline(values: np.ndarray, width: int = WIDTH) -> str:
    """Values as little bars, means over equal parts of them where there are more than `width`; "" without any."""
    if not len(values):
        return ""
    parts = [float(np.mean(part)) for part in np.array_split(values, min(width, len(values)))]
    low, high = min(parts), max(parts)
    span = high - low or 1.0
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))] for value in parts)


def shown(runs: Sequence[Progressed], width: int = 80) -> RenderableType:
    """The runs as a table for the screen, a line for each cell, no wider than `width`."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    cells = dict.fromkeys(run.cell for run in runs)
    counts = {state: sum(run.state == state for run in runs) for state in (
        DONE, STOPPED, RUNNING, QUIET_RUN, WAITING, FAILED)}
    caption = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    if (left := remaining(runs)) > 0:
        caption += f"; about {_duration(left)} to go"
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), caption=caption, width=width,
                 caption_justify="left")
    made.add_column("cell", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("done", "", "reward"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("curve", no_wrap=True, min_width=WIDTH)
    for cell in cells:
        own = [run for run in runs if run.cell == cell]
        curves = [run.rewards for run in own if len(run.rewards)]
        last = f"{np.mean([curve[-max(1, len(curve) // 10):].mean() for curve in curves]):.4g}" if curves else "-"
        longest = max(curves, key=len) if curves else np.zeros(0)
        bad = sum(run.state == FAILED for run in own)
        done = f"{sum(run.state == DONE for run in own)}/{len(own)}" + (f" [bold red]{bad} failed[/]" if bad else "")
        made.add_row(escape(cell), done, f"{np.mean([run.share for run in own]):.0%}", last, sparkline(longest))
    return made


def _duration(seconds: float) -> str:
    """"40 s", "3 min", "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
