"""Runs of CAC that answer one question each: where critics rest, whose gradient the actor follows, who keeps up.

    resting_place   policies stand still: where omega is on average, between the minimiser of the squared TD error
                    (0; Zeng et al., equation 7a) and the fixed point of TD(0) (1)
    direction       critics are exact and stand still, too: the actor's mean step, between the direction of mu_theta (0)
                    and the gradient, that of d_theta (1)
    pursuit         critics begin at their fixed points, so that Proposition 1 has no transient, and follow the actor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netac.exact import (
    induced_chain,
    reward_fixed_point,
    stationary_distribution,
    td_error_minimiser,
    td_fixed_point,
    visitation_distribution,
)
from netac.theory._cac_measures import critic_error, mean_direction
from netac.theory._walk import finite, looks, policies, walk

if TYPE_CHECKING:
    from netac.experiment.build import Parts

TINY = 1e-6             # an actor step with which policies stand still, and which still can be measured


def resting_place(tables: dict[str, Any]) -> float:
    """The share of the way from (7a)'s minimiser to TD's fixed point at which omega stays, in 3/4 of a run.

    All agents begin at the former; `actor_step` should be 0.
    """
    T = tables["iterations"]
    run = walk(tables, [0, *range(T // 4, T, 4)])
    parts = next(run)
    env, pi = finite(parts), policies(parts)
    start, end = td_error_minimiser(env.mdp, pi, env.phi), td_fixed_point(env.mdp, pi, env.phi)
    parts.agents.parameters.omega[:] = start
    return share(np.mean([parts.agents.parameters.omega.mean(axis=0) for parts in run], axis=0), start, end)


def direction(tables: dict[str, Any]) -> float:
    """The share of the way from mu_theta's mean direction to d_theta's that the actor's mean step is at.

    `actor_step` is `TINY`, the critics' steps are 0.
    """
    T = tables["iterations"]
    run = walk(tables, [0, T])
    parts = next(run)
    settle(parts)
    x, mdp, shared = parts.agents.parameters, finite(parts).mdp, parts.setting.layout.shared
    transition = induced_chain(mdp, policies(parts)).transition
    ends = (mean_direction(parts, states) for states in (stationary_distribution(transition),
                                                         visitation_distribution(transition, mdp.xi, mdp.gamma)))
    first = x.theta.copy()
    next(run)
    step = (x.theta - first) / (TINY * T)
    step[:, :shared] = step[:, :shared].mean(axis=0)
    return share(step, *ends)


def pursuit(tables: dict[str, Any], points: int) -> float:
    """The critics' error, averaged over a run in which they begin at their fixed points."""
    times, shares = looks(tables["iterations"], points, tables["seed"])
    run = walk(tables, [0, *times])
    settle(next(run))
    return float(shares @ [critic_error(parts) for parts in run])


def settle(parts: Parts) -> None:
    """Put all critics where they would come to while policies stand still."""
    x, env, pi = parts.agents.parameters, finite(parts), policies(parts)
    x.omega[:] = td_fixed_point(env.mdp, pi, env.phi)
    x.lam[:] = reward_fixed_point(env.mdp, pi, env.psi.table)


def share(x: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """The share of the way from `start` to `end` at which x is."""
    way = end - start
    return float(((x - start) * way).sum() / np.square(way).sum())
