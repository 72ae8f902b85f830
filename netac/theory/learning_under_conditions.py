"""What lossy, late, narrow and slow networks cost learning: returns at equal samples, bytes and simulated seconds.

CAC, DAC, MDAC and, with torch, coordinated PPO on the coordination game of ten agents; in the full form also on a
finite MDP whose J is exact (examples/data/networked_mdp_6x5.npz of the source tree) and on cooperative navigation.
Settings are those of the examples, with fewer iterations.  Messages are lost with a probability, both of an edge
together; late by some iterations; or of 1 to 8 bits a number (CHOCO) in the place of 64, with networks 32.

All but what is late runs over a radio: on every link a message flies 20 ms and what its bits take at 1 Mbit/s, and
agents go on when they have heard all that was sent to them.  They compute in no time, and what they learn of the
environment and of the others' actions takes none.

The level is nine tenths of the best reward, a quarter of the way from the first policies to the best J, or a return of
an episode.  How much more slowly agents move that hear late is foretold: those that keep W_ii of their own and hear the
rest d iterations late move 1 + d (1 - W_ii) times more slowly, since each step that they share is pulled back by what
the others have not yet done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import netac
from netac.envs.finite_mdp import read_mdp
from netac.exact import optimal_objective
from netac.theory._claims import Claim, Finding, Table
from netac.theory._conditions_runs import CONDITIONS, RADIO, ConditionRuns, Exercise, run, speed
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MDP = Path(netac.__file__).resolve().parents[1] / "examples" / "data" / "networked_mdp_6x5.npz"
START = 0.4923                                  # J of its first policies
TABULAR = {"gamma": 0.95, "actor_step": 0.05, "critic_step": 0.1, "reward_step": 0.1}
PPO = {"name": "cppo", "gamma": 0.95, "rollout": 25, "epochs": 10, "critic_epochs": 10, "entropy": 0.0,
       "actor_step": 0.02, "critic_step": 0.02, "parameters": "separate"}
LONGER = "coordination, longer"
SEEDS = {"coordination": 3, LONGER: 3, "networked MDP": 3, "spread": 2}
SPEEDS = (("complete", 10), ("ring", 9), ("exponential", 9))
Cells = dict[tuple[str, str, str], ConditionRuns]
"""By game, algorithm and condition."""


def coordination(agents: int, samples: int, ppo_samples: int) -> Exercise:
    """The coordination game on the complete graph; a row of metrics.csv for every 25 samples."""
    algorithms: dict[str, Any] = {
        name: {"iterations": samples, "log_every": 25, "algorithm": {"name": name, **TABULAR}}
        for name in ("cac", "dac")}
    algorithms["mdac"] = {"iterations": samples // 5, "log_every": 5,
                          "algorithm": {"name": "mdac", "batch": 5, **TABULAR}}
    if find_spec("torch"):
        algorithms["cppo"] = {"iterations": ppo_samples // 25, "log_every": 1, "algorithm": PPO}
    return Exercise("coordination", {"agents": agents, "env": "coordination", "topology": "complete"}, algorithms,
                    "reward", 8, 0.9 * (12.25 + agents - 1),
                    {"samples": float(ppo_samples), "kilobytes": 1000.0, "seconds": 4.0})


def whose_rewards() -> Exercise:
    """The same, 3,000 samples: agents after the rewards that they average sample by sample, and after their own."""
    short = coordination(10, 3000, 3000)
    tables = short.algorithms["cppo"]
    own = {**tables, "algorithm": PPO | {"reward": "own"}}
    return replace(short, name=LONGER, algorithms={"cppo": tables, "cppo, own rewards": own})


def finite_mdp() -> Exercise:
    """Six agents on a ring, every one with a policy of its own; CAC and DAC take 8,000 samples, MDAC 60,000."""
    steps = {"sampling": "double", "critic_step": 0.1, "reward_step": 0.5, "actor_step": 0.3}
    algorithms: dict[str, Any] = {name: {"iterations": 4000, "log_every": 40, "algorithm": {"name": name, **steps}}
                                  for name in ("cac", "dac")}
    algorithms["mdac"] = {"iterations": 100, "log_every": 1, "algorithm": {
        "name": "mdac", "sampling": "double", "actor_step": 10.0, "critic_step": 0.5, "batch": 100, "critic_batch": 10,
        "critic_rounds": 50, "mixing_rounds": 10, "reward_rounds": 5}}
    tables = {"agents": 6, "env": {"name": "finite-mdp", "path": str(MDP)}, "topology": "ring",
              "policy": {"shared": []}}
    return Exercise("networked MDP", tables, algorithms, "J", 1,
                    START + 0.25 * (optimal_objective(read_mdp(MDP)[0]) - START),
                    {"samples": 8000.0, "kilobytes": 500.0, "seconds": 60.0})


def spread() -> Exercise:
    """Cooperative navigation: examples/centralized_vs_decentralized.toml with 32,000 samples."""
    common = {"gamma": 0.95, "critic_step": 1e-3}
    tables = {"agents": 3, "envs": 20, "stagger": 25, "env": "spread", "topology": "complete",
              "policy": {"name": "mlp", "hidden": [128, 128], "activation": "relu", "entropy": 0.05}}
    cac = {"name": "cac", "actor_step": 2e-4, "reward_step": 1e-3, "team_reward": "mean", **common}
    ppo = {"name": "cppo", "actor_step": 1e-3, "epochs": 15, "critic_epochs": 15, **common}
    algorithms = {"cac": {"iterations": 1600, "log_every": 200, "algorithm": cac},
                  "cppo": {"iterations": 8, "log_every": 1, "algorithm": ppo}}
    return Exercise("spread", tables, algorithms, "episode_return", 1, -23.5,
                    {"samples": 32_000.0, "kilobytes": 500.0, "seconds": 2.0})


def experiment(lab: Lab) -> Finding:
    """Three seeds, two of navigation (quick: CAC, two, and coordinated PPO, one, on the game of five agents)."""
    items = [(*each, 1000 * lab.seed + k) for each in to_do(lab)
             for k in range(lab.choose(2 if each[1] == "cac" else 1, SEEDS[each[0].name]))]
    cells: Cells = {}
    for (game, algorithm, condition, _), course in zip(items, lab.each(run, items), strict=True):
        at = game.name, algorithm, condition
        cells[at] = ConditionRuns(game, algorithm, condition, [*(cells[at].courses if at in cells else ()), course])
    speeds = [{"graph": graph, "agents": n, "delay": d, **dict(zip(("speed", "foretold"), speed(graph, n, d, 1000),
                                                                    strict=True))}
              for (graph, n), d in product(SPEEDS[:lab.choose(1, None)], (1, 3))]
    games = {cell.game.name: cell.game for cell in cells.values()}
    about = "; ".join(f"{game.name}: {game.measured} at {game.budgets['samples']:,.0f} samples, "
                      f"{game.budgets['kilobytes']:,.0f} kB, {game.budgets['seconds']:g} s, level {game.level:.4g}"
                      for game in games.values())
    equal = Table("equal", f"Means over seeds at equal costs, with 95 % intervals ({about})",
                  [cell.at_row() for cell in cells.values()])
    level = Table("level", "Costs to the level: medians over seeds, the least and the most",
                  [cell.until_row() for cell in cells.values()])
    moved = Table("speed", "Steps of 1 that agents take together in an iteration, with messages that are late", speeds)
    return Finding(claims(cells, speeds), (equal, level, moved), partial(draw, cells))


def to_do(lab: Lab) -> list[tuple[Exercise, str, str]]:
    """Games, algorithms and conditions."""
    if lab.quick:
        game = coordination(5, 1000, 900)
        return [(game, name, condition) for name, conditions in (("cac", ("plain", "loss 10 %")),
                                                                 ("cppo", ("plain", "4 bits")))
                for condition in conditions if name in game.algorithms]
    game = coordination(10, 2500, 1000)
    found = list(product([game], game.algorithms, CONDITIONS))
    if MDP.exists():
        game = finite_mdp()
        found += product([game], game.algorithms, ("plain", "loss 30 %", "delay 3", "1 bit", "4 bits"))
    if find_spec("torch"):
        game = whose_rewards()
        found += product([game], game.algorithms, ("delay 3",))
        game = spread()
        found += product([game], game.algorithms, ("plain", "loss 30 %", "4 bits"))
    return found


def claims(cells: Cells, speeds: Sequence[dict[str, Any]]) -> list[Claim]:
    """Those whose runs were made."""
    here = "this experiment"

    def made(game: str, *runs: tuple[str, str]) -> list[ConditionRuns]:
        return [cells[game, *each] for each in runs] if all((game, *each) in cells for each in runs) else []

    [plain] = made("coordination", ("cac", "plain"))
    best = plain.game.level / 0.9
    whole = [cell for cell in cells.values() if cell.game is plain.game and cell.timed and "bit" not in cell.condition]
    found = [
        Claim("the radio's time is exchanges times latency and bits over bandwidth", "netac",
              "largest relative error, coordination game", max(map(_clock_error, whole)), "<=", 0.0, 1e-9),
        Claim("who hears d iterations late moves 1 + d (1 - W_ii) times more slowly", here,
              "largest relative error of the speed", max(abs(each["speed"] / each["foretold"] - 1) for each in speeds),
              "<=", 0.0, 1e-9)]
    for share in ("10 %", "50 %"):
        for lossy in made("coordination", ("cac", f"loss {share}")):
            found.append(Claim(f"CAC finds an efficient equilibrium when {share} of the messages are lost", here,
                               "least reward of a seed at the end, over the best", float(lossy.ends().min() / best),
                               ">=", 0.95))
    for game in ("coordination", "spread"):
        if ours := made(game, ("cppo", "4 bits"), ("cppo", "plain"), ("cac", "plain")):
            few, full, cac = ours
            found += [
                Claim(f"over the radio coordinated PPO is at the level sooner with 4 bits than with 32: {game}", here,
                      "seconds, slowest seed / fastest", _most(few, full, "seconds"), "<=", 0.5),
                Claim(f"and sooner than CAC: {game}", here, "seconds, slowest seed / fastest",
                      _most(few, cac, "seconds"), "<=", 0.5)]
    for few in made("coordination", ("cac", "4 bits")):
        found.append(Claim("CAC is at the level with a fifth of the bytes if they are of 4 bits a number", here,
                           "kilobytes, most of a seed / least", _most(few, plain, "kilobytes"), "<=", 0.2))
    if late := made("coordination", ("cac", "delay 1"), ("cac", "delay 10")):
        foretold = 2.0 - 1.0 / plain.game.tables["agents"]
        slower = np.median(late[0].until("samples")) / np.median(plain.until("samples"))
        found += [
            Claim("CAC on messages one iteration late needs 1 + d (1 - W_ii) times the samples", here,
                  "|times, by the medians, over those foretold - 1|", float(abs(slower / foretold - 1.0)), "<=", 0.25),
            Claim("messages that are ten iterations late cost ten iterations", "a common hope",
                  "CAC's reward at the end, most of a seed over the best", float(late[1].ends().max() / best), "<=",
                  0.6, refuted=True)]
    if ours := made(LONGER, ("cppo", "delay 3"), ("cppo, own rewards", "delay 3")):
        averaged, own = ours
        found += [
            Claim("coordinated PPO does not learn from rewards that it averages with those of other samples: three "
                  "iterations late", here, "reward at the end, most of a seed over the best",
                  float(averaged.ends().max() / best), "<=", 0.6),
            Claim("from its own rewards it does", here, "reward at the end, least of a seed over the best",
                  float(own.ends().min() / best), ">=", 0.8)]
    if batches := made("networked MDP", ("mdac", "plain"), ("mdac", "loss 30 %"), ("mdac", "delay 3")):
        _, lossy, late_ones = ((cell.ends() - START) / (batches[0].ends().mean() - START) for cell in batches)
        found += [
            Claim("MDAC gains nearly as much when 30 % of the messages are lost", here,
                  "least of a seed, over the mean without", float(lossy.min()), ">=", 0.75),
            Claim("MDAC bears messages that are three iterations late as well", "a common hope",
                  "most of a seed, over the mean without", float(late_ones.max()), "<=", 0.5, refuted=True)]
    return found


def _most(slow: ConditionRuns, fast: ConditionRuns, spent: str) -> float:
    """The most that a seed of one spends to the level, over the least that one of the other does."""
    return float(slow.until(spent).max() / fast.until(spent).min())


def _clock_error(cell: ConditionRuns) -> float:
    """Of the seconds of a synchronous network in which all hear all, relative to those computed from its traffic."""
    def error(course: Any) -> float:
        bits = 8000.0 * course.spent["kilobytes"][-1] / (cell.game.tables["agents"] - 1)
        expected = course.exchanges * RADIO["latency"] + bits / RADIO["bandwidth"]
        return float(abs(course.spent["seconds"][-1] / expected - 1.0))

    return max(map(error, cell.courses))


def draw(cells: Cells) -> Figure:
    """The coordination game over simulated seconds and under every condition, and seconds to the level."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(13.0, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    ours = {key: cell for key, cell in cells.items() if key[0] == "coordination"}
    best = next(iter(ours.values())).game.level / 0.9
    names, conditions = (list(dict.fromkeys(key[k] for key in ours)) for k in (1, 2))
    colours = dict(zip(names, PALETTE, strict=False))
    for (_, name, condition), cell in ours.items():
        if condition not in ("plain", "4 bits") or (name not in ("cac", "cppo") and condition == "4 bits"):
            continue
        for k, course in enumerate(cell.courses):
            left.semilogx(course.spent["seconds"], course.value, color=colours[name], lw=1.2, alpha=0.8,
                          ls="-" if condition == "plain" else "--",
                          label=f"{name}, {condition}" if k == 0 else None)
    left.axhline(0.9 * best, color="#555555", lw=1.0, ls=":")
    left.set(xlabel="simulated seconds, 20 ms and 1 Mbit/s", ylabel="reward", title="coordination game")
    left.legend(fontsize=8)
    for name in names:
        row = [ours.get(("coordination", name, condition)) for condition in conditions]
        at = [cell.at("samples") for cell in row if cell]
        where = [k for k, cell in enumerate(row) if cell]
        middle.plot(where, [each.estimate / best for each in at], "o-", ms=4, color=colours[name], label=name)
        middle.vlines(where, [each.low / best for each in at], [each.high / best for each in at], color=colours[name])
    middle.set(xticks=range(len(conditions)), ylim=(0.0, 1.05), ylabel="reward / the best",
               title=f"at {next(iter(ours.values())).game.budgets['samples']:,.0f} samples")
    middle.set_xticklabels(conditions, rotation=60, fontsize=8)
    middle.legend(fontsize=8)
    rows = [cell for cell in cells.values() if cell.timed and np.isfinite(cell.until("seconds")).all()
            and cell.condition in ("plain", "1 bit", "4 bits")]
    for place, cell in enumerate(rows):
        seconds = cell.until("seconds")
        right.semilogx(seconds, np.full(len(seconds), place), "o-", ms=4, lw=1.2,
                       color=colours.get(cell.algorithm, "#999999"))
    right.set(yticks=range(len(rows)), xlabel="simulated seconds to the level, every seed")
    right.set_yticklabels([f"{cell.game.name}: {cell.algorithm}, {cell.condition}" for cell in rows], fontsize=8)
    right.invert_yaxis()
    return figure
