"""What must be the same in every process is compared: an environment that goes two ways ends the run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from netac.comm import checkpoints

PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.mark.parametrize("how", ["states", "rewards"])
def test_an_environment_that_goes_another_way_on_one_process(how, mpirun, tmp_path):
    done = mpirun(2, [sys.executable, PROGRAMS / "unlike.py", how, tmp_path / "out"], env={"PYTHONPATH": str(PROGRAMS)})
    told = [line for line in done.stderr.splitlines() if line.startswith("netac: error: ")]
    assert done.returncode == 1 and len(told) == 1, done.stderr
    assert "unlike:Env: the environment" in told[0] and "rank 1 than on rank 0" in told[0], told
    assert "agents 2-3, iteration " in told[0]
    if how == "rewards":
        assert "iteration 50: " in told[0] and not checkpoints.existing(tmp_path / "out" / "checkpoints")


def test_versions_that_differ(mpirun, tmp_path):
    done = mpirun(2, [sys.executable, PROGRAMS / "unlike.py", "fingerprint"], env={"PYTHONPATH": str(PROGRAMS)})
    assert done.returncode == 2 and done.stderr.count("netac: error: ") == 1, done.stderr
    assert "version of numpy: is not the same on rank 1 (agents 1) as on rank 0 (found '2.1'; valid: 2.0" in done.stderr
