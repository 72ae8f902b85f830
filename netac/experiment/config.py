"""The experiment file: its schema, `--set`, and what an algorithm finds of its options in it.

Precedence: file < [algorithm.NAME] < --set.  A string where a table may stand is a name or a path.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field

from netac.utils import plugins
from netac.utils.errors import InputError, did_you_mean
from netac.utils.files import read_text
from netac.utils.options import Options, checked, spelled_out

ALGORITHMS = ("netac.algorithms.decentralized", "netac.algorithms.centralized")
ENVIRONMENTS = "netac.envs"
NETWORKS = "netac.agents.networks"
PARTS = ("policy", "critic", "reward_model")                              # the tables that may hold networks
LENGTH = ("iterations", "log_every", "checkpoint_every", "evaluate_every")      # may stand in [algorithm.NAME], too
CHOICES = {"topology": ("name", "path"),                                  # what the other keys of a table depend on
           **dict.fromkeys(("env", *PARTS), ("name", "factory"))}


class Normalise(Options):
    """The table [normalise]: by running statistics, every agent's own."""

    observations: bool = Field(False, description="observations to mean 0 and deviation 1, clipped to +-10")
    rewards: bool = Field(False, description="rewards divided by the deviation of the discounted return")


class Experiment(Options):
    """A complete experiment."""

    agents: int = Field(ge=1, le=10**7, description="N, a whole number of agents >= 1")
    iterations: int = Field(ge=1, le=10**12, description="T, a whole number of iterations >= 1")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="whole number >= 0: every random stream is spawned from it")
    env: dict[str, Any] | str = Field(description=(
        'a name, an .npz file, { name = "...", options }, or { factory = "package.module:function", kwargs = { } }'))
    topology: dict[str, Any] | str = Field("complete", description=(
        'a name, a file, { name = "...", weights = "...", options } or { path = "graphs/x.py", options }'))
    envs: int = Field(1, ge=1, le=10**5, description="E, games played side by side by agents with networks")
    stagger: int = Field(0, ge=0, le=10**9, description=(
        "steps over which the games' first episodes are cut short, evenly, so that not all are at the same stage, e.g. the "
        "length of an episode; 0: all begin together"))
    policy: dict[str, Any] | str = Field({}, description=(
        'tabular, log-linear, mlp, cnn, { name = "...", options } or { factory = "package.module:Class", kwargs = { } }'))
    critic: dict[str, Any] | str = Field({}, description=(
        "the network of V (or Q), as in policy; without a name or factory the policy's, but for the options given (the usual "
        "one for what it sees where the policy is of a factory, or a cnn and the critic sees no image)"))
    reward_model: dict[str, Any] | str = Field({}, description=(
        "the network of R, as in policy; without a name or factory the critic's, but for the options given and with a hidden "
        "layer"))
    normalise: Normalise = Field(Normalise(), description="the table [normalise], for networks")
    algorithm: dict[str, Any] | str = Field(description='a name, or the table [algorithm] with a name and options')
    log_every: int = Field(10, ge=1, le=10**12, description="iterations between rows of metrics.csv, >= 1")
    checkpoint_every: int = Field(1000, ge=1, le=10**12, description="iterations between checkpoints, >= 1")
    evaluate_every: int = Field(0, ge=0, le=10**12, description=(
        "iterations between evaluations, >= 0: the policies are played in games of their own, at the start and end, too, as "
        "evaluations.csv tells; 0: never"))
    evaluate_episodes: int = Field(32, ge=1, le=10**4, description="episodes of an evaluation, always the same ones, >= 1")
    evaluate_greedy: bool = Field(False, description=(
        "true: agents are evaluated with their most probable action, or the mean, instead of a draw"))
    evaluate_steps: int | None = Field(None, ge=1, le=10**6, description=(
        "the most steps of an evaluation's episode; without it all it has, 200 where the environment has no end"))
    tensorboard: bool = Field(False, description="true: TensorBoard event files in the run folder's tensorboard/, too")
    allow_disconnected: bool = Field(False, description="true: run although the graphs never connect the agents")

    def tables(self) -> dict[str, Any]:
        """The experiment as plain tables, as a TOML file holds them: what is not set is left out."""
        return _without_none(self.model_dump())


