"""What a run loads: nothing that it does not use, since a start on 8 processes pays for it eight times."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import ROOT, SCRIPT, environment

from netac.comm.launch.addresses import KEEP, lay_out_alike

COORDINATION = ROOT / "examples" / "coordination.toml"
NEEDED = "click, numpy, pydantic.main, pydantic.types, scipy.sparse, tomllib"     # with what these load themselves
OURS = {"netac", "tomli_w"}
OF_MPI = {"mpi4py"}
OF_PYTHON = {"array", "csv", "difflib", "fcntl", "gc", "mmap", "resource", "secrets", "hmac", "platform", "signal",
             "socket", "threading", "uuid", "zipfile", "gzip", "fnmatch", "_csv", "_posixshmem"}
UNUSED = {        # of netac, in a run of CAC
    "netac.algorithms.centralized.happo", "netac.algorithms.decentralized.dnac", "netac.experiment.compare",
    "netac.experiment.evaluate", "netac.experiment.load", "netac.experiment.neural_agents",
    "netac.experiment.periodic_evaluation", "netac.results.comparison", "netac.results.curves",
    "netac.results.statistics", "netac.sampling.game", "netac.theory", "netac.topology.files"}
OF_PROCESS_0 = {"netac.experiment.trust", "netac.topology.certificate", "netac.topology.mixing"}
PROGRAM = f"""\
import sys
if sys.argv[1:] == ["needed"]:
    import {NEEDED}
    print(*sys.modules)
    sys.exit()
from netac import cli
try:
    cli.main()
finally:
    import os
    rank = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0"))
    with open(f"modules{{rank}}", "w") as file:
        print(*sys.modules, file=file)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path / "program.py"


@pytest.fixture
def needed(program: Path) -> set[str]:
    """What the packages load that every run needs."""
    done = subprocess.run([sys.executable, program, "needed"], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def others(loaded: set[str], needed: set[str]) -> set[str]:
    """Modules, by their first names where that is not one of NEEDED, that are loaded besides."""
    known = {name.partition(".")[0] for name in needed}
    deeper = {name for name in loaded - needed if name.startswith(("scipy.", "numpy."))}
    return {name.partition(".")[0] for name in loaded} - known - OF_PYTHON - {"__mp_main__"} | deeper


def test_a_run_loads_what_it_uses(program, needed):
    command = [sys.executable, program, "run", COORDINATION, "--set", "iterations=2", "--out", "run"]
    subprocess.run(command, cwd=program.parent, check=True, timeout=60, capture_output=True,
                   env=environment(NETAC_MPI="0", PYTHONPATH=str(ROOT)))
    loaded = set((program.parent / "modules0").read_text().split())
    assert others(loaded, needed) <= OURS
    assert loaded & UNUSED == set()


def test_a_process_of_a_launch_loads_no_more(program, needed, mpirun):
    done = mpirun(2, [sys.executable, program, "run", COORDINATION, "--set", "iterations=2", "--out", "run"],
                  cwd=program.parent, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    for rank, more in enumerate((set(), OF_PROCESS_0)):
        loaded = set((program.parent / f"modules{rank}").read_text().split())
        assert others(loaded, needed) <= OURS | OF_MPI, rank
        assert loaded & (UNUSED | more) == set(), rank


def test_a_launch_does_not_wait_for_a_network_that_it_does_not_use(mpi, mpirun):
    """Open MPI 5's btl/ofi sleeps for a second where it finds no network of its own."""
    if "Open MPI" not in mpi.title:
        pytest.skip("another MPI")
    program = "import os; from netac.comm import launch; launch.communicator(); print(os.environ['OMPI_MCA_btl'])"
    assert mpirun(2, [sys.executable, "-c", program]).stdout.splitlines() == ["^ofi"] * 2
    said = mpirun(2, [sys.executable, "-c", program], env={"OMPI_MCA_btl": "self,sm"})
    assert said.stdout.splitlines() == ["self,sm"] * 2


@pytest.mark.parametrize(("file", "there"), [("btl = self,tcp", None), ("# btl = self,tcp\npml = ob1", "^ofi")])
def test_what_a_user_chose_in_a_file_stays(tmp_path, file, there):
    from netac.comm.launch.rank import without_remote_memory
    (tmp_path / ".openmpi").mkdir()
    (tmp_path / ".openmpi" / "mca-params.conf").write_text(file)
    one = {"HOME": str(tmp_path), "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_SIZE": "2"}
    assert without_remote_memory(one, {}).get("OMPI_MCA_btl") == there
    assert without_remote_memory(one | {"OMPI_COMM_WORLD_SIZE": "4"}, {}) == {}      # others are on another host
    if there:
        assert without_remote_memory(one, {"OMPI_MCA_btl": "^sm,vader"}) == {"OMPI_MCA_btl": "^sm,vader,ofi"}


def addresses(mpi_is: Path, processes: int, tmp_path: Path, **variables: str) -> set[str]:
    """Where the processes that run_mpi.sh starts have their first part of the C library."""
    script = tmp_path / "where.py"
    script.write_text("import re\nprint(re.search(r'^(\\w+)-.*libc', open('/proc/self/maps').read(), re.M)[1])\n")
    done = subprocess.run([SCRIPT, "-n", str(processes), script], capture_output=True, text=True, timeout=60,
                          env=environment(mpi_is, **variables))
    found = re.findall(r"^[0-9a-f]+$", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and len(found) == processes, done.stderr
    return set(found)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells where things are")
def test_more_processes_than_cores_are_laid_out_alike(fake_mpirun, tmp_path):
    here = len(os.sched_getaffinity(0))
    start = 'while [ "$1" != "-n" ]; do shift; done; n=$2; while [ "${1##*/}" = "${1##*python}" ]; do shift; done'
    run = fake_mpirun("mpich", f'{start}\nfor _ in $(seq "$n"); do "$@"; done')
    program = "from netac.comm.launch.addresses import lay_out_alike; print(lay_out_alike(2, 1))"
    can = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60).stdout
    if can != "True\n":
        pytest.skip("this system does not let a program choose")
    assert len(addresses(run, 4 * here, tmp_path)) == 1
    assert len(addresses(run, 4 * here, tmp_path, **{KEEP: "1"})) > 1
    assert not lay_out_alike(2, 0) and not lay_out_alike(2, 2)
