"""Random streams: one generator per purpose, chain and agent, spawned from the run's seed.

A stream is a sequence of uniforms in [0, 1) that depends only on (seed, purpose, chain, index), never on how many
processes share the work or on how many uniforms are fetched at a time.  Every other distribution is a function of
uniforms, so the whole random state of a run is one integer per stream: how many were consumed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np

_SMALLEST = 2.0**-54      # stands in for u = 0, where a quantile function would be infinite


class Purpose(IntEnum):
    """What a stream is for: the first entry of its spawn key."""

    ENVIRONMENT = 0
    ACTION = 1
    REWARD_NOISE = 2
    PRIVACY_NOISE = 3
    INITIAL = 4
    RESTART = 5
    SHUFFLE = 6
    ORDER = 7
    REPLAY = 8
    RELAXATION = 9
    BASELINE = 10
    NETWORK = 11


def generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """A generator of its own for one use, such as a permutation of one iteration: nothing of it need be saved."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose), *key))))


def pair_uniforms(seed: int, purpose: Purpose, key: tuple[int, ...], first: np.ndarray,
                  second: np.ndarray) -> np.ndarray:
    """A uniform in [0, 1) for each pair of whole numbers (first, second), (K,), by (seed, purpose, key, pair) alone.

    64 random bits of (seed, purpose, key) are hashed with one number and then with the other by the finalizer of
    SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").
    """
    bits = np.random.SeedSequence(seed, spawn_key=(int(purpose), *key)).generate_state(1, np.uint64)
    for number in (first, second):
        bits = bits + (number.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ bits >> np.uint64(31)
    return (bits >> np.uint64(11)) * 2.0**-53


def gumbel(u: np.ndarray) -> np.ndarray:
    """Standard Gumbel variates by inversion: -log(-log u)."""
    return -np.log(-np.log(np.maximum(u, _SMALLEST)))


def normal(u: np.ndarray) -> np.ndarray:
    """Standard normal variates by inversion."""
    from scipy.special import ndtri
    return ndtri(np.maximum(u, _SMALLEST))


def student_t4(u: np.ndarray) -> np.ndarray:
    """Student-t variates with 4 degrees of freedom, by inversion, scaled to standard deviation 1 (theirs is sqrt 2)."""
    from scipy.special import stdtrit
    return stdtrit(4.0, np.maximum(u, _SMALLEST)) / np.sqrt(2.0)


def invert(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """States drawn from a distribution (S,) by inverting its distribution function: (M,) -> (M,)."""
    below = np.cumsum(probabilities)
    below[-1] = np.inf
    return np.searchsorted(below, uniforms, side="right")


class Stream:
    """The streams of several indices side by side, fetched in blocks.

    Args:
        seed: the run's seed.
        purpose, chain: what the stream is for, and which chain of samples it serves.
        indices: the agents of this process (or `range(1)` for the environment); stream i has
            `SeedSequence(seed, spawn_key=(purpose, chain, i))`.
        transform: applied elementwise to the uniforms, e.g. `gumbel`.
    """

    def __init__(self, seed: int, purpose: Purpose, chain: int, indices: range,
                 transform: Callable[[np.ndarray], np.ndarray] | None = None):
        self._seed, self._purpose, self._chain, self._indices = seed, int(purpose), chain, indices
        self._transform = transform
        self._rows = max(64, min(1024, 2**16 // max(1, len(indices))))
        self.seek(0)

    def seek(self, position: int) -> None:
        """Continue as if `position` values of every stream had been taken."""
        self._generators: list[np.random.Generator] | None = None
        self._drawn = position                       # values drawn from each generator so far
        self._block = np.empty((0, len(self._indices)))
        self._next = self._end = 0                   # first row of the block not yet taken, and how many it has

    @property
    def position(self) -> int:
        """How many values of every stream were taken."""
        return self._drawn - self._end + self._next

    def take(self, count: int = 1) -> np.ndarray:
        """The next `count` values of every stream: (count, indices), row by row; a view, valid until the next call."""
        first = self._next
        self._next = last = first + count
        if last > self._end:
            self._refill(first, count)
            first, self._next = 0, count
            last = count
        return self._block[first:last]

    def _refill(self, first: int, count: int) -> None:
        rest = self._block[first:]
        fresh = np.empty((len(self._indices), max(self._rows, count - len(rest))))
        if self._generators is None:
            self._generators = [self._generator(index) for index in self._indices]
        for generator, row in zip(self._generators, fresh, strict=True):
            generator.random(out=row)
        self._drawn += fresh.shape[1]
        block = np.ascontiguousarray(fresh.T)
        block = self._transform(block) if self._transform else block
        self._block = np.concatenate([rest, block]) if len(rest) else block
        self._end = len(self._block)

    def _generator(self, index: int) -> np.random.Generator:
        key = (self._purpose, self._chain, index)
        bits = np.random.PCG64(np.random.SeedSequence(self._seed, spawn_key=key))
        return np.random.Generator(bits.advance(self._drawn) if self._drawn else bits)
