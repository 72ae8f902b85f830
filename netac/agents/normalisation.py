"""Running normalisation of observations and rewards: every agent by its own statistics, which are never mixed.

Means and sums of squares are merged batch by batch as in Chan, Golub and LeVeque, 1979 ("Updating formulae and a
pairwise algorithm for computing sample variances").  All of an agent's statistics are one row of doubles, and each row
is computed by itself, so that bits do not depend on which agents are together.
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-8     # added to variances
LIMIT = 10.0       # of normalised numbers


def _merge(count: np.ndarray, mean: np.ndarray, squares: np.ndarray, x: np.ndarray) -> None:
    """Add samples x (M, d) to `count` (1,), `mean` (d,) and `squares` (d,), sums of squared deviations, in place."""
    if not len(x):
        return
    centre = x.mean(axis=0)
    before, after, shift = float(count[0]), float(count[0]) + len(x), centre - mean
    mean += shift * (len(x) / after)
    squares += ((x - centre) ** 2).sum(axis=0) + shift**2 * (before * len(x) / after)
    count[0] = after


class ObservationNormaliser:
    """(x - mean) / sqrt(variance + 1e-8), number by number, clipped to [-10, 10]; only clipped before the first sample.

    Args:
        shapes: (n) shapes of the agents' observations.
        widest: D, if other processes have agents that see more.

    Attributes:
        rows: (n, 1 + 2 D) double, how many samples, their mean, and their sum of squared deviations, each padded with
            zeros to the widest observation's D numbers.  It is the state: assigning into it restores.
    """

    def __init__(self, shapes: list[tuple[int, ...]], widest: int = 0):
        self._sizes = [int(np.prod(shape)) for shape in shapes]
        self._widest = max([widest, *self._sizes])
        self.rows = np.zeros((len(shapes), 1 + 2 * self._widest))

    def _parts(self, agent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        row, size = self.rows[agent], self._sizes[agent]
        return row[:1], row[1:1 + size], row[1 + self._widest:1 + self._widest + size]

    def update(self, obs: list[np.ndarray], active: np.ndarray | None = None) -> None:
        """Learn from samples.

        Args:
            obs: one (M, *shape_i) array per agent.
            active: (n, M), who took part in which sample; None where all did.
        """
        for agent, x in enumerate(obs):
            flat = x.reshape(len(x), -1).astype(float)
            _merge(*self._parts(agent), flat if active is None else flat[np.asarray(active[agent], dtype=bool)])

    def apply(self, obs: list[np.ndarray]) -> list[np.ndarray]:
        """Observations normalised, new arrays of the same shapes in single precision."""
        return [self._applied(agent, x) for agent, x in enumerate(obs)]

    def _applied(self, agent: int, x: np.ndarray) -> np.ndarray:
        count, mean, squares = self._parts(agent)
        flat = x.reshape(len(x), -1).astype(float)
        if count[0]:
            flat = (flat - mean) / np.sqrt(squares / count[0] + EPSILON)
        return np.clip(flat, -LIMIT, LIMIT).astype(np.float32).reshape(x.shape)


class RewardNormaliser:
    """r / sqrt(variance + 1e-8) of the discounted return so far, clipped to [-10, 10].

    The return of agent i in game e is G <- gamma G + r, from 0 at the start of an episode; an agent's variance is over
    the values of its G in all games and steps it took part in.  While that variance is 0 (one sample, or rewards always
    0) rewards are only clipped.  Rewards are not centred, so that what is best stays best.

    Args:
        agents, games: n, E.
        gamma: discount.

    Attributes:
        rows: (n, 3 + E) double, how many samples, mean and sum of squared deviations of G, and G in every game.  It is
            the state: assigning into it restores.
    """

    def __init__(self, agents: int, games: int, gamma: float):
        self._gamma = gamma
        self.rows = np.zeros((agents, 3 + games))

    def apply(self, r: np.ndarray, done: np.ndarray, active: np.ndarray | None = None, *,
              learn: bool = True) -> np.ndarray:
        """Rewards of one step of all games, normalised.

        Args:
            r: (n, E) rewards.
            done: (E,) bool, games that end with this step.
            active: (n, E), who took part in the step; None where all did.
            learn: whether the step belongs to the statistics; if not, they stay as they are.

        Returns:
            (n, E) double, a new array.
        """
        count, mean, squares, returns = np.split(self.rows, (1, 2, 3), axis=1)
        if learn:
            took_part = np.ones(r.shape, dtype=bool) if active is None else np.asarray(active, dtype=bool)
            np.copyto(returns, self._gamma * returns + r, where=took_part)
            samples = took_part.sum(axis=1, keepdims=True)
            after = np.maximum(count + samples, 1.0)
            centre = returns.sum(axis=1, keepdims=True, where=took_part) / np.maximum(samples, 1)
            shift = np.where(samples, centre - mean, 0.0)
            mean += shift * (samples / after)
            squares += ((returns - centre) ** 2).sum(axis=1, keepdims=True, where=took_part) + shift**2 * (
                count * samples / after)
            count += samples
            returns[:, done] = 0.0
        divisor = np.where(squares > 0, np.sqrt(squares / np.maximum(count, 1.0) + EPSILON), 1.0)
        return np.clip(r / divisor, -LIMIT, LIMIT)
