"""What lossy, late, narrow and slow networks cost learning: the return at equal samples, bytes and simulated seconds.

CAC, DAC, MDAC and, with torch, coordinated PPO on the coordination game of ten agents; in the full form also on a finite
MDP whose J is exact (of the source tree: examples/data/networked_mdp_6x5.npz) and on cooperative navigation. Settings
are those of the examples, fewer iterations. Messages are lost with a probability, both of an edge together; late by
some iterations; or of 1 to 8 bits a number, CHOCO, in place of netac's 64 (networks: 32). All but those with delays run
over a radio: on every link a message takes 20 ms and its bits at 1 Mbit/s, and agents go on when they have heard all;
they compute in no time, and what the environment tells them takes none. The level is nine tenths of the best reward,
a quarter of the way to the best J, or a return a step.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import netac
from netac.exact import optimal_objective
from netac.theory import _conditions_runs as runs
from netac.theory._claims import Claim, Finding, Table
from netac.theory._conditions_runs import CONDITIONS, RADIO, Cell, Game
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MDP = Path(netac.__file__).resolve().parents[1] / "examples" / "data" / "networked_mdp_6x5.npz"
TABULAR = {"gamma": 0.95, "actor_step": 0.05, "critic_step": 0.1, "reward_step": 0.1}
PPO = {"name": "cppo", "gamma": 0.95, "rollout": 25, "epochs": 10, "critic_epochs": 10, "entropy": 0.0,
       "actor_step": 0.02, "critic_step": 0.02, "parameters": "separate"}


def coordination(agents: int, samples: int, ppo_samples: int) -> Game:
    """The coordination game on the complete graph; a row of metrics.csv for every 25 samples."""
    algorithms: dict[str, Any] = {
        name: {"iterations": samples, "log_every": 25, "algorithm": {"name": name, **TABULAR}} for name in ("cac", "dac")}
    algorithms["mdac"] = {"iterations": samples // 5, "log_every": 5,
                          "algorithm": {"name": "mdac", "batch": 5, **TABULAR}}
    if find_spec("torch"):
        algorithms["cppo"] = {"iterations": ppo_samples // 25, "log_every": 1, "algorithm": PPO}
    return Game("coordination", {"agents": agents, "env": "coordination", "topology": "complete"}, algorithms, "reward",
                8, 0.9 * (12.25 + agents - 1), {"samples": ppo_samples, "kilobytes": 1000.0, "seconds": 5.0})


def finite_mdp() -> Game:
    """Six agents on a ring: every agent's policy its own, J exact."""
    from netac.theory import read_game
    mdp, start = read_game(MDP), 0.4923
    steps = {"sampling": "double", "critic_step": 0.1, "reward_step": 0.5, "actor_step": 0.3}
    algorithms: dict[str, Any] = {name: {"iterations": 4000, "log_every": 40, "algorithm": {"name": name, **steps}}
                                  for name in ("cac", "dac")}
    algorithms["mdac"] = {"iterations": 100, "log_every": 1, "algorithm": {
        "name": "mdac", "sampling": "double", "actor_step": 10.0, "critic_step": 0.5, "batch": 100, "critic_batch": 10,
        "critic_rounds": 50, "mixing_rounds": 10, "reward_rounds": 5}}
    return Game("networked MDP", {"agents": 6, "env": {"name": "finite-mdp", "path": str(MDP)}, "topology": "ring",
                                  "policy": {"shared": []}}, algorithms, "J", 1,
                start + 0.25 * (optimal_objective(mdp) - start), {"samples": 8000.0, "kilobytes": 1000.0, "seconds": 60.0})


def spread() -> Game:
    """Cooperative navigation: examples/centralized_vs_decentralized.toml, 40,000 samples."""
    common = {"gamma": 0.95, "critic_step": 1e-3}
    return Game("spread", {"agents": 3, "envs": 20, "stagger": 25, "env": "spread", "topology": "complete",
                           "policy": {"name": "mlp", "hidden": [128, 128], "activation": "relu", "entropy": 0.05}},
                {"cac": {"iterations": 2000, "log_every": 200, "algorithm": {
                    "name": "cac", "actor_step": 2e-4, "reward_step": 1e-3, "team_reward": "mean", **common}},
                 "cppo": {"iterations": 10, "log_every": 1, "algorithm": {
                     "name": "cppo", "actor_step": 1e-3, "epochs": 15, "critic_epochs": 15, **common}}},
                "episode_return", 1, -23.5, {"samples": 40_000.0, "kilobytes": 500.0, "seconds": 2.0})


def experiment(lab: Lab) -> Finding:
    """Three seeds (quick: CAC and coordinated PPO on the coordination game of five agents)."""
    wanted = to_do(lab)
    seeds = range(1000 * lab.seed, 1000 * lab.seed + lab.choose(2, 3))
    items = [(game, algorithm, condition, seed) for game, algorithm, condition in wanted for seed in seeds]
    done = lab.each(runs.run, items)
    cells = [Cell(*each, done[k * len(seeds):(k + 1) * len(seeds)]) for k, each in enumerate(wanted)]
    return Finding([], (Table("conditions", "x", [cell.row() for cell in cells]),), partial(draw, cells))


def to_do(lab: Lab) -> list[tuple[Game, str, str]]:
    """Games, algorithms and conditions."""
    if lab.quick:
        game = coordination(5, 1500, 800)
        return [(game, "cac", condition) for condition in ("plain", "loss 10 %", "4 bits")] + [
            (game, "cppo", condition) for condition in ("plain", "4 bits") if "cppo" in game.algorithms]
    game = coordination(10, 2500, 1000)
    found = [(game, name, condition) for name in game.algorithms for condition in CONDITIONS]
    if MDP.exists():
        game = finite_mdp()
        found += [(game, name, condition) for name in game.algorithms
                  for condition in ("plain", "loss 30 %", "delay 3", "1 bit", "4 bits")]
    if find_spec("torch"):
        game = spread()
        found += [(game, name, condition) for name in game.algorithms for condition in ("plain", "loss 30 %", "4 bits")]
    return found


def draw(cells):
    from matplotlib.figure import Figure
    return Figure()
