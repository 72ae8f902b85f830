"""What this process is doing, as its main thread notes it and the watchdog (`netac.comm.watchdog`) reads it."""

from __future__ import annotations


class Pulse:
    """Signs of life of a process.

    Attributes:
        beats: grows with each sign of progress: a step of an environment, a message that has come, a step of learning.
        iteration: the one that is under way; None outside of training.
        waiting: whether the main thread waits for other processes.
    """

    __slots__ = ("beats", "iteration", "waiting")

    def __init__(self) -> None:
        self.beats, self.waiting = 0, False
        self.iteration: int | None = None


pulse = Pulse()
