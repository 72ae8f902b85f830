"""Where three ways of learning end, from the same starts: independent policy gradient, in turn, and sequential PPO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from netac.exact import FiniteMDP, objective, objective_and_gradient, subset_action_value
from netac.theory._sequential import conditional, inverse_step, iterates, joint, one_agent


class Task(NamedTuple):
    """Runs of one method on one game from many starts.

    Attributes:
        method: a key of `METHODS`.
        mdp: the game.
        starts: (R, N, S, A) logits of the agents' local policies.
        size: of the step; see the methods.
        iterations: of each run.
    """

    method: str
    mdp: FiniteMDP
    starts: np.ndarray
    size: float
    iterations: int


def ends(task: Task) -> np.ndarray:
    """(R,) J of the last policies."""
    method = METHODS[task.method]
    return np.array([method(task.mdp, start, task.size, task.iterations) for start in task.starts])


def climb(mdp: FiniteMDP, logits: np.ndarray, size: float) -> Iterator[np.ndarray]:
    """Policies (N, S, A) of agents that follow the exact gradient of J by their own softmax logits, all at once; from
    the given ones on, for ever."""
    while True:
        pi = softmax(logits, axis=-1)
        yield pi
        logits = logits + size * objective_and_gradient(mdp, pi)[1]


def independent(mdp: FiniteMDP, logits: np.ndarray, size: float, iterations: int) -> float:
    """Every agent follows the exact gradient of J by its own softmax logits, all at once; `size` is the step's."""
    *_, last = islice(climb(mdp, logits, size), iterations + 1)
    return objective(mdp, last)


def in_turn(mdp: FiniteMDP, logits: np.ndarray, size: float, iterations: int) -> float:
    """Agent after agent adds Q^m / beta to its logits, the others' current policies averaged out.

    No agent sees another's actions.

    Args:
        size: 1 / beta in units of the bound's step.
    """
    inverse, pi = size * inverse_step(mdp.gamma, mdp.actions, iterations), softmax(logits, axis=-1)
    logits = logits.copy()
    for _ in range(iterations):
        for agent in range(mdp.agents):
            logits[agent] += inverse * subset_action_value(mdp, pi, [agent])
            pi[agent] = softmax(logits[agent], axis=-1)
    return objective(mdp, pi)


def sequential(mdp: FiniteMDP, logits: np.ndarray, size: float, iterations: int) -> float:
    """Sequential PPO: policies conditioned on the earlier agents' actions, ignored at first; `size` as in `in_turn`."""
    inverse = size * inverse_step(mdp.gamma, mdp.actions, iterations)
    for policies in iterates(mdp, iterations + 1, inverse, conditional(logits)):
        last = policies
    return objective(one_agent(mdp), joint(last)[None])


METHODS = {"independent": independent, "in turn": in_turn, "sequential": sequential}


class Leaving(NamedTuple):
    """How long it takes to leave a pure joint policy, and to be near the optimum.

    Attributes:
        mdp: the game.
        actions: one action of every agent, the same in all states.
        chance: with which every agent plays another one at first, < 1/2.
        size: of the steps; see the methods.
        least: J that is near enough.
        limit: of the iterations.
    """

    mdp: FiniteMDP
    actions: tuple[int, ...]
    chance: float
    size: float
    least: float
    limit: int


def leave(task: Leaving) -> tuple[float, float]:
    """The iterations of independent policy gradient, and of sequential PPO with the step of a run of 500; nan: more
    than the limit."""
    mdp, alike = task.mdp, (task.mdp.agents, task.mdp.states, 1)
    others = np.ones((mdp.agents, mdp.actions)) - np.eye(mdp.actions)[list(task.actions)]
    logits = np.log(np.where(others > 0, task.chance / (mdp.actions - 1), 1.0 - task.chance))[:, None] * np.ones(alike)
    inverse = task.size * inverse_step(mdp.gamma, mdp.actions, 500)
    whole = one_agent(mdp)
    return (_first(task, (objective(mdp, pi) for pi in climb(mdp, logits, task.size))),
            _first(task, (objective(whole, joint(policies)[None])
                          for policies in iterates(mdp, task.limit, inverse, conditional(logits)))))


def _first(task: Leaving, J: Iterable[float]) -> float:
    """The number of the first J that is near enough."""
    return next((float(k) for k, found in enumerate(islice(J, task.limit)) if found >= task.least), np.nan)
