"""A /dev/shm that is nearly full: nothing hangs or is killed, and the result is the same."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.launching import ROOT, SCRIPT, environment

from netac.comm import shared_memory
from netac.comm.launch import small_shm
from netac.comm.launch.small_shm import in_words, parameters, refuse_too_small
from netac.utils.errors import InputError

MB = 1 << 20
FIVE = {"OMPI_COMM_WORLD_LOCAL_SIZE": "5", "OMPI_COMM_WORLD_SIZE": "5"}


@pytest.fixture
def free(monkeypatch) -> Callable[[float], None]:
    """`free(megabytes)`: so much is free in /dev/shm."""
    def be(megabytes: float) -> None:
        monkeypatch.setattr(small_shm, "taken", lambda: 0)
        monkeypatch.setattr(small_shm.shutil, "disk_usage", lambda _: SimpleNamespace(free=int(megabytes * MB)))

    return be


@pytest.mark.parametrize(("megabytes", "environ", "expected"), [
    (160, FIVE, {}),
    (64, FIVE, {f"OMPI_MCA_btl_{name}_segment_size": str(64 * MB // 2 // 5) for name in ("sm", "vader")}),
    (19, FIVE, {"OMPI_MCA_btl": "^sm,vader", "OMPI_MCA_btl_tcp_if_include": "lo"}),
    (19, FIVE | {"OMPI_COMM_WORLD_SIZE": "10"}, {"OMPI_MCA_btl": "^sm,vader"}),      # others are on another host
    (19, FIVE | {"OMPI_MCA_btl": "self,tcp"}, {}),
    (19, FIVE | {"OMPI_MCA_btl_tcp_if_exclude": "eth1"}, {}),
    (0, {}, {}),                                                                     # another MPI
])
def test_open_mpi_takes_no_more_than_half_of_what_is_free(free, megabytes, environ, expected):
    free(megabytes)
    assert parameters(environ) == expected
    assert (in_words(expected) is None) == ("OMPI_MCA_btl" not in expected)


def test_a_system_without_such_a_place_is_left_alone(monkeypatch):
    monkeypatch.setattr(small_shm, "PLACE", "/nowhere")
    assert parameters(FIVE) == {}
    refuse_too_small(100)


def test_mpich_is_not_started_where_it_would_be_killed(free):
    free(5.4)
    refuse_too_small(5)
    with pytest.raises(InputError, match=r"^/dev/shm: too little memory .* \(found '5.4 MB free'; valid: 6.4 MB or mo"):
        refuse_too_small(6)


def test_what_the_launch_itself_has_taken_counts_as_free(free, monkeypatch, tmp_path):
    free(5.4)
    refuse_too_small(6, taken=MB)
    monkeypatch.undo()
    monkeypatch.setattr(small_shm, "PLACE", str(tmp_path))
    (tmp_path / "sm_segment.old").write_bytes(bytes(MB))
    assert 0 <= small_shm.taken() <= MB
    monkeypatch.setattr(small_shm.os, "getppid", lambda: os.getpid())
    before = small_shm.taken()
    (tmp_path / "mpich_shm_1").write_bytes(bytes(2 * MB))
    (tmp_path / "others").write_bytes(bytes(MB))
    assert small_shm.taken() - before == 2 * MB


def test_run_mpi_says_so_before_it_starts_mpich(fake_mpirun, two_agents):
    most = small_shm._free() // small_shm.MPICH
    if most > 10**6:
        pytest.skip("no /dev/shm, or an immense one")
    done = subprocess.run([SCRIPT, "-n", str(2 * most + 2), two_agents], text=True, capture_output=True, timeout=60,
                          env=environment(fake_mpirun("mpich", "echo started")))
    assert (done.returncode, done.stdout) == (2, "")
    told, = done.stderr.splitlines()
    assert told.startswith("run_mpi.sh: /dev/shm: too little memory") and "--shm-size" in told


def test_what_is_missing_of_a_file_is_found_when_it_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "_folder", lambda: str(tmp_path))
    made = Path(shared_memory._make(10))
    assert made.read_bytes() == bytes(10)
    full = SimpleNamespace(mkstemp=lambda **_: (os.open("/dev/full", os.O_WRONLY), str(made)))
    with monkeypatch.context() as patched:
        patched.setattr(shared_memory, "tempfile", full)
        assert shared_memory._make(10) is None
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shared_memory, "_folder", lambda: str(tmp_path / "gone"))
    assert shared_memory._make(10) is None and shared_memory._free() == 0
    assert shared_memory._open(str(tmp_path / "gone")) is None


@pytest.fixture
def in_a_small_one() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`in_a_small_one(megabytes, free, command, env)`: runs a command in a namespace whose /dev/shm has so much."""
    if os.geteuid() or not shutil.which("unshare") or subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], capture_output=True).returncode:
        pytest.skip("only root can mount")

    def launch(megabytes: int, free: int, command: list[str | Path],
               env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        prepare = (f"mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm && "
                   f"head -c {megabytes - free}M /dev/zero > /dev/shm/others && exec \"$@\"")
        return subprocess.run(["unshare", "-m", "bash", "-c", prepare, "bash", *map(str, command)], env=env, text=True,
                              capture_output=True, timeout=100)

    return launch


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> tuple[list[str], str]:
    """The arguments of a run whose agents mix 340,997 parameters each, and the hash it ends with in one process."""
    arguments = [str(ROOT / "examples" / "pursuit.toml"), "--set", "iterations=3", "--set",
                 "policy={name='mlp', hidden=[512, 512]}"]
    folder = tmp_path_factory.mktemp("wide") / "alone"
    subprocess.run([sys.executable, "-m", "netac", "run", *arguments, "--out", folder], check=True, capture_output=True,
                   timeout=100, cwd=ROOT)
    return arguments, sha256(folder)


def sha256(folder: Path) -> str:
    return json.loads((folder / "summary.json").read_text())["parameters_sha256"]


@pytest.mark.parametrize(("free", "noted"), [
    pytest.param(44, False, marks=pytest.mark.long), pytest.param(14, False, marks=pytest.mark.long), (3, True)])
def test_the_result_is_the_same(mpi, in_a_small_one, wide, tmp_path, free, noted):
    arguments, expected = wide
    done = in_a_small_one(64, free, [SCRIPT, "-n", "2", *arguments, "--out", tmp_path / "out"],
                          environment(PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr
    assert sha256(tmp_path / "out") == expected
    assert "not enough space" not in done.stderr
    assert ("messages go through TCP" in done.stderr) == noted or "Open MPI" not in mpi.title


def test_a_bus_error_is_explained(fake_mpirun, run_mpi, two_agents):
    rule = 76 * "-"
    report = f"{rule}\nprterun noticed that process rank 1 with PID 9 on node h exited on signal 7.\n{rule}"
    done = run_mpi("-n", "2", two_agents, mpirun=fake_mpirun("open-mpi-5", f"echo '{report}' >&2; exit 135"))
    assert "rank 1 was killed by signal 7: a bus error, /dev/shm may be full (a container gets more " in done.stderr


def test_segments_that_killed_launches_left_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(small_shm, "PLACE", str(tmp_path))
    left, mapped, young = (tmp_path / f"sm_segment.host.{name}" for name in ("left", "mapped", "young"))
    other = tmp_path / "somebody's"
    for file in (left, mapped, young, other):
        file.write_bytes(bytes(4096))
        if file is not young:
            os.utime(file, (time.time() - 100,) * 2)
    with mapped.open("r+b") as held, mmap.mmap(held.fileno(), 4096):
        small_shm.clear_leftovers()
        assert sorted(tmp_path.iterdir()) == sorted([mapped, young, other])
