"""netac's own algorithms, watched from outside: a run that stops at chosen iterations to be measured, and games as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from netac import config
from netac.agents.policies import LogLinear, choose
from netac.build import Parts, assemble, prepare
from netac.exact import FiniteMDP
from netac.measures import refuse_bad_numbers


def walk(tables: dict[str, Any], points: int) -> Iterator[Parts]:
    """A run's parts as they stand before about `points` of its T iterations, evenly spaced, the first being t = 0.

    Nothing is copied or written: what is to be known must be read before the next is asked for.

    Args:
        tables: the experiment, as `netac.run` takes it.

    Raises:
        InputError: the experiment is not valid.
        RunError: a parameter is not finite.
    """
    parts = assemble(prepare(config.read(tables, {}).experiment()))
    setting, x, T = parts.setting, parts.agents.parameters, parts.setting.experiment.iterations
    step = setting.algorithm.iterations(parts.agents, parts.world, parts.network, setting.settings, range(T))
    every = max(1, round(T / points))
    for t in range(T):
        if t % every == 0:
            parts.network.settle()
            with np.errstate(over="ignore"):
                refuse_bad_numbers(x.flat, parts.world.tally.rewards, x.layout, parts.placement.local, t)
            parts.world.tally.take()
            yield parts
        with np.errstate(over="ignore", invalid="ignore"):      # `refuse_bad_numbers` tells
            next(step)


def policies(parts: Parts) -> np.ndarray:
    """(N, S, A) what the agents of a run do in every state."""
    states = np.arange(parts.setting.environment.states)
    return choose(parts.agents.policy.logits(parts.agents.parameters.theta, states), np.zeros((1, 1, 1)))[0]


def save_game(mdp: FiniteMDP, file: Path) -> str:
    """Write a game as `env = { name = "finite-mdp", path = ... }` reads it; the path."""
    np.savez(file, P=mdp.P, r=mdp.r, xi=mdp.xi, gamma=mdp.gamma)
    return str(file)


def in_parameters(parts: Parts, gradient: np.ndarray) -> np.ndarray:
    """(N, d) derivatives with respect to theta, stored order, of one that is with respect to every logit (N, S, A)."""
    policy = parts.setting.model.policy
    if isinstance(policy, LogLinear):
        return np.einsum("nsa,nsad->nd", gradient, np.broadcast_to(policy.features, (*gradient.shape, policy.size)))
    flat = gradient.reshape(len(gradient), -1)
    return flat if policy.order is None else flat[:, policy.order]
