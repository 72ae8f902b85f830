"""Runs small experiments under network conditions, on the processes of this launch; process 0 prints the results.

With a folder: goes on there with the runs that were stopped.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.conditions import NAMES, NEURAL, experiment, under
from support.variants import fingerprint

import netac
from netac.comm import launch

comm = launch.communicator()
found = {}
for name in [*NAMES, *NEURAL]:
    out = Path(sys.argv[1]) / name if len(sys.argv) > 1 else None
    if experiment(name)["agents"] >= comm.size and (out is None or out.exists()):
        with under(name):
            found[name] = fingerprint(netac.run(experiment(name), out=out, resume=out is not None))
if comm.rank == 0:
    print(json.dumps(found))
