"""Pictures of comparisons: algorithms side by side against iterations, samples, bytes and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.results import heat_map
from netac.results.comparison import Shown
from netac.results.curves import AXES, BYTES, NETWORK, SECONDS, thin
from netac.results.looks import MANY, MOST, labels_of, styles_of
from netac.results.panels import as_label, counted, draw_band, finish, label_of, panels
from netac.results.statistics import rate_interval
from netac.utils.pictures import STYLE, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 5           # algorithms whose names fit into a panel
HEAT = "final"    # the panel of final rewards by two numbers that vary
LETTERS, MARK, LINE = 13.5, 5, 0.2      # of a legend: letters in an inch, those of a line's mark, inches of a line
UNLIKE = 20       # iterations of algorithms that draw so many times the samples of others are not put side by side


def plot_comparisons(shown: Sequence[Shown], file: str | Path) -> None:
    """Draw comparisons, below each other if there are several.

    Reward against iterations (unless those of some algorithms are many times as long as those of others), against joint
    samples, against bytes sent by an agent where those were counted, against seconds where runs had the machine to
    themselves, and against simulated seconds where the network has a clock; the return of evaluations; the share of
    efficient runs. Lines are interquartile means over seeds, bands their 95 % bootstrap intervals. The panel of samples
    ends where every algorithm got to, where `comparison.csv` compares them.

    Args:
        shown: what to draw.
        file: where to write; the ending says the format (.png, .pdf, .svg).

    Raises:
        InputError: the ending of `file` is no format.
        RunError: `file` cannot be written.
    """
    save_figure(lambda: draw_comparisons(shown), file, STYLE)


def draw_comparisons(shown: Sequence[Shown]) -> Figure:
    """The figure of `plot_comparisons`."""
    names, lines = [_panel_names(each) for each in shown], [each.best(MOST) for each in shown]
    figure, axes = panels([len(present) for present in names], [each.title for each in lines])
    for each, some, present, own in zip(shown, lines, names, axes, strict=True):
        places = dict(zip(present, own, strict=True))
        if HEAT in places:
            heat_map.draw(places.pop(HEAT), each)
        _draw(places, some)
    return figure


def _panel_names(shown: Shown) -> list[str]:
    curves = shown.curves.values()
    pace = [float(curve["env_steps"][-1] / max(curve["iteration"][-1], 1)) for curve in curves]
    found = ["iteration"] if max(pace) <= UNLIKE * min(pace) else []
    found.append("env_steps")
    found += [BYTES] if all(BYTES in curve and (curve[BYTES] > 0).any() for curve in curves) else []
    found += [SECONDS] if all(SECONDS in curve for curve in curves) else []
    found += [NETWORK] if any(NETWORK in curve for curve in curves) else []
    found += ["evaluation"] if shown.evaluations else []
    found += ["efficient"] if shown.efficient and len(shown.curves) <= MANY else []
    return found + ([HEAT] if heat_map.fits(shown) else [])


def _draw(axes: Mapping[str, Axes], shown: Shown) -> None:
    looks, few = styles_of(shown), len(shown.curves) <= MANY
    drawn, names = [float(curve["env_steps"][-1]) for curve in shown.curves.values()], labels_of(shown)
    for name, curve in shown.curves.items():
        label = f"{as_label(names[name])} ({counted(len(curve[shown.metric]), 'seed')})"
        for axis, panel in axes.items():
            if axis not in (*AXES, BYTES, SECONDS, NETWORK) or axis not in curve:
                continue
            part = np.ones(len(curve["env_steps"]), dtype=bool)
            if axis in ("env_steps", BYTES):
                part = curve[BYTES] > 0 if axis == BYTES else curve["env_steps"] <= min(drawn)
            line = thin({key: curve[key][..., part] for key in (*AXES, axis, shown.metric)})
            draw_band(panel, line[axis], line[shown.metric], looks[name][0], label, looks[name][1], band=few)
    for name, curve in shown.evaluations.items():
        draw_band(axes["evaluation"], curve["env_steps"], curve["evaluation"], looks[name][0], None, looks[name][1],
                  band=few)
    samples = "joint samples drawn" + (" (as far as all did)" if min(drawn) < max(drawn) else "")
    words = {"iteration": "iteration", "env_steps": samples, SECONDS: "seconds of training",
             NETWORK: "simulated seconds of the network"}
    for axis in words.keys() & axes.keys():
        finish(axes[axis], words[axis], shown.metric, whole=axis in AXES)
    if BYTES in axes:
        axes[BYTES].set(xscale="log", xlabel="bytes sent per agent", ylabel=label_of(shown.metric))
    if "evaluation" in axes:
        finish(axes["evaluation"], "joint samples drawn", "evaluation")
    if "efficient" in axes:
        _draw_rates(axes["efficient"], {names[name]: runs for name, runs in shown.efficient.items()},
                    {names[name]: look for name, look in looks.items()})
    first = next(iter(axes.values()))
    figure = first.get_figure()
    if len(looks) <= FEW or figure is None:
        first.legend(loc="best")
    else:
        handles, labels = first.get_legend_handles_labels()
        whole = first.get_figure(root=True)
        assert whole is not None
        across = max(1, min(5, int(whole.get_figwidth() * LETTERS / (max(map(len, labels)) + MARK))))
        whole.set_figheight(whole.get_figheight() + LINE * -(-len(labels) // across))
        figure.legend(handles, labels, loc="outside lower center", ncols=across)


def _draw_rates(panel: Axes, efficient: Mapping[str, np.ndarray], looks: Mapping[str, tuple[str, str]]) -> None:
    """Bars in the lines' colours, hatched where a line is dashed; lying ones where there are many."""
    names, lying = list(efficient), len(efficient) > FEW
    rates = [rate_interval(outcomes) for outcomes in efficient.values()]
    places, lengths = np.arange(len(names)), [rate.estimate for rate in rates]
    whiskers = [[rate.estimate - rate.low for rate in rates], [rate.high - rate.estimate for rate in rates]]
    colours, dashes = zip(*(looks.get(name, ("#777777", "-")) for name in names), strict=True)
    look: dict[str, Any] = {"color": colours, "hatch": ["" if dash == "-" else "///" for dash in dashes],
                            "edgecolor": "white", "linewidth": 0}
    line: dict[str, Any] = {"fmt": "none", "color": "#222222", "linewidth": 1.1, "capsize": 4}
    told = [f"{as_label(name)}{' ' if lying else chr(10)}{int(np.sum(efficient[name]))}/{len(efficient[name])}"
            for name in names]
    if lying:
        panel.barh(places, lengths, 0.62, **look)
        panel.errorbar(lengths, places, xerr=whiskers, **line)
        panel.set(xlim=(0, 1.04), xlabel="share of efficient runs", yticks=places, yticklabels=told)
        panel.invert_yaxis()
    else:
        panel.bar(places, lengths, 0.62, **look)
        panel.errorbar(places, lengths, yerr=whiskers, **line)
        panel.set(ylim=(0, 1.04), ylabel="share of efficient runs", xticks=places, xticklabels=told)
    panel.grid(False, axis="y" if lying else "x")
