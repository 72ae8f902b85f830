"""Whole runs of CAC, IAC, DAC, MDAC and DNAC with networks, transcribed from the equations with plain loops.

Slow and independent on purpose, as `transcription.py`: every agent and sample has its own turn of a loop, all is double
precision.  A run returns its final theta, omega, lam (lists of rows) and mu.  With E games an iteration's gradients are means
over its samples, those an agent takes no part in counting as 0.
"""

from __future__ import annotations

import numpy as np

from .neural_games import Chain, Statistics, Task

__all__ = ["Task", "cac", "dac", "dnac", "iac", "mdac"]


class Run:
    """What all algorithms need: the chains, the parameters, the local optimizers."""

    def __init__(self, task):
        self.task, statistics = task, Statistics(task)
        self.critic = Chain(task, 0, statistics)
        self.actor = Chain(task, 1, statistics) if task.sampling == "double" else self.critic
        self.theta, self.omega, self.lam = ([np.array(row, dtype=float) for row in task.start.get(name, [[]] * task.agents)]
                                            for name in ("theta", "omega", "lam"))
        self.mu = np.zeros(task.agents)
        self._moments, self._counts = {}, {}

    def pair(self, **options):
        """Critic's and actor's samples; the same ones on one chain."""
        c = self.critic.samples(self.theta, **options)
        if self.actor is self.critic:
            return c, c
        d = self.actor.samples(self.theta, **options)
        return c, c if self.task.wrong == "one chain" else d

    def mix(self, t, rows):
        """Row i of the result is sum_j W_ij x_j."""
        W = self.task.W(t)
        return [sum(W[i, j] * rows[j] for j in range(len(rows))) for i in range(len(rows))]

    # --- values, and mean gradients ---

    def V(self, i, omega_i, seen):
        return self.task.value[i](omega_i, seen)[0]

    def next_V(self, i, omega_i, x):
        return 0.0 if x.terminated[i] else self.V(i, omega_i, x.next_seen[i])

    def R(self, i, lam_i, seen, told):
        net = (self.task.reward_model or self.task.value)[i]
        return net(lam_i, np.concatenate([seen, self.task.as_seen(told, i)]))[0]

    def mean(self, samples, i, of):
        """The mean of `of` over samples, 0 where agent i takes no part."""
        total = sum(of(x) if x.active[i] else 0.0 * of(x) for x in samples)
        return total if self.task.wrong == "sum" else total / len(samples)

    def V_gradient(self, samples, i, weight):
        net, omega_i = self.task.value[i], self.omega[i]
        return self.mean(samples, i, lambda x: weight(x) * net.gradient(omega_i, x.seen[i], np.ones(1)))

    def R_gradient(self, samples, i, p, weight):
        net = (self.task.reward_model or self.task.value)[i]
        return self.mean(samples, i, lambda x: weight(x) * net.gradient(
            p, np.concatenate([x.seen[i], self.task.as_seen(x.told, i)]), np.ones(1)))

    def policy_gradient(self, samples, i, weight):
        task, theta_i = self.task, self.theta[i]
        bonus = 0.0 if task.wrong == "no entropy" else task.entropy
        return self.mean(samples, i, lambda x: weight(x) * task.score(i, theta_i, x.obs[i], x.a[i])
                         + bonus * task.entropy_gradient(i, theta_i, x.obs[i]))

    def direction(self, part, i, g):
        """What the local optimizer makes of a mean gradient."""
        task = self.task
        if task.clip is not None and task.wrong != "no clip":
            length = np.sqrt(sum(g**2))
            g = g if length <= task.clip else g * (task.clip / length)
        if task.adam is None:
            return g
        beta1, beta2, epsilon = task.adam
        m, v = self._moments.get((part, i), (0.0, 0.0))
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        k = self._counts[part, i] = self._counts.get((part, i), 0) + 1
        self._moments[part, i] = m, v
        if task.wrong == "biased":
            return m / (np.sqrt(v) + epsilon)
        return m / (1 - beta1**k) / (np.sqrt(v / (1 - beta2**k)) + epsilon)

    def result(self):
        return {"theta": self.theta, "omega": self.omega, "lam": self.lam, "mu": self.mu}


