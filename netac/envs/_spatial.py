"""Spatially discounted rewards: what happens near an agent in the problem's graph counts more than what is far away.

With d(i, j) the number of edges between i and j, agent i learns from

    r_i <- sum over j of alpha^d(i, j) r_j

(Chu, Chinchali, Katti, "Multi-agent reinforcement learning for networked system control", ICLR 2020): its own reward
for alpha = 0, the team's sum for alpha = 1.  Agents that no path joins do not count.  What is reported as the team's
reward, and what evaluations play for, are the environment's own rewards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netac.envs._batched import BatchedEnvironment, Step
from netac.envs._tabular import TabularEnvironment


def reward_weights(links: Any, alpha: float) -> np.ndarray:
    """(N, N) alpha^d(i, j).

    Args:
        links: (N, N) sparse, non-zero where two agents are neighbours.
        alpha: 0 to 1.
    """
    from scipy.sparse.csgraph import shortest_path
    distances = shortest_path(links, directed=False, unweighted=True)
    return np.where(np.isinf(distances), 0.0, alpha**distances)


class DiscountedGames:
    """Games whose agents get weighted sums of all rewards; all else is the games' own (`BatchedEnvironment`).

    Args:
        games: whose rewards they are.
        weights: (N, N); agent i gets weights[i] @ r, and 0 in steps in which it takes no part.
    """

    def __init__(self, games: BatchedEnvironment, weights: np.ndarray):
        self._games, self._weights = games, weights

    def __getattr__(self, name: str) -> Any:
        return getattr(self._games, name)

    def step(self, actions: np.ndarray) -> Step:
        """One joint step; `team` is the mean of the games' own rewards."""
        active = self._games.active.copy()
        step = self._games.step(actions)
        return Step(np.where(active, self._weights @ step.r, 0.0), step.terminated, step.done, step.team_mean())


class DiscountedTable:
    """The same for an environment with finitely many states."""

    def __init__(self, environment: TabularEnvironment, weights: np.ndarray):
        self._environment, self._weights = environment, weights

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def rewards(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray,
                agents: range) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sums for `agents`, (n, M), and the mean over all of the environment's own rewards, (M,)."""
        everybody = range(len(self._weights))
        own, mean = self._environment.rewards(states, actions, next_states, everybody)
        return (self._weights @ own)[agents.start:agents.stop], mean
