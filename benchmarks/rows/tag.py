"""Tag, 64 games at once: joint steps a second, with everybody's observations, against mpe2's."""

from __future__ import annotations

from benchmarks.playing import against_mpe2
from benchmarks.timing import Row
from netac.envs import tag
from netac.utils.options import checked

PROCESSES = 1
PURSUERS, PREYS, OBSTACLES, GAMES = 3, 1, 8, 64


def measure(comm) -> list[Row]:
    """Two rows: discrete and continuous actions; the other settings are mpe2's defaults, but for the obstacles."""
    from mpe2 import simple_tag_v3
    what = (f"tag, {PURSUERS} pursuers, {PREYS} prey, {OBSTACLES} obstacles, {GAMES} games: joint steps a second / "
            "mpe2's `simple_tag_v3`, one game")

    def row(note: str, continuous: bool) -> Row:
        options = {"num_good": PREYS, "num_obstacles": OBSTACLES, "continuous_actions": continuous}
        return against_mpe2(f"{what}; {note} actions",
                            tag.make(checked(tag.Settings, options), PURSUERS + PREYS, GAMES),
                            simple_tag_v3.parallel_env(num_adversaries=PURSUERS, **options), continuous)

    return [row("discrete", False), row("continuous", True)]
