"""dinno-ppo: distributed neural network optimisation of PPO's loss (Yu, Vincent and Schwager, 2022, Algorithm 1).

Agents are to agree on one policy, one critic and, where there is one, one model of the reward: x_i is all of them, p_i
the dual variable of what x_i shall have in common with its neighbours, d_i how many these are.  In iteration k, after L
steps in E games with pi_k and with advantages by the agent's own V_i, as in `cppo`, all agents at once:

    p_i <- p_i + rho sum over j in N_i of (x_i - x_j)                                                      (line 5)
    from psi = x_i, for every minibatch of `epochs` passes a step of the local optimizer down               (lines 7, 8)
        loss_i(psi) + psi'p_i + rho sum over j in N_i of |psi - (x_i + x_j) / 2|^2
    x_i <- psi                                                                                             (line 10)

loss_i is minus the clipped surrogate, the loss of V_i and half the squared error of R_i, each with a step size of its
own.  Adam begins anew in every iteration, as in the authors' code; moments that are kept drive agents apart (on tag).
The exchange of x is under way while the games are played: the sum of the neighbours' x_j is all an agent needs.  The
dual variables of all agents sum to 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from netac.agents.parameters import like
from netac.algorithms.decentralized._rollouts import (
    STATISTICS,
    ClippedRollouts,
    RolloutAgents,
    RolloutRequirements,
    Steps,
    directions,
    evidence,
    gradients,
    parts_of,
    report,
    rollout_requirements,
    shared_statistics,
)
from netac.algorithms.policy_gradient.learner import Measured
from netac.comm.network import Network
from netac.sampling.game import GameSampler
from netac.sampling.rollout import Rollouts


class Settings(ClippedRollouts):
    """Options of DiNNO."""

    rho: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = Field(
        0.1, description="penalty of what neighbours do not have in common, > 0")
    rho_growth: Annotated[float, Field(ge=1, le=2, allow_inf_nan=False)] = Field(
        1.0, description="what rho is multiplied with after every iteration")
    moments: Literal["fresh", "kept"] = Field("fresh", description=(
        "whether Adam begins anew in every iteration, or goes on with the moments of the one before"))


def requirements(settings: Settings) -> RolloutRequirements:
    """What its agents hold and send: x, of which no mixture is kept."""
    return rollout_requirements(settings, mixed=("omega", "shared"), agreeing=True, mutual=True, p=like("mixed"))


def iterations(agents: RolloutAgents, sampler: GameSampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    x, p, statistics = agents.parameters, agents.parameters["p"], agents.parameters[STATISTICS]
    trajectories = Rollouts(sampler, settings.rollout, False, settings.chunk, settings.reward == "model")
    steps, epsilon = Steps.of(settings, times.stop, x), settings.epsilon(agents.count)
    for k in times:
        rho = settings.rho * settings.rho_growth**k
        network.post(k, x.mixed, sums=True)                                 # the neighbours' x_j are under way
        b = trajectories.collect(x.theta)                                   # L steps in E games with pi_k
        around, degree = network.wait().copy(), network.degrees(k)[:, None].astype(x.flat.dtype)
        before, own = x.mixed.copy(), x.layout.within_mixed
        p += rho * (degree * before - around)                               # line 5
        statistics += shared_statistics(k, network, statistics, settings)
        e = evidence(k, b, agents, network)                                 # r_i and A_i
        measured = Measured(agents.learner, e.samples, epsilon)
        agents.critics.learn_scale(e.judged, b.active)
        if settings.moments == "fresh":
            agents.optimizer.begin()
        for part in parts_of(k, e, agents):                                 # lines 7 and 8
            size = e.size if part is None else len(part)
            pull = rho * (degree * before + around - 2.0 * degree * x.mixed) - p
            g = gradients(e, agents, measured.old, part, epsilon)
            for gradient, place in zip(g, own, strict=True):
                gradient += size * pull[:, place]
            x.add(*steps.along(k, directions(agents, g, size)))
        report(k, times.stop, e, agents, network, measured, around - degree * before, before,
               x.mixed)
        yield
