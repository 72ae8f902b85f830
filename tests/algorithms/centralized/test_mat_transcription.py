"""MAT against a plain transcription, which wrong equations fail.

Distances are in units of how far the parameters moved, so that nothing passes by standing still.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arena_cases import BOX, LASTING, LATE, LEAVING, MASKED, MIXED, Case

pytest.importorskip("torch")

from oracles.autoregressive import Mat, Sequencer
from oracles.trainers import Job
from programs.arena import Arena

from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.utils.progress import Progress

PROGRAMS = str(Path(__file__).parents[2] / "programs")
ITERATIONS = 3
CLOSE, FAR, LEAST = 5e-4, 2e-2, 1e-2      # layers that normalise make more of rounding than dense ones do
USUAL = {"gamma": 0.9, "gae_lambda": 0.8, "actor_step": 0.01, "critic_step": 0.015, "rollout": 8, "epochs": 3,
         "adam_epsilon": 1e-2, "entropy": 0.05, "team_reward": "mean"}
TIGHT = {"clip_range": 0.05}
BARE = {"huber": None, "value_clip": None, "value_normalisation": False, "clip": None, "entropy": 0.0}
ANONYMOUS = {"identity": False}
DEEP = {"heads": 2, "blocks": 2}

CASES: dict[str, tuple[Case, dict[str, Any]]] = {
    "usual": (Case("mat", LASTING, options=TIGHT, wrong=(
        "other order", "no clip", "no entropy", "no values", "sees later actions", "deaf", "never ends",
        "truncated ends")), {}),
    "leaving": (Case("mat", LEAVING, options={"minibatches": 2, "critic_weight": 0.5, "decay": "linear"}, wrong=(
        "no mask", "own means", "all agents count", "never ends")), DEEP),
    "fixed": (Case("mat", LASTING, options={"order": "fixed", "advantages": "agent", "huber": 0.3, "value_clip": 0.05},
                   wrong=("other order", "no huber", "no value clip", "deaf")), ANONYMOUS),
    "vectors": (Case("mat", BOX, options=TIGHT | {"clip_over_agents": True, "clip": 0.1, "team_reward": "sum"}, wrong=(
        "one range", "no mask", "no entropy", "deaf")), {}),
    "mixed-late": (Case("mat", MIXED | LATE, options={"minibatches": 4}, wrong=("no mask", "deaf")), DEEP),
    "masked": (Case("mat", MASKED | LEAVING, options=TIGHT, wrong=("forgotten masks", "no mask")), {}),
    "several-choices": (Case("mat", {"actions": "medley", "masks": True}, agents=4, options={"advantages": "raw"},
                             wrong=("forgotten masks", "deaf")), {}),
    "bare": (Case("mat", LASTING | BOX, options=BARE | {"optimizer": "plain", "actor_step": 0.3, "critic_step": 0.3},
                  wrong=("deaf", "never ends")), ANONYMOUS),
    "two": (Case("mat", LEAVING, agents=2, envs=1, options=TIGHT | {"time_limits": "end", "discounted_gradient": True},
                 wrong=("limits go on", "undiscounted", "deaf")), {}),
    "alone": (Case("mat", LEAVING, agents=1, options=TIGHT, wrong=("never ends", "no clip")), {}),
}


@cache
def netac(name: str) -> tuple[dict, Sequencer, np.ndarray, np.ndarray]:
    """All options; the model, its parameters at the start, moved at random, and at the end."""
    case, network = CASES[name]
    network = {"width": 8, **network}
    tables = {"agents": case.agents, "iterations": ITERATIONS, "seed": case.seed, "envs": case.envs,
              "env": {"factory": "arena:make", "folder": PROGRAMS, "kwargs": case.arena}, "policy": network,
              "algorithm": {"name": case.trainer, **USUAL, **case.options}}
    parts = assemble(prepare(config.read(tables).experiment()))
    theta, policy, games = parts.agents.parameters.theta, parts.agents.policy, parts.sampler.environment
    theta[0] += 0.4 * np.random.default_rng(1).standard_normal(policy.size).astype("f4")
    start = theta[0].astype(float)
    iterate(parts, None, False, Progress(ITERATIONS, False), True)
    assert not theta[1:].any()
    model = Sequencer(policy.networks.tensors[0].shapes, network.get("heads", 1), network.get("blocks", 1),
                      max(shape[0] for shape in games.observations), max(space.outputs for space in games.actions),
                      network.get("identity", True))
    return parts.setting.settings.model_dump(), model, start, theta[0].astype(float)


def distance(name: str, wrong: str = "") -> float:
    """The largest distance of any tensor, in units of how far it moved, at least `LEAST`.

    Single precision rounds parameters to 1e-7, and some hardly move: the keys' biases, which cancel in every softmax.
    """
    (case, _), (options, model, start, found), distances = CASES[name], netac(name), []
    model.wrong = wrong
    expected = Mat(Job(partial(Arena, case.agents, case.envs, **case.arena), case.trainer, case.seed, ITERATIONS,
                       options, [model], [], [start], [], wrong)).run()
    for place in model.places.values():
        moved = np.linalg.norm(expected[place] - start[place])
        distances.append(np.linalg.norm(found[place] - expected[place]) / max(moved, LEAST))
    assert wrong or np.linalg.norm(expected - start) > 10 * LEAST
    return float(np.max(distances))       # nan if one is


@pytest.mark.parametrize("name", CASES)
def test_mat_does_what_the_paper_says(name):
    assert distance(name) < CLOSE


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, (case, _) in CASES.items()
                                             for wrong in case.wrong])
def test_wrong_equations_are_noticed(name, wrong):
    assert distance(name, wrong) > FAR
