"""Whole runs of CAC, IAC, DAC, MDAC and DNAC with networks, transcribed from the equations with plain loops.

Slow and independent on purpose, as `transcription.py`: every agent and sample has its own turn of a loop, all is double
precision.  A run returns its final theta, omega, lam (lists of rows) and mu.  With E games an iteration's gradients are
means over those of its samples the agent takes part in; an agent without any stays where it is.
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
        self.theta, self.omega, self.lam = (
            [np.array(row, dtype=float) for row in task.start.get(name, [[]] * task.agents)]
            for name in ("theta", "omega", "lam"))
        self.mu = np.zeros(task.agents)
        self._moments, self._counts, self._tracked = {}, {}, {}

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

    def value(self, i, omega_i, seen):
        return self.task.value[i](omega_i, seen)[0]

    def next_value(self, i, omega_i, x):
        return 0.0 if x.terminated[i] else self.value(i, omega_i, x.next_seen[i])

    def model(self, i, lam_i, seen, told):
        net = (self.task.reward_model or self.task.value)[i]
        return net(lam_i, np.concatenate([seen, self.task.as_seen(told, i)]))[0]

    def mean(self, samples, i, of):
        """The mean of `of` over the samples agent i takes part in, 0 without any."""
        mine = [of(x) for x in samples if x.active[i]]
        total = sum(mine) if mine else 0.0 * of(samples[0])
        if self.task.wrong == "sum":
            return total
        return total / (len(samples) if self.task.wrong == "diluted" else max(len(mine), 1))

    def value_gradient(self, samples, i, weight):
        net, omega_i = self.task.value[i], self.omega[i]
        return self.mean(samples, i, lambda x: weight(x) * net.gradient(omega_i, x.seen[i], np.ones(1)))

    def model_gradient(self, samples, i, p, weight):
        net = (self.task.reward_model or self.task.value)[i]
        return self.mean(samples, i, lambda x: weight(x) * net.gradient(
            p, np.concatenate([x.seen[i], self.task.as_seen(x.told, i)]), np.ones(1)))

    def discount(self, x):
        """gamma^t of step t of an episode, where that is asked for."""
        asked = self.task.options.get("discounted_gradient") and self.task.wrong != "undiscounted"
        return self.task.gamma**x.age if asked else 1.0

    def policy_gradient(self, samples, i, weight):
        task, theta_i = self.task, self.theta[i]
        bonus = 0.0 if task.wrong == "no entropy" else task.entropy
        return self.mean(samples, i, lambda x: bonus * task.entropy_gradient(i, theta_i, x.obs[i], x.bars[i])
                         + self.discount(x) * weight(x) * task.score(i, theta_i, x.obs[i], x.a[i], x.bars[i]))

    def direction(self, part, i, g):
        """What the local optimizer makes of a mean gradient; of theta's no longer than the radius."""
        found, radius = self.optimised(part, i, g), self.task.options.get("actor_radius")
        if part != "theta" or radius is None or self.task.wrong == "no radius":
            return found
        length = np.sqrt(sum(found**2))
        return found if length <= radius else found * (radius / length)

    def optimised(self, part, i, g):
        task = self.task
        if task.clip is not None and task.wrong != "no clip":
            length = np.sqrt(sum(g**2))
            g = g if length <= task.clip else g * (task.clip / length)
        if task.adam is None or (not g.any() and task.wrong != "decay"):
            return g
        beta1, beta2, epsilon = task.adam
        m, v = self._moments.get((part, i), (0.0, 0.0))
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        k = self._counts[part, i] = self._counts.get((part, i), 0) + 1
        self._moments[part, i] = m, v
        if task.wrong == "biased":
            return m / (np.sqrt(v) + epsilon)
        return m / (1 - beta1**k) / (np.sqrt(v / (1 - beta2**k)) + epsilon)

    def track(self, t, part, g):
        """y_i = sum_j W_ij y_j + g_i - g_i of the iteration before, for every agent; g at first."""
        y = g
        if part in self._tracked and self.task.wrong != "untracked":
            y, before = self._tracked[part]
            before = [0.0 * row for row in before] if self.task.wrong == "nothing taken off" else before
            y = [mixed + g[i] - before[i] for i, mixed in enumerate(self.mix(t, y))]
        self._tracked[part] = y, g
        return y

    def result(self):
        return {"theta": self.theta, "omega": self.omega, "lam": self.lam, "mu": self.mu}


def td(run, i, omega_i, reward, x, gamma):
    """reward + gamma V_i(s') - V_i(s)."""
    return reward + gamma * run.next_value(i, omega_i, x) - run.value(i, omega_i, x.seen[i])


