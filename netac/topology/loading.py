"""From a specification (a name, a path, or a table of an experiment file) to a `Topology`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from netac.topology import size
from netac.topology.edges import EdgeGraph, Graph, as_networkx
from netac.topology.labels import Labels, labels_of, listed, notes_of
from netac.topology.parts import Neighbours, Part
from netac.topology.sequence import Topology, as_input_error, located
from netac.topology.signature import Parameters, check, chosen, parameters
from netac.utils import plugins
from netac.utils.errors import InputError, RunError, did_you_mean, raised
from netac.utils.files import refuse_wide_text
from netac.utils.options import is_path, spelled_out

if TYPE_CHECKING:
    import networkx as nx

GRAPHS, WEIGHTS = "netac.topology.builtin", "netac.topology.weights"
PYTHON = ".py"
FIXED = ("name", "path", "weights")
LOADED = "parts"      # the parameter by which a family made of other topologies is handed them
OWN_GRAPH = "environment"       # and that by which one gets the environment's graph


Asked = Callable[[float | None], Neighbours | None]
"""Gives an environment's graph or, with a radius, that of the agents so near each other; None: it has none."""


@dataclass(frozen=True)
class Family:
    """What a specification's name or path stands for, before the number of agents and the options are known.

    `graph(t, n, **options)` and `period(n, **options)` are as in a topology's file; `weights` is the default rule,
    None where the graph itself tells; `parts` is the option that names other topologies, if there is one, and
    `handed` whether graph wants them loaded, and `own_graph` whether it wants the environment's graph.
    `edges(n, **options)` tells about how many edges the largest graph has.
    """

    name: str
    options: Parameters
    graph: Callable[..., Graph]
    period: Callable[..., int | None]
    weights: str | None
    parts: str | None = None
    handed: bool = False
    own_graph: bool = False
    edges: Callable[..., float] | None = None


def load(spec: str | dict, agents: int, *, folder: Path | None = None, key: str = "topology",
         push_sum: bool = False, neighbours: Asked | None = None) -> Topology:
    """The topology that `spec` describes, for `agents` agents; its first graph and matrix are made and checked here.

    Args:
        spec: a built-in's name; a path (it has a slash or a suffix: .py, or one of `files.SUFFIXES`); or a table with
            one of the keys `name` and `path`, the options of that family, `weights` and the options of the weight
            rules.
        agents: N >= 1.
        folder: where relative paths are tried before the current folder (the experiment file's).
        key: the dotted key of `spec`, for messages.
        push_sum: whether agents mix by push-sum.
        neighbours: gives the environment's graph, None where it has none; asked for `topology = "environment"` alone.

    Raises:
        InputError: for everything that is wrong with the specification or with the file it names.
    """
    if agents < 1:
        raise InputError("must be positive", key="agents", found=agents)
    try:
        return _load(_table(spec), agents, folder, push_sum=push_sum, neighbours=neighbours)
    except InputError as error:
        raise located(error, key) from error.__cause__
    except RunError as error:
        raise as_input_error(error, key) from error


def expected_extent(spec: str | dict) -> size.Extent:
    """How large the graphs that `spec` describes are, about; nothing is loaded, and no user's file is run.

    One an agent where that cannot be told, and where the specification does not hold.
    """
    try:
        table = _table(spec)
        if "path" in table:
            return size.Extent()
        family = _module_family(_builtin(table["name"]), table["name"])
        options = {name: table.get(name, default) for name, (_, default) in family.options.items()}
        named = options[family.parts] if family.parts else []
        check(options, family.options)
        parts = [named] if isinstance(named, str) else named
        return _extent(family, options, [expected_extent(part) for part in parts])
    except InputError:
        return size.Extent()


def names() -> list[str]:
    """The built-in topologies."""
    return plugins.module_names(GRAPHS)


def describe(name: str) -> str:
    """What a built-in topology is, in one line."""
    return plugins.first_line(plugins.module(GRAPHS, name, "topology"))


def options(name: str) -> dict[str, object]:
    """The options of a built-in topology and their defaults (None: none, or depending on the number of agents)."""
    return {option: default for option, (_, default) in _module_family(_builtin(name), name).options.items()}


