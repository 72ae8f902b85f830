"""A CAC iteration of agents with networks in one process against the same passes forwards and back in bare torch."""

from __future__ import annotations

import gc
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.floors.networks_torch import Conv2d, Dense, Passes, Products, seconds
from benchmarks.timing import Row, compare, race
from netac.envs import pursuit, spread
from netac.experiment.run import run
from netac.utils.options import checked

PROCESSES = 1
WARM, ITERATIONS, BLOCKS = 25, 125, 7      # those of warm-up are among the iterations of a run, and are not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "pursuit.toml"
SPREAD: dict[str, Any] = {
    "agents": 3, "envs": 20, "topology": "complete", "env": {"name": "spread"}, "algorithm": {"name": "cac"}} | {
        part: {"name": "mlp", "hidden": [64, 64]} for part in ("policy", "critic", "reward_model")}


def measure(comm) -> list[Row]:
    """Pursuit with the example's own number of games, to which the limit applies, half and twice as many; spread."""
    example = tomllib.loads(EXPERIMENT.read_text())
    images = {"`nn.Conv2d`": Conv2d, "products of matrices": Products}
    rows = [_row("pursuit-evasion with networks", pursuit, example, games, limit, images) for games, limit in
            ((example["envs"] // 2, None), (example["envs"], 0.9), (2 * example["envs"], None))]
    inputs = spread.make(spread.Settings(), SPREAD["agents"], 1).observations[0][0]
    return [*rows, _row("cooperative navigation with two hidden layers of 64", spread, SPREAD, SPREAD["envs"], 0.8,
                        {"`nn.Sequential`": partial(Dense, inputs)})]


def _row(what: str, game: ModuleType, example: dict[str, Any], games: int, limit: float | None,
         networks: dict[str, Callable]) -> Row:
    table = example | {
        "envs": games, "iterations": ITERATIONS, "log_every": WARM, "checkpoint_every": ITERATIONS}
    shown = _seen(game, table, 33)
    sides = {name: Passes(network, shown) for name, network in networks.items()}
    fastest = min(sides, key=lambda name: _quickest(sides[name]))
    timings = race(partial(_netac, table), _side(sides[fastest]), BLOCKS)
    stepping = race(partial(_netac, table), _side(Passes(networks[fastest], shown, adam=True)), 3)
    with_adam = float(np.median(stepping[:, 0] / stepping[:, 1]))
    return compare(f"CAC on {what}, one process, {example['agents']} agents, {games} games: iteration, with games, "
                   "mixing and Adam / its forward and backward passes in bare torch", timings,
                   lambda seconds: f"{seconds * 1e3:.1f} ms", limit,
                   note=f"in torch: {fastest}{', the faster way' * (len(networks) > 1)}; with `torch.optim.Adam`, too: "
                   f"{with_adam:.2f}")


def _netac(table: dict[str, Any]) -> float:
    """Seconds an iteration after the warm-up took."""
    passed = run(table).metrics["seconds"]
    return float(passed[-1] - passed[1]) / (ITERATIONS - WARM)


def _side(passes: Passes) -> Callable[[], float]:
    return partial(seconds, passes.iterate, ITERATIONS - WARM)


def _quickest(passes: Passes) -> float:
    gc.collect()
    return min(seconds(passes.iterate, 20) for _ in range(4))


def _seen(game: ModuleType, table: dict[str, Any], steps: int) -> np.ndarray:
    """(steps, N, E, *shape) what the agents see while they move at random."""
    agents, games = table["agents"], table["envs"]
    options = {name: value for name, value in table["env"].items() if name != "name"}
    environment, rng = game.make(checked(game.Settings, options), agents, games), np.random.default_rng(0)
    environment.begin(0, 0)
    shown = []
    for _ in range(steps):
        shown.append(np.stack(environment.observe(range(agents))))
        done = environment.step(rng.integers(5, size=(agents, games))).done
        if done.any():
            environment.restart(done)
    return np.stack(shown)
