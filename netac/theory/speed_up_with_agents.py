"""How much more exactly N agents evaluate a policy than one does: errors of netac's critics against exact predictions.

Agents that mix their critics average what they have learned, so that noise of each agent's own falls like 1/N; but all
see the same states, and what they draw of these is noise that no averaging takes away.  A Markov chain of three states
pays all agents the same r(s), which each observes with noise of its own; there is nothing to decide, so that CAC's
critics are all that moves: V, whose error has a part of either kind, and the reward model R, which sees no next state.
They run with constant steps along one chain, and their squared errors are averaged over many runs and their long end.

What is measured is held against second moments that are exact (`_critic_moments`): of the agents' mean, and of each
agent on its own, whose distance from the mean depends on the graph.  From the same moments: how many iterations the
mean needs to a given error, with the best constant step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

import netac
from netac import topology
from netac.exact import FiniteMDP
from netac.theory._cac_copies import Copies, run
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._critic_moments import StandingCritics, mean_of_agents
from netac.theory._lab import Lab
from netac.theory._walk import save_game

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = "this experiment"
P = np.array([[0.2, 0.6, 0.2], [0.1, 0.3, 0.6], [0.5, 0.2, 0.3]])
REWARD = np.array([0.0, 0.5, 1.5])
GAMMA, STEP = 0.5, 0.2
HALF_WIDTH = 2.0                            # of the uniform noise of observed rewards
VARIANCE = HALF_WIDTH**2 / 3.0
START, EVERY = 400, 4                       # iterations that are left out, and one in so many is looked at
TARGET = 1e-3                               # squared error that the best constant step is asked to reach
STEPS = np.geomspace(1e-4, 1.0, 41)
LONGEST = 10**7
MEASURES = ("V", "R", "V, own")


@dataclass(frozen=True)
class Team:
    """Agents that evaluate together.

    Attributes:
        graph: a topology.
        agents: N.
        noisy: whether each observes rewards with noise of its own.
    """

    graph: str
    agents: int
    noisy: bool


@dataclass(frozen=True)
class Evaluated:
    """Squared errors of a team by `MEASURES`: of the mean V and R, and of an agent's own V, on average.

    Attributes:
        team: whose.
        measured, predicted: (3,) each.
    """

    team: Team
    measured: np.ndarray
    predicted: np.ndarray


def experiment(lab: Lab) -> Finding:
    """N = 1 to 64 on the complete graph, some N without noise and on the ring; 24 runs of each (quick: fewer)."""
    sizes = lab.choose((1, 4, 32), (1, 2, 4, 8, 16, 32, 64))
    teams = [Team("complete", n, True) for n in sizes]
    teams += [Team("complete", n, False) for n in lab.choose((1, 32), (1, 8, 64))]
    teams += [Team("ring", n, True) for n in lab.choose((32,), (8, 16, 32, 64))]
    errors = lab.each(partial(measured, runs=lab.choose(12, 24), iterations=lab.choose(1_200, 2_400), seed=lab.seed),
                      teams, "teams")
    found = [Evaluated(team, error, predicted(team)) for team, error in zip(teams, errors, strict=True)]
    times = time_rows((1, 4, 16, 64, 256))
    shown = (Table("errors", f"Squared errors with a step of {STEP:g}: measured, and predicted exactly; an agent's own "
                   "error is that of the mean and its distance from it", [_row(each) for each in found]),
             Table("times", f"Iterations until the mean's squared error is {TARGET:g}, with the best constant step "
                   "(exact), and how many times fewer than those of one agent", times))
    return Finding(_claims(found, times, off(lab.seed), lab.quick), shown, partial(draw, found, times))


def critics(gamma: float, step: float = STEP) -> StandingCritics:
    """V's recursion, or with gamma = 0 that of R."""
    return StandingCritics(P, np.eye(len(P)), gamma, step)


def game(agents: int) -> FiniteMDP:
    """The chain, which pays all agents the same."""
    return FiniteMDP(P[:, None], np.tile(REWARD[:, None, None], (1, 1, agents)), np.full(3, 1.0 / 3.0), GAMMA)


def copies(team: Team, seeds: Sequence[int]) -> Copies:
    """CAC's runs."""
    C, W = len(seeds), topology.load(team.graph, team.agents).matrix(0).toarray()
    return Copies([game(team.agents)], np.zeros(C, dtype=int), seeds, np.zeros(C, dtype=bool), np.ones(C, dtype=bool),
                  np.tile([0.0, STEP, STEP], (C, 1)), lambda t: W, np.eye(3)[:, None], HALF_WIDTH * team.noisy)


