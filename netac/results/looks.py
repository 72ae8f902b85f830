"""How the cells of a study look in pictures: what lines are called, their colours and dashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netac.results.panels import styles

if TYPE_CHECKING:
    from netac.results.comparison import Shown

MANY = 12         # cells beyond which bands, bars and pairs cannot be told apart any more
MOST = 24         # cells whose lines are drawn: those that end best
DASHES = ("-", "--", ":", "-.")


def varying(shown: Shown) -> list[int]:
    """Which of the keys differ from cell to cell; the first if none does, or if it is not known."""
    cells = list(shown.cells.values())
    return [place for place in range(len(shown.keys)) if len({cell[place] for cell in cells}) > 1] or [0]


def labels_of(shown: Shown) -> dict[str, str]:
    """What each line is called: what differs from cell to cell, algorithms in capitals."""
    places = varying(shown)
    numbers = [place for place in places if all(is_number(cell[place]) for cell in shown.cells.values())]

    def label(name: str) -> str:
        cell = shown.cells.get(name, (name,))
        parts = [f"{shown.keys[place].rpartition('.')[2]} {cell[place]}" if place in numbers
                 else cell[place].upper() if place == 0 else cell[place] for place in places]
        return ", ".join(filter(None, parts))

    return {name: label(name) for name in shown.curves}


def styles_of(shown: Shown) -> dict[str, tuple[str, str]]:
    """A colour and a dash for each cell.

    Where several keys vary, the last one that has at most four values tells the dash, the others the colour; else no
    two colours are alike as long as there are some.
    """
    places, cells = varying(shown), {name: shown.cells.get(name, (name,)) for name in shown.curves}
    values = {place: list(dict.fromkeys(cell[place] for cell in cells.values())) for place in places}
    dashed = next((place for place in reversed(places) if len(places) > 1 and len(values[place]) <= len(DASHES)), None)
    coloured = {name: ", ".join(cell[place] for place in places if place != dashed) for name, cell in cells.items()}
    looks = styles(dict.fromkeys(coloured.values()))
    return {name: (looks[coloured[name]][0], looks[coloured[name]][1] if dashed is None
                   else DASHES[values[dashed].index(cell[dashed])]) for name, cell in cells.items()}


def is_number(text: str) -> bool:
    """Whether a value, as tables show it, is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
