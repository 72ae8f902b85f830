"""Text with fields in lines: which separator, which comments, which header."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

SPACES = " "
"""Stands for white space and commas in any number."""
NAMED = {"source": "target", "from": "to", "src": "dst", "node1": "node2", "node_1": "node_2", "from_node": "to_node",
         "fromnodeid": "tonodeid", "start": "end", "sender": "receiver", "tail": "head"}
"""What headers call the two ends of an edge."""
_WORD = re.compile(r'"(?P<quoted>[^"]*)"|(?P<plain>[^\s,]+)')
_QUOTES_OR_HASH = re.compile(r'"[^"]*"|#')
_OF_NUMPY = re.compile(r"\bnp\.\w+\(([^()]*)\)")


@dataclass(frozen=True)
class Row:
    """One line of a file that holds more than a comment.

    Args:
        number: of the line, from 1.
        text: the line.
        cells: its fields.
        data: the attributes that networkx wrote behind them, {'weight': 0.5}; None where there are none.
    """

    number: int
    text: str
    cells: tuple[str, ...]
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class Header:
    """The names of a file's columns: where an edge's two ends stand, and its attributes."""

    ends: tuple[int, int] = (0, 1)
    attributes: dict[int, str] = field(default_factory=lambda: {2: "weight"})


def rows(text: str, separators: Sequence[str], score: Callable[[list[Row]], int]) -> list[Row]:
    """The rows of a text, split by the one of `separators` for which they score most; the first one of equals."""
    lines = list(io.StringIO(text, newline=None))
    split = [[row for number, line in enumerate(lines, start=1) if (row := _row(number, line, separator))]
             for separator in separators if separator == SPACES or separator in text]
    return max(split, key=score, default=[])


def header_of(first: Row, others: Sequence[Row]) -> Header | None:
    """The header that the first row is, if it is one.

    It names both ends of an edge as `NAMED` does, or stands above nothing but numbers ("u v"), or has words where the
    others have weights; and no other row mentions its names.
    """
    names = [cell.strip().lower() for cell in first.cells]
    if not others or len(names) < 2 or first.data is not None:
        return None
    known = next(((names.index(one), names.index(other)) for one, other in NAMED.items()
                  if one in names and other in names), None)
    ends = known or (0, 1)
    below = {row.cells[at] for row in others for at in ends if at < len(row.cells)}
    if below & {first.cells[at] for at in ends} or any(number_of(name) is not None for name in names):
        return None
    numbers = all(label.isdecimal() for label in below)
    weights = len(names) > 2 and all(len(row.cells) > 2 and number_of(row.cells[2]) is not None for row in others)
    if not (known or numbers or weights):
        return None
    if len(names) == 2:
        return Header(ends)
    return Header(ends, {at: "weight" if name in ("weight", "w") else first.cells[at].strip()
                         for at, name in enumerate(names) if at not in ends})


def number_of(text: str) -> float | None:
    """The number that a field holds, finite or not, be it with a decimal comma; None where it holds another text."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _row(number: int, line: str, separator: str) -> Row | None:
    """The row of a line, None where it holds nothing but a comment."""
    rest, data = _split_data(line.strip())
    if data is None:
        rest, data = _split_data(_without_comment(line, separator).strip())
    if not rest:
        return None
    if separator == SPACES:
        cells = [found["plain"] if found["quoted"] is None else found["quoted"] for found in _WORD.finditer(rest)]
    else:
        cells = _between(rest, separator)
        cells = cells[:-1] if data is not None and cells[-1] == "" else cells      # the separator before the data
    return Row(number, line.strip(), tuple(cells), data) if cells else None


def _between(text: str, separator: str) -> list[str]:
    """The fields between separators, with quotes as in CSV; the whole text where it is none."""
    try:
        fields = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True))
        return [field.strip() for field in fields]
    except csv.Error:
        return [text]


def _without_comment(line: str, separator: str) -> str:
    """The line up to a # at its beginning or after white space; between separators, one with white space around it.

    A # within quotes starts none.
    """
    for found in _QUOTES_OR_HASH.finditer(line):
        before, after = line[:found.start()], line[found.end():]
        alone = separator == SPACES or after[:1] in (" ", "\t")
        if found[0] == "#" and (not before.strip() or (before[-1].isspace() and alone)):
            return before
    return line


def _split_data(line: str) -> tuple[str, dict[str, Any] | None]:
    """A line without the dictionary at its end, and the dictionary as Python's literals spell it."""
    at = line.find("{") if line.endswith("}") else -1
    while at >= 0:
        try:
            data = ast.literal_eval(_OF_NUMPY.sub(r"\1", line[at:]))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            at = line.find("{", at + 1)
            continue
        return (line[:at].rstrip(), data) if isinstance(data, dict) else (line, None)
    return line, None
