"""Networks and games that do not fit: one message at the start, or one that names agent and iteration while running."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

pytest.importorskip("torch")
pytest.importorskip("pettingzoo")

from support.launching import environment
from support.neural_variants import CNN, PROGRAMS, PURSUIT, STATE, arena, shared

from netac import cli
from netac.comm import checkpoints
from netac.experiment import build

TESTS = str(Path(__file__).parents[1])
GAMES = {"agents": 3, "iterations": 9, "env": arena(), "topology": "ring", "algorithm": "cac", "envs": 2}
LINEAR = {"agents": 3, "iterations": 9, "env": "coordination", "topology": "ring", "algorithm": "cac"}
HUNT = GAMES | {"env": PURSUIT}


def user(name: str, folder: str = TESTS, **kwargs) -> dict:
    """The table of a network of a user's own."""
    return {"factory": name, "folder": folder, "kwargs": kwargs}


BAD = {
    "tabular policy with states that cannot be counted":
        (HUNT | {"policy": "tabular"}, "policy.name", ["finitely many states", "found 'tabular'", '"mlp", "cnn"']),
    "misspelt network": (GAMES | {"policy": {"name": "mpl"}}, "policy.name", ["found 'mpl'", "did you mean 'mlp'"]),
    "misspelt critic": (GAMES | {"critic": "cmn"}, "critic.name", ["did you mean 'cnn'"]),
    "misspelt option of cnn":
        (HUNT | {"policy": {"name": "cnn", "chanels": [3]}}, "policy.chanels", ["did you mean 'channels'"]),
    "option of another network": (HUNT | {"critic": {"name": "mlp", "kernel": 3}}, "critic.kernel", ["valid: "]),
    "no width": (GAMES | {"policy": {"name": "mlp", "hidden": [0]}}, "policy.hidden", ["found 0", "valid: "]),
    "no activation": (GAMES | {"policy": {"name": "mlp", "activation": "tahn"}}, "policy.activation",
                      ["'tahn'", "tanh"]),
    "pattern that matches nothing": (GAMES | shared("conv*"), "policy.shared", ["'conv*'", "output.weight"]),
    "one pattern too many": (GAMES | shared("output*", "dense2*"), "policy.shared", ["'dense2*'", "dense1"]),
    "cnn on vectors": (GAMES | {"policy": CNN}, "policy", ["5", "mlp"]),
    "image too small": (HUNT | {"policy": {"name": "cnn", "channels": [3, 3, 3, 3]}}, "policy",
                        ["too small", "padding"]),
    "no state": (GAMES | {"env": arena("zoo:Walk")} | STATE, "critic.sees", ["no global state", '"own"']),
    "odd input": (GAMES | {"critic": {"name": "mlp", "sees": "map"}}, "critic.sees", ["'map'", "state"]),
    "critic of linear agents": (LINEAR | {"critic": {"name": "mlp"}}, "critic", ["networks", "policy.name"]),
    "reward model of linear agents": (LINEAR | {"reward_model": {"name": "mlp"}}, "reward_model", ["networks"]),
    "normalisation of linear agents": (LINEAR | {"normalise": {"rewards": True}}, "normalise", ["networks"]),
    "games of linear agents": (LINEAR | {"envs": 4}, "envs", ["networks", "found 4", "policy.name"]),
    "misspelt option beside a factory": (GAMES | {"policy": user("support.user_networks:Counting") | {"shard": ["*"]}},
                                         "policy.shard", ["unknown key", "did you mean 'shared'", "factory"]),
    "misspelt key beside a factory": (
        GAMES | {"critic": user("support.user_networks:Counting") | {"kwarg": {}}}, "critic.kwarg",
        ["did you mean 'kwargs'", "sees"]),
    "misspelt option beside a name":
        (GAMES | {"policy": {"name": "mlp", "shard": ["*"]}}, "policy.shard", ["did you mean 'shared'"]),
    "name and factory": (GAMES | {"policy": user("support.user_networks:Counting") | {"name": "mlp"}}, "policy.name",
                         ["not both", "found 'mlp'"]),
    "factory of a number": (GAMES | {"policy": {"factory": 5}}, "policy.factory", ["found 5", "package.module"]),
    "arguments of a number": (
        GAMES | {"policy": user("support.user_networks:Counting") | {"kwargs": 5}}, "policy.kwargs",
        ["found 5", "dictionary"]),
    "critic of a number": (GAMES | {"critic": {"name": 5}}, "critic.name", ["should be a name", "found 5", "mlp"]),
    "reward model of a number": (GAMES | {"reward_model": {"name": 5}}, "reward_model.name",
                                 ["should be a name", "found 5"]),
    "misspelt option of a reward model": (
        GAMES | {"reward_model": {"hiden": [8]}}, "reward_model.hiden", ["unknown key", "did you mean 'hidden'"]),
    "input of a reward model": (
        GAMES | {"reward_model": {"sees": "state"}}, "reward_model.sees",
        ["what the critic sees", "valid: critic.sees"]),
    "module that ends Python": (GAMES | {"policy": user("support.user_networks:Leaving")}, "policy.factory",
                                ["failed: SystemExit"]),
    "no module": (GAMES | {"policy": user("no.such:Net")}, "policy.factory", ["cannot be imported", "'no.such:Net'"]),
    "no class": (GAMES | {"policy": user("support.user_networks:Nett")}, "policy.factory",
                 ["cannot be imported", "Nett"]),
    "no path": (GAMES | {"policy": {"factory": "support.user_networks"}}, "policy.factory", ["package.module"]),
    "constructor that fails":
        (GAMES | {"policy": user("support.user_networks:Given", layers=3)}, "policy.kwargs", ["cannot be called"]),
    "forward that fails": (GAMES | {"policy": user("support.user_networks:Tied")}, "policy",
                           ["forward fails on a batch of 3"]),
    "no room for the joint action":
        (GAMES | {"reward_model": user("support.user_networks:Counting")}, "reward_model.factory",
         ["forward(observation, joint)"]),
    "shared output layers of different widths": (
        GAMES | {"env": arena(actions="different"), "policy": {"shared": ["output*"]}}, "policy.shared",
        ["agent 0 (gladiator_0) and agent 1 (gladiator_1) cannot share the layer output.weight", "(2, 64)", "(4, 64)"]),
    "critics of different inputs": (
        GAMES | {"env": arena(extra=2), "critic": {"sees": "own"}} | shared(), "critic.sees",
        ["agent 0", "agent 1", "dense1.weight", "cac mixes critics", 'valid: "state", or algorithm.name = "iac"']),
    "shared layers of different inputs": (
        GAMES | {"env": arena(extra=2)} | shared("*"), "policy.shared", ["dense1.weight", "['*']", "[] for none"]),
    "no common order": (GAMES | {"env": arena(actions="different")} | shared() | {"critic": {"joint": "own-first"}},
                        "critic.joint", ["own-first", '"agents"']),
    "wrong number of agents": (GAMES | {"env": arena("zoo:Turns")}, "agents", ["2", "3"]),
    "wrong number of agents in games": (GAMES | {"env": arena(agents=2)}, "env", ["number of agents", "found 2", "3"]),
    "wrong number of games": (GAMES | {"env": arena(games=5)}, "env", ["number of games", "found 5", "2"]),
    "factory that fails": (GAMES | {"env": arena(actions="none")}, "env", ["KeyError", "arena:make"]),
    "observations that are not numbers": (
        GAMES | {"env": arena(fault="observation", at=-1)}, "env", ["observe (agent 0)", "not finite", "nan"]),
    "rewards that are not numbers": (GAMES | {"env": arena(fault="reward", at=0)}, "env", ["step: r", "not finite"]),
    "games that fail at once": (GAMES | {"env": arena(fault="raise", at=0)}, "env.factory",
                                ["ValueError: the sand is wet"]),
    "entropy of a natural direction": (
        GAMES | {"algorithm": "dnac"} | shared(entropy=0.1), "policy.entropy", ["entropy", "found 0.1", "0"]),
    "no sum over vectors": (GAMES | {"env": arena(actions="box"),
                                     "algorithm": {"name": "dac", "critic": "action_value"}},
                            "algorithm.critic", ["vectors", '"state_value"']),
    "exact sampling":
        (GAMES | {"algorithm": {"name": "cac", "sampling": "iid"}}, "algorithm.sampling", ["found 'iid'", '"double"']),
    "exact sampling with networks": (
        LINEAR | {"policy": "mlp", "env": {"name": "finite-mdp", "seed": 1},
                  "algorithm": {"name": "cac", "sampling": "iid"}},
        "algorithm.sampling", ["found 'iid'"]),
    "negative entropy": (GAMES | shared(entropy=-1.0), "policy.entropy", ["-1"]),
    "no optimizer": (GAMES | {"algorithm": {"name": "cac", "optimizer": "sgd"}}, "algorithm.optimizer",
                     ["'sgd'", "adam"]),
    "decay of one": (GAMES | {"algorithm": {"name": "cac", "adam_beta1": 1.0}}, "algorithm.adam_beta1",
                     ["less than 1"]),
    "clip of zero": (GAMES | {"algorithm": {"name": "cac", "clip": 0.0}}, "algorithm.clip", ["greater than 0"]),
    "no games": (GAMES | {"envs": 0}, "envs", ["found 0", "1"]),
    "misspelt normalisation": (GAMES | {"normalise": {"reward": True}}, "normalise", ["did you mean 'rewards'"]),
}


