"""Mixes wide messages on a ring of as many agents as processes, under each table [network] of a JSON file.

Process 0 prints, by name: messages and logical bytes of all agents, bytes that travelled between processes, and a hash
of what was mixed.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from support.conditioned import made

from netac import topology
from netac.comm import launch
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement

comm = launch.communicator()
found = {}
for name, (table, agents, width, kind) in json.loads(Path(sys.argv[1]).read_text()).items():
    placement = Placement(agents, *((1, 0) if comm is None else (comm.size, comm.rank)))
    ring, ledger = topology.load("ring", agents), Ledger(agents)
    network = Network(ring.matrix, placement, ledger, comm, made(ring, table), seed=5)
    x = np.random.default_rng(1).standard_normal((agents, width)).astype(kind)
    x = x[placement.local.start:placement.local.stop]
    for t in range(3):                                     # the first time between pairs, then in shared memory
        x = network.mix(t, x, rounds=2)
    gathered = network.gathering.rows(x)
    ledger.collect(placement, comm)
    wire = ledger.wire_bytes if comm is None else comm.allreduce(ledger.wire_bytes)
    network.close()
    if gathered is not None:
        found[name] = {"messages": int(ledger.consensus_messages.sum()), "bytes": int(ledger.consensus_bytes.sum()),
                       "wire": int(wire), "mixed": hashlib.sha256(gathered.tobytes()).hexdigest()}
if comm is None or comm.rank == 0:
    print(json.dumps(found))
