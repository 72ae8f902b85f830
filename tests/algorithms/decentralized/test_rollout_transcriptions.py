"""Decentralized algorithms over trajectories against plain transcriptions, which wrong equations fail.

Distances are in units of how far the parameters moved, so that nothing passes by standing still.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from oracles.joint import Joint
from oracles.networked import Networked, Task
from oracles.neural_games import Net
from programs.arena import NUMBERS, SPACES, Arena
from support.arena_cases import BOX, LASTING, LATE, LEAVING, MASKED

from netac import topology
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.utils.progress import Progress

PROGRAMS = str(Path(__file__).parents[2] / "programs")
HIDDEN = {"policy": 4, "critic": 5, "reward_model": 6}
ITERATIONS, FEW = 30, 12                # followed, and in which mistakes show
CLOSE, FAR, NEAR = 2e-4, 2e-2, 1e-5
USUAL = {"gamma": 0.9, "gae_lambda": 0.8, "actor_step": 0.01, "critic_step": 0.01, "reward_step": 0.01, "rollout": 6,
         "epochs": 2, "adam_epsilon": 1e-2, "entropy": 0.05, "clip_range": 0.1, "reward": "own"}
PERIODIC = {"name": "periodic-complete", "period": 2}
PLAIN = {"optimizer": "plain", "actor_step": 0.1, "critic_step": 0.05, "reward_step": 0.05}
TIGHT = {"clip_range": 0.01, "epochs": 6}
VALUES = {"huber": 0.3, "value_clip": 0.05}
TRUST = {"entropy": 0.0, "sweeps": 3, "conjugate_gradients": 6, "delta": 0.005}
MIXED_SPACES = {"actions": "mixed"}
EVERY_END = ("truncated ends", "never ends")
DISCOUNTED = {"discounted_gradient": True}
AGES = ("undiscounted", "age of the rollout", "age of the run")


@dataclass(frozen=True)
class Case:
    """One experiment, for netac and for its transcription; `wrong` are mistakes that must show in it."""

    algorithm: str
    arena: dict[str, Any] = field(default_factory=dict)
    agents: int = 3
    envs: int = 2
    graphs: Any = "path"
    options: dict[str, Any] = field(default_factory=dict)
    shared: tuple[str, ...] = ("*",)
    wrong: tuple[str, ...] = ()
    seed: int = 5


CONSENSUS, MODEL = {"reward": "consensus", "reward_rounds": 2}, {"reward": "model"}
CASES = {
    "cppo": Case("cppo", LASTING, options=TIGHT, seed=7, wrong=("mixed start", "no clip", "no entropy", *EVERY_END)),
    "cppo-consensus": Case("cppo", LEAVING, graphs=PERIODIC, options=CONSENSUS | {"rounds": 3, "minibatches": 2},
                           wrong=("own reward", "mixed start", "no mask")),
    "cppo-rounds": Case("cppo", LASTING, options=CONSENSUS | {"rounds": 3} | PLAIN,
                        wrong=("one round", "own reward", "mixed start")),
    "cppo-model": Case("cppo", LEAVING, options=MODEL | {"critic_minibatches": 2, "critic_epochs": 3},
                       wrong=("own reward", "agent order", "mixed start")),
    "cppo-partly": Case("cppo", LASTING, options=VALUES | {"decay": "linear"}, shared=("dense1*",),
                        wrong=("personal mixed", "mixed start", "no huber", "no decay")),
    "cppo-moments": Case("cppo", LASTING, options=MODEL | {"mix_moments": True, "rounds": 2}, shared=("dense1*",),
                         wrong=("own moments", "personal mixed")),
    "cppo-gaussian": Case("cppo", BOX | LEAVING, options=PLAIN | {"advantages": "raw"},
                          wrong=("mixed start", "no mask")),
    "cppo-statistics": Case("cppo", LATE, options={"critic_step": 0.03}, wrong=("own statistics",)),
    "cppo-limits": Case("cppo", LASTING, options=CONSENSUS | {"time_limits": "end"},
                        wrong=("limits go on", "own reward", "never ends")),
    "cppo-two": Case("cppo", LASTING, agents=2, options=CONSENSUS, wrong=("own reward", *EVERY_END)),
    "cppo-alone": Case("cppo", LASTING, agents=1, graphs="complete", wrong=EVERY_END),
    "cppo-without-edges": Case("cppo", LASTING, graphs="disconnected", options=TIGHT, wrong=("no clip",)),
    "cppo-masked": Case("cppo", LEAVING | {"masks": True}, options=CONSENSUS | {"minibatches": 2},
                        wrong=("forgotten masks", "own reward", "no entropy")),
    "dsgd": Case("dsgd-ppo", LASTING, options=PLAIN, wrong=("mixed gradients", "no clip", *EVERY_END)),
    "dsgd-model": Case("dsgd-ppo", LEAVING, graphs=PERIODIC, options=MODEL | {"minibatches": 2},
                       wrong=("mixed gradients", "own reward", "no mask")),
    "dsgt": Case("dsgt-ppo", LASTING, options=PLAIN,
                 wrong=("untracked", "nothing taken off", "mixed gradients", *EVERY_END)),
    "dsgt-adam": Case("dsgt-ppo", LEAVING | BOX, graphs=PERIODIC, options=CONSENSUS | {"minibatches": 2},
                      wrong=("untracked", "nothing taken off", "own reward")),
    "dsgt-model": Case("dsgt-ppo", LASTING, options=MODEL | PLAIN, wrong=("untracked", "own reward")),
    "dinno": Case("dinno-ppo", LASTING, options=TIGHT | {"rho": 0.2},
                  wrong=("no dual", "no penalty", "no clip", "kept moments", *EVERY_END)),
    "dinno-kept": Case("dinno-ppo", LASTING, options={"rho": 0.2, "moments": "kept"}, wrong=("no dual", "no penalty")),
    "dinno-model": Case("dinno-ppo", LEAVING, graphs="ring", agents=4, options=MODEL | PLAIN | {
        "rho": 0.5, "rho_growth": 1.05, "minibatches": 2}, wrong=("no dual", "no penalty", "no growth", "no mask")),
    "dinno-masked": Case("dinno-ppo", LASTING | {"masks": True}, options={"rho": 0.2}, wrong=("forgotten masks",)),
    "dsgt-masked": Case("dsgt-ppo", LEAVING | {"masks": True}, options=PLAIN, wrong=("forgotten masks", "no mask")),
    "dinno-alone": Case("dinno-ppo", LASTING, agents=1, graphs="complete", wrong=EVERY_END),
    "matrpo": Case("matrpo", LASTING, options=TRUST, wrong=(
        "no dual", "whole dual", "no penalty", "plain gradient", "own component only", "onwards", *EVERY_END)),
    "matrpo-leaving": Case("matrpo", LEAVING, graphs="ring", agents=4, options=TRUST | CONSENSUS | {"rho": 0.5}, wrong=(
        "no mask", "absent acted", "absent heard", "no dual", "no penalty", "own reward")),
    "matrpo-gaussian": Case("matrpo", BOX | LASTING, seed=7, options=TRUST | {
        "sweeps": 4, "delta": 0.02, "accept": 0.9}, wrong=(
        "no dual", "no penalty", "plain gradient", "own component only", "one sweep", "no search")),
    "matrpo-mixed": Case("matrpo", MIXED_SPACES | LATE, options=TRUST | {"conjugate_gradients": 200}, wrong=(
        "no mask", "absent acted", "no penalty", "one sweep")),
    "matrpo-entropy": Case("matrpo", LEAVING, graphs=PERIODIC, options=TRUST | {
        "entropy": 0.5, "accept": 0.9, "delta": 0.01, "conjugate_gradients": 200}, wrong=(
            "no entropy", "search without entropy", "no mask", "one sweep")),
    "matrpo-model": Case("matrpo", LASTING, agents=2, options=TRUST | MODEL | {"critic_minibatches": 2},
                         wrong=("no dual", "no penalty", "agent order", "own reward")),
    "matrpo-once": Case("matrpo", LASTING, options=TRUST | {"sweeps": 1, "decay": "linear"},
                        wrong=("plain gradient", "own component only", "no decay")),
    "matrpo-without-edges": Case("matrpo", LEAVING, graphs="disconnected", options=TRUST,
                                 wrong=("absent acted", "no mask")),
    "matrpo-masked": Case("matrpo", MASKED | LEAVING, options=TRUST | {"entropy": 0.1, "conjugate_gradients": 200},
                          wrong=("forgotten masks", "absent acted", "no penalty")),
    "cppo-discounted": Case("cppo", LASTING, options=DISCOUNTED | CONSENSUS | TIGHT, wrong=("own reward", *AGES)),
    "dsgd-discounted": Case("dsgd-ppo", LEAVING, options=DISCOUNTED | PLAIN | MODEL, wrong=("own reward", *AGES[:2])),
    "dinno-discounted": Case("dinno-ppo", LASTING, options=DISCOUNTED | {"rho": 0.2, "rollout": 7}, wrong=AGES),
    "matrpo-discounted": Case("matrpo", LASTING, options=DISCOUNTED | TRUST | {"accept": 0.9},
                              wrong=("no penalty", *AGES)),
    "matrpo-alone": Case("matrpo", BOX | LEAVING, agents=1, graphs="complete", options=TRUST,
                         wrong=("plain gradient", *EVERY_END)),
}


def tables(case: Case, iterations: int) -> dict[str, Any]:
    """The experiment file of a case."""
    networks = {key: {"name": "mlp", "hidden": [width], "activation": "tanh"} for key, width in HIDDEN.items()
                if key != "reward_model" or case.options.get("reward") == "model"}
    networks["policy"]["shared"] = list(case.shared)
    return {"agents": case.agents, "iterations": iterations, "seed": case.seed, "envs": case.envs,
            "topology": case.graphs, "env": {"factory": "arena:make", "folder": PROGRAMS, "kwargs": case.arena},
            **networks, "algorithm": {"name": case.algorithm, **USUAL, **case.options}}


@cache
def netac(name: str, iterations: int) -> tuple[dict, dict, dict, list[int]]:
    """All options; parameters at the start, moved at random, and at the end; how many of theta are shared."""
    case = CASES[name]
    parts = assemble(prepare(config.read(tables(case, iterations)).experiment()))
    x, rng = parts.agents.parameters, np.random.default_rng(1)
    held = {"omega": x.omega, "theta": x.theta, "lam": x.lam}
    for rows in held.values():
        rows += 0.4 * rng.standard_normal(rows.shape).astype("f4")
    start = {part: rows.astype(float) for part, rows in held.items()}
    iterate(parts, None, False, Progress(iterations, False), True)
    return (parts.setting.settings.model_dump() | {"team_reward": None}, start,
            {part: rows.astype(float) for part, rows in held.items()}, [x.shared.shape[1]] * case.agents)


def task(name: str, iterations: int, wrong: str = "") -> Task:
    """The case as its transcription takes it."""
    case, (options, start, _, shared) = CASES[name], netac(name, iterations)
    spaces = SPACES[case.arena.get("actions", "discrete")]
    own = [spaces[i % len(spaces)] for i in range(case.agents if case.algorithm == "matrpo" else 1)]
    policy = Net([NUMBERS + 2, HIDDEN["policy"], sum(space.outputs for space in own)],
                 sum(space.size for space in own if not space.n_actions))
    value = Net([NUMBERS + 2, HIDDEN["critic"], 1])
    model = Net([NUMBERS + 2 + 3 * case.agents, HIDDEN["reward_model"], 1])
    graphs = topology.load(case.graphs, case.agents)
    modelled = options["reward"] == "model"
    order = list(policy.places)
    if case.shared != ("*",):
        assert shared[0] == sum(policy.places[each].stop - policy.places[each].start for each in order[:2])
    return Task(partial(Arena, case.agents, case.envs, **case.arena), case.algorithm, case.seed, iterations, options,
                [policy] * case.agents, [value] * case.agents, list(start["theta"]), list(start["omega"]), wrong,
                W=lambda k: graphs.matrix(k).toarray(), shared=shared, model=[model] * case.agents if modelled else [],
                lam=list(start["lam"]) if modelled else [])


def distance(name: str, wrong: str = "") -> float:
    """The largest distance of any agent's tensor, in units of how far it moved."""
    made = Joint if CASES[name].algorithm == "matrpo" else Networked
    iterations = FEW if wrong else ITERATIONS
    run, (_, start, found, _) = made(task(name, iterations, wrong)), netac(name, iterations)
    run.run()
    nets = {"theta": run.job.policy, "omega": run.job.value, "lam": run.job.model}
    distances = []
    for part in run.mixed:
        for i, net in enumerate(nets[part]):
            for tensor, place in net.places.items():
                moved = np.linalg.norm(run.rows(part)[i][place] - start[part][i][place])
                assert wrong or moved > 1e-3, f"{part} {i} {tensor} never moved"
                away = found[part][i][place] - run.rows(part)[i][place]
                assert wrong or np.abs(away).max() < NEAR, f"{part} {i} {tensor}"
                distances.append(np.linalg.norm(away) / max(moved, 1e-9))
    return float(np.max(distances))       # nan if one is


@pytest.mark.parametrize("name", CASES)
def test_algorithms_do_what_their_equations_say(name):
    assert distance(name) < CLOSE


@pytest.mark.parametrize(("name", "wrong"), [
    pytest.param(name, wrong, marks=[pytest.mark.long] if name.startswith("matrpo-") and number else [])
    for name, case in CASES.items() for number, wrong in enumerate(case.wrong)])
def test_wrong_equations_are_noticed(name, wrong):
    assert distance(name, wrong) > FAR
