"""The picture of the trust-region experiment: a panel for most of its tables, two for the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netac.theory._claims import Row
from netac.theory._trust_bounds import Improvement
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREEN = PALETTE[:3]
GREY = "#555555"
CLIP_COLOURS = (BLUE, GREEN, RED, GREY)
Rows = Sequence[Row]


def draw(tables: Mapping[str, Rows], updates: Sequence[Improvement]) -> Figure:
    """The picture of the random updates and other tables, or with a user's game of its updates alone."""
    from matplotlib.figure import Figure

    if len(tables) == 1:
        figure = Figure(figsize=(5.6, 4.2), layout="constrained")
        _updates(figure.add_subplot(), updates)
        return figure
    figure = Figure(figsize=(17.5, 7.6), layout="constrained")
    first, *others = figure.subplots(2, 5).ravel()
    _updates(first, updates)
    panels: list[tuple[str, Callable[[Axes, Rows], None]]] = [
        ("majority", _majority), ("agreement", _agreement), ("growth", _growth), ("crossing", _crossing),
        ("noise", _noise), ("trained_growth", _trained_growth), ("ratios", _ratios), ("versus", _gains),
        ("versus", _joint_tvs)]
    for panel, (name, plot) in zip(others, panels, strict=True):
        plot(panel, tables[name])
    return figure


def _updates(panel: Axes, updates: Sequence[Improvement]) -> None:
    alpha = np.array([one.alpha for one in updates])
    for label, colour, share in (("Theorem 1", BLUE, np.array([one.theorem_1 for one in updates])),
                                 ("corrected Theorem 2", GREEN, np.array([one.corrected for one in updates]))):
        seen = share > 0
        panel.loglog(alpha[seen], share[seen], ".", color=colour, alpha=0.6, markersize=4, label=label)
    panel.axhline(1.0, color=GREY, linestyle="--")
    panel.set(xlabel=r"$\alpha$, divergence of the joint policies", ylabel="loss / penalty",
              title="Random updates: bounds hold below 1")
    panel.legend(loc="lower right", frameon=True, markerscale=2.5)


def _majority(panel: Axes, rows: Rows) -> None:
    for name, colour, label in (("Theorem 2", RED, "Theorem 2 (footnote 2)"), ("Theorem 1", BLUE, "Theorem 1"),
                                ("corrected", GREEN, "corrected")):
        panel.plot(_column(rows, "agents"), _column(rows, name), "o-", color=colour, label=label)
    panel.axhline(1.0, color=GREY, linestyle="--")
    panel.set(xlabel="agents N", ylabel="loss / penalty", xticks=_column(rows, "agents"),
              title="Majority game: Theorem 2 fails above 1")
    panel.legend()


def _agreement(panel: Axes, rows: Rows) -> None:
    step = _column(rows, "step")
    panel.plot(step, _column(rows, "Theorem 2"), "s--", color=RED, label="Theorem 2: at least")
    panel.plot(step, _column(rows, "found"), "o-", color="black", label="found")
    panel.plot(step, _column(rows, "corrected"), "^--", color=GREEN, label="corrected: at least")
    panel.set_yscale("symlog", linthresh=0.1)
    panel.set(xlabel="step", ylabel="J(new) - J(old)", title="Agreement game: J falls, A of either agent is 0")
    panel.legend(fontsize=8, loc="lower left")


def _growth(panel: Axes, rows: Rows) -> None:
    agents = _column(rows, "agents")
    for name, style, colour, label in (
            ("Theorem 3", ":", GREY, r"Theorem 3: $N\epsilon$"),
            ("chi-square", "--", GREY, r"$\sqrt{(1+\epsilon^2)^N-1}\,/\,2$"),
            ("fixed", "o-", RED, r"$\epsilon = \alpha/2$"),
            ("alpha / sqrt(N)", "^-", GREEN, r"$\epsilon = \alpha/\sqrt{N}$"),
            ("alpha / N", "s-", BLUE, r"$\epsilon = \alpha/N$")):
        panel.loglog(agents, _column(rows, name), style, color=colour, label=label)
    _agents_axis(panel, agents)
    panel.set(ylabel="joint TV", ylim=(0.01, 30), title="Ratios at the ends of the range")
    panel.legend(ncols=2, fontsize=8, loc="upper left")


def _crossing(panel: Axes, rows: Rows) -> None:
    agents = _column(rows, "agents")
    for name, colour, label in (("alpha / sqrt(N)", GREEN, r"\sqrt{N}"), ("alpha / N", BLUE, "N")):
        for kind, style in (("by TVs", "s:"), ("by ratios", "^--"), ("exact", "o-")):
            panel.loglog(agents, _column(rows, f"{name}, {kind}"), style, color=colour, markersize=4,
                         label=rf"$\alpha/{label}$, {kind}")
    _agents_axis(panel, agents)
    panel.set(ylabel="further penalty / max |A|", ylim=(1e-3, 300), title="What agents' own surrogates miss")
    panel.legend(ncols=2, fontsize=8, loc="upper left")