def weight_names() -> list[str]:
    """The weight rules."""
    return plugins.module_names(WEIGHTS)


def describe_weights(name: str) -> str:
    """What a weight rule is, in one line."""
    return plugins.first_line(_rule(name))


def weight_options(name: str) -> dict[str, object]:
    """The options of a weight rule and their defaults."""
    return {option: default for option, (_, default) in parameters(_rule(name).weights, 1).items()}


def _table(spec: str | dict) -> dict:
    """The specification as a table that has exactly one of `name` and `path`, as text."""
    if isinstance(spec, str):
        spec = spelled_out(spec)
    if not isinstance(spec, dict):
        raise InputError("must be a name, a path or a table", found=spec)
    if ("name" in spec) == ("path" in spec):
        raise InputError("needs one of the keys name and path", found=spec,
                         valid='{ name = "ring" } or { path = "graphs/gossip.py" }')
    for fixed in FIXED:
        if fixed in spec and not isinstance(spec[fixed], str):
            raise InputError("must be text", key=fixed, found=spec[fixed])
    return spec


def _load(table: dict, agents: int, folder: Path | None, within: tuple[str, ...] = (),
          push_sum: bool = False, neighbours: Asked | None = None) -> Topology:
    """`load` on a table; the errors' keys are relative to it.

    Args:
        within: the files of the topologies that it is a part of.
    """
    if "path" in table:
        path = _find(table["path"], folder)
        family, place = _file_family(path), {"path": str(path)}
    else:
        path = None
        family, place = _module_family(_builtin(table["name"]), table["name"]), {"name": table["name"]}
    of_rules = _options_of(tuple(weight_names()))
    for option in family.options.keys() & (of_rules.keys() | set(FIXED)):
        raise InputError(f"its function graph has an option {option!r}, a key that has a meaning of its own", file=path,
                         valid="another name")
    given = {name: value for name, value in table.items() if name not in FIXED}
    options = check(given, {**of_rules, **family.options}, others=FIXED)
    for_graph = {name: options[name] for name in family.options}
    parts = _found_parts(for_graph[family.parts], family.parts, folder) if family.parts else []
    if family.parts:
        for_graph[family.parts] = parts
    within += (str(path),) if path else ()
    loaded: dict[str, Any] = {LOADED: _loaded_parts(parts, agents, within)} if family.handed else {}
    extent = _extent(family, options, [part.topology.extent for part in _listed(loaded.get(LOADED, []))])
    radius = options.get("radius") if family.own_graph else None
    if family.own_graph:
        loaded[OWN_GRAPH] = around = _given(neighbours, radius)
        extent = size.Extent(partial(_constant, around.at(0).number_of_edges()), radius is not None)
    extent.refuse(agents, family.name)
    source = partial(_call, family.graph, agents, {**for_graph, **loaded})
    period = _period(family, agents, {**for_graph, **loaded})

    in_file = as_networkx(source(0)) if family.weights is None else None
    weights = table["weights"] if "weights" in table else family.weights or _own_weights(in_file)
    if in_file is not None:
        extent = size.Extent(partial(_constant, in_file.number_of_edges()))
    rule = _rule(weights).weights
    if radius is not None:
        _refuse_weights(weights, agents, push_sum)
    for_rule = chosen(rule, 1, options)
    kept = {name: options[name] for name in of_rules if name in given}
    said = {name: value for name, value in for_graph.items() if value is not None}
    complete = {**place, **said, "weights": weights, **kept, **for_rule}
    own_graph = family.own_graph and radius is None
    foreign = path is not None or own_graph or any(map(is_path, [parts] if isinstance(parts, str) else parts))
    handed = [part.topology for part in _listed(loaded.get(LOADED, []))]
    labels, told = ((), ()) if in_file is None else (labels_of(in_file), notes_of(in_file))
    notes = dict.fromkeys([*told, *(note for part in handed for note in part.notes)])
    topology = Topology(family.name, agents, weights, period, complete, source, partial(rule, **for_rule), foreign,
                        labels or _common_labels(handed), tuple(notes), extent, push_sum, radius)
    topology.matrix(0, checked=False)
    return topology


