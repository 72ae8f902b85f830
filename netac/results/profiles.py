"""A comparison's second picture: what share of runs ends above a reward, and how probably a cell ends above another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.results.comparison import Shown
from netac.results.looks import MANY, MOST, labels_of, styles_of
from netac.results.panels import LABELS, as_label, panels
from netac.results.tables import Cell
from netac.utils.pictures import STYLE, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = "comparison_profiles.png"
POINTS, RESAMPLES = 101, 2000


def plot_profiles(shown: Shown, pairs: Sequence[Mapping[str, Cell]], file: str | Path) -> None:
    """Draw the picture.

    Args:
        pairs: rows of `netac.results.pairs.pairs`.

    Raises:
        RunError: `file` cannot be written.
    """
    save_figure(lambda: draw_profiles(shown, pairs), file, STYLE)


def draw_profiles(shown: Shown, pairs: Sequence[Mapping[str, Cell]]) -> Figure:
    """The figure: performance profiles with 95 % bootstrap bands (Agarwal et al., 2021), and for at most 12 cells the
    probability that a run of a row's cell ends above one of a column's."""
    shown = shown.best(MOST)
    labels = labels_of(shown)
    square = bool(pairs) and len(labels) <= MANY
    figure, ((first, *second),) = panels([1 + square], [shown.title])
    _draw_shares(first, shown, labels)
    if square:
        _draw_pairs(second[0], list(labels.items()), pairs)
    return figure


def share_above(values: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of values (runs,) above each level (points,), and the bounds of its 95 % bootstrap interval."""
    above = values[:, None] > levels
    copies = np.random.default_rng(0).multinomial(len(values), np.full(len(values), 1 / len(values)), size=RESAMPLES)
    low, high = np.quantile(copies @ above / len(values), [0.025, 0.975], axis=0)
    return above.mean(axis=0), low, high


def _draw_shares(panel: Axes, shown: Shown, labels: Mapping[str, str]) -> None:
    everything = np.concatenate(list(shown.final.values()))
    everything = everything[np.isfinite(everything)]
    low, high = (float(everything.min()), float(everything.max())) if len(everything) else (0.0, 1.0)
    margin = 0.03 * (high - low) or 1.0
    levels, looks = np.linspace(low - margin, high + margin, POINTS), styles_of(shown)
    for name, values in shown.final.items():
        estimate, low_bound, high_bound = share_above(values, levels)
        colour, dash = looks[name]
        panel.plot(levels, estimate, dash, color=colour, linewidth=1.6, label=as_label(labels[name]))
        if len(values) > 1 and len(shown.final) <= MANY:
            panel.fill_between(levels, low_bound, high_bound, color=colour, alpha=0.15, linewidth=0)
    panel.set(xlabel=f"{LABELS['reward']}, last tenth", ylabel="share of runs above", ylim=(-0.02, 1.02))
    panel.legend(loc="best", fontsize=8 if len(labels) <= MANY else 6)


def _draw_pairs(panel: Axes, labels: Sequence[tuple[str, str]], pairs: Sequence[Mapping[str, Cell]]) -> None:
    places = {name: place for place, (name, _) in enumerate(labels)}
    values = np.full((len(labels), len(labels)), np.nan)
    for row in pairs:
        one, other, probability = places[str(row["cell"])], places[str(row["other"])], row["probability"]
        values[one, other], values[other, one] = probability, 1.0 - float(probability or 0.0)
    image = panel.imshow(values, vmin=0, vmax=1, cmap="PuOr")
    for one, other in zip(*np.nonzero(np.isfinite(values)), strict=True):
        panel.text(other, one, f"{values[one, other]:.2f}", ha="center", va="center", fontsize=8,
                   color="white" if abs(values[one, other] - 0.5) > 0.35 else "black")
    names = [as_label(label) for _, label in labels]
    panel.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=names,
              title="probability: the row ends above the column")
    panel.set_xticklabels(names, rotation=35, ha="right")
    panel.grid(False)
    panel.figure.colorbar(image, ax=panel)
