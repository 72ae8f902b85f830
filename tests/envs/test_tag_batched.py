"""Many games of tag at once: rewards, forces and flight by hand, random streams, resumption, refusals, pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import kstest
from support.batched_games import check_resuming, check_seeds, check_views, play

import netac
from netac import cli
from netac.envs import _particles, _particles_picture, _tag_picture, tag
from netac.envs._batched import check_batched
from netac.utils.errors import InputError
from netac.utils.options import checked


def make(pursuers: int, games: int = 1, **options) -> tag.Tag:
    chosen = tag.Settings(**options)
    return tag.make(chosen, pursuers + (chosen.num_good if chosen.prey == "learning" else 0), games)


def placed(pursuers: list, preys: list, obstacles: list, velocities: list | None = None, **options) -> tag.Tag:
    """One game where everybody is told to be, at rest unless told otherwise."""
    env = make(len(pursuers), num_good=len(preys), num_obstacles=len(obstacles), **options)
    env.begin(0, 0)
    state = env.get_state()
    state["positions"][:, 0], state["landmarks"][:, 0] = pursuers + preys, np.reshape(obstacles, (-1, 2))
    if velocities:
        state["velocities"][:, 0] = velocities
    env.set_state(state)
    return env


def rest(env: tag.Tag) -> np.ndarray:
    """Actions with which nobody pushes."""
    whole = np.zeros((env.agents, env.games), dtype=int)
    return whole if env.actions[0].n_actions else np.zeros((*whole.shape, 5))


PLACES = [[0.5, -0.5], [-1.2, 0.0], [0, 1]]
casts = st.tuples(st.integers(1, 4), st.fixed_dictionaries({
    "num_good": st.integers(1, 3), "num_obstacles": st.sampled_from([0, 1, 3]), "continuous_actions": st.booleans(),
    "max_cycles": st.integers(1, 12), "terminate_on_success": st.booleans(), "shaped": st.booleans(),
    "prey": st.sampled_from(["learning", "scripted"]), "prey_speed": st.sampled_from([0.3, 1.0, 2.0]),
    "num_agent_neighbors": st.none() | st.integers(1, 4), "num_landmark_neighbors": st.none() | st.integers(0, 3)}))
seeds = st.integers(0, 2**63 - 1)


@given(casts, st.integers(1, 4))
@settings(max_examples=40)
def test_the_interface_is_kept(cast, games):
    pursuers, options = cast
    env = make(pursuers, games, **options)
    assert check_batched(env, env.agents, games, "tag") is env and env.resumable
    assert all(seen.flags.c_contiguous for seen in [*env.observe(range(env.agents)), env.state()])
    learning = options["prey"] == "learning"
    assert env.names == (*(f"adversary_{i}" for i in range(pursuers)),
                         *(f"agent_{i}" for i in range(options["num_good"] * learning)))


@given(casts, seeds, st.integers(0, 3))
@settings(max_examples=25)
def test_equal_seeds_give_equal_games_and_chains_differ(cast, seed, chain):
    check_seeds(lambda: make(cast[0], 3, **cast[1]), seed, chain)


@given(casts, seeds, st.integers(0, 2 * _particles.BLOCK))
@settings(max_examples=25)
def test_resumed_games_go_on_bit_for_bit(cast, seed, steps):
    """Also where the next game's start is the first of a block, or the last one."""
    check_resuming(lambda: make(cast[0], 3, **cast[1]), seed, steps)


@pytest.mark.parametrize("games", [1, 2, 3])
@pytest.mark.parametrize("pursuers", [1, 3])
@pytest.mark.parametrize("options", [
    {"max_cycles": 3, "num_good": 3, "shaped": True}, {"continuous_actions": True, "num_agent_neighbors": 2},
    {"prey": "scripted", "continuous_actions": True, "num_good": 2, "num_obstacles": 8}, {"prey": "scripted"}])
def test_a_game_does_not_depend_on_how_many_are_played(pursuers, games, options):
    few, many = make(pursuers, games, **options), make(pursuers, 5, **options)
    few.begin(3, 0)
    many.begin(3, 0)
    for a, b in zip(play(few, 15, 0), play(many, 15, 0), strict=True):
        game = next(axis for axis, (mine, theirs) in enumerate(zip(a.shape, b.shape, strict=True)) if mine != theirs)
        assert np.array_equal(a, b.take(range(games), axis=game))


