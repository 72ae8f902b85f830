"""An experiment that is refused, with what its message offers and the remedy made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REMOVED = object()      # in place of a value: without the key
HERE = "HERE"           # in place of the folder that `write_files` has filled


@dataclass(frozen=True)
class Case:
    """An experiment that is refused.

    Attributes:
        base: the experiment without what is wrong.
        wrong: dotted keys with what makes it so.
        offers: a part of what the message calls valid.
        remedy: dotted keys with what makes it right again.
    """

    base: dict[str, Any]
    wrong: dict[str, Any]
    offers: str
    remedy: dict[str, Any] = field(default_factory=dict)
