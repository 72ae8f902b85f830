"""netac: decentralized networked-agent reinforcement learning with consensus, one MPI process per agent.

    import netac
    result = netac.run("examples/coordination.toml", set={"algorithm.name": "dac"})
    table = netac.compare("examples/coordination.toml", ["cac", "iac"], seeds=5)

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib

_HOMES = {"run": "experiment", "RunResult": "experiment", "load_result": "experiment", "compare": "comparison",
          "ComparisonResult": "comparison", "evaluate": "evaluation", "Evaluation": "evaluation",
          "InputError": "errors", "RunError": "errors", "NetacError": "errors"}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'netac' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netac.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
