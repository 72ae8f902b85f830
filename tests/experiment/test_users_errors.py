"""Whatever a user's code raises is told with the file and the line of that code; --traceback shows the whole."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from support.launching import environment

from netac import cli

pytest.importorskip("torch")
pytest.importorskip("pettingzoo")

ZOO = """
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Mine(ParallelEnv):
    def __init__(self):
        self.possible_agents, self.render_mode = ["a", "b"], None
        self.here("factory")

    def here(self, what):
        if what == WHAT and (what != "late" or self.t > 6):
            raise KeyError("oops")          # the line

    def observation_space(self, agent):
        self.here("observation_space")
        return spaces.Box(-1.0, 1.0, (2,))

    def action_space(self, agent):
        self.here("action_space")
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.here("reset")
        self.agents, self.t = self.possible_agents[:], 0
        return {a: np.zeros(2, np.float32) for a in self.agents}, {}

    def state(self):
        self.here("state" if self.t <= 3 or WHAT != "late_state" else "late_state")
        return np.zeros(3)

    def step(self, actions):
        self.t += 1
        self.here("step")
        self.here("late")
        no = dict.fromkeys(self.agents, False)
        return {a: np.zeros(2, np.float32) for a in self.agents}, dict.fromkeys(self.agents, 1.0), no, no, {}


def make():
    return Mine()
"""
TABULAR = """
import numpy as np
from netac.envs import JointTable


class Cart:
    states = actions = 2

    def __init__(self, agents):
        self.agents, self.initial, self.phi, self.psi = agents, np.ones(2) / 2, np.eye(2), JointTable(2, agents, 2)
        self.asked = 0

    def here(self, what):
        self.asked += 1
        if what == WHAT and self.asked > 40:
            raise KeyError("oops")          # the line

    def next_states(self, states, actions, uniforms):
        self.here("next_states")
        return states

    def rewards(self, states, actions, next_states, agents):
        self.here("rewards")
        return np.zeros((len(agents), len(states))), np.zeros(len(states))


def make(agents):
    return Cart(agents)
"""
NETWORK = """
import torch


