"""What a SUMO network file (.net.xml, .net.xml.gz) tells of its traffic signals: lanes, programmes, neighbours.

SUMO itself is not needed to read it.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from xml.etree import ElementTree

from netac.utils.errors import InputError
from netac.utils.files import os_words

GREEN, RED = "Gg", "rs"            # "s": red, but who turns right may go after a stop
ON_FOOT = {"crossing", "walkingarea", "internal"}                # functions of edges that are no roads
GREEN_SECONDS, YELLOW_SECONDS = (5.0, 50.0), 3       # of an actuated green, and of yellow, where the file says nothing


@dataclass(frozen=True)
class SignalPhase:
    """One phase of a signal's programme in the file.

    Attributes:
        state: a letter for every link: G and g green, y yellow, r red, s red with a stop for who turns right.
        duration: seconds.
        shortest, longest: seconds, of an actuated programme.
    """

    state: str
    duration: float
    shortest: float
    longest: float

    @property
    def is_green(self) -> bool:
        """Whether somebody has green and nobody yellow."""
        return "y" not in self.state and any(letter in GREEN for letter in self.state)


@dataclass(frozen=True)
class Signal:
    """A traffic signal, which may control several crossings.

    Attributes:
        name: its id in the file.
        phases: its programme.
        lanes: those that it lets into its crossings, in the order of its links.
        lengths: theirs, metres.
        leaving: the lanes out of its crossings.
    """

    name: str
    phases: tuple[SignalPhase, ...]
    lanes: tuple[str, ...]
    lengths: tuple[float, ...]
    leaving: tuple[str, ...]

    @classmethod
    def of(cls, said: dict[str, Any]) -> Signal:
        """From the dictionary and lists that JSON makes of it."""
        return cls(said["name"], tuple(SignalPhase(**phase) for phase in said["phases"]), tuple(said["lanes"]),
                   tuple(said["lengths"]), tuple(said["leaving"]))

    @property
    def greens(self) -> tuple[str, ...]:
        """The states of its green phases, each once, in the programme's order."""
        return tuple(dict.fromkeys(phase.state for phase in self.phases if phase.is_green))

    @property
    def yellow(self) -> int:
        """Whole seconds of its longest yellow phase; 3 where there is none."""
        return max((round(phase.duration) for phase in self.phases if "y" in phase.state), default=YELLOW_SECONDS)

    @property
    def seen(self) -> int:
        """How many numbers its agent sees: the phase, whether it may change, two for each lane."""
        return len(self.greens) + 1 + 2 * len(self.lanes)


@dataclass(frozen=True)
class Roads:
    """Signals of a network, in the file's order, and between which of them a road runs.

    Attributes:
        neighbours: of every signal, by name, those that a road leads to without passing another signal, or from.
    """

    signals: tuple[Signal, ...]
    neighbours: dict[str, tuple[str, ...]]


def read_roads(path: Path, key: str = "env.net") -> Roads:
    """The signals of a network file.

    Raises:
        InputError: it is not a SUMO network, or has no traffic signals.
    """
    found = _read(path, key)
    if not found.programmes:
        raise InputError("the network has no traffic signals", file=path, key=key, valid="a network with <tlLogic>")
    incoming: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
    for link in found.links:
        if link.signal is not None:
            incoming[link.signal][link.number] = f"{link.edge}_{link.lane}", f"{link.to}_{link.to_lane}"
    signals = []
    for name, phases in found.programmes.items():
        links = [lanes for _, lanes in sorted(incoming[name].items())]
        lanes = tuple(dict.fromkeys(lane for lane, _ in links if lane in found.lengths))
        leaving = tuple(dict.fromkeys(lane for _, lane in links if lane in found.lengths))
        signals.append(Signal(name, phases, lanes, tuple(found.lengths[lane] for lane in lanes), leaving))
        if not signals[-1].greens:
            raise InputError("a traffic signal has no green phase", file=path, key=key, found=name,
                             valid="programmes with phases that are green for somebody")
        if len({len(phase.state) for phase in phases}) > 1:
            raise InputError("the phases of a traffic signal are not equally long", file=path, key=key, found=name,
                             valid="a letter for every link in all of them")
    return Roads(tuple(signals), _neighbours(found))


