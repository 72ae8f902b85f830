"""Any PettingZoo environment: spaces, seeds, agents that come and go, states, resumption, pictures."""

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pettingzoo")

from gymnasium import spaces
from gymnasium.spaces.utils import flatten
from pettingzoo.sisl import pursuit_v5
from programs import zoo

import netac
from netac.envs._pettingzoo import ParallelGames
from netac.envs._pettingzoo_spaces import reader, writer
from netac.experiment.make_env import make_environment
from netac.utils.errors import InputError, RunError
from netac.utils.plugins import Factory
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose

SOURCE = "mine:make"


def discrete_steps(games, steps, seed=0):
    """Random joint actions; everything that comes of them, games restarted when over."""
    rng, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        step = games.step(np.array([rng.integers(space.n_actions, size=games.games) for space in games.actions]))
        seen += [step.r, step.terminated, step.done, *games.observe(range(games.agents)), games.active.copy()]
        if step.done.any():
            games.restart(step.done)
            seen += games.observe(range(games.agents))
    return seen


def all_equal(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def lone(name):
    """The agent `name` of the mixed environment alone."""
    return partial(zoo.Sampler, {name: zoo.MIXED[name]})


# --- spaces ---

def test_shapes_and_kinds_of_every_space():
    games = ParallelGames(zoo.Sampler, 5, 2, SOURCE)
    assert games.names == tuple(zoo.MIXED)
    assert games.observations == ((2, 3), (1,), (4,), (5,), (9,))
    assert games.actions == (ActionSpace(3), ActionSpace(2), ActionSpace(0, (-1.0,) * 4, (2.0,) * 4),
                             ActionSpace(0, (-3.0,), (5.0,)), ActionSpace(0, (-np.inf, 0.0), (np.inf, 1.0)))
    assert games.state_shape is None and games.gamma is None and not games.resumable


def test_observations_are_shown_as_gymnasium_flattens_them():
    made = []
    games = ParallelGames(lambda: made.append(zoo.Sampler()) or made[-1], 5, 3, SOURCE)
    games.begin(3, 0)
    shown = games.observe(range(5))
    for e, env in enumerate(made):
        for array, (name, (space, _)) in zip(shown, zoo.MIXED.items(), strict=True):
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array[e].reshape(-1), flatten(space, env.observed[name]).astype(np.float32))
    shown[0][:] = 7.0
    assert (games.observe(range(1))[0] != 7.0).all()
    np.testing.assert_array_equal(games.observe(range(3, 5))[1], shown[4])


leaf_spaces = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(-3, 3)).map(lambda t: spaces.Discrete(t[0], start=t[1])),
    st.lists(st.integers(1, 3), max_size=3).map(lambda shape: spaces.Box(-2.0, 2.0, tuple(shape))),
    st.lists(st.integers(1, 4), min_size=1, max_size=3).map(spaces.MultiDiscrete),
    st.integers(1, 4).map(spaces.MultiBinary))
any_space = st.recursive(leaf_spaces, lambda inner: st.one_of(
    st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3).map(spaces.Dict)), max_leaves=5)


@settings(max_examples=60)
@given(any_space, st.integers(0, 2**31 - 1))
def test_any_nesting_of_spaces_is_flattened_alike(space, seed):
    space.seed(seed)
    sample, read = space.sample(), reader(space, "it")
    shown = np.full(read.shape, 9.0, dtype=np.float32)
    read.write(sample, shown)
    np.testing.assert_array_equal(shown.reshape(-1), flatten(space, sample).astype(np.float32))


def test_actions_reach_the_environment_as_its_spaces_want_them():
    made = []
    games = ParallelGames(lambda: made.append(zoo.Sampler()) or made[-1], 5, 2, SOURCE)
    games.begin(0, 0)
    actions = np.zeros((5, 2, 4))
    actions[0, :, 0], actions[1, :, 0] = [2, 0], [0, 1]
    actions[2, 1], actions[3, :, 0], actions[4, 1, :2] = [-1, 0.5, 2, 1], [-2.6, 4.4], [1e9, 1.0]
    games.step(actions)
    one, other = made[0].given[-1], made[1].given[-1]
    assert one["box"] == 2 and one["scalar"] == -1 and other["scalar"] == 0
    assert type(one["box"]) is type(zoo.MIXED["box"][1].sample())
    np.testing.assert_array_equal(other["whole"], np.array([[-1, 0.5], [2, 1]], np.float32))
    assert (one["many"], other["many"]) == (-3, 4) and one["many"].dtype == np.int32
    np.testing.assert_array_equal(other["dict"], np.array([1e9, 1.0], np.float32))


