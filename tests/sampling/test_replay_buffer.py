"""The parts of trainers with a replay: the ring of samples, differentiable policies, targets; and that they learn."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from programs.arena import Arena
from support.neural_variants import arena

import netac
from netac.agents.neural.passes import Seen
from netac.agents.neural.reparametrised import ReparametrisedPolicy, reparametrised_policy
from netac.agents.relaxations import through_softmax
from netac.algorithms.centralized._targets import follow
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.comm.trainer_links import TrainerLinks
from netac.envs._batched import Step
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.results.tables import read_metrics
from netac.sampling.replay import Replay
from netac.utils.spaces import ActionSpace

# --- the ring ---


def steps(environment: Arena, count: int):
    """Joint steps of all games in which sample j shows the number j everywhere."""
    games, agents = environment.games, environment.agents
    for t in range(count):
        j = t * games + np.arange(games)
        shown = SimpleNamespace(obs=[np.repeat(j[:, None], shape[0], axis=1) + i for i, shape in
                                     enumerate(environment.observations)], state=np.repeat(j[:, None], 3, axis=1),
                                active=np.tile(j % 2 == 0, (agents, 1)))
        after = SimpleNamespace(obs=[own + 0.5 for own in shown.obs], state=shown.state + 0.5)
        step = Step(np.tile(j, (agents, 1)).astype(float), np.zeros((agents, games), bool), np.zeros(games, bool))
        yield SimpleNamespace(view=shown, after=after, active=shown.active, again=step.done,
                              joint=np.tile(j % 3, (agents, 1)),
                              outcome=SimpleNamespace(everyone=step, valued=np.tile(j % 5 > 0, (agents, 1))))


@given(games=st.integers(1, 7), count=st.integers(0, 9), capacity=st.integers(1, 20))
def test_the_ring_holds_the_last_samples_each_in_its_slot(games, count, capacity):
    environment = Arena(2, games, extra=1)
    environment.begin(0, 0)
    replay, trainers = Replay(environment, range(2), capacity), Replay(environment, range(1, 2), capacity)
    for step in steps(environment, count):
        replay.add(step)
        trainers.add(SimpleNamespace(**vars(step) | {"active": step.active[1:], "view": SimpleNamespace(
            obs=step.view.obs[1:]), "after": SimpleNamespace(obs=step.after.obs[1:])}))
    total = games * count
    assert replay.held == min(total, capacity) and replay.added == total
    slots = np.arange(replay.held)
    j = np.array([max(sample for sample in range(total) if sample % capacity == slot) for slot in slots], dtype=int)
    found = replay.take(slots)
    for i in range(2):
        np.testing.assert_array_equal(found.obs[i], np.repeat(j[:, None], environment.observations[i][0], axis=1) + i)
        np.testing.assert_array_equal(found.next_obs[i], found.obs[i] + 0.5)
        np.testing.assert_array_equal(found.active[i], j % 2 == 0)
        np.testing.assert_array_equal(found.r[i], j)
        np.testing.assert_array_equal(found.valued[i], j % 5 > 0)
        np.testing.assert_array_equal(found.joint[:, 3 * i:3 * i + 3], np.eye(3)[j % 3] * (j % 2 == 0)[:, None])
    np.testing.assert_array_equal(found.state[:, 0], j)
    np.testing.assert_array_equal(found.next_state, found.state + 0.5)
    np.testing.assert_array_equal(trainers.take(slots).obs[0], found.obs[1])
    again = Replay(environment, range(2), capacity)
    again.restore(replay.state())
    for name, rows in again.rows.items():
        rows[:] = replay.rows[name]
    for one, other in zip(vars(again.take(slots)).values(), vars(found).values(), strict=True):
        np.testing.assert_equal(one, other)
    assert trainers.state().keys() == {"replay_added"} and trainers.take(slots).state is None


# --- targets ---


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 2), min_size=1), st.floats(0.0, 1.0, exclude_min=True))
def test_targets_go_a_part_of_the_way(pairs, tau):
    target, source = np.array(pairs, dtype=np.float32).T.copy()
    before = target.astype(float)
    follow(target, source, tau)
    np.testing.assert_allclose(target, (1 - tau) * before + tau * source.astype(float), atol=1e-3, rtol=1e-5)
    same = source.copy()
    follow(same, source, tau)
    assert (same == source).all()


# --- policies ---

BOUNDED, HALF_BOUNDED = ActionSpace(0, (-0.7, 1.0), (0.6, 5.0)), ActionSpace(0, (0.0, -np.inf), (np.inf, np.inf))


def policy(*spaces: ActionSpace, temperature: float = 1.0,
           penalty: float = 0.0) -> tuple[ReparametrisedPolicy, np.ndarray]:
    """Of agents with these spaces that see 3 numbers, and parameters."""
    made = reparametrised_policy({"name": "mlp", "hidden": [5], "activation": "tanh"}, [(3,)] * len(spaces), spaces,
                                 [f"a{i}" for i in range(len(spaces))], "common", temperature, penalty)
    theta = made.initial(0, range(len(spaces)))
    theta += np.float32(0.5) * np.random.default_rng(0).standard_normal(theta.shape).astype("f4")
    return made, theta


OBS = np.random.default_rng(1).standard_normal((4, 3)).astype("f4")


def test_vectors_lie_within_their_bounds_and_explore_in_half_ranges():
    made, theta = policy(BOUNDED, HALF_BOUNDED)
    obs, uniforms = [OBS * 10] * 2, np.random.default_rng(2).random((2, 4, 2))
    quiet, _ = made.act(theta, obs, uniforms)
    numbers = made.numbers(theta, obs, [None, None])
    for own, given_, space in zip(quiet, numbers, made.actions, strict=True):
        np.testing.assert_array_equal(np.clip(own, space.low, space.high), given_)
    assert (quiet[0] > BOUNDED.low).all() and (quiet[0] < BOUNDED.high).all() and (numbers[1][:, 0] == 0.0).any()
    noisy = ReparametrisedPolicy(made.networks, made.actions, deviation=0.1).act(theta, obs, uniforms)[0]
    same = ReparametrisedPolicy(made.networks, made.actions, deviation=0.1).act(
        theta, obs, np.full_like(uniforms, 0.5))[0]
    for own, other, middle, half in zip(quiet, noisy, same, ([0.65, 2.0], [1.0, 1.0]), strict=True):
        z = (other - own) / np.array(half) / 0.1
        assert (np.abs(z) < 5).all() and (np.abs(z) > 1e-3).all() and z.std() > 0.3
        np.testing.assert_array_equal(middle, own)
    np.testing.assert_allclose((noisy[0] - quiet[0]) / [0.65, 2.0], noisy[1] - quiet[1], atol=0.5)


def test_discrete_actions_are_drawn_from_the_softmax_in_games_and_in_learning():
    made, theta = policy(ActionSpace(4))
    M = 40_000
    obs, rng = [np.repeat(OBS[:1], M, axis=0)], np.random.default_rng(3)
    (drawn,), (pi,) = made.act(theta, obs, rng.random((1, M, 1)))
    numbers, = made.numbers(theta, obs, [rng.random((M, 4))])
    assert (numbers.sum(axis=1) == 1).all() and set(np.unique(numbers)) == {0.0, 1.0}
    error = 5 / np.sqrt(M)
    np.testing.assert_allclose(numbers.mean(axis=0), pi[0], atol=error)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / M, pi[0], atol=error)
    even = ReparametrisedPolicy(made.networks, made.actions, epsilon=0.4)
    np.testing.assert_allclose(even.act(theta, obs, rng.random((1, M, 1)))[1][0][0], 0.6 * pi[0] + 0.1, rtol=1e-6)


@given(st.integers(0, 10**6), st.floats(0.3, 3.0))
def test_slopes_pass_the_softmax_as_its_derivative_says(seed, temperature):
    rng = np.random.default_rng(seed)
    logits, slopes, h = rng.standard_normal((2, 4)), rng.standard_normal((2, 4)), 1e-6

    def objective(x):
        p = np.exp(x / temperature)
        return (slopes * p / p.sum(axis=-1, keepdims=True)).sum()

    numeric = np.array([[(objective(logits + h * d) - objective(logits - h * d)) / (2 * h)
                         for d in np.eye(8).reshape(8, 2, 4)]]).reshape(2, 4)
    np.testing.assert_allclose(through_softmax(logits, slopes, temperature), numeric, atol=1e-6)


def test_the_gradient_is_that_of_the_linearised_objective():
    made, theta = policy(BOUNDED, ActionSpace(0, (-np.inf, -np.inf), (np.inf, np.inf)), penalty=0.3)
    slopes, rng = [np.random.default_rng(k).standard_normal((4, 2)) for k in (4, 5)], np.random.default_rng(6)
    sample_weight = np.array([[2.0, 0.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])

    def objective(row, rows):
        outputs = made.networks.passes.forward(rows, Seen([OBS] * 2)).outputs[row].astype(float)
        actions = made.numbers(rows, [OBS] * 2, [None, None])[row]
        return (sample_weight[row] * ((slopes[row] * actions).sum(axis=1) - 0.3 * (outputs**2).mean(axis=1))).sum()

    gradient = made.gradient(theta, [OBS] * 2, [None, None], slopes, sample_weight).astype(float)
    for row in range(2):
        for _ in range(3):
            direction = np.zeros_like(theta)
            direction[row] = rng.standard_normal(theta.shape[1])
            h = 3e-3
            up, down = (objective(row, theta + np.float32(step) * direction) for step in (h, -h))
            numeric = (up - down) / (2 * h)
            assert abs(gradient[row] @ direction[row] - numeric) < 2e-2 * max(1.0, abs(numeric))


# --- runs ---

TABLES = {"agents": 2, "iterations": 3, "envs": 2, "env": arena(actions="mixed", falls=2.0), "topology": "complete",
          "log_every": 1, "policy": {"name": "mlp", "hidden": [6]}, "critic": {"name": "mlp", "hidden": [6]}}
SMALL = {"rollout": 5, "updates": 2, "batch": 8, "buffer": 30, "warmup": 20, "team_reward": "mean"}


def trained(name: str, out=None, **changes) -> netac.RunResult:
    """A small run."""
    return netac.run(TABLES | {"algorithm": {"name": name, **SMALL}} | changes, out=out)


@pytest.mark.parametrize("name", ["maddpg", "haddpg"])
def test_trained_policies_act_without_what_explores(name, tmp_path):
    trained(name, tmp_path / "run", env=arena(actions="box"),
            algorithm={"name": name, **SMALL, "noise": 5.0})
    noisy, greedy = (netac.load(tmp_path / "run", greedy=greedy) for greedy in (False, True))
    observations = {name: np.linspace(-1, 1, 5, dtype="f4") for name in noisy.names}
    once, again, best = noisy(observations), noisy(observations), greedy(observations)
    for agent in noisy.names:
        np.testing.assert_array_equal(once[agent], again[agent])
        np.testing.assert_array_equal(once[agent], best[agent])
    one, other = (netac.evaluate(tmp_path / "run", episodes=3, greedy=greedy) for greedy in (False, True))
    np.testing.assert_array_equal(one.rewards, other.rewards)


@pytest.mark.parametrize(("name", "critics"), [("maddpg", ["0", "1"]), ("haddpg", ["all"])])
def test_diagnostics_tell_of_critics_and_gradients(name, critics, tmp_path):
    trained(name, tmp_path / "run")
    lines = [dict(zip(*pair, strict=True)) for pair in _rows(tmp_path / "run" / "diagnostics.csv")]
    assert {row["iteration"] for row in lines} == {"2", "3"}            # none before there are 20 samples
    assert [row["agent"] for row in lines] == 2 * (["0", "1"] if name == "maddpg" else ["0", "1", "all"])
    for row in lines:
        assert bool(row["critic_loss"]) == bool(row["mean_q"]) == (row["agent"] in critics)
        assert (row["agent"] == "all") == (not row["policy_gradient"])
        assert all(np.isfinite(float(row[key])) for key in ("critic_loss", "policy_gradient") if row[key])
        assert not row["policy_gradient"] or float(row["policy_gradient"]) > 0


def _rows(file):
    names, *lines = (line.split(",") for line in file.read_text().splitlines())
    return [(names, line) for line in lines]


def test_with_one_agent_both_are_ddpg():
    hashes = {trained(name, agents=1).summary["parameters_sha256"] for name in ("maddpg", "haddpg")}
    assert len(hashes) == 1


def test_nothing_is_learned_before_the_warmup():
    algorithm = {"name": "maddpg", **SMALL, "warmup": 31}                # 30 samples in all
    parts = assemble(prepare(config.read(TABLES | {"algorithm": algorithm}).experiment()))
    result = netac.run(TABLES | {"algorithm": algorithm})
    np.testing.assert_array_equal(result.parameters["theta"], parts.agents.parameters.theta)
    assert (trained("maddpg").parameters["theta"] != parts.agents.parameters.theta).any(axis=1).all()


def test_the_trainer_asks_an_agent():
    links = TrainerLinks(Placement(2), ledger := Ledger(2))
    found = links.ask(1, np.array([[1.0, 1e-9]]), (1, 2), lambda load: 2 * load)
    np.testing.assert_array_equal(found, np.float32([[2.0, 2e-9]]).astype(float))
    assert (ledger.trainer_messages, ledger.trainer_bytes) == (2, 16)


@pytest.mark.parametrize("name", ["maddpg", "haddpg"])
@pytest.mark.parametrize("env", [{"name": "differential", "clip": 1.0}, {"name": "matrix"}])
def test_games_of_one_step_are_solved(name, env, tmp_path):
    """r = a_1 a_2 with actions in [-1, 1], and Proposition 1's game of two agents: at best 1, at first 0 and 1/2."""
    algorithm = {"name": name, "batch": 64, "warmup": 100, "rollout": 5, "updates": 10, "actor_step": 5e-3,
                 "critic_step": 1e-2}
    netac.run({"agents": 2, "iterations": 40, "envs": 10, "env": env, "topology": "complete",
               "policy": {"name": "mlp", "hidden": [16]}, "critic": {"name": "mlp", "hidden": [32]},
               "algorithm": algorithm},
              out=tmp_path / "run")
    assert netac.evaluate(tmp_path / "run", episodes=20, greedy=True).rewards.mean() > 0.95
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["env_steps"] == 2000 and read_metrics(tmp_path / "run" / "metrics.csv")["reward"][-1] > 0.75