def _given(neighbours: Asked | None, radius: float | None) -> Neighbours:
    """The environment's graph; InputError where there is none."""
    if neighbours is None or (found := neighbours(radius)) is None:
        raise InputError("the environment has no graph of its own", key="name", found="environment", valid=(
            "an environment with `neighbours` (a networkx graph on its agents), env.neighbours = a file with one, or "
            "another topology"))
    return found


def _refuse_weights(weights: str, agents: int, push_sum: bool) -> None:
    """Refuse a weight rule that does not hold on every graph that agents may come to have."""
    why = {"file": "edges between agents that are near each other have no weights of their own",
           "uniform": "it is for complete graphs and for such without edges" if agents > 2 else None,
           "out-degree": None if push_sum else "where agents have different numbers of neighbours, only the columns of "
                                               "W sum to 1"}.get(weights)
    if why:
        raise InputError(why, key="weights", found=weights, valid='"metropolis", "lazy-metropolis", "max-degree"' + (
            "; or push-sum = true in the experiment's table [network]" if weights == "out-degree" else ""))


def _call(graph: Callable[..., Graph], agents: int, options: dict, t: int) -> Graph:
    """A family's graph(t, n, options) with everything but t bound."""
    return graph(t, agents, **options)


def _extent(family: Family, options: dict, parts: list[size.Extent]) -> size.Extent:
    """What the family, or the topologies it is made of, tell; else one edge an agent.

    A family whose `graph` is annotated to return an `EdgeGraph` makes arrays.
    """
    arrays = inspect.get_annotations(family.graph).get("return") in (EdgeGraph, EdgeGraph.__name__)
    if family.edges is not None:
        return size.Extent(partial(family.edges, **chosen(family.edges, 1, options)), arrays)
    return size.together(parts) if parts else size.Extent(float, arrays)


def _constant(edges: float, n: int) -> float:
    """The edges of the one graph of a file."""
    return edges


def _listed(parts: Part | list[Part]) -> list[Part]:
    return parts if isinstance(parts, list) else [parts]


def _common_labels(parts: list[Topology]) -> Labels:
    """What the files that parts were read from call the agents; empty where they disagree."""
    different = {part.labels for part in parts if part.labels}
    return different.pop() if len(different) == 1 else ()


@cache
def _options_of(rules: tuple[str, ...]) -> Parameters:
    """The options of all these weight rules."""
    return {name: option for rule in rules for name, option in parameters(_rule(rule).weights, 1).items()}


def _rule(name: str) -> ModuleType:
    """The module of a weight rule."""
    try:
        return plugins.module(WEIGHTS, name, "weight rule")
    except InputError as error:
        raise error.located(key="weights") from error


def _builtin(name: str, key: str = "name") -> ModuleType:
    """The module of a built-in topology; `key` is where its name stands."""
    try:
        return plugins.module(GRAPHS, name, "topology")
    except InputError as error:
        raise error.located(key=key) from error


def _found_parts(value: object, key: str, folder: Path | None) -> str | list[str]:
    """A name or path of another topology, or several: paths as absolute ones; InputError for what does not exist."""
    if isinstance(value, list):
        return [_found_part(part, key, folder) for part in value]
    return _found_part(value, key, folder)


def _found_part(value: object, key: str, folder: Path | None) -> str:
    if not isinstance(value, str):
        raise InputError("must be text, or a list of texts", key=key, found=value)
    if is_path(value):
        return str(_find(value, folder, key))
    _builtin(value, key)
    return value


def _loaded_parts(parts: str | list[str], agents: int, within: tuple[str, ...]) -> Part | list[Part]:
    """What names and absolute paths of other topologies stand for; one that is named twice is loaded once."""
    if isinstance(parts, list):
        loaded = {name: _loaded_part(name, agents, within) for name in dict.fromkeys(parts)}
        return [loaded[name] for name in parts]
    return _loaded_part(parts, agents, within)


def _loaded_part(part: str, agents: int, within: tuple[str, ...]) -> Part:
    if part in within:
        raise InputError("a topology cannot be a part of itself", file=part)
    try:
        return Part(_load(_table(part), agents, None, within))
    except RunError as error:
        raise as_input_error(error, "") from error


