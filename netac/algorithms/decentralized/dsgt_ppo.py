"""dsgt-ppo: gradient tracking on the surrogates of proximal policy optimisation.

x_i is what agents mix: omega_i, the shared part of theta_i, and lambda_i where there is one; y_i tracks the mean of all
agents' gradients.  In iteration k, after L steps in E games with pi_k and with advantages by the agent's own V_i, as in
`cppo`, for every minibatch of `epochs` passes, all agents at once:

    y_i <- sum_j [W_k]_ij y_j + g_i(x_i) - g_i of the step before            (at first y_i = g_i)
    x_i <- sum_j [W_k]_ij x_j + step y_i

so that sum_i y_i = sum_i g_i at all times (Di Lorenzo and Scutari, 2016; Pu and Nedic, 2021, "Distributed stochastic
gradient tracking methods", equation 4).  g_i(x_i) are the gradients, at the unmixed parameters, of the clipped
surrogate, of minus the loss of V_i and of minus half the squared error of R_i; with optimizer = "adam" they are the
local optimizer's directions.  y and g are double.
"""

from __future__ import annotations

from collections.abc import Iterator

from netac.agents.parameters import like
from netac.algorithms.decentralized._base import tracked
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
    """Options of gradient tracking."""


def requirements(settings: Settings) -> RolloutRequirements:
    """What its agents hold, keep and mix."""
    return rollout_requirements(settings, mixed=("omega", "shared"), agreeing=True,
                                y=like("mixed", dtype="float64"), g=like("mixed", dtype="float64"))


def iterations(agents: RolloutAgents, sampler: GameSampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    x, steps = agents.parameters, Steps.of(settings, times.stop, agents.parameters)
    for turn in turns(agents, sampler, network, times):                     # pi_k, r_i and A_i
        for g in turn.directions:                                           # of the unmixed x, which is W_k x then
            x["y"][:] = network.mix(turn.k, x["y"], what="y")               # W_k y
            x.add(*steps.along(turn.k, tracked(x, *g)))                     # y_i and x_i
        turn.close()
        yield
