"""The names that a graph's file gives to agents, and agents in a message's words.

A reader of files leaves them in the graph (`graph.graph`), with what there is to tell the user of how it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from netac.topology.edges import Graph
from netac.utils.errors import short

if TYPE_CHECKING:
    import networkx as nx

_LABELS, _NOTES = "netac: labels", "netac: notes"

Labels = Sequence[str]
"""The label of every agent; empty where agents are called what they are, 0..n-1."""


def give(graph: nx.Graph, labels: Labels, notes: Sequence[str]) -> None:
    """Leaves labels, and notes for the user, in a graph that was read from a file."""
    named = any(label != str(agent) for agent, label in enumerate(labels))
    graph.graph.update({_LABELS: tuple(labels) if named else (), _NOTES: tuple(notes)})


def labels_of(graph: nx.Graph) -> Labels:
    """The labels that a file gave to a graph's agents."""
    return graph.graph.get(_LABELS, ())


def notes_of(graph: nx.Graph) -> tuple[str, ...]:
    """What there is to tell of how a graph was read from its file."""
    return graph.graph.get(_NOTES, ())


def is_from_file(graph: Graph) -> bool:
    """Whether a reader of files made this graph."""
    return _LABELS in getattr(graph, "graph", {})


def agent(i: int, labels: Labels) -> str:
    """"agent 3", or "agent 3 ('Paris')" where the file calls it so."""
    return f"agent {i}{_in_brackets(i, labels)}"


def edge(u: int, v: int, labels: Labels) -> str:
    """"edge (0, 3)", or "edge (0, 3) ('Rome', 'Paris')" where the file calls them so."""
    named = f" ({_quoted(labels[u])}, {_quoted(labels[v])})" if labels else ""
    return f"edge ({u}, {v}){named}"


def agents_set(agents: Iterable[int], labels: Labels = (), most: int = 8) -> str:
    """The set in a message's words: "{0, 1, 2}", with labels "{0 ('Rome'), 3 ('Paris')}"; cut to `most` members."""
    members = sorted(int(i) for i in agents)
    more = f", ... {len(members)} agents" if len(members) > most else ""
    return "{" + ", ".join(f"{i}{_in_brackets(i, labels)}" for i in members[:most]) + more + "}"


def listed(labels: Sequence[str], most: int = 6) -> str:
    """Labels in a message's words: "'Rome', 'Paris'", cut to `most`."""
    return ", ".join(map(_quoted, labels[:most])) + (", ..." if len(labels) > most else "")


def _in_brackets(i: int, labels: Labels) -> str:
    return f" ({_quoted(labels[i])})" if labels else ""


def _quoted(label: str) -> str:
    return short(label, 40)
