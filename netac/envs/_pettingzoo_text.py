"""Spaces of gymnasium as plain tables that JSON can hold, and back."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from gymnasium import spaces


def as_table(space: spaces.Space) -> dict[str, Any]:
    """A space as a table with its kind and what it is made of.

    Raises:
        ValueError: it is of a kind that has no such table, or of a Dict whose keys are not texts.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = list(space.spaces.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))
        keys = [key for key, _ in parts]
        if isinstance(space, spaces.Dict) and not all(type(key) is str for key in keys):
            raise ValueError(f"keys {keys} are not texts")
        return {"kind": "Dict" if isinstance(space, spaces.Dict) else "Tuple", "keys": keys,
                "spaces": [as_table(part) for _, part in parts]}
    if isinstance(space, spaces.Box):
        return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), "low": _bound(space.low),
                "high": _bound(space.high)}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist(),
                "dtype": str(space.dtype)}
    raise ValueError(f"{type(space).__name__} cannot be written as a table")


def from_table(table: dict[str, Any]) -> spaces.Space:
    """The space that `as_table` made the table of."""
    kind = table["kind"]
    if kind in ("Dict", "Tuple"):
        parts = [from_table(part) for part in table["spaces"]]
        if kind == "Tuple":
            return spaces.Tuple(parts)
        return spaces.Dict(OrderedDict(zip(table["keys"], parts, strict=True)))      # a plain dict would be sorted
    if kind == "MultiBinary":
        return spaces.MultiBinary(table["n"])
    dtype = np.dtype(table["dtype"])
    if kind == "Box":
        low, high = (np.broadcast_to(np.array(table[name]).astype(dtype), table["shape"]) for name in ("low", "high"))
        return spaces.Box(low, high, tuple(table["shape"]), dtype)
    given = {} if dtype == np.int64 else {"dtype": dtype}        # which not every gymnasium asks for
    if kind == "Discrete":
        return spaces.Discrete(table["n"], start=table["start"], **given)
    return spaces.MultiDiscrete(np.array(table["nvec"]), start=np.array(table["start"]), **given)


def _bound(bound: np.ndarray) -> Any:
    """Bounds of a Box as numbers, a single one where all are equal; JSON has no infinities: they are texts."""
    alike = bound.size > 0 and bool((bound == bound.flat[0]).all())
    numbers = bound.flat[0].item() if alike else bound.tolist()
    return _finite(numbers)


def _finite(numbers: Any) -> Any:
    if isinstance(numbers, list):
        return [_finite(each) for each in numbers]
    return numbers if np.isfinite(numbers) else str(numbers)
