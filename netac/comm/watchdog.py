"""The watchdog: one thread in each process that notices when nothing goes on any more, and says who is the cause.

It reads its own process's `netac.utils.pulse` about once a second.  A process that stands still tells the others so;
whoever of them answers, but does not wait, is the cause, and so is who does not answer at all.  The lowest process
that answers says it, once.  After `patience` seconds the launch ends.  What a process sleeps through, as when it is
stopped, does not count.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from netac.comm.agreement import ranks_in_words
from netac.comm.mesh import Mesh
from netac.utils.errors import where_now
from netac.utils.progress import note
from netac.utils.pulse import pulse

if TYPE_CHECKING:
    from mpi4py import MPI

NOTICE = 60.0       # seconds without progress after which it is said
BATCH = 600         # patience of a batch job that says nothing of it
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "COBALT_JOBID", "OAR_JOB_ID", "FLUX_JOB_ID")
GRACE = 5.0         # seconds that the main thread, or who is to say it, has to end by itself
BREAK = signal.SIGURG       # interrupts the main thread; nothing happens where nobody handles it


class Stalled(KeyboardInterrupt):
    """Ends the main thread of a single process when patience is over; users' code lets it through."""


@dataclass(frozen=True)
class State:
    """What a process tells of itself.

    Attributes:
        still: seconds without progress.
        iteration: None outside of training.
        waits: whether it waits for others.
        where: the line it is at.
    """

    still: float
    iteration: int | None
    waits: bool
    where: str


def usual_patience(environ: Mapping[str, str] = os.environ) -> int:
    """Seconds of patience where the experiment does not say: for ever (0) but in a batch job."""
    terminal = "NETAC_TERMINAL" in environ or (sys.stderr is not None and sys.stderr.isatty())
    return BATCH if not terminal and any(name in environ for name in JOBS) else 0


def verdict(states: Mapping[int, State | None]) -> tuple[list[int], str]:
    """Who is the cause, and how that is seen.

    Args:
        states: of all processes; None of those that do not answer.
    """
    silent = [rank for rank, state in states.items() if state is None]
    busy = [rank for rank, state in states.items() if state is not None and not state.waits]
    if silent:
        return sorted(silent), "no answer (stopped, or its host is gone)"
    told = {rank: state.where for rank, state in states.items() if state is not None and (not busy or rank in busy)}
    places = list(dict.fromkeys(told.values()))
    if len(places) == 1:
        return sorted(busy), f"in {places[0]}"
    return sorted(busy), ", ".join(
        f"{ranks_in_words([rank for rank, at in told.items() if at == place])} in {place}" for place in places)