def cac(task):
    """Zeng et al., Algorithms 1 and 2."""
    run, gamma, n = Run(task), task.gamma, task.agents
    alpha, beta, zeta = (task.steps[name] for name in ("alpha", "beta", "zeta"))
    for t in range(task.iterations):
        c, d = run.pair()
        omega_mixed, lam_mixed, theta_mixed = run.mix(t, run.omega), run.mix(t, run.lam), run.mix(t, run.theta)
        at, lam_at = (omega_mixed, lam_mixed) if task.wrong == "mixed residuals" else (run.omega, run.lam)
        omega, lam, theta = [], [], []
        for i in range(n):
            shared = task.policy[i].shared if task.wrong != "personal mixed" else task.policy[i].size

            def td(reward, x, i=i):
                return reward + gamma * run.next_V(i, at[i], x) - run.V(i, at[i], x.seen[i])

            def R(x, i=i):
                return x.r[i] if task.wrong == "own reward" else run.R(i, lam_at[i], x.seen[i], x.told)

            g = run.V_gradient(c, i, lambda x: td(x.r[i], x))
            omega.append(omega_mixed[i] + beta * run.direction("omega", i, g))
            g = run.R_gradient(c, i, run.lam[i], lambda x: x.r[i] - run.R(i, lam_at[i], x.seen[i], x.told))
            lam.append(lam_mixed[i] + zeta * run.direction("lam", i, g))
            g = run.policy_gradient(d, i, lambda x: td(R(x), x))
            start = np.concatenate([theta_mixed[i][:shared], run.theta[i][shared:]])
            theta.append(start + alpha * run.direction("theta", i, g))
        run.omega, run.lam, run.theta = omega, lam, theta
    return run.result()


def iac(task):
    """Independent learners."""
    run, gamma = Run(task), task.gamma
    for _ in range(task.iterations):
        c, d = run.pair()
        omega, theta = [], []
        for i in range(task.agents):
            def delta(x, i=i):
                return x.r[i] + gamma * run.next_V(i, run.omega[i], x) - run.V(i, run.omega[i], x.seen[i])

            omega.append(run.omega[i] + task.steps["beta"] * run.direction("omega", i, run.V_gradient(c, i, delta)))
            theta.append(run.theta[i] + task.steps["alpha"] * run.direction("theta", i, run.policy_gradient(d, i, delta)))
        run.omega, run.theta = omega, theta
    return run.result()


def dac(task):
    """Zhang et al. 2018, Algorithms 2 and 1, with task.options `critic` and `setting`."""
    average = task.options.get("setting") == "average"
    of = _dac_action_value if task.options.get("critic") == "action_value" else _dac_state_value
    return of(task, Run(task), 1.0 if average else task.gamma, average)


def _new_mu(run, samples, i, average):
    """(1 - beta) mu + beta r, r being the samples' mean."""
    beta = run.task.steps["beta"]
    return (1 - beta) * run.mu[i] + beta * sum(x.r[i] for x in samples) / len(samples) if average else 0.0


def _dac_state_value(task, run, gamma, average):
    alpha, beta, zeta = (task.steps[name] for name in ("alpha", "beta", "zeta"))
    for t in range(task.iterations):
        if task.wrong == "mix first":
            run.omega, run.lam, run.mu = run.mix(t, run.omega), run.mix(t, run.lam), np.array(run.mix(t, run.mu))
        c, d = run.pair()
        omega, lam, theta, mu = [], [], [], []
        for i in range(task.agents):
            mu.append(_new_mu(run, c, i, average))
            used = mu[i] if task.wrong == "new mu" else run.mu[i]

            def td(reward, x, i=i, used=used):
                return reward - used + gamma * run.next_V(i, run.omega[i], x) - run.V(i, run.omega[i], x.seen[i])

            def R(x, i=i):
                return run.R(i, run.lam[i], x.seen[i], x.told)

            g = run.R_gradient(c, i, run.lam[i], lambda x: x.r[i] - R(x))
            lam.append(run.lam[i] + zeta * run.direction("lam", i, g))
            g = run.V_gradient(c, i, lambda x: td(x.r[i], x))
            omega.append(run.omega[i] + beta * run.direction("omega", i, g))
            theta.append(run.theta[i] + alpha * run.direction("theta", i, run.policy_gradient(d, i, lambda x: td(R(x), x))))
        run.theta = run.mix(t, theta) if task.wrong == "policy mixed" else theta
        run.omega, run.lam, run.mu = omega, lam, np.array(mu)
        if task.wrong != "mix first":
            run.omega, run.lam, run.mu = run.mix(t, omega), run.mix(t, lam), np.array(run.mix(t, mu))
    return run.result()


