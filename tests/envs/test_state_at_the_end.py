"""The global state is asked for while it has a value, and an environment that cannot tell it at an end does no harm."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import tomli_w

pytest.importorskip("pettingzoo")
pytest.importorskip("torch")

from programs import zoo
from support.launching import ROOT

import netac
from netac.envs._pettingzoo import ParallelGames
from netac.utils.errors import RunError

ENDS = {"terminated": ("terminated", "terminated"), "truncated": ("truncated", "truncated"),
        "one of each": ("terminated", "truncated"), "both": ("both", "both"),
        "one before": ("terminated early", "terminated"), "truncated before": ("truncated early", "terminated")}


def table(end: str) -> list[tuple[int, int, str]]:
    """Two agents who end at the third step, or the first one at the second step."""
    return [(0, 2 if "early" in how else 3, how.partition(" ")[0]) for how in ENDS[end]]


def begun(end: str, kind: type = zoo.Closing) -> ParallelGames:
    """One game."""
    games = ParallelGames(partial(kind, table(end)), 2, 1, "mine:make")
    games.begin(0, 0)
    return games


@pytest.mark.parametrize("end", ENDS)
def test_the_state_is_asked_at_an_end_only_if_an_agent_was_truncated_and_then_once(end, capfd):
    games, told = begun(end), begun(end, zoo.Timetable)
    states = [games.state()]
    while not games.step(np.zeros((2, 1), dtype=int)).done.all():
        told.step(np.zeros((2, 1), dtype=int))
        states.append(games.state())
        assert states[-1].tolist() == told.state().tolist()
    told.step(np.zeros((2, 1), dtype=int))
    last = games.state()
    assert games.state().tolist() == last.tolist()
    ended_with_a_value = end in ("truncated", "one of each")
    assert zoo.Closing.asked == [0, 1, 2] + [3] * ended_with_a_value
    assert last.tolist() == (states[-1] if ended_with_a_value else np.zeros_like(last)).tolist()
    assert told.state().any() == ended_with_a_value        # neither is asked where s' has no value
    said = capfd.readouterr().err
    assert said.count("netac: note: mine:make: state() failed: RuntimeError: the game is over") == ended_with_a_value
    games.restart(np.array([True]))
    assert games.state()[0, 0, 0] == 0


def test_a_state_that_is_empty_at_an_end_is_none(capfd):
    games = begun("truncated", zoo.Emptying)
    while not games.step(np.zeros((2, 1), dtype=int)).done.all():
        before = games.state()
    assert games.state().tolist() == before.tolist()
    assert "netac: note: mine:make: state() has shape (0, 2) instead of (1, 2)" in capfd.readouterr().err


def test_the_note_is_told_once(capfd):
    games = begun("truncated")
    for _ in range(3):
        while not games.step(np.zeros((2, 1), dtype=int)).done.all():
            pass
        games.state()
        games.restart(np.array([True]))
    assert capfd.readouterr().err.count("netac: note: ") == 1


def test_a_state_that_fails_in_the_midst_of_a_game_ends_the_run():
    games = ParallelGames(partial(zoo.Broken, "state", after=5, changed=ValueError("lost")), 2, 1, "mine:make")
    games.begin(0, 0)
    with pytest.raises(RunError, match=r"state\(\) failed: ValueError: lost.*episode 0, step 5"):
        for _ in range(6):
            games.step(np.zeros((2, 1), dtype=int))
            games.state()


def test_a_game_of_one_step_has_a_state():
    assert ParallelGames(partial(zoo.Closing, [(0, 1, "terminated")]), 1, 1, "mine:make").state_shape == (1, 2)


SMALL = {"rollout": 8, "epochs": 1, "batch": 8, "warmup": 8, "buffer": 64, "updates": 1, "actor_step": 0.01}
TRAINERS = ("mappo", "happo", "coma", "maddpg", "haddpg")
NETWORKED = ("iac", "cac", "dac", "mdac")


def experiment(algorithm: str, kind: str, end: str, **tables) -> dict:
    """A few episodes of a small game."""
    options = {key: value for key, value in SMALL.items()
               if algorithm in TRAINERS and (key == "actor_step" or key in _options(algorithm))}
    return {"agents": 2, "iterations": 3 if algorithm in TRAINERS else 9, "envs": 2, "log_every": 1,
            "env": {"factory": f"programs.zoo:{kind}", "folder": str(ROOT / "tests"), "kwargs": {"table": table(end)}},
            "topology": "complete", "policy": {"name": "mlp", "hidden": [4]},
            "critic": {"sees": "state"}, "algorithm": {"name": algorithm, **options}} | tables


def _options(algorithm: str) -> set[str]:
    replay = {"batch", "warmup", "buffer", "updates"}
    return {"rollout"} | (replay if algorithm in ("maddpg", "haddpg") else {"epochs"})


@pytest.mark.parametrize("end", ["terminated", "one before", "truncated"])
@pytest.mark.parametrize("algorithm", [*TRAINERS, *NETWORKED])
def test_algorithms_pass_ends_of_episodes_and_learn_what_they_would_with_a_state_there(algorithm, end):
    found, other = (netac.run(experiment(algorithm, kind, end)).summary for kind in ("Closing", "Timetable"))
    assert found["env_steps"] > 6
    if end != "truncated":
        assert found["parameters_sha256"] == other["parameters_sha256"]


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_statistics_of_normalisation_are_of_states_that_were_told(end):
    tables = experiment("mappo", "Closing", end, normalise={"observations": True}, iterations=4)
    other = experiment("mappo", "Timetable", end, normalise={"observations": True}, iterations=4)
    same = netac.run(tables).summary["parameters_sha256"] == netac.run(other).summary["parameters_sha256"]
    assert same == (end == "terminated")


@pytest.mark.parametrize("algorithm", ["happo", "cac"])
def test_on_two_processes_and_resumed_as_on_one(algorithm, mpi_start, tmp_path):
    tables = experiment(algorithm, "Closing", "truncated", checkpoint_every=1)
    file = tmp_path / "closing.toml"
    file.write_text(tomli_w.dumps(tables))
    alone = netac.run(tables).summary["parameters_sha256"]
    process = mpi_start(2, [sys.executable, "-m", "netac", "run", file, "--out", tmp_path / "out"])
    said, told = process.communicate(timeout=120)
    assert process.returncode == 0 and f"parameters_sha256   {alone}" in said, told
