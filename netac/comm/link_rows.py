"""What agents keep of those whom they hear: numbers of every link, which lie in the hearers' rows."""

from __future__ import annotations

import numpy as np

from netac.comm.plan import Links

NOBODY = -1


class LinkRows:
    """`width` numbers of every link over which n agents have heard others so far, 0 at first.

    Args:
        agents: n.
        width: numbers of a link.
        dtype: theirs.

    Attributes:
        speakers: (n, S) whom each slot is of, ascending by when they were first heard; `NOBODY` where it is free.
        numbers: (n, S, width).
    """

    def __init__(self, agents: int, width: int, dtype: np.dtype | type = float):
        self.speakers = np.full((agents, 0), NOBODY)
        self.numbers = np.zeros((agents, 0, width), dtype)
        self._known: tuple[Links, np.ndarray] | None = None      # the links asked for last, and where they are

    @classmethod
    def of_checkpoint(cls, speakers: np.ndarray, numbers: np.ndarray) -> LinkRows:
        """Those that `speakers` (n, S), S > 0, and the numbers (n, S width) of a checkpoint tell of."""
        n, S = speakers.shape
        made = cls(n, numbers.shape[1] // S, numbers.dtype)
        made.speakers, made.numbers = speakers.copy(), numbers.reshape(n, S, -1).copy()
        return made

    def of(self, links: Links) -> np.ndarray:
        """Where the links' numbers lie among `flat`, (L,); links that are new get a place."""
        if self._known is None or self._known[0] is not links:
            self._known = links, self._find(links)
        return self._known[1]

    @property
    def flat(self) -> np.ndarray:
        """(n S, width), to be read and written at what `of` gives."""
        return self.numbers.reshape(-1, self.numbers.shape[2])

    def widen(self, slots: int) -> None:
        """Have room for `slots` speakers of every agent, at least."""
        n, S, width = self.numbers.shape
        if slots > S:
            self.speakers = np.concatenate([self.speakers, np.full((n, slots - S), NOBODY)], axis=1)
            self.numbers = np.concatenate(
                [self.numbers, np.zeros((n, slots - S, width), self.numbers.dtype)], axis=1)
            self._known = None

    def _find(self, links: Links) -> np.ndarray:
        n = len(self.speakers)
        found = self._slots(links)
        new = np.flatnonzero(found < 0)
        if len(new):
            used = (self.speakers != NOBODY).sum(axis=1)
            hearer = links.hearer[new]
            first = np.searchsorted(hearer, hearer)                  # links go by hearer
            slot = used[hearer] + np.arange(len(new)) - first
            self.widen(int(slot.max()) + 1)
            self.speakers[hearer, slot] = links.speaker[new]
            found[new] = slot
        return links.hearer * self.speakers.shape[1] + found if n else found

    def _slots(self, links: Links) -> np.ndarray:
        """The slot of each link, -1 where it has none."""
        n, S = self.speakers.shape
        if not S or not len(links.hearer):
            return np.full(len(links.hearer), NOBODY)
        most = int(max(self.speakers.max(), links.speaker.max())) + 2
        codes = (np.arange(n)[:, None] * most + self.speakers + 1).ravel()
        order = np.argsort(codes, kind="stable")
        wanted = links.hearer * most + links.speaker + 1
        at = np.minimum(np.searchsorted(codes[order], wanted), len(codes) - 1)
        hit = codes[order[at]] == wanted
        return np.where(hit, order[at] % S, NOBODY)