@dataclass(frozen=True)
class _Link:
    """A way from a lane over a crossing to another; the signal that it heeds, and its number there."""

    edge: str
    lane: str
    to: str
    to_lane: str
    signal: str | None
    number: int


class _Found:
    """What is read of a network file: programmes by signal, lengths of the lanes of roads, links, roads' ends."""

    def __init__(self) -> None:
        self.programmes: dict[str, tuple[SignalPhase, ...]] = {}
        self.lengths: dict[str, float] = {}
        self.links: list[_Link] = []
        self.ends: dict[str, str | None] = {}

    def take(self, element: ElementTree.Element) -> None:
        """An element of the network, complete."""
        said = element.attrib
        if element.tag == "edge" and said.get("function") not in ON_FOOT:
            self.ends[said["id"]] = said.get("to")
            self.lengths |= {lane.attrib["id"]: float(lane.attrib["length"]) for lane in element.iter("lane")}
        elif element.tag == "connection" and not said["from"].startswith(":"):
            self.links.append(_Link(said["from"], said["fromLane"], said["to"], said["toLane"], said.get("tl"),
                                    int(said.get("linkIndex", "0"))))
        elif element.tag == "tlLogic" and said["id"] not in self.programmes:         # another programme of the same one
            self.programmes[said["id"]] = tuple(map(_phase, element.iter("phase")))


def _phase(element: ElementTree.Element) -> SignalPhase:
    said, usual = element.attrib, GREEN_SECONDS
    duration = float(said["duration"])
    plain = SignalPhase(said["state"], duration, duration, duration)
    if not plain.is_green:
        return plain
    shortest = float(said.get("minDur", usual[0]))
    return SignalPhase(plain.state, duration, shortest, max(shortest, float(said.get("maxDur", usual[1]))))


def _read(path: Path, key: str) -> _Found:
    found, depth = _Found(), 0
    try:
        with _opened(path) as file:
            for event, element in ElementTree.iterparse(file, ("start", "end")):
                depth += 1 if event == "start" else -1
                if event == "start" and depth == 1 and element.tag != "net":
                    raise InputError("is not a SUMO network", file=path, key=key, found=f"<{element.tag}>",
                                     valid="a file that netconvert or netedit has written, with <net>")
                if event == "end" and depth == 1:
                    found.take(element)
                    element.clear()
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", file=path, key=key) from error
    except (ElementTree.ParseError, EOFError, zlib.error, KeyError, ValueError) as error:
        text = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"is not a SUMO network: {text}", file=path, key=key,
                         valid="a file that netconvert or netedit has written") from error
    return found


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _neighbours(found: _Found) -> dict[str, tuple[str, ...]]:
    """Follow every road out of a signal's crossings, through crossings without signals, to the next ones."""
    onwards: dict[str, set[str]] = defaultdict(set)              # edge -> edges that links lead to
    heeded: dict[str, set[str]] = defaultdict(set)               # edge -> signals at its end
    for link in found.links:
        onwards[link.edge].add(link.to)
        if link.signal is not None:
            heeded[link.edge].add(link.signal)
    pairs = set()
    for name in found.programmes:
        out = {to for edge, signals in heeded.items() if name in signals for to in onwards[edge]}
        pairs |= {frozenset((name, other)) for other in _reached(out, onwards, heeded) if other != name}
    return {name: tuple(other for other in found.programmes if frozenset((name, other)) in pairs)
            for name in found.programmes}


def _reached(edges: Iterable[str], onwards: dict[str, set[str]], heeded: dict[str, set[str]]) -> set[str]:
    """The signals at which roads from these edges first end."""
    todo, seen, reached = list(edges), set[str](), set[str]()
    while todo:
        edge = todo.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if heeded.get(edge):
            reached |= heeded[edge]
        else:
            todo += onwards.get(edge, ())
    return reached
