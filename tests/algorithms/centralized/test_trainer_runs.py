"""Runs of trainers: the same bits for any number of processes and after a stop, bytes counted by hand, bad input."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

pytest.importorskip("torch")
pytest.importorskip("pettingzoo")

from support.neural_variants import PROGRAMS, arena
from support.run_folders import all_checkpoints, stopped_copy
from support.trainer_variants import COUNTED, ITERATIONS, LASTING, NAMES, experiment, trainer_bytes
from support.variants import fingerprint

import netac
from netac import cli
from netac.algorithms.policy_gradient.values import team_reward
from netac.comm import checkpoints
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import checked_setting

PROGRAM = Path(PROGRAMS) / "every_trainer.py"
SAVED = [name for name in NAMES if not name.startswith("restarting")]
CHECKPOINTS = [2, ITERATIONS]
STOPPED_AT = 2
ON_3 = [name for name in SAVED if experiment(name)["agents"] >= 3][::2]
ON_2 = [name for name in NAMES if name not in ON_3 and experiment(name)["agents"] >= 2] + ON_3[::3]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Every variant's run folder with all its checkpoints, made in a single process, and what it came to."""
    folder = tmp_path_factory.mktemp("runs")
    return folder, all_checkpoints(NAMES, experiment, folder)


@pytest.fixture
def stopped(folders, tmp_path):
    """`stopped(name, iteration)`: a folder like that of a run killed before the first checkpoint after `iteration`."""
    return lambda name, iteration, folder=tmp_path: stopped_copy(folders[0] / name, folder / name, iteration)


