"""IAC: independent actor-critic, every agent for itself: CAC with W = I and no reward model.

    delta_i  = r_i + gamma V_i(s') - V_i(s)
    omega_i <- omega_i + beta delta_i grad V_i(s)
    theta_i <- theta_i + alpha delta_i grad log pi_i(a_i|s)

with `discounted_gradient = true` the last one times gamma^t in step t of an episode.
"""

from __future__ import annotations

from collections.abc import Iterator

from netac.agents.steps import step_size
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements, SingleSample
from netac.comm.network import Network
from netac.sampling.protocol import RUNNING, SECOND, Sampler


class Settings(SingleSample):
    """Options of IAC."""


def requirements(settings: Settings) -> Requirements:
    """What IAC's agents hold; they mix nothing."""
    return Requirements()


def iterations(agents: NetworkedAgents, sampler: Sampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations t in `times`; the network is not used."""
    x, policy, V = agents.parameters, agents.policy, agents.V
    gamma, double = settings.discount, len(sampler.feeds) > 1
    mean = agents.optimizer.over(sampler.games)
    alpha, beta = step_size(settings.actor_step, times.stop, x), step_size(settings.critic_step, times.stop, x)
    for _ in times:
        b = sampler.sample(x.theta, feed=RUNNING)
        delta = b.r + gamma * V.next(x.omega, b) - V(x.omega, b)
        omega_step = beta * mean.omega(V.gradient(x.omega, b, delta))
        if double:
            b = sampler.sample(x.theta, feed=SECOND)
            delta = b.r + gamma * V.next(x.omega, b) - V(x.omega, b)
        theta_step = alpha * mean.theta(policy.gradient(x.theta, b, b.discounted(delta)))
        x.omega += omega_step
        x.theta += theta_step
        yield
