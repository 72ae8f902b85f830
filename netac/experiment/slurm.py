"""A comparison as an array of Slurm tasks, one run each: the script that asks for them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from netac.experiment import config, study
from netac.experiment.jobs import begin
from netac.utils.errors import InputError
from netac.utils.files import atomic_write

SCRIPT = "slurm.sh"
HEAD = """\
#!/usr/bin/env bash
# Written by netac compare --slurm. One task of the array is one run of the comparison; those that have finished are
# taken as they are, so that what was preempted is submitted again as it is. From this folder:
#
#   sbatch {script}
#   {collect}        # when they have ended
#
#SBATCH --job-name=netac
#SBATCH --array=0-{last}
#SBATCH --ntasks={processes}
#SBATCH --cpus-per-task=1
#SBATCH --hint=nomultithread
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output="{log}"
set -euo pipefail
cd {here}
if [ -z "${{VIRTUAL_ENV:-}}" ] && [ -f .venv/bin/activate ]; then . .venv/bin/activate; fi
exec {only} "$SLURM_ARRAY_TASK_ID"
"""
MOST = 1_000_000      # tasks of an array; a cluster's own limit (scontrol show config, MaxArraySize) is often lower


def asked_for(file: Path, algorithms: Sequence[str] | None, vary: Sequence[str], seeds: int | None, budget: str | None,
              processes: int, sets: Sequence[str], out: Path) -> Path:
    """Check a comparison, make its folders, and write its script.

    Args:
        file, algorithms, vary, seeds, budget, processes, sets, out: as `netac compare` takes them.

    Raises:
        InputError: as `netac.compare`.
    """
    source = config.read(file, dict(config.parse_set(text) for text in sets))
    cells = study.plan(source, algorithms, study.together(map(study.parse_vary, vary)))
    runs = len(begin(source, cells, seeds, out, processes, budget, True))
    said = {"--algorithms": algorithms and ",".join(algorithms), "--seeds": seeds, "--budget": budget,
            "--processes": processes if processes > 1 else None, "--out": out}
    arguments = [str(file), *(f"--vary={text}" for text in vary), *(f"--set={text}" for text in sets),
                 *(f"{name}={value}" for name, value in said.items() if value is not None)]
    return write(out, runs, processes, arguments)


def write(out: Path, runs: int, processes: int, arguments: Sequence[str]) -> Path:
    """Write the script into the comparison's folder.

    Args:
        out: the folder.
        runs: how many there are.
        processes: of each.
        arguments: of `netac compare`, without those that say how to run.

    Raises:
        InputError: there are too many.
    """
    if runs > MOST:
        raise InputError("would be too many tasks", key="--slurm", found=runs, valid=f"at most {MOST:,} runs")
    call = ["python", "-m", "netac", "compare", *arguments]
    file = out / SCRIPT
    atomic_write(file, HEAD.format(
        script=shlex.quote(str(file)), last=runs - 1, processes=processes, here=shlex.quote(str(Path.cwd())),
        log=str(out.absolute() / "slurm-%A_%a.log").replace("\\", "/"), only=shlex.join([*call, "--only"]),
        collect=shlex.join([*call, "--collect"])))
    return file
