"""Critics that are networks, for all agents of a process; methods as those of the linear ones.

Parameters are rows (n, width), single precision: the shared tensors, the personal ones, and zeros where another agent
has more.  Values are (n, M), double; gradients are (n, width), single precision, in memory that the next gradient of
the same object overwrites.  Samples an agent took no part in have weight 0, and the others a weight
(`sample_weight`) such that dividing a gradient by M gives the mean over them; values of s' are multiplied by
`bootstrap_mask`.

A call keeps its forward pass, and `gradient` uses it once if it is given the same arrays; between the two neither the
parameters nor the observations may change their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, overload

import numpy as np

from netac.agents.networks._factory import Network
from netac.agents.neural.networks import Initial, Networks, networks
from netac.agents.neural.passes import Pass, Seen
from netac.agents.neural.tensors import describe
from netac.agents.transitions import Transitions

ValueName = Literal["state_value", "action_value"]


@dataclass(frozen=True)
class _Critic:
    """What the three critics have in common.

    Attributes:
        networks: those that give one number per sample.
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

    def _gradient(self, rows: np.ndarray, seen: list[np.ndarray], joint: list[np.ndarray] | None,
                  sample_weight: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
        passes = self.networks.passes
        pulls = (weights if sample_weight is None else weights * sample_weight)[:, :, None]
        return passes.backward(passes.again(rows, Seen(seen, joint)), list(pulls))


class NeuralStateValue(_Critic):
    """V(s)."""

    def __call__(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """V_i(s), (n, M)."""
        return _values(self.networks.passes.forward(omega, Seen(b.seen), keep=True))

    def next(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """V_i(s'), 0 where the agent terminated, (n, M)."""
        values = _values(self.networks.passes.forward(omega, Seen(b.next_seen)))
        return values if b.bootstrap_mask is None else values * b.bootstrap_mask

    def gradient(self, omega: np.ndarray, b: Transitions, weights: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] weights[i, e] grad V_i(s_e), (n, K)."""
        return self._gradient(omega, b.seen, None, b.sample_weight, weights)


class NeuralRewardModel(_Critic):
    """R(s,a), the agents' estimate of the team-mean reward."""

    def __call__(self, lam: np.ndarray, b: Transitions) -> np.ndarray:
        """R_i(s,a), (n, M)."""
        return _values(self.networks.passes.forward(lam, Seen(b.seen, b.joint), keep=True))

    def gradient(self, lam: np.ndarray, b: Transitions, weights: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] weights[i, e] grad R_i(s_e, a_e), (n, L)."""
        return self._gradient(lam, b.seen, b.joint, b.sample_weight, weights)


class NeuralActionValue(NeuralRewardModel):
    """Q(s,a) of the joint action a."""

    def next(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """Q_i(s',a'), 0 where the agent terminated, (n, M)."""
        values = _values(self.networks.passes.forward(omega, Seen(b.next_seen, b.next_joint)))
        return values if b.bootstrap_mask is None else values * b.bootstrap_mask

    def slopes(self, omega: np.ndarray, seen: list[np.ndarray], joint: list[np.ndarray]) -> list[np.ndarray]:
        """d Q_i(s,a) / d a for joint actions (M, F) as numbers: (n) arrays (M, F)."""
        return self.networks.passes.slopes(omega, Seen(seen, joint))

    def expected(self, omega: np.ndarray, b: Transitions) -> np.ndarray:
        """sum_b pi_i(b|o) Q_i(s, b, a_-i), (n, M): what agent i expects over its own action alone."""
        values = self.of_each(omega, b.seen, b.alternatives)
        chances: list[Any] = b.pi          # action vectors, which have none, are refused before
        return np.stack([np.vecdot(pi, q) for pi, q in zip(chances, values, strict=True)])

    def of_each(self, omega: np.ndarray, seen: list[np.ndarray], alternatives: list[np.ndarray]) -> list[np.ndarray]:
        """Q_i(s, .) of several joint actions for each s, (n) arrays (M, A_i, F) -> (n) arrays (M, A_i), double."""
        repeated = [np.repeat(own, others.shape[1], axis=0) for own, others in zip(seen, alternatives, strict=True)]
        joint = [others.reshape(-1, others.shape[2]) for others in alternatives]
        values = self.networks.passes.forward(omega, Seen(repeated, joint)).outputs
        return [value.reshape(others.shape[:2]).astype(float)
                for value, others in zip(values, alternatives, strict=True)]


class NeuralWeights(_Critic):
    """w(s) or w(s,a): several numbers for each sample, by which a trainer mixes its agents' utilities."""

    def __call__(self, omega: np.ndarray, state: np.ndarray, joint: np.ndarray, keep: bool = False) -> np.ndarray:
        """(M, K), double.

        Args:
            joint: (M, F) joint actions, which networks of the state alone do not look at.
            keep: whether the gradient will be asked for.
        """
        return self.networks.passes.forward(omega, self._seen(state, joint), keep).outputs[0].astype(float)

    def gradient(self, omega: np.ndarray, state: np.ndarray, joint: np.ndarray, pulls: np.ndarray) -> np.ndarray:
        """sum_e pulls[e]' grad w of sample e, (1, size), for pulls (M, K)."""
        passes = self.networks.passes
        return passes.backward(passes.again(omega, self._seen(state, joint)), [pulls])

    def _seen(self, state: np.ndarray, joint: np.ndarray) -> Seen:
        return Seen([state], [joint] if self.networks.joint else None)


def neural_weights(spec: dict[str, Any] | Network, state: tuple[int, ...], outputs: int, joint: int) -> NeuralWeights:
    """The network of a trainer, of `outputs` numbers; other arguments and errors as those of `networks`."""
    return NeuralWeights(networks("critic", spec, [state], [outputs], ["the trainer"], joint=joint))


@overload
def neural_critic(what: Literal["action_value"], spec: dict[str, Any] | Network, inputs: Sequence[tuple[int, ...]],
                  names: Sequence[str], joint: int, mixed: bool, initial: Initial = ...) -> NeuralActionValue: ...


@overload
def neural_critic(what: Literal["reward_model"], spec: dict[str, Any] | Network, inputs: Sequence[tuple[int, ...]],
                  names: Sequence[str], joint: int, mixed: bool, initial: Initial = ...) -> NeuralRewardModel: ...


@overload
def neural_critic(what: Literal["state_value"], spec: dict[str, Any] | Network, inputs: Sequence[tuple[int, ...]],
                  names: Sequence[str], joint: int, mixed: bool, initial: Initial = ...) -> NeuralStateValue: ...


@overload
def neural_critic(what: ValueName, spec: dict[str, Any] | Network, inputs: Sequence[tuple[int, ...]],
                  names: Sequence[str], joint: int, mixed: bool,
                  initial: Initial = ...) -> NeuralStateValue | NeuralActionValue: ...


def neural_critic(what: ValueName | Literal["reward_model"], spec: dict[str, Any] | Network,
                  inputs: Sequence[tuple[int, ...]], names: Sequence[str], joint: int, mixed: bool,
                  initial: Initial = "common") -> NeuralStateValue | NeuralRewardModel:
    """The critics of all N agents; arguments and errors as those of `networks`.

    Args:
        inputs: (N) shapes of what they see.
        joint: F, size of the joint action as numbers; V(s) has no use for it.
        mixed: whether consensus averages them, so that all must agree in every layer.
    """
    kinds: dict[str, type[NeuralStateValue] | type[NeuralRewardModel]] = {
        "state_value": NeuralStateValue, "reward_model": NeuralRewardModel, "action_value": NeuralActionValue}
    made = networks("reward_model" if what == "reward_model" else "critic", spec, inputs, [1] * len(inputs), names,
                    joint=0 if what == "state_value" else joint, shared=["*"] if mixed else [], initial=initial)
    return kinds[what](made)


def _values(done: Pass) -> np.ndarray:
    """Outputs (M, 1) of n critics: (n, M), double."""
    values = np.empty((len(done.outputs), len(done.outputs[0])))
    for row, output in zip(values, done.outputs, strict=True):
        row[:] = output[:, 0]
    return values
