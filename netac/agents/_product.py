"""Independent distributions side by side, each of its own kind: of several agents' actions, or an action's parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

import numpy as np

from netac.agents._categorical import Parts, logit_score_norms, product_tv
from netac.agents._interfaces import Distribution, DistributionFamily

Width = Literal["outputs", "numbers", "deviations"]
MOST = 256           # actions of several choices over which means are sums; over more of them a few are drawn


@dataclass(frozen=True)
class ProductFamily:
    """Distributions of several families side by side; outputs and log standard deviations are theirs, in turn.

    Attributes:
        families: of the parts, (k).
    """

    families: tuple[DistributionFamily, ...]

    @cached_property
    def enumerated(self) -> bool:
        """Whether a mean over an agent's own action is a sum over all its actions: a few, of several choices."""
        return all(family.enumerated for family in self.families) and self.outputs <= MOST and self._count <= MOST

    @property
    def _count(self) -> int:
        """How many actions there are of parts that are all discrete."""
        return prod(family.outputs for family in self.families)

    def own_count(self, draws: int) -> int:
        """How many of its own actions a mean is over: all, or those drawn."""
        return self._count if self.enumerated else draws

    def noise(self, rng: np.random.Generator, samples: int, draws: int) -> np.ndarray | None:
        """Uniforms, (samples, draws, numbers); None where nothing is drawn."""
        return None if self.enumerated else rng.random((samples, draws, self.numbers))

    @property
    def outputs(self) -> int:
        """Of all parts."""
        return self._width("outputs")

    @property
    def numbers(self) -> int:
        """Of an action: of all parts'."""
        return self._width("numbers")

    @property
    def deviations(self) -> int:
        """Of all parts; discrete ones have none."""
        return self._width("deviations")

    def __call__(self, outputs: np.ndarray, log_std: np.ndarray | None = None) -> ProductDistribution:
        """(..., outputs), and what broadcasts to (..., deviations) if a part has any -> distributions."""
        beside = [None] * len(self.families) if log_std is None else self.split(log_std, "deviations")
        return ProductDistribution(self, tuple(family(own, own_log_std) for family, own, own_log_std in zip(
            self.families, self.split(outputs, "outputs"), beside, strict=True)))

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """As they are: actions are all parts' numbers, in turn."""
        return numbers

    def write(self, actions: np.ndarray) -> np.ndarray:
        """As they are."""
        return actions

    def columns(self, part: int, which: Width) -> slice:
        """Where the numbers of a part are."""
        return self._places[which][part]

    def split(self, numbers: np.ndarray, which: Width) -> Sequence[np.ndarray]:
        """The numbers of each part, (k) arrays (..., width of the part)."""
        return [numbers[..., place] for place in self._places[which]]

    def _width(self, which: Width) -> int:
        return self._places[which][-1].stop

    @cached_property
    def _places(self) -> dict[Width, list[slice]]:
        found: dict[Width, list[slice]] = {}
        for which in ("outputs", "numbers", "deviations"):
            ends = np.cumsum([0, *(getattr(family, which) for family in self.families)]).tolist()
            found[which] = list(map(slice, ends, ends[1:]))
        return found


