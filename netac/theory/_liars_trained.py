"""Learning among liars: what is earned in the coordination game, and how far honest agents are apart at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import netac
from netac.results.statistics import Interval, mean_interval
from netac.theory._agreement import Place, table
from netac.theory._claims import Row
from netac.utils.errors import RunError

LEARNERS: dict[str, dict[str, Any]] = {
    "cac": {"algorithm": {"name": "cac", "gamma": 0.95, "actor_step": 0.05, "critic_step": 0.1, "reward_step": 0.1}},
    "cppo": {"policy": {"name": "mlp", "hidden": [16]},
             "algorithm": {"name": "cppo", "gamma": 0.95, "rollout": 25, "epochs": 10, "critic_epochs": 10,
                           "entropy": 0.0, "actor_step": 0.02, "critic_step": 0.02, "parameters": "separate"}}}
EACH = {"cac": 1, "cppo": 25}           # samples of an iteration


@dataclass(frozen=True)
class LiarTraining:
    """Runs to be done, that differ in their seeds alone.

    Attributes:
        place: graph and liars.
        algorithm: of `LEARNERS`.
        attack, defence: what liars send, with the attack's own scale, and how agents mix.
        samples: joint samples of a run.
    """

    place: Place
    algorithm: str
    attack: str
    defence: str
    samples: int


@dataclass(frozen=True)
class Earned:
    """What became of one run.

    Attributes:
        reward: an agent's mean reward in the last tenth; that of play at random where numbers ceased to be finite.
        efficient: whether an efficient equilibrium was found.
        apart: the root of the mean square of what honest agents' policy parameters differ from the mean of honest ones,
            over that of this mean; infinite where numbers ceased to be finite.
    """

    reward: float
    efficient: bool
    apart: float


@dataclass(frozen=True)
class LiarTrained:
    """A training's runs."""

    training: LiarTraining
    outcomes: Sequence[Earned]

    @property
    def reward(self) -> Interval:
        """Mean over seeds with its bootstrap interval."""
        return mean_interval(np.array([each.reward for each in self.outcomes]))

    @property
    def least(self) -> float:
        """Of a seed."""
        return min(each.reward for each in self.outcomes)

    @property
    def most(self) -> float:
        """Of a seed."""
        return max(each.reward for each in self.outcomes)

    @property
    def efficient(self) -> float:
        """The share of seeds that were."""
        return float(np.mean([each.efficient for each in self.outcomes]))

    def row(self) -> Row:
        """A line of the table."""
        it, where = self.training, self.training.place
        return {"algorithm": it.algorithm, "graph": where.label, "agents": where.agents, "f": where.f,
                "liars": len(where.liars), "accepted": where.accepted, "attack": it.attack, "defence": it.defence,
                "reward": self.reward.estimate, "low": self.reward.low, "high": self.reward.high,
                "least": self.least, "most": self.most, "efficient": self.efficient,
                "apart": float(np.median([each.apart for each in self.outcomes]))}


def random_play(agents: int) -> float:
    """What an agent earns where all play at random: the mean of (a - 3.5)^2, and an eighth of the others."""
    return 5.25 + (agents - 1) / 8.0


def train(item: tuple[LiarTraining, int]) -> Earned:
    """The run with a seed."""
    it, seed = item
    where = it.place
    try:
        result = netac.run({
            "agents": where.agents, "topology": dict(where.graph), "env": "coordination", "seed": seed,
            "iterations": it.samples // EACH[it.algorithm], **LEARNERS[it.algorithm],
            "network": table(it.defence, where.f, it.attack, where.liars)})
    except RunError:
        return Earned(random_play(where.agents), False, np.inf)
    theta = result.parameters["theta"][where.honest].astype(float)
    return Earned(result.summary["final_reward"], result.summary["efficient"], apart(theta))


def apart(theta: np.ndarray) -> float:
    """How far the honest agents' parameters (h, size) are from their mean, over its size; infinite if one is not."""
    if not np.isfinite(theta).all():
        return np.inf
    mean = theta.mean(axis=0)
    away, size = np.linalg.norm(theta - mean), np.sqrt(len(theta)) * np.linalg.norm(mean)
    return float(away / size) if size else (np.inf if away else 0.0)
