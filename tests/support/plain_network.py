"""Networks with conditions in plain loops, message by message: written from the docstrings of netac.comm.conditions."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from statistics import NormalDist
from typing import Any
from zlib import crc32

import numpy as np

from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment import network_table
from netac.topology import Topology
from netac.utils.streams import Purpose, pair_uniforms

SECOND = 10          # draws are of two numbers: (agent or link, less than this)


def made(graph: Topology, table: dict[str, Any], T: int = 1000, seed: int = 3, more=()) -> tuple[Network, Ledger]:
    """A network of one process with the conditions of a table [network], and `more` of them, and its ledger."""
    found = network_table.read(network_table.spelled_out(table), lambda each: each, lambda text, key: Path(text))
    conditions = sorted([*found.make(graph, T), *more], key=lambda each: each.phase)
    ledger = Ledger(graph.agents)
    return Network(graph.matrix, Placement(graph.agents), ledger, conditions=conditions, seed=seed), ledger


def counted(network: Network) -> dict[str, list[float]]:
    """What the network's conditions have counted, by column."""
    return {name: count.tolist() for name, count in (network.told() or {}).items()}


class PlainNetwork:
    """What a network with the conditions of `table`, with all their options spelled out, makes of values.

    Attributes:
        sent, lost, delayed: how many messages each agent has sent, not heard, and heard late.
    """

    def __init__(self, graph: Topology, table: dict[str, dict[str, Any]], seed: int = 3):
        self.graph, self.table, self.seed, self.N = graph, table, seed, graph.agents
        self.sent, self.lost, self.delayed = Counter(), Counter(), Counter()
        self.drawn: dict = {}
        self.course: dict = {}                              # of links: (t, bad)
        self.under_way: dict = defaultdict(list)            # (what, r, link) -> [(s, arrival, value)]
        if "loss-schedule" in table:
            with open(table["loss-schedule"]["path"]) as file:
                self.schedule = {(row["iteration"], row["hearer"], row["speaker"]) for row in csv.DictReader(file)}
        self.said: dict = {}                                # (what, agent) -> the value sent last
        self.heard: dict = {}                               # (condition, what, link) -> the value heard last

    def u(self, name: str, t: int, r: int, draw: int, first: int, second: int) -> float:
        key = crc32(name.encode()), t, r, draw
        if key not in self.drawn:       # all pairs at once: it saves time, and nothing else
            pairs = np.divmod(np.arange(self.N * self.N * SECOND), SECOND)
            self.drawn[key] = pair_uniforms(self.seed, Purpose.NETWORK, key, *pairs).reshape(-1, SECOND).tolist()
        return self.drawn[key][first][second]

    def exchange(self, t: int, r: int, what: str, x: np.ndarray, sums: bool = False) -> np.ndarray:
        W, N = self.graph.matrix(t).toarray(), self.N
        links = [(i, j) for i in range(N) for j in range(N) if i != j and W[i, j] != 0]
        listeners = Counter(j for _, j in links)
        deaf = {i for i in range(N) if self.asleep(t, i)}
        skips = "skip" in self.table and t % self.table["skip"]["every"] != 0
        sends = {i: i not in deaf and not skips and self.is_news(t, what, i, x[i], listeners[i]) for i in range(N)}
        for i in range(N):
            self.sent[i] += listeners[i] * sends[i]
            if sends[i]:
                self.said[what, i] = x[i].copy()
        if skips and not self.table["skip"]["hold"]:
            deaf = set(range(N))
        mixed = np.zeros(x.shape)
        by_sent = self.table.get("event-trigger", {}).get("own") == "sent"
        own = [self.said[what, i] if by_sent and (what, i) in self.said else x[i] for i in range(N)]
        for i in range(N):
            mixed[i] = 0.0 if sums else W[i, i] * x[i]
        for i, j in links:
            gone = self.is_lost(t, r, i, j) or i in deaf        # edges have their courses, whoever is deaf
            if gone and sends[j]:
                self.lost[i] += 1
            value = self.late(t, r, what, i, j, x[j].copy() if sends[j] and not gone else None)
            value = self.noisy(t, r, i, j, value)
            if self.table.get("skip", {}).get("hold"):
                value = self.heard_last("skip", what, i, j, value)
            if "event-trigger" in self.table:
                value = self.heard_last("event-trigger", what, i, j, value)
            if value is None or i in deaf:
                value = own[i]
            mixed[i] += (1.0 if sums else W[i, j]) * (x[i] + value - own[i])
        return mixed

    def asleep(self, t: int, i: int) -> bool:
        if "sleep" not in self.table:
            return False
        chosen = self.table["sleep"]
        if t < chosen["start"] or (chosen["end"] is not None and t >= chosen["end"]):
            return False
        if chosen["agents"] is not None and i not in chosen["agents"]:
            return False
        if chosen["fraction"] is not None:
            number = int(chosen["fraction"] * self.N + 0.5)
            if i not in sorted(range(self.N), key=lambda k: self.u("sleep", 0, 0, 1, k, 0))[:number]:
                return False
        return self.u("sleep", t, 0, 0, i, 0) < chosen["probability"]

    def is_news(self, t: int, what: str, i: int, x: np.ndarray, listeners: int) -> bool:
        if "event-trigger" not in self.table:
            return True
        chosen = self.table["event-trigger"]
        bound = chosen["threshold"] / (t + 1) ** chosen["decay"]
        if chosen["relative"]:
            bound *= max(abs(x))
        return listeners > 0 and ((what, i) not in self.said or max(abs(x - self.said[what, i])) > bound)

    def is_lost(self, t: int, r: int, i: int, j: int) -> bool:
        found = False
        if "loss" in self.table:
            chosen = self.table["loss"]
            pair = (min(i, j), max(i, j)) if chosen["both_ways"] else (i, j)
            found |= self.u("loss", t, r, 0, *pair) < chosen["probability"]
        if "gilbert-elliott" in self.table:
            chosen = self.table["gilbert-elliott"]
            pair = (min(i, j), max(i, j)) if chosen["both_ways"] else (i, j)
            a, b = chosen["to_bad"], chosen["to_good"]
            if (i, j) not in self.course:
                self.course[i, j] = t, self.u("gilbert-elliott", t, r, 0, *pair) < a / (a + b)
            elif self.course[i, j][0] < t:
                before, bad = self.course[i, j]
                P = np.linalg.matrix_power(np.array([[1 - a, a], [b, 1 - b]]), t - before)
                self.course[i, j] = t, self.u("gilbert-elliott", t, r, 0, *pair) < P[int(bad), 1]
            loss = chosen["bad_loss"] if self.course[i, j][1] else chosen["good_loss"]
            found |= self.u("gilbert-elliott", t, r, 1, *pair) < loss
        if "loss-schedule" in self.table:
            chosen = self.table["loss-schedule"]
            at = t if chosen["period"] is None else t % chosen["period"]
            found |= (str(at), str(i), str(j)) in self.schedule
        return bool(found)

    def late(self, t: int, r: int, what: str, i: int, j: int, value: np.ndarray | None) -> np.ndarray | None:
        if "delay" not in self.table:
            return value
        chosen, queue = self.table["delay"], self.under_way[what, r, i, j]
        if value is not None:
            d = chosen["iterations"]
            if d is None:
                least = chosen["least"] or 0
                d = least + int(self.u("delay", t, r, 0, i, j) * (chosen["most"] - least + 1))
            queue.append((t, t + d, value))
            self.delayed[i] += d > 0
        there = [(s, value) for s, arrival, value in queue if arrival <= t]
        return max(there, key=lambda each: each[0])[1] if there else None

    def noisy(self, t: int, r: int, i: int, j: int, x: np.ndarray | None) -> np.ndarray | None:
        if "noise" not in self.table or x is None:
            return x
        chosen, y = self.table["noise"], []
        scale = max(abs(x)) if chosen["relative"] else 1.0
        for k, number in enumerate(x.astype(float).tolist()):
            if chosen["deviation"]:
                g = NormalDist().inv_cdf(self.u("noise", t, r, 0, i * self.N + j, k))
                number += chosen["deviation"] * scale * g
            step = chosen["step"] * scale
            if step:
                shift = self.u("noise", t, r, 1, i * self.N + j, k) - 0.5 if chosen["rounding"] == "dithered" else 0.0
                number = step * (round(number / step + shift) - shift)
            y.append(number)
        return np.array(y)

    def heard_last(self, name: str, what: str, i: int, j: int, value: np.ndarray | None) -> np.ndarray | None:
        if value is not None:
            self.heard[name, what, i, j] = value
        return self.heard.get((name, what, i, j))
