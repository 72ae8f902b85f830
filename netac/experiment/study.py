"""What a study varies: keys with their values, the cells that these make, and what a cell is called.

A cell is one experiment but for the seed.  Keys are those of an experiment file, dotted; `algorithm` and `topology` are
among them.  They come from `--algorithms`, `--vary KEY=V1,V2`, or the table [study] of the file:

    [study]
    seeds = 10
    vary = { topology = ["ring", "complete"], "algorithm.actor_step" = [0.02, 0.05] }       # every combination
    cells = [{ agents = 4, envs = 16 }, { agents = 8, envs = 8 }]                           # these, with each of them
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import Field

from netac.experiment import config
from netac.experiment.schema import as_table
from netac.results.cells import described
from netac.utils.errors import InputError
from netac.utils.options import Options, checked

ALGORITHM = "algorithm"
LONGEST = 80                     # characters of a cell's folder
OPENING, CLOSING, QUOTES = "[{(", "]})", "\"'"


class StudyTable(Options):
    """The table [study]."""

    seeds: int | None = Field(None, ge=1, le=10**6, description="runs of each cell, >= 1")
    vary: dict[str, Any] = Field({}, description=(
        'the values of each key, e.g. { topology = ["ring", "complete"], "algorithm.actor_step" = [0.02, 0.05] }'))
    cells: list[dict[str, Any]] = Field([], description=(
        "in place of combinations, or besides them: tables of keys with one value each"))


@dataclass(frozen=True)
class Cell:
    """One experiment of a study, but for the seed.

    Attributes:
        algorithm: its name; None: the file's.
        values: of the other keys that vary, dotted, as `--set` takes them.
    """

    algorithm: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Cell:
        """The cell with these values, "algorithm" among them."""
        others = {key: values[key] for key in sorted(values, key=_depth) if key != ALGORITHM}
        return cls(values.get(ALGORITHM), others)

    @property
    def told(self) -> dict[str, str]:
        """The values as tables show them, by key."""
        return {key: text_of(value) for key, value in self.values.items()}

    @property
    def plain(self) -> dict[str, Any]:
        """The values as columns of Python tables have them: numbers as they are, tables and lists as text."""
        return {key: value if isinstance(value, bool | int | float) else text_of(value)
                for key, value in self.values.items()}

    def folder(self, algorithm: str) -> str:
        """The name of its runs' folder: the algorithm, and what varies besides."""
        whole = ",".join([algorithm, *(f"{key}={value}" for key, value in self.told.items())])
        plain = "".join(letter if letter.isalnum() or letter in "._=,+-" else "_" for letter in whole)
        if plain == whole and len(whole) <= LONGEST and not whole.startswith("."):
            return whole
        mark = hashlib.sha256(whole.encode()).hexdigest()[:8]
        return f"{plain.lstrip('.')[:LONGEST]}-{mark}"

    def source(self, source: config.Source) -> config.Source:
        """The experiment file with the cell's values set."""
        return replace(source, overrides=config.nested(self.values, source.overrides)) if self.values else source

    def blamed(self, error: InputError) -> InputError:
        """An error in the cell's experiment, with where it is from."""
        own = [key for key in self.values if error.key and (error.key == key or error.key.startswith(f"{key}."))]
        if not self.values:
            return error
        told = described(self.algorithm or "", self.told)
        return InputError(f"{error.problem}, in the cell {told}", file="--vary" if own else error.file, key=error.key,
                          found=error.found, valid=error.valid)


@dataclass(frozen=True)
class Study:
    """The cells of a comparison.

    Attributes:
        keys: that vary besides the algorithm, in their order.
        cells: in the order in which they are shown.
        others: algorithms that are compared with those of the cells, too.
    """

    keys: tuple[str, ...]
    cells: tuple[Cell, ...]
    others: tuple[str, ...] = ()

    @property
    def algorithms(self) -> list[str]:
        """Those that are named."""
        return list(dict.fromkeys([*(cell.algorithm for cell in self.cells if cell.algorithm), *self.others]))


