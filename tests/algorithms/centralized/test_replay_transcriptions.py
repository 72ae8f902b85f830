"""MADDPG and HADDPG against plain transcriptions, which wrong equations fail.

Distances are in units of how far the parameters moved, so that nothing passes by standing still.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from support.arena_cases import BOX, LASTING, LATE, LEAVING, MASKED, MIXED, Case

pytest.importorskip("torch")

from oracles.neural_games import Net
from oracles.replays import ReplayJob, ReplayTrainer
from programs.arena import NUMBERS, SPACES, Arena

from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.utils.progress import Progress

PROGRAMS = str(Path(__file__).parents[2] / "programs")
HIDDEN = {"policy": 4, "critic": 5}
ITERATIONS = 4
CLOSE, FAR = 2e-4, 2e-2
USUAL = {"gamma": 0.9, "actor_step": 0.03, "critic_step": 0.03, "rollout": 9, "updates": 3, "buffer": 50, "batch": 16,
         "warmup": 20, "tau": 0.2, "adam_epsilon": 1e-3, "penalty": 0.05, "noise": 0.3}
PARTS = ("theta", "omega", "theta_targets", "omega_targets")
MEAN = {"team_reward": "mean"}
TARGETS = ("no target policies", "no target critics", "hard targets")

CASES = {
    "maddpg": Case("maddpg", LASTING, options={"temperature": 0.7}, wrong=(
        *TARGETS, "others' new actions", "team's reward", "no gumbel", "no temperature", "soft actions", "no penalty",
        "no value beyond")),
    "maddpg-box-leaving": Case("maddpg", BOX | LEAVING, options={"clip": 0.2}, wrong=(
        *TARGETS, "others' new actions", "no tanh", "no mask", "never ends", "no penalty")),
    "maddpg-mixed-late": Case("maddpg", MIXED | LATE, options={"huber": 0.2, "epsilon": 0.3}, wrong=(
        "no huber", "no mask", "others' new actions", "no value beyond")),
    "maddpg-team-two": Case("maddpg", LEAVING, agents=2, envs=3, options={"team_reward": "sum"}, wrong=(
        "team's reward", "never ends", "no mask")),
    "maddpg-undiscounted": Case("maddpg", LEAVING, options={"gamma": 1.0}, wrong=("never ends", "team's reward")),
    "maddpg-alone": Case("maddpg", LEAVING | BOX, agents=1, envs=1, options={"optimizer": "plain", "actor_step": 0.3},
                         wrong=("never ends", *TARGETS)),
    "maddpg-shared": Case("maddpg", LEAVING, options={"parameters": "shared"}, wrong=("apart", "no mask", *TARGETS)),
    "maddpg-shared-box-two": Case("maddpg", BOX | LASTING, agents=2, options={"parameters": "shared"}, wrong=(
        "apart", "others' new actions", "no tanh")),
    "haddpg": Case("haddpg", LASTING, options=MEAN | {"temperature": 0.7}, wrong=(
        *TARGETS, "other order", "earlier agents' old actions", "others' stored actions", "no gumbel", "soft actions",
        "no temperature")),
    "haddpg-box-leaving": Case("haddpg", BOX | LEAVING, options={"team_reward": "sum", "order": "fixed"}, wrong=(
        *TARGETS, "other order", "earlier agents' old actions", "others' stored actions", "no tanh", "no mask",
        "team's reward", "no penalty")),
    "haddpg-mixed-late": Case("haddpg", MIXED | LATE, options=MEAN | {"epsilon": 0.2, "huber": 0.2}, wrong=(
        "no mask", "earlier agents' old actions", "no value beyond", "no huber")),
    "haddpg-two": Case("haddpg", BOX | LASTING, agents=2, envs=1, options=MEAN, wrong=(
        "earlier agents' old actions", "others' stored actions", "other order")),
    "maddpg-masked": Case("maddpg", MASKED | LATE, options={"temperature": 0.7, "epsilon": 0.3}, wrong=(
        "forgotten masks", "no penalty")),
    "haddpg-masked": Case("haddpg", MASKED | LEAVING, options=MEAN | {"order": "fixed"}, wrong=(
        "forgotten masks", "earlier agents' old actions")),
    "haddpg-alone": Case("haddpg", LEAVING, agents=1, options=MEAN, wrong=("never ends", *TARGETS)),
}


@cache
def netac(name: str) -> tuple[dict, dict, dict]:
    """All options; parameters at the start, moved at random so that targets are others, and at the end."""
    case = CASES[name]
    tables = {"agents": case.agents, "iterations": ITERATIONS, "seed": case.seed, "envs": case.envs,
              "topology": "complete", "env": {"factory": "arena:make", "folder": PROGRAMS, "kwargs": case.arena},
              "policy": {"name": "mlp", "hidden": [HIDDEN["policy"]]},
              "critic": {"name": "mlp", "hidden": [HIDDEN["critic"]]},
              "algorithm": {"name": case.trainer, **USUAL, **case.options}}
    parts = assemble(prepare(config.read(tables).experiment()))
    agents, rng = parts.agents, np.random.default_rng(1)
    rows = agents.parameters.theta, agents.critics.omega, agents.targets, agents.critics.targets
    held = dict(zip(PARTS, rows, strict=True))
    nets = {"theta": agents.policy.networks, "omega": agents.critics.Q.networks}
    for part, rows in held.items():
        shared = part.startswith("theta") and case.options.get("parameters") == "shared"
        for i, (own, row) in enumerate(zip(nets[part.partition("_")[0]].tensors, rows, strict=False)):
            size = sum(own.sizes)
            row[:size] = rows[0, :size] if shared and i else row[:size] + 0.4 * rng.standard_normal(size).astype("f4")
    start = {part: rows.astype(float) for part, rows in held.items()}
    iterate(parts, None, False, Progress(ITERATIONS, False), True)
    return parts.setting.settings.model_dump(), start, {part: rows.astype(float) for part, rows in held.items()}


def job(name: str, wrong: str = "") -> ReplayJob:
    """The case as its transcription takes it."""
    case, (options, start, _) = CASES[name], netac(name)
    spaces = SPACES[case.arena.get("actions", "discrete")]
    own = [spaces[i % len(spaces)] for i in range(case.agents)]
    policy = [Net([NUMBERS + 2 + case.arena.get("extra", 0) * (i % 2), HIDDEN["policy"], space.outputs])
              for i, space in enumerate(own)]
    value = [Net([NUMBERS + sum(space.outputs for space in own), HIDDEN["critic"], 1])] * len(start["omega"])
    theta, omega, theta_targets, omega_targets = (
        [row[:net.size] for row, net in zip(start[part], policy if part.startswith("theta") else value, strict=True)]
        for part in PARTS)
    return ReplayJob(partial(Arena, case.agents, case.envs, **case.arena), case.trainer, case.seed, ITERATIONS,
                     options, policy, value, theta, omega, wrong, theta_targets=theta_targets,
                     omega_targets=omega_targets)


def distance(name: str, wrong: str = "") -> float:
    """The largest distance of any agent's tensor, in units of how far it moved."""
    task, (_, start, found), distances = job(name, wrong), netac(name), []
    trainer = ReplayTrainer(task)
    trainer.run()
    for part in PARTS:
        for i, (net, expected) in enumerate(zip(task.policy if part.startswith("theta") else task.value,
                                                getattr(trainer, part), strict=True)):
            for tensor, place in net.places.items():
                moved = np.linalg.norm(expected[place] - start[part][i][place])
                assert wrong or moved > 1e-3, f"{part} {i} {tensor} never moved"
                distances.append(np.linalg.norm(found[part][i][place] - expected[place]) / max(moved, 1e-9))
    return float(np.max(distances))       # nan if one is


@pytest.mark.parametrize("name", CASES)
def test_trainers_with_a_replay_do_what_their_equations_say(name):
    assert distance(name) < CLOSE


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, case in CASES.items() for wrong in case.wrong])
def test_wrong_equations_are_noticed(name, wrong):
    assert distance(name, wrong) > FAR
