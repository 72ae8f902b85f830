"""MAPPO and HAPPO on cooperative navigation, the whole training loop on one core, against JaxMARL's compiled IPPO."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, compare, race

PROCESSES = 1
GAMES, STEPS, PASSES = 20, 200, 5
WARM, ITERATIONS, BLOCKS = 10, 40, 7       # those of warm-up are among netac's iterations, and are not timed
FLOOR = Path(__file__).parents[1] / "floors" / "jaxmarl_ippo.py"
SCRIPT = "ippo_ff_mpe.py"
ALONE = "import json, sys, netac; print(*netac.run(json.loads(sys.argv[1])).metrics['seconds'])"
WHERE = "JAXMARL"                          # the environment variable that names the folder
LIMITS = {"mappo": 1.2, "happo": 1.0}
EXPERIMENT: dict[str, Any] = {
    "agents": 3, "envs": GAMES, "iterations": ITERATIONS, "log_every": WARM, "checkpoint_every": ITERATIONS,
    "env": {"name": "spread"}, "policy": {"name": "mlp", "hidden": [64, 64]}}
OPTIONS = {"gamma": 0.99, "gae_lambda": 0.95, "rollout": STEPS, "epochs": PASSES, "critic_epochs": PASSES,
           "actor_step": 2.5e-4, "critic_step": 2.5e-4, "entropy": 0.01}


def measure(comm) -> list[Row]:
    """A row for each algorithm; without JaxMARL they say so."""
    folder = os.environ.get(WHERE)
    if not folder:
        return [Row(_what(name), "", "", limit=limit, at_least=True, note="JaxMARL is not installed (see below)")
                for name, limit in LIMITS.items()]
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    timed = ITERATIONS - WARM
    settings = {"NUM_ENVS": GAMES, "NUM_STEPS": STEPS, "UPDATE_EPOCHS": PASSES, "NUM_MINIBATCHES": 1,
                "TOTAL_TIMESTEPS": GAMES * STEPS * timed}
    argv = [f"{folder}/bin/python", str(FLOOR), f"{folder}/{SCRIPT}", json.dumps(settings), str(core)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        while (line := peer.stdout.readline()) != "compiled\n":
            assert line, "JaxMARL's script failed"
        rows = [_row(name, limit, partial(_peer, peer, timed)) for name, limit in LIMITS.items()]
        peer.communicate()
    return rows


def _row(name: str, limit: float, peer) -> Row:
    table = EXPERIMENT | {"algorithm": {"name": name, **OPTIONS}}
    return compare(_what(name), race(partial(_netac, table), peer, BLOCKS),
                   lambda seconds: f"{GAMES * STEPS / seconds:,.0f} env steps/s", limit, inverse=True)


def _what(name: str) -> str:
    shared = " (shared parameters)" if name == "mappo" else ""
    return (f"{name.upper()}{shared} on cooperative navigation, one core, 3 agents, {GAMES} games, rollouts of "
            f"{STEPS}, two hidden layers of 64, {PASSES} passes: environment steps a second / JaxMARL 0.2.0's compiled "
            "IPPO, its public `ippo_ff_mpe.py` (compiling, and netac's first iterations, not counted)")


def _netac(table: dict[str, Any]) -> float:
    """Seconds an iteration after the warm-up took, in a process of its own, as the peer has one."""
    told = subprocess.run([sys.executable, "-c", ALONE, json.dumps(table)], stdout=subprocess.PIPE, text=True,
                          check=True)
    _, begun, *_, ended = map(float, told.stdout.split())
    return (ended - begun) / (ITERATIONS - WARM)


def _peer(process: subprocess.Popen, updates: int) -> float:
    """Seconds one of its updates takes."""
    print("run", file=process.stdin, flush=True)
    return float(process.stdout.readline()) / updates
