"""Checkpoints: everything a run needs to go on bit for bit, in one file of plain arrays per checkpoint.

All agents' parameters in agent order, the positions of every random stream and chain, the traffic counted so far and the
run's own counters: nothing depends on the number of processes, so any number of them may take it up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netac.errors import InputError
from netac.processes.placement import Placement
from netac.results.files import atomic_savez, load_npz

KEPT = 2     # the newest checkpoints that are kept


def gather(values: np.ndarray, placement: Placement, comm) -> np.ndarray | None:
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
