"""The coordination game, in which one process stands still, or raises what is no Exception, at its 40th iteration."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import numpy as np

from netac.envs.coordination import CoordinationGame

RANK = os.environ.get("PMIX_RANK", os.environ.get("PMI_RANK", "0"))


class Stalling(CoordinationGame):
    """Stalls in the process `rank`."""

    def __init__(self, agents: int, how: str, rank: int):
        super().__init__(agents)
        self._how, self._calls = how if str(rank) == RANK else "", -2
        if self._how == "factory":
            time.sleep(1000)

    def rewards(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray, agents: range):
        """As in the game, but for the fault."""
        self._calls += 1
        if self._calls == 40:
            self._stall()
        return super().rewards(states, actions, next_states, agents)

    def _stall(self) -> None:
        if self._how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if self._how == "sleep":
            time.sleep(1000)
        if self._how == "cancel":
            raise asyncio.CancelledError("not now")
        if self._how == "receive":
            from mpi4py import MPI
            MPI.COMM_WORLD.recv(source=MPI.ANY_SOURCE, tag=99)
        while self._how == "loop":
            pass


def make(agents: int, how: str, rank: int = 0) -> Stalling:
    """`how`: factory, stop, sleep, loop, receive or cancel."""
    return Stalling(agents, how, rank)
