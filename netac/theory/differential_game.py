"""Whether trust-region updates lower the return when they are made at once, and raise it in turn, in Figure 1's game.

Two agents draw real actions from normal distributions of means mu_1, mu_2 and unit variance; r = a_1 a_2, so
J = mu_1 mu_2 (Kuba et al., 2022, Figure 1).  An update maximises the agent's surrogate, E[A] under its new mean, within
KL <= 0.5 of the old one, which is an interval of the mean: KL = (mu' - mu)^2 / 2.  At once both agents see the other's
old mean; in turn the second sees the first's new one (Algorithm 1 within a ball).  From a grid of starts in [-1, 1]^2
the experiment also counts how often the return falls, in one update and in many.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCE = "paper 001, Figure 1"
START, DELTA = np.array([-0.25, 0.25]), 0.5
KINDS = {"at once": None, "agent 1, then 2": (0, 1), "agent 2, then 1": (1, 0)}     # an order, or none


def experiment(lab: Lab) -> Finding:
    """The start of Figure 1, then a grid of 40 x 40 starts (full: 200 x 200), none of them with a mean of 0."""
    updated = {kind: update(START, order) for kind, order in KINDS.items()}
    gains = {kind: float(new.prod() - START.prod()) for kind, new in updated.items()}
    alone = min(float(moved_alone(START, agent).prod() - START.prod()) for agent in (0, 1))
    far = max(abs(float(divergence(START, new).max()) - DELTA) for new in updated.values())
    points, steps = lab.choose((40, 10), (200, 50))
    axis = np.linspace(-1.0, 1.0, points + 1)[:-1] + 1.0 / points
    starts = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    paths = {kind: follow(starts, order, steps) for kind, order in KINDS.items()}
    grid = [_row(kind, path) for kind, path in paths.items()]
    claims = (
        Claim("either agent's update raises the return as long as the other one keeps its mean", SOURCE,
              "least gain from (-0.25, 0.25)", alone, ">=", 0.25, 1e-12),
        Claim("made at once, the same updates lower it", SOURCE, "gain from (-0.25, 0.25)",
              gains["at once"], "<=", -0.5, 1e-12),
        Claim("in turn they raise it, in either order", SOURCE, "least gain from (-0.25, 0.25)",
              min(gain for kind, gain in gains.items() if KINDS[kind]), ">=", 1.0, 1e-12),
        Claim("the updates go as far as the KL ball reaches", SOURCE, "largest |KL - 0.5|", far, "<=", 0.0, 1e-12),
        Claim("in turn no update ever lowers the return, from any start", "paper 001, Theorem 2",
              f"least gain of {steps} updates from {points}^2 starts",
              min(row["least_gain"] for row in grid if KINDS[row["update"]]), ">=", 0.0, 1e-12),
        Claim("at once it falls where |mu_1| + |mu_2| < 1 and signs differ, nowhere else",
              "algebra: (1 - a)(1 - b) > a b", "starts of which that is not so",
              float(exceptions(starts, paths["at once"])), "<=", 0.0))
    figure_1 = [{"update": kind, "mu_1": float(new[0]), "mu_2": float(new[1]), "J_before": float(START.prod()),
                 "J_after": float(new.prod())} for kind, new in updated.items()]
    tables = (Table("figure_1", "One update from (-0.25, 0.25), KL <= 0.5", figure_1),
              Table("grid", f"From {points} x {points} starts in [-1, 1]^2, {steps} updates: shares of starts", grid))
    return Finding(claims, tables, partial(_draw, updated, starts, paths["at once"]))


def divergence(means: np.ndarray, new: np.ndarray) -> np.ndarray:
    """KL of normal distributions of unit variance, by agent."""
    return 0.5 * (new - means)**2


def trust_region(mean: np.ndarray, other: np.ndarray) -> np.ndarray:
    """argmax over mu' of E[A] = (mu' - mu) mu_other with KL <= DELTA: an end of the interval; mu if mu_other = 0."""
    return mean + np.sqrt(2.0 * DELTA) * np.sign(other)


def moved_alone(means: np.ndarray, agent: int) -> np.ndarray:
    """Means (..., 2) after the update of one agent."""
    new = means.copy()
    new[..., agent] = trust_region(means[..., agent], means[..., 1 - agent])
    return new


def update(means: np.ndarray, order: tuple[int, int] | None) -> np.ndarray:
    """Means (..., 2) after both agents' updates, in turn, or with no order at once."""
    if order is None:
        return trust_region(means, means[..., ::-1])
    first, second = order
    return moved_alone(moved_alone(means, first), second)


