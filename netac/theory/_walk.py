"""Runs of netac's own algorithms that stop at chosen iterations to be measured, and games as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from netac.agents.distributions import choose
from netac.agents.policies import LogLinear, Tabular
from netac.envs.finite_mdp import FiniteEnvironment
from netac.exact import FiniteMDP
from netac.experiment import config
from netac.experiment.build import Parts, assemble, prepare
from netac.experiment.measures import refuse_bad_numbers


def looks(T: int, points: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Iterations t < T to measure, and weights that make an unbiased estimate of the average over all iterations.

    One is drawn at random from every cell between the edges T (k / points)^3, so that the start, where errors fall
    fast, is sampled densely, and a periodic graph is not always met at the same phase.

    Returns:
        (n,) ascending, n <= points, and (n,) shares of the run, which sum to 1.
    """
    edges = np.unique(np.ceil(T * np.linspace(0.0, 1.0, points + 1) ** 3).astype(np.int64))
    return np.random.default_rng([seed, T]).integers(edges[:-1], edges[1:]), np.diff(edges) / T


def walk(tables: dict[str, Any], times: Iterable[int]) -> Iterator[Parts]:
    """A run's parts as they stand before the iterations `times`, ascending; it ends at the last of them.

    The same parts are yielded each time, and nothing is written: read what is wanted before asking for the next.

    Args:
        tables: the experiment, as `netac.run` takes it.

    Raises:
        InputError: the experiment is not valid.
        RunError: a parameter is not finite.
    """
    parts = assemble(prepare(config.read(tables, {}).experiment()))
    setting, x, now = parts.setting, parts.agents.parameters, 0
    step = setting.algorithm.iterations(parts.agents, parts.sampler, parts.network, setting.settings,
                                        range(setting.experiment.iterations))
    for t in times:
        with np.errstate(over="ignore", invalid="ignore"):      # `refuse_bad_numbers` tells
            for _ in range(t - now):
                next(step)
                parts.sampler.tally.rewards.clear()
            now = t
            parts.network.settle()
            refuse_bad_numbers(x.flat, (), x.layout, parts.placement.local, t)
        yield parts


def policies(parts: Parts) -> np.ndarray:
    """(N, S, A) the agents' policies in every state."""
    policy, states = parts.agents.policy, np.arange(finite(parts).states)
    assert isinstance(policy, Tabular | LogLinear)
    return choose(policy.logits(parts.agents.parameters.theta, states), np.zeros((1, 1, 1)))[0]


def finite(parts: Parts) -> FiniteEnvironment:
    """The environment of a run on a game of `save_game`."""
    environment = parts.setting.environment
    assert isinstance(environment, FiniteEnvironment)
    return environment


def save_game(mdp: FiniteMDP, file: Path) -> str:
    """Write a game in the format of `env = { name = "finite-mdp", path = ... }`; returns the path."""
    np.savez(file, P=mdp.P, r=mdp.r, xi=mdp.xi, gamma=mdp.gamma)
    return str(file)


def in_parameters(parts: Parts, gradient: np.ndarray) -> np.ndarray:
    """(N, d) the gradient with respect to theta, in stored order, from that with respect to the logits (N, S, A)."""
    policy = parts.setting.model.policy
    if isinstance(policy, LogLinear):
        return np.einsum("nsa,nsad->nd", gradient, np.broadcast_to(policy.features, (*gradient.shape, policy.size)))
    assert isinstance(policy, Tabular)
    flat = gradient.reshape(len(gradient), -1)
    return flat if policy.order is None else flat[:, policy.order]
