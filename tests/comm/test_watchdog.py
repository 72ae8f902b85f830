"""A process that stands still is named, and after `patience` seconds the launch ends and can be gone on with."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

import pytest
import tomli_w
from support.variants import fingerprint

import netac
from netac.comm import waiting, watchdog
from netac.comm.watchdog import State, usual_patience, verdict
from netac.utils.errors import RunError
from netac.utils.pulse import pulse

PROGRAMS = Path(__file__).parents[1] / "programs"
GAME = {"agents": 3, "iterations": 60, "topology": "complete", "algorithm": "cac", "checkpoint_every": 10}


def stalling(how: str, rank: int = 0) -> dict:
    return {"factory": "stalling:make", "kwargs": {"how": how, "rank": rank}, "folder": str(PROGRAMS)}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(watchdog, "NOTICE", 0.3)


def state(waits: bool, where: str = "here") -> State:
    return State(60.0, 3, waits, where)


def test_who_does_not_answer_is_the_cause():
    assert verdict({0: state(True), 1: None, 2: state(False)}) == ([1], "no answer (stopped, or its host is gone)")


def test_who_does_not_wait_is_the_cause():
    assert verdict({0: state(True), 1: state(False, "mine.py, line 7"), 2: state(True)}) == ([1], "in mine.py, line 7")


def test_where_all_wait_their_places_are_told():
    assert verdict({0: state(True, "a"), 1: state(True, "b"), 2: state(True, "a")}) == (
        [], "ranks 0, 2 in a, rank 1 in b")


@pytest.mark.parametrize(("environ", "seconds"), [
    ({}, 0), ({"SLURM_JOB_ID": "7"}, 600), ({"PBS_JOBID": "7"}, 600),
    ({"SLURM_JOB_ID": "7", "NETAC_TERMINAL": "80"}, 0)])
def test_patience_is_usual_in_batch_jobs_only(environ, seconds, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    assert usual_patience(environ) == seconds


@pytest.mark.alone
@pytest.mark.parametrize("how", ["sleep", "loop", "factory"])
def test_a_single_process_says_where_it_is_and_ends_with_an_error(how, impatient, capfd, tmp_path):
    before = signal.getsignal(watchdog.BREAK)
    with pytest.raises(RunError, match=r"no progress for \d s \(patience = 1.*stalling.py, line \d+"):
        netac.run(GAME | {"env": stalling(how), "patience": 1}, out=tmp_path / "run")
    assert capfd.readouterr().err.count("netac: note: waiting ") == 1
    assert signal.getsignal(watchdog.BREAK) == before
    assert how == "factory" or "patience = 1" in (tmp_path / "run" / "experiment.toml").read_text()


@pytest.mark.alone
@pytest.mark.parametrize(("how", "rank", "place"), [
    ("stop", 0, "no answer"), ("stop", 2, "no answer"), ("loop", 1, "in "), ("receive", 1, "in "),
    ("factory", 2, "in ")])
def test_a_stalled_process_of_a_launch_is_named_and_all_ends(how, rank, place, mpirun, tmp_path):
    tables = GAME | {"env": stalling(how, rank), "patience": 3}
    file, out = tmp_path / "game.toml", tmp_path / "run"
    file.write_text(tomli_w.dumps(tables))
    done = mpirun(3, [sys.executable, PROGRAMS / "impatient.py", "run", file, "--out", out], timeout=60)
    held = "" if how == "factory" else f" (agents {rank})"
    when = "outside of the iterations" if how == "factory" else r"iteration \d+"
    assert done.returncode == 1, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("netac: ") and not line.endswith(" ...")]
    assert len(told) == 2, done.stderr
    assert re.match(rf"netac: note: waiting \d s for rank {rank}{re.escape(held)}, {when}: {place}", told[0]), told
    assert told[1].startswith("netac: error: no progress for ") and f"rank {rank}{held}" in told[1]
    if how == "stop" and rank == 2:
        whole = netac.run(GAME | {"env": stalling("none", rank)})
        text = (out / "experiment.toml").read_text().replace('how = "stop"', 'how = "none"')
        (out / "experiment.toml").write_text(text)
        resumed = netac.run(GAME | {"env": stalling("none", rank)}, out=out, resume=True)
        assert fingerprint(resumed) == fingerprint(whole)


def test_whoever_waits_long_gives_the_processor_away():
    until, used = time.monotonic() + 0.5, time.process_time()
    waiting.until(lambda: time.monotonic() > until)
    assert time.process_time() - used < 0.25 and not pulse.waiting
