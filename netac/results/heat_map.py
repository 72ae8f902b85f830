"""Final rewards by two numbers that vary, as a map with a cell for every pair."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from netac.results.looks import is_number, varying
from netac.results.panels import LABELS, as_label
from netac.results.statistics import iqm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from netac.results.comparison import Shown

FEW = 64          # cells in which numbers can be read


def fits(shown: Shown) -> bool:
    """Whether exactly two things vary, and both are numbers."""
    return len(_places(shown)) == 2


def _places(shown: Shown) -> list[int]:
    """The two keys whose numbers vary; none where others do, too."""
    places = varying(shown)
    numeric = all(is_number(cell[place]) for cell in shown.cells.values() for place in places)
    return places if len(places) == 2 and numeric else []


def draw(panel: Axes, shown: Shown) -> None:
    """The map: interquartile means of final rewards over seeds; pairs without a run are left white."""
    across, up = _places(shown)
    columns, rows = (sorted({float(cell[place]) for cell in shown.cells.values()}) for place in (across, up))
    values = np.full((len(rows), len(columns)), math.nan)
    for name, cell in shown.cells.items():
        values[rows.index(float(cell[up])), columns.index(float(cell[across]))] = iqm(shown.final[name])
    image = panel.imshow(values, origin="lower", aspect="auto", cmap="viridis")
    panel.set(xticks=range(len(columns)), xticklabels=[f"{value:g}" for value in columns],
              yticks=range(len(rows)), yticklabels=[f"{value:g}" for value in rows],
              xlabel=as_label(shown.keys[across]), ylabel=as_label(shown.keys[up]))
    panel.grid(False)
    if values.size <= FEW:
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            value = values[row, column]
            panel.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=8,
                       color="white" if value < middle else "black")
    panel.figure.colorbar(image, ax=panel, label=LABELS["reward"] + ", last tenth")
