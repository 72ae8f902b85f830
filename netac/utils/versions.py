"""Versions of installed packages, read once and without parsing all that is told of a package."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution


@cache
def version(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        told = distribution(package).read_text("METADATA")
    except PackageNotFoundError:
        return None
    found = re.search(r"^Version: *(\S+)", told or "", re.MULTILINE)
    return found[1] if found else distribution(package).version
