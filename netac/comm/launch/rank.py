"""Whether this is an MPI launch, who we are in it, and how an error in one process ends it for all."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from netac.comm.launch import notices
from netac.comm.launch.small_shm import in_words, number, parameters, refuse_too_small, taken
from netac.utils.errors import InputError, NetacError, out_of_memory, raised, users_line

if TYPE_CHECKING:
    from mpi4py import MPI

# set by mpirun, mpiexec and srun of Open MPI, MPICH, Intel MPI and MVAPICH
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
RANKS = ("PMIX_RANK", "PMI_RANK")
CLAIM = ".failure"
TRACEBACK = "NETAC_TRACEBACK"        # 1: errors are told with their tracebacks, as --traceback asks for
Answer = TypeVar("Answer")


def is_mpi_launch(environ: dict[str, str] | os._Environ = os.environ) -> bool:
    """Whether a launcher started this process as one of several; NETAC_MPI=0|1 overrides.

    Raises:
        InputError: NETAC_MPI is something else.
    """
    said = environ.get("NETAC_MPI")
    if said is not None:
        if said not in ("0", "1"):
            raise InputError("cannot be understood", key="NETAC_MPI", found=said, valid="0 or 1")
        return said == "1"
    sizes = [environ[name] for name in SIZES if name in environ]
    return any(size != "1" for size in sizes) if sizes else any(name in environ for name in RANKS)


def communicator() -> MPI.Intracomm | None:
    """The launch's communicator, or None for a single process (then MPI is not even imported).

    Raises:
        InputError: an MPI launch without mpi4py.
    """
    if not is_mpi_launch():
        return None
    try:
        import mpi4py
        mpi4py.rc.thread_level = "funneled"
        if "mpi4py.MPI" not in sys.modules:
            _prepare()
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"this is an MPI launch, but mpi4py cannot be used on {socket.gethostname()}: {error}",
            valid='pip install "netac[mpi]", or NETAC_MPI=0 for independent single processes') from None
    from netac.comm.waiting import patient
    return patient(MPI.COMM_WORLD) if MPI.COMM_WORLD.size > 1 else None


def _prepare() -> None:
    """What an MPI has to know before it starts of the memory that processes can share here; the user is told of it.

    Raises:
        InputError: there is too little of it.
    """
    if not is_follower():
        refuse_too_small(number(os.environ, "MPI_LOCALNRANKS"), taken())      # which Hydra sets
    chosen = parameters(os.environ)
    os.environ.update(chosen | without_remote_memory(os.environ, chosen))
    if (told := in_words(chosen)) and not is_follower():
        from netac.utils.progress import note
        note(told)


def without_remote_memory(environ: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Open MPI without its part for remote memory over libfabric (btl/ofi), where all processes are on one host.

    netac has no use for it, and where there is no such network it sleeps for a second before it is put aside.  Where
    the user has chosen how messages travel, in the environment or in Open MPI's own file, nothing changes.

    Args:
        chosen: what has been chosen for this process before, which is kept.
    """
    here = number(environ, "OMPI_COMM_WORLD_LOCAL_SIZE")
    if not here or here != number(environ, "OMPI_COMM_WORLD_SIZE"):
        return {}
    if any(name.startswith("OMPI_MCA_btl") for name in environ):
        return {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        file = Path(environ.get("HOME", ""), ".openmpi", "mca-params.conf")
        if any(line.lstrip().startswith("btl") for line in file.read_text().splitlines()):
            return {}
    known = chosen.get("OMPI_MCA_btl")
    return {"OMPI_MCA_btl": f"{known},ofi" if known else "^ofi"}


def is_follower(environ: dict[str, str] | os._Environ = os.environ) -> bool:
    """Whether this is a process of an MPI launch other than process 0, as the launcher's variables tell."""
    names = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "MV2_COMM_WORLD_RANK")
    rank = next((environ[name] for name in names if name in environ), "0")
    return rank != "0" and environ.get("NETAC_MPI") != "0"


def agree(comm: MPI.Intracomm | None, work: Callable[[], Answer]) -> Answer:
    """What `work` answers on process 0, for every process; its error is raised on all of them, in the same words."""
    if comm is None:
        return work()
    outcome: Any = None
    if comm.rank == 0:
        try:
            outcome = (work(), None)
        except NetacError as found:
            outcome = (None, found)
    answer, error = comm.bcast(outcome, root=0)
    if error is not None:
        error.told_by_root = True
        raise error
    return answer


