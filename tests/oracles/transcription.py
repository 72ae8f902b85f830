"""Whole runs of CAC, IAC, DAC, MDAC and DNAC from a seed, transcribed from the equations with plain loops.

Slow and independent on purpose: nothing of netac is imported, every agent and sample has its own turn of a loop, all is
float64.  A run returns its final parameters as dict(theta (N, S A), omega (N, K), lam (N, L), mu (N,)); an algorithm
without reward model returns lam of shape (N, 0), one without average reward returns mu = 0.

Keyword arguments that all runs share:
    game: a `CoordinationGame` or a `FiniteGame`.
    W: function from the iteration t to the dense (N, N) weights.
    seed, iterations, gamma; alpha, beta, zeta: constant steps of actor, value (and mu) and reward model.
    sampling: which chains feed critic and actor, see `Samplers`.
    theta0: initial softmax logits (N, S A) or (N, S, A), index s A + a; None means zeros.
"""

from __future__ import annotations

import numpy as np

from .sampling import SAMPLINGS, CoordinationGame, FiniteGame, Samplers, probabilities, score

__all__ = ["CoordinationGame", "FiniteGame", "cac", "dac", "dnac", "iac", "mdac"]


# --- pieces of the updates --------------------------------------------------------------------------

def initial_theta(game, theta0):
    size = game.states * game.actions
    return np.zeros((game.agents, size)) if theta0 is None else np.array(theta0, dtype=float).reshape(game.agents, size)


def mix(W, x):
    """Row i of the result is sum_j W_ij x_j."""
    mixed = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            mixed[i] += W[i, j] * x[j]
    return mixed


def mix_rounds(W, x, rounds):
    for _ in range(rounds):
        x = mix(W, x)
    return x


def project(x, radius):
    """The nearest point of the ball of this radius around 0; None means no projection."""
    length = np.sqrt(sum(x**2))
    return x if radius is None or length <= radius else x * (radius / length)


def td_error(game, omega_i, reward, sample, gamma):
    """reward + gamma V_i(s') - V_i(s)."""
    return reward + gamma * (game.phi(sample.s_next) @ omega_i) - game.phi(sample.s) @ omega_i


# --- the algorithms ---------------------------------------------------------------------------------

def cac(*, game, W, seed, iterations, alpha, beta, zeta, gamma, shared=None, omega_radius=None, lambda_radius=None,
        sampling="markov", theta0=None, tracking=False):
    """Zeng et al., Algorithms 1 and 2.  `shared`: bool mask of the mixed coordinates of theta_i, default all.

    `tracking`: steps along y_i <- sum_j W_ij y_j + g_i - g_i of the iteration before (y = g at first) in place of g_i,
    but for the coordinates that are not shared.
    """
    n = game.agents
    samplers = Samplers(game, seed, sampling, gamma)
    theta = initial_theta(game, theta0)
    shared = np.ones(theta.shape[1], dtype=bool) if shared is None else np.asarray(shared, dtype=bool)
    omega = np.zeros((n, len(game.phi(0))))
    lam = np.zeros((n, len(game.psi(0, [0] * n))))
    y = g_before = None
    for t in range(iterations):
        c, d = samplers.pair(theta)
        omega_mixed, lam_mixed, theta_mixed = mix(W(t), omega), mix(W(t), lam), mix(W(t), theta)
        g = [np.zeros_like(omega), np.zeros_like(lam), np.zeros_like(theta)]
        for i in range(n):
            g[0][i] = td_error(game, omega[i], c.r[i], c, gamma) * game.phi(c.s)
            psi = game.psi(c.s, c.a)
            g[1][i] = (c.r[i] - psi @ lam[i]) * psi
            advantage = td_error(game, omega[i], game.psi(d.s, d.a) @ lam[i], d, gamma)
            g[2][i] = advantage * score(game, theta[i], d.s, d.a[i])
        steps = g
        if tracking:
            y = g if y is None else [mix(W(t), y[k]) + g[k] - g_before[k] for k in range(3)]
            steps, g_before = [y[0], y[1], np.where(shared, y[2], g[2])], g
        new_omega, new_lam, new_theta = np.zeros_like(omega), np.zeros_like(lam), np.zeros_like(theta)
        for i in range(n):
            new_omega[i] = project(omega_mixed[i] + beta * steps[0][i], omega_radius)
            new_lam[i] = project(lam_mixed[i] + zeta * steps[1][i], lambda_radius)
            new_theta[i] = np.where(shared, theta_mixed[i], theta[i]) + alpha * steps[2][i]
        theta, omega, lam = new_theta, new_omega, new_lam
    return {"theta": theta, "omega": omega, "lam": lam, "mu": np.zeros(n)}


