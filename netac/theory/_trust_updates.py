"""Clipped updates of tabular softmax policies with exact advantages: IPPO's independent ratios, JR-PPO's joint one.

The surrogate is that of the trainers (`netac.algorithms.policy_gradient.surrogates.clipped`), the optimizer their
Adam; there are no networks and no estimated advantages, so that all effects come from clipping alone.  Both methods
get the same joint advantage A(s, a); as in appendix A.6, they differ only in the ratio that is clipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Layout
from netac.algorithms.policy_gradient.surrogates import clipped, ratios
from netac.exact import action_value, objective, optimal_objective, value_function
from netac.theory._trust_bounds import joint_tv, tv, visits
from netac.theory._trust_games import DecMDP, team_game

ADAM = (0.9, 0.999, 1e-8)


class Trajectories(NamedTuple):
    """M samples of (s, a) under the old policies, s from the discounted visitation distribution."""

    states: np.ndarray
    """(M,)"""
    actions: np.ndarray
    """(N, M)"""
    A: np.ndarray
    """(M,) joint advantages, exact."""


@dataclass(frozen=True)
class Training:
    """One training to do.

    Attributes:
        agents, states, gamma: of the game, `team_game`.
        seed: of the game and of the samples.
        epsilon: half the width of the clip range; inf: no clipping.
        joint: whether the joint ratio is clipped, as in JR-PPO, or every agent's, as in IPPO.
        iterations: how many; in each `samples` are drawn and `epochs` steps of Adam of size `step` made.
        spread: deviation of the first logits.
        looks: epochs after which an iteration's policies are looked at; none: the last.
    """

    agents: int
    seed: tuple[int, ...]
    epsilon: float
    joint: bool = False
    iterations: int = 1
    epochs: int = 10
    samples: int = 256
    step: float = 0.02
    spread: float = 0.5
    looks: tuple[int, ...] = ()
    states: int = 3
    gamma: float = 0.9


class Climb(NamedTuple):
    """What `train` found, a number for each look; `tvs` has one for every agent."""

    score: np.ndarray
    """(J - J of the first policies) / (best J - J of the first policies)."""
    joint_tv: np.ndarray
    """Largest total variation over states of the joint policy from that before the iteration; exact."""
    tvs: np.ndarray
    """(looks, N) the same of every agent's own policy."""
    lowest: np.ndarray
    """Least ratio of an agent in the samples."""
    highest: np.ndarray
    """Largest ratio of an agent in the samples."""

    @property
    def sum_of_tvs(self) -> np.ndarray:
        """The paper's estimate of `joint_tv`: the sum of the agents' largest total variations."""
        return self.tvs.sum(axis=-1)


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log softmax along the last axis; scipy's takes ten times as long on so few numbers, to the same bits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """(N, S, A) policies."""
    return np.exp(log_probabilities(logits))


def collect(game: DecMDP, pi: np.ndarray, samples: int, rng: np.random.Generator) -> Trajectories:
    """Samples of policies (N, S, A) and their advantages."""
    A = action_value(game.mdp, pi) - value_function(game.mdp, pi)[:, None]
    d = visits(game, pi)
    states = rng.choice(len(d), samples, p=d / d.sum())
    uniforms = rng.random((game.mdp.agents, samples, 1))
    actions = (np.cumsum(pi, axis=-1)[:, states, :-1] <= uniforms).sum(axis=-1)
    joint = np.ravel_multi_index(tuple(actions), (game.mdp.actions,) * game.mdp.agents)
    return Trajectories(states, actions, A[states, joint])


def log_ratios(old: np.ndarray, logits: np.ndarray, batch: Trajectories) -> np.ndarray:
    """(N, M) log pi_k(a^k|s) - log old_k(a^k|s), `old` being logits too."""
    change = log_probabilities(logits) - log_probabilities(old)
    return change[np.arange(len(change))[:, None], batch.states, batch.actions]


def weighted_scores(logits: np.ndarray, batch: Trajectories, weights: np.ndarray) -> np.ndarray:
    """(N, S, A) sum_e weights_e grad log pi_k(a_e|s_e) with respect to the logits; weights (N, M)."""
    agents, states, actions = logits.shape
    at = (np.arange(agents)[:, None] * states + batch.states) * actions + batch.actions
    taken = np.bincount(at.ravel(), weights.ravel(), logits.size).reshape(logits.shape)
    return taken - taken.sum(axis=-1, keepdims=True) * probabilities(logits)


def climb(logits: np.ndarray, batch: Trajectories, training: Training) -> Iterator[np.ndarray]:
    """The logits (N, S, A) after every epoch; a new array each."""
    old, agents = logits, len(logits)
    optimizer = Optimizer(Layout(0, 0, logits[0].size, 0), agents, adam=ADAM)
    direction = optimizer.over(len(batch.A)).theta
    for _ in range(training.epochs):
        log_ratio = log_ratios(old, logits, batch)
        if training.joint:                                       # eq. 6; else eq. 3
            log_ratio = np.repeat(log_ratio.sum(axis=0, keepdims=True), agents, axis=0)
        weights = clipped(log_ratio, batch.A, epsilon=training.epsilon).weights
        gradient = weighted_scores(logits, batch, weights).reshape(agents, -1)
        logits = logits + training.step * direction(gradient).reshape(logits.shape)
        yield logits


def train(training: Training) -> Climb:
    """Compares, in every iteration, the policies after the epochs `training.looks` with those before it."""
    game_seed, sample_seed = np.random.SeedSequence(training.seed).spawn(2)
    game = team_game(training.agents, training.states, training.gamma, np.random.default_rng(game_seed))
    rng = np.random.default_rng(sample_seed)
    logits = training.spread * rng.standard_normal((training.agents, training.states, game.mdp.actions))
    first, best = objective(game.mdp, probabilities(logits)), optimal_objective(game.mdp)
    rows = []
    for _ in range(training.iterations):
        old, batch = logits, collect(game, probabilities(logits), training.samples, rng)
        steps = list(climb(logits, batch, training))
        logits = steps[-1]
        for epochs in training.looks or (training.epochs,):
            new = steps[epochs - 1]
            before, after = probabilities(old), probabilities(new)
            ratio = ratios(log_ratios(old, new, batch))
            rows.append(((objective(game.mdp, after) - first) / (best - first), joint_tv(before, after).max(),
                         tv(before, after).max(axis=1), ratio.min(), ratio.max()))
    return Climb(*map(np.array, zip(*rows, strict=True)))


def against(training: Training) -> tuple[Climb, Climb]:
    """The same training with independent ratios and with the joint one: the same game, the same first policies."""
    return train(replace(training, joint=False)), train(replace(training, joint=True))


