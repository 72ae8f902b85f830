"""Policies whose actions, as numbers, are differentiable functions of a module's outputs, for all agents of a process.

A vector is mu_i(o_i): centre + half-range x tanh(output) where both bounds of an entry are finite, else the output itself,
kept within a single bound by clipping, which gradients pass as if it were not there.  A discrete action is drawn from the
softmax of the outputs, as the one-hot vector of the largest of l + g with Gumbel noise g; the gradient is that of
softmax((l + g) / temperature) in its place ("straight-through"; Jang, Gu and Poole, 2017, "Categorical reparameterization with
Gumbel-softmax"), the estimator that Lowe et al. (2017) use for discrete messages.

Samples an agent took no part in have the weight 0, and the others so much more that a gradient divided by M is their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.agents._neural_networks import Initial, networks
from netac.agents._neural_policies import PolicyNetworks, refuse_memory
from netac.agents.networks._factory import Network
from netac.agents.neural import one_hot, probabilities
from netac.agents.policies import choose
from netac.utils.spaces import ActionSpace
from netac.utils.streams import gumbel, normal

Noise = Sequence[np.ndarray | None]      # (n) uniforms (M, A_i) of discrete actions, None for vectors


@dataclass(frozen=True)
class ReparametrisedPolicy(PolicyNetworks):
    """mu_i(o_i; theta_i), or a draw from the softmax of the module's outputs.

    Attributes:
        deviation: of the normal noise that is added to vectors when agents act, in half-ranges of the actions (in their own
            units where an entry is not bounded on both sides).
        epsilon: how often a discrete action is drawn evenly instead when agents act.
        temperature: of the relaxed softmax.
        penalty: what is subtracted from the objective, times the mean square of the module's outputs.
    """

    deviation: float = 0.0
    epsilon: float = 0.0
    temperature: float = 1.0
    penalty: float = 0.0

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray, keep: bool = True,
            memory: None = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Actions in the games, with what explores; arguments and results as those of `netac.agents.neural.NeuralPolicy`."""
        own: list = [None] * len(obs)
        pi: list = [None] * len(obs)
        for space, rows, values in self._grouped(self.networks.modules.forward(theta, obs)):
            if space.n_actions:
                if self.epsilon:
                    values = np.log((1.0 - self.epsilon) * probabilities(values) + self.epsilon / space.n_actions)
                chances, drawn = choose(values, uniforms[rows, :, :1])
                for row, p, a in zip(rows, chances, drawn[:, :, 0], strict=True):
                    pi[row], own[row] = p, a
            else:
                centre, half, both = self._bounds(rows)
                drawn = _within(values, centre, half, both) + self.deviation * half * normal(uniforms[rows, :, :space.size])
                for row, a in zip(rows, drawn, strict=True):
                    own[row] = a
        return own, pi

    def numbers(self, theta: np.ndarray, obs: list[np.ndarray], noise: Noise, keep: bool = False) -> list[np.ndarray]:
        """The actions as numbers, without what explores: (n) vectors within their bounds or one-hot rows, (M, outputs_i).

        Args:
            keep: whether `gradient` will be asked for these observations at these parameters.
        """
        found: list = [None] * len(obs)
        for space, rows, values in self._grouped(self.networks.modules.forward(theta, obs, keep=keep)):
            if space.n_actions:
                given = one_hot((values + _gumbels(noise, rows)).argmax(axis=-1), space.n_actions)
            else:
                given = _within(values, *self._bounds(rows))
                for k, row in enumerate(rows):
                    own = self.actions[self.networks.agents[row]]
                    np.clip(given[k], own.low, own.high, out=given[k])
            for row, numbers in zip(rows, given, strict=True):
                found[row] = numbers
        return found

    def gradient(self, theta: np.ndarray, obs: list[np.ndarray], noise: Noise, slopes: list[np.ndarray],
                 sample_weight: np.ndarray | None = None) -> np.ndarray:
        """sum_e sample_weight[i, e] grad (slopes_i[e]' a_i(o_e; theta_i) - penalty mean_k output_k^2), (n, d).

        Args:
            noise: that of `numbers`.
            slopes: (n) dQ/da (M, outputs_i).
            sample_weight: (n, M); None: ones.
        """
        modules = self.networks.modules
        outputs = modules.outputs(theta, obs)
        pulls: list = [None] * len(outputs)
        for space, rows, values in self._grouped(outputs):
            slope = np.stack([slopes[row] for row in rows])
            if space.n_actions:
                pull = through_softmax(values + _gumbels(noise, rows), slope, self.temperature)
            else:
                _, half, both = self._bounds(rows)
                pull = slope * half * np.where(both, 1.0 - np.tanh(values) ** 2, 1.0)
            pull -= 2.0 * self.penalty / values.shape[-1] * values
            for row, each in zip(rows, pull, strict=True):
                pulls[row] = (each if sample_weight is None else each * sample_weight[row][:, None]).astype(np.float32)
        return modules.backward(outputs, pulls)

    def _bounds(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centres, half-ranges, and which entries are bounded on both sides, (g, 1, d_i) each; 0 and 1 for the others."""
        spaces = [self.actions[self.networks.agents[row]] for row in rows]
        low, high = (np.array(bounds, dtype=float)[:, None] for bounds in zip(*((own.low, own.high) for own in spaces),
                                                                             strict=True))
        both = np.isfinite(low) & np.isfinite(high)
        low, high = np.where(both, low, -1.0), np.where(both, high, 1.0)
        return 0.5 * (low + high), 0.5 * (high - low), both


def through_softmax(logits: np.ndarray, slopes: np.ndarray, temperature: float) -> np.ndarray:
    """slopes' d softmax(logits / temperature) / d logits, (..., A)."""
    pi = probabilities(logits / temperature)
    return pi * (slopes - (pi * slopes).sum(axis=-1, keepdims=True)) / temperature


def reparametrised_policy(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                          actions: Sequence[ActionSpace], names: Sequence[str], initial: Initial, temperature: float, penalty: float) -> ReparametrisedPolicy:
    """The policies of all N agents, who share nothing; other arguments and errors as those of `networks`."""
    made = networks("policy", spec, observations, [space.outputs for space in actions], names, gain=0.01, initial=initial)
    refuse_memory(made)
    return ReparametrisedPolicy(made, tuple(actions), temperature=temperature, penalty=penalty)


def _within(outputs: np.ndarray, centre: np.ndarray, half: np.ndarray, both: np.ndarray) -> np.ndarray:
    return centre + half * np.where(both, np.tanh(outputs), outputs)


def _gumbels(noise: Noise, rows: list[int]) -> np.ndarray:
    """(g, M, A)."""
    return gumbel(np.stack([noise[row] for row in rows]))
