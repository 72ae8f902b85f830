"""VDN, QMIX, QPLEX and Q-DPP against plain transcriptions, which wrong equations fail.

Distances are in units of how far the parameters moved, so that nothing passes by standing still.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from support.arena_cases import LASTING, LATE, LEAVING, MASKED, Case

pytest.importorskip("torch")

from oracles.factorised import FactorisedJob, FactorisedTrainer, Layers
from programs.arena import NUMBERS, SPACES, Arena

from netac.experiment import config
from netac.experiment.build import assemble, prepare

PROGRAMS = str(Path(__file__).parents[2] / "programs")
HIDDEN, MIXING, UNITS = 4, 5, 3
ITERATIONS = 3
CLOSE, FAR = 2e-4, 2e-2
USUAL = {"gamma": 0.9, "actor_step": 0.03, "critic_step": 0.03, "rollout": 6, "updates": 2, "buffer": 45, "batch": 4,
         "warmup": 20, "tau": 0.2, "adam_epsilon": 1e-3, "epsilon_samples": 30, "epsilon": 0.1, "team_reward": "mean"}
PARTS = ("theta", "theta_targets", "omega", "omega_targets")
SEPARATE, SHARED = {"parameters": "separate"}, {"parameters": "shared"}
SUM = {"team_reward": "sum"}

CASES = {
    "vdn": Case("vdn", LASTING, options=SHARED, wrong=(
        "mean of gradients", "the other chooses", "no targets", "other targets", "no value beyond",
        "the first agent's reward", "constant epsilon")),
    "vdn-remembering": Case("vdn", LEAVING, options=SEPARATE | SUM | {"chunk": 3}, wrong=(
        "forgotten memory", "no new beginning", "absent agents count", "the first agent's reward")),
    "vdn-masked": Case("vdn", MASKED | LATE, options=SEPARATE | {"double": False, "target_every": 3}, wrong=(
        "forgotten masks", "the other chooses", "other targets")),
    "vdn-alone": Case("vdn", LEAVING, agents=1, envs=1, wrong=("no targets",), options=SEPARATE | {
        "optimizer": "plain", "actor_step": 0.3, "warmup": 10}),
    "vdn-in-sequences": Case("vdn", LASTING, agents=2, options=SEPARATE | {"chunk": 3, "clip": 0.1}, wrong=(
        "no value beyond", "other targets")),
    "qmix": Case("qmix", LEAVING, options=SEPARATE | {"mixing_width": 3, "huber": 0.3}, wrong=(
        "signed weights", "no huber", "no targets", "other targets", "absent agents count")),
    "qmix-remembering": Case("qmix", MASKED | LATE, options=SEPARATE | {"mixing_width": 2, "chunk": 2}, wrong=(
        "forgotten memory", "no new beginning", "forgotten masks", "no value beyond")),
    "qmix-alone": Case("qmix", LEAVING, agents=1, options=SHARED | {"mixing_width": 3}, wrong=(
        "signed weights", "never ends")),
    "qplex": Case("qplex", LEAVING, options=SEPARATE, wrong=(
        "equal weights", "absent agents count", "the other chooses", "other targets")),
    "qplex-remembering": Case("qplex", MASKED | LATE, agents=2, options=SEPARATE | {"chunk": 2}, wrong=(
        "equal weights", "forgotten masks", "forgotten memory", "no new beginning")),
    "qdpp": Case("qdpp", LEAVING, options=SEPARATE | {"features": 4}, wrong=(
        "quality alone", "vectors of any length", "absent agents count", "no targets")),
    "qdpp-two": Case("qdpp", MASKED | LATE, agents=2, options=SEPARATE | {"features": 3, "chunk": 2}, wrong=(
        "quality alone", "forgotten masks")),
}


@cache
def netac(name: str) -> tuple[dict, dict, dict]:
    """All options; parameters at the start, moved at random so that targets are others, and at the end."""
    case = CASES[name]
    policy = {"name": "gru", "hidden": [HIDDEN], "units": UNITS} if remembers(name) else {
        "name": "mlp", "hidden": [HIDDEN]}
    tables = {"agents": case.agents, "iterations": ITERATIONS, "seed": case.seed, "envs": case.envs,
              "topology": "complete", "env": {"factory": "arena:make", "folder": PROGRAMS, "kwargs": case.arena},
              "policy": policy, "critic": {"name": "mlp", "hidden": [MIXING]},
              "algorithm": {"name": case.trainer, **USUAL, **case.options}}
    parts = assemble(prepare(config.read(tables).experiment()))
    agents, rng = parts.agents, np.random.default_rng(1)
    rows = agents.parameters.theta, agents.targets, agents.critics.omega, agents.critics.targets
    held = dict(zip(PARTS, rows, strict=True))
    for part, rows in held.items():
        nets = agents.policy.networks if part.startswith("theta") else agents.critics.hypernetwork
        moves = 0.4 * rng.standard_normal(rows.shape).astype("f4")
        for i, row in enumerate(rows):
            size = sum((nets if part.startswith("theta") else nets.networks).tensors[i].sizes)
            row[:size] += moves[0 if case.options.get("parameters") == "shared" else i, :size]
    start = {part: rows.astype(float) for part, rows in held.items()}
    for _ in parts.setting.algorithm.iterations(parts.agents, parts.sampler, parts.network, parts.setting.settings,
                                                range(ITERATIONS)):
        pass
    return parts.setting.settings.model_dump(), start, {part: rows.astype(float) for part, rows in held.items()}


def remembers(name: str) -> bool:
    """Whether the case's utilities have a memory."""
    return "remembering" in name


