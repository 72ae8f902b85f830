"""E games with the agents' random streams, and one joint step of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from netac.sampling.hosts import AtRoot, Elsewhere, Outcome, Replicated, View
from netac.utils.streams import Stream

Told = Any      # an array; None on processes that are not told it, which do not read it


@dataclass
class GameFeed:
    """E games with the agents' streams.

    Attributes:
        view: what the agents are shown now.
        restarts: decides which games of the actor's own chain begin anew; None for the running chain.
        pending: (N, E) joint actions (discrete ones) already chosen for the current step, -1 where there is none.
        steps: joint steps made since all games began.
        memory: (n, E, H) the memories of policies in the games under way; None for policies without.
    """

    host: Replicated | AtRoot | Elsewhere
    view: View
    actions: Stream
    privacy: Stream
    restarts: Stream | None = None
    pending: np.ndarray | None = None
    steps: int = 0
    memory: np.ndarray | None = None

    def forget(self, games: np.ndarray) -> None:
        """Clear the memories of the games of the mask (E,), which begin anew."""
        if self.memory is not None:
            self.memory[:, games] = 0.0


class Advance(NamedTuple):
    """One joint step of E games.

    Attributes:
        view, after: what the agents were shown in s and in s'.
        own, pi: their actions, and the probabilities of discrete ones.
        joint: (N, E) or (N, E, size) joint action; None on processes that do not get it.
        active: (n, E) who took part.
        r: (n, E) rewards, normalised where that is asked for.
        again: (E,) games that begin anew.
        allowed, after_allowed: what the agents of this process may do in s and in s', (n) arrays (E, outputs_i) bool;
            None: all at any time.
        discounts: (E,) gamma^t of games that are at step t of an episode, from 0 on; None where nobody asks for them.
    """

    view: View
    own: list[np.ndarray]
    pi: list[np.ndarray | None]
    joint: Told
    active: np.ndarray
    r: np.ndarray
    outcome: Outcome
    after: View
    again: np.ndarray
    allowed: list[np.ndarray] | None = None
    after_allowed: list[np.ndarray] | None = None
    discounts: np.ndarray | None = None
