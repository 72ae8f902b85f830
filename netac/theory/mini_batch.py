"""What mini-batches buy: samples, rounds and bytes to a given J and gradient, MDAC and DNAC against CAC and DAC.

Chen et al. (2021) take many samples for an actor step and so need few rounds of communication, O(1/eps ln 1/eps) for
O(1/eps^2 ln 1/eps) samples; algorithms of one sample an iteration have a round for every one.  Zeng et al. (2022,
section 5) criticise the batches of their inner loop, "which is inefficient in practice".  All four run on one
finite MDP on a ring, each with samples of the discounted visitation for its actor, policies of the agents' own, and the
actor step of three that brought it to the level after the fewest samples.  The level is half of the way from uniform
play to the best joint policy; the second measure is when the squared gradient is first a quarter of that at the start.
Both are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import netac
from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, objective, optimal_objective
from netac.results.statistics import Interval, mean_interval
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.theory._walk import save_game
from netac.utils.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAKES_GAME = True
SOURCE = "Chen, Zhou, Chen and Zou, 2021"
AUTHORS = {"critic_step": 0.5, "batch": 100, "critic_batch": 10, "critic_rounds": 50, "mixing_rounds": 10,
           "reward_rounds": 5}
ALGORITHMS = {                                      # options, samples an iteration, actor steps that are tried
    "mdac": (AUTHORS, 600, (80.0, 160.0, 320.0)),
    "dnac": (AUTHORS | {"natural_step": 1.0, "inner_steps": 10, "inner_rounds": 5}, 1500, (15.0, 40.0, 100.0)),
    "cac": ({"critic_step": 0.1, "reward_step": 0.5}, 2, (0.15, 0.5, 1.5)),
    "dac": ({"critic_step": 0.1, "reward_step": 0.5}, 2, (0.15, 0.5, 1.5))}
BATCHED, SINGLE = ("mdac", "dnac"), ("cac", "dac")
QUANTITIES = ("samples", "rounds", "kilobytes")
GAME = 0                                            # seed of the experiment's own
PAIRS = 5000                                        # weights of a reward model at most


@dataclass(frozen=True)
class Expense:
    """The costs and results of one run at its logged iterations.

    Attributes:
        spent: by `QUANTITIES`, (rows,) each, per agent except for the joint samples.
        J, gradient: (rows,) exact, the gradient squared.
    """

    spent: dict[str, np.ndarray]
    J: np.ndarray
    gradient: np.ndarray

    def until(self, reached: np.ndarray) -> dict[str, float]:
        """The costs at the first row where `reached` (rows,) is true, or at the last row if there is none."""
        row = int(reached.argmax()) if reached.any() else -1
        return {name: float(values[row]) for name, values in self.spent.items()}


@dataclass(frozen=True)
class Chosen:
    """An algorithm with its best actor step.

    Attributes:
        algorithm, step: its name and actor step.
        courses: one a seed.
    """

    algorithm: str
    step: float
    courses: Sequence[Expense]

    def cost(self, level: float) -> dict[str, Interval]:
        """The costs to reach J >= level: means over the seeds with 95 % intervals."""
        return _intervals([course.until(level <= course.J) for course in self.courses])

    def gradient_cost(self) -> dict[str, Interval]:
        """The costs until the squared gradient was a quarter of the first."""
        return _intervals([course.until(course.gradient <= course.gradient[0] / 4.0) for course in self.courses])

    def reached(self, level: float) -> float:
        """The share of seeds that came to the level."""
        return float(np.mean([(level <= course.J).any() for course in self.courses]))


def experiment(lab: Lab) -> Finding:
    """Six agents, five states, 30,000 samples, eight seeds (quick: three seeds, 20,000 samples, one step each)."""
    mdp = lab.game or random_mdp(GAME, 6, 5, 2, "folded-normal")
    start, best = refuse(mdp)
    level, seeds = start + 0.5 * (best - start), lab.choose(3, 8)
    wanted = [(name, step, seed) for name, (_, _, steps) in ALGORITHMS.items() for step in steps[:lab.choose(1, 3)]
              for seed in range(seeds)]
    with TemporaryDirectory(prefix="netac-") as folder:
        tables = {"agents": mdp.agents, "topology": "ring", "policy": {"shared": []},
                  "env": {"name": "finite-mdp", "path": save_game(mdp, Path(folder) / "game.npz")}}
        do = partial(course, tables=tables, samples=lab.choose(20_000, 30_000), first_seed=1000 * lab.seed)
        done = dict(zip(wanted, lab.each(do, wanted), strict=True))
    tried = [Chosen(name, step, [done[name, step, seed] for seed in range(seeds)])
             for name, (_, _, steps) in ALGORITHMS.items() for step in steps if (name, step, 0) in done]
    chosen = {name: min((each for each in tried if each.algorithm == name),
                        key=lambda each: each.cost(level)["samples"].estimate) for name in ALGORITHMS}
    shown = (Table("cost", f"To J = {level:.4f} (start {start:.4f}, best {best:.4f}), and to a quarter of the first "
                           "squared gradient: means with 95 % intervals",
                   [row for each in chosen.values() for row in _cost_rows(each, level)]),
             Table("steps", "The actor steps tried: share of seeds that reached the level, and mean samples", [
                 {"algorithm": each.algorithm, "actor_step": each.step, "reached": each.reached(level),
                  "samples": each.cost(level)["samples"].estimate} for each in tried]))
    return Finding(_claims(chosen, level), shown, partial(draw, chosen, level, best))


def refuse(mdp: FiniteMDP) -> tuple[float, float]:
    """J of uniform play and of the best joint policy of a game that fits.

    Raises:
        InputError: one agent, rewards outside [0, 1], too many joint actions, or nothing to be learnt.
    """
    if mdp.agents < 2:
        raise InputError("needs two agents or more", key="--game", found=mdp.agents)
    if mdp.r.min() < 0 or mdp.r.max() > 1:
        raise InputError("its rewards do not fit the step sizes", key="--game", valid="rewards in [0, 1]",
                         found=f"{mdp.r.min():.4g} to {mdp.r.max():.4g}")
    pairs = mdp.states * mdp.joint_actions
    if pairs > PAIRS:
        raise InputError("the game is too large for a reward model with one weight a state and joint action",
                         key="--game", found=pairs, valid=f"states x actions^agents up to {PAIRS:,}")
    start = objective(mdp, np.full((mdp.agents, mdp.states, mdp.actions), 1.0 / mdp.actions))
    best = optimal_objective(mdp)
    if best - start < 1e-6:
        raise InputError("there is nothing to learn: uniform play is as good as the best", key="--game",
                         found=best - start)
    return start, best


def course(item: tuple[str, float, int], tables: dict[str, Any], samples: int, first_seed: int) -> Expense:
    """One run of (algorithm, actor step, seed) over about `samples` joint samples, looked at about 200 times."""
    name, step, seed = item
    options, each, _ = ALGORITHMS[name]
    iterations = samples // each
    result = netac.run({**tables, "iterations": iterations, "seed": first_seed + seed,
                        "log_every": max(1, iterations // 200),
                        "algorithm": {"name": name, "sampling": "double", "actor_step": step, **options}})
    found = result.metrics
    neighbours = min(2, tables["agents"] - 1)
    announced = found["bytes_environment"] / np.min_scalar_type(1).itemsize         # actions, one byte a message
    return Expense({"samples": found["env_steps"].astype(float), "rounds": (found["messages"] - announced) / neighbours,
                   "kilobytes": found["bytes_consensus"] / 1000.0}, found["J"], found["grad_norm_sq"])


def _intervals(costs: list[dict[str, float]]) -> dict[str, Interval]:
    return {name: mean_interval(np.array([cost[name] for cost in costs])) for name in QUANTITIES}


def _claims(chosen: dict[str, Chosen], level: float) -> list[Claim]:
    cost = {name: each.cost(level) for name, each in chosen.items()}

    def least(quantity: str) -> float:
        return min(cost[name][quantity].low for name in SINGLE)

    claims = [Claim("every algorithm comes half of the way to the best joint policy", "this experiment",
                    "least share of seeds", min(each.reached(level) for each in chosen.values()), ">=", 0.8)]
    claims += [Claim(f"mini-batches save {what}", SOURCE,
                     f"{name}'s {quantity} to the level, upper 95 % limit / the lower one of the better of CAC and DAC",
                     cost[name][quantity].high / least(quantity), "<=", 1.0)
               for name in BATCHED
               for quantity, what in (("rounds", "rounds of communication"), ("kilobytes", "bytes"))]
    best = min((cost[name]["samples"] for name in SINGLE), key=lambda samples: samples.estimate)
    claims += [Claim("what mini-batches save in rounds is not shown to cost samples",
                     "against paper 003, section 5: MDAC",
                     f"{name}'s samples to the level, lower 95 % limit / the upper one of the better of CAC and DAC",
                     cost[name]["samples"].low / best.high, "<=", 1.0) for name in BATCHED]
    return claims


def _cost_rows(each: Chosen, level: float) -> list[dict[str, Any]]:
    return [{"algorithm": each.algorithm, "until": until, "spent": name, "mean": interval.estimate, "low": interval.low,
             "high": interval.high}
            for until, costs in (("J", each.cost(level)), ("gradient", each.gradient_cost()))
            for name, interval in costs.items()]


def draw(chosen: dict[str, Chosen], level: float, best: float) -> Figure:
    """J against samples, rounds and bytes, every seed a line."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    for panel, quantity in zip(figure.subplots(1, 3, sharey=True), QUANTITIES, strict=True):
        for colour, each in zip(PALETTE, chosen.values(), strict=False):
            for k, run in enumerate(each.courses):
                panel.plot(run.spent[quantity][1:], run.J[1:], color=colour, lw=0.9, alpha=0.7,
                           label=f"{each.algorithm}, step {each.step:g}" if k == 0 else None)
        panel.axhline(best, color="#555555", lw=1, ls="--")
        panel.axhline(level, color="#555555", lw=1, ls=":")
        panel.set(xscale="log", xlabel={"samples": "joint samples", "rounds": "rounds of communication",
                                        "kilobytes": "kB sent by an agent"}[quantity])
    figure.axes[0].set(ylabel="J (exact)")
    figure.axes[0].legend(fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 0.94))
    figure.axes[1].set(title="dashed: the best joint policy; dotted: the level")
    return figure
