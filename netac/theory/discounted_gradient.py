"""What learners follow whose policy gradient drops gamma^t, and where they end.

The gradient of the discounted return is E[sum over t of gamma^t A(s_t, a_t) grad log pi(a_t|s_t)]; published code of
policy-gradient trainers, and netac's without `discounted_gradient = true`, takes the sum without gamma^t, A being that
of gamma nevertheless.  Both are computed exactly on games whose episodes end (`netac.theory._episodes`).

`investment` is a game of two agents that enter, pay, and are paid.  To enter together brings 0.75, to pay together
costs 3 and brings 4 a step later, and gamma is 0.5.  Agents that see the state enter and do not pay.  Agents that do
not see it do both or neither: both is better, by 0.25 discounted and by 1.75 not, but without gamma^t the loss of
paying counts in full, -1 against 0.75.  With torch, trainers and decentralized learners learn this game from samples,
without seeing the state.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from netac.exact import FiniteMDP, softmax_gradient
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._episodes import END, GAMMA, STEPS, direction, investment, play, random_episodes
from netac.theory._lab import Lab
from netac.utils.pictures import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTA = "Nota and Thomas, 2020"
STEP, NEAR, CERTAIN = 5.0, 0.02, 500.0      # of the exact steps; of the best return, how near is there; a logit
BLIND, SEEING = np.zeros(END + 1, dtype=np.int64), np.arange(END + 1)
SEEN = {"blind": BLIND, "seeing": SEEING}
WITH, WITHOUT = "gamma^t", "without"
LEARNERS: dict[str, dict] = {
    "happo": {}, "mappo": {"parameters": "separate"}, "hatrpo": {}, "jrppo": {"parameters": "separate"},
    "coma": {"parameters": "separate"}, "cppo": {"reward": "consensus"},
    "iac": {"actor_step": 0.02, "critic_step": 0.1}}
LONGER = 9                          # iterations of IAC, which learns from one step of all games in each
ROLLOUTS = {"rollout": STEPS, "entropy": 0.0, "epochs": 2}
HORIZONS = ((0.5, 3), (0.95, 25), (0.95, 200), (0.99, 25), (0.99, 200))       # gamma, and steps of an episode

Rows = list[Row]


def experiment(lab: Lab) -> Finding:
    """100 starts, and three runs of every learner (quick: 12, and one of two learners)."""
    starts, steps = lab.choose((12, 300), (100, 2000))
    logits = lab.rng(0).standard_normal((starts, 2, 5, 2))
    courses = {(seen, weight): course(logits, SEEN[seen], GAMMA if weight == WITH else 1.0, steps)
               for seen, weight in product(SEEN, (WITH, WITHOUT))}
    ends = [_end_row(*key, found) for key, found in courses.items()]
    directions = direction_rows(lab)
    tables = [Table("directions", "Random games of two agents: the direction's error as gradient of J, and how far its "
                    "Jacobian is from symmetric", directions),
              Table("ends", f"`investment`, {starts} starts: where {steps} exact steps end", ends),
              Table("weights", "Samples that weights gamma^t leave of an episode's steps", weight_rows())]
    learned = learned_rows(lab) if find_spec("torch") else []
    if learned:
        tables.append(Table("learned", "`investment`, not seen, learned from samples: where learners end", learned))
    return Finding(claims_of(directions, ends, learned), tables, partial(_draw, courses, learned))


def course(logits: np.ndarray, seen: np.ndarray, weight: float, steps: int) -> np.ndarray:
    """(R, T, 2) returns, discounted and not, of T steps along the exact direction in `investment`, before each of them.

    Args:
        logits: (R, 2, 5, 2) where they begin; agents that see nothing have the first state's.
    """
    mdp, logits, found = investment(), logits[:, :, :seen.max() + 1], []
    for _ in range(steps):
        found.append(returns(logits, seen))
        logits = logits + STEP * direction(mdp, logits, seen, weight)
    return np.stack(found, axis=1)


def returns(logits: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(..., 2) the return of `investment`, discounted and not, of policies with logits (..., 2, O, 2)."""
    played = play(investment(), logits, seen)
    return np.stack([played.value(GAMMA), played.value(1.0)], axis=-1)


