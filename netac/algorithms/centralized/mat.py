"""MAT: the multi-agent transformer (Wen et al., 2022, "Multi-agent reinforcement learning is a sequence modeling \
problem"; slides 004, lines 758-790).

For any order i_1, ..., i_n of the agents the joint advantage is the sum of those of each agent over what those before
it do (paper 001, Lemma 1; slides 004, lines 760-774, the formula of which is A^{i_1:m}(s, a^{i_1:m}) =
sum_j A^{i_j}(s, a^{i_1:j-1}, a^{i_j})):

    A(s, a) = sum_{m = 1..n} A^{i_m}(s, a^{i_1}, ..., a^{i_{m-1}}; a^{i_m})

So agents that choose one after the other, each an action of positive advantage given those of the agents before it,
improve the joint policy: to search n sets of actions is enough, one of all joint actions need not be searched.  A
sequence model makes such choices: the encoder's tokens are what the agents see, each with the value V(o^i), and the
decoder gives pi(a^{i_m} | o, a^{i_1}, ..., a^{i_{m-1}}), one action after the other when agents act, and all at once,
with a mask that hides later actions, when it learns ("sequential advantage decomposition happens here", slides 004,
lines 783-788).

In iteration k agents act in one order, drawn anew or fixed.  From T steps of all games, with V(s) the mean of V(o^i)
over the agents that take part, A by GAE and the returns R = A + V, both parts of the model climb

    - E[l(R - V(o^i))]                                                      (Wen et al., eq. 4), times `critic_weight`
    + E[min(ratio_i A, clip(ratio_i, 1 +- epsilon) A)] + entropy            (eq. 5),
    ratio_i = pi_theta(a^i | o, actions before i) / pi_k(a^i | o, actions before i)

with means over all samples in which an agent took part; l is the loss of netac's critics.  Gradients of both go into
the encoder, as in the published code.

An agent cannot act without the model, which the trainer holds: at every step each agent sends the trainer what it sees,
which actions it may take, and its reward, and is sent its action.  That is all that travels, and all that is counted.
Process 0, which steps the games, has all of it; other processes have no agents.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from pydantic import Field

from netac.agents.steps import NonNegative, Step, step_size
from netac.algorithms.centralized._autoregressive import AutoregressiveAgents, AutoregressiveRequirements
from netac.algorithms.centralized._options import InTurn, OfTeam
from netac.algorithms.centralized._sequential import turns
from netac.algorithms.policy_gradient.advantages import deviation, gae, normalised, own_advantages
from netac.algorithms.policy_gradient.learner import Measured, weights_of
from netac.algorithms.policy_gradient.minibatches import deal
from netac.algorithms.policy_gradient.options import Clipping, TrajectoryOptions
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.algorithms.policy_gradient.values import team_reward, value_loss
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler
from netac.sampling.rollout import Rollout, Rollouts


class Settings(TrajectoryOptions, Clipping, OfTeam, InTurn):
    """Options of MAT."""

    actor_step: Step = Field(5e-4, description=(
        "alpha, the step size of the decoder: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma"))
    critic_step: Step = Field(5e-4, description="beta, the step size of the encoder")
    critic_weight: NonNegative = Field(1.0, description="how much the loss of values counts beside the surrogate")


def requirements(settings: Settings) -> AutoregressiveRequirements:
    """One model of all agents."""
    return AutoregressiveRequirements(critics="own", shared=True)


def iterations(agents: AutoregressiveAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    rollouts, steps = Rollouts(sampler, settings.rollout, central=False), _step_sizes(agents, settings, times.stop)
    for k in times:
        if links.is_trainer:
            _iterate(agents, sampler, rollouts, settings, k, steps * np.float32(settings.left(k, times.stop)),
                     agents.report.measures(k, times.stop))
        links.meet()
        yield


def _step_sizes(agents: AutoregressiveAgents, settings: Settings, T: int) -> np.ndarray:
    """(d,) single precision: beta of the encoder's parameters, alpha of the others."""
    alpha, beta = (step_size(step, T, agents.parameters) for step in (settings.actor_step, settings.critic_step))
    return np.where(agents.policy.encodes, beta, alpha)


