"""Checkpoints: everything a run needs to go on bit for bit, in one file of plain arrays per checkpoint.

All agents' parameters in agent order, the positions of every random stream and chain, the traffic counted so far and
the run's own counters: nothing depends on the number of processes, so any number of them may take it up.

The array `format` is the version of what a checkpoint holds:

| format | holds |
| --- | --- |
| 3 | as 2; how many random numbers were taken, of the generators of `netac.utils.streams` |
| 2 | as 1, with the positions of other generators; `manifest`: name, dtype and shape of every array, and a digest of \
them all; `fingerprint`: what the run depends on (`netac.experiment.fingerprint`); `NAME_sha256`: of the rows of the \
table NAME that it counts |
| 1 | `progress`: iterations done; `iterations`: of the whole run; `metrics`, `evaluations`, `diagnostics`: rows of \
these tables; `agents`: what the agents' rows hold (`netac.experiment.description`) |
| 0, no entry | of before there were versions: `progress` holds the rows of metrics, too, and `agents` is missing |

Those of every format are read; a run goes on from one of the latest only, for with others it would go on with other
random numbers than it would have had.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from netac.utils.errors import InputError
from netac.utils.files import atomic_savez, load_npz

FORMAT = 3
MANIFEST, SEALED = "manifest", 2     # the first format with a manifest
KEPT = 2     # the newest checkpoints that are kept
BEST = "best.npz"                # beside them: the policies that did best in an evaluation during training
CHOICES = ("last", "best")

Arrays = Mapping[str, np.ndarray]
# what comes, goes and grows
_LIVING = re.compile(r"(rows_)?(replay_|network[-_]|best_)|feed\d+_(games_|pending)|chain\d+_pending"
                     r"|(metrics|evaluations|diagnostics)(_sha256)?$|agents$|fingerprint$|format$")
_COUNTS = re.compile(r"(chain|feed)\d+$|ledger_|wire$|progress$|seconds$|finished$|replay_added$")


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


def newest(folder: Path, tell: Callable[[str], None] | None = None) -> dict[str, np.ndarray] | None:
    """The newest checkpoint that is whole, None where there is none.

    Args:
        tell: is told of damaged ones, and where the run goes on instead.

    Raises:
        InputError: it is of a format that this netac does not know.
    """
    found, damaged = _newest(folder)
    if damaged and tell is not None:
        where = "the start" if found is None else f"iteration {found['progress'].flat[0]}"
        tell(f"{'; '.join(map(str, damaged))}: the run goes on from {where}")
    return found


def _newest(folder: Path) -> tuple[dict[str, np.ndarray] | None, list[InputError]]:
    """The newest checkpoint that is whole, and what is wrong with later ones."""
    damaged: list[InputError] = []
    for path in reversed(existing(folder)):
        try:
            return read(path), damaged
        except InputError as error:
            if error.key == "format":
                raise
            damaged.append(error)
    return None, damaged


def read(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, those of an older format under the names of this one.

    Raises:
        InputError: it is damaged, or not what its manifest says; with the key "format": of an unknown format.
    """
    arrays = _known(load_npz(file, stored=True), file)
    progress = arrays.get("progress", np.zeros(0))
    if progress.dtype.kind not in "iu" or progress.size < 1 or progress.flat[0] < 0:
        raise InputError("does not say how many iterations were done", file=file, key="progress",
                         found=progress.tolist(), valid="a whole number of iterations")
    for name in ("metrics", "evaluations", "diagnostics"):
        count = arrays.get(name, np.zeros((), int))
        if count.ndim or count.dtype.kind not in "iu" or count < 0:
            raise InputError("does not say how many rows there were", file=file, key=name, found=count.tolist(),
                             valid="a whole number of rows")
    return arrays


def refuse_older(kept: Arrays, folder: Path) -> None:
    """Refuse to go on from a checkpoint of an older format, whose random numbers this netac does not have.

    Args:
        folder: where the checkpoint lies, for the message.

    Raises:
        InputError: it is of one.
    """
    if version(kept) < FORMAT:
        raise InputError("the checkpoint was written by an older netac, which drew other random numbers: the run "
                         "cannot go on here", file=folder, key="format", found=version(kept),
                         valid=f"format {FORMAT}: another --out, or the netac that wrote it")


