"""Environments for tests of failures: the coordination game, until one agent's reward goes wrong."""

from __future__ import annotations

import numpy as np

from netac.envs.coordination import CoordinationGame


class Faulty(CoordinationGame):
    """Goes wrong for one agent at one iteration (one sample an iteration)."""

    def __init__(self, agents: int, how: str, agent: int, iteration: int):
        super().__init__(agents)
        self._how, self._agent, self._iteration = how, agent, iteration
        self._calls = -2                                    # the first call is the check's

    def rewards(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray, agents: range):
        """As in the game, but for the fault."""
        self._calls += 1
        own, team = super().rewards(states, actions, next_states, agents)
        if self._calls == self._iteration and self._agent in agents:
            if self._how == "raise":
                raise ValueError("the sensor\nis broken")
            if self._how == "exit":
                raise SystemExit(0)
            own[self._agent - agents.start] = float(self._how)
        return own, team


def make(agents: int, how: str = "nan", agent: int = 3, iteration: int = 17) -> Faulty:
    """`how`: nan, inf, raise or exit."""
    return Faulty(agents, how, agent, iteration)
