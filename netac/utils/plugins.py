"""One file per algorithm, environment, topology and weight rule: a package is scanned, only the chosen one is loaded.

A name is its module's file name with - for _ ("periodic-complete" is `periodic_complete.py`); modules whose name starts
with _ are helpers.  A user's .py file is loaded by path and holds exactly what a built-in module holds.  A table of an
experiment file names one of them, a `BuiltIn`, or a function of the user's own, a `Factory`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import operator
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field

from netac.utils.errors import InputError, NetacError, did_you_mean, raised
from netac.utils.files import refuse_wide_text
from netac.utils.options import Options, checked

SettingsT = TypeVar("SettingsT", bound=Options)


Ask = Callable[[str, "Factory | Path"], None]
_ask: ContextVar[Ask | None] = ContextVar("ask", default=None)


@contextmanager
def asking(ask: Ask) -> Iterator[None]:
    """Within it, whatever would run code of a user's calls ask(key, code) first, which raises where that must not be:
    `code` is the table of an import path, or the path of a topology's file."""
    before = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(before)


def _asked(key: str, code: Factory | Path) -> None:
    if ask := _ask.get():
        ask(key, code)


@dataclass(frozen=True)
class BuiltIn(Generic[SettingsT]):
    """What a table with a name stands for: one of netac's own algorithms, environments or networks.

    Attributes:
        package: where its module lies.
        name: as in the table.
        settings: its options, checked and complete.
        said_by: the key of the table that says what it is.
    """

    package: str
    name: str
    settings: SettingsT

    said_by: ClassVar[str] = "name"

    @property
    def called(self) -> str:
        """Its name."""
        return self.name

    @property
    def module(self) -> Any:
        """Its module."""
        return _loaded(self.package, self.name)

    def table(self) -> dict[str, Any]:
        """As a table of an experiment file."""
        return {"name": self.name, **self.settings.table()}

    def defaults(self) -> dict[str, Any]:
        """What the table says where it does not say it."""
        return self.settings.defaults()


class Factory(Options):
    """What a user's import path stands for: an environment or a network."""

    factory: str = Field(pattern=r"^[\w.]+:[\w.]+$", description='"package.module:function"')
    kwargs: dict[str, Any] = Field({}, description="its keyword arguments, besides those that netac gives")
    folder: str | None = Field(None, description=(
        "where the module is looked for besides Python's own path; by default the experiment file's folder"))

    said_by: ClassVar[str] = "factory"

    @property
    def called(self) -> str:
        """The import path."""
        return self.factory


def built_in(packages: str | Sequence[str], table: dict[str, Any], what: str, key: str,
             others: Iterable[str] = ()) -> BuiltIn:
    """The algorithm, environment or network (`what`) that the table { name, options } names.

    Args:
        key: the dotted key of the table, for messages.
        others: keys that may stand in the same table besides the options, for suggestions.

    Raises:
        InputError: there is none of that name, or an option is wrong.
    """
    name = table["name"]
    loaded = chosen(packages, name, what, f"{key}.name")
    options = {option: value for option, value in table.items() if option != "name"}
    return BuiltIn(_places(packages)[name], name, checked(loaded.Settings, options, key, others))


def chosen(packages: str | Sequence[str], name: object, what: str, key: str) -> ModuleType:
    """The module that the name at the dotted `key` of an experiment file stands for."""
    if not isinstance(name, str):
        raise InputError("should be a name", key=key, found=name, valid=", ".join(module_names(packages)))
    try:
        return module(packages, name, what)
    except InputError as error:
        raise error.located(key=key) from error.__cause__


def module_names(packages: str | Sequence[str]) -> list[str]:
    """Names of what a package, or several, offer; sorted package by package."""
    return list(_places(packages))


def module(packages: str | Sequence[str], name: str, what: str) -> ModuleType:
    """The module called `name`; InputError with the nearest name where there is none (`what` says what it is)."""
    places = _places(packages)
    if name not in places:
        raise InputError(f"there is no {what} called {name!r}{did_you_mean(name, list(places))}",
                         valid=", ".join(places))
    return _loaded(places[name], name)


def _loaded(package: str, name: str) -> ModuleType:
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def _places(packages: str | Sequence[str]) -> dict[str, str]:
    """The package of every name."""
    return {name: package for package in ([packages] if isinstance(packages, str) else packages)
            for name in _offered(tuple(importlib.import_module(package).__path__))}


@cache
def _offered(folder: tuple[str, ...]) -> list[str]:
    """Names of the modules in a package's folders, sorted."""
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))


def first_line(loaded: ModuleType) -> str:
    """First line of a module's docstring."""
    return (loaded.__doc__ or "").strip().partition("\n")[0]


