"""Exact quantities of finite networked MDPs: distributions, values and advantages, J with its gradient, critics' fixed
points, best responses and the Nash gap; costs, and the best joint policy within limits.

Pure functions of arrays: a `FiniteMDP` and the agents' local policies `pi` (N, S, A).
"""

from netac.exact.constrained import (
    FeasibleOptimum,
    cost_action_values,
    cost_objectives,
    cost_values,
    feasible_optimum,
)
from netac.exact.distributions import (
    InducedChain,
    induced_chain,
    joint_policy,
    recurrent_classes,
    stationary_distribution,
    transition,
    visitation_distribution,
)
from netac.exact.equilibrium import best_response, nash_gap
from netac.exact.fixed_points import (
    action_value_fixed_point,
    reward_fixed_point,
    td_error_minimiser,
    td_fixed_point,
)
from netac.exact.limits import refuse_large
from netac.exact.mdp import FiniteMDP
from netac.exact.subsets import subset_action_value, subset_advantage
from netac.exact.values import (
    action_value,
    average_reward,
    objective,
    objective_and_gradient,
    optimal_joint_actions,
    optimal_objective,
    softmax_gradient,
    value_function,
)

__all__ = [
    "FeasibleOptimum",
    "FiniteMDP",
    "InducedChain",
    "action_value",
    "action_value_fixed_point",
    "average_reward",
    "best_response",
    "cost_action_values",
    "cost_objectives",
    "cost_values",
    "feasible_optimum",
    "induced_chain",
    "joint_policy",
    "nash_gap",
    "objective",
    "objective_and_gradient",
    "optimal_joint_actions",
    "optimal_objective",
    "recurrent_classes",
    "refuse_large",
    "reward_fixed_point",
    "softmax_gradient",
    "stationary_distribution",
    "subset_action_value",
    "subset_advantage",
    "td_error_minimiser",
    "td_fixed_point",
    "transition",
    "value_function",
    "visitation_distribution",
]
