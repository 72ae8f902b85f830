"""The settings of an experiment: quick or full form, number of processes, random numbers, the user's game."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from netac.exact import FiniteMDP
from netac.utils.errors import RunError
from netac.utils.progress import Progress
from netac.utils.workers import each

T = TypeVar("T")


@dataclass(frozen=True)
class Lab:
    """How an experiment is to be done.

    Attributes:
        quick: its quick form, of seconds, in place of the full one, of minutes.
        seed: what all its random numbers come from.
        jobs: processes that share the work.
        game: a finite game of the user's, for experiments that take one (`TAKES_GAME = True`); None: their own.
        progress: whether to show it.
    """

    quick: bool = False
    seed: int = 0
    jobs: int = 1
    game: FiniteMDP | None = None
    progress: bool = False

    def choose(self, quick: T, full: T) -> T:
        """What fits the form of the experiment."""
        return quick if self.quick else full

    def rng(self, *key: int) -> np.random.Generator:
        """A generator of its own for every key."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def each(self, function: Callable[[Any], Any], items: Iterable[Any], what: str = "runs") -> list[Any]:
        """`function` of every item, in their order, shared out to `jobs` processes.

        Args:
            function: of a module, or a partial of one, so that it can be sent; what it takes and gives, too.

        Raises:
            RunError: a process died.
        """
        items, found = list(items), []
        with Progress(len(items), self.progress, what) as bar:
            try:
                for result in each(function, items, self.jobs):
                    found.append(result)
                    bar.show(len(found))
            except BrokenProcessPool:
                raise RunError("a process that did a part of the work died") from None
        return found
