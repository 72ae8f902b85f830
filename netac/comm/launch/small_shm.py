"""A /dev/shm that is nearly full, as in a container: how much of it an MPI is told to take, or that it cannot start.

Left alone Open MPI takes up to 16 MB a process for messages, page by page as they need them; the first page that is
missing kills the process (SIGBUS).  It gets half of what is free; the other half is for `netac.comm.shared_memory`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from netac.utils.errors import InputError

PLACE = "/dev/shm"
USUAL, LEAST = 16 << 20, 2 << 20      # bytes a process: what Open MPI takes, and what it takes at least
MPICH = 17 << 16                      # what MPICH takes when it starts: 1.03 MB a process were measured
SEGMENTS = ("mpich_shm_*", "sm_segment.*", "vader_segment.*")
LEFT = 60                             # seconds after which a segment may count as left over
MORE = "a container gets more with docker run --shm-size=1g"


def parameters(environ: Mapping[str, str]) -> dict[str, str]:
    """Parameters of Open MPI, as environment variables, for a process that it has started; none where there is room
    enough, or where the user has chosen how messages travel."""
    here = number(environ, "OMPI_COMM_WORLD_LOCAL_SIZE")
    if not here or any(name.startswith("OMPI_MCA_btl") for name in environ):
        return {}
    each = (_free() + taken()) // 2 // here
    if each >= USUAL:
        return {}
    if each >= LEAST:
        return {f"OMPI_MCA_btl_{name}_segment_size": str(each) for name in ("sm", "vader")}
    alone = here == number(environ, "OMPI_COMM_WORLD_SIZE")     # the loopback may be a container's only network
    return {"OMPI_MCA_btl": "^sm,vader"} | ({"OMPI_MCA_btl_tcp_if_include": "lo"} if alone else {})


def in_words(chosen: Mapping[str, str]) -> str | None:
    """What the user is to know of the parameters, if anything."""
    if "OMPI_MCA_btl" not in chosen:
        return None
    return (f"{PLACE} has less than {2 * LEAST >> 20} MB free for each process: messages go through TCP, which is "
            f"slower ({MORE})")


def refuse_too_small(processes: int, taken: int = 0) -> None:
    """Where MPICH is to start so many processes on this host, before it takes its memory.

    Args:
        taken: bytes that it has taken all the same.

    Raises:
        InputError: there is less than that, and a process would be killed.
    """
    needed, free = MPICH * processes, _free() + taken
    if free < needed:
        raise InputError("too little memory that processes can share for this MPI to start", key=PLACE,
                         found=f"{free / 2**20:.1f} MB free",
                         valid=f"{needed / 2**20:.1f} MB or more: {MORE}; or fewer processes")


def taken() -> int:
    """Bytes that processes of this launch have taken already, so that all see alike what was free when it began."""
    found = 0
    with suppress(OSError):
        began = os.stat(f"/proc/{os.getppid()}").st_ctime
        for path in (path for kind in SEGMENTS for path in Path(PLACE).glob(kind)):
            with suppress(OSError):
                segment = path.stat()
                found += segment.st_blocks * 512 if segment.st_ctime >= began else 0
    return found


def clear_leftovers() -> None:
    """Remove what launches that were killed have left: segments of this user that no process has mapped, a minute old.

    Processes that start just now may not have mapped theirs yet; those that have keep them without the name.
    """
    with suppress(OSError):
        old = [path for kind in SEGMENTS for path in Path(PLACE).glob(kind) if _is_left(path)]
        mapped = _mapped() if old else ""
        for path in old:
            if str(path) not in mapped:
                path.unlink(missing_ok=True)


def _is_left(path: Path) -> bool:
    with suppress(OSError):
        found = path.lstat()
        return found.st_uid == os.geteuid() and time.time() - found.st_mtime > LEFT
    return False


def _mapped() -> str:
    """What the processes that can be seen have mapped."""
    found = []
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            found.append(maps.read_text(errors="replace"))
    return "".join(found)


def _free() -> int:
    """Bytes that are free; more than anyone needs where there is no such place, as an MPI will use another one."""
    try:
        return shutil.disk_usage(PLACE).free
    except OSError:
        return 1 << 60


def number(environ: Mapping[str, str], name: str) -> int:
    """A launcher's variable; 0 where it is not set."""
    return int(found) if (found := environ.get(name, "")).isdecimal() else 0
