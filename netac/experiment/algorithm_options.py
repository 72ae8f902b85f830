"""What an algorithm finds of its options in the table [algorithm]: file < [algorithm.NAME] < --set.

Other algorithms are loaded only where their options are asked for: by a table [algorithm.OTHER], or a key that the
chosen one does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netac.experiment.schema import ALGORITHMS, as_table
from netac.utils import plugins
from netac.utils.errors import InputError, did_you_mean
from netac.utils.options import checked
from netac.utils.plugins import BuiltIn

LENGTH = ("iterations", "envs", "log_every", "checkpoint_every", "evaluate_every")         # in [algorithm.NAME], too


def algorithm_options(name: str, file_table: dict, set_table: dict, compared: Sequence[str] = ()) -> BuiltIn:
    """Algorithm `name` with its options, complete and checked.

    Options that only another algorithm knows are left out (from `--set`: only another of the compared ones).

    Raises:
        InputError: there is no such algorithm, no algorithm knows a key, or a value does not hold.
    """
    for each in (name, *compared):
        plugins.chosen(ALGORITHMS, each, "algorithm", "algorithm.name")
    everyone = plugins.module_names(ALGORITHMS)
    options: dict[str, Any] = {}
    for table, heard in ((file_table, everyone), (set_table, [each for each in everyone if each in (name, *compared)])):
        general = {key: value for key, value in table.items() if key != "name" and key not in everyone}
        for key, value in general.items():
            if key in _known(name):
                options[key] = value
            elif not any(key in _known(other) for other in heard):
                known = sorted({key for other in heard for key in _known(other)})
                raise InputError(f"unknown key{did_you_mean(key, [*known, *everyone])}", key=f"algorithm.{key}",
                                 valid=", ".join(["name", *known]))
        for other in everyone:
            if other in table:
                own = _of_one(other, table[other])
                if other == name:
                    options |= own
                else:
                    shared = {key: value for key, value in general.items() if key in _known(other)}
                    checked(_settings(other), shared | own, f"algorithm.{other}")
    return plugins.built_in(ALGORITHMS, {**options, "name": name}, "algorithm", "algorithm")


def of_length(table: dict, name: object) -> tuple[dict, dict]:
    """The table [algorithm] without the keys `LENGTH`, and what it says of them for algorithm `name`.

    Algorithms differ by far in the samples of an iteration, so that [algorithm.NAME] may say how many there are, and
    of how many games.
    """
    others = {key: {k: v for k, v in value.items() if k not in LENGTH} if isinstance(value, Mapping) else value
              for key, value in table.items()}
    own = table.get(name) if isinstance(name, str) else None
    return others, {k: v for k, v in own.items() if k in LENGTH} if isinstance(own, Mapping) else {}


def _of_one(other: str, table: Any) -> dict[str, Any]:
    """The table [algorithm.OTHER], of keys that the algorithm knows."""
    own, known = as_table(table, f"algorithm.{other}"), _known(other)
    for key in own:
        if key not in known:
            raise InputError(f"unknown key{did_you_mean(key, known)}", key=f"algorithm.{other}.{key}",
                             valid=", ".join(known))
    return own


def _settings(name: str) -> Any:
    return plugins.module(ALGORITHMS, name, "algorithm").Settings


def _known(name: str) -> list[str]:
    return list(_settings(name).model_fields)