def fit(kept: Arrays, fresh: Arrays, file: Path) -> None:
    """Whether a checkpoint can be taken up by a run.

    Args:
        kept: the checkpoint, of the latest format.
        fresh: what the run itself would write before its first iteration.
        file: where the checkpoint lies, for messages.

    Raises:
        InputError: an array is missing, one too many, or of another dtype or shape; a count is negative, or parameters
            are not numbers.
    """
    for name, own in fresh.items():
        array = kept.get(name)
        living = bool(_LIVING.match(name))
        if array is None and living:
            continue
        if array is None:
            raise _unfit(file, name, "is missing", None, own)
        if array.dtype.kind != own.dtype.kind or array.ndim != own.ndim or (array.shape != own.shape and not living):
            raise _unfit(file, name, "is of another kind", array, own)
    if more := [name for name in kept if name not in fresh and not _LIVING.match(name)]:
        raise _unfit(file, more[0], "is nothing that this run keeps", kept[more[0]], None)
    for name, array in kept.items():
        if _COUNTS.match(name) and (array.dtype.kind not in "iuf" or not (np.isfinite(array) & (array >= 0)).all()):
            raise InputError("the checkpoint does not fit the experiment: counts should not be negative", file=file,
                             key=name, found=array.tolist())
    if "best_parameters" in kept and kept["best_parameters"].shape != kept["parameters"].shape:
        raise _unfit(file, "best_parameters", "is of another kind", kept["best_parameters"], kept["parameters"])
    if not np.isfinite(kept["parameters"]).all():
        raise InputError("the checkpoint does not fit the experiment: not all are numbers", file=file, key="parameters")


@contextmanager
def taken_up(file: Path) -> Iterator[None]:
    """Makes an InputError of whatever taking up a checkpoint raises that `fit` could not foresee."""
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the checkpoint does not fit the experiment: {type(error).__name__}: {error}", file=file,
                         valid="another --out") from error


def _unfit(file: Path, name: str, what: str, array: np.ndarray | None, own: np.ndarray | None) -> InputError:
    found, valid = (None if each is None else f"{each.dtype} {each.shape}" for each in (array, own))
    details = {} if found is None else {"found": found}
    return InputError(f"the checkpoint does not fit the experiment: {name} {what}", file=file, key=name, **details,
                      valid=valid or "another --out")


def final(folder: Path, iterations: int) -> dict[str, np.ndarray]:
    """The checkpoint that a finished run of `iterations` iterations ends with.

    Raises:
        InputError: it is missing, damaged or of an unknown format.
    """
    found, damaged = _newest(folder)
    if found is None or found["progress"].flat[0] != iterations:
        why = f": {'; '.join(map(str, damaged))}" if damaged else ""
        raise InputError(f"the final checkpoint is missing or damaged{why}", file=folder,
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
    return read(folder / BEST)


def version(arrays: Arrays) -> int:
    """The format of a checkpoint; 0 where it does not say."""
    return int(arrays.get("format", 0))


def _write(file: Path, arrays: Arrays) -> None:
    atomic_savez(file, sealed({"format": np.asarray(FORMAT, dtype=np.int64), **arrays}))


def sealed(arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint with their manifest."""
    whole = {name: np.asarray(each) for name, each in arrays.items()}
    return whole | {MANIFEST: as_entry(_manifest(whole))}


def as_entry(table: Mapping[str, object]) -> np.ndarray:
    """A table as an array of bytes, JSON."""
    return np.frombuffer(json.dumps(table, allow_nan=False).encode(), np.uint8)


def _manifest(arrays: Arrays) -> dict[str, object]:
    """Name, dtype and shape of all arrays, and a digest of these and of what is in them."""
    listed = {name: [array.dtype.str, list(array.shape)] for name, array in sorted(arrays.items())}
    digest = hashlib.blake2b(json.dumps(listed).encode(), digest_size=32)
    for name in listed:
        digest.update(np.ascontiguousarray(arrays[name]).data.cast("B") if arrays[name].size else b"")
    return {"arrays": listed, "digest": digest.hexdigest()}


def _known(arrays: dict[str, np.ndarray], file: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, those of an older format under the names of this one."""
    written = arrays.get("format", np.int64(0))
    if written.ndim or written.dtype.kind not in "iu" or not 0 <= written <= FORMAT:
        raise InputError("the checkpoint is of a format that this netac does not know", file=file, key="format",
                         found=written.tolist(),
                         valid=f"a format up to {FORMAT}: another --out, or the netac that wrote it")
    if version(arrays) >= SEALED or MANIFEST in arrays:
        said = arrays.pop(MANIFEST, None)
        if said is None or said.tobytes() != as_entry(_manifest(arrays)).tobytes():
            raise InputError("its arrays are not those that its manifest lists: it was changed after it was written",
                             file=file)
    if version(arrays) == 0:
        if np.size(arrays.get("progress", ())) > 1:
            arrays["metrics"] = arrays["progress"][1]
        if "diagnoses" in arrays:
            arrays["diagnostics"] = arrays.pop("diagnoses")
    return arrays
