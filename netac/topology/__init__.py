"""Time-varying graphs, their doubly stochastic weights, and the checks that theory asks of both.

    topology = load({"name": "periodic-complete", "period": 5}, agents=8)
    W = topology.matrix(t=4)
    certificate = certify(topology)
"""

from netac.topology.certificate import Certificate, certify
from netac.topology.loading import (
    describe,
    describe_weights,
    expected_extent,
    load,
    names,
    options,
    weight_names,
    weight_options,
)
from netac.topology.sequence import Topology

__all__ = ["Certificate", "Topology", "certify", "describe", "describe_weights", "expected_extent", "load", "names",
           "options", "weight_names", "weight_options"]
