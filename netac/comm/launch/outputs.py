"""Standard streams of a program that are closed or cannot be written: nothing breaks off, and the user is told."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class Lenient(io.TextIOWrapper):
    """A standard stream that loses what cannot be written, and keeps going.

    Attributes:
        fault: why something was lost; None while nothing was.
    """

    fault: OSError | None = None

    def write(self, text: str) -> int:
        """All of it, or less."""
        try:
            super().write(text)
        except OSError as error:
            self.fault = error
        return len(text)

    def flush(self) -> None:
        """What can be."""
        try:
            super().flush()
        except OSError as error:
            self.fault = error


def ready() -> None:
    """Let standard streams that are closed lead nowhere, before other files take their numbers, and nothing break off
    since one cannot be written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _nowhere(number)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = _lenient(sys.stdout, 1, "strict"), _lenient(sys.stderr, 2, "backslashreplace")


def _lenient(stream: TextIO | None, number: int, errors: str) -> TextIO:
    """The stream in a lenient form; what a test has put in its place stays."""
    if stream is None:
        return Lenient(open(number, "wb", closefd=False), errors=errors)
    if type(stream) is not io.TextIOWrapper:
        return stream
    return Lenient(stream.buffer, stream.encoding, stream.errors, line_buffering=stream.line_buffering)


def printed(name: str) -> bool:
    """Whether all that was printed could be written; if it could not, that is said, in the name of a program.

    Nothing is said where nobody reads it any more.
    """
    sys.stdout.flush()
    fault = getattr(sys.stdout, "fault", None)
    if fault is None:
        return True
    if not isinstance(fault, BrokenPipeError):
        print(f"{name}: {cannot_print(fault)}", file=sys.stderr)
    _nowhere(1)                          # where what is left of it goes when the interpreter ends
    return False


def cannot_print(error: OSError) -> str:
    """Why standard output is not whole, in words."""
    return f"cannot write to standard output: {(error.strerror or str(error)).lower()}"


def _nowhere(number: int) -> None:
    """Let a descriptor lead nowhere, in the programs that are started from here, too."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(opened, number)
        os.close(opened)
