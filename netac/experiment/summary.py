"""What `summary.json` tells of a finished run."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from netac.agents.parameters import Layout, Parameters
from netac.experiment.averages import Average
from netac.experiment.build import Parts
from netac.experiment.measures import ROWS, disagreement, exact_measures
from netac.utils import kernels
from netac.utils.versions import version
from netac.utils.workers import RUNS_AT_A_TIME

PACKAGES = ("netac", "numpy", "scipy", "networkx", "mpi4py", "pydantic")
OPTIONAL_PACKAGES = ("torch", "gymnasium", "pettingzoo", "mpe2", "gymnasium_robotics", "mujoco")     # where loaded


def summarize(parts: Parts, flat: np.ndarray, done: int, means: Mapping[str, Any], rewards: Average, wire: np.ndarray,
              seconds: float, evaluations: Mapping[str, Any], conditions: Mapping[str, float]) -> dict[str, Any]:
    """The summary of a run.

    Args:
        flat: all agents' parameters (N, D).
        done: iterations; fewer than the experiment's where it was stopped.
        means: over the last tenth of them: "reward" and, of games, what there is of episodes.
        rewards: those that decide what is efficient, where the run came to its end.
        wire: messages and bytes that processes have sent each other, (2,).
        seconds: spent iterating.
        evaluations: what evaluations during training came to.
        conditions: what has happened to messages.
    """
    setting, experiment, ledger = parts.setting, parts.setting.experiment, parts.ledger
    traffic = ledger.logical()
    summary = {
        "algorithm": experiment.algorithm.name,
        "env": experiment.env.called,
        "agents": experiment.agents, "processes": parts.placement.processes, "seed": experiment.seed,
        "iterations": done, "env_steps": ledger.samples, "final_reward": means["reward"],
        **disagreement(flat, setting.layout),
        "messages_per_agent": traffic["messages"],
        "bytes_per_agent": sum(size for name, size in traffic.items() if name.startswith("bytes_")),
        **{f"{name}_per_agent": size for name, size in traffic.items() if name.startswith("bytes_")},
        "most_consensus_bytes_of_an_agent": int(ledger.consensus_bytes.max()),
        "wire_messages": int(wire[0]), "wire_bytes": int(wire[1]),
        "wall_seconds": seconds, "iterations_per_second": done / seconds,
        "runs_at_a_time": int(os.environ.get(RUNS_AT_A_TIME, "1")),
        **{name: mean for name, mean in means.items() if name != "reward"}, **evaluations}
    ended = done == experiment.iterations
    if not ended:
        summary["stopped"] = True
    if experiment.network.conditions and not setting.model.has_trainer:
        summary |= {"network": experiment.network.table(), **conditions}
    if parts.following is not None:
        summary |= parts.following.summary()
    if ended and (efficient := getattr(setting.environment, "efficient", None)):
        summary["efficient"] = efficient(rewards.last)
    if setting.mdp is not None:
        summary |= exact_measures(setting, flat)
    return summary | {"parameters_sha256": parameters_sha256(flat, setting.layout), "versions": versions(),
                      "kernels": kernels.fingerprint()}


def parameters_sha256(flat: np.ndarray, layout: Layout) -> str:
    """The hash of all agents' parameters (N, D)."""
    digest = hashlib.sha256()
    for first in range(0, len(flat), ROWS):
        rows = flat[first:first + ROWS]
        some = Parameters(layout, len(rows))
        some.flat[:] = rows
        digest.update(some.hashed())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what a run depends on (of a package only if it is installed)."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in (*PACKAGES, *(name for name in OPTIONAL_PACKAGES if name in sys.modules)):
        if (known := version(package)) is not None:
            found[package] = known
    if "mpi4py.MPI" in sys.modules:
        found["mpi"] = sys.modules["mpi4py.MPI"].Get_library_version().split(",")[0].strip()
    return found