def cac(task):
    """Zeng et al., Algorithms 1 and 2, with task.options `tracking`."""
    run, steps = Run(task), task.steps
    for t in range(task.iterations):
        c, d = run.pair()
        omega, lam, theta = run.mix(t, run.omega), run.mix(t, run.lam), run.mix(t, run.theta)
        g = [_cac_directions(run, i, c, d, omega[i], lam[i]) for i in range(task.agents)]
        if task.options.get("tracking"):
            g = _cac_tracked(run, t, g)
        for i, (of_omega, of_lam, of_theta) in enumerate(g):
            shared = task.policy[i].size if task.wrong == "personal mixed" else task.policy[i].shared
            start = np.concatenate([theta[i][:shared], run.theta[i][shared:]])
            run.omega[i], run.lam[i] = omega[i] + steps["beta"] * of_omega, lam[i] + steps["zeta"] * of_lam
            run.theta[i] = start + steps["alpha"] * of_theta
    return run.result()


def _cac_directions(run, i, c, d, omega_mixed, lam_mixed):
    task = run.task
    omega, lam = (omega_mixed, lam_mixed) if task.wrong == "mixed residuals" else (run.omega[i], run.lam[i])

    def team(x):
        return x.r[i] if task.wrong == "own reward" else run.model(i, lam, x.seen[i], x.told)

    of_omega = run.value_gradient(c, i, lambda x: td(run, i, omega, x.r[i], x, task.gamma))
    of_lam = run.model_gradient(c, i, run.lam[i], lambda x: x.r[i] - run.model(i, lam, x.seen[i], x.told))
    of_theta = run.policy_gradient(d, i, lambda x: td(run, i, omega, team(x), x, task.gamma))
    return run.direction("omega", i, of_omega), run.direction("lam", i, of_lam), run.direction("theta", i, of_theta)


def _cac_tracked(run, t, g):
    """Every agent's y of omega, lambda and the shared part of theta, with its own g of the rest of theta."""
    y = zip(*(run.track(t, part, [own[k] for own in g]) for k, part in enumerate(("omega", "lam", "theta"))),
            strict=True)
    whole = run.task.wrong == "personal tracked"
    shared = [net.size if whole else net.shared for net in run.task.policy]
    return [(of_omega, of_lam, np.concatenate([of_theta[:shared[i]], g[i][2][shared[i]:]]))
            for i, (of_omega, of_lam, of_theta) in enumerate(y)]


def iac(task):
    """Independent learners."""
    run = Run(task)
    for _ in range(task.iterations):
        c, d = run.pair()
        new = [_iac_agent(run, i, c, d) for i in range(task.agents)]
        run.omega, run.theta = (list(rows) for rows in zip(*new, strict=True))
    return run.result()


def _iac_agent(run, i, c, d):
    def delta(x):
        return td(run, i, run.omega[i], x.r[i], x, run.task.gamma)

    return (run.omega[i] + run.task.steps["beta"] * run.direction("omega", i, run.value_gradient(c, i, delta)),
            run.theta[i] + run.task.steps["alpha"] * run.direction("theta", i, run.policy_gradient(d, i, delta)))


def dac(task):
    """Zhang et al. 2018, Algorithms 2 and 1, with task.options `critic` and `setting`."""
    run, average = Run(task), task.options.get("setting") == "average"
    action_value = task.options.get("critic") == "action_value"
    gamma = 1.0 if average else task.gamma
    agent = _dac_agent_action_value if action_value else _dac_agent_state_value
    for t in range(task.iterations):
        if task.wrong == "mix first":
            run.omega, run.lam, run.mu = run.mix(t, run.omega), run.mix(t, run.lam), np.array(run.mix(t, run.mu))
        c, d = run.pair(with_next=action_value)
        new_mu = [_new_mu(run, c, i, average) for i in range(task.agents)]
        new = [agent(run, i, c, d, new_mu[i] if task.wrong == "new mu" else run.mu[i], gamma)
               for i in range(task.agents)]
        run.omega, run.lam, run.theta = (list(rows) for rows in zip(*new, strict=True))
        run.mu = np.array(new_mu)
        if task.wrong == "policy mixed":
            run.theta = run.mix(t, run.theta)
        if task.wrong != "mix first":
            run.omega, run.lam = run.mix(t, run.omega), run.mix(t, run.lam)
            run.mu = run.mu if action_value else np.array(run.mix(t, run.mu))
    return run.result()


def _new_mu(run, samples, i, average):
    """(1 - beta) mu + beta r, r being the mean over the samples agent i takes part in; mu without any."""
    beta, r = run.task.steps["beta"], [x.r[i] for x in samples if x.active[i] or run.task.wrong == "inactive pay"]
    if not average:
        return 0.0
    return (1 - beta) * run.mu[i] + beta * sum(r) / len(r) if r else run.mu[i]