def measured(team: Team, runs: int, iterations: int, seed: int) -> np.ndarray:
    """(3,) `MEASURES` of CAC, averaged over runs and the iterations from `START` on."""
    reward = np.tile(REWARD[:, None], (1, 3))
    V, R = (critics(gamma).fixed_point(reward) for gamma in (GAMMA, 0.0))
    total, times = np.zeros(3), range(START, iterations, EVERY)
    for x in run(copies(team, range(1000 * seed, 1000 * seed + runs)), times):
        total += [np.square(x.omega.mean(axis=1) - V).sum(axis=1).mean(),
                  np.square(x.lam.mean(axis=1) - R).sum(axis=1).mean(), np.square(x.omega - V).sum(axis=2).mean()]
    return total / len(times)


def off(seed: int) -> float:
    """By how much such runs differ from netac's own, in omega and lambda of four agents after 50 iterations."""
    with TemporaryDirectory(prefix="netac-") as folder:
        found = netac.run({
            "agents": 4, "iterations": 50, "seed": seed, "topology": "complete", "policy": {"shared": []},
            "env": {"name": "finite-mdp", "path": save_game(game(4), Path(folder) / "game.npz"), "noise": HALF_WIDTH},
            "algorithm": {"name": "cac", "actor_step": 0.1, "critic_step": STEP, "reward_step": STEP}}).parameters
    *_, x = run(copies(Team("complete", 4, True), (seed,)), [50])
    return float(max(np.abs(x.omega[0] - found["omega"]).max(), np.abs(x.lam[0] - found["lambda"]).max()))


def predicted(team: Team) -> np.ndarray:
    """(3,) `MEASURES` in the long run, exactly."""
    variance = VARIANCE * team.noisy
    V, R = (of_mean(critics(gamma), team.agents, variance) for gamma in (GAMMA, 0.0))
    return np.array([V, R, V + apart(critics(GAMMA), team, variance)])


def of_mean(critic: StandingCritics, agents: int, variance: float) -> float:
    """E ||mean omega - omega*||^2 in the long run, with noise of that variance of each agent's own."""
    return critic.in_the_long_run(_recursion(critic, agents, variance))


def apart(critic: StandingCritics, team: Team, variance: float) -> float:
    """E mean_i ||omega_i - mean omega||^2 in the long run: what the other eigenvectors of W make of the noise."""
    eigenvalues = np.sort(np.linalg.eigvalsh(topology.load(team.graph, team.agents).matrix(0).toarray()))[:-1]
    zero = np.zeros_like(critic.P)
    values, times = np.unique(np.round(eigenvalues, 12), return_counts=True)
    return sum(count * critic.in_the_long_run(critic.recursion(value, zero, zero + variance))
               for value, count in zip(values, times, strict=True)) / team.agents


def _recursion(critic: StandingCritics, agents: int, variance: float) -> np.ndarray:
    reward = np.tile(REWARD[:, None], (1, len(P)))
    return critic.recursion(1.0, *mean_of_agents(critic, reward, variance / agents))


def time_rows(sizes: Sequence[int]) -> list[Row]:
    """Iterations to `TARGET` of V and of R with the best of `STEPS`, and the speed-up over one agent, the first."""
    rows: list[Row] = [{"agents": agents} for agents in sizes]
    for name, gamma in (("V", GAMMA), ("R", 0.0)):
        found = [fastest(gamma, agents) for agents in sizes]
        for row, (time, step) in zip(rows, found, strict=True):
            row |= {name: time, f"{name} step": step, f"{name} speed-up": found[0][0] / time}
    return rows


def fastest(gamma: float, agents: int) -> tuple[int, float]:
    """The fewest iterations until E ||mean - fixed point||^2 <= `TARGET`, from weights of 0, and the step."""
    return min((time, float(step)) for step in STEPS if (time := until(gamma, agents, step)) is not None)


def until(gamma: float, agents: int, step: float) -> int | None:
    """The same with a given step; None: not within `LONGEST` iterations."""
    critic = critics(gamma, step)
    moments = _recursion(critic, agents, VARIANCE)
    start = critic.start(-critic.fixed_point(np.tile(REWARD[:, None], (1, len(P)))), np.full(len(P), 1.0 / len(P)))
    times = np.unique(np.geomspace(1, LONGEST, 600).round())
    for _ in range(2):                                                  # roughly, then between two of these times
        reached = critic.course(moments, start, times) <= TARGET
        if not reached.any():
            return None
        k = int(reached.argmax())
        times = np.unique(np.linspace(times[max(k - 1, 0)], times[k], 1000).round())
    return int(times[(critic.course(moments, start, times) <= TARGET).argmax()])


def at_most(step: float) -> float:
    """The error of one agent's V over that of infinitely many, both in the long run: what all agents buy together."""
    critic = critics(GAMMA, step)
    return of_mean(critic, 1, VARIANCE) / of_mean(critic, 1, 0.0)


