"""Networks on cooperative navigation with personal goals, from alike to unlike; policies all, partly and not shared.

The game is `env = { name = "spread", personal_goals = h }` without the penalty of collisions: agent i is paid for its
distance to a point that goes from landmark 0, the same for all, to landmark i.  An agent sees all landmarks by number
and does not see its own number, so that a policy that all share cannot tell where its agent is to go.  Coordinated PPO
learns, on the complete graph, from every agent's own rewards; its critics are mixed whatever is shared, and with lambda
= 1 they are baselines and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

import netac
from netac.results.statistics import mean_interval
from netac.theory._claims import Claim, Row
from netac.theory._lab import Lab
from netac.theory._tasks import FORMS

AGENTS, GAMES, STEPS = 4, 16, 25                     # games side by side; steps of an episode and a rollout
SHARED = dict(zip(FORMS, (["*"], ["dense*"], []), strict=True))          # the hidden layer, or that and the output
PARTS = 3                                            # of a run, over which rewards are averaged
SAYS, SOURCE = "spread, networks", "paper 003, section 1"


@dataclass(frozen=True)
class Voyage:
    """How much is done.

    Attributes:
        unlike: values of the knob.
        iterations: of a run.
        seeds: runs of each.
    """

    unlike: tuple[float, ...]
    iterations: int
    seeds: int

    def samples(self, part: int) -> int:
        """Joint samples until a part of a run has ended."""
        return (part + 1) * self.iterations // PARTS * GAMES * STEPS


QUICK = Voyage((0.0, 1.0), 48, 1)
FULL = Voyage((0.0, 0.25, 0.5, 0.75, 1.0), 48, 5)

Sailed = dict[tuple[float, str], np.ndarray]
"""(seeds, PARTS) an agent's mean reward per step in every part of a run, by knob and form."""


def sailed(lab: Lab) -> tuple[Voyage, Sailed]:
    """All runs; those of a seed have the same games' starts and first policies whatever is shared."""
    voyage = lab.choose(QUICK, FULL)
    cases = list(product(voyage.unlike, FORMS))
    items = [(*case, 1000 * lab.seed + k) for case in cases for k in range(voyage.seeds)]
    found = lab.each(partial(sail, iterations=voyage.iterations), items, "networks")
    return voyage, {case: np.array(found[voyage.seeds * k:voyage.seeds * (k + 1)]) for k, case in enumerate(cases)}


def sail(item: tuple[float, str, int], iterations: int) -> np.ndarray:
    """(PARTS,) of one run."""
    unlike, form, seed = item
    found = netac.run({**tables(unlike, form), "seed": seed, "iterations": iterations,
                       "log_every": iterations // PARTS})
    return np.asarray(found.metrics["reward"][1:], dtype=float)


def tables(unlike: float, form: str) -> dict[str, Any]:
    """The experiment."""
    return {"agents": AGENTS, "envs": GAMES, "topology": "complete",
            "env": {"name": "spread", "personal_goals": unlike, "local_ratio": 0.0, "max_cycles": STEPS},
            "policy": {"name": "mlp", "hidden": [32], "shared": SHARED[form]},
            "critic": {"name": "mlp", "hidden": [32]},
            "algorithm": {"name": "cppo", "gamma": 0.9, "gae_lambda": 1.0, "time_limits": "end", "rollout": STEPS,
                          "epochs": 4, "critic_epochs": 4, "actor_step": 0.01, "critic_step": 0.01, "reward": "own"}}


def rows(voyage: Voyage, found: Sailed) -> list[Row]:
    """Rewards by knob, part and form, and what sharing all gains, seed by seed."""
    made = []
    for (unlike, form), rewards in found.items():
        for part in range(PARTS):
            reward = mean_interval(rewards[:, part])
            gain = mean_interval(rewards[:, part] - found[unlike, "personal"][:, part])
            made.append({"unlike": unlike, "samples": voyage.samples(part), "form": form, "reward": reward.estimate,
                         "low": reward.low, "high": reward.high, "more than personal": gain.estimate,
                         "more low": gain.low, "more high": gain.high})
    return made


def gains(voyage: Voyage, found: Sailed, part: int) -> list[float]:
    """What sharing all earns more than sharing nothing, on average, by knob."""
    return [float((found[unlike, "shared"] - found[unlike, "personal"])[:, part].mean()) for unlike in voyage.unlike]


def regrets(voyage: Voyage, found: Sailed) -> dict[str, float]:
    """The most that a form loses against the best of the three over all knobs, in the last part."""
    last = np.array([[found[unlike, form][:, -1].mean() for form in FORMS] for unlike in voyage.unlike])
    return dict(zip(FORMS, map(float, (last.max(axis=1, keepdims=True) - last).max(axis=0)), strict=True))


def claims(voyage: Voyage, found: Sailed) -> list[Claim]:
    """As of the finite games, in the last part."""
    ends = {unlike: mean_interval((found[unlike, "shared"] - found[unlike, "personal"])[:, -1])
            for unlike in (0.0, 1.0)}
    lost = regrets(voyage, found)
    return [
        Claim(f"agents with goals that are alike learn more from equally many samples if they share: {SAYS}",
              SOURCE, "reward per step, shared - personal, lower 95 % limit", ends[0.0].low, ">=", 0.02),
        Claim(f"agents with goals of their own learn more if they do not: {SAYS}", SOURCE,
              "reward per step, shared - personal, upper 95 % limit", ends[1.0].high, "<=", -0.02),
        Claim(f"a shared layer and an output of one's own lose less at worst than either of the others: {SAYS}",
              "this experiment", "the most it loses against the best form, over the lesser of the others' most",
              lost["partly"] / max(min(lost["shared"], lost["personal"]), 1e-12), "<=", 0.9)]
