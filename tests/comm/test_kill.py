"""kill -9 of real launches: they end at once, say who died, and go on to the same result on any number of processes."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.launching import SCRIPT, environment
from support.variants import fingerprint

import netac

pytestmark = pytest.mark.alone

AGENTS, ITERATIONS = 5, 6000
EXPERIMENT = f"""\
agents = {AGENTS}
iterations = {ITERATIONS}
env = "coordination"
topology = {{ name = "periodic-complete", period = 5 }}
algorithm = "cac"
log_every = 50
checkpoint_every = 200
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "game.toml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def whole(file: Path) -> str:
    """What the uninterrupted run comes to."""
    return fingerprint(netac.run(file))


def newest(out: Path) -> int:
    """Iterations of the newest checkpoint, 0 without one."""
    return max((int(path.stem) for path in out.glob("checkpoints/*.npz") if path.stem.isdigit()), default=0)


def start(arguments: list, log: Path) -> subprocess.Popen:
    with log.open("w") as errors:
        return subprocess.Popen(list(map(str, arguments)), env=environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=errors, text=True)


def pids(log: Path, wanted: int) -> dict[int, int]:
    """rank -> process id, as `--verbose` says them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.findall(r"netac: rank (\d+) pid (\d+) ", log.read_text())
        if len(found) == wanted:
            return {int(rank): int(pid) for rank, pid in found}
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def wait_for_progress(process: subprocess.Popen, out: Path, since: int, more: float) -> None:
    """Until there is a checkpoint newer than `since`, and then `more` seconds."""
    deadline = time.monotonic() + 60
    while newest(out) <= since and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(more)
    assert process.poll() is None, "it ended before it could be killed"


def gone(found: dict[int, int]) -> bool:
    """Whether all these processes have ended within five seconds."""
    deadline = time.monotonic() + 5
    while left := [pid for pid in found.values() if Path(f"/proc/{pid}").exists()]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return not left


def kill_one(file: Path, out: Path, processes: int, rank: int, more: float) -> None:
    """Start or resume a launch, kill -9 one rank after some progress, and see that all ends as it should."""
    log = out.with_suffix(".log")
    process = start([SCRIPT, "-n", processes, file, "--out", out, "--resume", "--verbose"], log)
    found = pids(log, processes)
    wait_for_progress(process, out, newest(out), more)
    os.kill(found[rank], signal.SIGKILL)
    began = time.monotonic()
    status = process.wait(30)
    assert time.monotonic() - began < 5, "the launch must end within 5 seconds"
    assert status not in (0, 2)
    last = log.read_text().splitlines()[-1]
    assert last.startswith("run_mpi.sh: ") and f"(agents {rank}) was killed by signal 9" in last, log.read_text()
    assert "--resume" in last
    assert gone(found)
    assert not (out / "summary.json").exists()


def test_every_rank_killed_in_turn(file, whole, tmp_path, mpi):
    out, rng = tmp_path / "run", random.Random(0)
    for rank in rng.sample(range(AGENTS), AGENTS):
        kill_one(file, out, AGENTS, rank, rng.uniform(0, 0.1))
    for processes in (1, 3, AGENTS):
        copy = shutil.copytree(out, tmp_path / f"on-{processes}")
        command = [SCRIPT, "-n", str(processes), file, "--out", copy, "--resume"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert fingerprint(netac.load_result(copy)) == whole


def test_a_killed_single_process_goes_on_on_five(file, whole, tmp_path, mpi):
    out, log = tmp_path / "run", tmp_path / "run.log"
    process = start([sys.executable, "-m", "netac", "run", file, "--out", out], log)
    wait_for_progress(process, out, 0, 0)
    process.kill()
    process.wait()
    command = [SCRIPT, "-n", str(AGENTS), file, "--out", out, "--resume"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert fingerprint(netac.load_result(out)) == whole


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_killed_comparison_goes_on_where_it_was(file, tmp_path, mpi, processes):
    out, log = tmp_path / "comparison", tmp_path / "log"
    iterations = "iterations=20000" if processes == 1 else "iterations=3000"
    command = [sys.executable, "-m", "netac", "compare", file, "--algorithms", "cac,iac", "--seeds", "2", "--jobs", "2",
               "--processes", processes, "--set", iterations, "--out", out]
    process = start(command, log)
    deadline = time.monotonic() + 60
    while not (finished := list(out.glob("runs/*/*/summary.json"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 1 <= len(finished) < 4
    first = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/summary.json")}
    time.sleep(1.0)      # its workers and launches end by themselves
    done = subprocess.run(list(map(str, command)), env=environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("runs/*/*/summary.json"))) == 4
    assert all(path.stat().st_mtime_ns == when for path, when in first.items())
