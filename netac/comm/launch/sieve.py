"""What of a launcher's output the user sees: all but its reports of a dead rank, which `explain` says in one line."""

from __future__ import annotations

import re

PAUSE = 0.2                             # seconds after which an unfinished line is shown
PATIENCE = 5                            # pauses that a block may take to be finished
LONGEST = 20_000                        # bytes that are kept for `explain`

_RULE = re.compile(rb"-{60,}|={60,}")   # stands before and after a launcher's reports
_BEGUN = re.compile(rb"[-=]+")          # may become one
_DEAD_RANK = re.compile(rb"exited on.*signal|MPI_ABORT was invoked|exited due to process rank|non-zero status"
                        rb"|non-zero exit code|BAD TERMINATION|exiting.improperly|lost communication with a remote"
                        rb"|peer process has unexpectedly disconnected", re.DOTALL)
_TOLD = re.compile(rb"YOUR APPLICATION TERMINATED WITH|Abort\(.*\) on node |\[[^ ]+:[0-9]+\] (?:\*\*\* |Delaying for )"
                   rb"|\[warn\] Epoll ")
_ADVICE = (b"This typically refers to a problem with your application.",
           b"Please see the FAQ page for debugging suggestions")


class Tee:
    """Lets everything through, and keeps its end.

    Attributes:
        kept: what `explain` is to read.
    """

    def __init__(self) -> None:
        self.kept = b""

    def feed(self, data: bytes, now: float) -> bytes:
        """What is to be shown of output that arrived at time `now` (seconds on any clock)."""
        self.kept = (self.kept + data)[-LONGEST:]
        return data

    def tick(self, now: float) -> bytes:
        """What is to be shown because nothing more of it has arrived by now; to be called a few times a second."""
        return b""

    def end(self) -> bytes:
        """What is left to be shown."""
        return b""


class Sieve(Tee):
    """Lets through what netac writes, unfinished lines (progress bars) included, and keeps a launcher's reports.

    A report stands between two rules, or is a line of a known beginning.
    """

    def __init__(self) -> None:
        super().__init__()
        self._line, self._block = b"", b""
        self._continued = False         # the beginning of this line has been shown
        self._since, self._pauses = 0.0, 0

    def feed(self, data: bytes, now: float) -> bytes:
        if not self._line:
            self._since = now
        *lines, self._line = (self._line + data).split(b"\n")
        if lines:
            self._since, self._pauses = now, 0
        return b"".join(self._sort(line + b"\n") for line in lines)

    def tick(self, now: float) -> bytes:
        if now - self._since < PAUSE:
            return b""
        self._since, self._pauses = now, self._pauses + 1
        shown = b""
        if self._pauses > PATIENCE:
            shown, self._block = self._block, b""
        if not self._block and self._line and not _BEGUN.fullmatch(self._line):
            shown += self._line
            self._line, self._continued = b"", True
        return shown

    def end(self) -> bytes:
        block, line = self._block, self._line
        self._block = self._line = b""
        return block + line if block else self._sort_line(line)

    def _sort(self, line: bytes) -> bytes:
        """What is to be shown now that this line is finished."""
        rule = not self._continued and _RULE.fullmatch(line[:-1])
        self._continued = False
        if rule and self._block:
            block, self._block = self._block + line, b""
            return self._keep(block) if _DEAD_RANK.search(block) else block
        if rule or self._block:
            self._block += line
            return b""
        return self._sort_line(line)

    def _sort_line(self, line: bytes) -> bytes:
        if _TOLD.match(line):
            return self._keep(line)
        return b"" if line.startswith(_ADVICE) else line

    def _keep(self, text: bytes) -> bytes:
        self.kept = (self.kept + text)[-LONGEST:]
        return b""
