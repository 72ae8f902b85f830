"""Coarse features in CAC: the critics' fixed points, the bias of the gradient, the return (paper 003's eps_app).

Theorem 3 of Zeng et al. (2022) lets the gradient end at O(eps_app) where V and the mean reward are no linear functions
of their features.  Here the critics' fixed points, CAC's mean direction and what its bias comes from are exact
(`_coarse`), on random games with features from exact ones to none; policies follow the mean direction, and runs of
netac's CAC are held against that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from netac.exact import FiniteMDP, objective, softmax_gradient, td_fixed_point
from netac.exact.distributions import induced_chain, stationary_distribution
from netac.exact.values import value_function
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._coarse import (
    ACTOR,
    STEP,
    CriticFeatures,
    aggregated,
    climbed,
    errors,
    projection_error,
    reward_features,
    steered,
    trained,
    worst_cycle,
)
from netac.theory._games import random_game, soft_policies
from netac.theory._gradient_noise import alike, crowd
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "paper 003, Theorem 3"
AGENTS, STATES = 3, 8
GROUPS = (8, 4, 2, 1)                                       # features of states: so many groups of neighbours
KINDS = ("exact", "own actions", "no state", "state")       # features of states and joint actions
GAMMAS = (0.5, 0.9, 0.99)


def experiment(lab: Lab) -> Finding:
    """Six games, 200 mean steps, runs of 12,000 iterations (quick: two games, 60 steps, runs of 6,000)."""
    points = fixed_point_rows(lab)
    games = [steered(lab.rng(1, k), AGENTS, STATES) for k in range(lab.choose(2, 6))]
    rows, gains = feature_rows(lab, games)
    runs = run_rows(lab, games[0], lab.choose((0, 2), (0, 1, 2, 4, 6)))
    tables = [
        Table("fixed_points", "Error of TD(0)'s fixed point / least error of the features, root mean squares", points),
        Table("features", f"CAC's critics and gradient with coarse features, {AGENTS} agents, {STATES} states", rows),
        Table("runs", "J of netac's CAC, and of the mean direction after as much time", runs)]
    claims = [*fixed_point_claims(points), *gradient_claims(lab), *feature_claims(rows, gains), *run_claims(runs)]
    return Finding(claims, tables, partial(draw, points, rows, runs))


def features() -> list[CriticFeatures]:
    """Of the games `steered`; the first are exact."""
    choices = [*((K, "exact") for K in GROUPS), *((STATES, kind) for kind in KINDS[1:]), (GROUPS[1], "own actions")]
    return [coarse(K, kind) for K, kind in choices]


def coarse(groups: int, kind: str) -> CriticFeatures:
    """So many features of states, and a kind of those of the reward."""
    return CriticFeatures(f"K = {groups}", kind, aggregated(STATES, groups),
                    reward_features(kind, STATES, AGENTS, 2))


# --- fixed points ---

def fixed_point_rows(lab: Lab) -> list[Row]:
    """For every gamma the bound on the error, that of the worst cycle, and those of random games and features."""
    rng, rows = lab.rng(0), []
    for gamma in GAMMAS:
        ratios = []
        for _ in range(lab.choose(40, 400)):
            mdp = random_game(rng, 2, 6, 2, gamma)
            phi = rng.standard_normal((6, rng.integers(1, 5)))
            ratios.append(inflation(mdp, soft_policies(rng, mdp, 0.0), phi))
        rows.append({"gamma": gamma, "bound": float(1.0 / np.sqrt(1.0 - gamma**2)),
                     "cycle": inflation(*worst_cycle(gamma)), "random, mean": float(np.mean(ratios)),
                     "random, largest": float(np.max(ratios))})
    return rows


def inflation(mdp: FiniteMDP, pi: np.ndarray, phi: np.ndarray) -> float:
    """|phi'omega* - V|_mu / the least there is."""
    mu = stationary_distribution(induced_chain(mdp, pi).transition)
    error = mu @ np.square(phi @ td_fixed_point(mdp, pi, phi) - value_function(mdp, pi))
    return float(np.sqrt(error / projection_error(mdp, pi, phi)))


def fixed_point_claims(rows: Sequence[Row]) -> list[Claim]:
    """The error of V's features at the fixed point."""
    source = "Tsitsiklis and Van Roy, 1997, Theorem 1"
    return [
        Claim("TD(0)'s fixed point is at most 1 / sqrt(1 - gamma^2) times as far from V as the features allow", source,
              "largest share of the bound, games and cycle",
              max(max(row["random, largest"], row["cycle"]) / row["bound"] for row in rows), "<=", 1.0, 1e-9),
        Claim("the bound is reached, by a cycle of three states and one feature", "netac", "least share of the bound",
              min(row["cycle"] / row["bound"] for row in rows), ">=", 1.0, 1e-9)]


# --- the gradient ---

