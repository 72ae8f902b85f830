"""Every blocking call of MPI in netac is one that the watchdog can see into."""

from __future__ import annotations

import re

import pytest
from support.launching import ROOT

pytest.importorskip("mpi4py")

WAITS_FOR_NOBODY = {"Abort", "Irecv", "Isend", "Iprobe", "Ibarrier", "Allgather_init", "Allgatherv_init"}


def test_blocking_calls_are_those_of_a_patient_communicator():
    from netac.comm.waiting import _patient
    called = {name for path in (ROOT / "netac").rglob("*.py") if path.name != "waiting.py"
              for name in re.findall(r"(?:comm|alone|COMM_WORLD)\.([A-Za-z_]+)\(", path.read_text())}
    assert "Allgather" in called and called - WAITS_FOR_NOBODY - set(vars(_patient())) == set()
