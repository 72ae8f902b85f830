"""Policies whose actions are differentiable functions of a network's outputs, for all agents of a process.

Parameters, samples and kept forward passes are as those of `netac.agents.neural.policies`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netac.agents.distributions import relaxation_of
from netac.agents.networks._factory import Network
from netac.agents.neural.networks import Initial, networks
from netac.agents.neural.passes import Seen
from netac.agents.neural.policies import Allowed, PolicyNetworks, dealt, refuse_memory, stacked
from netac.agents.relaxations import Relaxation
from netac.utils.spaces import ActionSpace

Noise = Sequence[np.ndarray | None]      # (n) uniforms (M, A_i) of discrete actions, None for vectors


@dataclass(frozen=True)
class ReparametrisedPolicy(PolicyNetworks):
    """mu_i(o_i; theta_i): differentiable functions of the module's outputs, see `netac.agents.relaxations`.

    Attributes:
        deviation: of the normal noise that is added to vectors when agents act, in half-ranges of the actions (in their
            own units where an entry is not bounded on both sides).
        epsilon: how often a discrete action is drawn evenly instead when agents act.
        temperature: of the relaxed softmax.
        penalty: coefficient of the mean square of the module's outputs, which is subtracted from the objective.
    """

    deviation: float = 0.0
    epsilon: float = 0.0
    temperature: float = 1.0
    penalty: float = 0.0

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray | None, keep: bool = True,
            memory: None = None, allowed: Allowed = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Actions for the games, with exploration; arguments and results as those of `NeuralPolicy.act`."""
        drawn, chances = [], []
        for rows, relaxed, values in self._relaxed(self.networks.passes.forward(theta, Seen(obs)).outputs):
            actions, pi = relaxed.act(values, None if uniforms is None else uniforms[rows], _of(rows, allowed))
            drawn.append((rows, actions))
            chances.append((rows, pi))
        return dealt(drawn, len(obs)), dealt(chances, len(obs))

    def noise(self, streams: Sequence[np.random.Generator], samples: int) -> Noise:
        """Uniforms of each agent, of its own stream, for `numbers` and `gradient` of M = `samples` samples."""
        return [own.noise(stream, samples) for own, stream in zip(self._own_relaxations, streams, strict=True)]

    def numbers(self, theta: np.ndarray, obs: list[np.ndarray], noise: Noise, keep: bool = False,
                allowed: Allowed = None) -> list[np.ndarray]:
        """The actions as numbers, without exploration: (n) vectors within bounds or one-hot rows, (M, outputs_i).

        Args:
            keep: whether `gradient` will be asked for these observations at these parameters.
            allowed: which actions agents may take.
        """
        outputs = self.networks.passes.forward(theta, Seen(obs), keep=keep).outputs
        return dealt(((rows, relaxed.numbers(values, [noise[row] for row in rows], _of(rows, allowed)))
                       for rows, relaxed, values in self._relaxed(outputs)), len(obs))

    def gradient(self, theta: np.ndarray, obs: list[np.ndarray], noise: Noise, slopes: list[np.ndarray],
                 sample_weight: np.ndarray | None = None, allowed: Allowed = None) -> np.ndarray:
        """sum_e sample_weight[i, e] grad (slopes_i[e]' a_i(o_e; theta_i) - penalty mean_k output_k^2), (n, d).

        The penalty's sum is over outputs of what is allowed.

        Args:
            noise, allowed: those of `numbers`.
            slopes: (n) dQ/da (M, outputs_i).
            sample_weight: (n, M); None: ones.
        """
        passes, pulls = self.networks.passes, []
        done = passes.again(theta, Seen(obs))
        for rows, relaxed, values in self._relaxed(done.outputs):
            free = _of(rows, allowed)
            pull = relaxed.pull(values, [noise[row] for row in rows], np.stack([slopes[row] for row in rows]), free)
            pull -= 2.0 * self.penalty / values.shape[-1] * (values if free is None else np.where(free, values, 0.0))
            if sample_weight is not None:
                pull *= sample_weight[rows, :, None]
            pulls.append((rows, pull))
        return passes.backward(done, dealt(pulls, len(obs)))

    @cached_property
    def _relaxations(self) -> list[Relaxation]:
        """How actions are relaxed, for each group of agents."""
        spaces = [self.actions[agent] for agent in self.networks.agents]
        return [relaxation_of([spaces[row] for row in rows], self.deviation, self.epsilon, self.temperature)
                for _, rows in self._groups]

    @property
    def _own_relaxations(self) -> list[Relaxation]:
        """The relaxation of each agent's group, (n)."""
        groups = zip(self._groups, self._relaxations, strict=True)
        return dealt(((rows, [relaxed] * len(rows)) for (_, rows), relaxed in groups), len(self.networks.agents))

    def _relaxed(self, outputs: list[np.ndarray]) -> Iterator[tuple[list[int], Relaxation, np.ndarray]]:
        """Of each group of agents: their rows, how their actions are relaxed, their outputs (g, M, outputs), double."""
        for (_, rows), relaxed in zip(self._groups, self._relaxations, strict=True):
            yield rows, relaxed, stacked(outputs, rows)


def _of(rows: list[int], allowed: Allowed) -> np.ndarray | None:
    """What a group of agents may do, (g, M, outputs)."""
    return None if allowed is None else np.stack([allowed[row] for row in rows])


def reparametrised_policy(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                          actions: Sequence[ActionSpace], names: Sequence[str], initial: Initial, temperature: float,
                          penalty: float, shared: Sequence[str] = ()) -> ReparametrisedPolicy:
    """The policies of all N agents; other arguments and errors as those of `networks`."""
    outputs = [space.outputs for space in actions]
    made = networks("policy", spec, observations, outputs, names, gain=0.01, shared=shared, initial=initial)
    refuse_memory(made)
    return ReparametrisedPolicy(made, tuple(actions), temperature=temperature, penalty=penalty)
