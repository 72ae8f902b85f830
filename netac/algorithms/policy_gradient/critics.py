"""Critics that learn from trajectories: a trainer's, held by process 0, or one of every agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from netac.agents.optimizers import Optimizer
from netac.agents.transitions import Transitions
from netac.algorithms.policy_gradient.advantages import gae
from netac.algorithms.policy_gradient.minibatches import deal
from netac.algorithms.policy_gradient.options import OnRollouts
from netac.algorithms.policy_gradient.values import ValueNormaliser, value_loss
from netac.sampling.rollout import Rollout

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.critics import NeuralActionValue, NeuralStateValue

Mean = Callable[[np.ndarray], np.ndarray]      # (n, width) -> (n, width), over all agents
CRITICS = 2**31     # in the place of an agent's number where the critics' samples are shuffled


@dataclass(frozen=True)
class Judgement:
    """What critics estimate from a rollout.

    Attributes:
        advantages: (critics, T, E), unnormalised; with critics of actions, their targets less their values.
        targets: (critics, M) returns.
        values: (critics, M) V(s) or Q(s, a), in the critics' own units.
    """

    advantages: np.ndarray
    targets: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Critics:
    """The critics of this process (there may be none).

    Attributes:
        V: their networks, V(s) or Q(s, a).
        omega: (critics, K) parameters.
        optimizer: turns gradients into directions.
        statistics: (critics, 3) of the normalisers of values.
        of_actions: whether they are Q(s, a).
        name: of what checkpoints keep of them, where they are the trainer's.
    """

    V: NeuralStateValue | NeuralActionValue
    omega: np.ndarray
    optimizer: Optimizer
    statistics: np.ndarray
    settings: OnRollouts
    seed: int
    of_actions: bool = False
    name: str = "trainer"

    @property
    def normalisers(self) -> list[ValueNormaliser]:
        """One for each critic; their state is `statistics`."""
        return [ValueNormaliser(self.statistics[k:k + 1]) for k in range(len(self.omega))]

    def judge(self, b: Rollout, r: np.ndarray) -> Judgement:
        """Generalised advantage estimates (Schulman et al., 2016) of rewards r (critics, T, E), and returns TD(lambda).

        Of Q(s, a), with Q(s', a') in the place of V(s'), the latter are the returns of Sarsa(lambda).
        """
        if not len(self.omega):
            return Judgement(*(np.empty((0, *shape)) for shape in (b.done.shape, (b.done.size,), (b.done.size,))))
        settings, final = self.settings, self.V(self.omega, Transitions(seen=b.final_obs, joint=b.final_joint))
        values = self.V(self.omega, Transitions(seen=b.seen, joint=b.joint))
        v, v_final = self._returns(values), self._returns(final)
        together = len(r) != len(b.bootstrap_mask)                   # one critic of all agents
        bootstrap_mask = b.bootstrap_mask.max(axis=0, keepdims=True) if together else b.bootstrap_mask
        if settings.time_limits == "end":
            bootstrap_mask = bootstrap_mask * (1.0 - b.done)
        advantages, targets = gae(r, v.reshape(-1, *b.done.shape), b.next_values(v, v_final), bootstrap_mask, b.ends,
                                  settings.discount, settings.gae_lambda)
        return Judgement(advantages, targets.reshape(values.shape), values)

    def returns(self, b: Rollout) -> np.ndarray:
        """Values of the samples at the parameters now, in units of returns: (critics, M)."""
        return self._returns(self.V(self.omega, Transitions(seen=b.seen, joint=b.joint)))

    def of_each(self, b: Rollout, alternatives: np.ndarray, part: slice) -> np.ndarray:
        """Q(s, .) of the trainer's critic in units of returns, at joint actions (m, A, F) in m samples: (m, A)."""
        found, = cast("NeuralActionValue", self.V).of_each(self.omega, [b.seen[0][part]], [alternatives])
        return self._returns(found[None])[0]

    def _returns(self, values: np.ndarray) -> np.ndarray:
        """The critics' outputs in units of returns."""
        if not self.settings.value_normalisation:
            return values
        return np.stack([each.denormalise(row) for each, row in zip(self.normalisers, values, strict=True)])

    def fit(self, b: Rollout, judged: Judgement, beta: np.ndarray, t: int, mean: Mean | None = None) -> None:
        """Regress V, which judged with these parameters, on the targets; critics of one process learn side by side.

        Args:
            mean: averages gradients and statistics of values over the critics, if they share parameters.
        """
        settings: Any = self.settings          # with those of `CriticPasses`
        if not len(self.omega):
            return
        active = b.taking_part.reshape(len(b.taking_part), b.done.size)
        active = active.max(axis=0, keepdims=True) if len(active) != len(judged.targets) else active
        self.learn_scale(judged, active, mean)
        targets = self.targets(judged)
        samples = b.among(Transitions(seen=b.seen, joint=b.joint, active=None if active.all() else active),
                          "own" if mean is None else "all")
        size = b.done.size // settings.critic_minibatches
        omega, direction = self.omega, self.optimizer.over(size).omega
        for step, part in enumerate(self._parts(b.done.size, t)):
            here, target, old = (samples, targets, judged.values) if part is None else (
                samples.take(part), targets[:, part], judged.values[:, part])
            values = old if part is None and not step else self.V(omega, here)
            pulls, _ = value_loss(values, target, old, settings.value_clip, settings.huber, here.active)
            gradient = self.V.gradient(omega, here, pulls)
            omega += beta * direction(gradient if mean is None else mean(gradient))

    def learn_scale(self, judged: Judgement, active: np.ndarray | None, mean: Mean | None = None) -> None:
        """Let the targets, of samples that are `active` (critics, M), count in what values are normalised by."""
        if not self.settings.value_normalisation:
            return
        masks = [None] * len(self.omega) if active is None else active
        for each, row, mask in zip(self.normalisers, judged.targets, masks, strict=True):
            each.update(row, mask)
        if mean is not None:
            self.statistics[:] = mean(self.statistics)

    def targets(self, judged: Judgement) -> np.ndarray:
        """The returns in the critics' own units: (critics, M)."""
        if not self.settings.value_normalisation:
            return judged.targets
        return np.stack([each.normalise(row) for each, row in zip(self.normalisers, judged.targets, strict=True)])

    def _parts(self, samples: int, t: int) -> Iterator[np.ndarray | None]:
        """All critics see the samples in the same order, whichever of them this process holds."""
        settings: Any = self.settings
        return deal(samples, settings.critic_minibatches, settings.critic_epochs, self.seed, t, CRITICS)

    @property
    def _held(self) -> dict[str, np.ndarray]:
        return {f"{self.name}_critic": self.omega, f"{self.name}_optimizer": self.optimizer.rows,
                f"{self.name}_optimizer_counts": self.optimizer.counts,
                f"{self.name}_value_statistics": self.statistics}

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps of the trainer's critics."""
        return {name: rows.copy() for name, rows in self._held.items()} if len(self.omega) else {}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave, on process 0."""
        if len(self.omega):
            for name, rows in self._held.items():
                rows[:] = kept[name]
