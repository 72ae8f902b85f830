"""VDN: value-decomposition networks (Sunehag et al., 2018, "Value-decomposition networks for cooperative multi-agent \
learning"; paper 004, slide Value-based Methods).

Each agent i has a utility Q_i(o_i, .; theta_i), of its own observations (of all of them so far, with memory), and acts
epsilon-greedily by it.  The team's action value is their sum, which the trainer fits to the team's reward.  Of every
batch of sequences of the replay D

    a'_i = argmax_a Q_i(o'_i, a; theta_i)           of what is allowed; by theta'_i without `double`
    Q_tot(s, a; theta) = sum_i Q_i(o_i, a_i; theta_i)                                            (the slide's VDN)
    y = r + gamma Q_tot(s', a'; theta'),    all theta_i descend  E[(y - Q_tot(s, a; theta))^2]   (the slide's loss)
    theta'_i <- tau theta_i + (1 - tau) theta'_i,   or theta'_i = theta_i after every `target_every` updates
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netac.algorithms.centralized._factorised import FactorisedAgents, updates
from netac.algorithms.centralized._mixing import MixingRequirements, TeamValue, Utilities
from netac.algorithms.centralized._options import Factorised
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Factorised):
    """Options of VDN."""


def requirements(settings: Settings) -> MixingRequirements:
    """Utilities, and nothing else."""
    return MixingRequirements(shared=settings.parameters != "separate")


def mix(w: np.ndarray, told: Utilities) -> TeamValue:
    """Q_tot = sum_i Q_i."""
    return TeamValue(told.Q.sum(axis=0), np.ones_like(told.Q))


def iterations(agents: FactorisedAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for batches in updates(agents, sampler, links, settings, times):  # act epsilon-greedily, store (o, s, a, r, o', s')
        for update in batches:                                        # sample sequences from D
            told = update.tell()                                      # Q_i of a_i, Q'_i of a'_i
            pulls = update.regress(told, mix)                         # y, Q_tot
            update.descend(pulls)                                     # theta
            update.follow()                                           # targets
        yield
