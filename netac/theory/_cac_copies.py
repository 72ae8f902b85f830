"""Many runs of CAC on finite games side by side, in one set of arrays: what `netac.run` does, seed by seed.

The copies draw from the streams of netac's samplers, so that they are its runs to rounding, and every experiment that
uses them has a claim that they are.  They are for tabular policies whose logits are a table that agents mix, one of
their own, or the sum of both, on one running chain, with constant steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from netac.agents.distributions import choose
from netac.exact import FiniteMDP
from netac.utils.streams import Purpose, Stream, invert


@dataclass(frozen=True, eq=False)
class Copies:
    """C runs.

    Attributes:
        games: of one size each.
        game: (C,) which of them.
        seeds: C of them.
        mixed, own: (C,) bool, whether logits have a table that is mixed, and one of the agent's own.
        steps: (C, 3) actor, critic and reward step.
        W: (N, N) weights of iteration t, or (C, N, N).
        psi: (S, J, L) features of the reward model; those of states are one-hot.
        noise: half-width of the uniform noise of observed rewards.
    """

    games: Sequence[FiniteMDP]
    game: np.ndarray
    seeds: Sequence[int]
    mixed: np.ndarray
    own: np.ndarray
    steps: np.ndarray
    W: Callable[[int], np.ndarray]
    psi: np.ndarray
    noise: float = 0.0


@dataclass
class Copied:
    """The parameters of all copies.

    Attributes:
        omega: (C, N, S).
        lam: (C, N, L).
        tables: (2, C, N, S, A), the mixed ones and the agents' own.
    """

    omega: np.ndarray
    lam: np.ndarray
    tables: np.ndarray

    def policies(self, copy: int) -> np.ndarray:
        """(N, S, A) of one copy."""
        logits = self.tables[:, copy].sum(axis=0)
        return choose(logits, np.zeros((1, 1, 1)))[0]


def run(copies: Copies, times: Sequence[int]) -> Iterator[Copied]:
    """The copies as they stand before the iterations `times`, ascending: the same arrays each time."""
    one, c = copies.games[0], np.arange(len(copies.seeds))
    C, N, S, A = len(c), one.agents, one.states, one.actions
    below = np.stack([np.cumsum(game.P, axis=-1) for game in copies.games])
    below[..., -1] = np.inf
    paid = np.stack([game.r for game in copies.games])                                      # (G, S, J, N)
    power, gamma = A ** np.arange(N)[::-1], np.array([game.gamma for game in copies.games])[copies.game][:, None]
    alpha, beta, zeta = (step[:, None, None] for step in copies.steps.T)
    flags = np.stack([copies.mixed, copies.own])[:, :, None, None]
    x = Copied(np.zeros((C, N, S)), np.zeros((C, N, copies.psi.shape[-1])), np.zeros((2, C, N, S, A)))
    streams = [_streams(seed, N, times[-1]) for seed in copies.seeds]
    moves, chances, noises = (np.stack([each[k] for each in streams], axis=1) for k in range(3))
    states = np.array([invert(copies.games[g].xi, moves[:1, k])[0] if S > 1 else 0 for k, g in enumerate(copies.game)])
    done = 0
    for wanted in times:
        for t in range(done, wanted):
            logits = x.tables[:, c, :, states].sum(axis=1)                                  # (C, N, A)
            pi, taken = choose(logits, chances[t][:, :, None])
            taken = taken[:, :, 0]
            joint = taken @ power
            after = (below[copies.game, states, joint] > moves[t + 1][:, None]).argmax(axis=1)
            r = paid[copies.game, states, joint] + copies.noise * (2.0 * noises[t] - 1.0)
            psi = copies.psi[states, joint]                                                 # (C, L)
            R = np.matmul(x.lam, psi[:, :, None])[:, :, 0]
            difference = gamma * x.omega[c, :, after] - x.omega[c, :, states]
            delta, error = r + difference, r - R
            score = np.eye(A)[taken] - pi
            W = copies.W(t)
            x.omega, x.lam = W @ x.omega, W @ x.lam
            x.tables[0] = (W @ x.tables[0].reshape(C, N, S * A)).reshape(C, N, S, A)
            x.omega[c, :, states] += beta[:, :, 0] * delta
            x.lam += zeta * (error[:, :, None] * psi[:, None])
            x.tables[:, c, :, states] += (flags * (alpha * (R + difference)[:, :, None] * score)).swapaxes(0, 1)
            states = after
        done = wanted
        yield x


def _streams(seed: int, agents: int, count: int) -> tuple[np.ndarray, ...]:
    """Of a run's running chain: uniforms of the first state and the moves (T + 1,), of actions and noise (T, N)."""
    return (Stream(seed, Purpose.ENVIRONMENT, 0, 1, range(1)).take(count + 1)[:, 0].copy(),
            *(Stream(seed, purpose, 0, agents, range(agents)).take(count).copy()
              for purpose in (Purpose.ACTION, Purpose.REWARD_NOISE)))
