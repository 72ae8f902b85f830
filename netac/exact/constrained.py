"""Constrained games: what policies cost, and the best joint policy within limits, by linear programming.

Costs are an array (S, J, N), what each agent's step costs in a state under a joint action; as J, a policy's costs are
normalised, (1 - gamma) x the expected discounted sum from xi, so that they and their limits are on the scale of one
step's cost (Gu et al., 2021, "Multi-agent constrained policy optimisation", bound the sums themselves).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netac.exact.distributions import induced_chain
from netac.exact.mdp import FiniteMDP
from netac.utils.errors import InputError


class FeasibleOptimum(NamedTuple):
    """The best joint policy within limits."""

    objective: float
    """J of the team-mean reward; no product of local policies within the limits has more."""
    policy: np.ndarray
    """(S, J) probability of each joint action; uniform in states that are never visited."""
    costs: np.ndarray
    """(N,) what it costs each agent."""
    multipliers: np.ndarray
    """(N,) how much J would gain for each unit that an agent's limit were higher: lambda, 0 where it does not bind."""


def cost_values(mdp: FiniteMDP, costs: np.ndarray, pi: np.ndarray) -> np.ndarray:
    """(S, N) V_i^c = c_i,pi + gamma P_pi V_i^c, each agent's discounted costs under local policies `pi` (N, S, A)."""
    costs, chain = _checked(mdp, costs), induced_chain(mdp, pi)
    charged = np.einsum("sj,sjn->sn", chain.joint, costs)
    return np.linalg.solve(np.eye(mdp.states) - mdp.gamma * chain.transition, charged)


def cost_action_values(mdp: FiniteMDP, costs: np.ndarray, pi: np.ndarray) -> np.ndarray:
    """(S, J, N) Q_i^c(s, a) = c_i(s, a) + gamma E V_i^c(s') under local policies `pi` (N, S, A)."""
    return _checked(mdp, costs) + mdp.gamma * mdp.expect_next(cost_values(mdp, costs, pi))


def cost_objectives(mdp: FiniteMDP, costs: np.ndarray, pi: np.ndarray) -> np.ndarray:
    """(N,) what local policies `pi` (N, S, A) cost each agent, normalised."""
    return (1 - mdp.gamma) * mdp.xi @ cost_values(mdp, costs, pi)


def feasible_optimum(mdp: FiniteMDP, costs: np.ndarray, limits: float | np.ndarray) -> FeasibleOptimum:
    """The joint policy of the largest J whose costs are within `limits` (one, or (N,)).

    By linear programming over occupancy measures (Altman, 1999): x(s, a) >= 0 with, for every s',
    sum_a x(s', a) = (1 - gamma) xi(s') + gamma sum_{s,a} P(s'|s, a) x(s, a), and sum x c_i <= limit_i for every agent.
    Unlike the best policy without limits it is random in general, and agents may have to draw their actions together.

    Raises:
        InputError: no policy is within the limits, or there are not one or N of them.
    """
    from scipy.optimize import linprog
    costs, S, J = _checked(mdp, costs), mdp.states, mdp.joint_actions
    bounds = np.asarray(limits, dtype=float)
    if bounds.shape not in ((), (1,), (mdp.agents,)) or not np.isfinite(bounds).all():
        raise InputError("limits do not fit the agents", key="limits", found=limits,
                         valid=f"one finite number, or one for each of {mdp.agents} agents")
    flows = np.repeat(np.eye(S), J, axis=1) - mdp.gamma * mdp.P.reshape(S * J, S).T
    found = linprog(-mdp.team_reward.ravel(), A_ub=costs.reshape(S * J, -1).T,
                    b_ub=np.broadcast_to(bounds, mdp.agents), A_eq=flows, b_eq=(1 - mdp.gamma) * mdp.xi,
                    bounds=(0, None), method="highs")
    if found.x is None:
        raise InputError("no policy costs as little", key="limits", found=limits, valid="higher limits")
    x = np.maximum(found.x, 0.0).reshape(S, J)
    visits = x.sum(axis=1, keepdims=True)
    policy = np.divide(x, visits, out=np.full((S, J), 1.0 / J), where=visits > 0)
    return FeasibleOptimum(float((x * mdp.team_reward).sum()), policy, np.einsum("sj,sjn->n", x, costs),
                           -found.ineqlin.marginals)


def _checked(mdp: FiniteMDP, costs: np.ndarray) -> np.ndarray:
    """Costs as double numbers of the right shape.

    Raises:
        InputError: they are something else.
    """
    numbers, expected = np.asarray(costs, dtype=float), (mdp.states, mdp.joint_actions, mdp.agents)
    if numbers.shape != expected or not np.isfinite(numbers).all():
        raise InputError("wrong shape or not finite", key="costs", found=numbers.shape, valid=f"{expected}")
    return numbers
