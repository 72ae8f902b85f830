"""Value factorisation of a one-shot game of two agents by gradient steps, many runs at once: VDN and stateless QMIX.

    VDN:  Q_tot(a) = Q_1(a_1) + Q_2(a_2)
    QMIX: Q_tot(a) = |v|' elu(|W|'(Q_1(a_1), Q_2(a_2)) + b) + c,    so that dQ_tot / dQ_i >= 0

Every run minimises mean (Q_tot(a) - r(a))^2 with Adam; its greedy joint action is (argmax Q_1, argmax Q_2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

HIDDEN, RATE, BATCH = 8, 0.01, 64
MOMENTS, EPSILON = (0.9, 0.999), 1e-8

Parameters = dict[str, np.ndarray]      # of R runs: Q (R, 2, A); of QMIX W (R, 2, h), b (R, h), v (R, h), c (R, 1), too


def begin(mixing: str, runs: int, actions: int, rng: np.random.Generator) -> Parameters:
    """Parameters of `runs` runs, drawn at random; `mixing` is "vdn" or "qmix"."""
    found = {"Q": 0.1 * rng.standard_normal((runs, 2, actions))}
    if mixing == "qmix":
        found |= {"W": rng.uniform(-1.0, 1.0, (runs, 2, HIDDEN)), "b": rng.uniform(-1.0, 1.0, (runs, HIDDEN)),
                  "v": rng.uniform(-1.0, 1.0, (runs, HIDDEN)) / np.sqrt(HIDDEN), "c": np.zeros((runs, 1))}
    return found


def mixed(x: Parameters, actions: np.ndarray) -> np.ndarray:
    """Q_tot (R, B) of joint actions (R, 2, B)."""
    return _forward(x, actions)[0]


def greedy(x: Parameters) -> np.ndarray:
    """(R, 2) every agent's action of largest utility."""
    return x["Q"].argmax(axis=2)


def gradient(x: Parameters, actions: np.ndarray, r: np.ndarray) -> Parameters:
    """The gradient of the mean over B of (Q_tot - r)^2, for every run.

    Args:
        actions: (R, 2, B).
        r: (R, B).
    """
    total, utilities, hidden, slope = _forward(x, actions)
    error = 2.0 * (total - r) / r.shape[1]
    if hidden is None:
        along, found = np.repeat(error[:, None], 2, axis=1), {}
    else:
        into = error[:, None] * np.abs(x["v"])[..., None] * slope                   # (R, h, B)
        along = np.abs(x["W"]) @ into
        found = {"W": np.sign(x["W"]) * (utilities @ into.swapaxes(1, 2)), "b": into.sum(axis=2),
                 "v": np.sign(x["v"]) * np.vecdot(error[:, None], hidden), "c": error.sum(axis=1, keepdims=True)}
    Q = x["Q"]
    cells = actions + Q.shape[2] * np.arange(Q[..., 0].size).reshape(*Q.shape[:2], 1)
    return {"Q": np.bincount(cells.ravel(), along.ravel(), Q.size).reshape(Q.shape), **found}


def train(x: Parameters, payoff: np.ndarray, behaviour: Callable[[int, np.ndarray], np.ndarray], steps: int,
          look: int) -> tuple[Parameters, np.ndarray]:
    """Adam on batches of `behaviour`.

    Args:
        payoff: (A, A) r.
        behaviour: actions (R, 2, B) for step t, given the runs' greedy actions (R, 2).
        look: steps between two evaluations of the greedy joint action.

    Returns:
        the parameters, and (steps / look, R) the rewards of the greedy joint actions.
    """
    x = {key: value.copy() for key, value in x.items()}
    first, second = ({key: np.zeros_like(value) for key, value in x.items()} for _ in range(2))
    seen = []
    for t in range(steps):
        best = greedy(x)
        if t % look == 0:
            seen.append(payoff[best[:, 0], best[:, 1]])
        actions = behaviour(t, best)
        slopes = gradient(x, actions, payoff[actions[:, 0], actions[:, 1]])
        for key, slope in slopes.items():
            first[key] += (1.0 - MOMENTS[0]) * (slope - first[key])
            second[key] += (1.0 - MOMENTS[1]) * (slope**2 - second[key])
            corrected = [moment[key] / (1.0 - decay**(t + 1))
                         for moment, decay in zip((first, second), MOMENTS, strict=True)]
            x[key] -= RATE * corrected[0] / (np.sqrt(corrected[1]) + EPSILON)
    return x, np.array(seen)


def _forward(x: Parameters, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Q_tot (R, B), the utilities (R, 2, B), and of QMIX the hidden layer (R, h, B) with its slope."""
    utilities = np.take_along_axis(x["Q"], actions, axis=2)
    if "W" not in x:
        return utilities.sum(axis=1), utilities, None, None
    before = np.abs(x["W"]).swapaxes(1, 2) @ utilities + x["b"][..., None]
    below = np.exp(np.minimum(before, 0.0))
    hidden = np.where(before > 0.0, before, below - 1.0)
    return (np.abs(x["v"])[:, None] @ hidden)[:, 0] + x["c"], utilities, hidden, np.where(before > 0.0, 1.0, below)
