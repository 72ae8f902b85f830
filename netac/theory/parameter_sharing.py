"""How much agents lose that share their policy: 2 / 2^n of the optimum (Kuba et al., 2022, Proposition 1).

n agents (n even) with actions 0 and 1 get 1 for (0^{n/2}, 1^{n/2}) and for (1^{n/2}, 0^{n/2}), else 0.  If all play 1 with
the same probability p, the return is J_share(p) = 2 p^{n/2} (1 - p)^{n/2}, greatest at p = 1/2; J* = 1.  Here it is summed
over all 2^n joint actions and maximised by a search that knows nothing of that formula.  Agents that have parameters of
their own and learn by turns, each taking its best action against the others', reach J* from any start that is no saddle.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from netac.envs.matrix import Settings, payoff_table
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "paper 001, Proposition 1"
STARTS = 20


def experiment(lab: Lab) -> Finding:
    """n = 2, 4, ..., 16 (quick: 10)."""
    sizes = range(2, lab.choose(10, 16) + 1, 2)
    rows = [_row(n, best_shared(n), worst_in_turn(n, lab.rng(n))) for n in sizes]
    claims = (
        Claim("J*_share / J* = 2 / 2^n", SOURCE, "largest relative error over n",
              max(abs(row["shared"] / row["proposition"] - 1.0) for row in rows), "<=", 0.0, 1e-9),
        Claim("agents with parameters of their own that learn by turns reach J* = 1", SOURCE,
              f"least return over n and {STARTS} perturbed starts", min(row["by_turns"] for row in rows), ">=", 1.0, 1e-12))
    table = Table("sharing", "The best return with one policy for all, and with one each", rows)
    return Finding(claims, (table,), partial(_draw, rows))


def returns(payoff: np.ndarray, p: np.ndarray) -> float:
    """J of agents that play action 1 with probabilities p (n,): the payoff's mean over all joint actions, agent by agent."""
    for own in p[::-1]:
        payoff = payoff @ np.array([1.0 - own, own])
    return float(payoff)


def best_shared(n: int) -> float:
    """J*_share, by a search over p in [0, 1]."""
    payoff = payoff_table(Settings(), n)
    found = minimize_scalar(lambda p: -returns(payoff, np.full(n, p)), bounds=(0.0, 1.0), method="bounded",
                            options={"xatol": 1e-12})
    return -found.fun


def worst_in_turn(n: int, rng: np.random.Generator) -> float:
    """The least J over starts p = 1/2 + noise, from which each agent in turn takes a best response."""
    payoff = payoff_table(Settings(), n)
    return min(_in_turn(payoff, 0.5 + rng.uniform(-0.1, 0.1, n)) for _ in range(STARTS))


def _in_turn(payoff: np.ndarray, p: np.ndarray) -> float:
    for agent in range(len(p)):
        p = max((np.where(np.arange(len(p)) == agent, own, p) for own in (0.0, 1.0)), key=partial(returns, payoff))
    return returns(payoff, p)


def _row(n: int, shared: float, by_turns: float) -> dict[str, float | int]:
    return {"n": n, "shared": shared, "proposition": 2.0 / 2.0**n, "by_turns": by_turns}


def _draw(rows: list[dict[str, float | int]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    panel = figure.add_subplot()
    n = [row["n"] for row in rows]
    panel.semilogy(n, [row["by_turns"] for row in rows], "s-", color="#009E73", label="own parameters, by turns")
    panel.semilogy(n, [row["shared"] for row in rows], "o", color="#0072B2", label="shared parameters, best possible")
    panel.semilogy(n, [row["proposition"] for row in rows], "--", color="#555555", label="$2 / 2^n$")
    panel.set(xlabel="agents n", ylabel="return", xticks=n, title="Proposition 1: the price of one policy for all")
    panel.legend()
    return figure
