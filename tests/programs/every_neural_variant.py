"""Runs every variant with networks that has as many agents as this launch has processes; process 0 prints what came out.

Given a folder, the runs in its subfolders are resumed instead of begun.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from neural_variants import NAMES, experiment
from variants import fingerprint

import netac
from netac.processes import launch

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
comm = launch.communicator()
processes, root = (1, True) if comm is None else (comm.size, comm.rank == 0)
found = {}
for name in NAMES:
    tables = experiment(name)
    if processes <= tables["agents"]:
        result = netac.run(tables, out=folder and folder / name, resume=folder is not None)
        found[name] = {"fingerprint": fingerprint(result), "wire_bytes": result.summary["wire_bytes"]}
if root:
    print(json.dumps(found))
