"""run_mpi.sh: finds the MPI, starts the command, shows what it writes, passes signals on, and says who ended it."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from netac.comm.launch.addresses import lay_out_alike
from netac.comm.launch.command import command, count_cores, netac_run
from netac.comm.launch.command_line import USAGE, Request, parse
from netac.comm.launch.explain import explain, resume_command
from netac.comm.launch.family import HYDRA, Mpi, find_mpi
from netac.comm.launch.guard import guarded
from netac.comm.launch.notices import MARK, Hearing, new_mark
from netac.comm.launch.open_files import make_room
from netac.comm.launch.outputs import cannot_print
from netac.comm.launch.sieve import PAUSE, Sieve, Tee
from netac.comm.launch.small_shm import clear_leftovers, refuse_too_small
from netac.utils.errors import InputError

ME = "run_mpi.sh"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SCRIPT, FAULT = "NETAC_LAUNCH_SCRIPT", "NETAC_LAUNCH_FAULT"     # how run_mpi.sh was called, and what it found amiss


def main(words: Sequence[str]) -> int:
    """The exit status of the launch that the command line asks for, or of what is wrong with it."""
    script = os.environ.pop(SCRIPT, "")
    again = [script] if script else [sys.executable, "-m", "netac.comm.launch"]
    fault = os.environ.pop(FAULT, None)
    try:
        return _perform(parse(words), again, fault)
    except InputError as error:
        _say(str(error))
        return error.exit_status


def _perform(request: Request, again: list[str], fault: str | None) -> int:
    if request.help:
        print(USAGE, end="")
        return 0
    mpi = find_mpi(os.environ)
    if mpi is None:
        raise InputError("no MPI found: neither mpirun nor mpiexec is on PATH; install one with: "
                         'pip install "netac[mpi]" (or name your own: MPIRUN=/path/to/mpirun)')
    if fault:
        raise InputError(fault)
    cores = count_cores(os.environ, request.hostfile)
    shown, _ = _command(mpi, request, cores)
    if request.dry_run:
        print(shlex.join(shown))
        return 0
    if not request.hostfile:
        clear_leftovers()
        if mpi.family in HYDRA:
            refuse_too_small(request.processes)
        make_room(request.processes)
        lay_out_alike(request.processes, cores)
    place = f"{cores} cores" if cores else f"the hosts of {request.hostfile}"
    _say(f"{mpi.title}, {request.processes} processes on {place}: {shlex.join(shown)}")
    return _launch(mpi, request, cores, again)


def _command(mpi: Mpi, request: Request, cores: int,
             variables: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
    if request.is_script:
        program = [sys.executable, "-m", "netac.comm.launch.script", request.file, *request.arguments]
    else:
        program = netac_run(request.file, *request.arguments, *(["--verbose"] if request.verbose else []))
    return command(mpi, request.processes, program, cores=cores, hostfile=request.hostfile, variables=variables)


def _launch(mpi: Mpi, request: Request, cores: int, again: Sequence[str]) -> int:
    """The exit status, after everything that was started has ended.

    Args:
        again: the words that started this program, for the command that resumes.
    """
    with _Signals() as signals:
        mark = new_mark()
        hearing = Hearing(mark)
        argv, environment = _command(mpi, request, cores, {MARK: mark} | _terminal())
        try:    # a process group of its own: some launchers are scripts, and a signal must reach what they started
            process = subprocess.Popen(argv, env=environment, process_group=0, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise InputError(f"cannot run {mpi.mpirun}: {error.strerror}") from None
        with guarded(process):
            signals.end_with(process)
            reports, lost = _show(process, Tee if request.verbose else Sieve, hearing)
            status = process.wait()
        status = 128 - status if status < 0 else status
    resume = resume_command(again, request.processes, request.hostfile, request.file, request.arguments)
    hint = f"; resume with: {resume}" if resume else ""
    if signals.caught:
        _say(f"stopped by {signals.caught.name}{hint}")
        return 128 + signals.caught
    unfinished = status or not hearing.done
    if unfinished and (ending := explain(reports, status, mpi.title, hearing.placement, hearing.said)):
        _say(ending.cause + (hint if ending.resumable else ""))
    if lost is not None:
        _say(cannot_print(lost))
    return status or int(unfinished or lost is not None)


def _terminal() -> dict[str, str]:
    """How wide the terminal on standard error is: the ranks see a pipe, and netac draws its bar all the same."""
    return {"NETAC_TERMINAL": str(os.get_terminal_size(2).columns or 80)} if os.isatty(2) else {}


class _Signals:
    """Ends a launch when this program is told to end.

    Attributes:
        caught: the signal, None without one.
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Signals:
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:      # ignored under nohup
                signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        self._process = None

    def end_with(self, process: subprocess.Popen[bytes]) -> None:
        """The process leads the group that is to end."""
        self._process = process
        if self.caught:
            self._end()

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        self.caught = signal.Signals(number)
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)


def _show(process: subprocess.Popen[bytes], kind: type[Tee], hearing: Hearing) -> tuple[str, OSError | None]:
    """Shows what the process writes into its pipes until they are closed, but for what `hearing` takes out.

    Standard output is closed where nobody reads it any more; what cannot be written, as on a full disk, is left out.

    Returns:
        What was kept of it for `explain`, and why standard output is not whole, if it is not.
    """
    pipes = [(pipe, out, kind()) for pipe, out in ((process.stderr, 2), (process.stdout, 1)) if pipe is not None]
    lost = None
    with selectors.DefaultSelector() as selector:
        for pipe, out, sieve in pipes:
            selector.register(pipe, selectors.EVENT_READ, (pipe, out, sieve))
        while selector.get_map():
            arrived = {key.fd for key, _ in selector.select(PAUSE)}
            for key in list(selector.get_map().values()):
                pipe, out, sieve = key.data
                now, shown, ended = time.monotonic(), b"", False
                if key.fd in arrived:
                    data, ended = _read(key.fd, hearing if out == 2 else None)
                    shown = sieve.feed(data, now) + (sieve.end() if ended else b"")
                error = _write(out, shown + sieve.tick(now))
                if error and out == 1 and not isinstance(error, BrokenPipeError):
                    lost = error
                if ended or (out == 1 and isinstance(error, BrokenPipeError)):
                    selector.unregister(pipe)
                    pipe.close()
    return "".join(sieve.kept.decode(errors="replace") for _, _, sieve in pipes), lost


def _read(pipe: int, hearing: Hearing | None) -> tuple[bytes, bool]:
    """What has arrived, less what `hearing` takes out, and whether it was the last.

    Open MPI strews NULs where hosts are several, which `hearing` need not see either.
    """
    data = os.read(pipe, 65536)
    if hearing is None:
        return data, not data
    return (hearing.feed(data.replace(b"\0", b"")), False) if data else (hearing.end(), True)


def _write(out: int, data: bytes) -> OSError | None:
    """Why it could not be written, if it could not."""
    while data:
        try:
            data = data[os.write(out, data):]
        except BlockingIOError:         # some launchers make the terminal non-blocking
            select.select([], [out], [])
        except OSError as error:
            return error
    return None


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{ME}: {text}", file=sys.stderr, flush=True)
