"""The interface of samplers, of tabular environments and of games side by side alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from netac.agents.protocols import Batch
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs import BatchedEnvironment, TabularEnvironment
from netac.sampling.tally import Episodes, Tally

Sampling = Literal["markov", "double", "stationary", "iid"]
RUNNING, SECOND = 0, 1      # the critics' chain; the actor's own chain under "double" and "iid"


@dataclass(frozen=True)
class Features:
    """Which features the algorithm uses, besides phi(s) and phi(s')."""

    psi: bool = False          # of (s, a)
    psi_next: bool = False     # of (s', a'), with a' ~ pi(.|s')
    psi_own: bool = False      # of (s, (b, a_-i)) for every b


class Sampler(Protocol):
    """Draws joint samples for the agents of this process: `TabularSampler`, `GameSampler`.

    Attributes:
        environment: what is sampled.
        placement, ledger: who is where, and where traffic is counted.
        games: E, joint samples drawn side by side.
        feeds: the chains: RUNNING, and SECOND where the actor has one of its own.
        tally: rewards since they were last taken.
        episodes: episodes of the running chain; None in environments without an end.
        resumable: whether `restore` goes on where `state` was; else games begin anew.
    """

    placement: Placement
    ledger: Ledger
    games: int
    tally: Tally

    @property
    def environment(self) -> TabularEnvironment | BatchedEnvironment: ...

    @property
    def feeds(self) -> Sequence[object]: ...

    @property
    def episodes(self) -> Episodes | None: ...

    @property
    def resumable(self) -> bool: ...

    def sample(self, theta: np.ndarray, samples: int = 1, feed: int = RUNNING) -> Batch:
        """`samples` steps of the chain `feed` with the policies at `theta` (n, d): M = samples E joint samples."""

    def privacy_noise(self, samples: int) -> np.ndarray:
        """e_i of the actor's samples, standard deviation 1, drawn by each agent for itself: (n, M)."""

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent of this process keeps for itself, (n, D) each: arrays that may be assigned into."""

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps besides, whole on process 0: the positions of all streams, chains and games."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave; `rows` have been assigned before."""

    def close(self) -> None:
        """Release what games and exchanges hold."""
