"""Packages that are missing, or of another version than is needed, and how to get them.

Asked only once something has failed, since reading what is installed takes time.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from netac.utils.errors import did_you_mean

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {**dict.fromkeys(("gymnasium", "mpe2", "pettingzoo", "pygame"), "pettingzoo"),         # what brings a package
          **dict.fromkeys(("gymnasium_robotics", "mujoco"), "mamujoco"), "torch": "torch", "mpi4py": "mpi",
          **dict.fromkeys(("libsumo", "sumo_rl", "sumolib", "traci"), "traffic"),
          **dict.fromkeys(("flax", "jax", "jaxlib", "jaxmarl"), "smax"), "tensorboardX": "tensorboard",
          "cvxpy": "fastest", "optuna": "tune"}


def unfit() -> tuple[str, str] | None:
    """A package that netac needs in another version than is installed, in words, and the command that mends it.

    Of the packages that an extra brings, those that are installed count as well.
    """
    for needed in _requirements("netac"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(needed.name)
            if not needed.specifier.contains(found, prereleases=True):
                wanted = f"{needed.name}{needed.specifier}"
                return f"{needed.name} {found} is installed, and netac needs {wanted}", f'pip install "{wanted}"'
    return None


def remedy(error: BaseException, importing: str) -> tuple[str | None, str | None]:
    """What is behind an error while something was imported, in words, and what would mend it; None where it is unknown.

    Args:
        importing: the dotted name of what was being imported.
    """
    if not isinstance(error, ImportError | AttributeError | TypeError):
        return None, None
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package in EXTRAS and not _is_installed(package):
            return None, f'pip install "netac[{EXTRAS[package]}]"'
        if package != error.name and _is_installed(package):
            return _without(error.name)
        if brought := _extra_of(importing.partition(".")[0], package):
            return None, brought
    return unfit() or (None, None)


def distribution_of(package: str) -> str | None:
    """The name and version of the distribution that a top-level package came with."""
    for name in importlib.metadata.packages_distributions().get(package, ()):
        return f"{name} {importlib.metadata.version(name)}"
    return None


def _without(missing: str) -> tuple[str, str | None]:
    """A module that an installed package does not have, and those beside its place."""
    package, last = missing.rpartition(".")[::2]
    while package and not _is_importable(package):
        package, last = package.rpartition(".")[::2]
    beside = sorted(f"{package}.{found.name}" for found in pkgutil.iter_modules(sys.modules[package].__path__)
                    if not found.name.startswith("_")) if hasattr(sys.modules.get(package), "__path__") else []
    installed = distribution_of(package.partition(".")[0]) or package
    hint = did_you_mean(f"{package}.{last}", beside)
    return f"{installed} is installed and has no such module{hint}", ", ".join(beside[:12]) or None


def _is_importable(name: str) -> bool:
    with suppress(Exception, SystemExit):
        importlib.import_module(name)
    return name in sys.modules


def _is_installed(package: str) -> bool:
    """Whether a top-level package is there, imported or not (tests put None in the place of some that are)."""
    if package in sys.modules:
        return sys.modules[package] is not None
    with suppress(ImportError, ValueError):
        return importlib.util.find_spec(package) is not None
    return False


def _extra_of(importing: str, missing: str) -> str | None:
    """The command that brings a missing package, if the distribution of what was imported has an extra for it."""
    for name in importlib.metadata.packages_distributions().get(importing, ()):
        for needed in _requirements(name):
            extra = re.search(r"""extra == ['"]([^'"]+)['"]""", str(needed.marker or ""))
            if extra and needed.name.lower().replace("-", "_").startswith(missing.lower()):
                return f'pip install "{name}[{extra[1]}]"'
    return None


def _requirements(distribution: str) -> Iterator[Requirement]:
    """What a distribution says that it needs; nothing where that cannot be read."""
    with suppress(ImportError, importlib.metadata.PackageNotFoundError):
        from packaging.requirements import InvalidRequirement, Requirement
        for text in importlib.metadata.requires(distribution) or ():
            with suppress(InvalidRequirement):
                yield Requirement(text)
