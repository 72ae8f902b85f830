"""Action masks of PettingZoo environments: in observations or infos; what is wrong with them; played, loaded, saved."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv

pytest.importorskip("torch")

from programs import zoo
from support.neural_variants import ROOT, arena

import netac
from netac.envs._pettingzoo import ParallelGames
from netac.envs._pettingzoo_spaces import reader
from netac.experiment import policy_watch
from netac.utils.errors import InputError, RunError

SOURCE = "mine:make"
BOARD = spaces.Box(0, 1, (6, 7, 2), np.int8)
MASK = spaces.Box(0, 1, (7,), np.int8)
TABLES = {"agents": 3, "iterations": 6, "envs": 2, "seed": 4, "topology": "ring", "log_every": 2,
          "policy": {"name": "mlp", "hidden": [4]}, "critic": {"name": "mlp", "hidden": [4]}, "algorithm": "cac"}


class Narrowing(ParallelEnv):
    """Two agents who may do one thing less with every step; observations are how many actions are left.

    Args:
        told: "observation" or "info".
        to: the fewest actions that are left.
        length: steps of an episode.
    """

    possible_agents = ("a", "b")

    def __init__(self, told="observation", to=1, length=9):
        self._told, self._to, self._length = told, to, length
        self.taken = []

    def observation_space(self, agent):
        seen = spaces.Box(0, 5, (1,))
        return spaces.Dict({"observation": seen, "action_mask": spaces.MultiBinary(5)}) if (
            self._told == "observation") else seen

    def action_space(self, agent):
        return spaces.Discrete(5, start=3)

    def _answer(self):
        left = max(5 - self._t, self._to)
        mask = (np.arange(5) < left).astype(np.int8)
        seen = np.array([left], np.float32)
        if self._told == "observation":
            return {agent: {"observation": seen, "action_mask": mask} for agent in self.agents}, {}
        return dict.fromkeys(self.agents, seen), {agent: {"action_mask": mask} for agent in self.agents}

    def reset(self, seed=None, options=None):
        self._t, self.agents = 0, list(self.possible_agents)
        return self._answer()

    def step(self, actions):
        left = max(5 - self._t, self._to)
        assert all(3 <= action < 3 + left for action in actions.values()), (actions, left)
        self.taken.append(actions)
        self._t += 1
        names, ended = self.agents, self._t == self._length
        observations, infos = self._answer()
        if ended:
            self.agents = []
        return (observations, dict.fromkeys(names, 1.0), dict.fromkeys(names, False), dict.fromkeys(names, ended),
                infos)


def test_a_mask_is_no_part_of_what_is_seen_and_images_stay_images():
    read = reader(spaces.Dict({"observation": BOARD, "action_mask": MASK}), "it")
    assert read.masked and read.shape == (6, 7, 2)
    several = reader(spaces.Dict({"observation": BOARD, "turn": spaces.Discrete(2), "action_mask": MASK}), "it")
    assert several.masked and several.shape == (86,)
    assert not reader(spaces.Dict({"observation": BOARD}), "it").masked


@pytest.mark.parametrize("told", ["observation", "info"])
def test_masks_are_told_game_by_game(told):
    games = ParallelGames(partial(Narrowing, told), 2, 3, SOURCE)
    games.begin(0, 0)
    assert all(mask.all() for mask in games.action_masks(range(2)))
    games.step(np.zeros((2, 3), dtype=int))
    games.step(np.zeros((2, 3), dtype=int))
    games.restart(np.array([False, True, False]))
    for mask in games.action_masks(range(2)):
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask.sum(axis=1), [3, 5, 3])
    games.action_masks(range(2))[0][:] = False                              # the caller's to keep
    assert games.action_masks(range(1))[0].any()
    assert ParallelGames(zoo.Broken, 2, 1, SOURCE).action_masks is None


def test_both_ways_of_telling_masks_give_the_same_run():
    runs = {told: netac.run(TABLES | {"env": arena(ROOT, masks=True, told=told)}) for told in ("observation", "info")}
    free = netac.run(TABLES | {"env": arena(ROOT)})
    found = [run.summary["parameters_sha256"] for run in (*runs.values(), free)]
    assert found[0] == found[1] != found[2]


BAD = {
    "short": ((1,), "action mask of 'b' should be 2 zeros and ones, one for each action, not"),
    "numbers": ((2, 1), "action mask of 'b' should be 2 zeros and ones"),
    "words": (("yes", "no"), "action mask of 'b' should be 2 zeros and ones"),
    "ragged": ([[1], [1, 0]], "action mask of 'b' should be 2 zeros and ones"),
    "nothing": ((0, 0), "action mask of 'b' allows nothing.*valid: at least one action that every agent listed"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_masks_are_refused_at_the_start(bad):
    mask, message = BAD[bad]
    with pytest.raises(InputError, match=message) as caught:
        ParallelGames(partial(zoo.Masking, mask), 2, 1, SOURCE)
    assert str(caught.value).startswith("env.factory: mine:make: ")


def test_a_mask_of_vectors_is_refused():
    class Vectors(Narrowing):
        def action_space(self, agent):
            return spaces.Box(0, 1, (5,))

    with pytest.raises(InputError, match=r"action mask of 'a' is for finitely many actions, and these are vectors"):
        ParallelGames(partial(Vectors, "info"), 2, 1, SOURCE)


def test_a_mask_that_allows_nothing_later_names_agent_game_and_step():
    games = ParallelGames(partial(Narrowing, "info", 0), 2, 2, SOURCE)
    games.begin(0, 0)
    for _ in range(4):
        games.step(np.zeros((2, 2), dtype=int))
    with pytest.raises(RunError, match=r"action mask of 'a' allows nothing \(game 0, episode 0, step 5\)") as caught:
        games.step(np.zeros((2, 2), dtype=int))
    assert caught.value.agent == 0


def test_whoever_has_left_may_have_a_mask_of_zeros():
    games = ParallelGames(partial(Narrowing, "info", 0, 5), 2, 1, SOURCE)    # the fifth step is the last one
    games.begin(0, 0)
    for _ in range(5):
        done = games.step(np.zeros((2, 1), dtype=int)).done
    assert done.all() and not games.active.any() and all(mask.all() for mask in games.action_masks(range(2)))


def narrowing(told="observation", length=9):
    return Narrowing(told, length=length)


@pytest.mark.parametrize("told", ["observation", "info"])
def test_masked_agents_train_are_evaluated_and_act(told, tmp_path):
    env = {"factory": "test_pettingzoo_masks:narrowing", "folder": str(__file__.rpartition("/")[0]),
           "kwargs": {"told": told}}
    tables = TABLES | {"agents": 2, "env": env, "topology": "path", "evaluate_every": 3, "evaluate_episodes": 2}
    netac.run(tables, out=tmp_path / "run")                                 # the environment fails at what it forbids
    assert netac.evaluate(tmp_path / "run", episodes=3).lengths.tolist() == [9] * 3
    assert netac.evaluate(tmp_path / "run", episodes=2, greedy=True).lengths.tolist() == [9] * 2
    policies = netac.load(tmp_path / "run")
    game = Narrowing(told)
    observations, infos = game.reset()
    while game.agents:
        masks = {agent: info["action_mask"] for agent, info in infos.items()}
        observations, *_, infos = game.step(policies(observations, masks=masks))
    assert len({actions["a"] for actions in game.taken[:3]} | {actions["b"] for actions in game.taken[:3]}) > 1
    observations, _ = game.reset()
    only = [0, 0, 0, 1, 0]
    assert {policies(observations, masks={"a": only})["a"] for _ in range(9)} == {6}
    for mask, message in ((np.zeros(5), "action mask of 'a' allows nothing"), ([1], "should be 5 zeros and ones")):
        with pytest.raises(InputError, match=message):
            policies(observations, masks={"a": mask})
    with pytest.raises(InputError, match="masks should be a dictionary"):
        policies(observations, masks=[only])


def test_games_that_can_be_saved_keep_their_masks():
    zoo_like = partial(make_colosseum, masks=True, told="info")
    games, again = (ParallelGames(zoo_like, 3, 2, SOURCE) for _ in range(2))
    games.begin(1, 0)
    rng = np.random.default_rng(0)
    for _ in range(2):
        allowed = games.action_masks(range(3))
        games.step(np.array([[rng.choice(np.flatnonzero(row)) for row in mask] for mask in allowed]))
    again.begin(1, 0)
    again.set_state(games.get_state())
    for one, other in zip(games.action_masks(range(3)), again.action_masks(range(3)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert games.resumable and not all(mask.all() for mask in games.action_masks(range(3)))


def make_colosseum(**options):
    from programs.arena_zoo import Colosseum
    return Colosseum(3, **options)


def test_one_action_alone_is_no_collapse(capfd):
    """Entropies are those of the choices that there are."""
    env = {"factory": "test_pettingzoo_masks:narrowing", "folder": str(__file__.rpartition("/")[0])}
    netac.run(TABLES | {"agents": 2, "env": env, "topology": "path", "iterations": 9, "log_every": 1,
                        "algorithm": {"name": "cac", "actor_step": 1e-4}})
    assert "entropy" not in capfd.readouterr().err and policy_watch.LEAST_SPREAD > 0