class Factory(Options):
    """What a user's import path stands for: an environment or a network."""

    factory: str = Field(pattern=r"^[\w.]+:[\w.]+$", description='"package.module:function"')
    kwargs: dict[str, Any] = Field({}, description="its keyword arguments, besides those that netac gives")
    folder: str | None = Field(None, description=(
        "where the module is looked for besides Python's own path; by default the experiment file's folder"))


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

    def experiment(self, algorithm: str | None = None, compared: Sequence[str] = (), seed: int | None = None) -> Experiment:
        """The experiment for one algorithm (by default the file's), checked as far as options go.

        Args:
            algorithm, seed: in place of the file's.
            compared: the algorithms compared with it; an override must be known to one of them.

        Raises:
            InputError: with the file's name.
        """
        try:
            return self._experiment(algorithm, compared, seed)
        except InputError as error:
            raise self.located(error) from None

    def _experiment(self, algorithm: str | None, compared: Sequence[str], seed: int | None) -> Experiment:
        merged = {key: value for key, value in self.tables.items() if key != "algorithm"}
        for key, value in self.overrides.items():
            if key != "algorithm":
                merged[key] = _merged(merged.get(key), value, CHOICES.get(key, ()))
        file_table, set_table = (_table(tables.get("algorithm", {}), "algorithm") for tables in (self.tables, self.overrides))
        name = algorithm or set_table.get("name", file_table.get("name"))
        if name is not None:
            file_table, in_file = _length(file_table, name)
            set_table, in_set = _length(set_table, name)
            merged |= {key: value for key, value in in_file.items() if key not in self.overrides} | in_set
            merged["algorithm"] = algorithm_options(name, file_table, set_table, compared)
        if seed is not None:
            merged["seed"] = seed
        found = checked(Experiment, merged)
        return found.model_copy(update={"env": self._environment(found.env), "policy": self._policy(found.policy),
                                        **{key: self._network(getattr(found, key), key) for key in PARTS[1:]}})

    def _environment(self, table: dict | str) -> dict:
        table = spelled_out(table) if isinstance(table, str) else _table(table, "env")
        if "path" in table and "factory" not in table:
            table = {"name": "finite-mdp"} | table
        if "factory" in table:
            return checked(Factory, {"folder": str(self.folder.absolute())} | table, "env").model_dump()
        if "name" not in table:
            raise InputError("the key is missing", key="env.name", valid=", ".join(plugins.module_names(ENVIRONMENTS)))
        module = chosen(ENVIRONMENTS, table["name"], "environment", "env.name")
        options = checked(module.Settings, {k: v for k, v in table.items() if k != "name"}, "env", ["name"]).model_dump()
        for key in ("path", "features"):
            if isinstance(options.get(key), str) and options[key].endswith(".npz"):
                options[key] = str(self.find(options[key], f"env.{key}"))
        return {"name": table["name"], **options}

    def _policy(self, table: dict | str) -> dict:
        table = self._network(table, "policy")
        if table.get("name") == "log-linear" and isinstance(table.get("features"), str):
            table["features"] = str(self.find(table["features"], "policy.features"))
        return table

    def _network(self, table: dict | str, key: str) -> dict:
        """The table of a policy or critic; `netac.experiment.linear_agents` and `netac.experiment.neural_agents` know its options."""
        table = _table(table, key)
        if "factory" not in table:
            return table
        if "name" in table:
            raise InputError("a network has a name or a factory, not both", key=f"{key}.name", found=table["name"],
                             valid="name, of a built-in network, or factory, of one of your own")
        own = {option: table[option] for option in Factory.model_fields if option in table}
        return table | checked(Factory, {"folder": str(self.folder.absolute())} | own, key).model_dump()

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
    nested: dict[str, Any] = {}
    for key, value in (overrides or {}).items():
        _put(nested, key, value)
    if isinstance(experiment, Mapping):
        return Source(None, deepcopy(dict(experiment)), nested)
    path = Path(experiment)
    try:
        return Source(path, tomllib.loads(read_text(path)), nested)
    except (ValueError, RecursionError) as error:      # RecursionError: thousands of nested brackets
        raise error if isinstance(error, InputError) else InputError(f"not a TOML file: {error}", file=path) from None


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


