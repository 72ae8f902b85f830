"""Many games of cooperative navigation at once: rewards by hand, random streams, resumption, refusals, pictures."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from support.batched_games import check_resuming, check_seeds, check_views, equal, play, snapshot

import netac
from netac.envs import _particles, _particles_picture, _spread_picture, spread
from netac.envs._batched import check_batched
from netac.utils.errors import InputError
from netac.utils.options import checked


def make(agents: int, games: int = 1, **options) -> spread.Spread:
    return spread.make(spread.Settings(**options), agents, games)


def placed(positions: list, landmarks: list, **options) -> spread.Spread:
    """One game with agents at rest and landmarks where they are told to be."""
    env = make(len(positions), **options)
    env.begin(0, 0)
    state = env.get_state()
    state["positions"][:, 0], state["landmarks"][:, 0] = positions, landmarks
    env.set_state(state)
    return env


agents_and_options = st.tuples(st.integers(1, 8), st.fixed_dictionaries({
    "continuous_actions": st.booleans(), "max_cycles": st.integers(1, 12), "terminate_on_success": st.booleans(),
    "local_ratio": st.floats(0.0, 1.0), "num_agent_neighbors": st.none() | st.integers(1, 3),
    "num_landmark_neighbors": st.none() | st.integers(1, 3), "scoring": st.sampled_from(["v2", "v3"]),
    "personal_goals": st.none() | st.floats(0.0, 1.0)}))
seeds = st.integers(0, 2**63 - 1)


@given(agents_and_options, st.integers(1, 4))
@settings(max_examples=40)
def test_the_interface_is_kept(agents_options, games):
    agents, options = agents_options
    env = make(agents, games, **options)
    assert check_batched(env, agents, games, "spread") is env and env.resumable


@given(agents_and_options, seeds, st.integers(0, 3))
@settings(max_examples=25)
def test_equal_seeds_give_equal_games_and_chains_differ(agents_options, seed, chain):
    agents, options = agents_options
    check_seeds(lambda: make(agents, 3, **options), seed, chain)


@given(agents_and_options, seeds, st.integers(0, 2 * _particles.BLOCK))
@settings(max_examples=25)
def test_resumed_games_go_on_bit_for_bit(agents_options, seed, steps):
    """Also where the next game's start is the first of a block, or the last one."""
    agents, options = agents_options
    check_resuming(lambda: make(agents, 3, **options), seed, steps)


@pytest.mark.parametrize("games", [1, 2, 3])
@pytest.mark.parametrize("agents", [1, 3, 8])
@pytest.mark.parametrize("options", [{"max_cycles": 3}, {"continuous_actions": True, "num_agent_neighbors": 2}])
def test_a_game_does_not_depend_on_how_many_are_played(agents, games, options):
    few, many = make(agents, games, **options), make(agents, 5, **options)
    few.begin(3, 0)
    many.begin(3, 0)
    for a, b in zip(play(few, 15, 0), play(many, 15, 0), strict=True):
        game = next(axis for axis, (mine, theirs) in enumerate(zip(a.shape, b.shape, strict=True)) if mine != theirs)
        assert np.array_equal(a, b.take(range(games), axis=game))


def test_some_agents_see_what_they_see_among_all_and_keep_it():
    env = make(5, 3)
    check_views(env)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=80), seeds)
@settings(max_examples=20)
def test_a_games_next_start_does_not_depend_on_when_it_comes(masks, seed):
    env, straight = make(2, 4), make(2, 4)
    env.begin(seed, 0)
    straight.begin(seed, 0)
    starts = [straight.get_state()]
    for _ in masks:
        straight.restart(np.ones(4, dtype=bool))
        starts.append(straight.get_state())
    for mask in masks:
        env.restart(np.array(mask))
        state = env.get_state()
        for game, episode in enumerate(state["episodes"]):
            assert np.array_equal(state["positions"][:, game], starts[episode]["positions"][:, game])
            assert np.array_equal(state["landmarks"][:, game], starts[episode]["landmarks"][:, game])


