"""Small games whose steps have costs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from netac import exact

LIMITS = [0.3, 0.5]
GAINS, PRICES = np.array([[1.0, 0.6], [0.5, 0.8]]), np.array([[1.0, 1.0], [0.2, 1.0]])     # of risk: (states, agents)


@dataclass(frozen=True)
class PricedGame:
    """A finite game with costs (S, J, N), and the file that holds it."""

    mdp: exact.FiniteMDP
    costs: np.ndarray
    path: str


def two_states(folder: Path, agents: int) -> PricedGame:
    """Each of up to two agents takes a risk or does not; what it gains and costs depends on the state, which nobody
    changes.  In state 1 agent 0 gains most for its cost, agent 1 in state 1 as well."""
    moves = np.array(list(product((0, 1), repeat=agents)))
    P = np.repeat(np.array([[0.3, 0.7], [0.6, 0.4]])[:, None], len(moves), axis=1)
    r, costs = (table[:, None, :agents] * moves for table in (GAINS, PRICES))
    xi = np.array([0.6, 0.7]) / 1.3                                                        # stationary
    path = folder / "game.npz"
    np.savez(path, P=P, r=r, xi=xi, gamma=0.9, costs=costs)
    return PricedGame(exact.FiniteMDP(P, r, xi, 0.9), costs, str(path))


class RatioGame:
    """A PettingZoo game of agents a and b that lasts 10 steps: action 1 costs 2.

    Args:
        faults: what an agent, by its number, is charged instead.
        missing_from: the step from which b's info has no cost.
    """

    metadata = None

    def __init__(self, faults: dict, missing_from: int = 100):
        from gymnasium import spaces
        self.possible_agents, self.agents = ["a", "b"], []
        self._faults, self._missing, self.render_mode = faults, missing_from, None
        self._spaces = spaces.Box(0.0, 1.0, (1,)), spaces.Discrete(2)

    def observation_space(self, agent):
        return self._spaces[0]

    def action_space(self, agent):
        return self._spaces[1]

    def reset(self, seed=None, options=None):
        self.agents, self._t = self.possible_agents[:], 0
        return self._told(lambda i: np.zeros(1, dtype=np.float32)), self._told(lambda i: {})

    def step(self, actions):
        self._t += 1
        acted = [int(actions[agent]) for agent in self.possible_agents]
        infos = self._told(lambda i: {} if i == 1 and self._t >= self._missing else {
            "cost": self._faults.get(i, 2.0 * acted[i])})
        over = self._t == 10
        if over:
            self.agents = []
        return (self._told(lambda i: np.full(1, self._t / 10, dtype=np.float32)), self._told(lambda i: 1.0 * acted[i]),
                self._told(lambda i: False), self._told(lambda i: over), infos)

    def _told(self, what):
        return {agent: what(i) for i, agent in enumerate(self.possible_agents)}

    def close(self):
        pass