@pytest.fixture
def netac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> Callable[[dict], tuple[int, str]]:
    """`netac(tables)`: exit status of `netac run`, and its one message."""
    def run(tables: dict) -> tuple[int, str]:
        file = tmp_path / "games.toml"
        file.write_text(tomli_w.dumps(tables))
        monkeypatch.setattr(sys, "argv", ["netac", "run", str(file), "--out", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said, told = capfd.readouterr()
        before, error, told = told.partition("netac: error: ")
        assert said == "" and error and told.count("\n") == 1 and "Traceback" not in before, before + told
        assert ended.value.code == 1 or not before
        return ended.value.code, told.rstrip("\n")

    return run


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_told_at_the_start(name, netac, tmp_path):
    tables, key, words = BAD[name]
    status, told = netac(tables)
    assert status == 2
    assert told.startswith(f"{tmp_path / 'games.toml'}: {key}"), told
    for word in words:
        assert word in told, (word, told)
    assert "valid: " in told or "failed: " in told
    assert not (tmp_path / "out").exists() and len(list(tmp_path.iterdir())) == 1


LONG = GAMES | {"agents": 4, "iterations": 20_000, "log_every": 5, "checkpoint_every": 5}
OBSERVED = "agent 2, iteration 13: the environment's observation in game 0 holds nan"
ZOO = {"length": 40, "falls": 2.0, "at": 13}
FAULTS = {
    "nan": (arena(fault="observation", agent=2, at=13), OBSERVED),
    "reward": (arena(fault="reward", agent=2, at=13), "agent 2, iteration 13: the environment's reward is nan"),
    "raise": (arena(fault="raise", at=13), "iteration 13: ValueError: the sand is wet ("),
    "exit": (arena(fault="exit", at=13), "iteration 13: SystemExit: 0 ("),
    "zoo-nan": (arena("arena_zoo:Colosseum", fault="observation", agent=2, **ZOO),
                "agent 2, iteration 13: arena_zoo:Colosseum: 'gladiator_2': the observation holds nan"),
    "zoo-raise": (arena("arena_zoo:Colosseum", fault="raise", **ZOO),
                  "iteration 13: arena_zoo:Colosseum: step failed: Value"),
}


def normalised(tables: dict) -> dict:
    return tables | {"normalise": {"observations": True, "rewards": True}}


@pytest.mark.parametrize("prepared", [dict, normalised])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_later_names_agent_and_iteration(fault, prepared, netac, tmp_path):
    env, says = FAULTS[fault]
    status, told = netac(prepared(LONG | {"env": env}))
    assert status == 1 and says in told, told
    newest = checkpoints.newest(tmp_path / "out" / "checkpoints")
    assert newest["progress"][0] == 10
    assert not (tmp_path / "out" / "summary.json").exists()


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["nan", "raise", "zoo-nan"])
def test_the_whole_launch_ends_within_seconds(fault, mpi_start, tmp_path):
    env, says = FAULTS[fault]
    file = tmp_path / "games.toml"
    file.write_text(tomli_w.dumps(LONG | {"env": env}))
    process = mpi_start(2, [sys.executable, "-m", "netac", "run", file, "--out", tmp_path / "out"],
                        env={"PYTHONPATH": PROGRAMS, "PYTHONUNBUFFERED": "1"})
    told = ""
    while (line := process.stderr.readline()) and not line.startswith("netac: error: "):
        told += line
    began = time.monotonic()
    told += line + process.communicate(timeout=60)[1]
    assert time.monotonic() - began < 5
    assert process.returncode == 1 and told.count("netac: error: ") == 1 and "Traceback" not in told, told
    assert says in told, told


def test_agents_with_too_many_parameters(netac, monkeypatch):
    monkeypatch.setattr(build, "LARGEST_AGENT", 9_999)
    status, told = netac(GAMES)
    assert status == 2 and "policy: each agent would hold 14," in told and "smaller networks" in told, told


def test_parameters_that_blow_up_are_told(netac):
    status, told = netac(LONG | {"algorithm": {"name": "cac", "optimizer": "plain", "critic_step": 1e6}})
    assert status == 1 and told.startswith("agent ") and ", iteration " in told and "smaller step sizes" in told


def test_in_a_process_of_its_own_without_torch_the_extra_is_named(tmp_path):
    file = tmp_path / "games.toml"
    file.write_text(tomli_w.dumps(GAMES))
    program = "import sys; sys.modules['torch'] = None; from netac.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "run", str(file)], env=environment(), cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("netac: error: ") and "torch" in done.stderr and "pip install" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["games.toml"]
