"""How much agents lose that share their policy: 2 / 2^n of the optimum (Kuba et al., 2022, Proposition 1).

n agents (n even) with actions 0 and 1 get 1 for (0^{n/2}, 1^{n/2}) and for (1^{n/2}, 0^{n/2}), else 0.  If all play 1
with the same probability p, the return is J_share(p) = 2 p^{n/2} (1 - p)^{n/2}, greatest at p = 1/2; J* = 1.  Here it
is summed over all 2^n joint actions and maximised by a search that does not use that formula.  Agents that have
parameters of their own and learn by turns, each taking its best action against the others', reach J* from any start
that is no saddle.

With torch the full form also trains MAPPO with shared parameters and HAPPO, from samples.  Their J is the exact one of
their last policies.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from netac.envs.matrix import Settings, payoff_table
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "paper 001, Proposition 1"
STARTS = 20
TRAINED, SEEDS = (2, 4, 6, 8), 3        # agents, and runs of each
TRAINERS = {"mappo": {"parameters": "shared"}, "happo": {}}


def experiment(lab: Lab) -> Finding:
    """n = 2, 4, ..., 16 (quick: up to 10); training up to n = 8."""
    sizes = range(2, lab.choose(10, 16) + 1, 2)
    rows = [_row(n, best_shared(n), worst_in_turn(n, lab.rng(n))) for n in sizes]
    claims = [
        Claim("J*_share / J* = 2 / 2^n", SOURCE, "largest relative error over n",
              max(abs(row["shared"] / row["proposition"] - 1.0) for row in rows), "<=", 0.0, 1e-9),
        Claim("agents with parameters of their own that learn by turns reach J* = 1", SOURCE,
              f"least return over n and {STARTS} perturbed starts", min(row["by_turns"] for row in rows), ">=", 1.0,
              1e-12)]
    tables = [Table("sharing", "The best return with one policy for all, and with one each", rows)]
    learned: list[Row] = []
    if not lab.quick and find_spec("torch"):
        learned = trained_rows(lab)
        claims += trained_claims(learned)
        tables.append(Table("trained", "What trainers learn from samples", learned))
    return Finding(claims, tables, partial(_draw, rows, learned))


def trained_rows(lab: Lab) -> list[Row]:
    """For every n in `TRAINED`: the largest and the least return of `SEEDS` trainings."""
    items = [(name, n, lab.seed + run) for n in TRAINED for run in range(SEEDS) for name in TRAINERS]
    return _learned_rows(items, lab.each(learn, items))


def trained_claims(learned: list[Row]) -> list[Claim]:
    """Claims on the rows of `trained_rows`."""
    return [
        Claim("MAPPO with shared parameters gets no more", SOURCE,
              f"largest return over {SEEDS} runs and n / (2 / 2^n)",
              max(row["mappo_shared_most"] / row["proposition"] for row in learned), "<=", 1.0, 1e-6),
        Claim("and not much less", "netac", f"least return over {SEEDS} runs and n / (2 / 2^n)",
              min(row["mappo_shared_least"] / row["proposition"] for row in learned), ">=", 0.85),
        Claim("HAPPO learns to reach J* = 1", "netac", f"least return over {SEEDS} runs and n",
              min(row["happo_least"] for row in learned), ">=", 0.97)]


def learn(item: tuple[str, int, int]) -> float:
    """The exact J of a trainer's last policies (its name, n, the seed), after 80 iterations of 64 samples."""
    import netac

    name, n, seed = item
    result = netac.run({
        "agents": n, "iterations": 80, "envs": 64, "seed": seed, "env": "matrix",
        "policy": {"name": "mlp", "hidden": []},
        "algorithm": {"name": name, "rollout": 1, "actor_step": 0.05, "critic_step": 0.05, "entropy": 0.0,
                      **TRAINERS[name]}})
    weights, biases = np.split(result.parameters["theta"].astype(float), 2, axis=1)         # of a constant input, 1
    return returns(payoff_table(Settings(), n), softmax(weights + biases, axis=1)[:, 1])


def returns(payoff: np.ndarray, p: np.ndarray) -> float:
    """J of agents that play action 1 with probabilities p (n,): the payoff's mean, taken agent by agent."""
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


def _row(n: int, shared: float, by_turns: float) -> Row:
    return {"n": n, "shared": shared, "proposition": 2.0 / 2.0**n, "by_turns": by_turns}


def _learned_rows(items: list[tuple[str, int, int]], found: list[float]) -> list[Row]:
    def of(trainer: str, agents: int) -> list[float]:
        return [J for (name, n, _), J in zip(items, found, strict=True) if (name, n) == (trainer, agents)]

    return [{"n": n, "proposition": 2.0 / 2.0**n, "mappo_shared_most": max(of("mappo", n)),
             "mappo_shared_least": min(of("mappo", n)), "happo_least": min(of("happo", n))} for n in TRAINED]


def _draw(rows: list[Row], learned: list[Row]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    panel = figure.add_subplot()
    n = [row["n"] for row in rows]
    panel.semilogy(n, [row["by_turns"] for row in rows], "s-", color="#009E73", label="own parameters, by turns")
    panel.semilogy(n, [row["shared"] for row in rows], "o", color="#0072B2", label="shared parameters, best possible")
    panel.semilogy(n, [row["proposition"] for row in rows], "--", color="#555555", label="$2 / 2^n$")
    for column, label in (("happo_least", "HAPPO, trained"), ("mappo_shared_most", "MAPPO, shared, trained")):
        if learned:
            panel.semilogy([row["n"] for row in learned], [row[column] for row in learned], "x", ms=9,
                           color="#E69F00" if column == "happo_least" else "#D55E00", label=label)
    panel.set(xlabel="agents n", ylabel="return", xticks=n, title="Proposition 1: the price of one policy for all")
    panel.legend()
    return figure
