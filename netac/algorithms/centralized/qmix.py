"""QMIX: a monotonic mixture of utilities (Rashid et al., 2018, "QMIX: monotonic value function factorisation for deep \
multi-agent reinforcement learning"; paper 004, slide Value-based Methods).

As VDN, but that the utilities are mixed by a network of two layers whose weights, of each state, are the outputs of
a hypernetwork of the global state.  Q_tot rises with every Q_i, since the weights are taken without their signs: so
the agents' best actions are jointly best (the slide's IGM).  Of every batch of sequences of the replay D

    a'_i = argmax_a Q_i(o'_i, a; theta_i)           of what is allowed; by theta'_i without `double`
    W (N x h), b (h), v (h), c = hypernetwork(s; omega),    h = `mixing_width`
    Q_tot(s, a) = |v|' elu(|W|' (Q_1(o_1, a_1), ..., Q_N(o_N, a_N)) + b) + c,   dQ_tot / dQ_i >= 0   (the slide's QMIX)
    y = r + gamma Q'_tot(s', a'),    omega and all theta_i descend  E[(y - Q_tot(s, a))^2]           (the slide's loss)
    theta'_i <- tau theta_i + (1 - tau) theta'_i,   omega' likewise; or both are copied after `target_every` updates

The hypernetwork is the network of the table [critic]; with `critic.hidden = []` W, b and v are linear in the state, as
published (c there has a hidden layer).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from pydantic import Field

from netac.algorithms.centralized._factorised import FactorisedAgents, updates
from netac.algorithms.centralized._mixing import MixingRequirements, TeamValue, Utilities
from netac.algorithms.centralized._options import Factorised
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Factorised):
    """Options of QMIX."""

    mixing_width: int = Field(32, ge=1, le=10**4, description="h, the width of the mixing network's hidden layer")


def requirements(settings: Settings) -> MixingRequirements:
    """Utilities, and a hypernetwork of the state for W, b, v and c."""
    h = settings.mixing_width
    return MixingRequirements(shared=settings.parameters != "separate",
                              weights=lambda spaces: len(spaces) * h + 2 * h + 1)


def mix(w: np.ndarray, told: Utilities, h: int) -> TeamValue:
    """Q_tot = |v|' elu(|W|' Q + b) + c, for w = (W, b, v, c), (M, N h + 2 h + 1)."""
    Q = told.Q.T                                                                     # (M, N)
    flat, b, v, c = np.split(w, np.cumsum([Q.shape[1] * h, h, h]), axis=1)
    W = flat.reshape(*Q.shape, h)
    before = (Q[:, None] @ np.abs(W))[:, 0] + b                                      # (M, h)
    below = np.exp(np.minimum(before, 0.0))
    hidden = np.where(before > 0.0, before, below - 1.0)
    into = np.abs(v) * np.where(before > 0.0, 1.0, below)                            # dQ_tot / d before
    slopes = [(np.sign(W) * Q[..., None] * into[:, None]).reshape(flat.shape), into, np.sign(v) * hidden,
              np.ones_like(c)]
    return TeamValue(np.vecdot(np.abs(v), hidden) + c[:, 0], np.vecdot(np.abs(W), into[:, None]).T,
                 w=np.concatenate(slopes, axis=1))


def iterations(agents: FactorisedAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    for batches in updates(agents, sampler, links, settings, times):  # act epsilon-greedily, store (o, s, a, r, o', s')
        for update in batches:                                        # sample sequences from D
            told = update.tell()                                      # Q_i of a_i, Q'_i of a'_i
            pulls = update.regress(told, partial(mix, h=settings.mixing_width))       # W, b, v, c; y, Q_tot; omega
            update.descend(pulls)                                     # theta
            update.follow()                                           # targets
        yield
