"""Codes that send k of the W values of a message: the largest ones, or some that are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from netac.comm.conditions._codes import Code, Numbers
from netac.comm.conditions._packing import as_bytes, as_numbers, pack, unpack
from netac.utils.errors import InputError

_BLOCK = 2**17           # values that are worked on at a time: what a processor's cache holds
_FEW, _WIDE = 16, 1024   # where W >= _FEW k and W >= _WIDE, most values are known not to be the largest at a glance


@dataclass(frozen=True)
class _Sparse(Code):
    """A code that sends k of the W values.

    Attributes:
        k: how many, at most W.
        fraction: in its place: k = max(1, round(fraction W)).
    """

    k: int | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.k is None) == (self.fraction is None):
            raise InputError("one of k and fraction must be given", key="k", found=self.k, valid="a number or none")
        if self.k is not None and self.k < 1:
            raise InputError("must be positive", key="k", found=self.k, valid="how many values are sent, at least 1")
        if self.fraction is not None and not 0.0 < self.fraction <= 1.0:
            raise InputError("is no fraction", key="fraction", found=self.fraction, valid="more than 0, at most 1")

    def count(self, width: int) -> int:
        """k."""
        return min(width, self.k or max(1, round((self.fraction or 0.0) * width)))

    def error_bound(self, width: int) -> float:
        """1 - k / W."""
        return 1.0 - self.count(width) / width

    def decode(self, packed: np.ndarray, width: int, dtype: np.dtype, numbers: Numbers) -> np.ndarray:
        """See `Code`."""
        values, places = self._read(packed, width, np.dtype(dtype), numbers)
        spread = np.zeros((len(packed), width), values.dtype)
        np.put_along_axis(spread, places, values, axis=1)
        return spread

    def add(self, held: np.ndarray, packed: np.ndarray, numbers: Numbers, heard: np.ndarray) -> None:
        """See `Code`; only the places that messages name are touched."""
        values, places = self._read(packed, held.shape[1], held.dtype, numbers)
        rows = np.flatnonzero(heard)
        held[rows[:, None], places[rows]] += values[rows]

    def _read(self, packed: np.ndarray, width: int, dtype: np.dtype,
              numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """The values of messages and their places, (m, k) each."""
        raise NotImplementedError


@dataclass(frozen=True)
class TopK(_Sparse):
    """The k largest |x_j|, among equals those of lower j: 1 - k/W is attained where all |x_j| are equal.

    The values as they are, then their places: ceil(log2 W) bits each or, where that is less, a bit for each of the W.
    """

    unbiased = False

    def bits(self, width: int, dtype: np.dtype) -> int:
        """See `Code`."""
        k = self.count(width)
        return k * 8 * np.dtype(dtype).itemsize + min(width, k * _place_bits(width))

    def encode(self, values: np.ndarray, numbers: Numbers) -> np.ndarray:
        """See `Code`."""
        width = values.shape[1]
        places = _largest(values, self.count(width))
        if self._marks(width):
            chosen = np.zeros(values.shape, dtype=bool)
            np.put_along_axis(chosen, places, True, axis=1)
            where = pack(chosen, 1)
        else:
            where = pack(places, _place_bits(width))
        return np.concatenate([as_bytes(np.take_along_axis(values, places, axis=1)), where], axis=1)

    def _read(self, packed: np.ndarray, width: int, dtype: np.dtype,
              numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
        k = self.count(width)
        head = k * dtype.itemsize
        values, where = as_numbers(packed[:, :head], dtype), packed[:, head:]
        if self._marks(width):
            return values, _marked(unpack(where, width, 1), k)
        return values, unpack(where, k, _place_bits(width)).astype(np.int64, copy=False)

    def _marks(self, width: int) -> bool:
        """Whether there is a bit for each of the W values."""
        return width < self.count(width) * _place_bits(width)


@dataclass(frozen=True)
class RandomK(_Sparse):
    """k values whose places are drawn, every set of k alike; speaker and listeners draw the same: only values travel.

    An infinite or NaN value arrives as soon as its place is drawn.

    Attributes:
        unbiased: whether what arrives is multiplied by W / k.  Then E C(x) = x and E ||C(x) - x||^2 =
            (W/k - 1) ||x||^2, else (1 - k/W) ||x||^2.
    """

    unbiased: bool = False

    def bits(self, width: int, dtype: np.dtype) -> int:
        """See `Code`."""
        return self.count(width) * 8 * np.dtype(dtype).itemsize

    def error_bound(self, width: int) -> float:
        """W/k - 1 if unbiased, else 1 - k/W."""
        return width / self.count(width) - 1.0 if self.unbiased else super().error_bound(width)

    def encode(self, values: np.ndarray, numbers: Numbers) -> np.ndarray:
        """See `Code`."""
        n, width = values.shape
        return as_bytes(np.take_along_axis(values, _drawn(n, self.count(width), width, numbers), axis=1))

    def _read(self, packed: np.ndarray, width: int, dtype: np.dtype,
              numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
        k, values = self.count(width), as_numbers(packed, dtype)
        if self.unbiased:
            with np.errstate(over="ignore"):
                values = values * values.dtype.type(width / k)
        return values, _drawn(len(packed), k, width, numbers)


def _place_bits(width: int) -> int:
    """ceil(log2 W)."""
    return (width - 1).bit_length()


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """The places, in ascending order, of the k values of each row that are largest in size: (n, W) -> (n, k)."""
    width = values.shape[1]
    if width < max(_FEW * k, _WIDE) or not len(values):
        return _k_largest(_sizes(values), k)
    places, sizes = _candidates(values, k)
    return np.take_along_axis(places, _k_largest(sizes, k), axis=1)


def _sizes(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of |x|, with NaN above infinity: the bits of |x|."""
    whole = np.dtype(f"i{values.itemsize}")
    return np.ascontiguousarray(values).view(whole) & np.iinfo(whole).max


