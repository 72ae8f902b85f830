"""What hearers remember of their neighbours: the last value that has come over each link."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netac.comm.exchange import SECONDS, Condition, Exchange, Phase
from netac.comm.link_rows import LinkRows


def holding(conditions: Sequence[Condition], but: Condition) -> list[str]:
    """The names of those, other than one, that lose messages or hold them back, and do not tell the time alone."""
    return [other.name for other in conditions if other is not but and other.columns != (SECONDS,)
            and other.phase in (Phase.SEND, Phase.DELAY, Phase.LINK)]


def use_last_heard(condition: Condition, exchange: Exchange) -> None:
    """Where nothing has arrived, what came last over the link stands in for it: y_ij, the last x_j that i received.

    Kept by `condition` for each `exchange.what`, (W,) and whether there is one; where there is none, nothing arrives.
    """
    W = exchange.received.shape[1]
    kept = condition.link_rows.setdefault(f"heard_{exchange.what}",
                                          LinkRows(len(exchange.agents), W + 1, exchange.received.dtype))
    places, came = kept.of(exchange.links), exchange.arrived
    kept.flat[places[came], :W] = exchange.received[came]
    kept.flat[places[came], W] = 1.0
    missing = np.flatnonzero(~came)
    if len(missing):
        last, exchange.received = kept.flat[places[missing]], exchange.received.copy()
        exchange.received[missing] = last[:, :W]
        exchange.arrived[missing] = last[:, W] > 0
