"""Policies that are networks over the actions of all agents, of which each plays its own.

Agents with such policies can be asked how likely they find what all did together, and can agree on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from netac.agents.distributions import Distribution, ProductFamily, distribution_of
from netac.agents.networks._factory import Network
from netac.agents.neural.networks import Initial
from netac.agents.neural.passes import Pass
from netac.agents.neural.policies import Allowed, Groups, NeuralPolicy, grouped, masked, policy_networks, stacked
from netac.utils.spaces import ActionSpace, ProductSpace


@dataclass(frozen=True)
class JointPolicy(NeuralPolicy):
    """pi_i(a|o; theta_i) = product over all agents j of pi_i^j(a^j|o; theta_i), of which agent i draws a^i in games.

    The outputs of a network, and the entries of log_std, are those of agent 0's action, then of agent 1's, ...  But for
    `act` actions are joint ones: each of `b.own` is (M, S), as `netac.utils.spaces.ProductSpace` has them, NaN for
    agents that took no part, and `b.allowed` are of all agents, one after the other.  `actions` are the agents' own
    spaces.
    """

    def family(self, agent: int) -> ProductFamily:
        """The distributions of joint actions."""
        return self._joint

    @cached_property
    def _joint(self) -> ProductFamily:
        return distribution_of(ProductSpace(self.actions))

    @cached_property
    def _own_groups(self) -> Groups:
        """Agents, by their rows, whose own actions have distributions of one family."""
        return grouped(distribution_of(self.actions[agent]) for agent in self.networks.agents)

    def _acting(self, theta: np.ndarray, done: Pass, allowed: Allowed) -> list[tuple[list[int], Distribution]]:
        outputs = [each[:, self._joint.columns(agent, "outputs")]
                   for each, agent in zip(done.outputs, self.networks.agents, strict=True)]
        return [(rows, masked(family(stacked(outputs, rows), np.concatenate(
            [self._own_deviations(theta, row) for row in rows]) if family.deviations else None), allowed, rows))
            for family, rows in self._own_groups]

    def _own_deviations(self, theta: np.ndarray, row: int) -> np.ndarray:
        """Of an agent's own action, (1, 1, d_i)."""
        return self._deviations(theta, [row])[..., self._joint.columns(self.networks.agents[row], "deviations")]


def joint_policy(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                 actions: Sequence[ActionSpace], names: Sequence[str], shared: Sequence[str] = (),
                 initial: Initial = "common", entropy: float = 0.0, log_std: float = -0.5,
                 deviations: Literal["learned", "fixed"] = "learned", recurrent: bool = False) -> JointPolicy:
    """The policies of all N agents over their joint actions; arguments and errors as those of `neural_policy`."""
    joint = distribution_of(ProductSpace(tuple(actions)))
    made = policy_networks(spec, observations, [joint] * len(names), names, shared, initial, recurrent)
    return JointPolicy(made, tuple(actions), entropy, log_std, deviations)
