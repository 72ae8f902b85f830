"""Whether sequential policy iteration with a KL penalty never lowers the return and ends in a Nash equilibrium.

Algorithm 1 of Kuba et al. (2022) on random cooperative games with eta-soft policies (Assumption 1), all of it exact:
line 7 is maximised, and how far from the maximum it can be is bounded and reported.  Measured are the gain of every
iteration (Theorem 2), what is left of it above the lower bound of Lemma 2 (nothing where gamma = 0: there C = 0, and
the bound is the gain itself, by Lemma 1), and the Nash gap in the end (Theorem 3).  J is the discounted return, not
normalised.

For comparison the same games with what trust-region methods do in practice: every agent's best policy within KL <= 0.5,
without a penalty, in turn and at once.  At once the return can fall: certainly where r = a_1 a_2 with a_i = -1 or 1 and
policies of means -0.25 and 0.25, Figure 1 with two actions.

C = 4 gamma max|A| / (1 - gamma)^2 makes steps small where gamma is large.  So Theorem 3, which speaks of the limit, is
put to the test where gamma <= 0.5; one game with other discounts says how many more iterations they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netac.exact import FiniteMDP, nash_gap
from netac.theory._algorithm_1 import iterate, value, within_balls
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._games import random_game, soft_policies
from netac.theory._lab import Lab
from netac.theory._penalised import SMALLEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAKES_GAME = True
PAPER = "paper 001, "
ETA, DELTA = 0.05, 0.5      # softness of the policies (less with more than 10 actions); the KL ball of Figure 1
LARGEST_GAMMA = 0.5         # with which Theorem 3's limit is reached in the iterations there are
REACHED, NOT_REACHED = (1500, 6000), (100, 1000)        # iterations at most, quick and full
DISCOUNTS = (0.1, 0.3, 0.5), (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)     # of the game that is solved with each, quick and full
PATIENCE = 500              # iterations that it gets at most
BALLS = 30                  # updates without a penalty
QUICK = ((1, 3, 3, 0.5), (2, 3, 2, 0.0), (2, 3, 2, 0.5), (3, 2, 2, 0.1))                # agents, states, actions, gamma
FULL = tuple((*sizes, gamma) for gamma in (0.0, 0.1, 0.3, 0.5)
             for sizes in ((1, 3, 3), (2, 3, 2), (2, 4, 3), (3, 3, 2), (4, 2, 2)))


class Run(NamedTuple):
    """The results from one start of one game."""

    returns: list[float]
    """J(pi_k), k = 0, 1, ..."""
    gaps: dict[int, float]
    """Nash gaps by iteration."""
    slack: float
    """Least J(pi_{k+1}) less Lemma 2's bound, over k."""
    shortfall: float
    """Largest distance of line 7 from its maximum."""
    scale: float
    """The largest return that rewards of this size could bring, max|r| / (1 - gamma)."""
    falls: dict[bool, int]
    """Updates without a penalty that lowered the return, of `BALLS`: in turn (True), and at once."""