def gradient_claims(lab: Lab) -> list[Claim]:
    """What the bias is made of, and how large it can be."""
    rng, identity, shares = lab.rng(2), [], []
    for _ in range(lab.choose(5, 40)):
        mdp = steered(rng, AGENTS, STATES)
        pi = soft_policies(rng, mdp, 0.02)
        for kind in KINDS:
            each = errors(mdp, pi, coarse(int(rng.choice(GROUPS[1:])), kind))
            gradient = softmax_gradient(mdp, pi)
            identity.append(np.abs(each.direction - gradient - each.bias).max() / np.abs(gradient).max())
            shares.append(np.square(each.direction - gradient).sum() / each.bound)
    one = crowd(6, 0.0, rng, states=1)
    state_alone = CriticFeatures("K = 1", "state", np.ones((1, 1)), np.ones((1, 64, 1)))
    flat = errors(one, alike(6, np.array([0.5])), state_alone)
    reached = float(np.square(flat.bias).sum() / flat.bound)
    return [
        Claim("CAC's mean direction is grad J and E_d[(e_R(s, a) + gamma e_V(s')) grad log pi]: errors of V count by "
              "the next state alone", "netac", "largest error / |grad J|", max(identity), "<=", 0.0, 1e-10),
        Claim("the squared bias is O(eps_app): at most lambda max_s d(s) E_d[(e_R + gamma E e_V(s'))^2], lambda <= 1/2 "
              "for any number of agents", f"{PAPER}; the constant is netac's", "largest share of the bound",
              float(max(*shares, reached)), "<=", 1.0, 1e-9),
        Claim("the bound is reached: by six agents that toss coins and add to the reward, where R sees the state alone",
              "netac", "share of the bound", reached, ">=", 1.0, 1e-9)]


def feature_rows(lab: Lab, games: Sequence[FiniteMDP]) -> tuple[list[Row], np.ndarray]:
    """A row for each of `features`, and what each gains in each game / what exact features gain."""
    pairs, steps = features(), lab.choose(60, 200)
    ends = lab.each(climbed, [(mdp, each, steps) for each in pairs for mdp in games], "ascents")
    gains = _gain_shares(games, ends)
    rows = [_feature_row(lab, each, games, ends[len(games) * k:][:len(games)])
            | {"gain": float(gains[k].mean()), "least gain": float(gains[k].min())} for k, each in enumerate(pairs)]
    return rows, gains


def _feature_row(lab: Lab, chosen: CriticFeatures, games: Sequence[FiniteMDP], ends: Sequence[np.ndarray]) -> Row:
    """Means over games: eps_app and bias at random policies, and the gradient where the mean direction led."""
    found: list[tuple[float, float, float]] = []
    for k, mdp in enumerate(games):
        pi = soft_policies(lab.rng(3, k), mdp, 0.05)
        each, gradient = errors(mdp, pi, chosen), softmax_gradient(mdp, pi)
        found.append((each.value, each.reward,
                      float(np.sqrt(np.square(each.direction - gradient).sum() / np.square(gradient).sum()))))
    value, reward, bias = np.mean(found, axis=0)
    last = [np.square(softmax_gradient(mdp, pi)).sum() for mdp, pi in zip(games, ends, strict=True)]
    return {"V": chosen.value, "R": chosen.reward, "weights": int(chosen.phi.shape[1] + chosen.psi.shape[2]),
            "|e_V|^2": float(value), "|e_R|^2": float(reward), "bias": float(bias),
            "|grad J|^2 at the end": float(np.mean(last))}


def _gain_shares(games: Sequence[FiniteMDP], ends: Sequence[np.ndarray]) -> np.ndarray:
    """(pairs of features, games) what is gained over uniform policies / what exact features gain."""
    start = [objective(mdp, np.full((mdp.agents, mdp.states, 2), 0.5)) for mdp in games]
    J = np.array([objective(games[k % len(games)], pi) for k, pi in enumerate(ends)]).reshape(-1, len(games))
    return (J - start) / (J[0] - start)


