"""How much memory there is, and the one refusal of what would take more.

Sizes are estimated from settings, before anything is allocated; they are meant to be within a factor of two of what
is taken in the end.  Refused is what exceeds all that the machine could have, not what is free just now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netac.utils.errors import InputError

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
LOCAL_SIZES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE", "PMI_LOCAL_SIZE")
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
MOST = 10**15      # beyond every range of an option


@dataclass(frozen=True)
class Room:
    """The memory of one host, in bytes, which all processes there share.

    Attributes:
        total: all that they could have.
        free: what is free just now.
        whose: what sets the limit, to be read after "of".
        own: what one process could have; None: all.
    """

    total: int
    free: int
    whose: str = "this machine"
    own: int | None = None

    def lacks(self, size: int, processes: int = 1) -> bool:
        """Whether so many bytes, in so many processes of equal sizes, are more than there could be."""
        return size > self.total or (self.own is not None and size > self.own * processes)

    def in_words(self, processes: int = 1) -> str:
        """"23.5 GiB of this machine"."""
        if self.own is not None and self.own * processes < self.total:
            return f"{in_words(self.own)} of address space (ulimit -v)"
        return f"{in_words(self.total)} of {self.whose}"


def room() -> Room:
    """What there is: the machine's memory with its swap space, or what cgroup and ulimit leave of it."""
    total, free, whose = *_machine(), "this machine"
    for limit, used in _cgroups():
        if limit < total:
            total, whose = limit, "this cgroup"
        free = min(free, max(limit - used, 0))
    return Room(total, free, whose, _address_space())


def in_words(size: float) -> str:
    """"87 TiB": three digits at most."""
    power = 0
    while size >= 1000 and power < len(UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{size:.3g} {UNITS[power]}"


def refuse(sizes: Mapping[str, int], key: str, found: object, most: Callable[[], int | None] | None = None,
           processes: int = 1, advice: str = "") -> None:
    """Refuse what would take more memory than there could be.

    Args:
        sizes: bytes in all processes of this host together, by what they are for.
        key: what is to be smaller.
        found: its value.
        most: finds the largest value that would be taken; None where that cannot be told.
        processes: how many there are on this host.
        advice: what else would be valid.

    Raises:
        InputError: with the size, what most of it is for, and what there is.
    """
    there, size = room(), sum(sizes.values())
    if not there.lacks(size, processes):
        return
    largest, best = max(sizes, key=lambda part: sizes[part]), most() if most else None
    less = f"at most {best:,} here" if best else "less"
    raise InputError(f"would take {in_words(size)} of memory, most of it for {largest}", key=key, found=found,
                     valid=f"{less}, within the {there.in_words(processes)}{'; ' * bool(advice)}{advice}")


def refuse_number(what: str, key: str, number: int, taken: Callable[[int], int], advice: str = "") -> None:
    """Refuse a number with which something would take more memory than there could be.

    Args:
        what: it is for, with this number.
        key: of the number.
        taken: bytes with any number.
        advice: what else would be valid.

    Raises:
        InputError: as `refuse`, with the largest number that would be taken.
    """
    refuse({what: taken(number)}, key, number, lambda: largest(lambda n: not room().lacks(taken(n)), number),
           advice=advice)


def largest(fits: Callable[[int], bool], below: int = MOST) -> int | None:
    """The largest number of at most two digits and zeros, smaller than `below`, that fits; None where not even 1 does.

    Args:
        fits: asked for a few numbers, small ones first, as often as they may be the answer.
    """
    if below <= 1 or not fits(1):
        return None
    good, bad = 1, below
    while 2 * good < below and fits(2 * good):
        good *= 2
    bad = min(2 * good, below)
    while bad - good > max(1, good // 64):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    unit = 10 ** max(0, len(str(good)) - 2)
    return good // unit * unit


def on_this_host(processes: int) -> int:
    """How many of a launch's processes share this host, as far as its launcher tells."""
    told = next((os.environ[name] for name in LOCAL_SIZES if name in os.environ), "")
    return min(processes, int(told)) if told.isdecimal() and int(told) else processes


def _machine() -> tuple[int, int]:
    """Bytes of memory and swap space, and what of them is free."""
    with suppress(OSError, ValueError, KeyError):
        lines = (PROC / "meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        found = [1024 * (kilobytes[memory] + kilobytes.get(swap, 0))
                 for memory, swap in (("MemTotal", "SwapTotal"), ("MemAvailable", "SwapFree"))]
        return found[0], found[1]
    with suppress(OSError, ValueError):            # macOS
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return size, size
    return 2**60, 2**60


def _cgroups() -> list[tuple[int, int]]:
    """Limits in bytes of the groups that this process is in, and what is used of each."""
    found = list[tuple[int, int]]()
    for folder, limit, used in _group_folders(CGROUPS, os.getpid()):
        with suppress(OSError, ValueError):       # "max": none
            found.append((int((folder / limit).read_text()), int((folder / used).read_text())))
    return found


@cache
def _group_folders(groups: Path, process: int) -> list[tuple[Path, str, str]]:
    """Folders of the groups that this process is in below `groups`, with the names of the files of limit and use;
    found once in a process, as studies ask for thousands of experiments."""
    places = list[tuple[Path, str, str]]()
    with suppress(OSError):
        for line in (PROC / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            old = "memory" in controllers.split(",")
            if not old and controllers:
                continue
            root = groups / "memory" if old else groups
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
            inner = root / path.lstrip("/")
            places += [(folder, *names) for folder in (inner, *inner.parents)
                       if folder.is_relative_to(root) and (folder / names[0]).is_file()]
    return places


def _address_space() -> int | None:
    """What `ulimit -v` leaves to one process; None: any."""
    with suppress(ImportError, OSError, ValueError):
        import resource
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if limit == resource.RLIM_INFINITY else limit
    return None
