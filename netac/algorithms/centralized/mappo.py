"""MAPPO: multi-agent proximal policy optimisation with a critic of the global state (Yu et al., 2021; \
paper 001, eq. 5).

All agents learn at once, each with the clipped surrogate of its own ratio and the joint advantage.  With
`parameters = "shared"` they have one policy: the trainer averages their gradients (paper 001, eq. 5: a mean over all
samples of all agents); with "separate" each climbs its own.  With a `baseline` they learn from Q(s, a) - b_i(s, a_-i)
in the place of A (`netac.algorithms.centralized.coma`; "optimal": slides 004, the optimal baseline).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from netac.algorithms.centralized._counterfactual import use_baseline
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Baselined, Clipped, Shareable
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.centralized._simultaneous import at_once
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Clipped, Shareable, Baselined):
    """Options of MAPPO."""


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state (with a `baseline` of the joint action, too)."""
    return TrainerRequirements(shared=settings.parameters != "separate", value=settings.judged)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon = settings.epsilon(links.placement.agents)
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, advantages by GAE
        use_baseline(session, agents, links, settings)                      # or Q(s, a) - b_i in the place of A
        at_once(session, agents, links, settings, partial(clipped, epsilon=epsilon), epsilon)
        session.fit()                                                       # V on the returns
        yield
