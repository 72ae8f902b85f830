"""Utilities: networks that say what each action of an agent is worth, for all agents of a process.

An agent takes the best one.  Of several choices at once the utility is the sum of theirs, so that each is made by
itself.  Parameters, samples and kept forward passes are as those of `netac.agents.neural.policies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netac.agents.distributions import relaxation_of
from netac.agents.networks._factory import Network
from netac.agents.neural.networks import Initial, networks
from netac.agents.neural.passes import Seen
from netac.agents.neural.policies import Allowed, PolicyNetworks, dealt, stacked
from netac.agents.relaxations import Relaxation
from netac.utils.spaces import ActionSpace


@dataclass(frozen=True)
class UtilityPolicy(PolicyNetworks):
    """Q_i(o_i, .; theta_i), of which agents take the largest.

    Attributes:
        epsilon: how often an action is drawn evenly instead when agents act, in each of several choices.
    """

    epsilon: float = 0.0

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray | None, keep: bool = True,
            memory: np.ndarray | None = None,
            allowed: Allowed = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Actions for the games, with exploration; arguments and results as those of `NeuralPolicy.act`."""
        outputs = self.networks.passes.forward(theta, Seen(obs, memory=memory)).outputs
        drawn, chances = [], []
        for (_, rows), explored in zip(self._groups, self._explored, strict=True):
            free = None if allowed is None else np.stack([allowed[row] for row in rows])
            space = self._space(rows[0])
            greedy = np.where(space.encode(space.best(stacked(outputs, rows), free)) > 0.0, 0.0, -np.inf)
            actions, pi = explored.act(greedy, None if uniforms is None else uniforms[rows], free)
            drawn.append((rows, actions))
            chances.append((rows, pi))
        return dealt(drawn, len(obs)), dealt(chances, len(obs))

    def values(self, theta: np.ndarray, seen: Seen, keep: bool = False) -> list[np.ndarray]:
        """Q_i(o_i, .): (n) arrays (M, outputs_i), double; of sequences first their samples, then those beyond.

        Args:
            keep: whether the gradient for these observations will be asked for.
        """
        return [values.astype(float) for values in self.networks.passes.forward(theta, seen, keep).outputs]

    def gradient(self, theta: np.ndarray, seen: Seen, pulls: list[np.ndarray]) -> np.ndarray:
        """sum_e pulls_i[e]' grad Q_i(o_e, .), (n, d), for pulls (n) arrays (M, outputs_i)."""
        passes = self.networks.passes
        return passes.backward(passes.again(theta, seen), pulls)

    def best(self, row: int, values: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
        """The actions of the largest values (M, outputs_i), of an agent by its row: (M,), or (M, d_i)."""
        return self._space(row).best(values, allowed)

    def numbers(self, row: int, actions: np.ndarray) -> np.ndarray:
        """Actions of an agent, by its row, as numbers: one-hot, choice after choice, (M, outputs_i)."""
        return self._space(row).encode(actions)

    def _space(self, row: int) -> ActionSpace:
        return self.actions[self.networks.agents[row]]

    @cached_property
    def _explored(self) -> list[Relaxation]:
        """How actions are drawn, for each group of agents."""
        return [relaxation_of([self._space(row) for row in rows], 0.0, self.epsilon, 1.0) for _, rows in self._groups]


def utility_policy(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                   actions: Sequence[ActionSpace], names: Sequence[str], shared: Sequence[str],
                   initial: Initial) -> UtilityPolicy:
    """The utilities of all N agents, whose actions are finitely many; other arguments and errors as of `networks`."""
    outputs = [space.outputs for space in actions]
    return UtilityPolicy(networks("policy", spec, observations, outputs, names, gain=0.01, shared=shared,
                                  initial=initial), tuple(actions))
