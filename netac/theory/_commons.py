"""A commons of N agents with rewards of their own, and CAC's mean field on it for constant step sizes.

There is one state.  Agent i plays x_i = -1 or 1; that gives it h x_i / 2 and takes (1 + h) x_i / (2 (N - 1)) from every
other agent, so that the mean reward of all is -mean(x) / 2, whatever h: 1/2 if nobody takes, -1/2 if all do.  The
features of the reward model are (1, x) / sqrt(N + 1), and explain every agent's reward.

With constant steps zeta the mean of line 8 of Algorithm 1 is at rest where (I - W) lambda + zeta (lambda B - c) = 0,
lambda (N, L), B = E[psi psi'], c_i = E[r_i psi].  The mean over agents is right, B mean(lambda) = mean(c); at uniform
policies, where B = kappa I, every agent has the mean of all agents' weights with K = zeta kappa (I - W + zeta kappa
I)^-1 in place of 1 / N, which is more of its own than of others'.  With tracking all agents have the mean.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from netac.exact import FiniteMDP, objective
from netac.theory._walk import policies, save_game, walk
from netac.topology import load

CRITIC = 0.1


class CommonsRun(NamedTuple):
    """One run of netac's CAC on a commons.

    Attributes:
        agents, topology, taking: N, the graph, h.
        zeta: step size of the reward model.
        tracking: of CAC.
        T, seed: iterations, random numbers.
        alpha: step size of the policies; 0: they stay uniform.
    """

    agents: int
    topology: Any
    taking: float
    zeta: float
    tracking: bool
    T: int
    seed: int
    alpha: float = 0.0


class CommonsRecord(NamedTuple):
    """What a run did in its second half."""

    weights: np.ndarray
    """(N, L) the mean of lambda over time."""
    square: float
    """Mean over time and agents of |lambda_i - lambda*|^2, lambda* that of the first policies."""
    J: float
    """Mean over time."""


def actions(agents: int) -> np.ndarray:
    """(2^N, N) x of every joint action."""
    return 2.0 * np.array(np.unravel_index(np.arange(2**agents), (2,) * agents)).T - 1.0


def effects(agents: int, h: float) -> np.ndarray:
    """(N, N) by what x_j changes r_i: row i, column j."""
    others = -(1.0 + h) / (2.0 * max(agents - 1, 1))
    return np.where(np.eye(agents, dtype=bool), h / 2.0, others)


def commons(agents: int, h: float) -> FiniteMDP:
    """The game."""
    r = actions(agents) @ effects(agents, h).T
    return FiniteMDP(np.ones((1, 2**agents, 1)), r[None], np.ones(1), 0.0)


def features(agents: int) -> np.ndarray:
    """(2^N, N + 1) psi."""
    return np.column_stack([np.ones(2**agents), actions(agents)]) / np.sqrt(agents + 1)


def mixing(topology: Any, agents: int) -> np.ndarray:
    """W."""
    return load(topology, agents).matrix(0).toarray()


def gap(W: np.ndarray) -> float:
    """1 - the second largest eigenvalue of a symmetric W."""
    return float(1.0 - np.linalg.eigvalsh(W)[-2])


def resting_weights(W: np.ndarray, h: float, zeta: float, mean_x: np.ndarray) -> np.ndarray:
    """(N, L) lambda of the mean field at rest, for a symmetric W and policies of mean actions `mean_x` (N,).

    Mode by mode of W: that of eigenvalue w is zeta c (zeta B + (1 - w) I)^-1, and the mean over agents the true one.
    """
    values, modes = np.linalg.eigh(W)
    return modes @ _modes_at_rest(values, modes.T @ true_weights(len(W), h), zeta, mean_x)


def true_weights(agents: int, h: float) -> np.ndarray:
    """(N, L) with which psi gives every agent's own reward."""
    return np.column_stack([np.zeros(agents), effects(agents, h)]) * np.sqrt(agents + 1)


def _modes_at_rest(values: np.ndarray, true: np.ndarray, zeta: float, mean_x: np.ndarray) -> np.ndarray:
    """(N, L) the modes of lambda at rest from those of the true weights; the last mode is the mean's."""
    first = np.concatenate([[1.0], mean_x])
    B = (np.outer(first, first) + np.diag(np.concatenate([[0.0], 1.0 - mean_x**2]))) / len(first)
    systems = zeta * B + (1.0 - values[:-1, None, None]) * np.eye(len(first))
    rest = true.copy()
    rest[:-1] = np.linalg.solve(systems, (zeta * true[:-1] @ B)[..., None])[..., 0]
    return rest


