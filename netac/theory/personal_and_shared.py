"""When agents should share their policies: tasks from alike to unlike, policies all, partly and not shared.

Zeng et al. (2022) let agents share a part of their policies, "to coordinate by leveraging peers' experience and adapt
to individual tasks", and do not say how much of them.  Two finite games have a knob from tasks that are alike (0) to
tasks of the agents' own (1); netac's CAC learns them on the complete graph with policies of three forms, each with the
best of the same actor steps, from equally many samples:

    shared      one table of logits, which all agents mix
    partly      logits are the sum of such a table and of one of the agent's own
    personal    a table of the agent's own

What is missing of the best J splits in two, both known exactly as soon as J is: the *bias* best J - best J of the form,
which more samples do not lower, and the rest, what the form has not learned yet.  In the first game the actor's
direction is taken apart, too, exactly, under uniform policies and with exact critics: agents that share step along the
mean of N directions, which has a part of the variance (not 1/N of it, since all directions contain the same temporal
difference) and misses what is each agent's own, a bias that grows with the knob.  Partly shared policies take half of
the latter: logits follow the mean once with the shared table and the agent's own direction once with its own.

The same question of networks: coordinated PPO on cooperative navigation with goals from alike to unlike, all of a
network shared, its hidden layer, or nothing (`_spread_goals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

import netac
from netac.exact import FiniteMDP, induced_chain, objective, stationary_distribution, value_function
from netac.results.statistics import Interval, mean_interval
from netac.theory import _spread_goals, _tasks
from netac.theory._cac_copies import Copies, run
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._lab import Lab
from netac.theory._tasks import FORMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "paper 003, section 1"
HERE = "this experiment"
CRITICS = {"critic_step": 0.1, "reward_step": 0.1}
RHOS = dict(zip(FORMS, (0.0, 0.5, 1.0), strict=True))     # what they take of an agent's own direction, its mean once


@dataclass(frozen=True)
class World:
    """A game with a knob, and how it is learned.

    Attributes:
        name: of a function of `_tasks` that makes it.
        unlike: values of the knob.
        noise: half-width of the uniform noise of observed rewards.
        steps: actor steps that are tried.
        looks: samples after which J is looked at.
        seeds: runs of each.
    """

    name: str
    unlike: tuple[float, ...]
    noise: float
    steps: tuple[float, ...]
    looks: tuple[int, ...]
    seeds: int

    def game(self, unlike: float) -> FiniteMDP:
        """The game at a value of the knob."""
        return getattr(_tasks, self.name)(unlike)


QUICK = (World("tasks", (0.0, 0.4, 1.0), 1.0, (0.3, 1.0), (800,), 8),
         World("coordination", (0.0, 0.5, 1.0), 2.0, (0.1,), (400,), 8))
FULL = (World("tasks", (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0), 1.0, (0.15, 0.4, 1.0, 2.5), (400, 1600), 12),
        World("coordination", (0.0, 0.25, 0.5, 0.75, 1.0), 2.0, (0.03, 0.1, 0.3), (200, 800), 12))


@dataclass(frozen=True)
class Learned:
    """What a form of policies came to, with the best of the steps.

    Attributes:
        world, unlike, form, samples: of which game and when.
        step: the actor step that is the best on average.
        J: (seeds,) exact.
        possible: J of the best policies of this form.
        best: J of the best policies.
    """

    world: str
    unlike: float
    form: str
    samples: int
    step: float
    J: np.ndarray
    possible: float
    best: float

    @property
    def bias(self) -> float:
        """What the form costs however long it learns."""
        return self.best - self.possible

    @property
    def unlearned(self) -> float:
        """What is missing of the best of the form, on average."""
        return self.possible - float(self.J.mean())


Cells = dict[tuple[str, int, float, str], Learned]
"""By world, samples, knob and form."""


@dataclass(frozen=True)
class Direction:
    """One sample's actor direction, all agents' logits together, exactly.

    Attributes:
        unlike: of the game.
        bias: sum_i ||g_i - mean g||^2, g_i being agent i's mean direction: what agents miss that share.
        common, own: the variances of the N mean directions and of what each agent's own differs from it.
    """

    unlike: float
    bias: float
    common: float
    own: float

    def error(self, rho: float, samples: float) -> float:
        """The mean square error of a mean of directions of which a share rho of the agents' own part is taken."""
        return (1.0 - rho)**2 * self.bias + (self.common + rho**2 * self.own) / samples

    @property
    def up_to(self) -> float:
        """Of how many samples the mean direction of all is nearer to an agent's own than its own estimate is."""
        return self.own / self.bias if self.bias > 1e-20 else np.inf        # 0 but for rounding


