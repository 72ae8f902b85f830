"""Codes that send a scale and, for every value, a level of a few bits: signs and quantisation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from netac.comm.conditions._codes import Code, Numbers
from netac.comm.conditions._packing import as_bytes, as_numbers, pack, packed_bytes, unpack
from netac.utils.errors import InputError

ROUNDINGS = ("unbiased", "contracting", "nearest")
_COLUMNS = 2**14         # values of a message that are worked on at a time: their levels fill whole bytes


@dataclass(frozen=True)
class _Scaled(Code):
    """A code that sends a scale for every bucket of D values, then a level between -1 and 1 for each value.

    Attributes:
        level_bits: b, how many bits a level takes.
        bucket: D, at most W; None: W.  The last bucket may have fewer values.
    """

    level_bits: int
    bucket: int | None = None

    def __post_init__(self) -> None:
        if self.bucket is not None and self.bucket < 1:
            raise InputError("must be positive", key="bucket", found=self.bucket, valid="values that share a scale")

    def bits(self, width: int, dtype: np.dtype) -> int:
        """See `Code`."""
        buckets = -(-width // self._size(width))
        return buckets * 8 * np.dtype(dtype).itemsize + width * self.level_bits

    def encode(self, values: np.ndarray, numbers: Numbers) -> np.ndarray:
        """See `Code`."""
        n, width = values.shape
        first = np.arange(0, width, self._size(width))
        with np.errstate(over="ignore", invalid="ignore"):
            scale = self._scale(np.ascontiguousarray(values), first, width)
        place = head = scale.shape[1] * values.itemsize
        packed = np.empty((n, head + packed_bytes(width, self.level_bits)), np.uint8)
        packed[:, :head] = as_bytes(scale)
        for block, start in enumerate(range(0, width, _COLUMNS)):
            part = values[:, start:start + _COLUMNS]
            fields = self._fields(part, self._of_each(scale, start, width), block, numbers)
            length = packed_bytes(part.shape[1], self.level_bits)
            packed[:, place:place + length] = pack(fields, self.level_bits)
            place += length
        return packed

    def decode(self, packed: np.ndarray, width: int, dtype: np.dtype, numbers: Numbers) -> np.ndarray:
        """See `Code`."""
        dtype = np.dtype(dtype)
        place = head = -(-width // self._size(width)) * dtype.itemsize
        scale, top = as_numbers(packed[:, :head], dtype), dtype.type(_top(self.level_bits))
        factor = dtype.type(self._factor(width))
        values = np.empty((len(packed), width), dtype)
        for start in range(0, width, _COLUMNS):
            part = values[:, start:start + _COLUMNS]
            length = packed_bytes(part.shape[1], self.level_bits)
            part[:] = unpack(packed[:, place:place + length], part.shape[1], self.level_bits)
            part *= 2
            part -= top
            part /= top
            with np.errstate(over="ignore", invalid="ignore"):
                part *= self._of_each(scale, start, width) * factor
            place += length
        return values

    def _size(self, width: int) -> int:
        """D."""
        return min(width, self.bucket or width)

    def _of_each(self, scale: np.ndarray, start: int, width: int) -> np.ndarray:
        """The scale (n, buckets) of every value of the block that begins at `start`: (n, block), or (n, 1) for all."""
        if scale.shape[1] == 1:
            return scale
        return scale.take(np.arange(start, min(width, start + _COLUMNS)) // self._size(width), axis=1)

    def _scale(self, values: np.ndarray, first: np.ndarray, width: int) -> np.ndarray:
        """Of the buckets that begin at `first`, (n, buckets); infinite or NaN where a value is."""
        raise NotImplementedError

    def _fields(self, values: np.ndarray, scale: np.ndarray, block: int, numbers: Numbers) -> np.ndarray:
        """(n, block) whole numbers from 0 to `_top`, which stand for the levels from -1 to 1, evenly spaced."""
        raise NotImplementedError

    def _factor(self, width: int) -> float:
        """By which scales are multiplied where they arrive."""
        return 1.0


@dataclass(frozen=True)
class Sign(_Scaled):
    """sign(x_j) ||x||_1 / W, with sign(0) = 1: ||C(x) - x||^2 = ||x||^2 - ||x||_1^2 / W.

    That is at most (1 - 1/D) ||x||^2, attained where a bucket has one value that is not zero, and far less where all
    are alike in size (Karimireddy, Rebjock, Stich and Jaggi, 2019, "Error feedback fixes SignSGD").
    """

    unbiased = False
    level_bits: int = field(default=1, init=False)

    def error_bound(self, width: int) -> float:
        """1 - 1/D."""
        return 1.0 - 1.0 / self._size(width)

    def _scale(self, values: np.ndarray, first: np.ndarray, width: int) -> np.ndarray:
        sizes = np.diff(first, append=width).astype(values.dtype)
        return np.add.reduceat(np.abs(values), first, axis=1) / sizes

    def _fields(self, values: np.ndarray, scale: np.ndarray, block: int, numbers: Numbers) -> np.ndarray:
        return values >= 0


@dataclass(frozen=True)
class Quantisation(_Scaled):
    """b bits a value: x_j / scale is rounded to one of the levels -s/s, ..., 0, ..., s/s, the scale being max |x_j|.

    s = 2^(b-1) - 1; for b = 1 the levels are -1 and 1, and only a message of zeros arrives as zeros.  Rounded up with
    the probability that makes it unbiased (Alistarh et al., 2017, "QSGD", there with the scale ||x||_2),

        E ||C(x) - x||^2 <= q ||x||^2,  q = (sqrt(1 + (D - 1) / s^2) - 1) / 2 for b > 1,  q = D - 1 for b = 1:

    a value f scale / s away from zero, f <= 1, has the variance f (1 - f) (scale / s)^2, one value is the scale itself,
    and m f (1 - f) / (s^2 + m f^2) of m = D - 1 others is largest at f = 1 / (2 (1 + q)), where it is q.

    Attributes:
        level_bits: b, 1 to 16.
        rounding: "unbiased"; "contracting": the same, multiplied by 1 / (1 + q) on arrival, whose error is at most
            q / (1 + q); "nearest": without chance, the error at most (D - 1) / (4 s^2 + D - 1), for b = 1 D - 1.
    """

    rounding: str = "unbiased"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.level_bits <= 16:
            raise InputError("no number of bits of a value", key="bits", found=self.level_bits, valid="1 to 16")
        if self.rounding not in ROUNDINGS:
            raise InputError("unknown rounding", key="rounding", found=self.rounding, valid=", ".join(ROUNDINGS))

    @property
    def unbiased(self) -> bool:
        """See `Code`."""
        return self.rounding == "unbiased"

    def error_bound(self, width: int) -> float:
        """q, q / (1 + q), or that of rounding to the nearest."""
        others, s = self._size(width) - 1, _top(self.level_bits) / 2
        if self.rounding == "nearest":
            return others / (4.0 * s**2 + others) if self.level_bits > 1 else float(others)
        q = (math.sqrt(1.0 + others / s**2) - 1.0) / 2.0 if self.level_bits > 1 else float(others)
        return q if self.unbiased else q / (1.0 + q)

    def _scale(self, values: np.ndarray, first: np.ndarray, width: int) -> np.ndarray:
        largest, smallest = (extreme.reduceat(values, first, axis=1) for extreme in (np.maximum, np.minimum))
        return np.maximum(np.abs(largest), np.abs(smallest))

    def _fields(self, values: np.ndarray, scale: np.ndarray, block: int, numbers: Numbers) -> np.ndarray:
        finite, top = np.isfinite(scale), _top(self.level_bits)
        if not finite.all():
            values, scale = np.where(finite, values, 0), np.where(finite, scale, 0)
        level = values / np.where(scale > 0, scale, 1)
        level *= top / 2
        if top == 1:
            level += 0.5
        if self.rounding == "nearest":
            return _whole(np.rint(level, out=level), top)
        below = np.floor(level)
        level -= below
        below += numbers(block, values.shape[1]) < level
        return _whole(below, top)

    def _factor(self, width: int) -> float:
        return 1.0 - self.error_bound(width) if self.rounding == "contracting" else 1.0


def _top(level_bits: int) -> int:
    """How many steps there are between the levels -1 and 1: 2 s, or 1 of a single bit."""
    return 1 if level_bits == 1 else 2**level_bits - 2


def _whole(levels: np.ndarray, top: int) -> np.ndarray:
    """Levels from -s to s as whole numbers from 0 to 2 s; of a single bit they are 0 and 1 already."""
    levels += top // 2
    return levels.astype(np.uint16)