def plan(source: config.Source, algorithms: Sequence[str] | None = None,
         vary: Mapping[str, Sequence[Any]] | None = None, cells: Sequence[Mapping[str, Any]] = ()) -> Study:
    """What is to be compared: what is said here, besides what the file's table [study] says of other keys.

    Args:
        algorithms: short for `vary` with the key "algorithm".
        vary: values by key; every combination is a cell.
        cells: keys with one value each; with `vary`, each of them with every combination.

    Raises:
        InputError: nothing varies, a key has no values, or one twice, or is there twice.
    """
    table = table_of(source)
    axes: dict[str, list[Any]] = {}
    for where, given in (("--algorithms", {} if algorithms is None else {ALGORITHM: algorithms}),
                         ("--vary", dict(vary or {}))):
        for key, values in axes_of(given, where):
            if key in axes:
                raise InputError("is there twice", key=where, found=key, valid="every key once")
            axes[key] = values
    listed = [dict(_cell(cell)) for cell in cells or table.cells]
    taken = {*axes, *(key for cell in listed for key in cell)}
    axes = {key: values for key, values in axes_of(table.vary, "study.vary") if key not in taken} | axes
    for key in axes:
        if any(key in cell for cell in listed):
            raise InputError("varies, and is in the cells, too", key="study.cells", found=key, valid="one of the two")
    if not axes and not listed:
        raise InputError("a comparison needs something that varies", key="--vary",
                         valid="--algorithms cac,dac, --vary KEY=V1,V2, or a table [study]")
    order = sorted(axes, key=lambda key: (key != ALGORITHM, key.count("."))) if axes else []
    found = []
    for base, values in itertools.product(listed or [{}], itertools.product(*(axes[key] for key in order))):
        found.append(Cell.of(dict(zip(order, values, strict=True)) | base))
    names = [json.dumps([cell.algorithm, cell.told]) for cell in found]
    if twice := [cell for cell, name in zip(found, names, strict=True) if names.count(name) > 1]:
        raise InputError("is there twice", key="study.cells", found=twice[0].told, valid="every cell once")
    return Study(tuple(dict.fromkeys(key for cell in found for key in cell.values)), tuple(found))


def table_of(source: config.Source) -> StudyTable:
    """The table [study] of the file, or what stands for none.

    Raises:
        InputError: it is not as it should be.
    """
    given = source.tables.get(config.STUDY, {})
    try:
        return checked(StudyTable, as_table(given, config.STUDY), config.STUDY)
    except InputError as error:
        raise source.located(error) from None


def parse_vary(text: str) -> tuple[str, list[Any]]:
    """'KEY=V1,V2' of --vary: values as TOML, or as text where one is not TOML; commas within brackets part nothing."""
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise InputError("cannot be understood", key="--vary", found=text, valid="--vary KEY=VALUE,VALUE,...")
    return key.strip(), [config.parse_set(f"{key}={part}")[1] for part in _parted(values) if part.strip()]


def together(axes: Iterable[tuple[str, list[Any]]]) -> dict[str, list[Any]]:
    """Axes by key.

    Raises:
        InputError: two are of one key.
    """
    found: dict[str, list[Any]] = {}
    for key, values in axes:
        if key in found:
            raise InputError("is there twice", key="--vary", found=key, valid="every key once")
        found[key] = values
    return found


def text_of(value: Any) -> str:
    """A value as tables and folders show it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={text_of(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return str(value)


def _parted(text: str) -> list[str]:
    """Parts between commas that are in no brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter in QUOTES and (not quote or quote == letter):
            quote = "" if quote else letter
        elif not quote:
            depth += (letter in OPENING) - (letter in CLOSING)
        if letter == "," and not quote and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def axes_of(given: Mapping[str, Any], where: str, before: str = "") -> Iterable[tuple[str, list[Any]]]:
    """Keys with their values, `algorithm.name` as `algorithm`; tables within tables are dotted keys.

    Raises:
        InputError: a key has no values, or one twice, or cannot vary.
    """
    for name, values in given.items():
        key = before + name
        if isinstance(values, Mapping):
            yield from axes_of(values, where, f"{key}.")
            continue
        key = ALGORITHM if key == f"{ALGORITHM}.name" else key
        refuse_fixed(key, where)
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise InputError("should be a list of values", key=f"{where}: {key}", found=values, valid="[V1, V2, ...]")
        found = list(values)
        texts = [text_of(value) for value in found]
        if not found:
            raise InputError("has no values", key=where, found=key, valid="one at least")
        if twice := [text for text in texts if texts.count(text) > 1]:
            raise InputError("is named twice", key=where, found=f"{key}={twice[0]}", valid="every value once")
        yield key, found


def _cell(table: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    """Keys of a listed cell, `algorithm.name` as `algorithm`; tables stay values, but for [algorithm]'s."""
    for name, value in table.items():
        key = before + name
        if key == ALGORITHM and isinstance(value, Mapping):
            yield from _cell(value, f"{key}.")
            continue
        key = ALGORITHM if key == f"{ALGORITHM}.name" else key
        refuse_fixed(key, "study.cells")
        yield key, value


def refuse_fixed(key: str, where: str) -> None:
    """InputError where a key cannot vary from cell to cell."""
    if key == "seed":
        raise InputError("every cell has the same seeds", key=where, found=key,
                         valid="--seeds N, their number, and --set seed=K, the first")


def _depth(key: str) -> int:
    """Tables are set before what is in them."""
    return key.count(".")