def _claims(found: Sequence[Evaluated], times: Sequence[Row], off: float, quick: bool) -> list[Claim]:
    noisy, quiet = ([each for each in found if each.team.graph == "complete" and each.team.noisy is way]
                    for way in (True, False))
    N = np.array([each.team.agents for each in noisy])
    V, R, own = np.array([each.measured for each in noisy]).T
    ratios = np.concatenate([each.measured[which] / each.predicted[which] for each in found
                             for which in ([0, 1, 2] if each.team.noisy else [0, 2],)])
    last = times[-1]
    return [
        Claim("the runs, made side by side, are netac's own", "netac.theory._cac_copies",
              "largest difference of omega and lambda after 50 samples", off, "<=", 0.0, 1e-9),
        Claim("netac's critics err as exact second moments say: V and R of the mean, and an agent's own V", HERE,
              f"largest |measured / predicted - 1| of {len(ratios)}", float(np.abs(ratios - 1.0).max()), "<=", 0.0,
              0.25 if quick else 0.12),
        Claim("the mean R, which errs by noise of the agents' own alone, errs by 1/N", HERE,
              "|slope of log error against log N + 1|", float(abs(np.polyfit(np.log(N), np.log(R), 1)[0] + 1.0)), "<=",
              0.0, 0.1),
        Claim("so does V, on this game down to twice the floor of the transitions, which agents share", HERE,
              f"error at N = {N[-1]} over the floor", float(V[-1] / quiet[0].predicted[0]), "<=", 2.0),
        Claim("V errs by 1/N as well", "a common belief", f"N error(N) / error(1), N = {N[-1]}",
              float(N[-1] * V[-1] / V[0]), ">=", 2.0, refuted=True),
        Claim("without noise of their own more agents do not err less", HERE, "largest |error(N) / error(1) - 1|, V",
              max(abs(float(each.measured[0] / quiet[0].measured[0]) - 1.0) for each in quiet), "<=", 0.0, 1e-9),
        Claim("an agent's own error falls with N as the mean's does", "a common belief",
              f"what agents differ from their mean by, N = {N[-1]} over N = 4",
              float((own - V)[-1] / (own - V)[N == 4].item()), ">=", 1.0, refuted=True),
        Claim("R is learned N times sooner", HERE, f"speed-up / N, N = {last['agents']}",
              last["R speed-up"] / last["agents"], ">=", 0.9),
        Claim("V only as many times as one agent's error exceeds the floor", HERE,
              f"speed-up / (error of one agent / floor), N = {last['agents']}",
              last["V speed-up"] / at_most(last["V step"]), "<=", 1.0)]


def _row(each: Evaluated) -> Row:
    row: Row = {"graph": each.team.graph, "agents": each.team.agents, "noise": each.team.noisy}
    for name, measured, predicted in zip(MEASURES, each.measured, each.predicted, strict=True):
        row |= {name: float(measured), f"{name} predicted": float(predicted)}
    return row


def draw(found: Sequence[Evaluated], times: Sequence[Row]) -> Figure:
    """Errors against the number of agents, measured and predicted, and the speed-up."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    blue, orange, green, pink, *_ = PALETTE
    lines = (("complete", True, 0, blue, "V of the mean"), ("complete", True, 1, orange, "R of the mean"),
             ("complete", True, 2, green, "an agent's own V, complete graph"),
             ("ring", True, 2, pink, "an agent's own V, ring"),
             ("complete", False, 0, "#777777", "V of the mean, no noise of their own"))
    for graph, noisy, k, colour, label in lines:
        row = [each for each in found if (each.team.graph, each.team.noisy) == (graph, noisy)]
        N = [each.team.agents for each in row]
        left.loglog(N, [each.measured[k] for each in row], "o", ms=5, color=colour, label=label)
        left.loglog(N, [each.predicted[k] for each in row], "-", lw=1.2, color=colour)
    left.set(xlabel="agents N", ylabel="squared error", title="points: netac's CAC; lines: exact second moments")
    left.legend(fontsize=8)
    N = [row["agents"] for row in times]
    for name, colour in (("V", blue), ("R", orange)):
        right.loglog(N, [row[f"{name} speed-up"] for row in times], "o-", ms=4, color=colour, label=name)
    right.loglog(N, N, "--", lw=1, color="#777777", label="N")
    right.axhline(at_most(times[-1]["V step"]), lw=1, ls=":", color=blue, label="error of one agent / floor")
    right.set(xlabel="agents N", ylabel="times sooner than one agent",
              title=f"to a squared error of {TARGET:g} with the best step")
    right.legend(fontsize=8)
    return figure
