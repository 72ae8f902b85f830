"""What an agent's action was worth next to others of its own: Q(s, a) of the trainer's critic less a baseline b_i(s, a_-i)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from netac.algorithms.centralized._on_policy import OnPolicyAgents
from netac.algorithms.centralized._sessions import Session
from netac.algorithms.policy_gradient.divergences import Distribution
from netac.algorithms.policy_gradient.surrogates import logit_score_norms, normal_score_norms, optimal_baseline
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.encoding import Encoding
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose, generator, normal

AT_ONCE = 2**15      # joint actions that the critic is asked about at a time

Baseline = Literal["counterfactual", "optimal", "none"]


def baseline(which: Baseline, pi: Distribution, q: np.ndarray, z: np.ndarray | None = None) -> np.ndarray | float:
    """b_i(s, a_-i): E[Q] over the agent's own action, or E[Q |grad log pi|^2] / E[|grad log pi|^2], or 0.

    Exact for discrete actions; for vectors, means over K draws z, which must not depend on the action that was taken.

    Args:
        pi: the agent's distributions in M samples.
        q: (M, A) Q(s, a_-i, .) of all its actions, or (M, K) of means + deviations z.
        z: (M, K, d).

    Returns:
        (M,).
    """
    values, log_std = pi
    chances = np.exp(values) if log_std is None else np.full(q.shape, 1.0 / max(1, q.shape[1]))
    if which == "counterfactual":
        return np.vecdot(chances, q)
    if which == "optimal":
        return optimal_baseline(chances, q, logit_score_norms(chances) if log_std is None else normal_score_norms(z, log_std))
    return 0.0


def own_draws(seed: int, k: int, agent: int, samples: int, pairs: int, size: int) -> np.ndarray:
    """z of an agent in iteration k, standard normal, and then -z: (M, 2 pairs, d).

    What Q has of a slope along the action cancels in the mean over a pair, and the score's norm is the same for both.
    """
    z = normal(generator(seed, Purpose.BASELINE, k, agent).random((samples, pairs, size)))
    return np.concatenate([z, -z], axis=1)


def counterfactual_advantages(session: Session, agents: OnPolicyAgents, links: TrainerLinks, which: Baseline, pairs: int) -> np.ndarray:
    """X_i = Q(s, a) - b_i(s, a_-i) of this process's agents, (n, M), in units of returns.

    The trainer tells each agent what Q is with each of its own actions in the place of the one it took: all of discrete ones,
    K = 2 `pairs` vectors that the agent told it before.  The agent knows its policy, and thus its baseline.
    """
    b, M, together = session.b, session.b.done.size, agents.together
    spaces = together.policy.actions
    pi = together.policy.distributions(together.theta, b.samples)
    K = 0 if which == "none" else 2 * pairs
    z = {row: own_draws(agents.seed, session.k, agent, M, pairs, spaces[agent].size)
         for row, agent in enumerate(agents.local) if K and not spaces[agent].n_actions}
    vectors = None if not K or all(space.n_actions for space in spaces) else _collected(
        pi, z, (M, K, max(space.size for space in spaces)), links)
    width = 1 + (0 if which == "none" else max(space.n_actions or K for space in spaces))
    answers = _answers(session, agents, spaces, vectors, width) if links.is_trainer else None
    links.meet()                                     # the trainer is busy for long: nobody should keep a core from it
    told = links.scatter(answers, M * width).reshape(len(pi), M, width)
    return np.stack([q[:, 0] - baseline(which, own, q[:, 1:1 + (spaces[agent].n_actions or K)], z.get(row))
                     for row, (agent, own, q) in enumerate(zip(agents.local, pi, told, strict=True))])


def _collected(pi: list[Distribution], z: dict[int, np.ndarray], shape: tuple[int, int, int],
               links: TrainerLinks) -> np.ndarray | None:
    """The vectors mean + deviation z of all agents, padded with zeros, (N, *shape), told to the trainer; None elsewhere."""
    sent = np.zeros((len(pi), *shape))
    for row, own in z.items():
        mean, log_std = pi[row]
        sent[row, :, :, :own.shape[2]] = mean[:, None] + np.exp(log_std) * own
    found = links.gather(sent.reshape(len(pi), -1))
    return None if found is None else found.reshape(-1, *shape)


def _answers(session: Session, agents: OnPolicyAgents, spaces: tuple[ActionSpace, ...], vectors: np.ndarray | None,
             width: int) -> np.ndarray:
    """(N, M width): for each agent and sample Q(s, a), then with each of its own actions, as many as there are."""
    b, critics, encoding = session.b, agents.critics, Encoding(spaces)
    joint = b.joint[0]
    found = np.zeros((len(spaces), len(joint), width))
    found[:, :, 0] = critics.returns(b)
    for agent, space in enumerate(spaces if width > 1 else ()):
        own = space.n_actions or vectors.shape[2]
        step = -(-AT_ONCE // own)
        for part in (slice(first, first + step) for first in range(0, len(joint), step)):
            others = (encoding.alternatives(joint[part], agent) if space.n_actions else
                      encoding.other_vectors(joint[part], agent, vectors[agent, part, :, :space.size]))
            found[agent, part, 1:1 + own] = critics.of_each(b, others, part)
    return found.reshape(len(spaces), -1)
