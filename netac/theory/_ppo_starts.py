"""Where three ways of learning end, from the same starts: independent policy gradient, in turn, and sequential PPO."""

from __future__ import annotations

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


def independent(mdp: FiniteMDP, logits: np.ndarray, size: float, iterations: int) -> float:
    """Every agent follows the exact gradient of J by its own softmax logits, all at once; `size` is the step's."""
    for _ in range(iterations):
        logits = logits + size * objective_and_gradient(mdp, softmax(logits, axis=-1))[1]
    return objective(mdp, softmax(logits, axis=-1))


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
