"""How an agent's signal changes: from one green phase of the file's programme through yellow to another."""

from __future__ import annotations

from collections.abc import Sequence

from netac.envs._traffic_roads import GREEN, RED


def between(old: str, new: str) -> str:
    """The state between two green phases: who loses green has yellow, all else is as it was."""
    return "".join("y" if before in GREEN and after in RED else before
                   for before, after in zip(old, new, strict=True))


class Light:
    """The state of one signal as seconds pass; the first green phase at first.

    Args:
        greens: states of its green phases.
        yellow: seconds between two of them.
        shortest: seconds for which a phase is green, at least.

    Attributes:
        phase: which green phase is on, or comes after the yellow.
        state: a letter for every link.
        seconds: how long this state has lasted.
        is_yellow: whether it is changing.
    """

    def __init__(self, greens: Sequence[str], yellow: int, shortest: int):
        self._greens, self._yellow, self._shortest = greens, yellow, shortest
        self.phase, self.seconds, self.state, self.is_yellow = 0, 0, greens[0], False

    @property
    def may_change(self) -> bool:
        """Whether another phase would be heeded now."""
        return not self.is_yellow and self.seconds >= self._shortest

    @property
    def left(self) -> int:
        """Seconds until the yellow that is on ends."""
        return self._yellow - self.seconds

    def choose(self, phase: int) -> None:
        """Ask for a green phase: nothing happens if it is on, or may not end yet."""
        if phase == self.phase or not self.may_change:
            return
        changing = between(self.state, self._greens[phase])
        self.phase, self.seconds = phase, 0
        self.is_yellow = self._yellow > 0 and "y" in changing
        self.state = changing if self.is_yellow else self._greens[phase]

    def tick(self, seconds: int) -> None:
        """So many seconds have passed, of a yellow no more than are `left`."""
        self.seconds += seconds
        if self.is_yellow and self.left == 0:
            self.is_yellow, self.seconds, self.state = False, 0, self._greens[self.phase]

    def follow(self, state: str, seconds: int) -> None:
        """Take up the state that somebody else has set, and that was looked at `seconds` ago the last time.

        While it is none of the green phases, the phase stays what it was.
        """
        if state == self.state:
            self.seconds += seconds
            return
        self.state, self.seconds, self.is_yellow = state, 0, state not in self._greens
        if not self.is_yellow:
            self.phase = self._greens.index(state)