def experiment(lab: Lab) -> Finding:
    """Random games, each from one random start; the user's game from several."""
    sizes, starts = lab.choose(QUICK, FULL), lab.choose(2, 4)
    games = ([random_game(lab.rng(0, k), *size) for k, size in enumerate(sizes)]
             if lab.game is None else [lab.game] * starts)
    reached = all(game.gamma <= LARGEST_GAMMA for game in games)
    limit = lab.choose(*(REACHED if reached else NOT_REACHED))
    runs = lab.each(partial(follow, limit), [(game, lab.rng(1, k)) for k, game in enumerate(games)], "games")
    at_once, in_turn = (gain_of_figure_1(order) for order in (False, True))
    last = [run.gaps[max(run.gaps)] for run in runs]
    claims = [
        Claim("the return never falls", PAPER + "Theorem 2",
              "least gain of an iteration, relative to the largest return",
              min(float(np.diff(run.returns).min()) / run.scale for run in runs), ">=", 0.0, 1e-13),
        Claim("the return is at least J(pi) + sum_m [L - C D_KL^max]", PAPER + "Lemma 2",
              "least distance above it, relative to the largest return", min(run.slack / run.scale for run in runs),
              ">=", 0.0, 1e-13),
        Claim("line 7 is maximised", PAPER + "Algorithm 1", "largest distance from the maximum, at most",
              max(run.shortfall / run.scale for run in runs), "<=", 0.0, 1e-9)]
    if reached:
        claims.append(Claim(f"the limit, of {limit:,} iterations at most, is a Nash equilibrium", PAPER + "Theorem 3",
                            "largest Nash gap in the end", max(last), "<=", 1e-3))
    claims += [
        Claim("trust-region updates that each agent makes on its own, at once, can lower the return",
              PAPER + "section 2.3", "gain of one where r = a_1 a_2", at_once, "<=", -0.1),
        Claim("the same updates in turn raise it", PAPER + "Figure 1", "gain of one where r = a_1 a_2", in_turn,
              ">=", 0.1)]
    title = f"Algorithm 1, policies {softness(games[0]):g}-soft"
    if not reached:
        title += f"; gamma > {LARGEST_GAMMA}: steps too small for Theorem 3's limit, which is not put to the test"
    tables = [Table("algorithm_1", title, [_row(*pair) for pair in zip(games, runs, strict=True)]),
              Table("without_penalty",
                    f"Updates within KL <= {DELTA} without a penalty: how many of {BALLS} lower the return",
                    [_falls_row(*pair) for pair in zip(games, runs, strict=True)])]
    if lab.game is None:
        rows = discount_rows(lab)
        claims.append(discount_claim(rows))
        tables.append(Table("discounts", f"One game of two agents with other discounts: iterations, {PATIENCE} at "
                            "most, until the Nash gap is a tenth of the first", rows))
    return Finding(claims, tables, partial(_draw, runs, (at_once, in_turn)))


def follow(limit: int, item: tuple[FiniteMDP, np.random.Generator]) -> Run:
    """Algorithm 1 until no policy changes any more, `limit` iterations at most; then updates without a penalty."""
    mdp, rng = item
    eta = softness(mdp)
    start = pi = soft_policies(rng, mdp, eta)
    returns, slacks, shortfalls = [value(mdp, pi)], [], []
    looks = set(np.unique(np.geomspace(1, limit, 40).astype(int)).tolist())
    gaps = {0: _gap(mdp, pi)}
    for k in range(1, limit + 1):
        update = iterate(mdp, pi, rng.permutation(mdp.agents).tolist(), eta)
        pi = update.pi
        returns.append(value(mdp, pi))
        slacks.append(returns[-1] - returns[-2] - float(update.summands.sum()))
        shortfalls.append(float(update.shortfalls.max()))
        still = update.radii.max() <= SMALLEST
        if still or k in looks or k == limit:
            gaps[k] = _gap(mdp, pi)
        if still:
            break
    scale = float(np.abs(mdp.team_reward).max()) / (1.0 - mdp.gamma) or 1.0
    falls = {in_turn: _falls(mdp, start, rng, in_turn, 1e-13 * scale) for in_turn in (True, False)}
    return Run(returns, gaps, min(slacks), max(shortfalls), scale, falls)


def discount_rows(lab: Lab) -> list[Row]:
    """For every discount, from the same policies: iterations to a tenth of the first Nash gap, and what is left."""
    rows = []
    for gamma in lab.choose(*DISCOUNTS):
        mdp, rng = random_game(lab.rng(2), 2, 3, 2, gamma), lab.rng(3)
        pi = soft_policies(rng, mdp, softness(mdp))
        first = gap = _gap(mdp, pi)
        iterations = 0
        while gap > 0.1 * first and iterations < PATIENCE:
            pi, iterations = iterate(mdp, pi, rng.permutation(mdp.agents).tolist(), softness(mdp)).pi, iterations + 1
            gap = _gap(mdp, pi)
        rows.append({"gamma": gamma, "iterations": iterations, "gap / first gap": gap / first})
    return rows


