"""Small experiments with networks: every algorithm and variant, games in every process and games of process 0 alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROGRAMS = str(Path(__file__).parents[1] / "programs")
PERIODIC = {"name": "periodic-complete", "period": 2}
STATE = {"critic": {"name": "mlp", "hidden": [5], "sees": "state"}}
NORMAL = {"normalise": {"observations": True, "rewards": True}}
ROUNDS = {"batch": 2, "critic_rounds": 2, "mixing_rounds": 1, "reward_rounds": 2, "reward_noise": 0.1}
CHAINS = {"batch": 2, "critic_batch": 1, "critic_rounds": 2, "reward_noise": 0.2, "sampling": "double"}
ROLLOUT = {"rollout": 4, "epochs": 2, "minibatches": 2, "reward_step": 0.02, "critic_epochs": 2}
SWEEPS = {"rollout": 4, "reward_step": 0.02, "critic_epochs": 2, "critic_minibatches": 2, "sweeps": 2,
          "conjugate_gradients": 3, "delta": 0.02}
BY_STEPS = {key: value for key, value in ROLLOUT.items() if key != "critic_epochs"}
DISCOUNTED = {"discounted_gradient": True}
TABLE = [[0, 3, "terminated"], [0, 4, "truncated"], [1, 4, "both"], [0, 2, "truncated"]]


def arena(maker: str = "arena:make", **options: Any) -> dict[str, Any]:
    """The table [env] of the arena, stepped in every process, or of what `maker` gives."""
    return {"factory": maker, "folder": PROGRAMS, "kwargs": options}


def shared(*patterns: str, **more: Any) -> dict[str, Any]:
    """The table [policy] with these patterns."""
    return {"policy": {"name": "mlp", "hidden": [6], "shared": list(patterns), **more}}


def policy_of(algorithm: str, usual: dict[str, Any]) -> dict[str, Any]:
    """The table [policy] of an algorithm's tests: `usual`, or the model of the trainer that has one of all agents."""
    return {"name": "transformer", "width": 4} if algorithm == "mat" else usual


ROOT = "arena_zoo:Colosseum"
PURSUIT = {"name": "pursuit", "x_size": 7, "y_size": 6, "n_evaders": 3, "max_cycles": 6}
SPREAD = {"name": "spread", "max_cycles": 5}
NEAR, MEANT = {"name": "environment", "radius": 0.9}, {"allow_disconnected": True}
SAMPLER = arena("arena_zoo:sampler")
CNN = {"name": "cnn", "channels": [3]}

