"""netac evaluate of agents with networks, and of what all kinds of agents have in common."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from programs import zoo

import netac
from netac import cli
from netac.experiment import evaluate
from netac.results import animation
from netac.results.animation import film
from netac.utils.errors import InputError

HERE = str(Path(__file__).parent)
BOARD = {"x_size": 8, "y_size": 7, "n_evaders": 4, "surround": False, "max_cycles": 9}
CNN = {"name": "cnn", "channels": [3], "shared": ["conv*"]}
TIMES = [[0, 4, "terminated"], [0, 6, "truncated"]]


def two_kinds() -> zoo.Sampler:
    """Three actions for one agent, two for the other."""
    return zoo.Sampler({name: zoo.MIXED[name] for name in ("box", "scalar")})


def plain_walk() -> zoo.Walk:
    """Action vectors, no pictures."""
    return zoo.Walk()


def users(factory: str, **kwargs) -> dict:
    return {"factory": factory, "folder": HERE, "kwargs": kwargs}


RUNS = {
    "pursuit": {"agents": 3, "env": {"name": "pursuit", **BOARD}, "policy": CNN,
                "normalise": {"observations": True, "rewards": True}},
    "zoo-pursuit": {"agents": 2, "env": users("pettingzoo.sisl:pursuit_v5.parallel_env", n_pursuers=2, **BOARD),
                    "policy": CNN},
    "spread": {"agents": 2, "env": {"name": "spread", "max_cycles": 6, "continuous_actions": True},
               "critic": {"name": "mlp", "sees": "state"}, "normalise": {"observations": True}},
    "timetable": {"agents": 2, "env": users("programs.zoo:Timetable", table=TIMES), "algorithm": "iac"},
    "networks": {"agents": 2, "env": "coordination", "policy": "mlp"},
    "tabular": {"agents": 2, "env": "coordination"},
    "mdp": {"agents": 2, "env": {"name": "finite-mdp", "seed": 1, "states": 3}},
}
GAMES = ("pursuit", "zoo-pursuit", "spread", "timetable")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A finished run of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    for name, tables in RUNS.items():
        envs = {} if name in ("tabular", "mdp") else {"envs": 2}
        netac.run({"iterations": 4, "algorithm": "cac", "topology": "complete", "seed": 3} | envs | tables,
                  out=folder / name)
    return folder


def command(*words: object) -> str:
    """What `netac evaluate` prints, both streams."""
    done = CliRunner().invoke(cli.cli, ["evaluate", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


EVERYONE = """\
import json, sys, netac
found = [netac.evaluate(folder, 3, 5).summary() for folder in sys.argv[1:]]
open(f"answers-{netac.comm.launch.communicator().rank}.json", "w").write(json.dumps(found))
"""


def test_equal_calls_give_equal_numbers_on_any_number_of_processes(runs, tmp_path, mpirun):
    answers = []
    for name in RUNS:
        command(runs / name, "--episodes", 3, "--steps", 5)
        answers.append(json.loads((runs / name / "evaluation.json").read_text()))
        assert netac.evaluate(runs / name, 3, 5).summary() == answers[-1]
        assert [answers[-1][key] for key in ("episodes", "steps", "greedy")] == [3, 5, False]
        assert np.isfinite(list(answers[-1].values())).all()
        assert ("episode_return" in answers[-1], "J" in answers[-1]) == (name in GAMES, name == "mdp")
    (tmp_path / "everyone.py").write_text(EVERYONE)
    done = mpirun(2, [sys.executable, "everyone.py", *(runs / name for name in RUNS)], cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert [json.loads((tmp_path / f"answers-{rank}.json").read_text()) for rank in range(2)] == [answers] * 2


def test_the_command_under_mpirun_tells_and_writes_once(runs, tmp_path, mpirun):
    words = ["evaluate", runs / "spread", "--episodes", "2", "--greedy", "--render", tmp_path / "out.gif"]
    alone = command(*words[1:])
    kept = [(tmp_path / "out.gif").read_bytes(), (runs / "spread" / "evaluation.json").read_text()]
    done = mpirun(2, [sys.executable, "-m", "netac", *words])
    told = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]      # what takes long is told
    assert (done.returncode, done.stdout, told) == (0, alone, [])
    assert [(tmp_path / "out.gif").read_bytes(), (runs / "spread" / "evaluation.json").read_text()] == kept


@pytest.mark.parametrize(("name", "length"), [("pursuit", 9), ("zoo-pursuit", 9), ("spread", 6), ("timetable", 6)])
def test_more_episodes_than_are_played_at_once(runs, name, length, monkeypatch):
    monkeypatch.setattr(evaluate, "AT_ONCE", 2)
    found = netac.evaluate(runs / name, episodes=5)
    assert found.rewards.shape == (5, length) and found.lengths.shape == (5,) and found.ended.all()
    assert found.lengths.max() <= length
    assert name == "timetable" or len({row.tobytes() for row in found.rewards}) == 5      # no episode is played twice


def test_thirty_three_episodes(runs):
    found = netac.evaluate(runs / "networks", episodes=33, steps=3)
    assert found.actions.shape == (33, 3, 2) and found.ended is None and found.summary()["episodes"] == 33


def test_rewards_are_those_of_the_agents_that_take_part(runs):
    """Agent 0 terminates at 4, agent 1 is truncated at 6; each gets 1 + its action while it takes part."""
    found = netac.evaluate(runs / "timetable", episodes=4)
    assert found.lengths.tolist() == [6] * 4 and found.ended.all()
    part = np.array([[t < 4, True] for t in range(6)])
    np.testing.assert_array_equal(found.rewards, ((1.0 + found.actions) * part).mean(axis=2))
    assert found.summary()["episode_return"] == pytest.approx(found.rewards.sum(axis=1).mean())
    cut = netac.evaluate(runs / "timetable", episodes=4, steps=5)
    np.testing.assert_array_equal(cut.rewards, found.rewards[:, :5])
    assert not cut.ended.any() and cut.summary()["ended"] == 0


def test_episodes_that_never_end_are_cut_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "LONGEST", 20)
    env = users("programs.zoo:Timetable", table=[[0, 10**6, "truncated"]] * 2)
    netac.run({"agents": 2, "iterations": 2, "env": env, "algorithm": "cac"}, out=tmp_path / "run")
    said = command(tmp_path / "run", "--episodes", 3)
    assert "3 episodes had not ended after 20 steps" in said and "--steps" in said
    assert "had not ended" not in command(tmp_path / "run", "--steps", 30)
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["steps"] == 30


def test_greedy_linear_agents_take_their_most_probable_action(tmp_path):
    result = netac.run({"agents": 3, "iterations": 60, "env": "coordination", "algorithm": "iac"}, out=tmp_path / "run")
    found = netac.evaluate(tmp_path / "run", episodes=2, steps=7, greedy=True)
    assert (found.actions == result.parameters["theta"].argmax(axis=1)).all()
    assert found.J is None and found.summary()["greedy"] and found.summary()["reward_stderr"] == 0
    assert len(np.unique(netac.evaluate(tmp_path / "run", episodes=2, steps=100).actions)) > 3


def test_greedy_in_many_states(tmp_path):
    result = netac.run({"agents": 2, "iterations": 50, "env": {"name": "finite-mdp", "seed": 1, "states": 3},
                        "algorithm": "cac"}, out=tmp_path / "run")
    found = netac.evaluate(tmp_path / "run", episodes=3, steps=200, greedy=True)
    best = {tuple(joint) for joint in result.parameters["theta"].reshape(2, 3, -1).argmax(axis=2).T}
    assert {tuple(joint) for joint in found.actions.reshape(-1, 2)} <= best


@pytest.mark.parametrize("name", ["pursuit", "spread", "tabular"])
def test_a_run_that_was_evaluated_still_resumes(runs, name):
    folder = runs / name
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()
              and path.name != "evaluation.json"}
    command(folder, "--episodes", 2, "--steps", 3)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()
            and path.name != "evaluation.json"} == before
    (folder / "summary.json").unlink()
    again = netac.run(folder / "experiment.toml", out=folder, resume=True)
    assert again.summary["parameters_sha256"] == json.loads(before[folder / "summary.json"])["parameters_sha256"]


def test_agents_with_different_numbers_of_actions(tmp_path):
    netac.run({"agents": 2, "iterations": 2, "env": users("test_evaluate:two_kinds"), "algorithm": "iac",
               "policy": {"name": "mlp", "shared": []}}, out=tmp_path / "run")
    found = netac.evaluate(tmp_path / "run", episodes=2)
    assert (found.n_actions == 3 and found.actions.shape == (2, 5, 2)
            and found.actions.max(axis=(0, 1)).tolist() == [2, 1])


# --- pictures ---

@pytest.mark.parametrize(("name", "size"),
                         [("pursuit", (160, 140)), ("zoo-pursuit", (240, 210)), ("spread", (480, 480)),
                          ("networks", (640, 480)), ("tabular", (640, 480))])
def test_pictures_of_every_environment(runs, tmp_path, name, size):
    said = command(runs / name, "--episodes", 2, "--steps", 5, "--render", tmp_path / "out.gif")
    assert f"written: {tmp_path / 'out.gif'}\n" in said
    with Image.open(tmp_path / "out.gif") as picture:
        assert picture.size == size and 2 <= picture.n_frames <= 5      # equal pictures in a row become one
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 3


def test_long_films_are_cut_and_that_is_said(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "FRAMES", 4)
    assert "(the first 4 of 9 steps)" in command(runs / "pursuit", "--render", tmp_path / "out.gif")
    monkeypatch.setattr(animation, "FRAMES", 6)
    assert "(the first 6 of 8 steps)" in command(runs / "tabular", "--steps", 8, "--render", tmp_path / "out.gif")


def test_of_an_environment_that_cannot_draw_the_actions_are_drawn(runs, tmp_path):
    said = command(runs / "timetable", "--render", tmp_path / "out.gif")
    assert said.count("netac: note: the environment has no pictures") == 1 and "who takes which action" in said
    with Image.open(tmp_path / "out.gif") as picture:
        assert picture.size == (640, 480)


@pytest.fixture
def vectors(tmp_path) -> Path:
    """A run of an environment with action vectors that cannot draw."""
    netac.run({"agents": 2, "iterations": 2, "envs": 2, "env": users("test_evaluate:plain_walk"), "algorithm": "cac",
               "topology": "complete"}, out=tmp_path / "vectors")
    return tmp_path / "vectors"


def test_action_vectors_of_an_environment_that_cannot_draw(vectors, tmp_path):
    with pytest.raises(InputError,
                       match=r'no pictures, and action vectors cannot be drawn .*takes render_mode = "rgb_array"'):
        command(vectors, "--render", tmp_path / "out.gif")
    assert not (tmp_path / "out.gif").exists()


def test_a_process_of_several_that_cannot_draw_ends_all(vectors, tmp_path, mpirun):
    done = mpirun(2, [sys.executable, "-m", "netac", "evaluate", vectors, "--render", tmp_path / "out.gif"], timeout=60)
    assert done.returncode == 2 and done.stderr.count("netac: error: ") == 1, done.stderr


@pytest.mark.parametrize(("name", "says"), [("out.png", r"should be a \.gif file"),
                                            ("no/out.gif", "its folder does not exist")])
def test_where_a_picture_cannot_go_is_said_before_playing(runs, tmp_path, monkeypatch, name, says):
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: pytest.fail("played"))
    with pytest.raises(InputError, match=f"--render: {says}"):
        command(runs / "pursuit", "--render", tmp_path / name)


def test_a_film_shows_its_frames_in_order(tmp_path):
    film([np.full((6, 8, 3), shade, np.uint8) for shade in (0, 90, 180, 255)], tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as picture:
        shades = []
        for k in range(picture.n_frames):
            picture.seek(k)
            shades.append(int(np.asarray(picture.convert("L"))[0, 0]))
    assert shades == [0, 90, 180, 255]


# --- progress ---

@pytest.mark.parametrize(("name", "last"), [("pursuit", (6, "step 9")), ("tabular", (6, ""))])
def test_progress_reaches_the_end(runs, monkeypatch, name, last):
    shown, made = [], []

    class Recorder(evaluate.Progress):
        def __init__(self, *arguments):
            made.append(arguments)
            super().__init__(*arguments)

        def show(self, done, note=""):
            shown.append((done, note))

    monkeypatch.setattr(evaluate, "Progress", Recorder)
    monkeypatch.setattr(evaluate, "AT_ONCE", 2)
    netac.evaluate(runs / name, episodes=6, progress=True)
    assert made == [(6, True, "episodes")] and sorted(shown, key=lambda each: each[0]) == shown and shown[-1] == last
