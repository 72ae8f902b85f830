"""From an experiment file, or tables, and `--set` to an `Experiment`.

A key is looked up by `Source.experiment`: file < [algorithm.NAME] < --set.  What it may be is declared in
`netac.experiment.schema` or in the `Settings` of the algorithm or environment.  A string where a table may stand is a
name or a path.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netac.experiment import network_table
from netac.experiment.algorithm_options import algorithm_options, of_length
from netac.experiment.schema import ALGORITHMS, ENVIRONMENTS, PARTS, Experiment, UserEnvironment, as_table
from netac.utils import plugins
from netac.utils.errors import InputError
from netac.utils.files import load_toml
from netac.utils.options import checked, spelled_out
from netac.utils.plugins import BuiltIn, Factory

STUDY = "study"        # a table of the file that is `netac compare`'s
CHOICES = {"topology": ("name", "path"),                                  # what the other keys of a table depend on
           **dict.fromkeys(("env", *PARTS), ("name", "factory"))}

FILES = {"path": ".npz", "features": ".npz", "net": "", "routes": ""}     # options of environments -> files' endings


@dataclass(frozen=True)
class Source:
    """An experiment file with its overrides, before an algorithm is chosen.

    Attributes:
        file: where the tables come from; None for tables given in Python.
        tables: the file's contents.
        overrides: what `--set` said, nested like the tables.
    """

    file: Path | None
    tables: dict[str, Any]
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where relative paths of the file start."""
        return self.file.parent if self.file else Path.cwd()

    def located(self, error: InputError) -> InputError:
        """The error with the place its key comes from: this file, or --set."""
        there: Any = self.overrides
        for part in (error.key or "").split("."):
            if not isinstance(there, dict):
                break
            there = there.get(part)
        return error.located(file=self.file if there is None or there is self.overrides else "--set")

    def experiment(self, algorithm: str | None = None, compared: Sequence[str] = (),
                   seed: int | None = None) -> Experiment:
        """The experiment for one algorithm (by default the file's), checked as far as options go.

        Args:
            algorithm, seed: in place of the file's.
            compared: the algorithms compared with it; an override must be known to one of them.

        Raises:
            InputError: with the file's name.
        """
        try:
            keys = self._keys(algorithm, compared)
            if seed is not None:
                keys["seed"] = seed
            if "env" in keys:
                keys["env"] = self._environment(_dictionary(keys["env"], "env", spelled_out))
            if "network" in keys:
                keys["network"] = network_table.read(keys["network"], self._here, self.find)
            for key in PARTS:
                if key in keys:
                    keys[key] = self._part(_dictionary(keys[key], key, lambda name: {"name": name}), key)
            return checked(Experiment, keys)
        except InputError as error:
            raise self.located(error) from error.__cause__

    def _keys(self, algorithm: str | None, compared: Sequence[str]) -> dict[str, Any]:
        """The file with the overrides put over it, [algorithm] as what the algorithm finds there."""
        keys = {key: value for key, value in self.tables.items() if key not in ("algorithm", STUDY)}
        if "network" in keys:
            keys["network"] = network_table.spelled_out(keys["network"])
        for key, value in self.overrides.items():
            if key == "network":
                value = network_table.spelled_out(value, keys.get(key, ()))
            if key != "algorithm":
                keys[key] = _merged(keys.get(key), value, CHOICES.get(key, ()))
        in_file, in_set = (as_table(tables.get("algorithm", {}), "algorithm")
                           for tables in (self.tables, self.overrides))
        name = algorithm or in_set.get("name", in_file.get("name"))
        if name is None:
            return keys
        in_file, by_file = of_length(in_file, name)
        in_set, by_set = of_length(in_set, name)
        keys |= {key: value for key, value in by_file.items() if key not in self.overrides} | by_set
        return keys | {"algorithm": self._found_here(algorithm_options(name, in_file, in_set, compared))}

    def _found_here(self, algorithm: BuiltIn) -> BuiltIn:
        """An algorithm whose options may be import paths, the modules of which are looked for in the file's folder."""
        folder, settings = str(self.folder.absolute()), algorithm.settings
        found = {key: value.model_copy(update={"folder": folder}) for key, value in settings
                 if isinstance(value, Factory) and value.folder is None}
        return replace(algorithm, settings=settings.model_copy(update=found))

    def _environment(self, table: dict[str, Any]) -> BuiltIn | UserEnvironment:
        if "path" in table and "factory" not in table:
            table = {"name": "finite-mdp"} | table
        if "factory" in table:
            if isinstance(graph := table.get("neighbours"), str):
                table = table | {"neighbours": str(self._graph_file(graph))}
            return checked(UserEnvironment, self._here(table), "env")
        if "name" not in table:
            raise InputError("the key is missing", key="env.name", valid=", ".join(plugins.module_names(ENVIRONMENTS)))
        found = plugins.built_in(ENVIRONMENTS, table, "environment", "env", ["name"])
        files = {key: str(self.find(name, f"env.{key}")) for key, ending in FILES.items()
                 if isinstance(name := getattr(found.settings, key, None), str) and name.endswith(ending)}
        return replace(found, settings=found.settings.model_copy(update=files))

    def _part(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        """The table of a policy or critic; `netac.experiment.build` knows its options."""
        if "factory" in table:
            if "name" in table:
                raise InputError("a network has a name or a factory, not both", key=f"{key}.name", found=table["name"],
                                 valid="name, of a built-in network, or factory, of one of your own")
            own = {option: value for option, value in table.items() if option in Factory.model_fields}
            return table | checked(Factory, self._here(own), key).table()
        if key == "policy" and table.get("name") == "log-linear" and isinstance(table.get("features"), str):
            return table | {"features": str(self.find(table["features"], "policy.features"))}
        return table

    def _here(self, table: dict[str, Any]) -> dict[str, Any]:
        """A table with a factory whose module is looked for in the file's folder, too."""
        return {"folder": str(self.folder.absolute())} | table

    def _graph_file(self, text: str) -> Path:
        """The file with an environment's graph; a program would be one for `neighbours` of the environment itself."""
        if text.endswith(".py"):
            raise InputError("must be a file with a graph", key="env.neighbours", found=text, valid=(
                "GraphML, a list of edges, a matrix, ...; one that changes is the environment's own `neighbours(t)`"))
        return self.find(text, "env.neighbours")

    def find(self, text: str, key: str) -> Path:
        """An existing file: relative to the experiment file, else to the current folder."""
        tried = list(dict.fromkeys([(self.folder / text).absolute(), Path(text).absolute()]))
        for path in tried:
            if path.is_file():
                return Path(os.path.normpath(path))
        raise InputError("there is no such file", key=key, found=text, valid="tried " + ", ".join(map(str, tried)))


def read(experiment: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Source:
    """An experiment file (or its tables) with overrides {"a.b": value}.

    Raises:
        InputError: no such file, not TOML, or an override that cannot be placed.
    """
    placed = nested(overrides or {})
    if isinstance(experiment, Mapping):
        return Source(None, deepcopy(dict(experiment)), placed)
    path = Path(experiment)
    return Source(path, load_toml(path), placed)


def nested(overrides: Mapping[str, Any], over: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Overrides {"a.b": value} as tables in tables, put over others.

    Raises:
        InputError: one cannot be placed.
    """
    found: dict[str, Any] = deepcopy(dict(over or {}))
    for key, value in overrides.items():
        _put(found, key, value)
    return found


def parse_set(text: str) -> tuple[str, Any]:
    """'a.b=value' of --set: the value as TOML, or as text where it is not TOML."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(part.replace("-", "").replace("_", "").isalnum() for part in key.split(".")):
        raise InputError("cannot be understood", key="--set", found=text, valid="--set key.key=value")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return key, value.strip()


def one_of(set: Mapping[str, Any] | None, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """The overrides of a call that takes them as `set` or as `overrides`.

    Raises:
        InputError: both are given.
    """
    if set is not None and overrides is not None:
        raise InputError("means the same as set", key="overrides", found=overrides, valid="one of the two")
    return dict((overrides if set is None else set) or {})


def ignored_options(source: Source) -> list[str]:
    """Keys of [algorithm] that the chosen algorithm does not know (another one does)."""
    used, others = source.experiment().algorithm.table(), plugins.module_names(ALGORITHMS)
    return [key for key in as_table(source.tables.get("algorithm", {}), "algorithm")
            if key not in used and key not in others]


def _dictionary(value: Any, key: str, meant: Callable[[str], dict[str, str]]) -> dict[str, Any]:
    """The table at the top-level `key`; `meant` tells what a string in its place means."""
    if isinstance(value, str):
        return meant(value)
    if not isinstance(value, Mapping):
        raise InputError("should be a valid dictionary", key=key, found=value,
                         valid=Experiment.model_fields[key].description)
    return dict(value)


def _merged(old: Any, new: Any, choices: Sequence[str] = ()) -> Any:
    """`new` put over `old`: tables key by key, everything else replaced.

    Where a table has one of the keys `choices` (a name, a path), the options beside it belong to that: another one
    makes a table of its own.
    """
    if not isinstance(new, dict):
        return new
    base = spelled_out(old) if isinstance(old, str) else old if isinstance(old, dict) else {}
    if any(choice in new and new[choice] != base.get(choice) for choice in choices):
        base = {}
    return base | {key: _merged(base.get(key), value) for key, value in new.items()}


def _put(nested: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for k, part in enumerate(parents):
        inner = nested.setdefault(part, {})
        if isinstance(inner, str) and parents[0] != "network":
            inner = nested[part] = spelled_out(inner)
        if parents[:k] == ["network"] and not isinstance(inner, dict):
            inner = nested[part] = network_table.spelled_out({part: inner}, [part])[part]
        if not isinstance(inner, dict):
            raise InputError("is not a table, but a key inside it is set too", key=".".join(parents[:k + 1]),
                             found=inner)
        nested = inner
    nested[last] = value
