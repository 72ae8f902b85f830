"""What processes tell the launcher; scripts; launches that outlive it; the claim of the first to fail; open files."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.launching import DONE, ROOT, SCRIPT, environment

from netac.comm.launch import clear_claim, open_files, rank
from netac.comm.launch.notices import Hearing
from netac.utils.errors import InputError

LINES = ["netac: rank 0 pid 1 host h agents 0", "netac: rank 1 pid 2 host h agents 1", "done"]


@given(st.lists(st.binary(max_size=6).filter(lambda data: b"abc" not in data), min_size=4, max_size=4),
       st.lists(st.integers(0, 200)))
def test_notices_are_taken_out_wherever_they_stand(texts, cuts):
    stream = texts[0] + b"".join(b"\x1eabc %s\n%s" % (line.encode(), text)
                                 for line, text in zip(LINES, texts[1:], strict=True))
    hearing, shown = Hearing("abc"), b""
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        shown += hearing.feed(stream[begin:end])
    assert shown + hearing.end() == b"".join(texts)
    assert hearing.lines == LINES and hearing.done
    assert hearing.placement.splitlines() == LINES[:2]


@pytest.mark.parametrize(("text", "said"), [
    (b"netac: error: it", True), (b"a\nTraceback (most recent call last):", True), (b"netac: note: it", False),
    (b"netac: interrupted; ...", True), (b"usage: study.py [-h]", True), (b"no netac: error: here", False),
])
def test_the_launchs_own_words_are_noticed(text, said):
    hearing = Hearing("abc")
    for k in range(len(text)):
        hearing.feed(text[k:k + 1])
    hearing.end()
    assert hearing.said == said


@pytest.mark.parametrize(("body", "status"), [
    ("print(__name__, sys.argv[1:], 'helper' in dir(__import__('helper')))", 0),
    ("sys.exit()", 0), ("os._exit(0)", 1), ("sys.exit(3)", 3), ("raise ValueError('no')", 1),
    ("os.close(2)", 0), ("import subprocess; subprocess.run([sys.executable, '-m', 'netac', 'list']); os._exit(0)", 1),
])
def test_a_script_is_done_at_its_end(run_mpi, fake_mpirun, tmp_path, body, status):
    (tmp_path / "helper.py").write_text("helper = 1\n")
    script = tmp_path / "study.py"
    script.write_text(f"import os, sys\n{body}\n")
    mpirun = fake_mpirun("open-mpi-5", 'while [ "$1" != -m ]; do before=$1; shift; done; exec "$before" "$@"')
    done = run_mpi("-n", "2", script, "--fast", mpirun=mpirun, PYTHONPATH=str(ROOT))
    assert done.returncode == status, done.stderr
    assert ("run_mpi.sh: " in done.stderr.partition("\n")[2]) == (status != 0 and "Error" not in body)
    if "print" in body:
        assert done.stdout == "__main__ ['--fast'] True\n"
    if "raise" in body:
        assert done.stderr.splitlines()[1:4] == [
            "Traceback (most recent call last):", f'  File "{script}", line 2, in <module>', f"    {body}"]


@pytest.mark.alone
def test_a_launch_ends_with_a_launcher_that_is_killed(fake_mpirun, two_agents, tmp_path):
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    mpirun = fake_mpirun("open-mpi-5", "trap '' HUP; echo $$; sleep 60 & wait")
    with subprocess.Popen([SCRIPT, "-n", "2", two_agents], env=environment(mpirun, TMPDIR=str(scratch)), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        group = int(process.stdout.readline())
        process.kill()
        process.wait()
        deadline = time.monotonic() + 5
        while living(group):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert not list(scratch.iterdir())


def living(group: int) -> list[str]:
    """The processes of a group that are no zombies."""
    found = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if int(line.split()[0]) == group and "Z" not in line]


def test_the_claim_of_an_earlier_launch_hides_no_cause(tmp_path):
    assert rank._first_to_fail(tmp_path)
    assert not rank._first_to_fail(tmp_path)
    clear_claim(None, tmp_path)
    assert rank._first_to_fail(tmp_path)
    clear_claim(None, None)
    clear_claim(None, tmp_path / "gone")


def test_a_failure_before_the_folder_is_opened_is_told_in_spite_of_an_earlier_claim(mpirun, two_agents, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / rank.CLAIM).touch()
    code = ("import netac, sys\nfrom netac.comm import launch\nfrom netac.experiment import run\n"
            "def fail(comm):\n    if comm.rank == 1:\n        raise ValueError('here')\n    comm.barrier()\n"
            "run.compare_hosts = fail\nrun.run(sys.argv[1], out=sys.argv[2])\n")
    done = mpirun(2, [sys.executable, "-c", code, two_agents, tmp_path / "run"], env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and "ValueError: here" in done.stderr, done.stderr


def test_too_few_open_files_are_refused_before_anything_starts(fake_mpirun, two_agents):
    mpirun = fake_mpirun("open-mpi-5", f"ulimit -n; {DONE}")

    def launch(limits: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-c", f"{limits}; exec \"$@\"", "bash", SCRIPT, "-n", "8", two_agents],
                              env=environment(mpirun), capture_output=True, text=True, timeout=60)

    done = launch("ulimit -n 32")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("run_mpi.sh: ulimit -n: an MPI that starts 8 processes has to open more files than are "
                           "allowed here (found 32; valid: 56 or more, or fewer processes)\n")
    done = launch("ulimit -Sn 32")
    assert (done.returncode, done.stdout) == (0, "56\n"), done.stderr


def test_an_unlimited_number_of_files_is_enough(monkeypatch):
    unlimited = open_files.resource.RLIM_INFINITY
    monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: (unlimited, unlimited))
    open_files.make_room(10**6)
    monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: (100, 1000))
    with pytest.raises(InputError, match="found 1000; valid: 3032 or more"):
        open_files.make_room(1000)