def iac(*, game, W, seed, iterations, alpha, beta, gamma, sampling="markov", theta0=None):
    """Independent learners: `W` is never used, and there is no reward model."""
    n = game.agents
    samplers = Samplers(game, seed, sampling, gamma)
    theta = initial_theta(game, theta0)
    omega = np.zeros((n, len(game.phi(0))))
    for _ in range(iterations):
        c, d = samplers.pair(theta)
        new_omega, new_theta = omega.copy(), theta.copy()
        for i in range(n):
            new_omega[i] += beta * td_error(game, omega[i], c.r[i], c, gamma) * game.phi(c.s)
            new_theta[i] += alpha * td_error(game, omega[i], d.r[i], d, gamma) * score(game, theta[i], d.s, d.a[i])
        theta, omega = new_theta, new_omega
    return {"theta": theta, "omega": omega, "lam": np.zeros((n, 0)), "mu": np.zeros(n)}


def dac(*, game, W, seed, iterations, alpha, beta, gamma, zeta=None, critic="state_value",
        setting="discounted", sampling="markov", theta0=None, watch=lambda omega: None):
    """Zhang et al. 2018, Algorithm 2 (`critic` "state_value") and 1 ("action_value": omega then weighs psi, no lam).

    `setting` "average" subtracts mu_i and does not discount; "discounted" drops mu.  `beta` is the
    step of mu too; `zeta`, that of lam, is needed with the state value only.  `watch` is shown omega after every
    iteration.
    """
    average = setting == "average"
    samplers, theta = Samplers(game, seed, sampling, gamma), initial_theta(game, theta0)
    if average:
        gamma = 1.0
    if critic == "state_value":
        return _dac_state_value(game, W, samplers, theta, iterations, alpha, beta, zeta, gamma, average, watch)
    return _dac_action_value(game, W, samplers, theta, iterations, alpha, beta, gamma, average, watch)


def _dac_state_value(game, W, samplers, theta, iterations, alpha, beta, zeta, gamma, average, watch):
    n = game.agents
    omega, lam, mu = np.zeros((n, len(game.phi(0)))), np.zeros((n, len(game.psi(0, [0] * n)))), np.zeros(n)
    for t in range(iterations):
        c, d = samplers.pair(theta)
        new_omega, new_lam, new_mu, new_theta = omega.copy(), lam.copy(), mu.copy(), theta.copy()
        for i in range(n):
            if average:
                new_mu[i] = (1 - beta) * mu[i] + beta * c.r[i]
            psi = game.psi(c.s, c.a)
            new_lam[i] += zeta * (c.r[i] - psi @ lam[i]) * psi
            new_omega[i] += beta * td_error(game, omega[i], c.r[i] - mu[i], c, gamma) * game.phi(c.s)
            advantage = td_error(game, omega[i], game.psi(d.s, d.a) @ lam[i] - mu[i], d, gamma)
            new_theta[i] += alpha * advantage * score(game, theta[i], d.s, d.a[i])
        theta = new_theta
        omega, lam, mu = mix(W(t), new_omega), mix(W(t), new_lam), mix(W(t), new_mu)
        watch(omega)
    return {"theta": theta, "omega": omega, "lam": lam, "mu": mu}


def _dac_action_value(game, W, samplers, theta, iterations, alpha, beta, gamma, average, watch):
    n = game.agents
    omega, mu = np.zeros((n, len(game.psi(0, [0] * n)))), np.zeros(n)
    for t in range(iterations):
        c, d = samplers.pair(theta, with_next_action=True)
        new_omega, new_mu, new_theta = omega.copy(), mu.copy(), theta.copy()
        for i in range(n):
            if average:
                new_mu[i] = (1 - beta) * mu[i] + beta * c.r[i]
            now, after = game.psi(c.s, c.a), game.psi(c.s_next, c.a_next)
            delta = c.r[i] - mu[i] + gamma * (after @ omega[i]) - now @ omega[i]
            new_omega[i] += beta * delta * now
            advantage = game.psi(d.s, d.a) @ omega[i]
            pi = probabilities(game, theta[i], d.s)
            for b in range(game.actions):
                other = list(d.a)
                other[i] = b
                advantage -= pi[b] * (game.psi(d.s, other) @ omega[i])
            new_theta[i] += alpha * advantage * score(game, theta[i], d.s, d.a[i])
        theta, mu = new_theta, new_mu
        omega = mix(W(t), new_omega)
        watch(omega)
    return {"theta": theta, "omega": omega, "lam": np.zeros((n, 0)), "mu": mu}


