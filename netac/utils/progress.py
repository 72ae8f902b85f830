"""What is told on standard error while netac works: notes, what takes long, and a progress bar on a terminal."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from netac.utils.pulse import pulse


def note(text: str) -> None:
    """One line of what the user should know, though nothing is wrong enough to stop."""
    print(f"netac: note: {text}", file=sys.stderr, flush=True)


SLOW = 2.0       # seconds after which it is told what takes so long
_doing: list[tuple[str, float]] = []        # work within work, and when it began
_told = threading.Event()       # set while slow work is to be told


@contextmanager
def telling(wanted: bool = True) -> Iterator[None]:
    """Within it, `doing` that takes over two seconds is told on standard error."""
    if not wanted or _told.is_set():
        yield
        return
    ended = threading.Event()
    _told.set()
    threading.Thread(target=_tell, args=(ended,), daemon=True, name="netac teller").start()
    try:
        yield
    finally:
        _told.clear()
        ended.set()


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Work that may take long, in words such as "loading the topology"; of work within work the inner is told."""
    if not _told.is_set():
        yield
        return
    _doing.append((what, time.monotonic()))
    try:
        yield
    finally:
        _doing.pop()


def _tell(ended: threading.Event) -> None:
    """Tells work that is still going on after `SLOW` seconds, once, until `ended` is set."""
    passed: set[tuple[str, float]] = set()      # whose time has come
    wait = SLOW
    while not ended.wait(wait):
        now, current = time.monotonic(), list(_doing)
        due = [work for work in current if work not in passed and now - work[1] >= SLOW]
        if due and due[-1] == current[-1]:
            note(f"{due[-1][0]} ...")
        passed.update(due)
        wait = min((work[1] + SLOW - now for work in current if work not in passed), default=SLOW)


def told_at_first(work: Iterator[None], what: str) -> Iterator[None]:
    """The iterator `work`, whose first step is told if it takes long."""
    with doing(what):
        next(work)
    yield
    yield from work


class Progress:
    """`with Progress(total, wanted) as bar: bar.show(done, "reward 3.1")`; silent unless wanted and on a terminal."""

    def __init__(self, total: int, wanted: bool, what: str = "iterations"):
        self._bar, self._total, self._next = None, total, 0.0
        columns = os.environ.get("NETAC_TERMINAL")       # set by run_mpi.sh on a terminal, which mpirun hides from us
        if wanted and (columns or sys.stderr.isatty()):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
            console = Console(stderr=True, force_terminal=True, width=int(columns)) if columns else Console(stderr=True)
            self._bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(what),
                                 TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                                 console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("netac", total=self._total, note="")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, note: str = "") -> None:
        """`done` of the total; drawn at most ten times a second."""
        pulse.beats += 1
        if self._bar is not None and (time.monotonic() >= self._next or done == self._total):
            self._next = time.monotonic() + 0.1
            self._bar.update(self._task, completed=done, note=note)
            self._bar.refresh()
