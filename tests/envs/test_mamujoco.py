"""Multi-Agent MuJoCo through the PettingZoo adapter: beside the same robots alone, trained, and on two processes."""

from __future__ import annotations

import sys
import tomllib
from functools import partial

import numpy as np
import pytest

pytest.importorskip("pettingzoo")
pytest.importorskip("torch")
pytest.importorskip("gymnasium_robotics")

from gymnasium_robotics import mamujoco_v1
from support.launching import ROOT

import netac
from netac.envs._pettingzoo import ParallelGames
from netac.experiment import load
from netac.experiment.config import read
from netac.experiment.make_env import make_environment
from netac.results.records import load_summary
from netac.utils.errors import InputError, RunError
from netac.utils.plugins import Factory
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose

FACTORY = "gymnasium_robotics:mamujoco_v1.parallel_env"
CHEETAH = {"scenario": "HalfCheetah", "agent_conf": "2x3"}
STEPS = 100
LAUNCH = {"wall_seconds", "iterations_per_second", "processes", "wire_messages", "wire_bytes", "versions", "kernels"}
"""Of a summary, what depends on the launch."""


def make(**kwargs):
    """A robot by itself."""
    return mamujoco_v1.parallel_env(**kwargs)


def experiment(algorithm: str, **others) -> dict:
    """A quick experiment on HalfCheetah, in episodes of 10 steps."""
    env = {"factory": FACTORY, "kwargs": CHEETAH | {"max_episode_steps": 10}}
    return {"agents": 2, "iterations": 12, "envs": 2, "log_every": 2, "env": env,
            "policy": {"name": "mlp", "hidden": [8]}, "normalise": {"observations": True},
            "algorithm": {"name": algorithm, "gamma": 0.9, "rollout": 5}} | others


def deterministic(summary: dict) -> dict:
    """A summary without time, place and physical traffic."""
    return {key: value for key, value in summary.items() if key not in LAUNCH}


@pytest.mark.parametrize(("kwargs", "agents", "ends"), [
    ({"scenario": "HalfCheetah", "agent_conf": None}, 1, set()),                  # the whole robot
    (CHEETAH, 2, set()),
    (CHEETAH | {"agent_obsk": 0, "max_episode_steps": 7}, 2, {"truncated"}),
    ({"scenario": "HalfCheetah", "agent_conf": "6x1"}, 6, set()),
    ({"scenario": "Hopper", "agent_conf": "3x1"}, 3, {"terminated"}),             # falls
    ({"scenario": "Walker2d", "agent_conf": "2x3", "max_episode_steps": 16}, 2, {"terminated", "truncated"}),
    ({"scenario": "Ant", "agent_conf": "4x2", "terminate_when_unhealthy": False}, 4, set()),
])
def test_games_are_those_of_the_robot_alone(kwargs, agents, ends):
    games = ParallelGames(partial(make, **kwargs), agents, 2, FACTORY)
    games.begin(7, 0)
    assert games.warnings == () and not games.resumable and games.names == tuple(f"agent_{i}" for i in range(agents))
    twin, episode = make(**kwargs), 0

    def begin() -> dict:
        key = (Purpose.ENVIRONMENT, 0, 1, 1 + episode)
        return twin.reset(seed=int(np.random.SeedSequence(7, spawn_key=key).generate_state(1)[0]) >> 1)[0]

    observations, rng, seen = begin(), np.random.default_rng(0), set()
    size = max(space.size for space in games.actions)
    for _ in range(STEPS):
        for shown, name in zip(games.observe(range(agents)), games.names, strict=True):
            np.testing.assert_array_equal(shown[1], observations[name].astype(np.float32))
        np.testing.assert_array_equal(games.state()[1], twin.state().astype(np.float32))
        joint = rng.uniform(-1, 1, (agents, 2, size)).astype(np.float32).astype(float)
        joint = np.clip(joint, games.actions[0].low[0], games.actions[0].high[0])
        step = games.step(joint)
        observations, rewards, terminations, truncations, _ = twin.step({
            name: joint[i, 1, :space.size].astype(np.float32)
            for i, (name, space) in enumerate(zip(games.names, games.actions, strict=True))})
        assert step.r[:, 1].tolist() == list(rewards.values()) and len(set(step.r[:, 1])) == 1
        assert step.terminated[:, 1].tolist() == list(terminations.values())
        assert step.done[1] == (terminations["agent_0"] or truncations["agent_0"])
        games.restart(step.done)
        if step.done[1]:
            seen.add("terminated" if terminations["agent_0"] else "truncated")
            episode += 1
            observations = begin()
    assert seen == ends
    games.close()


