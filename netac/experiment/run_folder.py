"""Run folders: which one, and whether it may be written."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from netac.comm import checkpoints, launch
from netac.experiment import config
from netac.experiment.build import Setting
from netac.experiment.schema import without_none
from netac.results.records import EXPERIMENT, SUMMARY
from netac.utils.errors import InputError
from netac.utils.files import RunLock, atomic_write, make_run_folder

FREE = ("tensorboard",)     # keys that may change when a run goes on


def default_folder(source: config.Source, resume: bool) -> Path:
    """runs/FILE-ALGORITHM-seedS: the newest one to resume, else the first free one."""
    experiment = source.experiment()
    stem = source.file.stem if source.file else "experiment"
    first = Path("runs") / f"{stem}-{experiment.algorithm.name}-seed{experiment.seed}"
    taken = first if first.exists() else None
    for number in range(2, 100_000):
        following = first.with_name(f"{first.name}-{number}") if taken else first
        if not following.exists():
            return taken if resume and taken else following
        taken = following
    raise InputError("too many runs of this name", file=first, valid="--out DIR")


def open_folder(folder: Path, setting: Setting, resume: bool, held: ExitStack) -> bool:
    """Take possession of a run folder; answers whether the run in it is finished already.

    Raises:
        InputError: it cannot be written, another run is writing into it, it holds a run and `resume` is false, or the
            run it holds is of another experiment.
    """
    make_run_folder(folder)
    held.enter_context(RunLock(folder))
    (folder / launch.CLAIM).unlink(missing_ok=True)
    mine = setting.experiment.tables()
    if (folder / EXPERIMENT).exists():
        theirs = _filled(config.read(folder / EXPERIMENT).tables, mine, without_none(setting.defaults()))
        if not resume:
            raise InputError("this folder holds a run", file=folder, valid="another --out, or --resume to go on with it")
        keys = [key for key in _differing(mine, theirs) if key not in FREE]
        if keys:
            raise InputError(f"the run in this folder is of another experiment, which differs in {', '.join(keys)}",
                             file=folder / EXPERIMENT, key=keys[0], found=_at(theirs, keys[0]),
                             valid=f"{_at(mine, keys[0])!r} as asked for now, or another --out")
    elif any(path.name not in (".lock", launch.CLAIM) for path in folder.iterdir()):
        raise InputError("this folder holds other files", file=folder, valid="a new or empty folder")
    atomic_write(folder / EXPERIMENT, _toml(mine))
    make_run_folder(folder / "checkpoints")
    with suppress(InputError):       # a finished run whose last checkpoint is damaged goes on from the one before
        return (folder / SUMMARY).exists() and bool(
            checkpoints.final(folder / "checkpoints", setting.experiment.iterations))
    return False


def _toml(tables: dict[str, Any]) -> str:
    import tomli_w
    try:
        return tomli_w.dumps(tables)
    except (TypeError, ValueError) as error:     # an experiment given in Python may hold anything
        raise InputError(f"the experiment cannot be written as TOML: {error}", key="env.kwargs",
                         valid="texts, numbers, lists and tables") from None


def _filled(theirs: dict[str, Any], mine: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The tables of a run that an older netac may have begun, with the `defaults` of keys that it did not know.

    The defaults are those of `mine`: of a table they are only if it stands for the same in both.
    """
    filled = defaults | theirs
    for key, options in defaults.items():
        if isinstance(options, dict):
            one, other = mine[key], theirs.get(key, {})
            same = isinstance(other, dict) and all(one.get(kind) == other.get(kind) for kind in ("name", "factory"))
            filled[key] = options | other if same else theirs.get(key)
    return filled


def _differing(mine: dict, theirs: dict, prefix: str = "") -> list[str]:
    """Dotted keys in which two experiments differ."""
    keys = []
    for key in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += _differing(one, other, f"{prefix}{key}.")
        elif one != other:
            keys.append(prefix + key)
    return keys


def _at(tables: dict, key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    for part in key.split("."):
        tables = tables.get(part) if isinstance(tables, dict) else None
    return tables
