"""A comparison as the JSON that marl-eval reads (Gorsane et al., 2022, "Towards a standardised performance evaluation
protocol for cooperative MARL"): environment, task, algorithm, run, step.

Its tools want equally many steps of every run and runs of every algorithm, and names without capitals or commas.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from netac.results.comparison import Shown
from netac.results.curves import interval_means
from netac.utils.errors import InputError
from netac.utils.files import atomic_write

FILE, STEPS = "marl_eval.json", 20


def write(shown: Shown, folder: Path) -> Path:
    """Write `marl_eval.json` of a comparison; the file.

    Raises:
        InputError: cells have unlike numbers of finished runs, or have not drawn any samples.
    """
    file = folder / FILE
    atomic_write(file, json.dumps(exported(shown), indent=1) + "\n")
    return file


def exported(shown: Shown) -> dict[str, Any]:
    """The data: rewards in 20 equal parts of the samples that every run drew, and over the last tenth of them in
    `absolute_metrics`; returns of evaluations in their place, where there were some, and as many in every run.

    Raises:
        InputError: as `write`.
    """
    runs = {name: len(curve[shown.metric]) for name, curve in shown.curves.items()}
    if len(set(runs.values())) != 1:
        raise InputError("marl-eval wants as many runs of every cell", key="--export", found=runs,
                         valid="a comparison without failed runs")
    evaluated = {len(table["env_steps"]) for table in shown.evaluations.values()}
    if len(shown.evaluations) == len(runs) and len(evaluated) == 1:
        algorithms = {_plain(name): {f"run_{k}": _run(table["env_steps"], row, row[-1], "return")
                                     for k, row in enumerate(table["evaluation"])}
                      for name, table in shown.evaluations.items()}
    else:
        drawn = min(float(curve["env_steps"][-1]) for curve in shown.curves.values())
        if drawn <= 0:
            raise InputError("no run has drawn a sample", key="--export", valid="finished runs")
        edges = np.linspace(0.0, drawn, STEPS + 1)
        algorithms = {}
        for name, curve in shown.curves.items():
            means = interval_means(curve["env_steps"], curve[shown.metric], edges)
            last = interval_means(curve["env_steps"], curve[shown.metric], np.array([0.9 * drawn, drawn]))[:, 0]
            algorithms[_plain(name)] = {f"run_{k}": _run(edges[1:], row, end, shown.metric)
                                        for k, (row, end) in enumerate(zip(means, last, strict=True))}
    environment, _, agents = (shown.title or "game").partition(", ")
    return {_plain(environment): {_plain(agents or environment): algorithms}}


def _run(steps: np.ndarray, values: np.ndarray, last: float, metric: str) -> dict[str, Any]:
    """One run; a value is an episode's or an interval's mean."""
    return {**{f"step_{k}": {"step_count": int(count), metric: [float(value)]}
               for k, (count, value) in enumerate(zip(steps, values, strict=True))},
            "absolute_metrics": {metric: [float(last)]}}


def _plain(name: str) -> str:
    return re.sub(r"[,\s]+", " ", name).strip().lower()
