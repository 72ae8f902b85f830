"""Decentralized algorithms over trajectories: what they become in the limit, invariants, what they write, bad input."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from support.neural_variants import arena

import netac
from netac.algorithms.decentralized import _rollouts, dsgt_ppo
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.utils.errors import InputError
from netac.utils.progress import Progress

NETWORKS = {"policy": {"name": "mlp", "hidden": [6]}, "critic": {"name": "mlp", "hidden": [5]}}
GAMES = {"agents": 4, "iterations": 12, "seed": 3, "envs": 3, "env": arena(), "topology": "ring", **NETWORKS}
SMALL = {"rollout": 6, "epochs": 2, "minibatches": 2, "actor_step": 0.01, "critic_step": 0.01}


def made(tables: dict[str, Any], **settings: Any):
    """The parts of an experiment; `settings` go past what an experiment file may say."""
    setting = prepare(config.read(tables).experiment())
    algorithm = setting.experiment.algorithm
    changed = algorithm.settings.model_copy(update=settings)
    object.__setattr__(algorithm, "settings", changed)
    return assemble(setting)


def run(parts) -> dict[str, np.ndarray]:
    """Parameters in the end."""
    T = parts.setting.experiment.iterations
    iterate(parts, None, False, Progress(T, False), True)
    x = parts.agents.parameters
    return {"omega": x.omega.copy(), "lam": x.lam.copy(), "theta": x.theta.copy()}


@pytest.mark.parametrize("env", [arena(falls=2.0), arena(actions="box"), arena(late=True, length=3)])
@pytest.mark.parametrize("patterns", [["*"], ["dense1*"], []])
def test_cppo_of_single_steps_is_cac(env, patterns):
    policy = NETWORKS["policy"] | {"shared": patterns}
    games = GAMES | {"env": env, "reward_model": {"name": "mlp", "hidden": [5]}, "policy": policy}
    steps = {"optimizer": "plain", "gamma": 0.9, "actor_step": 0.1, "critic_step": 0.1, "reward_step": 0.1}
    cac = run(made(games | {"algorithm": {"name": "cac", **steps}}))
    single = {"rollout": 1, "epochs": 1, "critic_epochs": 1, "reward": "model", "advantages": "raw",
              "value_normalisation": False, "entropy": 0.0, "clip_range": 100.0, "gae_lambda": 0.0}
    start = assemble(prepare(config.read(games | {"algorithm": {"name": "cac", **steps}}).experiment()))
    cppo = run(made(games | {"algorithm": {"name": "cppo", **steps, **single}}, clip=None, huber=None, value_clip=None))
    for part, rows in cppo.items():
        np.testing.assert_allclose(rows, cac[part], rtol=2e-5, atol=2e-6)
        assert np.abs(rows - getattr(start.agents.parameters, part)).max() > 1e-3


def test_dinno_without_penalty_is_ppo_of_each_for_itself():
    options = SMALL | {"reward": "own", "value_normalisation": False}
    dinno = run(made(GAMES | {"algorithm": {"name": "dinno-ppo", "moments": "kept", **options}}, rho=0.0))
    alone = run(made(GAMES | {"topology": "disconnected", "allow_disconnected": True,
                              "algorithm": {"name": "dsgd-ppo", **options}}))
    for part in dinno:
        np.testing.assert_array_equal(dinno[part], alone[part])


def test_duals_of_all_agents_sum_to_nothing():
    parts = made(GAMES | {"algorithm": {"name": "dinno-ppo", **SMALL, "rho": 0.5}})
    run(parts)
    p = parts.agents.parameters["p"].astype(float)
    assert np.abs(p).max() > 1e-3 and np.abs(p.sum(axis=0)).max() < 1e-5 * np.abs(p).max() * len(p)


@pytest.mark.parametrize("topology", ["ring", {"name": "periodic-complete", "period": 2}, "star", {"name": "gossip"}])
@pytest.mark.parametrize("reward", ["own", "model"])
def test_the_mean_of_trackers_is_the_mean_gradient_at_every_step(topology, reward, monkeypatch):
    seen = []

    def tracked(x, *g):
        found = dsgt_ppo_tracked(x, *g)
        shared = x.shared.shape[1]
        mean = np.concatenate([each.mean(axis=0, dtype=float) for each in (*g[:-1], g[-1][:, :shared])])
        traced = np.concatenate([each.mean(axis=0) for each in x.parts("y")])
        seen.append((np.abs(traced - mean).max(), np.abs(mean).max()))
        return found

    dsgt_ppo_tracked = dsgt_ppo.tracked
    monkeypatch.setattr(dsgt_ppo, "tracked", tracked)
    run(made(GAMES | {"topology": topology, "algorithm": {"name": "dsgt-ppo", **SMALL, "reward": reward}}))
    assert len(seen) == 12 * 4 and min(size for _, size in seen) > 1e-4
    assert max(error for error, _ in seen) < 1e-12


@pytest.mark.parametrize("name", ["cppo", "dsgd-ppo", "dsgt-ppo", "dinno-ppo"])
def test_diagnostics_say_how_far_agents_are_apart_and_what_mixing_undid(name, tmp_path):
    netac.run(GAMES | {"log_every": 4, "algorithm": {"name": name, **SMALL}}, out=tmp_path / "run")
    with (tmp_path / "run" / "diagnostics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["iteration"], row["agent"]) for row in rows] == [
        (str(k), who) for k in (4, 8, 12) for who in (*"0123", "all")]
    for row in rows:
        if row["agent"] == "all":
            assert row["expected_gain_before"] and row["measured_gain_before"] and not row["undone"]
        else:
            assert float(row["disagreement"]) > 0 and float(row["undone"]) > 0 and float(row["kl"]) > 0


def test_nothing_is_undone_without_edges(tmp_path):
    netac.run(GAMES | {"topology": "disconnected", "allow_disconnected": True, "algorithm": {"name": "cppo", **SMALL}},
              out=tmp_path / "run")
    with (tmp_path / "run" / "diagnostics.csv").open() as file:
        told = [row for row in csv.DictReader(file) if row["agent"] != "all"]
    assert told and all(float(row["undone"]) == float(row["disagreement"]) == 0.0 for row in told)


def test_bytes_of_cppo_are_those_counted_by_hand():
    options = SMALL | {"reward": "consensus", "reward_rounds": 2, "rounds": 3}
    parts = made(GAMES | {"algorithm": {"name": "cppo", **options}})
    run(parts)
    x, M = parts.agents.parameters, 6 * 3
    each = 4 * x.mixed.shape[1] * 3 + 8 * 3 * 3 + 8 * M * 2         # parameters, statistics of values, rewards
    assert parts.ledger.logical()["bytes_consensus"] == 12 * 2 * each
    assert parts.ledger.logical()["messages"] == 12 * 2 * (3 + 3 + 2) + 12 * 6 * 3 * 3 / 3


WRONG = {
    "minibatches": ({"minibatches": 5}, "algorithm.minibatches", "divisor"),
    "critic_minibatches": ({"critic_minibatches": 7}, "algorithm.critic_minibatches", "divisor"),
    "rho": ({"name": "dinno-ppo", "rho": 0.0}, "algorithm.rho", "greater than 0"),
    "reward": ({"reward": "team"}, "algorithm.reward", "consensus"),
    "rounds": ({"rounds": 0}, "algorithm.rounds", "1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused(name):
    options, key, valid = WRONG[name]
    tables = GAMES | {"algorithm": {"name": "cppo", **SMALL} | options}
    with pytest.raises(InputError) as error:
        prepare(config.read(tables).experiment())
    assert error.value.key == key and valid in str(error.value)


@pytest.mark.parametrize("name", ["dsgd-ppo", "dsgt-ppo", "dinno-ppo"])
def test_agents_that_are_to_agree_share_their_whole_policies(name):
    tables = GAMES | {"policy": NETWORKS["policy"] | {"shared": ["dense1*"]}, "algorithm": {"name": name, **SMALL}}
    with pytest.raises(InputError, match=r"agree on one policy") as error:
        prepare(config.read(tables).experiment())
    assert error.value.key == "policy.shared"
    prepare(config.read(tables | {"algorithm": {"name": "cppo", **SMALL}}).experiment())            # the remedy


def test_networks_are_made_for_environments_of_few_states():
    parts = made({"agents": 5, "iterations": 2, "seed": 1, "env": "coordination", "topology": "ring", "envs": 2,
                  "algorithm": {"name": "cppo", **SMALL}})
    assert run(parts)["theta"].any() and isinstance(parts.agents, _rollouts.RolloutAgents)


