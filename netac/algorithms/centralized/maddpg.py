"""MADDPG: multi-agent deep deterministic policy gradient (Lowe et al., 2017, Algorithm 1).

Each agent i has a policy mu_i of its own observations, and at the trainer a critic Q_i(x, a_1, ..., a_N) of the global
state and all agents' actions, which learns from the agent's own rewards (or the team's, `team_reward`).  Of every batch
of the replay D

    y_i = r_i + gamma Q'_i(x', a'_1, ..., a'_N),                a'_j = mu'_j(o'_j)
    omega_i descends  E[(y_i - Q_i(x, a_1, ..., a_N))^2]                                               (eq. 6)
    theta_i climbs    E[Q_i(x, a_1, ..., mu_i(o_i), ..., a_N)]     with the others' actions from D     (eq. 5)
    theta'_i <- tau theta_i + (1 - tau) theta'_i,  omega' likewise

With `parameters = "shared"` all agents have one policy, which climbs the mean of what each would climb; the critics
stay each agent's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from netac.algorithms.centralized._off_policy import OffPolicyAgents, ReplayRequirements
from netac.algorithms.centralized._options import OffPolicy, Sharing
from netac.algorithms.centralized._updates import updates
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(OffPolicy, Sharing):
    """Options of MADDPG."""

    parameters: Literal["shared", "separate"] = Field("separate", description=(
        "one policy for all agents, or one each, as in the paper"))


def requirements(settings: Settings) -> ReplayRequirements:
    """A critic of the state and the joint action for every agent."""
    return ReplayRequirements(every=True, shared=settings.parameters == "shared")


def iterations(agents: OffPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for batches in updates(agents, sampler, links, settings, times):  # act with exploration, store (x, a, r, x') in D
        for update in batches:                                        # sample a batch from D
            next_actions, actions = update.propose()                  # a'_j = mu'_j(o'_j), mu_j(o_j)
            update.regress(next_actions)                              # eq. 6
            update.climb(actions, settings.parameters == "shared")    # eq. 5, all agents at once
            update.follow()                                           # targets
        yield