def _marked(chosen: np.ndarray, k: int) -> np.ndarray:
    """The places of the k entries of each row that are not 0: (n, W) -> (n, k), ascending."""
    return np.flatnonzero(chosen).reshape(-1, k) % chosen.shape[1]


def _k_largest(size: np.ndarray, k: int) -> np.ndarray:
    """The places of the k largest of each row, among equals the first ones: (n, W) -> (n, k), ascending."""
    n, width = size.shape
    least = np.partition(size, width - k, axis=1)[:, width - k, None]
    chosen = size >= least
    if np.count_nonzero(chosen) > n * k:
        many = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
        above, equal = size[many] > least[many], size[many] == least[many]
        room = k - np.count_nonzero(above, axis=1)
        chosen[many] = above | equal & (np.cumsum(equal, axis=1) <= room[:, None])
    return _marked(chosen, k)


def _candidates(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The places (n, C) and sizes (n, C) of all that may be among the k largest of each row, mostly little more than k.

    Of about 4 k groups of values, k have a largest one that reaches some bound, and so do the k largest values.  Rows
    with fewer candidates than others are filled up with -1.
    """
    n, width = values.shape
    group = width // (4 * k)
    groups, step, found = width // group, max(1, _BLOCK // width), []
    for start in range(0, n, step):
        size = _sizes(values[start:start + step])
        largest = size[:, :group * groups].reshape(-1, group, groups).max(axis=1)
        bound = np.partition(largest, groups - k, axis=1)[:, groups - k, None]
        at = np.flatnonzero(size >= bound)
        if len(at) > 4 * k * len(size):                                  # as in messages of zeros
            at = (_k_largest(size, k) + width * np.arange(len(size))[:, None]).reshape(-1)
        found.append((at + start * width, size.reshape(-1)[at]))
    at, size = (np.concatenate(parts) for parts in zip(*found, strict=True))
    row, place = np.divmod(at, width)
    counts = np.bincount(row, minlength=n)
    column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    places, sizes = (np.full((n, counts.max()), -1, kind) for kind in (place.dtype, size.dtype))
    places[row, column], sizes[row, column] = place, size
    return places, sizes


def _drawn(n: int, k: int, width: int, numbers: Numbers) -> np.ndarray:
    """k different places of W for each of n rows, every set of k alike: (n, k).

    Of a sequence of places drawn one by one the first k different ones; of k > W / 2 the others are drawn.
    """
    if 2 * k > width:
        chosen = np.ones((n, width), dtype=bool)
        if k < width:
            np.put_along_axis(chosen, _drawn(n, width - k, width, numbers), False, axis=1)
        return _marked(chosen, k)
    expected = -width * math.log1p(-k / width)
    count, draw, places = math.ceil(expected + 4.0 * math.sqrt(expected)), 0, np.empty((n, 0), dtype=np.int64)
    first = np.empty(n * width, dtype=np.int64)
    while True:
        places = np.concatenate([places, (numbers(draw, count) * width).astype(np.int64)], axis=1)
        at = places + width * np.arange(n)[:, None]
        first[np.ascontiguousarray(at.reshape(-1)[::-1])] = np.arange(at.size - 1, -1, -1)      # the first of equals
        different = first[at] == np.arange(at.size).reshape(at.shape)
        so_far = np.cumsum(different, axis=1)
        if (so_far[:, -1] >= k).all():
            return places[different & (so_far <= k)].reshape(n, k)
        draw += 1
