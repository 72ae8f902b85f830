"""Run folders: which one, whether it may be written and by whom, and where a run in it goes on."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from netac.agents.steps import TDependent
from netac.comm import checkpoints, launch
from netac.experiment import config, fingerprint
from netac.experiment.build import Setting
from netac.experiment.schema import without_none
from netac.results.records import CHECKPOINTS, EXPERIMENT, SUMMARY, load_summary
from netac.utils.errors import InputError
from netac.utils.files import atomic_write, cannot_write, clear_temporaries, make_run_folder, refuse_link
from netac.utils.progress import note

NETWORK = "network"
LENGTH = "iterations"     # may grow when a run goes on
FREE = ("tensorboard", "allow_mixed_hosts", "allow_changed_files", "patience")     # may change when it goes on
LOCKING_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def default_folder(source: config.Source, resume: bool) -> Path:
    """runs/FILE-ALGORITHM-seedS: the newest one to resume, else the first free one.

    A free one is made at once, so that of several runs that start together each has its own; one that comes to nothing
    is to be given back (`give_back`).
    """
    experiment = source.experiment()
    stem = source.file.stem if source.file else "experiment"
    first = Path("runs") / f"{stem}-{experiment.algorithm.name}-seed{experiment.seed}"
    taken = None
    for number in range(1, 100_000):
        following = first.with_name(f"{first.name}-{number}") if number > 1 else first
        if not following.exists():
            if resume and taken:
                return taken
            if _made(following):
                return following
        taken = following
    raise InputError("too many runs of this name", file=first, valid="--out DIR")


def _made(folder: Path) -> bool:
    """Whether the folder is ours to use: made now, or it cannot be made at all, of which `open_folder` tells."""
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir()
    except FileExistsError:
        return not folder.is_dir()
    except OSError:
        return True
    return True


def give_back(folder: Path) -> None:
    """Remove a folder that `default_folder` has made and nothing was written into."""
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def open_folder(folder: Path, setting: Setting, resume: bool, held: ExitStack, until: int | None = None) -> bool:
    """Take possession of a run folder; answers whether the run in it is finished already.

    Args:
        until: the iteration after which it is to be stopped: a run that was stopped there, or later, is finished.

    Raises:
        InputError: it cannot be written, another run is writing into it, it holds a run and `resume` is false, or the
            run it holds is of another experiment.
    """
    make_run_folder(folder)
    held.enter_context(RunLock(folder))
    mine = setting.experiment.tables()
    if (folder / EXPERIMENT).exists():
        theirs = _filled(config.read(folder / EXPERIMENT).tables, mine, without_none(setting.defaults()))
        if not resume:
            raise InputError("this folder holds a run", file=folder,
                             valid="another --out, or --resume to go on with it")
        keys = [key for key in _differing(mine, theirs) if key not in FREE]
        before = theirs.get(LENGTH)
        longer = LENGTH in keys and type(before) is int and before < mine[LENGTH]
        if keys and not (longer and keys == [LENGTH]):
            raise InputError(f"the run in this folder is of another experiment, which differs in {', '.join(keys)}",
                             file=folder / EXPERIMENT, key=keys[0], found=_at(theirs, keys[0]),
                             valid=_asked_for(keys[0], mine, theirs))
        if longer:
            _lengthen(folder, setting, theirs[LENGTH])
    elif any(path.name not in (".lock", launch.CLAIM) for path in folder.iterdir()):
        raise InputError("this folder holds other files", file=folder, valid="a new or empty folder")
    atomic_write(folder / EXPERIMENT, as_toml(mine))
    make_run_folder(folder / CHECKPOINTS)
    kept = checkpoints.newest(folder / CHECKPOINTS)
    if kept is not None:
        fingerprint.compare_earlier(kept, setting.marks, folder, setting.experiment.allow_changed_files)
    from netac.experiment.trust import seal
    seal(folder, mine)
    if kept is None:
        return False
    done = int(kept["progress"].flat[0])
    if done >= min(setting.experiment.iterations, until or done + 1) and _is_summarised(folder, done):
        return True
    (folder / SUMMARY).unlink(missing_ok=True)       # of a stopped run; or the last checkpoint is damaged
    return False


def _is_summarised(folder: Path, done: int) -> bool:
    """Whether there is the summary of a run of so many iterations."""
    with suppress(InputError):
        summary = load_summary(folder)
        return {"algorithm", "parameters_sha256"} <= summary.keys() and summary.get("iterations") == done
    return False


def _asked_for(key: str, mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    """What an experiment that is to go on in a run folder may say where it differs from the run's."""
    one, other = ("no such key" if (value := _at(tables, key)) is None else f"{key} = {value!r}"
                  for tables in (theirs, mine))
    return f"{one}{' or more' * (key == LENGTH)}, as in the folder; another --out for {other}"


