"""Exact sequential multi-agent PPO: policies that know the earlier agents' actions, and the step of Zhao et al.

Agent m's policy pi^m(a^m | s, a^1, ..., a^{m-1}) is an array (S, A^{m-1}, A): the earlier agents' actions in C order,
then its own; `policies` are those of m = 1, ..., N.  Its Q^{1:m}(s, a^1, ..., a^m), averaged over the later agents'
actions, has the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from netac.exact import (
    FiniteMDP,
    action_value,
    induced_chain,
    objective,
    optimal_joint_actions,
    optimal_objective,
    visitation_distribution,
)
from netac.theory._pessimism import evaluate, sample

Policies = list[np.ndarray]
Improve = Callable[[Policies, list[np.ndarray]], list[np.ndarray]]


def one_agent(mdp: FiniteMDP) -> FiniteMDP:
    """The game as that of one agent with all actions: its policies (1, S, J) are joint ones, not always products."""
    return FiniteMDP(mdp.P, mdp.team_reward[..., None], mdp.xi, mdp.gamma)


def uniform(mdp: FiniteMDP) -> Policies:
    """pi_0: logits 0 for all agents."""
    return [np.zeros((mdp.states, mdp.actions**m, mdp.actions)) for m in range(mdp.agents)]


def conditional(local: np.ndarray) -> Policies:
    """Local logits (N, S, A) as logits of policies that may know the earlier agents' actions, and ignore them."""
    actions = local.shape[-1]
    return [np.repeat(own[:, None], actions**m, axis=1) for m, own in enumerate(local)]


def joint(policies: Sequence[np.ndarray]) -> np.ndarray:
    """(S, J) prod_m pi^m(a^m | s, a^1, ..., a^{m-1})."""
    found = np.ones((len(policies[0]), 1))
    for own in policies:
        found = (found[..., None] * own).reshape(len(own), -1)
    return found


