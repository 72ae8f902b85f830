"""Random streams: one counter-based generator per purpose and chain, keyed by the run's seed, for all agents or games.

Number t of agent i among N is at place t N + i of the generator's sequence of uniforms in [0, 1), to which a process
jumps; number t of game e is at place e 2^64 + t, however many games there are.  So a number depends on what it is for
alone, never on how many processes share the work or on how many uniforms are fetched at a time.  Every other
distribution is a function of uniforms, so the whole random state of a run is one integer per stream: how many were
consumed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np

_SMALLEST = 2.0**-54      # stands in for u = 0, where a quantile function would be infinite
APART = 2**64             # places between the first numbers of two games
_WORDS = 4                # numbers that the generator makes of one count
_JUMP = 700               # numbers that take as long to draw as a jump
_ROWS, _BLOCK = 1024, 2**16                      # rows of a block at most, and numbers of it where there are several
_RUN = 64                                        # numbers of a game that are drawn at a time, at least


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
    REHEARSAL = 12
    TUNING = 13


def generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """A generator of its own for one use, such as a permutation of one iteration: nothing of it need be saved."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose), *key))))


def episode_seed(seed: int, chain: int, game: int, episode: int) -> int:
    """A seed of 31 bits for what plays episode 0, 1, ... of a game of a chain with random numbers of its own."""
    key = (int(Purpose.ENVIRONMENT), chain, game, 1 + episode)
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0]) >> 1


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


class Uniforms:
    """A table of uniforms in [0, 1), 53 bits each, with `width` columns and rows without end, read anywhere.

    Number (t, i) is at place t width + i of Philox 4x64-10 (Salmon, Moraes, Dror and Shaw, 2011, "Parallel random
    numbers: as easy as 1, 2, 3"), whose key is `SeedSequence(seed, spawn_key=(purpose, chain))`.

    Args:
        seed: the run's seed.
        purpose, chain: what the numbers are for, and which chain of samples they serve.
        width: how many columns there are: all agents; or `APART`, with a row for each game.
    """

    def __init__(self, seed: int, purpose: Purpose, chain: int, width: int):
        self.width = width
        self._philox = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(int(purpose), chain)))
        self._random = np.random.Generator(self._philox).random
        self._counter = self._place = 0                        # of the generator; the place that is drawn next

    def passes_over(self, columns: range) -> bool:
        """Whether rows are drawn whole although only `columns` are wanted, which is faster than jumping to them."""
        return self.width - len(columns) <= _JUMP

    def rows(self, rows: range, columns: range) -> np.ndarray:
        """These columns of these rows: (rows, columns), an array of its own."""
        count, place = len(rows), rows.start * self.width
        found = np.empty((count, len(columns)))
        if len(columns) == self.width:
            self._draw(place, found.reshape(-1))
        elif self.passes_over(columns):
            step = max(1, _BLOCK // self.width)
            whole = np.empty((min(step, count), self.width))
            for k in range(0, count, step):
                part = whole[:count - k]
                self._draw(place + k * self.width, part.reshape(-1))
                found[k:k + step] = part[:, columns.start:columns.stop]
        else:
            for k, row in enumerate(found):
                self._draw(place + columns.start + k * self.width, row)
        return found

    def _draw(self, place: int, out: np.ndarray) -> None:
        """Fill `out` (K,) with the numbers from `place` on."""
        over = 0
        if place != self._place:
            counter, over = divmod(place, _WORDS)
            self._philox.advance(counter - self._counter)      # the first number of this count is next
        if over:
            out[:] = self._random(over + len(out))[over:]
        else:
            self._random(out=out)
        self._place = place + len(out)
        self._counter = -(-self._place // _WORDS)


class Stream:
    """The streams of several indices side by side, fetched in blocks.

    Args:
        seed: the run's seed.
        purpose, chain: what the stream is for, and which chain of samples it serves.
        number: how many agents there are, in all processes together; 1 for the environment.  Stream i is column i of
            `Uniforms(seed, purpose, chain, number)`.  None: the indices are games, whose numbers do not depend on how
            many there are; stream e is row e of `Uniforms(seed, purpose, chain, APART)`.
        own: the indices wanted, those of this process.
        transform: applied elementwise to the uniforms, e.g. `gumbel`.
    """

    def __init__(self, seed: int, purpose: Purpose, chain: int, number: int | None, own: range,
                 transform: Callable[[np.ndarray], np.ndarray] | None = None):
        self._uniforms, self._by_row = Uniforms(seed, purpose, chain, number or APART), number is None
        self._own, self._transform = own, transform
        drawn = self._uniforms.width if self._uniforms.passes_over(own) else len(own) or 1
        self._rows = max(_RUN if self._by_row else 1, min(_ROWS, _BLOCK // drawn))
        self.seek(0)

    def seek(self, position: int) -> None:
        """Continue as if `position` values of every stream had been taken."""
        self._drawn = position                       # values of each stream drawn so far
        self._block = np.empty((0, len(self._own)))
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
        rows = max(self._rows, count - len(rest))
        block = self._numbers(range(self._drawn, self._drawn + rows))
        self._drawn += rows
        block = self._transform(block) if self._transform else block
        self._block = np.concatenate([rest, block]) if len(rest) else block
        self._end = len(self._block)

    def _numbers(self, wanted: range) -> np.ndarray:
        """The uniforms of these numbers: (wanted, indices)."""
        if self._by_row:
            return np.ascontiguousarray(self._uniforms.rows(self._own, wanted).T)
        return self._uniforms.rows(wanted, self._own)
