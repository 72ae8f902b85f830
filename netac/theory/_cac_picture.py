"""The picture of `cac_rates`: three errors against T with what makes them, the grid of step sizes, and the slopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.theory._claims import Row
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#555555"
SHORT = {"critic": "critics", "consensus": "disagreement", "gradient": "gradient"}


def draw(found: Mapping[str, Any], floor: float, forecast: Sequence[Row], grid: Sequence[Row]) -> Figure:
    """The panels that there is something for.

    Args:
        found: `cac_rates.Found` by the variants' names.
        floor: eps_sp; 0: not known.
        forecast, grid: rows of these tables, or none.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 8.0), layout="constrained")
    critic, far, follow, consensus, gradient, slopes = figure.subplots(2, 3).ravel()
    colours = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(found)}
    for panel, quantity in ((critic, "critic"), (consensus, "consensus"), (gradient, "gradient")):
        for name, each in found.items():
            panel.errorbar(each.T, each.means(quantity), 1.96 * each.errors(quantity), fmt="o", ms=3.5, lw=1.2,
                           color=colours[name], label=name)
    each = max(found.values(), key=lambda one: (one.variant.topology == "complete", one.variant.sampling == "markov",
                                                len(one.T)))
    if each.terms:
        critic.plot(each.T, [terms.total for terms in each.terms], "-", color=GREY, lw=1, label="transient + floor")
    consensus.plot(each.T, each.means("exchange"), "-", color=GREY, lw=1,
                   label=rf"$\alpha^2\,E\,\|Qg\|^2$, {each.variant.name}")
    if floor > 0:
        gradient.axhline(floor, color=GREY, lw=1, ls=":", label=r"$\epsilon_{sp}$, computed")
    for panel, title in ((critic, "critics: distance to the TD fixed point"),
                         (consensus, "disagreement over the shared policy"), (gradient, "gradient, squared")):
        panel.set(xscale="log", yscale="log", xlabel="iterations T", ylabel="average over a run", title=title)
    critic.legend(fontsize=7)
    consensus.legend(fontsize=7, handles=consensus.lines[-1:])
    gradient.legend(fontsize=7, handles=gradient.lines[-1:] if floor > 0 else [])
    _forecast(far, forecast)
    _pursuit(follow, grid)
    _slopes(slopes, found, colours)
    return figure


def _forecast(panel: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        panel.set_axis_off()
        return
    T = np.array([row["T"] for row in rows])
    for name, colour, style in (("transient", PALETTE[0], "--"), ("floor", PALETTE[1], "--"), ("sum", "black", "-")):
        panel.loglog(T, [row[name] for row in rows], style, color=colour, lw=1.4, label=name)
    panel.set(xlabel="iterations T", ylabel="critics' error, exact",
              title="two terms: slope $-3/5$ until the floor\n($-2/5$) takes over")
    panel.legend(fontsize=8)


def _pursuit(panel: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        panel.set_axis_off()
        return
    kinds = ((r"$\sigma_1 > \sigma_2$", PALETTE[0], 1), (r"$\sigma_1 = \sigma_2$", GREY, 0),
             (r"$\sigma_1 < \sigma_2$", PALETTE[1], -1))
    for label, colour, sign in kinds:
        for k, pair in enumerate(sorted({(row["sigma_1"], row["sigma_2"]) for row in rows
                                         if np.sign(row["sigma_1"] - row["sigma_2"]) == sign})):
            course = [row for row in rows if (row["sigma_1"], row["sigma_2"]) == pair]
            panel.loglog([row["T"] for row in course], [row["over_floor"] for row in course], "o-", color=colour, ms=4,
                         lw=1.2, label=label if k == 0 else None)
            if sign < 0:
                panel.annotate("{:g}, {:g}".format(*pair), (course[-1]["T"], course[-1]["over_floor"]), fontsize=8,
                               xytext=(5, -2), textcoords="offset points")
    panel.axhline(1.0, color=GREY, lw=1, ls=":")
    T = sorted({row["T"] for row in rows})
    panel.set(xlabel="iterations T", ylabel="error / floor", title="critics that begin right and follow the actor")
    panel.set_xticks(T, [f"{each:,}" for each in T])
    panel.minorticks_off()
    panel.set_yticks([1, 2, 4], ["1", "2", "4"])
    panel.margins(x=0.25)
    panel.legend(fontsize=8)


def _slopes(panel: Axes, found: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    names = [(quantity, name) for quantity in SHORT for name in found]
    for place, (quantity, name) in enumerate(names):
        slope = found[name].laws[quantity].slope
        panel.plot([slope.low, slope.high], [place, place], color=colours[name], lw=2)
        panel.plot(slope.estimate, place, "o", color=colours[name], ms=4)
    for power in (-0.4, -1.2):
        panel.axvline(power, ls="--", lw=1, color=GREY)
    panel.set(yticks=range(len(names)), xlabel="slope, 95 % interval", title="slopes beside $-2/5$ and $-6/5$")
    panel.set_yticklabels([f"{SHORT[quantity]}: {name}" for quantity, name in names], fontsize=6.5)
    panel.invert_yaxis()
