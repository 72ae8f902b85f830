"""IPPO, MAPPO and clip ranges: paper 002's Figures 1b, 2, 3 and 6 in small games, with exact returns and divergences.

The paper trains on StarCraft maps and shows how far single agents' policies move in an update, by clip range (Figure
1b); returns and trust regions by clip range, on maps of 2 to 27 agents (Figure 2; small clip ranges in Figure 6, of
appendix A.5; joint ratios in appendix A.6); and that IPPO and MAPPO learn alike (Figure 3).

Here tabular softmax policies are trained in random games of one reward for all (`_trust_updates`), from samples with
exact advantages, by Adam on clipped surrogates of each agent's ratio or of the joint one, so that nothing but clipping
makes the difference; IPPO's and MAPPO's directions are exact, with critics at the fixed points of TD(lambda)
(`_local_critics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from netac.results.statistics import mean_interval
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._clip_runs import (
    KINDS,
    LARGE,
    PAPER,
    SMALL,
    Cells,
    Moved,
    learned,
    moved,
)
from netac.theory._ippo_picture import draw
from netac.theory._lab import Lab
from netac.theory._local_critics import Ascent, ascend, difference, direction
from netac.theory._trust_critics import COMMON, LAMBDAS
from netac.theory._trust_games import random_dec_mdp, random_policies, through_noise
from netac.theory._trust_trained import ALPHA, CLIPS, FIRST

SOURCE = "paper 002"
SECTION = f"{SOURCE}, section 7"
CRITICS = f"{SOURCE}, section 6.3"
EXACT = 1e-9                        # what rounding may do to directions
GAMMA = 0.9                         # of random games
STEPS = (20.0, 3.0)                 # of ascents in the game seen through noise, and in random ones
TAKEN = 100                         # ascents' steps
LEARNERS = {"IPPO, lambda = 0": (0.0, False), "IPPO, lambda = 0.5": (0.5, False),
            f"IPPO, lambda = {COMMON}": (COMMON, False), "IPPO, lambda = 1": (1.0, False), "MAPPO": (COMMON, True)}


class Paths(NamedTuple):
    """J along the ascents of `LEARNERS`, each (steps + 1,) by its name."""

    noise: Mapping[str, np.ndarray]
    """In the game that is seen through noise."""
    random: Sequence[Mapping[str, np.ndarray]]
    """In random games."""


def experiment(lab: Lab) -> Finding:
    """Up to 12 agents, 20 updates of each kind and trainings of eight seeds (quick: eight, four and three)."""
    updates, cells, rows, paths = moved(lab), learned(lab), direction_rows(lab), ascents(lab)
    tables = [
        Table("tvs", "One update of 100 epochs: the agents' largest total variations, and which share of them is below "
              "what (Figure 1b)", [one.row for one in updates]),
        Table("learned", "Trainings by clip range: score, the share of what there was to win, on average and at the "
              "end; by how much iterations lowered it, all taken together; total variations (Figures 2 and 6)",
              [cell.row for cell in cells.values()]),
        Table("directions", "IPPO's direction against MAPPO's, critics of the same lambda at their fixed points: "
              "|difference| / |exact|, and what it is to agent 1 to pay", rows),
        Table("ascents", f"J after {TAKEN} exact steps (Figure 3), and which share of MAPPO's gain IPPO has",
              ascent_rows(paths))]
    claims = [*moved_claims(updates), *learned_claims(cells), *direction_claims(rows), *ascent_claims(paths)]
    return Finding(claims, tables, partial(draw, updates, cells, rows, paths.noise))


# --- Figure 1b ---

def moved_claims(updates: Sequence[Moved]) -> list[Claim]:
    """How far an agent's policy moves, by clip range and by the number of agents."""
    by_clip = {one.epsilon: one for one in updates if one.rule == "five agents"}
    fixed, scaled = ([one for one in updates if one.rule == rule] for rule in ("fixed", "alpha / N"))
    return [
        Claim("clipped at 0.1 all of the agents' total variations are smaller than 0.2; here than 0.13",
              f"{SECTION}, Figure 1b", "largest", float(by_clip[PAPER].tvs.max()), "<=", 0.13),
        Claim("the larger the clip range, the more of them exceed 0.3", f"{SECTION}, Figure 1b",
              "least increase of the share, from 0.3 to 0.5 and from 0.5 to no clipping",
              min(by_clip[b].over(0.3) - by_clip[a].over(0.3) for a, b in pairwise(CLIPS[1:])), ">=", 0.1),
        Claim("without clipping nothing holds them", f"{SECTION}, Figure 1b", "largest",
              float(by_clip[float("inf")].tvs.max()), ">=", 0.6),
        Claim("at a fixed clip range an agent's own total variation does not grow with the number of agents", "netac",
              "exponent of N of the median", _exponent(fixed, "median"), "<=", 0.0),
        Claim("their sum, which bounds the joint one, does", f"{SOURCE}, Proposition 2 and section 6.2",
              "exponent of N of the sum", _exponent(fixed, "mean sum over agents"), ">=", 0.6),
        Claim("with alpha / N the sum stays below alpha", f"{SOURCE}, equation 9", "largest mean sum / alpha",
              max(one.sum for one in scaled) / ALPHA, "<=", 1.0)]


