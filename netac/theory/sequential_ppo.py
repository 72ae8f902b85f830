"""Sequential multi-agent PPO reaches the global optimum: J(pi*) - J(pi_bar) <= N / (1 - gamma) sqrt(log A / 2K) \
(paper 000).

Agent m's policy is conditioned on the actions of agents 1, ..., m - 1; in each of K iterations all agents add
Q^{1:m} / (beta sqrt(K)) to their logits, and pi_bar is the uniform mixture of the iterates
(`netac.theory._sequential`).  Rewards are in [0, 1].

The constant.  The slides' theorem is informal: a rate O(N / (1 - gamma) sqrt(log A / K)), without a constant, for a J
that they do not define.  With beta = 1 / ((1 - gamma) sqrt(8 log A)), exponential weights give the bound above for J as
netac normalises it, (1 - gamma) x return (the argument is at `course`).  For the return itself that is N / (1 -
gamma)^2 sqrt(log A / 2K), and with this beta no constant makes the slides' formula one for it: in locks of as many
steps as the horizon 1 / (1 - gamma) the error over the formula grows as the horizon does.

The rate.  K^(-1/2) is that of the algorithm as published, beta_k = beta sqrt(K).  With beta_k = beta, whatever K is,
for which the argument gives no bound that vanishes, the mixture's error in the same games falls like 1 / K.

Tested: exact Q on random games, a lock of two agents (all must do the right thing several times in a row), the climbing
game and von Neumann's ratio game; Q by LSTD from samples and log-linear policies on a game with linear Q; and, from
many random starts, against independent policy gradient and against the same steps in turn by agents that do not see
each other's actions.  In the ratio game both begin near a pure policy, too, where the gradient vanishes.  With `--game`
the first of these tests is run on a game of yours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, nash_gap, objective, optimal_objective, refuse_large
from netac.results.statistics import rate_interval
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._lab import Lab
from netac.theory._ppo_games import linear_game, lock, matrix_game, ratio_game
from netac.theory._ppo_starts import METHODS, Leaving, Task, ends, leave
from netac.theory._sequential import (
    OnlineErrors,
    Policies,
    bound,
    course,
    inverse_step,
    log_linear,
    lstd,
    mixture_errors,
)
from netac.utils.errors import InputError
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TAKES_GAME = True
SOURCE = "paper 000, Theorem 1"
SIZES = ((1, 5, 4), (2, 5, 3), (3, 4, 3), (4, 3, 2))         # N, S, A of random games, gamma 0.9
LOCK = "lock, 2 agents"
REACHED = 0.01              # of J* - J(uniform policies)
ROUNDING = 1e-10

Rows = list[Row]


def experiment(lab: Lab) -> Finding:
    """K up to 10,000 (quick: 300); with a game of the user's, the exact test of it alone.

    Raises:
        InputError: in the user's game agents have no choice, it is too large to be solved exactly, or its rewards are
            not in [0, 1].
    """
    exact = exact_rows(lab, games(lab) if lab.game is None else {"your game": suitable(lab.game)})
    claims = exact_claims(exact)
    tables = [Table("exact", "Error of the mixture with exact Q", exact)]
    if lab.game is not None:
        return Finding(claims, tables, partial(_draw, exact))
    constant, horizons, sampled, starts, left = (
        constant_rows(lab, exact), horizon_rows(lab), sampled_rows(lab), start_rows(lab), leaving_rows(lab))
    claims += further_claims(exact, constant, horizons, sampled, starts, left)
    tables += [Table("constant", "Error of the mixture with beta_k = beta sqrt(K), or with beta_k = beta", constant),
               Table("horizons", "One agent in a lock of 1 / (1 - gamma) steps: error / (N sqrt(log A / K))", horizons),
               Table("sampled", "Q estimated, policies log-linear (2 agents, 6 states, 4 actions, d = 12)", sampled),
               Table("starts", "Random starts: who reaches the optimum", starts),
               Table("leaving", "The ratio game, begun near both second actions: iterations to the optimum", left)]
    return Finding(claims, tables, partial(_draw, exact, constant, sampled, starts))


def suitable(mdp: FiniteMDP) -> FiniteMDP:
    """The game, unless it is refused.

    Raises:
        InputError: the agents have no choice, it is too large to be solved exactly, or a team reward is not in [0, 1],
            which the bound is for.
    """
    if mdp.actions < 2:
        raise InputError("the agents have no choice: there is nothing to learn", key="P", found="1 action",
                         valid="2 or more for every agent")
    refuse_large(mdp.states, mdp.agents, mdp.actions)
    least, most = float(mdp.team_reward.min()), float(mdp.team_reward.max())
    if least < -ROUNDING or most > 1.0 + ROUNDING:
        raise InputError("the bound is for rewards in [0, 1]", key="r",
                         found=f"means over the agents from {least:g} to {most:g}",
                         valid="0 <= mean over the agents of r <= 1: shift and scale r")
    return mdp


def games(lab: Lab) -> dict[str, FiniteMDP]:
    """The games of the exact tests, by name."""
    seeds = lab.rng(0).integers(2**31, size=len(SIZES))
    found = {f"random, {N} agent{'s' if N > 1 else ''}": random_mdp(int(seed), N, S, A, "folded-normal", 0.9)
             for seed, (N, S, A) in zip(seeds, SIZES, strict=True)}
    return {**found, LOCK: lock(3, 2, 3, 0.9), "climbing": matrix_game("climbing"), "ratio game": ratio_game()}


def exact_rows(lab: Lab, played: dict[str, FiniteMDP]) -> Rows:
    """For every game and K: the error, its bound, and the slope of log error against log K since the K before."""
    K = lab.choose((10, 30, 100, 300), (10, 30, 100, 300, 1000, 3000, 10_000))
    found = lab.each(_exact, product(played.values(), K))
    rows: Rows = []
    for (name, mdp), k, result in zip(_each_with(played.items(), K), K * len(played), found, strict=True):
        row = {"game": name, "N": mdp.agents, "S": mdp.states, "A": mdp.actions, "gamma": mdp.gamma, "K": k,
               "error": result.error, "bound": bound(mdp, k), "last_iterate": result.last, "lemma": result.lemma,
               "slope": None}
        if k > K[0] and min(result.error, rows[-1]["error"]) > ROUNDING:
            row["slope"] = float(np.log(result.error / rows[-1]["error"]) / np.log(k / rows[-1]["K"]))
        rows.append(row)
    return rows


def exact_claims(rows: Rows) -> list[Claim]:
    """What must hold in any game."""
    return [
        Claim("J(pi*) - J(pi_bar) <= N / (1 - gamma) sqrt(log A / 2K), J normalised, with exact Q and tabular features",
              SOURCE, "largest error less bound, over games and K",
              max(row["error"] - row["bound"] for row in rows), "<=", 0.0, ROUNDING),
        Claim("J(pi*) - J(pi) = sum over agents of E[<Q^{1:m}, pi*^m - pi^m>] over pi*'s visits",
              "paper 000, Definition 3.1", "largest error, over games and iterations",
              max(row["lemma"] for row in rows), "<=", 0.0, ROUNDING)]


def constant_rows(lab: Lab, exact: Rows) -> Rows:
    """The errors of `exact` beside those with 1 / beta_k = 1 / beta, of which those of all K are of one run."""
    played = games(lab)
    most = max(row["K"] for row in exact)
    found = dict(zip(played, lab.each(_constant, product(played.values(), [most])), strict=True))
    rows: Rows = []
    for row in exact:
        error = float(found[row["game"]][row["K"] - 1])
        before = rows[-1] if rows and rows[-1]["game"] == row["game"] else None
        rows.append({"game": row["game"], "K": row["K"], "error_published": row["error"],
                     "slope_published": row["slope"], "error_constant": error, "slope_constant": None if before is None
                     else float(np.log(error / before["error_constant"]) / np.log(row["K"] / before["K"]))})
    return rows


def leaving_rows(lab: Lab) -> Rows:
    """From near the pure policy of the ratio game in which both play their second action."""
    mdp, size = ratio_game(), 100.0
    best, even = optimal_objective(mdp), objective(mdp, np.full((2, mdp.states, 2), 0.5))
    chances = [10.0**-k for k in range(1, lab.choose(5, 6))]
    limit = lab.choose(10_000, 100_000)
    tasks = [Leaving(mdp, (1, 1), chance, size, best - REACHED * (best - even), limit) for chance in chances]
    return [{"chance_of_another": chance, "independent": alone, "sequential": turns}
            for chance, (alone, turns) in zip(chances, lab.each(leave, tasks), strict=True)]


def horizon_rows(lab: Lab) -> Rows:
    """The error over N sqrt(log A / K), which is the slides' formula taken for the unnormalised return."""
    gammas, K = (0.5, 0.8, 0.9, 0.95), lab.choose(300, 3000)
    locks = [lock(round(1.0 / (1.0 - gamma)), 1, 2, gamma) for gamma in gammas]
    return [{"gamma": gamma, "steps": mdp.states - 1, "K": K, "error": result.error,
             "ratio": result.error / np.sqrt(np.log(2.0) / K), "bound_ratio": bound(mdp, K) / np.sqrt(np.log(2.0) / K)}
            for gamma, mdp, result in zip(gammas, locks, lab.each(_exact, product(locks, [K])), strict=True)]