def user_module(path: Path) -> ModuleType:
    """Runs a user's Python file, which may import its neighbours, and returns it as a module.

    Raises:
        InputError: it fails, which names file and line.
    """
    _asked("topology", path)
    spec = importlib.util.spec_from_file_location(f"netac_user_topology_{path.stem}", path)
    if spec is None or spec.loader is None:      # the ending is none of Python's
        raise InputError("is not a Python file", file=path, valid="a file whose name ends in .py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    try:
        with found_first(str(path.parent)):
            spec.loader.exec_module(loaded)
    except NetacError:
        raise
    except SyntaxError as error:
        file = error.filename or path
        raise InputError(f"is not valid Python: {error.msg}, line {error.lineno}", file=file) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        about, valid = _remedy(error, "")
        raise InputError(f"failed when loaded: {about or raised(error)}", file=path, valid=valid) from error
    return loaded


def import_path(factory: Factory, key: str) -> Any:
    """What the import path of the table `key`, "package.module:function", stands for; its folder comes first.

    Raises:
        InputError: it cannot be imported.
    """
    _asked(key, factory)
    name, _, attribute = factory.factory.partition(":")
    key = f"{key}.factory"
    try:
        with found_first(factory.folder, name):
            module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        source = Path(factory.folder or "", *name.split(".")).with_suffix(".py")
        if source.is_file():
            refuse_wide_text(source)
        about, valid = _remedy(error, name)
        raise InputError(f"cannot be imported: {about or raised(error)}", key=key, found=factory.factory,
                         valid=valid or 'an importable "package.module:function"') from error
    try:
        return operator.attrgetter(attribute)(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:     # a module may compute its attributes
        origin = getattr(module, "__file__", None)
        names = [each for each in vars(module) if not each.startswith("_") and callable(getattr(module, each, None))]
        raise InputError(f"cannot be imported: {raised(error)}{did_you_mean(attribute, names)}" + (
            f"; the module is {origin}" if origin else ""), key=key, found=factory.factory,
            valid='an importable "package.module:function"') from error


_folders: dict[str, dict[str, ModuleType]] = {}      # users' folders; their modules that have the names of others


@contextmanager
def found_first(folder: str | None, name: str = "") -> Iterator[None]:
    """Within it modules are looked for in `folder` before anywhere else, as Python does in a script's own folder.

    What `name` begins with is the folder's, if it has it; other modules that are imported already stay what they are.
    Afterwards a module of the folder that is called as one of Python's, or of a package, is out of others' way, and of
    two folders with modules of one name each keeps its own.

    Args:
        folder: None: Python's own path.
        name: the dotted name that is imported.
    """
    if folder is None:
        yield
        return
    folder = os.path.abspath(folder)
    offered = {found.name for found in pkgutil.iter_modules([folder])} - {"netac"}
    kept = _folders.setdefault(folder, {})
    others = _folders.keys() - {folder}
    _take(offered, lambda home: home in others)
    aside = _take(offered & {name.partition(".")[0], *kept}, lambda home: home != folder)
    sys.modules.update(kept)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        kept |= _take([top for top in offered if _is_elsewhere(top, folder)], lambda home: home == folder)
        sys.modules.update(aside)
        if folder not in sys.path:
            sys.path.append(folder)        # for what is imported later, in functions


def _take(tops: Iterable[str], lies: Callable[[str | None], bool]) -> dict[str, ModuleType]:
    """Takes those of `tops` that are imported, from a folder of which `lies` is true, and all within them, out of the
    imported modules."""
    taken: dict[str, ModuleType] = {}
    for top in tops:
        if top in sys.modules and lies(_home(sys.modules[top])):
            inner = [each for each in sys.modules if each == top or each.startswith(f"{top}.")]
            taken |= {each: sys.modules.pop(each) for each in inner}
    return taken


def _is_elsewhere(top: str, folder: str) -> bool:
    """Whether there is a module of this name besides that of the folder."""
    if top not in sys.modules:
        return False
    paths = [path for path in sys.path if os.path.abspath(path) != folder]
    found = None if top in sys.stdlib_module_names else PathFinder.find_spec(top, paths)
    return top in sys.stdlib_module_names or (found is not None and found.origin is not None)


def _home(module: ModuleType) -> str | None:
    """The folder in which a top-level module was found."""
    if paths := list(getattr(module, "__path__", ())):
        return os.path.dirname(os.path.abspath(paths[0]))
    file = getattr(module, "__file__", None)
    return os.path.dirname(os.path.abspath(file)) if file else None


def named(function: Callable) -> dict[str, inspect.Parameter]:
    """The parameters that the signature of a function or class names; none if it has no signature (some built-ins)."""
    with suppress(ValueError, TypeError):
        return {name: parameter for name, parameter in inspect.signature(function).parameters.items()
                if parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)}
    return {}


def call(function: Callable, factory: Factory, key: str, **offered: Any) -> Any:
    """Call a user's function, which `factory` stands for, with its kwargs and those of `offered` that it names."""
    parameters, own = named(function), factory.kwargs
    kwargs = {name: value for name, value in offered.items() if name in parameters} | own
    try:
        if parameters:
            inspect.signature(function).bind(**kwargs)
    except TypeError as error:
        raise InputError(f"cannot be called: {error}", key=f"{key}.kwargs", found=own,
                         valid=f"the keyword arguments of {factory.factory}; netac gives {', '.join(offered)} to a "
                               "function that names them") from None
    try:
        return function(**kwargs)
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        about, valid = _remedy(error, factory.factory)
        raise InputError(f"failed: {about or raised(error)}", key=f"{key}.factory", found=factory.factory,
                         valid=valid) from error


def _remedy(error: BaseException, importing: str) -> tuple[str | None, str | None]:
    """`netac.utils.dependencies.remedy`, which is loaded once something has failed."""
    from netac.utils.dependencies import remedy
    return remedy(error, importing)
