"""Games whose agents act one after the other, and environments of gymnasium whose agents act in lists."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from gymnasium import spaces

pytest.importorskip("torch")

from programs import zoo
from support.neural_variants import arena

import netac
from netac.envs._gymnasium_lists import InLists
from netac.envs._pettingzoo import ParallelGames
from netac.envs._pettingzoo_check import as_parallel
from netac.envs._pettingzoo_turns import InTurns
from netac.utils.errors import InputError

SOURCE = "mine:make"
TABLES = {"iterations": 4, "envs": 3, "seed": 1, "topology": "complete", "policy": {"name": "mlp", "hidden": [4]},
          "critic": {"name": "mlp", "hidden": [4]}}


# --- in turns ---

@pytest.mark.parametrize("told", ["observation", "info", ""])
def test_one_agent_moves_at_a_time_and_the_others_may_do_one_thing(told):
    games = ParallelGames(partial(zoo.Duel, told), 2, 2, SOURCE)
    games.begin(0, 0)
    assert games.observations == ((2,), (2,)) and isinstance(games._envs[0], InTurns)
    for turn in range(2):
        masks = games.action_masks(range(2))
        assert masks[turn].all() and masks[1 - turn].tolist() == [[True, False, False]] * 2
        assert games.active.all() and (games.observe(range(2))[turn][:, 1] == 1).all()
        before = games.observe(range(1))[0][:, 0]
        step = games.step(np.full((2, 2), turn))                 # the first takes 1, and then the second one 2
        assert not step.r.any() and not step.done.any() and not step.terminated.any()
        np.testing.assert_array_equal(games.observe(range(1))[0][:, 0], before - 1 - turn)


def test_a_move_pays_everybody_when_it_is_made():
    games = ParallelGames(zoo.Duel, 2, 1, SOURCE)
    games.begin(0, 0)
    number, turn = int(games.observe(range(1))[0][0, 0]), 0
    while True:
        masks = games.action_masks(range(2))
        assert masks[turn][0].sum() == min(number, 3) and masks[1 - turn][0].tolist() == [True, False, False]
        step = games.step(np.array([[0], [0]]))
        number, turn = number - 1, 1 - turn
        if step.done.all():
            break
        assert not step.r.any()
    assert number == 0 and step.terminated.all() and not games.active.any()
    np.testing.assert_array_equal(step.r[:, 0], [10.0, -10.0] if turn == 0 else [-10.0, 10.0])


def test_several_agents_in_turn_alone_and_three():
    for agents in (1, 3):
        games = ParallelGames(partial(zoo.Duel, agents=agents), agents, 1, SOURCE)
        games.begin(0, 0)
        for move in range(4):
            masks = games.action_masks(range(agents))
            assert [int(mask.sum()) > 1 for mask in masks] == [k == move % agents for k in range(agents)]
            games.step(np.zeros((agents, 1), dtype=int))


@pytest.mark.parametrize("space", [spaces.Discrete(3, start=-1), spaces.MultiDiscrete([2, 3], start=[4, 5])])
def test_other_actions_in_turn(space):
    games = ParallelGames(partial(zoo.Turns, False, spaces.Discrete(3)), 2, 1, SOURCE)
    assert games.actions[0].n_actions == 3
    first = InTurns(zoo.Turns(False, space))._first["left"]
    assert first.tolist() == ([1, 0, 0] if isinstance(space, spaces.Discrete) else [1, 0, 1, 0, 0])


@pytest.mark.parametrize("algorithm", ["iac", "ippo"])
def test_agents_learn_to_win_in_turn(algorithm, tmp_path):
    """Against an agent that learns, too; the second agent wins from 5 by leaving 1."""
    options = {"rollout": 30} if algorithm == "ippo" else {}
    env = {"factory": "zoo:Duel", "folder": arena()["folder"]}
    netac.run(TABLES | {"agents": 2, "env": env, "algorithm": {"name": algorithm, **options}}, out=tmp_path / "run")
    found = netac.evaluate(tmp_path / "run", episodes=4)
    assert (found.lengths >= 2).all() and (found.lengths <= 6).all() and found.ended.all()
    policies, game = netac.load(tmp_path / "run"), zoo.Duel()
    game.reset(seed=0)
    for agent in game.agent_iter():                     # PettingZoo's own loop
        observation, _, ended, cut, _ = game.last()
        game.step(None if ended or cut else policies({agent: observation})[agent])


# --- in lists ---

def test_lists_become_dictionaries():
    made = []
    games = ParallelGames(lambda: made.append(zoo.Lists()) or made[-1], 3, 2, SOURCE)
    games.begin(0, 0)
    assert games.names == ("agent_0", "agent_1", "agent_2") and isinstance(games._envs[0], InLists)
    shown = games.observe(range(3))
    assert [own[:, 0].tolist() for own in shown] == [[0, 0], [1, 1], [2, 2]]
    step = games.step(np.array([[0, 1], [1, 2], [2, 0]]))
    np.testing.assert_array_equal(step.r, [[0, 1], [11, 12], [22, 20]])
    assert made[0].given[-1] == [0, 1, 2] and made[1].given[-1] == [1, 2, 0] and not step.done.any()
    for _ in range(3):
        step = games.step(np.zeros((3, 2), dtype=int))
    assert step.done.all() and not step.terminated.any()                      # truncated
    games.close()
    assert all(env.closed for env in made)


def test_one_reward_is_everybodys_and_who_has_left_acts_as_it_did_last():
    made = []
    games = ParallelGames(lambda: made.append(zoo.Lists(shared=True, leaving=True)) or made[-1], 3, 1, SOURCE)
    games.begin(0, 0)
    step = games.step(np.array([[2], [1], [0]]))
    np.testing.assert_array_equal(step.r[:, 0], [11.0, 11.0, 11.0])
    step = games.step(np.array([[1], [1], [0]]))
    assert step.terminated[:, 0].tolist() == [True, False, False] and games.active[:, 0].tolist() == [False, True, True]
    step = games.step(np.array([[0], [2], [2]]))
    assert made[0].given[-1] == [1, 2, 2] and step.r[0, 0] == 0.0


def test_masks_in_lists():
    games = ParallelGames(partial(zoo.Lists, masks=True), 3, 1, SOURCE)
    games.begin(0, 0)
    assert [mask[0].tolist() for mask in games.action_masks(range(3))] == [[True, False, True], [True] * 3, [True] * 3]
    games.step(np.zeros((3, 1), dtype=int))
    assert [mask[0].tolist() for mask in games.action_masks(range(3))] == [[True] * 3, [True, False, True], [True] * 3]


@pytest.mark.parametrize(("fault", "message"), [
    ("rewards", "the reward of 'agent_0' is not a number: 'much'"),
    ("observations", "observations are no list with an entry for each of 3 agents, but 2 of them")])
def test_what_is_wrong_with_lists(fault, message):
    with pytest.raises(InputError, match=message):
        ParallelGames(partial(zoo.Lists, fault), 3, 1, SOURCE)


def test_the_same_environment_twice_is_noticed():
    same = zoo.Lists()
    with pytest.raises(InputError, match="gives the same environment when called again"):
        ParallelGames(lambda: same, 3, 2, SOURCE).begin(0, 0)
    assert as_parallel(same, SOURCE).unwrapped is same


def test_agents_in_lists_train_are_evaluated_and_loaded(tmp_path):
    env = {"factory": "zoo:Lists", "folder": arena()["folder"], "kwargs": {"masks": True}}
    netac.run(TABLES | {"agents": 3, "env": env, "algorithm": "cac"}, out=tmp_path / "run")
    assert netac.evaluate(tmp_path / "run", episodes=2).lengths.tolist() == [4, 4]
    policies, game = netac.load(tmp_path / "run"), zoo.Lists(masks=True)
    observations, info = game.reset(seed=0)
    for _ in range(4):
        masks = dict(zip(policies.names, info["action_mask"], strict=True))
        actions = policies(dict(zip(policies.names, observations, strict=True)), masks=masks)
        observations, *_, info = game.step([actions[name] for name in policies.names])


def test_an_image_among_other_things_is_told_of():
    image = spaces.Box(0, 1, (20, 20, 3), np.float32)
    both = spaces.Dict({"view": image, "speed": spaces.Box(0, 1, (1,))})
    made = partial(zoo.Sampler, {"a": (both, spaces.Discrete(2))})
    (warning,) = ParallelGames(made, 1, 1, SOURCE).warnings
    assert "'a': observation['view'], of shape (20, 20, 3), becomes a part of one vector of 1,201 numbers" in warning
    alone = ParallelGames(partial(zoo.Sampler, {"a": (image, spaces.Discrete(2))}), 1, 1, SOURCE)
    assert alone.warnings == () and alone.observations == ((20, 20, 3),)
