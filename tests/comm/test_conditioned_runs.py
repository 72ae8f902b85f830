"""Runs under every condition of the network, and under many together, do not depend on processes and interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from support.condition_cases import CASES, LINEAR, NEURAL, experiment
from support.condition_combinations import drawn, refusal, seeded
from support.launching import environment
from support.run_folders import all_checkpoints, stopped_copy
from support.variants import fingerprint

import netac
from netac.comm import checkpoints
from netac.results.records import CHECKPOINTS

PROGRAM = Path(__file__).parents[1] / "programs" / "listed.py"


def chosen() -> dict[str, dict[str, Any]]:
    """For every case an experiment without and one with networks, algorithms in turn; and combinations."""
    found, plain, networks = {}, cycle(name for name in LINEAR if name != "iac"), cycle(NEURAL)
    for name, case in CASES.items():
        found[f"{name}: linear"] = experiment("linear", next(plain), case)
        if not case.again:
            found[f"{name}: networks"] = experiment("neural", next(networks), case)
    combined = [*seeded(9), *seeded(3, networks=True)]
    return found | {f"{k}: {', '.join(each['network'])}": each for k, each in enumerate(combined)}


EXPERIMENTS = chosen()
NETWORKS = [name for name, each in EXPERIMENTS.items() if "policy" in each]
LINEAR_ONES = [name for name in EXPERIMENTS if name not in NETWORKS]      # without networks no process loads torch
SOME = [*LINEAR_ONES, *NETWORKS[::4]]


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory) -> Callable[[str], tuple[Path, str]]:
    """The run folder of an experiment, with all checkpoints, and what it gives in a single process, by its name."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def run(name: str) -> tuple[Path, str]:
        number = str(list(EXPERIMENTS).index(name))
        return folder / number, all_checkpoints([number], lambda _: EXPERIMENTS[name], folder)[number]

    return run


def middle(whole: Path, part: Path) -> Path:
    """What a run leaves that was stopped at the middle one of its checkpoints."""
    there = sorted(int(path.stem) for path in checkpoints.existing(whole / CHECKPOINTS))
    return stopped_copy(whole, part, there[(len(there) - 1) // 2])


@pytest.mark.parametrize(("processes", "names", "resumed"), [
    (2, SOME, SOME[::3]), (3, LINEAR_ONES[::2], LINEAR_ONES[1::4]),
    pytest.param(3, list(EXPERIMENTS), list(EXPERIMENTS), marks=pytest.mark.long)], ids=["2", "3", "all on 3"])
def test_every_number_of_processes_gives_the_same_bits_resumed_or_not(mpirun, in_one_process, tmp_path, processes,
                                                                      names, resumed):
    listed = [{"name": name, "experiment": EXPERIMENTS[name]} for name in names]
    listed += [{"name": f"{name}, resumed", "experiment": EXPERIMENTS[name],
                "out": str(middle(in_one_process(name)[0], tmp_path / str(k)))} for k, name in enumerate(resumed)]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    done = mpirun(processes, [sys.executable, PROGRAM, tmp_path / "list.json"], timeout=400)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {each["name"] for each in listed}
    assert not [name for name, text in found.items() if text != in_one_process(name.removesuffix(", resumed"))[1]]


def test_a_stopped_run_goes_on_to_the_same_bits(in_one_process, tmp_path):
    unlike = []
    for k, name in enumerate(SOME):
        whole, wanted = in_one_process(name)
        part = middle(whole, tmp_path / str(k))
        if fingerprint(netac.run(EXPERIMENTS[name], out=part, resume=True)) != wanted:
            unlike.append(name)
    assert not unlike


def test_conditions_together_run_and_resume_or_are_refused_with_a_reason(tmp_path):
    outcomes: Counter[str] = Counter()

    @given(data=st.data())
    @settings(max_examples=25, derandomize=True, database=None)
    def one(data):
        each = drawn(lambda options: data.draw(st.sampled_from(list(options))))
        if (refused := refusal(each)) is not None:
            assert refused.key.startswith("network.") and refused.valid and len(str(refused)) > 40
            outcomes["refused"] += 1
            return
        number = outcomes["run"] = outcomes["run"] + 1
        whole = all_checkpoints([f"{number}"], lambda _: each, tmp_path)[f"{number}"]
        part = middle(tmp_path / f"{number}", tmp_path / f"{number}-stopped")
        assert fingerprint(netac.run(each, out=part, resume=True)) == whole

    one()
    assert outcomes["run"] >= outcomes.total() / 3 and outcomes["refused"] >= 3, outcomes


KILLED = {"agents": 5, "iterations": 400, "seed": 2, "env": {"name": "coordination", "features": "histogram"},
          "topology": {"name": "gossip", "probability": 0.7}, "algorithm": {"name": "cac", "actor_step": 0.05},
          "log_every": 50, "checkpoint_every": 10, "network": {
              "quantisation": {"bits": 6, "feedback": "none"}, "gilbert-elliott": {"to_bad": 0.1, "both_ways": False},
              "event-trigger": {"threshold": 0.01}, "sleep": {"probability": 0.1}, "delay": {"most": 3},
              "noise": {"deviation": 0.01}}}


@pytest.mark.alone
def test_a_killed_run_under_many_conditions_goes_on(tmp_path):
    file, out = tmp_path / "many.toml", tmp_path / "run"
    file.write_text(tomli_w.dumps(KILLED))
    command = [sys.executable, "-m", "netac", "run", str(file), "--out", str(out), "--resume"]
    process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not checkpoints.existing(out / CHECKPOINTS) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert checkpoints.existing(out / CHECKPOINTS) and not (out / "summary.json").exists()
    assert fingerprint(netac.run(file, out=out, resume=True)) == fingerprint(netac.run(file))
