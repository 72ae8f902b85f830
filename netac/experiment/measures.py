"""What a run measures: rewards as they come, disagreement, exact quantities where the model is known, bad numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from netac.agents.parameters import MIXED, Layout
from netac.agents.policies import LogLinear, choose
from netac.exact import action_value_fixed_point, objective_and_gradient, td_fixed_point
from netac.experiment.build import Setting
from netac.utils.errors import RunError

LARGEST_FIXED_POINT = 2000      # unknowns of an action-value fixed point that is solved at every logged row
COLUMNS = ("iteration", "env_steps", "reward", "consensus_error", "consensus_error_policy", "consensus_error_omega",
           "consensus_error_lambda", "messages", "bytes_environment", "bytes_consensus", "bytes_trainer", "seconds")
EXACT_COLUMNS = ("J", "grad_norm_sq", "critic_error")
EPISODE_COLUMNS = ("episodes", "episode_return", "episode_length")


@dataclass
class Average:
    """The mean of a quantity: since the last row, over the last 10 % of iterations, over the last `window` iterations.

    Attributes:
        iterations: T, which says where the last 10 % begin.
        window: how many last iterations decide what is efficient; 0: none do.
    """

    iterations: int
    window: int = 0

    def __post_init__(self):
        self._sums = [[0.0, 0] for _ in range(3)]      # sum and number: row, final, window
        self._starts = (0, self.iterations - max(1, self.iterations // 10), self.iterations - self.window)
        self._first_final = min(self._starts[1:])

    def add(self, t: int, total: float, samples: int) -> None:
        """Iteration t had `samples` values, `total` in all."""
        row = self._sums[0]
        row[0] += total
        row[1] += samples
        if t >= self._first_final:
            for start, sums in zip(self._starts[1:], self._sums[1:], strict=True):
                if t >= start:
                    sums[0] += total
                    sums[1] += samples

    def take_row(self) -> float | None:
        """Mean since the last call, None before the first sample."""
        total, samples = self._sums[0]
        self._sums[0] = [0.0, 0]
        return total / samples if samples else None

    @property
    def final(self) -> float | None:
        """Mean over the last 10 % of iterations, None if they had no value."""
        total, samples = self._sums[1]
        return total / samples if samples else None

    @property
    def last(self) -> float:
        """Mean over the last `window` iterations."""
        return self._sums[2][0] / self._sums[2][1]

    def state(self) -> np.ndarray:
        """What a checkpoint keeps."""
        return np.array(self._sums)

    def restore(self, state: np.ndarray) -> None:
        """Take up the sums of a checkpoint."""
        self._sums = [[total, int(samples)] for total, samples in state.tolist()]


def disagreement(flat: np.ndarray, layout: Layout) -> dict[str, float]:
    """mean_i ||x_i - mean x||^2 of what is mixed (and of omega in any case), from all agents' rows (N, D)."""
    columns, errors = layout.columns, {}
    for part, name in (("shared", "policy"), ("omega", "omega"), ("lam", "lambda")):
        x = flat[:, columns[part]]
        if x.shape[1] and (part == "omega" or part in MIXED[layout.mixed]):
            errors[name] = float(np.square(x - x.mean(axis=0)).sum(axis=1).mean())
    return {"consensus_error": sum(errors.values()), **{f"consensus_error_{name}": e for name, e in errors.items()}}


def exact_measures(setting: Setting, flat: np.ndarray) -> dict[str, float]:
    """J, ||grad J||^2 over all agents' policies, and mean_i ||omega_i - omega*||^2, from all agents' rows (N, D).

    A quantity that does not exist (a fixed point of a chain with several recurrent classes) is left out.
    """
    env, mdp, policy, columns = setting.environment, setting.mdp, setting.model.policy, setting.layout.columns
    theta = np.ascontiguousarray(flat[:, columns["theta"]])
    pi, _ = choose(policy.logits(theta, np.arange(env.states)), np.zeros((1, 1, 1)))
    J, gradient = objective_and_gradient(mdp, pi)
    if isinstance(policy, LogLinear):         # logits x'theta: the chain rule
        gradient = np.einsum("nsa,nsad->nd", gradient, np.broadcast_to(policy.features, (*gradient.shape, policy.size)))
    found = {"J": J, "grad_norm_sq": float(np.square(gradient).sum())}
    average = getattr(setting.settings, "setting", "discounted")
    try:
        if setting.model.needs.value == "state":
            fixed = td_fixed_point(mdp, pi, env.phi, average)
        elif env.psi.size <= LARGEST_FIXED_POINT:
            pairs = np.arange(mdp.states * mdp.joint_actions)
            fixed = action_value_fixed_point(mdp, pi, env.psi.rows(pairs), average)
        else:
            return found
    except RunError:
        return found
    found["critic_error"] = float(np.square(flat[:, columns["omega"]] - fixed).sum(axis=1).mean())
    return found


def refuse_bad_numbers(flat: np.ndarray, rewards: Sequence[np.ndarray], layout: Layout, agents: range, t: int) -> None:
    """Raise a RunError naming agent and quantity if a parameter of this process's agents is not finite.

    Args:
        flat: (n, D) their parameters after iteration t.
        rewards: (n, M) their rewards in it, batch by batch.
    """
    numbers = flat.ravel()
    if isfinite(numbers.dot(numbers)) or np.isfinite(flat).all():
        return
    for r in rewards:
        for row, sample in np.argwhere(~np.isfinite(r)):
            raise RunError(f"the environment's reward is {r[row, sample]}", agent=agents[row], iteration=t)
    row, column = np.argwhere(~np.isfinite(flat))[0]
    raise RunError(f"{layout.owner(int(column))} became {flat[row, column]}: smaller step sizes or a projection may help",
                   agent=agents[row], iteration=t, hearsay=True)
