"""netac's pursuit-evasion against PettingZoo's: game by game to the last bit, and how games begin."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from support.original_pursuit import Original, make

from netac.envs import pursuit
from netac.envs._pursuit_map import MOVES

pytestmark = pytest.mark.timeout(60)      # PettingZoo places its agents for ever where they find no room
SMALL = {"x_size": 6, "y_size": 5, "n_evaders": 3, "max_cycles": 40}


@dataclass
class Tally:
    """How often what happened while games were replayed."""

    games: int = 0
    steps: int = 0
    catches: int = 0
    terminated: int = 0
    truncated: int = 0


def chase(game: Original, rng: np.random.Generator) -> np.ndarray:
    """Actions that often lead to the first evader left (from four sides if need be), so that games get somewhere."""
    pursuers, evaders = game.positions()
    sides = np.array(MOVES)[np.arange(len(pursuers)) % 4] if game.base.surround else 0
    target = evaders[evaders[:, 0] >= 0][0] + sides
    towards = np.abs(pursuers[:, None] + np.array(MOVES) - target[..., None, :]).sum(axis=-1).argmin(axis=-1)
    return np.where(rng.random(len(pursuers)) < 0.7, towards, rng.integers(5, size=len(pursuers)))


def replay(agents: int, seeds: range, steps: int, **options) -> Tally:
    """Play games of PettingZoo's and the same ones, side by side, in netac, comparing all there is after every step."""
    games = [Original.begin(agents, seed, **options) for seed in seeds]
    env, tally, rng = make(agents, len(games), **options), Tally(len(games)), np.random.default_rng(seeds.start)
    env.begin(seeds.start, 0)
    pursuers, evaders = (np.stack(found, axis=1) for found in zip(*(game.positions() for game in games), strict=True))
    env.set_state(env.get_state() | {"pursuers": pursuers, "evaders": evaders})
    running = dict(enumerate(games))
    for place, game in running.items():
        compare(env, place, game, game.first_observations)
    for _ in range(steps):
        actions, moves = np.zeros((agents, len(games)), dtype=int), np.zeros((len(evaders), len(games)), dtype=int)
        answers = {}
        for place, game in running.items():
            actions[:, place] = chase(game, rng)
            answers[place], moves[:, place] = game.step(actions[:, place])
        left = (env.get_state()["evaders"][..., 0] >= 0).sum(axis=0)
        step = env.step(actions, None if options.get("freeze_evaders") else moves)
        left -= (env.get_state()["evaders"][..., 0] >= 0).sum(axis=0)
        for place, (seen, r, terminations, truncations, _) in answers.items():
            compare(env, place, games[place], seen)
            np.testing.assert_array_equal(step.r[:, place], list(r.values()), strict=True)
            assert step.terminated[:, place].tolist() == list(terminations.values())
            done = not games[place].env.agents
            assert step.done[place] == done == (any(terminations.values()) or any(truncations.values()))
            tally.steps, tally.catches = tally.steps + 1, tally.catches + int(left[place])
            tally.terminated += any(terminations.values())
            tally.truncated += any(truncations.values())
            if done:
                del running[place]
        if not running:
            break
        env.restart(step.done)
    return tally


def compare(env: pursuit.Pursuit, place: int, game: Original, seen: dict) -> None:
    for mine, theirs in zip(env.observe(range(env.agents)), seen.values(), strict=True):
        np.testing.assert_array_equal(mine[place], theirs, strict=True)
    np.testing.assert_array_equal(env.state()[place], game.env.state(), strict=True)


