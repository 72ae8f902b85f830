"""matrpo: multi-agent trust region policy optimisation (Li and He, 2020, arXiv:2010.07916).

Every agent holds a policy over the joint action, pi_i(a|o_i) = product over j of pi_i^j(a^j|o_i), and plays its own
component.  Agents agree, sample by sample, on how much more likely the joint action becomes: what travels is
L_i(m) = log pi_i(a_m|o_i,m; theta_i) - log pi_i(a_m|o_i,m; theta_old,i), and no parameters.  In iteration k, after
a rollout with pi_k and with advantages by the agent's own V_i, as in `cppo`, from p_i = L_i = 0, `sweeps` times, all
agents at once, for each sample:

    t_ij    = (L_i + L_j) / 2,   t_i = sum over j in N_i of t_ij
    theta_i = the step from theta_old,i that can be trusted, on the mean of
              ratio_i A_i - p_i L_i - rho/2 sum over j in N_i of (L_i - t_ij)^2
    p_i    <- p_i + rho/2 sum over j in N_i of (L_i - L_j)

The gradient at theta_old,i is the mean of (A_i - p_i + rho t_i) grad log pi_i, and the step that of `hatrpo`: natural,
of length sqrt(2 delta / x'Hx), halved until the mean KL divergence from pi_k is at most delta and the objective
improves as it should.  An entropy bonus is that of the whole pi_i.

Between two sweeps every agent sends L_i and hears the sum of its neighbours'.  So one sweep sends nothing, and the
first, before which nobody heard anything, has no penalty.  N_i are the neighbours in W_k's graph that took part in the
sample, as the announced actions tell: an agent that took no part sends 0, and the others' policies have no factor of
it.

It is the alternating direction method of multipliers in its decentralized form (Shi et al., 2014; Mateos et al., 2010);
the authors' goes from edge to edge by the same equations.  V_i, and R_i where there is one, learn from the agent's own
samples, and are not mixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from netac.algorithms.decentralized._rollouts import (
    NetworkedRollouts,
    RolloutAgents,
    RolloutRequirements,
    Steps,
    evidence,
    fit_reward_models,
    report,
    rollout_requirements,
)
from netac.algorithms.policy_gradient.learner import Measured, learners
from netac.algorithms.policy_gradient.masks import average, kept
from netac.algorithms.policy_gradient.options import CriticPasses, TrustRegion
from netac.algorithms.policy_gradient.surrogates import unclipped
from netac.algorithms.policy_gradient.trust_region import natural_step
from netac.comm.network import Network
from netac.sampling.game import GameSampler
from netac.sampling.rollout import Rollout, Rollouts


class Settings(NetworkedRollouts, CriticPasses, TrustRegion):
    """Options of MATRPO; those of gradient steps hold for its critics and models."""

    rho: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = Field(
        1.0, description="penalty of log ratios that neighbours do not have in common, > 0")
    sweeps: int = Field(10, ge=1, le=10**4, description=(
        "B, how often all policies are improved in an iteration, with an exchange of log ratios in between"))


def requirements(settings: Settings) -> RolloutRequirements:
    """What its agents hold; they mix nothing."""
    return rollout_requirements(settings, mixed=(), mutual=True, joint=True)


def iterations(agents: RolloutAgents, sampler: GameSampler, network: Network, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    x, policy, rho = agents.parameters, agents.policy, settings.rho
    apart = learners(policy, x.theta, agents.optimizer, agents.local)
    trajectories = Rollouts(sampler, settings.rollout, False, settings.chunk, settings.reward == "model", told=True)
    steps = Steps.of(settings, times.stop, x)
    for k in times:
        _, beta, zeta = steps.at(k)
        b = trajectories.collect(x.theta)                                   # a rollout with pi_k
        e = evidence(k, b, agents, network)                                 # r_i and A_i
        samples, start, measured = e.samples, x.theta.copy(), Measured(agents.learner, e.samples, None)
        p, L, around, d = np.zeros(e.A.shape), *np.zeros((2, *e.A.shape), x.theta.dtype), np.zeros((len(e.A), 1))
        for sweep in range(settings.sweeps):
            if sweep:
                L[:] = kept(policy.log_prob(x.theta, samples, keep=False) - measured.old, b.active)
                network.post(k, L, "ratios", sums=True)
                around[:], d = network.wait(), neighbours(k, b, network)
                p += rho / 2 * (d * L - around)                             # p_i
            t = (d * L + around) / 2                                        # t_i
            x.theta[:] = start
            g = policy.gradient(x.theta, samples, e.A - p + rho * t).astype(float) / e.size
            for row, own in enumerate(apart.values()):                      # theta_i
                one = slice(row, row + 1)
                mine = b.of(row)
                natural_step(own.policy, own.theta, mine, g[row], partial(
                    improvement, e.A[one], (p - rho * t)[one], rho * d[one], mine.active), settings)
        agents.critics.fit(b, e.judged, beta, k)                            # omega_i
        fit_reward_models(k, e, agents, zeta)                               # lambda_i
        report(k, times.stop, e, agents, network, measured, around - d * L, np.zeros_like(L), L)
        yield


def neighbours(k: int, b: Rollout, network: Network) -> np.ndarray:
    """d_i, how many neighbours each agent has in each sample: (n, M), or (n, 1) where all take part in all."""
    if b.everyone_active is None:
        return network.degrees(k)[:, None].astype(float)
    return np.stack([b.everyone_active[heard].sum(axis=0, dtype=float) for heard in network.heard(k)])


def improvement(A: np.ndarray, pull: np.ndarray, curvature: np.ndarray, active: np.ndarray | None,
                L: np.ndarray) -> float:
    """How much more an agent's objective is at log ratios L than at 0: the mean of

        (ratio - 1) A - (p_i - rho t_i) L - rho/2 d_i L^2

    Args:
        A, L: (1, M).
        pull: (1, M) p_i - rho t_i.
        curvature: rho d_i, (1, M) or (1, 1).
        active: (1, M) where the agent took part; None: in all.
    """
    return (unclipped(L, A, active).improvement - average(pull * L + curvature / 2 * L**2, active)).item()