def _dac_action_value(task, run, gamma, average):
    alpha, beta = task.steps["alpha"], task.steps["beta"]
    for t in range(task.iterations):
        c, d = run.pair(with_next=True)
        omega, theta, mu = [], [], []
        for i in range(task.agents):
            mu.append(_new_mu(run, c, i, average))
            Q = lambda seen, told, i=i: run.R(i, run.omega[i], seen, told)     # noqa: E731

            def delta(x, i=i, Q=Q):
                after = 0.0 if x.terminated[i] else Q(x.next_seen[i], x.next_told)
                return x.r[i] - run.mu[i] + gamma * after - Q(x.seen[i], x.told)

            def advantage(x, i=i, Q=Q):
                if task.wrong == "no baseline":
                    return Q(x.seen[i], x.told)
                pi = task.chances(i, run.theta[i], x.obs[i])
                return Q(x.seen[i], x.told) - sum(pi[b] * Q(x.seen[i], task.replaced(x.told, i, b)) for b in range(len(pi)))

            omega.append(run.omega[i] + beta * run.direction("omega", i, run.R_gradient(c, i, run.omega[i], delta)))
            theta.append(run.theta[i] + alpha * run.direction("theta", i, run.policy_gradient(d, i, advantage)))
        run.theta, run.mu = theta, np.array(mu)
        run.omega = run.mix(t, omega)
    return run.result()


def mini_batch_critic(task, run, t, samples):
    """T_c rounds of omega <- W omega + (beta / N_c) sum delta_i grad V, then T_c' of omega <- W omega."""
    rounds, batch = task.options.get("critic_rounds", 1), task.options.get("critic_batch", task.options["batch"])
    for _ in range(1 if task.wrong == "one round" else rounds):
        drawn = run.critic.samples(run.theta, batch) if samples is None else samples
        mixed, new = run.mix(t, run.omega), []
        for i in range(task.agents):
            at = mixed[i] if task.wrong == "mixed residuals" else run.omega[i]

            def delta(x, i=i, at=at):
                return x.r[i] + task.gamma * run.next_V(i, at, x) - run.V(i, at, x.seen[i])

            new.append(mixed[i] + task.steps["beta"] * run.direction("omega", i, run.V_gradient(drawn, i, delta)))
        run.omega = new
    for _ in range(task.options.get("mixing_rounds", 0)):
        run.omega = run.mix(t, run.omega)


def team_rewards(task, run, t, samples):
    """r^[i][k] = W^T' [r_i (1 + e_i)] of sample k."""
    noise = task.options.get("reward_noise", 0.0)
    told = [np.array([x.r[i] for x in samples]) for i in range(task.agents)]
    if noise:
        told = [told[i] * (1.0 + run.actor.privacy_noise(i, len(samples), noise)) for i in range(task.agents)]
    for _ in range(0 if task.wrong == "own reward" else task.options.get("reward_rounds", 1)):
        told = run.mix(t, told)
    return told


def _batches(task, run, t):
    """The critic's part of iteration t; the actor's samples."""
    one = run.actor is run.critic
    samples = run.critic.samples(run.theta, task.options["batch"]) if one else None
    mini_batch_critic(task, run, t, samples)
    return samples


def _advantage(task, run, told, samples, i, x):
    r_hat = told[i][next(k for k, each in enumerate(samples) if each is x)]
    return r_hat + task.gamma * run.next_V(i, run.omega[i], x) - run.V(i, run.omega[i], x.seen[i])


def mdac(task):
    """Chen et al. 2021."""
    run = Run(task)
    for t in range(task.iterations):
        samples = _batches(task, run, t) or run.actor.samples(run.theta, task.options["batch"])
        told = team_rewards(task, run, t, samples)
        theta = []
        for i in range(task.agents):
            g = run.policy_gradient(samples, i, lambda x, i=i: _advantage(task, run, told, samples, i, x))
            theta.append(run.theta[i] + task.steps["alpha"] * run.direction("theta", i, g))
        run.theta = theta
    return run.result()


def dnac(task):
    """The natural variant: `inner_steps` K, `inner_rounds` T_z, `natural_step` eta."""
    run, n = Run(task), task.agents
    h = [np.zeros_like(row) for row in run.theta]
    for t in range(task.iterations):
        one, told = _batches(task, run, t), None
        if task.wrong == "forgotten h":
            h = [0.0 * row for row in h]
        for _ in range(task.options["inner_steps"]):
            samples = one or run.actor.samples(run.theta, task.options["batch"])
            if one is None or told is None:
                told = team_rewards(task, run, t, samples)
            scores = [[task.score(i, run.theta[i], x.obs[i], x.a[i]) * x.active[i] for x in samples] for i in range(n)]
            z = [np.array([(1 if task.wrong == "no n" else n) * (score @ h[i]) for score in scores[i]]) for i in range(n)]
            for _ in range(task.options["inner_rounds"]):
                z = run.mix(t, z)
            new = []
            for i in range(n):
                step = sum((z[i][k] - _advantage(task, run, told, samples, i, x)) * scores[i][k]
                           for k, x in enumerate(samples)) / len(samples)
                new.append(h[i] - task.options["natural_step"] * step)
            h = new
        run.theta = [run.theta[i] + task.steps["alpha"] * h[i] for i in range(n)]
    return run.result()
