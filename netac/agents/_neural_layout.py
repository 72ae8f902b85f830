"""Where the tensors of every agent's network lie in its row of the flat buffer: shared ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate, groupby
from math import prod

from netac.agents.policies import shared_first
from netac.utils.errors import InputError


@dataclass(frozen=True)
class Tensors:
    """The tensors of one agent in stored order: those that are shared, then the personal ones.

    Attributes:
        shapes: by name.
        shared: how many tensors are shared.
    """

    shapes: dict[str, tuple[int, ...]]
    shared: int

    @property
    def places(self) -> dict[str, slice]:
        """The columns of each."""
        ends = list(accumulate(map(prod, self.shapes.values()), initial=0))
        return {name: slice(*ends[k:k + 2]) for k, name in enumerate(self.shapes)}

    @property
    def sizes(self) -> tuple[int, int]:
        """How many numbers are shared, and how many personal."""
        sizes = [prod(shape) for shape in self.shapes.values()]
        return sum(sizes[:self.shared]), sum(sizes[self.shared:])

    def parts(self) -> list[tuple[str, dict[str, tuple[int, ...]]]]:
        """The shared and the personal tensors, those parts that are not empty."""
        named = list(self.shapes.items())
        parts = [("shared", dict(named[:self.shared])), ("personal", dict(named[self.shared:]))]
        return [part for part in parts if part[1]]


def arrange(shapes: Sequence[dict[str, tuple[int, ...]]], patterns: Sequence[str], names: Sequence[str], key: str,
            hint: str) -> list[Tensors]:
    """The tensors of all agents, those whose names match one of `patterns` first, in the order agent 0 has them.

    Args:
        shapes: every agent's tensors by name.
        names: what the environment calls the agents.
        key, hint: of the error: the key at fault, and what would be valid.

    Raises:
        InputError: a pattern matches nothing, or what is shared differs between two agents.
    """
    shared_first(list(dict.fromkeys(name for own in shapes for name in own)), patterns, key)
    first = _matching(shapes[0], patterns)
    arranged: dict[int, Tensors] = {}
    for agent, own in enumerate(shapes):
        if id(own) in arranged:
            continue
        shared = _matching(own, patterns)
        for name in [*first, *shared]:
            if first.get(name) != shared.get(name):
                one, other = first.get(name, "missing"), shared.get(name, "missing")
                raise InputError(f"agent 0 ({names[0]}) and agent {agent} ({names[agent]}) cannot share the layer {name}, "
                                 f"which is {one} in the first and {other} in the second", key=key, valid=hint)
        arranged[id(own)] = Tensors(first | {name: shape for name, shape in own.items() if name not in first}, len(first))
    return [arranged[id(own)] for own in shapes]


def describe(what: str, tensors: Sequence[Tensors]) -> str:
    """Which tensors are shared and which personal, with shapes and counts; agents that hold the same are told once."""
    lines, first = [], 0
    for own, group in groupby(tensors):
        last = first + len(list(group)) - 1
        who = "" if last - first + 1 == len(tensors) else f", agents {first}-{last}" if last > first else f", agent {first}"
        lines.append(f"{what}{who}: {sum(own.sizes):,} parameters")
        lines += [f"  {part} ({sum(map(prod, shapes.values())):,}): "
                  + ", ".join(f"{name} {' x '.join(map(str, shape)) or '1'}" for name, shape in shapes.items())
                  for part, shapes in own.parts()]
        first = last + 1
    return "\n".join(lines)


def _matching(shapes: dict[str, tuple[int, ...]], patterns: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
