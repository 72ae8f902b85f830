"""Trainers against plain transcriptions of their papers, which wrong equations fail.

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

from oracles.counterfactual import Coma
from oracles.neural_games import Net
from oracles.safe import Safe
from oracles.trainers import LOCAL, Job, Trainer
from programs.arena import NUMBERS, SPACES, Arena

from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.utils.progress import Progress

PROGRAMS = str(Path(__file__).parents[2] / "programs")
MADE = {"macpo": Safe, "mappo-lagrangian": Safe}
HIDDEN = {"policy": 4, "critic": 5}
ITERATIONS = 3
CLOSE, FAR = 2e-4, 2e-2
USUAL = {"gamma": 0.9, "gae_lambda": 0.8, "actor_step": 0.03, "critic_step": 0.03, "rollout": 12, "epochs": 3,
         "critic_epochs": 4, "adam_epsilon": 1e-3, "entropy": 0.05, "team_reward": "mean"}
TIGHT = {"clip_range": 0.05}
SEPARATE, SHARED = {"parameters": "separate"}, {"parameters": "shared"}
VALUES = {"huber": 0.3, "value_clip": 0.05}
BARE = {"huber": None, "value_clip": None, "value_normalisation": False, "clip": None, "entropy": 0.0}
EVERY_END = ("truncated ends", "never ends")
DISCOUNTED = {"discounted_gradient": True}
NEAR = {"neighbourhood": "kl", "delta": 0.005}
PRICED = {"priced": True}
EXACTLY = {"entropy": 0.0, "conjugate_gradients": 200}
AGES = ("undiscounted", "age of the rollout", "age of the run")

CASES = {
    "happo": Case("happo", LASTING, options=TIGHT,
                  wrong=("no factor", "factor clipped", "other order", "no clip", "no entropy", *EVERY_END)),
    "happo-fixed-values": Case("happo", LASTING,
                               options=VALUES | {"order": "fixed", "minibatches": 3, "critic_minibatches": 2},
                               wrong=("no huber", "no value clip", "other order", "no factor")),
    "happo-bare": Case("happo", LASTING | BOX,
                       options=BARE | {"optimizer": "plain", "actor_step": 0.3, "advantages": "raw"},
                       wrong=("no factor", "other order", *EVERY_END), seed=7),
    "happo-leaving": Case("happo", LEAVING, envs=3,
                          options={"advantages": "agent", "minibatches": 2, "decay": "linear"},
                          wrong=("no mask", "no factor", "no decay", *EVERY_END)),
    "happo-gaussian": Case("happo", BOX, options=TIGHT | {"clip_over_agents": True, "clip": 0.1, "team_reward": "sum"},
                           wrong=("no factor", "no clip", "one range", "no mask", "no entropy")),
    "happo-mixed-late": Case("happo", MIXED | LATE, options={"minibatches": 4},
                             wrong=("no mask", "no factor", "never ends")),
    "happo-undiscounted": Case("happo", LEAVING, options={"gamma": 1.0}, wrong=("no factor", *EVERY_END)),
    "happo-alone": Case("happo", LASTING, agents=1, options=TIGHT, wrong=("no clip", *EVERY_END)),
    "happo-two": Case("happo", LEAVING, agents=2, envs=1, options={"clip_over_agents": True, **TIGHT},
                      wrong=("one range", "no factor", "no mask")),
    "haa2c": Case("haa2c", LASTING, wrong=("no factor", "other order", *EVERY_END)),
    "haa2c-gaussian-leaving": Case("haa2c", BOX | LEAVING, options={"epochs": 2, "minibatches": 2, "order": "fixed"},
                                   wrong=("no factor", "other order", "no mask")),
    "happo-limits": Case("happo", LASTING, options=TIGHT | {"time_limits": "end"},
                         wrong=("limits go on", "no factor", "never ends")),
    "mappo-shared": Case("mappo", LASTING, options=SHARED | TIGHT,
                         wrong=("apart", "no clip", "no entropy", *EVERY_END)),
    "mappo-shared-leaving": Case("mappo", LEAVING, options=SHARED | {"minibatches": 3, "critic_minibatches": 3},
                                 wrong=("apart", "no mask", "own means")),
    "mappo-separate": Case("mappo", MIXED, options=SEPARATE | TIGHT | {"advantages": "agent"},
                           wrong=("no clip", "no mask", "no entropy")),
    "mappo-separate-two": Case("mappo", LASTING | BOX, agents=2,
                               options=SEPARATE | {"minibatches": 2, "clip_over_agents": True} | TIGHT,
                               wrong=("one range", "no clip")),
    "mappo-alone": Case("mappo", LEAVING, agents=1, envs=1, options=SHARED, wrong=EVERY_END, seed=7),
    "ippo-separate": Case("ippo", LASTING, options=SEPARATE | TIGHT | {"team_reward": None},
                          wrong=("no clip", *EVERY_END)),
    "ippo-separate-leaving": Case("ippo", LEAVING | MIXED, options=SEPARATE | VALUES | {
        "critic_minibatches": 4, "team_reward": None}, wrong=("no mask", "never ends", "no huber", "no value clip")),
    "ippo-separate-late": Case("ippo", LATE, options=SEPARATE | {"advantages": "raw", "actor_step": 0.01},
                               wrong=("no mask", *EVERY_END)),
    "ippo-separate-limits": Case("ippo", LEAVING, options=SEPARATE | {"time_limits": "end"},
                                 wrong=("limits go on", "no mask")),
    "ippo-shared": Case("ippo", LASTING, options=SHARED | {"value_normalisation": False}, wrong=("apart", *EVERY_END)),
    "ippo-shared-leaving": Case("ippo", LEAVING | BOX,
                                options=SHARED | {"minibatches": 2, "value_normalisation": False},
                                wrong=("apart", "no mask", "own means")),
    "ippo-shared-alone": Case("ippo", LEAVING, agents=1, options=SHARED, wrong=EVERY_END),
    "jrppo": Case("jrppo", LASTING, options=SEPARATE | TIGHT, wrong=("own ratios", "no clip", *EVERY_END)),
    "jrppo-shared-leaving": Case("jrppo", LEAVING | BOX, options=SHARED | {"minibatches": 2, "clip_range": 0.1},
                                 wrong=("apart", "own ratios", "no mask", "own means")),
    "jrppo-two": Case("jrppo", LEAVING, agents=2, options=SEPARATE | TIGHT,
                      wrong=("own ratios", "no clip", "own means")),
    "coma": Case("coma", LASTING, options=SHARED,
                 wrong=("other baseline", "critic of before", "no next action", "apart", "no entropy",
                        *EVERY_END)),
    "coma-optimal": Case("coma", LASTING, options=SEPARATE | {"baseline": "optimal", "advantages": "raw"},
                         wrong=("other baseline", "critic of before", *EVERY_END)),
    "coma-none": Case("coma", LASTING,
                      options=SEPARATE | {"baseline": "none", "value_normalisation": False, "epochs": 1},
                      wrong=("other baseline", *EVERY_END)),
    "coma-leaving": Case("coma", LEAVING, envs=3, options=SHARED | VALUES | {"minibatches": 2, "critic_minibatches": 2},
                         wrong=("other baseline", "no mask", "own means", "no huber", "no value clip", "never ends")),
    "coma-optimal-mixed-late": Case("coma", MIXED | LATE,
                                    options=SEPARATE | TIGHT | {"baseline": "optimal", "advantages": "agent"},
                                    wrong=("other baseline", "no mask", "no clip", "no next action")),
    "coma-gaussian": Case("coma", BOX, options=SHARED | {"baseline_pairs": 2, "decay": "linear"},
                          wrong=("other baseline", "no next action", "no decay", "no entropy")),
    "coma-optimal-gaussian": Case("coma", BOX | LEAVING,
                                  options=SEPARATE | {"baseline": "optimal", "baseline_pairs": 3},
                                  wrong=("other baseline", "no mask", "critic of before")),
    "coma-none-gaussian": Case("coma", BOX, agents=2, options=SEPARATE | {"baseline": "none", "team_reward": "sum"},
                               wrong=("other baseline",)),
    "coma-alone": Case("coma", LEAVING, agents=1, options=SHARED | {"baseline": "optimal"},
                       wrong=("other baseline", *EVERY_END)),
    "hatrpo": Case("hatrpo", LASTING, options={"entropy": 0.0, "conjugate_gradients": 6},
                   wrong=("no factor", "plain gradient", "other order", *EVERY_END)),
    "hatrpo-exact": Case("hatrpo", LEAVING,
                         options={"entropy": 0.0, "conjugate_gradients": 200, "delta": 0.1, "damping": 0.2,
                                  "advantages": "agent"},
                         wrong=("no factor", "plain gradient", "no mask")),
    "hatrpo-gaussian": Case("hatrpo", BOX | LASTING, options={"entropy": 0.0, "conjugate_gradients": 200, "delta": 0.5},
                            wrong=("no factor", "plain gradient", "no search")),
    "hatrpo-entropy": Case("hatrpo", LEAVING,
                           options={"entropy": 0.5, "conjugate_gradients": 200, "delta": 0.5, "accept": 0.8},
                           wrong=("no entropy", "search without entropy", "no factor", "no mask")),
    "hatrpo-gaussian-entropy": Case("hatrpo", BOX | LASTING, agents=2, options={
        "entropy": 1.0, "conjugate_gradients": 200, "delta": 0.2, "accept": 0.9, "damping": 0.3},
                                    wrong=("no entropy", "search without entropy")),
    "happo-masked": Case("happo", MASKED | LEAVING, options=TIGHT | {"minibatches": 2},
                         wrong=("forgotten masks", "no factor", "no entropy")),
    "mappo-masked": Case("mappo", LASTING | {"masks": True}, options=SHARED | TIGHT,
                         wrong=("forgotten masks", "apart")),
    "jrppo-masked": Case("jrppo", MASKED | LASTING, options=SEPARATE | TIGHT, wrong=("forgotten masks", "own ratios")),
    "coma-masked": Case("coma", MASKED | LATE, options=SEPARATE | {"advantages": "agent"},
                        wrong=("forgotten masks", "other baseline")),
    "coma-masked-optimal": Case("coma", LASTING | {"masks": True}, options=SHARED | {"baseline": "optimal"},
                                wrong=("forgotten masks", "other baseline")),
    "hatrpo-masked": Case("hatrpo", MASKED | LEAVING,
                          options={"entropy": 0.3, "conjugate_gradients": 200, "delta": 0.1},
                          wrong=("forgotten masks", "no factor")),
    "happo-discounted": Case("happo", LASTING, options=DISCOUNTED | TIGHT | {"minibatches": 2, "entropy": 0.3},
                             wrong=("no clip", "no entropy", *AGES)),
    "mappo-discounted": Case("mappo", LEAVING, options=DISCOUNTED | SHARED | {"advantages": "agent"},
                             wrong=("no mask", *AGES)),
    "ippo-discounted": Case("ippo", LASTING | BOX, agents=2, options=DISCOUNTED | SEPARATE | {"rollout": 7},
                            wrong=AGES),
    "jrppo-discounted": Case("jrppo", LASTING, options=DISCOUNTED | SEPARATE | TIGHT, wrong=("own ratios", *AGES)),
    "coma-discounted": Case("coma", LASTING, options=DISCOUNTED | SHARED | {"advantages": "raw"},
                            wrong=("other baseline", *AGES)),
    "haa2c-discounted": Case("haa2c", LATE, options=DISCOUNTED | {"rollout": 7}, wrong=("no factor", *AGES)),
    "hatrpo-discounted": Case("hatrpo", LASTING, options=DISCOUNTED | {
        "entropy": 0.0, "conjugate_gradients": 200, "delta": 0.1, "accept": 0.9}, wrong=("no factor", *AGES)),
    "haml-kl": Case("haml", LASTING, options={"drift": "kl", "drift_coefficient": 2.0}, wrong=(
        "no drift", "other divergence", "no factor", "other order", "no entropy", *EVERY_END)),
    "haml-kl-leaving": Case("haml", LEAVING, envs=3, options=NEAR | {"drift": "kl", "minibatches": 2}, wrong=(
        "no drift", "no way back", "no mask", "no factor")),
    "haml-kl-gaussian": Case("haml", BOX, agents=2, options={"drift": "kl", "advantages": "agent", "order": "fixed"},
                             wrong=("no drift", "other divergence", "other order")),
    "haml-none-gaussian": Case("haml", BOX | LEAVING, options=NEAR | {"drift": "none"},
                               wrong=("no way back", "more than half of the way", "no factor")),
    "haml-clip-masked": Case("haml", MASKED | LEAVING, options=TIGHT | NEAR | {"drift": "clip"},
                             wrong=("no clip", "no way back", "forgotten masks")),
    "haml-alone": Case("haml", LEAVING, agents=1, envs=1, options=NEAR | {"drift": "kl"},
                       wrong=("no drift", "no way back")),
    "happo-optimal": Case("happo", LASTING, options={"baseline": "optimal", "advantages": "raw"},
                          wrong=("other baseline", "critic of before", "no factor", "other order", *EVERY_END)),
    "happo-counterfactual-gaussian": Case("happo", BOX | LEAVING, options=TIGHT | {
        "baseline": "counterfactual", "baseline_pairs": 2, "minibatches": 2}, wrong=(
        "other baseline", "no factor", "no mask", "no clip", "no next action")),
    "haa2c-none": Case("haa2c", LATE, agents=2, options={"baseline": "none", "advantages": "agent"},
                       wrong=("other baseline", "no factor", "no mask")),
    "hatrpo-optimal": Case("hatrpo", LEAVING, options={
        "entropy": 0.0, "conjugate_gradients": 200, "delta": 0.1, "baseline": "optimal"},
                           wrong=("other baseline", "no factor", "plain gradient", "no mask")),
    "haml-counterfactual-masked": Case("haml", MASKED | LASTING, options={"drift": "kl", "baseline": "counterfactual"},
                                       wrong=("other baseline", "no drift", "forgotten masks", "no factor")),
    "mappo-optimal": Case("mappo", LEAVING, options=SHARED | TIGHT | {"baseline": "optimal"},
                          wrong=("other baseline", "apart", "no mask", "no clip")),
    "macpo": Case("macpo", LASTING | PRICED, options=EXACTLY | {"cost_limit": 1.3, "delta": 0.05},
                  wrong=("no cost", "half the limit", "no factor", "other order", "the team's costs", *EVERY_END)),
    "macpo-leaving": Case("macpo", LEAVING | PRICED, options=EXACTLY | {
        "cost_limit": [0.6, 1.1, 0.9], "delta": 0.1, "advantages": "agent"}, wrong=("no cost", "no mask", "no factor")),
    "macpo-gaussian": Case("macpo", BOX | LATE | PRICED, options=EXACTLY | {"cost_limit": 0.75, "delta": 0.1},
                           wrong=("no cost", "half the limit", "reward first"), seed=7),
    "macpo-recovering": Case("macpo", LASTING | PRICED, options=EXACTLY | {"cost_limit": 0.0},
                             wrong=("no recovery", "the team's costs", "reward first")),
    "macpo-entropy-two": Case("macpo", LASTING | PRICED, agents=2, options=EXACTLY | {
        "cost_limit": 1.0, "entropy": 0.3, "delta": 0.1}, wrong=("no entropy", "no cost")),
    "macpo-discounted": Case("macpo", LASTING | PRICED, options=EXACTLY | DISCOUNTED | {
        "cost_limit": 1.0, "delta": 0.1}, wrong=("no cost", *AGES)),
    "macpo-alone": Case("macpo", LEAVING | PRICED, agents=1, options=EXACTLY | {"cost_limit": 1.0, "delta": 0.1},
                        wrong=("no cost", *EVERY_END)),
    "mappo-lagrangian": Case("mappo-lagrangian", LASTING | PRICED, options=TIGHT | {
        "cost_limit": 0.6, "multiplier_step": 2.0}, wrong=(
            "no price", "no softplus", "prices of before", "other units", "half the limit", "the team's costs",
            "no factor", "no clip", *EVERY_END)),
    "mappo-lagrangian-leaving": Case("mappo-lagrangian", LEAVING | PRICED, envs=3, options={
        "cost_limit": [0.2, 0.5, 0.8], "advantages": "agent", "minibatches": 2, "critic_minibatches": 2,
        "multiplier": 0.3}, wrong=("no price", "no mask", "other units")),
    "mappo-lagrangian-gaussian-two": Case("mappo-lagrangian", BOX | LATE | PRICED, agents=2, options=VALUES | {
        "cost_limit": 0.5, "advantages": "raw", "multiplier_step": 1.0}, wrong=("no price", "no huber")),
    "mappo-lagrangian-discounted-alone": Case("mappo-lagrangian", LASTING | PRICED, agents=1, options=DISCOUNTED | {
        "cost_limit": 0.3, "multiplier": 2.0}, wrong=("no price", *AGES)),
    "hatrpo-alone": Case("hatrpo", BOX | LEAVING, agents=1, options={"entropy": 0.0, "conjugate_gradients": 4},
                         wrong=("plain gradient", *EVERY_END)),
}


def tables(case: Case) -> dict[str, Any]:
    """The experiment file of a case."""
    arena = {"factory": "arena:make", "folder": PROGRAMS, "kwargs": case.arena}
    networks = {key: {"name": "mlp", "hidden": [width], "activation": "tanh"} for key, width in HIDDEN.items()}
    return {"agents": case.agents, "iterations": ITERATIONS, "seed": case.seed, "envs": case.envs,
            "env": arena, **networks, "algorithm": {"name": case.trainer, **USUAL, **case.options}}


@cache
def netac(name: str) -> tuple[dict, dict, dict]:
    """All options; parameters at the start, moved at random so that agents differ where they may, and at the end."""
    case = CASES[name]
    parts = assemble(prepare(config.read(tables(case)).experiment()))
    rng = np.random.default_rng(1)
    held = {"theta": parts.agents.parameters.theta, "omega": parts.agents.critics.omega}
    spare = {"theta": parts.agents.policy.networks.tensors, "omega": parts.agents.critics.V.networks.tensors}
    if parts.agents.limited is not None:
        critics = parts.agents.limited.critics
        held["costs"], spare["costs"] = critics.omega, critics.V.networks.tensors
    for part, rows in held.items():
        for i, row in enumerate(rows):
            size = sum(spare[part][i].sizes)
            same = case.options.get("parameters") == "shared" and i
            row[:size] = rows[0, :size] if same else row[:size] + 0.4 * rng.standard_normal(size).astype("f4")
    start = {part: rows.astype(float) for part, rows in held.items()}
    iterate(parts, None, False, Progress(ITERATIONS, False), True)
    return parts.setting.settings.model_dump(), start, {part: rows.astype(float) for part, rows in held.items()}


def job(name: str, wrong: str = "") -> Job:
    """The case as its transcription takes it."""
    case, (options, start, _) = CASES[name], netac(name)
    spaces = SPACES[case.arena.get("actions", "discrete")]
    wide = [NUMBERS + 2 + case.arena.get("extra", 0) * (i % 2) for i in range(case.agents)]
    own = [spaces[i % len(spaces)] for i in range(case.agents)]
    policy = [Net([width, HIDDEN["policy"], space.n_actions or space.size], 0 if space.n_actions else space.size)
              for width, space in zip(wide, own, strict=True)]
    judged = NUMBERS + sum(space.outputs for space in own) * (options.get("baseline") is not None)
    value = [Net([width, HIDDEN["critic"], 1]) for width in (wide if case.trainer in LOCAL else [judged])]
    numbers = {part: [row[:net.size] for row, net in zip(start[part], nets, strict=True)]
               for part, nets in (("theta", policy), ("omega", value))}
    costs = [row[:value[0].size] for row in start.get("costs", ())]
    return Job(partial(Arena, case.agents, case.envs, **case.arena), case.trainer, case.seed, ITERATIONS, options,
               policy, value, numbers["theta"], numbers["omega"], wrong, value * len(costs), costs)


def distance(name: str, wrong: str = "") -> float:
    """The largest distance of any agent's tensor, in units of how far it moved."""
    task, (_, start, found) = job(name, wrong), netac(name)
    made = MADE.get(task.algorithm, Trainer if task.options.get("baseline") is None else Coma)
    parts = [("theta", task.policy), ("omega", task.value), *([("costs", task.of_costs)] if task.costs else [])]
    expected, distances = dict(zip(dict(parts), made(task).run(), strict=True)), []
    for part, nets in parts:
        for i, net in enumerate(nets):
            for tensor, place in net.places.items():
                moved = np.linalg.norm(expected[part][i][place] - start[part][i][place])
                assert wrong or moved > 1e-3, f"{part} {i} {tensor} never moved"
                distances.append(np.linalg.norm(found[part][i][place] - expected[part][i][place]) / max(moved, 1e-9))
    return float(np.max(distances))       # nan if one is


@pytest.mark.parametrize("name", CASES)
def test_trainers_do_what_the_papers_say(name):
    assert distance(name) < CLOSE


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, case in CASES.items() for wrong in case.wrong])
def test_wrong_equations_are_noticed(name, wrong):
    assert distance(name, wrong) > FAR
