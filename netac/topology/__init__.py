"""Time-varying graphs, their doubly stochastic weights, and the checks that theory asks of both.

    topology = load({"name": "periodic-complete", "period": 5}, agents=8)
    W = topology.matrix(t=4)
    certificate = certify(topology)

The certificate is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from netac.topology.certificate import Certificate, certify

__all__ = ["Certificate", "Topology", "certify", "describe", "describe_weights", "expected_extent", "load", "names",
           "options", "weight_names", "weight_options"]


def __getattr__(name: str) -> Any:
    if name not in ("Certificate", "certify"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from netac.topology import certificate
    return getattr(certificate, name)
