"""Reading a stranger's run folder runs none of its code; what this machine ran itself is known again."""

from __future__ import annotations

import os
import shutil
import tomllib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner

import netac
from netac import cli
from netac.comm import checkpoints
from netac.experiment import trust
from netac.results.plots import plot_runs
from netac.results.records import EXPERIMENT, load_run
from netac.utils.files import load_npz
from netac.utils.plugins import Factory

LINEAR = {"agents": 3, "iterations": 2, "env": "coordination", "topology": "ring", "algorithm": "cac"}
NEURAL = {"agents": 2, "iterations": 1, "env": {"name": "spread", "max_cycles": 5}, "topology": "complete",
          "algorithm": "iac", "policy": {"name": "mlp", "hidden": [4]}, "critic": {"name": "mlp", "hidden": [4]}}
EVIL = 'from pathlib import Path\nPath({!r}).touch()\ndef make(**_): Path({!r}).touch()\ngraph = Class = make\n'


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Finished runs of linear agents and of networks."""
    folder = tmp_path_factory.mktemp("runs")
    for name, tables in (("linear", LINEAR), ("neural", NEURAL)):
        netac.run(tables, out=folder / name)
    return {name: folder / name for name in ("linear", "neural")}


def hostile(name: str, folder: Path, mark: Path) -> dict:
    """What a stranger's experiment says in place of what it said, with files beside it; code that is run makes `mark`.
    """
    command = f"touch '{mark}'"
    for file in ("evil.py", "hidden.txt", "mpe2.py"):
        (folder / file).write_text(EVIL.format(str(mark), str(mark)))
    (folder / "elsewhere").mkdir()
    shutil.copy(folder / "evil.py", folder / "elsewhere" / "other_evil.py")
    (folder / "ring.graphml").symlink_to(folder / "evil.py")
    return {
        "call": {"env": {"factory": "os:system", "kwargs": {"command": command}}},
        "policy": {"policy": {"factory": "os:system", "kwargs": {"command": command}}},
        "beside": {"env": {"factory": "evil:make"}},
        "network beside": {"policy": {"factory": "evil:Class"}},
        "folder": {"env": {"factory": "other_evil:make", "folder": str(folder / "elsewhere")}},
        "shadow": {"env": {"factory": "mpe2:parallel_env", "folder": str(folder)}},
        "chain": {"env": {"factory": "mpe2.simple_spread_v3:np.os.system", "kwargs": {"command": command}}},
        "gymnasium's import": {"env": {"factory": "gymnasium_robotics:mamujoco_v1.parallel_env",
                                       "kwargs": {"scenario": "evil:Ant", "agent_conf": "2x4"}}},
        "topology": {"topology": {"path": str(folder / "evil.py")}},
        "link": {"topology": {"path": str(folder / "ring.graphml")}},
        "parts": {"topology": {"name": "alternating", "of": ["ring", str(folder / "evil.py")]}},
    }[name]


CASES = ["call", "policy", "beside", "network beside", "folder", "shadow", "chain", "gymnasium's import", "topology",
         "link", "parts"]


def strangers(run: Path, name: str, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of a run whose experiment a stranger has changed, and the file that its code would make."""
    folder, mark = tmp_path / "run", tmp_path / "mark"
    shutil.copytree(run, folder)
    tables = tomllib.loads((folder / EXPERIMENT).read_text()) | hostile(name, folder, mark)
    (folder / EXPERIMENT).write_text(tomli_w.dumps(tables))
    return folder, mark


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["linear", "neural"])
def test_none_of_a_strangers_code_is_run(runs, kind, name, tmp_path, monkeypatch):
    folder, mark = strangers(runs[kind], name, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(netac.InputError, match="--trust") as found:
        netac.evaluate(folder, episodes=1, steps=1)
    assert str(folder / EXPERIMENT) in str(found.value)
    try:
        netac.load(folder)                  # which needs neither the environment nor the topology of a run
    except netac.InputError as error:
        assert kind == "linear" or "--trust" in str(error)
    netac.load_result(folder)
    plot_runs([load_run(folder)], tmp_path / "curves.png")
    assert not mark.exists()
    if "import" not in name and kind == "linear":
        with suppress(netac.NetacError):    # the code is run, and is no environment
            netac.evaluate(folder, episodes=1, steps=1, trust=True)
        assert mark.exists() or name in ("policy", "network beside")


@pytest.mark.parametrize("name", CASES)
def test_nor_that_of_an_old_run(runs, name, tmp_path, monkeypatch):
    folder, mark = strangers(runs["neural"], name, tmp_path)
    monkeypatch.chdir(tmp_path)
    file = checkpoints.existing(folder / "checkpoints")[-1]
    arrays = {key: array for key, array in load_npz(file).items() if key not in ("agents", "format")}
    np.savez(file, **arrays)
    for read in (netac.load, netac.load_result):
        with pytest.raises(netac.InputError):
            read(folder)
    assert not mark.exists()


@pytest.fixture
def mine(tmp_path) -> Path:
    """A run of an environment of the user's own, which imports a file beside it."""
    (tmp_path / "own_sizes.py").write_text("STATES = 2\n")
    (tmp_path / "own_env.py").write_text(
        "import numpy as np\nfrom own_sizes import STATES\nfrom netac.envs import JointTable\n"
        "class Env:\n    states, actions = STATES, 2\n"
        "    def __init__(self, agents):\n        self.agents = agents\n        self.initial = np.eye(STATES)[0]\n"
        "        self.phi = np.eye(STATES)\n        self.psi = JointTable(STATES, agents, 2)\n"
        "    def next_states(self, states, actions, uniforms):\n        return (uniforms < 0.5).astype(int)\n"
        "    def rewards(self, states, actions, next_states, agents):\n"
        "        own = actions.astype(float)\n"
        "        return own[agents.start:agents.stop], own.mean(axis=0)\n")
    (tmp_path / "own.toml").write_text('agents = 2\niterations = 2\nenv = { factory = "own_env:Env" }\n'
                                       'topology = "complete"\nalgorithm = "cac"\n')
    netac.run(tmp_path / "own.toml", out=tmp_path / "run")
    return tmp_path / "run"


def refused(folder: Path) -> str:
    with pytest.raises(netac.InputError, match="--trust") as found:
        netac.evaluate(folder, episodes=1, steps=1)
    return str(found.value)


def test_what_this_machine_ran_is_known_wherever_the_folder_goes(mine, tmp_path):
    netac.evaluate(mine, episodes=1, steps=1)
    moved = shutil.move(mine, tmp_path / "moved")
    netac.evaluate(moved, episodes=1, steps=1)


def test_files_that_changed_since_are_refused_and_named(mine, tmp_path):
    (tmp_path / "own_sizes.py").write_text("STATES = 2     # edited\n")
    assert "own_sizes.py changed since" in refused(mine)
    netac.evaluate(mine, episodes=1, steps=1, trust=True)
    netac.run(tmp_path / "own.toml", out=mine, resume=True, set={"allow_changed_files": True})
    netac.evaluate(mine, episodes=1, steps=1)


def test_an_experiment_that_was_edited_is_a_strangers(mine):
    file = mine / EXPERIMENT
    file.write_text(file.read_text() + "\n")
    assert "no record" in refused(mine)


def test_another_machine_knows_nothing_of_it(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert "no record" in refused(mine)
    netac.evaluate(mine, episodes=1, steps=1, trust=True)
    forged = mine / trust.SEAL
    for text in ("", "[]", "{}", '{"files": {}, "seal": 3}', "[" * 100_000):
        forged.write_text(text)
        assert "no record" in refused(mine)


@pytest.mark.parametrize("state", ["/dev/null/state", "relative"])
def test_without_a_place_for_the_key_runs_go_on(mine, tmp_path, monkeypatch, state):
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/dev/null")
    netac.run(tmp_path / "own.toml", out=tmp_path / "second")
    assert not (tmp_path / "second" / trust.SEAL).exists()
    refused(tmp_path / "second")


def test_runs_that_name_no_code_need_no_seal(runs):
    assert not (runs["linear"] / trust.SEAL).exists()


@pytest.mark.parametrize(("factory", "kwargs", "known"), [
    ("pettingzoo.sisl.pursuit_v5:parallel_env", {"max_cycles": 5, "surround": False}, True),
    ("gymnasium_robotics:mamujoco_v1.parallel_env", {"scenario": "HalfCheetah", "agent_conf": "6x1"}, True),
    ("mpe2.simple_spread_v3:parallel_env", {"N": 3}, True),
    ("mpe2.simple_spread_v3:os.system", {}, False),
    ("mpe2.simple_spread_v3:parallel_env", {"render_mode": "../there"}, False),
    ("gymnasium_robotics:mamujoco_v1.parallel_env", {"scenario": "evil:Ant"}, False),
    ("json:parallel_env", {}, False), ("pettingzoos:parallel_env", {}, False),
])
def test_installed_environments(factory, kwargs, known):
    assert trust.is_known(Factory(factory=factory, kwargs=kwargs)) == known


def test_the_command_takes_trust(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    told = CliRunner().invoke(cli.cli, ["evaluate", str(mine), "--episodes", "1", "--steps", "1", "--trust"])
    assert told.exit_code == 0, told


@pytest.mark.parametrize("name", [".lock", "metrics.csv", "summary.json", "checkpoints/000000000002.npz"])
def test_links_in_a_run_folder_are_not_written_through(runs, tmp_path, name):
    folder, other = tmp_path / "run", tmp_path / "precious"
    shutil.copytree(runs["linear"], folder)
    other.write_text("precious")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(other)
    with pytest.raises(netac.InputError, match="is a link"):
        netac.run(LINEAR, out=folder, resume=True)
    assert other.read_text() == "precious"


def test_nor_by_an_evaluation(runs, tmp_path):
    folder, other = tmp_path / "run", tmp_path / "precious"
    shutil.copytree(runs["linear"], folder)
    other.write_text("precious")
    (folder / "evaluation.json").symlink_to(other)
    told = CliRunner().invoke(cli.cli, ["evaluate", str(folder)])
    assert isinstance(told.exception, netac.InputError) and other.read_text() == "precious"


def test_an_evaluation_that_cannot_be_written_is_printed(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["linear"], folder)
    os.mkdir(folder / "evaluation.json")
    told = CliRunner().invoke(cli.cli, ["evaluate", str(folder), "--episodes", "1"])
    assert "reward_stderr" in told.stdout
    assert isinstance(told.exception, netac.RunError) and "evaluation.json" in str(told.exception)
