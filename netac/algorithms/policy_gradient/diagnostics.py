"""What an iteration did to the policies: divergences, clipping, effective sample size, expected gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from netac.agents.distributions import Distribution
from netac.algorithms.policy_gradient.divergences import joint_tv_bound
from netac.algorithms.policy_gradient.masks import average
from netac.algorithms.policy_gradient.surrogates import effective_sample_size, ratios, unclipped

COLUMNS = ("kl", "kl_max", "tv", "tv_max", "outside_clip", "effective_sample_size", "expected_gain")
GAIN, TV_MAX = COLUMNS.index("expected_gain"), COLUMNS.index("tv_max")


def diagnose(before: Distribution, after: Distribution, log_ratio: np.ndarray, M: np.ndarray, log_factor: np.ndarray,
             active: np.ndarray | None, epsilon: float | None, scale: float) -> np.ndarray:
    """The numbers of `COLUMNS` for one agent.

    Divergences of its new policy from its old one are exact for discrete actions and KL divergences for vectors; means
    and maxima are over the samples it took part in.

    Args:
        log_ratio, M, log_factor: (1, samples) log ratios of its policy, factor x advantage, and log of the factor
            alone.
        active: (1, samples), None: all.
        epsilon: half the width of the clip range, None without one.
        scale: of advantages, by which they were divided.

    Returns:
        (7,): mean and largest KL divergence, mean and largest total variation, fraction of ratios outside the clip
        range, the factor's effective sample size as a fraction, and mean (ratio - 1) M in units of rewards: by eq. 6 of
        paper 001 these sum up to the gain of the joint surrogate.
    """
    kl, tv = before.kl(after)[None], before.tv(after)[None]
    took_part = kl if active is None else np.where(active > 0, kl, 0.0)
    varied = tv if active is None else np.where(active > 0, tv, 0.0)
    outside = np.nan if epsilon is None else average(np.abs(ratios(log_ratio) - 1.0) > epsilon, active).item()
    return np.array([average(kl, active).item(), took_part.max(), average(tv, active).item(), varied.max(), outside,
                     effective_sample_size(log_factor, active).item(),
                     unclipped(log_ratio, M, active).improvement.item() * scale])


@dataclass
class OnPolicyReport:
    """What the last iteration did.

    Attributes:
        rows: (n, 7 or more) numbers of `COLUMNS`, and of those `beside`, of this process's agents; expected gains in
            units of a trainer's advantages.
        every: iterations between those that are reported.
        beside: names of what is reported besides.
        whole: (N, 7 or more) of all agents, in units of rewards; on process 0, of an iteration that was measured.
        trace: mean reward per step of the last trajectories, the gain expected of the last update, and, of the update
            before it, the gain that was expected and the one measured, which is the difference of the rewards.
    """

    rows: np.ndarray
    every: int = 1
    beside: tuple[str, ...] = ()
    whole: np.ndarray | None = None
    trace: np.ndarray = field(default_factory=lambda: np.full(4, np.nan))

    @classmethod
    def of(cls, agents: int, every: int, beside: tuple[str, ...] = ()) -> OnPolicyReport:
        """One of so many agents of a process, that is asked for after every `every` iterations."""
        return cls(np.zeros((agents, len(COLUMNS) + len(beside))), every, beside)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what `table` tells besides the agent."""
        return (*COLUMNS, *self.beside, "expected_gain_before", "measured_gain_before")

    def measures(self, k: int, last: int) -> bool:
        """Whether iteration k, of those before `last`, is measured: it or the next one is reported.

        A report tells how much the update before was expected to gain, too.
        """
        return (k + 1) % self.every == 0 or (k + 2) % self.every == 0 or k + 2 >= last

    def close(self, gather: Callable[[np.ndarray], np.ndarray | None], reward: float, scale: float,
              measured: bool, beside: np.ndarray | None = None) -> None:
        """Collect the rows after an iteration.

        Args:
            gather: all agents' rows, on process 0.
            reward: mean reward per step of its trajectories; there.
            scale: by which a trainer divided its advantages.
            measured: whether `rows` are those of this iteration.
            beside: (N, K) what a trainer knows of all agents, the last K columns, in the place of theirs; there.
        """
        self.whole = gather(self.rows) if measured else None
        gain = np.nan
        if self.whole is not None:
            if beside is not None:
                self.whole[:, -beside.shape[1]:] = beside
            self.whole[:, GAIN] *= scale
            gain = self.whole[:, GAIN].sum()
        before, expected, *_ = self.trace
        self.trace[:] = reward, gain, expected, reward - before

    def table(self) -> list[dict[str, float | int | str]]:
        """A row for each agent, and one for all, with the bound of the joint policy's total variation.

        The bound is that of paper 002, proposition 2.
        """
        if self.whole is None:
            return []
        rows = [{"agent": agent, **dict(zip((*COLUMNS, *self.beside), row, strict=True))}
                for agent, row in enumerate(self.whole.tolist())]
        _, expected, before, measured = self.trace.tolist()
        bound = joint_tv_bound(self.whole[:, TV_MAX])
        return [*rows, {"agent": "all", "tv_max": float(bound), "expected_gain": expected,
                        "expected_gain_before": before, "measured_gain_before": measured}]
