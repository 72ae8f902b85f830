"""COMA's critic and baselines, transcribed from paper and slides, for all trainers that have them."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from .dense import barred, forward, log_softmax
from .sampling import SMALLEST_UNIFORM
from .trainers import Trainer

BASELINE = 10


class Coma(Trainer):
    """Its critic, of the state and the joint action, is given both as one row of numbers."""

    def numbers(self, a, part):
        """Joint actions, agent after agent, (M, F); `part` (N, M) says who has one."""
        shown = []
        for i, space in enumerate(self.spaces):
            own = np.eye(space.n_actions)[a[i].astype(int)] if space.n_actions else self.bounded(i, a[i])
            shown.append(own * part[i][:, None])
        return np.concatenate(shown, axis=1)

    def bounded(self, i, a):
        return np.clip(np.float32(a).astype(float), self.spaces[i].low, self.spaces[i].high)

    def foreseen(self, t, active, step):
        """The joint action that is drawn in s', but not played, where a game is over or the rollout ends."""
        games, size = self.games, sum(space.n_actions or space.size for space in self.spaces)
        if not (step.done.any() or t == self.o["rollout"] - 1):
            return np.zeros((self.E, size))
        bars = barred(games)
        a = [self.act(i, own.astype(float), self.uniforms(self.streams[i]), bars[i])
             for i, own in enumerate(games.observe(range(self.N)))]
        truncated = active & ~games.active & ~step.terminated
        return self.numbers(a, games.active | (truncated & step.done)) * (self.wrong != "no next action")

    def iteration(self, k, b, alpha, beta):
        T, E = b.done.shape
        joint = np.stack([self.numbers([own[t] for own in b.a], b.active[:, t]) for t in range(T)])
        after = np.concatenate([joint[1:], b.foreseen[-1:]])
        after[b.done] = b.foreseen[b.done]
        alone = b.state.reshape(T * E, -1)
        b.state, b.next_state = np.concatenate([b.state, joint], axis=2), np.concatenate([b.next_state, after], axis=2)
        _, targets, values = self.judge(b)
        early = self.counterfactual(k, b, alone, joint)
        self.fit(k, b, targets, values, beta)
        X = early if self.wrong == "critic of before" else self.counterfactual(k, b, alone, joint)
        self.learn(k, b, X, alpha)

    def q(self, s, joint):
        return self.returned(0, self.value(0, self.omega[0], np.concatenate([s, joint], axis=1)))

    def counterfactual(self, k, b, s, joint):
        """X_i of every agent, (N, M)."""
        M, first, found = len(s), 0, []
        joint = joint.reshape(M, -1)
        for i, space in enumerate(self.spaces):
            width = space.n_actions or space.size
            net, theta = self.job.policy[i], self.theta[i]
            out = forward(net, theta, b.obs[i].reshape(M, -1).astype(float))[-1] + self.bars(i, b)
            if space.n_actions:
                chances = np.exp(log_softmax(out))
                own = [np.tile(np.eye(width)[c], (M, 1)) for c in range(width)]
                scores = [np.eye(width)[c] - chances for c in range(width)]
            else:
                log_std, K = net.of(theta, "log_std"), 2 * self.o["baseline_pairs"]
                z = ndtri(np.maximum(self.drawn(k, BASELINE, i).random((M, K // 2, width)), SMALLEST_UNIFORM))
                z = np.stack([z[:, c // 2] * (-1) ** c for c in range(K)], axis=1)
                own = [self.bounded(i, out + np.exp(log_std) * z[:, c]) for c in range(K)]
                chances = np.full((M, K), 1 / K)
                scores = [np.concatenate([z[:, c] / np.exp(log_std), z[:, c] ** 2 - 1], axis=1) for c in range(K)]
            q = []
            for each in own:
                other = joint.copy()
                other[:, first:first + width] = each
                q.append(self.q(s, other))
            found.append(self.q(s, joint) - self.baseline(chances, np.stack(q, axis=1), np.stack(scores, axis=1)))
            first += width
        return np.stack(found)

    def baseline(self, chances, q, scores):
        which = self.o["baseline"]
        if self.wrong == "other baseline":
            which = {"counterfactual": "optimal", "optimal": "counterfactual", "none": "counterfactual"}[which]
        if which == "none":
            return 0.0
        weights = chances * ((scores**2).sum(axis=2) if which == "optimal" else 1.0)
        weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, chances)     # one action alone is allowed
        return (weights * q).sum(axis=1) / weights.sum(axis=1)