def _exponent(updates: Sequence[Moved], column: str) -> float:
    return float(np.polyfit(np.log([one.agents for one in updates]), np.log([one.row[column] for one in updates]),
                            1)[0])


# --- Figures 2 and 6 ---

def learned_claims(cells: Cells) -> list[Claim]:
    """What clip ranges do to learning."""
    sizes, clips = {n for n, *_ in cells}, {epsilon for _, epsilon, _ in cells}
    few, many = min(sizes), max(sizes)
    lost = {key: float(cell.lost.mean()) for key, cell in cells.items()}
    mean = {key: float(cell.mean.mean()) for key, cell in cells.items()}
    alone, together = KINDS
    return [
        Claim("with many agents and a clip range of 1 the return does not improve monotonically", "netac",
              f"mean of what iterations lowered the score by, {many} agents",
              lost[many, LARGE, alone], ">=", 0.2),
        Claim("clipped at 0.1 it does, more nearly", f"{SECTION}, Figure 2", f"the same, 0.1 / 1, {many} agents",
              lost[many, PAPER, alone] / lost[many, LARGE, alone], "<=", 0.7),
        Claim("clipping the joint ratio it does, at every clip range and with every number of agents", "netac",
              "largest mean of what iterations lowered the score by",
              max(lost[n, epsilon, together] for n in sizes for epsilon in clips), "<=", 0.03),
        Claim("the trust region of a clip range of 0.1 grows with the number of agents", f"{SECTION}, Figure 2",
              f"sum of the agents' total variations in the first {FIRST} iterations, {many} agents / {few}",
              cells[many, PAPER, alone].early[1] / cells[few, PAPER, alone].early[1], ">=", 1.5),
        Claim("too small a clip range moves policies too little", f"{SOURCE}, appendix A.5",
              f"mean score over training, {SMALL} / {PAPER}, largest over numbers of agents",
              max(mean[n, SMALL, alone] / mean[n, PAPER, alone] for n in sizes), "<=", 0.7),
        Claim("the more so, the more agents there are", "netac", f"the same ratio, {many} agents / {few}",
              mean[many, SMALL, alone] / mean[many, PAPER, alone] / (mean[few, SMALL, alone] / mean[few, PAPER, alone]),
              "<=", 0.6),
        Claim("too small a clip range of the joint ratio does not", "netac",
              f"mean score over training, {SMALL} / {PAPER}, {many} agents",
              mean[many, SMALL, together] / mean[many, PAPER, together], ">=", 0.8)]


# --- Figure 3 ---

def direction_rows(lab: Lab) -> list[Row]:
    """By lambda: in random Dec-MDPs, and where a slow state is seen through noise."""
    rng, games = lab.rng(6), []
    for _ in range(lab.choose(8, 40)):
        game = random_dec_mdp(2, 3, 2, GAMMA, rng)
        games.append((game, random_policies(game, rng)))
    rows = []
    for lambda_ in LAMBDAS:
        found = [difference(*one, lambda_, central=False) for one in games]
        sizes = [one.size for one in found]
        rows.append({"lambda": lambda_, "random, median": float(np.median(sizes)), "random, largest": max(sizes),
                     "random, least cosine": min(one.cosine for one in found),
                     "MAPPO, largest": max(difference(*one, lambda_, central=True).size
                                           for one in (*games, through_noise())),
                     "through noise": difference(*through_noise(), lambda_, central=False).size,
                     **{f"agent 1 pays, {name}": float(direction(*through_noise(), lambda_, central)[0, :, 1].sum())
                        for name, central in (("IPPO", False), ("MAPPO", True))}})
    return rows


