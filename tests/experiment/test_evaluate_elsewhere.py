"""netac evaluate --set: agents played where an option of their environment is otherwise than in training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import netac
from netac import cli
from netac.experiment.description import Interface
from netac.utils.errors import InputError

PLATOON = {"agents": 3, "iterations": 1, "envs": 2, "env": {"name": "platoon", "scenario": "slowdown"},
           "topology": "environment", "policy": {"name": "mlp", "hidden": [4]}, "algorithm": "iac"}
GAME = {"agents": 2, "iterations": 3, "env": "coordination", "algorithm": "cac"}
TAG = {"agents": 2, "iterations": 1, "env": {"name": "tag", "num_obstacles": 1}, "topology": "complete",
       "policy": {"name": "mlp", "hidden": [4]}, "algorithm": "iac"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, tables in {"platoon": PLATOON, "game": GAME, "tag": TAG}.items():
        netac.run(tables, out=folder / name)
    return folder


def test_another_scoring_changes_rewards_and_nothing_else(runs):
    there, here = (netac.evaluate(runs / "platoon", 3, greedy=True, set=changed)
                   for changed in ({"env.training": False}, None))
    np.testing.assert_array_equal(there.actions, here.actions)
    assert (there.rewards >= here.rewards).all() and (there.rewards > here.rewards).any()


def test_linear_agents_and_the_exact_objective(runs):
    """The objective is that of the environment they are played in."""
    here, there = (netac.evaluate(runs / "game", 2, set=changed) for changed in ({}, {"env.noise": False}))
    np.testing.assert_array_equal(here.rewards, there.rewards)              # evaluated without noise anyway
    assert here.J == there.J


def test_other_games(runs):
    """The seed of a run's experiment is that of its evaluations, too."""
    first, again, other = (netac.evaluate(runs / "platoon", 2, set=changed).rewards
                           for changed in ({}, {"seed": 0}, {"seed": 3}))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_command_says_what_was_changed(runs):
    done = CliRunner().invoke(cli.cli, ["evaluate", str(runs / "platoon"), "--episodes", "2", "--set",
                                        "env.training=false", "--set", "env.scenario=catchup"],
                              catch_exceptions=False)
    assert "env.training = False, env.scenario = catchup" in done.output
    written = json.loads((runs / "platoon" / "evaluation.json").read_text())
    assert written["set"] == {"env.training": False, "env.scenario": "catchup"}


def test_a_folder_of_an_older_netac_is_played(tmp_path, monkeypatch):
    """Which does not say what its agents see besides their own."""
    whole = Interface.as_table
    monkeypatch.setattr(Interface, "as_table", lambda self: {
        key: value for key, value in (whole(self) or {}).items() if key != "sight"})
    netac.run(PLATOON, out=tmp_path / "run")
    monkeypatch.undo()
    for changed in ({}, {"env.training": False}):
        assert len(netac.evaluate(tmp_path / "run", 2, set=changed).lengths) == 2


@pytest.mark.parametrize(("run", "changed", "key", "says"), [
    ("platoon", {"iterations": 3}, "iterations", "a part of what was trained"),
    ("platoon", {"env.name": "spread"}, "env.name", "a part of what was trained"),
    ("platoon", {"env.factory": "os:getcwd"}, "env.factory", "a part of what was trained"),
    ("platoon", {"env.trainning": False}, "env.trainning", "did you mean 'training'"),
    ("tag", {"env.num_obstacles": 2}, "env", "see and do the same as in training"),
    ("game", {"env.features": "histogram"}, "env", "see and do the same as in training")])
def test_what_cannot_be_changed_is_refused(runs, run, changed, key, says):
    with pytest.raises(InputError) as told:
        netac.evaluate(runs / run, 2, set=changed)
    assert told.value.key == key and says in str(told.value), str(told.value)
