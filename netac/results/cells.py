"""The cells of a comparison: what they are called, and `study.json`, which tells of the folders of their runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netac.utils.errors import InputError
from netac.utils.files import atomic_write, load_json

STUDY = "study.json"
RUNS = "runs"                 # the folder of its runs: RUNS/CELL/seed-000


@dataclass(frozen=True)
class CellRecord:
    """What `study.json` tells of a cell.

    Attributes:
        algorithm: its name.
        values: what else varies, as tables show it, by key.
        iterations: of its runs.
    """

    algorithm: str
    values: dict[str, str]
    iterations: int


@dataclass(frozen=True)
class StudyRecord:
    """What `study.json` tells.

    Attributes:
        keys: that vary besides the algorithm.
        cells: by the names of their folders, in the order in which they are shown.
        budget: what every run may spend, None if that is a number of iterations.
    """

    keys: tuple[str, ...] = ()
    cells: dict[str, CellRecord] = field(default_factory=dict)
    budget: str | None = None


def called(algorithm: str, values: Mapping[str, str]) -> str:
    """A cell's name: the algorithm's, and the values of what varies besides."""
    return ", ".join([algorithm, *filter(None, values.values())])


def described(algorithm: str, values: Mapping[str, str]) -> str:
    """A cell as it was asked for: the algorithm, and what varies besides with its keys; what is empty is left out."""
    return ", ".join(filter(None, [algorithm, *(f"{key}={value}" for key, value in values.items() if value)]))


def of_row(row: Mapping[str, Any], first: str = "seed") -> dict[str, Any]:
    """The columns of a row of a comparison's table that name its cell: those before `first`."""
    return dict(itertools.takewhile(lambda column: column[0] != first, row.items()))


def write_study(folder: Path, study: StudyRecord) -> None:
    """Write `study.json`; cells of an earlier comparison in the same folder stay in it, behind these."""
    before = read_study(folder).cells
    cells = study.cells | {name: cell for name, cell in before.items() if name not in study.cells}
    told = {"keys": list(study.keys), "budget": study.budget,
            "cells": [{"folder": name, "algorithm": cell.algorithm, "values": cell.values,
                       "iterations": cell.iterations} for name, cell in cells.items()]}
    atomic_write(folder / STUDY, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def read_study(folder: Path) -> StudyRecord:
    """What `study.json` tells; without keys and cells where there is none.

    Raises:
        InputError: it is damaged.
    """
    file = folder / STUDY
    if not file.exists():
        return StudyRecord()
    told = load_json(file)
    try:
        cells = {_text(cell["folder"]): CellRecord(_text(cell["algorithm"]), _texts(cell["values"]),
                                                   int(cell["iterations"])) for cell in told["cells"]}
        return StudyRecord(tuple(map(_text, told["keys"])), cells, told["budget"] and _text(told["budget"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is damaged: {error!r}", file=file, valid="as netac compare has written it") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(table: Any) -> dict[str, str]:
    return {_text(key): _text(value) for key, value in table.items()}

