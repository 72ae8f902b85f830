"""Sequential multi-agent PPO (Zhao et al.) in loops over joint actions, and the values of its policies by iteration."""

from __future__ import annotations

from itertools import product

import numpy as np

from netac.exact import FiniteMDP


def index(actions, A: int) -> int:
    """Of actions a^1, ..., a^m in C order."""
    number = 0
    for a in actions:
        number = number * A + a
    return number


def chance(policies, s: int, actions) -> float:
    """That the agents take them, each knowing the earlier ones."""
    found = 1.0
    for m, a in enumerate(actions):
        found *= policies[m][s, index(actions[:m], policies[m].shape[-1]), a]
    return found


def values(mdp: FiniteMDP, policies, sweeps: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """V and Q, by iteration."""
    joints = list(product(range(mdp.actions), repeat=mdp.agents))
    pi = np.array([[chance(policies, s, actions) for actions in joints] for s in range(mdp.states)])
    V = np.zeros(mdp.states)
    for _ in range(sweeps):
        Q = mdp.r.mean(axis=2) + mdp.gamma * mdp.P @ V
        V = (pi * Q).sum(axis=1)
    return V, Q


def plain_averages(Q, policies, size) -> list[np.ndarray]:
    """Q^{1:m}, joint action by joint action: those that begin with a^1, ..., a^m, by the later agents' chances."""
    agents, states, A = size
    found = [np.zeros((states, A**m, A)) for m in range(agents)]
    for m, s in product(range(agents), range(states)):
        for actions in product(range(A), repeat=agents):
            first, later = actions[:m + 1], 1.0
            for j in range(m + 1, agents):
                later *= policies[j][s, index(actions[:j], A), actions[j]]
            found[m][s, index(first[:-1], A), first[-1]] += later * Q[s, index(actions, A)]
    return found


def plain_iterates(mdp, size, K: int, inverse: float, logits) -> list:
    """pi_0, ..., pi_{K-1} of the online algorithm with tabular features; `inverse` is 1 / beta_k."""
    found = []
    for _ in range(K):
        policies = [np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in logits]
        found.append(policies)
        Q = plain_averages(values(mdp, policies)[1], policies, size)
        logits = [x + inverse * q for x, q in zip(logits, Q, strict=True)]
    return found