def _iterate(agents: AutoregressiveAgents, sampler: GameSampler, rollouts: Rollouts, settings: Settings, k: int,
             steps: np.ndarray, wanted: bool) -> None:
    """Iteration k, on process 0.

    Args:
        steps: (d,) step sizes.
        wanted: whether the report shall be measured.
    """
    N = len(agents.local)
    learner = agents.learner(turns(N, settings, agents.seed, k))
    model, theta = learner.policy, learner.theta
    sampler.policy = model
    b = rollouts.collect(agents.parameters.theta)                                       # trajectories of pi_k
    samples, epsilon = b.done.size, settings.epsilon(N)
    values = model.values(theta, b.obs)
    A, returns = _advantages(b, values, model.values(theta, b.final_obs), agents, settings)
    joint, scale = _someone(b), 1.0
    if settings.value_normalisation:
        agents.normaliser.update(returns, joint)
        returns = agents.normaliser.normalise(returns)
    if settings.advantages == "joint":
        A, scale = normalised(A, joint), deviation(A, joint).item()
    A, scales = own_advantages(np.repeat(A, N, axis=0), b.active, settings.advantages, b.discounts)
    targets = np.broadcast_to(returns, values.shape)
    learned = model.shown(b.among(b.samples, "all"))
    measured, size = Measured(learner, learned, epsilon), samples // settings.minibatches
    direction, old = learner.direction(N * size), measured.old
    for part in deal(samples, settings.minibatches, settings.epochs, agents.seed, k, N + 1):
        here, of = (learned, slice(None)) if part is None else (learned.take(part), part)
        weigh = weights_of(partial(clipped, epsilon=epsilon), old[:, of], A[:, of], here.active)          # eq. 5
        judge = partial(_pulls, targets[:, of], values[:, of], settings, here.active)                     # eq. 4
        theta += steps * direction(model.gradient(theta, here, weigh, judge))
    if wanted:
        agents.report.rows[:] = measured.rows(A, b.active, scales)
    agents.report.close(np.copy, b.mean_reward, scale, wanted)


def _pulls(targets: np.ndarray, old: np.ndarray, settings: Settings, active: np.ndarray | None,
           values: np.ndarray) -> np.ndarray:
    """What pulls at the values (N, M)."""
    pulls, _ = value_loss(values, targets, old, settings.value_clip, settings.huber, active)
    return settings.critic_weight * pulls


def _advantages(b: Rollout, values: np.ndarray, final: np.ndarray, agents: AutoregressiveAgents,
                settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A and R = A + V of the joint policy, (1, M) each, in units of rewards.

    Args:
        values: (N, M) V(o^i) of all samples, in the model's units.
        final: (N, K + E) those of `b.final_obs`.
    """
    there = b.taking_part
    later = b.bootstrap_mask * np.maximum(there, 1.0 - b.ends)     # agents for which s' has a value
    if settings.time_limits == "end":
        later = later * (1.0 - b.done)
    if settings.value_normalisation:
        values, final = (agents.normaliser.denormalise(each) for each in (values, final))
    V, V_next = _of_those(values.reshape(there.shape), there), _of_those(b.next_values(values, final), later)
    A, returns = gae(team_reward(b.everyone, settings.team_reward), V, V_next, later.max(axis=0, keepdims=True),
                     b.done[None], settings.discount, settings.gae_lambda)
    return A.reshape(1, -1), returns.reshape(1, -1)


def _of_those(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean over the agents that are there, 0 if none is: (N, T, E) -> (1, T, E)."""
    return (values * there).sum(axis=0, keepdims=True) / np.maximum(there.sum(axis=0, keepdims=True), 1.0)


def _someone(b: Rollout) -> np.ndarray:
    """(1, M) samples in which any agent took part."""
    return b.taking_part.max(axis=0).reshape(1, -1)