def differing(done, expected: dict[str, str], names: list[str]) -> list[str]:
    """Of these variants those that came out otherwise."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(names)
    return [name for name, run in found.items() if run["fingerprint"] != expected[name]]


def test_every_trainer_gives_the_same_bits(mpirun, folders):
    """On 2 processes; on 3 below."""
    assert differing(mpirun(2, [sys.executable, PROGRAM, *ON_2]), folders[1], ON_2) == []


def test_every_trainer_goes_on_with_another_number_of_processes(mpirun, folders, stopped, tmp_path):
    for name in ON_3:
        stopped(name, STOPPED_AT, tmp_path)
    assert differing(mpirun(3, [sys.executable, PROGRAM, tmp_path]), folders[1], ON_3) == []
    for name in ON_3:
        one, several = (checkpoints.newest(each / name / "checkpoints") for each in (folders[0], tmp_path))
        for key, array in one.items():
            if key not in ("seconds", "wire", "metrics_sha256"):
                np.testing.assert_array_equal(array, several[key], err_msg=f"{name} {key}")


@pytest.mark.parametrize("name", SAVED)
def test_resumes_from_every_checkpoint_to_the_same_bits(name, folders, stopped, tmp_path):
    assert [int(path.stem) for path in checkpoints.existing(folders[0] / name / "checkpoints")] == CHECKPOINTS
    for iteration in CHECKPOINTS[:-1]:
        folder = stopped(name, iteration, tmp_path / str(iteration))
        assert fingerprint(netac.run(experiment(name), out=folder, resume=True)) == folders[1][name], iteration
        for path in (folders[0] / name).glob("*.csv"):
            assert path.name == "metrics.csv" or path.read_text() == (folder / path.name).read_text(), path.name


def test_variants_differ_and_move(folders):
    assert len(set(folders[1].values())) == len(NAMES)
    for name in NAMES:
        kept = [checkpoints.newest(folders[0] / name / "checkpoints")["parameters"], np.load(
            folders[0] / name / "checkpoints" / f"{CHECKPOINTS[0]:012d}.npz")["parameters"]]
        moved = np.abs(kept[0] - kept[1]).max(axis=1) > 1e-4
        if experiment(name)["algorithm"]["name"] == "mat":           # the model is the row of agent 0
            moved = np.append(moved[:1], ~kept[0][1:].any(axis=1))
        assert np.isfinite(kept[0]).all() and moved.all(), name


@pytest.mark.parametrize("name",
                         [name for name in NAMES if experiment(name)["algorithm"].get("parameters") == "shared"])
def test_shared_parameters_are_the_same_numbers_in_all_agents(name, folders):
    with np.load(folders[0] / name / "checkpoints" / f"{ITERATIONS:012d}.npz") as kept:
        rows = kept["parameters"]
        assert (rows == rows[0]).all()


@pytest.mark.parametrize("algorithm", ["mappo", "ippo", "coma"])
def test_shared_parameters_begin_equal_even_where_agents_draw_all_of_their_own(algorithm):
    parts = assemble(prepare(config.read(GAMES | {
        "policy": {"name": "mlp", "initial": "independent"},
        "algorithm": {"name": algorithm, "parameters": "shared", **SMALL}}).experiment()))
    x = parts.agents.parameters
    assert (x.flat == x.flat[0]).all() and parts.setting.experiment.tables()["policy"]["initial"] == "common"


@pytest.mark.parametrize("name", COUNTED)
def test_bytes_are_those_counted_by_hand(name, folders):
    width = 6 * (5 + 1) + 3 * (6 + 1)            # of theta: 5 numbers seen, 6 hidden, 3 actions
    metrics = json.loads(folders[1][name])[1]
    assert metrics["bytes_trainer"][-1] == trainer_bytes(name, width)
    assert metrics["bytes_environment"][-1] == metrics["bytes_consensus"][-1] == 0.0


GAMES = {"agents": 3, "iterations": 2, "envs": 2, "env": arena(**LASTING), "topology": "complete"}
SMALL = {"rollout": 6, "epochs": 1, "team_reward": "mean"}


def trainer(name: str, env: dict | None = None, **options) -> dict:
    """An experiment; options of None are left out."""
    kept = {key: value for key, value in (SMALL | options).items() if value is not None}
    return GAMES | {"algorithm": {"name": name, **kept}} | ({"env": env} if env else {})


BAD = {
    "unlike actions": (trainer("mappo", arena(actions="different"), parameters="shared"), "algorithm.parameters",
                       ["cannot share the layer output", '"separate"']),
    "unlike observations": (trainer("ippo", arena(extra=2), parameters="shared"), "algorithm.parameters",
                            ["cannot share the layer dense1.weight", '"separate"']),
    "joint ratios of unlike agents": (trainer("jrppo", arena(actions="different"), parameters="shared"),
                                      "algorithm.parameters", ["cannot share the layer"]),
    "returns without an end": (trainer("happo", gamma=1.0) | {"env": "coordination"}, "algorithm.gamma",
                               ["infinite", "found 1.0", "below 1"]),
    "no discount at all": (trainer("mappo", gamma=1.01), "algorithm.gamma", ["less than or equal to 1"]),
    "minibatches that do not divide": (trainer("happo", minibatches=5), "algorithm.minibatches",
                                       ["found 5", "12", "valid: "]),
    "critic of observations": (trainer("happo") | {"critic": {"name": "mlp", "sees": "own"}}, "critic.sees",
                               ["see the state", "found 'own'"]),
    "critic of the state": (trainer("ippo") | {"critic": {"name": "mlp", "sees": "state"}}, "critic.sees",
                            ["see what its policies see", "found 'state'"]),
    "rewards normalised": (trainer("mappo") | {"normalise": {"rewards": True}}, "normalise.rewards",
                           ["decentralized", "algorithm.value_normalisation"]),
    "misspelt option": (trainer("happo", clip_rnage=0.2), "algorithm.clip_rnage", ["did you mean 'clip_range'"]),
    "no such order": (trainer("happo", order="backwards"), "algorithm.order", ["'backwards'", "random"]),
    "no such team reward": (trainer("happo", team_reward="max"), "algorithm.team_reward", ["'max'", "mean"]),
    "negative lambda": (trainer("mappo", gae_lambda=-0.1), "algorithm.gae_lambda", ["-0.1"]),
    "no steps": (trainer("ippo", rollout=0), "algorithm.rollout", ["found 0"]),
    "actions in another order": (trainer("coma") | {"critic": {"name": "mlp", "joint": "own-first"}}, "critic.joint",
                                 ["order of the agents", "'own-first'", '"agents"']),
    "no such baseline": (trainer("coma", baseline="best"), "algorithm.baseline", ["'best'", "optimal"]),
    "nothing to average": (trainer("coma", baseline_pairs=1), "algorithm.baseline_pairs", ["found 1"]),
    "actions for COMA's agents": (trainer("coma") | {"critic": {"name": "mlp", "sees": "own"}}, "critic.sees",
                                  ["see the state", "found 'own'"]),
    "less than a batch": (trainer("maddpg", buffer=100), "algorithm.buffer", ["found 100", "at least", "batch = 256"]),
    "more than there is": (trainer("haddpg", buffer=10**9), "algorithm.buffer", ["GiB", "at most "]),
    "a memory": (trainer("maddpg") | {"policy": {"name": "gru"}}, "policy.name", ["memory", "found 'gru'"]),
    "values without interaction": (trainer("haddpg") | {"critic": {"name": "mlp", "hidden": []}}, "critic.hidden",
                                   ["f(s) + g(a)", "[64]"]),
    "own actions first": (trainer("maddpg") | {"critic": {"joint": "own-first"}}, "critic.joint", ['"agents"']),
    "Q of observations": (trainer("maddpg") | {"critic": {"sees": "own"}}, "critic.sees",
                          ["see the state"]),
    "rewards of a replay normalised": (trainer("maddpg") | {"normalise": {"rewards": True}}, "normalise.rewards",
                                       ["decentralized"]),
    "targets that stay": (trainer("maddpg", tau=0.0), "algorithm.tau", ["found 0"]),
    "misspelt option of a replay": (trainer("maddpg", bufer=500), "algorithm.bufer", ["did you mean 'buffer'"]),
    "values of vectors": (trainer("vdn", arena(actions="mixed"), epochs=None), "algorithm.name",
                          ["these are vectors", "found 'vdn'", "maddpg"]),
    "chunks of no rollout": (trainer("qmix", chunk=4, epochs=None), "algorithm.chunk", ["found 4", "divisor", "= 6"]),
    "less than a batch of sequences": (trainer("qdpp", buffer=90, chunk=3, epochs=None), "algorithm.buffer",
                                       ["found 90", "at least algorithm.batch x chunk = 96"]),
    "unlike utilities": (trainer("qplex", arena(extra=2), parameters="shared", epochs=None), "algorithm.parameters",
                         ["cannot share the layer", '"separate"']),
    "a mixture of observations": (trainer("qmix", epochs=None) | {"critic": {"sees": "own"}}, "critic.sees",
                                  ["see the state"]),
    "a mixture with memory": (trainer("qmix", epochs=None) | {"critic": {"name": "gru"}}, "critic.name",
                              ["a critic has no memory", "found 'gru'"]),
    "misspelt option of a mixture": (trainer("qmix", mixing_widht=3, epochs=None), "algorithm.mixing_widht",
                                     ["did you mean 'mixing_width'"]),
    "a limit without costs": (trainer("macpo", cost_limit=1.0), "env", [
        "the steps of this environment have no costs", 'infos[agent]["cost"]', 'algorithm.name = "happo"']),
    "a limit too few": (trainer("mappo-lagrangian", arena(priced=True), cost_limit=[1.0, 2.0]), "algorithm.cost_limit",
                        ["found [1.0, 2.0]", "a list of 3, one for each agent"]),
    "no limit": (trainer("macpo", arena(priced=True)), "algorithm.cost_limit", ["missing", "largest mean cost"]),
    "a limit that is none": (trainer("macpo", arena(priced=True), cost_limit=float("inf")), "algorithm.cost_limit",
                             ["inf"]),
    "prices for nothing": (trainer("mappo-lagrangian", arena(priced=True), cost_limit=1.0, multiplier=0.0),
                           "algorithm.multiplier", ["found 0"]),
    "costs that are no numbers": (trainer("macpo", arena(priced=True, fault="cost"), cost_limit=1.0), "env",
                                  ["`costs` answers with numbers that are not finite", "nan"]),
    "a model with memory": (trainer("mat") | {"policy": {"name": "gru"}}, "policy.name",
                            ["one model of all agents", "found 'gru'", '"transformer"']),
    "a model of one agent": (trainer("mat") | {"policy": {"name": "mlp", "hidden": [8]}}, "policy.name",
                             ["found 'mlp'", '"transformer", or without it']),
    "a model of one's own": (trainer("mat") | {"policy": {"factory": "user_networks:Counting"}}, "policy.factory",
                             ["one model of all agents", '"transformer"']),
    "a model of all agents elsewhere": (trainer("mappo") | {"policy": {"name": "transformer"}}, "policy.name",
                                        ["one network over all agents", 'algorithm.name = "mat"']),
    "a model of all agents as critic": (trainer("happo") | {"critic": {"name": "transformer"}}, "critic.name",
                                        ["one network over all agents", '"mlp"']),
    "heads that do not divide": (trainer("mat") | {"policy": {"width": 6, "heads": 4}}, "policy",
                                 ["a width of 6", "4 heads"]),
    "another network's option": (trainer("mat") | {"policy": {"hidden": [8]}}, "policy.hidden", ["width"]),
    "minibatches of a model": (trainer("mat", minibatches=5), "algorithm.minibatches", ["found 5", "divisor"]),
    "no step in the trust region": (trainer("hatrpo", delta=0.0), "algorithm.delta", ["found 0"]),
}


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """`refused(tables, parts)`: the run ends with status 2 and one message with all these parts, and writes nothing."""
    def run(tables: dict, parts: list[str]) -> None:
        file = tmp_path / "bad.toml"
        file.write_text(tomli_w.dumps(tables))
        monkeypatch.setattr(sys, "argv", ["netac", "run", str(file), "--out", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr().err.partition("netac: error: ")[2]
        assert ended.value.code == 2, told
        assert told.count("\n") == 1 and all(part in told for part in parts), told
        assert not (tmp_path / "out").exists()

    return run


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused_at_the_start(what, refused):
    tables, key, parts = BAD[what]
    refused(tables, [key, *parts])


@pytest.mark.parametrize("name", ["happo", "hatrpo", "haa2c", "mappo", "jrppo", "coma", "haddpg"])
def test_one_critic_learns_from_the_mean_of_rewards_that_differ_and_says_so(name, tmp_path, monkeypatch, capfd):
    file, out = tmp_path / "team.toml", tmp_path / "out"
    more = {"warmup": 8, "batch": 8, "epochs": None} if name == "haddpg" else {}
    file.write_text(tomli_w.dumps(trainer(name, team_reward=None, **more)))
    monkeypatch.setattr(sys, "argv", ["netac", "run", str(file), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    note = "netac: note: the agents' rewards differ: the trainer's critic learns from their mean (algorithm.team_reward"
    assert not ended.value.code and note in capfd.readouterr().err
    assert tomllib.loads((out / "experiment.toml").read_text())["algorithm"]["team_reward"] == "mean"
    mean, total = (fingerprint(netac.run(trainer(name, team_reward=how, **more))) for how in ("mean", "sum"))
    assert mean == fingerprint(netac.run(file)) != total


@pytest.mark.parametrize("tables", [
    trainer("happo", team_reward=None) | {"agents": 1}, trainer("ippo", team_reward=None),
    trainer("haddpg", team_reward=None) | {"agents": 1}, trainer("maddpg", team_reward=None)])
def test_alone_and_with_critics_of_their_own_agents_there_is_no_team(tables):
    setting = checked_setting(config.read(tables))
    assert setting.settings.team_reward is None and not setting.notes


def test_equal_rewards_are_the_teams_unrounded():
    r = np.full((3, 2, 4), 0.1)
    assert (team_reward(r, None) == 0.1).all() and not (team_reward(r, "mean") == 0.1).all()
    r[1, 0, 0] = 0.7
    assert team_reward(r, None)[0, 0, 0] == pytest.approx(0.3) and (team_reward(r, None)[0, 1] == 0.1).all()


@pytest.mark.parametrize("name", ["mappo", "jrppo", "happo", "hatrpo", "ippo", "mat"])
def test_rows_of_diagnostics_do_not_depend_on_how_many_there_are(name, tmp_path):
    """... although updates are only measured where a row says something of them."""
    lines = {}
    for every in (1, 3):
        out = tmp_path / str(every)
        netac.run(GAMES | {"iterations": 8, "log_every": every, "algorithm": {"name": name, **SMALL}}, out=out)
        lines[every] = (out / "diagnostics.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[3][1:]} == {"3", "6", "8"}
    assert lines[3] == [line for line in lines[1] if line.split(",")[0] in ("iteration", "3", "6", "8")]
