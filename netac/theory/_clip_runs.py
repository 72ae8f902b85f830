"""Clipped updates by the clip range, the number of agents and the kind of ratio (paper 002, Figures 1b, 2 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from netac.results.statistics import Interval, mean_interval
from netac.theory._claims import Row
from netac.theory._lab import Lab
from netac.theory._trust_trained import AT, CLIPS, FIRST, FIVE, RANGES, in_groups
from netac.theory._trust_updates import Climb, Training, against, train

RULES = ("fixed", "alpha / N")
BELOW = tuple(round(0.1 * k, 1) for k in range(1, 9))       # edges of the histogram
KINDS = ("independent", "joint")
SMALL, PAPER, LARGE = 0.01, 0.1, 1.0                        # appendix A.5; Figure 2's best and its largest
UPDATES = (4, 20)                                           # quick and full
TRIED = ((SMALL, PAPER, LARGE), (SMALL, 0.03, PAPER, 0.3, LARGE))


# --- one update: how far every agent's policy moves (Figure 1b) ---

@dataclass(frozen=True, eq=False)
class Moved:
    """What one update of 100 epochs did.

    Attributes:
        agents: how many.
        rule: of `RULES`, or "five agents" where the clip range varies.
        epsilon: the clip range; inf: no clipping.
        tvs: (updates, N) largest total variation over states of every agent's policy.
    """

    agents: int
    rule: str
    epsilon: float
    tvs: np.ndarray

    def over(self, least: float) -> float:
        """The share of the agents' total variations above `least`."""
        return float((self.tvs > least).mean())

    @property
    def row(self) -> Row:
        """Of the table."""
        return {"rule": self.rule, "agents": self.agents, "clip range": self.epsilon, "least": float(self.tvs.min()),
                "median": float(np.median(self.tvs)), "largest": float(self.tvs.max()),
                "mean sum over agents": self.sum,
                **{f"below {edge:g}": 1.0 - self.over(edge) for edge in BELOW}}

    @property
    def sum(self) -> float:
        """The paper's estimate of the joint total variation, on average."""
        return float(self.tvs.sum(axis=1).mean())


def moved(lab: Lab) -> list[Moved]:
    """Five agents with every clip range of Figure 1b, then every rule with every number of agents."""
    sizes, updates = lab.choose((2, 4, 8), (2, 4, 8, 12)), range(lab.choose(*UPDATES))
    cases = [*((FIVE, "five agents", epsilon) for epsilon in CLIPS),
             *((n, rule, float(RANGES[rule](n))) for rule, n in product(RULES, sizes))]
    found = in_groups(lab, train, [[Training(n, (lab.seed, 4, k), epsilon, epochs=AT[-1]) for k in updates]
                                   for n, _, epsilon in cases], "updates")
    return [Moved(*case, np.concatenate([one.tvs for one in ours])) for case, ours in zip(cases, found, strict=True)]


# --- trainings: what is learned (Figures 2 and 6) ---

@dataclass(frozen=True, eq=False)
class Trained:
    """What trainings of one kind came to, by seed; games and first policies are those of the other kinds.

    Attributes:
        agents, epsilon: how many, and the clip range.
        kind: of `KINDS`.
        climbs: one for every seed, with a look after every iteration.
    """

    agents: int
    epsilon: float
    kind: str
    climbs: Sequence[Climb]

    @property
    def scores(self) -> np.ndarray:
        """(seeds, iterations) share of what there was to win at the start."""
        return np.array([one.score for one in self.climbs])

    @property
    def mean(self) -> np.ndarray:
        """(seeds,) over the training."""
        return self.scores.mean(axis=1)

    @property
    def final(self) -> np.ndarray:
        """(seeds,) after the last iteration."""
        return self.scores[:, -1]

    @property
    def lost(self) -> np.ndarray:
        """(seeds,) by how much iterations lowered the score, all that did taken together."""
        return -np.minimum(np.diff(self.scores, axis=1), 0.0).sum(axis=1)

    @property
    def early(self) -> tuple[float, float]:
        """Of the first iterations, on average: the joint total variation, exact, and the sum of the agents'."""
        return (float(np.mean([one.joint_tv[:FIRST] for one in self.climbs])),
                float(np.mean([one.sum_of_tvs[:FIRST] for one in self.climbs])))

    @property
    def row(self) -> Row:
        """Of the table."""
        mean, final, lost = (mean_interval(x) for x in (self.mean, self.final, self.lost))
        return {"agents": self.agents, "clip range": self.epsilon, "ratios": self.kind, **_three("score", mean),
                **_three("final", final), **_three("lost", lost),
                f"joint TV, first {FIRST}": self.early[0], f"sum of TVs, first {FIRST}": self.early[1]}


Cells = dict[tuple[int, float, str], Trained]
"""By agents, clip range and kind."""


def learned(lab: Lab) -> Cells:
    """Trainings of both kinds, with every clip range and number of agents."""
    sizes, clips = lab.choose((2, 8), (2, 4, 8, 12)), lab.choose(*TRIED)
    cases = list(product(sizes, clips))
    found = in_groups(lab, against, [[Training(n, (lab.seed, 5, k), epsilon, iterations=lab.choose(15, 40), epochs=40,
                                               samples=64, step=0.05) for k in range(lab.choose(3, 8))]
                                     for n, epsilon in cases], "trainings")
    return {(n, epsilon, kind): Trained(n, epsilon, kind, [pair[k] for pair in pairs])
            for (n, epsilon), pairs in zip(cases, found, strict=True) for k, kind in enumerate(KINDS)}


def _three(name: str, found: Interval) -> Row:
    return {name: found.estimate, f"{name} low": found.low, f"{name} high": found.high}
