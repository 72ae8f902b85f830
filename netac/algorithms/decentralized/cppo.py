"""cppo: coordinated proximal policy optimisation, CAC's lines with a trust region and one exchange a rollout.

Every agent at once, and nobody in the middle; x_i is what agents mix: omega_i, the shared part of theta_i, and lambda_i
where there is one.  In iteration k:

    x~ = W_k^rounds x                                           (line 4 of CAC; under way while the games are played)
    L steps in E games with pi_k
    r_i: own, R_i(s,a), or r^_i = sum_j [W_k^T']_ij r_j
    A_i = sum_l (gamma lambda)^l delta_i,l,   delta_i = r_i + gamma V_i(s') - V_i(s)
    `epochs` passes:         theta_i <- theta_i + alpha grad mean min(rho_i A_i, clip(rho_i, 1 +- epsilon) A_i)
    `critic_epochs` passes:  omega_i <- omega_i - beta grad loss(V_i(s), A_i + V_i(s)),
                             lambda_i <- lambda_i + zeta (r_i - R_i(s,a)) grad R_i(s,a)
    x_i <- x~_i + (x_i - x_i before the passes)

with rho_i = pi_i(a_i|o_i) / pi_k,i(a_i|o_i).  All passes begin at the unmixed parameters, which drew the samples, and
what they changed is added to the mixture, as CAC corrects mixtures with residuals of unmixed parameters.  With L = 1,
one pass, no clip, plain steps, raw advantages and unnormalised values it is CAC, to rounding.

Adam's moments stay local; with `mix_moments` those of what is mixed become their mixture before the passes, while how
many steps they count stays local.  The statistics by which values are normalised are mixed as the critics are, so that
these mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from pydantic import Field

from netac.algorithms.decentralized._rollouts import (
    STATISTICS,
    ClippedRollouts,
    RolloutAgents,
    RolloutRequirements,
    Steps,
    evidence,
    fit_reward_models,
    mixture,
    parts_of,
    report,
    rollout_requirements,
    shared_statistics,
)
from netac.algorithms.policy_gradient.learner import Measured, ascend
from netac.algorithms.policy_gradient.options import CriticPasses
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.comm.network import Network
from netac.sampling.game import GameSampler
from netac.sampling.rollout import Rollouts
from netac.utils.errors import InputError


class Settings(ClippedRollouts, CriticPasses):
    """Options of coordinated PPO."""

    rounds: int = Field(1, ge=1, le=10**6, description="rounds of mixing in an iteration")
    mix_moments: bool = Field(False, description=(
        "whether Adam's moments are mixed with the parameters: three times the bytes"))


def requirements(settings: Settings) -> RolloutRequirements:
    """What its agents hold, keep and mix.

    Raises:
        InputError: moments are to be mixed, and there are none.
    """
    if settings.mix_moments and settings.optimizer == "plain":
        raise InputError("plain steps have no moments", key="algorithm.mix_moments", found=True,
                         valid='false, or algorithm.optimizer = "adam"')
    return rollout_requirements(settings, mixed=("omega", "shared"))


def iterations(agents: RolloutAgents, sampler: GameSampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    x, statistics, rounds = agents.parameters, agents.parameters[STATISTICS], settings.rounds
    trajectories = Rollouts(sampler, settings.rollout, False, settings.chunk, settings.reward == "model")
    steps, epsilon = Steps.of(settings, times.stop, x), settings.epsilon(agents.count)
    for k in times:
        alpha, beta, zeta = steps.at(k)
        network.post(k, x.mixed)                                            # x~ is under way
        b = trajectories.collect(x.theta)                                   # L steps in E games with pi_k
        before = x.mixed.copy()
        drift = mixture(k, network, rounds) - before
        shift = shared_statistics(k, network, statistics, settings, rounds)
        if settings.mix_moments:
            mix_moments(k, agents, network, rounds)
        e = evidence(k, b, agents, network)                                 # r_i and A_i
        measured = Measured(agents.learner, e.samples, epsilon)
        ascend(agents.learner, e.samples, measured.old, e.A, partial(clipped, epsilon=epsilon), alpha,
               parts_of(k, e, agents), e.size // settings.minibatches)      # theta_i
        agents.critics.fit(b, e.judged, beta, k)                     # omega_i
        fit_reward_models(k, e, agents, zeta)                        # lambda_i
        x.mixed += drift                                                    # x~ and what the passes changed
        statistics += shift
        report(k, times.stop, e, agents, network, measured, drift, before, x.mixed)
        yield


def mix_moments(k: int, agents: RolloutAgents, network: Network, rounds: int) -> None:
    """Turn Adam's moments of what is mixed into their mixture, in place."""
    held = agents.optimizer.moments(agents.parameters.shared.shape[1])
    ends = np.cumsum([each.shape[1] for each in held])
    mixed = network.mix(k, np.concatenate(held, axis=1), rounds, "moments")
    for each, mixture_of_it in zip(held, np.split(mixed, ends[:-1], axis=1), strict=True):
        each[:] = mixture_of_it
    for second in held[1::2]:
        np.maximum(second, 0.0, out=second)                  # means of squares, whatever the network made of them
