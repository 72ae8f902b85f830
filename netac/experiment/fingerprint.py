"""What the numbers of a run depend on besides its experiment: versions, kernels, and the user's own files.

The user's files are told by their digests.  They are read, and nothing is imported.

A module counts with the modules that it, or what it imports, imports from the same folder: import statements are read
from its text, so that what it loads in other ways, or the files it opens by itself, are not known here.  What is
installed (site-packages, the standard library, netac itself) is not the user's; its versions tell.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netac.comm.agreement import unlike
from netac.utils import kernels
from netac.utils.errors import InputError
from netac.utils.files import os_words, parsed
from netac.utils.versions import version

if TYPE_CHECKING:
    from mpi4py import MPI

ENTRY = "fingerprint"          # of a checkpoint
VERSIONS, TORCH = ("netac", "numpy", "scipy"), "torch"

FACTORIES = ("env", "policy", "critic", "reward_model")      # tables in which an import path may stand,
OUTER = ("network", "algorithm")                             # and those in whose tables it may
DATA = ("path", "features", "neighbours", "net", "routes")   # keys of theirs that may name a file
GIVEN = "kwargs"             # files that are only handed to a user's function, which may write them
PYTHON = ".py"


@dataclass(frozen=True)
class UserFile:
    """A file of the user's.

    Attributes:
        key: the dotted key of the experiment that leads to it, e.g. "env.factory".
        name: what it is called there: a module's dotted name, or the name of the file.
        path: where it lies on this machine.
    """

    key: str
    name: str
    path: Path

    @cached_property
    def sha256(self) -> str:
        """Of what it holds, in hexadecimal digits; InputError where it cannot be read."""
        return sha256(self.path, self.key)

    @property
    def is_code(self) -> bool:
        """Whether Python would run it."""
        return self.path.suffix == PYTHON

    @property
    def label(self) -> str:
        """Key and name, which are the same wherever it lies."""
        return f"{self.key} {self.name}"


def of(tables: Mapping[str, Any], networks: bool) -> dict[str, str]:
    """The fingerprint of a run, by what each part of it is of: files, versions, kernels.

    Args:
        tables: as `user_files` takes them.
        networks: whether PyTorch computes them; else it does not matter, even if it is loaded.

    Raises:
        InputError: a file cannot be read.
    """
    files = {file.label: file.sha256 for file in user_files(tables) if f".{GIVEN}" not in file.key}
    used = VERSIONS + (TORCH,) * networks
    found = (files | {f"version of {name}": version(name) or "unknown" for name in used}
             | {f"kernels of {name}": digits for name, digits in kernels.fingerprint().items() if name in used})
    return dict(sorted(found.items()))


def compare_processes(comm: MPI.Intracomm | None, marks: Mapping[str, str], describe: Callable[[int], str]) -> None:
    """Compare the fingerprints of all processes.

    Args:
        describe: rank -> which agents it holds.

    Raises:
        InputError: on every process: a file or a version is not the same on one of them as on process 0.  Kernels that
            differ are `netac.experiment.mixed_hosts`' business.
    """
    if comm is None:
        return
    checked = {name: mark.encode() for name, mark in marks.items() if not name.startswith("kernels")}
    if differs := unlike(comm, checked):
        rank, names = differs
        told = comm.allgather(marks.get(names[0], "none"))
        error = InputError(f"is not the same on rank {rank} ({describe(rank)}) as on rank 0", key=names[0],
                           found=told[rank][:12], valid=f"{told[0][:12]}, as on rank 0")
        error.told_by_root = True
        raise error


def compare_earlier(kept: Mapping[str, Any], marks: Mapping[str, str], folder: Path,
                    changed: bool = False) -> str | None:
    """Compare a run's fingerprint with that of the checkpoint that it goes on from.

    Args:
        changed: whether files of the user's may have changed.

    Returns:
        What differs and may change its numbers (versions, kernels, files that may have changed), in words.

    Raises:
        InputError: a file of the user's was changed.
    """
    if ENTRY not in kept:
        return None
    before = parsed(json.loads, kept[ENTRY].tobytes(), "JSON", folder, ENTRY)
    if not isinstance(before, dict):
        raise InputError("is no table of a fingerprint", file=folder, key=ENTRY, found=before)
    differs = [name for name in marks if name in before and before[name] != marks[name]]
    for name in differs:
        if not changed and not name.startswith(("version of", "kernels of")):
            raise InputError("was changed since the run in this folder began", file=folder, key=name,
                             found=marks[name][:12], valid=f"the file as it was ({str(before[name])[:12]}...), another "
                                                           "--out, or allow_changed_files = true if it may differ")
    return ", ".join(f"{name} {str(before[name])[:12]} then, {marks[name][:12]} now" for name in differs) or None


def user_files(tables: Mapping[str, Any]) -> list[UserFile]:
    """The user's files that an experiment names, each with what it imports of its folder, every one once for each key.

    Args:
        tables: a complete experiment, as `experiment.toml` of a run folder holds it: paths are absolute.
    """
    found = {(key, name): path for key, name, path in _named(tables)}
    return [UserFile(key, name, path) for (key, name), path in found.items()]


def sha256(path: Path, key: str | None = None) -> str:
    """The digest of a file; InputError where it cannot be read, in which `key` says what for."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", file=path, key=key) from error


