"""What `cac_rates` measures of a run of CAC: its critics, its agents' disagreement, its gradient; all of it exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netac.agents.steps import step_size
from netac.exact import (
    action_value,
    induced_chain,
    objective_and_gradient,
    reward_fixed_point,
    stationary_distribution,
    td_fixed_point,
    visitation_distribution,
)
from netac.exact.values import agent_marginals
from netac.theory._walk import finite, in_parameters, looks, policies, walk
from netac.utils.errors import RunError

if TYPE_CHECKING:
    from netac.experiment.build import Parts

QUANTITIES = ("critic", "consensus", "gradient", "exchange")
REST = 20_000               # Euler steps in which a mean field must converge


def averages(tables: dict[str, Any], points: int) -> np.ndarray:
    """(4,) `QUANTITIES`, averaged over a run's iterations, as estimated from `points` of them."""
    times, shares = looks(tables["iterations"], points, tables["seed"])
    return shares @ [measured(parts) for parts in walk(tables, times)]


def measured(parts: Parts) -> np.ndarray:
    """(4,) `QUANTITIES` now."""
    x, pi = parts.agents.parameters, policies(parts)
    consensus = np.square(x.shared - x.shared.mean(axis=0)).sum()
    return np.array([critic_error(parts), consensus,
                     stationarity(parts, objective_and_gradient(finite(parts).mdp, pi)[1]), after_exchange(parts)])


def critic_error(parts: Parts) -> float:
    """sum_i ||omega_i - omega*(theta)||^2 + ||lambda_i - lambda*(theta)||^2, omega* being the TD fixed point."""
    x, env, pi = parts.agents.parameters, finite(parts), policies(parts)
    return float(np.square(x.omega - td_fixed_point(env.mdp, pi, env.phi)).sum()
                 + np.square(x.lam - reward_fixed_point(env.mdp, pi, env.psi.table)).sum())


def stationarity(parts: Parts, gradient: np.ndarray) -> float:
    """N ||mean_i grad_i^s J||^2 + sum_i ||grad_i^p J||^2 of the *unnormalised* J (equation 3).

    Args:
        gradient: (N, S, A) of the normalised J with respect to the logits.
    """
    g = in_parameters(parts, gradient) / (1.0 - finite(parts).mdp.gamma)
    shared = parts.setting.layout.shared
    return float(len(g) * np.square(g[:, :shared].mean(axis=0)).sum() + np.square(g[:, shared:]).sum())


def after_exchange(parts: Parts) -> float:
    """E ||Q theta^s||^2 after the iteration that comes, if its exchange averages exactly: alpha^2 E ||Q g^s||^2.

    g_i^s is agent i's direction (R_i + gamma V_i(s') - V_i(s)) grad^s log pi_i, over the samples that CAC's actor sees.
    """
    x, env, pi, settings = parts.agents.parameters, finite(parts), policies(parts), parts.setting.settings
    mdp, chain, shared = env.mdp, induced_chain(env.mdp, pi), parts.setting.layout.shared
    alpha = float(step_size(settings.actor_step, parts.setting.experiment.iterations, x))
    V, R = x.omega @ env.phi.T, x.lam if env.psi.table is None else x.lam @ env.psi.table.T
    residual = (R.reshape(mdp.agents, *mdp.P.shape[:2]) - V[:, :, None])[..., None] + mdp.gamma * V[:, None, None]
    scores = np.empty((*pi.shape, shared))                                          # (N, S, A, d) of grad log pi(a|s)
    for s, a in np.ndindex(pi.shape[1:]):
        logits = np.zeros_like(pi)
        logits[:, s] = np.eye(mdp.actions)[a] - pi[:, s]
        scores[:, s, a] = in_parameters(parts, logits)[:, :shared]
    own = np.indices((mdp.actions,) * mdp.agents).reshape(mdp.agents, -1)           # (N, J)
    scores = np.stack([each[:, actions] for each, actions in zip(scores, own, strict=True)])
    products = np.einsum("isjd,ksjd->sjik", scores, scores)                         # of the agents' directions
    products *= np.einsum("sjt,isjt,ksjt->sjik", mdp.P, residual, residual)
    apart = np.trace(products, axis1=2, axis2=3) - products.sum(axis=(2, 3)) / mdp.agents
    return alpha**2 * float(np.einsum("s,sj,sj->", seen_by_actor(parts), chain.joint, apart))


def seen_by_actor(parts: Parts) -> np.ndarray:
    """(S,) the distribution of the states that CAC's actor sees: mu_theta, or under double sampling d_theta."""
    mdp = finite(parts).mdp
    transition = induced_chain(mdp, policies(parts)).transition
    if len(parts.sampler.feeds) > 1:
        return visitation_distribution(transition, mdp.xi, mdp.gamma)
    return stationary_distribution(transition)


def mean_direction(parts: Parts, states: np.ndarray) -> np.ndarray:
    """(N, d) CAC's mean direction sum_s,a states(s) pi(a|s) A(s, a) grad log pi(a|s) with exact critics.

    It is averaged over the agents in the shared part.
    """
    mdp, shared, pi = finite(parts).mdp, parts.setting.layout.shared, policies(parts)
    joint, Q = induced_chain(mdp, pi).joint, action_value(mdp, pi)
    advantage = Q - (joint * Q).sum(axis=1, keepdims=True)
    direction = in_parameters(parts, agent_marginals(states[:, None] * joint * advantage, mdp.agents, mdp.actions))
    direction[:, :shared] = direction[:, :shared].mean(axis=0)
    return direction


def single_sampling_limit(tables: dict[str, Any]) -> float:
    """eps_sp: the stationarity measure at the fixed point that CAC with exact critics and s ~ mu_theta reaches.

    Euler steps along `mean_direction` start at the run's first parameters and end when it is below 1e-10.

    Raises:
        RunError: the steps do not converge.
    """
    parts = next(walk({**tables, "iterations": 1}, [0]))
    x, mdp = parts.agents.parameters, finite(parts).mdp
    for _ in range(REST):
        pi = policies(parts)
        step = mean_direction(parts, stationary_distribution(induced_chain(mdp, pi).transition))
        if np.abs(step).max() < 1e-10:
            return stationarity(parts, objective_and_gradient(mdp, pi)[1])
        x.theta += 5.0 * step
    raise RunError(f"CAC's mean field does not come to rest within {REST} steps")
