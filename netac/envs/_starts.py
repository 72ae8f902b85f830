"""The uniform numbers with which the games of a batched environment begin."""

from __future__ import annotations

import numpy as np

from netac.utils.streams import APART, Purpose, Uniforms

BLOCK = 32                               # starts of a game that are drawn at a time


class Starts:
    """Uniforms that games begin with: episode k of game e takes its numbers k size, ..., (k + 1) size - 1.

    Args:
        seed, chain: of the run's seed and of chain `chain`.
        games: E.
        size: uniforms of an episode.
    """

    def __init__(self, seed: int, chain: int, games: int, size: int):
        self._uniforms = Uniforms(seed, Purpose.ENVIRONMENT, chain, APART)
        self._drawn = np.empty((games, BLOCK, size))

    def take(self, games: np.ndarray, episodes: np.ndarray) -> np.ndarray:
        """(size, K) uniforms of the episodes (K,) of the games (K,); each game's in order, from 0 or from `seek`."""
        places = episodes % BLOCK
        for k in np.flatnonzero(places == 0).tolist():
            self._draw(int(games[k]), int(episodes[k]) // BLOCK)
        return self._drawn[games, places].T

    def seek(self, episodes: np.ndarray) -> None:
        """Continue as if the episodes 0, ..., k had been taken, for the numbers k (E,) of all games."""
        for game, block in enumerate((episodes // BLOCK).tolist()):
            self._draw(game, block)

    def _draw(self, game: int, block: int) -> None:
        numbers = BLOCK * self._drawn.shape[2]
        drawn = self._uniforms.rows(range(game, game + 1), range(block * numbers, (block + 1) * numbers))
        self._drawn[game] = drawn.reshape(BLOCK, -1)
