"""Small experiments that between them use every algorithm and variant, both environments and every kind of schedule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "examples" / "data" / "networked_mdp_6x5.npz"
COORDINATION = (8, {"name": "coordination"})
HISTOGRAM = (8, {"name": "coordination", "features": "histogram"})
SHARED_MDP = (6, {"name": "finite-mdp", "path": str(DATA)})
NOISY_MDP = (6, {"name": "finite-mdp", "seed": 3, "states": 4, "recipe": "zhang"})
SMALL_MDP = (3, {"name": "finite-mdp", "seed": 5, "states": 3, "actions": 3})
RING, SHIFT, GOSSIP, ONE_PEER = ("ring", {"name": "periodic-complete", "period": 3}, {"name": "gossip"},
                                 "one-peer-exponential")
ROUNDS = {"batch": 4, "critic_rounds": 3, "mixing_rounds": 2, "reward_rounds": 3, "reward_noise": 0.1}
CHAINS = {"batch": 4, "critic_batch": 3, "critic_rounds": 2, "reward_noise": 0.2, "sampling": "double"}

_CASES: dict[str, tuple[tuple[int, dict], Any, str, dict]] = {
    "cac": (COORDINATION, RING, "cac", {}),
    "cac-schedule": (COORDINATION, SHIFT, "cac", {}),
    "cac-gossip": (HISTOGRAM, GOSSIP, "cac", {"omega_radius": 0.7, "lambda_radius": 0.3}),
    "cac-one-peer": (COORDINATION, ONE_PEER, "cac", {}),
    "cac-double": (SHARED_MDP, SHIFT, "cac", {"sampling": "double"}),
    "cac-iid": (SMALL_MDP, GOSSIP, "cac", {"sampling": "iid"}),
    "cac-stationary": (NOISY_MDP, RING, "cac", {"sampling": "stationary"}),
    "cac-own-features": (COORDINATION, GOSSIP, "cac", {}),
    "cac-common-features": (SMALL_MDP, RING, "cac", {"actor_step": {"c": 0.4, "sigma": 0.6}, "sampling": "double"}),
    "cac-tracking": (COORDINATION, RING, "cac", {"tracking": True}),
    "cac-tracking-double": (SHARED_MDP, SHIFT, "cac", {"tracking": True, "sampling": "double", "omega_radius": 0.7}),
    "dnac-own-features": (COORDINATION, RING, "dnac", {"inner_steps": 2}),
    "iac": (HISTOGRAM, RING, "iac", {}),
    "iac-double": (NOISY_MDP, "disconnected", "iac", {"sampling": "double"}),
    "mdac": (COORDINATION, SHIFT, "mdac", {}),
    "mdac-rounds": (SHARED_MDP, RING, "mdac", ROUNDS),
    "mdac-double": (NOISY_MDP, ONE_PEER, "mdac", CHAINS),
    "mdac-iid": (SMALL_MDP, GOSSIP, "mdac", {"batch": 3, "sampling": "iid"}),
    "dnac": (COORDINATION, GOSSIP, "dnac", {"inner_steps": 2, "inner_rounds": 2}),
    "dnac-double": (SHARED_MDP, SHIFT, "dnac", CHAINS | {"inner_steps": 3, "inner_rounds": 2}),
}
for _critic in ("state_value", "action_value"):
    for _setting in ("discounted", "average"):
        _options = {"critic": _critic, "setting": _setting}
        _CASES[f"dac-{_critic}-{_setting}"] = (COORDINATION, ONE_PEER, "dac", _options)
        _CASES[f"dac-{_critic}-{_setting}-double"] = (SMALL_MDP, RING, "dac", _options | {"sampling": "double"})
        _CASES[f"dac-{_critic}-{_setting}-noisy"] = (NOISY_MDP, GOSSIP, "dac", _options)

POLICIES: dict[str, dict[str, Any]] = {"cac-double": {"shared": ["s*.a1"], "initial": "normal"},
                                       "cac-one-peer": {"shared": ["*.a[0-3]"]},
                                       "cac-tracking-double": {"shared": ["s*.a1"]}}
for _name in _CASES:
    if _name.endswith("features"):
        _file = Path(__file__).parents[1] / "data" / f"{_name.partition('-')[2].replace('-', '_')}.npz"
        POLICIES[_name] = {"name": "log-linear", "features": str(_file), "shared": ["f[0-2]"], "initial": "normal"}
NAMES = list(_CASES)


def experiment(name: str, iterations: int = 40, seed: int = 11) -> dict[str, Any]:
    """The tables of the variant called `name`."""
    (agents, env), topology, algorithm, options = _CASES[name]
    steps = {"actor_step": 0.05, "critic_step": 0.1} | options
    return {"agents": agents, "iterations": iterations, "seed": seed, "env": env, "topology": topology,
            "algorithm": {"name": algorithm, **steps}, "policy": POLICIES.get(name, {}), "log_every": 7,
            "checkpoint_every": 13, "allow_disconnected": topology == "disconnected"}


def fingerprint(result: Any) -> str:
    """All of a run that may not depend on processes, interruptions or the clock, as text."""
    metrics = {name: column.tolist() for name, column in result.metrics.items() if name != "seconds"}
    ignored = ("processes", "wire_messages", "wire_bytes", "wall_seconds", "iterations_per_second", "versions",
               "kernels", "runs_at_a_time")
    return json.dumps([{k: v for k, v in result.summary.items() if k not in ignored}, metrics])
