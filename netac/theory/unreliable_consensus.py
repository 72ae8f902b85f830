"""Averaging when messages are lost or late, or agents act when they please, against exact predictions.

Random values are averaged by netac's own network under the conditions `loss`, `push-sum`, `delay` and `clock` of the
table [network], over hundreds of independent copies of a graph, and held against what is predicted for these few agents
without approximation (`_moments` has the equations).

* Losses that take both messages of an edge keep the mean, and the mean square of the disagreement follows from the
  second moments of W (Boyd, Ghosh, Prabhakar and Shah, 2006): in one round at most by lambda_2(E[W^2]), in the long run
  by the spectral radius of Y -> E[W Y W'], which is less.
* Losses of single messages move the mean, at random: the variance of its drift is known, and bounded (Fagnani and
  Zampieri, 2009, study it).  Push-sum keeps the average whatever is lost (Hadjicostis, Vaidya and Dominguez-Garcia,
  2016).
* A delay of d rounds makes agents settle as the augmented matrix tells, on the mean with weights 1 + d (1 - W_ii): on
  regular graphs the mean itself, else not.
* Agents that act by exponential clocks, one at a time, settle in the mean square by the spectral radius of
  Y -> sum_i p_i E_i Y E_i', E_i being I but for the row i of W; the mean drifts, and with a straggler its weight is 1
  over the rate at which an agent acts: the slow one counts most.

A rate that is estimated from repetitions has a tolerance, which claims name; the rest is exact but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.theory._unreliable_picture import draw
from netac.theory._unreliable_runs import (
    TARGET,
    Late,
    LateAtRandom,
    Size,
    Summed,
    WithClocks,
    WithLosses,
    asynchronous,
    late,
    late_at_random,
    lossy,
    summed,
)

Graphs = Sequence[tuple[dict[str, Any], int]]
SOME: Graphs = (({"name": "ring"}, 8), ({"name": "grid"}, 9))
ALL: Graphs = (*SOME, ({"name": "torus"}, 16), ({"name": "exponential"}, 16), ({"name": "geometric"}, 12))
QUICK, FULL = (SOME, Size(200, 6)), (ALL, Size(1000, 6))
LAZY: Graphs = (({"name": "ring", "weights": "lazy-metropolis"}, 8),)
LOSSES = (0.1, 0.3, 0.5)
WIDTH = 4                   # numbers of an agent where there is one copy
BOYD = "Boyd et al., 2006"


@dataclass(frozen=True)
class Done:
    """All that was measured, and `near`: the tolerance of rates and variances that are estimated from repetitions."""

    losses: list[WithLosses]
    sums: list[Summed]
    delays: list[Late]
    at_random: list[LateAtRandom]
    clocks: list[WithClocks]
    near: float


def experiment(lab: Lab) -> Finding:
    """Ring of 8 and grid of 9; not quick: torus and exponential of 16 and random geometric graph of 12, too."""
    graphs, size = lab.choose(QUICK, FULL)
    delays = lab.choose((1, 5), (0, 1, 2, 5, 10))
    done = Done(
        lab.each(partial(lossy, size=size, seed=lab.seed), [
            (*graph, p, both) for graph in graphs for p in (0.0, *LOSSES) for both in (True, False) if p or both],
            "losses"),
        lab.each(partial(summed, width=WIDTH, seed=lab.seed), [(*graph, p) for graph in graphs for p in LOSSES],
                 "push-sum"),
        lab.each(partial(late, width=WIDTH, seed=lab.seed), [
            (*graph, d) for graph in (*graphs, *LAZY) for d in delays], "delays"),
        lab.each(partial(late_at_random, size=size, seed=lab.seed), [
            (*graph, most) for graph in graphs for most in delays if most], "random delays"),
        lab.each(partial(asynchronous, size=size, seed=lab.seed), [
            (*graph, slow) for graph in graphs for slow in (False, True)], "clocks"),
        lab.choose(0.4, 0.2))
    return Finding(_claims(done), _tables(done), partial(draw, done.losses, done.delays, done.clocks))


def _claims(done: Done) -> list[Claim]:
    return [*_of_losses(done), *_of_delays(done), *_of_clocks(done)]


def _of_losses(done: Done) -> list[Claim]:
    both, single = ([each for each in done.losses if each.both_ways is way and each.p] for way in (True, False))
    lost, near = [*both, *single], done.near
    return [
        Claim("losses: one round shrinks the mean square of the worst start by lambda_2(E[A' C A]), "
              "lambda_2(E[W^2]) where both messages of an edge are lost", BOYD,
              f"largest relative deviation over {_range(lost)}, p = 0.1 to 0.5",
              max(abs(each.worst[1] / each.worst[0] - 1.0) for each in lost), "<=", 0.0, near / 10),
        Claim("losses: the mean square of random values follows E[A Y A'], round for round, down to 1e-4", BOYD,
              "largest relative deviation", max(each.course.off for each in lost), "<=", 0.0, near),
        Claim("losses: so does its factor of a round, over the second half", BOYD,
              "largest relative deviation of the factor's logarithm",
              max(_logs(each.course.rate(each.course.measured), each.course.rate(each.course.predicted))
                  for each in lost), "<=", 0.0, near / 4),
        Claim("losses: in the long run no factor exceeds that of the worst start's first round", BOYD,
              "largest spectral radius over lambda_2", max(each.factor / each.worst[0] for each in lost), "<=", 1.0),
        Claim("losses: the certificate says the same of factors and drifts, from E[A' Q A]", "netac graph",
              "largest relative deviation", max(_certified(each) for each in lost), "<=", 0.0, 1e-6),
        Claim("losses: to lose a share p of the messages costs at least 1 / (1 - p) times the rounds", "measured",
              "least (1 - p) rounds with losses over rounds without",
              min((1.0 - each.p) * _cost(each, done.losses) for each in lost), ">=", 1.0),
        Claim("losses of both messages of an edge keep the mean", "netac.comm.conditions.loss",
              "largest drift over the largest number", max(each.moved for each in both), "<=", 0.0, 1e-12),
        Claim("losses of single messages keep the mean, for W is doubly stochastic on average", "a common belief",
              "least standard deviation of the drift, over that of a mean of n values",
              min(math.sqrt(each.n * each.drift[0]) for each in single), ">=", 0.1, refuted=True),
        Claim("the variance of that drift is tr(Q sum_t E[Y_t])", "_moments.Losses.drift",
              "largest relative deviation", max(abs(each.drift[0] / each.drift[1] - 1.0) for each in single), "<=",
              0.0, near),
        Claim("and at most ||x - mean x||^2 / kappa", "_moments.Losses.drift_bound",
              "largest exact variance over its bound", max(each.drift[1] / each.drift[2] for each in single), "<=",
              1.0),
        Claim("push-sum: all agents end on the true mean, whatever is lost", "Hadjicostis et al., 2016",
              f"largest distance over {_range(done.sums)}, p = 0.1 to 0.5", max(each.error for each in done.sums),
              "<=", 0.0, 1e-10),
        Claim("push-sum: what agents hold and what is under way add up to what was put in, in every round",
              "Hadjicostis et al., 2016", "largest deviation over the sum of the largest number",
              max(each.mass for each in done.sums), "<=", 0.0, 1e-12)]


def _of_delays(done: Done) -> list[Claim]:
    fixed, drawn = done.delays, done.at_random
    once = [each for each in drawn if each.factor is not None]
    irregular = [each for each in fixed if each.label in ("grid", "geometric") and each.d]
    longest = max(each.d for each in fixed)
    rounds = {each.label: _rounds(each.distance) for each in fixed if each.d == longest}
    return [
        Claim("fixed delays: every round is that of the plain recursion", "netac.comm.conditions.delay",
              f"largest deviation over {_range(fixed)}, d up to {longest}, over the largest number",
              max(each.off for each in fixed), "<=", 0.0, 1e-12),
        Claim("fixed delays: agents settle by the second modulus of the augmented matrix", "_moments.settling",
              "largest relative deviation of the factor's logarithm",
              max(_logs(*reversed(each.factor)) for each in fixed), "<=", 0.0, 0.1),
        Claim("fixed delays: they settle on the mean with weights 1 + d (1 - W_ii)", "_moments.limit_of_delay",
              "largest distance from it over the largest number", max(each.limit for each in fixed), "<=", 0.0, 1e-10),
        Claim("fixed delays do not move what agents settle on", "a common belief",
              "least shift on the graphs that are not regular, over the values' standard deviation",
              min(each.shift for each in irregular), ">=", 0.01, refuted=True),
        Claim(f"delays of {longest}: lazy weights settle sooner on the ring of 8", "measured",
              "rounds with lazy-metropolis over rounds with metropolis",
              rounds["ring lazy-metropolis"] / rounds["ring"], "<=", 0.5),
        Claim("delays of 0 or 1, drawn: the mean square follows the second moments of (x(t), x(t - 1))",
              "_moments.late_or_not", "largest relative deviation, down to 1e-8", max(each.course.off for each in once),
              "<=", 0.0, done.near),
        Claim("delays drawn from 0 to m: faster than m for all messages", "measured",
              "largest logarithm of the latter's factor over that of the former's",
              max(math.log(each.between[2]) / math.log(_drawn(each)) for each in drawn), "<=", 1.0),
        Claim("delays drawn from 0 to m: about as fast as if every message were a mixture of all ages", "measured",
              "largest relative deviation of the factor's logarithm from that of the expected augmented matrix",
              max(_logs(_drawn(each), each.between[1]) for each in drawn), "<=", 0.0, done.near / 4)]


def _of_clocks(done: Done) -> list[Claim]:
    near, slow = done.near, [each for each in done.clocks if each.straggler]
    alike = [each for each in done.clocks if not each.straggler]
    fast = {each.label: each.per_second for each in alike}
    return [
        Claim("exponential clocks: the mean square follows sum_i p_i E_i Y E_i', down to 1e-2", BOYD,
              f"largest relative deviation over {_range(alike)}, with and without a straggler",
              max(each.course.off for each in done.clocks), "<=", 0.0, near),
        Claim("exponential clocks: its factor of an event is the spectral radius", BOYD,
              "largest relative deviation of 1 - factor",
              max(abs((1.0 - each.per_event[1]) / (1.0 - each.per_event[0]) - 1.0) for each in done.clocks), "<=", 0.0,
              near / 2),
        Claim("exponential clocks: the weighted mean with weights 1 / rate drifts by sum_k tr(Q Y_k)",
              "_moments.OneActs.drift", "largest relative deviation of the variance",
              max(abs(each.drift[0] - 1.0) for each in done.clocks), "<=", 0.0, near),
        Claim("agents settle near the mean of what they hold, whoever is slow", "a common belief",
              "least mean square of limit - mean, over that of limit - weighted mean, with a straggler",
              min(each.from_mean for each in slow), ">=", 2.0, refuted=True),
        Claim("one agent that is 10 times slower slows all", "measured",
              "largest rate of a second with it over the rate without",
              max(math.log(each.per_second) / math.log(fast[each.label]) for each in slow), "<=", 0.6)]


def _tables(done: Done) -> tuple[Table, ...]:
    return (
        Table("losses", "Losses: factors of the mean square in a round, rounds until the disagreement is "
              f"{TARGET:g} of the first, and the variance of the mean's drift (of values of variance 1)", [
                  {"graph": each.label, "n": each.n, "p": each.p, "lost": "edges" if each.both_ways else "messages",
                   "radius": each.factor, "second_half": each.course.rate(each.course.predicted),
                   "measured": each.course.rate(each.course.measured), "lambda_2": each.worst[0],
                   "worst_start": each.worst[1], "rounds": 2.0 * math.log(TARGET) / math.log(each.factor),
                   "cost": _cost(each, done.losses), "drift": each.drift[0], "drift_predicted": each.drift[1],
                   "drift_at_most": each.drift[2]} for each in done.losses]),
        Table("push_sum", f"Push-sum under losses of single messages: rounds to {TARGET:g}, and what is left in the "
              "end", [{"graph": each.label, "n": each.n, "p": each.p, "rounds": each.rounds, "error": each.error,
                       "mass": each.mass} for each in done.sums]),
        Table("delays", f"Fixed delays: factors of the distance to the limit in a round, rounds to {TARGET:g}, and the "
              "limit", [
                  {"graph": each.label, "n": each.n, "d": each.d, "predicted": each.factor[0],
                   "measured": each.factor[1], "rounds": _rounds(each.distance), "limit_error": each.limit,
                   "limit_from_mean": each.shift} for each in done.delays]),
        Table("random_delays", "Delays of 0, ..., most: factors of the mean square in a round, over the second half", [
            {"graph": each.label, "n": each.n, "most": each.most, "no_delay": each.between[0],
             "mean_ages": each.between[1], "measured": _drawn(each), "all_of_most": each.between[2],
             "radius": each.factor} for each in done.at_random]),
        Table("clocks", "Exponential clocks, one of them perhaps 10 times slower: factors of the mean square", [
            {"graph": each.label, "n": each.n, "straggler": each.straggler, "event": each.per_event[0],
             "event_measured": each.per_event[1], "second": each.per_second, "drift_over_predicted": each.drift[0],
             "standard_error": each.drift[1], "from_mean_over_weighted": each.from_mean, "share_used": each.kept}
            for each in done.clocks]))


def _logs(one: float, other: float) -> float:
    """How far log one / log other is from 1."""
    return abs(math.log(one) / math.log(other) - 1.0)


def _certified(each: WithLosses) -> float:
    """The largest relative deviation of what `netac graph` says."""
    factor, drift = each.certified
    return max(abs(factor / each.factor - 1.0), abs(drift - each.drift[1]) / (each.drift[1] or 1.0))


def _cost(each: WithLosses, done: list[WithLosses]) -> float:
    """Rounds over those without losses, in the long run."""
    without = next(other.factor for other in done if other.label == each.label and not other.p)
    return math.log(without) / math.log(each.factor)


def _drawn(each: LateAtRandom) -> float:
    return each.course.rate(each.course.measured)


def _rounds(distance: Any) -> int:
    """Rounds until the distance was `TARGET` of the first."""
    return int((distance <= TARGET).argmax())


def _range(done: Sequence[Any]) -> str:
    """The graphs in words: "ring 8, grid 9"."""
    return ", ".join(dict.fromkeys(f"{each.label} {each.n}" for each in done))