@dataclass(frozen=True)
class ProductDistribution:
    """Independent distributions side by side; see `netac.agents.distributions`.

    Actions are (..., k or more) doubles: one number of a discrete part, d of a vector, in turn.  A part with a number
    that is not one (NaN) was not there: its factor of the likelihood is 1, so that log probabilities and scores have
    nothing of it.  Entropy, divergences and `fisher` are those of all parts, whoever was there.

    Attributes:
        family: of all parts together.
        parts: (k) distributions.
    """

    family: ProductFamily
    parts: tuple[Distribution, ...]

    def mask(self, allowed: np.ndarray) -> ProductDistribution:
        """As `Categorical.mask`, (..., outputs) bool with at least one choice allowed in each part; true of vectors.

        Raises:
            TypeError: something of a vector is not allowed.
        """
        return ProductDistribution(self.family, tuple(part.mask(own) for part, own in zip(
            self.parts, self.family.split(allowed, "outputs"), strict=True)))

    @property
    def probabilities(self) -> np.ndarray | None:
        """(..., A_1 + ... + A_k) of each part, one after the other; None where a part is a vector."""
        found = [each for each in (part.probabilities for part in self.parts) if each is not None]
        return _joined(found) if len(found) == len(self.parts) else None

    def sample(self, uniforms: np.ndarray) -> np.ndarray:
        """(..., numbers or more) in [0, 1), those of each part in turn -> (..., numbers)."""
        return self._numbers([part.sample(own) for part, own in zip(
            self.parts, self.family.split(uniforms, "numbers"), strict=True)])

    def mode(self) -> np.ndarray:
        """(..., numbers): the most probable choices, the means of vectors."""
        return self._numbers([part.mode() for part in self.parts])

    def log_prob(self, actions: np.ndarray) -> np.ndarray:
        """(..., numbers) -> (...,), of the parts that were there."""
        return _summed([np.where(there, part.log_prob(own), 0.0) for part, own, there in self._each(actions)])

    def entropy(self) -> np.ndarray:
        """(...,), exact."""
        return _summed([part.entropy() for part in self.parts])

    def kl(self, other: ProductDistribution) -> np.ndarray:
        """(...,), exact."""
        return _summed([one.kl(two) for one, two in zip(self.parts, other.parts, strict=True)])

    def tv(self, other: ProductDistribution) -> np.ndarray:
        """(...,): that of the part where there is one, an upper bound of several."""
        tvs = [one.tv(two) for one, two in zip(self.parts, other.parts, strict=True)]
        return tvs[0] if len(tvs) == 1 else product_tv(np.stack(tvs, axis=-1), self.kl(other))

    def score(self, actions: np.ndarray) -> Parts:
        """(..., outputs), and (..., deviations) if a part has any: 0 of parts that were not there."""
        found: list[Parts] = []
        for part, own, there in self._each(actions):
            score, beside = part.score(own)
            found.append((np.where(there[..., None], score, 0.0),
                          None if beside is None else np.where(there[..., None], beside, 0.0)))
        return _side_by_side(found)

    def pull(self, actions: np.ndarray, weights: np.ndarray, bonus: np.ndarray | None = None) -> Parts:
        """The gradient in outputs and log_std; the bonus is that of all parts."""
        return _side_by_side([part.pull(own, weights * there[..., None], bonus)
                              for part, own, there in self._each(actions)])

    def fisher(self, v: np.ndarray, v_log_std: np.ndarray | None = None) -> Parts:
        """(..., outputs), and of the shape of v_log_std."""
        beside = [None] * len(self.parts) if v_log_std is None else self.family.split(v_log_std, "deviations")
        return _side_by_side([part.fisher(own, own_log_std) for part, own, own_log_std in zip(
            self.parts, self.family.split(v, "outputs"), beside, strict=True)])

    def own_actions(self, noise: np.ndarray) -> np.ndarray:
        """(M, K, numbers) from uniforms (M, K, numbers)."""
        return np.stack([self.sample(uniforms) for uniforms in noise.swapaxes(0, 1)], axis=1)

    def own_weights(self, number: int) -> np.ndarray:
        """How much each of the agent's own actions counts in a mean over them: (..., A), the last part changing
        fastest, or (..., K), K = `number` of them drawn."""
        pi = self._chances
        if self.family.enumerated:
            return _over_all(pi, np.multiply)
        return np.full((*pi[0].shape[:-1], number), 1.0 / max(1, number))

    def own_score_norms(self, noise: np.ndarray | None) -> np.ndarray:
        """Squared norms of the scores of these actions: (..., A), or (M, K) of `own_actions(noise)`."""
        norms = [logit_score_norms(pi) for pi in self._chances]
        if noise is None:
            return _over_all(norms, np.add)
        drawn = self.own_actions(noise).astype(int)
        return _summed([np.take_along_axis(each, drawn[..., k], axis=-1) for k, each in enumerate(norms)])

    @property
    def _chances(self) -> list[np.ndarray]:
        """The probabilities of each part's actions; all parts are discrete."""
        return [pi for pi in (part.probabilities for part in self.parts) if pi is not None]

    def _each(self, actions: np.ndarray) -> Iterator[tuple[Distribution, np.ndarray, np.ndarray]]:
        """Every part, its actions (any, where it was not there), and where it was there, (...,)."""
        for part, family, numbers in zip(self.parts, self.family.families, self.family.split(actions, "numbers"),
                                         strict=True):
            there = ~np.isnan(numbers).any(axis=-1)
            yield part, family.read(np.where(there[..., None], numbers, 0.0)), there

    def _numbers(self, actions: Sequence[np.ndarray]) -> np.ndarray:
        """The parts' actions, in turn."""
        return _joined([family.write(own) for family, own in zip(self.family.families, actions, strict=True)])


def _side_by_side(parts: Sequence[Parts]) -> Parts:
    """Those of the outputs of all parts, and of the log standard deviations that there are beside them."""
    besides = [beside for _, beside in parts if beside is not None]
    return _joined([of_outputs for of_outputs, _ in parts]), _joined(besides) if besides else None


def _over_all(parts: Sequence[np.ndarray], join: np.ufunc) -> np.ndarray:
    """(..., A_j) of each part -> (..., A_1 ... A_k) of all combinations, the last part changing fastest."""
    found = parts[0]
    for part in parts[1:]:
        found = join(found[..., :, None], part[..., None, :]).reshape(*found.shape[:-1], -1)
    return found


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts, axis=-1)


def _summed(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.add.reduce(parts, axis=0)
