"""netac's cooperative navigation against mpe2's `simple_spread_v3`, game by game to the last bit."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

pytest.importorskip("mpe2")

from mpe2 import simple_spread_v3
from mpe2.simple_spread.simple_spread import raw_env

from netac.envs import spread

MIXED = {"local_ratio": 0.3, "max_cycles": 40, "terminate_on_success": True}


@dataclass
class Original:
    """A game of mpe2's."""

    env: object
    seen: dict

    @classmethod
    def begin(cls, agents: int, seed: int, crowd: float, **options) -> Original:
        """A game that begins with everything within `crowd` of the origin."""
        env = simple_spread_v3.parallel_env(N=agents, **options)
        env.reset(seed=seed)
        self = cls(env, {})
        for each in (*self.world.agents, *self.world.landmarks):
            each.state.p_pos = crowd * each.state.p_pos
        self.seen = {name: env.aec_env.observe(name) for name in env.agents}
        return self

    @property
    def world(self):
        return self.env.unwrapped.world

    def arrays(self) -> dict[str, np.ndarray]:
        """Positions, velocities and landmarks, (N, 2) each, as mpe2 has them: doubles."""
        agents = self.world.agents
        return {"positions": np.array([each.state.p_pos for each in agents]),
                "velocities": np.array([each.state.p_vel for each in agents]),
                "landmarks": np.array([each.state.p_pos for each in self.world.landmarks])}

    def step(self, actions: np.ndarray) -> tuple[dict, dict, dict]:
        """Rewards, terminations and truncations."""
        self.seen, *answers, _ = self.env.step(dict(zip(self.env.agents, actions, strict=True)))
        return tuple(answers)


@dataclass
class Tally:
    """How often what happened while games were replayed."""

    games: int = 0
    steps: int = 0
    contacts: int = 0
    terminated: int = 0
    truncated: int = 0


def chase(game: Original, rng: np.random.Generator, continuous: bool) -> np.ndarray:
    """Actions that often lead agents to landmarks (braking in time), so that games get somewhere; else random ones.

    Forces are multiples of 2^-12, which mpe2 subtracts in single precision without rounding.
    """
    arrays = game.arrays()
    way = arrays["landmarks"] - arrays["positions"] - 0.5 * arrays["velocities"]
    axis = np.abs(way).argmax(axis=1)
    moves = 1 + 2 * axis + (way[np.arange(len(way)), axis] > 0)
    chosen = np.where(rng.random(len(way)) < 0.7, moves, rng.integers(5, size=len(way)))
    if not continuous:
        return chosen
    forces = (np.eye(5)[chosen] * rng.random((len(way), 1))
              + (rng.random((len(way), 1)) < 0.3) * rng.random((len(way), 5)))
    return (np.rint(4096 * np.minimum(forces, 1.0)) / 4096).astype(np.float32)


def replay(agents: int, seeds: range, crowd: float = 1.0, **options) -> Tally:
    """Play games of mpe2's and the same ones, side by side, in netac, comparing all there is after every step."""
    games = [Original.begin(agents, seed, crowd, **options) for seed in seeds]
    env = spread.make(spread.Settings(**options), agents, len(games))
    tally, rng, continuous = (Tally(len(games)), np.random.default_rng(seeds.start),
                              options.get("continuous_actions", False))
    env.begin(seeds.start, 0)
    begun = [game.arrays() for game in games]
    env.set_state(env.get_state() | {name: np.stack([each[name] for each in begun], axis=1) for name in begun[0]})
    running = dict(enumerate(games))
    for place, game in running.items():
        compare(env, place, game)
    while running:
        actions = np.zeros((agents, len(games), 5)) if continuous else np.zeros((agents, len(games)), dtype=int)
        answers = {}
        for place, game in running.items():
            actions[:, place] = chosen = chase(game, rng, continuous)
            answers[place] = game.step(chosen)
        step = env.step(actions)
        for place, (r, terminations, truncations) in answers.items():
            compare(env, place, games[place])
            np.testing.assert_array_equal(step.r[:, place], list(r.values()), strict=True)
            assert step.terminated[:, place].tolist() == list(terminations.values())
            done = not games[place].env.agents
            assert step.done[place] == done == (any(terminations.values()) or any(truncations.values()))
            positions = games[place].arrays()["positions"]
            close = np.hypot(*(positions[:, None] - positions).transpose(2, 0, 1)) < 0.3
            tally.steps, tally.contacts = tally.steps + 1, tally.contacts + (int(close.sum()) - agents) // 2
            tally.terminated += any(terminations.values())
            tally.truncated += any(truncations.values())
            if done:
                del running[place]
        env.restart(step.done)
    return tally


def compare(env: spread.Spread, place: int, game: Original) -> None:
    for mine, theirs in zip(env.observe(range(env.agents)), game.seen.values(), strict=True):
        np.testing.assert_array_equal(mine[place], theirs, strict=True)
    np.testing.assert_array_equal(env.state()[place], game.env.state(), strict=True)
    state = env.get_state()
    for name, theirs in game.arrays().items():
        np.testing.assert_array_equal(state[name][:, place], theirs, strict=True)


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
    "one-game": (9, 1, 0.5, {"max_cycles": 60, "local_ratio": 0.123}),
    "twelve": (12, 2, 0.7, {"continuous_actions": True, "local_ratio": 0.9}),
    "on-top-of-each-other": (4, 4, 1e-3, {"max_cycles": 30}),
}
TALLIES: dict[str, Tally] = {}


@pytest.mark.parametrize("name", REPLAYS)
def test_equals_mpe2(name):
    agents, games, crowd, options = REPLAYS[name]
    first = 1000 * list(REPLAYS).index(name)
    TALLIES[name] = replay(agents, range(first, first + games), crowd, **options)


def test_replays_covered_what_can_happen():
    if set(TALLIES) != set(REPLAYS):
        pytest.skip("only some replays were run")
    total = {what: sum(getattr(tally, what) for tally in TALLIES.values()) for what in Tally().__dict__}
    assert total["games"] >= 120 and total["steps"] >= 2500
    assert total["contacts"] >= 600
    assert total["terminated"] >= 10 and total["truncated"] >= 60
    assert TALLIES["one-step"].terminated == 0      # a truncation in the last step is none


def test_single_precision_actions_lead_to_the_same_within_rounding():
    """What the PettingZoo adapter hands to mpe2: forces are then rounded to single precision."""
    game, rng = Original.begin(3, 5, 0.6, continuous_actions=True), np.random.default_rng(0)
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
    assert mine.pop("scoring") == "v3"
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
