"""Many games of pursuit-evasion at once: what is conserved, random streams, resumption, refusals, pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.batched_games import check_resuming, check_seeds, check_views, play

from netac.envs import _pursuit_picture, pursuit
from netac.envs._pursuit_map import MOVES
from netac.utils.errors import InputError
from netac.utils.options import checked

SMALL = {"x_size": 6, "y_size": 5, "n_evaders": 3, "max_cycles": 40}


def make(agents: int, games: int = 1, **options) -> pursuit.Pursuit:
    return pursuit.make(pursuit.Settings(**options), agents, games)


agents_and_options = st.tuples(st.integers(1, 4), st.fixed_dictionaries({
    "x_size": st.integers(5, 9), "y_size": st.integers(5, 9), "n_evaders": st.integers(1, 4),
    "max_cycles": st.integers(1, 12), "surround": st.booleans(), "shared_reward": st.booleans(),
    "n_catch": st.integers(1, 2), "freeze_evaders": st.booleans(), "obs_range": st.sampled_from([1, 3, 5, 7])}))


@given(agents_and_options, st.integers(0, 2**63 - 1), st.integers(1, 4))
@settings(max_examples=40)
def test_agents_are_conserved_and_stay_on_the_map(agents_options, seed, games):
    agents, options = agents_options
    env = make(agents, games, **options)
    env.begin(seed, 0)
    walls, left = env.state()[..., 0], np.full(games, options["n_evaders"])
    actions = np.random.default_rng(seed).integers(5, size=(15, agents, games))
    for now in actions:
        step = env.step(now)
        state = env.state()
        assert state.shape == (games, *env.state_shape)
        assert (state[..., 0] == walls).all()
        assert not state[walls > 0][:, 1:].any()
        assert (state[..., 1].sum(axis=(1, 2)) == agents).all()
        remaining = state[..., 2].sum(axis=(1, 2))
        assert (remaining <= left).all()
        assert (step.terminated <= (remaining == 0)).all()
        assert (step.done >= (remaining == 0)).all()
        assert ((env.get_state()["evaders"][..., 0] >= 0).sum(axis=0) == remaining).all()
        env.restart(step.done)
        left = np.where(step.done, options["n_evaders"], remaining)


@given(agents_and_options, st.integers(0, 2**63 - 1), st.integers(0, 3))
@settings(max_examples=25)
def test_equal_seeds_give_equal_games_and_chains_differ(agents_options, seed, chain):
    agents, options = agents_options
    check_seeds(lambda: make(agents, 3, **options), seed, chain)


@given(agents_and_options, st.integers(0, 2**63 - 1), st.integers(0, 15))
@settings(max_examples=25)
def test_resumed_games_go_on_bit_for_bit(agents_options, seed, steps):
    agents, options = agents_options
    check_resuming(lambda: make(agents, 3, **options), seed, steps)


@given(agents_and_options, st.integers(0, 2**63 - 1), st.integers(1, 3))
@settings(max_examples=25)
def test_a_game_does_not_depend_on_how_many_are_played(agents_options, seed, games):
    agents, options = agents_options
    few, many = make(agents, games, **options), make(agents, 5, **options)
    few.begin(seed, 0)
    many.begin(seed, 0)
    for a, b in zip(play(few, 15, seed), play(many, 15, seed), strict=True):
        game = next((axis for axis, size in enumerate(b.shape) if size == 5 and a.shape[axis] == games), None)
        assert np.array_equal(a, b if game is None else b.take(range(games), axis=game))


def test_some_agents_see_what_they_see_among_all_and_keep_it():
    env = make(5, 3, **SMALL)
    check_views(env)


def test_games_differ_and_so_do_the_games_played_one_after_another():
    env = make(4, 6)
    env.begin(7, 0)
    first = env.get_state()["evaders"]
    env.restart(np.array([True, False] * 3))
    second = env.get_state()["evaders"]
    assert (first[:, 1::2] == second[:, 1::2]).all()
    begun = [*first.transpose(1, 0, 2), *second[:, ::2].transpose(1, 0, 2)]
    assert len({each.tobytes() for each in begun}) == 9
    assert env.get_state()["episodes"].tolist() == [1, 0] * 3


def test_evaders_move_evenly():
    env = make(1, 64, x_size=101, y_size=101, n_evaders=1, constraint_window=0.25)
    env.begin(5, 0)
    counts = np.zeros(5, dtype=int)
    for _ in range(100):
        before = env.get_state()["evaders"][0]
        env.step(np.full((1, 64), 4))
        way = env.get_state()["evaders"][0] - before
        inside = ((before > 0) & (before < 100)).all(axis=-1)
        counts += [(way[inside] == move).all(axis=-1).sum() for move in MOVES]
    assert counts.sum() > 5000
    assert abs(counts / counts.sum() - 0.2).max() < 0.03      # the building stops a few


def test_a_placement_that_gets_stuck_begins_anew():
    env = make(2, 32, x_size=3, y_size=1, n_evaders=2)       # a first one in the middle leaves no room
    for seed in range(5):
        env.begin(seed, 0)
        for who in env.get_state()["pursuers"], env.get_state()["evaders"]:
            assert (np.sort(who[..., 0], axis=0) == [[0], [2]]).all()


@pytest.mark.parametrize("agents, options, key, found", [
    (2, {"x_size": 2, "y_size": 1, "n_evaders": 1}, "agents", 2),
    (1, {"x_size": 3, "y_size": 1, "n_evaders": 3}, "env.n_evaders", 3),
    (8, {"n_evaders": 10_000}, "env.n_evaders", 10_000),
    (1, {"n_evaders": 1, "constraint_window": 1e-9}, "agents", 1),
])
def test_agents_without_room_are_refused(agents, options, key, found):
    with pytest.raises(InputError, match="no room") as caught:
        make(agents, **options)
    assert (caught.value.key, caught.value.found) == (key, found)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("table, key", [
    ({"obs_range": 4}, None), ({"obs_range": -1}, "obs_range"), ({"x_size": 0}, "x_size"), ({"n_catch": 0}, "n_catch"),
    ({"max_cycles": 0}, "max_cycles"), ({"constraint_window": 0.0}, "constraint_window"),
    ({"n_pursuers": 3}, "n_pursuers"), ({"constraint_window": 1.5}, "constraint_window"),
    ({"tag_reward": float("nan")}, "tag_reward"),
    ({"surround": 1}, "surround"), ({"n_evaders": 0}, "n_evaders"),
])
def test_bad_options_are_refused(table, key):
    with pytest.raises(InputError) as caught:
        checked(pursuit.Settings, table)
    assert caught.value.key == key
    assert next(iter(table)) in str(caught.value)


def test_pictures_show_who_is_where():
    env = make(2, 2, x_size=8, y_size=5, n_evaders=3, obs_range=3)
    env.begin(0, 0)
    state = env.get_state()
    state["pursuers"][:, 1] = [(0, 0), (7, 4)]
    state["evaders"][:, 1] = [(2, 0), (2, 0), (7, 4)]
    env.set_state(state)
    image = env.render(1)
    assert (image.dtype, image.shape) == (np.uint8, (100, 160, 3))
    tiles = image.reshape(5, 20, 8, 20, 3).transpose(0, 2, 1, 3, 4)
    red, blue = ((tiles == colour).all(axis=-1).any(axis=(2, 3))
                 for colour in (_pursuit_picture.PURSUER, _pursuit_picture.EVADER))
    assert np.argwhere(red).tolist() == [[0, 0], [4, 7]]
    assert np.argwhere(blue).tolist() == [[0, 2], [4, 7]]
    seen = (tiles[..., 1, 1, :] == _pursuit_picture.SEEN).all(axis=-1)
    assert np.argwhere(seen).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [3, 6], [3, 7], [4, 6], [4, 7]]
    white = (tiles[0, 2] == _pursuit_picture.DIGIT).all(axis=-1)
    assert white[4:14, 6:12].sum() > 20          # the number 2
    walls = (tiles[..., 10, 10, :] == _pursuit_picture.BUILDING).all(axis=-1)
    assert (walls == (env.state()[1, ..., 0] > 0)).all()
    assert not np.array_equal(image, env.render(0))


def test_pictures_of_large_maps_stay_small():
    env = make(1, 1, x_size=200, y_size=30, n_evaders=12)
    env.begin(0, 0)
    assert env.render().shape == (30 * 6, 200 * 6, 3)
