"""A process of our own for what must be alone in its process: it answers one message after another.

Messages are bytes, over pipes.  What the child prints goes to a file that is read only if it fails.  ^C is left to the
process that started it, and the child ends when that one does, however it ends.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

from netac.utils import libc
from netac.utils.errors import RunError, quietly, raised

LENGTH = struct.Struct("<?Q")      # before every message: whether it tells of a failure, and how many bytes it has
FIRST, LAST = 400, 600             # of the characters that a child printed, which tell why it failed
PATIENCE = 2.0                     # seconds in which a child that is told to end may do so by itself
PR_SET_PDEATHSIG = 1


class Child:
    """A process that runs the module `module`, which calls `serve`.

    Args:
        what: what messages call it, e.g. "SUMO (game 3)".
        variables: of its environment, where they are not set yet.
    """

    def __init__(self, module: str, what: str, variables: Mapping[str, str] = MappingProxyType({})):
        self._what, self._printed = what, tempfile.TemporaryFile()                      # noqa: SIM115
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._printed, env={**variables, **os.environ, "PYTHONPATH": path})

    def send(self, message: bytes) -> None:
        """Ask for an answer, which `receive` gives."""
        assert self._process.stdin is not None
        try:
            _write(self._process.stdin, message)
        except OSError:                # it has ended, as `receive` will tell
            return

    def receive(self) -> bytes:
        """The answer to the earliest question without one.

        Raises:
            ChildError: the child says that it failed, or it has ended; with what it printed last.
        """
        assert self._process.stdout is not None
        found = _read(self._process.stdout)
        if found is None:
            status = self._process.wait()
            how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            raise ChildError(self._told(f"{self._what} {how}"))
        failed, message = found
        if failed:
            raise ChildError(self._told(f"{self._what} {message.decode(errors='replace')}"))
        return message

    def _told(self, problem: str) -> str:
        """The problem with what the child printed since it last answered."""
        self._printed.seek(0)
        text = " ".join(self._printed.read().decode(errors="replace").split())
        text = text if len(text) <= FIRST + LAST else f"{text[:FIRST]} ... {text[-LAST:]}"
        return ": ".join(filter(None, [" ".join(problem.split()), text]))

    def close(self) -> None:
        """End it, whatever it is doing."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                quietly(pipe.close)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._printed.close()


class ChildError(RunError):
    """A child failed: what it says, or how it ended, and what it printed."""


def serve(make: Callable[[], Callable[[bytes], bytes]]) -> None:
    """In the child: answer messages until there are no more, with what `make` gives at the first one.

    The text of a ChildProcessError is told as it is.  What was printed is forgotten whenever an answer was given.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (prctl := libc.function("prctl")) is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    answer: Callable[[bytes], bytes] | None = None
    while (found := _read(asked)) is not None:
        try:
            answer = answer or make()
            reply, failed = answer(found[1]), False
        except Exception as error:
            text = str(error) if isinstance(error, ChildProcessError) else f"failed: {raised(error)}"
            reply, failed = text.encode(), True
        sys.stdout.flush()
        try:
            if not failed and os.lseek(2, 0, os.SEEK_CUR):
                os.ftruncate(2, 0)
                os.lseek(2, 0, os.SEEK_SET)
            _write(answers, reply, failed)
        except OSError:                # nobody listens any more
            break
    os._exit(0)


def _write(pipe: IO[bytes], message: bytes, failed: bool = False) -> None:
    pipe.write(LENGTH.pack(failed, len(message)) + message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> tuple[bool, bytes] | None:
    """The next message; None where there is none."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    failed, length = LENGTH.unpack(head)
    message = pipe.read(length)
    return (failed, message) if len(message) == length else None