def feature_claims(rows: Sequence[Row], gains: np.ndarray) -> list[Claim]:
    """Which features cost return."""
    row = {(each["V"], each["R"]): each for each in rows}
    share = {(each["V"], each["R"]): gain for each, gain in zip(rows, gains, strict=True)}
    all_states, half = f"K = {STATES}", f"K = {GROUPS[1]}"
    own = row[all_states, "own actions"]
    return [
        Claim("a reward model of every agent's own action in every state, one-hot, leaves the gradient as it is",
              "netac; compatible features, Sutton et al., 2000", "mean bias / |grad J|", own["bias"], "<=", 0.0, 1e-10),
        Claim("... though it does not explain the reward, and eps_app > 0", PAPER, "mean |e_R|^2", own["|e_R|^2"], ">=",
              0.03),
        Claim("... and leads to the same return", "netac", "largest |gain / that of exact features - 1|",
              float(np.abs(share[all_states, "own actions"] - 1.0).max()), "<=", 0.0, 1e-4),
        Claim("coarse values bias the gradient", PAPER, "mean bias / |grad J|, half as many features as states",
              row[half, "exact"]["bias"], ">=", 0.05),
        Claim("... and cost return", "netac", "mean gain / that of exact features, one feature for all states",
              float(share["K = 1", "exact"].mean()), "<=", 0.95),
        Claim("a reward model that does not see the actions costs return", "netac",
              "mean gain / that of exact features", float(share[all_states, "state"].mean()), "<=", 0.95),
        Claim("the gradient that Theorem 3 bounds does not tell what was lost: policies that became deterministic have "
              "none", "netac", "|grad J|^2 at the end, K = 2", row["K = 2", "exact"]
              ["|grad J|^2 at the end"], "<=", 1e-3)]


# --- runs ---

def run_rows(lab: Lab, mdp: FiniteMDP, which: Sequence[int]) -> list[Row]:
    """netac's CAC from samples, beside the mean direction, with the exact ones and others of `features`."""
    chosen = [features()[k] for k in which]
    T, seeds = lab.choose(6_000, 12_000), range(lab.choose(1, 2))
    done = lab.each(trained, [(mdp, each, T, 1000 * lab.seed + seed) for each in chosen for seed in seeds])
    field = lab.each(climbed, [(mdp, each, round(T * ACTOR / STEP)) for each in chosen])
    start = objective(mdp, np.full((mdp.agents, mdp.states, 2), 0.5))
    return [{"V": each.value, "R": each.reward, "iterations": T, "uniform policies": start,
             "mean direction": objective(mdp, pi), "runs, mean": float(np.mean(ours)), "runs, least": float(min(ours)),
             "runs, largest": float(max(ours))}
            for each, pi, ours in zip(chosen, field, np.reshape(done, (len(chosen), -1)), strict=True)]


def run_claims(rows: Sequence[Row]) -> list[Claim]:
    """Runs from samples follow the mean direction."""
    far = [abs(row["runs, mean"] - row["mean direction"]) / (rows[0]["mean direction"] - row["uniform policies"])
           for row in rows]
    return [Claim("netac's CAC, from samples, gets where its mean direction leads, whatever the features", "netac",
                  "largest |J of runs - J of the mean direction| / gain with exact features", max(far), "<=", 0.1)]


# --- the picture ---

def draw(points: Sequence[Row], rows: Sequence[Row], runs: Sequence[Row]) -> Figure:
    """Errors of fixed points beside their bound; bias against gain for all features; runs beside the mean direction."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(14.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    gamma = [1.0 / (1.0 - row["gamma"]) for row in points]
    for name, style, colour in (("bound", "--", "#555555"), ("cycle", "o", PALETTE[1]),
                                ("random, largest", "^", PALETTE[0]), ("random, mean", "s", PALETTE[2])):
        left.loglog(gamma, [row[name] for row in points], style, color=colour, label=name)
    left.set(xlabel=r"$1 / (1 - \gamma)$", ylabel="error / least error of the features",
             title="How far TD(0)'s fixed point is from $V$")
    left.set_yticks([1, 2, 4, 8], labels=["1", "2", "4", "8"])
    left.minorticks_off()
    left.legend()
    names = [f"{row['V']}, {row['R']}" for row in rows]
    place = np.arange(len(rows))[::-1]
    middle.barh(place + 0.2, [row["gain"] for row in rows], 0.38, color=PALETTE[0],
                label="gain / that of exact features")
    middle.barh(place - 0.2, [row["bias"] for row in rows], 0.38, color=PALETTE[1], label=r"bias / $|\nabla J|$")
    middle.set_yticks(place, labels=names)
    middle.set(title="K features of V, kind of those of R")
    middle.legend(loc="upper center", bbox_to_anchor=(0.45, -0.08), ncols=2, fontsize=8)
    place = np.arange(len(runs))
    right.plot(place, [row["mean direction"] for row in runs], "_", ms=26, mew=2.5, color=PALETTE[1],
               label="mean direction")
    means, least, most = (np.array([row[f"runs, {name}"] for row in runs]) for name in ("mean", "least", "largest"))
    right.errorbar(place, means, [means - least, most - means], fmt="o", color=PALETTE[0], capsize=3,
                   label="runs of CAC: mean and range")
    right.axhline(runs[0]["uniform policies"], color="#555555", ls=":", label="uniform policies")
    right.set_xticks(place, labels=[f"{row['V']},\n{row['R']}" for row in runs], fontsize=8)
    right.set(ylabel="J", title="CAC from samples", xlim=(-0.5, len(runs) - 0.5))
    right.legend(fontsize=8)
    return figure
