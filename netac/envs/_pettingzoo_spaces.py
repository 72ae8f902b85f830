"""Spaces of gymnasium as numbers: observations become single precision, actions become what the environment takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.utils.errors import InputError, short
from netac.utils.spaces import ActionSpace

try:
    from gymnasium import spaces
    from gymnasium.spaces.utils import flatdim
except ModuleNotFoundError as missing:
    raise InputError("PettingZoo environments need packages that are not installed", key="env", found=missing.name,
                     valid='pip install "netac[pettingzoo]"') from None

MASK = "action_mask"      # PettingZoo's word, of an entry of observations or of infos
IMAGE = 1000        # numbers of a part of an observation above which it is told of that it is flattened
ROUNDINGS = 8       # of its bound, in units of the last place, by which an observation may exceed it
READABLE = "Box, Discrete, MultiBinary, MultiDiscrete, or a Dict or Tuple of these"


class ApiError(Exception):
    """The environment does not keep to PettingZoo's interface.

    Args:
        problem: what is wrong, a sentence without a full stop.
        mend: what would be right.
        agent: index of the agent concerned, if one is.
    """

    def __init__(self, problem: str, mend: str, agent: int | None = None):
        self.problem, self.mend, self.agent = problem, mend, agent
        super().__init__(problem)


def of_state(problem: str) -> str:
    """What is wrong with an observation, said of the global state, which is read as one."""
    return problem.replace("the observation", "state()", 1).replace("observation", "state()", 1)


# Observations are read here rather than by gymnasium: `space.contains(x)` and then `flatten(space, x)` take 2.4 times
# as long for a Box or a Dict of several spaces (0.7 times for a lone Discrete), and say only that something is wrong,
# not what and where; `flatten` alone takes 0.2 to 0.8 times as long, but casts to the space's dtype and looks at
# neither shapes nor values.


@dataclass(frozen=True)
class Choices:
    """The values of a leaf of whole numbers, entry by entry, all arrays (entries,).

    Attributes:
        first, end: the smallest value and the one after the largest.
        places: where the smallest value's 1.0 stands among the observation's numbers, less that value.
    """

    first: np.ndarray
    end: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Leaf:
    """A part of an observation that is an array or a whole number.

    Attributes:
        path: the keys that lead to it through Dict and Tuple.
        space: Box, Discrete, MultiBinary or MultiDiscrete.
        shape: of the values the environment gives.
        at: where its numbers stand among the observation's.
        whole: how whole numbers become one-hot; None for other values.
    """

    path: tuple
    space: spaces.Space
    shape: tuple[int, ...]
    at: slice
    whole: Choices | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return _named(self.path)

    def within(self, value: Any) -> Any:
        """The leaf's part of an observation."""
        for depth, key in enumerate(self.path):
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise ApiError(f"{_named(self.path[:depth + 1])} is missing, there is {short(value)}",
                               "an observation of the agent's observation_space") from None
        return value

    def write(self, value: Any, row: np.ndarray) -> None:
        """Put the leaf's part of an observation where it belongs in `row`, the observation's numbers in one line."""
        part = self.within(value)
        try:
            array = np.asarray(part)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.shape != self.shape:
            raise ApiError(f"{self.name} has shape {array.shape} instead of {self.shape}: {short(part)}",
                           f"shape {self.shape}, as observation_space says")
        if array.dtype.kind not in "biuf":
            raise ApiError(f"{self.name} does not consist of real numbers: {short(part)}", "an array of numbers")
        if self.whole is None:
            with np.errstate(over="ignore"):
                row[self.at] = array.reshape(-1)
            return
        chosen = array.reshape(-1).astype(np.int64)
        if array.dtype.kind == "f" or (chosen < self.whole.first).any() or (chosen >= self.whole.end).any():
            raise ApiError(f"{self.name} is not in {self.space}: {short(part)}", f"values of {self.space}")
        row[self.at] = 0.0
        row[self.whole.places + chosen] = 1.0

    def outside(self, value: Any) -> str | None:
        """What of the leaf's part, which has been written before, is outside its bounds by more than rounding, or None.
        """
        if isinstance(self.space, spaces.Discrete | spaces.MultiDiscrete):
            return None
        array = np.asarray(self.within(value))
        low, high = (self.space.low, self.space.high) if isinstance(self.space, spaces.Box) else (0, 1)
        rounding = ROUNDINGS * max(np.finfo(dtype).eps if dtype.kind == "f" else 0.0
                                   for dtype in (array.dtype, self.space.dtype))
        least, most = np.asarray(low, dtype=float), np.asarray(high, dtype=float)      # whole numbers could overflow
        wrong = np.argwhere((array < least - rounding * np.maximum(1.0, np.abs(least)))
                            | (array > most + rounding * np.maximum(1.0, np.abs(most))))
        if not len(wrong):
            return None
        at = tuple(wrong[0].tolist())
        bounds = [np.broadcast_to(bound, array.shape)[at] for bound in (low, high)]
        entry = f"[{', '.join(map(str, at))}]" if at else ""
        return f"{self.name}{entry} is {array[at]}, outside {bounds[0]} to {bounds[1]}"

    def miscast(self, value: Any) -> str | None:
        """A dtype that is not its space's, or None."""
        part = self.within(value)
        if not isinstance(part, np.ndarray) or np.can_cast(part.dtype, self.space.dtype):
            return None
        return f"{self.name} is {part.dtype} where observation_space says {self.space.dtype}"


def _named(path: tuple) -> str:
    return "observation" + "".join(f"[{key!r}]" for key in path)