_CASES: dict[str, tuple[int, Any, Any, str, dict[str, Any], dict[str, Any]]] = {
    "cac": (4, arena(), "ring", "cac", {}, shared("*")),
    "cac-staggered": (4, arena(late=True), "ring", "cac", {"sampling": "double"},
                      NORMAL | shared("*") | {"stagger": 7}),
    "cac-plain": (4, arena(), PERIODIC, "cac", {"optimizer": "plain", "clip": 0.5}, shared("dense1*")),
    "cac-one-game": (4, arena(late=True), "ring", "cac", DISCOUNTED, {**shared("dense1*"), "envs": 1}),
    "cac-alone": (1, arena(), "complete", "cac", {}, shared("*")),
    "cac-two": (2, arena(), "path", "cac", {}, shared()),
    "cac-normalised": (4, arena(), "ring", "cac", {"sampling": "double"}, NORMAL | shared("*", entropy=0.01)),
    "cac-state": (4, arena(actions="different", extra=2), "ring", "cac", {}, STATE | NORMAL | shared()),
    "cac-gaussian": (4, arena(actions="box"), "ring", "cac", {}, shared("*")),
    "cac-mixed": (4, arena(actions="mixed"), "ring", "cac", {}, STATE | shared("dense1*")),
    "cac-coordination": (4, "coordination", PERIODIC, "cac", {}, shared("*")),
    "cac-mdp": (4, {"name": "finite-mdp", "seed": 3, "states": 4, "recipe": "zhang"}, {"name": "gossip"}, "cac",
                {"sampling": "double"}, shared("*")),
    "cac-pursuit": (4, PURSUIT, "ring", "cac", {}, {"policy": CNN | {"shared": ["conv*"]}, "critic": CNN}),
    "cac-tracking": (4, arena(late=True), "ring", "cac", {"tracking": True}, shared("dense1*")),
    "dac-pursuit-state": (4, PURSUIT, "ring", "dac", {"critic": "action_value"},
                          {"policy": CNN, "critic": CNN | {"sees": "state"}}),
    "cac-seeing-neighbours": (4, arena(line=True, late=True), "environment", "cac", {},
                              NORMAL | shared("*", sees="neighbours")),
    "dac-told-by-neighbours": (4, arena(line=True), "environment", "dac", {"critic": "action_value"},
                               NORMAL | shared() | {"critic": {"sees": "neighbours"}}),
    "cppo-told-by-neighbours": (4, "platoon", "environment", "cppo", {**ROLLOUT, "reward": "model"},
                                shared("*") | {"critic": {"sees": "neighbours"}, "spatial_discount": 0.5}),
    "mdac-own-critics": (4, arena(line=True), "ring", "mdac", {}, shared(sees="neighbours") | {
        "critic": {"sees": "own"}}),
    "root-iac-seeing-neighbours": (4, arena(ROOT, actions="different", extra=2, line=True), "ring", "iac", {},
                                   NORMAL | shared(sees="neighbours")),
    "cac-seeing-the-state": (4, arena(extra=1), "ring", "cac", {}, shared("*", sees="state")),
    "iac": (4, arena(actions="mixed", extra=1), "ring", "iac", {"sampling": "double"}, NORMAL | shared()),
    "dac": (4, arena(), "ring", "dac", {}, shared()),
    "dac-average": (4, arena(), PERIODIC, "dac", {"setting": "average", "sampling": "double"}, NORMAL | shared()),
    "dac-action-value": (4, arena(), "ring", "dac", {"critic": "action_value"}, shared()),
    "dac-action-value-average": (4, arena(actions="different"), PERIODIC, "dac",
                                 {"critic": "action_value", "setting": "average"}, NORMAL | STATE | shared()),
    "mdac": (4, arena(), "ring", "mdac", ROUNDS, shared()),
    "mdac-double": (4, arena(actions="box"), PERIODIC, "mdac", CHAINS, NORMAL | shared()),
    "dnac": (4, arena(), "ring", "dnac", {**ROUNDS, "inner_steps": 2, "inner_rounds": 2}, shared()),
    "dnac-double": (4, arena(actions="box"), PERIODIC, "dnac", {**CHAINS, "inner_steps": 2, "natural_step": 0.05},
                    shared()),
    "cppo": (4, arena(late=True), "ring", "cppo", {**ROLLOUT, "rounds": 2, "reward_rounds": 2}, shared("dense1*")),
    "cppo-own": (4, arena(actions="box"), PERIODIC, "cppo", {**ROLLOUT, "reward": "own"}, NORMAL | shared("*")),
    "cppo-model": (4, arena(actions="mixed"), "ring", "cppo", {**ROLLOUT, "reward": "model", "mix_moments": True},
                   STATE | shared("dense1*")),
    "cppo-alone": (1, arena(), "complete", "cppo", ROLLOUT, shared("*")),
    "cppo-memory": (4, arena(), "ring", "cppo", {**ROLLOUT, "chunk": 2},
                    {"policy": {"name": "gru", "hidden": [5], "units": 4}}),
    "dsgd-ppo": (4, arena(late=True), "ring", "dsgd-ppo", BY_STEPS, shared("*")),
    "dsgt-ppo": (4, arena(), PERIODIC, "dsgt-ppo", {**BY_STEPS, "reward": "model"}, shared("*")),
    "dsgt-ppo-plain": (4, arena(actions="box"), "ring", "dsgt-ppo", {**BY_STEPS, "optimizer": "plain"},
                       STATE | shared("*")),
    "dinno-ppo": (4, arena(), PERIODIC, "dinno-ppo", {**BY_STEPS, "rho": 0.3}, shared("*")),
    "dinno-ppo-two": (2, arena(late=True), "path", "dinno-ppo", {**BY_STEPS, "reward": "model"}, shared("*")),
    "matrpo": (4, arena(), PERIODIC, "matrpo", SWEEPS, shared("*")),
    "matrpo-leaving": (4, arena(falls=0.6), "ring", "matrpo", {**SWEEPS, "reward": "own", "rho": 0.3},
                       NORMAL | shared()),
    "matrpo-mixed": (3, arena(actions="mixed", extra=1, late=True), "path", "matrpo",
                     {**SWEEPS, "reward": "model", **DISCOUNTED}, STATE | shared()),
    "matrpo-alone": (1, arena(actions="box"), "complete", "matrpo", SWEEPS, shared("*")),
    "matrpo-memory": (4, arena(late=True), "ring", "matrpo", {**SWEEPS, "chunk": 2, "conjugate_gradients": 2},
                      {"policy": {"name": "gru", "hidden": [5], "units": 4}}),
    "near-cac": (4, SPREAD, NEAR, "cac", {}, shared("*") | MEANT),
    "near-dac": (3, SPREAD, NEAR, "dac", {}, shared() | MEANT),
    "near-mdac": (4, {"name": "tag", "max_cycles": 5}, NEAR, "mdac", ROUNDS, shared() | MEANT),
    "near-cppo": (4, PURSUIT, NEAR | {"radius": 3.0}, "cppo", {**ROLLOUT, "rounds": 2, "reward_rounds": 2},
                  {"policy": CNN | {"shared": ["conv*"]}, "critic": CNN} | MEANT),
    "root-matrpo": (4, arena(ROOT, actions="different", extra=2, late=True), "ring", "matrpo", SWEEPS,
                    STATE | shared()),
    "root-cppo": (4, arena(ROOT, actions="different", extra=2), "ring", "cppo",
                  {**ROLLOUT, "reward": "model", **DISCOUNTED}, STATE | shared()),
    "root-dinno-ppo": (4, arena(ROOT, late=True), "ring", "dinno-ppo", BY_STEPS, shared("*")),
    "restarting-cppo": (4, arena("arena:forgetful"), "ring", "cppo", ROLLOUT, NORMAL | shared("*")),
    "root-cac": (4, arena(ROOT), "ring", "cac", {}, NORMAL | shared("*")),
    "root-cac-state": (4, arena(ROOT, actions="different", extra=2), "ring", "cac", {"sampling": "double"},
                       NORMAL | STATE | shared()),
    "root-cac-mixed": (4, arena(ROOT, actions="mixed", extra=1, late=True), "ring", "cac", {}, STATE | shared()),
    "root-cac-tracking": (4, arena(ROOT, actions="different"), PERIODIC, "cac",
                          {"tracking": True, "optimizer": "plain"}, STATE | shared()),
    "root-dac-action-value": (4, arena(ROOT, late=True), "ring", "dac", {"critic": "action_value"}, NORMAL | shared()),
    "root-mdac": (4, arena(ROOT, actions="box"), PERIODIC, "mdac", CHAINS, shared()),
    "root-dnac": (4, arena("zoo:SavedTimetable", table=TABLE), "ring", "dnac", {**ROUNDS, "inner_steps": 2}, shared()),
    "root-walk": (4, arena("zoo:Walk"), "ring", "cac", {}, shared("*")),
    "cac-masked": (4, arena(masks=True, late=True), "ring", "cac", {}, NORMAL | shared("*", entropy=0.01)),
    "matrpo-masked": (4, arena(actions="medley", masks=True), "ring", "matrpo", SWEEPS, STATE | shared()),
    "root-cppo-masked": (4, arena(ROOT, actions="medley", masks=True, told="info"), "ring", "cppo", ROLLOUT,
                         STATE | shared()),
    "restarting-cac": (4, arena("arena:forgetful"), "ring", "cac", DISCOUNTED, NORMAL | shared("*")),
    "restarting-root-cac": (4, arena("zoo:Timetable", table=TABLE), "ring", "cac", {"sampling": "double"},
                            STATE | shared("*")),
    "restarting-root-dac": (4, arena("zoo:Timetable", table=TABLE), "ring", "dac",
                            {"critic": "action_value"}, shared()),
    "restarting-root-iac": (5, SAMPLER, "ring", "iac", {}, shared()),
    "restarting-turns": (2, arena("zoo:Turns"), "path", "mdac", {"batch": 2}, shared()),
}
NAMES = list(_CASES)


def experiment(name: str, iterations: int = 12, seed: int = 11) -> dict[str, Any]:
    """The tables of the variant called `name`; those called "restarting-..." begin their games anew when resumed."""
    agents, env, topology, algorithm, options, more = _CASES[name]
    steps = {"actor_step": 0.02, "critic_step": 0.02} | options
    return {"agents": agents, "iterations": iterations, "seed": seed, "envs": 3, "env": env, "topology": topology,
            "algorithm": {"name": algorithm, **steps}, "log_every": 3, "checkpoint_every": 5, **more}
