"""Pictures of the learning curves of any runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netac.results.comparison import evaluation_curve
from netac.results.curves import AXES, Curve, stack_curves, stackable, thin
from netac.results.panels import LABELS, as_label, counted, draw_band, finish, panels, styles
from netac.results.records import EXPERIMENT, RunRecord
from netac.utils.errors import InputError, did_you_mean
from netac.utils.pictures import PALETTE, STYLE, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EVALUATION = "evaluation"    # a column that no metrics have
LOGARITHMIC = ("grad_norm_sq", "critic_error", "consensus_error")  # and their parts, e.g. consensus_error_omega


def plot_runs(records: Sequence[RunRecord], file: str | Path, columns: Sequence[str] | None = None) -> None:
    """Draw the learning curves of any runs, one panel for each column; runs that differ in nothing but the seed are one
    line (interquartile mean and 95 % bootstrap interval).

    Args:
        records: runs, of any environments and algorithms.
        file: where to write; the ending says the format (.png, .pdf, .svg).
        columns: columns of `metrics.csv`, and evaluation, the episode_return of `evaluations.csv`; by default reward
            and, where they exist, evaluation, J, grad_norm_sq, critic_error and consensus_error.

    Raises:
        InputError: no run has such a column, or the ending of `file` is no format.
        RunError: `file` cannot be written.
    """
    save_figure(lambda: draw_runs(records, columns), file, STYLE)


def draw_runs(records: Sequence[RunRecord], columns: Sequence[str] | None = None) -> Figure:
    """The figure of `plot_runs`."""
    groups = _grouped(records)
    present = list(dict.fromkeys(name for record in records
                                 for name in (*record.metrics, EVALUATION) if has_column(record, name)))
    columns = [name for name in LABELS if name in present] if columns is None else list(columns)
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
    figure, (axes,) = panels([len(columns)], [None])
    for (label, runs), (dash, colour) in zip(groups.items(), _line_styles(groups.values()), strict=False):
        for panel, column in zip(axes, columns, strict=True):
            having = [table_with(record, column) for record in runs if has_column(record, column)]
            for k, part in enumerate(stackable(having, column)):
                curve = thin(stack_curves(part, column))
                draw_band(panel, curve["iteration"], curve[column], colour, label if k == 0 else None, dash,
                          positive=column.startswith(LOGARITHMIC))
    for panel, column in zip(axes, columns, strict=True):
        if column.startswith(LOGARITHMIC):
            _logarithmic(panel)
        finish(panel, "iteration", column)
    handles, labels = max((panel.get_legend_handles_labels() for panel in axes), key=lambda pair: len(pair[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * len(columns)))
    return figure


def _logarithmic(panel: Axes) -> None:
    """A logarithmic scale whose range is that of the lines' positive values; left linear where there are none."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in panel.lines])
    positive = drawn[np.isfinite(drawn) & (drawn > 0)]
    if len(positive):
        panel.set_yscale("log", nonpositive="clip")
        panel.set_ylim(max(positive.min() / 2, positive.max() * 1e-16), positive.max() * 2)


def _line_styles(groups: Iterable[Sequence[RunRecord]]) -> Iterable[tuple[str, str]]:
    """Dash and colour of each group: its algorithm's own colour where every algorithm occurs once."""
    algorithms = [_algorithm(runs[0]).lower() for runs in groups]
    if len(set(algorithms)) == len(algorithms) <= len(PALETTE):
        return [(dash, colour) for colour, dash in styles(algorithms).values()]
    return itertools.cycle(itertools.product(("-", "--", ":", "-."), PALETTE))


def has_column(record: RunRecord, column: str) -> bool:
    """Whether a run has a number in this column of its metrics, or evaluations."""
    return bool(np.isfinite(table_with(record, column).get(column, np.nan)).any())


def table_with(record: RunRecord, column: str) -> Curve:
    """The table that has the column: of metrics, or of evaluations."""
    return evaluation_curve(record) if column == EVALUATION else record.metrics


def _grouped(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs of one experiment, whatever the seed, under a label that tells the experiments apart."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        settings = {key: value for key, value in record.experiment.items()
                    if key not in ("seed", "log_every", "checkpoint_every") and not key.startswith("evaluate_")}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(record)
    several_envs = len({_env(record) for record in records}) > 1
    names = [_algorithm(runs[0]) + (f" on {_env(runs[0])}" if several_envs else "") for runs in groups.values()]
    labelled: dict[str, list[RunRecord]] = {}
    for name, runs in zip(names, groups.values(), strict=True):
        size = f" ({counted(len(runs), 'seed')})" if len(runs) > 1 else ""
        place = f", {as_label(str(runs[0].folder))}" if names.count(name) > 1 else ""
        label = name + place + size
        labelled[label if label not in labelled else f"{label} #{len(labelled) + 1}"] = runs
    return labelled


def _algorithm(record: RunRecord) -> str:
    if "algorithm" not in record.summary:
        raise InputError("has no algorithm", file=record.folder / "summary.json", valid=f"as in {EXPERIMENT}")
    return as_label(str(record.summary["algorithm"])).upper()


def _env(record: RunRecord) -> str:
    return as_label(str(record.summary.get("env", "?")))