@dataclass(frozen=True)
class Reader:
    """How observations of a space become numbers, in the order of `gymnasium.spaces.flatten`.

    Attributes:
        shape: of what is shown to networks: a Box keeps its own, all else is flat, whole numbers one-hot.
        leaves: the space's parts, but for the action mask.
        masked: whether observations come with an action mask: {"observation": ..., "action_mask": ...}.
    """

    shape: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    masked: bool = False

    @property
    def flattened_images(self) -> list[Leaf]:
        """Parts with two axes or more, and many numbers, that become parts of a vector."""
        return [leaf for leaf in self.leaves
                if len(self.shape) == 1 and len(leaf.shape) > 1 and leaf.at.stop - leaf.at.start > IMAGE]

    def write(self, value: Any, shown: np.ndarray) -> None:
        """Write an observation into `shown`, a contiguous array of `shape`, single precision.

        Raises:
            ApiError: shape, values or keys are not those of the space, or a number is not finite.
        """
        row = shown.reshape(-1)
        for leaf in self.leaves:
            leaf.write(value, row)
        if not np.isfinite(row).all():
            wrong = ~np.isfinite(row)
            raise ApiError(f"the observation holds {row[wrong][0]} in {wrong.sum()} of its {row.size} numbers",
                           "finite numbers in single precision")


def reader(space: Any, what: str) -> Reader:
    """The reader of a space; ApiError naming `what` if it cannot be read."""
    if not isinstance(space, spaces.Space):
        raise ApiError(f"{what} is {short(space)}, which is not a space of gymnasium",
                       "a space of the package gymnasium (not of its predecessor gym)")
    leaves, size = [], 0
    masked = isinstance(space, spaces.Dict) and MASK in space.spaces
    seen = [((key,), part) for key, part in space.spaces.items() if key != MASK] if masked else [((), space)]
    for path, part in seen:
        for place, leaf in _parts(part, path, what):
            leaves.append(_leaf(place, leaf, size))
            size = leaves[-1].at.stop
    if not size:
        raise ApiError(f"{what} has no entries: {short(space)}", "at least one number")
    whole = seen[0][1] if len(seen) == 1 else None
    return Reader(whole.shape if isinstance(whole, spaces.Box) and whole.shape else (size,), tuple(leaves), masked)


def _parts(space: spaces.Space, path: tuple, what: str) -> Iterator[tuple[tuple, spaces.Space]]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in inner:
            if key == MASK:
                raise ApiError(f"{what} has an action mask inside of {short(space)}",
                               '{"observation": ..., "action_mask": ...}, the mask beside all else that is observed')
            yield from _parts(part, (*path, key), what)
    elif isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiBinary | spaces.MultiDiscrete):
        yield path, space
    else:
        raise ApiError(f"{what} is of a kind that cannot be flattened: {short(space)}", READABLE)


def _leaf(path: tuple, space: spaces.Space, start: int) -> Leaf:
    return Leaf(path, space, tuple(space.shape), slice(start, start + flatdim(space)), _choices(space, start))


def _choices(space: spaces.Space, start: int) -> Choices | None:
    """The values of a space of whole numbers whose numbers begin at `start`; None for any other space."""
    if isinstance(space, spaces.Discrete):
        n, first = np.array([space.n]), np.array([space.start])
    elif isinstance(space, spaces.MultiDiscrete):
        n, first = space.nvec.reshape(-1).astype(np.int64), space.start.reshape(-1).astype(np.int64)
    else:
        return None
    return Choices(first, first + n, start + np.cumsum(n) - n - first)


@dataclass(frozen=True)
class Writer:
    """How an agent's action becomes what the environment takes."""

    space: spaces.Space
    action: ActionSpace

    def __call__(self, action: np.ndarray) -> np.ndarray | np.integer:
        """From a whole number, or from at least `size` numbers; vectors of whole numbers are rounded."""
        if self.action.n_actions:
            return self.space.dtype.type(int(action if action.ndim == 0 else action[0]) + int(self.space.start))
        if self.action.nvec:
            chosen = action[:self.action.size].astype(self.space.dtype).reshape(self.space.shape)
            return chosen + self.space.start if isinstance(self.space, spaces.MultiDiscrete) else chosen
        vector = action[:self.action.size]      # gymnasium's unflatten cuts decimals off and may give a view
        whole = self.space.dtype.kind in "iu"
        return (np.rint(vector) if whole else vector).astype(self.space.dtype).reshape(self.space.shape)


def writer(space: Any, what: str) -> Writer:
    """The writer of a space; ApiError naming `what` if agents cannot act in it."""
    if not isinstance(space, spaces.Space):
        raise ApiError(f"{what} is {short(space)}, which is not a space of gymnasium",
                       "a space of the package gymnasium (not of its predecessor gym)")
    if isinstance(space, spaces.Discrete):
        return Writer(space, ActionSpace(n_actions=int(space.n)))
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) and np.prod(space.shape) > 0:
        n = space.nvec.reshape(-1) if isinstance(space, spaces.MultiDiscrete) else np.full(np.prod(space.shape), 2)
        return Writer(space, ActionSpace(nvec=tuple(n.tolist())))
    if isinstance(space, spaces.Box) and space.dtype.kind in "iuf" and np.prod(space.shape) > 0:
        low, high = (tuple(np.asarray(bound, dtype=float).reshape(-1).tolist()) for bound in (space.low, space.high))
        return Writer(space, ActionSpace(low=low, high=high))
    raise ApiError(f"{what} is {short(space)}, in which netac's agents cannot act",
                   "Discrete, MultiDiscrete, MultiBinary or Box; a wrapper turns a Dict or Tuple of choices into one "
                   "MultiDiscrete")
