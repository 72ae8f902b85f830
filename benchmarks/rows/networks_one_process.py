"""A CAC iteration of the pursuit agents in one process against the same forward and backward passes in bare torch."""

from __future__ import annotations

import gc
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.floors.networks_torch import Conv2d, Passes, Products, seconds
from benchmarks.timing import Row, compare, race
from netac.envs import pursuit
from netac.experiment.run import run
from netac.utils.options import checked

PROCESSES = 1
WARM, ITERATIONS, BLOCKS = 25, 125, 7      # those of warm-up are among the iterations of a run, and are not timed
NETWORKS = {"`nn.Conv2d`": Conv2d, "products of matrices": Products}
EXPERIMENT = Path(__file__).parents[2] / "examples" / "pursuit.toml"


def measure(comm) -> list[Row]:
    """One row per number of games: the example's own, to which the limit applies, half and twice as many."""
    example = tomllib.loads(EXPERIMENT.read_text())
    return [_row(example, games, limit) for games, limit in
            ((example["envs"] // 2, None), (example["envs"], 1.25), (2 * example["envs"], None))]


def _row(example: dict[str, Any], games: int, limit: float | None) -> Row:
    table = example | {
        "envs": games, "iterations": ITERATIONS, "log_every": WARM, "checkpoint_every": ITERATIONS}
    shown = _seen(table, 33)
    sides = {name: Passes(network, shown) for name, network in NETWORKS.items()}
    fastest = min(sides, key=lambda name: _quickest(sides[name]))
    timings = race(partial(_netac, table), _side(sides[fastest]), BLOCKS)
    stepping = race(partial(_netac, table), _side(Passes(NETWORKS[fastest], shown, adam=True)), 3)
    with_adam = float(np.median(stepping[:, 0] / stepping[:, 1]))
    return compare(f"CAC on pursuit-evasion with networks, one process, 8 agents, {games} games: iteration, with "
                   "games, mixing and Adam / its forward and backward passes in bare torch", timings,
                   lambda seconds: f"{seconds * 1e3:.1f} ms", limit,
                   note=f"in torch: {fastest}, the faster way; with `torch.optim.Adam` there, too: {with_adam:.2f}")


def _netac(table: dict[str, Any]) -> float:
    """Seconds an iteration after the warm-up took."""
    passed = run(table).metrics["seconds"]
    return float(passed[-1] - passed[1]) / (ITERATIONS - WARM)


def _side(passes: Passes) -> Callable[[], float]:
    return partial(seconds, passes.iterate, ITERATIONS - WARM)


def _quickest(passes: Passes) -> float:
    gc.collect()
    return min(seconds(passes.iterate, 20) for _ in range(4))


def _seen(table: dict[str, Any], steps: int) -> np.ndarray:
    """(steps, N, E, 7, 7, 3) what the pursuers see while they move at random."""
    agents, games = table["agents"], table["envs"]
    options = {name: value for name, value in table["env"].items() if name != "name"}
    environment, rng = pursuit.make(checked(pursuit.Settings, options), agents, games), np.random.default_rng(0)
    environment.begin(0, 0)
    shown = []
    for _ in range(steps):
        shown.append(np.stack(environment.observe(range(agents))))
        done = environment.step(rng.integers(5, size=(agents, games))).done
        if done.any():
            environment.restart(done)
    return np.stack(shown)
