"""MDAC: mini-batch decentralized actor-critic (Chen, Zhou, Chen and Zou, 2021).

Iteration t, all of its rounds on the graph of t:

    T_c times:   omega <- W omega + (beta / N_c) sum over N_c samples of delta_i grad V_i(s)
    T_c' times:  omega <- W omega
    r^ = W^T' [r_i (1 + e_i)]        e_i: optional privacy noise, Student-t(4) scaled to `reward_noise`
    theta_i <- theta_i + (alpha / N) sum over N samples of [r^_i + gamma V_i(s') - V_i(s)] grad log pi_i(a_i|s)

`sampling = "double"` is the paper's: the critic's samples come from the running chain, the actor's from a chain that
moves by gamma P + (1 - gamma) xi.  Under "markov" one batch of the running chain serves every critic round and the
actor (N_c = N), as in the small-batch comparison of Zeng et al., section 5.

In games under "markov" the actor's step is along the gradient of the discounted return with `discounted_gradient =
true` only: then [...] is multiplied by gamma^t in step t of an episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from netac.agents.protocols import Batch
from netac.agents.steps import Common, Discounting, NonNegative, step_size
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements
from netac.comm.network import Network
from netac.sampling.protocol import RUNNING, SECOND, Sampler


class Settings(Common, Discounting):
    """Options of MDAC."""

    sampling: Literal["markov", "double", "stationary", "iid"] = Field("markov", description=(
        "markov, stationary: one batch serves critic and actor; double, iid: the actor has samples of its own"))
    batch: int = Field(5, ge=1, le=10**7, description="N, the actor's samples an iteration")
    critic_batch: int | None = Field(None, ge=1, le=10**7, description="N_c, samples of a critic round; default: N")
    critic_rounds: int = Field(1, ge=1, le=10**6, description="T_c, rounds of the critic")
    mixing_rounds: int = Field(0, ge=0, le=10**6, description="T_c', rounds of mixing omega after those")
    reward_rounds: int = Field(1, ge=0, le=10**6, description="T', rounds of averaging the reward")
    reward_noise: NonNegative = Field(0.0, description="standard deviation of the privacy noise e_i; 0: none")

    @model_validator(mode="after")
    def _one_batch(self) -> Self:
        alone = self.sampling in ("markov", "stationary")
        if alone and self.critic_batch not in (None, self.batch):
            raise ValueError(f"critic_batch = {self.critic_batch} differs from batch = {self.batch}, but with sampling "
                             f'= "{self.sampling}" one batch serves both: leave critic_batch out, or use "double" or '
                             '"iid"')
        return self


def requirements(settings: Settings) -> Requirements:
    """What MDAC's agents hold and mix."""
    return Requirements(mixed=("omega",))


def iterations(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations t in `times`."""
    x, policy, V, N, gamma = agents.parameters, agents.policy, agents.V, settings.batch, settings.discount
    alpha, mean = step_size(settings.actor_step, times.stop, x), agents.optimizer.over(N * sampler.games)
    critic = critic_phase(agents, sampler, network, settings, times.stop)
    for t in times:
        b = critic(t) or sampler.sample(x.theta, N, feed=SECOND)
        r_hat = team_reward(t, b, sampler, network, settings)
        advantage = r_hat + gamma * V.next(x.omega, b) - V(x.omega, b)
        x.theta += alpha * mean.theta(policy.gradient(x.theta, b, b.discounted(advantage)))
        yield


def critic_phase(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
                 T: int) -> Callable[[int], Batch | None]:
    """The critic's part of iteration t, as a function of t.

    It returns the batch, if that serves the actor, too (sampling = "markov", "stationary"), else None.
    """
    x, V, gamma = agents.parameters, agents.V, np.array(settings.discount)
    alone = len(sampler.feeds) == 1
    N_c = settings.critic_batch or settings.batch
    beta, mean = step_size(settings.critic_step, T, x), agents.optimizer.over(N_c * sampler.games)

    def phase(t: int) -> Batch | None:
        samples = sampler.sample(x.theta, N_c if alone else N_c * settings.critic_rounds, feed=RUNNING)
        omega = x.omega.copy()
        for b in repeat(samples, settings.critic_rounds) if alone else samples.parts(N_c * sampler.games):
            network.post(t, omega, "omega")
            delta = b.r + gamma * V.next(omega, b) - V(omega, b)
            step = beta * mean.omega(V.gradient(omega, b, delta))
            omega = network.wait() + step
        x.omega[:] = network.mix(t, omega, settings.mixing_rounds, "omega")
        return samples if alone else None

    return phase


def team_reward(t: int, b: Batch, sampler: Sampler, network: Network, settings: Settings) -> np.ndarray:
    """r^ = W^T' [r_i (1 + e_i)], the agents' estimates of the team-mean reward, sample by sample: (n, M)."""
    r = b.r
    if settings.reward_noise:
        r = r * (1.0 + settings.reward_noise * sampler.privacy_noise(r.shape[1]))
    return network.mix(t, np.ascontiguousarray(r), settings.reward_rounds, "rewards")