def field_return(W: np.ndarray, h: float, zeta: float, time: float, step: float = 4.0) -> float:
    """J after so much time, iterations x alpha, of the policies' mean field from uniform ones, lambda at rest.

    Each agent's two logits follow E[R_i(x) score], which is -+ lambda_i of x_i Var(x_i) / 2.
    """
    agents = len(W)
    values, modes = np.linalg.eigh(W)
    true, logit = modes.T @ true_weights(agents, h), np.zeros(agents)           # logits of action 1 less those of -1
    for _ in range(round(time / step)):
        mean_x = np.tanh(logit / 2.0)
        lam = modes @ _modes_at_rest(values, true, zeta, mean_x)
        logit += step * np.diag(lam[:, 1:]) / np.sqrt(agents + 1) * (1.0 - mean_x**2)
    return float(-np.tanh(logit / 2.0).mean() / 2.0)


def critical_share(agents: int, h: float) -> float:
    """The own weight K_ii above which an agent's reward model, at uniform policies, tells it to take."""
    return (1.0 + h) / (1.0 + h * agents)


def own_share(W: np.ndarray, zeta: float) -> np.ndarray:
    """(N,) K_ii at uniform policies, kappa = 1 / (N + 1)."""
    return np.diag(resolvent(W, zeta / (len(W) + 1)))


def resolvent(W: np.ndarray, pull: float) -> np.ndarray:
    """(N, N) K = pull (I - W + pull I)^-1."""
    return pull * np.linalg.inv((1.0 + pull) * np.eye(len(W)) - W)


def growth(W: np.ndarray, zeta: float, tracking: bool) -> float:
    """By what errors grow or shrink a round in the long run, with one sample again and again, |psi| = 1.

    Errors e of lambda'psi; without tracking e <- W e - zeta e, with it y <- W y - (e - e before), e <- W e + zeta y.
    """
    one = np.eye(len(W))
    if not tracking:
        return float(np.abs(np.linalg.eigvals(W - zeta * one)).max())
    # y and e before e' = W e + zeta (W y - e + e_before); the sum of y + e_before never changes, and is 0
    system = np.block([[W - zeta * one, zeta * W, zeta * one], [-one, W, one], [one, 0.0 * one, 0.0 * one]])
    total = np.concatenate([np.zeros(len(W)), np.ones(2 * len(W))])
    return float(np.abs(np.linalg.eigvals(system - np.outer(total, total) / (total @ total))).max())


def largest_step(W: np.ndarray, tracking: bool) -> float:
    """The zeta up to which `growth` is at most 1, by bisection."""
    low, high = 0.0, 4.0
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        low, high = (middle, high) if growth(W, middle, tracking) <= 1.0 + 1e-12 else (low, middle)
    return low


def seen(run: CommonsRun) -> CommonsRecord:
    """Of netac's CAC from samples."""
    mdp = commons(run.agents, run.taking)
    right = true_weights(run.agents, run.taking).mean(axis=0)
    with TemporaryDirectory(prefix="netac-") as folder:
        np.savez(Path(folder) / "features.npz", phi=np.ones((1, 1)), psi=features(run.agents)[None])
        tables = {"agents": run.agents, "iterations": run.T, "seed": run.seed, "topology": run.topology,
                  "env": {"name": "finite-mdp", "path": save_game(mdp, Path(folder) / "game.npz"),
                          "features": str(Path(folder) / "features.npz")},
                  "policy": {"name": "tabular", "shared": []},
                  "algorithm": {"name": "cac", "tracking": run.tracking, "actor_step": run.alpha,
                                "critic_step": CRITIC, "reward_step": run.zeta}}
        weights, square, J = [], [], []
        for parts in walk(tables, range(run.T // 2, run.T, max(run.T // 2000, 1))):
            lam = parts.agents.parameters.lam
            weights.append(lam.copy())
            square.append(np.square(lam - right).sum(axis=1).mean())
            J.append(objective(mdp, policies(parts)) if run.alpha else 0.0)
    return CommonsRecord(np.mean(weights, axis=0), float(np.mean(square)), float(np.mean(J)))
