"""Ends a launch when the program that started it ends, however that ends: `kill -9` leaves no time to do it oneself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Waits for a line on its standard input, which closes without one where the program that holds its other end is killed.
_WATCH = """\
read -r _ && exit
kill -s TERM -- "-$1"
for _ in 1 2 3 4 5; do
    sleep 1
    kill -s 0 -- "-$1" || exit
done
kill -s KILL -- "-$1"
"""


@contextmanager
def guarded(launched: subprocess.Popen) -> Iterator[None]:
    """While this is open, a process group ends with this program: TERM, and KILL if that does not help.

    Args:
        launched: leads the group (`process_group=0`).
    """
    watch = subprocess.Popen(["/bin/sh", "-c", _WATCH, "netac-guard", str(launched.pid)], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/")
    assert watch.stdin is not None
    try:
        yield
    finally:
        with suppress(OSError):
            watch.stdin.write(b"\n")
            watch.stdin.close()
        watch.wait()