REPLAYS = {       # agents, games, most steps, options: 249 games
    "default": (8, 2, 60, {}),
    "paper": (8, 2, 200, {"surround": False, "shared_reward": False}),
    **{f"small-{n}-{'surround' if surround else 'pile'}-{'shared' if shared else 'own'}":
       (n, 8, 50, SMALL | {"surround": surround, "shared_reward": shared, "n_catch": min(n, 2)})
       for n, surround, shared in product((1, 2, 4, 5), (True, False), (True, False))},
    "eight-surround": (8, 6, 60, {"x_size": 9, "y_size": 8, "n_evaders": 4, "max_cycles": 60}),
    "nine": (9, 4, 40, {"x_size": 10, "y_size": 9, "n_evaders": 5, "max_cycles": 60, "surround": False}),
    "one-game": (11, 1, 60, {"x_size": 10, "y_size": 10, "n_evaders": 6, "max_cycles": 60, "surround": False}),
    "twenty-shared": (20, 2, 20, {"x_size": 16, "y_size": 20, "n_evaders": 12, "surround": False, "n_catch": 3}),
    "three-at-once": (5, 8, 60, SMALL | {"surround": False, "n_catch": 3, "obs_range": 5}),
    "one-is-enough": (2, 8, 60, SMALL | {"surround": False, "n_catch": 1, "obs_range": 3}),
    "frozen": (4, 8, 60, SMALL | {"freeze_evaders": True}),
    "frozen-pile": (3, 8, 60, SMALL | {"freeze_evaders": True, "surround": False, "shared_reward": False}),
    "window": (2, 6, 40, {"constraint_window": 0.5, "n_evaders": 3, "surround": False, "n_catch": 1, "obs_range": 5}),
    "short": (3, 8, 5, SMALL | {"max_cycles": 3, "surround": False, "n_catch": 1}),
    "one-step": (2, 4, 2, SMALL | {"max_cycles": 1}),
    "tiny": (1, 8, 40, {"x_size": 3, "y_size": 3, "n_evaders": 1, "max_cycles": 30, "obs_range": 3}),
    "row": (2, 8, 40, {"x_size": 7, "y_size": 1, "n_evaders": 2, "max_cycles": 30, "obs_range": 9}),
    "column": (2, 8, 40, {"x_size": 1, "y_size": 7, "n_evaders": 2, "max_cycles": 30, "surround": False, "n_catch": 1}),
    "column-surround": (4, 6, 40,
                        {"x_size": 1, "y_size": 13, "n_evaders": 1, "max_cycles": 40, "freeze_evaders": True}),
    "single-cell": (1, 2, 5, {"x_size": 1, "y_size": 1, "n_evaders": 1, "max_cycles": 30}),
    "blind": (2, 4, 30, SMALL | {"obs_range": 1}),
    "wide": (3, 6, 40, {"x_size": 13, "y_size": 4, "n_evaders": 4, "surround": False, "shared_reward": False}),
    "odd-rewards": (3, 8, 40, SMALL | {"tag_reward": -0.3, "catch_reward": 1 / 3, "urgency_reward": 0.1,
                                       "surround": False}),
    "tags-only": (7, 4, 60, {"x_size": 10, "y_size": 10, "n_evaders": 12, "tag_reward": 0.37, "catch_reward": 0.0,
                             "urgency_reward": 0.0, "surround": False, "n_catch": 7, "shared_reward": False}),
}
TALLIES: dict[str, Tally] = {}


@pytest.mark.parametrize("name", REPLAYS)
def test_equals_pettingzoo(name):
    agents, games, steps, options = REPLAYS[name]
    first = 1000 * list(REPLAYS).index(name)
    TALLIES[name] = replay(agents, range(first, first + games), steps, **options)


def test_replays_covered_what_can_happen():
    if set(TALLIES) != set(REPLAYS):
        pytest.skip("only some replays were run")
    total = {what: sum(getattr(tally, what) for tally in TALLIES.values()) for what in Tally().__dict__}
    assert total["games"] >= 200
    assert total["catches"] >= 400
    assert min(total["terminated"], total["truncated"]) >= 80
    surrounded = [tally for name, tally in TALLIES.items() if REPLAYS[name][3].get("surround", True)]
    assert sum(tally.catches for tally in surrounded) >= 100
    assert sum(tally.terminated for tally in surrounded) >= 20


@pytest.mark.parametrize("surround", [True, False])
def test_truncation_wins_where_the_last_evader_is_caught_in_the_last_step(surround):
    options = {"x_size": 3, "y_size": 3, "n_evaders": 1, "surround": surround, "n_catch": 1}
    free = replay(1, range(3, 4), 500, max_cycles=10**6, **options)
    assert (free.terminated, free.truncated) == (1, 0)
    tie = replay(1, range(3, 4), 500, max_cycles=free.steps, **options)
    assert (tie.steps, tie.catches, tie.terminated, tie.truncated) == (free.steps, 1, 0, 1)


PLACEMENTS = {"map": {"x_size": 4, "y_size": 4}, "window": {"x_size": 10, "y_size": 4, "constraint_window": 0.6}}



@pytest.mark.parametrize("name", PLACEMENTS)
def test_games_begin_as_in_pettingzoo(name):
    options = PLACEMENTS[name] | {"n_evaders": 2, "max_cycles": 1, "obs_range": 3}
    rounds, games = 60, 100
    env = make(2, games, **options)
    env.begin(11, 0)
    mine = []
    for _ in range(rounds):
        mine.append(np.concatenate([env.get_state()[who] for who in ("pursuers", "evaders")]).transpose(1, 0, 2))
        env.restart(np.ones(games, dtype=bool))
    original, theirs = Original.begin(2, 12, **options).base, []
    for _ in range(rounds * games):
        original.reset()
        theirs.append([agent.current_position().copy() for agent in (*original.pursuers, *original.evaders)])
    cells = np.stack([np.concatenate(mine), np.array(theirs)]) @ [1, options["x_size"]]
    assert cells.shape == (2, rounds * games, 4)
    pairs = [cells[..., first] * 100 + cells[..., first + 1] for first in range(3)]
    for what in (*np.moveaxis(cells, -1, 0), *pairs):
        table = np.array([np.bincount(side, minlength=10_000) for side in what])
        often = table.sum(axis=0) >= 20
        table = np.column_stack([table[:, often], table[:, ~often].sum(axis=1)])
        assert often.sum() > 10
        assert chi2_contingency(table[:, table.any(axis=0)]).pvalue > 1e-3


def test_options_are_pettingzoos_with_its_defaults():
    theirs = Original.begin(8, 0).base
    for name, value in pursuit.Settings().model_dump().items():
        assert getattr(theirs, name) == value, name
