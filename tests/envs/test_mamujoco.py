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
from netac.envs import mamujoco
from netac.envs._pettingzoo import ParallelGames
from netac.experiment import config, load
from netac.experiment.build import prepare
from netac.experiment.config import read
from netac.experiment.make_env import make_environment
from netac.experiment.schema import ENVIRONMENTS
from netac.experiment.study import plan
from netac.results.records import load_summary
from netac.utils import plugins
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


TASKS = {("Ant", "2x4"): 2, ("Ant", "4x2"): 4, ("Ant", "8x1"): 8,                      # Figure 3 of paper 001
         ("HalfCheetah", "2x3"): 2, ("HalfCheetah", "3x2"): 3, ("HalfCheetah", "6x1"): 6,
         ("Walker2d", "2x3"): 2, ("Walker2d", "3x2"): 3, ("Walker2d", "6x1"): 6,
         ("Humanoid", "17x1"): 17, ("HumanoidStandup", "17x1"): 17, ("ManySegmentSwimmer", "10x2"): 10}


def task(scenario: str, conf: str, agents: int, algorithm: str = "happo", **others) -> dict:
    """One iteration of a trainer on a task by name."""
    env = {"name": "mamujoco", "scenario": scenario, "agent_conf": conf, "max_episode_steps": 3}
    return {"agents": agents, "iterations": 1, "envs": 2, "env": env, "policy": {"name": "mlp", "hidden": [4]},
            "algorithm": {"name": algorithm, "gamma": 0.9, "rollout": 4, "epochs": 1, "critic_epochs": 1}} | others


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
    tables["swimmer"] = task("ManySegmentSwimmer", "3x2", 3)
    program = (f"import netac\nfor name, table in {tables!r}.items(): "
               f"netac.run(table, out={str(tmp_path)!r} + '/' + name)")
    done = mpirun(2, [sys.executable, "-c", program])
    assert done.returncode == 0, done.stderr
    for name, table in tables.items():
        netac.run(table, out=tmp_path / f"{name}-alone")
        one, two = load_summary(tmp_path / f"{name}-alone"), load_summary(tmp_path / name)
        assert two["processes"] == 2 and deterministic(two) == deterministic(one)


@pytest.mark.parametrize(("scenario", "conf"), TASKS)
def test_every_task_of_the_papers_figure_is_had_by_name_and_trained(scenario, conf):
    """Each joint is one agent's, and a robot moves as it does when it is whole."""
    agents = TASKS[scenario, conf]
    result = netac.run(task(scenario, conf, agents))
    assert result.summary["env_steps"] == 8 and np.isfinite(result.parameters["theta"]).all()
    assert result.summary["env"] == "mamujoco" and len(result.parameters["theta"]) == agents
    parts = mamujoco.robot(mamujoco.Settings(scenario=scenario, agent_conf=conf))
    assert sorted(node.act_ids for part in parts.agent_action_partitions for node in part) == list(range(
        parts.single_agent_env.action_space.shape[0]))
    assert {len(part) for part in parts.agent_action_partitions} == {int(conf.partition("x")[2])}
    whole = None if scenario == mamujoco.SWIMMER else make(scenario=scenario, agent_conf=None)
    if whole is None:
        return
    (alone,), rng = whole.possible_agents, np.random.default_rng(0)
    parts.reset(seed=3)
    whole.reset(seed=3)
    for _ in range(3):
        own = {name: rng.uniform(-0.4, 0.4, parts.action_space(name).shape) for name in parts.possible_agents}
        joint = np.zeros(whole.action_space(alone).shape)
        for name, part in zip(parts.possible_agents, parts.agent_action_partitions, strict=True):
            joint[[node.act_ids for node in part]] = own[name]
        rewards, reward = parts.step(own)[1], whole.step({alone: joint})[1][alone]
        assert set(rewards.values()) == {reward}
        np.testing.assert_array_equal(parts.state(), whole.state())