def abort(error: BaseException, comm: MPI.Intracomm, folder: Path | None, patience: float = 0.0) -> NoReturn:
    """Tell the user of an error that only this process may know of, once per launch, and end all of the launch.

    Args:
        folder: where all processes can see which of them was the first; None: the lower ranks are.
        patience: seconds to leave to a process that may know the cause of this error.
    """
    status = exit_status(error)
    with contextlib.suppress(ValueError):                  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)       # whoever is impatient is served already
    time.sleep(patience + (0.0 if folder else min(0.2 * comm.rank, 2.0)))
    if _first_to_fail(folder):
        say(error)
        time.sleep(0.2)                                    # a launcher may drop what it has not yet read
        comm.Abort(status)
    time.sleep(2)                                          # the first one ends the launch meanwhile
    comm.Abort(status)


def end(error: BaseException) -> int:
    """The exit status for an error nobody has dealt with, after telling the user of it (under MPI: once per launch)."""
    if isinstance(error, NetacError) and error.told_by_root:
        if is_follower():
            time.sleep(1)                                  # some launchers end all when the first process ends
        else:
            say(error)
    elif "mpi4py.MPI" in sys.modules and (sampler := sys.modules["mpi4py.MPI"].COMM_WORLD).size > 1:
        abort(error, sampler, None)
    else:
        if is_follower():
            time.sleep(2)                                  # if process 0 has it, too, that one's end ends the launch
        say(error)
    return exit_status(error)


def finished() -> None:
    """Tell the launcher that all is done, from process 0, where everything else is; to be called at the very end."""
    if not is_follower():
        notices.tell(notices.DONE)


def clear_claim(comm: MPI.Intracomm | None, folder: Path | None) -> None:
    """Let none but this launch's processes have claimed in `folder` that they were the first to fail."""
    def clear() -> None:
        if folder is not None:
            with contextlib.suppress(OSError):
                (folder / CLAIM).unlink()

    agree(comm, clear)


def exit_status(error: BaseException) -> int:
    """What the command line ends with after this error."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_status if isinstance(error, NetacError) else 1


def say(error: BaseException) -> None:
    """One line on standard error; a traceback for what netac did not foresee, or where one is asked for."""
    if isinstance(error, KeyboardInterrupt):
        print("netac: interrupted; netac run goes on with --resume", file=sys.stderr, flush=True)
        return
    told, whole = _told(error), os.environ.get(TRACEBACK) == "1"
    if told is None or whole:
        import traceback
        traceback.print_exception(error)
    if told is not None:
        hint = "" if whole or not _is_users(error) else "; --traceback shows the whole"
        print("netac: error:", *f"{told}{hint}".splitlines(), file=sys.stderr)
    sys.stderr.flush()


def _told(error: BaseException) -> str | None:
    """An error in words; None for what netac did not foresee."""
    if isinstance(error, NetacError):
        return str(error)
    if told := out_of_memory(error):
        return told
    from netac.utils.dependencies import unfit
    if found := unfit():                                   # whatever failed, this comes first
        return f"{found[0]} (valid: {found[1]}): {raised(error)}"
    return raised(error) if isinstance(error, ImportError) else None


def _is_users(error: BaseException) -> bool:
    """Whether an error, or what it came from, went through the user's own files."""
    cause = error.__cause__
    return cause is not None and (users_line(cause) is not None or _is_users(cause))


def _first_to_fail(folder: Path | None) -> bool:
    if folder is None:
        return True
    try:
        os.close(os.open(folder / CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:
        pass
    return True


def announce(comm: MPI.Intracomm | None, describe: Callable[[int], str], show: bool) -> None:
    """Say which process holds which agents: to standard error (`show`), and to a launcher that wants to know."""
    line = f"{os.getpid()} host {socket.gethostname()}"
    lines = [line] if comm is None else comm.gather(line, root=0)
    if lines is None:
        return
    text = "".join(f"netac: rank {rank} pid {line} {describe(rank)}\n" for rank, line in enumerate(lines))
    for line in text.splitlines():
        notices.tell(line)
    if show:
        print(text, end="", file=sys.stderr, flush=True)
