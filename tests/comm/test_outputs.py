"""Standard streams that are closed or full, and surroundings that lack what launchers want: one message, or none."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import ROOT, SCRIPT, environment

from netac.comm.launch.command import check_folders
from netac.comm.launch.family import with_parts
from netac.comm.launch.outputs import Lenient
from netac.utils.errors import InputError, short

NETAC = [sys.executable, "-m", "netac"]
FULL = "cannot write to standard output: no space left on device"


def shell(words: list[str | Path], redirections: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What comes of a command with redirections; it ends when nobody holds its outputs any more."""
    line = f"{shlex.join(map(str, words))} {redirections}"
    return subprocess.run(["bash", "-c", line], text=True, capture_output=True, timeout=100, cwd=ROOT,
                          env=environment(PYTHONPATH=str(ROOT), **variables))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    done = shell([*NETAC, "run", "examples/coordination.toml", "--set", "iterations=5", "--out", folder], "")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("arguments", [
    ["run", "EXPERIMENT", "--out", "OUT"], ["list"], ["graph", "ring", "--agents", "4"], ["evaluate", "FINISHED"],
    ["compare", "EXPERIMENT", "--algorithms", "cac", "--seeds", "1", "--out", "OUT"],
    ["plot", "FINISHED", "--out", "OUT/curves.png"], ["theory", "differential-game", "--quick", "--out", "OUT"],
    ["--version"], ["run", "--help"],
], ids=lambda words: " ".join(words[:2]))
def test_a_full_standard_output_is_told_in_one_line(finished, two_agents, tmp_path, arguments):
    (tmp_path / "plots").mkdir()
    places = {"EXPERIMENT": two_agents, "OUT": tmp_path / "out", "FINISHED": finished,
              "OUT/curves.png": tmp_path / "plots" / "curves.png"}
    done = shell([*NETAC, *(places.get(word, word) for word in arguments)], "> /dev/full")
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (1, [f"netac: error: {FULL}"])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--dry-run", "-n", "2", "EXPERIMENT"], ["-n", "2", "EXPERIMENT"]])
def test_so_it_is_of_a_launch(fake_mpirun, two_agents, arguments):
    words = [two_agents if word == "EXPERIMENT" else word for word in arguments]
    done = shell([SCRIPT, *words], "> /dev/full", MPIRUN=str(fake_mpirun("open-mpi-5", "echo rewards")))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"run_mpi.sh: {FULL}")
    assert "Traceback" not in done.stderr


def test_a_launch_whose_output_is_full_goes_on(fake_mpirun, two_agents, tmp_path):
    lines = f"for k in {{1..20000}}; do echo rewards; done && touch '{tmp_path}/ended'; exit 3"
    mpirun = fake_mpirun("open-mpi-5", lines)
    done = shell([SCRIPT, "-n", "2", two_agents], "> /dev/full", MPIRUN=str(mpirun))
    assert done.returncode == 3 and (tmp_path / "ended").exists()


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_streams_that_are_closed_or_a_full_standard_error_change_nothing(two_agents, tmp_path, redirections):
    out = tmp_path / "out"
    done = shell([*NETAC, "run", two_agents, "--out", out], redirections)
    assert done.returncode == 0 and (out / "summary.json").exists(), done.stderr
    assert ("parameters_sha256" in done.stdout) == (">&-" not in redirections.replace("2>&-", ""))
    assert not done.stderr
    assert shell([*NETAC, "run", "nowhere.toml"], redirections).returncode == 2


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_nor_in_a_launch(mpi, two_agents, tmp_path, redirections):
    out = tmp_path / "out"
    done = shell([SCRIPT, "-n", "2", two_agents, "--out", out], redirections)
    assert done.returncode == 0 and (out / "summary.json").exists(), done.stderr
    assert len(done.stderr.splitlines()) == int("2>" not in redirections)


def test_what_was_lost_is_remembered():
    stream = Lenient(open("/dev/full", "wb"), line_buffering=True)  # noqa: SIM115
    assert stream.fault is None
    assert stream.write("ab\n") == 3
    assert isinstance(stream.fault, OSError)
    stream.flush()
    whole = io.BytesIO()
    with pytest.raises(OSError, match="No space"):
        stream.close()
    stream = Lenient(whole)
    stream.write("ab")
    stream.flush()
    assert whole.getvalue() == b"ab" and stream.fault is None


def test_a_launch_without_home(mpi, two_agents, tmp_path):
    words = ["env", "-u", "HOME"]
    done = shell([*words, SCRIPT, "-n", "2", two_agents, "--out", tmp_path / "out"], "")
    assert done.returncode == 0, done.stderr
    done = shell([*words, *NETAC, "compare", two_agents, "--algorithms", "cac", "--seeds", "1", "--processes", "2",
                  "--out", tmp_path / "compared"], "")
    assert done.returncode == 0, done.stderr


def test_a_home_of_the_users_stays():
    assert with_parts("/mpi/bin/mpirun", {"HOME": "/elsewhere", "PATH": "/bin"}) == {
        "HOME": "/elsewhere", "PATH": "/mpi/bin:/bin"}
    assert os.path.isabs(with_parts("/mpi/bin/mpirun", {})["HOME"])


@pytest.mark.parametrize(("name", "command"), [("TMPDIR", "run_mpi"), ("TMP", "run_mpi"), ("TEMP", "compare")])
def test_a_missing_folder_for_temporary_files(fake_mpirun, two_agents, tmp_path, name, command):
    place = tmp_path / "not there"
    words = [SCRIPT, "-n", "2", two_agents] if command == "run_mpi" else [
        *NETAC, "compare", two_agents, "--algorithms", "cac", "--seeds", "1", "--processes", "2", "--out",
        tmp_path / "out"]
    without = [word for other in ("TMPDIR", "TMP", "TEMP") for word in ("-u", other)]
    chosen = {"MPIRUN": str(fake_mpirun("open-mpi-5"))}
    done = shell(["env", *without, f"{name}={place}", *words], "", **chosen)
    *_, told = done.stderr.splitlines()                # on a busy machine it is told before what takes long
    assert done.returncode == 2
    assert told.partition(": ")[2].removeprefix("error: ") == (
        f"{name}: is no folder for temporary files (found {short(str(place))}; valid: one that can be written "
        f"(mkdir -p '{place}'), or unset {name})")
    place.mkdir()                                                            # the remedies
    for remedied in ([f"{name}={place}"], []):
        assert f"{name}: " not in shell(["env", *without, *remedied, *words], "", **chosen).stderr


@pytest.mark.parametrize("value", ["", "/proc", "/dev/null"])
def test_a_folder_that_cannot_be_written(value):
    with pytest.raises(InputError, match=r"one that can be written, or unset TMPDIR\)$"):
        check_folders({"TMPDIR": value, "TMP": "/tmp"})


def test_a_launch_from_a_folder_that_has_been_removed(fake_mpirun, two_agents, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    words = shlex.join(map(str, [SCRIPT, "-n", "2", two_agents]))
    done = subprocess.run(["bash", "-c", f"cd {gone} && rmdir {gone} && {words}"], text=True, capture_output=True,
                          timeout=60, env=environment(fake_mpirun("open-mpi-5", "echo launched"),
                                                       PYTHONPATH=str(ROOT)))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("run_mpi.sh: the current folder has been removed (valid: cd into one that exists)\n")
