"""netac's cooperative navigation against mpe2's `simple_spread_v3`, game by game to the last bit."""

from __future__ import annotations

import inspect
from collections import Counter
from itertools import product

import numpy as np
import pytest

pytest.importorskip("mpe2")

from mpe2 import simple_spread_v3
from mpe2.simple_spread.simple_spread import raw_env
from support.original_particles import Original, moves_by_new_velocities, replay

from netac.envs import spread

MIXED = {"local_ratio": 0.3, "max_cycles": 40, "terminate_on_success": True}


def to_landmarks(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Each agent to a landmark of its own, braking in time, so that games get somewhere."""
    return arrays["landmarks"] - arrays["positions"] - 0.5 * arrays["velocities"]


def contacts(arrays: dict[str, np.ndarray]) -> dict[str, int]:
    positions = arrays["positions"]
    close = np.hypot(*(positions[:, None] - positions).transpose(2, 0, 1)) < 0.3
    return {"contacts": (int(close.sum()) - len(positions)) // 2}


def replayed(agents: int, seeds: range, crowd: float = 1.0, **options) -> Counter:
    known = {name: value for name, value in options.items() if name != "dynamics"}
    change = moves_by_new_velocities if "dynamics" in options else lambda env: None
    games = [Original.begin(simple_spread_v3, seed, crowd, change, N=agents, **known) for seed in seeds]
    env = spread.make(spread.Settings(**options), agents, len(games))
    return replay(env, games, seeds.start, to_landmarks, contacts)


REPLAYS = {       # agents, games, share of the plane in which games begin, options: 123 games
    "default": (3, 8, 1.0, {}),
    "default-continuous": (3, 8, 1.0, {"continuous_actions": True}),
    **{f"{n}-{'continuous' if continuous else 'discrete'}{'-crowd' if crowd < 1 else ''}":
       (n, 3, crowd, MIXED | {"continuous_actions": continuous})
       for n, continuous, crowd in product((1, 2, 3, 4, 5), (False, True), (1.0, 0.25))},
    **{f"sees-{others}-agents-{landmarks}-landmarks-of-{n}{'-continuous' if continuous else ''}":
       (n, 2, 0.6, {"num_agent_neighbors": others, "num_landmark_neighbors": landmarks,
                    "continuous_actions": continuous})
       for (n, others, landmarks), continuous in product(
           ((1, 1, 2), (1, 3, None), (2, None, 1), (3, 2, 3), (4, 1, 2), (4, 2, None), (5, 7, 9)), (False, True))},
    "own-only": (3, 4, 0.3, {"local_ratio": 1.0}),
    "team-only": (3, 4, 0.3, {"local_ratio": 0.0, "continuous_actions": True}),
    "one-step": (2, 4, 0.1, {"max_cycles": 1, "terminate_on_success": True}),
    "sooner": (4, 3, 0.4, {"dynamics": "v2", "continuous_actions": True}),
    "one-game": (9, 1, 0.5, {"max_cycles": 60, "local_ratio": 0.123}),
    "twelve": (12, 2, 0.7, {"continuous_actions": True, "local_ratio": 0.9}),
    "on-top-of-each-other": (4, 4, 1e-3, {"max_cycles": 30}),
}
TALLIES: dict[str, Counter] = {}


@pytest.mark.parametrize("name", REPLAYS)
def test_equals_mpe2(name):
    agents, games, crowd, options = REPLAYS[name]
    first = 1000 * list(REPLAYS).index(name)
    TALLIES[name] = replayed(agents, range(first, first + games), crowd, **options)


def test_replays_covered_what_can_happen():
    if set(TALLIES) != set(REPLAYS):
        pytest.skip("only some replays were run")
    total = sum(TALLIES.values(), Counter())
    assert total["games"] >= 120 and total["steps"] >= 2500
    assert total["contacts"] >= 600
    assert total["terminated"] >= 10 and total["truncated"] >= 60
    assert TALLIES["one-step"]["terminated"] == 0      # a truncation in the last step is none


def test_single_precision_actions_lead_to_the_same_within_rounding():
    """What the PettingZoo adapter hands to mpe2: forces are then rounded to single precision."""
    game, rng = Original.begin(simple_spread_v3, 5, 0.6, continuous_actions=True), np.random.default_rng(0)
    env = spread.make(spread.Settings(continuous_actions=True), 3, 1)
    env.begin(0, 0)
    env.set_state(env.get_state() | {name: array[:, None] for name, array in game.arrays().items()})
    for _ in range(10):
        actions = rng.random((3, 5), dtype=np.float32)
        r, *_ = game.step(actions)
        np.testing.assert_allclose(env.step(actions[:, None].astype(float)).r[:, 0], list(r.values()),
                                   rtol=0, atol=1e-4)


def test_options_are_those_of_mpe2():
    known, mine = inspect.signature(raw_env).parameters, spread.Settings().model_dump()
    assert mine.pop("scoring") == mine.pop("dynamics") == "v3" and mine.pop("personal_goals") is None
    assert {name: known[name].default for name in mine} == mine


def test_names_shapes_and_spaces_are_those_of_mpe2():
    for agents, others, continuous in product((1, 2, 3), (None, 2), (False, True)):
        options = {"num_agent_neighbors": others, "continuous_actions": continuous}
        env, theirs = (spread.make(spread.Settings(**options), agents, 2),
                       simple_spread_v3.parallel_env(N=agents, **options))
        assert list(env.names) == theirs.possible_agents
        for name, shape, space in zip(env.names, env.observations, env.actions, strict=True):
            assert shape == theirs.observation_space(name).shape
            box = theirs.action_space(name)
            assert ((space.low, space.high) == (tuple(box.low), tuple(box.high)) if continuous
                    else space.n_actions == box.n)
        assert env.state_shape == theirs.state_space.shape