def sampled_rows(lab: Lab) -> Rows:
    """The online algorithm with estimates, on one game with linear Q."""
    K = lab.choose((30, 300), (10, 30, 100, 300, 1000, 3000))
    kinds = (("exact", 0, False), ("LSTD", 20, False), ("LSTD", 200, False), ("log-linear", 0, True),
             ("log-linear, LSTD", 200, True))
    tasks = list(product([linear_game(lab.rng(1), 2, 6, 4, 12)], kinds, K, [lab.seed]))
    return [{"Q": kind, "samples": samples, "K": k, "error": result.error, "bound": result.bound,
             "statistical": result.statistical, "last_iterate": result.last}
            for (_, (kind, samples, _), k, _), result in zip(tasks, lab.each(_sampled, tasks), strict=True)]


def start_rows(lab: Lab) -> Rows:
    """Shares of random starts, local logits ~ N(0, 2^2), from which each method ends at the optimum."""
    played = {"ratio game": ratio_game(), "climbing": matrix_game("climbing"), "penalty": matrix_game("penalty")}
    runs, iterations = lab.choose((12, 150), (100, 500))
    tasks = {(name, method, size): Task(method, mdp, _starts(lab, mdp, runs), size, iterations)
             for name, mdp in played.items() for method in METHODS for size in lab.choose((100.0,), (1.0, 10.0, 100.0))}
    ratio = played["ratio game"]
    tasks["ratio game", "independent, longer", 100.0] = Task(
        "independent", ratio, _starts(lab, ratio, runs), 100.0, iterations * lab.choose(10, 20))
    return [_start_row(*key, task, J)
            for (key, task), J in zip(tasks.items(), lab.each(ends, tasks.values()), strict=True)]


