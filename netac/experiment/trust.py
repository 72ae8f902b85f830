"""Whose code may run when a run folder is read: folders are exchanged, and their `experiment.toml` names code.

`netac run FILE` runs what FILE names, as its user decides.  What reads a finished run (`evaluate`, `netac.load`) asks a
`Gate` before anything is imported or loaded; it lets through

* environments of `PACKAGES`, installed ones, called with plain words and numbers;
* what this machine has run itself: the run has left a seal in its folder, which only this user's key can make, over
  `experiment.toml` and the digests of the user's files, and none of them has changed since;
* anything where the user says so (`--trust`, `trust=True`).

The key lies outside of run folders, in $XDG_STATE_HOME/netac (~/.local/state/netac).
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from netac.experiment.fingerprint import factory_tables, is_installed, sha256, user_files
from netac.results.records import EXPERIMENT
from netac.utils import plugins
from netac.utils.errors import InputError, NetacError
from netac.utils.files import atomic_write
from netac.utils.plugins import Factory

SEAL = "seal.json"
PACKAGES = ("gymnasium_robotics", "mpe2", "pettingzoo")
_MAKERS = re.compile(r"(?:\w+_v\d+\.)?(?:parallel_env|raw_env|env)")
_WORDS = re.compile(r"[\w.|+ -]*")      # no colon and no slash: gymnasium imports "module:name", and paths are read


@dataclass(frozen=True)
class Gate:
    """What of the code that a run folder names may be run.

    Attributes:
        folder: the run folder.
        trusted: whether the user says that all may.
        sealed: whether this machine has run the experiment as it stands in the folder.
        changed: the user's files that are not what they were then.
    """

    folder: Path
    trusted: bool = False
    sealed: bool = False
    changed: tuple[str, ...] = ()

    def __call__(self, key: str, code: Factory | Path) -> None:
        """InputError unless it may be run: what the import path at `key` stands for, or a topology's file."""
        if self.trusted or (self.sealed and not self.changed) or (
                isinstance(code, Factory) and key == "env" and is_known(code)):
            return
        why = (f"{', '.join(self.changed)} changed since it was run here" if self.sealed
               else "this machine has no record of having run it as it stands")
        named, found = (f"{key}.factory", code.factory) if isinstance(code, Factory) else (key, str(code))
        raise InputError(f"reading this run would run code that its folder names, and {why}",
                         file=self.folder / EXPERIMENT, key=named, found=found,
                         valid="--trust (trust=True in Python) once you know what it does; see docs/security.md")

    def asked(self) -> AbstractContextManager[None]:
        """Within it, whatever would run code of a user's asks this gate first."""
        return plugins.asking(self)


def gate(folder: Path, tables: Mapping[str, Any], trust: bool) -> Gate:
    """The gate of a run folder.

    Args:
        tables: its `experiment.toml`.
        trust: whether the user says that all may be run.
    """
    if trust:
        return Gate(folder, trusted=True)
    known = _opened(folder)
    if known is None:
        return Gate(folder)
    try:
        changed = {str(file.path) for file in user_files(tables)
                   if file.is_code and known.get(file.label) != file.sha256}
    except InputError as error:
        changed = {str(error.file)}
    return Gate(folder, sealed=True, changed=tuple(sorted(changed)))


def seal(folder: Path, tables: Mapping[str, Any]) -> None:
    """Note in a run folder, whose `experiment.toml` has been written, that this machine runs what it names.

    Nothing is written where no code is named, or where the user has no place for the key.
    """
    (folder / SEAL).unlink(missing_ok=True)
    if not names_code(tables):
        return
    key = _key(make=True)
    if key is None:
        return
    files = {file.label: file.sha256 for file in user_files(tables) if file.is_code}
    experiment = sha256(folder / EXPERIMENT)
    held = {"experiment": experiment, "files": files, "seal": _mac(key, experiment, files)}
    with suppress(NetacError):               # the run itself will say what is wrong with its folder
        atomic_write(folder / SEAL, json.dumps(held, indent=1) + "\n")


def is_known(factory: Factory) -> bool:
    """Whether it makes an environment of `PACKAGES`, an installed one, of plain words and numbers."""
    module, _, attribute = factory.factory.partition(":")
    top = module.partition(".")[0]
    if top not in PACKAGES or not _MAKERS.fullmatch(attribute) or not _is_plain(factory.kwargs):
        return False
    with suppress(Exception):                # whatever stands in the way, it is not known
        found = PathFinder.find_spec(top, [*filter(None, [factory.folder]), *sys.path])
        return found is not None and found.origin is not None and is_installed(Path(found.origin))
    return False


def names_code(tables: Mapping[str, Any]) -> bool:
    """Whether an experiment names code of a user's."""
    def python(value: Any) -> bool:
        if isinstance(value, Mapping | list | tuple):
            return any(map(python, value.values() if isinstance(value, Mapping) else value))
        return isinstance(value, str) and value.lower().endswith(".py")

    return python(tables.get("topology")) or any("factory" in table for table in factory_tables(tables).values())


def _is_plain(value: Any) -> bool:
    """Whether it is made of numbers and plain words."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, [*value, *value.values()]))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return bool(_WORDS.fullmatch(value)) if isinstance(value, str) else isinstance(value, bool | int | float)


def _opened(folder: Path) -> dict[str, str] | None:
    """The digests that a folder's seal vouches for; None without a seal of this user's key that fits the folder."""
    key = _key()
    if key is None:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError):
        held = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        experiment, files = sha256(folder / EXPERIMENT), held["files"]
        if hmac.compare_digest(_mac(key, experiment, files), held["seal"]):
            return dict(files)
    return None


def _mac(key: bytes, experiment: str, files: Mapping[str, str]) -> str:
    return hmac.new(key, json.dumps([experiment, sorted(files.items())]).encode(), "sha256").hexdigest()


def _key(make: bool = False) -> bytes | None:
    """This user's key; `make`: a new one where there is none.  None where it cannot be had."""
    state = os.environ.get("XDG_STATE_HOME", "")
    with suppress(OSError, RuntimeError):    # no home
        place = (Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state") / "netac" / "key"
        if make and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            mine = place.with_name(f".key.{secrets.token_hex(4)}")
            mine.touch(mode=0o600)
            mine.write_bytes(secrets.token_bytes(32))
            with suppress(FileExistsError):  # another run was faster: its key is the one
                os.link(mine, place)
            mine.unlink()
        key = place.read_bytes()
        return key if len(key) == 32 else None
    return None
