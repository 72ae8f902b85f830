"""The picture of `unreliable_consensus`: measured points on predicted lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netac.theory._unreliable_runs import Late, WithClocks, WithLosses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(losses: list[WithLosses], delays: list[Late], clocks: list[WithClocks]) -> Figure:
    """Losses and delays on the ring, drifts of all graphs, clocks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 8.4), layout="constrained")
    (one, two), (three, four) = figure.subplots(2, 2)
    _losses(one, [each for each in losses if each.label == "ring" and each.both_ways])
    _drifts(two, [each for each in losses if not each.both_ways])
    _delays(three, [each for each in delays if each.label.startswith("ring")])
    _clocks(four, [each for each in clocks if each.label in ("ring", "exponential", "grid")])
    return figure


def _losses(panel: Axes, done: list[WithLosses]) -> None:
    from netac.utils.pictures import PALETTE

    for each, colour in zip(done, PALETTE, strict=False):
        rounds = np.arange(len(each.course.measured))
        panel.semilogy(rounds, each.course.predicted, color=colour, lw=1.4)
        panel.semilogy(rounds, each.course.measured, "o", ms=3, color=colour, label=f"p = {each.p:g}")
        if each.p:
            panel.semilogy(rounds, each.worst[0] ** rounds, ":", color=colour, lw=1.0)
    panel.set(xlabel="rounds", ylabel="mean square of the disagreement / the first", ylim=(5e-5, 1.5),
              title="ring of 8, edges lost; lines: E[W Y W']; dotted: lambda_2(E[W^2])")
    panel.legend()


def _drifts(panel: Axes, done: list[WithLosses]) -> None:
    from netac.utils.pictures import PALETTE

    for name, colour in zip(dict.fromkeys(each.label for each in done), PALETTE, strict=False):
        of = [each for each in done if each.label == name]
        p = [each.p for each in of]
        measured, predicted, bound = (np.array([each.n * each.drift[k] for each in of]) for k in range(3))
        panel.plot(p, predicted, color=colour, lw=1.4)
        panel.plot(p, bound, ":", color=colour, lw=1.0)
        panel.plot(p, measured, "o", ms=4, color=colour, label=f"{name} {of[0].n}")
    panel.set(xlabel="p, single messages lost", ylabel="variance of the mean's drift x n", ylim=(0.0, None),
              title="lines: exact; dotted: at most (values of variance 1)")
    panel.legend()


def _delays(panel: Axes, done: list[Late]) -> None:
    from netac.utils.pictures import PALETTE

    colours = dict(zip(sorted({each.d for each in done}), PALETTE, strict=False))
    for each in done:
        lazy = "lazy" in each.label
        shown = each.distance[each.distance > 1e-8]
        panel.loglog(np.arange(1, len(shown) + 1), shown, "--" if lazy else "-", color=colours[each.d], lw=1.3,
                     label=None if lazy else f"d = {each.d}")
    panel.set(xlabel="1 + rounds", ylabel="largest distance to the limit to come / the first",
              title="ring of 8, delays of d rounds; dashed: lazy-metropolis")
    panel.legend()


def _clocks(panel: Axes, done: list[WithClocks]) -> None:
    from netac.utils.pictures import PALETTE

    colours = dict(zip(dict.fromkeys(each.label for each in done), PALETTE, strict=False))
    for each in done:
        seconds, colour = np.arange(len(each.course.measured)), colours[each.label]
        panel.semilogy(seconds, each.course.predicted, "--" if each.straggler else "-", color=colour, lw=1.3)
        panel.errorbar(seconds, each.course.measured, 2.0 * each.course.error * each.course.measured,
                       fmt="s" if each.straggler else "o", ms=3, lw=0.8, color=colour,
                       label=f"{each.label} {each.n}" + ", agent 0 is 10 times slower" * each.straggler)
    panel.set(xlabel="seconds since all have acted (mean work of an agent: 1)",
              ylabel="mean square of the disagreement / the first", ylim=(4e-3, 1.5),
              title="exponential clocks; lines: exact")
    panel.legend()