@pytest.mark.parametrize("space", [
    spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([4, 1, 3], start=[-1, 5, 2], dtype=np.int32),
    spaces.MultiDiscrete([[2, 3], [4, 5]]), spaces.MultiBinary(3), spaces.MultiBinary((2, 2))])
def test_several_choices_reach_the_environment_as_its_spaces_want_them(space):
    write, seen = writer(space, "it"), set()
    rng = np.random.default_rng(0)
    for numbers in write.action.random(rng, 2000):
        given = write(np.array([*numbers, 7.0]))               # other agents' actions may be longer
        assert space.contains(given) and given.dtype == space.dtype
        seen.add(given.tobytes())
    assert len(seen) == write.action.count


def test_discrete_actions_are_whole_numbers():
    games = ParallelGames(lone("scalar"), 1, 1, SOURCE)
    games.begin(0, 0)
    games.step(np.array([[1]]))
    assert games._envs[0].given[-1] == {"scalar": 0}


# --- seeds ---

def test_every_episode_has_a_seed_of_its_own():
    games = ParallelGames(partial(zoo.Sampler, length=2), 5, 3, SOURCE)
    games.begin(11, 4)
    for _ in range(4):
        done = games.step(np.zeros((5, 3, 4))).done
        if done.any():
            games.restart(done)
    seeds = [env.seeds[-3:] for env in games._envs]
    for e, own in enumerate(seeds):
        keys = [(Purpose.ENVIRONMENT, 4, e, 1 + k) for k in range(3)]
        assert own == [int(np.random.SeedSequence(11, spawn_key=key).generate_state(1)[0]) >> 1 for key in keys]
    assert len({seed for own in seeds for seed in own}) == 9


def test_games_do_not_depend_on_how_many_there_are():
    several = ParallelGames(zoo.Turns, 2, 4, SOURCE)
    several.begin(5, 1)
    actions = np.random.default_rng(0).integers(3, size=(30, 2, 4))
    seen = []
    for joint in actions:
        step = several.step(joint)
        seen.append([*several.observe(range(2)), step.r, step.done])
        several.restart(step.done)
    alone = ParallelGames(zoo.Turns, 2, 1, SOURCE)
    alone.begin(5, 1)
    for joint, (left, right, r, done) in zip(actions, seen, strict=True):
        step = alone.step(joint[:, :1])
        assert all_equal([*alone.observe(range(2)), step.r, step.done], [left[:1], right[:1], r[:, :1], done[:1]])
        alone.restart(step.done)
    assert sum(done.any() for *_, done in seen) > 3


@pytest.mark.parametrize("make, agents",
                         [(partial(pursuit_v5.parallel_env, n_pursuers=2, n_evaders=3, max_cycles=4), 2),
                          (partial(zoo.Timetable, [(0, 3, "terminated"), (0, 5, "truncated")]), 2)])
def test_equal_beginnings_give_equal_games(make, agents):
    games, again = (ParallelGames(make, agents, 2, SOURCE) for _ in range(2))
    games.begin(1, 0)
    again.begin(9, 0)
    other = discrete_steps(again, 12)
    again.begin(1, 0)
    first = games.observe(range(agents)) + discrete_steps(games, 12)
    assert all_equal(first, again.observe(range(agents)) + discrete_steps(again, 12))
    assert not all_equal(first[agents:], other)
    again.begin(1, 1)
    assert not all_equal(first, again.observe(range(agents)) + discrete_steps(again, 12))


# --- agents that come and go ---

def test_agents_come_and_go():
    table = [(0, 2, "terminated"), (0, 3, "truncated"), (1, 4, "both"), (0, 4, "truncated")]
    games = ParallelGames(partial(zoo.Timetable, table), 4, 1, SOURCE)
    games.begin(0, 0)
    seed = games.state()[0, 0, 1]
    active, r, terminated, done, shown = [games.active[:, 0].tolist()], [], [], [], []
    for _ in range(4):
        step = games.step(np.ones((4, 1), dtype=int))
        active.append(games.active[:, 0].tolist())
        r.append(step.r[:, 0].tolist())
        terminated.append(step.terminated[:, 0].tolist())
        done.append(bool(step.done[0]))
        shown.append([obs[0].tolist() for obs in games.observe(range(4))])
    assert active == [[True, True, False, True], [True] * 4, [False, True, True, True], [False, False, True, True],
                      [False] * 4]
    assert r == [[2, 2, 0, 2], [2, 2, 2, 2], [0, 2, 2, 2], [0, 0, 2, 2]]
    assert terminated == [[False] * 4, [True, False, False, False], [False] * 4, [False, False, True, False]]
    assert done == [False, False, False, True]
    zeros = [0.0, 0.0, 0.0]
    assert shown[0] == [[1, k, seed] for k in range(4)]
    assert shown[1] == [[2, k, seed] for k in range(4)]                    # agent_0's last one
    assert shown[2] == [zeros, [3, 1, seed], [3, 2, seed], [3, 3, seed]]
    assert shown[3] == [zeros, zeros, [4, 2, seed], [4, 3, seed]]
    games.restart(np.array([True]))
    assert games.active[:, 0].tolist() == active[0]
    assert games.observe(range(2, 3))[0].tolist() == [zeros]


