"""Push-sum: agents also mix a weight w and read x / w, so that directed graphs and lost messages keep the average.

Agent j with d_j listeners gives each of them, and keeps, the share a_j = 1 / (1 + d_j) of its x_j and of its w_j, which
is 1 at first (Kempe, Dobra and Gehrke, 2003).  In an exchange of the values v the algorithm holds,

    x_i <- x_i + s_i (v_i - z_i)                            what the algorithm has changed; x_i = v_i the first time
    x_i <- a_i x_i + sum over j that i hears of a_j x_j,    w_i <- a_i w_i + sum over j that i hears of a_j w_j
    z_i  = x_i / w_i                                        what the algorithm goes on with

so that a step counts once in the sum of all x, whatever the agent's w (Nedic and Olshevsky, 2015, "Distributed
optimization over time-varying directed graphs"), and the z agree on the average of all that was put in, on every graph
that is strongly connected over time.  The weights of the topology are not used.  s_i = min(1, amplify w_i): an agent
whose w is small, since it is hardly heard of or messages to it are lost, moves by at most `amplify` times its step.

With conditions that lose messages or hold them back, what travels are sums over all exchanges so far, sigma_j of
a_j (x_j, w_j).  Its listener keeps rho_ij, the last that it has received, and takes sigma_j - rho_ij on arrival: what
was lost comes with the next message, and nothing that agents put in disappears (Hadjicostis, Vaidya and
Dominguez-Garcia, 2016; Bof, Carli and Schenato, 2017).  What is older than rho_ij, told by its w, is passed over.  The
sum is the same for all listeners, and these the same in all exchanges: the graph must not change.  An agent that sends
nothing gives nothing away, nor does one whose share would be lost in the rounding of its sum: where somebody cannot be
reached for about a hundred exchanges, nearly all is under way to it, and the others no longer hear of each other.

It is all in double precision, and kept for each name under which something is exchanged; the rounds of an iteration go
on with it.  Sums over neighbours, which dinno-ppo and matrpo ask for, are exchanged as without push-sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from pydantic import Field

from netac.comm.conditions._memory import holding
from netac.comm.exchange import Condition, Exchange, Phase, Surroundings
from netac.comm.link_rows import LinkRows
from netac.comm.plan import Plan
from netac.utils.errors import InputError
from netac.utils.options import Options

REFUSED = {
    Phase.WHOLE: "both make something else of all that is exchanged",
    Phase.SAY: "nothing bounds what an untrue weight w does",
    Phase.NOISE: "noise on the weights w would make or destroy what agents have put in",
    Phase.ENCODE: "the weights w, and the sums that travel, must arrive as they were sent",
    Phase.MIX: "both say what agents make of what has arrived"}
DRIFTS = "it drifts"                                   # in notes of conditions that move the mean of what is mixed
SMALLEST, LEAST = 1e-100, 2.0**-40                     # share of w that is given away, and as a part of the sum of all


class Settings(Options):
    """Options of `push-sum`."""

    amplify: float = Field(4.0, ge=1, allow_inf_nan=False, description=(
        "by how much an agent's own step may grow in what it holds where its weight w is small, >= 1"))


class PushSum(Condition):
    """See the module.  Rows: `held`, (x, w) of each agent; `given`, sigma.  Link rows: `heard`, rho."""

    phase = Phase.WHOLE
    unlike = MappingProxyType({
        "event-trigger": "what travels changes in every exchange, whatever the agents' values do"})

    def __init__(self, settings: Settings, around: Surroundings):
        self._amplify, self._static, self._summing = settings.amplify, around.topology.period == 1, False

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Refuse what it does not go with, and see whether messages may be lost."""
        where = f"network.{self.name}"
        for other in conditions:
            if other is not self and other.phase in REFUSED:
                raise InputError(f"does not go with {other.name}: {REFUSED[other.phase]}", key=where,
                                 valid=f"{self.name} or {other.name}")
        for other in conditions:                                     # the mean that these say drifts is kept here
            other.notes = tuple(note for note in other.notes if DRIFTS not in note)
        held_back = holding(conditions, self)
        self._summing = bool(held_back)
        self.keeps = (4.0, 2.0) if held_back else (2.0, 0.0)       # in messages of single precision
        if held_back and not self._static:
            raise InputError(
                f"does not go with {held_back[0]} on a graph that changes: what was lost comes with a later message, "
                "as part of a sum that must be the same for all who have ever heard its sender", key=where,
                valid=f"a topology that does not change, or {self.name} without {', '.join(held_back)}")

    def depart(self, exchange: Exchange) -> None:
        """Tell the listeners their share, or the sum of all shares so far."""
        if exchange.sums:
            return
        held = self.rows[f"held_{exchange.what}"] = self._taken_in(exchange)
        sent = self._share(exchange)
        if self._summing:
            sent = sent + self.rows.setdefault(f"given_{exchange.what}", np.zeros_like(held))
        exchange.sent, exchange.bits = sent, np.full(len(sent), 8 * sent.shape[1] * sent.itemsize)

    def arrive(self, exchange: Exchange) -> None:
        """The ratio takes the place of the average."""
        if not exchange.sums:
            exchange.mix = self._mix

    def _taken_in(self, exchange: Exchange) -> np.ndarray:
        """(x, w) with what the algorithm has changed since the last exchange, (n, width + 1)."""
        held, values = self.rows.get(f"held_{exchange.what}"), exchange.values.astype(float)
        if held is None:
            return np.concatenate([values, np.ones((len(values), 1))], axis=1)
        counted = np.minimum(1.0, self._amplify * held[:, -1:])
        changed = values - _ratio(held, exchange)
        return np.concatenate([held[:, :-1] + counted * changed, held[:, -1:]], axis=1)

    def _share(self, exchange: Exchange) -> np.ndarray:
        """a_i (x_i, w_i), what each listener is given."""
        held, given = (self.rows.get(f"{kind}_{exchange.what}") for kind in ("held", "given"))
        assert held is not None, "taken in as the exchange began"
        share = held / (1.0 + _listeners(exchange))
        least = SMALLEST if given is None else np.maximum(SMALLEST, LEAST * given[:, -1:])
        return np.where(share[:, -1:] > least, share, 0.0)

    def _mix(self, exchange: Exchange) -> np.ndarray:
        """What is kept, and what has come; x / w of it, (n, width)."""
        name, share = exchange.what, self._share(exchange)
        if self._summing:
            given = self.rows[f"given_{name}"]
            total = np.where(exchange.sends[:, None], given + share, given)
            share, self.rows[f"given_{name}"] = total - given, total       # as it is heard of, with the sum's rounding
            come = self._news(exchange)
        else:
            come = np.where(exchange.arrived[:, None], exchange.received, 0.0)
        kept = self.rows[f"held_{name}"] - _listeners(exchange) * share
        held = self.rows[f"held_{name}"] = _summing(exchange.plan).apply(np.concatenate([kept, come]))
        return _ratio(held, exchange)

    def _news(self, exchange: Exchange) -> np.ndarray:
        """sigma_j - rho_ij of what has arrived and is newer than rho_ij, which it becomes; else 0: (L, width + 1)."""
        name, received = f"heard_{exchange.what}", exchange.received
        if name not in self.link_rows:
            self.link_rows[name] = LinkRows(len(exchange.agents), received.shape[1])
        place = self.link_rows[name].of(exchange.links)
        last = self.link_rows[name].flat[place]
        new = exchange.arrived & (received[:, -1] > last[:, -1])
        self.link_rows[name].flat[place[new]] = received[new]
        return np.where(new[:, None], received - last, 0.0)


def _listeners(exchange: Exchange) -> np.ndarray:
    """d_i: (n, 1)."""
    return exchange.plan.degrees[exchange.agents.start:exchange.agents.stop, None]


def _ratio(held: np.ndarray, exchange: Exchange) -> np.ndarray:
    """z = x / w as numbers of the algorithm's kind: (n, width)."""
    return (held[:, :-1] / held[:, -1:]).astype(exchange.values.dtype)


def _summing(plan: Plan) -> Plan:
    """Over own values and, below them, what came over each link: the sum of all that is an agent's."""
    return replace(plan.by_link, weights=np.ones_like(plan.weights))


def make(settings: Settings, around: Surroundings) -> PushSum:
    """The condition."""
    return PushSum(settings, around)