def discount_claim(rows: Sequence[Row]) -> Claim:
    """On the rows of `discount_rows`."""
    first, last = rows[0], rows[-1]
    return Claim("the larger gamma is, the more iterations the Nash gap takes", "netac",
                 f"iterations to a tenth of it with gamma = {last['gamma']} / with {first['gamma']}",
                 last["iterations"] / first["iterations"], ">=", 3.0)


def softness(mdp: FiniteMDP) -> float:
    """eta of a game's policies."""
    return min(ETA, 0.5 / mdp.actions)


def gain_of_figure_1(in_turn: bool) -> float:
    """Gain of one update within KL <= 0.5 where r = a_1 a_2, a_i = -1 or 1, from means -0.25 and 0.25."""
    reward = np.array([1.0, -1.0, -1.0, 1.0]).reshape(1, 4, 1).repeat(2, axis=2)
    mdp = FiniteMDP(np.ones((1, 4, 1)), reward, np.ones(1), 0.0)
    means = np.array([-0.25, 0.25])
    pi = 0.5 * (1.0 + np.stack([-means, means], axis=1)[:, None])
    return value(mdp, within_balls(mdp, pi, (0, 1), DELTA, ETA, in_turn)) - value(mdp, pi)


def _gap(mdp: FiniteMDP, pi: np.ndarray) -> float:
    return nash_gap(mdp, pi, softness(mdp)) / (1.0 - mdp.gamma)


def _falls(mdp: FiniteMDP, pi: np.ndarray, rng: np.random.Generator, in_turn: bool, rounding: float) -> int:
    returns = [value(mdp, pi)]
    for _ in range(BALLS):
        pi = within_balls(mdp, pi, rng.permutation(mdp.agents).tolist(), DELTA, softness(mdp), in_turn)
        returns.append(value(mdp, pi))
    return int((np.diff(returns) < -rounding).sum())


def _sizes(mdp: FiniteMDP) -> Row:
    return {"agents": mdp.agents, "states": mdp.states, "actions": mdp.actions, "gamma": mdp.gamma}


def _row(mdp: FiniteMDP, run: Run) -> Row:
    return {**_sizes(mdp), "updates": len(run.returns) - 1, "gain": run.returns[-1] - run.returns[0],
            "least": float(np.diff(run.returns).min()), "slack": run.slack, "short": run.shortfall,
            "first_gap": run.gaps[0], "last_gap": run.gaps[max(run.gaps)]}


def _falls_row(mdp: FiniteMDP, run: Run) -> Row:
    return {**_sizes(mdp), "in_turn": run.falls[True], "at_once": run.falls[False]}


def _draw(runs: list[Run], gains: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    for run in runs:
        risen = np.array(run.returns) - run.returns[0]
        panels[0].semilogx(1 + np.arange(len(risen)), risen, lw=1, color="#0072B2", alpha=0.7)
        panels[1].loglog([1 + k for k in run.gaps], [max(gap, 1e-5) for gap in run.gaps.values()], lw=1,
                         color="#0072B2", alpha=0.7)
    panels[0].set(xlabel="1 + iteration k", ylabel="$J(\\pi_k) - J(\\pi_0)$", title="Theorem 2: the return never falls")
    panels[1].axhline(1e-3, ls="--", color="#555555", lw=1)
    panels[1].set(xlabel="1 + iteration k", ylabel="Nash gap (0 drawn as $10^{-5}$)",
                  title="Theorem 3: to an equilibrium")
    panels[2].bar(("at once", "in turn"), gains, color=("#D55E00", "#0072B2"))
    panels[2].axhline(0.0, color="black", lw=0.8)
    panels[2].set(ylabel="gain of one update", title="$r = a_1 a_2$, KL $\\leq 0.5$")
    return figure
