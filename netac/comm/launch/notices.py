"""What processes tell the program that launched them, on any host: lines on standard error that it takes out again.

A line begins with the launch's mark, which processes find in their environment.  Process 0 tells which process holds
which agents, and that all is done: an exit status of 0 alone does not say so, since some launchers give it where a
process broke off or a host was lost.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

MARK = "NETAC_LAUNCH_MARK"
DONE = "done"
SIGN = b"\x1e"      # before the mark: seldom written by anyone

_SAID = re.compile(rb"^(?:netac: (?:error: |interrupted)|Traceback \(|Error: |usage: )", re.IGNORECASE | re.MULTILINE)
_mine: tuple[int, bytes] | None = None      # where this process tells, and with which mark


def begin() -> None:
    """Take the mark out of the environment, so that no program started from here tells in this one's place, and keep
    the standard error of the beginning, whatever becomes of it."""
    global _mine
    mark = os.environ.pop(MARK, None)
    if mark is not None:
        _mine = (os.dup(2), SIGN + mark.encode())


def tell(text: str) -> None:
    """Tell the launcher a line, where there is one that wants it."""
    if _mine is not None:
        descriptor, mark = _mine
        with suppress(OSError):
            os.write(descriptor, mark + b" " + text.encode() + b"\n")


def new_mark() -> str:
    """A mark that nothing else on standard error has."""
    return os.urandom(8).hex()


class Hearing:
    """Takes the lines with a mark out of what a launch writes to standard error.

    Attributes:
        lines: what they tell.
        said: whether the launch has told of an error in its own words.
    """

    def __init__(self, mark: str):
        self._mark = SIGN + mark.encode()
        self._line, self._held, self._last = re.compile(self._mark + rb" ([^\n]*)\n"), b"", b"\n"
        self.lines: list[str] = []
        self.said = False

    @property
    def done(self) -> bool:
        """Whether process 0 has come to its end."""
        return DONE in self.lines

    @property
    def placement(self) -> str:
        """Which process holds which agents, a line each."""
        return "".join(f"{line}\n" for line in self.lines if line != DONE)

    def feed(self, data: bytes) -> bytes:
        """What of it is not for the launcher; the beginning of such a line is held back."""
        data = self._held + data
        self.lines += [told.decode(errors="replace").rstrip("\r") for told in self._line.findall(data)]
        rest = self._line.sub(b"", data)
        start = rest.rfind(SIGN)
        held = start >= 0 and (self._mark.startswith(rest[start:]) or rest.startswith(self._mark, start))
        rest, self._held = (rest[:start], rest[start:]) if held else (rest, b"")
        return self._look_at(rest)

    def end(self) -> bytes:
        """What was held back, and is no such line."""
        held, self._held = self._held, b""
        return self._look_at(held)

    def _look_at(self, data: bytes) -> bytes:
        recent = self._last + data
        self.said = self.said or bool(_SAID.search(recent))
        self._last = recent[-40:]
        return data
