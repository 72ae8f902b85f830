"""Cooperative navigation, 64 games at once: joint steps a second, with everybody's observations, against mpe2's."""

from __future__ import annotations

from benchmarks.playing import against_mpe2
from benchmarks.timing import Row
from netac.envs import spread
from netac.utils.options import checked

PROCESSES = 1
AGENTS, GAMES = 3, 64


def measure(comm) -> list[Row]:
    """Two rows: discrete and continuous actions; the other settings are mpe2's defaults."""
    from mpe2 import simple_spread_v3
    what = (f"cooperative navigation, {AGENTS} agents, {GAMES} games: joint steps a second / mpe2's "
            "`simple_spread_v3`, one game")
    return [against_mpe2(f"{what}; {note} actions",
                         spread.make(checked(spread.Settings, {"continuous_actions": continuous}), AGENTS, GAMES),
                         simple_spread_v3.parallel_env(continuous_actions=continuous), continuous)
            for note, continuous in (("discrete", False), ("continuous", True))]