def _noise(panel: Axes, rows: Rows) -> None:
    at = np.arange(len(rows))
    panel.plot(at, _column(rows, "A of paying"), "o-", color=RED, label="critic of the local state")
    panel.plot(at, _column(rows, "E[A | s^1, paying]"), "--", color=BLUE, label="central critic")
    panel.axhline(0.0, color=GREY, linewidth=0.8)
    panel.set_xticks(at, labels=[f"{row['lambda']:g}" for row in rows])
    panel.set(xlabel=r"$\lambda$ of TD and GAE", ylabel="advantage of paying",
              title="Slow state through noise: Prop. 4 fails")
    panel.legend(fontsize=8, loc="lower right")


def _trained_growth(panel: Axes, rows: Rows) -> None:
    agents = _column(rows, "agents")
    for name, style, colour, label in (
            ("sum, fixed", "o--", GREY, r"sum of TVs, $\epsilon = \alpha/2$"),
            ("fixed", "o-", RED, r"$\epsilon = \alpha/2$"),
            ("alpha / sqrt(N)", "^-", GREEN, r"$\epsilon = \alpha/\sqrt{N}$"),
            ("alpha / N", "s-", BLUE, r"$\epsilon = \alpha/N$")):
        panel.loglog(agents, _column(rows, name), style, color=colour, label=label)
    _agents_axis(panel, agents)
    panel.set(ylabel="joint TV", ylim=(0.01, 30), title="One clipped update of 100 epochs")
    panel.legend(fontsize=8, loc="upper left")


def _ratios(panel: Axes, rows: Rows) -> None:
    for clip, colour in zip(_values(rows, "clip range"), CLIP_COLOURS, strict=False):
        ours = [row for row in rows if row["clip range"] == clip]
        epochs = _column(ours, "epochs")
        label = "no clipping" if np.isinf(clip) else rf"$\epsilon$ = {clip:g}"
        panel.plot(epochs, _column(ours, "mean highest"), "o-", color=colour, label=label)
        panel.plot(epochs, _column(ours, "mean lowest"), "o-", color=colour)
        if np.isfinite(clip):
            panel.axhline(1.0 + clip, color=colour, linestyle=":", linewidth=1)
            panel.axhline(1.0 - clip, color=colour, linestyle=":", linewidth=1)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(_column(rows, "epochs")[:len(ours)], labels=[f"{epochs:g}" for epochs in epochs], minor=False)
    panel.set_yticks([0.1, 0.2, 0.5, 1, 2, 5], labels=["0.1", "0.2", "0.5", "1", "2", "5"])
    panel.minorticks_off()
    panel.set(xlabel="epochs", ylabel="lowest and highest ratio", title="Ratios leave the clip range (dotted)")
    panel.legend(fontsize=8)


def _gains(panel: Axes, rows: Rows) -> None:
    for k, (clip, colour) in enumerate(zip(_values(rows, "clip range"), CLIP_COLOURS, strict=False)):
        ours = [row for row in rows if row["clip range"] == clip]
        gain, low, high = (_column(ours, name) for name in ("gain", "gain low", "gain high"))
        panel.errorbar(_column(ours, "agents") * 1.04**(k - 1), gain, [gain - low, high - gain], fmt="o-", color=colour,
                       capsize=3, label=rf"$\epsilon$ = {clip:g}")
    panel.axhline(0.0, color=GREY, linestyle="--")
    _agents_axis(panel, _values(rows, "agents"))
    panel.set(ylabel="mean score, joint - independent", title="What clipping the joint ratio gains")
    panel.legend(fontsize=8)


def _joint_tvs(panel: Axes, rows: Rows) -> None:
    for clip, colour in zip(_values(rows, "clip range"), CLIP_COLOURS, strict=False):
        ours = [row for row in rows if row["clip range"] == clip]
        agents = _column(ours, "agents")
        panel.plot(agents, _column(ours, "independent TV"), "o-", color=colour,
                   label=rf"independent, $\epsilon$ = {clip:g}")
        panel.plot(agents, _column(ours, "joint TV"), "^--", color=colour, label=rf"joint, $\epsilon$ = {clip:g}")
    _agents_axis(panel, _values(rows, "agents"))
    panel.set(ylabel="joint TV per iteration, mean", ylim=(0, 1), title="How far an iteration goes")
    panel.legend(fontsize=8)


def _agents_axis(panel: Axes, agents: Iterable[float]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_xticks(list(agents), labels=[f"{n:g}" for n in agents])
    panel.minorticks_off()
    panel.set_xlabel("agents N")


def _column(rows: Rows, name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)


def _values(rows: Rows, name: str) -> list[float]:
    return sorted({float(row[name]) for row in rows})
