"""QPLEX: duplex duelling (Wang et al., 2021, "QPLEX: duplex dueling multi-agent Q-learning"), in the form of paper \
004's slide Value-based Methods.

As VDN, but that the agents' advantages are weighted by positive numbers of the state and the joint action.  Since
A_i <= 0, and 0 for an agent's best action, the agents' best actions are jointly best whatever these numbers are (the
slide's IGM); and they can be any, so that any action value with this property is represented.  Of every batch of
sequences of the replay D

    V_i(o_i) = max_a Q_i(o_i, a; theta_i),   A_i(o_i, a_i) = Q_i(o_i, a_i; theta_i) - V_i(o_i)       of what is allowed
    a'_i = argmax_a Q_i(o'_i, a; theta_i)           of what is allowed; by theta'_i without `double`
    lambda_i(s, a) = log(1 + exp(network_i(s, a; omega))) > 0
    V_tot(s) = sum_i V_i(o_i),   A_tot(s, a) = sum_i lambda_i(s, a) A_i(o_i, a_i),   Q_tot = V_tot + A_tot   (the slide)
    y = r + gamma Q'_tot(s', a'),    omega and all theta_i descend  E[(y - Q_tot(s, a))^2]           (the slide's loss)
    theta'_i <- tau theta_i + (1 - tau) theta'_i,   omega' likewise; or both are copied after `target_every` updates

The network is that of the table [critic].  The paper besides transforms each V_i and A_i by the state before they are
summed, and builds lambda from attention; both leave what can be represented as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import expit

from netac.algorithms.centralized._factorised import FactorisedAgents, updates
from netac.algorithms.centralized._mixing import MixingRequirements, TeamValue, Utilities
from netac.algorithms.centralized._options import Factorised
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Factorised):
    """Options of QPLEX."""


def requirements(settings: Settings) -> MixingRequirements:
    """Utilities with their largest values, and a network of state and joint action for lambda."""
    return MixingRequirements(shared=settings.parameters != "separate", value="action", weights=len, maxima=True,
                              actions=True)


def mix(w: np.ndarray, told: Utilities) -> TeamValue:
    """Q_tot = sum_i V_i + sum_i lambda_i (Q_i - V_i), lambda_i = log(1 + exp(w_i)), for w (M, N)."""
    lam, A = np.logaddexp(0.0, w.T), told.Q - told.V
    return TeamValue((told.V + lam * A).sum(axis=0), lam, V=1.0 - lam, w=(A * expit(w.T)).T)


def iterations(agents: FactorisedAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for batches in updates(agents, sampler, links, settings, times):  # act epsilon-greedily, store (o, s, a, r, o', s')
        for update in batches:                                        # sample sequences from D
            told = update.tell()                                      # Q_i of a_i, V_i, Q'_i of a'_i, V'_i, a'_i
            pulls = update.regress(told, mix)                         # lambda; y, Q_tot; omega
            update.descend(pulls)                                     # theta, of Q_i and of V_i
            update.follow()                                           # targets
        yield
