"""The variance of the joint policy gradient against the number of agents: every baseline, central and decentralized.

Slides 004 say that central estimates of the gradient have a variance that grows with the number of agents, "only
linear in n", that subtracting a baseline b(s, a_-i) is unbiased, and which baseline leaves the least variance; Kuba et
al., *Settling the variance of multi-agent policy gradients* (NeurIPS 2021), bound what the others' actions add by the
agents' largest advantages.  Here variances are exact (`_gradient_noise`), on random games, and checked by sampling.
What counts is the variance in units of |grad J|^2: so many samples make the standard error as large as the gradient.

Rewards are means over agents, so that an agent's part of grad J falls like 1 / N, and the variance of Q(s, a), to which
N agents contribute, too: the samples needed grow like N.  A baseline that sees the others' actions leaves what the own
action does, 1 / N^2, and no growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netac.agents.distributions import logit_score_norms
from netac.exact import FiniteMDP, action_value, softmax_gradient
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._games import random_game, soft_policies
from netac.theory._gradient_noise import (
    Estimate,
    alike,
    crowd,
    estimates,
    moments,
    own_baseline,
    sampled_variance,
    visits,
    with_own_last,
)
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLIDES, SETTLING = "slides 004", "Kuba et al., 2021, Theorem 1"
SHAPES = ((1, 3, 3), (2, 3, 3), (3, 2, 3), (4, 2, 2))          # agents, states, actions
CENTRAL = ("none", "value", "counterfactual", "optimal")
UNBIASED = (*CENTRAL, "own Q", "averaged TD")
COUPLINGS = (0.0, 0.25, 0.5, 1.0)
RARE = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
FEW, MANY = 4, 8                    # agents: where fits begin; in the tables of one size


class GradientNoise(NamedTuple):
    """What one estimate is like in one game, all in units of |grad J|^2."""

    needed: float
    """Variance: samples after which the standard error is as large as the gradient."""
    shared: float
    """The same of logits that all agents share."""
    bias: float
    """|E g - grad J| / |grad J|, not squared."""
    parts: dict[str, float]


class Crowd(NamedTuple):
    """A random game of the family `crowd` to look at, and policies."""

    agents: int
    coupling: float
    seed: tuple[int, ...]
    ones: float | None = None
    """Probability of action 1 everywhere; None: drawn for every state, between 1/4 and 3/4."""


def experiment(lab: Lab) -> Finding:
    """2 to 12 agents, 20 games of each kind (quick: 2 to 8 agents, 6 games)."""
    sizes, games = lab.choose((2, 4, 8), (2, 4, 6, 8, 10, 12)), range(lab.choose(6, 20))
    grid = [*((n, 1.0, None) for n in sizes), *((MANY, coupling, None) for coupling in COUPLINGS[:-1]),
            *((MANY, 1.0, ones) for ones in RARE)]
    items = [Crowd(n, coupling, (lab.seed, 1, k), ones) for n, coupling, ones in grid for k in games]
    done = lab.each(measured, items, "games")
    found = {key: done[len(games) * k:len(games) * (k + 1)] for k, key in enumerate(grid)}
    growth = [_needed_row({"agents": n}, found[n, 1.0, None]) for n in sizes]
    shared = [_shared_row(n, found[n, 1.0, None]) for n in sizes]
    sharp = [_needed_row({"probability of 1": ones}, found[MANY, 1.0, ones], CENTRAL) for ones in RARE]
    excess = [_excess_row(n, lab, len(games)) for n in sizes]
    coupled = [_coupled_row(coupling, found[MANY, coupling, None]) for coupling in COUPLINGS]
    tables = [
        Table("needed", "Variance / |grad J|^2, geometric mean of the games: policies of their own", growth),
        Table("shared", "The same where all agents share their logits", shared),
        Table("parts", f"Where the variance comes from, {MANY} agents, in units of |grad J|^2, mean of the games",
              _part_rows(found[MANY, 1.0, None])),
        Table("sharp", f"The same as policies become deterministic, {MANY} agents", sharp),
        Table("excess", "What the others' actions add to an agent's variance, rewards summed over agents", excess),
        Table("coupling", f"Own rewards or averaged ones, {MANY} agents", coupled)]
    claims = [*exact_claims(lab), *growth_claims(growth, shared, excess), *sharp_claims(sharp, found[MANY, 1.0, None]),
              *coupling_claims(coupled, found[MANY, 0.0, None])]
    return Finding(claims, tables, partial(draw, growth, shared, sharp, coupled))


def drawn(item: Crowd) -> tuple[FiniteMDP, np.ndarray]:
    """The game and the policies (N, S, 2), the same for all agents."""
    game, policy = map(np.random.default_rng, np.random.SeedSequence(item.seed).spawn(2))
    mdp = crowd(item.agents, item.coupling, game)
    ones = policy.uniform(0.25, 0.75, mdp.states) if item.ones is None else np.full(mdp.states, item.ones)
    return mdp, alike(item.agents, ones)


def measured(item: Crowd) -> dict[str, GradientNoise]:
    """All estimates in one game."""
    mdp, pi = drawn(item)
    gradient = softmax_gradient(mdp, pi)
    size, mean = np.square(gradient).sum(), np.square(gradient.mean(axis=0)).sum()
    found = {}
    for name, estimate in estimates(mdp, pi).items():
        seen = moments(mdp, pi, estimate)
        found[name] = GradientNoise(seen.variance / size, seen.shared / mean,
                                    float(np.sqrt(np.square(seen.mean - gradient).sum() / size)),
                                    {part: value / float(size) for part, value in seen.parts.items()})
    return found


def excess(mdp: FiniteMDP, pi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) each: what the others' actions add to an agent's variance, and the bound B_i^2 sum_{j != i} epsilon_j^2.

    Q(s, a) in place of E[Q | s, a_i]; epsilon_j is the largest |Q(s, a) - E[Q | s, a_-j]| and B_i the largest |score|.
    """
    made, Q = estimates(mdp, pi), action_value(mdp, pi)
    central, averaged = (moments(mdp, pi, made[name]).each for name in ("value", "own Q"))
    epsilon = np.array([np.abs(Q - own_baseline("counterfactual", Q, pi, j)).max() for j in range(mdp.agents)])
    B = logit_score_norms(pi).max(axis=(1, 2))
    return central - averaged, B * (np.square(epsilon).sum() - np.square(epsilon))


