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

In games, whose episodes end, `discounted_gradient = true` has line 9 times gamma^t in step t of an episode: the
gradient of the discounted return from one chain, where "double" takes a second one.

With `tracking = true` agents do not step along their own directions g_i (of omega, lambda and theta^s; after the local
optimizer) but along y_i, which tracks the mean of all agents' (gradient tracking), and which they mix, too:

    y_i <- sum_j W_ij y_j + g_i - g_i of the iteration before        (at first y = g)
    x_i <- sum_j W_ij x_j + step y_i                                 in lines 7, 8 and 9, x being omega, lambda, theta^s

so that sum_i y_i = sum_i g_i at all times.  The personal part of theta keeps stepping along its own g_i.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from pydantic import Field

from netac.agents.parameters import like
from netac.agents.steps import Radius, Step, step_size
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements, SingleSample, project, tracked
from netac.comm.network import Network
from netac.sampling.protocol import RUNNING, SECOND, Features, Sampler


class Settings(SingleSample):
    """Options of CAC."""

    reward_step: Step = Field(0.1, description="zeta, the step size of lambda")
    omega_radius: Radius = Field(None, description="R_omega of the projection of omega; off by default")
    lambda_radius: Radius = Field(None, description="R_lambda of the projection of lambda; off by default")
    tracking: bool = Field(False, description="steps along a tracker of all agents' mean direction, mixed, too")


def requirements(settings: Settings) -> Requirements:
    """What CAC's agents hold, keep and mix."""
    needs = Requirements(reward_model=True, mixed=("omega", "lam", "shared"), features=Features(psi=True))
    if settings.tracking:
        return replace(needs, mixed=(*needs.mixed, "y"), state={"y": like("mixed"), "g": like("mixed")})
    return needs


def iterations(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Line 2: for t in `times`; `times.stop` is T.  With E games side by side, gradients are means over them."""
    x, policy, V, R = agents.parameters, agents.policy, agents.V, agents.R
    gamma, double, tracking = np.array(settings.discount), len(sampler.feeds) > 1, settings.tracking
    mean = agents.optimizer.over(sampler.games)
    alpha, beta, zeta = (step_size(step, times.stop, x)
                         for step in (settings.actor_step, settings.critic_step, settings.reward_step))
    radii = (x.omega, settings.omega_radius), (x.lam, settings.lambda_radius)
    bounded = [(weights, radius) for weights, radius in radii if radius is not None]
    for t in times:
        network.post(t, x.mixed)                                                    # line 4 is under way during line 3
        b = sampler.sample(x.theta, feed=RUNNING)                                   # line 3
        v, v_next, reward = V(x.omega, b), gamma * V.next(x.omega, b), R(x.lam, b)
        delta = b.r + v_next - v                                                    # line 6
        g_omega, g_lambda = mean.omega(V.gradient(x.omega, b, delta)), mean.lam(R.gradient(x.lam, b, b.r - reward))
        if double:                                                                  # Algorithm 2: the actor's sample
            b = sampler.sample(x.theta, feed=SECOND)
            v, v_next, reward = V(x.omega, b), gamma * V.next(x.omega, b), R(x.lam, b)
        g_theta = mean.theta(policy.gradient(x.theta, b, b.discounted(reward + v_next - v)))
        network.settle()                                                            # line 4: omega~, lambda~, theta~
        if tracking:
            g_omega, g_lambda, g_theta = tracked(x, g_omega, g_lambda, g_theta)
        x.add(beta * g_omega, zeta * g_lambda, alpha * g_theta)                     # lines 7, 8 and 9
        for weights, radius in bounded:
            project(weights, radius)                                                # lines 7 and 8: Proj
        yield