def averaged(Q: np.ndarray, policies: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Q^{1:m}(s, a^1, ..., a^m) = E[Q(s, a)] over the later agents' actions, for m = 1, ..., N (Definition 3.1).

    Args:
        Q: (S, J), or (S, J, d) features of which Q is a linear function.

    Returns:
        (S, A^{m-1}, A) or (S, A^{m-1}, A, d) each.
    """
    found = []
    for own in reversed(policies):
        Q = Q.reshape(*own.shape, *Q.shape[2:])
        found.append(Q)
        Q = (own.reshape(*own.shape, *[1] * (Q.ndim - own.ndim)) * Q).sum(axis=2)
    return found[::-1]


def step(logits: Policies, Q: Sequence[np.ndarray], inverse: float) -> Policies:
    """All agents' steps max E[<Q^{1:m}, pi> - beta_k KL(pi || pi_k^m)]: Q^{1:m} / beta_k is added to the logits.

    It is theta_{k+1}^m = argmin E[(phi'(theta - theta_k^m) - Q^{1:m} / beta_k)^2], phi one-hot in (s, a^1, ..., a^m).

    Args:
        Q: Q^{1:m} of all agents.
        inverse: 1 / beta_k.
    """
    return [own + inverse * values for own, values in zip(logits, Q, strict=True)]


def discounted_visits(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """(S,) the visitation distribution of a joint policy pi (S, J)."""
    return visitation_distribution(induced_chain(one_agent(mdp), pi[None]).transition, mdp.xi, mdp.gamma)


def fitted(phi: np.ndarray, weights: np.ndarray, target: np.ndarray) -> np.ndarray:
    """phi'delta with delta = argmin E[(phi'delta - target)^2], the shortest where there are several.

    Args:
        phi: (..., d) features.
        weights: (...) probabilities of the expectation.
        target: (...).
    """
    root = np.sqrt(weights)
    rows = (root[..., None] * phi).reshape(-1, phi.shape[-1])
    return phi @ np.linalg.lstsq(rows, (root * target).ravel())[0]


def inverse_step(gamma: float, actions: int, K: int) -> float:
    """1 / beta_k = 1 / (beta sqrt(K)) with the beta that makes the bound smallest: (1 - gamma) sqrt(8 log A / K)."""
    return (1.0 - gamma) * np.sqrt(8.0 * np.log(actions) / K)


def iterates(mdp: FiniteMDP, K: int, inverse: float, logits: Policies | None = None,
             improve: Improve | None = None) -> Iterator[Policies]:
    """pi_0, ..., pi_{K-1} of the online algorithm, whose output is their uniform mixture.

    Args:
        inverse: 1 / beta_k.
        logits: of pi_0; None: uniform.
        improve: gives what replaces the exact Q^{1:m} in the step, from the policies and these; None: they stay.
    """
    logits = uniform(mdp) if logits is None else logits
    whole = one_agent(mdp)
    for _ in range(K):
        policies = [softmax(own, axis=-1) for own in logits]
        yield policies
        Q = averaged(action_value(whole, joint(policies)[None]), policies)
        logits = step(logits, Q if improve is None else improve(policies, Q), inverse)


def lstd(mdp: FiniteMDP, phi: np.ndarray, samples: int, rng: np.random.Generator) -> Improve:
    """Q^{1:m}, estimated anew in every iteration by LSTD with joint features phi (S, J, d).

    Estimates are clipped to [0, 1 / (1 - gamma)].

    From `samples` independent transitions: s from pi_k's visitation distribution, all agents' actions uniform, a reward
    of 1 with probability r(s, a), else 0.  The later agents' known policies pi_k are averaged out exactly.
    """
    most = 1.0 / (1.0 - mdp.gamma)

    def improve(policies: Policies, _: list[np.ndarray]) -> list[np.ndarray]:
        pi = joint(policies)
        pairs = np.repeat(discounted_visits(mdp, pi)[:, None], mdp.joint_actions, axis=1)
        data = sample(mdp, phi, pairs, samples, rng)
        w = evaluate(data, pi, mdp.gamma, mdp.xi, np.inf, most * np.sqrt(phi.shape[-1]))
        return averaged(np.clip(phi @ w, 0.0, most), policies)

    return improve


def log_linear(mdp: FiniteMDP, phi: np.ndarray, estimate: Improve) -> Improve:
    """The regression of Q^{1:m} on phi^m, theta_{k+1}^m = argmin E[(phi^m'(theta - theta_k^m) - Q^{1:m} / beta_k)^2].

    phi^m(s, a^1, ..., a^m) is phi (S, J, d) averaged over the later agents' actions, all alike; s is from pi_k's
    visitation distribution, a^1, ..., a^m are uniform.

    Args:
        estimate: gives Q^{1:m}.
    """
    features = averaged(phi, [np.full_like(own, 1.0 / mdp.actions) for own in uniform(mdp)])

    def improve(policies: Policies, Q: list[np.ndarray]) -> list[np.ndarray]:
        states = discounted_visits(mdp, joint(policies))[:, None, None]
        return [fitted(own, np.broadcast_to(states, own.shape[:-1]) / own[0, ..., 0].size, target)
                for own, target in zip(features, estimate(policies, Q), strict=True)]

    return improve


def mixture_errors(mdp: FiniteMDP, K: int, inverse: float) -> np.ndarray:
    """(K,) J(pi*) - J of the uniform mixture of pi_0, ..., pi_{k-1}, for k = 1, ..., K, with the same 1 / beta_k.

    Args:
        inverse: 1 / beta_k, which does not depend on K.
    """
    whole = one_agent(mdp)
    J = [objective(whole, joint(policies)[None]) for policies in iterates(mdp, K, inverse)]
    return np.cumsum(optimal_objective(mdp) - np.array(J)) / np.arange(1, K + 1)


class OnlineErrors(NamedTuple):
    """Errors of K iterations of the online algorithm, in terms of the normalised J.

    Attributes:
        error: J(pi*) - J of the uniform mixture of pi_0, ..., pi_{K-1}.
        last: J(pi*) - J(pi_{K-1}).
        bound: of `error`, by the argument of mirror descent.
        statistical: the part of `bound` that is due to errors in Q^{1:m} and in its regression; 0 with exact ones.
        lemma: largest error, over k, of J(pi*) - J(pi_k) = sum_m E[<Q^{1:m}, pi*^m - pi_k^m>] over pi*'s visits.
    """

    error: float
    last: float
    bound: float
    statistical: float
    lemma: float


def bound(mdp: FiniteMDP, K: int) -> float:
    """Bound of `OnlineErrors.error`, for exact Q^{1:m} and `inverse_step`: N / (1 - gamma) sqrt(log A / (2 K))."""
    return mdp.agents / (1.0 - mdp.gamma) * np.sqrt(np.log(mdp.actions) / (2.0 * K))


def course(mdp: FiniteMDP, K: int, improve: Improve | None = None) -> OnlineErrors:
    """K iterations from uniform policies, held against the bound.

    Agent m's steps in a state, after given earlier actions, are exponential weights with gains g_k = Q^{1:m} (or what
    `improve` makes of it) in an interval of length W_k, so that, by Hoeffding's lemma,
    sum_k <g_k, pi* - pi_k> <= beta_k log A + sum_k W_k^2 / (8 beta_k).  Averaged over pi*'s visits and added up over
    the agents this bounds the sum over k of J(pi*) - J(pi_k), up to E[<Q^{1:m} - g_k, pi*^m - pi_k^m>], which is
    measured.  With exact Q^{1:m}, W_k <= 1 / (1 - gamma).
    """
    inverse, whole = inverse_step(mdp.gamma, mdp.actions, K), one_agent(mdp)
    best = optimal_joint_actions(mdp)
    visited = visitation_distribution(mdp.P[np.arange(mdp.states), best], mdp.xi, mdp.gamma)
    gaps, gains, errors, spans = [], [], [], []

    def watched(policies: Policies, Q: list[np.ndarray]) -> list[np.ndarray]:
        used = Q if improve is None else improve(policies, Q)
        gains.append(gain(Q, policies, best, visited))
        errors.append(gains[-1] - gain(used, policies, best, visited))
        spans.append(max(np.ptp(own, axis=-1).max() for own in used))
        return used

    J_best = optimal_objective(mdp)
    for policies in iterates(mdp, K, inverse, improve=watched):
        gaps.append(J_best - objective(whole, joint(policies)[None]))
    statistical = float(np.mean(errors))
    if improve is None:
        most = bound(mdp, K)
    else:
        most = (mdp.agents * (np.log(mdp.actions) / (inverse * K) + inverse * np.mean(np.square(spans)) / 8.0)
                + statistical)
    return OnlineErrors(float(np.mean(gaps)), gaps[-1], float(most), statistical,
                        float(np.abs(np.subtract(gaps, gains)).max()))


def gain(Q: Sequence[np.ndarray], policies: Policies, best: np.ndarray, visited: np.ndarray) -> float:
    """sum_m E[<Q^{1:m}(s, a^1, ..., a^{m-1}, .), pi*^m - pi^m>], with s and a^1, ..., a^{m-1} those of pi*.

    Args:
        best: (S,) pi*'s joint actions.
        visited: (S,) its visitation distribution.
    """
    agents, actions, states = len(Q), Q[0].shape[-1], np.arange(len(best))
    found = 0.0
    for m, (values, own) in enumerate(zip(Q, policies, strict=True), start=1):
        earlier, action = np.divmod(best // actions**(agents - m), actions)
        row = values[states, earlier]
        found += visited @ (row[states, action] - np.vecdot(row, own[states, earlier]))
    return float(found)
