"""Battles: joint steps a second of netac's games, with all that agents are shown, against jaxmarl's compiled loop."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec

import numpy as np

from benchmarks.floors.smax_loop import compiled_play
from benchmarks.timing import Row, compare, race
from netac.envs import _smax_battles, smax

PROCESSES = 1
SCENARIO, GAMES, STEPS, BLOCKS = "3m", (20, 128), {20: 500, 128: 150}, 7
LEAST = 0.8


def measure(comm) -> list[Row]:
    """A row for each number of games, on one core; without jaxmarl they say so.

    Both play evenly drawn allowed actions, and both begin anew the games that have ended.  jaxmarl's loop is one
    compiled program: actions, keys and states stay in it, and it tells nobody what agents see.
    """
    if find_spec("jaxmarl") is None:
        return [Row(_what(games), "", "", limit=LEAST, at_least=True, note="no jaxmarl (the extra smax)")
                for games in GAMES]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return [_row(games) for games in GAMES]


def _what(games: int) -> str:
    return (f"smax, {SCENARIO}, {games} games, one core: joint steps a second, with observations, states and masks / "
            "jaxmarl 0.2.0's environment in one compiled loop of random play (compiling not counted)")


def _row(games: int) -> Row:
    steps, settings = STEPS[games], smax.Settings(scenario=SCENARIO)
    _smax_battles._compiled.clear()          # or games are played as many at a time as those of the row before
    env = smax.make(settings, smax.SCENARIOS[SCENARIO][0], games)
    env.begin(0, 0)
    agents, rng, play = range(env.agents), np.random.default_rng(0), compiled_play(SCENARIO, games, steps)
    keys = [rng.random((env.agents, games, env.actions[0].n_actions)) for _ in range(16)]

    def netac() -> float:
        started = time.perf_counter()
        for t in range(steps):
            actions = np.where(env.action_masks(agents), keys[t % 16], -1.0).argmax(axis=-1)
            step = env.step(actions)
            env.observe(agents)
            env.state()
            if step.done.any():
                env.restart(step.done)
        return (time.perf_counter() - started) / (steps * games)

    def theirs() -> float:
        started = time.perf_counter()
        play()
        return (time.perf_counter() - started) / (steps * games)

    return compare(_what(games), race(netac, theirs, BLOCKS), lambda seconds: f"{1 / seconds:,.0f} steps/s", LEAST,
                   inverse=True)