def experiment(lab: Lab) -> Finding:
    """Eight agents and 1,600 samples; four in the coordination game, 800; twelve seeds (quick: half of both, eight).

    Networks: four agents, 19,200 samples, five seeds (quick: one).
    """
    worlds = lab.choose(QUICK, FULL)
    cells = learned(lab, worlds)
    voyage, sailed = _spread_goals.sailed(lab)
    directions = [direction(_tasks.tasks(unlike), unlike) for unlike in worlds[0].unlike]
    agents, crossings = _tasks.tasks(0.0).agents, crossing_rows(worlds, cells)
    shown = (
        Table("learned", "J at equal samples: mean over seeds with its 95 % interval; what is missing of the best J: "
              "the form's bias, and what is not learned yet", [_row(each) for each in cells.values()]),
        Table("crossings", "The knob at which shared and personal policies are equally good: measured, and where the "
              "bias is what sharing saves in tasks that are alike",
              [*crossings, *network_crossings(voyage, sailed)]),
        Table("regrets", "The most that a form loses against the best of the three, over all values of the knob",
              [*regret_rows(worlds, cells), {"world": "spread", "samples": voyage.samples(_spread_goals.PARTS - 1),
                                             **_spread_goals.regrets(voyage, sailed)}]),
        Table("spread", "Networks on cooperative navigation with personal goals: an agent's mean reward per step over "
              "parts of a run, until so many samples, and what it is more than with personal policies, by seed",
              _spread_goals.rows(voyage, sailed)),
        Table("directions", f"The actor's direction in the first game, {agents} agents, uniform policies: bias and "
              "variance, and mean square errors of means of 10 and 1,000 samples",
              [_direction_row(each) for each in directions]))
    claims = [*_learned_claims(worlds, cells, crossings), *_exact_claims(worlds, directions, cells, lab.seed),
              *_spread_goals.claims(voyage, sailed)]
    return Finding(claims, shown, partial(draw, worlds, cells, directions, voyage, sailed))


def learned(lab: Lab, worlds: Sequence[World]) -> Cells:
    """What the forms come to in all worlds, each with its best step."""
    items = [(world, step) for world in worlds for step in world.steps]
    found = {(world.name, step): J for (world, step), J in
             zip(items, lab.each(partial(learn, seed=1000 * lab.seed), items, "worlds"), strict=True)}
    cells: Cells = {}
    for world in worlds:
        for i, j, k in product(range(len(world.unlike)), range(len(FORMS)), range(len(world.looks))):
            unlike, form, samples = world.unlike[i], FORMS[j], world.looks[k]
            game = world.game(unlike)
            J = {step: found[world.name, step][k, i, j] for step in world.steps}
            step = max(J, key=lambda step: J[step].mean())
            cells[world.name, samples, unlike, form] = Learned(world.name, unlike, form, samples, step, J[step],
                                                               _tasks.best(game, form), _tasks.best(game, "personal"))
    return cells


def learn(item: tuple[World, float], seed: int) -> np.ndarray:
    """(looks, knobs, forms, seeds) the exact J of CAC's policies in a world, with an actor step."""
    world, step = item
    games = [world.game(unlike) for unlike in world.unlike]
    N, runs = games[0].agents, list(product(range(len(games)), range(len(FORMS)), range(world.seeds)))
    game, form, seeds = np.array(runs).T
    copies = Copies(games, game, [seed + int(k) for k in seeds], form != FORMS.index("personal"),
                    form != FORMS.index("shared"), np.tile([step, *CRITICS.values()], (len(runs), 1)),
                    lambda t: np.full((N, N), 1.0 / N), _tasks.features(games[0]), world.noise)
    J = [[objective(games[k], x.policies(c)) for c, k in enumerate(game)] for x in run(copies, world.looks)]
    return np.array(J).reshape(len(world.looks), len(games), len(FORMS), world.seeds)


