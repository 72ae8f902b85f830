"""Learning curves: those of several seeds on one grid, means over intervals of samples, thinning for plots.

A curve is a mapping of column names to arrays, as `read_metrics` gives it.  The reward of a row is the mean over the
joint samples drawn since the row before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Curve = Mapping[str, np.ndarray]
AXES = ("iteration", "env_steps")
BYTES = "bytes"                     # sent per agent, of all purposes: a third axis where runs have counted them
SECONDS = "seconds"                 # of training: a fourth, where runs had the machine to themselves
NETWORK = "network_seconds"         # of simulated time: a fifth, where a run's network has a clock


def stack_curves(curves: Sequence[Curve], column: str) -> dict[str, np.ndarray]:
    """One column of several runs on a common grid of iterations.

    Rows in which the column is not finite are left out.  Runs that logged the same iterations are stacked as they are;
    others are interpolated linearly at all logged iterations of the range they share.

    Returns:
        "iteration", "env_steps" and, if all runs have them, "bytes", "seconds" and "network_seconds" of shape
        (points,), the column of shape (runs, points).

    Raises:
        ValueError: no run, or the runs share no iteration.
    """
    if not curves:
        raise ValueError("no runs to stack")
    rows = [np.isfinite(curve[column]) for curve in curves]
    iterations = [curve["iteration"][kept] for curve, kept in zip(curves, rows, strict=True)]
    if any(len(own) == 0 for own in iterations):
        raise ValueError(f"a run has no {column}")
    low, high = max(own[0] for own in iterations), min(own[-1] for own in iterations)
    grid = np.unique(np.concatenate(iterations))
    grid = grid[(grid >= low) & (grid <= high)]
    if len(grid) == 0:
        raise ValueError(f"the runs share no iterations with a {column}")

    def on_grid(name: str) -> np.ndarray:
        return np.stack([np.interp(grid, own, curve[name][kept])
                         for own, curve, kept in zip(iterations, curves, rows, strict=True)])

    stacked = {"iteration": grid, "env_steps": on_grid("env_steps").mean(axis=0), column: on_grid(column)}
    purposes = {name for curve in curves for name in curve if name.startswith("bytes_")}
    if purposes and all(name in curve for name in purposes for curve in curves):
        stacked[BYTES] = sum(on_grid(name).mean(axis=0) for name in sorted(purposes))
    for name in (SECONDS, NETWORK):
        if all(name in curve for curve in curves):
            stacked[name] = on_grid(name).mean(axis=0)
    return stacked


def stackable(curves: Sequence[Curve], column: str) -> list[Sequence[Curve]]:
    """The runs together where they share iterations, one by one where they do not."""
    try:
        stack_curves(curves, column)
    except ValueError:
        return [[curve] for curve in curves]
    return [curves]


def interval_means(samples: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means over (edges[k], edges[k + 1]] of a quantity whose values[..., j] is its mean since samples[j - 1].

    Args:
        samples: shape (points,), not decreasing, counted from 0.
        values: shape (..., points).
        edges: shape (m + 1,), increasing, within [0, samples[-1]].

    Returns:
        shape (..., m).
    """
    knots = np.concatenate([[0.0], samples])
    integral = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values * np.diff(knots), axis=-1)], axis=-1)
    at_edges = np.apply_along_axis(lambda row: np.interp(edges, knots, row), -1, integral)
    return np.diff(at_edges, axis=-1) / np.diff(edges)


def reward_at(curve: Curve, samples: float) -> float:
    """A run's reward after `samples` joint samples: the mean over the last tenth of them.

    NaN where the run has no rewards or drew fewer samples.
    """
    rows = np.isfinite(curve["reward"])
    drawn = curve["env_steps"][rows]
    if samples <= 0 or len(drawn) == 0 or drawn[-1] < samples:
        return float("nan")
    return float(interval_means(drawn, curve["reward"][rows], np.array([0.9 * samples, samples]))[0])


def last_tenth(curve: Curve, column: str, end: int | None = None) -> float:
    """The mean of a column over its rows of the last tenth of the iterations up to `end`, by default up to the last
    row; NaN where none of them has a finite number."""
    iterations, values = curve["iteration"], curve[column]
    if end is None:
        end = int(iterations[-1]) if len(iterations) else 0
    rows = (iterations > end - max(1, end // 10)) & (iterations <= end) & np.isfinite(values)
    return float(values[rows].mean()) if rows.any() else float("nan")


def thin(curve: Curve, points: int = 150) -> dict[str, np.ndarray]:
    """A stacked curve with at most `points` points, each the mean over the samples since the point before.

    Args:
        curve: as `stack_curves` gives it.
        points: how many points a line of the plot may have.
    """
    drawn = np.asarray(curve["env_steps"], dtype=float)
    if len(drawn) <= points:
        return dict(curve)
    ends = np.unique(np.linspace(0, len(drawn) - 1, points + 1).astype(int)[1:])
    ends = ends[np.diff(drawn[ends], prepend=0.0) > 0]
    edges = np.concatenate([[0.0], drawn[ends]])
    return {name: values[ends] if name in (*AXES, BYTES, SECONDS, NETWORK) else interval_means(drawn, values, edges)
            for name, values in curve.items()}
