"""The platoon: recorded episodes of the published environment, plain loops, starts, ends, resumption, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from support.batched_games import check_resuming, check_seeds, check_views

import netac
from benchmarks.floors.platoon_loop import Loop
from netac.envs import platoon
from netac.envs._batched import check_batched
from netac.utils.errors import InputError

RECORDED = Path(__file__).parents[1] / "data" / "platoon_reference.npz"
EPISODES = range(8)
GENTLE = 3                                           # gains (1/2, 1/2)
scenarios = st.fixed_dictionaries({"scenario": st.sampled_from(["catchup", "slowdown"]), "training": st.booleans()})
seeds = st.integers(0, 2**63 - 1)


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(RECORDED) as file:
        return dict(file)


def make(agents: int = 8, games: int = 1, **options) -> platoon.Platoon:
    return platoon.make(platoon.Settings(**options), agents, games)


def played(recorded: dict[str, np.ndarray], k: int, **changes) -> platoon.PlayedAgain:
    given = {name: recorded[f"{k}_{name}"] for name in ("headways", "speeds", "leader", "actions")}
    return platoon.replay(**{"settings": json.loads(str(recorded[f"{k}_settings"])), "headways": given["headways"][0],
                             "speeds": given["speeds"][0], "leader": given["leader"], "actions": given["actions"],
                             **changes})


@pytest.mark.parametrize("k", EPISODES)
def test_recorded_episodes_come_out_the_same(recorded, k):
    found = played(recorded, k)
    for name in ("headways", "speeds", "accelerations", "observations", "rewards"):
        np.testing.assert_allclose(getattr(found, name), recorded[f"{k}_{name}"], rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(found.done, recorded[f"{k}_done"])
    steps = [*found]
    assert len(steps) == len(found.rewards) and [done for *_, done in steps] == recorded[f"{k}_done"].tolist()
    np.testing.assert_array_equal([seen for seen, *_ in steps], found.observations[1:])
    np.testing.assert_array_equal([rewards for _, rewards, _ in steps], found.rewards)


def test_recordings_hold_every_case(recorded):
    told = [json.loads(str(recorded[f"{k}_settings"])) for k in EPISODES]
    assert {(each["scenario"], each["training"]) for each in told} == {
        (scenario, training) for scenario in ("catchup", "slowdown") for training in (True, False)}
    collided = [k for k in EPISODES if (recorded[f"{k}_headways"] < 1).any()]
    assert len(collided) == 3 and any((recorded[f"{k}_accelerations"] < -platoon.U_MAX).any() for k in EPISODES)


@pytest.mark.parametrize(("changes", "key"), [
    ({"headways": np.full(7, 20.0)}, "headways"), ({"speeds": np.zeros((8, 1))}, "speeds"),
    ({"leader": np.full(240, 15.0)}, "leader"), ({"actions": np.full((240, 8), 4)}, "actions"),
    ({"actions": np.zeros((240, 5), int)}, "actions")])
def test_what_does_not_fit_together_is_refused(recorded, changes, key):
    with pytest.raises(InputError) as told:
        played(recorded, 0, **changes)
    assert told.value.key == key


@given(scenarios, st.integers(1, 9), seeds, st.floats(0, 1))
@settings(max_examples=12)
def test_games_follow_the_equations(options, n, seed, gentle):
    """Whole episodes of three games at once, to their ends and beyond."""
    env, rng = make(n, 3, **options), np.random.default_rng(seed)
    env.begin(seed, 0)

    def begun(game: int) -> Loop:
        first = env._h[0, game] / 20 if options["scenario"] == "catchup" else env._speeds[1, game] / 15
        assert 1.5 <= first < 2.5
        return Loop(n, first=first, **options)

    loops = [begun(game) for game in range(3)]
    for _ in range(620):
        actions = np.where(rng.random((n, 3)) < gentle, GENTLE, rng.integers(4, size=(n, 3)))
        step = env.step(actions)
        for game, loop in enumerate(loops):
            seen, r, terminated, done = loop.step(dict(enumerate(actions[:, game].tolist())))
            np.testing.assert_allclose(step.r[:, game], r, rtol=1e-9, atol=1e-9)
            assert (step.terminated[:, game] == terminated).all() and step.done[game] == done
            np.testing.assert_allclose(env._seen[..., game].T, seen, rtol=0, atol=1e-9)
            if done:                                     # of an episode's last reward, collisions tell themselves
                assert env.measured()["collisions"][game] == np.all(np.equal(r, -1000))
        env.restart(step.done)
        loops = [begun(game) if step.done[game] else loop for game, loop in enumerate(loops)]


@given(scenarios, st.integers(1, 9), st.integers(1, 4))
@settings(max_examples=20)
def test_the_interface_is_kept(options, agents, games):
    env = make(agents, games, **options)
    assert check_batched(env, agents, games, "platoon") is env and env.resumable


@given(scenarios, seeds, st.integers(0, 3), st.integers(0, 130))
@settings(max_examples=20)
def test_games_depend_on_their_seed_alone_and_go_on_bit_for_bit(options, seed, chain, steps):
    check_seeds(lambda: make(4, 3, **options), seed, chain)
    check_resuming(lambda: make(4, 3, **options), seed, steps)


def test_a_game_does_not_depend_on_how_many_are_played():
    few, many = make(5, 2, scenario="slowdown"), make(5, 8, scenario="slowdown")
    few.begin(3, 0)
    many.begin(3, 0)
    actions = np.random.default_rng(0).integers(4, size=(300, 5, 8))
    for now in actions:
        one, all_ = few.step(now[:, :2]), many.step(now)
        assert np.array_equal(one.r, all_.r[:, :2]) and np.array_equal(few.state(), many.state()[:2])
        few.restart(one.done)
        many.restart(all_.done)


def test_some_vehicles_see_what_they_see_among_all_and_keep_it():
    check_views(make(5, 3))


def test_starts_are_uniform():
    env = make(2, 500)
    env.begin(5, 0)
    found = []
    for _ in range(3):
        found.append(env.get_state()["headways"][0] / 20 - 1.5)
        env.restart(np.ones(500, dtype=bool))
    assert len(np.unique(found)) == 1500 and kstest(np.ravel(found), "uniform").pvalue > 1e-4


@pytest.mark.parametrize(("scenario", "published", "error"), [("catchup", -82.0, 6.0), ("slowdown", -488.0, 40.0)])
def test_the_best_constant_action_earns_what_is_published(scenario, published, error):
    """Mean reward a step, summed over eight vehicles, of 400 starts against 50 of the published environment's."""
    env, total = make(8, 400, scenario=scenario, training=False), np.zeros(400)
    env.begin(0, 0)
    for _ in range(600):
        step = env.step(np.full((8, 400), GENTLE))
        total += step.r.sum(axis=0)
    assert step.done.all() and not step.terminated.any()
    mean, own = total.mean() / 600, total.std() / 600 / 20
    assert abs(mean - published) < 3 * np.hypot(error, own), (mean, own)


def test_pictures_show_where_vehicles_are():
    env = make(8, 2)
    env.begin(0, 0)
    image = env.render(1)
    assert image.shape == (200, 960, 3) and image.dtype == np.uint8
    red = platoon.picture(np.array([20.0, 0.5]), np.array([15.0, 15.0]), 15.0, True)
    calm = platoon.picture(np.array([20.0, 0.5]), np.array([15.0, 15.0]), 15.0, False)
    assert (red == (204, 62, 20)).all(axis=-1).any() and not (calm == (204, 62, 20)).all(axis=-1).any()
    assert (calm == (0, 158, 115)).all(axis=-1).any()                          # both at 15 m/s


def test_it_is_learnt_from():
    tables = {"agents": 3, "iterations": 3, "envs": 4, "env": {"name": "platoon"}, "topology": "path",
              "policy": {"name": "mlp", "hidden": [8]}, "critic": {"name": "mlp", "hidden": [8]},
              "normalise": {"rewards": True}, "algorithm": {"name": "cppo", "rollout": 20, "gamma": 0.99}}
    summary = netac.run(tables).summary
    assert summary["env_steps"] == 3 * 20 * 4 and np.isfinite(summary["final_reward"])
