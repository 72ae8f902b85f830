"""What mini-batches buy: samples, rounds and bytes to a given J and gradient, MDAC and DNAC against CAC and DAC.

Chen et al. (2021) take many samples for an actor step and so need few rounds of communication, O(1/eps ln 1/eps) for
O(1/eps^2 ln 1/eps) samples; algorithms of one sample an iteration have a round for every one.  Zeng et al. (2022,
section 5) criticise the batches of their inner loop, "which is inefficient in practice".  CAC and DAC also send a
reward model, MDAC and DNAC averaged rewards, so that bytes differ by more than the batches.  Two more ways to learn
tell these apart:

    mdac, batches of 1      MDAC's lines and messages with one sample for the critic and one for the actor, as CAC has
    cac, small model        CAC whose reward model is 1 and every agent's own action, state by state: its residual is
                            orthogonal to all scores grad log pi_i(a_i|s), so that it biases no gradient where it fits
                            best, with S (1 + N (A - 1)) weights in place of S A^N

All run on one finite MDP on a ring, each with samples of the discounted visitation for its actor and policies of the
agents' own.  Actor steps are alike for a joint sample, 0.25 to 0.27, so that what differs is what is compared; DNAC's
natural steps have a scale of their own.  The level is half of the way from uniform play to the best joint policy; the
second measure is when the squared gradient is first a quarter of that at the start.  Both are exact.  A run ends where
both are reached.  What other steps do is in a table: a large one brings the gradient down soon, because policies that
play one action have none, and J no sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, objective, objective_and_gradient, optimal_objective
from netac.results.statistics import Interval, mean_interval
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.theory._walk import finite, in_parameters, policies, save_game, walk
from netac.utils.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netac.experiment.build import Parts

TAKES_GAME = True
SOURCE = "Chen, Zhou, Chen and Zou, 2021"
AUTHORS = {"critic_step": 0.5, "batch": 100, "critic_batch": 10, "critic_rounds": 50, "mixing_rounds": 10,
           "reward_rounds": 5}
ONE = {"critic_step": 0.1, "reward_step": 0.5}


Ratios = dict[tuple[str, str], dict[str, dict[str, Interval]]]
"""By two ways, the measure and the quantity."""


@dataclass(frozen=True)
class Way:
    """One way to learn.

    Attributes:
        algorithm, options: as an experiment file has them.
        samples: joint samples an iteration.
        step: of the actor.
        others: actor steps that are looked at, too.
        small: whether the reward model is the small one.
    """

    algorithm: str
    options: dict[str, Any]
    samples: int = 2
    step: float = 0.5
    others: tuple[float, ...] = (0.15, 1.5)
    small: bool = False


ALONE, SMALL = "mdac, batches of 1", "cac, small model"
WAYS = {
    "mdac": Way("mdac", AUTHORS, 600, 160.0, (80.0, 320.0)),
    "dnac": Way("dnac", AUTHORS | {"natural_step": 1.0, "inner_steps": 10, "inner_rounds": 5}, 1500, 40.0,
                (15.0, 100.0)),
    ALONE: Way("mdac", {"critic_step": 0.1, "batch": 1, "reward_rounds": 5}, others=(1.5, 4.5)),
    SMALL: Way("cac", ONE, others=(1.5, 4.5), small=True),
    "cac": Way("cac", ONE), "dac": Way("dac", ONE)}
PAIRS_OF_WAYS = (("mdac", "cac"), ("mdac", "dac"), ("dnac", "cac"), ("dnac", "dac"), ("mdac", ALONE), ("cac", ALONE),
                 (SMALL, "cac"))
BATCHED, SINGLE = ("mdac", "dnac"), ("cac", "dac")
QUANTITIES = ("samples", "rounds", "kilobytes")
UNTIL = {"J": "to J", "gradient": "to a quarter of the gradient"}
MEASURES = tuple(UNTIL)
BOUNDS: dict[str, dict[str, Any]] = {
    "J": {"says": "MDAC needs at most twice the samples to J", "mdac": 2.0, "rounds": 0.6, "content": 1.0,
          "model": 13.0},
    "gradient": {"says": "MDAC needs no more samples to the gradient", "mdac": 1.0, "rounds": 0.5, "content": 0.5,
                 "model": 18.0}}
GAME = 0                                            # seed of the experiment's own
PAIRS = 5000                                        # weights of a reward model at most
LOOKS = 200                                         # at a run, at most
OTHER = 1000                                        # first seed of the runs that look at other steps


@dataclass(frozen=True)
class Expense:
    """The costs and results of one run where it was looked at, from its start to where both levels are reached.

    Attributes:
        spent: by `QUANTITIES`, (rows,) each, per agent except for the joint samples.
        reached: by `MEASURES`, (rows,) each, whether the level has been reached.
    """

    spent: dict[str, np.ndarray]
    reached: dict[str, np.ndarray]

    def until(self, measure: str) -> dict[str, float]:
        """The costs at the first row where the level is reached, or at the last row if there is none."""
        reached = self.reached[measure]
        row = int(reached.argmax()) if reached.any() else -1
        return {name: float(values[row]) for name, values in self.spent.items()}


@dataclass(frozen=True)
class Trial:
    """The runs of one way with one actor step, one a seed."""

    way: str
    step: float
    runs: Sequence[Expense] = field(repr=False)

    def costs(self, measure: str, quantity: str) -> np.ndarray:
        """(seeds,) what was spent until a level was reached."""
        return np.array([run.until(measure)[quantity] for run in self.runs])

    def share(self, measure: str = "J") -> float:
        """The share of seeds that reached the level."""
        return float(np.mean([run.reached[measure].any() for run in self.runs]))


def experiment(lab: Lab) -> Finding:
    """Six agents, 30,000 samples, eight seeds; other steps with two (quick: 20,000 samples, three seeds, no others)."""
    mdp = lab.game or random_mdp(GAME, 6, 5, 2, "folded-normal")
    start, best = refuse(mdp)
    level = start + 0.5 * (best - start)
    with TemporaryDirectory(prefix="netac-") as folder:
        tables = {"agents": mdp.agents, "topology": "ring", "policy": {"shared": []},
                  "env": {"name": "finite-mdp", "path": save_game(mdp, Path(folder) / "game.npz")}}
        features = Path(folder) / "features.npz"
        np.savez(features, phi=np.eye(mdp.states), psi=own_actions(mdp))
        do = partial(run, tables=tables, features=str(features), samples=lab.choose(20_000, 30_000), level=level,
                     first_seed=10_000 * lab.seed)
        found = {each.way: each for each in _trials(lab, do, {name: (way.step,) for name, way in WAYS.items()},
                                                     range(lab.choose(3, 8)))}
        others = _trials(lab, do, {name: (way.step, *way.others) for name, way in WAYS.items()},
                          range(OTHER, OTHER + 2)) if not lab.quick else []
    ratios = ratios_of(found)
    shown = [Table("cost", f"To J = {level:.4f} (start {start:.4f}, best {best:.4f}), and to a quarter of the first "
                           "squared gradient: means with 95 % intervals",
                   [row for each in found.values() for row in _cost_rows(each)]),
             Table("ratios", "Ratios of geometric means over the seeds, with 95 % intervals",
                   [{"way": pair[0], "over": pair[1], "until": measure, "spent": quantity, "ratio": interval.estimate,
                     "low": interval.low, "high": interval.high} for pair, by in ratios.items()
                    for measure, spent in by.items() for quantity, interval in spent.items()])]
    if others:
        shown.append(Table("steps", "Other actor steps, on two seeds of their own: mean samples", [
            {"way": each.way, "actor_step": each.step, "reached": each.share(),
             "to_J": float(each.costs("J", "samples").mean()),
             "to_gradient": float(each.costs("gradient", "samples").mean())} for each in others]))
    return Finding(_claims(found, ratios, lab.quick), shown, partial(draw, found))


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


def own_actions(mdp: FiniteMDP) -> np.ndarray:
    """(S, J, S (1 + N (A - 1))) features of the small model: in each state 1 and every agent's own action, centred."""
    actions = np.indices((mdp.actions,) * mdp.agents).reshape(mdp.agents, -1)                       # (N, J)
    contrasts = mdp.actions * (actions[:, :, None] == np.arange(1, mdp.actions)) - 1.0              # (N, J, A - 1)
    each = np.hstack([np.ones((mdp.joint_actions, 1)), np.moveaxis(contrasts, 0, 1).reshape(mdp.joint_actions, -1)])
    each /= np.linalg.norm(each, axis=1).max()
    return np.einsum("st,jk->sjtk", np.eye(mdp.states), each).reshape(mdp.states, mdp.joint_actions, -1)


