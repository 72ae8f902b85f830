"""How many files a launcher may open: it wants three for every process that it starts."""

from __future__ import annotations

import resource

from netac.utils.errors import InputError

ITS_OWN, EACH = 32, 3       # measured with Open MPI 5 and MPICH 5


def make_room(processes: int) -> None:
    """Allow as many as so many processes on this host need, where the system lets us.

    Raises:
        InputError: it does not.
    """
    needed = ITS_OWN + EACH * processes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise InputError(f"an MPI that starts {processes} processes has to open more files than are allowed here",
                         key="ulimit -n", found=hard, valid=f"{needed} or more, or fewer processes")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