def further_claims(exact: Rows, constant: Rows, horizons: Rows, sampled: Rows, starts: Rows, left: Rows) -> list[Claim]:
    """Claims of the other tests."""
    slope = [row["slope"] for row in exact if row["game"] == LOCK][-1]
    nearest = min(nash_gap(ratio_game(), pi) for pi in _wrong_policies(ratio_game()))
    last = {row["game"]: row for row in constant}
    return [
        Claim("with beta_k = beta sqrt(K), as published, the rate K^{-1/2} is the mixture's, and not only its bound's",
              SOURCE, "|slope + 1/2| of log error against log K in the lock, over the last two K", abs(slope + 0.5),
              "<=", 0.0, 0.05),
        Claim("with beta_k = beta the error in the same lock falls like 1 / K", "calculated here",
              "|slope + 1|, over the same K", abs(last[LOCK]["slope_constant"] + 1.0), "<=", 0.0, 0.02),
        Claim("and is smaller than with beta sqrt(K) in every game", "calculated here",
              "largest ratio of the errors, over games, at the largest K",
              max(row["error_constant"] / row["error_published"] for row in last.values()), "<=", 0.5),
        Claim("of the return, not normalised, the error over N / (1 - gamma) sqrt(log A / K) grows with the horizon",
              "calculated here; the slides' O(.) has no constant, and their J no definition",
              "slope of its logarithm against that of 1 / (1 - gamma), in locks with the two largest",
              _horizon_slope(horizons), ">=", 0.9),
        Claim("with estimated Q and log-linear policies the bound holds up to the measured statistical error", SOURCE,
              "largest error less bound", max(row["error"] - row["bound"] for row in sampled), "<=", 0.0, ROUNDING),
        Claim("sequential PPO reaches the optimum of the ratio, climbing and penalty games from every start",
              "the experiment of paper 000's authors, with two further games",
              "least share of starts, with each game's best step",
              min(_best_share(starts, "sequential").values()), ">=", 1.0),
        Claim("independent policy gradient does not: it stays in worse equilibria of climbing and penalty",
              "calculated here", "largest share of starts that reach the optimum, with the best step",
              max(_best_share(starts, "independent")[game] for game in ("climbing", "penalty")), "<=", 0.75),
        Claim("agents must see earlier agents' actions: in turn without that, some starts stay below",
              "paper 000, its policies", "least share of starts, over games",
              min(_best_share(starts, "in turn").values()), "<=", 0.9),
        Claim("in the ratio game independent policy gradient arrives as well, given time", "calculated here",
              "share of starts", _best_share(starts, "independent, longer")["ratio game"], ">=", 0.95),
        Claim("it leaves the stationary point of both agents' second actions, slowly: the nearer it begins, the longer",
              "calculated here", "slope of log iterations against log 1 / distance, over the last two",
              float(np.log(left[-1]["independent"] / left[-2]["independent"])
                    / np.log(left[-2]["chance_of_another"] / left[-1]["chance_of_another"])), ">=", 0.8),
        Claim("sequential PPO leaves it in hardly more iterations", "calculated here",
              "iterations from the nearest start, over those from the farthest",
              left[-1]["sequential"] / left[0]["sequential"], "<=", 3.0),
        Claim("the ratio game's pure policies but the best are no equilibria, so that there is nothing to stay in",
              "calculated here", "least Nash gap of a pure policy below the optimum", nearest, ">=", 0.03)]


