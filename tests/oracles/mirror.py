"""What mirror learning adds to a trainer's transcription: drifts, and the way back into a neighbourhood."""

from __future__ import annotations

import numpy as np

from .dense import forward, log_softmax


def less_drift(trainer, drift, ratio, M):
    """d / d log ratio of ratio M less the drift: none, what a clip takes off, c (ratio - 1 - log ratio)."""
    if drift == "clip":
        return trainer.clipped(ratio, M)
    c = 0.0 if drift == "none" or trainer.wrong == "no drift" else trainer.o["drift_coefficient"]
    return ratio * M - c * (ratio * np.log(ratio) if trainer.wrong == "other divergence" else ratio - 1)


def way_back(trainer, i, b, start):
    """Half of the way back to `start`, as often as the mean KL divergence of it from the policy is over delta."""
    mean, end = trainer.mean_over(b.active[i].ravel()), trainer.theta[i]
    for j in range(trainer.o["backtracks"] + 1):
        theta = start + (0.3 if trainer.wrong == "more than half of the way" else 0.5) ** j * (end - start)
        if mean @ kl(trainer, i, b, start, theta) <= trainer.o["delta"] or trainer.wrong == "no way back":
            trainer.theta[i] = theta
            return
    trainer.theta[i] = start


def kl(trainer, i, b, one, other):
    """KL(pi_one || pi_other) of agent i in every sample."""
    net, x = trainer.job.policy[i], b.obs[i].reshape(b.done.size, -1).astype(float)
    p, q = (forward(net, theta, x)[-1] + trainer.bars(i, b) for theta in (one, other))
    if trainer.spaces[i].n_actions:
        p, q = log_softmax(p), log_softmax(q)
        return (np.exp(p) * (p - q)).sum(axis=1)
    s, t = (net.of(theta, "log_std") for theta in (one, other))
    return (t - s + (np.exp(2 * s) + (p - q) ** 2) / (2 * np.exp(2 * t)) - 0.5).sum(axis=1)
