"""Where states come from: the chains of Algorithms 1 and 2 of Zeng et al. and of Chen et al.

A chain draws its uniforms from its own environment stream, `draws` per sample, and turns a table "next state, for every
state and sample" into the states visited.  With one state nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netac.utils.streams import Purpose, Stream, invert


class Chain:
    """The running chain: s_{t+1} is where the next sample starts.

    Args:
        seed, index: which environment stream it draws from.
        initial: (S,) distribution of the first state.
    """

    draws = 1     # uniforms per sample; the first one gives s'

    def __init__(self, seed: int, index: int, initial: np.ndarray):
        self.stream = Stream(seed, Purpose.ENVIRONMENT, index, 1, range(1))
        self.initial = initial
        self.state = 0
        if len(initial) > 1:
            self.begin()

    def begin(self) -> None:
        """Draw the first state from `initial`."""
        self.state = int(invert(self.initial, self.stream.take()[:, 0])[0])

    def uniforms(self, samples: int) -> np.ndarray:
        """What `samples` samples need: (samples, draws)."""
        return self.stream.take(samples * self.draws)[:, 0].reshape(samples, self.draws)

    def starts(self, uniforms: np.ndarray) -> np.ndarray | None:
        """(M,) states of the samples where they do not depend on one another, else None."""
        return None

    def restarts(self, uniforms: np.ndarray) -> list[int | None] | None:
        """Where the chain goes on after each of M samples, None for its s'; None for a chain that never restarts."""
        return None

    def advance(self, next_state: int, uniforms: np.ndarray) -> None:
        """Go on after one sample with s' = `next_state`."""
        again = self.restarts(uniforms)
        self.state = next_state if again is None or again[0] is None else again[0]

    def walk(self, moves: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """The states in which M samples start, given their s' for every state they may start in: (S, M) -> (M,)."""
        states, state, again = [], self.state, self.restarts(uniforms)
        if again is None:
            for following in moves.T.tolist():
                states.append(state)
                state = following[state]
        else:
            for following, restart in zip(moves.T.tolist(), again, strict=True):
                states.append(state)
                state = following[state] if restart is None else restart
        self.state = state
        return np.array(states)


class RestartingChain(Chain):
    """Moves by gamma P + (1 - gamma) xi, whose stationary distribution is the discounted visitation of P from xi."""

    draws = 3     # s', whether to go on, and where to restart

    def __init__(self, seed: int, index: int, initial: np.ndarray, gamma: float):
        super().__init__(seed, index, initial)
        self._gamma = gamma

    def restarts(self, uniforms: np.ndarray) -> list[int | None]:
        """s' with probability gamma, else a draw from xi."""
        again: list[int | None] = [None] * len(uniforms)
        leaving = np.flatnonzero(uniforms[:, 1] >= self._gamma)
        if len(leaving):
            for sample, state in zip(leaving.tolist(), invert(self.initial, uniforms[leaving, 2]).tolist(),
                                     strict=True):
                again[sample] = state
        return again


class FreshDraws(Chain):
    """Independent samples: s from an exact distribution of the current joint policy, then s' from P."""

    draws = 2     # s', then s

    def __init__(self, seed: int, index: int, initial: np.ndarray, distribution: Callable[[], np.ndarray]):
        self._distribution = distribution
        super().__init__(seed, index, initial)

    def begin(self) -> None:
        """Nothing: every sample has a start of its own."""

    def uniforms(self, samples: int) -> np.ndarray:
        """Drawn in the order s, s'; handed on as s', s."""
        return super().uniforms(samples)[:, ::-1]

    def starts(self, uniforms: np.ndarray) -> np.ndarray:
        """(M,) independent states."""
        return invert(self._distribution(), uniforms[:, 1])

    def walk(self, moves: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Samples are independent: their own starts."""
        return self.starts(uniforms)
