"""Pictures of results: algorithms compared against iterations and samples, and learning curves of any runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.errors import InputError, did_you_mean
from netac.results.curves import AXES, BYTES, Curve, stack_curves, thin
from netac.results.pictures import PALETTE, STYLE, save_figure
from netac.results.runs import EXPERIMENT, RunRecord
from netac.results.statistics import iqm_interval, rate_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KNOWN = ("cac", "dac", "mdac", "iac", "dnac")  # these keep their colour in every picture
_LABELS = {
    "reward": "team-mean reward per step",
    "evaluation": "return of an evaluation's episodes",
    "J": "$J(\\theta)$",
    "grad_norm_sq": "$\\Vert\\nabla J(\\theta)\\Vert^2$",
    "critic_error": "critic error",
    "consensus_error": "consensus error",
}
EVALUATION = "evaluation"    # a column that no metrics have
_LOGARITHMIC = ("grad_norm_sq", "critic_error", "consensus_error")  # and their parts, e.g. consensus_error_omega
_HEIGHT, _WIDTH = 3.6, 4.3  # of a panel, inches


def plot_comparison(curves: Mapping[str, Curve], file: str | Path, title: str | None = None,
                    efficient: Mapping[str, np.ndarray] | None = None) -> None:
    """Draw algorithms side by side: reward against iterations, against joint samples, and against bytes sent by an agent
    where those were counted; share of efficient runs.

    Lines are interquartile means over seeds, bands their 95 % bootstrap intervals.  The second panel ends at the number
    of samples that every algorithm reached, where `comparison.csv` compares them.

    Args:
        curves: for each algorithm "iteration", "env_steps" and possibly "bytes", shape (points,), and "reward", shape
            (seeds, points).
        file: where to write; the ending says the format (.png, .pdf, .svg).
        title: above the panels.
        efficient: for each algorithm, which of its runs were efficient, shape (runs,); adds the last panel.

    Raises:
        InputError: the ending of `file` is no format.
        RunError: `file` cannot be written.
    """
    save_figure(lambda: draw_comparison(curves, title, efficient), file, STYLE)


def plot_runs(records: Sequence[RunRecord], file: str | Path, columns: Sequence[str] | None = None) -> None:
    """Draw the learning curves of any runs, one panel for each column; runs that differ in nothing but the seed are one
    line (interquartile mean and 95 % bootstrap interval).

    Args:
        records: runs, of any environments and algorithms.
        file: where to write; the ending says the format (.png, .pdf, .svg).
        columns: columns of `metrics.csv`, and evaluation, the episode_return of `evaluations.csv`; by default reward and,
            where they exist, evaluation, J, grad_norm_sq, critic_error and consensus_error.

    Raises:
        InputError: no run has such a column, or the ending of `file` is no format.
        RunError: `file` cannot be written.
    """
    save_figure(lambda: draw_runs(records, columns), file, STYLE)


def draw_comparison(curves: Mapping[str, Curve], title: str | None = None,
                    efficient: Mapping[str, np.ndarray] | None = None) -> Figure:
    """The figure of `plot_comparison`."""
    colours = _colours(curves)
    drawn = [float(curve["env_steps"][-1]) for curve in curves.values()]
    counted = all(BYTES in curve and (curve[BYTES] > 0).any() for curve in curves.values())
    figure, axes = _panels(2 + counted + bool(efficient), title)
    for name, curve in curves.items():
        label = f"{name.upper()} ({_count(len(curve['reward']), 'seed')})"
        for panel, axis, last in zip(axes, AXES, (max(drawn), min(drawn)), strict=False):
            thinned = thin({key: curve[key][..., curve["env_steps"] <= last] for key in (*AXES, "reward")})
            _draw_band(panel, thinned[axis], thinned["reward"], colours[name], label)
        if counted:
            sent = thin({key: curve[key][..., curve[BYTES] > 0] for key in (*AXES, BYTES, "reward")})
            _draw_band(axes[2], sent[BYTES], sent["reward"], colours[name], label)
    _finish(axes[0], "iteration", "reward")
    _finish(axes[1], "joint samples drawn" + (" (as far as all did)" if min(drawn) < max(drawn) else ""), "reward")
    axes[0].legend(loc="best")
    if counted:
        axes[2].set(xscale="log", xlabel="bytes sent per agent", ylabel=_LABELS["reward"])
    if efficient:
        _draw_rates(axes[-1], efficient, colours)
    return figure


def draw_runs(records: Sequence[RunRecord], columns: Sequence[str] | None = None) -> Figure:
    """The figure of `plot_runs`."""
    groups = _grouped(records)
    present = list(dict.fromkeys(name for record in records
                                 for name in (*record.metrics, EVALUATION) if _has(record, name)))
    columns = [name for name in _LABELS if name in present] if columns is None else list(columns)
    for name in columns:
        if name not in present or name in AXES:
            choices = [column for column in present if column not in AXES]
            raise InputError(f"no run has this column{did_you_mean(name, choices)}", key=name, valid=", ".join(choices))
    if not columns:
        raise InputError("the runs have logged nothing to draw", file=records[0].folder)
    beside = [record.folder for record in records if record.summary.get("runs_at_a_time", 1) > 1]
    if "seconds" in columns and beside:
        raise InputError("its seconds mean little: other runs shared the machine", file=beside[0], key="seconds",
                         valid="runs made one at a time (netac compare --jobs 1)")
    figure, axes = _panels(len(columns), None)
    for (label, runs), (dash, colour) in zip(groups.items(), _line_styles(groups.values()), strict=False):
        for panel, column in zip(axes, columns, strict=True):
            having = [_curves(record, column) for record in runs if _has(record, column)]
            for k, part in enumerate(_stackable(having, column)):
                curve = thin(stack_curves(part, column))
                _draw_band(panel, curve["iteration"], curve[column], colour, label if k == 0 else None, dash,
                           positive=column.startswith(_LOGARITHMIC))
    for panel, column in zip(axes, columns, strict=True):
        if column.startswith(_LOGARITHMIC):
            _logarithmic(panel)
        _finish(panel, "iteration", column)
    handles, labels = max((panel.get_legend_handles_labels() for panel in axes), key=lambda pair: len(pair[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * len(columns)))
    return figure


def _panels(count: int, title: str | None) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, at most three in a row."""
    from matplotlib.figure import Figure

    wide = 2 if count == 4 else min(count, 3)
    high = -(-count // wide)
    figure = Figure(figsize=(wide * _WIDTH, high * _HEIGHT + 0.3), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure, [figure.add_subplot(high, wide, k + 1) for k in range(count)]


def _draw_band(panel: Axes, x: np.ndarray, values: np.ndarray, colour: str, label: str | None, dash: str = "-",
               positive: bool = False) -> None:
    """The interquartile mean over seeds of values, shape (seeds, points), and its 95 % interval.

    With `positive` points of value 0 are left out, as long as others remain: a logarithmic axis has no place for them.
    """
    estimate, low, high = iqm_interval(values)
    if positive and (shown := estimate > 0).any():
        x, estimate, low, high = x[shown], estimate[shown], low[shown], high[shown]
    panel.plot(x, estimate, dash, color=colour, linewidth=1.6, label=label, marker="o" if len(x) == 1 else None)
    if len(values) > 1:
        panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _draw_rates(panel: Axes, efficient: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> None:
    names = list(efficient)
    rates = [rate_interval(outcomes) for outcomes in efficient.values()]
    heights = [rate.estimate for rate in rates]
    whiskers = [[rate.estimate - rate.low for rate in rates], [rate.high - rate.estimate for rate in rates]]
    panel.bar(range(len(names)), heights, color=[colours.get(name, "#777777") for name in names], width=0.62)
    panel.errorbar(range(len(names)), heights, yerr=whiskers, fmt="none", color="#222222", linewidth=1.1, capsize=4)
    panel.set(ylim=(0, 1.04), ylabel="share of efficient runs", xticks=range(len(names)),
              xticklabels=[f"{name.upper()}\n{int(np.sum(efficient[name]))}/{len(efficient[name])}" for name in names])
    panel.grid(False, axis="x")


def _finish(panel: Axes, x_label: str, column: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    panel.set(xlabel=x_label, ylabel=_LABELS.get(column, column.replace("_", " ")))
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=(1, 2, 5, 10)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def _logarithmic(panel: Axes) -> None:
    """A logarithmic scale whose range is that of the lines' positive values; left linear where there are none."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in panel.lines])
    positive = drawn[np.isfinite(drawn) & (drawn > 0)]
    if len(positive):
        panel.set_yscale("log", nonpositive="clip")
        panel.set_ylim(max(positive.min() / 2, positive.max() * 1e-16), positive.max() * 2)


def _colours(algorithms: Iterable[str]) -> dict[str, str]:
    known = dict(zip(_KNOWN, PALETTE, strict=False))
    free = itertools.cycle(PALETTE[len(_KNOWN):])
    return {name: known.get(name) or next(free) for name in algorithms}


def _line_styles(groups: Iterable[Sequence[RunRecord]]) -> Iterable[tuple[str, str]]:
    """Dash and colour of each group: its algorithm's own colour where every algorithm occurs once."""
    algorithms = [_algorithm(runs[0]).lower() for runs in groups]
    if len(set(algorithms)) == len(algorithms) <= len(PALETTE):
        return [("-", colour) for colour in _colours(algorithms).values()]
    return itertools.cycle(itertools.product(("-", "--", ":", "-."), PALETTE))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _has(record: RunRecord, column: str) -> bool:
    return bool(np.isfinite(_curves(record, column).get(column, np.nan)).any())


def _curves(record: RunRecord, column: str) -> Curve:
    """The table that has the column: of metrics, or of evaluations."""
    if column != EVALUATION:
        return record.metrics
    table = record.evaluations
    return table and {"iteration": table["iteration"], "env_steps": table["env_steps"], EVALUATION: table["episode_return"]}


def _grouped(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs of one experiment, whatever the seed, under a label that tells the experiments apart."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        settings = {key: value for key, value in record.experiment.items()
                    if key not in ("seed", "log_every", "checkpoint_every") and not key.startswith("evaluate_")}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(record)
    several_envs = len({_env(record) for record in records}) > 1
    names = [_algorithm(runs[0]) + (f" on {_env(runs[0])}" if several_envs else "") for runs in groups.values()]
    labelled = {}
    for name, runs in zip(names, groups.values(), strict=True):
        size = f" ({_count(len(runs), 'seed')})" if len(runs) > 1 else ""
        place = f", {runs[0].folder}" if names.count(name) > 1 else ""
        labelled[name + place + size] = runs
    return labelled


def _algorithm(record: RunRecord) -> str:
    if "algorithm" not in record.summary:
        raise InputError("has no algorithm", file=record.folder / "summary.json", valid=f"as in {EXPERIMENT}")
    return str(record.summary["algorithm"]).upper()


def _env(record: RunRecord) -> str:
    return str(record.summary.get("env", "?"))


def _stackable(curves: Sequence[Curve], column: str) -> list[Sequence[Curve]]:
    """The runs together where they share iterations, one by one where they do not."""
    try:
        stack_curves(curves, column)
    except ValueError:
        return [[curve] for curve in curves]
    return [curves]
