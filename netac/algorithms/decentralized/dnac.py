"""DNAC: mini-batch decentralized natural actor-critic (Chen, Zhou, Chen and Zou, 2021).

Critic and team reward as in MDAC; then, psi_i being the score grad log pi_i(a_i|s) and n the number of agents,

    K times:  z = W^T_z [n psi_i'h_i]
              h_i <- h_i - (eta / N_k) sum over N_k samples of (z_i - r^_i - gamma V_i(s') + V_i(s)) psi_i
    theta_i <- theta_i + alpha h_i

h starts at 0 and is kept between iterations.  Under "double" and "iid" every inner step has N_k = `batch` new samples;
under "markov" and "stationary" the iteration's one batch serves all of them.

With `discounted_gradient = true` (...) is multiplied by gamma^t in step t of an episode: h is then the natural gradient
of the discounted return, both gradient and metric being means over the discounted visitation.

The options `optimizer` and `clip` are of the critic only; theta and h make the plain steps above.  An agent that took
part in some of the N_k samples only has the mean over those.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from netac.agents.parameters import like
from netac.agents.steps import NonNegative, step_size
from netac.algorithms.decentralized import mdac
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements
from netac.comm.network import Network
from netac.sampling.protocol import SECOND, Sampler


class Settings(mdac.Settings):
    """Options of DNAC: MDAC's, and those of the inner steps."""

    natural_step: NonNegative = Field(0.1, description="eta, the step size of h")
    inner_steps: int = Field(1, ge=1, le=10**6, description="K, steps of h an iteration")
    inner_rounds: int = Field(1, ge=0, le=10**6, description="T_z, rounds of averaging z")


def requirements(settings: Settings) -> Requirements:
    """What DNAC's agents hold and mix; h has a step of its own, which knows no entropy bonus."""
    return Requirements(mixed=("omega",), state={"h": like("theta")}, entropy_bonus=False)


def iterations(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations t in `times`."""
    x, policy, V, N_k = agents.parameters, agents.policy, agents.V, settings.batch
    gamma, n = settings.discount, sampler.environment.agents
    E, h = sampler.games, x["h"]
    alpha, eta = step_size(settings.actor_step, times.stop, x), settings.natural_step
    critic = mdac.critic_phase(agents, sampler, network, settings, times.stop)
    for t in times:
        served = critic(t)
        for k in range(settings.inner_steps):
            b = sampler.sample(x.theta, N_k, feed=SECOND) if served is None else served
            if served is None or k == 0:
                r_hat = mdac.team_reward(t, b, sampler, network, settings)
            products = np.ascontiguousarray(n * policy.score_products(x.theta, b, h))
            z = network.mix(t, products, settings.inner_rounds, "z")
            residual = z - r_hat - gamma * V.next(x.omega, b) + V(x.omega, b)
            h -= (eta / (N_k * E)) * policy.gradient(x.theta, b, b.discounted(residual))
        x.theta += alpha * h
        yield
