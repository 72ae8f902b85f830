"""Policy gradients with critics of the local state (IPPO) and of the whole state (MAPPO), both at their fixed points.

Paper 002, section 6.3, has the two objectives equivalent given that the critics converge to a fixed point, and Figure 3
shows that the methods perform alike.  Here critics are TD(lambda)'s fixed points, advantages GAE's with the same lambda
in the mean, and an agent's direction is the mean over the samples of a long run of advantage times score: exact, for
policies (N, L, A) of tables of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from netac.exact import (
    action_value,
    induced_chain,
    objective,
    stationary_distribution,
    subset_action_value,
    value_function,
)
from netac.theory._trust_bounds import local_mean
from netac.theory._trust_critics import gae, td_lambda
from netac.theory._trust_games import DecMDP


def direction(game: DecMDP, pi: np.ndarray, lambda_: float, central: bool) -> np.ndarray:
    """(N, L, A) mean steps of the agents' logits, with a critic of the whole state or of each agent's local one."""
    mdp = game.mdp
    chain = induced_chain(mdp, game.lift(pi))
    labels = np.tile(np.arange(mdp.states), (mdp.agents, 1)) if central else game.local
    values = (td_lambda(chain, labels[k], mdp.gamma, lambda_)[labels[k]] for k in range(mdp.agents))
    return steps(game, pi, [gae(mdp, chain, v, lambda_) for v in values])


def exact(game: DecMDP, pi: np.ndarray) -> np.ndarray:
    """(N, L, A) the same with the advantages of the policies, Q(s, a) - V(s)."""
    Q = action_value(game.mdp, game.lift(pi))
    return steps(game, pi, [Q - value_function(game.mdp, game.lift(pi))[:, None]] * game.mdp.agents)


def steps(game: DecMDP, pi: np.ndarray, advantages: Sequence[np.ndarray]) -> np.ndarray:
    """(N, L, A) means of advantage times score over a long run, of advantages (S, J) for every agent."""
    lifted = game.lift(pi)
    mu = stationary_distribution(induced_chain(game.mdp, lifted).transition)
    found = []
    for k, given in enumerate(advantages):
        A = local_mean(game, k, mu, subset_action_value(game.mdp, lifted, [k], given))
        mass = np.bincount(game.local[k], mu, game.seen)[:, None]
        found.append(mass * pi[k] * (A - (pi[k] * A).sum(axis=1, keepdims=True)))
    return np.array(found)


class Difference(NamedTuple):
    """Of a direction from the exact one, all agents' together."""

    size: float
    """|difference| / |exact|."""
    cosine: float
    """Of the angle between the two."""


def difference(game: DecMDP, pi: np.ndarray, lambda_: float, central: bool) -> Difference:
    """Of IPPO's direction, or of MAPPO's."""
    found, meant = direction(game, pi, lambda_, central), exact(game, pi)
    off, size, whole = (float(np.linalg.norm(g)) for g in (found - meant, found, meant))
    return Difference(off / whole, float((found * meant).sum()) / size / whole)


class Ascent(NamedTuple):
    """Steps along a direction, from logits of 0 on.

    Attributes:
        game: to play.
        lambda_, central: of the critics.
        step: that the direction is multiplied by.
        iterations: how many steps.
    """

    game: DecMDP
    lambda_: float
    central: bool
    step: float
    iterations: int


def ascend(task: Ascent) -> np.ndarray:
    """(iterations + 1,) J of the policies before every step and after the last."""
    game, J = task.game, []
    logits = np.zeros((game.mdp.agents, game.seen, game.mdp.actions))
    for _ in range(task.iterations):
        pi = softmax(logits, axis=-1)
        J.append(objective(game.mdp, game.lift(pi)))
        logits = logits + task.step * direction(game, pi, task.lambda_, task.central)
    return np.array([*J, objective(game.mdp, game.lift(softmax(logits, axis=-1)))])
