"""`netac run` as a user launches it, on so many processes: seconds a joint sample, MPI's start and a warm-up not counted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from netac.comm.mpirun import THREADS, command
from netac.results.tables import read_metrics


def seconds_a_sample(experiment: Path, processes: int, warm: int, iterations: int, changed: Mapping[str, object]) -> float:
    """Of the iterations after the first `warm`.

    Args:
        changed: keys of the experiment that are to be otherwise.
    """
    if processes > 1:
        launcher, environment = command(processes)
    else:
        launcher, environment = [], os.environ | dict.fromkeys(THREADS, "1") | {"NETAC_MPI": "0"}
    changed = {"iterations": iterations, "log_every": warm, "checkpoint_every": iterations, **changed}
    options = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        subprocess.run([*launcher, sys.executable, "-m", "netac", "run", str(experiment), *options, "--out", str(out)],
                       env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        rows = read_metrics(out / "metrics.csv")
    return float(rows["seconds"][-1] - rows["seconds"][1]) / float(rows["env_steps"][-1] - rows["env_steps"][1])
