"""One file per algorithm, environment, topology and weight rule: found by scanning a package, only the chosen one loaded.

A name is its module's file name with - for _ ("periodic-complete" is `periodic_complete.py`); modules whose name starts
with _ are helpers.  A user's .py file is loaded by path and holds exactly what a built-in module holds.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from netac.utils.errors import InputError, NetacError, did_you_mean

EXTRAS = {**dict.fromkeys(("gymnasium", "mpe2", "pettingzoo", "pygame"), "pettingzoo"),         # what brings a package
          **dict.fromkeys(("gymnasium_robotics", "mujoco"), "mamujoco")}


def module_names(packages: str | Sequence[str]) -> list[str]:
    """Names of what a package, or several, offer; sorted package by package."""
    return list(_places(packages))


def module(packages: str | Sequence[str], name: str, what: str) -> ModuleType:
    """The module called `name`; InputError with the nearest name where there is none (`what` says what it is)."""
    places = _places(packages)
    if name not in places:
        raise InputError(f"there is no {what} called {name!r}{did_you_mean(name, list(places))}", valid=", ".join(places))
    return importlib.import_module(f"{places[name]}.{name.replace('-', '_')}")


def _places(packages: str | Sequence[str]) -> dict[str, str]:
    """The package of every name."""
    found = {}
    for package in [packages] if isinstance(packages, str) else packages:
        folder = importlib.import_module(package).__path__
        names = sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))
        found |= dict.fromkeys(names, package)
    return found


def first_line(loaded: ModuleType) -> str:
    """First line of a module's docstring."""
    return (loaded.__doc__ or "").strip().partition("\n")[0]


def user_module(path: Path) -> ModuleType:
    """Runs a user's Python file and returns it as a module; InputError naming file and line where that fails."""
    spec = importlib.util.spec_from_file_location(f"netac_user_topology_{path.stem}", path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except NetacError:
        raise
    except SyntaxError as error:
        raise InputError(f"is not valid Python: {error.msg}, line {error.lineno}", file=path) from error
    except (Exception, SystemExit) as error:
        raise InputError(f"failed when loaded: {type(error).__name__}: {error}", file=path) from error
    return loaded


def import_path(spec: dict, key: str) -> Any:
    """What the `factory` of a table stands for."""
    module_name, _, function_name = spec["factory"].partition(":")
    if spec.get("folder") and spec["folder"] not in sys.path:
        sys.path.append(spec["folder"])
    try:
        found = importlib.import_module(module_name)
        for part in function_name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot be imported: {type(error).__name__}: {error}", key=f"{key}.factory", found=spec["factory"],
                         valid=_extra(error) or 'an importable "package.module:function"') from error
    return found


def named(function: Callable) -> dict[str, inspect.Parameter]:
    """The parameters that the signature of a function or class names; none if it has no signature, as some built-in ones."""
    with suppress(ValueError, TypeError):
        return {name: parameter for name, parameter in inspect.signature(function).parameters.items()
                if parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)}
    return {}


def call(function: Callable, spec: dict, key: str, **offered: Any) -> Any:
    """Call a user's function with its kwargs and those of `offered` that it names."""
    parameters, own = named(function), dict(spec.get("kwargs") or {})
    kwargs = {name: value for name, value in offered.items() if name in parameters} | own
    try:
        if parameters:
            inspect.signature(function).bind(**kwargs)
    except TypeError as error:
        raise InputError(f"cannot be called: {error}", key=f"{key}.kwargs", found=own,
                         valid=f"the keyword arguments of {spec['factory']}; netac gives {', '.join(offered)} to a function "
                               "that names them") from None
    try:
        return function(**kwargs)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"failed: {type(error).__name__}: {error}", key=f"{key}.factory", found=spec["factory"],
                         valid=_extra(error)) from error


def _extra(error: BaseException) -> str | None:
    """How to get the package whose lack is the error, if one of netac's extras brings it."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return f'pip install "netac[{EXTRAS[package]}]"' if package in EXTRAS else None
