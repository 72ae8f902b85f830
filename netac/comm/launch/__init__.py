"""Launching processes under MPI: what a process of a launch asks and does (here), and who starts them (`launcher`).

`python -m netac.comm.launch` is run_mpi.sh.  Only the standard library and netac's errors are imported.
"""

from netac.comm.launch.notices import begin
from netac.comm.launch.outputs import printed, ready
from netac.comm.launch.rank import (
    CLAIM,
    TRACEBACK,
    abort,
    agree,
    announce,
    clear_claim,
    communicator,
    end,
    exit_status,
    finished,
    is_follower,
    is_mpi_launch,
    say,
)

__all__ = ["CLAIM", "TRACEBACK", "abort", "agree", "announce", "begin", "clear_claim", "communicator", "end",
           "exit_status", "finished", "is_follower", "is_mpi_launch", "printed", "ready", "say"]