def _lengthen(folder: Path, setting: Setting, before: int) -> None:
    """Let the run in a folder go on for more iterations than the `before` it was begun with, as if it were unfinished.

    Raises:
        InputError: its checkpoint is of an older format.
    """
    newest = checkpoints.newest(folder / CHECKPOINTS)
    if newest is not None:
        checkpoints.refuse_older(newest, folder / CHECKPOINTS)
    options = {name: getattr(setting.settings, name) for name in type(setting.settings).model_fields}
    differs = [f"algorithm.{name}" for name, value in options.items()
               if isinstance(value, TDependent) or (name, value) == ("decay", "linear")]
    end = (f"; what {' and '.join(differs)} gives depends on the number of iterations, so that the run ends otherwise "
           f"than one of {setting.experiment.iterations} iterations from the start") if differs else ""
    note(f"the run in {folder}, begun with {before} iterations, goes on to {setting.experiment.iterations}{end}")
    (folder / SUMMARY).unlink(missing_ok=True)


def checkpoint_to_resume(folder: Path | None, resume: bool, setting: Setting) -> dict[str, np.ndarray] | None:
    """The checkpoint a run goes on from; None: from the start.

    Raises:
        InputError: it is of another experiment or of a format that cannot be gone on from.
    """
    if folder is None or not resume:
        return None
    found = checkpoints.newest(folder / CHECKPOINTS, note)
    if found is None:
        return None
    if found["progress"].flat[0] > setting.experiment.iterations:
        raise InputError("the checkpoint is of more iterations than the run", file=folder / CHECKPOINTS, key="progress",
                         found=int(found["progress"].flat[0]), valid=f"at most {setting.experiment.iterations}")
    if differs := fingerprint.compare_earlier(found, setting.marks, folder, setting.experiment.allow_changed_files):
        note(f"the run in {folder} goes on under other conditions ({differs}): its numbers may differ from those of "
             "an uninterrupted one")
    if "parameters" not in found or found["parameters"].shape != (setting.experiment.agents, setting.layout.total):
        raise InputError("the checkpoint does not fit the experiment", file=folder / CHECKPOINTS)
    checkpoints.refuse_older(found, folder / CHECKPOINTS)
    return found


class RunLock:
    """Keeps a second run out of a run folder: `with RunLock(folder): ...`.

    The lock is the kernel's (flock on FOLDER/.lock), so it goes with the process, `kill -9` included; the file stays
    and names the last holder.  Taking it also clears away the temporary files a killed run left.  Where the file
    system knows no locks the run goes on with a warning.

    Raises:
        InputError: on entering, another process holds the lock, or a file of the folder is a link, through which
            something else would be overwritten.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        file = self.folder / ".lock"
        with ExitStack() as undo:
            undo.callback(self.__exit__)
            try:
                for path in (*self.folder.iterdir(), *(self.folder / CHECKPOINTS).glob("*")):
                    refuse_link(path)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = descriptor = os.open(file, flags, 0o666)
                self._take(descriptor)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            except OSError as error:
                raise cannot_write(file, error) from error
            undo.pop_all()
        clear_temporaries(self.folder)
        clear_temporaries(self.folder / CHECKPOINTS)
        return self

    def __exit__(self, *error: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self, descriptor: int) -> None:
        try:
            # The package filelock does not tell who holds a lock, on a file system without locks takes the file itself
            # for one (which a killed run leaves behind) or fails, and takes 0.1 s to load: it would replace this line.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "an unnamed process"
            raise InputError(
                "another netac run is writing into this folder", file=self.folder, found=holder,
                valid="wait for it, choose another --out, or, if this was one mpirun launch, set NETAC_MPI=1 "
                      "(the launcher was not recognised)") from None
        except OSError as error:
            if error.errno not in LOCKING_UNSUPPORTED:
                raise
            warnings.warn(f"{self.folder}: this file system knows no locks; make sure that no other run writes here",
                          RuntimeWarning, stacklevel=3)


def as_toml(tables: dict[str, Any]) -> str:
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
        if key == NETWORK:                  # a table of tables, where what is not named is off
            filled[key] = {name: options.get(name, {}) | table if isinstance(table, dict) else table
                           for name, table in theirs.get(key, {}).items()}
        elif isinstance(options, dict):
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
    found: Any = tables
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
