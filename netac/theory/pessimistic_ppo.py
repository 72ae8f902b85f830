"""Pessimistic off-policy learning: better than plain LSTD where the data cover the optimum, and what it costs \
elsewhere.

Sequential PPO (see `netac theory sequential-ppo`) learns from data alone, with Q_k = phi'w_k of
`netac.theory._pessimism`: c = infinity is LSTD, smaller c is more pessimistic.  phi makes every policy's Q linear,
W = sqrt(d) / (1 - gamma) is the largest |w| there can be, and the policies' steps are exact, 10 times as long as that
of `sequential-ppo`'s bound.

Every data set is of a random game of its own (`linear_game`) and has n independent transitions with s from the
behaviour's discounted visitation distribution and rewards that are 0 or 1.  Behaviours: 95 % the optimum and 5 %
uniform joint actions ("optimum"); half the optimum, half an arbitrary joint action per state ("half"); 90 % such an
arbitrary action and 10 % uniform ("arbitrary"); "uniform".  The first two cover the optimum, as the theory requires.
c = 3 sqrt(n) was chosen on other random games; the table has all c that were tried.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from netac.exact import FiniteMDP, objective, optimal_joint_actions, optimal_objective
from netac.results.statistics import mean_interval
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._lab import Lab
from netac.theory._pessimism import Data, evaluate, sample
from netac.theory._ppo_games import linear_game
from netac.theory._sequential import averaged, discounted_visits, inverse_step, joint, one_agent, step, uniform
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "paper 000, pessimistic MA-PPO"
SIZES = ((1, 6, 8, 12), (2, 6, 4, 12), (3, 5, 3, 20))       # N, S, A, d of the games
BEHAVIOURS = ("optimum", "half", "arbitrary", "uniform")
COVER = BEHAVIOURS[:2]
CHOSEN, NAIVE = 3.0, np.inf                                 # c / sqrt(n)
LONGER = 10.0                                               # the policies' steps, in units of the bound's

Rows = list[Row]


def experiment(lab: Lab) -> Finding:
    """30 data sets of each kind (quick: 8)."""
    sets, K = lab.choose((8, 40), (30, 60))
    kinds = list(product(lab.choose(SIZES[:2], SIZES), BEHAVIOURS, lab.choose((300,), (100, 1000))))
    scan = lab.choose((CHOSEN, NAIVE), (0.3, 1.0, CHOSEN, 10.0, NAIVE))
    tasks = [(size, behaviour, n, scan, K, lab.seed, k) for size, behaviour, n in kinds for k in range(sets)]
    found = np.array(lab.each(learned, tasks, "data sets")).reshape(len(kinds), sets, len(scan) + 1, 2)
    rows = [row for kind, results in zip(kinds, found, strict=True) for row in _rows(*kind, scan, results)]
    gains = [_gain(*kind, scan, results) for kind, results in zip(kinds, found, strict=True)]
    tables = (Table("gains", "J of the mixture with c = 3 sqrt(n), less that of LSTD", gains),
              Table("learned", "J(pi*) - J of the mixture, and estimate less truth of the last policy's J, by c", rows))
    return Finding(_claims(gains, rows), tables, partial(_draw, gains, rows))


def learn(mdp: FiniteMDP, data: Data, c: float, K: int) -> tuple[float, float]:
    """J of the uniform mixture of K iterates, and the last one's estimated J less its J; J is normalised.

    Args:
        c: infinity: no pessimism.
    """
    whole, logits, J = one_agent(mdp), uniform(mdp), []
    radius = np.sqrt(data.phi.shape[-1]) / (1.0 - mdp.gamma)
    inverse = LONGER * inverse_step(mdp.gamma, mdp.actions, K)
    for _ in range(K):
        policies = [softmax(own, axis=-1) for own in logits]
        pi = joint(policies)
        w = evaluate(data, pi, mdp.gamma, mdp.xi, c, radius)
        J.append(objective(whole, pi[None]))
        estimate = (1.0 - mdp.gamma) * mdp.xi @ (pi * (data.phi @ w)).sum(axis=1)
        logits = step(logits, averaged(data.phi @ w, policies), inverse)
    return float(np.mean(J)), float(estimate - J[-1])


def behave(mdp: FiniteMDP, behaviour: str, rng: np.random.Generator) -> np.ndarray:
    """(S, J) the joint policy that the data are of; see the module."""
    states, J = mdp.states, mdp.joint_actions
    optimum, some = np.eye(J)[optimal_joint_actions(mdp)], np.eye(J)[rng.integers(J, size=states)]
    even = np.full((states, J), 1.0 / J)
    return {"optimum": 0.95 * optimum + 0.05 * even, "half": 0.5 * optimum + 0.5 * some,
            "arbitrary": 0.9 * some + 0.1 * even, "uniform": even}[behaviour]


def learned(task: tuple) -> list[tuple[float, float]]:
    """(J*, 0) for the optimum, then what `learn` gives for every c / sqrt(n) of the scan, from one data set."""
    (agents, states, actions, features), behaviour, n, scan, K, seed, k = task
    rng = np.random.default_rng([seed, k, agents, BEHAVIOURS.index(behaviour), n])
    mdp, phi = linear_game(rng, agents, states, actions, features)
    pi = behave(mdp, behaviour, rng)
    data = sample(mdp, phi, discounted_visits(mdp, pi)[:, None] * pi, n, rng)
    return [(optimal_objective(mdp), 0.0), *(learn(mdp, data, c * np.sqrt(n), K) for c in scan)]


def _gain(size: tuple, behaviour: str, n: int, scan: tuple[float, ...], results: np.ndarray) -> Row:
    """One row; `results` (sets, 1 + c, 2) as `learned` gives them."""
    J = results[..., 0]
    gain = mean_interval(J[:, 1 + scan.index(CHOSEN)] - J[:, 1 + scan.index(NAIVE)])
    return {"agents": size[0], "behaviour": behaviour, "n": n, "data_sets": len(J), "gain": gain.estimate,
            "low": gain.low, "high": gain.high, "covers_optimum": behaviour in COVER}


def _rows(size: tuple, behaviour: str, n: int, scan: tuple[float, ...], results: np.ndarray) -> Rows:
    rows: Rows = []
    for k, c in enumerate(scan, start=1):
        error, slip = mean_interval(results[:, 0, 0] - results[:, k, 0]), mean_interval(results[:, k, 1])
        rows.append({"agents": size[0], "behaviour": behaviour, "n": n,
                     "c": "infinity" if c == NAIVE else f"{c:g} sqrt(n)",
                     "error": error.estimate, "error_low": error.low, "error_high": error.high,
                     "overestimate": slip.estimate, "overestimate_low": slip.low, "overestimate_high": slip.high})
    return rows


def _claims(gains: Rows, rows: Rows) -> tuple[Claim, ...]:
    covered = [row for row in gains if row["behaviour"] == "optimum"]
    elsewhere = [row for row in gains if not row["covers_optimum"]]
    naive = [row for row in rows if row["c"] == "infinity"]
    chosen = [row for row in rows if row["c"] == f"{CHOSEN:g} sqrt(n)"]
    return (
        Claim("from data of (nearly) the optimum, pessimism ends better than LSTD", SOURCE,
              "least lower end of the 95 % intervals of the gain in J", min(row["low"] for row in covered), ">=", 0.02),
        Claim("from such data LSTD overestimates what it ends with", "paper 000, its motive for pessimism",
              "least lower end of the 95 % intervals of estimate less truth",
              min(row["overestimate_low"] for row in naive if row["behaviour"] == "optimum"), ">=", 0.02),
        Claim("pessimism does not, whatever the data", "paper 000, its motive for pessimism",
              "largest upper end of the 95 % intervals of estimate less truth",
              max(row["overestimate_high"] for row in chosen), "<=", 0.0),
        Claim("elsewhere it can cost: with data of arbitrary or uniform behaviour it is worse", "calculated here",
              "least upper end of the intervals of the gain in J", min(row["high"] for row in elsewhere), "<=", -0.01))


def _draw(gains: Rows, rows: Rows) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
    kinds = list(dict.fromkeys((row["agents"], row["n"]) for row in gains))
    for k, kind in enumerate(kinds):
        own = [row for row in gains if (row["agents"], row["n"]) == kind]
        at = np.arange(len(own)) + 0.7 * ((k + 0.5) / len(kinds) - 0.5)
        middle = np.array([row["gain"] for row in own])
        reach = [middle - [row["low"] for row in own], [row["high"] for row in own] - middle]
        left.errorbar(at, middle, reach, fmt="o", color=PALETTE[k], markersize=4, label=f"N = {kind[0]}, n = {kind[1]}")
    left.axhline(0.0, color="#555555", linewidth=0.9)
    left.set(xticks=range(len(BEHAVIOURS)), xticklabels=BEHAVIOURS, xlabel="behaviour the data are of",
             ylabel="gain in J", title="Pessimism ($c = 3 \\sqrt{n}$) less LSTD, 95 % intervals")
    left.legend(fontsize=8)
    shown = kinds[-1]
    scan = list(dict.fromkeys(row["c"] for row in rows))
    for behaviour, colour in zip(BEHAVIOURS, PALETTE, strict=False):
        own = [row for row in rows if row["behaviour"] == behaviour and (row["agents"], row["n"]) == shown]
        right.fill_between(range(len(scan)), [row["error_low"] for row in own], [row["error_high"] for row in own],
                           color=colour, alpha=0.15, linewidth=0.0)
        right.plot(range(len(scan)), [row["error"] for row in own], "o-", color=colour, label=behaviour)
    labels = ["LSTD" if c == "infinity" else c.replace(" sqrt(n)", " $\\sqrt{n}$") for c in scan]
    right.set(xticks=range(len(scan)), xticklabels=labels, xlabel="c, from pessimistic to not",
              ylabel="$J(\\pi^*) - J(\\bar\\pi)$", title=f"Error by c, N = {shown[0]}, n = {shown[1]}")
    right.legend(fontsize=8)
    return figure