def off(world: World, form: str, seed: int) -> float:
    """By how much a copy's J differs from that of netac's own run after a short time."""
    unlike, step, look = world.unlike[-1], world.steps[-1], 100
    short = replace(world, unlike=(unlike,), looks=(look,), seeds=1)
    with TemporaryDirectory(prefix="netac-") as folder:
        tables = _tasks.tables(world.game(unlike), form, Path(folder))
        tables["env"]["noise"] = world.noise
        found = netac.run({**tables, "iterations": look, "log_every": look, "seed": seed, "topology": "complete",
                           "algorithm": {"name": "cac", "actor_step": step, **CRITICS}}).metrics
    return float(abs(found["J"][-1] - learn((short, step), seed)[0, 0, FORMS.index(form), 0]))


def direction(mdp: FiniteMDP, unlike: float) -> Direction:
    """Of one sample of the chain under uniform policies, with the exact R and V in CAC's line 9."""
    N, S, A = mdp.agents, mdp.states, mdp.actions
    pi = np.full((N, S, A), 1.0 / A)
    chain, V = induced_chain(mdp, pi), value_function(mdp, pi)
    p = (stationary_distribution(chain.transition)[:, None] * chain.joint)[:, :, None] * mdp.P          # (S, J, S')
    delta = mdp.team_reward[:, :, None] + mdp.gamma * V - V[:, None, None]
    first, second = (p * delta).sum(axis=2), (p * delta**2).sum(axis=2)                                 # (S, J)
    taken = np.stack(np.unravel_index(np.arange(mdp.joint_actions), (A,) * N))
    scores = np.eye(A)[taken] - 1.0 / A                                                                 # (N, J, A)
    g = np.einsum("sj,nja->nsa", first, scores)
    squares, mean = np.square(scores).sum(axis=2), np.square(scores.mean(axis=0)).sum(axis=1)
    off = np.square(g - g.mean(axis=0)).sum()
    common = N * ((second @ mean).sum() - np.square(g.mean(axis=0)).sum())
    own = (second @ squares.sum(axis=0)).sum() - N * (second @ mean).sum() - off
    return Direction(unlike, float(off), float(common), float(own))


def gain(cells: Cells, world: World, samples: int, unlike: float) -> np.ndarray:
    """(seeds,) J of shared policies less that of personal ones, by the seed."""
    return cells[world.name, samples, unlike, "shared"].J - cells[world.name, samples, unlike, "personal"].J


def crossing(unlike: Sequence[float] | np.ndarray, gains: Sequence[float]) -> float:
    """Where a gain that falls with the knob first becomes negative, between two values linearly; NaN: nowhere."""
    for k in range(1, len(gains)):
        if gains[k - 1] >= 0 > gains[k]:
            return float(unlike[k - 1] + (unlike[k] - unlike[k - 1]) * gains[k - 1] / (gains[k - 1] - gains[k]))
    return float("nan")


def crossing_rows(worlds: Sequence[World], cells: Cells) -> list[Row]:
    """Measured, and foretold from tasks that are alike and the exact bias."""
    rows = []
    for world in worlds:
        for samples in world.looks:
            saved = float(gain(cells, world, samples, 0.0).mean())
            knobs = np.linspace(0.0, 1.0, 101)
            foretold = [saved - (_tasks.best(game, "personal") - _tasks.best(game, "shared"))
                        for game in map(world.game, knobs)]
            rows.append({"world": world.name, "samples": samples, "sharing_saves": saved,
                         "crossing": crossing(world.unlike, [float(gain(cells, world, samples, unlike).mean())
                                                             for unlike in world.unlike]),
                         "foretold": crossing(knobs, foretold)})
    return rows


