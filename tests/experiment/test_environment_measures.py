"""What environments measure of episodes: columns of a run's tables, the same for every p, resumed, evaluated."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from programs.arena import Measured
from programs.zoo import Walk
from support.neural_variants import arena

import netac
from netac.envs import check_batched
from netac.envs._pettingzoo import ParallelGames
from netac.experiment.measures import refuse_taken_names
from netac.results.records import load_run, load_summary
from netac.utils.errors import InputError, RunError

ARENA = {"agents": 3, "iterations": 8, "seed": 2, "env": arena("arena:measured", length=6, falls=0.1),
         "topology": "complete", "envs": 3, "policy": {"name": "mlp", "hidden": [4]}, "log_every": 2,
         "checkpoint_every": 2, "evaluate_every": 4, "evaluate_episodes": 5, "algorithm": {"name": "cac", "batch": 9}}
NAMES = ["duration", "distance"]
TIMED = {"seconds", "evaluation_seconds"}


class Timed(Walk):
    """Of PettingZoo's kind; tells how long a walk was."""

    measures = ("walked", "half")

    def measured(self):
        return {"walked": self._walked, "half": self._walked / 2}

    def reset(self, seed=None, options=None):
        self._walked = 0
        return super().reset(seed, options)

    def step(self, actions):
        self._walked += 1
        return super().step(actions)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return netac.run(ARENA, out=tmp_path_factory.mktemp("whole") / "run")


def test_columns_are_means_over_the_episodes_that_ended(whole):
    assert [*whole.metrics][-2:] == NAMES and [*whole.evaluations][-2:] == NAMES
    metrics, told = whole.metrics, whole.metrics["episodes"] > 0
    assert told.sum() > 2
    np.testing.assert_allclose(metrics["duration"][told], metrics["episode_length"][told])      # it is the same thing
    assert np.isnan(metrics["duration"][~told]).all() and (metrics["distance"][told] > 0).all()
    np.testing.assert_allclose(whole.evaluations["duration"], whole.evaluations["episode_length"])
    summary = load_summary(whole.folder)
    assert summary["duration"] == pytest.approx(summary["episode_length"])
    assert summary["last_evaluation"]["distance"] == whole.evaluations["distance"][-1]


def test_they_are_resumed(whole, tmp_path):
    netac.run(ARENA, set={"iterations": 6}, out=tmp_path)
    resumed = netac.run(ARENA, out=tmp_path, resume=True)
    for name in whole.metrics.keys() - TIMED:
        np.testing.assert_array_equal(resumed.metrics[name], whole.metrics[name], err_msg=name)


def test_two_processes_have_the_same(whole, tmp_path, mpirun):
    """Where every process plays; tests/envs/test_traffic.py has games that process 0 plays alone."""
    program = f"import sys, netac\nnetac.run({ARENA!r}, out=sys.argv[1])\n"
    done = mpirun(2, [sys.executable, "-c", program, tmp_path / "two"])
    assert done.returncode == 0, done.stderr
    two = load_run(tmp_path / "two")
    for table in ("metrics", "evaluations"):
        for column in getattr(whole, table).keys() - TIMED:
            np.testing.assert_array_equal(getattr(whole, table)[column], getattr(two, table)[column], column)
    assert two.summary["distance"] == whole.summary["distance"]


def test_evaluations_measure_episodes_that_came_to_their_end(whole):
    found = netac.evaluate(whole.folder, 40)
    np.testing.assert_array_equal(found.measured["duration"], found.lengths)
    summary = found.summary()
    assert summary["duration"] == found.lengths.mean()
    assert summary["duration_stderr"] == pytest.approx(found.lengths.std(ddof=1) / np.sqrt(40))
    cut = netac.evaluate(whole.folder, 40, steps=3)
    assert 0 < cut.ended.sum() < 40 and np.isnan(cut.measured["duration"][~cut.ended]).all()
    assert cut.summary()["duration"] == cut.lengths[cut.ended].mean()
    assert netac.evaluate(whole.folder, 2, steps=1).summary()["duration"] in (None, 1.0)


def test_other_games_have_no_columns(tmp_path):
    other = netac.run(ARENA, set={"env": arena(length=4)}, out=tmp_path)
    assert [*other.metrics][-1] == "episode_length" and "duration" not in other.summary


def test_pettingzoo_environments_are_measured_too():
    games = ParallelGames(Timed, 2, 2, "mine")
    assert games.measures == ("walked", "half")
    games.begin(0, 0)
    for _ in range(7):
        done = games.step(np.zeros((2, 2, 1))).done
    assert done.all() and {name: told.tolist() for name, told in games.measured().items()} == {
        "walked": [7, 7], "half": [3.5, 3.5]}
    Timed.measured = lambda self: {"walked": 1}
    with pytest.raises(RunError, match=r"measured failed: KeyError: 'half'"):
        games.measured()


@pytest.mark.parametrize("names", [("reward",), ("episode_return",), ("iterations",), ("two words",), (3,),
                                   ("wait", "wait"), ("seconds",)])
def test_names_that_cannot_be_columns(names):
    with pytest.raises(InputError, match=r"^env: the environment's `measures` are columns"):
        refuse_taken_names(SimpleNamespace(measures=names))
    refuse_taken_names(SimpleNamespace(measures=("wait", "queue")))


def test_games_that_measure_something_else_than_they_say():
    games = Measured(2, 3)
    assert check_batched(games, 2, 3, "mine").measures == ("duration", "distance")
    games.measures = ("duration", "wait")
    with pytest.raises(InputError, match=r"^env: mine: `measured` answers with something else"):
        check_batched(games, 2, 3, "mine")
