"""Runs with networks against plain transcriptions of the equations, which wrong equations fail.

Distances are in units of how far the parameters moved, so that nothing passes by standing still.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from oracles import neural_games, neural_transcription
from oracles.neural_games import Net
from programs.arena import Arena

from netac import topology
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.utils.progress import Progress

PROGRAMS = str(Path(__file__).parents[2] / "programs")
HIDDEN = {"policy": 4, "critic": 5, "reward_model": 6}
STEPS = {"alpha": 0.3, "beta": 0.2, "zeta": 0.15}
ITERATIONS, GAMMA = 12, 0.8
CLOSE, FAR = 2e-4, 2e-2
PERIODIC = {"name": "periodic-complete", "period": 2}


@dataclass(frozen=True)
class Case:
    """One experiment, for netac and for its transcription.

    Attributes:
        arena: options of `Arena`; None: the coordination game.
        options: of the algorithm.
        wrong: mistakes that must show in this case.
        seed: of the run, one with which every tensor moves.
    """

    algorithm: str
    arena: dict[str, Any] | None = field(default_factory=dict)
    agents: int = 3
    envs: int = 3
    graphs: Any = "ring"
    options: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    critic: dict[str, Any] = field(default_factory=dict)
    normalise: dict[str, bool] = field(default_factory=dict)
    stagger: int = 0
    wrong: tuple[str, ...] = ()
    seed: int = 5


ADAM = {"optimizer": "adam", "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-2}
ENDS = ("terminated values", "truncated ends", "new episode", "no mask")
MIXED = ("mixed residuals", "sum", "own reward", "agent order")
CHAINS = {"batch": 2, "critic_batch": 3, "critic_rounds": 2, "reward_noise": 0.2, "reward_rounds": 2,
          "sampling": "double"}
ROUNDS = {"batch": 2, "critic_rounds": 3, "mixing_rounds": 2, "reward_rounds": 2, "reward_noise": 0.1}
INNER = {"inner_steps": 3, "inner_rounds": 2, "natural_step": 0.3}
SHORT = {"length": 3}
TRACKING = {"tracking": True}
STAYING = {"falls": 2.0}
LEAVING = {"falls": 0.7, "late": True}
MASKED = {"actions": "different", "masks": True}
DISCOUNTED = {"discounted_gradient": True}
AGES = ("undiscounted", "age of the run")

CASES = {
    "cac": Case("cac", SHORT, wrong=(*MIXED, *ENDS, "diluted")),
    "cac-one-game": Case("cac", envs=1, wrong=("mixed residuals", "own reward")),
    "cac-one-game-adam": Case("cac", LEAVING, envs=1, options=ADAM, wrong=("decay", "no mask"), seed=7),
    "cac-leaving-adam": Case("cac", LEAVING, envs=2, options=ADAM, policy={"entropy": 0.2},
                             wrong=("decay", "diluted", "no mask")),
    "cac-alone": Case("cac", SHORT, agents=1, graphs="complete", wrong=ENDS[:3]),
    "cac-two-late": Case("cac", {"length": 4, "late": True, "falls": 0.95}, agents=2, policy={"shared": ["dense1*"]},
                         wrong=("truncated ends", "personal mixed", "new episode")),
    "cac-adam-partly": Case("cac", graphs=PERIODIC, options=ADAM, policy={"shared": ["dense1*"], "entropy": 0.1},
                            wrong=("mixed residuals", "personal mixed", "no entropy", "biased", "no mask")),
    "cac-personal-clipped": Case("cac", options={"clip": 0.05}, policy={"shared": []},
                                 wrong=("no clip", "personal mixed")),
    "cac-adam-clipped": Case("cac", options={**ADAM, "clip": 0.05}, wrong=("no clip", "biased")),
    "cac-bounded": Case("cac", options={**ADAM, "actor_radius": 0.4}, wrong=("no radius", "biased")),
    "dac-bounded-plain": Case("dac", SHORT, options={"actor_radius": 0.02}, wrong=("no radius",), seed=7),
    "cac-double": Case("cac", SHORT, graphs=PERIODIC, options={"sampling": "double"},
                       wrong=("one chain", "no restarts", *ENDS)),
    "cac-double-normalised": Case("cac", options={"sampling": "double"},
                                  normalise={"observations": True, "rewards": True},
                                  wrong=("one chain", "new episode")),
    "cac-normalised-state": Case("cac", {"extra": 2}, policy={"shared": ["output*"]}, critic={"sees": "state"},
                                 normalise={"observations": True, "rewards": True},
                                 wrong=("mixed residuals", "no mask")),
    "cac-state-own-first": Case("cac", critic={"sees": "state", "joint": "own-first"}, wrong=("agent order",)),
    "cac-agents": Case("cac", critic={"joint": "agents"}, wrong=("no mask",)),
    "cac-gaussian": Case("cac", {"actions": "box"}, policy={"entropy": 0.2, "shared": ["*.weight", "log_std"]},
                         wrong=(*MIXED, "clipped score", "no entropy", "no mask")),
    "cac-different-actions": Case("cac", {"actions": "different"}, agents=4, policy={"shared": ["dense1*"]},
                                  wrong=("mixed residuals", "no mask")),
    "cac-mixed-actions": Case("cac", {"actions": "mixed", "extra": 1}, options={"clip": 0.5}, policy={"shared": []},
                              critic={"sees": "state"}, wrong=("clipped score", "mixed residuals")),
    "cac-staggered": Case("cac", STAYING, stagger=5, normalise={"rewards": True},
                          wrong=("new episode", "truncated ends")),
    "dac-action-value-staggered": Case("dac", {"length": 7}, stagger=9, options={"critic": "action_value"},
                                       wrong=("new episode", "no baseline")),
    "cac-coordination": Case("cac", None, envs=2, graphs=PERIODIC, wrong=MIXED),
    "cac-coordination-adam": Case("cac", None, agents=2, envs=1, graphs="path", options=ADAM, wrong=("biased",)),
    "cac-tracking": Case("cac", SHORT, options=TRACKING,
                         wrong=("untracked", "nothing taken off", "mixed residuals", "no mask")),
    "cac-tracking-partly": Case("cac", graphs=PERIODIC, options={**TRACKING, **ADAM, "sampling": "double"},
                                policy={"shared": ["dense1*"], "entropy": 0.1},
                                wrong=("untracked", "nothing taken off", "personal tracked", "personal mixed",
                                       "one chain")),
    "iac": Case("iac", SHORT, options=ADAM, policy={"shared": []}, wrong=("biased", *ENDS)),
    "iac-different": Case("iac", {"extra": 3, "actions": "mixed"}, options={"sampling": "double", "clip": 0.3},
                          policy={"shared": []}, wrong=("one chain", "no clip", "clipped score", "sum")),
    "dac": Case("dac", SHORT, wrong=("sum", "mix first", "policy mixed", *ENDS), seed=7),
    "dac-average": Case("dac", STAYING, graphs=PERIODIC, options={"setting": "average"},
                        wrong=("new mu", "mix first", "truncated ends", "new episode")),
    "dac-average-leaving": Case("dac", LEAVING, options={"setting": "average"},
                                wrong=("diluted", "inactive pay", *ENDS[2:])),
    "dac-double-adam": Case("dac", graphs=PERIODIC, options={**ADAM, "sampling": "double"}, policy={"entropy": 0.05},
                            wrong=("one chain", "mix first", "no entropy")),
    "dac-gaussian": Case("dac", {"actions": "box"}, envs=1, wrong=("mix first",)),
    "dac-action-value": Case("dac", SHORT, options={"critic": "action_value"},
                             wrong=("no baseline", "agent order", *ENDS)),
    "dac-action-value-average": Case("dac", STAYING, options={"critic": "action_value", "setting": "average", **ADAM},
                                     wrong=("no baseline", "biased", "truncated ends")),
    "dac-action-value-average-leaving": Case(
        "dac", LEAVING, envs=2, options={"critic": "action_value", "setting": "average", **ADAM},
        wrong=("diluted", "inactive pay", "decay")),
    "dac-action-value-double": Case("dac", {"length": 3, "late": True}, normalise={"observations": True},
                                    options={"critic": "action_value", "sampling": "double"},
                                    wrong=("one chain", "no restarts", *ENDS)),
    "dac-action-value-coordination": Case("dac", None, envs=1, options={"critic": "action_value"},
                                          wrong=("no baseline",)),
    "dac-action-value-different": Case("dac", {"actions": "different", "extra": 1}, graphs=PERIODIC,
                                       policy={"shared": []}, options={"critic": "action_value"},
                                       critic={"sees": "state"}, wrong=ENDS[:1]),
    "mdac": Case("mdac", SHORT, options=ROUNDS,
                 wrong=("mixed residuals", "one round", "own reward", "sum", "diluted", *ENDS)),
    "mdac-double": Case("mdac", graphs=PERIODIC, options=CHAINS, policy={"entropy": 0.1},
                        wrong=("one round", "no restarts")),
    "mdac-adam": Case("mdac", {"actions": "box"}, envs=2, options={**ADAM, "batch": 3}, normalise={"rewards": True},
                      wrong=("mixed residuals", "biased", "own reward", "clipped score")),
    "dnac": Case("dnac", SHORT, options=ROUNDS | INNER, wrong=("no n", "forgotten h", "own reward", "diluted", *ENDS)),
    "dnac-double": Case("dnac", envs=2, graphs=PERIODIC, options=CHAINS | INNER, policy={"shared": []},
                        wrong=("no n",)),
    "dnac-gaussian": Case("dnac", {"actions": "box"}, options={"batch": 2, **INNER, "natural_step": 0.05},
                          wrong=("no n", "clipped score", "no mask")),
    "cac-masked": Case("cac", MASKED, agents=4, policy={"shared": ["dense1*"], "entropy": 0.2},
                       wrong=("forgotten masks", "mixed residuals", "no entropy", "no mask")),
    "iac-masked-late": Case("iac", MASKED | {"late": True}, options={"sampling": "double"}, policy={"shared": []},
                            wrong=("forgotten masks", "one chain")),
    "dac-masked-action-value": Case("dac", MASKED, options={"critic": "action_value"}, policy={"shared": []},
                                    critic={"sees": "state"}, wrong=("forgotten masks", "no baseline")),
    "mdac-masked": Case("mdac", {"masks": True}, options=CHAINS, wrong=("forgotten masks", "no restarts")),
    "dnac-masked": Case("dnac", MASKED, options=ROUNDS | INNER, policy={"shared": []},
                        wrong=("forgotten masks", "no n")),
    "cac-discounted": Case("cac", SHORT, options=DISCOUNTED, policy={"entropy": 0.1}, stagger=4,
                           wrong=("own reward", "no entropy", *AGES)),
    "iac-discounted": Case("iac", LEAVING, options=DISCOUNTED, policy={"shared": []}, wrong=("no mask", *AGES)),
    "dac-discounted": Case("dac", {"actions": "box"}, options=DISCOUNTED, wrong=AGES),
    "dac-discounted-action-value": Case("dac", SHORT, options=DISCOUNTED | {"critic": "action_value"}, wrong=AGES),
    "mdac-discounted": Case("mdac", SHORT, options=DISCOUNTED | ROUNDS, wrong=("own reward", *AGES)),
    "dnac-discounted": Case("dnac", SHORT, options=DISCOUNTED | ROUNDS | INNER, wrong=("no n", *AGES)),
    "dnac-adam": Case("dnac", None, envs=2, options={"batch": 2, **INNER, **ADAM}, wrong=("no n", "biased")),
}


def tables(case: Case) -> dict[str, Any]:
    """The experiment file of a case."""
    arena = {"factory": "arena:make", "folder": PROGRAMS, "kwargs": case.arena}
    steps = {"actor_step": STEPS["alpha"], "critic_step": STEPS["beta"], "gamma": GAMMA}
    if case.algorithm in ("cac", "dac"):
        steps["reward_step"] = STEPS["zeta"]
    networks = {key: {"name": "mlp", "hidden": [width]} for key, width in HIDDEN.items()}
    networks["policy"] |= case.policy
    networks["critic"] |= case.critic
    return {"agents": case.agents, "iterations": ITERATIONS, "seed": case.seed, "envs": case.envs,
            "stagger": case.stagger, "env": "coordination" if case.arena is None else arena, "topology": case.graphs,
            "normalise": case.normalise, **networks,
            "algorithm": {"name": case.algorithm, "optimizer": "plain", **steps, **case.options}}


@cache
def netac(name: str) -> tuple[dict, dict]:
    """Parameters at the start, moved at random so that every agent has its own, and at the end."""
    parts = assemble(prepare(config.read(tables(CASES[name])).experiment()))
    x, rng = parts.agents.parameters, np.random.default_rng(1)
    action = CASES[name].options.get("critic") == "action_value"
    nets = {"theta": parts.agents.policy, "omega": parts.agents.Q if action else parts.agents.V,
            "lam": parts.agents.R if x.lam.shape[1] else None}
    for part, model in nets.items():
        for i in range(len(x.flat)):
            size = sum(model.networks.tensors[i].sizes) if model else 0
            getattr(x, part)[i, :size] += 0.4 * rng.standard_normal(size)
    start = {part: getattr(x, part).astype(float) for part in nets}
    iterate(parts, None, False, Progress(ITERATIONS, False), True)
    return start, {part: getattr(x, part).astype(float) for part in nets} | {"mu": x.mu.copy()}


def task(name: str) -> neural_games.Task:
    """The case as its transcription takes it."""
    case = CASES[name]
    make = partial(neural_games.CoordinationGames if case.arena is None else Arena, case.agents, case.envs,
                   **(case.arena or {}))
    games = make()
    shared = case.policy.get("shared", ["*"])
    wide = [own.shape[1] for own in start_of(games)]
    state = case.critic.get("sees") == "state"
    seen = [3] * case.agents if state else wide
    F = sum(space.n_actions or space.size for space in games.actions)
    policy = [Net([wide[i], HIDDEN["policy"], space.n_actions or space.size],
                  0 if space.n_actions else space.size, shared)
              for i, space in enumerate(games.actions)]
    action = case.options.get("critic") == "action_value"
    value = [Net([width + F * action, HIDDEN["critic"], 1]) for width in seen]
    model = [Net([width + F, HIDDEN["reward_model"], 1]) for width in seen]
    loaded = topology.load(case.graphs, case.agents)
    alike = len({(space.n_actions, space.size) for space in games.actions}) == 1
    order = case.critic.get("joint", "own-first" if alike and not state else "agents")
    return neural_games.Task(
        make, lambda t: loaded.matrix(t).toarray(), case.seed, ITERATIONS, GAMMA, STEPS, policy, value,
        None if action else model, netac(name)[0], case.options.get("sampling", "markov"),
        (0.8, 0.95, 1e-2) if "optimizer" in case.options else None, case.options.get("clip"),
        case.policy.get("entropy", 0.0), order == "own-first", state,
        case.normalise.get("observations", False), case.normalise.get("rewards", False),
        case.stagger, case.options)


def start_of(games) -> list[np.ndarray]:
    """First observations."""
    games.begin(0, 0)
    return games.observe(range(games.agents))


def distance(name: str, wrong: str = "") -> float:
    """The largest distance of any agent's tensor, in units of how far it moved."""
    job = replace(task(name), wrong=wrong)
    start, found = netac(name)
    expected = getattr(neural_transcription, CASES[name].algorithm)(job)
    distances = [0.0]
    for part, nets in {"theta": job.policy, "omega": job.value, "lam": job.reward_model}.items():
        if not start[part].shape[1]:
            continue
        for i, net in enumerate(nets):
            for tensor, place in net.places.items():
                moved = np.linalg.norm(expected[part][i][place] - start[part][i][place])
                assert wrong or moved > 1e-3, f"{part} {i} {tensor} never moved"
                distances.append(np.linalg.norm(found[part][i][place] - expected[part][i][place]) / max(moved, 1e-9))
    if CASES[name].options.get("setting") == "average":
        distances.append(np.abs(found["mu"][:, 0] - expected["mu"]).max() / np.abs(expected["mu"]).max())
    return float(np.max(distances))       # nan if one is


@pytest.mark.parametrize("name", CASES)
def test_runs_do_what_the_equations_say(name):
    assert distance(name) < CLOSE


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, case in CASES.items() for wrong in case.wrong])
def test_wrong_equations_are_noticed(name, wrong):
    assert distance(name, wrong) > FAR
