"""Random cooperative games and eta-soft policies, for experiments that have no game of the user's."""

from __future__ import annotations

import numpy as np

from netac.exact import FiniteMDP


def random_game(rng: np.random.Generator, agents: int, states: int, actions: int, gamma: float) -> FiniteMDP:
    """A game with P and xi uniform over the probability simplex, and normal rewards that all agents share."""
    joint = actions**agents
    reward = rng.normal(size=(states, joint, 1))
    return FiniteMDP(rng.dirichlet(np.ones(states), (states, joint)), np.repeat(reward, agents, axis=2),
                     rng.dirichlet(np.ones(states)), gamma)


def soft_policies(rng: np.random.Generator, mdp: FiniteMDP, eta: float) -> np.ndarray:
    """(N, S, A) local policies, uniform over those with pi(a|s) >= eta for all a."""
    shape = (mdp.agents, mdp.states)
    return eta + (1.0 - mdp.actions * eta) * rng.dirichlet(np.ones(mdp.actions), shape)
