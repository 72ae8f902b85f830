"""Q-DPP: determinantal Q-learning (Yang et al., 2020, "Multi-agent determinantal Q-learning"; paper 004, slide \
Value-based Methods).

The pairs (o_i, a_i) of all agents are the items of a determinantal point process, of which a joint action picks one of
every agent, Y.  Its kernel L_jk = d_j b_j'b_k d_k has two parts: the *quality* d_i = exp(Q_i(o_i, a_i) / 2) of an item,
which is its agent's own utility, and *diversity* by vectors b_i of length 1, whose products tell how alike what two
agents do is.  The team's action value is log det L_Y (the slide's Q-DPP): the sum of the utilities, less what the
agents lose by doing alike things; with orthogonal vectors it is VDN's.  Of every batch of sequences of the replay D

    a'_i = argmax_a Q_i(o'_i, a; theta_i)           of what is allowed; by theta'_i without `double`
    b_i(s, a_i) = u / |u|,   u = the row of a_i of network_i(s; omega),   of `features` numbers
    G = (B'B + delta I) / (1 + delta),   B = (b_1, ..., b_N)
    Q_tot(s, a) = log det L_Y = sum_i Q_i(o_i, a_i) + log det G                                      (the slide's Q-DPP)
    y = r + gamma Q'_tot(s', a'),    omega and all theta_i descend  E[(y - Q_tot(s, a))^2]           (the slide's loss)
    theta'_i <- tau theta_i + (1 - tau) theta'_i,   omega' likewise; or both are copied after `target_every` updates

Three things are simpler than in the paper.  delta = 0.001 keeps log det G, which is at most 0, above about N log delta
where agents do the same, or are more than there are features.  The network is the trainer's (the table [critic]) and
sees the global state where the paper's sees o_i.  And agents act by their quality alone, epsilon-greedily, in training
too, where the paper draws joint actions from the kernel, agent after agent; so a' maximises the first part only.
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
from netac.sampling.encoding import Encoding
from netac.sampling.game import GameSampler

DELTA = 1e-3
SHORTEST = 1e-6         # |u| is not divided by less


class Settings(Factorised):
    """Options of Q-DPP."""

    features: int = Field(16, ge=1, le=10**4, description="numbers of the vectors b_i, at least as many as agents")


def requirements(settings: Settings) -> MixingRequirements:
    """Utilities, and a network of the state for the vectors of all agents' actions."""
    return MixingRequirements(
        shared=settings.parameters != "separate", actions=True,
        weights=lambda spaces: settings.features * sum(space.outputs for space in spaces))


def mix(w: np.ndarray, told: Utilities, columns: list[slice]) -> TeamValue:
    """Q_tot = sum_i Q_i + log det G, for the vectors w (M, F features) of all numbers of joint actions.

    Agents that take no part are no items.

    Args:
        columns: (N) which of these numbers are an agent's.
    """
    chosen, M = told.joint[:, :, None], len(w)
    rows = w.reshape(M, chosen.shape[1], -1)
    u = np.stack([(chosen[:, own] * rows[:, own]).sum(axis=1) for own in columns], axis=1)      # (M, N, P)
    there = np.stack([chosen[:, own].any(axis=(1, 2)) for own in columns], axis=1)
    length = np.maximum(np.sqrt(np.vecdot(u, u)), SHORTEST)[..., None]
    b = u / length
    pairs = there[:, :, None] & there[:, None]
    G = np.where(pairs, b @ b.swapaxes(1, 2) / (1.0 + DELTA), 0.0)
    at = np.arange(len(columns))
    G[:, at, at] = 1.0                                          # (|b|^2 + delta) / (1 + delta), or of no item
    along = 2.0 / (1.0 + DELTA) * np.where(pairs, np.linalg.inv(G), 0.0)
    along[:, at, at] = 0.0                                      # |b| is 1
    pull = along @ b
    pull = (pull - b * np.vecdot(pull, b)[..., None]) / length                                  # through u / |u|
    slopes = np.concatenate([chosen[:, own] * pull[:, None, i] for i, own in enumerate(columns)], axis=1)
    return TeamValue(told.Q.sum(axis=0) + np.linalg.slogdet(G)[1], np.ones_like(told.Q), w=slopes.reshape(M, -1))


def iterations(agents: FactorisedAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    encode = Encoding(sampler.environment.actions)
    columns = [encode.columns(agent) for agent in range(links.placement.agents)]
    for batches in updates(agents, sampler, links, settings, times):  # act epsilon-greedily, store (o, s, a, r, o', s')
        for update in batches:                                        # sample sequences from D
            told = update.tell()                                      # Q_i of a_i, Q'_i of a'_i, a'_i
            pulls = update.regress(told, partial(mix, columns=columns))               # b, G; y, Q_tot; omega
            update.descend(pulls)                                     # theta
            update.follow()                                           # targets
        yield
