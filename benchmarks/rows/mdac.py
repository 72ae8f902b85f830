"""MDAC on the shared MDP in one process: joint samples a second against a plain loop over samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.floors import mdac_numpy
from benchmarks.timing import Row, compare, race
from netac.experiment.run import run

PROCESSES = 1
DATA = Path(__file__).parents[2] / "examples" / "data" / "networked_mdp_6x5.npz"
SAMPLES = 600                              # an iteration: 50 x 10 for the critic, 100 for the actor
ITERATIONS, FLOOR_ITERATIONS, BLOCKS = 50, 3, 7


def experiment(iterations: int) -> dict[str, Any]:
    """The settings of the data's README, logged at the end only."""
    return {"agents": 6, "iterations": iterations, "log_every": iterations, "checkpoint_every": iterations,
            "env": {"name": "finite-mdp", "path": str(DATA)},
            "topology": {"path": str(DATA)},
            "algorithm": {"name": "mdac", "sampling": "double", "actor_step": 10.0, "critic_step": 0.5, "batch": 100,
                          "critic_batch": 10, "critic_rounds": 50, "mixing_rounds": 10, "reward_rounds": 5,
                          "reward_noise": 0.1}}


def measure(comm) -> list[Row]:
    """Two rows: the loop that draws every agent's action by itself, and one that draws those of all agents at once."""
    table, mdp = experiment(ITERATIONS), mdac_numpy.Mdp.read(str(DATA))

    def netac() -> float:
        return run(table).summary["wall_seconds"] / (SAMPLES * ITERATIONS)

    def loop(by_agent: bool) -> float:
        return mdac_numpy.run(mdp, FLOOR_ITERATIONS, 0, by_agent)[0] / (SAMPLES * FLOOR_ITERATIONS)

    what = "MDAC on the shared MDP, one process: joint samples a second / a NumPy loop over samples"
    return [compare(f"{what} and agents", race(netac, partial(loop, True), BLOCKS), _samples, 15, inverse=True),
            compare(f"{what}, vectorised over agents", race(netac, partial(loop, False), BLOCKS), _samples, None,
                    inverse=True)]


def _samples(seconds: float) -> str:
    return f"{1 / seconds:,.0f} samples/s"
