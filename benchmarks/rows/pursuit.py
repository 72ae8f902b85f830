"""Pursuit-evasion, 64 games at once: joint steps a second, with everybody's observations, against PettingZoo's."""

from __future__ import annotations

import time
import warnings

import numpy as np

from benchmarks.timing import Row, compare, race
from netac.envs import pursuit
from netac.options import checked

PROCESSES = 1
AGENTS, GAMES = 8, 64
STEPS, FLOOR_STEPS, BLOCKS = 1_000, 300, 7
PAPER = {"surround": False, "n_catch": 2, "shared_reward": False}


def measure(comm) -> list[Row]:
    """Two rows: the paper's settings and PettingZoo's defaults; both on 16 x 16 cells with 30 evaders."""
    what = f"pursuit-evasion, {AGENTS} pursuers, {GAMES} games: joint steps a second / PettingZoo's `pursuit_v5`, one game"
    return [_row(f"{what}; {note}", options) for note, options in (("the paper's settings", PAPER), ("default settings", {}))]


def _row(what: str, options: dict) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from pettingzoo.sisl import pursuit_v5
    rng = np.random.default_rng(0)
    actions, theirs_actions = rng.integers(5, size=(STEPS, AGENTS, GAMES)), rng.integers(5, size=(FLOOR_STEPS, AGENTS)).tolist()
    mine, theirs = pursuit.make(checked(pursuit.Settings, options), AGENTS, GAMES), pursuit_v5.parallel_env(**options)
    mine.begin(0, 0)
    theirs.reset(seed=0)

    def netac() -> float:
        started = time.perf_counter()
        for joint in actions:
            step = mine.step(joint)
            mine.observe(range(AGENTS))
            if step.over.any():
                mine.restart(step.over)
        return (time.perf_counter() - started) / (STEPS * GAMES)

    def pettingzoo() -> float:
        started = time.perf_counter()
        for joint in theirs_actions:
            if not theirs.agents:
                theirs.reset()
            theirs.step(dict(zip(theirs.agents, joint, strict=True)))
        return (time.perf_counter() - started) / FLOOR_STEPS

    return compare(what, race(netac, pettingzoo, BLOCKS), lambda seconds: f"{1 / seconds:,.0f} steps/s", 60, inverse=True)
