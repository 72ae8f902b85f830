"""Who talked to whom, computed anew from the experiment's topology, and its certificate: a run folder holds neither.

A run is looked at in stretches of iterations that begin and end with logged rows of `metrics.csv`, and its first
iterations one by one.  Over each the links that carry weight are counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from netac import topology
from netac.experiment import trust as trusting
from netac.experiment.report.lines import Pool
from netac.results.records import EXPERIMENT, RunRecord
from netac.topology.edges import links, rows_of
from netac.utils.errors import InputError, RunError

MOST_AGENTS, MOST_LINKS = 300, 4_000     # whose graphs are computed here, and that are drawn
MOST_CERTIFICATES = 20
STRETCHES = (40, 10, 4)                  # of a run; fewer where each takes much to tell
SINGLE = 24                              # iterations that are shown one by one
LOOKS, ALL_LOOKS = 2_000, 5_000          # graphs that are computed of one topology, and of all together
NUMBERS, OF_ONE = 1_500_000, 60_000      # counts that the page holds of all topologies, and of one


@dataclass(frozen=True)
class Counted:
    """How often each link carried a message, in stretches of iterations.

    Attributes:
        edges: (F + 1) the iterations at which stretches begin and end.
        hearer, heard: (E,) agents; "i hears j" as one entry.
        messages: (F, E) in how many iterations of each stretch it does.
        looked_at: (F,) how many graphs of each stretch were computed; where fewer than its iterations, messages are
            scaled up.
    """

    edges: np.ndarray
    hearer: np.ndarray
    heard: np.ndarray
    messages: np.ndarray
    looked_at: np.ndarray

    def pairs(self) -> tuple[list[list[int]], np.ndarray, bool]:
        """Pairs [from, to], their messages (F, pairs), and whether they have a direction: pairs of agents that always
        hear each other are one, with the messages of both."""
        both = {(i, j): k for k, (i, j) in enumerate(zip(self.hearer.tolist(), self.heard.tolist(), strict=True))}
        back = np.array([both.get((j, i), -1) for i, j in both], dtype=int)
        if (back < 0).any() or not np.array_equal(self.messages[:, back], self.messages):
            return [[j, i] for i, j in both], self.messages, True
        kept = self.hearer < self.heard
        return [[i, j] for i, j in both if i < j], self.messages[:, kept] + self.messages[:, back[kept]], False


@dataclass
class Topologies:
    """The topologies of an exhibition, each loaded and looked at once.

    Attributes:
        trust: whether the user says that code of the folders may be run.
        different: how many topologies there are.
        drawn: what the page draws: agents, pairs, stretches.
        certified: (certificate, its setups' labels) by topology.
    """

    trust: bool
    different: int
    drawn: list[dict[str, Any]] = field(default_factory=list)
    certified: dict[str, tuple[dict[str, Any], list[str]]] = field(default_factory=dict)
    _loaded: dict[str, topology.Topology] = field(default_factory=dict)
    _places: dict[tuple[str, bytes], int] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Sequence[RunRecord], trust: bool) -> Topologies:
        """Of these runs."""
        specs = {repr([record.experiment.get("topology"), record.experiment.get("agents")]) for record in records}
        return cls(trust, max(1, len(specs)))

    def load(self, record: RunRecord) -> tuple[str, topology.Topology]:
        """The topology of a run, and a key that those of other runs with the same one have, too.

        Raises:
            InputError: it cannot be had, or only by running code that this machine does not know.
            RunError: so for a file of the user's.
        """
        spec, agents = record.experiment.get("topology", "complete"), record.experiment.get("agents")
        if isinstance(agents, bool) or not isinstance(agents, int) or agents < 1:
            raise InputError("should be a whole number", file=record.folder / EXPERIMENT, key="agents", found=agents)
        if agents > MOST_AGENTS:
            raise InputError(f"graphs of more than {MOST_AGENTS} agents are not computed here", key="agents",
                             found=agents, valid=f"netac graph {record.folder / EXPERIMENT} certifies them")
        network = record.experiment.get("network", {})
        push_sum = isinstance(network, Mapping) and "push-sum" in network
        own = str(record.folder) if trusting.names_code(record.experiment) or _of_environment(spec) else ""
        key = json.dumps([spec, agents, push_sum, own], sort_keys=True, default=str)
        if key not in self._loaded:
            with trusting.gate(record.folder, record.experiment, self.trust).asked():
                self._loaded[key] = topology.load(spec, agents, folder=record.folder, push_sum=push_sum,
                                                  neighbours=partial(_environments, record))
        return key, self._loaded[key]

    def draw(self, key: str, loaded: topology.Topology, edges: np.ndarray, iterations: int) -> int | None:
        """The place in `drawn` of a topology in these stretches; None where there is too much to draw."""
        known = key, edges.tobytes()
        if known not in self._places:
            singles = np.arange(min(iterations, loaded.period or SINGLE, SINGLE) + 1)
            found = [counted(loaded, each, max(len(edges), min(LOOKS, ALL_LOOKS // self.different)))
                     for each in (edges, singles)[:1 if loaded.period == 1 else 2]]
            drawable = [each for each in found if each is not None]
            if len(drawable) < len(found):
                return None
            drawn = as_drawn(loaded, drawable)
            if sum(map(len, drawn["pool"])) > min(OF_ONE, NUMBERS // self.different):
                return None
            self._places[known] = len(self.drawn)
            self.drawn.append(drawn)
        return self._places[known]

    def certify(self, key: str, loaded: topology.Topology, label: str) -> None:
        """Note the certificate of a topology, for a setup with this label."""
        if key in self.certified:
            self.certified[key][1].append(label)
        elif len(self.certified) < MOST_CERTIFICATES:
            self.certified[key] = certificate(loaded), [label]


def certificate(loaded: topology.Topology) -> dict[str, Any]:
    """What `netac graph` prints, and whether it holds.

    Raises:
        InputError: the topology's function fails.
    """
    found = topology.certify(loaded)
    failures = found.problems + ([found.disconnected] if found.disconnected else [])
    return {"title": f"{loaded.name}, weights {loaded.weights}", "rows": found.as_rows(), "failures": failures,
            "note": found.note}


def counted(loaded: topology.Topology, edges: np.ndarray, looks: int = LOOKS) -> Counted | None:
    """How often each link carries weight in the stretches between these iterations; None where there are too many.

    Args:
        edges: (F + 1) iterations.
        looks: how many graphs may be computed.

    Raises:
        RunError: the topology's function fails.
    """
    times, weight, looked_at = _looks(loaded.period, edges, looks)
    codes, every = [], np.empty(0, np.int64)
    for t in times:
        codes.append(_links(loaded, t))
        every = np.union1d(every, codes[-1])
        if len(every) > MOST_LINKS:
            return None
    messages = np.zeros((len(edges) - 1, len(every)))
    for own, share in zip(codes, weight.T, strict=True):
        messages[:, np.searchsorted(every, own)] += share[:, None]
    hearer, heard = np.divmod(every, loaded.agents)
    return Counted(edges, hearer, heard, messages, looked_at)


def _links(loaded: topology.Topology, t: int) -> np.ndarray:
    """The links of iteration t, hearer N + heard, sorted: those that carry weight, or may, where finding the weights is
    a problem of its own."""
    if loaded.weights == "fastest":
        hearer, heard = links(loaded.as_given(t))
        return np.sort(hearer * loaded.agents + heard)
    W = loaded.matrix(t, checked=False)
    rows = rows_of(W)
    off = rows != W.indices
    return rows[off].astype(np.int64) * loaded.agents + W.indices[off]


def _looks(period: int | None, edges: np.ndarray, most: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """The iterations whose graphs are computed, how often each counts in each of F stretches, (F, looks), and how many
    of a stretch's own there are, (F,)."""
    lengths = np.diff(edges)
    if period is not None and period <= most:
        phases = np.arange(period)
        weight = np.diff((edges[:, None] - 1 - phases) // period, axis=0).astype(float)
        used = weight.any(axis=0)
        return phases[used].tolist(), weight[:, used], lengths
    own = [start + np.unique(np.linspace(0, length - 1, min(max(1, most // len(lengths)), length)).astype(int))
           for start, length in zip(edges, lengths, strict=False)]
    looked_at = np.array([len(times) for times in own])
    places = np.repeat(np.arange(len(lengths)), looked_at)
    weight = np.zeros((len(lengths), len(places)))
    weight[places, np.arange(len(places))] = (lengths / looked_at)[places]
    return np.concatenate(own).tolist(), weight, looked_at


def stretches(iterations: np.ndarray, most: int) -> np.ndarray:
    """The logged iterations at which stretches begin and end, from 0 on; at least two."""
    logged = np.unique(np.concatenate([[0], iterations[iterations >= 0]])).astype(np.int64)
    return logged[np.unique(np.linspace(0, len(logged) - 1, min(len(logged), most + 1)).astype(int))]


def as_drawn(loaded: topology.Topology, found: Sequence[Counted]) -> dict[str, Any]:
    """A topology as the page draws it: its stretches, and its first iterations."""
    pool, views = Pool(), []
    for each in found:
        pairs, messages, directed = each.pairs()
        frames = [{"from": int(start), "to": int(end), "messages": pool.add(np.round(row, 3)), "looks": int(looks)}
                  for start, end, row, looks in zip(each.edges, each.edges[1:], messages, each.looked_at, strict=False)]
        views.append({"pairs": pairs, "directed": directed, "frames": frames})
    return {"name": loaded.name, "agents": loaded.agents, "labels": [*map(str, loaded.labels)], "views": views,
            "pool": pool.rows}


def _of_environment(spec: Any) -> bool:
    """Whether agents talk over the environment's graph."""
    return spec == "environment" or (isinstance(spec, Mapping) and spec.get("name") == "environment")


def _environments(record: RunRecord, radius: float | None) -> Any:
    """The graph of the environment of a run, which is made for it."""
    from netac.experiment import config
    from netac.experiment.environment_graph import graph_of
    experiment = config.read(record.folder / EXPERIMENT).experiment()
    return graph_of(experiment, record.folder, radius)


def why_not(error: InputError | RunError) -> str:
    """Why graphs are not shown, in the words of the error."""
    if isinstance(error, InputError) and (error.valid or "").startswith("--trust"):
        return f"{error.problem}: {error.found}. netac report --trust runs it, once you know what it does."
    return str(error)
