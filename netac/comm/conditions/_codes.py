"""Packed encodings of messages: what an agent's values become on a link of few bits, and what is read from them.

x is a message of W values, C(x) what is decoded, q the smallest number with E ||C(x) - x||^2 <= q ||x||^2 for every x.
Where q < 1 the code is a contraction with delta = 1 - q, which error feedback and CHOCO ask for (Stich, Cordonnier and
Jaggi, 2018, "Sparsified SGD with memory"; Koloskova, Stich and Jaggi, 2019, "Decentralized stochastic optimization and
gossip algorithms with compressed communication").  That values are rounded to their type's digits comes on top.

Every message is encoded by itself: its bits do not depend on what other agents there are.  Messages of zeros arrive as
zeros.  An infinite or NaN value never arrives as another number: top-k sends such values first, random-k sends what it
sends as it is, and quantisation and signs make all values of their bucket infinite or NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from netac.utils.errors import InputError

Numbers = Callable[[int, int], np.ndarray]
"""(draw, count) -> (rows, count) uniforms in [0, 1) of the speaker of every row, the same in `encode` and `decode`;
other draws are other numbers.  A code calls it only if it needs chance."""


class Code(Protocol):
    """A way to write messages of W >= 1 values, single or double, in few bits."""

    @property
    def unbiased(self) -> bool:
        """Whether E C(x) = x."""

    def bits(self, width: int, dtype: np.dtype) -> int:
        """How many bits one packed message takes."""

    def error_bound(self, width: int) -> float:
        """The smallest q with E ||C(x) - x||^2 <= q ||x||^2 for every x of this width."""

    def contraction(self, width: int) -> float | None:
        """delta = 1 - q where that is positive: E ||C(x) - x||^2 <= (1 - delta) ||x||^2; None: not a contraction."""
        error = self.error_bound(width)
        return 1.0 - error if error < 1.0 else None

    def encode(self, values: np.ndarray, numbers: Numbers) -> np.ndarray:
        """Messages (n, W) as bytes (n, B), B = ceil(bits / 8); the bits that are left over are zero."""

    def decode(self, packed: np.ndarray, width: int, dtype: np.dtype, numbers: Numbers) -> np.ndarray:
        """What m packed messages (m, B) say: (m, W) of `dtype`."""

    def add(self, held: np.ndarray, packed: np.ndarray, numbers: Numbers, heard: np.ndarray) -> None:
        """held (m, W) += what the m packed messages say, where they were `heard` (m,)."""
        news = self.decode(packed, held.shape[1], held.dtype, numbers)
        if not heard.all():
            news[~heard] = 0
        held += news


def choco_step(gap: float, beta: float, delta: float) -> float:
    """The consensus step with which CHOCO-Gossip is sure to converge (Koloskova, Stich and Jaggi, 2019, Theorem 2):

        gamma = gap^2 delta / (16 gap + gap^2 + 4 beta^2 + 2 gap beta^2 - 8 gap delta).

    E sum_i ||x_i - mean x||^2 + ||x_i - x^_i||^2, x^_i the public copy, is then at most (1 - gap^2 delta / 82)^t times
    what it was t rounds before.

    Args:
        gap: the spectral gap 1 - |lambda_2(W)|, in (0, 1].
        beta: ||I - W||_2, in [0, 2].
        delta: of the code, `Code.contraction`, in (0, 1].
    """
    for key, found in (("gap", gap), ("delta", delta)):
        if not 0.0 < found <= 1.0:
            raise InputError("CHOCO's step is not defined", key=key, found=found, valid="more than 0, at most 1")
    if not 0.0 <= beta <= 2.0:
        raise InputError("CHOCO's step is not defined", key="beta", found=beta, valid="0 to 2")
    return gap**2 * delta / (16.0 * gap + gap**2 + 4.0 * beta**2 + 2.0 * gap * beta**2 - 8.0 * gap * delta)
