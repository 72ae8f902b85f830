"""Individually best actions need not be jointly best: in the game r = a_1 a_2 the IGM condition fails (paper 004's \
slide).

Two agents have actions -10, ..., 10.  With policies of means (mu_1, mu_2) = (1, -1) agent 1's advantage is 1 - a_1 and
agent 2's 1 + a_2: the best actions of each, (-10, 10), get -100 together, where (10, 10) and (-10, -10) get 100.
Sequential updates use A^{1,2} = A^1 + A^2(a_1, .): agent 2 answers agent 1's new action, and they get 100.

The slide's IGM is one of advantages around a policy, which a factorisation of values need not have: QPLEX's form, V +
sum over i of lambda_i(a) A_i(a_i) with lambda_i > 0 and A_i <= 0, represents r to any accuracy (`qplex`).

The same game is tried with value factorisation.  VDN (Q_1 + Q_2) and QMIX (monotonic mixing; see
`netac.theory._factorisation`) learn r / 100 by Adam from batches of three kinds: "fixed policies", pi_i(a) ~ exp(k a)
with means 1 and -1; "uniform" actions; and "epsilon-greedy", epsilon = 0.2, around the current best actions after a
first tenth of the steps with the fixed policies.  VDN is also fitted exactly, by repeated least squares.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from netac.envs.matrix import Settings, payoff_table
from netac.exact import FiniteMDP, subset_advantage
from netac.results.statistics import mean_interval, rate_interval
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._factorisation import BATCH, begin, mixed, train
from netac.theory._lab import Lab
from netac.utils.options import checked
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLIDE = "paper 004, slide IGM Condition Can Fail"
ACTIONS = np.arange(-10.0, 11.0)
BEST = 100.0
MEANS = (1.0, -1.0)
EXPLORE = 0.2
DATA = ("fixed policies", "uniform", "epsilon-greedy")
STARTS, REFITS = 200, 20
ROUNDING = 1e-9

Behaviour = Callable[[int, np.ndarray], np.ndarray]
Rows = list[Row]


def experiment(lab: Lab) -> Finding:
    """40 runs of 6,000 steps of each kind (quick: 10 of 1,500)."""
    runs, steps = lab.choose((10, 1500), (40, 6000))
    kinds = list(product(("vdn", "qmix"), DATA))
    ends = lab.each(_factorised, [(*kind, runs, steps, lab.seed) for kind in kinds], "kinds of runs")
    rows = [_row(*kind, *end) for kind, end in zip(kinds, ends, strict=True)]
    moves, refits = move_rows(lab.rng(0)), refit_rows()
    tables = (Table("moves", "Greedy moves, together and in turn", moves),
              Table("factorised", "Reward of the greedy joint action that factorised values end with", rows),
              Table("refits", "VDN fitted exactly to epsilon-greedy data, again and again, from means (1, -1)", refits))
    return Finding(_claims(lab, moves, rows, refits), tables, partial(_draw, kinds, [end[0] for end in ends]))


def game() -> FiniteMDP:
    """The one-state game."""
    payoff = payoff_table(checked(Settings, {"game": "product"}), 2)
    return FiniteMDP(np.ones((1, payoff.size, 1)), np.repeat(payoff.reshape(1, -1, 1), 2, axis=-1), np.ones(1), 0.0)


def tilted(mean: float) -> np.ndarray:
    """(A,) pi(a) proportional to exp(k a) with that mean."""
    def policy(k: float) -> np.ndarray:
        weights = np.exp(k * ACTIONS)
        return weights / weights.sum()
    return policy(brentq(lambda k: policy(k) @ ACTIONS - mean, -5.0, 5.0, xtol=1e-15))


def together(pi: np.ndarray) -> np.ndarray:
    """(2,) the action of every agent with the largest advantage A^i under pi (2, 1, A), as indices."""
    return np.array([subset_advantage(game(), pi, [agent])[0].argmax() for agent in range(2)])


def in_turn(pi: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """(2,) action indices of the sequential update: in `order`, each of largest advantage given the earlier ones."""
    first, second = order
    one = subset_advantage(game(), pi, [first])[0].argmax()
    two = subset_advantage(game(), pi, [second], given=[first])[0, one].argmax()
    return np.array([one, two])[list(order)]


def additive_fit(payoff: np.ndarray, pi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q_1(a_1) + Q_2(a_2), (A, A), of least E[(Q_tot - r)^2], and the Q_i (2, A), which are E[r | a_i] - E[r] / 2.

    Args:
        pi: (2, A) independent policies, positive everywhere.
    """
    utilities = np.array([payoff @ pi[1], pi[0] @ payoff]) - pi[0] @ payoff @ pi[1] / 2.0
    return utilities[0][:, None] + utilities[1], utilities


