"""Processes that share out work on this machine, and end when the one that started them does, however that ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

RUNS_AT_A_TIME = "NETAC_RUNS_AT_A_TIME"     # how many share the machine: seconds mean little where several do


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Processes that perform jobs: `with Workers(2) as workers: workers.pool.submit(...)`.

    Args:
        number: how many.

    Attributes:
        pool: takes the jobs.
    """

    def __init__(self, number: int):
        self.number = number
        self._start()

    def _start(self) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        start = multiprocessing.get_context("spawn")
        reader, self._alive = start.Pipe(duplex=False)      # our end closes when we close it, or die
        self.pool = ProcessPoolExecutor(self.number, mp_context=start, initializer=_begin,
                                        initargs=(reader, self.number))

    def close(self) -> None:
        """Ends them, whatever they are doing."""
        self._alive.close()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def renew(self) -> None:
        """Others in their place: the pool is broken when one of them has died."""
        self.close()
        self._start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def each(function: Callable[[Any], Any], items: Iterable[Any], number: int) -> Iterator[Any]:
    """`function` of every item, in their order, on `number` processes; in this one where it is 1.

    Args:
        function: of a module, or a partial of one, so that it can be sent.
    """
    items = list(items)
    number = min(number, len(items))
    if number <= 1:
        yield from map(function, items)
        return
    with Workers(number) as workers:
        yield from workers.pool.map(function, items)


def _begin(parent: Connection, number: int) -> None:
    """Leaves ^C to the process that started the workers, and watches for its end."""
    os.environ[RUNS_AT_A_TIME] = str(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    parent.poll(None)
    os._exit(1)