@pytest.mark.parametrize("options", [{"num_good": 2}, {"num_good": 2, "num_agent_neighbors": 3}])
def test_some_agents_see_what_they_see_among_all_and_keep_it(options):
    check_views(make(3, 3, **options))


def test_games_begin_at_rest_and_anywhere():
    env = make(2, 200, num_good=1, num_obstacles=3)
    env.begin(11, 0)
    found = []
    for _ in range(2 * _particles.BLOCK + 3):
        state = env.get_state()
        found.append(np.concatenate([state["positions"], state["landmarks"] / 0.9]))
        assert not state["velocities"].any() and not state["steps"].any()
        env.step(np.ones((3, 200), dtype=int))
        env.restart(np.ones(200, dtype=bool))
    found = np.array(found)                          # (starts, pursuers, prey and obstacles, E, 2)
    assert len(np.unique(found)) == found.size       # no number is used twice
    for who, axis in np.ndindex(6, 2):
        assert kstest((1 + found[:, who, :, axis].ravel()) / 2, "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(found.transpose(1, 3, 0, 2).reshape(12, -1)) - np.eye(12)).max() < 0.05


def test_obstacles_stand_where_they_are_told_to_and_bodies_begin_where_they_would_otherwise():
    env, usual = make(2, 3, num_obstacles=3, obstacle_places=PLACES), make(2, 3, num_obstacles=3)
    for each in (env, usual):
        each.begin(4, 0)
    for _ in range(_particles.BLOCK + 2):
        state, otherwise = env.get_state(), usual.get_state()
        assert np.array_equal(state["landmarks"], np.repeat(np.array(PLACES)[:, None], 3, axis=1))
        assert np.array_equal(state["positions"][:, :2], otherwise["positions"][:, :2])
        for each in (env, usual):
            each.step(np.ones((3, 3), dtype=int))
            each.restart(np.array([True, True, False]))
    assert make(1, num_obstacles=0, obstacle_places=[]).state_shape == make(1, num_obstacles=0).state_shape


def test_rewards_by_hand():
    """Pursuers 0 and 1 touch prey 0, whom nobody moves in the first step, in which velocities are 0; prey 1 is out."""
    pursuers, preys = [(0, 0), (0.1, 0.1), (-1, 0)], [(0.1, 0), (0.95, -1.1), (0, 5), (-0.9, 0.5)]
    step = placed(pursuers, preys, [(0.5, 0.5)]).step(np.zeros((7, 1), dtype=int))
    np.testing.assert_allclose(step.r[:, 0], [20, 20, 20, -20, -0.5 - np.exp(0.2), -10, 0], rtol=0, atol=1e-12)
    assert not step.done.any() and not step.terminated.any()


def test_shaped_rewards_by_hand():
    """Nearest preys are 0.3, 0.4 and 0.5 from the pursuers."""
    pursuers, preys = [(0, 0), (0, -0.7), (0.8, -0.3)], [(0, -0.3), (0.3, -0.3)]
    step = placed(pursuers, preys, [], shaped=True).step(np.zeros((5, 1), dtype=int))
    to_0, to_1 = 0.3 + 0.4 + 0.8, np.hypot(0.3, 0.3) + 0.5 + 0.5
    np.testing.assert_allclose(step.r[:, 0], [-0.12] * 3 + [0.1 * to_0, 0.1 * to_1], rtol=0, atol=1e-12)
    step = placed([(0, 0)], [(0.1, 0)], [], shaped=True).step(np.zeros((2, 1), dtype=int))
    np.testing.assert_allclose(step.r[:, 0], [-0.01 + 10, 0.01 - 10], rtol=0, atol=1e-12)


def test_forces_by_hand():
    """Prey and pursuer 0.025 too near to each other, or the prey to an obstacle; the pursuer pushes down with 3."""
    env = placed([(0, 0)], [(0.1, 0)], [(-1, -1)])
    env.step(np.array([[3], [0]]))
    state = env.get_state()
    np.testing.assert_array_equal(state["positions"][:, 0], [(0, 0), (0.1, 0)])
    np.testing.assert_allclose(state["velocities"][:, 0], [(-0.25, -0.3), (0.25, 0)], rtol=0, atol=1e-12)
    env = placed([(-1, 1)], [(0.1, 0)], [(0.1, 0.2)])
    env.step(np.array([[0], [2]]))
    state = env.get_state()
    np.testing.assert_allclose(state["velocities"][1, 0], np.array([0.4, -0.5]), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(state["landmarks"][0, 0], (0.1, 0.2))


@pytest.mark.parametrize("speed", [0.5, 1.0])
def test_velocities_are_cut_to_the_length_that_each_kind_may_have(speed):
    """Before, they are 0.75 times what they were, and forces add 0.3 and 0.4 times the prey's speed."""
    env = placed([(-1, 0), (0, 1)], [(1, 0)], [], velocities=[(1.2, 1.2), (0.5, 0), (0, 1.3 * speed)], prey_speed=speed)
    env.step(np.array([[2], [2], [4]]))
    now = env.get_state()["velocities"][:, 0]
    np.testing.assert_allclose(now, [np.array([1.2, 0.9]) / 1.5, (0.675, 0), (0, speed * 1.3)], rtol=0, atol=1e-12)


FLIGHTS = {      # the prey's place, pursuers, its direction, its move where moves are all there is
    "the larger coordinate with full force": ((0, 0), [(-0.4, 0.2)], (1, -0.5), (1, 0)),
    "up": ((0.5, 0.5), [(0.45, 0.3)], (0.25, 1), (0, 1)),
    "straight": ((0, 0), [(0, 0.5)], (0, -1), (0, -1)),
    "the nearest of two": ((0, 0), [(-0.4, 0.2), (0, -0.3)], (0, 1), (0, 1)),
    "the first of two equally near": ((0, 0), [(0, 0.5), (-0.5, 0)], (0, -1), (0, -1)),
    "both coordinates equal": ((0, 0), [(0.5, -0.5)], (-1, 1), (-1, 0)),
    "not outwards at the edge": ((1.2, 0), [(0.8, 0.2)], (0, -0.5), (0, -1)),
    "still outwards before it": ((1.19, 0), [(0.79, 0.2)], (1, -0.5), (1, 0)),
    "not outwards far out": ((0.3, -1.7), [(0.2, -1.5)], (0.5, 0), (1, 0)),
    "inwards from beyond the edge": ((-1.5, 0), [(-1.8, 0.1)], (1, -1 / 3), (1, 0)),
    "nowhere in the corner": ((-1.3, 1.25), [(-1, 1)], (0, 0), (0, 0)),
    "along the edge to the corner": ((-1.3, 1.1), [(-1, 1)], (0, 1 / 3), (0, 1)),
}


@pytest.mark.parametrize("name", FLIGHTS)
@pytest.mark.parametrize("continuous", [False, True])
def test_where_the_scripted_prey_flees(name, continuous):
    place, pursuers, direction, move = FLIGHTS[name]
    env = placed(pursuers, [place], [], prey="scripted", continuous_actions=continuous, prey_speed=0.5)
    env.step(rest(env))
    found = env.get_state()["velocities"][-1, 0] / (0.1 * 4 * 0.5)
    np.testing.assert_allclose(found, direction if continuous else move, rtol=0, atol=1e-12)


def test_every_scripted_prey_flees_from_its_own_pursuer():
    env = placed([(-0.5, 0), (0.5, 0)], [(-0.6, 0.2), (0.7, 0.1)], [], prey="scripted", continuous_actions=True)
    env.step(rest(env))
    np.testing.assert_allclose(env.get_state()["velocities"][2:, 0], [(-0.2, 0.4), (0.4, 0.2)], rtol=0, atol=1e-12)
    assert env.agents == 2 and env.names == ("adversary_0", "adversary_1")


@given(casts, seeds)
@settings(max_examples=25)
def test_pursuers_of_scripted_preys_see_and_earn_what_they_do_where_preys_learn(cast, seed):
    options = cast[1] | {"max_cycles": 30, "terminate_on_success": False}
    scripted, learning = (make(cast[0], 3, **options | {"prey": prey}) for prey in ("scripted", "learning"))
    scripted.begin(seed, 0)
    learning.begin(seed, 0)
    play(scripted, 6, seed)
    learning.set_state(scripted.get_state())
    for mine, theirs in zip(scripted.observe(range(cast[0])), learning.observe(range(cast[0])), strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(scripted.state(), learning.state()[:, :scripted.state_shape[0]])
    scripted.set_state(scripted.get_state() | {"velocities": 0 * scripted.get_state()["velocities"]})
    learning.set_state(scripted.get_state())
    actions = rest(learning)
    r = learning.step(actions).r[:cast[0]]
    assert np.array_equal(scripted.step(actions[:cast[0]]).r, r)


def test_an_episode_ends_when_every_prey_is_touched():
    pursuers, preys = [(0, 0), (1, 1)], [(0.1, 0), (0.9, 1.0)]
    for prey in ("learning", "scripted"):
        for options, done, terminated in (({}, False, False), ({"terminate_on_success": True}, True, True),
                                          ({"terminate_on_success": True, "max_cycles": 1}, True, False)):
            env = placed(pursuers, preys, [], prey=prey, **options)
            step = env.step(rest(env))
            assert (step.done.tolist(), step.terminated.tolist()) == ([done], [[terminated]] * env.agents)
    env = placed(pursuers, [(0.1, 0), (0.85, 1.0)], [], terminate_on_success=True)
    assert not env.step(rest(env)).done.any()                 # both pursuers may touch one prey
    env = placed([(0, 0), (0.1, 0.1)], [(0.1, 0), (0.85, 1.0)], [], terminate_on_success=True)
    assert not env.step(rest(env)).done.any()


def test_who_is_seen():
    """Nearest first where the number is limited, else by number; zeros where there are fewer, and for velocities of
    pursuers."""
    pursuers, preys = [(0, 0), (0.9, 0)], [(0, 0.5), (0.1, -1)]
    moving = [(0.1, 0.2), (0.3, 0.4), (0.5, 0.6), (0.7, 0.8)]

    def seen(agent: int, **options) -> np.ndarray:
        env = placed(pursuers, preys, [(0, -0.8), (0.1, 0)], velocities=moving, **options)
        return env.observe(range(agent, agent + 1))[0][0]

    obstacles, others = [0, -0.8, 0.1, 0], [0.9, 0, 0, 0.5, 0.1, -1]
    np.testing.assert_allclose(seen(0), [0.1, 0.2, 0, 0, *obstacles, *others, 0.5, 0.6, 0.7, 0.8], atol=1e-7)
    np.testing.assert_allclose(seen(2), [0.5, 0.6, 0, 0.5, 0, -1.3, 0.1, -0.5, 0, -0.5, 0.9, -0.5, 0.1, -1.5, 0.7, 0.8],
                               atol=1e-7)
    np.testing.assert_allclose(seen(0, num_agent_neighbors=2, num_landmark_neighbors=1), [
        0.1, 0.2, 0, 0, 0.1, 0, 0, 0.5, 0.9, 0, 0.5, 0.6, 0, 0], atol=1e-7)
    np.testing.assert_allclose(seen(0, num_agent_neighbors=4, num_landmark_neighbors=0), [
        0.1, 0.2, 0, 0, 0, 0.5, 0.9, 0, 0.1, -1, 0, 0, 0.5, 0.6, 0, 0, 0.7, 0.8, 0, 0], atol=1e-7)


@pytest.mark.parametrize(("table", "key"), [
    ({"num_good": 0}, "num_good"), ({"num_obstacles": -1}, "num_obstacles"), ({"max_cycles": 0}, "max_cycles"),
    ({"continuous_actions": 1}, "continuous_actions"), ({"num_agent_neighbors": 0}, "num_agent_neighbors"),
    ({"num_landmark_neighbors": -1}, "num_landmark_neighbors"), ({"prey": "asleep"}, "prey"),
    ({"prey_speed": 0.0}, "prey_speed"), ({"prey_speed": float("nan")}, "prey_speed"), ({"shaped": "yes"}, "shaped"),
    ({"num_adversaries": 3}, "num_adversaries"), ({"curriculum": True}, "curriculum"),
    ({"obstacle_places": PLACES}, "obstacle_places"), ({"num_obstacles": 1, "obstacle_places": []}, "obstacle_places"),
    ({"num_obstacles": 1, "obstacle_places": [[0.0]]}, "obstacle_places"),
    ({"num_obstacles": 1, "obstacle_places": [[0.0, float("inf")]]}, "obstacle_places"),
])
def test_bad_options_are_refused(table, key):
    with pytest.raises(InputError) as caught:
        checked(tag.Settings, table)
    assert caught.value.key.partition(".")[0] == key
    assert key in str(caught.value)


def test_a_hunt_without_pursuers_is_refused():
    tables = {"agents": 2, "iterations": 1, "env": {"name": "tag", "num_good": 2}, "policy": "mlp", "algorithm": "iac"}
    with pytest.raises(InputError, match=r'^agents: with 2 preys that learn .*found 2; valid: 3 or more; .*"scripted"'):
        netac.run(tables)
    assert netac.run(tables | {"agents": 3}).summary["agents"] == 3
    assert netac.run(tables | {"env": {**tables["env"], "prey": "scripted"}}).summary["agents"] == 2


@pytest.mark.parametrize(("pursuers", "games", "options"), [
    (3, 1000, {}), (8, 300, {"num_good": 4, "num_obstacles": 8}), (8, 300, {"num_good": 4, "num_agent_neighbors": 5}),
    (3, 500, {"prey": "scripted", "num_obstacles": 8, "num_landmark_neighbors": 0, "continuous_actions": True})])
def test_games_take_the_memory_that_they_tell(pursuers, games, options):
    env = make(pursuers, games, **options)
    tracemalloc.start()
    try:
        env.begin(0, 0)
        for _ in range(3):
            env.step(rest(env))
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.8 * env.nbytes < taken < 1.05 * env.nbytes


def test_nothing_else_is_needed_to_play():
    program = """
        import sys
        for name in ("gymnasium", "mpe2", "pettingzoo", "pygame", "torch"):
            sys.modules[name] = None
        import numpy as np
        from netac.envs import tag
        env = tag.make(tag.Settings(), 2, 3)
        env.begin(0, 0)
        print(env.step(np.zeros((2, 3), dtype=int)).r.shape, env.render().shape)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "(2, 3) (480, 480, 3)\n", done.stderr


NETWORKS = {"policy": {"name": "mlp", "hidden": [8]}, "critic": {"name": "mlp", "hidden": [8]}, "envs": 2}
EXPERIMENTS = {
    "learning": {"agents": 3, "env": {"name": "tag", "max_cycles": 7}, "topology": "ring", "algorithm": "cac"},
    "scripted": {"agents": 3, "env": {"name": "tag", "max_cycles": 7, "prey": "scripted", "continuous_actions": True},
                 "topology": "ring", "algorithm": "cac"},
    "trainer": {"agents": 4, "env": {"name": "tag", "max_cycles": 7},
                "algorithm": {"name": "mappo", "rollout": 9, "epochs": 2}},
}


@pytest.mark.parametrize(("name", "processes"), [
    pytest.param(name, processes, marks=[] if name == "trainer" else [pytest.mark.long])
    for name, processes in zip(EXPERIMENTS, (2, 3, 2), strict=True)])
def test_every_process_plays_the_games_and_all_give_the_same(name, processes, mpirun, tmp_path):
    pytest.importorskip("torch")
    tables = {**EXPERIMENTS[name], **NETWORKS, "iterations": 6}
    (tmp_path / "tag.toml").write_text(tomli_w.dumps(tables))
    done = mpirun(processes, [sys.executable, "-m", "netac", "run", "tag.toml", "--out", "run"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["parameters_sha256"] == netac.run(tables).summary["parameters_sha256"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(name, tmp_path):
    pytest.importorskip("torch")
    tables = {**EXPERIMENTS[name], **NETWORKS}
    whole = netac.run(tables | {"iterations": 7}).summary
    netac.run(tables | {"iterations": 4}, out=tmp_path / "run")
    gone_on = netac.run(tables | {"iterations": 7}, out=tmp_path / "run", resume=True).summary
    assert gone_on["parameters_sha256"] == whole["parameters_sha256"]
    found = CliRunner().invoke(cli.cli, ["evaluate", str(tmp_path / "run"), "--episodes", "2", "--render",
                                         str(tmp_path / "tag.gif")], catch_exceptions=False)
    assert found.exit_code == 0 and "episode_length" in found.output
    with Image.open(tmp_path / "tag.gif") as image:
        assert image.size[0] == 480 and 3 <= image.n_frames <= 8           # equal pictures in a row become one


def test_pictures_show_who_is_where():
    env = placed([(-0.8, 0.8), (0.5, -0.5)], [(0.6, -0.5), (0.8, 0.8)], [(-0.5, -0.5)])
    image = env.render()
    assert (image.dtype, image.shape) == (np.uint8, (480, 480, 3))

    def at(x: float, y: float) -> tuple:
        return tuple(image[int((1.2 - y) * 200), int((1.2 + x) * 200)].tolist())

    assert at(-0.8, 0.8) == at(-0.85, 0.8) == at(0.5, -0.5) == _tag_picture.PURSUER
    assert at(0.8, 0.8) == at(0.8, 0.83) == _tag_picture.PREY
    assert at(0.8, 0.86) == at(0, 0) == at(-0.9, 0.8) == _particles_picture.FLOOR
    assert at(0.62, -0.5) == _tag_picture.TOUCHED
    assert at(-0.5, -0.5) == at(-0.5, -0.32) == _tag_picture.OBSTACLE
    assert at(1.0, 0.2) == _particles_picture.FRAME
