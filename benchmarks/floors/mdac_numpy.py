"""MDAC on a finite networked MDP with nothing but NumPy, sample after sample.

Agents share the arrays of a sample; within a sample every agent's action is drawn by itself, or (`by_agent` false)
those of all agents at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mdp:
    """P (S, J, S'), r (S, J, S', N), joint actions in C order; xi (S,), W (N, N), theta0 (N, S, A)."""

    P: np.ndarray
    r: np.ndarray
    xi: np.ndarray
    W: np.ndarray
    gamma: float
    theta0: np.ndarray

    @classmethod
    def read(cls, path: str) -> Mdp:
        """From the shared .npz format."""
        with np.load(path) as file:
            S, N = len(file["xi"]), file["theta0"].shape[0]
            return cls(file["P"].reshape(S, -1, S), file["r"].reshape(S, -1, S, N), file["xi"], file["W"],
                       float(file["gamma"]), file["theta0"])


class Sampler:
    """Joint samples one after the other."""

    def __init__(self, mdp: Mdp, rng: np.random.Generator, by_agent: bool):
        self.mdp, self.rng, self.by_agent = mdp, rng, by_agent
        agents, _, actions = mdp.theta0.shape
        self.base = actions ** np.arange(agents - 1, -1, -1)
        self.kernel, self.start = mdp.P.cumsum(axis=-1), mdp.xi.cumsum()

    def policy(self, theta: np.ndarray, s: int) -> np.ndarray:
        """pi_i(.|s), (N, A)."""
        mass = np.exp(theta[:, s] - theta[:, s].max(axis=1, keepdims=True))
        return mass / mass.sum(axis=1, keepdims=True)

    def draw(self, below: np.ndarray) -> int:
        """An index drawn by inverting a distribution function."""
        return min(int(np.searchsorted(below, self.rng.random(), side="right")), len(below) - 1)

    def act(self, pi: np.ndarray) -> np.ndarray:
        """Every agent's action, (N,)."""
        if self.by_agent:
            return np.array([self.draw(row.cumsum()) for row in pi])
        return (pi.cumsum(axis=1)[:, :-1] <= self.rng.random(len(pi))[:, None]).sum(axis=1)

    def step(self, theta: np.ndarray, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """pi(.|s), actions, rewards and s' of one sample."""
        pi = self.policy(theta, s)
        a = self.act(pi)
        joint = int(a @ self.base)
        s_next = self.draw(self.kernel[s, joint])
        return pi, a, self.mdp.r[s, joint, s_next], s_next

    def restart(self, s_next: int) -> int:
        """Where a chain that moves by gamma P + (1 - gamma) xi goes on."""
        return s_next if self.rng.random() < self.mdp.gamma else self.draw(self.start)


def run(mdp: Mdp, iterations: int, seed: int, by_agent: bool = True, batch: int = 100, critic_batch: int = 10,
        critic_rounds: int = 50, mixing_rounds: int = 10, reward_rounds: int = 5, noise: float = 0.1,
        alpha: float = 10.0, beta: float = 0.5) -> tuple[float, np.ndarray]:
    """Seconds spent iterating, and the final theta (N, S, A)."""
    rng, gamma, W = np.random.default_rng(seed), mdp.gamma, mdp.W
    sampler, averaging = Sampler(mdp, rng, by_agent), np.linalg.matrix_power(W, reward_rounds)
    theta = mdp.theta0.copy()
    N, S, _ = theta.shape
    omega, agents = np.zeros((N, S)), np.arange(N)
    running, restarting = sampler.draw(sampler.start), sampler.draw(sampler.start)
    started = time.perf_counter()
    for _ in range(iterations):
        for _ in range(critic_rounds):
            step = np.zeros_like(omega)
            for _ in range(critic_batch):
                _, _, r, s_next = sampler.step(theta, running)
                step[:, running] += r + gamma * omega[:, s_next] - omega[:, running]
                running = s_next
            omega = W @ omega + (beta / critic_batch) * step
        for _ in range(mixing_rounds):
            omega = W @ omega
        gradient = np.zeros_like(theta)
        for _ in range(batch):
            pi, a, r, s_next = sampler.step(theta, restarting)
            observed = r * (1.0 + noise / np.sqrt(2.0) * rng.standard_t(4, size=N))
            advantage = averaging @ observed + gamma * omega[:, s_next] - omega[:, restarting]
            score = -pi
            score[agents, a] += 1.0
            gradient[:, restarting] += advantage[:, None] * score
            restarting = sampler.restart(s_next)
        theta += (alpha / batch) * gradient
    return time.perf_counter() - started, theta
