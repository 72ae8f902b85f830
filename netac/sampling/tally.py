"""What samplers count: rewards and episodes since they were last asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tally:
    """Rewards since the last `take`.

    Attributes:
        rewards: own rewards (n, M) of each batch, always the same list.
        team, samples: sum of the team-mean rewards (no observation noise) drawn on the running chain, and how many.
        costs, parts: (N,) sums of what its steps cost each agent, and of how many it took part in; 0.0 where there are
            no costs, and where games are not stepped.
    """

    rewards: list[np.ndarray] = field(default_factory=list)
    team: float = 0.0
    samples: int = 0
    costs: np.ndarray | float = 0.0
    parts: np.ndarray | float = 0.0

    def charge(self, costs: np.ndarray, active: np.ndarray) -> None:
        """What a step cost all agents, (N, E), and who took part in it."""
        self.costs, self.parts = self.costs + costs.sum(axis=1), self.parts + active.sum(axis=1)

    def take_costs(self) -> tuple[np.ndarray | float, np.ndarray | float]:
        """`costs` and `parts`; counting begins anew."""
        taken = self.costs, self.parts
        self.costs, self.parts = 0.0, 0.0
        return taken

    def take(self) -> tuple[float, int]:
        """`team` and `samples`; counting begins anew."""
        taken = self.team, self.samples
        self.team, self.samples = 0.0, 0
        self.rewards.clear()
        return taken


@dataclass
class Episodes:
    """Episodes of the running chain: those under way, and sums over those finished since `take`.

    Attributes:
        measured: sums of what the environment measures of an episode, by name.
    """

    returns: np.ndarray
    lengths: np.ndarray
    finished: int = 0
    total_return: float = 0.0
    total_length: int = 0
    measured: dict[str, float] = field(default_factory=dict)

    def add(self, team: np.ndarray, done: np.ndarray, measured: Mapping[str, np.ndarray]) -> None:
        """One step: team-mean rewards (E,), which games ended, (E,), and what is measured of these, (E,) each."""
        self.returns += team
        self.lengths += 1
        if done.any():
            self.finished += int(done.sum())
            self.total_return += float(self.returns[done].sum())
            self.total_length += int(self.lengths[done].sum())
            self.returns[done], self.lengths[done] = 0.0, 0
            for name, values in measured.items():
                self.measured[name] = self.measured.get(name, 0.0) + float(values[done].sum())

    def forget(self, games: np.ndarray) -> None:
        """Discard the episodes under way in the games of the mask (E,)."""
        self.returns[games], self.lengths[games] = 0.0, 0

    def take(self) -> tuple[int, float, int, dict[str, float]]:
        """How many episodes finished since the last call, the sums of their returns, lengths and measures."""
        taken = self.finished, self.total_return, self.total_length, self.measured
        self.finished, self.total_return, self.total_length, self.measured = 0, 0.0, 0, {}
        return taken