def job(name: str, wrong: str = "") -> FactorisedJob:
    """The case as its transcription takes it."""
    case, (options, start, _) = CASES[name], netac(name)
    spaces = SPACES[case.arena.get("actions", "discrete")]
    own = [spaces[i % len(spaces)] for i in range(case.agents)]
    acts, h, units = sum(space.outputs for space in own), options.get("mixing_width"), UNITS * remembers(name)
    utilities = [Layers([NUMBERS + 2, HIDDEN, space.outputs], units) for space in own]
    sizes = {"vdn": None, "qmix": h and (NUMBERS, case.agents * h + 2 * h + 1), "qplex": (NUMBERS + acts, case.agents),
             "qdpp": (NUMBERS, acts * options.get("features", 0))}[case.trainer]
    mixing = Layers([sizes[0], MIXING, sizes[1]]) if sizes else None
    rows = [[row[:net.size] for row, net in zip(start[part], utilities if part.startswith("theta") else [mixing],
                                                strict=False)] for part in PARTS]
    return FactorisedJob(partial(Arena, case.agents, case.envs, **case.arena), case.trainer, case.seed, ITERATIONS,
                         options, utilities, mixing, *rows, wrong)


def distance(name: str, wrong: str = "") -> float:
    """The largest distance of any agent's tensor, in units of how far it moved."""
    task, (_, start, found), distances = job(name, wrong), netac(name), []
    trainer = FactorisedTrainer(task)
    trainer.run()
    for part in PARTS:
        nets = task.utilities if part.startswith("theta") else [task.mixing]
        for i, expected in enumerate(getattr(trainer, part)):
            for tensor, place in nets[i].places.items():
                moved = np.linalg.norm(expected.numpy()[place] - start[part][i][place])
                assert wrong or moved > 1e-3, f"{part} {i} {tensor} never moved"
                distances.append(np.linalg.norm(found[part][i][place] - expected.numpy()[place]) / max(moved, 1e-9))
    return float(np.max(distances))       # nan if one is


@pytest.mark.parametrize("name", CASES)
def test_trainers_that_factorise_do_what_their_equations_say(name):
    assert distance(name) < CLOSE


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, case in CASES.items() for wrong in case.wrong])
def test_wrong_equations_are_noticed(name, wrong):
    assert distance(name, wrong) > FAR
