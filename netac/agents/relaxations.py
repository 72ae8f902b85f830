"""Actions, as numbers, that are differentiable functions of a network's outputs; each for a group of g agents at once.

Outputs and what is made of them are double arrays (g, M, outputs): M samples of each agent.  `allowed`, (g, M, outputs)
bool or None, says which actions agents may take; vectors may be any within their bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from netac.agents._categorical import Categorical
from netac.utils.spaces import ActionSpace, one_hot
from netac.utils.streams import gumbel, normal


@dataclass(frozen=True)
class RelaxedChoice:
    """A draw from the softmax of the outputs, as the one-hot vector of the largest of l + g with Gumbel noise g.

    Its gradient is that of softmax((l + g) / temperature) in its place ("straight-through"; Jang, Gu and Poole, 2017,
    "Categorical reparameterization with Gumbel-softmax"), the estimator that Lowe et al. (2017) use for discrete
    messages.

    Attributes:
        n_actions: A.
        epsilon: how often an action is drawn evenly instead when agents act.
        temperature: of the relaxed softmax.
    """

    n_actions: int
    epsilon: float = 0.0
    temperature: float = 1.0

    def act(self, outputs: np.ndarray, uniforms: np.ndarray | None,
            allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Actions for the games, with exploration, (g, M), and their probabilities, (g, M, A).

        Args:
            uniforms: (g, M, 1 or more) in [0, 1); None: the most probable actions.
        """
        found = _masked(outputs, allowed)
        if self.epsilon:
            even = self.epsilon / (self.n_actions if allowed is None else allowed.sum(axis=-1, keepdims=True))
            found = _masked(np.log((1.0 - self.epsilon) * found.probabilities + even), allowed)
        return found.mode() if uniforms is None else found.sample(uniforms), found.probabilities

    def noise(self, rng: np.random.Generator, samples: int) -> np.ndarray:
        """Uniforms of one agent for `numbers` and `pull`, (samples, A)."""
        return rng.random((samples, self.n_actions))

    def numbers(self, outputs: np.ndarray, noise: Sequence[np.ndarray],
                allowed: np.ndarray | None = None) -> np.ndarray:
        """One-hot rows, (g, M, A).

        Args:
            noise: (g) uniforms (M, A).
        """
        return one_hot(self._perturbed(outputs, noise, allowed).argmax(axis=-1), self.n_actions)

    def pull(self, outputs: np.ndarray, noise: Sequence[np.ndarray], slopes: np.ndarray,
             allowed: np.ndarray | None = None) -> np.ndarray:
        """slopes' d numbers / d outputs, (g, M, A)."""
        return through_softmax(self._perturbed(outputs, noise, allowed), slopes, self.temperature)

    def _perturbed(self, outputs: np.ndarray, noise: Sequence[np.ndarray], allowed: np.ndarray | None) -> np.ndarray:
        return _masked(outputs + gumbel(np.stack(noise)), allowed).logits


