"""Pursuit-evasion, 64 games at once: joint steps a second, with everybody's observations, against PettingZoo's."""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks.playing import steps_a_second
from benchmarks.timing import Row
from netac.envs import pursuit
from netac.utils.options import checked

PROCESSES = 1
AGENTS, GAMES = 8, 64
STEPS, FLOOR_STEPS, BLOCKS = 1_000, 300, 7
PAPER = {"surround": False, "n_catch": 2, "shared_reward": False}


def measure(comm) -> list[Row]:
    """Two rows: the paper's settings and PettingZoo's defaults; both on 16 x 16 cells with 30 evaders."""
    what = (f"pursuit-evasion, {AGENTS} pursuers, {GAMES} games: joint steps a second / PettingZoo's `pursuit_v5`, "
            "one game")
    return [_row(f"{what}; {note}", options)
            for note, options in (("the paper's settings", PAPER), ("default settings", {}))]


def _row(what: str, options: dict) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from pettingzoo.sisl import pursuit_v5
    rng = np.random.default_rng(0)
    actions, theirs_actions = (rng.integers(5, size=(STEPS, AGENTS, GAMES)),
                               rng.integers(5, size=(FLOOR_STEPS, AGENTS)).tolist())
    mine, theirs = pursuit.make(checked(pursuit.Settings, options), AGENTS, GAMES), pursuit_v5.parallel_env(**options)
    return steps_a_second(what, mine, theirs, actions, theirs_actions, BLOCKS, 60)
