"""The house of netac, as its import statements tell: floors, no circles, few things at the door, one name a class."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "netac"
FLOORS = {"cli": 9, "__main__": 9, "theory": 8, "experiment": 7, "algorithms.decentralized": 6,
          "algorithms.centralized": 6, "algorithms": 5, "algorithms.policy_gradient": 5, "sampling": 4, "comm": 3,
          "agents": 2, "envs": 2, "topology": 2, "exact": 1, "results": 1, "utils": 1}
CONVENTIONAL = {"Settings"}         # what a plugin's module calls its options, by convention


def modules() -> dict[str, Path]:
    """All modules of the package by name, without `netac` itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found.pop("netac")
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Modules of netac that a file imports, wherever in it: inside functions and under TYPE_CHECKING, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in inner if name in MODULES)
            if node.module in MODULES and not all(name in MODULES for name in inner):
                yield node.module


def place(module: str) -> str:
    """The part of the house a module lies in: the longest entry of FLOORS its name begins with."""
    parts = module.split(".")[1:]
    return next(name for size in (2, 1) if (name := ".".join(parts[:size])) in FLOORS and len(parts) >= size)


def loads(module: str, path: Path) -> Iterator[str]:
    """Modules that a file loads by name: those of a package that it names in a text, or of its own by `__package__`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in PLUGIN_PACKAGES}
    if any(isinstance(node, ast.Name) and node.id == "__package__" for node in ast.walk(tree)):
        named.add(module.rpartition(".")[0])
    for other in MODULES:
        package, _, name = other.rpartition(".")
        if package in named and not name.startswith("_"):
            yield other


PLUGIN_PACKAGES = {module for module, path in MODULES.items() if path.name == "__init__.py"}
GRAPH = {module: sorted(set(imports(path)) - {module}) for module, path in MODULES.items()}


def order(graph: dict[str, list[str]]) -> list[str]:
    """A topological order of a graph of imports; a circle fails the test, and is told."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("a circle of imports: " + " -> ".join(reversed(error.args[1])))


def test_no_module_imports_one_of_a_higher_floor():
    upwards = [f"{module} imports {other}" for module, others in GRAPH.items() for other in others
               if FLOORS[place(other)] > FLOORS[place(module)]]
    assert not upwards, "\n".join(upwards)


def test_there_are_at_most_nine_floors():
    assert set(map(place, MODULES)) == set(FLOORS) and len(set(FLOORS.values())) <= 9


def test_modules_import_each_other_in_no_circle():
    assert set(order(GRAPH)) == set(GRAPH)


def test_no_plugin_imports_the_module_that_loads_it():
    loaded = {module: set(loads(module, path)) - {module} for module, path in MODULES.items()}
    assert all(map(loaded.get, ("netac.topology.loading", "netac.experiment.schema", "netac.theory")))
    assert "netac.topology.builtin.ring" in loaded["netac.topology.loading"]
    order({module: sorted({*others, *loaded[module]}) for module, others in GRAPH.items()})


def test_parts_of_the_house_import_each_other_in_no_circle_and_are_nine_deep_at_most():
    graph = defaultdict(set)
    for module, others in GRAPH.items():
        graph[place(module).partition(".")[0]] |= {place(other).partition(".")[0] for other in others}
    graph = {name: sorted(others - {name}) for name, others in graph.items()}
    depth: dict[str, int] = {}
    for name in order(graph):
        depth[name] = 1 + max((depth[other] for other in graph[name]), default=0)
    assert max(depth.values()) <= 9, depth


def test_at_most_a_dozen_things_lie_directly_under_netac():
    things = [path for path in PACKAGE.iterdir() if (path.suffix == ".py" and not path.name.startswith("__"))
              or (path / "__init__.py").exists()]
    assert len(things) <= 12, sorted(path.name for path in things)


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}), ids=lambda path: path.name)
def test_no_two_files_in_a_folder_differ_by_a_plural_alone(folder):
    names = {path.stem.strip("_") for path in folder.iterdir()
             if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert not [name for name in names if name and {name + "s", name + "es"} & names]


def test_no_two_classes_have_one_name():
    homes = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name not in CONVENTIONAL and not node.name.startswith("_"):
                homes[node.name].append(module)
    assert not {name: where for name, where in homes.items() if len(where) > 1}


def test_files_are_short():
    long = {str(path.relative_to(PACKAGE)): lines for path in MODULES.values()
            if (lines := path.read_text(encoding="utf-8").count("\n")) > 400}
    assert not long


def test_contributing_shows_the_floors_as_they_are():
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.findall(r"^ (\d)  (.+)$", page.partition("## The house")[2].partition("### ")[0], re.MULTILINE)
    floors = {name: int(floor) for floor, line in shown for name in re.findall(r"[\w/]+(?=/|\.py)", line)}
    assert floors == {name.replace(".", "/"): floor for name, floor in FLOORS.items() if name != "algorithms"}
