"""Batched games against one game of another package: seconds a joint step, with all agents' observations."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.timing import Row, compare, race
from netac.envs import BatchedEnvironment


def steps_a_second(what: str, mine: BatchedEnvironment, theirs, actions: np.ndarray, theirs_actions: Sequence,
                   blocks: int, limit: float) -> Row:
    """The row of a race between a batched environment and a PettingZoo `ParallelEnv`.

    Args:
        actions: (steps, N, E) or (steps, N, E, size) joint actions of the games at once.
        theirs_actions: joint actions of the one game, agent by agent.
        limit: at least so many times the joint steps a second.
    """
    mine.begin(0, 0)
    theirs.reset(seed=0)

    def netac() -> float:
        started = time.perf_counter()
        for joint in actions:
            step = mine.step(joint)
            mine.observe(range(mine.agents))
            if step.done.any():
                mine.restart(step.done)
        return (time.perf_counter() - started) / (len(actions) * mine.games)

    def other() -> float:
        started = time.perf_counter()
        for joint in theirs_actions:
            if not theirs.agents:
                theirs.reset()
            theirs.step(dict(zip(theirs.agents, joint, strict=True)))
        return (time.perf_counter() - started) / len(theirs_actions)

    return compare(what, race(netac, other, blocks), lambda seconds: f"{1 / seconds:,.0f} steps/s", limit, inverse=True)


def against_mpe2(what: str, mine: BatchedEnvironment, theirs, continuous: bool) -> Row:
    """The row of a race between games of particles and one game of mpe2's, with random actions."""
    agents, games, rng = mine.agents, mine.games, np.random.default_rng(0)
    if continuous:
        actions = rng.random((2_000, agents, games, 5))
        theirs_actions = rng.random((500, agents, 5), dtype=np.float32)
    else:
        actions = rng.integers(5, size=(2_000, agents, games))
        theirs_actions = rng.integers(5, size=(500, agents)).tolist()
    return steps_a_second(what, mine, theirs, actions, theirs_actions, 7, 30)
