"""The platoon, 64 games at once: joint steps a second, with everybody's observations, against loops over vehicles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from benchmarks.floors.platoon_loop import Loop, cut
from benchmarks.playing import steps_a_second
from benchmarks.timing import Row
from netac.envs import platoon

PROCESSES = 1
VEHICLES, GAMES, STEPS, FLOOR_STEPS, BLOCKS = 8, 64, 3_000, 600, 7
LEAST = 100


def measure(comm) -> list[Row]:
    """Two rows: against NumPy's functions, as the published environment has them, and for information plain floats."""
    return [_row("with NumPy's functions", Loop(VEHICLES, np, np.clip)),
            replace(_row("with plain floats", Loop(VEHICLES, math, cut)), limit=None)]


def _row(how: str, theirs: Loop) -> Row:
    """Gentle actions, with which nobody collides: standing still would be less work."""
    actions = np.full((STEPS, VEHICLES, GAMES), 3)
    return steps_a_second(f"platoon, {VEHICLES} vehicles, {GAMES} games: joint steps a second / one game as a loop "
                          f"over vehicles, {how}", platoon.make(platoon.Settings(), VEHICLES, GAMES), theirs, actions,
                          actions[:FLOOR_STEPS, :, 0].tolist(), BLOCKS, LEAST)