def _horizon_slope(rows: Rows) -> float:
    before, last = rows[-2:]
    return float(np.log(last["ratio"] / before["ratio"]) / np.log((1.0 - before["gamma"]) / (1.0 - last["gamma"])))


def _best_share(rows: Sequence[Row], method: str) -> dict[str, float]:
    """By game, the share of starts that reach the optimum with the best of the steps tried."""
    found: dict[str, float] = {}
    for row in rows:
        if row["method"] == method:
            found[row["game"]] = max(row["reached"], found.get(row["game"], 0.0))
    return found


def _wrong_policies(mdp: FiniteMDP) -> list[np.ndarray]:
    """(N, S, A) deterministic policies, alike in all states, whose J is below the optimum."""
    one_hot = np.eye(mdp.actions)
    every = [np.repeat(one_hot[list(actions)][:, None], mdp.states, axis=1)
             for actions in product(range(mdp.actions), repeat=mdp.agents)]
    best = optimal_objective(mdp)
    return [pi for pi in every if objective(mdp, pi) < best - ROUNDING]


def _starts(lab: Lab, mdp: FiniteMDP, runs: int) -> np.ndarray:
    """(runs, N, S, A) logits, the same for every method and step."""
    return 2.0 * lab.rng(2).standard_normal((runs, mdp.agents, mdp.states, mdp.actions))


def _start_row(game: str, method: str, size: float, task: Task, J: np.ndarray) -> Row:
    mdp, best = task.mdp, optimal_objective(task.mdp)
    gap = best - objective(mdp, np.full((mdp.agents, mdp.states, mdp.actions), 1.0 / mdp.actions))
    share = rate_interval(best - J <= REACHED * gap)
    lost = (best - J) / gap
    return {"game": game, "method": method, "step": size, "iterations": task.iterations, "starts": len(J),
            "reached": share.estimate, "low": share.low, "high": share.high,
            "median_lost": float(np.median(lost)), "worst_lost": float(lost.max())}


