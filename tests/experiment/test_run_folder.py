"""Run folders: the lock that keeps two runs out of one, and what a folder tells without the code that made it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from programs import zoo
from support.killing import kill, leftovers, start
from support.launching import ROOT, environment
from support.variants import fingerprint

import netac
from netac import cli
from netac.comm import checkpoints
from netac.experiment.description import Description
from netac.experiment.run_folder import RunLock
from netac.utils.errors import InputError, RunError
from netac.utils.files import load_npz, read_text

LOCK_HOLDER = """
import sys, time
from netac.experiment.description import Description
from netac.experiment.run_folder import RunLock
with RunLock(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_lock_keeps_a_second_process_out_and_goes_with_its_holder(tmp_path):
    holder = start(LOCK_HOLDER, tmp_path)
    try:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(InputError) as caught, RunLock(tmp_path):
            pytest.fail("two processes hold the lock")
        assert "another netac run is writing into this folder" in str(caught.value)
        assert f"process {holder.pid} on " in str(caught.value)
        assert "NETAC_MPI=1" in str(caught.value)
    finally:
        kill(holder)
    (tmp_path / "checkpoints").mkdir()
    for left in (tmp_path / ".a.0.netac-tmp", tmp_path / "checkpoints" / ".b.0.netac-tmp"):
        left.write_text("left by a killed run")
    with RunLock(tmp_path):
        assert leftovers(tmp_path) + leftovers(tmp_path / "checkpoints") == []
        assert read_text(tmp_path / ".lock").startswith(f"process {os.getpid()} on ")
    with RunLock(tmp_path):
        pass


def test_the_lock_is_given_back_after_an_error_and_tells_why_it_cannot_be_taken(tmp_path):
    with pytest.raises(KeyError), RunLock(tmp_path):
        raise KeyError
    with RunLock(tmp_path), pytest.raises(InputError), RunLock(tmp_path):
        pytest.fail("the same process holds the lock twice")
    with pytest.raises(RunError, match="its folder does not exist"), RunLock(tmp_path / "nowhere"):
        pytest.fail("locked a folder that does not exist")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of(number, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(RuntimeWarning, match="knows no locks"), RunLock(tmp_path):
        assert read_text(tmp_path / ".lock").startswith(f"process {os.getpid()} on ")


FACTORY = """\
from pathlib import Path
Path(__file__).with_name("imported").touch()
{imports}


def {signature}:
    return {made}
"""
FACTORIES = {
    "linear": ("from netac.envs.coordination import CoordinationGame", "make(agents)", "CoordinationGame(agents)"),
    "pettingzoo": ("from programs.zoo import Sampler", "make()", "Sampler()"),
    "batched": ("from netac.envs.spread import Settings, make as spread", "make(agents, games)",
                "spread(Settings(max_cycles=6), agents, games)")}
AGENTS = {"linear": 3, "pettingzoo": 5, "batched": 3}
NETWORKS = {"envs": 2, "policy": {"name": "mlp", "hidden": [4]}, "normalise": {"observations": True}}
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
READ = """\
import json, sys, netac
result = netac.load_result(sys.argv[1])
print(json.dumps({name: rows.tolist() for name, rows in result.parameters.items()}))
heavy = "torch", "gymnasium", "netac.algorithms", "netac.envs"
print(json.dumps([name for name in sys.modules if name.startswith(heavy)]))
"""


def module_of(folder: Path) -> str:
    """What a test's own module is called."""
    return f"vanishing_{folder.name}"


def experiment(name: str, folder: Path, **more) -> dict:
    """An experiment with an environment that a module in `folder` makes, which leaves a file when it is imported."""
    imports, signature, made = FACTORIES[name]
    (folder / f"{module_of(folder)}.py").write_text(FACTORY.format(imports=imports, signature=signature, made=made))
    personal = {"policy": {"name": "mlp", "shared": []}}
    options = {} if name == "linear" else NETWORKS | (personal if name == "pettingzoo" else {})
    return {"agents": AGENTS[name], "iterations": 4, "log_every": 2, "evaluate_every": 4, "evaluate_episodes": 2,
            "topology": "complete", "algorithm": "iac", **options,
            "env": {"factory": f"{module_of(folder)}:make", "folder": str(folder)}, **more}


@pytest.mark.parametrize("name", FACTORIES)
def test_a_folder_is_read_and_drawn_without_its_environment(name, tmp_path):
    run = tmp_path / "run"
    made = netac.run(experiment(name, tmp_path), out=run)
    assert (tmp_path / "imported").exists()
    (tmp_path / "imported").unlink()
    for _ in range(2):                              # with the module still there, and without it
        done = subprocess.run([sys.executable, "-c", READ, run], env=environment(PYTHONPATH=PYTHONPATH),
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        parameters, loaded = map(json.loads, done.stdout.splitlines())
        assert parameters == {name: rows.tolist() for name, rows in made.parameters.items()} and loaded == []
        plot = ["plot", str(run), "--out", str(tmp_path / "curves.png")]
        drawn = CliRunner().invoke(cli.cli, plot, catch_exceptions=False)
        assert drawn.exit_code == 0 and (tmp_path / "curves.png").stat().st_size > 1000
        (tmp_path / f"{module_of(tmp_path)}.py").unlink(missing_ok=True)
    assert fingerprint(netac.load_result(run)) == fingerprint(made)
    assert not (tmp_path / "imported").exists()


TRAINERS = {"happo": {"rollout": 4, "team_reward": "mean"}, "maddpg": {"warmup": 4, "batch": 4}}


@pytest.mark.parametrize(("name", "algorithm"), [("pettingzoo", "iac"), ("batched", "cac"), ("batched", "happo"),
                                                 ("batched", "maddpg")])
def test_trained_networks_act_without_their_environment(name, algorithm, tmp_path, monkeypatch):
    personal = {} if algorithm in TRAINERS else {"shared": [], "initial": "independent"}
    policy = {"name": "mlp", "hidden": [4], **personal}
    named = {"name": algorithm, **TRAINERS.get(algorithm, {})}
    netac.run(experiment(name, tmp_path, algorithm=named, policy=policy,
                         normalise={"observations": algorithm != "maddpg"}), out=tmp_path / "run")
    module = sys.modules.pop(module_of(tmp_path)).__name__
    (tmp_path / "imported").unlink()
    seen = {f"agent_{k}": np.linspace(-1, 1, 18, dtype=np.float32) for k in range(3)}
    seen = zoo.Sampler().reset(seed=5)[0] if name == "pettingzoo" else seen

    def actions(which: str) -> str:
        policies = netac.load(tmp_path / "run", which=which, seed=3)
        return repr([policies(seen) for _ in range(20)])

    found = {which: actions(which) for which in checkpoints.CHOICES}
    assert module not in sys.modules and not (tmp_path / "imported").exists()
    monkeypatch.setattr(Description, "read", lambda checkpoint, file: None)     # the environment is made
    assert {which: actions(which) for which in checkpoints.CHOICES} == found and module in sys.modules


def rewrite(file: Path, change: Callable[[dict], None]) -> None:
    """Change the arrays of a checkpoint."""
    arrays = load_npz(file)
    change(arrays)
    arrays.pop(checkpoints.MANIFEST)
    np.savez(file, **(checkpoints.sealed(arrays) if arrays.get("format", 0) in (2, checkpoints.FORMAT) else arrays))


def as_before_versions(arrays: dict) -> None:
    """What a checkpoint of format 0 holds."""
    arrays["progress"] = np.array([arrays["progress"][0], arrays.pop("metrics")])
    if "diagnostics" in arrays:
        arrays["diagnoses"] = arrays.pop("diagnostics")
    del arrays["format"], arrays["agents"]


def without_time(result: netac.RunResult) -> str:
    return fingerprint(replace(result, summary=result.summary | {"evaluation_seconds": 0}))


@pytest.mark.parametrize("name", ["cac", "happo"])
def test_folders_of_before_versions_are_read_and_not_gone_on_with(name, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "KEPT", 100)
    tables = {"agents": 3, "iterations": 8, "log_every": 1, "checkpoint_every": 3, "evaluate_every": 2,
              "evaluate_episodes": 2, "env": {"name": "spread", "max_cycles": 6}, "topology": "complete",
              "policy": {"name": "mlp", "hidden": [4]}, "algorithm": {"name": name, **TRAINERS.get(name, {})}}
    whole = without_time(netac.run(tables, out=tmp_path))
    for file in checkpoints.existing(tmp_path / "checkpoints"):
        rewrite(file, as_before_versions)
    assert without_time(netac.load_result(tmp_path)) == whole
    assert netac.load(tmp_path).names == ("agent_0", "agent_1", "agent_2")
    (tmp_path / "summary.json").unlink()
    for file in checkpoints.existing(tmp_path / "checkpoints")[1:]:
        file.unlink()
    with pytest.raises(InputError, match=r"format: the checkpoint was written by an older netac"):
        netac.run(tables, out=tmp_path, resume=True)


def test_folders_of_before_versions_run_no_code_to_be_read(tmp_path):
    tables = experiment("linear", tmp_path)
    whole = without_time(netac.run(tables, out=tmp_path / "run"))
    for file in checkpoints.existing(tmp_path / "run" / "checkpoints"):
        rewrite(file, as_before_versions)
    (tmp_path / "imported").unlink()
    sys.modules.pop(module_of(tmp_path))
    with pytest.raises(InputError, match=r"env: an older netac wrote this run.*found 'vanishing_.*:make'.*resume=True"):
        netac.load_result(tmp_path / "run")
    assert not (tmp_path / "imported").exists()
    assert without_time(netac.run(tables, out=tmp_path / "run", resume=True)) == whole


@pytest.mark.parametrize("found", [np.int64(4), np.int64(-1), np.float64(1.0), np.array([1]), np.array("1")])
def test_a_format_that_is_not_known_is_refused(found, tmp_path):
    tables = {"agents": 2, "iterations": 4, "env": "coordination", "algorithm": "cac", "evaluate_every": 2}
    netac.run(tables, out=tmp_path)
    for file in (tmp_path / "checkpoints").iterdir():
        rewrite(file, lambda arrays: arrays.update(format=found))
    says = r"0{11}4\.npz: format: the checkpoint is of a format .*\(found .*; valid: a format up to 3: another --out"
    for read in (netac.load_result, netac.evaluate, lambda run: netac.run(tables, out=run, resume=True)):
        with pytest.raises(InputError, match=says) as caught:
            read(tmp_path)
        assert caught.value.exit_status == 2
    with pytest.raises(InputError, match=r"best\.npz: format"):
        netac.evaluate(tmp_path, which="best")


def test_a_damaged_description_is_told(tmp_path):
    netac.run({"agents": 2, "iterations": 4, "env": "coordination", "algorithm": "cac"}, out=tmp_path)
    for text in (b"", b"[]", b'{"columns": {}}', b'{"columns": {"theta": [0, "x"]}}', b"\xff"):
        for file in checkpoints.existing(tmp_path / "checkpoints"):
            rewrite(file, lambda arrays, text=text: arrays.update(agents=np.frombuffer(text, np.uint8)))
        with pytest.raises(InputError, match="agents: does not say what its numbers are"):
            netac.load_result(tmp_path)
