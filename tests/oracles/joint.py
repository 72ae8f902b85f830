"""matrpo transcribed from its equations: every agent's policy is over the joint action, and one loop serves every edge.

Games, critics and rewards are those of `networked.Networked`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from .dense import backward, forward, log_softmax, natural_step, one_hot
from .networked import Networked
from .sampling import SMALLEST_UNIFORM


class Joint(Networked):
    """One run of matrpo."""

    def __init__(self, task):
        super().__init__(task)
        self.blocks, first, beside = [], 0, 0         # of outputs and of log_std, of each agent's action
        for space in self.spaces:
            width, deviations = space.n_actions or space.size, 0 if space.n_actions else space.size
            self.blocks.append((slice(first, first + width),
                                slice(beside, beside + deviations) if deviations else None))
            first, beside = first + width, beside + deviations

    def act(self, i, obs, u, bars):
        columns, deviations = self.blocks[i]
        out = forward(self.job.policy[i], self.theta[i], obs)[-1][:, columns] + bars
        if deviations is None:
            below = np.cumsum(np.exp(log_softmax(out)), axis=1)
            return (below[:, :-1] <= u[:, :1] * below[:, -1:]).sum(axis=1)
        z = ndtri(np.maximum(u[:, :out.shape[1]], SMALLEST_UNIFORM))
        return out + np.exp(self.job.policy[i].of(self.theta[i], "log_std")[deviations]) * z

    def iteration(self, k, b, alpha, beta):
        zeta = self.o["reward_step"] * (alpha / self.o["actor_step"])
        A, targets, values = self.evidence(k, b)
        self.improve(k, b, A)
        self.fit(k, b, targets, values, beta)
        self.fit_models(k, b, zeta)

    # --- the joint policy of agent i ---

    def each(self, i, b):
        """Of every part j: log pi_i^j, its slopes in outputs and log_std, its entropy and slopes; and activations."""
        net, theta, M = self.job.policy[i], self.theta[i], b.done.size
        layers, found = forward(net, theta, b.obs[i].reshape(M, -1).astype(float)), []
        for j, (columns, deviations) in enumerate(self.blocks):
            out, a = layers[-1][:, columns] + self.bars(j, b), b.a[j].reshape(M, *b.a[j].shape[2:])
            if deviations is None:
                log_pi = log_softmax(out)
                pi, chosen = np.exp(log_pi), one_hot(a, out.shape[1])
                H = -(pi * log_pi).sum(axis=1)
                found.append(((log_pi * chosen).sum(axis=1), chosen - pi, None, H, -pi * (log_pi + H[:, None]), None))
            else:
                log_std = net.of(theta, "log_std")[deviations]
                z = (np.float32(a).astype(float) - out) / np.exp(log_std)
                H = np.full(M, (log_std + 0.5 * np.log(2 * np.pi * np.e)).sum())
                found.append(((-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(axis=1), z / np.exp(log_std),
                              z**2 - 1, H, np.zeros_like(out), np.ones_like(out)))
        return found, layers

    def there(self, i, b):
        """(N, M) whose parts of agent i's policy count."""
        there = b.active.reshape(self.N, -1).astype(float)
        if self.wrong == "absent acted":
            there = np.ones_like(there)
        if self.wrong == "own component only":
            there = there * (np.arange(self.N) == i)[:, None]
        return there

    def likelihood(self, i, b):
        """log pi_i(a|o_i), (M,)."""
        return sum(there * part[0] for there, part in zip(self.there(i, b), self.each(i, b)[0], strict=True))

    def entropies(self, i, b):
        return sum(part[3] for part in self.each(i, b)[0])

    def ascent(self, i, b, weights, mean):
        """The mean of weights grad log pi_i(a|o_i) + entropy grad H(pi_i(.|o_i))."""
        parts, layers = self.each(i, b)
        c = 0.0 if self.wrong == "no entropy" else self.o["entropy"]
        pulls, besides = [], []
        for there, (_, of_out, of_std, _, H_out, H_std) in zip(self.there(i, b), parts, strict=True):
            pulls.append(mean[:, None] * ((weights * there)[:, None] * of_out + c * H_out))
            if of_std is not None:
                besides.append((mean[:, None] * ((weights * there)[:, None] * of_std + c * H_std)).sum(axis=0))
        return backward(self.job.policy[i], self.theta[i], layers, np.concatenate(pulls, axis=1),
                        np.concatenate(besides) if besides else None)

    # --- sweeps ---

    def improve(self, k, b, A):
        M, o, W, active = b.done.size, self.o, self.job.W(k), b.active.reshape(self.N, -1)
        hears = [[j for j in range(self.N) if j != i and W[i, j] > 0] for i in range(self.N)]
        start = [row.copy() for row in self.theta]
        old = [self.likelihood(i, b) for i in range(self.N)]
        L, p, edges = np.zeros((self.N, M)), np.zeros((self.N, M)), [[] for _ in range(self.N)]
        sweeps = 1 if self.wrong == "one sweep" else o["sweeps"]
        for sweep in range(sweeps):
            if sweep:
                L = np.stack([np.where(active[i], self.likelihood(i, b) - old[i], 0.0) for i in range(self.N)])
                counts = np.ones_like(active) if self.wrong == "absent heard" else active
                edges = [[(counts[j], (L[i] + L[j]) / 2) for j in hears[i]] for i in range(self.N)]
                for i in range(self.N):
                    for j in hears[i] if self.wrong != "no dual" else ():
                        p[i] += o["rho"] * (1 if self.wrong == "whole dual" else 0.5) * counts[j] * (L[i] - L[j])
                if self.wrong == "no penalty":
                    edges = [[] for _ in edges]
            if self.wrong != "onwards":
                self.theta = [row.copy() for row in start]
            for i in range(self.N):
                self.trusted(i, b, A[i], p[i], edges[i], self.mean_over(active[i]), old[i])

    def trusted(self, i, b, A, p, edges, mean, old):
        """The trust-region step of agent i; `edges` are who counts, (M,), and the means with the neighbours."""
        begin, o = self.theta[i], self.o
        H = self.entropies(i, b)
        net = self.job.policy[i]
        weights = A - p + o["rho"] * sum(counts * middle for counts, middle in edges)
        g = self.ascent(i, b, weights, mean)
        layers = forward(net, begin, b.obs[i].reshape(len(mean), -1).astype(float))
        bars = np.concatenate([self.bars(j, b) for j in range(self.N)], axis=1)
        step, kl = natural_step(net, begin, layers, mean, self.blocks, g, o, self.wrong, bars)

        def objective(L):
            return mean @ (np.exp(L) * A - p * L - o["rho"] / 2 * sum(
                counts * (L - middle) ** 2 for counts, middle in edges))

        for half in range(o["backtracks"]):
            self.theta[i] = begin + 0.5**half * step
            gain = objective(self.likelihood(i, b) - old) - objective(np.zeros_like(old))
            if self.wrong != "search without entropy":
                gain += o["entropy"] * (mean @ (self.entropies(i, b) - H))
            if self.wrong == "no search" or (
                    kl(self.theta[i]) <= o["delta"] and gain > 0 and gain >= o["accept"] * 0.5**half * (g @ step)):
                return
        self.theta[i] = begin
