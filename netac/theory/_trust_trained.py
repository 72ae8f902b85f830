"""The trained part of the trust-region experiment (paper 002, Figure 1 and appendix A.6): claims and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import TypeVar

import numpy as np

from netac.results.statistics import mean_interval
from netac.theory._claims import Claim, Row
from netac.theory._lab import Lab
from netac.theory._trust_exact import PAPER, exponent
from netac.theory._trust_updates import Climb, Training, against, train

T = TypeVar("T")
CLIPS = (0.1, 0.3, 0.5, float("inf"))           # Figure 1a; inf: no clipping
AT = (5, 10, 20, 50, 100)                       # epochs that tables show
EARLY = f"fixed, {AT[2]} epochs"                # the joint TV at the fixed clip range when clipping begins to act
FIVE = 5                                        # agents of Figure 1a
ALPHA = 0.4                                     # of clip ranges
RANGES = {"fixed": lambda n: ALPHA / 2.0, "alpha / N": lambda n: ALPHA / n,
          "alpha / sqrt(N)": lambda n: ALPHA / np.sqrt(n)}
EPSILONS = (0.1, 0.3, 0.5)                      # appendix A.6
FIRST = 5                                       # iterations in which policies move most


def ratio_rows(lab: Lab) -> list[Row]:
    """For every clip range and every one of `AT`, one update of five agents."""
    found = in_groups(lab, train, [[Training(FIVE, (lab.seed, 1, k), epsilon, epochs=AT[-1], looks=AT)
                                    for k in range(lab.choose(4, 20))] for epsilon in CLIPS], "updates")
    return [_ratio_row(epsilon, epochs, ours) for epsilon, ours in zip(CLIPS, found, strict=True) for epochs in AT]


def growth_rows(lab: Lab) -> list[Row]:
    """For every number of agents, one update; those of a row have the same games and first policies."""
    sizes = lab.choose((2, 4, 8), (2, 4, 8, 12, 16))
    found = in_groups(lab, train, [[Training(n, (lab.seed, 2, k), rule(n), epochs=AT[-1], looks=AT)
                                    for k in range(lab.choose(4, 20))]
                                   for n, rule in product(sizes, RANGES.values())], "updates")
    return [_growth_row(n, dict(zip(RANGES, found[k * len(RANGES):][:len(RANGES)], strict=True)))
            for k, n in enumerate(sizes)]


def versus_rows(lab: Lab) -> list[Row]:
    """For every number of agents and clip range, trainings of both kinds in the same games."""
    cases = list(product(lab.choose((2, 8), (2, 4, 8, 12, 16)), EPSILONS))
    found = in_groups(lab, against, [[Training(n, (lab.seed, 3, k), epsilon, iterations=lab.choose(10, 30), epochs=40,
                                               samples=64, step=0.1) for k in range(lab.choose(4, 16))]
                                     for n, epsilon in reversed(cases)], "trainings")     # the longest ones first
    return [_versus_row(*case, ours) for case, ours in zip(cases, reversed(found), strict=True)]


def ratio_claims(rows: Sequence[Row]) -> list[Claim]:
    """Figure 1a, on the rows of `ratio_rows`."""
    source = f"{PAPER}, section 7, Figure 1a"
    width = {(row["clip range"], row["epochs"]): row["mean highest"] - row["mean lowest"] for row in rows}
    highest = {(row["clip range"], row["epochs"]): row["highest"] for row in rows}
    return [
        Claim("clipping does not keep ratios within its range: at 0.1 they exceed 1.2", source,
              f"largest ratio, up to {AT[-1]} epochs", max(highest[0.1, epochs] for epochs in AT), ">=", 1.2),
        Claim("clipped at 0.3 ratios reach 1.6", source, f"largest ratio, up to {AT[-1]} epochs",
              max(highest[0.3, epochs] for epochs in AT), ">=", 1.6),
        Claim("the range of ratios grows with the epochs", source,
              f"least, over clip ranges, width at {AT[-1]} epochs / width at {AT[0]}",
              min(width[clip, AT[-1]] / width[clip, AT[0]] for clip in CLIPS), ">=", 1.3),
        Claim("the range of ratios grows the slower, the smaller the clip range is", source,
              f"least widening at {AT[-1]} epochs by the next larger clip range",
              min(width[b, AT[-1]] - width[a, AT[-1]] for a, b in pairwise(CLIPS)), ">=", 0.2)]


def growth_claims(rows: Sequence[Row]) -> list[Claim]:
    """Figures 1c and 1d, on the rows of `growth_rows`."""
    return [
        Claim("the sum of the agents' TVs, the paper's estimate of the joint TV, grows almost in proportion to their "
              "number", f"{PAPER}, section 7, Figure 1c", "exponent of N", exponent(rows, "sum, fixed"), ">=", 0.6),
        Claim("the joint TV that it estimates grows more slowly", "netac", "exponent of N of the exact joint TV",
              exponent(rows, "fixed"), "<=", 0.5),
        Claim("once clipping acts, the number of epochs has little impact on the joint TV",
              f"{PAPER}, section 7, Figure 1d", f"largest joint TV at {AT[-1]} epochs / at {AT[2]}, over N",
              max(row["fixed"] / row[EARLY] for row in rows), "<=", 1.4),
        Claim("a clip range of alpha / N keeps the joint TV of trained agents below alpha, in fact below "
              "alpha / sqrt(N)", f"{PAPER}, section 5", "largest mean joint TV x sqrt(N) / alpha",
              max(row["alpha / N"] * np.sqrt(row["agents"]) for row in rows) / ALPHA, "<=", 1.0)]


def versus_claims(rows: Sequence[Row]) -> list[Claim]:
    """Appendix A.6, on the rows of `versus_rows`."""
    source, most = f"{PAPER}, appendix A.6", max(row["agents"] for row in rows)
    gap = {(row["agents"], row["clip range"]): row for row in rows}
    few = min(row["agents"] for row in rows)
    return [
        Claim("at 0.1 clipping the joint ratio learns better than clipping every agent's, with many agents", source,
              f"mean score over training, joint - independent, {most} agents: lower end of the 95 % interval",
              gap[most, 0.1]["gain low"], ">=", 0.05),
        Claim("at 0.5 clipping the joint ratio learns better, too", source,
              f"mean score, joint - independent, {most} agents: lower end of the 95 % interval",
              gap[most, 0.5]["gain low"], ">=", 0.05),
        Claim("independent clipping suffers more from the number of agents", source,
              f"gain with {most} agents - gain with {few}, mean over clip ranges",
              float(np.mean([gap[most, clip]["gain"] - gap[few, clip]["gain"] for clip in EPSILONS])), ">=", 0.03),
        Claim("at 0.5 independent clipping moves the joint policy further in an iteration", source,
              f"mean joint TV, independent / joint, {most} agents",
              gap[most, 0.5]["independent TV"] / gap[most, 0.5]["joint TV"], ">=", 1.5),
        Claim("clipping the joint ratio at 0.1 does not keep the joint TV within 0.1", "netac",
              f"mean joint TV of the first {FIRST} iterations, {most} agents", gap[most, 0.1]["joint TV, first"],
              ">=", 0.2),
        Claim("clipping every agent's ratio at 0.1 moves the joint policy less at first", "netac",
              f"mean joint TV of the first {FIRST} iterations, independent / joint, {most} agents",
              gap[most, 0.1]["independent TV, first"] / gap[most, 0.1]["joint TV, first"], "<=", 0.7)]


def _ratio_row(epsilon: float, epochs: int, found: Sequence[Climb]) -> Row:
    look = AT.index(epochs)
    lowest, highest = (np.array([getattr(one, name)[look] for one in found]) for name in ("lowest", "highest"))
    return {"clip range": epsilon, "epochs": epochs, "lowest": float(lowest.min()), "mean lowest": float(lowest.mean()),
            "mean highest": float(highest.mean()), "highest": float(highest.max()),
            "joint TV": float(np.mean([one.joint_tv[look] for one in found]))}


def _growth_row(agents: int, found: dict[str, Sequence[Climb]]) -> Row:
    exact = {name: float(np.mean([one.joint_tv[-1] for one in ours])) for name, ours in found.items()}
    return {"agents": agents, **exact, EARLY: float(np.mean([one.joint_tv[2] for one in found["fixed"]])),
            "sum, fixed": float(np.mean([one.sum_of_tvs[-1] for one in found["fixed"]]))}


def _versus_row(agents: int, epsilon: float, found: Sequence[tuple[Climb, Climb]]) -> Row:
    """Mean scores over training, the interval of their paired differences, final scores, joint TVs per iteration."""
    alone, joint = zip(*found, strict=True)
    mean = [np.array([one.score.mean() for one in ours]) for ours in (alone, joint)]
    last = [np.array([one.score[-1] for one in ours]) for ours in (alone, joint)]
    gain = mean_interval(mean[1] - mean[0])
    tvs = [float(np.mean([one.joint_tv.mean() for one in ours])) for ours in (alone, joint)]
    early = [float(np.mean([one.joint_tv[:FIRST].mean() for one in ours])) for ours in (alone, joint)]
    return {"agents": agents, "clip range": epsilon, "independent": float(mean[0].mean()),
            "joint": float(mean[1].mean()), "gain": gain.estimate, "gain low": gain.low, "gain high": gain.high,
            "independent, final": float(last[0].mean()),
            "joint, final": float(last[1].mean()), "independent TV": tvs[0], "joint TV": tvs[1],
            "independent TV, first": early[0], "joint TV, first": early[1]}


def in_groups(lab: Lab, function: Callable[[Training], T], groups: Sequence[Sequence[Training]],
              what: str) -> list[list[T]]:
    """`function` of every training, grouped as they are; groups are alike in size."""
    found = lab.each(function, [one for group in groups for one in group], what)
    size = len(groups[0])
    return [found[first:first + size] for first in range(0, len(found), size)]
