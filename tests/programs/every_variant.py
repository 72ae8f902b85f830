"""Runs every variant that has at least as many agents as this launch has processes; process 0 prints what came out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from every import run_every
from support.variants import NAMES, experiment

from netac.comm import launch, shared_memory

if "old-mpi" in sys.argv:
    import old_mpi
    launch.communicator = old_mpi.communicator
    shared_memory.BUDGET = 0
run_every(NAMES, experiment, ("parameters_sha256", "wire_messages", "wire_bytes"))
