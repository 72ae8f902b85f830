"""HAPPO on cooperative navigation, the whole training loop in one process, against a bare torch script."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.floors.happo_torch import Happo, Settings
from benchmarks.timing import Row, compare, per_round, race
from netac.envs import spread
from netac.experiment.run import run
from netac.utils.options import checked

PROCESSES = 1
WARM, ITERATIONS, BLOCKS = 5, 25, 5        # those of warm-up are among the iterations of a run, and are not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "spread.toml"
PUBLISHED = {"epochs": 5, "critic_epochs": 5}     # passes over the samples


def measure(comm) -> list[Row]:
    """The published settings, and the example's, with more passes over the samples."""
    example = tomllib.loads(EXPERIMENT.read_text()) | {"evaluate_every": 0}
    general = {key: value for key, value in example["algorithm"].items() if not isinstance(value, dict)}
    options = general | example["algorithm"]["happo"]
    return [_row(example | {"algorithm": options | passes}) for passes in (PUBLISHED, {})]


def _row(example: dict[str, Any]) -> Row:
    settings = example["algorithm"]
    table = example | {"iterations": ITERATIONS, "log_every": WARM, "checkpoint_every": ITERATIONS}
    samples = example["envs"] * settings["rollout"]
    floor = per_round(_floor(example).iterate, ITERATIONS - WARM)
    timings = race(partial(_netac, table), floor, BLOCKS)
    return compare(f"HAPPO on cooperative navigation, one process, {example['agents']} agents, {example['envs']} "
                   f"games, {settings['epochs']} passes for policies and {settings['critic_epochs']} for the critic: "
                   "iteration, with games and metrics / the same passes, Adam steps and games in bare torch", timings,
                   lambda seconds: f"{seconds * 1e3:.0f} ms, {samples / seconds:,.0f} env steps/s", 1.3,
                   note=f"examples/spread.toml, {samples:,} joint samples an iteration")


def _netac(table: dict[str, Any]) -> float:
    """Seconds an iteration after the warm-up took."""
    passed = run(table).metrics["seconds"]
    return float(passed[-1] - passed[1]) / (ITERATIONS - WARM)


def _floor(example: dict[str, Any]) -> Happo:
    """The script with the example's options; it knows those of its settings, and no minibatches."""
    options = {name: value for name, value in example["env"].items() if name != "name"}
    fixed = {"name": "happo", "team_reward": "mean", "minibatches": 1}
    settings = {name: value for name, value in example["algorithm"].items() if value != fixed.get(name)}
    games = spread.make(checked(spread.Settings, options), example["agents"], example["envs"])
    return Happo(games, example["policy"]["hidden"], Settings(**settings))