def test_what_terminated_needs_no_last_observation():
    games = ParallelGames(partial(zoo.Timetable, [(0, 1, "terminated"), (0, 2, "both")], final=False), 2, 1, SOURCE)
    games.begin(0, 0)
    games.step(np.zeros((2, 1), dtype=int))
    assert (games.observe(range(1))[0] == 0).all() and (games.observe(range(1, 2))[0] != 0).any()
    assert games.step(np.zeros((2, 1), dtype=int)).done.all()


@pytest.mark.parametrize("seen, flag", [(False, "terminations"), (True, "terminations"), (True, "truncations")])
def test_one_flag_and_what_is_needed_are_enough_at_the_end(seen, flag):
    games = ParallelGames(partial(zoo.Hasty, seen, flag), 2, 1, SOURCE)
    games.begin(0, 0)
    for _ in range(3):
        step = games.step(np.zeros((2, 1), dtype=int))
    assert step.done.all() and step.terminated.all() == (flag == "terminations")
    assert (games.observe(range(1))[0] == (0.5 if seen else 0.0)).all()


def test_what_is_truncated_needs_its_last_observation():
    with pytest.raises(InputError, match=r"no observation for 'a' .*the last one of agents that are truncated"):
        ParallelGames(partial(zoo.Hasty, False, "truncations"), 2, 1, SOURCE)


def test_only_the_games_of_the_mask_are_restarted():
    games = ParallelGames(partial(zoo.Timetable, [(0, 9, "truncated")]), 1, 3, SOURCE)
    games.begin(0, 0)
    games.step(np.zeros((1, 3), dtype=int))
    games.restart(np.array([False, True, False]))
    assert games.observe(range(1))[0][:, 0].tolist() == [1, 0, 1]


def test_agents_that_act_in_turns_at_the_same_time():
    games = ParallelGames(zoo.Turns, 2, 1, SOURCE)
    games.begin(0, 0)
    start = games.observe(range(1))[0][0, 0]
    step = games.step(np.array([[2], [1]]))
    assert step.r[:, 0].tolist() == [2, 1] and games.observe(range(1))[0][0, 0] == start + 3
    for _ in range(20):
        step = games.step(np.array([[2], [2]]))
        if step.done.all():
            break
    assert step.terminated.all() and not games.active.any()


# --- states ---

def test_global_state():
    games = ParallelGames(partial(zoo.Timetable, [(0, 3, "truncated")]), 1, 2, SOURCE)
    games.begin(0, 0)
    games.step(np.zeros((1, 2), dtype=int))
    state = games.state()
    assert games.state_shape == (1, 2) and state.dtype == np.float32 and state[:, 0, 0].tolist() == [1, 1]
    assert state[0, 0, 1] == games.observe(range(1))[0][0, 2]


@pytest.mark.parametrize("changed", [KeyError("x"), "text", np.array([np.nan]), None, {"a": 1}])
def test_a_state_that_cannot_be_used_is_none(changed):
    games = ParallelGames(partial(zoo.Broken, "state", changed=changed), 2, 1, SOURCE)
    assert games.state_shape is None and "there is no global state" in " ".join(games.warnings)


@pytest.mark.parametrize("changed, message",
                         [(KeyError("x"), "KeyError"), (np.zeros(4), "shape"), (np.full(3, np.inf), "inf")])
def test_a_state_that_fails_later(changed, message):
    games = ParallelGames(partial(zoo.Broken, "state", after=5, changed=changed), 2, 1, SOURCE)
    games.begin(0, 0)
    for _ in range(5):
        games.state()
        games.step(np.zeros((2, 1), dtype=int))
    with pytest.raises(RunError, match=rf"state\(\).*{message}.*step 5"):
        games.state()


# --- resumption ---

def walk(games, steps):
    rng, seen = np.random.default_rng(3), []
    for _ in range(steps):
        step = games.step(rng.uniform(-1, 1, (games.agents, games.games, 1)))
        seen += [step.r, step.done, *games.observe(range(games.agents)), games.active.copy()]
        games.restart(step.done)
    return seen


