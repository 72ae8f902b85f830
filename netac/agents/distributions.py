"""What policies draw actions from: distributions given by a network's outputs, all of them with one interface.

A distribution is that of one agent's action in each of many samples; outputs are double arrays (..., outputs), and the
methods work along the last axis, row by row:

- `sample(uniforms)`: actions drawn by inversion, from uniforms (..., numbers of an action) in [0, 1);
- `mode()`: the most probable actions (the first of several), or the means of vectors;
- `log_prob(actions)`: log probabilities, or log densities of vectors, (...,);
- `entropy()`, `kl(other)`, `tv(other)`: (...,), exact but for total variations of several numbers, which are upper
  bounds.  Total variation is half the L1 distance, the largest difference in the probability of any event;
- `score(actions)`: the derivative of log pi(a) in the outputs, and in log standard deviations beside them (else None);
- `pull(actions, weights, bonus)`: likewise that of weights log pi(a) + bonus H(pi), weights and bonus being (..., 1);
- `fisher(v, v_log_std)`: likewise the Hessian of KL(pi || .) at pi, times a vector;
- `mask(allowed)`: the distribution given that the action is one of those allowed;
- `probabilities`: (..., A) of discrete actions, None of vectors.

A mean over an agent's own action is sum_k own_weights(K)[k] f(action k): over all A where they are `enumerated`, those
of one choice or the few of several, or over K drawn ones, `own_actions(noise)`.

A family says which of them a space's actions are drawn from: `distribution_of(space)(outputs, log_std)`.  Those of
several choices, and of a product of spaces, as that of all agents' actions, stand side by side.
`relaxation_of` says the same of actions that are differentiable functions of the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from netac.agents._categorical import Categorical, choose, logit_score_norms
from netac.agents._gaussian import DiagonalGaussian, normal_score_norms
from netac.agents._interfaces import Distribution, DistributionFamily, OwnAction
from netac.agents._product import MOST, ProductDistribution, ProductFamily
from netac.agents.relaxations import BoundedVector, Relaxation, RelaxedChoice, RelaxedChoices
from netac.utils.spaces import ActionSpace, ProductSpace
from netac.utils.streams import normal

__all__ = ["MOST", "Categorical", "CategoricalFamily", "DiagonalGaussian", "Distribution", "DistributionFamily",
           "GaussianFamily", "OwnAction", "ProductDistribution", "ProductFamily", "choose", "distribution_of",
           "logit_score_norms", "normal_score_norms", "relaxation_of"]


@dataclass(frozen=True)
class CategoricalFamily:
    """Softmax distributions over `n_actions` actions; the outputs are logits.

    Attributes:
        deviations: how many log standard deviations a policy holds besides its outputs.
        enumerated: whether a mean over an agent's own action is a sum over all its actions.
        outputs: how many a policy has for it.
        numbers: how many an action is.
    """

    n_actions: int
    deviations = 0
    enumerated = True
    numbers = 1

    @property
    def outputs(self) -> int:
        """A logit for each action."""
        return self.n_actions

    def __call__(self, outputs: np.ndarray, log_std: np.ndarray | None = None) -> Categorical:
        """(..., A) -> distributions."""
        return Categorical(outputs)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Actions from their numbers, (..., 1) -> (...,)."""
        return numbers[..., 0].astype(int)

    def write(self, actions: np.ndarray) -> np.ndarray:
        """The numbers of actions, double."""
        return actions[..., None].astype(float)

    def own_count(self, draws: int) -> int:
        """How many of its own actions a mean is over: all A, whatever `draws`."""
        return self.n_actions

    def noise(self, rng: np.random.Generator, samples: int, draws: int) -> None:
        """None: nothing is drawn."""


@dataclass(frozen=True)
class GaussianFamily:
    """Diagonal normal distributions of vectors of `size` numbers; the outputs are their means."""

    size: int
    enumerated = False

    @property
    def deviations(self) -> int:
        """One for each coordinate."""
        return self.size

    @property
    def outputs(self) -> int:
        """A mean for each coordinate."""
        return self.size

    @property
    def numbers(self) -> int:
        """The coordinates."""
        return self.size

    def __call__(self, outputs: np.ndarray, log_std: np.ndarray) -> DiagonalGaussian:
        """(..., d) and what broadcasts to it -> distributions."""
        return DiagonalGaussian(outputs, log_std)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Actions from their numbers, which they are."""
        return numbers

    def write(self, actions: np.ndarray) -> np.ndarray:
        """The numbers of actions."""
        return actions

    def own_count(self, draws: int) -> int:
        """How many of its own actions a mean is over: those drawn."""
        return draws

    def noise(self, rng: np.random.Generator, samples: int, draws: int) -> np.ndarray:
        """z, standard normal, and then -z: (samples, draws, d), for an even number of draws.

        In the mean over a pair the part of a function that is linear in the action cancels; the score's norm is the
        same for both.
        """
        z = normal(rng.random((samples, draws // 2, self.size)))
        return np.concatenate([z, -z], axis=1)


@overload
def distribution_of(space: ActionSpace) -> CategoricalFamily | GaussianFamily | ProductFamily: ...


@overload
def distribution_of(space: ProductSpace) -> ProductFamily: ...


def distribution_of(space: ActionSpace | ProductSpace) -> CategoricalFamily | GaussianFamily | ProductFamily:
    """The distributions that a space's actions are drawn from."""
    if isinstance(space, ProductSpace):
        return ProductFamily(tuple(map(distribution_of, space.parts)))
    if space.nvec:
        return ProductFamily(tuple(map(CategoricalFamily, space.nvec)))
    return CategoricalFamily(space.n_actions) if space.n_actions else GaussianFamily(space.size)


def relaxation_of(spaces: Sequence[ActionSpace], deviation: float, epsilon: float, temperature: float) -> Relaxation:
    """How actions of spaces of one family are differentiable functions of outputs; see there for the exploration.

    Args:
        spaces: (g) those of a group of agents.
    """
    first = spaces[0]
    if first.n_actions:
        return RelaxedChoice(first.n_actions, epsilon, temperature)
    if first.nvec:
        return RelaxedChoices(tuple(RelaxedChoice(n, epsilon, temperature) for n in first.nvec))
    return BoundedVector(tuple(spaces), deviation)