def mini_batch_critic(game, W_t, samplers, theta, omega, beta, gamma, samples, batch, rounds, mixing_rounds):
    """T_c rounds of omega <- W omega + (beta / N_c) sum delta_i phi, then T_c' of omega <- W omega.

    Every round uses `samples`, or, where that is None, a batch of its own from the critic's chain.
    """
    for _ in range(rounds):
        drawn = samplers.critic.samples(theta, batch) if samples is None else samples
        new_omega = mix(W_t, omega)
        for i in range(game.agents):
            for x in drawn:
                new_omega[i] += beta / batch * td_error(game, omega[i], x.r[i], x, gamma) * game.phi(x.s)
        omega = new_omega
    return mix_rounds(W_t, omega, mixing_rounds)


def team_rewards(game, W_t, chain, samples, reward_rounds, reward_noise):
    """For every sample, the agents' r^ = W^T' [r_i (1 + e_i)], privacy noise e_i from the streams of `chain`."""
    told = []
    for x in samples:
        noisy = np.array([x.r[i] * (1 + chain.privacy_noise(i, reward_noise)) for i in range(game.agents)])
        told.append(mix_rounds(W_t, noisy, reward_rounds))
    return told


def _one_batch(sampling, batch, critic_batch):
    """N_c; a shared batch has one size."""
    if critic_batch is None:
        return batch
    if SAMPLINGS[sampling][1] is None and critic_batch != batch:
        raise ValueError("with shared samples critic_batch must be batch")
    return critic_batch


def mdac(*, game, W, seed, iterations, alpha, beta, gamma, batch, critic_batch=None, critic_rounds=1, mixing_rounds=0,
         reward_rounds=1, reward_noise=0.0, sampling="markov", theta0=None):
    """Chen et al. 2021: N = batch, N_c = critic_batch (default: batch), T_c = critic_rounds, T_c' = mixing_rounds,
    T' = reward_rounds; `reward_noise`: standard deviation of the privacy noise e_i.
    """
    samplers = Samplers(game, seed, sampling, gamma)
    theta = initial_theta(game, theta0)
    omega = np.zeros((game.agents, len(game.phi(0))))
    critic_batch = _one_batch(sampling, batch, critic_batch)
    for t in range(iterations):
        samples = samplers.critic.samples(theta, batch) if samplers.shared else None
        omega = mini_batch_critic(game, W(t), samplers, theta, omega, beta, gamma, samples, critic_batch, critic_rounds,
                                  mixing_rounds)
        samples = samples or samplers.actor.samples(theta, batch)
        told = team_rewards(game, W(t), samplers.actor, samples, reward_rounds, reward_noise)
        new_theta = theta.copy()
        for i in range(game.agents):
            for x, r_hat in zip(samples, told, strict=True):
                delta = td_error(game, omega[i], r_hat[i], x, gamma)
                new_theta[i] += alpha / batch * delta * score(game, theta[i], x.s, x.a[i])
        theta = new_theta
    return {"theta": theta, "omega": omega, "lam": np.zeros((game.agents, 0)), "mu": np.zeros(game.agents)}


def dnac(*, game, W, seed, iterations, alpha, beta, gamma, batch, inner_steps, inner_rounds, natural_step,
         critic_batch=None, critic_rounds=1, mixing_rounds=0, reward_rounds=1, reward_noise=0.0, sampling="markov",
         theta0=None):
    """The natural variant of `mdac`: K = inner_steps, T_z = inner_rounds, eta = natural_step, N_k = batch."""
    n = game.agents
    samplers = Samplers(game, seed, sampling, gamma)
    theta = initial_theta(game, theta0)
    omega, h = np.zeros((n, len(game.phi(0)))), np.zeros_like(theta)
    critic_batch = _one_batch(sampling, batch, critic_batch)
    for t in range(iterations):
        samples = told = None
        if samplers.shared:
            samples = samplers.critic.samples(theta, batch)
            told = team_rewards(game, W(t), samplers.actor, samples, reward_rounds, reward_noise)
        omega = mini_batch_critic(game, W(t), samplers, theta, omega, beta, gamma, samples, critic_batch, critic_rounds,
                                  mixing_rounds)
        for _ in range(inner_steps):
            if not samplers.shared:
                samples = samplers.actor.samples(theta, batch)
                told = team_rewards(game, W(t), samplers.actor, samples, reward_rounds, reward_noise)
            new_h = h.copy()
            for x, r_hat in zip(samples, told, strict=True):
                psi = [score(game, theta[i], x.s, x.a[i]) for i in range(n)]
                z = mix_rounds(W(t), np.array([n * (psi[i] @ h[i]) for i in range(n)]), inner_rounds)
                for i in range(n):
                    new_h[i] -= natural_step / batch * (z[i] - td_error(game, omega[i], r_hat[i], x, gamma)) * psi[i]
            h = new_h
        theta = theta + alpha * h
    return {"theta": theta, "omega": omega, "lam": np.zeros((n, 0)), "mu": np.zeros(n)}
