"""HAPPO: heterogeneous-agent proximal policy optimisation (Kuba et al., 2022, section 4.2).

The trainer estimates the joint advantage A(s, a) with a critic of the global state.  Then the agents learn one after
the other, in an order i_1, ..., i_n that is drawn anew, agent i_m with

    M(s, a) = prod_{j < m} pibar^{i_j}(a^{i_j}|s) / pi^{i_j}(a^{i_j}|s) A(s, a)                            (eq. 10)
    theta^{i_m} <- argmax E[min(ratio M, clip(ratio, 1 +- epsilon) M)],  ratio = pi_theta(a|s) / pi(a|s)   (eq. 11)

The product, the `factor`, is outside the clip and is never clipped itself; its logarithm is sent from agent to agent,
with A.  With a `baseline` agents learn from Q(s, a) - b_i(s, a_-i) in the place of A, as in
`netac.algorithms.centralized.coma`: the factor does not depend on agent i's action, so that b_i takes nothing from the
mean of its gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from netac.algorithms.centralized._counterfactual import use_baseline
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Baselined, Clipped, Sequential
from netac.algorithms.centralized._sequential import in_turn
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Clipped, Sequential, Baselined):
    """Options of HAPPO."""


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state (with a `baseline` of the joint action, too), and policies of the agents' own."""
    return TrainerRequirements(value=settings.judged)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon = settings.epsilon(links.placement.agents)
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, A by GAE
        use_baseline(session, agents, links, settings)                      # or Q(s, a) - b_i in the place of A
        in_turn(session, agents, links, settings, partial(clipped, epsilon=epsilon), epsilon)  # eqs. 10, 11
        session.fit()                                                       # V on the returns
        yield
