"""Coordinated PPO on cooperative navigation: against a bare torch script, and on three processes against one."""

from __future__ import annotations

import os
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.floors.cppo_torch import Cppo
from benchmarks.floors.happo_torch import Settings
from benchmarks.launches import seconds_a_sample
from benchmarks.timing import Row, compare, per_round, race
from netac.envs import spread
from netac.experiment.run import run
from netac.utils.options import checked

PROCESSES = 1
WARM, ITERATIONS, BLOCKS = 5, 15, 5        # those of warm-up are among the iterations of a run, and are not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "spread_decentralized.toml"
OTHERS = {"name": "cppo", "reward": "consensus", "reward_rounds": 1}      # what the script does not ask about


def measure(comm) -> list[Row]:
    """The example, in one process and on a process for every agent."""
    example = tomllib.loads(EXPERIMENT.read_text())
    general = {key: value for key, value in example["algorithm"].items() if not isinstance(value, dict)}
    options = general | {key: value for key, value in example["algorithm"]["cppo"].items() if key != "rounds"}
    agents, samples = example["agents"], example["envs"] * options["rollout"]
    table = example | {"algorithm": options, "iterations": ITERATIONS, "log_every": WARM,
                       "checkpoint_every": ITERATIONS}
    settings = Settings(**{name: value for name, value in options.items() if name not in OTHERS})
    games = spread.make(checked(spread.Settings, {}), agents, example["envs"])
    floor = per_round(Cppo(games, example["policy"]["hidden"], settings).iterate, ITERATIONS - WARM)
    named = f"{agents} agents, {example['envs']} games, {options['epochs']} passes"
    alone = compare(
        f"coordinated PPO on cooperative navigation, one process, {named}: iteration, with games, mixing and metrics / "
        "the same passes, Adam steps and games in bare torch", race(partial(_netac, table), floor, BLOCKS),
        lambda seconds: f"{seconds * 1e3:.0f} ms, {samples / seconds:,.0f} env steps/s", 1.15,
        note="examples/spread_decentralized.toml")

    def seconds(processes: int) -> float:
        return seconds_a_sample(EXPERIMENT, processes, WARM, ITERATIONS, {})

    side_by_side = compare(
        f"coordinated PPO on cooperative navigation, {named}: joint samples a second on {agents} processes, one per "
        "agent / in one process", race(lambda: seconds(agents), lambda: seconds(1), BLOCKS),
        lambda each: f"{1 / each:,.0f} samples/s", 1.2, inverse=True,
        note=f"examples/spread_decentralized.toml, {os.cpu_count()} cores, MPI's start not counted")
    return [alone, side_by_side]


def _netac(table: dict[str, Any]) -> float:
    """Seconds an iteration after the warm-up took."""
    passed = run(table).metrics["seconds"]
    return float(passed[-1] - passed[1]) / (ITERATIONS - WARM)
