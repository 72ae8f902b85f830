"""Messages in few bits: plain, with error feedback, or by CHOCO; the conditions top-k, random-k, quantisation and sign.

C is the code (`_codes`), in which messages really travel between processes.

| `feedback` | agent i sends | x_i becomes |
| --- | --- | --- |
| "none" | C(x_i) | x_i + sum_j W_ij (C(x_j) - C(x_i)) |
| "choco" | q_i = C(x_i - x^_i) | x_i + gamma sum_j W_ij (x^_j - x^_i), after x^_j <- x^_j + q_j |
| "error" | as choco | as choco, with gamma = 1 |

x^_j, at first 0, is the public copy of x_j, which j and all its listeners keep; it stays while nobody hears j
(Koloskova, Stich and Jaggi, 2019, "Decentralized stochastic optimization and gossip algorithms with compressed
communication", Algorithm 1). What a message leaves out stays in the next difference: this is error feedback. All three
keep the mean of what is mixed where W is symmetric. Plain codes stop at a floor; feedback goes on to the exact average
where gamma is small enough for C and W: the default is sqrt(1 / (1 - delta)) - 1, at most 1, delta being what the code
is sure to keep of a message (or `typical`, where that says next to nothing), up to which the small-gain theorem with
||I - W||_2 <= 1 finds the loop of copy and average stable.

Messages of up to `FEW` numbers travel as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from netac.comm.conditions._codes import Code, Numbers
from netac.comm.exchange import BITS, Condition, Exchange, Phase
from netac.topology import Topology
from netac.utils.errors import InputError
from netac.utils.options import Options

FEW = 4
LONGEST_PERIOD = 1000        # iterations whose graphs are compared
PUBLIC = "public_"


class Compressed(Options):
    """Options that all codes have."""

    feedback: Literal["choco", "error", "none"] = Field("choco", description=(
        "choco: differences to a public copy, mixed with a step; error: the same with step 1; none: values"))
    step: float | None = Field(None, gt=0, le=1, allow_inf_nan=False, description=(
        "CHOCO's gamma, by which what is mixed moves towards the neighbours'; by default one that suits the code"))


class Compression(Condition):
    """See the module.

    Args:
        code: the encoding.
        settings: feedback and step.
        topology: whose graphs must be the same where copies are kept.
        typical: delta of the default step, where the code's own is next to nothing.
    """

    phase, columns, alters = Phase.ENCODE, (BITS,), True

    def __init__(self, code: Code, settings: Compressed, topology: Topology, typical: float | None = None):
        self._code, self._typical, self._step = code, typical, settings.step
        self._feedback = settings.feedback
        if settings.feedback != "choco" and settings.step is not None:
            raise InputError("is for feedback = \"choco\"", key="step", found=settings.step,
                             valid='feedback = "choco", or without step')
        self._copies: dict[str, np.ndarray] = {}                       # of what is heard from other processes
        self._checkpoint: dict[str, np.ndarray] = {}                   # all agents' public copies
        self._room: np.ndarray | None = None                           # for differences, of no meaning afterwards
        self.unlike = dict.fromkeys(CODES, "a message has one code") | {
            "push-sum": "it sends sums that grow, of which a code would lose the last digits"}
        if self.keeps_copies:
            self.keeps = 2.0, 0.0
            self.unlike |= dict.fromkeys(MISSED, "a listener that misses a difference no longer has the speaker's "
                                                 'public copy; feedback = "none" sends values')
            refuse_changing(topology)
        else:
            self.unlike |= dict.fromkeys(LOCATED, "what it leaves out does not cancel there, and agents run away; "
                                                  'feedback = "choco" sends what is left out later')

    @property
    def keeps_copies(self) -> bool:
        """Whether listeners must hear every message."""
        return self._feedback != "none"

    def gamma(self, width: int) -> float:
        """The step, for messages of this width."""
        if self._feedback == "error":
            return 1.0
        if self._step is not None:
            return self._step
        delta = self._typical or self._code.contraction(width)
        assert delta is not None, "codes that are no contraction are refused with feedback"
        return 1.0 if delta >= 0.75 else min(1.0, math.sqrt(1.0 / (1.0 - delta)) - 1.0)

    def depart(self, exchange: Exchange) -> None:
        """Encode."""
        sent, own = exchange.sent, np.array(exchange.agents)
        n, width = sent.shape
        if width <= FEW:
            return
        numbers = of_speakers(exchange, own)
        if self.keeps_copies:
            if (name := PUBLIC + exchange.what) not in self.rows:
                self.rows[name] = np.zeros_like(sent)
            public = self.rows[name]
            if self._room is None or self._room.shape != sent.shape or self._room.dtype != sent.dtype:
                self._room = np.empty_like(sent)
            packed = self._code.encode(np.subtract(sent, public, out=self._room), numbers)
            self._code.add(public, packed, numbers, exchange.messages > 0)
            told, exchange.gain = public, self.gamma(width)
        else:
            packed = self._code.encode(sent, numbers)
            told = self._code.decode(packed, width, sent.dtype, numbers)
        self._told = told
        exchange.packed, exchange.bits = packed, np.full(n, self._code.bits(width, sent.dtype))
        true = exchange.truthful
        exchange.own = told if true.all() else np.where(true[:, None], told, exchange.values)
        exchange.count(BITS, exchange.messages * exchange.bits)

    def arrive(self, exchange: Exchange) -> None:
        """Decode what came from other processes; what the agents here said is known already."""
        if exchange.packed is None:
            return
        width, dtype, plan = exchange.sent.shape[1], exchange.sent.dtype, exchange.plan
        here = self._told
        first, last = exchange.rows[:plan.own.start], exchange.rows[plan.own.stop:]
        if len(first) or len(last):
            there = np.concatenate([plan.agents[:plan.own.start], plan.agents[plan.own.stop:]])
            others = self._heard(exchange, there, np.concatenate([first, last]), width, dtype)
            exchange.rows = np.concatenate([others[:len(first)], here, others[len(first):]])
        else:
            exchange.rows = here
        exchange.held = here

    def _heard(self, exchange: Exchange, speakers: np.ndarray, packed: np.ndarray, width: int,
               dtype: np.dtype) -> np.ndarray:
        """What these agents of other processes say now, or their public copies: (m, W)."""
        numbers = of_speakers(exchange, speakers)
        if not self.keeps_copies:
            return self._code.decode(packed, width, dtype, numbers)
        if (what := exchange.what) not in self._copies:
            known = self._checkpoint.pop(what, None)
            self._copies[what] = np.zeros((len(packed), width), dtype) if known is None else known[speakers].copy()
        heard = np.ones(exchange.plan.needed, dtype=bool)
        heard[exchange.links.place[~exchange.said]] = False
        self._code.add(self._copies[what], packed, numbers, heard[np.searchsorted(exchange.plan.agents, speakers)])
        return self._copies[what]

    def restore(self, state: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray]) -> None:
        """The copies that listeners keep are those of the speakers."""
        self._copies = {}
        self._checkpoint = {name.removeprefix(PUBLIC): copies for name, copies in rows.items()}


CODES = ("top-k", "random-k", "quantisation", "sign")
LOCATED = ("trimmed-mean", "median")
MISSED = ("loss", "gilbert-elliott", "sleep", "loss-schedule", "delay")     # with which messages do not reach listeners


def of_speakers(exchange: Exchange, agents: np.ndarray) -> Numbers:
    """The random numbers of messages that `agents` (m,) send."""
    def numbers(draw: int, count: int) -> np.ndarray:
        return exchange.agent_uniforms(agents, count, draw)

    return numbers


def refuse_changing(topology: Topology) -> None:
    """Refuse graphs in which an agent has other listeners at some times than at others; it may have none.

    Raises:
        InputError: the graphs change.
    """
    period = topology.period
    first = None
    for t in range(min(period or 2, LONGEST_PERIOD)):
        matrix = topology.matrix(t)
        off = matrix.nnz - topology.agents
        if off and first is None:
            first = matrix
        elif off and first is not None and matrix is not first and not (
                np.array_equal(matrix.indptr, first.indptr) and np.array_equal(matrix.indices, first.indices)):
            break
    else:
        if period:
            return
    raise InputError("keeps a public copy at every listener, and here agents have other listeners from time to time",
                     key="feedback", found=topology.name, valid='feedback = "none", or a topology that does not change')
