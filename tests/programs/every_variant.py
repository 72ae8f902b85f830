"""Runs every variant that has at least as many agents as this launch has processes; process 0 prints what came out."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from variants import NAMES, experiment, fingerprint

import netac
from netac.processes import launch

if "old-mpi" in sys.argv:
    import old_mpi
    launch.communicator = old_mpi.communicator
comm = launch.communicator()
processes, root = (1, True) if comm is None else (comm.size, comm.rank == 0)
found = {}
for name in NAMES:
    tables = experiment(name)
    if processes <= tables["agents"]:
        result = netac.run(tables)
        found[name] = {"fingerprint": fingerprint(result),
                       **{key: result.summary[key] for key in ("parameters_sha256", "wire_messages", "wire_bytes")}}
if root:
    print(json.dumps(found))
