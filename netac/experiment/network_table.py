"""The table [network] of an experiment: which conditions the network has, and the conditions made of it.

A key is the name of a condition, a file of `netac.comm.conditions`, and its value a table of options, or what its first
option shall be; true stands for all defaults, false for none of it.  Under a key of one's own a table with a `factory`
is a condition of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netac.comm.exchange import Condition, Surroundings
from netac.topology import Topology
from netac.utils import plugins
from netac.utils.errors import InputError, did_you_mean
from netac.utils.options import Options, checked
from netac.utils.plugins import BuiltIn, Factory

CONDITIONS = "netac.comm.conditions"
INSECURE, PUSH_SUM = "allow_insecure", "push-sum"


@dataclass(frozen=True)
class Conditions:
    """The table [network], checked.

    Attributes:
        conditions: by key: a built-in one, or the user's own.
        allow_insecure: whether there may be more liars than the graph and the way of mixing bear.
    """

    conditions: tuple[tuple[str, BuiltIn | Factory], ...] = ()
    allow_insecure: bool = False

    @property
    def push_sum(self) -> bool:
        """Whether agents mix by push-sum, which asks less of the topology's weights."""
        return any(key == PUSH_SUM for key, _ in self.conditions)

    def table(self) -> dict[str, Any]:
        """As a table of an experiment file; an empty one without conditions."""
        found = {key: {option: value for option, value in part.table().items() if option != "name"}
                 for key, part in self.conditions}
        return found | {INSECURE: self.allow_insecure} if found else {}

    def defaults(self) -> dict[str, Any]:
        """What a file means that does not say it."""
        found = {key: part.defaults() for key, part in self.conditions}
        return found | {INSECURE: False} if found else {}

    def make(self, topology: Topology, iterations: int) -> list[Condition]:
        """The conditions, in the order in which messages leave through them.

        Raises:
            InputError: one of them cannot be made here, or two do not go together.
        """
        names = frozenset(key for key, _ in self.conditions)
        around = Surroundings(topology, iterations, names, self.allow_insecure)
        made = sorted((_made(key, part, around) for key, part in self.conditions), key=lambda each: each.phase)
        for one in made:
            for other, why in one.unlike.items():
                if other in names - {one.name}:
                    raise InputError(f"does not go with {other}: {why}", key=f"network.{one.name}",
                                     valid=f"{one.name} or {other}")
        for one in made:
            one.look_around(made)
        return made


def _made(key: str, part: BuiltIn | Factory, around: Surroundings) -> Condition:
    where = f"network.{key}"
    if isinstance(part, Factory):
        function = plugins.import_path(part, where)
        made = plugins.call(function, part, where, agents=around.topology.agents, topology=around.topology,
                            iterations=around.iterations)
        if not isinstance(made, Condition):
            raise InputError("does not give a condition", key=f"{where}.factory", found=part.factory,
                             valid="a class derived from netac.Condition, or a function that gives an object of one")
    else:
        try:
            made = part.module.make(part.settings, around)
        except InputError as error:
            raise error if (error.key or "").startswith(("network", "topology")) else error.located(
                key=where) from error.__cause__
    made.name = key
    return made


def read(table: Mapping[str, Any], here: Any, find: Callable[[str, str], Path]) -> Conditions:
    """The table [network] as `spelled_out` gives it.

    Args:
        here: adds to a table with a factory the folder in which its module is looked for.
        find: the file that an option `path` names, from its text and key; InputError where there is none.

    Raises:
        InputError: a key is no condition's, or an option does not hold.
    """
    found: list[tuple[str, BuiltIn | Factory]] = []
    insecure = table.get(INSECURE, False)
    if not isinstance(insecure, bool):
        raise InputError("should be true or false", key=f"network.{INSECURE}", found=insecure, valid="true or false")
    for key, value in table.items():
        if key == INSECURE or value is False:
            continue
        if "factory" in value:
            if key in plugins.module_names(CONDITIONS):
                raise InputError("is the name of a condition of netac's own", key=f"network.{key}",
                                 found=value["factory"], valid="another name for your condition")
            found.append((key, checked(Factory, here(value), f"network.{key}")))
        else:
            _known(key, value)
            part = plugins.built_in(CONDITIONS, {"name": key} | value, "network condition", f"network.{key}")
            if isinstance(path := getattr(part.settings, "path", None), str):
                absolute = {"path": str(find(path, f"network.{key}.path"))}
                part = replace(part, settings=part.settings.model_copy(update=absolute))
            found.append((key, part))
    return Conditions(tuple(sorted(found, key=lambda each: each[0])), insecure)


def spelled_out(table: Any, own: Collection[str] = ()) -> dict[str, Any]:
    """The table [network] with a table, or false, for every condition.

    Args:
        own: names of the user's own conditions, which may be false.

    Raises:
        InputError: it is no table, or a key is the name of no condition.
    """
    if not isinstance(table, Mapping):
        raise InputError("should be a table", key="network", found=table,
                         valid="[network] with conditions as keys, such as loss = 0.1; netac list conditions")
    return {key: value if value is False and key in own else _spelled_out(key, value) for key, value in table.items()}


def _spelled_out(key: str, value: Any) -> Any:
    if key == INSECURE or (isinstance(value, Mapping) and "factory" in value):
        return value
    if value is False:
        _known(key, value)
        return value
    if isinstance(value, Mapping):
        return dict(value)                       # perhaps options of one's own condition, whose factory is in the file
    settings = _known(key, value).Settings
    if value is True:
        return {}
    if (first := first_option(settings)) is None:
        raise InputError("this condition has no options", key=f"network.{key}", found=value, valid="true or false")
    return {first: value}


def _known(key: str, value: Any) -> Any:
    """The module of a condition of netac's own."""
    known = plugins.module_names(CONDITIONS)
    if key not in known:
        raise InputError(f"there is no such condition{did_you_mean(key, [*known, INSECURE])}", key=f"network.{key}",
                         found=value, valid=", ".join([*known, INSECURE]) +
                         ', or { factory = "package.module:Class" } under a name of your own')
    return plugins.module(CONDITIONS, key, "network condition")


def first_option(settings: type[Options]) -> str | None:
    """The option that a plain value stands for: the first that the condition's own file declares; None without any."""
    known = settings.model_fields
    return next((name for name in [*vars(settings).get("__annotations__", {}), *known] if name in known), None)
