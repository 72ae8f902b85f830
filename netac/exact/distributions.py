"""The Markov chain that a joint policy induces, and its distributions over states."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netac.exact.mdp import FiniteMDP
from netac.utils.errors import RunError


class InducedChain(NamedTuple):
    """What is left of a networked MDP once the policies are fixed."""

    joint: np.ndarray
    """(S, J) probability of each joint action."""
    transition: np.ndarray
    """(S, S') probability of each next state."""
    reward: np.ndarray
    """(S,) expected team-mean reward."""


def joint_policy(pi: np.ndarray) -> np.ndarray:
    """(S, J) probabilities of the joint actions in C order, the product of the local policies `pi` (N, S, A)."""
    joint = pi[0]
    for local in pi[1:]:
        joint = (joint[:, :, None] * local[:, None, :]).reshape(len(joint), -1)
    return joint


def induced_chain(mdp: FiniteMDP, pi: np.ndarray) -> InducedChain:
    """The chain, and its rewards, under local policies `pi` (N, S, A)."""
    joint = joint_policy(pi)
    transition = np.matmul(joint[:, None, :], mdp.P)[:, 0]
    return InducedChain(joint, transition, (joint * mdp.team_reward).sum(axis=1))


def transition(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """(S, S') transition probabilities of the chain under local policies `pi` (N, S, A)."""
    return induced_chain(mdp, pi).transition


def recurrent_classes(transition: np.ndarray) -> list[np.ndarray]:
    """The closed communicating classes of a chain (S, S'), each as ascending state indices, in order of the first."""
    states = len(transition)
    if (transition > 0).all():
        return [np.arange(states)]
    reaches = (transition > 0) | np.eye(states, dtype=bool)
    for _ in range(states.bit_length()):
        steps = reaches.astype(np.float32)
        reaches = steps @ steps > 0
    recurrent = (reaches <= reaches.T).all(axis=1)
    representative = (reaches & reaches.T).argmax(axis=1)
    return [np.flatnonzero(representative == first) for first in np.unique(representative[recurrent])]


def stationary_distribution(transition: np.ndarray) -> np.ndarray:
    """(S,) mu_theta with mu = mu P, for a chain `transition` (S, S') with one recurrent class; 0 on transient states.

    Periodic chains have one too: the long-run shares of time.

    Raises:
        RunError: naming the recurrent classes where there are several, as no single distribution exists then.
    """
    classes = recurrent_classes(transition)
    if len(classes) > 1:
        named = " and ".join(str(states.tolist()) for states in classes[:3]) + (" ..." if len(classes) > 3 else "")
        raise RunError("the stationary distribution is not unique: under the current policies the Markov chain can end "
                       f"up in any of {len(classes)} separate sets of states, {named}")
    recurrent = classes[0]
    # mu (I - P + 11') = 1' is regular for one class, and says both mu = mu P and sum mu = 1.
    system = np.eye(len(recurrent)) - transition[np.ix_(recurrent, recurrent)] + 1
    mass = np.maximum(np.linalg.solve(system.T, np.ones(len(recurrent))), 0)
    mu = np.zeros(len(transition))
    mu[recurrent] = mass / mass.sum()
    return mu


def visitation_distribution(transition: np.ndarray, xi: np.ndarray, gamma: float) -> np.ndarray:
    """(S,) d_theta = (1 - gamma) sum_t gamma^t P(s_t = s | s_0 ~ xi), for a chain `transition` (S, S').

    It is the stationary distribution of the chain that restarts from xi with probability 1 - gamma.
    """
    system = np.eye(len(xi)) - gamma * transition
    return np.linalg.solve(system.T, (1 - gamma) * xi)
