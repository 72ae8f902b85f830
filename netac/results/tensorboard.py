"""TensorBoard's event files beside `metrics.csv`: one scalar per column at each logged row, written at once.

Steps are iterations; the folder within, `env_steps`, has the rewards by joint samples drawn.  A resumed run begins a
new file with TensorBoard's sign that whatever earlier files hold from there on is void.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from netac.results.tables import Cell
from netac.utils.errors import InputError
from netac.utils.files import cannot_write, make_run_folder

PACKAGE = "tensorboardX"
BY_ENV_STEPS = ("reward", "episode_return")


def require() -> None:
    """Refuse event files where the package that writes them is not installed; it is not loaded here."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(f"event files need {PACKAGE}, which is not installed", key="tensorboard", found=True,
                         valid='pip install "netac[tensorboard]", or tensorboard = false')


class EventWriter:
    """Writes rows of metrics as events; each row is with the operating system when `write` returns.

    Args:
        folder: where event files go; made if need be.
        iteration, env_steps: what a resumed run goes on from, 0 and 0 for a new one: later events of earlier files are
            void.

    Raises:
        RunError: a file cannot be written (also by `write`).
    """

    def __init__(self, folder: Path, iteration: int = 0, env_steps: int = 0):
        self._by_iteration = _File(folder, iteration)
        self._by_env_steps = _File(folder / "env_steps", env_steps)

    def write(self, row: Mapping[str, Cell]) -> None:
        """One row of metrics.csv; cells without a value are left out."""
        values = {name: value for name, value in row.items() if value is not None}
        iteration = int(values.pop("iteration"))
        self._by_iteration.write(iteration, values)
        rewards = {f"by_env_steps/{name}": values[name] for name in BY_ENV_STEPS if name in values}
        if rewards:
            self._by_env_steps.write(int(values["env_steps"]), rewards)

    def close(self) -> None:
        """Close the files."""
        self._by_iteration.close()
        self._by_env_steps.close()


class _File:
    """An event file of its own in `folder`, for steps after `done`.

    tensorboardX's own `SummaryWriter` hands events to a thread, through a queue of processes: a row would not be on the
    disk when it is logged, a full disk would not be told, and it has no call for the sign that voids earlier steps.
    """

    def __init__(self, folder: Path, done: int):
        package = _package()
        self._events, self._folder = package.events, folder
        make_run_folder(folder)
        earlier = len(list(folder.glob("events.out.tfevents.*")))
        with self._told():
            self._file = package.writer(str(folder / "events"), f".{earlier:06d}")
        restart = package.events.SessionLog(status=package.events.SessionLog.START)
        self._add(step=done + 1 if done else 0, session_log=restart)

    def write(self, step: int, values: Mapping[str, float | str]) -> None:
        """One number per tag."""
        numbers = [{"tag": name, "simple_value": float(value)} for name, value in values.items()]
        self._add(step=step, summary={"value": numbers})

    def _add(self, **event: Any) -> None:
        with self._told():
            self._file.write_event(self._events.Event(wall_time=time.time(), **event))
            self._file.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def close(self) -> None:
        """Close the file; failures are ignored, as every event has been written before."""
        with contextlib.suppress(OSError):
            self._file.close()


def _package() -> SimpleNamespace:
    """What is needed of tensorboardX, which loads PyTorch for other purposes; linear runs go without."""
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = cast(Any, None)          # tensorboardX takes it as not installed
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
    finally:
        if absent:
            del sys.modules["torch"]
    return SimpleNamespace(writer=EventsWriter, events=event_pb2)
