"""Whatever can be wrong with an environment of a user is told: at start how to mend it, later with agent and step."""

import re
from functools import partial

import gymnasium
import numpy as np
import pytest

pytest.importorskip("pettingzoo")

from gymnasium import spaces
from programs import zoo

from netac.envs._pettingzoo import ParallelGames
from netac.envs._pettingzoo_check import as_parallel, examine
from netac.envs._pettingzoo_spaces import reader
from netac.experiment.make_env import make_environment
from netac.experiment.schema import UserEnvironment
from netac.utils.errors import InputError, RunError

SOURCE = "mine:make"

FAULTS = {
    "no agents": ("possible_agents", [], r"possible_agents is \[\].*valid: the list of all agents"),
    "agents unknown": ("possible_agents", None, "possible_agents is None"),
    "agents twice": ("possible_agents", ["a", "a"], "names an agent twice"),
    "agents no keys": ("possible_agents", [[], {}], "cannot be a key"),
    "other number": ("possible_agents", ["a", "b", "c"], "^agents: .*another number of agents.*found 2; valid: 3"),
    "no space": ("observation_space", None, r"observation_space\('a'\) is None, which is not a space of gymnasium"),
    "no such space": ("observation_space", {"b": spaces.Discrete(2)}, r"observation_space\('a'\) failed: KeyError"),
    "text": ("observation_space", spaces.Text(4), "cannot be flattened.*valid: Box, Discrete"),
    "empty": ("observation_space", spaces.Box(0, 1, (0,)), "has no entries"),
    "no mask": ("observation_space",
                spaces.Dict({"observation": spaces.Box(0, 1, (4,)), "action_mask": spaces.MultiBinary(2)}),
                r"'a': observation\['observation'\] is missing"),
    "inner mask": ("observation_space", spaces.Tuple((spaces.Dict({"action_mask": spaces.MultiBinary(2)}),)),
                   'has an action mask inside of.*valid: {"observation": ..., "action_mask": ...}, the mask beside'),
    "action dicts": ("action_space", spaces.Dict({"move": spaces.Discrete(2)}),
                     "agents cannot act.*valid: Discrete, MultiDiscrete, MultiBinary or Box; a wrapper"),
    "old reset": ("reset", {"a": np.zeros(4)}, r"reset returned one dictionary \(valid: \(observations, infos\)"),
    "reset exits": ("reset", SystemExit(0), "reset failed: SystemExit: 0"),
    "reset fails": ("reset", RuntimeError("no display"), "reset failed: RuntimeError: no display"),
    "nothing": ("reset", None, "reset returned NoneType None"),
    "nobody": ("agents", [], "no agent takes part after reset.*possible_agents"),
    "somebody else": ("agents", ["a", "c"], "not all of it in `possible_agents`"),
    "unseen": ("observations", {"b": ...}, "there is no observation for 'b'"),
    "shape": ("observations", {"b": np.zeros(3)}, r"'b': observation has shape \(3,\) instead of \(4,\)"),
    "ragged": ("observations", {"b": [[1], [2, 3]]}, "'b': observation has shape"),
    "words": ("observations", {"b": np.array(list("abcd"))}, "'b': observation does not consist of real numbers"),
    "none": ("observations", {"a": None}, r"'a': observation has shape \(\)"),
    "nan": ("observations", {"b": np.array([0, np.nan, 0, 0])}, "'b': the observation holds nan in 1 of its 4 numbers"),
    "too large": ("observations", {"b": np.full(4, 1e300)}, "'b': the observation holds inf"),
    "old step": ("step", ({}, {}, {}, {}), "step returned a tuple of 4 .*before PettingZoo 1.22"),
    "list": ("step", ({}, [0.0, 0.0], {}, {}, {}), r"step returned a tuple of 5 \(dict, list"),
    "step exits": ("step", SystemExit(0), "step failed: SystemExit: 0"),
    "step fails": ("step", ValueError("oh"), "step failed: ValueError: oh"),
    "no reward": ("rewards", {"b": ...}, "no reward for 'b'"),
    "reward list": ("rewards", {"b": np.array([1.0, 2.0])}, r"the reward of 'b' is not a number: array\(\[1., 2.\]\)"),
    "reward word": ("rewards", {"b": np.array("1.0")}, "the reward of 'b' is not a number: array"),
    "reward none": ("rewards", {"b": None}, "the reward of 'b' is not a number: None"),
    "reward inf": ("rewards", {"b": -np.inf}, "the reward of 'b' is -inf"),
    "no flag": ("truncations", {"a": ...}, "truncations has no entry for 'a'"),
    "odd flag": ("terminations", {"a": 0.5}, "'a' are not True or False but 0.5"),
    "two flags": ("terminations", {"a": np.array([False, False])}, r"'a' are not True or False but array"),
    "number as a flag": ("truncations", {"a": np.array(0)}, r"'a' are not True or False but False, array\(0\)"),
    "ended but listed": ("terminations", {"a": True}, "'a' has ended but is still listed in `agents`"),
    "lost": ("listed", ["b"], "'a' has left `agents` though it was neither"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told_at_start(fault):
    what, changed, message = FAULTS[fault]
    with pytest.raises(InputError, match=message) as caught:
        ParallelGames(partial(zoo.Broken, what, changed=changed), 2, 1, SOURCE)
    assert str(caught.value).startswith(("env.factory: mine:make: ", "agents: mine:make has")) and caught.value.valid


LATE = {name: FAULTS[name] for name in (
    "unseen", "shape", "none", "nan", "too large", "old step", "step fails", "step exits", "no reward", "reward inf",
    "no flag", "ended but listed", "lost", "reward list")}


@pytest.mark.parametrize("fault", LATE)
def test_what_goes_wrong_later_names_agent_and_step(fault):
    what, changed, message = LATE[fault]
    games = ParallelGames(partial(zoo.Broken, what, after=6, changed=changed), 2, 2, SOURCE)
    games.begin(0, 0)
    games.restart(np.array([True, False]))
    for _ in range(5):
        games.step(np.zeros((2, 2), dtype=int))
    with pytest.raises(RunError, match=message.partition(" .*before")[0]) as caught:
        games.step(np.zeros((2, 2), dtype=int))
    told = str(caught.value)
    assert told.endswith("(game 0, episode 1, step 6)") and "mine:make: " in told
    assert caught.value.agent == (0 if "'a'" in told else 1 if "'b'" in told else None)


def check_parallel(env, agents, source):
    """What the check of an environment warns of."""
    return examine(as_parallel(env, source), agents, source).warnings


def test_a_well_behaved_environment_has_no_warnings():
    for make, agents in ((zoo.Broken, 2), (zoo.Turns, 2), (zoo.Walk, 2), (zoo.Sampler, 5)):
        assert check_parallel(make(), agents, SOURCE) == ()


def test_warnings():
    double = partial(zoo.Broken, "observations", changed={"b": np.zeros(4)})
    assert ("'b': observation is float64 where observation_space says float32"
            in ParallelGames(double, 2, 1, SOURCE).warnings[0])
    both = partial(zoo.Broken, "observations", changed={"a": np.zeros(4), "b": np.zeros(4)})
    assert len(ParallelGames(both, 2, 1, SOURCE).warnings) == 1
    assert check_parallel(zoo.Masking(), 2, SOURCE) == ()
    (warning,) = ParallelGames(zoo.Forgetful, 2, 1, SOURCE).warnings
    assert "equal seeds give different first observations" in warning and "reset(seed=...)" in warning


BOUNDS = {
    "rounding": (np.array([1.0000001, -1.0000001, 0, 0], np.float32), None),
    "rounding in double": (np.array([1.0 + 5e-7, 0, 0, 0]), "float64"),
    "beyond rounding": (np.array([0, 1, 1.00001, 0], np.float32), r"'b': observation\[2\] is 1.00001.*, outside -1.0"),
    "far": (np.array([-7, 1, 0, 0], np.float32), r"'b': observation\[0\] is -7.0, outside -1.0 to 1.0"),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_allow_rounding_and_beyond_it_there_is_a_warning_unless_the_check_is_strict(name):
    seen, message = BOUNDS[name]
    kwargs = {"fault": "observations", "changed": {"b": seen}}
    warnings = ParallelGames(partial(zoo.Broken, **kwargs), 2, 1, SOURCE).warnings
    assert len(warnings) == (message is not None) and all(re.search(message, warning) for warning in warnings)
    strict = UserEnvironment(factory="programs.zoo:Broken", kwargs=kwargs, check="strict")
    if message is None:
        assert make_environment(strict, 2, 1).warnings == ()
    else:
        with pytest.raises(InputError, match=rf"^env.check: programs.zoo:Broken: .*{message}.*valid: .*\"lenient\""):
            make_environment(strict, 2, 1)


@pytest.mark.parametrize(("space", "seen", "outside"), [
    (spaces.Box(0, 255, (2,), np.uint8), [256, 0], "256"), (spaces.Box(0, 255, (2,), np.uint8), [200, -1], "-1"),
    (spaces.Box(0, 255, (2,), np.uint8), np.array([200, 1], np.uint8), None), (spaces.MultiBinary(2), [0, 2], "2"),
    (spaces.Box(-128, 127, (2,), np.int8), np.array([127, -128], np.int8), None),
    (spaces.Box(-1e6, 1e6, (2,)), [1e6 + 0.5, 0], None), (spaces.Box(-1e6, 1e6, (2,)), [1e6 + 2, 0], "1000002"),
    (spaces.Box(-np.inf, np.inf, (2,)), [1e30, -1e30], None)])
def test_rounding_is_that_of_the_coarser_type_and_whole_numbers_have_none(space, seen, outside):
    found = reader(space, "space").leaves[0].outside(seen)
    assert found is None if outside is None else f"is {outside}" in found


def test_arrays_of_one_number_or_flag_are_as_good_as_the_number():
    for one in (np.array([2.5]), np.float32(2.5), np.array(2.5), np.array([[2.5]])):
        games = ParallelGames(partial(zoo.Broken, "rewards", changed={"a": one, "b": one}), 2, 1, SOURCE)
        games.begin(0, 0)
        assert games.step(np.zeros((2, 1), dtype=int)).r.tolist() == [[2.5], [2.5]]
    for flag in (np.array([True]), np.array(True), np.bool_(True)):
        games = ParallelGames(partial(zoo.Ends, flag), 2, 1, SOURCE)
        games.begin(0, 0)
        step = games.step(np.zeros((2, 1), dtype=int))
        assert step.done.all() and step.terminated.all()


def test_what_is_no_environment_for_several_agents():
    with pytest.raises(InputError,
                       match=r"Single is an environment of gymnasium, which has one agent \(valid: a ParallelEnv"):
        check_parallel(zoo.Single(), 1, SOURCE)
    for lists in (zoo.Lists("spaces"), zoo.Lists("one space")):
        with pytest.raises(InputError, match=r"Lists is .* which has one agent .* whose spaces are Tuples"):
            check_parallel(lists, 3, SOURCE)
    several = gymnasium.vector.SyncVectorEnv([zoo.Single])
    with pytest.raises(InputError, match=r"several games of one agent side by side.*`envs`"):
        check_parallel(several, 1, SOURCE)
    for old, name in ((type("Old", (), {"__module__": "gym.core"}), "gym, which gymnasium replaced"),
                      (type("Many", (), {"get_agent_ids": None}), "RLlib")):
        with pytest.raises(InputError, match=f"is an environment of {name}"):
            check_parallel(old(), 1, SOURCE)
    with pytest.raises(InputError, match=r"act one after the other.*actions are vectors.*is_parallelizable"):
        check_parallel(zoo.Turns(parallel=False, space=spaces.Box(0, 1, (1,))), 2, SOURCE)
    with pytest.raises(InputError, match="gives the class Broken"):
        check_parallel(zoo.Broken, 2, SOURCE)
    with pytest.raises(InputError, match="no PettingZoo environment: it has no possible_agents, observation_space"):
        check_parallel(None, 2, SOURCE)
    with pytest.raises(InputError, match=r"reset takes no seed: .*valid: def reset\(self, seed=None"):
        check_parallel(zoo.NoSeed(), 2, SOURCE)
    with pytest.raises(InputError, match=r"^env: spread: "):
        check_parallel(None, 2, "spread")


def test_copies_must_be_copies():
    same = zoo.Broken()
    with pytest.raises(InputError, match="gives the same environment when called again"):
        ParallelGames(lambda: same, 2, 2, SOURCE).begin(0, 0)
    ordered = zoo.Turns()
    with pytest.raises(InputError, match="gives the same environment when called again"):
        ParallelGames(lambda: ordered, 2, 2, SOURCE).begin(0, 0)
    kinds = iter(({"a": zoo.MIXED["box"]}, {"a": zoo.MIXED["whole"]}))
    with pytest.raises(InputError, match="differ in their agents or spaces"):
        ParallelGames(lambda: zoo.Sampler(next(kinds)), 1, 2, SOURCE).begin(0, 0)
