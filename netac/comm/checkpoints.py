"""Checkpoints: everything a run needs to go on bit for bit, in one file of plain arrays per checkpoint.

All agents' parameters in agent order, the positions of every random stream and chain, the traffic counted so far and the
run's own counters: nothing depends on the number of processes, so any number of them may take it up.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.placement import Placement
from netac.utils.errors import InputError
from netac.utils.files import atomic_savez, load_npz

if TYPE_CHECKING:
    from mpi4py import MPI

KEPT = 2     # the newest checkpoints that are kept
BEST = "best.npz"                # beside them: the policies that did best in an evaluation during training
CHOICES = ("last", "best")


def gather(values: np.ndarray, placement: Placement, comm: MPI.Intracomm | None) -> np.ndarray | None:
    """All agents' rows on process 0 (None elsewhere): (n, D) -> (N, D)."""
    if comm is None:
        return values
    whole = np.empty((placement.agents, values.shape[1]), values.dtype) if comm.rank == 0 else None
    counts = [count * values.shape[1] for count in placement.counts]
    comm.Gatherv(np.ascontiguousarray(values), None if whole is None else [whole, counts], root=0)
    return whole


def save(folder: Path, iteration: int, arrays: dict[str, np.ndarray]) -> None:
    """Write the checkpoint after `iteration` iterations; then drop all but the newest."""
    atomic_savez(folder / f"{iteration:012d}.npz", arrays)
    for old in existing(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def existing(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("*.npz") if path.stem.isdigit())


def newest(folder: Path) -> dict[str, np.ndarray] | None:
    """The newest readable checkpoint, None where there is none."""
    for path in reversed(existing(folder)):
        try:
            return load_npz(path)
        except InputError:
            continue
    return None


def final(folder: Path, iterations: int) -> dict[str, np.ndarray]:
    """The checkpoint that a finished run of `iterations` iterations ends with.

    Raises:
        InputError: it is missing or damaged.
    """
    found = newest(folder)
    if found is None or "progress" not in found or found["progress"][0] != iterations:
        raise InputError("the final checkpoint is missing or damaged", file=folder,
                         valid="netac run ... --resume makes it again")
    return found


def policies(folder: Path, iterations: int, which: str = "last") -> dict[str, np.ndarray]:
    """What acting needs of a finished run's agents: "last", as training left them, or "best", as they did best in evaluations.

    Returns:
        at least `parameters` (N, D), `progress`, which begins with the iterations they have learned for, and statistics of
        normalisation, `rows_observation_statistics`, where there are any.

    Raises:
        InputError: `which` is something else, there are none, or the file is damaged.
    """
    if which not in CHOICES:
        raise InputError("there are no such policies", key="which", found=which, valid=", ".join(CHOICES))
    if which == "last":
        return final(folder, iterations)
    if not (folder / BEST).exists():
        raise InputError("no evaluation during training has kept the best policies", file=folder, key="which", found=which,
                         valid='"last"; a run with evaluate_every > 0 keeps the best')
    return load_npz(folder / BEST)
