"""Prints rows of docs/environments.md: every environment of tests/support/third_party.py, with its speed measured here.

    OMP_NUM_THREADS=1 python tests/programs/third_party_table.py [WORD ...]

Samples are steps of one game.  The CPU seconds are this process's and its children's: those of a run less those of a
run of one iteration; the median of three.  Words choose the rows that have one of them.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.third_party import PLAYED, Played

import netac

ROLLOUT, LEAST, MOST = 100, 0.8, 64       # steps of an iteration; CPU seconds to measure; iterations


def main(words: list[str]) -> None:
    """The rows."""
    for case in PLAYED:
        if not words or any(word in case.package + case.name for word in words):
            env = case.make()
            *cells, needs = case.cells(env)
            env.close()
            print("|", " | ".join([*cells, f"{speed(case):,}", needs]), "|", file=sys.stderr, flush=True)


def speed(case: Played) -> int:
    """Samples per CPU second, to two digits."""
    seconds(case, 1)                                     # what is imported and compiled once
    first, iterations = seconds(case, 1), 2
    while (spent := seconds(case, iterations) - first) < LEAST and iterations < MOST:
        iterations *= 2
    rates = [ROLLOUT * (iterations - 1) / each for each in
             [spent, *(seconds(case, iterations) - first for _ in range(2))]]
    return int(float(f"{statistics.median(rates):.2g}"))


def seconds(case: Played, iterations: int) -> float:
    """CPU seconds of MAPPO (IPPO where that does not run), one game, two layers of 64 and one pass over the samples."""
    trainer = "mappo" if "mappo" in case.algorithms else "ippo"
    before = os.times()
    netac.run({"agents": case.agents, "iterations": iterations, "log_every": 1000,
               "env": case.table(case.kwargs), "policy": {"name": "mlp", "hidden": [64, 64]},
               "algorithm": {"name": trainer, "rollout": ROLLOUT, "epochs": 1, "critic_epochs": 1}})
    return sum(os.times()[:4]) - sum(before[:4])


if __name__ == "__main__":
    main(sys.argv[1:])
