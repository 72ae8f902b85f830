"""kill -9 of a study, again and again: it comes to the same comparison, and what was written stays readable."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.launching import environment, kill_once

import netac
from netac.results import watching

pytestmark = pytest.mark.alone

KILLS = 20
FILE = """\
agents = 4
iterations = 400
env = "coordination"
algorithm = "cac"
log_every = 20
checkpoint_every = 100

[study]
seeds = 3
vary = { topology = ["ring", "star", "complete"], "algorithm.actor_step" = [0.02, 0.05] }
"""
TIMES = ("wall_seconds",)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as handle:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(handle)]


def test_a_study_that_is_killed_again_and_again_comes_to_the_same_comparison(tmp_path):
    file, out = tmp_path / "study.toml", tmp_path / "out"
    file.write_text(FILE)
    netac.compare(file, jobs=1, out=tmp_path / "whole")
    command = [sys.executable, "-m", "netac", "compare", str(file), "--jobs", "2", "--out", str(out)]
    draw, finished = random.Random(0), []
    for _ in range(KILLS):
        deadline = time.monotonic() + draw.uniform(0.2, 2.0)
        kill_once(command, lambda deadline=deadline: time.monotonic() >= deadline)
        if (out / "runs").is_dir() and any((out / "runs").rglob("seed-*")):
            finished.append(sum(run.state == "done" for run in watching.look(out)))
    assert finished and finished == sorted(finished)                 # what has finished stays
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in ("comparison.csv", "comparison_runs.csv", "comparison_pairs.csv"):
        assert rows(out / name) == rows(tmp_path / "whole" / name)
    assert len(list(out.rglob("summary.json"))) == 18