def algorithm_options(name: str, file_table: dict, set_table: dict, compared: Sequence[str] = ()) -> dict[str, Any]:
    """The options of algorithm `name`: file < [algorithm.NAME] < --set, complete and checked.

    Options that only another algorithm knows are left out (from `--set`: only another of the compared ones).
    """
    module, *_ = [chosen(ALGORITHMS, each, "algorithm", "algorithm.name") for each in (name, *compared)]
    known = {other: list(plugins.module(ALGORITHMS, other, "algorithm").Settings.model_fields)
             for other in plugins.module_names(ALGORITHMS)}
    options: dict[str, Any] = {}
    for table, heard in ((file_table, known), (set_table, {k: known[k] for k in {name, *compared}})):
        general = {key: value for key, value in table.items() if key != "name" and key not in known}
        everyone = sorted({key for keys in heard.values() for key in keys})
        for key, value in general.items():
            if key not in everyone:
                raise InputError(f"unknown key{did_you_mean(key, [*everyone, *known])}", key=f"algorithm.{key}",
                                 valid=", ".join(["name", *everyone]))
            if key in known[name]:
                options[key] = value
        for other in known.keys() & table.keys():
            own = _table(table[other], f"algorithm.{other}")
            for key in own.keys() - set(known[other]):
                raise InputError(f"unknown key{did_you_mean(key, known[other])}", key=f"algorithm.{other}.{key}",
                                 valid=", ".join(known[other]))
            if other == name:
                options |= own
            else:
                shared = {key: value for key, value in general.items() if key in known[other]}
                checked(plugins.module(ALGORITHMS, other, "algorithm").Settings, shared | own, f"algorithm.{other}")
    return {"name": name, **checked(module.Settings, options, "algorithm").model_dump()}


def _length(table: dict, name: str) -> tuple[dict, dict]:
    """The table [algorithm] without what it says of the length of runs, and what it says of those of algorithm `name`.

    Algorithms differ by far in the samples of an iteration, so that [algorithm.NAME] may say how many there are.
    """
    others = {key: {k: v for k, v in value.items() if k not in LENGTH} if isinstance(value, Mapping) else value
              for key, value in table.items()}
    own = table.get(name) if isinstance(name, str) else None
    return others, {k: v for k, v in own.items() if k in LENGTH} if isinstance(own, Mapping) else {}


def chosen(package: str | Sequence[str], name: object, what: str, key: str) -> ModuleType:
    """The module that a name in an experiment file stands for."""
    if not isinstance(name, str):
        raise InputError("should be a name", key=key, found=name, valid=", ".join(plugins.module_names(package)))
    try:
        return plugins.module(package, name, what)
    except InputError as error:
        raise error.located(key=key) from None


def _table(value: Any, key: str) -> dict[str, Any]:
    """A table; a string where a table may stand is its name."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise InputError("should be a name or a table", key=key, found=value)
    return dict(value)


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _without_none(value) if isinstance(value, dict) else value
            for key, value in table.items() if value is not None}


def _merged(old: Any, new: Any, choices: Sequence[str] = ()) -> Any:
    """`new` put over `old`: tables key by key, everything else replaced.

    Where a table has one of the keys `choices` (a name, a path), the options beside it belong to that: another one makes
    a table of its own.
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
        if isinstance(inner, str):
            inner = nested[part] = spelled_out(inner)
        if not isinstance(inner, dict):
            raise InputError("is not a table, but a key inside it is set too", key=".".join(parents[:k + 1]), found=inner)
        nested = inner
    nested[last] = value


def ignored_options(source: Source) -> list[str]:
    """Keys of [algorithm] that the chosen algorithm does not know (another one does)."""
    used = source.experiment().algorithm
    others = plugins.module_names(ALGORITHMS)
    return [key for key in _table(source.tables.get("algorithm", {}), "algorithm") if key not in used and key not in others]