def direction_rows(lab: Lab) -> Rows:
    """Random games, in which the first two states look alike, at random policies."""
    rows: Rows = []
    for k in range(lab.choose(5, 20)):
        rng = lab.rng(1, k)
        mdp, seen, logits = random_episodes(rng), np.array([0, 0, 1, 2, 3]), rng.standard_normal((2, 4, 2))
        exact = _by_observation(mdp, logits, seen)
        row: Row = {"game": k}
        for name, weight in ((WITH, mdp.gamma), (WITHOUT, 1.0)):
            found = direction(mdp, logits, seen, weight)
            row |= {f"error, {name}": float(np.abs(found - exact).max() / np.abs(exact).max()),
                    f"asymmetry, {name}": asymmetry(mdp, logits, seen, weight)}
        rows.append(row)
    return rows


def _by_observation(mdp: FiniteMDP, logits: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The return's gradient in the logits (N, O, A), from J's in those of every state."""
    by_state = softmax_gradient(mdp, softmax(logits, axis=-1)[:, seen]) / (1.0 - mdp.gamma)
    return np.stack([by_state[:, seen == o].sum(axis=1) for o in range(logits.shape[1])], axis=1)


def asymmetry(mdp: FiniteMDP, logits: np.ndarray, seen: np.ndarray, weight: float) -> float:
    """|D - D'| / |D| of the direction's Jacobian D, by central differences: 0 for a gradient."""
    nudges = 1e-5 * np.eye(logits.size).reshape(-1, *logits.shape)
    D = (direction(mdp, logits + nudges, seen, weight) - direction(mdp, logits - nudges, seen, weight)) / 2e-5
    D = D.reshape(logits.size, -1)
    return float(np.linalg.norm(D - D.T) / np.linalg.norm(D))


def weight_rows() -> Rows:
    """The square of the weights' sum over the sum of their squares."""
    rows: Rows = []
    for gamma, steps in HORIZONS:
        w = gamma ** np.arange(steps)
        rows.append({"gamma": gamma, "steps": steps, "effective": float(w.sum()**2 / (w @ w)),
                     "share": float(w.sum()**2 / (w @ w) / steps)})
    return rows


def learned_rows(lab: Lab) -> Rows:
    """Every learner with the option and without it."""
    names = lab.choose(("haa2c",), tuple(LEARNERS))
    items = [(name, discounted, lab.seed + run, lab.choose(60, 200))
             for name in names for discounted in (True, False) for run in range(lab.choose(1, 3))]
    found = lab.each(learn, items)
    rows: Rows = []
    for name, discounted in product(names, (True, False)):
        own = np.array([got for got, item in zip(found, items, strict=True) if item[:2] == (name, discounted)])
        rows.append({"learner": name, "discounted_gradient": discounted, "runs": len(own),
                     "least": float(own[:, 0].min()), "most": float(own[:, 0].max()),
                     "least_undiscounted": float(own[:, 1].min()), "most_undiscounted": float(own[:, 1].max())})
    return rows


def learn(item: tuple[str, bool, int, int]) -> tuple[float, float]:
    """The exact returns of a learner's last policies (its name, the option, the seed, iterations of 64 episodes)."""
    import netac

    name, discounted, seed, iterations = item
    rollouts = ROLLOUTS | ({"epochs": 1} if name in ("haa2c", "coma") else {}) if name != "iac" else {}
    decentralized = name in ("cppo", "iac")
    result = netac.run({
        "agents": 2, "iterations": iterations * (LONGER if name == "iac" else 1), "envs": 64, "seed": seed,
        "env": {"factory": "netac.theory._episodes:Investments"}, "policy": {"name": "mlp", "hidden": []} | (
            {"shared": []} if decentralized else {}),
        "critic": {"name": "mlp", "hidden": [16]} | ({"sees": "state"} if decentralized else {}),
        "algorithm": {"name": name, "gamma": GAMMA, "actor_step": 0.05, "critic_step": 0.05,
                      "discounted_gradient": discounted, **rollouts, **LEARNERS.get(name, {})}})
    weights, biases = np.split(result.parameters["theta"].astype(float), 2, axis=1)         # of a constant input, 1
    return tuple(returns((weights + biases)[:, None], BLIND).tolist())


def best(seen: str) -> np.ndarray:
    """(2,) the returns, discounted and not, of the policies with the best discounted one: 1 is played, or, where the
    state is seen, as the agents enter."""
    logits = np.zeros((2, 1, 2)) if seen == "blind" else np.zeros((2, 5, 2))
    logits[:, 0, 1], logits[:, 1:, 0] = CERTAIN, CERTAIN
    return returns(logits, SEEN[seen])


def _end_row(seen: str, weight: str, found: np.ndarray) -> Row:
    """`found` (R, T, 2) as `course` gives them."""
    last, there = found[:, -1], found[..., 0] >= best(seen)[0] * (1.0 - NEAR)
    first = np.where(there.any(axis=1), there.argmax(axis=1), found.shape[1])
    return {"agents": seen, "weights": weight, "starts": len(found), "reached_best": float(there[:, -1].mean()),
            "median_steps": float(np.median(first)), "least": float(last[:, 0].min()), "most": float(last[:, 0].max()),
            "least_undiscounted": float(last[:, 1].min()), "most_undiscounted": float(last[:, 1].max())}


def claims_of(directions: Rows, ends: Rows, learned: Rows) -> list[Claim]:
    """Claims from the tables' rows."""
    of = {(row["agents"], row["weights"]): row for row in ends}
    most = best("blind")
    claims = [
        Claim("the sum over an episode with gamma^t is the gradient of the discounted return",
              "the policy gradient theorem", "largest relative error, random games",
              max(row[f"error, {WITH}"] for row in directions), "<=", 0.0, 1e-9),
        Claim("without gamma^t it is the gradient of no function", NOTA,
              "least asymmetry of its Jacobian, random games (with gamma^t: "
              f"{max(row[f'asymmetry, {WITH}'] for row in directions):.0e})",
              min(row[f"asymmetry, {WITHOUT}"] for row in directions), ">=", 1e-3),
        Claim("where agents see the state both end at the best joint policy", "calculated here",
              "least share of starts", min(of["seeing", weight]["reached_best"] for weight in (WITH, WITHOUT)), ">=",
              1.0),
        Claim("where they do not, steps with gamma^t end at the best of their policies", "calculated here",
              "share of starts", of["blind", WITH]["reached_best"], ">=", 1.0),
        Claim("without gamma^t they end at the worst, in the discounted return and in the undiscounted one",
              "as the example of " + NOTA, "largest part of the best return, of either kind, over starts",
              max(of["blind", WITHOUT]["most"] / most[0], of["blind", WITHOUT]["most_undiscounted"] / most[1]), "<=",
              0.0, NEAR)]
    if learned:
        with_it = [row for row in learned if row["discounted_gradient"]]
        without = [row for row in learned if not row["discounted_gradient"]]
        claims += [
            Claim("learners with discounted_gradient = true learn the best of these policies from samples",
                  "trained here", "least part of its return, over learners and runs",
                  min(row["least"] for row in with_it) / most[0], ">=", 0.9),
            Claim("without it they learn the worst", "trained here", "largest part of the best return",
                  max(row["most"] for row in without) / most[0], "<=", 0.1)]
    return claims


def _draw(courses: dict[tuple[str, str], np.ndarray], learned: Rows) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0 if learned else 6.0, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, squeeze=False)[0] if learned else [figure.add_subplot()]
    colours = {WITH: PALETTE[0], WITHOUT: PALETTE[1]}
    for weight, colour in colours.items():
        found = courses["blind", weight][:25, :, 0]
        at = np.unique(np.geomspace(1, found.shape[1], 200).astype(int)) - 1
        panels[0].semilogx(at + 1, found[:, at].T, color=colour, linewidth=0.8, alpha=0.6)
        panels[0].plot([], [], color=colour, label="with $\\gamma^t$" if weight == WITH else "without")
    panels[0].axhline(best("blind")[0], color="#555555", linewidth=0.9)
    panels[0].set(xlabel="exact steps", ylabel="discounted return", title="Agents that do not see the state, 25 starts")
    panels[0].legend()
    if learned:
        names = list(dict.fromkeys(row["learner"] for row in learned))
        for discounted, shift, colour in ((True, -0.1, PALETTE[0]), (False, 0.1, PALETTE[1])):
            own = [row for row in learned if row["discounted_gradient"] == discounted]
            middle = np.array([(row["least"] + row["most"]) / 2.0 for row in own])
            reach = [middle - [row["least"] for row in own], [row["most"] for row in own] - middle]
            panels[1].errorbar(np.arange(len(names)) + shift, middle, reach, fmt="o", color=colour, markersize=6,
                               label=f"discounted_gradient = {str(discounted).lower()}")
        panels[1].axhline(best("blind")[0], color="#555555", linewidth=0.9)
        panels[1].set(xticks=range(len(names)), xticklabels=names, ylabel="discounted return of the last policies",
                      ylim=(-0.015, 0.3), title="The same, learned from samples (least to most of the runs)")
        panels[1].legend(loc="upper center", ncols=2)
    return figure
