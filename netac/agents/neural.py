"""Policies and critics that are torch modules, for all agents of a process; methods as those of the linear ones.

Parameters are rows (n, width), single precision: the shared tensors, the personal ones, and zeros where another agent has
more.  Values are (n, M), double; gradients are (n, width), single precision, in memory that the next gradient of the same
object overwrites.  Samples an agent took no part in count for nothing, and the others for so much more (`sample_weight`) that
dividing a gradient by M gives the mean over them; values of s' are multiplied by `bootstrap_mask`.

Policies with memory are asked about sequences: `b.sequences` says how the samples follow each other, and they are unrolled
over its chunks, from what was remembered when the samples were drawn.

A call keeps its forward pass, and `gradient` uses it once if it is given the same arrays; between the two neither the
parameters nor the observations may change their values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from netac.agents._neural_layout import Tensors, describe
from netac.agents._neural_networks import Initial, Networks, networks
from netac.agents._neural_policies import PolicyNetworks, refuse_memory
from netac.agents.curvature import categorical_fisher, normal_fisher
from netac.agents.networks._factory import Network
from netac.agents.networks._torch import torch
from netac.agents.policies import choose
from netac.agents.sequences import Sequences
from netac.agents.transitions import Transitions
from netac.utils.spaces import ActionSpace
from netac.utils.streams import normal

LOG_STD = "log_std"
HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class NeuralPolicy(PolicyNetworks):
    """pi_i(a|o; theta_i): softmax of the module's outputs, or a normal distribution whose means they are.

    The standard deviations of a normal distribution are exp(log_std), a tensor beside the module's own.

    Attributes:
        entropy: coefficient of the entropy bonus.
        log_std: its initial value.
    """

    entropy: float = 0.0
    log_std: float = -0.5

    def initial(self, seed: int, agents: range) -> np.ndarray:
        """Initial theta of `agents`, (n, d) single precision."""
        rows = super().initial(seed, agents)
        for row, agent in zip(rows, agents, strict=True):
            if not self.actions[agent].n_actions:
                row[self.networks.tensors[agent].places[LOG_STD]] = self.log_std
        return rows

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray,
            keep: bool = True, memory: np.ndarray | None = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Draw actions by inversion.

        Args:
            theta: (n, d).
            obs: (n) arrays (M, *shape_i).
            uniforms: (n, M, D) in [0, 1), D the largest size of an action.
            keep: whether a gradient for these observations will be asked for.
            memory: (n, M, H) what policies with memory remember, changed in place.

        Returns:
            (n) actions, (M,) whole numbers or (M, d_i) doubles, and (n) probabilities (M, A_i), None for vectors.
        """
        own: list = [None] * len(obs)
        pi: list = [None] * len(obs)
        modules = self.networks.modules
        outputs = modules.forward(theta, obs, keep=keep) if memory is None else modules.step(theta, obs, memory)
        for space, rows, values in self._grouped(outputs):
            if space.n_actions:
                chances, drawn = choose(values, uniforms[rows, :, :1])
                for row, p, a in zip(rows, chances, drawn[:, :, 0], strict=True):
                    pi[row], own[row] = p, a
            else:
                drawn = values + np.exp(self._log_std(theta, rows)) * normal(uniforms[rows, :, :space.size])
                for row, a in zip(rows, drawn, strict=True):
                    own[row] = a
        return own, pi

    def log_prob(self, theta: np.ndarray, b: Transitions, keep: bool = True) -> np.ndarray:
        """log pi_i(a_e|o_e), or the logarithm of its density, (n, M), double.

        Args:
            keep: whether a gradient for these observations will be asked for.
        """
        found = np.empty((len(b.obs), len(b.own[0])))
        outputs = self.networks.modules.forward(theta, b.obs, keep=keep, sequences=self._sequences(b))
        for space, rows, values in self._grouped(outputs):
            own = np.stack([b.own[row] for row in rows])
            if space.n_actions:
                found[rows] = np.take_along_axis(log_softmax(values), own[:, :, None], axis=2)[:, :, 0]
            else:
                log_std = self._log_std(theta, rows)
                z = (own - values) * np.exp(-log_std)
                found[rows] = -0.5 * np.vecdot(z, z) - (log_std + HALF_LOG_2_PI).sum(axis=2)
        return found

    def distributions(self, theta: np.ndarray, b: Transitions) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """What agents draw from, (n): log probabilities (M, A_i) and None, or means (M, d_i) and log deviations (d_i,)."""
        found: list = [None] * len(b.obs)
        for space, rows, values in self._grouped(self.networks.modules.forward(theta, b.obs, sequences=self._sequences(b))):
            log_std = None if space.n_actions else self._log_std(theta, rows)
            for k, row in enumerate(rows):
                found[row] = (log_softmax(values[k]), None) if space.n_actions else (values[k], log_std[k, 0])
        return found

    def gradient(self, theta: np.ndarray, b: Transitions, weights: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] (weights[i, e] grad log pi_i(a_e|o_e) + entropy grad H(pi_i(.|o_e))), (n, d)."""
        modules, besides = self.networks.modules, []
        outputs = modules.outputs(theta, b.obs, sequences=self._sequences(b))
        pulls: list = [None] * len(outputs)
        sample_weight = b.sample_weight
        bonus = self.entropy * (np.ones_like(weights) if sample_weight is None else sample_weight)
        weights = weights if sample_weight is None else weights * sample_weight
        for space, rows, values in self._grouped(outputs):
            own, weight, extra = np.stack([b.own[row] for row in rows]), weights[rows, :, None], bonus[rows, :, None]
            if space.n_actions:
                pi = probabilities(values)
                pull = weight * (one_hot(own, space.n_actions) - pi)
                if self.entropy:
                    log_pi = np.log(np.maximum(pi, np.finfo(float).tiny))
                    pull -= extra * pi * (log_pi - np.vecdot(pi, log_pi)[:, :, None])
            else:
                deviation, variance = own - values, np.exp(2.0 * self._log_std(theta, rows))
                pull = weight * deviation / variance
                besides.append((rows, weight * (deviation**2 / variance - 1.0) + extra))
            for row, each in zip(rows, pull.astype(np.float32), strict=True):
                pulls[row] = each
        gradient = modules.backward(outputs, pulls)
        for rows, pull in besides:
            for row, each in zip(rows, pull, strict=True):
                gradient[row, self._tensors(row).places[LOG_STD]] = each.sum(axis=0)
        return gradient

    def score_products(self, theta: np.ndarray, b: Transitions, h: np.ndarray) -> np.ndarray:
        """grad log pi_i(a_e|o_e)'h_i for every sample e, times active, (n, M)."""
        modules, sequences = self.networks.modules, self._sequences(b)
        moved = modules.tangents(theta, b.obs, h, sequences)
        products = np.empty((len(moved), len(moved[0])))
        for space, rows, values in self._grouped(modules.outputs(theta, b.obs, last=False, sequences=sequences)):
            own, along = np.stack([b.own[row] for row in rows]), np.stack([moved[row] for row in rows])
            if space.n_actions:
                products[rows] = np.vecdot(one_hot(own, space.n_actions) - probabilities(values), along)
            else:
                deviation, variance = own - values, np.exp(2.0 * self._log_std(theta, rows))
                products[rows] = np.vecdot(deviation / variance, along)
                products[rows] += np.vecdot(deviation**2 / variance - 1.0, self._log_std(h, rows))
        return products if b.active is None else products * b.active

    def fisher_product(self, theta: np.ndarray, b: Transitions, v: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] H_e v_i, (n, d), with H_e the Hessian of KL(pi_i(.|o_e) || pi_theta(.|o_e)) at theta_i."""
        modules, besides, sequences = self.networks.modules, [], self._sequences(b)
        moved = modules.tangents(theta, b.obs, v, sequences)
        outputs = modules.outputs(theta, b.obs, sequences=sequences)
        pulls: list = [None] * len(outputs)
        sample_weight = np.ones((len(outputs), len(moved[0]))) if b.sample_weight is None else b.sample_weight
        for space, rows, values in self._grouped(outputs):
            along, weight = np.stack([moved[row] for row in rows]), sample_weight[rows, :, None]
            if space.n_actions:
                pull = weight * categorical_fisher(probabilities(values), along)
            else:
                bent, beside = normal_fisher(self._log_std(theta, rows), along, self._log_std(v, rows)[:, 0])
                pull = weight * bent
                besides.append((rows, weight.sum(axis=1) * beside))
            for row, each in zip(rows, pull.astype(np.float32), strict=True):
                pulls[row] = each
        product = modules.backward(outputs, pulls)
        for rows, pull in besides:
            for row, each in zip(rows, pull, strict=True):
                product[row, self._tensors(row).places[LOG_STD]] = each
        return product

    def _sequences(self, b: Transitions) -> Sequences | None:
        return b.sequences if self.memory else None

    def _tensors(self, row: int) -> Tensors:
        return self.networks.tensors[self.networks.agents[row]]

    def _log_std(self, rows: np.ndarray, which: list[int]) -> np.ndarray:
        """The entries of log_std in some rows of theta or of a direction: (g, 1, d_i), double."""
        return np.stack([rows[row, self._tensors(row).places[LOG_STD]] for row in which]).astype(float)[:, None, :]


def neural_policy(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                  actions: Sequence[ActionSpace], names: Sequence[str], shared: Sequence[str] = (),
                  initial: Initial = "common", entropy: float = 0.0, log_std: float = -0.5,
                  recurrent: bool = False) -> NeuralPolicy:
    """The policies of all N agents; arguments and errors as those of `networks`.

    Args:
        recurrent: whether they may have a memory, which needs an algorithm that learns from sequences.
    """
    besides = [{} if space.n_actions else {LOG_STD: (space.size,)} for space in actions]
    made = networks("policy", spec, observations, [space.outputs for space in actions], names, gain=0.01, shared=shared,
                    initial=initial, besides=besides)
    if not recurrent:
        refuse_memory(made)
    return NeuralPolicy(made, tuple(actions), entropy, log_std)


@dataclass(frozen=True)
class _Critic:
    """What the three have in common.

    Attributes:
        networks: modules that give one number per sample.
    """

    networks: Networks

    @property
    def size(self) -> int:
        """Width of a row."""
        return self.networks.size

    def of(self, agents: range) -> Self:
        """The critics of some of the agents."""
        return replace(self, networks=replace(self.networks, agents=agents))

    def describe(self) -> str:
        """Which tensors there are, with shapes and counts."""
        return describe(self.networks.key.replace("_", " "), self.networks.tensors)

    def initial(self, seed: int, agents: range) -> np.ndarray:
        """Initial parameters of `agents`, (n, size) single precision."""
        return self.networks.rows(seed, agents)

    def _gradient(self, rows: np.ndarray, seen: list[np.ndarray], joint: list[np.ndarray] | None, sample_weight: np.ndarray | None,
                  weights: np.ndarray) -> np.ndarray:
        modules = self.networks.modules
        pulls = (weights if sample_weight is None else weights * sample_weight).astype(np.float32)[:, :, None]
        return modules.backward(modules.outputs(rows, seen, joint), list(pulls))


class NeuralStateValue(_Critic):
    """V(s)."""

    def __call__(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """V_i(s), (n, M)."""
        return _values(self.networks.modules.forward(omega, b.seen, keep=True))

    def next(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """V_i(s'), 0 where the agent terminated, (n, M)."""
        values = _values(self.networks.modules.forward(omega, b.next_seen))
        return values if b.bootstrap_mask is None else values * b.bootstrap_mask

    def gradient(self, omega: np.ndarray, b: Transitions, weights: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] weights[i, e] grad V_i(s_e), (n, K)."""
        return self._gradient(omega, b.seen, None, b.sample_weight, weights)


class NeuralRewardModel(_Critic):
    """R(s,a), the agents' estimate of the team-mean reward."""

    def __call__(self, lam: np.ndarray, b: Transitions) -> np.ndarray:
        """R_i(s,a), (n, M)."""
        return _values(self.networks.modules.forward(lam, b.seen, b.joint, keep=True))

    def gradient(self, lam: np.ndarray, b: Transitions, weights: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] weights[i, e] grad R_i(s_e, a_e), (n, L)."""
        return self._gradient(lam, b.seen, b.joint, b.sample_weight, weights)


class NeuralActionValue(NeuralRewardModel):
    """Q(s,a) of the joint action a."""

    def next(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """Q_i(s',a'), 0 where the agent terminated, (n, M)."""
        values = _values(self.networks.modules.forward(omega, b.next_seen, b.next_joint))
        return values if b.bootstrap_mask is None else values * b.bootstrap_mask

    def slopes(self, omega: np.ndarray, seen: list[np.ndarray], joint: list[np.ndarray]) -> list[np.ndarray]:
        """d Q_i(s,a) / d a for joint actions (M, F) as numbers: (n) arrays (M, F)."""
        return self.networks.modules.slopes(omega, seen, joint)

    def expected(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """sum_b pi_i(b|o) Q_i(s, b, a_-i), (n, M): what agent i expects over its own action alone."""
        return np.stack([np.vecdot(pi, q) for pi, q in zip(b.pi, self.of_each(omega, b.seen, b.alternatives), strict=True)])

    def of_each(self, omega: np.ndarray, seen: list[np.ndarray], alternatives: list[np.ndarray]) -> list[np.ndarray]:
        """Q_i(s, .) of several joint actions for each s, (n) arrays (M, A_i, F) -> (n) arrays (M, A_i), double."""
        repeated = [np.repeat(own, others.shape[1], axis=0) for own, others in zip(seen, alternatives, strict=True)]
        joint = [others.reshape(-1, others.shape[2]) for others in alternatives]
        values = self.networks.modules.forward(omega, repeated, joint)
        return [value.detach().numpy().reshape(others.shape[:2]).astype(float)
                for value, others in zip(values, alternatives, strict=True)]


def neural_critic(what: Literal["state_value", "reward_model", "action_value"],
                  spec: dict[str, Any] | Network, inputs: Sequence[tuple[int, ...]], names: Sequence[str], joint: int,
                  mixed: bool, initial: Initial = "common") -> NeuralStateValue | NeuralRewardModel | NeuralActionValue:
    """The critics of all N agents; arguments and errors as those of `networks`.

    Args:
        inputs: (N) shapes of what they see.
        joint: F, size of the joint action as numbers; V(s) has no use for it.
        mixed: whether consensus averages them, so that all must agree in every layer.
    """
    critic = {"state_value": NeuralStateValue, "reward_model": NeuralRewardModel, "action_value": NeuralActionValue}[what]
    return critic(networks("reward_model" if what == "reward_model" else "critic", spec, inputs, [1] * len(inputs), names,
                           joint=0 if what == "state_value" else joint, shared=["*"] if mixed else [], initial=initial))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax along the last axis, with the bits of `choose`."""
    return choose(logits, np.zeros((*logits.shape[:-1], 1)))[0]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the softmax along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def one_hot(actions: np.ndarray, n_actions: int) -> np.ndarray:
    """(...) -> (..., n_actions), double."""
    return (actions[..., None] == np.arange(n_actions)).astype(float)


def _values(outputs: list[torch.Tensor]) -> np.ndarray:
    """(n) outputs (M, 1) -> (n, M), double."""
    return np.stack([output.detach().numpy()[:, 0] for output in outputs]).astype(float)