@dataclass(frozen=True)
class RelaxedChoices:
    """Several choices at once, independent of each other: their numbers side by side; methods as of `RelaxedChoice`.

    Actions are (g, M, d) doubles.
    """

    parts: tuple[RelaxedChoice, ...]

    def act(self, outputs: np.ndarray, uniforms: np.ndarray | None,
            allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Actions for the games, with exploration, (g, M, d), and the probabilities of each choice, (g, M, outputs)."""
        found = [part.act(own, None if uniforms is None else uniforms[..., k:], mask) for k, (part, own, mask) in
                 enumerate(zip(self.parts, self._split(outputs), self._masks(allowed), strict=True))]
        actions, chances = zip(*found, strict=True)
        return np.stack(actions, axis=-1).astype(float), np.concatenate(chances, axis=-1)

    def noise(self, rng: np.random.Generator, samples: int) -> np.ndarray:
        """Uniforms of one agent for `numbers` and `pull`, (samples, outputs)."""
        return rng.random((samples, sum(part.n_actions for part in self.parts)))

    def numbers(self, outputs: np.ndarray, noise: Sequence[np.ndarray],
                allowed: np.ndarray | None = None) -> np.ndarray:
        """One-hot rows side by side, (g, M, outputs)."""
        return np.concatenate([part.numbers(own, drawn, mask) for part, own, drawn, mask in zip(
            self.parts, self._split(outputs), self._noises(noise), self._masks(allowed), strict=True)], axis=-1)

    def pull(self, outputs: np.ndarray, noise: Sequence[np.ndarray], slopes: np.ndarray,
             allowed: np.ndarray | None = None) -> np.ndarray:
        """slopes' d numbers / d outputs, (g, M, outputs)."""
        return np.concatenate([part.pull(own, drawn, slope, mask) for part, own, drawn, slope, mask in zip(
            self.parts, self._split(outputs), self._noises(noise), self._split(slopes), self._masks(allowed),
            strict=True)], axis=-1)

    def _split(self, numbers: np.ndarray) -> list[np.ndarray]:
        """(..., outputs) of every choice."""
        return np.split(numbers, np.cumsum([part.n_actions for part in self.parts])[:-1], axis=-1)

    def _noises(self, noise: Sequence[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
        """The agents' uniforms for every choice."""
        return list(zip(*map(self._split, noise), strict=True))

    def _masks(self, allowed: np.ndarray | None) -> Sequence[np.ndarray | None]:
        return [None] * len(self.parts) if allowed is None else self._split(allowed)


@dataclass(frozen=True)
class BoundedVector:
    """centre + half-range x tanh(output) where both bounds of an entry are finite, else the output itself.

    An entry is kept within a single bound by clipping, which gradients pass as if it were not there.

    Attributes:
        spaces: (g) action spaces.
        deviation: of the normal noise that is added when agents act, in half-ranges (in the actions' own units where an
            entry is not bounded on both sides).
        low, high, both: (g, 1, d) bounds, and which entries have two.
        centre, half: (g, 1, d) centres and half-ranges; 0 and 1 for the other entries.
    """

    spaces: tuple[ActionSpace, ...]
    deviation: float = 0.0
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    both: np.ndarray = field(init=False)
    centre: np.ndarray = field(init=False)
    half: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        low, high = (np.array(bounds, dtype=float)[:, None]
                     for bounds in ([space.low for space in self.spaces], [space.high for space in self.spaces]))
        both = np.isfinite(low) & np.isfinite(high)
        least, most = np.where(both, low, -1.0), np.where(both, high, 1.0)
        found = {"low": low, "high": high, "both": both, "centre": 0.5 * (least + most), "half": 0.5 * (most - least)}
        for name, array in found.items():
            object.__setattr__(self, name, array)

    def _mean(self, outputs: np.ndarray) -> np.ndarray:
        return self.centre + self.half * np.where(self.both, np.tanh(outputs), outputs)

    def act(self, outputs: np.ndarray, uniforms: np.ndarray | None,
            allowed: np.ndarray | None = None) -> tuple[np.ndarray, None]:
        """Vectors for the games, with exploration, before they are clipped, (g, M, d); they have no probabilities.

        Args:
            uniforms: (g, M, d or more) in [0, 1); None: without exploration.
        """
        mean = self._mean(outputs)
        if uniforms is None:
            return mean, None
        return mean + self.deviation * self.half * normal(uniforms[..., :mean.shape[-1]]), None

    def noise(self, rng: np.random.Generator, samples: int) -> None:
        """None: vectors need no noise."""

    def numbers(self, outputs: np.ndarray, noise: Sequence[None], allowed: np.ndarray | None = None) -> np.ndarray:
        """Vectors within their bounds, (g, M, d)."""
        return np.clip(self._mean(outputs), self.low, self.high)

    def pull(self, outputs: np.ndarray, noise: Sequence[None], slopes: np.ndarray,
             allowed: np.ndarray | None = None) -> np.ndarray:
        """slopes' d numbers / d outputs, (g, M, d)."""
        return slopes * self.half * np.where(self.both, 1.0 - np.tanh(outputs) ** 2, 1.0)


class Relaxation(Protocol):
    """How actions are relaxed; methods as those of `RelaxedChoice`, noise and probabilities may be None."""

    def act(self, outputs: np.ndarray, uniforms: np.ndarray | None,
            allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]: ...

    def noise(self, rng: np.random.Generator, samples: int) -> np.ndarray | None: ...

    def numbers(self, outputs: np.ndarray, noise: Any, allowed: np.ndarray | None = None) -> np.ndarray: ...

    def pull(self, outputs: np.ndarray, noise: Any, slopes: np.ndarray,
             allowed: np.ndarray | None = None) -> np.ndarray: ...


def _masked(logits: np.ndarray, allowed: np.ndarray | None) -> Categorical:
    """The softmax, given that what is drawn is allowed."""
    return Categorical(logits) if allowed is None else Categorical(logits).mask(allowed)


def through_softmax(logits: np.ndarray, slopes: np.ndarray, temperature: float) -> np.ndarray:
    """slopes' d softmax(logits / temperature) / d logits, (..., A)."""
    pi = Categorical(logits / temperature).probabilities
    return pi * (slopes - (pi * slopes).sum(axis=-1, keepdims=True)) / temperature