def test_parts_that_the_package_knows_are_its_own():
    mine = mamujoco.robot(mamujoco.Settings(scenario="HalfCheetah", agent_conf="6x1", agent_obsk=0))
    theirs = make(scenario="HalfCheetah", agent_conf="6x1", agent_obsk=0)
    one, other = (env.reset(seed=1)[0] for env in (mine, theirs))
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    swimmer = mamujoco.robot(mamujoco.Settings(scenario="ManySegmentSwimmer", agent_conf="5x1"))
    of_package = make(scenario="ManySegmentSwimmer", agent_conf="5x1")
    one, other = (env.reset(seed=1)[0] for env in (swimmer, of_package))
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("scenario", "conf", "shown"), [
    ("HalfCheetah", "3x2", [("bfoot", "bshin"), ("bthigh", "ffoot"), ("fshin", "fthigh")]),
    ("Walker2d", "3x2", [("foot_joint", "leg_joint"), ("thigh_joint", "foot_left_joint"),
                         ("leg_left_joint", "thigh_left_joint")]),
    ("Ant", "8x1", [(f"{joint}{leg}",) for leg in (1, 2, 3, 4) for joint in ("hip", "ankle")]),
])
def test_parts_that_it_does_not_know_are_dealt_as_the_paper_does(scenario, conf, shown):
    parts = mamujoco.robot(mamujoco.Settings(scenario=scenario, agent_conf=conf)).agent_action_partitions
    assert [tuple(node.label for node in part) for part in parts] == shown


@pytest.mark.parametrize(("agents", "env", "message"), [
    (3, {"scenario": "HalfCheetah", "agent_conf": "2x3"}, r"^agents: .*\(found 3; valid: 2, or "),
    (2, {"scenario": "Cheetah", "agent_conf": "2x3"}, r"^env\.scenario: .*found 'Cheetah'"),
    (2, {"scenario": "Ant", "agent_conf": "3x2"}, r"^env: Ant has no agent_conf '3x2'.*there are 2x4, 2x4d, 4x2, 8x1"),
    (2, {"scenario": "ManySegmentSwimmer", "agent_conf": "1x1"}, r"^env: agent_conf of a ManySegmentSwimmer is agents"),
    (2, {"scenario": "Ant"}, r"^env\.agent_conf: the key is missing"),
])
def test_bad_tasks(agents, env, message):
    with pytest.raises(InputError, match=message):
        prepare(config.read(task("Ant", "2x4", agents, env={"name": "mamujoco", **env})).experiment())


@pytest.mark.parametrize("env", [Factory(factory=FACTORY, kwargs=CHEETAH), plugins.built_in(
    ENVIRONMENTS, {"name": "mamujoco", "scenario": "Ant", "agent_conf": "8x1"}, "environment", "env")])
def test_without_the_package(env, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    with pytest.raises(InputError, match=r'valid: pip install "netac\[mamujoco\]"'):
        make_environment(env, 2, 1)


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


def test_the_study_holds_for_every_cell():
    study = plan(read(ROOT / "examples" / "mamujoco.toml"))
    assert len(study.cells) == 4 * 5
    for cell in study.cells:
        found = cell.source(read(ROOT / "examples" / "mamujoco.toml")).experiment(cell.algorithm, study.algorithms)
        env, options = found.env.settings, found.algorithm.settings
        assert TASKS[env.scenario, env.agent_conf] == found.agents
        assert found.iterations * found.envs * options.rollout == 500_000


def test_the_example_holds_for_every_algorithm_it_names():
    file = ROOT / "examples" / "halfcheetah.toml"
    asked = tomllib.loads(file.read_text())
    assert (asked["env"]["factory"] == FACTORY
            and asked["iterations"] * asked["envs"] * asked["algorithm"]["rollout"] == 500_000)
    found = {name: read(file).experiment(name).algorithm.table() for name in ("happo", "mappo", "hatrpo", "ippo")}
    assert {name: options["critic_epochs"] for name, options in found.items()} == {
        "happo": 15, "mappo": 15, "hatrpo": 5, "ippo": 15}
