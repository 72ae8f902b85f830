"""The tensors of networks: which are shared and which personal, and where they lie in an agent's row."""

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


class UnlikeAgentsError(InputError):
    """Agents that should share a layer have it in different shapes."""


def arrange(shapes: Sequence[dict[str, tuple[int, ...]]], patterns: Sequence[str], names: Sequence[str],
            key: str) -> list[Tensors]:
    """The tensors of all agents, those whose names match one of `patterns` first, in the order agent 0 has them.

    Args:
        shapes: every agent's tensors by name.
        names: what the environment calls the agents.
        key: the key at fault, for errors.

    Raises:
        InputError: a pattern matches nothing.
        UnlikeAgentsError: what is shared differs between two agents.  What would be valid is not said, since that
            depends on the algorithm.
    """
    shared_first(list(dict.fromkeys(name for own in shapes for name in own)), patterns, key)
    first = _matching(shapes[0], patterns)
    arranged: dict[tuple, Tensors] = {}
    for agent, own in enumerate(shapes):
        if (kind := tuple(own.items())) in arranged:
            continue
        shared = _matching(own, patterns)
        for name in [*first, *shared]:
            if first.get(name) != shared.get(name):
                one, other = first.get(name, "missing"), shared.get(name, "missing")
                raise UnlikeAgentsError(
                    f"agent 0 ({names[0]}) and agent {agent} ({names[agent]}) cannot share the layer {name}, which is "
                    f"{one} in the first and {other} in the second", key=key)
        personal = {name: shape for name, shape in own.items() if name not in first}
        arranged[kind] = Tensors(first | personal, len(first))
    return [arranged[tuple(own.items())] for own in shapes]


def describe(what: str, tensors: Sequence[Tensors]) -> str:
    """Which tensors are shared and which personal, with shapes and counts; agents that hold the same are told once."""
    lines, first = [], 0
    for own, group in groupby(tensors):
        last = first + len(list(group)) - 1
        several = f", agents {first}-{last}" if last > first else f", agent {first}"
        who = "" if last - first + 1 == len(tensors) else several
        lines.append(f"{what}{who}: {sum(own.sizes):,} parameters")
        lines += [f"  {part} ({sum(map(prod, shapes.values())):,}): "
                  + ", ".join(f"{name} {' x '.join(map(str, shape)) or '1'}" for name, shape in shapes.items())
                  for part, shapes in own.parts()]
        first = last + 1
    return "\n".join(lines)


def _matching(shapes: dict[str, tuple[int, ...]], patterns: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
