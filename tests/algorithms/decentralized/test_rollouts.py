"""Decentralized algorithms over trajectories: what they become in the limit, invariants, what they write, bad input."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from support.neural_variants import arena

import netac
from netac.algorithms.decentralized import _rollouts, dsgt_ppo, matrpo
from netac.algorithms.policy_gradient.learner import Measured
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


SWEEPS = {"rollout": 6, "critic_step": 0.01, "reward": "own", "conjugate_gradients": 5}


def trusting(topology: Any = "ring", env: Any = None, **options: Any) -> dict[str, Any]:
    """The tables of matrpo."""
    return GAMES | {"topology": topology, "allow_disconnected": topology == "disconnected", "env": env or arena(),
                    "algorithm": {"name": "matrpo", **SWEEPS, **options}}


@pytest.mark.parametrize("env", [arena(), arena(falls=0.6, actions="mixed")])
def test_agents_that_sweep_once_say_nothing_and_learn_alone(env):
    once, alone = made(trusting(env=env, sweeps=1)), made(trusting("disconnected", env, sweeps=3))
    apart, together = run(alone), run(once)
    for part in together:
        np.testing.assert_array_equal(together[part], apart[part])
    assert once.ledger.logical()["bytes_consensus"] == 0 == alone.ledger.logical()["bytes_consensus"]
    assert np.abs(run(made(trusting(env=env, sweeps=2)))["theta"] - together["theta"]).max() > 1e-2


def test_bytes_of_matrpo_are_those_counted_by_hand():
    parts = made(trusting(sweeps=5))
    run(parts)
    M, neighbours = 6 * 3, 2
    assert parts.ledger.logical()["bytes_consensus"] == 12 * neighbours * 4 * 4 * M
    assert parts.ledger.logical()["messages"] == 12 * (4 * neighbours + 6 * 3 * 3 / 3)


def test_agents_agree_on_log_ratios_the_better_the_more_often_they_sweep(monkeypatch):
    """... after one iteration, from the same policies and samples."""
    spreads = {}
    for sweeps in (1, 2, 5, 20):
        parts = made(trusting("complete", sweeps=sweeps, rho=1.0, accept=0.0) | {"iterations": 1})
        theta, seen = parts.agents.parameters.theta, []

        class Kept(Measured):
            def __init__(self, learner, b, epsilon, seen=seen):
                super().__init__(learner, b, epsilon)
                seen.append((b, self.old))

        monkeypatch.setattr(matrpo, "Measured", Kept)
        run(parts)
        (b, old), = seen
        L = parts.agents.policy.log_prob(theta, b) - old
        spreads[sweeps] = np.sqrt(((L - L.mean(axis=0)) ** 2).mean() / (L**2).mean())
    assert spreads[1] > spreads[2] > spreads[5] > spreads[20] and spreads[20] < 0.7 * spreads[1], spreads


def test_agents_draw_their_own_components_of_joint_policies():
    parts = made(trusting(env=arena(actions="mixed"), sweeps=1) | {"iterations": 1})
    policy, theta, sampler = parts.agents.policy, parts.agents.parameters.theta, parts.sampler
    theta += 0.3 * np.random.default_rng(0).standard_normal(theta.shape).astype("f4")
    b = _rollouts.Rollouts(sampler, 6, False, told=True).collect(theta)
    ends = np.cumsum([0, *(space.size for space in policy.actions)])
    assert b.told.shape == (18, ends[-1]) and all(own is b.told for own in b.samples.own)
    for agent, space in enumerate(policy.actions):
        there, told = b.active[agent] > 0 if b.active is not None else np.ones(18, bool), b.told[:, ends[agent]:]
        np.testing.assert_array_equal(space.read(told[there]), b.own[agent][there].astype("f4"))
        assert np.isnan(told[~there, :space.size]).all()
    uniforms = np.random.default_rng(1).random((4, 18, 2))
    for drawn in (uniforms, None):
        own, _ = policy.act(theta, b.obs, drawn)
        for agent, (pi, space) in enumerate(zip(policy.distributions(theta, b.samples), policy.actions, strict=True)):
            one = pi.parts[agent]
            np.testing.assert_array_equal(own[agent], one.mode() if drawn is None else one.sample(uniforms[agent]))
            assert space.n_actions or own[agent].shape == (18, space.size)


@pytest.mark.parametrize("more", [{}, {"policy": {"name": "gru", "hidden": [5], "units": 4}}])
def test_joint_policies_are_loaded_and_played(more, tmp_path):
    tables = trusting(env="coordination", sweeps=2, gamma=0.9, chunk=2) | {"iterations": 3} | more
    netac.run(tables, out=tmp_path / "run")
    policies, greedy = netac.load(tmp_path / "run"), netac.load(tmp_path / "run", greedy=True)
    shown = {f"agent_{k}": np.ones(1, np.float32) for k in range(4)}
    assert all(0 <= action < 8 for action in policies(shown).values())
    played = netac.evaluate(tmp_path / "run", episodes=2, steps=3, greedy=True)
    np.testing.assert_array_equal(played.actions[0, 0], [*greedy(shown).values()])


@pytest.mark.parametrize("name", ["cppo", "dsgd-ppo", "dsgt-ppo", "dinno-ppo", "matrpo"])
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
    "rho of ratios": ({"name": "matrpo", "rho": 0.0}, "algorithm.rho", "greater than 0"),
    "sweeps": ({"name": "matrpo", "sweeps": 0}, "algorithm.sweeps", "1"),
    "a clip range": ({"name": "matrpo", "matrpo": {"clip_range": 0.2}}, "algorithm.matrpo.clip_range", "delta"),
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