def run(item: tuple[str, float, int], tables: dict[str, Any], features: str, samples: int, level: float,
        first_seed: int) -> Expense:
    """One run of (way, actor step, seed) over at most `samples` joint samples."""
    name, step, seed = item
    way = WAYS[name]
    iterations = samples // way.samples
    tables = {**tables, "iterations": iterations, "seed": first_seed + seed,
              "algorithm": {"name": way.algorithm, "sampling": "double", "actor_step": step, **way.options}}
    if way.small:
        tables["env"] = {**tables["env"], "features": features}
    rows: list[tuple[float, ...]] = []
    for parts in walk(tables, range(0, iterations + 1, max(1, iterations // LOOKS))):
        rows.append((*spent(parts), *progress(parts)))
        if rows[-1][-2] >= level and rows[-1][-1] <= rows[0][-1] / 4.0:
            break
    *costs, J, gradient = np.array(rows).T
    return Expense(dict(zip(QUANTITIES, costs, strict=True)),
                   {"J": level <= J, "gradient": gradient <= gradient[0] / 4.0})


def spent(parts: Parts) -> tuple[float, float, float]:
    """`QUANTITIES` until now."""
    ledger, neighbours = parts.ledger, min(2, parts.placement.agents - 1)                           # on a ring
    return (float(ledger.samples), ledger.consensus_messages.mean() / neighbours,
            ledger.consensus_bytes.mean() / 1000.0)


def progress(parts: Parts) -> tuple[float, float]:
    """J and its squared gradient now."""
    J, gradient = objective_and_gradient(finite(parts).mdp, policies(parts))
    return J, float(np.square(in_parameters(parts, gradient)).sum())


def ratio(costs: np.ndarray, others: np.ndarray) -> Interval:
    """The ratio of two geometric means over seeds, with its 95 % bootstrap interval."""
    rng, logs = np.random.default_rng(0), [np.log(costs), np.log(others)]
    means = [rng.choice(each, (2000, len(each))).mean(axis=1) for each in logs]
    low, high = np.exp(np.quantile(means[0] - means[1], [0.025, 0.975]))
    return Interval(float(np.exp(logs[0].mean() - logs[1].mean())), float(low), float(high))


def ratios_of(found: dict[str, Trial]) -> Ratios:
    """The ratios of `PAIRS_OF_WAYS`."""
    return {pair: {measure: {quantity: ratio(*(found[name].costs(measure, quantity) for name in pair))
                             for quantity in QUANTITIES} for measure in MEASURES} for pair in PAIRS_OF_WAYS}


def _trials(lab: Lab, do: Any, steps: dict[str, tuple[float, ...]], seeds: range) -> list[Trial]:
    pairs = [(name, step) for name, tried in steps.items() for step in tried]
    done = iter(lab.each(do, [(*pair, seed) for pair in pairs for seed in seeds]))
    return [Trial(*pair, [next(done) for _ in seeds]) for pair in pairs]


def _claims(found: dict[str, Trial], ratios: Ratios, quick: bool) -> list[Claim]:
    """Bounds are half of the way, or less, from what was found to no effect; the quick form's seeds are few for J."""
    claims = [Claim("every way comes half of the way to the best joint policy", "this experiment",
                    "least share of seeds", min(each.share() for each in found.values()), ">=", 0.5 if quick else 0.8)]
    for measure, until in list(UNTIL.items())[quick:]:
        bounds = BOUNDS[measure]

        def limits(names: tuple[str, ...], rivals: tuple[str, ...], quantity: str, by: str = measure) -> list[Interval]:
            return [ratios[name, rival][by][quantity] for name in names for rival in rivals]

        samples = [limits((name,), SINGLE, "samples") for name in BATCHED]
        claims += [
            Claim("mini-batches save rounds of communication", SOURCE,
                  f"MDAC's and DNAC's rounds {until} over CAC's and DAC's: largest upper 95 % limit",
                  max(each.high for each in limits(BATCHED, SINGLE, "rounds")), "<=", bounds["rounds"]),
            Claim(bounds["says"], "against paper 003, section 5: MDAC",
                  f"MDAC's samples {until} over CAC's and DAC's: largest upper 95 % limit",
                  max(each.high for each in samples[0]), "<=", bounds["mdac"])]
        if measure == "J":
            claims.append(Claim("DNAC needs at most three times the samples to J", "as paper 003, section 5, of MDAC",
                                f"DNAC's samples {until} over CAC's and DAC's: largest upper 95 % limit",
                                max(each.high for each in samples[1]), "<=", 3.0))
        else:
            claims += [Claim("DNAC needs more samples to the gradient", "as paper 003, section 5, of MDAC",
                             f"DNAC's samples {until} over CAC's and DAC's: least lower 95 % limit",
                             min(each.low for each in samples[1]), ">=", 1.0 if quick else 1.1),
                       Claim("at equal content batches cost no samples", "this experiment",
                             f"MDAC's samples {until} over those with batches of 1: upper 95 % limit",
                             ratios["mdac", ALONE][measure]["samples"].high, "<=", 1.25)]
        claims += [
            Claim("at equal content batches save bytes", SOURCE,
                  f"MDAC's kB {until} over those with batches of 1: upper 95 % limit",
                  ratios["mdac", ALONE][measure]["kilobytes"].high, "<=", bounds["content"]),
            Claim("the reward model makes most of what CAC sends", "this experiment",
                  f"CAC's kB {until} over those of MDAC with batches of 1: lower 95 % limit",
                  ratios["cac", ALONE][measure]["kilobytes"].low, ">=", bounds["model"]),
            Claim("a reward model of the agents' own actions saves most of that", "this experiment",
                  f"CAC's kB {until} with the small model over those with the large one: upper 95 % limit",
                  ratios[SMALL, "cac"][measure]["kilobytes"].high, "<=", 0.3)]
    return claims


def _cost_rows(each: Trial) -> list[dict[str, Any]]:
    rows = []
    for measure in MEASURES:
        for quantity in QUANTITIES:
            mean = mean_interval(each.costs(measure, quantity))
            rows.append({"way": each.way, "actor_step": each.step, "until": measure, "reached": each.share(measure),
                         "spent": quantity, "mean": mean.estimate, "low": mean.low, "high": mean.high})
    return rows


def draw(found: dict[str, Trial]) -> Figure:
    """What every way spent until the level and until the gradient, every seed a dot."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    titles = {"samples": "joint samples", "rounds": "rounds of communication", "kilobytes": "kB sent by an agent"}
    for panel, quantity in zip(figure.subplots(1, 3, sharey=True), QUANTITIES, strict=True):
        for place, each in enumerate(found.values()):
            for measure, colour, shift in (("J", PALETTE[0], -0.15), ("gradient", PALETTE[1], 0.15)):
                costs = each.costs(measure, quantity)
                panel.plot(costs, np.full(len(costs), place + shift), "o", ms=3.5, alpha=0.45, color=colour, mew=0)
                panel.plot(np.exp(np.log(costs).mean()), place + shift, "|", ms=14, mew=2, color=colour,
                           label=("to half of the way to the best J" if measure == "J" else
                                  "to a quarter of the first squared gradient") if place == 0 else None)
        panel.set(xscale="log", xlabel=titles[quantity], yticks=range(len(found)))
        panel.set_yticklabels(list(found))
    figure.axes[0].invert_yaxis()
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure
