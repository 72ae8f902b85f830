"""CAC: coordinated actor-critic (Zeng, Chen, Garcia and Hong, 2022, Algorithm 1).

Agents mix the shared part of their policies, their value weights and their reward models, and correct the mixtures with
residuals of the unmixed parameters:

    omega~ = W omega,  lambda~ = W lambda,  theta~^s = W theta^s                                                (line 4)
    delta_i   = r_i + gamma V_i(s') - V_i(s)                                                                    (line 6)
    omega_i  <- Proj_Romega (omega~_i + beta delta_i grad V_i(s))                                               (line 7)
    lambda_i <- Proj_Rlambda(lambda~_i + zeta (r_i - R_i(s,a)) grad R_i(s,a))                                   (line 8)
    theta_i  <- theta~_i + alpha (R_i(s,a) + gamma V_i(s') - V_i(s)) grad log pi_i(a_i|s)                       (line 9)

With `sampling = "double"` (Algorithm 2) lines 7 and 8 see a sample of the running chain, line 9 one of the discounted
visitation.  The federated setting is the topology "federated": its averaging step is line 4.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from netac.agents.steps import Radius, Step, step_size
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements, SingleSample, project
from netac.comm.network import Network
from netac.sampling.protocol import RUNNING, SECOND, Features, Sampler


class Settings(SingleSample):
    """Options of CAC."""

    reward_step: Step = Field(0.1, description="zeta, the step size of lambda")
    omega_radius: Radius = Field(None, description="R_omega of the projection of omega; off by default")
    lambda_radius: Radius = Field(None, description="R_lambda of the projection of lambda; off by default")


def requirements(settings: Settings) -> Requirements:
    """What CAC's agents hold and mix."""
    return Requirements(reward_model=True, mixed="critics and policy", features=Features(psi=True))


def iterations(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings, times: range) -> Iterator[None]:
    """Line 2: for t in `times`; `times.stop` is T.  With E games side by side, gradients are means over their samples."""
    x, policy, V, R = agents.parameters, agents.policy, agents.V, agents.R
    gamma, double = np.array(settings.gamma), len(sampler.feeds) > 1
    mean = agents.optimizer.over(sampler.games)
    alpha, beta, zeta = (step_size(step, times.stop, x)
                         for step in (settings.actor_step, settings.critic_step, settings.reward_step))
    bounded = [(weights, radius) for weights, radius in ((x.omega, settings.omega_radius), (x.lam, settings.lambda_radius))
               if radius is not None]
    for t in times:
        network.post(t, x.mixed)                                                    # line 4 is under way during line 3
        b = sampler.sample(x.theta, feed=RUNNING)                                     # line 3
        v, v_next, reward = V(x.omega, b), gamma * V.next(x.omega, b), R(x.lam, b)
        delta = b.r + v_next - v                                                    # line 6
        omega_step = beta * mean.omega(V.gradient(x.omega, b, delta))
        lambda_step = zeta * mean.lam(R.gradient(x.lam, b, b.r - reward))
        if double:                                                                  # Algorithm 2: the actor's own sample
            b = sampler.sample(x.theta, feed=SECOND)
            v, v_next, reward = V(x.omega, b), gamma * V.next(x.omega, b), R(x.lam, b)
        theta_step = alpha * mean.theta(policy.gradient(x.theta, b, reward + v_next - v))
        network.settle()                                                            # line 4: x is omega~, lambda~, theta~
        x.add(omega_step, lambda_step, theta_step)                                  # lines 7, 8 and 9
        for weights, radius in bounded:
            project(weights, radius)                                                # lines 7 and 8: Proj
        yield
