"""netac: decentralized networked-agent reinforcement learning with consensus, one MPI process per agent.

    import netac
    result = netac.run("examples/coordination.toml", set={"algorithm.name": "dac"})
    table = netac.compare("examples/coordination.toml", ["cac", "iac"], seeds=5)
    runs = netac.study("examples/coordination.toml", vary={"topology": ["ring", "star"]}, seeds=5, out="runs/graphs")
    best = netac.tune("examples/coordination.toml", {"algorithm.actor_step": "0.001..0.5:log"}, samples=20).values
    policies = netac.load("runs/pursuit-cac-seed0")       # trained networks: actions = policies(observations)

Names are loaded when they are first used.  NumPy, if it is not loaded yet, gets one thread per process: agents are the
parallel work, and results do not depend on how many cores there are.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

_HOMES = {"run": "experiment.run", "RunResult": "experiment.run_result", "load_result": "experiment.run_result",
          "compare": "experiment.compare", "ComparisonResult": "experiment.compare", "study": "experiment.compare",
          "tune": "experiment.tune", "TuningResult": "experiment.tune",
          "Moment": "experiment.listening",
          "evaluate": "experiment.evaluate", "Evaluation": "experiment.evaluate",
          "Condition": "comm.exchange", "Exchange": "comm.exchange",
          "load": "experiment.load", "TrainedPolicies": "experiment.load",
          "InputError": "utils.errors", "RunError": "utils.errors", "NetacError": "utils.errors"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netac' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netac.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