def test_games_begin_at_rest_and_anywhere():
    env = make(3, 200)
    env.begin(11, 0)
    found = []
    for _ in range(2 * _particles.BLOCK + 3):
        state = env.get_state()
        found.append(np.stack([state["positions"], state["landmarks"]]))
        assert not state["velocities"].any() and not state["steps"].any()
        env.step(np.ones((3, 200), dtype=int))
        env.restart(np.ones(200, dtype=bool))
    found = np.array(found)                          # (starts, agents or landmarks, N, E, 2)
    assert len(np.unique(found)) == found.size       # no number is used twice
    for what, who, axis in np.ndindex(2, 3, 2):
        assert kstest((1 + found[:, what, who, :, axis].ravel()) / 2, "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(found.transpose(1, 2, 4, 0, 3).reshape(12, -1)) - np.eye(12)).max() < 0.05


def test_random_play_of_three_agents():
    """The team's sum over 25 steps: -80.9 +- 1.4 by an earlier measurement, -79.5 +- 0.5 in 2,400 games of mpe2's."""
    env, rng, sums = make(3, 500), np.random.default_rng(1), []
    env.begin(1, 0)
    for _ in range(10):
        total = np.zeros(500)
        for _ in range(25):
            step = env.step(rng.integers(5, size=(3, 500)))
            total += step.r.sum(axis=0)
        assert step.done.all() and not step.terminated.any()
        env.restart(step.done)
        sums.append(total)
    error = np.std(sums) / np.sqrt(np.size(sums))
    assert error < 0.5
    assert abs(np.mean(sums) + 79.5) < 3 * np.hypot(error, 0.5)
    assert abs(np.mean(sums) + 80.9) < 3 * np.hypot(error, 1.4)


@pytest.mark.parametrize(("scoring", "counted"), [("v3", 0), ("v2", 1)])
def test_rewards_by_hand(scoring, counted):
    """Agents 0 and 1 touch; nobody moves in the first step, in which velocities are 0."""
    env = placed([(0, 0), (0.2, 0), (-1, 0)], [(0, 0.3), (-1, 0.4), (1, 0)], local_ratio=0.25, scoring=scoring)
    step = env.step(np.zeros((3, 1), dtype=int))
    own = np.array([1, 1, 0]) + counted
    np.testing.assert_allclose(step.r[:, 0], 0.75 * -(0.3 + 0.4 + 0.8) - 0.25 * own, rtol=0, atol=1e-15)


@given(st.integers(1, 5), st.integers(1, 3), st.floats(0.0, 1.0), st.floats(0.0, 1.0), seeds)
@settings(max_examples=25)
def test_personal_goals_by_loops(agents, games, unlike, ratio, seed):
    """Each agent pays its distance to a point between landmark 0 and that of its number; all else is as without."""
    env, plain = (make(agents, games, local_ratio=ratio, **more) for more in ({"personal_goals": unlike}, {}))
    env.begin(seed, 0)
    plain.begin(seed, 0)
    for actions in np.random.default_rng(seed).integers(5, size=(12, agents, games)):
        step = env.step(actions)
        plain.step(actions)
        state = env.get_state()
        assert equal(snapshot(env), snapshot(plain))
        for game in range(games):
            places, landmarks = state["positions"][:, game], state["landmarks"][:, game]
            for i in range(agents):
                goal = [(1.0 - unlike) * landmarks[0, axis] + unlike * landmarks[i, axis] for axis in range(2)]
                touched = sum(math.dist(places[i], places[j]) < spread.CONTACT for j in range(agents) if j != i)
                assert step.r[i, game] == pytest.approx(-(1.0 - ratio) * math.dist(places[i], goal) - ratio * touched)


def test_agents_at_their_goals_end_an_episode():
    """Agent 1's goal is half-way between the landmarks."""
    for second, done in (((0.5, 0.09), True), ((1.0, 0.0), False)):
        env = placed([(0, 0), second], [(0, 0), (1, 0)], personal_goals=0.5, terminate_on_success=True)
        assert env.step(np.zeros((2, 1), dtype=int)).done.tolist() == [done]


@given(st.integers(1, 4), st.floats(0.0, 1.0), seeds)
@settings(max_examples=20)
def test_version_2_is_lower_by_an_agents_collision_with_itself(agents, ratio, seed):
    second, third = (make(agents, 4, local_ratio=ratio, scoring=scoring) for scoring in ("v2", "v3"))
    second.begin(seed, 0)
    third.begin(seed, 0)
    actions = np.random.default_rng(seed).integers(5, size=(25, agents, 4))
    differences = [third.step(now).r - second.step(now).r for now in actions]
    np.testing.assert_allclose(differences, ratio, rtol=0, atol=1e-12)
    assert equal(snapshot(second), snapshot(third))


def test_forces_by_hand():
    """Two agents 0.2 apart push each other away by 100 x 0.1; agent 0 also goes up.  Then both move and slow down."""
    env = placed([(0, 0), (0.2, 0)], [(0, 0)] * 2)
    env.step(np.array([[4], [0]]))
    state = env.get_state()
    np.testing.assert_array_equal(state["positions"][:, 0], [(0, 0), (0.2, 0)])
    np.testing.assert_allclose(state["velocities"][:, 0], [(-1, 0.5), (1, 0)], rtol=0, atol=1e-14)
    env.step(np.zeros((2, 1), dtype=int))
    state = env.get_state()
    np.testing.assert_allclose(state["positions"][:, 0], [(-0.1, 0.05), (0.3, 0)], rtol=0, atol=1e-14)
    assert state["velocities"][0, 0, 0] < -0.75 - 0.9 * 0.1


def test_the_middle_one_of_three_in_a_row_is_held():
    env = placed([(-0.2, 0), (0, 0), (0.2, 0)], [(0, 0)] * 3)
    env.step(np.zeros((3, 1), dtype=int))
    np.testing.assert_allclose(env.get_state()["velocities"][:, 0, 0], [-1, 0, 1], rtol=0, atol=1e-14)


def test_an_episode_ends_when_every_landmark_is_covered():
    corner = [(0.0, 0.09), (1.0, 1.09)]
    for options, done, terminated in (({}, False, False), ({"terminate_on_success": True}, True, True),
                                      ({"terminate_on_success": True, "max_cycles": 1}, True, False)):
        step = placed([(1, 1), (0, 0)], corner, **options).step(np.zeros((2, 1), dtype=int))
        assert (step.done.tolist(), step.terminated.tolist()) == ([done], [[terminated]] * 2)
    step = placed([(1, 1), (0, 0)], [(0.0, 0.11), (1.0, 1.0)], terminate_on_success=True).step(
        np.zeros((2, 1), dtype=int))
    assert not step.done.any()


def test_who_is_seen():
    """Nearest first where the number is limited, else by number; zeros where there are fewer, and for messages."""
    places, landmarks = [(0, 0), (0.9, 0), (0, 0.5)], [(0, -0.8), (0.1, 0), (0, 0.4)]
    full = placed(places, landmarks).observe(range(1))[0][0]
    np.testing.assert_allclose(full, [0, 0, 0, 0, 0, -0.8, 0.1, 0, 0, 0.4, 0.9, 0, 0, 0.5, 0, 0, 0, 0], atol=1e-7)
    few = placed(places, landmarks, num_agent_neighbors=1, num_landmark_neighbors=2).observe(range(1))[0][0]
    np.testing.assert_allclose(few, [0, 0, 0, 0, 0.1, 0, 0, 0.4, 0, 0.5, 0, 0], atol=1e-7)
    many = placed(places, landmarks, num_agent_neighbors=3).observe(range(1))[0][0]
    np.testing.assert_allclose(many, [*full[:10], 0, 0.5, 0.9, 0, *[0] * 8], atol=1e-7)


@pytest.mark.parametrize(("table", "key"), [
    ({"local_ratio": 1.5}, "local_ratio"), ({"local_ratio": float("nan")}, "local_ratio"),
    ({"max_cycles": 0}, "max_cycles"), ({"continuous_actions": 1}, "continuous_actions"),
    ({"num_agent_neighbors": 0}, "num_agent_neighbors"),
    ({"personal_goals": 1.5}, "personal_goals"), ({"personal_goals": True}, "personal_goals"),
    ({"num_landmark_neighbors": -1}, "num_landmark_neighbors"), ({"scoring": "v4"}, "scoring"), ({"N": 3}, "N"),
    ({"curriculum": True}, "curriculum"),
])
def test_bad_options_are_refused(table, key):
    with pytest.raises(InputError) as caught:
        checked(spread.Settings, table)
    assert caught.value.key == key
    assert key in str(caught.value)


def test_nothing_else_is_needed_to_play():
    program = """
        import sys
        for name in ("gymnasium", "mpe2", "pettingzoo", "pygame", "torch"):
            sys.modules[name] = None
        import numpy as np
        from netac.envs import spread
        env = spread.make(spread.Settings(), 2, 3)
        env.begin(0, 0)
        print(env.step(np.zeros((2, 3), dtype=int)).r.shape, env.render().shape)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "(2, 3) (480, 480, 3)\n", done.stderr


def test_every_process_plays_the_games_and_all_give_the_same(mpirun, tmp_path):
    pytest.importorskip("torch")
    tables = {"agents": 3, "iterations": 16, "envs": 2, "env": {"name": "spread", "max_cycles": 7}, "topology": "ring",
              "policy": {"name": "mlp", "hidden": [8]}, "critic": {"name": "mlp", "hidden": [8]}, "algorithm": "cac"}
    (tmp_path / "spread.toml").write_text(tomli_w.dumps(tables))
    done = mpirun(3, [sys.executable, "-m", "netac", "run", "spread.toml", "--out", "run"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["parameters_sha256"] == netac.run(tables).summary["parameters_sha256"]


def test_pictures_show_who_is_where():
    env = placed([(-0.8, 0.8), (0.5, -0.5), (0.7, -0.5)], [(0.8, 0.8), (-0.8, -0.8), (0, 0)])
    image = env.render()
    assert (image.dtype, image.shape) == (np.uint8, (480, 480, 3))

    def at(x: float, y: float) -> tuple:
        return tuple(image[int((1.2 - y) * 200), int((1.2 + x) * 200)].tolist())

    def through(colour: tuple) -> tuple:
        share = _spread_picture.OPACITY
        return tuple(round(255 * (1 - share) + share * part) for part in colour)

    assert at(0.8, 0.8) == at(-0.8, -0.8) == at(0.0, 0.0) == _spread_picture.LANDMARK
    assert at(-0.8, 0.8) == at(-0.7, 0.7) == through(_spread_picture.AGENT)
    assert at(0.4, -0.5) == at(0.8, -0.5) == through(_spread_picture.COLLIDING)
    assert at(0.4, 0.4) == at(-0.8, 1.1) == _particles_picture.FLOOR
    assert at(1.0, 0.2) == _particles_picture.FRAME


def test_pictures_show_who_went_far_out():
    image = placed([(7.0, 0.0)], [(0, 0)]).render()
    blue = np.argwhere(image[..., 2].astype(int) - image[..., 0] > 50)
    assert len(blue) and abs(blue.mean(axis=0) - [239.5, 480 * 14.2 / 14.4 - 0.5]).max() < 1
