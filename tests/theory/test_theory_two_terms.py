"""The two terms of CAC's critics against plain loops over samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.envs.finite_mdp import random_mdp
from netac.exact import induced_chain, reward_fixed_point, stationary_distribution, td_fixed_point
from netac.theory._two_terms import TeamCritics


def critics(agents: int, states: int, seed: int, gamma: float = 0.7) -> TeamCritics:
    rng = np.random.default_rng(seed)
    mdp = random_mdp(seed, agents, states, 2, "folded-normal", gamma)
    W = rng.dirichlet(np.ones(agents), agents)
    W = 0.5 * np.eye(agents) + 0.25 * (W + np.full((agents, agents), 1 / agents))          # row-stochastic is enough
    pi = rng.dirichlet(np.ones(2), (agents, states))
    return TeamCritics(mdp, pi, np.eye(states), np.eye(states * 2**agents), W)


def plain(one: TeamCritics, beta: float, zeta: float, T: int) -> float:
    """The average over t < T of E sum_i ||omega_i - omega*||^2 + ||lambda_i - lambda*||^2, by sums over samples."""
    mdp, N = one.mdp, one.mdp.agents
    pairs = stationary_distribution(induced_chain(mdp, one.pi).transition)[:, None] * induced_chain(mdp, one.pi).joint
    omega, lam = td_fixed_point(mdp, one.pi, one.phi), reward_fixed_point(mdp, one.pi, one.psi)
    total = 0.0
    for fixed, step, critic in ((omega, beta, True), (lam, zeta, False)):
        K = len(fixed)
        samples = []
        for s, j, t in np.ndindex(mdp.P.shape):
            f = one.phi[s] if critic else one.psi[s * mdp.joint_actions + j]
            c = mdp.gamma * one.phi[t] - one.phi[s] if critic else -f
            M = np.kron(one.W, np.eye(K)) + step * np.kron(np.eye(N), np.outer(f, c))
            b = step * np.concatenate([(mdp.r[s, j, i] + c @ fixed) * f for i in range(N)])
            samples.append((pairs[s, j] * mdp.P[s, j, t], M, b))
        m = -np.tile(fixed, N)
        X = np.outer(m, m)
        for _ in range(T):
            total += np.trace(X) / T
            X, m = (sum(p * (M @ X @ M.T + np.outer(M @ m, b) + np.outer(b, M @ m) + np.outer(b, b))
                        for p, M, b in samples), sum(p * (M @ m + b) for p, M, b in samples))
    return total


@pytest.mark.parametrize(("agents", "states"), [(1, 2), (2, 1), (2, 2)])
def test_averages_are_those_of_loops_over_samples(agents, states):
    one = critics(agents, states, agents + states)
    for T in (1, 2, 7):
        assert one.averaged(0.3, 0.5, T).total == pytest.approx(plain(one, 0.3, 0.5, T), rel=1e-9)


@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=10)
def test_the_terms_have_the_orders_of_the_bound(agents, states, seed):
    """The floor is of order beta, the transient of order 1 / (beta T), once beta is small and T beta large."""
    one = replace(critics(agents, states, seed), W=np.full((agents, agents), 0.5 / agents) + 0.5 * np.eye(agents))
    slow, fast = (one.averaged(beta, beta, 10**9) for beta in (1e-5, 2e-5))
    assert fast.omega_floor == pytest.approx(2.0 * slow.omega_floor, rel=1e-2, abs=1e-12)
    assert fast.transient == pytest.approx(slow.transient / 2.0, rel=1e-2)
    assert one.averaged(1e-5, 1e-5, 10**10).transient == pytest.approx(slow.transient / 10.0, rel=1e-2)
    assert slow.floor > 0 or agents == 1
