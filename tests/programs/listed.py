"""Runs the experiments of a JSON file on the processes of this launch; process 0 prints what came of each, by its name.

The file holds a list of {"name", "experiment", "out"}; with `out`, the run that was stopped there is resumed.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.variants import fingerprint

import netac
from netac.comm import launch

root = launch.communicator() is None or launch.communicator().rank == 0
found = {}
for each in json.loads(Path(sys.argv[1]).read_text()):
    out = each.get("out")
    found[each["name"]] = fingerprint(netac.run(each["experiment"], out=out, resume=out is not None))
if root:
    print(json.dumps(found))
