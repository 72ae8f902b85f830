"""One-sample estimates of the joint policy gradient on finite games: their exact means and variances.

A sample is s from the discounted visitation distribution, a from pi and s' from P; agent i's estimate with respect to
its softmax logits is X_i grad log pi_i(a_i|s), and estimates differ in X_i:

    none, value                 Q(s, a), Q(s, a) - V(s)                  central critics of the team's mean reward
    counterfactual, optimal     Q(s, a) - b_i(s, a_-i)                   those of `coma`, by its own code
    own Q                       E[Q(s, a) | s, a_i] - V(s)               the others' actions averaged out
    averaged TD                 r(s, a) + gamma V(s') - V(s)             r the mean of all agents' rewards
    own TD                      (r_i(s, a) + gamma V_i(s') - V_i(s)) / N   the agent's share of J by its own reward
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netac.agents.distributions import Categorical, logit_score_norms
from netac.algorithms.centralized._counterfactual import Baseline, baseline
from netac.exact import (
    FiniteMDP,
    action_value,
    joint_policy,
    transition,
    value_function,
    visitation_distribution,
)

BASELINES: tuple[Baseline, ...] = ("counterfactual", "optimal")
PARTS = ("state", "others", "own", "next state")


class Estimate(NamedTuple):
    """X_i(s, a, s') of every agent.

    T is S where X depends on the next state, else 1.
    """

    X: np.ndarray
    """(T, S, J, N)."""
    chance: np.ndarray
    """(T, S, J) of that s'."""


class EstimateMoments(NamedTuple):
    """Exact moments of a one-sample estimate; variances are traces of covariances, summed over agents."""

    mean: np.ndarray
    """(N, S, A)."""
    parts: dict[str, float]
    """Of the variance, `PARTS`: what comes from the state, the others' actions, the agent's own, the next state."""
    each: np.ndarray
    """(N,) the agents' variances."""
    shared: float
    """Variance of the agents' mean, the gradient by logits that all of them share."""

    @property
    def variance(self) -> float:
        """Of all agents' estimates together."""
        return float(self.each.sum())


def crowd(agents: int, coupling: float, rng: np.random.Generator, states: int = 3, gamma: float = 0.9) -> FiniteMDP:
    """A random game of agents with actions -1 and 1, all alike on average.

    r_i = c(s) + u(s) a_i + coupling a_i sum_j w_ij(s) a_j / sqrt(N - 1), with c ~ N(1, 1/4), u and w standard normal;
    the next state is drawn from one distribution or another, the share of the other being 1/2 + coupling mean(a) / 2.
    With coupling = 0 no agent does anything to others.  From the same random numbers c, u and the distributions are the
    same for every number of agents.
    """
    a = 2.0 * np.array(np.unravel_index(np.arange(2**agents), (2,) * agents)) - 1.0                   # (N, J)
    c, u = rng.normal(1.0, 0.5, states), rng.standard_normal(states)
    one, other = rng.dirichlet(np.ones(states), (2, states))[:, :, None]
    xi = rng.dirichlet(np.ones(states))
    w = rng.standard_normal((states, agents, agents)) * (1.0 - np.eye(agents)) / np.sqrt(max(agents - 1, 1))
    r = c[:, None, None] + (u[:, None, None] + coupling * (w @ a)) * a                                # (S, N, J)
    share = 0.5 + 0.5 * coupling * a.mean(axis=0)[:, None]
    return FiniteMDP((1.0 - share) * one + share * other, np.moveaxis(r, 1, 2), xi, gamma)


def alike(agents: int, ones: np.ndarray) -> np.ndarray:
    """(N, S, 2) policies of agents that play 1 with the same probabilities (S,)."""
    return np.tile(np.stack([1.0 - ones, ones], axis=-1), (agents, 1, 1))


def estimates(mdp: FiniteMDP, pi: np.ndarray) -> dict[str, Estimate]:
    """All of the module's table; Q and V are exact."""
    Q, V = action_value(mdp, pi), value_function(mdp, pi)
    agents, joint = mdp.agents, joint_policy(pi)
    own_r = (joint[:, :, None] * mdp.r).sum(axis=1)
    own_V = np.linalg.solve(np.eye(mdp.states) - mdp.gamma * transition(mdp, pi), own_r)              # (S, N)
    advantage = Q - V[:, None]
    shared = np.repeat(advantage[:, :, None], agents, axis=2)
    found = {"none": shared + V[:, None, None], "value": shared}
    found |= {which: np.stack([Q - own_baseline(which, Q, pi, i) for i in range(agents)], axis=-1)
              for which in BASELINES}
    found["own Q"] = np.stack([_averaged_out(advantage, joint, i, agents) for i in range(agents)], axis=-1)
    made = {name: Estimate(X[None], np.ones((1, *Q.shape))) for name, X in found.items()}
    chance = np.moveaxis(mdp.P, 2, 0)
    later = mdp.team_reward + mdp.gamma * V[:, None, None] - V[:, None]                              # (S', S, J)
    own = mdp.r + mdp.gamma * own_V[:, None, None] - own_V[:, None]                                   # (S', S, J, N)
    return made | {"averaged TD": Estimate(np.repeat(later[..., None], agents, axis=3), chance),
                   "own TD": Estimate(own / agents, chance)}


def own_baseline(which: Baseline, Q: np.ndarray, pi: np.ndarray, agent: int) -> np.ndarray:
    """(S, J) b_i(s, a_-i) of the trainer `coma`, by its own code, given the exact Q (S, J)."""
    with np.errstate(divide="ignore"):
        own = Categorical(np.log(pi[agent])[:, None])
    q = with_own_last(Q, agent, len(pi))
    return _joint_last(np.broadcast_to(np.asarray(baseline(which, own, q))[..., None], q.shape), agent)


def moments(mdp: FiniteMDP, pi: np.ndarray, estimate: Estimate) -> EstimateMoments:
    """Exact, by the law of total variance: given s, given s and a_-i, given s and a."""
    agents, d = mdp.agents, visits(mdp, pi)
    joint, norms = joint_policy(pi), logit_score_norms(pi)
    mean_X = (estimate.chance[..., None] * estimate.X).sum(axis=0)                                    # (S, J, N)
    spread = (estimate.chance[..., None] * (estimate.X - mean_X)**2).sum(axis=0)
    mean, parts = np.zeros((agents, mdp.states, mdp.actions)), np.zeros((4, agents))
    for i in range(agents):
        q, w = with_own_last(mean_X[:, :, i], i, agents), pi[i][:, None]
        later, weight = with_own_last(spread[:, :, i], i, agents), d[:, None] * _others(joint, i, agents)
        given_others = w * (q - (w * q).sum(axis=-1, keepdims=True))                                  # E[X score]
        given_state = (_others(joint, i, agents)[:, :, None] * given_others).sum(axis=1)
        mean[i] = d[:, None] * given_state
        size, seen = np.square(given_others).sum(axis=-1), d @ np.square(given_state).sum(axis=-1)
        parts[:, i] = (seen - np.square(mean[i]).sum(), (weight * size).sum() - seen,
                       (weight * ((w * q**2 * norms[i][:, None]).sum(axis=-1) - size)).sum(),
                       (weight * (w * later * norms[i][:, None]).sum(axis=-1)).sum())
    total = (d[:, None] * joint * estimate.chance * np.square(_summed(pi, estimate.X)).sum(axis=-1)).sum() / agents**2
    return EstimateMoments(mean, dict(zip(PARTS, map(float, parts.sum(axis=1)), strict=True)), parts.sum(axis=0),
                           float(total - np.square(mean.mean(axis=0)).sum()))


def sampled_variance(mdp: FiniteMDP, pi: np.ndarray, estimate: Estimate, samples: int,
                     rng: np.random.Generator) -> float:
    """What `EstimateMoments.variance` is the expectation of, from samples."""
    states = rng.choice(mdp.states, samples, p=visits(mdp, pi))
    actions = (np.cumsum(pi, axis=-1)[:, states, :-1] <= rng.random((mdp.agents, samples, 1))).sum(axis=-1)
    joint = np.ravel_multi_index(tuple(actions), (mdp.actions,) * mdp.agents)
    below = np.cumsum(estimate.chance, axis=0)[:-1, states, joint]
    X = estimate.X[(below <= rng.random(samples)).sum(axis=0), states, joint].T                       # (N, M)
    scores = np.eye(mdp.actions)[actions] - pi[:, states]
    g = np.zeros((samples, mdp.agents, mdp.states, mdp.actions))
    g[np.arange(samples), :, states] = np.moveaxis(X[..., None] * scores, 0, 1)
    return float(g.reshape(samples, -1).var(axis=0, ddof=1).sum())


def visits(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """(S,) the discounted visitation distribution."""
    return visitation_distribution(transition(mdp, pi), mdp.xi, mdp.gamma)


def with_own_last(values: np.ndarray, agent: int, agents: int) -> np.ndarray:
    """(S, J) -> (S, J / A, A): the others' joint actions, the agent's own."""
    actions = round(values.shape[1] ** (1 / agents))
    split = values.reshape(len(values), actions**agent, actions, -1)
    return np.moveaxis(split, 2, 3).reshape(len(values), -1, actions)


def _joint_last(values: np.ndarray, agent: int) -> np.ndarray:
    """What `with_own_last` made, put back: (S, J / A, A) -> (S, J)."""
    states, _, actions = values.shape
    return np.moveaxis(values.reshape(states, actions**agent, -1, actions), 3, 2).reshape(states, -1)


def _averaged_out(values: np.ndarray, joint: np.ndarray, agent: int, agents: int) -> np.ndarray:
    """(S, J) E[values (S, J) | s, a_i]."""
    split = with_own_last(values, agent, agents)
    mean = (_others(joint, agent, agents)[:, :, None] * split).sum(axis=1, keepdims=True)
    return _joint_last(np.broadcast_to(mean, split.shape), agent)


def _others(joint: np.ndarray, agent: int, agents: int) -> np.ndarray:
    """(S, J / A) probabilities of the others' actions."""
    return with_own_last(joint, agent, agents).sum(axis=-1)


def _summed(pi: np.ndarray, X: np.ndarray) -> np.ndarray:
    """(T, S, J, A) sum_i X_i grad log pi_i(a_i|s), for X (T, S, J, N)."""
    agents, _, actions = pi.shape
    own = np.array(np.unravel_index(np.arange(X.shape[2]), (actions,) * agents))                      # (N, J)
    total = np.zeros((*X.shape[:3], actions))
    for i in range(agents):
        total += X[..., i, None] * (np.eye(actions)[own[i]] - pi[i][:, None])
    return total
