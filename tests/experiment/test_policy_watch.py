"""Notes of policies that run away: whose entropy collapses, or that change too much in one iteration."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import tomli_w

pytest.importorskip("torch")

from support.neural_variants import arena

import netac
from netac.experiment import policy_watch
from netac.utils.spaces import ActionSpace

TABLES = {"agents": 3, "iterations": 12, "seed": 3, "envs": 3, "env": arena(falls=2.0), "topology": "ring",
          "log_every": 2, "policy": {"name": "mlp", "hidden": [6]}, "critic": {"name": "mlp", "hidden": [5]}}
CHANGED = re.compile(r"note: iteration (\d+), agent (\d+): its policy changed by a KL divergence of ([\d.e+-]+)")
COLLAPSED = re.compile(r"note: iteration (\d+), agent (\d+): the entropy of its policy fell to ([\d.e+-]+)")


@pytest.mark.parametrize("name", ["cac", "dac", "iac", "mdac", "dnac"])
def test_agents_that_run_away_are_named_once(name, capfd):
    netac.run(TABLES | {"algorithm": {"name": name, "optimizer": "plain", "actor_step": 30.0}})
    told = capfd.readouterr().err
    changed, collapsed = CHANGED.findall(told), COLLAPSED.findall(told)
    assert changed and collapsed
    for found in (changed, collapsed):
        assert len({agent for _, agent, _ in found}) == len(found)
    assert all(int(iteration) % 2 == 0 and float(kl) > policy_watch.LARGEST_KL for iteration, _, kl in changed)
    assert all(float(entropy) < 0.01 * np.log(3) for _, _, entropy in collapsed)


@pytest.mark.parametrize("name", ["cac", "mappo", "cppo"])
def test_others_are_not(name, capfd):
    options = {"rollout": 6} if name != "cac" else {}
    netac.run(TABLES | {"algorithm": {"name": name, "actor_step": 1e-3} | options})
    told = capfd.readouterr().err
    assert "KL" not in told and "entropy" not in told


def test_vectors_collapse_too(capfd):
    netac.run(TABLES | {"env": arena(actions="box"), "policy": TABLES["policy"] | {"log_std": -6.0},
                        "algorithm": {"name": "cac"}})
    assert len(COLLAPSED.findall(capfd.readouterr().err)) == 3
    assert policy_watch.least_entropy(ActionSpace(low=(0.0,), high=(1.0,))) == pytest.approx(
        0.5 * np.log(2 * np.pi * np.e * 0.01**2))


def test_looking_changes_nothing(monkeypatch):
    runs = []
    for _ in range(2):
        runs.append(netac.run(TABLES | {"algorithm": {"name": "cac"}}).summary["parameters_sha256"])
        monkeypatch.setattr(policy_watch.PolicyWatch, "before", lambda self: None)
        monkeypatch.setattr(policy_watch.PolicyWatch, "after", lambda self, iteration: None)
    assert runs[0] == runs[1]


def test_every_process_looks_and_one_tells(mpirun, tmp_path):
    (tmp_path / "run.toml").write_text(tomli_w.dumps(
        TABLES | {"algorithm": {"name": "cac", "optimizer": "plain", "actor_step": 30.0}}))
    done: subprocess.CompletedProcess[str] = mpirun(3, [sys.executable, "-m", "netac", "run", tmp_path / "run.toml"])
    assert done.returncode == 0, done.stderr
    assert CHANGED.findall(done.stderr) and len(set(CHANGED.findall(done.stderr))) == len(CHANGED.findall(done.stderr))
