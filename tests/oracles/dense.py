"""Many samples through dense layers at once, backwards too, and the natural step from whole curvature matrices."""

from __future__ import annotations

import numpy as np


def forward(net, p, x):
    """What every layer gives, (M, width) each: the input, tanh of the hidden layers, the output."""
    found = [x]
    for name in net.layers:
        z = found[-1] @ net.of(p, f"{name}.weight").T + net.of(p, f"{name}.bias")
        found.append(z if name == "output" else np.tanh(z))
    return found


def backward(net, p, layers, pull, deviations=None):
    """sum_e pull_e' d output_e / d p, and `deviations` where log_std is."""
    found = np.zeros(len(p))
    for k in reversed(range(len(net.layers))):
        name = net.layers[k]
        found[net.places[f"{name}.weight"]] = (pull.T @ layers[k]).ravel()
        found[net.places[f"{name}.bias"]] = pull.sum(axis=0)
        pull = (pull @ net.of(p, f"{name}.weight")) * (1 - layers[k] ** 2)
    if deviations is not None:
        found[net.places["log_std"]] = deviations
    return found


def barred(games):
    """What is added to every agent's logits, (E, outputs) each: -10^9 where an agent that takes part may not do what it
    is; 0 else, and of vectors."""
    told = getattr(games, "action_masks", None)
    if told is None:
        return [np.zeros((games.games, space.n_actions or space.size)) for space in games.actions]
    return [np.where(mask | ~active[:, None], 0.0, -1e9)
            for mask, active in zip(told(range(games.agents)), games.active, strict=True)]


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def one_hot(a, n_actions):
    return np.eye(n_actions)[a]


def curvature(net, start, layers, mean, parts, options, bars=0.0):
    """H + damping I, and the mean KL from `start` as a function of theta; arguments as those of `natural_step`."""
    H, x0, before = options["damping"] * np.eye(len(start)), layers[0], layers[-1] + bars
    outputs = before.shape[1]
    for e in np.flatnonzero(mean):
        one = [layer[e:e + 1] for layer in layers]
        J = np.stack([backward(net, start, one, np.eye(outputs)[j:j + 1]) for j in range(outputs)])
        F = np.zeros((outputs, outputs))
        for columns, deviations in parts:
            if deviations is None:
                p = np.exp(log_softmax(before[e:e + 1, columns]))[0]
                F[columns, columns] = np.diag(p) - np.outer(p, p)
            else:
                F[columns, columns] = np.diag(np.exp(-2 * net.of(start, "log_std")[deviations]))
        if net.deviations:
            at = net.places["log_std"]
            H[at, at] += mean[e] * 2 * np.eye(net.deviations)
        H += mean[e] * J.T @ F @ J

    def kl(theta):
        after, each = forward(net, theta, x0)[-1] + bars, 0.0
        for columns, deviations in parts:
            then, now = before[:, columns], after[:, columns]
            if deviations is None:
                then, now = log_softmax(then), log_softmax(now)
                each = each + (np.exp(then) * (then - now)).sum(axis=1)
            else:
                s, t = (net.of(numbers, "log_std")[deviations] for numbers in (start, theta))
                each = each + (t - s + (np.exp(2 * s) + (then - now) ** 2) / (2 * np.exp(2 * t)) - 0.5).sum(axis=1)
        return mean @ each

    return H, kl


def natural_step(net, start, layers, mean, parts, g, options, wrong, bars=0.0):
    """sqrt(2 delta / x'Hx) x with x = H^-1 g, H + damping I for H; and the mean KL from `start` as a function of theta.

    The inverse is exact where at least as many conjugate gradients are asked for as there are parameters.

    Args:
        parts: of the policy, independent of each other: the columns of its outputs, and of log_std (None: discrete).
        bars: what is added to outputs, (M, outputs), see `barred`.
    """
    H, kl = curvature(net, start, layers, mean, parts, options, bars)
    steps = options["conjugate_gradients"]
    x = np.linalg.solve(H, g) if steps >= len(start) else krylov(H, g, steps)
    step = g if wrong == "plain gradient" else x
    bend = step @ H @ step
    step = np.sqrt(2 * options["delta"] / bend) * step if bend > 0 else np.zeros(len(g))

    return step, kl


def krylov(H, g, iterations):
    """What conjugate gradients reach: the best x of span(g, Hg, H^2 g, ...) in the norm of H."""
    basis = []
    v = g
    for _ in range(iterations):
        for _ in range(2):
            for b in basis:
                v = v - (b @ v) * b
        if np.linalg.norm(v) < 1e-10 * np.linalg.norm(g):
            break
        basis.append(v / np.linalg.norm(v))
        v = H @ basis[-1]
    B = np.array(basis).T
    return B @ np.linalg.solve(B.T @ H @ B, B.T @ g) if basis else np.zeros(len(g))
