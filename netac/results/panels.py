"""What the pictures of learning curves are made of: panels, lines with their bands, axes, colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netac.results.statistics import iqm_interval
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KNOWN = ("cac", "dac", "mdac", "iac", "dnac")  # these keep their colour in every picture
LABELS = {
    "reward": "team-mean reward per step",
    "evaluation": "return of an evaluation's episodes",
    "J": "$J(\\theta)$",
    "grad_norm_sq": "$\\Vert\\nabla J(\\theta)\\Vert^2$",
    "critic_error": "critic error",
    "consensus_error": "consensus error",
}
LONGEST = 60              # characters of a name in a picture
HEIGHT, WIDTH = 3.6, 4.3  # of a panel, inches


def panels(counts: Sequence[int], titles: Sequence[str | None]) -> tuple[Figure, list[list[Axes]]]:
    """A figure with groups of panels, below each other: one group at most three in a row, several a row each.

    Args:
        counts: how many panels each group has.
        titles: above each.
    """
    from matplotlib.figure import Figure

    most = max(counts)
    wide = most if len(counts) > 1 else 2 if most == 4 else min(most, 3)
    high = -(-most // wide)
    figure = Figure(figsize=(wide * WIDTH, len(counts) * (high * HEIGHT + 0.3)), layout="constrained")
    parts = [figure] if len(counts) == 1 else list(figure.subfigures(len(counts), 1, squeeze=False)[:, 0])
    for part, title in zip(parts, titles, strict=True):
        if title:
            part.suptitle(as_label(title), fontsize=11)
    return figure, [[part.add_subplot(high, wide, k + 1) for k in range(count)]
                    for part, count in zip(parts, counts, strict=True)]


def draw_band(panel: Axes, x: np.ndarray, values: np.ndarray, colour: str, label: str | None, dash: str = "-",
              positive: bool = False, band: bool = True) -> None:
    """The interquartile mean over seeds of values, shape (seeds, points), and with `band` its 95 % interval.

    With `positive` points of value 0 are left out, as long as others remain: a logarithmic axis has no place for them.
    """
    estimate, low, high = iqm_interval(values)
    if positive and (shown := estimate > 0).any():
        x, estimate, low, high = x[shown], estimate[shown], low[shown], high[shown]
    panel.plot(x, estimate, dash, color=colour, linewidth=1.6, label=label, marker="o" if len(x) == 1 else None)
    if band and len(values) > 1:
        panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def finish(panel: Axes, x_label: str, column: str, whole: bool = True) -> None:
    """Names of the axes, x from 0 on; `whole`: numbers along x are."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    panel.set(xlabel=x_label, ylabel=label_of(column))
    panel.set_xlim(left=0)
    if not whole:
        return
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=(1, 2, 5, 10)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def styles(algorithms: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a dash for each: no two alike, and as long as there are colours all lines are solid."""
    known = dict(zip(KNOWN, PALETTE, strict=False))
    names = list(algorithms)
    first = [*PALETTE[len(KNOWN):], *(colour for name, colour in known.items() if name not in names)]
    free = itertools.chain(((colour, "-") for colour in first),
                           ((colour, dash) for dash in itertools.cycle(("--", ":", "-.")) for colour in PALETTE))
    return {name: (known[name], "-") if name in known else next(free) for name in names}


def label_of(column: str) -> str:
    """What an axis is called that shows a column of metrics.csv."""
    return LABELS.get(column, as_label(column.replace("_", " ")))


def as_label(text: str) -> str:
    """A name from a file as a picture can show it: its end, where it is long, and as it is, where it looks like a
    formula."""
    cut = text if len(text) <= LONGEST else "..." + text[3 - LONGEST:]
    return "".join(char if char.isprintable() else "?" for char in cut).replace("$", r"\$")


def counted(number: int, what: str) -> str:
    """"1 seed", "5 seeds"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
