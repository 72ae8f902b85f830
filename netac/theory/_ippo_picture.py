"""The picture of ippo-and-mappo: total variations, clip ranges, and the two critics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netac.results.statistics import mean_interval
from netac.theory._claims import Row
from netac.theory._clip_runs import KINDS, RULES, Cells, Moved
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#555555"
STYLES = dict(zip(KINDS, ("o-", "^:"), strict=True))


def draw(updates: Sequence[Moved], cells: Cells, directions: Sequence[Row],
         noise: Mapping[str, np.ndarray]) -> Figure:
    """Figures 1b, 2 with 6, and 3, a row of two panels and four."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.0, 7.8), layout="constrained")
    panels = figure.subplots(2, 3)
    _by_clip(panels[0, 0], [one for one in updates if one.rule == "five agents"])
    _by_agents(panels[0, 1], updates)
    _ends(panels[0, 2], cells)
    _losses(panels[1, 0], cells)
    _differences(panels[1, 1], directions)
    _ascents(panels[1, 2], noise)
    return figure


def _by_clip(panel: Axes, updates: Sequence[Moved]) -> None:
    for colour, one in zip(PALETTE, updates, strict=False):
        label = "no clipping" if np.isinf(one.epsilon) else rf"$\epsilon$ = {one.epsilon:g}"
        _cumulative(panel, one, colour, "-", label)
    panel.set(xlim=(0, 0.85), title="One update of five agents, by clip range (1b)")
    panel.legend(loc="lower right")


def _by_agents(panel: Axes, updates: Sequence[Moved]) -> None:
    sizes = sorted({one.agents for one in updates if one.rule in RULES})
    colours = dict(zip(sizes, PALETTE, strict=False))
    for one in updates:
        if one.rule in RULES:
            fixed = one.rule == RULES[0]
            _cumulative(panel, one, colours[one.agents], "-" if fixed else ":", f"N = {one.agents}" if fixed else None)
    panel.set(xlim=(0, 0.3), title=r"... by agents: $\epsilon$ = 0.2 (solid), 0.4 / N (dotted)")
    panel.legend(loc="lower right")


def _cumulative(panel: Axes, one: Moved, colour: str, style: str, label: str | None) -> None:
    tvs = np.sort(one.tvs.ravel())
    panel.step([0.0, *tvs, 1.0], [0.0, *(100.0 * np.arange(1, len(tvs) + 1) / len(tvs)), 100.0], style, where="post",
               color=colour, label=label)
    panel.set(xlabel="an agent's largest total variation", ylabel="agents and updates below, %")


def _ends(panel: Axes, cells: Cells) -> None:
    """The last score with its interval."""
    for colour, n, clips in _lines(cells):
        for kind, style in STYLES.items():
            found = [mean_interval(cells[n, clip, kind].final) for clip in clips]
            panel.plot(clips, [one.estimate for one in found], style, ms=4, color=colour,
                       label=f"N = {n}" if kind == KINDS[0] else None)
            if kind == KINDS[0]:
                panel.vlines(clips, [one.low for one in found], [one.high for one in found], color=colour)
    _clip_axis(panel, cells)
    panel.set(ylabel="score at the end", title="Clipping each agent's ratio (solid), the joint one (dotted)")
    panel.legend(loc="lower right")


def _losses(panel: Axes, cells: Cells) -> None:
    for colour, n, clips in _lines(cells):
        for kind, style in STYLES.items():
            panel.plot(clips, [cells[n, clip, kind].lost.mean() for clip in clips], style, ms=4, color=colour)
    _clip_axis(panel, cells)
    panel.set(ylabel="score lost in iterations that lowered it", title="Where the return is not monotonic (2)")


def _lines(cells: Cells) -> list[tuple[str, int, list[float]]]:
    clips = sorted({epsilon for _, epsilon, _ in cells})
    return [(colour, n, clips) for colour, n in zip(PALETTE, sorted({n for n, *_ in cells}), strict=False)]


def _clip_axis(panel: Axes, cells: Cells) -> None:
    clips = sorted({key[1] for key in cells})
    panel.set_xscale("log")
    panel.set_xticks(clips, labels=[f"{clip:g}" for clip in clips])
    panel.minorticks_off()
    panel.set_xlabel(r"clip range $\epsilon$")


def _differences(panel: Axes, rows: Sequence[Row]) -> None:
    below = [row for row in rows if row["lambda"] < 1]          # at 1 it is rounding
    places = [1.0 - row["lambda"] for row in below]
    for colour, name, style in zip(PALETTE, ("random, median", "random, largest", "through noise"), ("o-", "o--", "s-"),
                                   strict=False):
        panel.loglog(places, [row[name] for row in below], style, ms=4, color=colour, label=name)
    panel.set_xticks(places, labels=[f"{row['lambda']:g}" for row in below])
    panel.minorticks_off()
    panel.invert_xaxis()
    panel.set(xlabel=r"$\lambda$ of TD and GAE", ylabel="|difference| / |exact direction|",
              title=r"IPPO and MAPPO: one at $\lambda$ = 1")
    panel.legend()


def _ascents(panel: Axes, noise: Mapping[str, np.ndarray]) -> None:
    for colour, (name, J) in zip(PALETTE, noise.items(), strict=False):
        panel.plot(J, "--" if name == "MAPPO" else "-", color=GREY if name == "MAPPO" else colour,
                   lw=2.5 if name == "MAPPO" else 1.5, label=name)
    panel.set(xlabel="steps", ylabel="J", title="A slow state seen through noise (3)")
    panel.legend(loc="center right")