def network_crossings(voyage: _spread_goals.Voyage, sailed: _spread_goals.Sailed) -> list[Row]:
    """Measured, of the parts of networks' runs; their bias is not known."""
    rows = []
    for part in range(_spread_goals.PARTS):
        gains = _spread_goals.gains(voyage, sailed, part)
        rows.append({"world": "spread", "samples": voyage.samples(part), "sharing_saves": gains[0],
                     "crossing": crossing(voyage.unlike, gains), "foretold": None})
    return rows


def regret_rows(worlds: Sequence[World], cells: Cells) -> list[Row]:
    """What each form loses at most against the best of the three."""
    rows = []
    for world in worlds:
        for samples in world.looks:
            J = np.array([[cells[world.name, samples, unlike, form].J.mean() for form in FORMS]
                          for unlike in world.unlike])
            regrets = (J.max(axis=1, keepdims=True) - J).max(axis=0)
            rows.append({"world": world.name, "samples": samples,
                         **{form: float(regret) for form, regret in zip(FORMS, regrets, strict=True)}})
    return rows


def _learned_claims(worlds: Sequence[World], cells: Cells, crossings: Sequence[Row]) -> list[Claim]:
    claims = []
    for world in worlds:
        name, last = world.name, world.looks[-1]
        ends = {unlike: mean_interval(gain(cells, world, last, unlike)) for unlike in (0.0, 1.0)}
        regret = regret_rows([world], cells)[-1]
        scale = cells[name, last, 0.0, "shared"].best - objective(world.game(0.0), _uniform(world.game(0.0)))
        claims += [
            Claim(f"agents with tasks that are alike learn more from equally many samples if they share: {name}",
                  SOURCE, "J shared - J personal over what there is to win, lower 95 % limit",
                  ends[0.0].low / scale, ">=", 0.01),
            Claim(f"agents with tasks of their own learn more if they do not: {name}", SOURCE,
                  "J shared - J personal over the same, upper 95 % limit", ends[1.0].high / scale, "<=", -0.3),
            Claim(f"who does not know how alike tasks are loses least with partly shared policies: {name}", HERE,
                  "the most it loses against the best form, over the lesser of the others' most",
                  regret["partly"] / max(min(regret["shared"], regret["personal"]), 1e-12), "<=", 0.8)]
    first = worlds[0]
    rows = [row for row in crossings if row["world"] == first.name]
    claims.append(Claim("shared and personal policies cross where the bias is what sharing saves in tasks that are "
                        f"alike: {first.name}", HERE, "|crossing - the one foretold|",
                        abs(rows[-1]["crossing"] - rows[-1]["foretold"]), "<=", 0.0, 0.12))
    if len(rows) > 1:
        claims.append(Claim(f"with more samples it pays sooner not to share: {first.name}", HERE,
                            f"crossing with {first.looks[-1]:,} samples less that with {first.looks[0]:,}",
                            rows[-1]["crossing"] - rows[0]["crossing"], "<=", -0.02))
    return claims


def _exact_claims(worlds: Sequence[World], directions: Sequence[Direction], cells: Cells, seed: int) -> list[Claim]:
    alike = [cell for cell in cells.values() if cell.form == "shared" and cell.unlike == 0.0]
    unlike = [cell for cell in cells.values() if cell.form == "shared" and cell.unlike == 1.0]
    agents = _tasks.tasks(0.0).agents
    return [
        Claim("the runs, made side by side, are netac's own", "netac.theory._cac_copies",
              "largest difference of J after 100 samples", max(off(world, form, seed) for world in worlds
                                                               for form in FORMS), "<=", 0.0, 1e-9),
        Claim("sharing costs nothing where tasks are alike, however long agents learn", SOURCE,
              "largest bias of shared policies", max(cell.bias for cell in alike), "<=", 0.0, 1e-9),
        Claim("and at least half of all that can be reached where they are not", SOURCE,
              "least bias over the best J", min(cell.bias / cell.best for cell in unlike), ">=", 0.5),
        Claim("the mean of N agents' directions has less variance than their own", HERE,
              "largest variance of what all take of it, over that of their own",
              max(each.common / (each.common + each.own) for each in directions), "<=", 0.5),
        Claim("it has 1/N of the variance", "a common belief", f"N times the same where tasks are alike, N = {agents}",
              agents * directions[0].common / (directions[0].common + directions[0].own), ">=", 2.0, refuted=True),
        Claim("its bias grows with the knob", HERE, "least increase from one value to the next",
              min(np.diff([each.bias for each in directions])), ">=", 1e-4),
        Claim("of 10 samples the mean of all is nearer to an agent's own direction than its own, even where tasks have "
              "nothing in common", HERE, "samples up to which it is so, knob at 1", directions[-1].up_to, ">=", 10.0)]