def _dac_agent_state_value(run, i, c, d, mu, gamma):
    omega, lam, theta, steps = run.omega[i], run.lam[i], run.theta[i], run.task.steps

    def team(x):
        return run.model(i, lam, x.seen[i], x.told)

    of_omega = run.value_gradient(c, i, lambda x: td(run, i, omega, x.r[i] - mu, x, gamma))
    of_lam = run.model_gradient(c, i, lam, lambda x: x.r[i] - team(x))
    of_theta = run.policy_gradient(d, i, lambda x: td(run, i, omega, team(x) - mu, x, gamma))
    return (omega + steps["beta"] * run.direction("omega", i, of_omega),
            lam + steps["zeta"] * run.direction("lam", i, of_lam),
            theta + steps["alpha"] * run.direction("theta", i, of_theta))


def _dac_agent_action_value(run, i, c, d, mu, gamma):
    task, omega, theta = run.task, run.omega[i], run.theta[i]

    def delta(x):
        after = 0.0 if x.terminated[i] else run.model(i, omega, x.next_seen[i], x.next_told)
        return x.r[i] - mu + gamma * after - run.model(i, omega, x.seen[i], x.told)

    def advantage(x):
        pi = task.chances(i, theta, x.obs[i], x.bars[i])
        expected = sum(pi[b] * run.model(i, omega, x.seen[i], task.replaced(x.told, i, b)) for b in range(len(pi)))
        return run.model(i, omega, x.seen[i], x.told) - (0.0 if task.wrong == "no baseline" else expected)

    return (omega + task.steps["beta"] * run.direction("omega", i, run.model_gradient(c, i, omega, delta)), run.lam[i],
            theta + task.steps["alpha"] * run.direction("theta", i, run.policy_gradient(d, i, advantage)))


def mini_batch_critic(task, run, t, samples):
    """T_c rounds of omega <- W omega + (beta / N_c) sum delta_i grad V, then T_c' of omega <- W omega."""
    rounds, batch = task.options.get("critic_rounds", 1), task.options.get("critic_batch", task.options["batch"])
    for _ in range(1 if task.wrong == "one round" else rounds):
        drawn = run.critic.samples(run.theta, batch) if samples is None else samples
        mixed = run.mix(t, run.omega)
        run.omega = [_critic_round(run, i, drawn, mixed[i]) for i in range(task.agents)]
    for _ in range(task.options.get("mixing_rounds", 0)):
        run.omega = run.mix(t, run.omega)


def _critic_round(run, i, samples, mixed):
    at = mixed if run.task.wrong == "mixed residuals" else run.omega[i]
    g = run.value_gradient(samples, i, lambda x: td(run, i, at, x.r[i], x, run.task.gamma))
    return mixed + run.task.steps["beta"] * run.direction("omega", i, g)


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


def _advantage(run, told, samples, i):
    """r^ + gamma V(s') - V(s), a function of one of the samples."""
    r_hat = {id(x): reward for x, reward in zip(samples, told[i], strict=True)}
    return lambda x: td(run, i, run.omega[i], r_hat[id(x)], x, run.task.gamma)


def mdac(task):
    """Chen et al. 2021."""
    run = Run(task)
    for t in range(task.iterations):
        samples = _batches(task, run, t) or run.actor.samples(run.theta, task.options["batch"])
        told = team_rewards(task, run, t, samples)
        gradients = [run.policy_gradient(samples, i, _advantage(run, told, samples, i)) for i in range(task.agents)]
        run.theta = [run.theta[i] + task.steps["alpha"] * run.direction("theta", i, g) for i, g in enumerate(gradients)]
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
            scores = [[task.score(i, run.theta[i], x.obs[i], x.a[i], x.bars[i]) * x.active[i] for x in samples]
                      for i in range(n)]
            z = [np.array([(1 if task.wrong == "no n" else n) * (score @ h[i]) for score in scores[i]])
                 for i in range(n)]
            for _ in range(task.options["inner_rounds"]):
                z = run.mix(t, z)
            for i in range(n):
                advantage = _advantage(run, told, samples, i)
                total = sum(run.discount(x) * (z[i][k] - advantage(x)) * scores[i][k] for k, x in enumerate(samples))
                took_part = sum(bool(x.active[i]) for x in samples)
                parts = len(samples) if task.wrong == "diluted" else max(took_part, 1)
                h[i] = h[i] - task.options["natural_step"] / parts * total
        run.theta = [run.theta[i] + task.steps["alpha"] * h[i] for i in range(n)]
    return run.result()
