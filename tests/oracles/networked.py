"""Decentralized algorithms over trajectories, transcribed from their equations with one loop for every agent.

Games, networks, optimizers and losses are those of `trainers.Trainer`, an agent's own ones: its critic sees its own
observations.  What agents exchange is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .dense import backward, forward, one_hot
from .neural_games import Net
from .trainers import Adam, Job, Trainer

MODEL = 2**31 + 1      # whose samples are shuffled for models of the reward


@dataclass
class Task(Job):
    """What is run, see `Job`.

    Attributes:
        W: k -> the weights of iteration k.
        shared: how many numbers of each agent's theta are mixed.
        model, lam: nets of R_i(s, a) and their initial numbers; none without models.
    """

    W: object = None
    shared: list[int] = field(default_factory=list)
    model: list[Net] = field(default_factory=list)
    lam: list[np.ndarray] = field(default_factory=list)


class Networked(Trainer):
    """One run of cppo, dsgd-ppo, dsgt-ppo or dinno-ppo."""

    def __init__(self, task: Task):
        super().__init__(task)
        self.local, self.lam = True, [row.astype(float) for row in task.lam]
        self.learns = [Adam(len(row), self.o) for row in self.lam]
        self.tracked, self.traces = {}, []
        self.p = {part: [0.0 * self.common(part, i) for i in range(self.N)] for part in self.mixed}

    @property
    def mixed(self):
        return ("omega", "theta", "lam") if self.lam else ("omega", "theta")

    def rows(self, part):
        return {"omega": self.omega, "theta": self.theta, "lam": self.lam}[part]

    def common(self, part, i):
        """What agent i has in common with others: views."""
        row = self.rows(part)[i]
        return row[:self.job.shared[i]] if part == "theta" and self.wrong != "personal mixed" else row

    def mix(self, k, rows, rounds=1):
        W = self.job.W(k)
        for _ in range(rounds):
            rows = [sum(W[i, j] * rows[j] for j in range(self.N)) for i in range(self.N)]
        return rows

    def mixture(self, k, rounds=1):
        return {part: self.mix(k, [self.common(part, i).copy() for i in range(self.N)], rounds) for part in self.mixed}

    # --- rewards, and what is learned from ---

    def fates(self, b, c):
        _, bootstrap_mask, on = super().fates(b, c)
        return self.r[c], bootstrap_mask, on

    def evidence(self, k, b):
        """A (N, M), returns and values (N, T, E)."""
        how = self.o["reward"] if self.wrong != "own reward" else "own"
        rounds = self.o["reward_rounds"] if self.wrong != "one round" else 1
        self.r = self.mix(k, list(b.r), rounds) if how == "consensus" else list(b.r)
        A, targets, values = self.judge(b)
        if how == "model":
            own = self.r
            self.r = [self.modelled(i, b, slice(None)).reshape(b.done.shape) for i in range(self.N)]
            A, _, _ = self.judge(b)
            self.r = own
        masks = b.active.reshape(self.N, -1)
        own = np.stack([self.own(A[i].ravel(), masks[i]) for i in range(self.N)])
        return self.weighted(own, b), targets, values

    def told(self, i, b):
        """What R_i sees: observations and the joint action, the agent's own first, zeros of those who took no part."""
        M = b.done.size
        joint = np.stack([one_hot(b.a[j].reshape(M), 3) * b.active[j].reshape(M, 1) for j in range(self.N)])
        order = [i, *(j for j in range(self.N) if j != i)] if self.wrong != "agent order" else range(self.N)
        return np.concatenate([b.obs[i].reshape(M, -1), *(joint[j] for j in order)], axis=1)

    def modelled(self, i, b, part):
        return forward(self.job.model[i], self.lam[i], self.told(i, b)[part])[-1][:, 0]

    def model_gradient(self, i, b, part):
        x, mask = self.told(i, b)[part], b.active[i].reshape(-1)[part]
        pull = (b.r[i].ravel()[part] - self.modelled(i, b, part)) * self.mean_over(mask)
        return backward(self.job.model[i], self.lam[i], forward(self.job.model[i], self.lam[i], x), pull[:, None])

    # --- iterations ---

    def iteration(self, k, b, alpha, beta):
        zeta = self.o["reward_step"] * (alpha / self.o["actor_step"])
        {"cppo": self.coordinated, "dsgd-ppo": self.stepwise, "dsgt-ppo": self.stepwise,
         "dinno-ppo": self.dinno}[self.job.algorithm](k, b, {"theta": alpha, "omega": beta, "lam": zeta})

    def statistics(self, k, rounds=1):
        if self.o["value_normalisation"] and self.wrong != "own statistics":
            return self.mix(k, [row.copy() for row in self.moments], rounds)
        return [row.copy() for row in self.moments]

    def coordinated(self, k, b, steps):
        """x_i <- x~_i + what the passes changed from the unmixed x_i."""
        rounds = self.o["rounds"] if self.wrong != "one round" else 1
        start = {part: [self.common(part, i).copy() for i in range(self.N)] for part in self.mixed}
        mixed, moments, before = self.mixture(k, rounds), self.statistics(k, rounds), [m.copy() for m in self.moments]
        if self.o["mix_moments"] and self.wrong != "own moments":
            self.mix_moments(k, rounds)
        A, targets, values = self.evidence(k, b)
        if self.wrong == "mixed start":
            self.set(mixed)
        self.at_once(k, b, A, b.active.reshape(self.N, -1), steps["theta"])
        self.fit(k, b, targets, values, steps["omega"])
        self.fit_models(k, b, steps["lam"])
        if self.wrong != "mixed start":
            self.set({part: [mixed[part][i] + self.common(part, i) - start[part][i] for i in range(self.N)]
                      for part in self.mixed})
        self.moments = [own + moments[i] - before[i] for i, own in enumerate(self.moments)]

    def mix_moments(self, k, rounds):
        for of, adams in (("omega", self.falls), ("theta", self.climbs), ("lam", self.learns)):
            for name in ("m", "v"):
                if of in self.mixed:
                    size = self.job.shared[0] if of == "theta" else None
                    mixed = self.mix(k, [getattr(adam, name)[:size] for adam in adams], rounds)
                    for adam, row in zip(adams, mixed, strict=True):
                        setattr(adam, name, np.concatenate([row, getattr(adam, name)[len(row):]]))

    def fit_models(self, k, b, zeta):
        for part in self.parts(b.done.size, k, MODEL, "critic_") if self.lam else ():
            for i in range(self.N):
                self.lam[i] = self.lam[i] + zeta * self.learns[i](self.model_gradient(i, b, part))

    def set(self, values):
        for part, rows in values.items():
            for i, row in enumerate(rows):
                self.common(part, i)[:] = row

    def wanted(self, b, targets):
        """Targets in the critics' units, after their scale has learned from them."""
        found = []
        for c, target in enumerate(targets):
            if self.o["value_normalisation"]:
                x = target[b.active[c]]
                if x.size:
                    self.moments[c] = 0.99999 * self.moments[c] + (1 - 0.99999) * np.array(
                        [x.mean(), (x**2).mean(), 1.0])
                mean, deviation = self.scale(c)
                target = (target - mean) / deviation
            found.append(target.ravel())
        return found

    def gradients(self, b, part, old, A, wanted, values):
        """{part: (N) mean gradients} at the parameters now."""
        found = {"theta": [], "omega": [], "lam": []}
        for i in range(self.N):
            ratio = np.exp(self.logs(i, b, part)[0] - old[i][part])
            found["theta"].append(self.climb(i, b, part, self.clipped(ratio, A[i][part])))
            x = b.obs[i].reshape(b.done.size, -1)[part].astype(float)
            pull = self.value_pull(self.value(i, self.omega[i], x), wanted[i][part], values[i].ravel()[part])
            pull = pull * self.mean_over(b.active[i].reshape(-1)[part])
            found["omega"].append(backward(self.job.value[i], self.omega[i],
                                           forward(self.job.value[i], self.omega[i], x), pull[:, None]))
            if self.lam:
                found["lam"].append(self.model_gradient(i, b, part))
        return found

    def optimizer(self, part, i):
        return {"theta": self.climbs, "omega": self.falls, "lam": self.learns}[part][i]

    def stepwise(self, k, b, steps):
        """x_i <- sum_j W_ij x_j + step g_i, or along y_i <- sum_j W_ij y_j + g_i - g_i of the step before."""
        self.moments = self.statistics(k)
        A, targets, values = self.evidence(k, b)
        old, wanted = [self.log_prob(i, b) for i in range(self.N)], self.wanted(b, targets)
        for part in self.parts(b.done.size, k, self.N + 1):
            mixed = self.mixture(k)
            if self.wrong == "mixed gradients":
                self.set(mixed)
            g = self.gradients(b, part, old, A, wanted, values)
            self.set(mixed)
            for of in self.mixed:
                self.step(k, of, [self.optimizer(of, i)(g[of][i]) for i in range(self.N)], steps[of])

    def step(self, k, of, g, size):
        y = [row.copy() for row in g]
        if self.job.algorithm == "dsgt-ppo" and self.wrong != "untracked":
            common = [row[:len(self.common(of, i))] for i, row in enumerate(g)]
            own = common
            if of in self.tracked:
                z, before = self.tracked[of]
                before = [0.0 * row for row in before] if self.wrong == "nothing taken off" else before
                own = [row + common[i] - before[i] for i, row in enumerate(self.mix(k, z))]
            self.tracked[of] = own, [row.copy() for row in common]
            for i, row in enumerate(own):
                y[i][:len(row)] = row
            self.traces.append((np.mean(own, axis=0), np.mean(common, axis=0)))
        for i in range(self.N):
            self.rows(of)[i] += size * y[i]

    def dinno(self, k, b, steps):
        """Yu et al., Algorithm 1."""
        rho = self.o["rho"] * (self.o["rho_growth"] ** k if self.wrong != "no growth" else 1.0)
        W = self.job.W(k)
        hears = [[j for j in range(self.N) if j != i and W[i, j] > 0] for i in range(self.N)]
        x = {part: [self.common(part, i).copy() for i in range(self.N)] for part in self.mixed}
        for of in self.mixed:
            for i in range(self.N):
                if self.wrong != "no dual":
                    self.p[of][i] = self.p[of][i] + rho * sum((x[of][i] - x[of][j] for j in hears[i]), 0.0 * x[of][i])
        self.moments = self.statistics(k)
        A, targets, values = self.evidence(k, b)
        old, wanted = [self.log_prob(i, b) for i in range(self.N)], self.wanted(b, targets)
        if self.o["moments"] == "fresh" and self.wrong != "kept moments":
            for rows, of in (("climbs", "theta"), ("falls", "omega"), ("learns", "lam")):
                setattr(self, rows, [Adam(len(row), self.o) for row in self.rows(of)])
        for part in self.parts(b.done.size, k, self.N + 1):
            g = self.gradients(b, part, old, A, wanted, values)
            for of in self.mixed:
                for i in range(self.N):
                    psi = self.common(of, i)
                    away = sum((2 * (psi - (x[of][i] + x[of][j]) / 2) for j in hears[i]), 0.0 * psi)
                    if self.wrong == "no penalty":
                        away = 0.0 * away
                    g[of][i][:len(psi)] -= self.p[of][i] + rho * away
                    self.rows(of)[i] = self.rows(of)[i] + steps[of] * self.optimizer(of, i)(g[of][i])
