"""Networks with conditions, as a table [network] makes them, for tests that mix without a run."""

from __future__ import annotations

from typing import Any

from netac import topology
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment import config


def network(table: dict[str, Any], agents: int, graph: str | dict[str, Any] = "ring", seed: int = 0,
            iterations: int = 10_000) -> Network:
    """A single process's network of so many agents under the conditions of the table."""
    tables = {"agents": agents, "iterations": iterations, "env": "coordination", "topology": graph, "algorithm": "cac",
              "network": table}
    experiment = config.read(tables).experiment()
    loaded = topology.load(experiment.topology, agents)
    conditions = experiment.network.make(loaded, iterations)
    return Network(loaded.matrix, Placement(agents), Ledger(agents), None, conditions, seed)
