"""Launches whose hosts compute with different numeric kernels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.neural_variants import experiment
from support.trainer_variants import experiment as trainer_experiment

import netac
from netac.experiment import config

PROGRAM = Path(__file__).parents[1] / "programs" / "mixed_hosts.py"


@pytest.fixture
def launch(mpirun, tmp_path, two_agents):
    """`launch(tables or file, library="numpy")` runs an experiment on two processes, one of which has other kernels."""
    def run(tables=two_agents, *more: str, rank: int = 1, library: str = "numpy", out: str = "out"):
        path = tables if isinstance(tables, Path) else write(tmp_path / "experiment.toml", tables)
        return mpirun(2, [sys.executable, PROGRAM, "run", path, "--out", tmp_path / out, *more],
                      env={"NETAC_TEST_OTHER_RANK": str(rank), "NETAC_TEST_OTHER_LIBRARY": library})

    return run


def write(path: Path, tables: dict) -> Path:
    import tomli_w
    path.write_text(tomli_w.dumps(config.read(tables).experiment().tables()))
    return path


def notes(done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("netac:")]


@pytest.mark.parametrize("rank", [0, 1])
def test_games_that_every_process_steps_are_refused(launch, tmp_path, rank):
    done = launch(rank=rank)
    assert done.returncode == 2, done.stderr
    told, = notes(done)
    assert told.startswith("netac: error: allow_mixed_hosts: hosts compute with different numeric kernels (")
    assert f"0badcafe on rank {rank} (" in told and f" on rank {1 - rank} (" in told
    assert "allow_mixed_hosts = true" in told and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_they_may_be_allowed(launch, tmp_path, two_agents):
    done = launch(two_agents, "--set", "allow_mixed_hosts=true")
    assert done.returncode == 0, done.stderr
    told, = notes(done)
    assert told.startswith("netac: note: hosts compute with different numeric kernels (")
    assert "0badcafe on rank 1" in told
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["kernels"].keys() == {"numpy"}
    assert summary["parameters_sha256"] == netac.run(two_agents).summary["parameters_sha256"]


def test_games_of_process_0_are_played_with_a_note(launch):
    for name, tables in (("root", experiment("root-cac")), ("trainer", trainer_experiment("ippo-two"))):
        done = launch(tables, "--set", "iterations=2", out=name)
        assert done.returncode == 0, done.stderr
        assert [line for line in notes(done) if "different numeric kernels" in line], done.stderr


def test_torch_is_compared_where_networks_play(launch):
    done = launch(experiment("cac"), "--set", "iterations=2", library="torch")
    assert done.returncode == 0, done.stderr
    told = [line for line in notes(done) if "kernels" in line]
    assert len(told) == 1 and "different kernels of torch (" in told[0] and "0badcafe on rank 1" in told[0]


def test_a_run_may_go_on_where_hosts_differ(launch, tmp_path, two_agents):
    assert launch(rank=7).returncode == 0
    (tmp_path / "out" / "summary.json").unlink()
    done = launch(two_agents, "--resume", "--set", "allow_mixed_hosts=true")
    assert done.returncode == 0, done.stderr


def test_hosts_of_one_kind_say_nothing(launch, tmp_path, mpirun):
    done = launch(rank=7)
    assert done.returncode == 0 and not notes(done), done.stderr
    done = mpirun(2, [sys.executable, PROGRAM, "evaluate", tmp_path / "out", "--episodes", "2"],
                  env={"NETAC_TEST_OTHER_RANK": "1", "NETAC_TEST_OTHER_LIBRARY": "numpy"})
    assert done.returncode == 2 and "allow_mixed_hosts" in done.stderr, done.stderr