@pytest.mark.parametrize("agents, before", [(1, 0), (2, 3), (2, 7), (2, 16)])
def test_games_with_a_state_go_on_where_they_stood(tmp_path, agents, before):
    make = partial(zoo.Walk, agents)
    games = ParallelGames(make, agents, 3, SOURCE)
    games.begin(2, 0)
    walk(games, before)
    np.savez(tmp_path / "state.npz", **games.get_state())
    following = games.observe(range(agents)) + walk(games, 20)
    again = ParallelGames(make, agents, 3, SOURCE)
    assert again.resumable
    again.begin(2, 0)
    with np.load(tmp_path / "state.npz") as state:
        again.set_state(dict(state))
    assert all_equal(following, again.observe(range(agents)) + walk(again, 20))


@pytest.mark.parametrize("before", range(5))
def test_who_takes_part_is_kept(before):
    make = partial(zoo.SavedTimetable, [(0, 1, "terminated"), (0, 4, "truncated"), (2, 3, "truncated")])
    games, again = (ParallelGames(make, 3, 2, SOURCE) for _ in range(2))
    assert games.resumable
    for each in (games, again):
        each.begin(2, 0)
    discrete_steps(games, before)
    again.set_state(games.get_state())
    assert all_equal([games.active, *discrete_steps(games, 6)], [again.active, *discrete_steps(again, 6)])


def test_games_without_one_begin_their_next_episode():
    make = partial(zoo.Timetable, [(0, 4, "truncated")])
    games = ParallelGames(make, 1, 2, SOURCE)
    games.begin(2, 0)
    discrete_steps(games, 5)
    state = games.get_state()
    assert set(state) == {"episodes"} and state["episodes"].tolist() == [1, 1]
    again = ParallelGames(make, 1, 2, SOURCE)
    again.begin(2, 0)
    again.set_state(state)
    games.restart(np.ones(2, dtype=bool))
    assert not again.resumable
    assert all_equal([*games.observe(range(1)), games.state()], [*again.observe(range(1)), again.state()])
    assert all_equal(discrete_steps(games, 6), discrete_steps(again, 6))


class Numberless(zoo.Walk):
    def get_state(self):
        return super().get_state() | {"names": self.possible_agents}


class TwoArguments(zoo.Walk):
    def set_state(self, positions, velocities):
        pass


@pytest.mark.parametrize("make, message", [(partial(zoo.Walk, forgets="lcg"), "other steps followed"),
                                           (partial(zoo.Walk, forgets="drift"), "an episode's reset draws"),
                                           (Numberless, r"\['names'\]"), (TwoArguments, "TypeError")])
def test_a_state_that_is_not_whole_is_not_trusted(make, message):
    games = ParallelGames(make, 2, 1, SOURCE)
    assert not games.resumable and games.state_shape is None
    (warning,) = [warning for warning in games.warnings if "resumed runs" in warning]
    assert re.search(message, warning)


# --- pictures ---

def test_pictures():
    games = ParallelGames(partial(zoo.Walk, render_mode="rgb_array"), 2, 1, SOURCE)
    games.begin(0, 0)
    assert games.render().shape == (4, 5, 3)
    with pytest.raises(InputError, match=r'env.kwargs: .*valid: .*render_mode = "rgb_array"'):
        ParallelGames(zoo.Walk, 2, 1, SOURCE).render()
    assert games.drawable and not ParallelGames(zoo.Walk, 2, 1, SOURCE).drawable
    odd = ParallelGames(partial(zoo.Walk, render_mode="rgb_array", picture="text"), 2, 1, SOURCE)
    odd.begin(0, 0)
    with pytest.raises(RunError, match="gave str"):
        odd.render()


def test_copies_are_closed():
    games = ParallelGames(partial(zoo.Timetable, [(0, 4, "truncated")]), 1, 3, SOURCE)
    games.begin(0, 0)
    games.close()
    assert [env.closed for env in games._envs] == [True] * 3


def test_what_is_made_to_look_at_the_spaces_is_the_first_copy_and_is_closed(monkeypatch):
    made = []
    monkeypatch.setattr(zoo, "Timetable", lambda table, kind=zoo.Timetable: made.append(kind(table)) or made[-1])
    table = [(0, 4, "truncated")]
    source = make_environment(Factory(factory="programs.zoo:Timetable", kwargs={"table": table}), 1, 3)
    assert [env.closed for env in made] == [True] and source.probe.observations == ((3,),)
    games = source.make()
    games.begin(0, 0)
    assert len(made) == 4 and not any(env.closed for env in made[1:])


def test_an_environment_that_nobody_else_may_hold():
    zoo.Locked.holders.clear()
    netac.run({"agents": 2, "iterations": 2, "envs": 1, "env": {"factory": "programs.zoo:Locked"}, "algorithm": "cac",
               "topology": "complete"})
    assert zoo.Locked.holders == []
