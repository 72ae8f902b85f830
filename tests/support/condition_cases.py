"""Tables [network] with every condition there is, and small experiments with every decentralized algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEDULE = str(Path(__file__).parents[1] / "data" / "losses.csv")
INSECURE = {"allow_insecure": True}
WORK = {"compute": 0.01, "jitter": 0.5, "latency": 0.004, "bandwidth": 1e5}


@dataclass(frozen=True)
class Case:
    """A table [network], and a graph on which it tells.

    Attributes:
        strikes: what is above 0 in the end, of the columns of metrics.csv, where values are exchanged.
        again: whether another case has the same conditions: this one is not tried with networks, which take longer.
    """

    table: dict[str, Any]
    graph: Any = "ring"
    strikes: tuple[str, ...] = ()
    again: bool = False


LOST, DELAYED, BITS, SECONDS = ("lost",), ("delayed",), ("compressed_bits",), ("network_seconds",)
CASES = {
    "loss": Case({"loss": 0.4}, strikes=LOST),
    "loss one way": Case({"loss": {"probability": 0.4, "both_ways": False}}, {"name": "gossip"}, LOST, True),
    "bursts": Case({"gilbert-elliott": {"to_bad": 0.4, "to_good": 0.4}}, strikes=LOST),
    "bursts one way": Case({"gilbert-elliott": {"to_bad": 0.4, "both_ways": False}},
                           {"name": "periodic-complete", "period": 2}, LOST, True),
    "schedule": Case({"loss-schedule": {"path": SCHEDULE, "period": 3}}, "complete", LOST),
    "sleep": Case({"sleep": 0.4}, strikes=LOST),
    "crash": Case({"sleep": {"agents": [1], "start": 1}}, strikes=LOST, again=True),
    "skip": Case({"skip": 2}),
    "skip, hold": Case({"skip": {"every": 2, "hold": True}}, again=True),
    "event-trigger": Case({"event-trigger": 3.0}),
    "noise": Case({"noise": {"deviation": 0.01, "step": 0.01, "rounding": "dithered", "relative": True}}),
    "delay": Case({"delay": {"most": 2}}, strikes=DELAYED),
    "top-k": Case({"top-k": 0.3}, strikes=BITS),
    "top-k, plain": Case({"top-k": {"k": 2, "feedback": "none"}}, {"name": "gossip"}, BITS, True),
    "random-k": Case({"random-k": 0.3}, strikes=BITS),
    "quantisation": Case({"quantisation": 4}, strikes=BITS),
    "quantisation, plain": Case({"quantisation": {"bits": 3, "bucket": 5, "feedback": "none"}}, "ring", BITS, True),
    "quantisation, at times alone": Case({"quantisation": 4}, {"name": "periodic-complete", "period": 2}, BITS, True),
    "sign": Case({"sign": {"feedback": "error"}}, strikes=BITS),
    "liars": Case({"adversaries": {"attack": "random", "number": 1, "scale": 0.1}} | INSECURE, again=True),
    "little liars": Case({"adversaries": {"attack": "a-little-is-enough", "agents": [0], "scale": 1.5}, "median": True}
                         | INSECURE, "complete"),
    "trimmed-mean": Case({"trimmed-mean": 1}, "complete"),
    "clipping": Case({"clipping": 0.01}),
    "push-sum": Case({"push-sum": True}, "star", again=True),
    "push-sum, loss": Case({"push-sum": True, "loss": {"probability": 0.4, "both_ways": False}}, strikes=LOST),
    "clock, wait": Case({"clock": WORK | {"stragglers": [1]}}, strikes=SECONDS),
    "clock, beat": Case({"clock": WORK | {"schedule": "beat", "period": 0.012, "bandwidth": 1e6, "most": 2}},
                        strikes=DELAYED + SECONDS),
    "clock, asynchronous": Case({"clock": {"schedule": "asynchronous", "period": 0.02, "compute": 0.01, "jitter": 0.5,
                                           "latency": 0.004}, "loss": 0.2}, strikes=LOST + SECONDS)}

LINEAR: dict[str, dict[str, Any]] = {
    "cac": {"tracking": True}, "dac": {},
    "mdac": {"batch": 5, "mixing_rounds": 1, "reward_rounds": 2},
    "dnac": {"batch": 2, "inner_rounds": 2}, "iac": {}}
ROLLOUT = {"rollout": 5, "epochs": 1, "minibatches": 1}
NEURAL: dict[str, dict[str, Any]] = {
    "cac": {}, "cppo": ROLLOUT | {"rounds": 2, "reward_rounds": 1}, "dsgd-ppo": ROLLOUT, "dsgt-ppo": ROLLOUT,
    "dinno-ppo": ROLLOUT,
    "matrpo": {"rollout": 5, "sweeps": 2, "conjugate_gradients": 1, "backtracks": 2, "accept": 0.0, "delta": 0.1}}
PAIRS = [*(("linear", name) for name in LINEAR), *(("neural", name) for name in NEURAL)]
GRID = [(kind, name, case) for kind, name in PAIRS for case in CASES if kind == "linear" or not CASES[case].again]


def linear(algorithm: str, graph: Any = "ring", table: dict[str, Any] | None = None, seed: int = 3) -> dict[str, Any]:
    """Five agents without networks."""
    env = ({"name": "coordination", "features": "histogram"} if algorithm in ("cac", "dac", "iac") else
           {"name": "finite-mdp", "seed": 5, "states": 6, "recipe": "zhang"})
    return {"agents": 5, "iterations": 8, "seed": seed, "env": env, "topology": graph,
            "algorithm": {"name": algorithm, "actor_step": 0.05, "critic_step": 0.1, **LINEAR[algorithm]},
            "log_every": 3, "checkpoint_every": 3, "network": table or {}}


def neural(algorithm: str, graph: Any = "ring", table: dict[str, Any] | None = None, seed: int = 3) -> dict[str, Any]:
    """Four agents with networks."""
    network = {"name": "mlp", "hidden": [8]}
    return {"agents": 4, "iterations": 3, "seed": seed, "envs": 2, "env": "spread", "topology": graph,
            "policy": network | {"shared": ["*"]}, "critic": network,
            "algorithm": {"name": algorithm, **NEURAL[algorithm]}, "log_every": 1, "checkpoint_every": 1,
            "network": table or {}}


def experiment(kind: str, algorithm: str, case: Case | None = None) -> dict[str, Any]:
    """The experiment of a pair, under a case's conditions."""
    make = linear if kind == "linear" else neural
    return make(algorithm) if case is None else make(algorithm, case.graph, case.table)
