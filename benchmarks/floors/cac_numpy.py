"""CAC on the coordination game with nothing but NumPy: one process, one Generator, all agents at once."""

from __future__ import annotations

import time

import numpy as np

ACTIONS = 8


def run(agents: int, iterations: int, seed: int, period: int = 5, gamma: float = 0.95, alpha: float = 0.05,
        beta: float = 0.1, zeta: float = 0.1) -> tuple[float, np.ndarray]:
    """Seconds spent iterating, and the team-mean reward of every iteration."""
    N, rng = agents, np.random.default_rng(seed)
    theta, omega, lam = np.zeros((N, ACTIONS)), np.zeros(N), np.zeros((N, ACTIONS * N))
    W = np.full((N, N), 1 / N)
    payoffs = (np.arange(ACTIONS) - 3.5) ** 2 - 1.0    # of an action, less oneself in the count
    rows, first, scale = np.arange(N), np.arange(N) * ACTIONS, 1 / np.sqrt(N)
    psi, team = np.zeros(ACTIONS * N), np.empty(iterations)
    started = time.perf_counter()
    for t in range(iterations):
        mass = np.exp(theta - theta.max(axis=1, keepdims=True))
        below = mass.cumsum(axis=1)
        total = below[:, -1]
        a = (below > (rng.random(N) * total)[:, None]).argmax(axis=1)
        noiseless = payoffs[a] + np.bincount(a, minlength=ACTIONS)[a]
        team[t] = noiseless.mean()
        r = noiseless + rng.gumbel(size=N)
        psi[:] = 0.0
        psi[first + a] = scale
        ahead = gamma * omega - omega
        R = lam @ psi
        advantage = R + ahead
        score = mass / -total[:, None]
        score[rows, a] += 1.0
        omega_step, lambda_step = beta * (r + ahead), (zeta * (r - R))[:, None] * psi
        theta_step = (alpha * advantage)[:, None] * score
        if t % period == period - 1:
            omega, lam, theta = W @ omega, W @ lam, W @ theta
        omega += omega_step
        lam += lambda_step
        theta += theta_step
    return time.perf_counter() - started, team
