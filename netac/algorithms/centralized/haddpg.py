"""HADDPG: heterogeneous-agent deep deterministic policy gradient (slides 004; Zhong et al., 2024).

An instance of heterogeneous-agent mirror learning ("Heterogeneous-agent reinforcement learning").  The trainer has one
critic Q(s, a_1, ..., a_N) of the team's reward.  Of every batch of the replay, in an order i_1, ..., i_N that is drawn
anew,

    y = r + gamma Q'(s', mu'(o')),    omega descends E[(y - Q(s, a))^2]
    theta_{i_m} climbs E[Q(s, a_{i_1}, ..., a_{i_{m-1}}, mu_{i_m}(o), a_{i_{m+1}}, ..., a_{i_N})]

where the earlier agents' actions are those of their new policies, and the later agents' those of the policies they
still have; then targets follow, theta' <- tau theta + (1 - tau) theta' and omega' likewise.
"""

from __future__ import annotations

from collections.abc import Iterator

from netac.algorithms.centralized._off_policy import OffPolicyAgents, ReplayRequirements
from netac.algorithms.centralized._options import InTurn, OffPolicy
from netac.algorithms.centralized._sequential import turns
from netac.algorithms.centralized._updates import updates
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(OffPolicy, InTurn):
    """Options of HADDPG."""


def requirements(settings: Settings) -> ReplayRequirements:
    """One critic of the state and the joint action."""
    return ReplayRequirements()


def iterations(agents: OffPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for batches in updates(agents, sampler, links, settings, times):  # act with exploration, store (s, a, r, s')
        for update in batches:                                        # sample a batch of the replay
            next_actions, actions = update.propose()                  # mu'(o'), mu(o)
            update.regress(next_actions)                              # the critic
            for i in turns(links.placement.agents, settings, agents.seed, update.number):
                update.improve(i, actions)                            # theta_i; a_i is now that of the new policy
            update.follow()                                           # targets
        yield
