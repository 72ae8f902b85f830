"""kill -9 of a tuning, again and again: it comes to the same settings and the same test."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import environment, kill_once

import netac
from netac.results import tuning
from netac.results.tables import read_rows

pytestmark = pytest.mark.alone

KILLS = 5
FILE = """\
agents = 4
iterations = 400
env = "coordination"
topology = "ring"
algorithm = "cac"
log_every = 20
checkpoint_every = 100
"""
VARY = {"algorithm.actor_step": "0.01..1:log", "algorithm.critic_step": "0.05..0.5"}


def written(folder: Path) -> int:
    """Bytes of all tables of runs."""
    sizes = 0
    for file in folder.rglob("metrics.csv"):
        with contextlib.suppress(FileNotFoundError):                 # it is being replaced
            sizes += file.stat().st_size
    return sizes


def test_a_tuning_that_is_killed_again_and_again_comes_to_the_same(tmp_path):
    file, out = tmp_path / "game.toml", tmp_path / "out"
    file.write_text(FILE)
    netac.tune(file, VARY, 8, seeds=2, test_seeds=3, keep=0.5, jobs=1, out=tmp_path / "whole")
    command = [sys.executable, "-m", "netac", "tune", str(file), "--samples", "8", "--seeds", "2", "--test-seeds", "3",
               "--keep", "0.5", "--jobs", "2", "--out", str(out), *(f"--vary={key}={values}"
                                                                   for key, values in VARY.items())]
    whole, draw, seen = written(tmp_path / "whole"), random.Random(0), set()
    for k in range(KILLS):                                           # wherever it is, at growing shares of the work
        target = whole * (k + draw.random()) / KILLS
        kill_once(command, lambda target=target: written(out) >= target)
        seen.add((out / tuning.TABLE).exists() and len(read_rows(out / tuning.TABLE)))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(seen) > 1                                             # after no rung, and after some
    for name in (tuning.TABLE, tuning.BEST, tuning.RECORD, f"{tuning.TEST}/comparison_pairs.csv"):
        assert (out / name).read_text() == (tmp_path / "whole" / name).read_text(), name