def _find(given: str, folder: Path | None, key: str = "path") -> Path:
    """The file of a relative or absolute path; InputError that lists where it was looked for."""
    try:
        places = dict.fromkeys((base / Path(given).expanduser()).resolve() for base in (folder or Path(), Path()))
        found = next((place for place in places if place.is_file()), None)
    except (OSError, ValueError, RuntimeError) as error:     # too long, a zero byte, the home of nobody
        raise InputError(f"cannot be the path of a file: {error}", key=key, found=given) from error
    if found is None:
        raise InputError("there is no such topology file", key=key, found=given,
                         valid="a file; looked for " + ", ".join(map(str, places)))
    from netac.topology.files import SUFFIXES, suffix_of
    suffix, kinds = suffix_of(found), (PYTHON, *SUFFIXES)
    if suffix not in kinds:
        raise InputError(f"unknown kind of topology file{did_you_mean(suffix, kinds)}", file=found,
                         found=suffix, valid=", ".join(kinds))
    return found


def _file_family(path: Path) -> Family:
    """The family of one file: a user's Python module, or one fixed graph."""
    import networkx as nx

    from netac.topology.files import reader_of, suffix_of
    if suffix_of(path) == PYTHON:
        refuse_wide_text(path)
        return _module_family(plugins.user_module(path), path.name, path)
    read = reader_of(path)
    cache: dict[tuple, nx.Graph] = {}

    def graph(t: int, n: int, **options: object) -> nx.Graph:
        wanted = tuple(options.items())
        if wanted not in cache:
            size.refuse_text(path)
            cache[wanted] = nx.freeze(read(path, **options))
        found = cache[wanted]
        if len(found) != n:
            named = f" ({listed(labels)})" if (labels := labels_of(found)) else ""
            raise InputError(f"has {len(found)} nodes{named} and there are {n} agents", file=path,
                             valid=f"agents = {len(found)}, or a file with {n} nodes")
        return found

    return Family(path.name, parameters(read, 1), graph, lambda n: 1, None)


def _own_weights(graph: nx.Graph) -> str:
    """A graph's own weights where it is directed or an edge has one (then all must have one), else Metropolis."""
    weighted = any(w is not None for _, _, w in graph.edges(data="weight"))
    return "file" if weighted or graph.is_directed() else "metropolis"


def _module_family(module: ModuleType, name: str, file: Path | None = None) -> Family:
    """The family of a Python module: `graph`, and optionally `period` or PERIOD, and WEIGHTS."""
    graph = getattr(module, "graph", None)
    if not callable(graph):
        raise InputError("has no function graph(t, n)", file=file, valid="def graph(t, n): return a networkx graph")
    fixed, weights = getattr(module, "PERIOD", None), getattr(module, "WEIGHTS", "metropolis")
    if not isinstance(weights, str):
        raise InputError("WEIGHTS must be the name of a weight rule", file=file, found=weights)
    period = getattr(module, "period", lambda n: fixed)
    parts = getattr(module, "PARTS", None)
    try:
        options = parameters(graph, 2)
        unknown = [option for option in parameters(period, 1) if option not in options]
    except InputError as error:
        raise error.located(file=file) from error
    handed = parts is not None and options.pop(LOADED, None) is not None
    own_graph = file is None and options.pop(OWN_GRAPH, None) is not None
    if parts is not None and parts not in options:
        raise InputError("PARTS must be the name of an option of graph", file=file, found=parts,
                         valid=", ".join(options))
    for option in unknown:
        raise InputError(f"period has an option {option!r} that graph has not", file=file, valid=", ".join(options))
    edges = getattr(module, "edges", None) if file is None else None
    return Family(name, options, graph, period, weights, parts, handed, own_graph, edges)


def _period(family: Family, agents: int, options: dict) -> int | None:
    """The family's period for these options: a positive integer, or None."""
    try:
        period = family.period(agents, **chosen(family.period, 1, options))
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(f"{family.name}: period(n={agents}) raised {raised(error)}") from error
    if period is not None and (isinstance(period, bool) or not isinstance(period, int) or period < 1):
        raise InputError(f"{family.name}: the period must be a positive integer or None", found=period)
    return period