def direction_claims(rows: Sequence[Row]) -> list[Claim]:
    """When the two are one."""
    by = {row["lambda"]: row for row in rows}
    medians = [by[lambda_]["random, median"] for lambda_ in LAMBDAS]
    return [
        Claim("a critic of the state, MAPPO's, gives the direction of the policies' own advantages, with any lambda",
              CRITICS, "largest |difference| / |exact|", max(row["MAPPO, largest"] for row in rows), "<=", 0.0, EXACT),
        Claim("with lambda = 1 critics of local states, IPPO's, give it, too", CRITICS,
              "largest |difference| / |exact|", max(by[1.0][name] for name in ("random, largest", "through noise")),
              "<=", 0.0, EXACT),
        Claim("critics at their fixed points are enough for the objectives to be equivalent", CRITICS,
              "largest |difference| / |exact| of TD(0) in random games", by[0.0]["random, largest"], ">=", 0.2,
              refuted=True),
        Claim("the difference falls as lambda grows", "netac",
              "largest median in random games / that of the next smaller lambda",
              max(b / a for a, b in pairwise(medians[:-1])), "<=", 0.7),
        Claim(f"with lambda = {COMMON} it is small in random games", "netac", "largest |difference| / |exact|",
              by[COMMON]["random, largest"], "<=", 0.1)]


def ascents(lab: Lab) -> Paths:
    """Exact ascents of all `LEARNERS`."""
    rng = lab.rng(7)
    games = [through_noise()[0], *(random_dec_mdp(2, 3, 2, GAMMA, rng) for _ in range(lab.choose(3, 20)))]
    step = {True: STEPS[0], False: STEPS[1]}
    tasks = [Ascent(game, lambda_, central, step[k == 0], TAKEN) for k, game in enumerate(games)
             for lambda_, central in LEARNERS.values()]
    found = lab.each(ascend, tasks, "ascents")
    many = len(LEARNERS)
    first, *rest = (dict(zip(LEARNERS, found[many * k:many * (k + 1)], strict=True)) for k in range(len(games)))
    return Paths(first, rest)


def share(path: Mapping[str, np.ndarray], name: str) -> float:
    """Of MAPPO's gain."""
    return float((path[name][-1] - path[name][0]) / (path["MAPPO"][-1] - path["MAPPO"][0]))


def ascent_rows(paths: Paths) -> list[Row]:
    """For every learner."""
    rows = []
    for name in LEARNERS:
        shares = mean_interval(np.array([share(path, name) for path in paths.random]))
        rows.append({"learner": name, "through noise, J": float(paths.noise[name][-1]),
                     "through noise, share": share(paths.noise, name),
                     "random, mean J": float(np.mean([path[name][-1] for path in paths.random])),
                     "random, share": shares.estimate, "low": shares.low, "high": shares.high,
                     "random, least share": min(share(path, name) for path in paths.random)})
    return rows


def ascent_claims(paths: Paths) -> list[Claim]:
    """Whether the two learn alike."""
    local = list(LEARNERS)[:-1]
    return [
        Claim("IPPO and MAPPO perform similarly, however their critics learn: in random games", f"{SECTION}, Figure 3",
              "least mean share of MAPPO's gain, over lambda",
              min(float(np.mean([share(path, name) for path in paths.random])) for name in local), ">=", 0.9),
        Claim("where a slow state is seen through noise IPPO with lambda = 0 learns next to nothing", "netac",
              "share of MAPPO's gain", share(paths.noise, local[0]), "<=", 0.1),
        Claim(f"there lambda = {COMMON} is enough", "netac", "share of MAPPO's gain", share(paths.noise, local[2]),
              ">=", 0.9)]