def qplex(least: float) -> tuple[np.ndarray, np.ndarray]:
    """V + sum over i of lambda_i(a) A_i(a_i), (A, A), nearest to r, and the A_i (2, A), of a form as QPLEX's.

    A_i is 0 for 10 and -1 else, V the best reward, and both agents' lambda_i(a) are alike.  Where r is best but A_i is
    not 0, at (-10, -10), they cannot be 0 and are `least`.
    """
    payoff, A = _payoff(), np.where(np.arange(len(ACTIONS)) == len(ACTIONS) - 1, 0.0, -1.0) * np.ones((2, 1))
    total = A[0][:, None] + A[1]
    lam = np.maximum(np.divide(payoff - BEST, total, out=np.full_like(payoff, least), where=total < 0.0), least)
    return BEST + lam * total, A


def move_rows(rng: np.random.Generator) -> Rows:
    """One update from the slide's policies, then from random ones."""
    slide = np.array([tilted(mean)[None] for mean in MEANS])
    drawn = rng.dirichlet(np.ones(len(ACTIONS)), (STARTS, 2, 1))
    moves: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "together": together, "in turn, 1 first": partial(in_turn, order=(0, 1)),
        "in turn, 2 first": partial(in_turn, order=(1, 0))}
    rows: Rows = []
    for start, policies in (("means (1, -1)", slide[None]), (f"{STARTS} random", drawn)):
        for name, move in moves.items():
            rewards = np.array([_reward(move(pi)) for pi in policies])
            rows.append({"start": start, "moves": name, "mean_reward": float(rewards.mean()),
                         "least_reward": float(rewards.min()), "share_best": float((rewards == BEST).mean())})
    return rows


def refit_rows() -> Rows:
    """VDN's exact fit to data around its own greedy actions, repeated."""
    payoff, pi = _payoff(), np.array([tilted(mean) for mean in MEANS])
    rows: Rows = []
    for refit in range(REFITS):
        best = additive_fit(payoff, pi)[1].argmax(axis=1)
        rows.append({"refit": refit, "a_1": float(ACTIONS[best[0]]), "a_2": float(ACTIONS[best[1]]),
                     "reward": _reward(best)})
        pi = (1.0 - EXPLORE) * np.eye(len(ACTIONS))[best] + EXPLORE / len(ACTIONS)
    return rows


def behaviour(data: str, runs: int, steps: int, rng: np.random.Generator) -> Behaviour:
    """Batches (R, 2, B) of action indices, as in the module's docstring."""
    below = np.array([np.cumsum(tilted(mean)) for mean in MEANS])[:, :-1]

    def fixed() -> np.ndarray:
        return (rng.random((runs, 2, BATCH))[..., None] >= below[:, None]).sum(axis=-1)

    def uniform() -> np.ndarray:
        return rng.integers(len(ACTIONS), size=(runs, 2, BATCH))

    def actions(t: int, best: np.ndarray) -> np.ndarray:
        if data == "uniform":
            return uniform()
        if data == "fixed policies" or t < steps // 10:
            return fixed()
        return np.where(rng.random((runs, 2, BATCH)) < EXPLORE, uniform(), best[..., None])

    return actions


