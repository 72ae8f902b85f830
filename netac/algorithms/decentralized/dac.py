"""DAC: decentralized actor-critic (Zhang, Yang, Liu, Zhang and Basar, 2018), policies never mixed; adapt, then mix.

`critic = "state_value"` (their Algorithm 2):

    mu~_i     = (1 - beta) mu_i + beta r_i                                      (average setting only)
    lambda~_i = lambda_i + beta_r (r_i - R_i(s,a)) grad R_i(s,a)
    delta_i   = r_i - mu_i + V_i(s') - V_i(s);      v~_i = v_i + beta delta_i grad V_i(s)
    theta_i  <- theta_i + alpha (R_i(s,a) - mu_i + V_i(s') - V_i(s)) grad log pi_i(a_i|s)
    mu = W mu~,  lambda = W lambda~,  v = W v~

`critic = "action_value"` (their Algorithm 1), a' being the action taken next:

    mu_i     <- (1 - beta) mu_i + beta r_i                                      (stays local)
    delta_i   = r_i - mu_i + Q_i(s',a') - Q_i(s,a);     omega~_i = omega_i + beta delta_i grad Q_i(s,a)
    theta_i  <- theta_i + alpha (Q_i(s,a) - sum_b pi_i(b|s) Q_i(s,b,a_-i)) grad log pi_i(a_i|s)
    omega = W omega~

Every residual uses the old mu.  `setting = "discounted"` (the default, used against CAC) drops mu and takes gamma V(s')
or gamma Q(s',a').  With several games mu_i is updated with the mean of r_i over those the agent took part in; without
any it stays.  The exchange of iteration t is posted at its end and completed after the sampling of t + 1.  With
`discounted_gradient = true` the steps of theta are multiplied by gamma^t in step t of an episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from netac.agents.steps import Step, step_size
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements, SingleSample
from netac.comm.network import Network
from netac.sampling.protocol import RUNNING, SECOND, Features, Sampler


class Settings(SingleSample):
    """Options of DAC."""

    reward_step: Step = Field(0.1, description="step size of lambda (state_value)")
    critic: Literal["state_value", "action_value"] = Field("state_value", description="Algorithm 2, or Algorithm 1")
    setting: Literal["discounted", "average"] = Field("discounted", description="discounted or average reward")

    @model_validator(mode="after")
    def _discounted_only(self) -> Self:
        if self.discounted_gradient and self.setting == "average":
            raise ValueError('discounted_gradient = true is for setting = "discounted": the average reward has no '
                             "discount")
        return self


def requirements(settings: Settings) -> Requirements:
    """What DAC's agents hold and mix."""
    average = settings.setting == "average"
    if settings.critic == "action_value":
        return Requirements(value="action", mu=average, mixed=("omega",),
                            features=Features(psi=True, psi_next=True, psi_own=True))
    return Requirements(reward_model=True, mu=average, mixed=("mu", "omega", "lam") if average else ("omega", "lam"),
                        features=Features(psi=True))


def iterations(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations t in `times`, by the algorithm of `settings.critic`."""
    by = _state_value if settings.critic == "state_value" else _action_value
    return by(agents, sampler, network, settings, times)


def _state_value(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
                 times: range) -> Iterator[None]:
    """Algorithm 2 of Zhang et al."""
    x, policy, V, R = agents.parameters, agents.policy, agents.V, agents.R
    average, double = settings.setting == "average", len(sampler.feeds) > 1
    gamma = 1.0 if average else settings.discount
    mean = agents.optimizer.over(sampler.games)
    alpha, beta, beta_r = (step_size(step, times.stop, x)
                           for step in (settings.actor_step, settings.critic_step, settings.reward_step))
    for t in times:
        b = sampler.sample(x.theta, feed=RUNNING)
        network.settle()                                                   # mu, lambda, v = W mu~, W lambda~, W v~
        mu = x.mu if average else 0.0
        delta = b.r - mu + gamma * V.next(x.omega, b) - V(x.omega, b)
        omega_step = beta * mean.omega(V.gradient(x.omega, b, delta))
        lambda_step = beta_r * mean.lam(R.gradient(x.lam, b, b.r - R(x.lam, b)))
        mu_step = beta * _mean(b.r - mu, b.sample_weight) if average else 0.0
        if double:
            b = sampler.sample(x.theta, feed=SECOND)
        advantage = R(x.lam, b) - mu + gamma * V.next(x.omega, b) - V(x.omega, b)
        x.theta += alpha * mean.theta(policy.gradient(x.theta, b, b.discounted(advantage)))
        x.omega += omega_step
        x.lam += lambda_step
        x.mu += mu_step
        network.post(t, x.mixed)
        yield


def _action_value(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
                  times: range) -> Iterator[None]:
    """Algorithm 1 of Zhang et al."""
    x, policy, Q = agents.parameters, agents.policy, agents.Q
    average, double = settings.setting == "average", len(sampler.feeds) > 1
    gamma = 1.0 if average else settings.discount
    mean = agents.optimizer.over(sampler.games)
    alpha, beta = step_size(settings.actor_step, times.stop, x), step_size(settings.critic_step, times.stop, x)
    for t in times:
        b = sampler.sample(x.theta, feed=RUNNING)
        network.settle()                                                            # omega = W omega~
        mu = x.mu if average else 0.0
        delta = b.r - mu + gamma * Q.next(x.omega, b) - Q(x.omega, b)
        omega_step = beta * mean.omega(Q.gradient(x.omega, b, delta))
        mu_step = beta * _mean(b.r - mu, b.sample_weight) if average else 0.0
        if double:
            b = sampler.sample(x.theta, feed=SECOND)
        advantage = Q(x.omega, b) - Q.expected(x.omega, b)
        x.theta += alpha * mean.theta(policy.gradient(x.theta, b, b.discounted(advantage)))
        x.omega += omega_step
        x.mu += mu_step
        network.post(t, x.mixed)
        yield


def _mean(residuals: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """The mean over the samples each agent took part in, 0.0 without any: (n, M) -> (n, 1)."""
    return (residuals if sample_weight is None else residuals * sample_weight).mean(axis=1, keepdims=True)