def _uniform(mdp: FiniteMDP) -> np.ndarray:
    return np.full((mdp.agents, mdp.states, mdp.actions), 1.0 / mdp.actions)


def _row(each: Learned) -> Row:
    J: Interval = mean_interval(each.J)
    return {"world": each.world, "unlike": each.unlike, "samples": each.samples, "form": each.form, "step": each.step,
            "J": J.estimate, "low": J.low, "high": J.high, "best": each.best, "bias": each.bias,
            "unlearned": each.unlearned}


def _direction_row(each: Direction) -> Row:
    errors = {f"{form}, {samples}": each.error(rho, samples) for samples in (10, 1000)
              for form, rho in RHOS.items()}
    return {"unlike": each.unlike, "bias": each.bias, "shared_variance": each.common,
            "personal_variance": each.common + each.own,
            "shared_up_to": each.up_to if np.isfinite(each.up_to) else None, **errors}


def draw(worlds: Sequence[World], cells: Cells, directions: Sequence[Direction], voyage: _spread_goals.Voyage,
         sailed: _spread_goals.Sailed) -> Figure:
    """What is missing of the best J against the knob, in both games, rewards of networks, and the direction's bias and
    variance."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(15.5, 4.0), layout="constrained")
    *panels, networks, last = figure.subplots(1, 4)
    for panel, world in zip(panels, worlds, strict=True):
        for colour, form in zip(PALETTE, FORMS, strict=False):
            for samples, style in zip(world.looks[::-1], ("o-", "o:"), strict=False):
                row = [cells[world.name, samples, unlike, form] for unlike in world.unlike]
                losses = [mean_interval(each.best - each.J) for each in row]
                panel.plot(world.unlike, [loss.estimate for loss in losses], style, ms=4, color=colour,
                           label=form if style == "o-" else None)
                panel.vlines(world.unlike, [loss.low for loss in losses], [loss.high for loss in losses], color=colour)
        knobs = np.linspace(0.0, 1.0, 51)
        panel.plot(knobs, [_tasks.best(game, "personal") - _tasks.best(game, "shared")
                           for game in map(world.game, knobs)], color="#777777", lw=1, ls="--", label="bias of sharing")
        panel.set(xlabel="0: tasks alike, 1: tasks of their own", ylabel="best J - J",
                  title=f"{world.name}, {' (dotted) and '.join(f'{samples:,}' for samples in world.looks)} samples")
    panels[0].legend(fontsize=8)
    for colour, form in zip(PALETTE, FORMS, strict=False):
        ends = [mean_interval(sailed[unlike, form][:, -1]) for unlike in voyage.unlike]
        networks.plot(voyage.unlike, [end.estimate for end in ends], "o-", ms=4, color=colour)
        networks.vlines(voyage.unlike, [end.low for end in ends], [end.high for end in ends], color=colour)
    networks.set(xlabel="0: goals alike, 1: goals of their own", ylabel="reward per step",
                 title=f"spread, networks,\n{voyage.samples(_spread_goals.PARTS - 1):,} samples")
    unlike = [each.unlike for each in directions]
    for colour, rho in zip(PALETTE, RHOS.values(), strict=False):
        for samples, style in ((1000, "o-"), (10, "o:")):
            last.plot(unlike, [each.error(rho, samples) for each in directions], style, ms=4, color=colour)
    last.set(yscale="log", xlabel="0: tasks alike, 1: tasks of their own", ylabel="mean square error",
             title="tasks: the actor's direction, exactly\n1,000 (solid) and 10 (dotted) samples")
    return figure