def factory_tables(tables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The tables of an experiment in which an import path may stand, by their dotted keys."""
    named = {key: tables.get(key) for key in FACTORIES}
    for outer in OUTER:
        if isinstance(table := tables.get(outer), Mapping):
            named |= {f"{outer}.{key}": inner for key, inner in table.items()}
    return {key: table for key, table in named.items() if isinstance(table, Mapping)}


def _named(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, Path]]:
    """(key, name, path) of all of them; some may come twice."""
    for key, table in factory_tables(tables).items():
        if isinstance(factory := table.get("factory"), str):
            folder = table.get("folder")
            places = [folder] if isinstance(folder, str) else []
            yield from ((f"{key}.factory", name, path)
                        for name, path in _modules(factory.partition(":")[0], [*places, *sys.path]))
            yield from _files(f"{key}.{GIVEN}", table.get(GIVEN))
        for each in DATA:
            yield from _files(f"{key}.{each}", table.get(each))
    topology = tables.get("topology")
    for option, value in topology.items() if isinstance(topology, Mapping) else ():
        for key, name, path in _files(f"topology.{option}", value):
            yield key, name, path
            if path.suffix == PYTHON:
                beside = _imported(path, "", [str(path.parent)])
                yield from ((key, module, neighbour) for module, neighbour in beside.items())


def _files(key: str, value: Any) -> Iterator[tuple[str, str, Path]]:
    """The files that a value, or the values in it, are the paths of."""
    if isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _files(key, each)
    elif isinstance(value, str) and "\0" not in value:
        path = Path(value)
        try:
            if path.is_file():
                yield key, path.name, path
        except OSError:              # too long to be the name of a file
            return


def _modules(name: str, places: list[str]) -> Iterator[tuple[str, Path]]:
    """A module, the packages that it lies in, and what they import, by their dotted names."""
    found = _located(name, places)
    for module, path in list(found.items()):
        found |= _imported(path, module, places, found)
    yield from found.items()


def _located(name: str, places: list[str]) -> dict[str, Path]:
    """The files of a dotted module and of the packages around it, in the first of the folders that has them; none of
    what is installed."""
    parts = name.split(".")
    for place in places:
        base = Path(place or os.curdir).absolute()
        first = _source(base / parts[0])
        if first is None and not (base / parts[0]).is_dir():
            continue
        if is_installed(base) or parts[0] == "netac":
            return {}
        sources = {".".join(parts[:k + 1]): _source(base.joinpath(*parts[:k + 1])) for k in range(len(parts))}
        if found := {module: path for module, path in sources.items() if path is not None}:
            return found
    return {}


def _source(stem: Path) -> Path | None:
    """The file of the module or package at a path without its ending."""
    candidates = stem / f"__init__{PYTHON}", stem.with_name(stem.name + PYTHON)
    return next((path for path in candidates if path.is_file()), None)


def is_installed(folder: Path) -> bool:
    """Whether a file or folder is part of what is installed: a package, or the standard library."""
    library = os.path.realpath(sysconfig.get_paths()["stdlib"])
    real = os.path.realpath(folder)
    return bool({"site-packages", "dist-packages"} & set(Path(real).parts)) or (real + os.sep).startswith(
        library + os.sep)


def _imported(path: Path, module: str, places: list[str], known: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """The user's modules that a file imports, and those that they import, by their dotted names.

    Args:
        module: its own dotted name, for relative imports.
        known: modules that have been looked at already.
    """
    found, todo = dict(known or {}), [(path, module)]
    while todo:
        file, own = todo.pop()
        for name in _import_names(file, own):
            for each, source in _located(name, places).items():
                if each not in found and source != path:
                    found[each] = source
                    todo.append((source, each))
    return found


def _import_names(file: Path, module: str) -> set[str]:
    """The dotted names that the import statements of a file name, wherever they stand in it; none if it is no Python.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):      # told where it is imported
        return set()
    names = set[str]()
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[:len(package.split(".")) - max(0, node.level - 1)] if node.level else []
            base = ".".join(part for part in (*above, node.module or "") if part)
            names |= {base, *(f"{base}.{alias.name}" if base else alias.name for alias in node.names)} - {""}
    return names
