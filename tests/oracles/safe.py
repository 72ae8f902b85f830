"""MACPO and MAPPO-Lagrangian, transcribed from their paper, on top of what all trainers' transcriptions share.

The constrained step is that of the dual: the multipliers lambda and nu of the KL bound and of the cost's, in the paper.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np

from .dense import curvature, forward
from .trainers import Adam, Trainer


class Safe(Trainer):
    """Critics of costs are those of agents that all see the state and are paid their costs."""

    def __init__(self, job):
        super().__init__(job)
        self.judges = judges = copy(self)
        judges.job, judges.local, judges.o = replace(job, value=job.of_costs), True, self.o | {"team_reward": None}
        judges.omega = [row.astype(float) for row in job.costs]
        judges.falls, judges.moments = [Adam(len(row), self.o) for row in job.costs], [np.zeros(3) for _ in job.costs]
        limits = self.o["cost_limit"]
        self.limits = np.broadcast_to(limits, self.N) * (0.5 if self.wrong == "half the limit" else 1.0)
        if job.algorithm == "mappo-lagrangian":
            self.nu = np.full(self.N, np.log(np.exp(self.o["multiplier"]) - 1))

    def run(self):
        return *super().run(), self.judges.omega

    def foreseen(self, t, active, step):
        """What the step cost, (E, N)."""
        return self.games.costs().T

    def iteration(self, k, b, alpha, beta):
        C = np.moveaxis(b.foreseen, 2, 0)
        if self.wrong == "the team's costs":
            C = np.repeat(C.mean(axis=0, keepdims=True), self.N, axis=0)
        state = {"obs": [b.state] * self.N, "next_obs": [b.next_state] * self.N}
        of_costs = replace(b, **state, r=C)
        A_c, targets, values = self.judges.judge(of_costs)
        self.A_c, masks = A_c.reshape(self.N, -1), b.active.reshape(self.N, -1)
        for i, mask in enumerate(masks):
            if mask.any():
                self.A_c[i] = np.where(mask, self.A_c[i] - self.A_c[i][mask].mean(), 0.0)
        w = self.weighted(np.ones(b.done.size), b)
        self.excess = np.array([(w * (C[i].ravel() - self.limits[i]))[mask].mean() if mask.any() else 0.0
                                for i, mask in enumerate(masks)])
        if self.job.algorithm == "mappo-lagrangian":
            before = self.nu
            self.nu = self.nu + self.o["multiplier_step"] * self.excess
            nu = before if self.wrong == "prices of before" else self.nu
            self.prices = nu if self.wrong == "no softplus" else np.log(1 + np.exp(nu))
        super().iteration(k, b, alpha, beta)
        self.judges.fit(k, of_costs, targets, values, beta)

    def learn(self, k, b, A, alpha):
        masks, flat = b.active.reshape(self.N, -1), A.reshape(-1)
        self.scales = [{"joint": lambda mask: flat[masks.any(axis=0)].std(), "raw": lambda mask: 1.0,
                        "agent": lambda mask: flat[mask].std() if mask.any() else 1.0}[self.o["advantages"]](mask)
                       for mask in masks]
        super().learn(k, b, A, alpha)

    def less(self, i, b, M):
        if self.job.algorithm == "macpo" or self.wrong == "no price":
            return M
        scale = 1.0 if self.wrong == "other units" else self.scales[i]
        return M - self.prices[i] * self.weighted(self.A_c[i], b) / scale

    def trust(self, i, b, M, old):
        everything, start, o, excess = np.arange(b.done.size), self.theta[i], self.o, self.excess[i]
        mean, A_c = self.mean_over(b.active[i].ravel()), self.weighted(self.A_c[i], b)
        g, entropy = self.climb(i, b, everything, M), self.entropy(i, b)
        self.o = o | {"entropy": 0.0}
        of_cost = self.climb(i, b, everything, A_c)
        self.o = o
        net, space = self.job.policy[i], self.spaces[i]
        layers = forward(net, start, b.obs[i].reshape(len(mean), -1).astype(float))
        H, kl = curvature(net, start, layers, mean, [(slice(None), None if space.n_actions else slice(None))], o,
                          self.bars(i, b))
        step = self.by_dual(H, g, of_cost, excess, o["delta"])
        for j in range(o["backtracks"]):
            self.theta[i] = start + 0.5**j * step
            change = np.exp(self.log_prob(i, b) - old) - 1
            rise, gain = mean @ (change * A_c), mean @ (change * M)
            gain += o["entropy"] * (mean @ (self.entropy(i, b) - entropy))
            expected, within = g @ step, rise <= -excess or self.wrong == "search without costs"
            if excess > 0 and self.wrong != "reward first":
                gain, expected, within = -rise, -of_cost @ step, True
            if kl(self.theta[i]) <= o["delta"] and within and gain > 0 and gain >= o["accept"] * 0.5**j * expected:
                return
        self.theta[i] = start

    def by_dual(self, H, g, b, c, delta):
        """max g'x with c + b'x <= 0 and x'Hx / 2 <= delta; where nothing does that, down b."""
        x, y = np.linalg.solve(H, g), np.linalg.solve(H, b)
        q, r, s = g @ x, g @ y, b @ y
        if self.wrong == "no cost":
            return np.sqrt(2 * delta / q) * x
        if c > 0 and c**2 / s > 2 * delta:
            return np.sqrt(2 * delta / q) * x if self.wrong == "no recovery" else -np.sqrt(2 * delta / s) * y
        candidates = [(np.sqrt(q / (2 * delta)), 0.0)]
        if c**2 / s < 2 * delta:
            price = np.sqrt((q - r**2 / s) / (2 * delta - c**2 / s))
            candidates.append((price, max(0.0, (price * c + r) / s)))
        price, nu = min(candidates, key=lambda each: (q - 2 * each[1] * r + each[1] ** 2 * s) / (2 * each[0])
                        - each[1] * c + each[0] * delta)
        return (x - nu * y) / price