def follow(starts: np.ndarray, order: tuple[int, int] | None, steps: int) -> np.ndarray:
    """(steps + 1, ...) returns from means `starts` (..., 2)."""
    means, returns = starts, [starts.prod(axis=-1)]
    for _ in range(steps):
        means = update(means, order)
        returns.append(means.prod(axis=-1))
    return np.array(returns)


def exceptions(starts: np.ndarray, returns: np.ndarray) -> int:
    """The number of starts that contradict the claim on first updates at once.

    The claim: the return falls exactly where |mu_1| + |mu_2| < 1 and the signs differ.  Starts on the edges of these
    triangles, where the return does not change, are not counted.
    """
    reach = np.abs(starts).sum(axis=-1)
    expected = (starts.prod(axis=-1) < 0.0) & (reach < 1.0)
    return int(((returns[1] < returns[0]) != expected)[np.abs(reach - 1.0) > 1e-9].sum())


def _row(kind: str, returns: np.ndarray) -> Row:
    gains = np.diff(returns, axis=0)
    return {"update": kind, "first_lowers": float((gains[0] < -1e-12).mean()),
            "any_lowers": float((gains < -1e-12).any(axis=0).mean()),
            "never_gain": float((returns.max(axis=0) <= returns[0] + 1e-12).mean()),
            "least_gain": float(gains.min()), "mean_J": float(returns[-1].mean())}


def _draw(updated: dict[str, np.ndarray], starts: np.ndarray, at_once: np.ndarray) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    axis = np.linspace(-1.6, 1.6, 161)
    J = np.multiply.outer(axis, axis)                                       # [mu_2, mu_1]
    contours = left.contour(axis, axis, J, levels=np.arange(-2.0, 2.1, 0.25), cmap="RdYlGn", linewidths=0.8)
    left.clabel(contours, fontsize=7)
    reach = np.sqrt(2.0 * DELTA)
    for agent in (0, 1):
        ends = np.stack([START, START])
        ends[:, agent] += (-reach, reach)
        left.plot(*ends.T, color="#7B3294", lw=6, alpha=0.35, solid_capstyle="butt",
                  label="KL $\\leq$ 0.5" if agent == 0 else None)
    _arrows(left, [START, updated["at once"]], "#D7191C")
    for agent in (0, 1):
        _arrows(left, [START, moved_alone(START, agent)], "#D7191C", ls=":")
    for kind, order in KINDS.items():
        if order:
            _arrows(left, [START, moved_alone(START, order[0]), updated[kind]], "#2B83BA")
    left.plot([], [], color="#D7191C", label=f"at once: J = {updated['at once'].prod():.4g}")
    left.plot([], [], color="#2B83BA", label=f"in turn: J = {updated['agent 1, then 2'].prod():.4g}")
    left.plot(*START, "ko", label=f"start: J = {START.prod():.4g}")
    left.set(xlabel="$\\mu_1$", ylabel="$\\mu_2$", aspect="equal", title="J = $\\mu_1 \\mu_2$, one update")
    left.legend(loc="lower left", frameon=True, framealpha=0.9, edgecolor="none")
    shown = right.pcolormesh(starts[:, 0, 0], starts[0, :, 1], (at_once[1] - at_once[0]).T, cmap="RdBu",
                             vmin=-2, vmax=2, shading="nearest", rasterized=True)
    right.plot([-1, 0, 0, -1], [0, 0, 1, 0], "k--", lw=1)
    right.plot([1, 0, 0, 1], [0, 0, -1, 0], "k--", lw=1)
    right.set(xlabel="start $\\mu_1$", ylabel="start $\\mu_2$", aspect="equal", title="gain of one update at once",
              xticks=np.linspace(-1, 1, 5), yticks=np.linspace(-1, 1, 5))
    figure.colorbar(shown, ax=right, shrink=0.85)
    return figure


def _arrows(panel: Axes, points: list[np.ndarray], colour: str, ls: str = "-") -> None:
    for start, end in pairwise(points):
        panel.annotate("", tuple(end), tuple(start),
                       arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.8, "ls": ls,
                                   "shrinkA": 0, "shrinkB": 0})