class Watchdog:
    """Watches the thread that makes it.

    Attributes:
        patience: seconds without progress after which all ends; 0: never.
        describe: rank -> which agents it holds; None while that is not known.
    """

    def __init__(self, comm: MPI.Intracomm | None):
        self.patience: float = usual_patience()
        self.describe: Callable[[int], str] | None = None
        self._size, self._rank = (comm.size, comm.rank) if comm else (1, 0)
        self._mesh: Mesh | None = None
        self._main, self._over = threading.get_ident(), threading.Event()
        self._seen: tuple[int, int | None] = (-1, None)
        self._still, self._told, self._notice = 0.0, False, NOTICE
        self._others: dict[int, tuple[State, float]] = {}       # what was heard last, and seconds since
        self._thread = threading.Thread(target=self._watch, name="netac watchdog", daemon=True)

    def start(self, comm: MPI.Intracomm | None) -> None:
        """Begin; then meet the others, which is watched already."""
        self._thread.start()
        self._mesh = Mesh(comm) if comm else None

    def stop(self) -> None:
        """Watch no more."""
        self._over.set()
        self._thread.join(GRACE)
        if self._mesh:
            self._mesh.close()

    def _watch(self) -> None:
        last = time.monotonic()
        while True:
            limit = min(NOTICE, self.patience or NOTICE)
            tick = min(1.0, limit / 10)
            if self._over.wait(tick):
                return
            now = time.monotonic()
            self._tick(min(now - last, 2 * tick), limit)
            last = now

    def _tick(self, passed: float, limit: float) -> None:
        seen = (pulse.beats, pulse.iteration)
        if seen != self._seen:
            self._seen, self._still = seen, 0.0
        else:
            self._still += passed
        self._others = {rank: (state, age + passed) for rank, (state, age) in self._others.items()}
        asked = False
        for rank, what in self._mesh.heard() if self._mesh else ():
            what.pop("rank")
            self._others[rank], asked = (State(**what), 0.0), True
        mine = State(self._still, pulse.iteration, pulse.waiting, where_now(self._main) if self._still else "")
        if self._mesh and (asked or self._still >= limit / 4):
            self._mesh.say(asdict(mine))
        if self._still >= limit:
            self._judge(mine, limit)
        elif self._told and not self._still:
            self._told = False

    def _judge(self, mine: State, limit: float) -> None:
        states: dict[int, State | None] = dict.fromkeys(range(self._size))
        states[self._rank] = mine
        states |= {rank: state for rank, (state, age) in self._others.items() if age <= limit / 2}
        alive = [state for state in states.values() if state is not None]
        still, speaks = min(state.still for state in alive), min(
            rank for rank, state in states.items() if state is not None) == self._rank
        if not self._told and still >= self._notice:
            self._told, self._notice = True, 2 * self._notice       # who is always slow is not told of it every time
            if speaks:
                end = f"; after {self.patience:g} s of it all ends (patience)" if self.patience else ""
                note(f"waiting {still:.0f} s{self._cause(states)}{end}")
        if self.patience and still >= self.patience:
            text = (f"no progress for {still:.0f} s (patience = {self.patience:g}; 0: none), waiting"
                    f"{self._cause(states)}; netac run goes on with --resume")
            self._end(text) if speaks else self._over.wait(GRACE) or os._exit(1)

    def _cause(self, states: Mapping[int, State | None]) -> str:
        ranks, how = verdict(states) if self._mesh or self._size == 1 else ([], "before the processes knew each other")
        known = [state.iteration for rank, state in states.items()
                 if state is not None and state.iteration is not None and (rank in ranks or rank == self._rank)]
        when = f"iteration {known[0]}" if known else "outside of the iterations"
        if self._size == 1:
            return f", {when}: {how}"
        if not ranks:
            return f" for one another, {when}: {how}"
        held = ", ".join(self.describe(rank).removeprefix("agents ") for rank in ranks) if self.describe else ""
        held = f" (agents {held})" if held else ""
        return f" for {ranks_in_words(ranks)}{held}, {when}: {how}"

    def _end(self, text: str) -> None:
        """End this process, and with it the launch; the main thread of a single process is asked to, first."""
        if self._size == 1 and signal.getsignal(BREAK) == _break:
            global _reason
            _reason = text
            signal.pthread_kill(self._main, BREAK)
            if self._over.wait(GRACE):
                return
        print(f"netac: error: {text}", file=sys.stderr, flush=True)
        time.sleep(0.2)                                    # a launcher may drop what it has not yet read
        os._exit(1)


_reason = ""


def _break(_number: int, _frame: FrameType | None) -> None:
    raise Stalled(_reason)


@contextmanager
def watched(comm: MPI.Intracomm | None) -> Iterator[Watchdog]:
    """The watchdog of what is done within; all processes of the launch enter together.

    Raises:
        Stalled: patience is over, in a single process whose main thread can be reached.
    """
    pulse.iteration, pulse.waiting = None, False
    dog, before = Watchdog(comm), _none
    if comm is None and threading.current_thread() is threading.main_thread():
        before = signal.signal(BREAK, _break)
    try:
        dog.start(comm)
        yield dog
    finally:
        dog.stop()
        pulse.iteration = None
        if before is not _none:
            signal.signal(BREAK, before)


_none: Any = object()
