"""Checkpoints: everything a run needs to go on bit for bit, in one file of plain arrays per checkpoint.

All agents' parameters in agent order, the positions of every random stream and chain, the traffic counted so far and
the run's own counters: nothing depends on the number of processes, so any number of them may take it up.

The array `format` is the version of what a checkpoint holds:

| format | holds |
| --- | --- |
| 1 | `progress`: iterations done; `iterations`: of the whole run; `metrics`, `evaluations`, `diagnostics`: rows of \
these tables; `agents`: what the agents' rows hold (`netac.experiment.description`) |
| 0, no entry | of before there were versions: `progress` holds the rows of metrics, too, and `agents` is missing |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from netac.utils.errors import InputError
from netac.utils.files import atomic_savez, load_npz

FORMAT = 1
KEPT = 2     # the newest checkpoints that are kept
BEST = "best.npz"                # beside them: the policies that did best in an evaluation during training
CHOICES = ("last", "best")

Arrays = Mapping[str, np.ndarray]


def save(folder: Path, iteration: int, arrays: Arrays) -> None:
    """Write the checkpoint after `iteration` iterations; then drop all but the newest."""
    _write(folder / f"{iteration:012d}.npz", arrays)
    for old in existing(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def save_best(folder: Path, arrays: Arrays) -> None:
    """Write the best policies; without any, remove those of a run that was not gone on with."""
    if arrays:
        _write(folder / BEST, arrays)
    else:
        (folder / BEST).unlink(missing_ok=True)


def existing(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("*.npz") if path.stem.isdigit())


def newest(folder: Path) -> dict[str, np.ndarray] | None:
    """The newest readable checkpoint, None where there is none.

    Raises:
        InputError: it is of a format that this netac does not know.
    """
    for path in reversed(existing(folder)):
        try:
            arrays = load_npz(path)
        except InputError:
            continue
        return _known(arrays, path)
    return None


def final(folder: Path, iterations: int) -> dict[str, np.ndarray]:
    """The checkpoint that a finished run of `iterations` iterations ends with.

    Raises:
        InputError: it is missing, damaged or of an unknown format.
    """
    found = newest(folder)
    if found is None or "progress" not in found or found["progress"][0] != iterations:
        raise InputError("the final checkpoint is missing or damaged", file=folder,
                         valid="netac run ... --resume makes it again")
    return found


def policies(folder: Path, iterations: int, which: str = "last") -> dict[str, np.ndarray]:
    """What acting needs of a finished run's agents: "last", as training left them, or "best", as they did best in
    evaluations.

    Returns:
        at least `parameters` (N, D), `progress`, which begins with the iterations they have learned for, and statistics
        of normalisation, `rows_observation_statistics`, where there are any.

    Raises:
        InputError: `which` is something else, there are none, or the file is damaged or of an unknown format.
    """
    if which not in CHOICES:
        raise InputError("there are no such policies", key="which", found=which, valid=", ".join(CHOICES))
    if which == "last":
        return final(folder, iterations)
    if not (folder / BEST).exists():
        raise InputError("no evaluation during training has kept the best policies", file=folder, key="which",
                         found=which, valid='"last"; a run with evaluate_every > 0 keeps the best')
    return _known(load_npz(folder / BEST), folder / BEST)


def version(arrays: Arrays) -> int:
    """The format of a checkpoint; 0 where it does not say."""
    return int(arrays.get("format", 0))


def _write(file: Path, arrays: Arrays) -> None:
    atomic_savez(file, {"format": np.asarray(FORMAT, dtype=np.int64), **arrays})


def _known(arrays: dict[str, np.ndarray], file: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, those of an older format under the names of this one."""
    written = arrays.get("format", np.int64(0))
    if written.ndim or written.dtype.kind not in "iu" or not 0 <= written <= FORMAT:
        raise InputError("the checkpoint is of a format that this netac does not know", file=file, key="format",
                         found=written.tolist(),
                         valid=f"a format up to {FORMAT}: another --out, or the netac that wrote it")
    if version(arrays) == 0:
        if np.size(arrays.get("progress", ())) > 1:
            arrays["metrics"] = arrays["progress"][1]
        if "diagnoses" in arrays:
            arrays["diagnostics"] = arrays.pop("diagnoses")
    return arrays
