"""The coordination game of Zeng et al., section 5: one state, eight actions, several equilibria, two of them efficient.

r_i = (a_i - 3.5)^2 + #{j != i: a_j = a_i} + Gumbel(0, 1).  Without noise the best each agent can get is 12.25 + N - 1,
when all choose 0 or all choose 7.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from netac.envs._features import ActionHistogram, ActionsOneHot, counts
from netac.utils.options import Options
from netac.utils.streams import gumbel

ACTIONS = 8
EFFICIENT_WITHIN = 0.5     # of the optimum
EFFICIENT_OVER = 200       # last iterations


class Settings(Options):
    """Options of `env = { name = "coordination" }`."""

    features: Literal["onehot", "histogram"] = Field(
        "onehot", description="reward features: every agent's action one-hot / sqrt(N) (8 N numbers), "
                              "or counts / N (8)")
    noise: bool = Field(True, description="add Gumbel(0, 1) noise to every observed reward")


def make(settings: Settings, agents: int) -> CoordinationGame:
    """The game for `agents` agents."""
    return CoordinationGame(agents, settings.features, settings.noise)


class CoordinationGame:
    """See the module; the interface is `netac.envs.TabularEnvironment`."""

    states, actions = 1, ACTIONS
    EFFICIENT_OVER = EFFICIENT_OVER
    theta0 = gamma = mdp = None

    def __init__(self, agents: int, features: str = "onehot", noise: bool = True):
        self.agents = agents
        self.initial, self.phi = np.ones(1), np.ones((1, 1))
        self.psi = (ActionsOneHot if features == "onehot" else ActionHistogram)(agents, ACTIONS)
        self.reward_noise = gumbel if noise else None
        self._divisor = np.array(float(agents))
        self._alone = (np.arange(ACTIONS)[None] - 3.5) ** 2 - 1.0     # (1, A): (a - 3.5)^2, less oneself in the count

    @property
    def optimum(self) -> float:
        """The largest team-mean reward per step, without noise."""
        return 12.25 + self.agents - 1

    def efficient(self, reward: float) -> bool:
        """Whether a mean noiseless team reward counts as an efficient equilibrium."""
        return bool(reward >= self.optimum - EFFICIENT_WITHIN)

    def next_states(self, states: np.ndarray, actions: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """There is one state."""
        return states

    def rewards(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray,
                agents: range) -> tuple[np.ndarray, np.ndarray]:
        """(a_i - 3.5)^2 + #{j != i: a_j = a_i} of `agents`, (n, M), and the mean over all agents, (M,)."""
        chosen = counts(actions, ACTIONS).astype(float)
        payoff = self._alone + chosen                        # (M, A): what each action pays in each sample
        team = np.vecdot(payoff, chosen) / self._divisor
        own = actions[agents.start:agents.stop]
        return (payoff[0][own] if len(payoff) == 1 else payoff[np.arange(len(payoff)), own]), team