class make(torch.nn.Module):
    def __init__(self, observation, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(observation[0], outputs)
        if WHAT == "init":
            raise KeyError("oops")          # the line

    def forward(self, x):
        if WHAT == "forward":
            raise KeyError("oops")          # the line
        return self.layer(x)
"""
TOPOLOGY = """
import networkx as nx

if WHAT == "load":
    raise KeyError("oops")          # the line


def graph(t, n):
    if WHAT == "graph" or (WHAT == "late graph" and t > 150):
        raise KeyError("oops")          # the line
    return nx.cycle_graph(n)


def period(n):
    if WHAT == "period":
        raise KeyError("oops")          # the line
"""
GAMES = {"agents": 2, "iterations": 30, "env": {"factory": "mine:make"}, "topology": "complete", "algorithm": "iac"}
LINEAR = {"agents": 3, "iterations": 100, "env": "coordination", "topology": "complete", "algorithm": "cac"}
CASES = {
    **{f"zoo {what}": (ZOO, what, GAMES, 2) for what in (
        "factory", "observation_space", "action_space", "reset", "step")},
    "zoo late": (ZOO, "late", GAMES, 1),
    "zoo late state": (ZOO, "late_state", GAMES | {"critic": {"sees": "state"}}, 1),
    "tabular next_states": (TABULAR, "next_states", LINEAR | {"env": {"factory": "mine:make"}}, 1),
    "tabular rewards": (TABULAR, "rewards", LINEAR | {"env": {"factory": "mine:make"}}, 1),
    "tabular stops": (TABULAR.replace('KeyError("oops")', 'StopIteration("oops")'), "rewards",
                      LINEAR | {"env": {"factory": "mine:make"}}, 1),
    "network init": (NETWORK, "init", LINEAR | {"policy": {"factory": "mine:make"}}, 2),
    "network forward": (NETWORK, "forward", LINEAR | {"policy": {"factory": "mine:make"}}, 2),
    "topology load": (TOPOLOGY, "load", LINEAR | {"topology": "mine.py"}, 2),
    "topology graph": (TOPOLOGY, "graph", LINEAR | {"topology": "mine.py"}, 2),
    "topology late graph": (TOPOLOGY, "late graph", LINEAR | {"topology": "mine.py", "iterations": 200}, 1),
    "topology period": (TOPOLOGY, "period", LINEAR | {"topology": "mine.py"}, 2),
}


@pytest.fixture
def failing(tmp_path):
    """`failing(name)`: writes the case; its experiment, exit status, and where the message must point."""
    def write(name: str) -> tuple[Path, int, str]:
        code, what, tables, status = CASES[name]
        text = f"WHAT = {what!r}\n{code}"
        (tmp_path / "mine.py").write_text(text)
        (tmp_path / "mine.toml").write_text(tomli_w.dumps(tables))
        lines = "|".join(str(k) for k, line in enumerate(text.splitlines(), 1) if line.endswith("# the line"))
        what = r"(KeyError: 'oops'|StopIteration: oops)"
        return tmp_path / "mine.toml", status, rf"{what} \({tmp_path}/mine.py, line ({lines})"

    return write


@pytest.fixture
def netac(monkeypatch, capfd):
    """`netac(*arguments)`: exit status of the command in this process, and what it told."""
    monkeypatch.setenv("NETAC_TRACEBACK", "")

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["netac", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capfd.readouterr().err

    return run


@pytest.mark.parametrize("name", CASES)
def test_the_line_of_the_users_code_is_named(name, failing, netac, tmp_path):
    file, status, place = failing(name)
    ended, all_told = netac("run", file, "--out", tmp_path / "out")
    told = all_told.partition("netac: error: ")[2]
    assert ended == status and told.count("\n") == 1 and "Traceback" not in all_told, all_told
    assert re.search(place, told) and told.endswith("; --traceback shows the whole\n"), told


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_exception_is_told_in_the_same_way(name, failing, netac, tmp_path):
    file, status, _ = failing(name)
    code = tmp_path / "mine.py"
    text = re.sub(r"(KeyError|StopIteration)\(", "Mine_(", code.read_text())
    code.write_text(f"class Mine_(BaseException):\n    pass\n\n\n{text}")
    ended, all_told = netac("run", file, "--out", tmp_path / "out")
    told = all_told.partition("netac: error: ")[2]
    assert ended == status and told.count("\n") == 1 and "Traceback" not in all_told, all_told
    assert "Mine_: oops (" in told


def test_a_comparison_counts_what_is_no_exception_as_a_failed_run(failing, netac, tmp_path):
    file, _, _ = failing("tabular rewards")
    code = tmp_path / "mine.py"
    code.write_text("import asyncio\n" + code.read_text().replace('KeyError("oops")', 'asyncio.CancelledError("oops")'))
    ended, told = netac("compare", file, "--algorithms", "cac", "--seeds", 2, "--out", tmp_path / "compared")
    assert ended == 1 and told.count("CancelledError: oops") == 2 and "Traceback" not in told, told


@pytest.mark.parametrize("where", [("--traceback", "run"), ("run", "--traceback")])
@pytest.mark.parametrize("name", ["zoo late", "topology graph"])
def test_the_whole_traceback_is_shown_where_it_is_asked_for(name, where, failing, netac, tmp_path):
    file, status, place = failing(name)
    ended, all_told = netac(*where, file, "--out", tmp_path / "out")
    before, _, told = all_told.partition("netac: error: ")
    assert ended == status and re.search(place, told) and "--traceback" not in told, all_told
    assert "Traceback (most recent call last)" in before and 'raise KeyError("oops")' in before


def test_what_is_not_the_users_code_has_no_hint(netac, tmp_path):
    ended, told = netac("run", tmp_path / "missing.toml")
    assert ended == 2 and "--traceback" not in told


def test_under_mpirun_and_in_comparisons_too(failing, netac, run_mpi, tmp_path):
    file, status, place = failing("zoo late")
    done = run_mpi("-n", 2, file, "--out", tmp_path / "out", "--traceback")
    assert done.returncode == status and re.search(place, done.stderr), done.stderr
    assert 'raise KeyError("oops")' in done.stderr
    ended, told = netac("compare", file, "--algorithms", "iac", "--seeds", 1, "--out", tmp_path / "compared")
    assert ended == 1 and re.search(place, told), told


LARGE = GAMES | {"agents": 300, "env": "spread", "envs": 100_000}
LONG = GAMES | {"agents": 3, "env": "spread", "envs": 1000, "algorithm": {"name": "mappo", "rollout": 10**6}}


GREEDY = """\
import numpy as np
import mpe2.simple_spread_v3

def make():
    env = mpe2.simple_spread_v3.parallel_env(N=3)
    step, steps = env.step, []
    def greedy(actions):
        steps.append(actions)
        return step(actions) if len(steps) < 500 else np.empty(2**50)
    env.step = greedy
    return env
"""
GROWS = GAMES | {"iterations": 1000, "agents": 3, "env": {"factory": "greedy:make"}}
TOO_LARGE, NOT_ENOUGH = "of memory, most of it for", "MemoryError: Unable to allocate"


@pytest.mark.parametrize(("tables", "status", "says"), [
    pytest.param(LARGE, 2, TOO_LARGE, marks=pytest.mark.long), (LONG, 2, TOO_LARGE), (GROWS, 1, NOT_ENOUGH)],
    ids=["games", "rollout", "user's"])
def test_memory_that_cannot_be_had_is_told_with_what_needs_less(tables, status, says, tmp_path):
    file = tmp_path / "large.toml"
    file.write_text(tomli_w.dumps(tables))
    (tmp_path / "greedy.py").write_text(GREEDY)
    done = subprocess.run([sys.executable, "-m", "netac", "run", file, "--out", tmp_path / "out"], env=environment(),
                          capture_output=True, text=True, timeout=100,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2))
    told = done.stderr.partition("netac: error: ")[2]
    assert done.returncode == status and told.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    assert says in told and ("valid: at most" if status == 2 else "greedy.py, line") in told


def test_memory_that_cannot_be_had_ends_all_processes(run_mpi, tmp_path):
    file = tmp_path / "large.toml"
    file.write_text(tomli_w.dumps(GROWS))
    (tmp_path / "greedy.py").write_text(GREEDY)
    done = run_mpi("-n", 2, file, "--out", tmp_path / "out")
    assert done.returncode == 1 and done.stderr.count(NOT_ENOUGH) == 1, done.stderr