# --- claims ---

def exact_claims(lab: Lab) -> list[Claim]:
    """On random games of one to four agents with up to three actions, and a crowd for the samples."""
    rng = lab.rng(0)
    bias, common, rises, bounds = [], [], [], []
    for shape in SHAPES:
        for _ in range(lab.choose(3, 20)):
            mdp = random_game(rng, *shape, gamma=0.8)
            pi = soft_policies(rng, mdp, 0.02)
            made, gradient = estimates(mdp, pi), softmax_gradient(mdp, pi)
            seen = {name: moments(mdp, pi, made[name]) for name in UNBIASED}
            bias.append(max(np.abs(each.mean - gradient).max() for each in seen.values()) / np.abs(gradient).max())
            outer = np.array([(seen[name].parts["state"], seen[name].parts["others"]) for name in CENTRAL])
            common.append(np.ptp(outer, axis=0).max() / seen["value"].variance)
            rises.append(rise(mdp, pi, made["optimal"], rng))
            bounds.append(_shares(*excess(mdp, pi)).max())
    deviations = []
    for n in (2, 6):
        mdp, pi = drawn(Crowd(n, 1.0, (lab.seed, 2, n)))
        for each in estimates(mdp, pi).values():
            spread = sampled_variance(mdp, pi, each, lab.choose(60_000, 400_000), rng)
            deviations.append(abs(spread / moments(mdp, pi, each).variance - 1.0))
    reached = _shares(*excess(crowd(6, 0.0, rng, states=1), alike(6, np.array([0.5]))))
    return [
        Claim("baselines of s and the others' actions, and the reward averaged over all agents, leave the gradient as "
              "it is", SLIDES, "largest |E g - grad J| / |grad J|", max(bias), "<=", 0.0, 1e-10),
        Claim("of the variance they change the part of the agent's own action alone", f"{SLIDES}, decomposition",
              "largest difference of the other parts / variance", max(common), "<=", 0.0, 1e-9),
        Claim("b = E[Q |score|^2] / E[|score|^2] has the least variance: at b + h it is larger by E[h^2 |score|^2]",
              f"{SLIDES}, optimal baseline", "largest relative error over random h", max(rises), "<=", 0.0, 1e-6),
        Claim("exact variances are those of samples", "netac", "largest |variance of samples / exact - 1|",
              max(deviations), "<=", 0.04),
        Claim("what the others' actions add to an agent's variance is at most B_i^2 sum_{j != i} epsilon_j^2", SETTLING,
              "largest share of the bound", max(*bounds, reached.max()), "<=", 1.0, 1e-9),
        Claim("the bound is reached: by agents that each add to the reward and toss coins", "netac",
              "least share of the bound over six agents", float(reached.min()), ">=", 1.0, 1e-9)]


