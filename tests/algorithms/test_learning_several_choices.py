"""Agents that make several choices at once (MultiDiscrete), with every algorithm."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from support.costs import LIMITS
from support.neural_variants import ROOT, arena, policy_of

import netac
from netac.experiment.config import ALGORITHMS
from netac.utils import plugins
from netac.utils.errors import InputError

NAMES = plugins.module_names(ALGORITHMS)
FEW = {"rollout": 4, "batch": 3, "buffer": 30, "warmup": 4, "updates": 3, "team_reward": "mean", "epochs": 2,
       "entropy": 0.05, "epsilon": 0.2, "delta": 0.1, "actor_step": 0.05}
FINITE = ("vdn", "qmix", "qplex", "qdpp")                 # of the actions of all their agents
ALIKE = ("dsgd-ppo", "dsgt-ppo", "dinno-ppo")             # their agents are to agree on a whole policy


def experiment(algorithm: str, env: dict, **options) -> dict:
    """A few iterations with networks."""
    known = plugins.module(ALGORITHMS, algorithm, "algorithm").Settings.model_fields
    return {"agents": 4, "iterations": 3, "seed": 2, "envs": 3, "env": env, "topology": "ring",
            "policy": policy_of(algorithm, {"name": "mlp", "hidden": [4]}), "critic": {"name": "mlp", "hidden": [4]},
            "algorithm": {"name": algorithm, **LIMITS.get(algorithm, {}), **{
                key: value for key, value in (FEW | options).items() if key in known}}}


def hash_of(tables: dict) -> str:
    return netac.run(tables).summary["parameters_sha256"]


@pytest.mark.parametrize("algorithm", NAMES)
def test_a_single_choice_is_learned_as_a_discrete_action(algorithm):
    """MultiDiscrete([3]) and Discrete(3) are one: the same bits, masked or not."""
    masks = {"masks": len(algorithm) % 2 == 0, "priced": algorithm in LIMITS}
    assert hash_of(experiment(algorithm, arena(actions="single", **masks))) == hash_of(
        experiment(algorithm, arena(**masks)))


@pytest.mark.parametrize("algorithm", NAMES)
def test_agents_with_several_choices_and_masks_learn(algorithm, tmp_path):
    """The arena fails when a choice is not one of those allowed."""
    actions = "several" if algorithm in (*ALIKE, *FINITE) else "medley"
    run = netac.run(experiment(algorithm, arena(actions=actions, masks=True, priced=algorithm in LIMITS)),
                    out=tmp_path / "run")
    assert np.isfinite(run.summary["final_reward"])
    if algorithm in ("cac", "maddpg", "matrpo", "vdn", "mat"):
        assert netac.evaluate(tmp_path / "run", episodes=2).actions is None
        policies = netac.load(tmp_path / "run")
        taken = policies({name: np.zeros(5, np.float32) for name in policies.names},
                         masks={policies.names[0]: ([0, 1], [0, 0, 1])})
        assert taken["gladiator_0"].tolist() == [1, 2] and taken["gladiator_0"].dtype == np.int64
        assert taken["gladiator_2"].shape == (3 if actions == "medley" else 2,)


@pytest.mark.parametrize("options", [{"critic": "action_value"}, {"critic": "action_value", "setting": "average"}])
def test_dac_sums_over_all_combinations(options):
    assert hash_of(experiment("dac", arena(actions="single"), **options)) == hash_of(
        experiment("dac", arena(), **options))
    netac.run(experiment("dac", arena(actions="several", masks=True), **options))
    with pytest.raises(InputError, match="several choices of more than 256 actions together"):
        netac.run(experiment("dac", arena(actions="many"), **options))


@pytest.mark.parametrize("baseline", ["counterfactual", "optimal"])
@pytest.mark.parametrize("actions", ["several", "many"])
def test_coma_has_baselines_of_all_or_of_drawn_actions(baseline, actions):
    run = netac.run(experiment("coma", arena(actions=actions, masks=True), baseline=baseline))
    assert np.isfinite(run.summary["final_reward"])


@pytest.mark.parametrize("algorithm", ["cac", "happo"])
def test_multidiscrete_environments_are_played_and_loaded(algorithm, tmp_path):
    env = arena(ROOT, actions="medley", masks=True, told="info")
    found = {told: hash_of(experiment(algorithm, arena(ROOT, actions="medley", masks=True, told=told)))
             for told in ("info", "observation")}
    assert found["info"] == found["observation"]
    netac.run(experiment(algorithm, env), out=tmp_path / "run")
    policies = netac.load(tmp_path / "run", greedy=True)
    taken = policies({"gladiator_2": np.zeros(5, np.float32)}, masks={"gladiator_2": ([0, 0, 1], [1, 0], [0, 1])})
    assert taken["gladiator_2"].tolist() == [2, 1, 3]                              # which start at 0, 1, 2
