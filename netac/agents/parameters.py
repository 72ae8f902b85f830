"""All that a process's agents keep from one iteration to the next: one flat buffer, of which consensus sends a slice.

Row i is agent i.  It holds the parameters, mu, omega, lambda and theta (its shared part first), and the state that the
algorithm declares: arrays of shapes such as `like("theta")`, all 0 at the start.  The order of a row makes one run of
what consensus averages:

    [mu, omega, lambda, if not mixed | mixed state | mu, omega, lambda, if mixed | theta | state that is not mixed]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from netac.agents.alignment import NUMBERS, aligned
from netac.utils.errors import InputError

PARAMETERS = ("mu", "omega", "lam", "theta")        # in the row's order, where nothing is mixed
PARTS = (*PARAMETERS, "shared", "personal")         # with the two parts of theta
MIXABLE = ("mu", "omega", "lam", "shared")
WORDS = {"mu": "mu (average reward)", "omega": "omega (value weights)", "lam": "lambda (reward model)",
         "theta": "theta (policy)"}


@dataclass(frozen=True)
class Shape:
    """The shape of an array that every agent keeps; see `like`, `numbers` and `per_edge`.

    Attributes:
        parts: the quantities it has the sizes of, side by side: names of `PARTS`, or "mixed" for all parameters that
            are mixed.
        size: how many numbers it has where it is like no quantity.
        edges: whether there are N of them, one for every agent that may be a neighbour.
        dtype: type of the numbers; None: that of the parameters, in whose row it then lies.
    """

    parts: tuple[str, ...] = ()
    size: int = 1
    edges: bool = False
    dtype: str | None = None


def like(part: str, *parts: str, dtype: str | None = None) -> Shape:
    """As many numbers as these quantities have together, (n, size), e.g. like("omega", "lam"), like("mixed")."""
    return Shape((part, *parts), dtype=dtype)


def numbers(size: int, dtype: str | None = None) -> Shape:
    """So many numbers, (n, size)."""
    return Shape(size=size, dtype=dtype)


def per_edge(*parts: str, dtype: str | None = None) -> Shape:
    """One number for each of the N agents, (n, N), or a copy of these quantities for each, (n, N, size).

    Entry j of agent i's row is what i keeps about j; only neighbours' entries are of use, the others stay 0.
    """
    return Shape(parts, edges=True, dtype=dtype)


@dataclass(frozen=True)
class Layout:
    """The sizes of an agent's parameters and state, and their columns in its row.

    Attributes:
        mu, omega, lam, theta: sizes of the average reward (0 or 1), the value weights, the reward model's weights and
            the policy.
        shared: how many coordinates of theta are shared (they come first).
        mixed: what consensus averages: names of `MIXABLE` and of state.
        state: what the algorithm keeps besides, by name.
        agents: N, of all processes, for what is kept for every edge.
        dtype: float64, or float32 for networks.

    Raises:
        InputError: the algorithm's requirements name what there is not.
    """

    omega: int
    lam: int
    theta: int
    shared: int
    mu: int = 0
    mixed: tuple[str, ...] = ()
    state: Mapping[str, Shape] = field(default_factory=dict)
    agents: int = 1
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for name, shape in self.state.items():
            if name in (*PARTS, "mixed"):
                raise InputError("the algorithm declares state under the name of a parameter", key="requirements.state",
                                 found=name)
            for part in shape.parts:
                _refuse_unless(part, (*PARTS, "mixed"), f"requirements.state.{name}")
        for name in self.mixed:
            _refuse_unless(name, (*MIXABLE, *self._in_rows), "requirements.mixed")

    @property
    def names(self) -> tuple[str, ...]:
        """What the row holds, in its order."""
        before, kept, mixed = PARAMETERS[:-1], self._in_rows, set(self.mixed)
        return (*(name for name in before if name not in mixed), *(name for name in kept if name in mixed),
                *(name for name in before if name in mixed), PARAMETERS[-1],
                *(name for name in kept if name not in mixed))

    @property
    def _in_rows(self) -> list[str]:
        return [name for name, shape in self.state.items() if shape.dtype is None]

    @cached_property
    def total(self) -> int:
        """Length of a row."""
        return self._padded(self.columns[self.names[-1]].stop)

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Columns of everything in the row, of the two parts of theta, and of what is mixed."""
        columns = dict(zip(self.names, self._side_by_side([self.width(name) for name in self.names]), strict=True))
        first, last = columns["theta"].start, columns["theta"].stop
        columns |= {"shared": slice(first, first + self.shared), "personal": slice(first + self.shared, last)}
        run = [columns[name] for name in (*self.names, "shared") if name in self.mixed]
        columns["mixed"] = slice(run[0].start, run[-1].stop) if run else slice(0, 0)
        return columns

    @property
    def within_mixed(self) -> list[slice]:
        """Where the parameters that are mixed lie in what is mixed; omega, lambda and the shared part of theta."""
        first = self.columns["mixed"].start
        return [slice(column.start - first, column.stop - first)
                for column in (self.columns[name] for name in MIXABLE if name in self.mixed)]

    def width(self, name: str) -> int:
        """How many columns a parameter, or a state, takes."""
        shape = self.state.get(name)
        if shape is None:
            return self._size(name)
        size = self.size(shape)
        return self.agents * (self._padded(size) if shape.parts else size) if shape.edges else size

    def size(self, shape: Shape) -> int:
        """How many columns a state takes, or the copy of it for one edge; such copies begin as quantities do."""
        return max((place.stop for place in self.places(shape)), default=0)

    def places(self, shape: Shape) -> list[slice]:
        """Where the quantities that a state is like lie in it: one after the other, as in a row."""
        mixed = [name for name in MIXABLE if name in self.mixed]
        names = [name for part in shape.parts for name in (mixed if part == "mixed" else [part])]
        return self._side_by_side([self._size(name) for name in names] if shape.parts else [shape.size])

    def owner(self, column: int) -> str:
        """What a column belongs to, in the words of messages."""
        return next(WORDS.get(name, name) for name in self.names
                    if self.columns[name].start <= column < self.columns[name].stop)

    def _size(self, part: str) -> int:
        return self.theta - self.shared if part == "personal" else getattr(self, part)

    def _side_by_side(self, sizes: list[int]) -> list[slice]:
        """Columns of quantities of these sizes."""
        columns, end = [], 0
        for size in sizes:
            first = self._padded(end)
            end = first + size
            columns.append(slice(first, end))
        return columns

    def _padded(self, size: int) -> int:
        """Where the next quantity begins: in single precision at a multiple of 64 bytes, for the networks' kernels."""
        return -(-size // NUMBERS) * NUMBERS if self.dtype == "float32" else size


class Parameters:
    """The buffer `flat` (n, total), zeros between its quantities, and views of its columns, all made once.

    Attributes:
        mu, omega, lam, theta: (n, size) the parameters; shared, personal: (n, size) the parts of theta.
        mixed: (n, width) what consensus averages.
        beside: state whose numbers are of another type, (n, width) each, by name.

    `x["y"]` is the state y: (n, size); (n, N) or (n, N, size) for edges.  `x.parts("y")` are its parts, one for each
    quantity that it is like, along its last axis.  Between them `x["y"]` has zeros where the row has some.
    """

    def __init__(self, layout: Layout, agents: int):
        self.layout = layout
        gaps = layout.dtype == "float32"
        self.flat = aligned(agents, layout.total) if gaps else np.zeros((agents, layout.total))
        columns = layout.columns
        self.mu, self.omega, self.lam, self.theta, self.shared, self.personal, self.mixed = (
            self.flat[:, columns[name]] for name in (*PARTS, "mixed"))
        self.beside = {name: np.zeros((agents, layout.width(name)), shape.dtype)
                       for name, shape in layout.state.items() if shape.dtype is not None}
        self._state = {name: self._shaped(name, shape) for name, shape in layout.state.items()}
        held = [columns[name] for name in layout.names if name in PARAMETERS and getattr(layout, name)]
        self._held = [self.flat[:, column] for column in held]
        self._run = None             # all of them at once, where they follow each other
        if held and not gaps and all(one.stop == other.start for one, other in pairwise(held)):
            self._run = self.flat[:, held[0].start:held[-1].stop]
            self._steps = np.empty_like(self._run)

    def _shaped(self, name: str, shape: Shape) -> np.ndarray:
        rows = self.flat[:, self.layout.columns[name]] if shape.dtype is None else self.beside[name]
        if not (shape.edges and shape.parts):
            return rows
        N = self.layout.agents
        return rows.reshape(len(rows), N, rows.shape[1] // N)[..., :self.layout.size(shape)]

    def __getitem__(self, name: str) -> np.ndarray:
        """The state of this name."""
        return self._state[name]

    def parts(self, name: str) -> tuple[np.ndarray, ...]:
        """The parts of the state of this name, in the order in which `like` names them ("mixed": the row's)."""
        return tuple(self._state[name][..., place] for place in self.layout.places(self.layout.state[name]))

    def add(self, *steps: np.ndarray) -> None:
        """Add to the parameters: steps (n, size) of all that agents hold of them, in the row's order."""
        if self._run is not None:
            self._run += np.concatenate(steps, axis=1, out=self._steps)
        else:
            for part, step in zip(self._held, steps, strict=True):
                part += step

    def hashed(self) -> bytes:
        """theta, omega, lambda and mu of every agent in turn, little-endian: what `parameters_sha256` covers."""
        rows = np.concatenate([self.theta, self.omega, self.lam, self.mu], axis=1)
        return np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).tobytes()


def _refuse_unless(name: str, valid: tuple[str, ...], key: str) -> None:
    """Refuse a name in an algorithm's requirements."""
    if name not in valid:
        raise InputError("the algorithm's requirements name what there is not", key=key, found=name,
                         valid=", ".join(valid))
