"""What a trainer knows of its agents' costs: critics of them, their limits, and what a rollout came to.

A cost C_i(s, a) of agent i comes with every step beside its reward (Gu et al., 2021; slides 004, lines 707-745).  With
the weights w of the policies' gradient, 1 or gamma^t, agent i is held to

    E[w C_i] <= E[w] c_i

over the samples it takes part in: its mean cost of a step.  The paper's J_i <= c_i, of discounted sums, is the same
divided by what the weights gamma^t add up to; of an episode of T steps with w = 1, by T.  `excess` is the difference of
the two sides, in the units in which E[w ratio A_i^c] changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.algorithms.policy_gradient.critics import Critics, Judgement
from netac.algorithms.policy_gradient.masks import average, kept
from netac.sampling.rollout import Rollout


@dataclass(frozen=True)
class Charge:
    """What a rollout cost, on the trainer; arrays of no rows on other processes.

    Attributes:
        b: the rollout, as the critics of costs see it.
        judged: what they say of it.
        advantages: (N, M) A_i^c by GAE, in units of costs, less their mean over the samples an agent took part in,
            which changes no gradient but for its noise; 0 in the others.
        excess: (N,) E[w C_i] - E[w] c_i.
        mean: (N,) E[C_i].
    """

    b: Rollout
    judged: Judgement
    advantages: np.ndarray
    excess: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class LimitedCosts:
    """The costs that shall stay within limits.

    Attributes:
        critics: V_i^c of the global state for each of all agents; none but on process 0.
        limits: (N,) c_i.
        nu: (N,) of multipliers lambda_i = softplus(nu_i), where the algorithm has them; the trainer's alone.
    """

    critics: Critics
    limits: np.ndarray
    nu: np.ndarray

    def charge(self, rollout: Rollout) -> Charge:
        """What the rollout cost, at the critics' parameters now."""
        assert rollout.costs is not None, "rollouts come with costs"
        b, rows = rollout.of_every_agent(), (len(rollout.costs), rollout.done.size)
        judged, part = self.critics.judge(b, rollout.costs), b.taking_part.reshape(rows)
        weights = np.ones(rows[1]) if b.discounts is None else b.discounts
        C, A = rollout.costs.reshape(rows), judged.advantages.reshape(rows)
        return Charge(b, judged, kept(A - average(A, part)[:, None], part),
                      average(weights * (C - self.limits[:rows[0], None]), part), average(C, part))

    @property
    def multipliers(self) -> np.ndarray:
        """(N,) lambda."""
        return np.logaddexp(0.0, self.nu)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps, whole on process 0."""
        return self.critics.state() | {"cost_multipliers": self.nu.copy()}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self.critics.restore(kept)
        self.nu[:] = kept["cost_multipliers"]
