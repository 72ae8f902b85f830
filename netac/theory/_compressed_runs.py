"""Averaging with messages in few bits: one scheme on one graph (see `compressed_consensus`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.theory._condition_networks import network_of, off_mean
from netac.topology import load

BUCKET = 512                # values that share a scale, netac's default
TARGETS = (1e-3, 1e-6)      # of the first disagreement
GONE = 1e-12                # what is left of a disagreement that is gone
APART = 1e3                 # what it has grown to where agents come no nearer to each other for good
FIT = (1e-1, 1e-11)         # between which a straight line is laid through its logarithm


@dataclass(frozen=True)
class Scheme:
    """A way to write messages, and how they are mixed.

    Attributes:
        name: in tables.
        table: the table [network].
        kind: "choco", "error", "none": the feedback; "all" where messages are not compressed.
        to_the_end: whether it is followed until the disagreement is gone; else until the last of `TARGETS`.
    """

    name: str
    table: dict[str, Any]
    kind: str = "choco"
    to_the_end: bool = False

    def message_bits(self, width: int) -> int:
        """Bits of one message, from what it holds: all numbers of 64 bits.

        k values and their places, ceil(log2 W) bits each or a bit for every value; k values whose places both ends
        draw; a scale for each 512 values, then b bits, of signs one, for every value.
        """
        for condition, settings in self.table.items():
            options = settings if isinstance(settings, dict) else {}
            if condition in ("top-k", "random-k"):
                k = max(1, round(options.get("fraction", settings) * width))
                places = min(width, k * math.ceil(math.log2(width))) if condition == "top-k" else 0
                return 64 * k + places
            bits = 1 if condition == "sign" else options.get("bits", settings)
            return 64 * math.ceil(width / BUCKET) + bits * width
        return 64 * width

    @property
    def levels(self) -> int | None:
        """s, the steps from 0 to the scale, of plain quantisation of some bits; else None."""
        options = self.table.get("quantisation")
        return 2 ** (options["bits"] - 1) - 1 if self.kind == "none" and options else None


@dataclass(frozen=True)
class WithCode:
    """What one scheme did on one graph.

    Attributes:
        graph, n, degree: which graph, its agents and the neighbours of each of them.
        scheme: which scheme.
        message: bits of a message.
        disagreement: (rounds + 1,) ||x - mean x|| over the first.
        error: the largest distance of a value from the true mean, in the end.
        drift: the largest move of the mean, over the largest number so far.
        miscounted: the largest difference of the column compressed_bits from messages x bits of a message.
        floor: the predicted root mean square of the disagreement, over the first; None where there is none.
    """

    graph: str
    n: int
    degree: int
    scheme: Scheme
    message: int
    disagreement: np.ndarray
    error: float
    drift: float
    miscounted: float
    floor: float | None

    @property
    def rounds(self) -> int:
        """How many there were."""
        return len(self.disagreement) - 1

    def rounds_to(self, target: float) -> int | None:
        """Rounds until the disagreement was `target`; None: it was not."""
        there = self.disagreement <= target
        return int(there.argmax()) if there.any() else None

    def bits(self, rounds: float | None) -> float | None:
        """What an agent sends in so many rounds."""
        return None if rounds is None else rounds * self.degree * self.message

    @property
    def factor(self) -> float:
        """The factor of a round over the second half."""
        d, half = self.disagreement, self.rounds // 2
        return float((d[-1] / d[half]) ** (1.0 / (self.rounds - half)))

    @property
    def foretold(self) -> float | None:
        """Rounds to the last of `TARGETS`; where they were not done, if it goes on by `factor`; None if it does not, or
        has no feedback."""
        if (found := self.rounds_to(TARGETS[-1])) is not None:
            return found
        left = math.log(self.disagreement[-1] / TARGETS[-1])
        return self.rounds + left / -math.log(self.factor) if self.factor < 1.0 and self.scheme.kind != "none" else None

    @property
    def straightness(self) -> float:
        """R^2 of the straight line through log disagreement by rounds, within `FIT`; 0 where it did not get there."""
        d = self.disagreement
        within = np.flatnonzero((d <= FIT[0]) & (d >= FIT[1]))
        if d[-1] > FIT[1] or len(within) < 3:
            return 0.0
        return float(np.corrcoef(within, np.log(d[within]))[0, 1] ** 2)

    @property
    def settled(self) -> float:
        """The root mean square of the disagreement over the second half."""
        return float(np.sqrt(np.square(self.disagreement[len(self.disagreement) // 2:]).mean()))


def compressed(item: tuple[tuple[str, int], Scheme], width: int, rounds: int, seed: int) -> WithCode:
    """Random values of variance 1, mixed until their disagreement is small enough, or for so many rounds."""
    (name, n), scheme = item
    topology = load(name, n)
    W = topology.matrix(0).toarray()
    network, ledger = network_of(scheme.table, topology, seed)
    x = start = np.random.default_rng([seed, n]).normal(size=(n, width))
    mean, first = start.mean(axis=0), float(np.linalg.norm(off_mean(start)))
    largest, drift, course = float(np.abs(start).max()), 0.0, [1.0]
    end = GONE if scheme.to_the_end else TARGETS[-1]
    for t in range(rounds):
        x = network.mix(t, np.ascontiguousarray(x)).copy()
        course.append(float(np.linalg.norm(off_mean(x))) / first)
        largest = max(largest, float(np.abs(x).max()))
        drift = max(drift, float(np.abs(x.mean(axis=0) - mean).max() / largest))
        if course[-1] <= end or not course[-1] < APART:
            break
    message, messages = scheme.message_bits(width), ledger.consensus_messages
    counted = (network.told() or {}).get("compressed_bits", 8 * ledger.consensus_bytes)
    levels = scheme.levels
    floor = None if levels is None else floor_of(W, mean, levels) / first
    return WithCode(name, n, int(messages[0] // (len(course) - 1)), scheme, message, np.array(course),
                      float(np.abs(x - mean).max()), drift, float(np.abs(counted - messages * message).max()), floor)


def floor_of(W: np.ndarray, mean: np.ndarray, levels: int) -> float:
    """The predicted sqrt(E ||x - mean x||^2) on which plain quantisation stops: see `compressed_consensus`.

    Args:
        W: (n, n) symmetric, doubly stochastic.
        mean: (W,) the average that is looked for.
        levels: s.
    """
    modes = np.linalg.eigvalsh(W)[:-1]
    variance = sum(len(part) * (np.abs(part).max() / levels) ** 2 / 6.0
                   for part in np.split(mean, range(BUCKET, len(mean), BUCKET))) if levels else math.inf
    return float(np.sqrt(variance * ((1.0 - modes) / (1.0 + modes)).sum()))