def rise(mdp: FiniteMDP, pi: np.ndarray, estimate: Estimate, rng: np.random.Generator) -> float:
    """|(variance at b + h - variance at b) / E[h^2 |score|^2] - 1| for a random h_i(s, a_-i)."""
    agents, joint = mdp.agents, mdp.joint_actions
    h = np.zeros((mdp.states, joint, agents))
    for i in range(agents):
        place = with_own_last(np.arange(joint)[None], i, agents)[0]
        h[:, place, i] = rng.standard_normal((mdp.states, len(place)))[:, :, None]
    moved = moments(mdp, pi, Estimate(estimate.X - h, estimate.chance)).variance
    d, norms = visits(mdp, pi), logit_score_norms(pi)
    wanted = 0.0
    for i in range(agents):
        weight = np.ones((mdp.states, 1))
        for j in range(agents):
            weight = (weight[:, :, None] * (pi[j] * norms[j] if j == i else pi[j])[:, None]).reshape(mdp.states, -1)
        wanted += float((d[:, None] * weight * h[:, :, i]**2).sum())
    return abs((moved - moments(mdp, pi, estimate).variance) / wanted - 1.0)


def growth_claims(growth: Sequence[Row], shared: Sequence[Row], added: Sequence[Row]) -> list[Claim]:
    """How the samples needed grow with the number of agents."""
    slope = partial(exponent, growth)
    return [
        Claim("without a baseline the samples needed grow like N^2", "netac", "exponent of N", slope("none"), ">=",
              1.7),
        Claim("with the value as baseline they grow in proportion to N", "netac", "|exponent of N - 1|",
              abs(slope("value") - 1.0), "<=", 0.25),
        Claim("with a baseline that sees the others' actions they do not grow", "netac",
              "largest exponent of N, counterfactual and optimal", max(slope("counterfactual"), slope("optimal")), "<=",
              0.25),
        Claim("a sampled next state, the same for all agents, adds a term that grows like N^2", "netac",
              "exponent of N of averaged TD - value", exponent(
                  [{"agents": row["agents"], "more": row["averaged TD"] - row["value"]} for row in growth], "more"),
              ">=", 1.5),
        Claim("agents that share their policy need no more for being many, with the value as baseline", "netac",
              "exponent of N, shared logits", exponent(shared, "value"), "<=", 0.3),
        Claim("what the others' actions add, rewards being summed, is linear in N", f"{SLIDES}: only linear in n",
              "|exponent of N - 1|", abs(exponent(added, "added") - 1.0), "<=", 0.3)]


def sharp_claims(sharp: Sequence[Row], found: Sequence[dict[str, GradientNoise]]) -> list[Claim]:
    """The counterfactual baseline against the optimal one."""
    own = max(each["optimal"].parts["own"] / each["counterfactual"].parts["own"] for each in found)
    return [
        Claim("with two actions the optimal baseline leaves nothing of what the own action adds", "netac",
              "largest part of the own action, optimal / counterfactual", own, "<=", 0.0, 1e-9),
        Claim("the counterfactual baseline leaves a large variance", f"{SLIDES}: still large variance",
              f"samples needed, counterfactual / optimal, where action 1 has probability {RARE[-1]}",
              sharp[-1]["counterfactual"] / sharp[-1]["optimal"], ">=", 5.0),
        Claim("... but where both actions are as likely it is the optimal one", "netac",
              "|samples needed, counterfactual / optimal - 1|",
              abs(sharp[0]["counterfactual"] / sharp[0]["optimal"] - 1.0), "<=", 0.0, 1e-9)]


def coupling_claims(rows: Sequence[Row], apart: Sequence[dict[str, GradientNoise]]) -> list[Claim]:
    """Own rewards against averaged ones."""
    last = rows[-1]
    return [
        Claim("an agent's own TD error has no bias where agents do nothing to each other", "netac",
              "largest |E g - grad J| / |grad J|", max(each["own TD"].bias for each in apart), "<=", 0.0, 1e-10),
        Claim("... and a bias that no samples mend where they do", "netac", "mean bias with coupling 1",
              last["own TD, bias"], ">=", 0.1),
        Claim("averaged rewards cost samples", "netac",
              "samples needed, averaged TD / own TD, least over couplings",
              min(row["averaged TD"] / row["own TD"] for row in rows), ">=", 3.0)]


