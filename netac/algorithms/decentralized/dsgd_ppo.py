"""dsgd-ppo: decentralized gradient steps on the surrogates of proximal policy optimisation.

x_i is what agents mix: omega_i, the shared part of theta_i, and lambda_i where there is one.  In iteration k, after L
steps in E games with pi_k and with advantages by the agent's own V_i, as in `cppo`, for every minibatch of `epochs`
passes, all agents at once:

    x_i <- sum_j [W_k]_ij x_j + step g_i(x_i)

g_i(x_i) are the gradients, at the unmixed parameters, of the clipped surrogate, of minus the loss of V_i and of minus
half the squared error of R_i (Nedic and Ozdaglar, 2009, "Distributed subgradient methods for multi-agent
optimization", equation 3).  The personal part of theta steps along its own gradient.
"""

from __future__ import annotations

from collections.abc import Iterator

from netac.algorithms.decentralized._rollouts import (
    ClippedRollouts,
    RolloutAgents,
    RolloutRequirements,
    Steps,
    rollout_requirements,
    turns,
)
from netac.comm.network import Network
from netac.sampling.game import GameSampler


class Settings(ClippedRollouts):
    """Options of decentralized gradient steps."""


def requirements(settings: Settings) -> RolloutRequirements:
    """What its agents hold, keep and mix."""
    return rollout_requirements(settings, mixed=("omega", "shared"), agreeing=True)


def iterations(agents: RolloutAgents, sampler: GameSampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    x, steps = agents.parameters, Steps.of(settings, times.stop, agents.parameters)
    for turn in turns(agents, sampler, network, times):                     # pi_k, r_i and A_i
        for g in turn.directions:                                           # of the unmixed x, which is W_k x then
            x.add(*steps.along(turn.k, g))                                  # x_i <- W_k x + step g_i
        turn.close()
        yield
