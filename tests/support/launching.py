"""What the tests of launches share: where things are, and an environment in which this interpreter's netac is found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "run_mpi.sh"
DONE = r"""printf '\x1e%s done\n' "$NETAC_LAUNCH_MARK" >&2"""     # how a fake mpirun says that process 0 is done


def environment(mpirun: Path | None = None, **variables: str) -> dict[str, str]:
    """This process's environment with the interpreter's folder first on PATH, MPIRUN and `variables` set."""
    folder = Path(sys.executable).parent
    kept = {name: value for name, value in os.environ.items() if name not in {"MPIRUN", "PYTHONPATH", "SLURM_NTASKS"}}
    chosen = {"MPIRUN": str(mpirun)} if mpirun else {}
    return {**kept, "PATH": f"{folder}:{os.environ['PATH']}", "VIRTUAL_ENV": str(folder.parent), **chosen, **variables}


def kill_once(command: Sequence[str], due: Callable[[], bool]) -> None:
    """Start a command and kill -9 it as soon as `due` says so, or let it end before."""
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while not due() and running.poll() is None:
            time.sleep(0.01)
        running.kill()
