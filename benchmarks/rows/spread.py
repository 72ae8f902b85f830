"""Cooperative navigation, 64 games at once: joint steps a second, with everybody's observations, against mpe2's."""

from __future__ import annotations

import numpy as np

from benchmarks.playing import steps_a_second
from benchmarks.timing import Row
from netac.envs import spread
from netac.utils.options import checked

PROCESSES = 1
AGENTS, GAMES = 3, 64
STEPS, FLOOR_STEPS, BLOCKS = 2_000, 500, 7


def measure(comm) -> list[Row]:
    """Two rows: discrete and continuous actions; the other settings are mpe2's defaults."""
    what = (f"cooperative navigation, {AGENTS} agents, {GAMES} games: joint steps a second / mpe2's "
            "`simple_spread_v3`, one game")
    return [_row(f"{what}; {note} actions", continuous)
            for note, continuous in (("discrete", False), ("continuous", True))]


def _row(what: str, continuous: bool) -> Row:
    from mpe2 import simple_spread_v3
    options, rng = {"continuous_actions": continuous}, np.random.default_rng(0)
    if continuous:
        actions = rng.random((STEPS, AGENTS, GAMES, 5))
        theirs_actions = rng.random((FLOOR_STEPS, AGENTS, 5), dtype=np.float32)
    else:
        actions = rng.integers(5, size=(STEPS, AGENTS, GAMES))
        theirs_actions = rng.integers(5, size=(FLOOR_STEPS, AGENTS)).tolist()
    mine, theirs = (spread.make(checked(spread.Settings, options), AGENTS, GAMES),
                    simple_spread_v3.parallel_env(**options))
    return steps_a_second(what, mine, theirs, actions, theirs_actions, BLOCKS, 30)