def _factorised(task: tuple[str, str, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(R,) rewards of the greedy joint actions, averaged over the last half of the steps, and shares of r's variance
    (all joint actions alike) that Q_tot leaves at the end."""
    mixing, data, runs, steps, seed = task
    rng = np.random.default_rng([seed, mixing == "qmix", DATA.index(data)])
    payoff = _payoff() / BEST
    x, seen = train(begin(mixing, runs, len(ACTIONS), rng), payoff, behaviour(data, runs, steps, rng), steps, 10)
    every = np.indices(payoff.shape).reshape(2, -1)
    left = np.square(mixed(x, np.tile(every, (runs, 1, 1))) - payoff.ravel()).mean(axis=1) / payoff.var()
    return BEST * seen[len(seen) // 2:].mean(axis=0), left


def _row(mixing: str, data: str, rewards: np.ndarray, left: np.ndarray) -> Row:
    mean, share = mean_interval(rewards), rate_interval(rewards >= 0.95 * BEST)
    return {"values": mixing.upper(), "data": data, "runs": len(rewards), "mean_reward": mean.estimate,
            "low": mean.low, "high": mean.high, "least": float(rewards.min()), "most": float(rewards.max()),
            "share_best": share.estimate, "variance_left": float(left.mean())}


def _claims(lab: Lab, moves: Rows, rows: Rows, refits: Rows) -> tuple[Claim, ...]:
    pi, mdp, payoff = np.array([tilted(mean)[None] for mean in MEANS]), game(), _payoff()
    slide = np.array([1.0 - ACTIONS, 1.0 + ACTIONS])
    off = np.abs(np.array([subset_advantage(mdp, pi, [agent])[0] for agent in range(2)]) - slide).max()
    drawn = lab.rng(1).dirichlet(np.ones(len(ACTIONS)), (20, 2, 1))
    even = np.full((2, len(ACTIONS)), 1.0 / len(ACTIONS))
    ends = {(row["values"], row["data"]): row for row in rows}
    turns = [row["least_reward"] for row in moves if row["moves"] != "together"]
    represented, A = qplex(ROUNDING)
    return (
        Claim("with means (1, -1) the advantages are A^1 = 1 - a_1 and A^2 = 1 + a_2", SLIDE, "largest error", off,
              "<=", 0.0, ROUNDING),
        Claim("so the advantage-based IGM does not hold in this game", SLIDE,
              "best joint reward less that of the individually best actions", payoff.max() - _reward(together(pi)),
              ">=", 2.0 * BEST, ROUNDING),
        Claim("A^{1,2}(a_1, a_2) = A^1(a_1) + A^2(a_1, a_2)", "paper 001, Lemma 1",
              "largest error, 20 random policies, both orders",
              max(_decomposed(mdp, policies) for policies in drawn), "<=", 0.0, ROUNDING),
        Claim("one sequential update finds the optimum, from the slide's policies and from random ones",
              "paper 001, Lemma 1, applied here", "least reward over starts and both orders", min(turns), ">=", BEST,
              ROUNDING),
        Claim("on uniform data the best additive values explain nothing of r", "VDN, calculated here",
              "share of its variance explained",
              1.0 - np.square(additive_fit(payoff, even)[0] - payoff).mean() / payoff.var(), "<=", 0.0, ROUNDING),
        Claim("QPLEX's form represents r, each agent's best being jointly best", "the form on paper 004's slide, "
              "calculated here", "largest error, and what the individually best actions miss",
              max(float(np.abs(represented - payoff).max()), BEST - _reward(A.argmax(axis=1))), "<=", 0.0,
              3.0 * ROUNDING),
        Claim("VDN and QMIX on data of the slide's policies end in bad actions, in every run", "trained here",
              "largest reward of a run", max(ends[name, "fixed policies"]["most"] for name in ("VDN", "QMIX")), "<=",
              -0.3 * BEST),
        Claim("on uniform data they find the optimum in a minority of runs", "trained here",
              "largest share of runs", max(ends[name, "uniform"]["share_best"] for name in ("VDN", "QMIX")), "<=", 0.4),
        Claim("on their own epsilon-greedy data, with gradient steps, they end at an optimum nevertheless",
              "trained here", "least share of runs", min(ends[name, "epsilon-greedy"]["share_best"]
                                                         for name in ("VDN", "QMIX")), ">=", 0.6),
        Claim("exact refits of VDN to its own epsilon-greedy data never leave -100", "calculated here",
              "largest reward", max(row["reward"] for row in refits), "<=", -BEST, ROUNDING))


def _decomposed(mdp: FiniteMDP, pi: np.ndarray) -> float:
    """The largest error of the decomposition in either order."""
    return max(float(np.abs(subset_advantage(mdp, pi, order) - subset_advantage(mdp, pi, order[:1])[..., None]
                            - subset_advantage(mdp, pi, order[1:], given=order[:1])).max())
               for order in ([0, 1], [1, 0]))


def _payoff() -> np.ndarray:
    return game().team_reward.reshape(len(ACTIONS), len(ACTIONS))


def _reward(actions: np.ndarray) -> float:
    return float(_payoff()[tuple(actions)])


def _draw(kinds: list[tuple[str, str]], rewards: list[np.ndarray]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.4))
    image = left.imshow(_payoff().T, origin="lower", extent=(-10.5, 10.5, -10.5, 10.5), cmap="PuOr")
    figure.colorbar(image, ax=left, shrink=0.8, label="$r = a_1 a_2$")
    arrow = {"arrowstyle": "->", "linewidth": 2.0, "shrinkA": 0.0, "shrinkB": 0.0}
    for path, colour in (([MEANS, (-10.0, 10.0)], PALETTE[1]), ([MEANS, (-10.0, -1.0), (-10.0, -10.0)], PALETTE[0])):
        for start, end in pairwise(path):
            left.annotate("", end, start, arrowprops={**arrow, "color": colour})
    left.plot(*MEANS, "ko", markersize=5)
    left.text(-3.5, 7.5, "together: -100", color=PALETTE[1])
    left.text(-4.5, -3.5, "in turn: +100", color=PALETTE[0])
    left.grid(False)
    left.set(xlabel="$a_1$", ylabel="$a_2$", title="Best actions from means (1, -1)")
    jitter = np.random.default_rng(0)
    for k, ((_, data), own) in enumerate(zip(kinds, rewards, strict=True)):
        right.plot(k + jitter.uniform(-0.22, 0.22, len(own)), own, "o", color=PALETTE[DATA.index(data)], markersize=4,
                   alpha=0.7)
    labels = [f"{mixing.upper()}\n{data.replace(' ', chr(10)).replace('-', '-' + chr(10))}" for mixing, data in kinds]
    right.set(xticks=range(len(kinds)), xticklabels=labels, ylabel="reward of the greedy joint action",
              ylim=(-108.0, 108.0), title="Factorised values, a dot per run")
    right.axhline(BEST, color="#555555", linewidth=0.9)
    return figure
