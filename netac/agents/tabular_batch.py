"""What an iteration's joint samples look like to the agents of one process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar

import numpy as np

from netac.agents.protocols import LEFT_OUT


@dataclass(slots=True)
class TabularBatch:
    """M joint samples (s, a, r, s'), seen by the n agents of this process.

    Everyone sees states and joint actions, each agent only its own reward (section 2 of Zeng et al.).

    Attributes:
        states, next_states: (M,) indices of s and s'.
        actions: (N, M) joint actions, all agents.
        own: (n, M) actions of this process's agents.
        pi: (n, M, A) pi_i(.|s; theta) of this process's agents, at the theta the batch was asked for with.
        r: (n, M) rewards, with observation noise.
        phi, phi_next: (M, K) features of s and s'.
        psi: (M, L) features of (s, a); None where the algorithm has no use for them.
        psi_next: (M, L) features of (s', a'), where the algorithm asks for a'.
        psi_own: (n, M, A, L) features of (s, (b, a_-i)) for every own action b, where the algorithm asks for them.
    """

    states: np.ndarray
    next_states: np.ndarray
    actions: np.ndarray
    own: np.ndarray
    pi: np.ndarray
    r: np.ndarray
    phi: np.ndarray
    phi_next: np.ndarray
    psi: np.ndarray = LEFT_OUT
    psi_next: np.ndarray = LEFT_OUT
    psi_own: np.ndarray = LEFT_OUT
    sample_weight: ClassVar[np.ndarray | None] = None     # everyone takes part in all samples

    def discounted(self, advantages: np.ndarray) -> np.ndarray:
        """Advantages as they are: a chain that does not end has no episodes."""
        return advantages

    def parts(self, size: int) -> Iterator[TabularBatch]:
        """Samples 0, ..., size - 1, then the next `size`, to the end; M is a multiple of `size`."""
        def cut(array: np.ndarray | None, axis: int) -> Iterable[Any]:
            if array is None:
                return repeat(None)
            shape = array.shape
            parts = array.reshape(*shape[:axis], shape[axis] // size, size, *shape[axis + 1:])
            return parts.swapaxes(0, 1) if axis else parts
        return map(TabularBatch, cut(self.states, 0), cut(self.next_states, 0), cut(self.actions, 1), cut(self.own, 1),
                   cut(self.pi, 1), cut(self.r, 1), cut(self.phi, 0), cut(self.phi_next, 0), cut(self.psi, 0),
                   cut(self.psi_next, 0), cut(self.psi_own, 1))
