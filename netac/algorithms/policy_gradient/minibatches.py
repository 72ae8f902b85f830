"""Minibatches: how the samples of an iteration are split into the parts that gradient steps use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netac.utils.streams import Purpose, generator


def deal(samples: int, minibatches: int, epochs: int, *key: int,
         chunks: np.ndarray | None = None) -> Iterator[np.ndarray | None]:
    """The samples of every step of `epochs` passes: None where a pass is one step, else parts of a permutation.

    Args:
        key: seed, iteration, and whose samples they are.
        chunks: (L, C) samples of which each column stays together; None: they are dealt one by one.
    """
    if minibatches == 1:
        yield from [None] * epochs
        return
    seed, *rest = key
    shuffles, chunks = generator(seed, Purpose.SHUFFLE, *rest), np.arange(samples)[None] if chunks is None else chunks
    for _ in range(epochs):
        for part in np.split(shuffles.permutation(chunks.shape[1]), minibatches):
            yield chunks[:, part].ravel()