def test_the_cheetah_as_networks_see_it():
    games = ParallelGames(partial(make, **CHEETAH), 2, 1, FACTORY)
    assert games.actions == (ActionSpace(0, (-1.0,) * 3, (1.0,) * 3),) * 2
    assert games.observations == ((12,), (12,)) and games.state_shape == (17,)
    games.close()


def test_games_and_episodes_differ_and_seeds_repeat():
    games = ParallelGames(partial(make, **CHEETAH), 2, 2, FACTORY)

    def beginnings(seed: int) -> np.ndarray:
        games.begin(seed, 0)
        first = games.state()
        games.restart(np.ones(2, dtype=bool))
        return np.array([*first, *games.state()])

    one, again, other = beginnings(0), beginnings(0), beginnings(1)
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(np.concatenate([one, other]), axis=0)) == 8
    games.close()


@pytest.mark.parametrize(("agents", "kwargs", "message"), [
    (3, CHEETAH, r"^agents: .*another number of agents than the experiment \(found 3; valid: 2, or "),
    (2, {"scenario": "Cheetah", "agent_conf": "2x3"}, r"^env\.factory: failed: NotImplementedError"),
    (2, {"scenario": "HalfCheetah", "agent_conf": "5x5"}, r"^env\.factory: failed: .*5x5"),
    (2, {"scenario": "HalfCheetah"}, r"^env\.kwargs: cannot be called: missing a required argument: 'agent_conf'"),
])
def test_bad_input(agents, kwargs, message):
    with pytest.raises(InputError, match=message):
        make_environment(Factory(factory=FACTORY, kwargs=kwargs), agents, 1)


@pytest.mark.parametrize("algorithm", ["iac", "cac"])
def test_training_evaluating_and_acting(algorithm, tmp_path):
    result = netac.run(experiment(algorithm), out=tmp_path / "run")
    assert result.summary["env_steps"] == 24 and np.isfinite(result.summary["final_reward"])
    assert not np.array_equal(*result.parameters["theta"]), "agents are one"
    played = netac.evaluate(tmp_path / "run", episodes=3).summary()
    assert played["episode_length"] == 10 and played["ended"] == 3
    env, policies = make(**CHEETAH), load.load(tmp_path / "run")
    observations, _ = env.reset(seed=0)
    for _ in range(3):
        actions = policies(observations)
        assert all(env.action_space(name).contains(action) for name, action in actions.items())
        observations, *_ = env.step(actions)


def test_two_processes_give_the_same_bits(mpirun, tmp_path):
    tables = {name: experiment(name, iterations=2) for name in ("cac", "happo")}
    program = (f"import netac\nfor name, table in {tables!r}.items(): "
               f"netac.run(table, out={str(tmp_path)!r} + '/' + name)")
    done = mpirun(2, [sys.executable, "-c", program])
    assert done.returncode == 0, done.stderr
    for name, table in tables.items():
        netac.run(table, out=tmp_path / f"{name}-alone")
        one, two = load_summary(tmp_path / f"{name}-alone"), load_summary(tmp_path / name)
        assert two["processes"] == 2 and deterministic(two) == deterministic(one)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    with pytest.raises(InputError, match=r'valid: pip install "netac\[mamujoco\]"'):
        make_environment(Factory(factory=FACTORY, kwargs=CHEETAH), 2, 1)


def test_pictures_are_drawn_where_there_is_opengl():
    games = make_environment(Factory(factory=FACTORY, kwargs=CHEETAH | {"render_mode": "rgb_array"}), 2, 1).make()
    games.begin(0, 0)
    assert games.drawable
    try:
        picture = games.render()
    except RunError as error:                # no display, and no MUJOCO_GL=egl
        assert str(error).startswith(f"{FACTORY}: render failed: ")
    else:
        assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.std() > 1
    games.close()


def test_the_example_holds_for_every_algorithm_it_names():
    file = ROOT / "examples" / "halfcheetah.toml"
    asked = tomllib.loads(file.read_text())
    assert (asked["env"]["factory"] == FACTORY
            and asked["iterations"] * asked["envs"] * asked["algorithm"]["rollout"] == 500_000)
    found = {name: read(file).experiment(name).algorithm.table() for name in ("happo", "mappo", "hatrpo", "ippo")}
    assert {name: options["critic_epochs"] for name, options in found.items()} == {
        "happo": 15, "mappo": 15, "hatrpo": 5, "ippo": 15}
