"""What a run measures of its agents: disagreement, exact quantities where the model is known, bad numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from netac.agents.distributions import choose
from netac.agents.parameters import Layout
from netac.agents.policies import LogLinear
from netac.comm.exchange import SECONDS
from netac.envs import has_costs
from netac.exact import action_value_fixed_point, objective_and_gradient, td_fixed_point
from netac.experiment.build import Setting
from netac.results.records import OF_SUMMARY
from netac.utils.errors import InputError, RunError

ROWS = 4096                     # agents that are looked at at a time
LARGEST_FIXED_POINT = 2000      # unknowns of an action-value fixed point that is solved at every logged row
COLUMNS = ("iteration", "env_steps", "reward", "consensus_error", "consensus_error_policy", "consensus_error_omega",
           "consensus_error_lambda", "messages", "bytes_environment", "bytes_consensus", "bytes_trainer", "seconds")
EXACT_COLUMNS = ("J", "grad_norm_sq", "critic_error")
EPISODE_COLUMNS = ("episodes", "episode_return", "episode_length")
COST_COLUMNS = ("cost", "cost_max")     # of a step that an agent takes part in: all agents' mean, the largest agent's
TAKEN = {*COLUMNS, *EXACT_COLUMNS, *EPISODE_COLUMNS, *COST_COLUMNS, *OF_SUMMARY, "steps", "greedy", "ended", "return",
         "set",
         *(f"{name}{end}" for name in ("reward", "return", "episode_return", *COST_COLUMNS)
           for end in ("_stderr", "_low", "_high")),
         "evaluation_seconds"}                           # names that measures of an environment cannot have


def measured_by(environment: Any) -> tuple[str, ...]:
    """The names of what an environment measures of an episode."""
    return tuple(getattr(environment, "measures", ()))


def cost_columns(environment: Any) -> tuple[str, ...]:
    """Of an environment that is played as games, whose steps may have costs."""
    return COST_COLUMNS if has_costs(environment) else ()


def game_columns(environment: Any) -> tuple[str, ...]:
    """Of an environment that is played as games."""
    return EPISODE_COLUMNS + measured_by(environment) + cost_columns(environment)


def costs_of_episodes(costs: np.ndarray) -> dict[str, np.ndarray]:
    """From what a step cost each agent in each episode (episodes, N), the columns of costs: (episodes,) each."""
    return dict(zip(COST_COLUMNS, (costs.mean(axis=1), costs[:, costs.mean(axis=0).argmax()]), strict=True))


def refuse_taken_names(environment: Any) -> None:
    """Refuse an environment whose measures are called as something else in a run's files.

    Raises:
        InputError: one of them is, or is no name.
    """
    for name in (names := measured_by(environment)):
        if not isinstance(name, str) or not name.isidentifier() or name in TAKEN or names.count(name) > 1:
            raise InputError("the environment's `measures` are columns of a run's tables, each with a name of its own",
                             key="env", found=name, valid="names such as waiting_time, other than netac's own columns")


def disagreement(flat: np.ndarray, layout: Layout) -> dict[str, float]:
    """mean_i ||x_i - mean x||^2 of what is mixed (and of omega in any case), from all agents' rows (N, D)."""
    columns, errors = layout.columns, {}
    for part, name in (("shared", "policy"), ("omega", "omega"), ("lam", "lambda")):
        x = flat[:, columns[part]]
        if x.shape[1] and (part == "omega" or part in layout.mixed):
            mean, squares = x.mean(axis=0), np.empty(len(x), x.dtype)
            for first in range(0, len(x), ROWS):
                squares[first:first + ROWS] = np.square(x[first:first + ROWS] - mean).sum(axis=1)
            errors[name] = float(squares.mean())
    return {"consensus_error": sum(errors.values()), **{f"consensus_error_{name}": e for name, e in errors.items()}}


def conditions(columns: Sequence[str], told: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The columns of the network's conditions: means over all agents, and of simulated time the latest agent's.

    Args:
        told: (N,) of all agents, as far as there is something to tell.
    """
    return {name: float((np.max if name == SECONDS else np.mean)(told[name])) if name in told else 0.0
            for name in columns}


def exact_measures(setting: Setting, flat: np.ndarray) -> dict[str, float]:
    """J, ||grad J||^2 over all agents' policies, mean_i ||omega_i - TD's fixed point||^2, from all agents' rows (N, D).

    A quantity that does not exist (a fixed point of a chain with several recurrent classes) is left out.
    """
    mdp, policy, columns = setting.mdp, setting.model.policy, setting.layout.columns
    assert mdp is not None, "exact quantities are of known models"
    env: Any = setting.environment              # with the features of all pairs, since its model is known
    theta = np.ascontiguousarray(flat[:, columns["theta"]])
    pi, _ = choose(policy.logits(theta, np.arange(env.states)), np.zeros((1, 1, 1)))
    J, gradient = objective_and_gradient(mdp, pi)
    if isinstance(policy, LogLinear):         # logits x'theta: the chain rule
        gradient = np.einsum("nsa,nsad->nd", gradient, np.broadcast_to(policy.features, (*gradient.shape, policy.size)))
    found = {"J": J, "grad_norm_sq": float(np.square(gradient).sum())}
    average: Any = getattr(setting.settings, "setting", "discounted")
    try:
        if setting.model.needs.value == "state":
            fixed = td_fixed_point(mdp, pi, env.phi, average)
        elif env.psi.size <= LARGEST_FIXED_POINT:
            pairs = np.arange(mdp.states * mdp.joint_actions)
            fixed = action_value_fixed_point(mdp, pi, env.psi.rows(pairs), average)
        else:
            return found
    except RunError:
        return found
    found["critic_error"] = float(np.square(flat[:, columns["omega"]] - fixed).sum(axis=1).mean())
    return found


def refuse_bad_numbers(flat: np.ndarray, rewards: Sequence[np.ndarray], layout: Layout, agents: range, t: int) -> None:
    """Raise a RunError naming agent and quantity if a parameter of this process's agents is not finite.

    Args:
        flat: (n, D) their parameters after iteration t.
        rewards: (n, M) their rewards in it, batch by batch.
    """
    numbers = flat.ravel()
    if isfinite(numbers.dot(numbers)) or np.isfinite(flat).all():
        return
    for r in rewards:
        for row, sample in np.argwhere(~np.isfinite(r)):
            raise RunError(f"the environment's reward is {r[row, sample]}", agent=agents[row], iteration=t)
    row, column = np.argwhere(~np.isfinite(flat))[0]
    raise RunError(f"{layout.owner(int(column))} became {flat[row, column]}: "
                   "smaller step sizes or a projection may help",
                   agent=agents[row], iteration=t, hearsay=True)