def _each_with(items: Iterable, others: Sequence) -> list:
    return [item for item in items for _ in others]


def _exact(task: tuple[FiniteMDP, int]) -> OnlineErrors:
    return course(*task)


def _constant(task: tuple[FiniteMDP, int]) -> np.ndarray:
    mdp, K = task
    return mixture_errors(mdp, K, inverse_step(mdp.gamma, mdp.actions, 1))


def _sampled(task: tuple) -> OnlineErrors:
    (mdp, phi), (_, samples, linear), K, seed = task
    rng = np.random.default_rng([seed, samples, K, linear])
    improve = lstd(mdp, phi, samples, rng) if samples else _unchanged
    return course(mdp, K, log_linear(mdp, phi, improve) if linear else improve)


def _unchanged(policies: Policies, Q: list[np.ndarray]) -> list[np.ndarray]:
    """The exact Q^{1:m}, given as an estimate so that its bound, too, uses the measured spans."""
    return Q


def _draw(exact: Sequence[Row], constant: Sequence[Row] = (), sampled: Sequence[Row] = (),
          starts: Sequence[Row] = ()) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 8.0) if starts else (6.0, 4.2), layout="constrained")
    panels = figure.subplots(2, 2).ravel() if starts else [figure.add_subplot()]
    _draw_errors(panels[0], exact, "game", "Exact Q: the mixture's error, and its bound (dashed)")
    if starts:
        _draw_errors(panels[1], sampled, "label", "Estimated Q, log-linear policies")
        _draw_constant(panels[2], constant)
        _draw_starts(panels[3], starts)
    return figure


def _draw_errors(panel: Axes, rows: Sequence[Row], label: str, title: str) -> None:
    rows = [{"label": f"{row['Q']}, {row['samples']} samples" if row.get("samples") else row.get("Q"), **row}
            for row in rows]
    for name, colour in zip(dict.fromkeys(row[label] for row in rows), PALETTE, strict=False):
        own = [row for row in rows if row[label] == name]
        K = [row["K"] for row in own]
        panel.loglog(K, [row["error"] for row in own], "o-", color=colour, markersize=4, label=name)
        panel.loglog(K, [row["bound"] for row in own], "--", color=colour, linewidth=0.9)
    least = min(row["error"] for row in rows)           # below it is room for the legend
    panel.set(xlabel="iterations K", ylabel="$J(\\pi^*) - J(\\bar\\pi)$", title=title,
              ylim=(least / 12.0 if least > 0 else None, None))
    panel.legend(fontsize=8, ncols=2, loc="lower left")


def _draw_constant(panel: Axes, rows: Sequence[Row]) -> None:
    for name, colour in zip(dict.fromkeys(row["game"] for row in rows), PALETTE, strict=False):
        own = [row for row in rows if row["game"] == name]
        K = [row["K"] for row in own]
        panel.loglog(K, [row["error_published"] for row in own], "--", color=colour, linewidth=0.9)
        panel.loglog(K, [row["error_constant"] for row in own], "o-", color=colour, markersize=4, label=name)
    panel.set(xlabel="iterations K", ylabel="$J(\\pi^*) - J(\\bar\\pi)$",
              title="Exact Q: $\\beta_k = \\beta\\sqrt{K}$ (dashed) and $\\beta_k = \\beta$",
              ylim=(min(row["error_constant"] for row in rows) / 12.0, None))
    panel.legend(fontsize=8, ncols=2, loc="lower left")


def _draw_starts(panel: Axes, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(row["game"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for k, (method, colour) in enumerate(zip(methods, PALETTE, strict=False)):
        shares = _best_share(rows, method)
        places = [names.index(name) + 0.2 * (k - 1.5) for name in shares]
        panel.bar(places, list(shares.values()), 0.18, color=colour, label=method)
    panel.set(xticks=range(len(names)), xticklabels=names, ylabel="share of starts", ylim=(0.0, 1.35),
              title="Starts from which the optimum is reached (best step)")
    panel.legend(ncols=2, fontsize=8, loc="upper center")