def exponent(rows: Sequence[Row], column: str) -> float:
    """Slope of log `column` in log N, from `FEW` agents on."""
    chosen = [row for row in rows if row["agents"] >= FEW]
    return float(np.polyfit(np.log([row["agents"] for row in chosen]), np.log([row[column] for row in chosen]), 1)[0])


# --- rows ---

def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _shares(part: np.ndarray, bound: np.ndarray) -> np.ndarray:
    return part / np.where(bound > 0, bound, 1.0)


def _needed_row(key: Row, found: Sequence[dict[str, GradientNoise]], names: Sequence[str] = ()) -> Row:
    return key | {name: _geometric([each[name].needed for each in found]) for name in names or found[0]}


def _shared_row(agents: int, found: Sequence[dict[str, GradientNoise]]) -> Row:
    return {"agents": agents, **{name: _geometric([each[name].shared for each in found]) for name in found[0]}}


def _part_rows(found: Sequence[dict[str, GradientNoise]]) -> list[Row]:
    return [{"estimate": name, **{part: float(np.mean([each[name].parts[part] for each in found]))
                                  for part in found[0][name].parts}} for name in found[0]]


def _excess_row(agents: int, lab: Lab, games: int) -> Row:
    """Geometric means over games and the mean over agents, of rewards summed over agents: N^2 times those of means."""
    added, bounds = np.transpose([[each.mean() for each in excess(*drawn(Crowd(agents, 1.0, (lab.seed, 1, k))))]
                                  for k in range(games)])
    return {"agents": agents, "added": agents**2 * _geometric(added), "bound": agents**2 * _geometric(bounds)}


def _coupled_row(coupling: float, found: Sequence[dict[str, GradientNoise]]) -> Row:
    """How many samples make the own reward's bias as bad as what the averaged one's variance is more."""
    own, averaged = (_geometric([each[name].needed for each in found]) for name in ("own TD", "averaged TD"))
    bias = float(np.sqrt(np.mean([each["own TD"].bias**2 for each in found])))
    even = (averaged - own) / bias**2 if bias > 1e-9 else None
    return {"coupling": coupling, "own TD": own, "own TD, bias": bias, "averaged TD": averaged,
            "samples where averaging is better": even}


# --- the picture ---

def draw(growth: Sequence[Row], shared: Sequence[Row], sharp: Sequence[Row], coupled: Sequence[Row]) -> Figure:
    """Samples needed against agents, with policies of their own and shared; sharp policies; own rewards or averaged."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(10.5, 8.0), layout="constrained")
    panels = figure.subplots(2, 2)
    names = [name for name in growth[0] if name != "agents"]
    colours = dict(zip(names, PALETTE, strict=False))
    for panel, rows, title in zip(panels[0], (growth, shared), ("policies of their own", "one policy for all"),
                                  strict=True):
        agents = [row["agents"] for row in rows]
        for name in names:
            panel.loglog(agents, [row[name] for row in rows], "s--" if name == "own TD" else "o-", ms=4,
                         color=colours[name], label=name)
        _whole(panel, agents)
        panel.set(xlabel="agents N", ylabel="samples needed", title=f"Variance / $|\\nabla J|^2$: {title}")
    panels[0, 0].legend(fontsize=8, ncols=2, loc="center right", bbox_to_anchor=(1.0, 0.52))
    for name in CENTRAL[1:]:
        panels[1, 0].loglog([row["probability of 1"] for row in sharp], [row[name] for row in sharp], "o-", ms=4,
                            color=colours[name], label=name)
    panels[1, 0].set(xlabel="probability of action 1", ylabel="samples needed",
                     title=f"{MANY} agents whose policies become deterministic")
    panels[1, 0].invert_xaxis()
    samples = np.geomspace(1, 1e4, 60)
    for row, shade in zip(coupled, (0.35, 0.55, 0.8, 1.0), strict=True):
        for name, style, bias in (("averaged TD", "-", 0.0), ("own TD", "--", row["own TD, bias"])):
            panels[1, 1].loglog(samples, np.sqrt(row[name] / samples + bias**2), style, color=colours[name],
                                alpha=shade, label=f"{name}, coupling {row['coupling']:g}")
    panels[1, 1].set(xlabel="samples", ylabel=r"error / $|\nabla J|$",
                     title=f"Own rewards are biased, averaged ones noisy; {MANY} agents")
    panels[1, 1].legend(fontsize=7)
    return figure


def _whole(panel: Axes, agents: Sequence[Any]) -> None:
    panel.set_xticks(list(agents), labels=[str(n) for n in agents])
    panel.minorticks_off()
