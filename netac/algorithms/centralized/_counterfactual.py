"""Counterfactual advantages: Q(s, a) of the trainer's critic less an agent's baseline b_i(s, a_-i)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from netac.agents.distributions import OwnAction, distribution_of
from netac.algorithms.centralized._on_policy import OnPolicyAgents
from netac.algorithms.centralized._options import Baseline, Baselined
from netac.algorithms.centralized._sessions import Session
from netac.algorithms.policy_gradient.surrogates import optimal_baseline
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.encoding import Encoding
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose, generator

AT_ONCE = 2**15      # joint actions that the critic evaluates at a time


def use_baseline(session: Session, agents: OnPolicyAgents, links: TrainerLinks, settings: Baselined) -> None:
    """With a `baseline` the critic learns the returns, and then policies learn from X_i = Q(s, a) - b_i(s, a_-i)."""
    if settings.baseline:
        session.fit_critics()
        X = counterfactual_advantages(session, agents, links, settings.baseline, settings.baseline_pairs)
        session.use(X, own=True)


def baseline(which: Baseline, pi: OwnAction, q: np.ndarray, z: np.ndarray | None = None) -> np.ndarray | float:
    """b_i(s, a_-i): E[Q] over the agent's own action, or E[Q |grad log pi|^2] / E[|grad log pi|^2], or 0.

    Exact for discrete actions that are listed; for vectors, and several choices with very many actions, means over K
    draws z, which must not depend on the action that was taken.

    Args:
        pi: what the agent draws from in M samples.
        q: (M, A) Q(s, a_-i, .) of all its actions, or (M, K) of those drawn.
        z: (M, K, d) what they are drawn from.

    Returns:
        (M,).
    """
    if which == "none":
        return 0.0
    weights = pi.own_weights(q.shape[-1])
    return np.vecdot(weights, q) if which == "counterfactual" else optimal_baseline(weights, q, pi.own_score_norms(z))


def own_draws(seed: int, k: int, agent: int, space: ActionSpace, samples: int, draws: int) -> np.ndarray | None:
    """Of an agent in iteration k (M, K, d): standard normal z in antithetic halves; uniforms of several choices; None
    where all actions are listed."""
    return distribution_of(space).noise(generator(seed, Purpose.BASELINE, k, agent), samples, draws)


def counterfactual_advantages(session: Session, agents: OnPolicyAgents, links: TrainerLinks, which: Baseline,
                              pairs: int) -> np.ndarray:
    """X_i = Q(s, a) - b_i(s, a_-i) of this process's agents, (n, M), in units of returns.

    The trainer sends each agent Q with each of its own actions in the place of the one it took: all, if they are
    listed, or K = 2 `pairs` that the agent drew and sent before.  The agent, who knows its policy, computes the
    baseline.
    """
    b, M, together = session.b, session.b.done.size, agents.together
    spaces, K = together.policy.actions, 0 if which == "none" else 2 * pairs
    pi = cast("list[OwnAction]", together.policy.distributions(together.theta, b.samples))
    counts = [distribution_of(space).own_count(K) if K else 0 for space in spaces]
    z = [own_draws(agents.seed, session.k, agent, spaces[agent], M, K) if K else None for agent in agents.local]
    vectors = _collected(pi, z, (M, K, max(space.size for space in spaces)), spaces, links) if K else None
    width = 1 + max(counts)
    answers = _answers(session, agents, counts, vectors, width) if links.is_trainer else None
    links.meet()                                  # the trainer computes for long: whoever waits leaves it the cores
    told = links.scatter(answers, M * width).reshape(len(pi), M, width)
    return np.stack([q[:, 0] - baseline(which, own, q[:, 1:1 + counts[agent]], draws)
                     for agent, own, q, draws in zip(agents.local, pi, told, z, strict=True)])


def _collected(pi: list[OwnAction], z: Sequence[np.ndarray | None], shape: tuple[int, int, int],
               spaces: Sequence[ActionSpace], links: TrainerLinks) -> list[np.ndarray | None] | None:
    """The actions drawn by all agents whose actions are not listed, padded to `shape`, (N), sent to the trainer.

    None elsewhere, and nothing is sent where all are listed.
    """
    enumerated = [distribution_of(space).enumerated for space in spaces]
    if all(enumerated):
        return None
    sent = np.zeros((len(pi), *shape))
    for row, own, draws in zip(sent, pi, z, strict=True):
        if draws is not None:
            row[:, :, :draws.shape[2]] = own.own_actions(draws)
    found = links.gather(sent.reshape(len(pi), -1))
    return None if found is None else [None if every else own for own, every in zip(
        found.reshape(-1, *shape), enumerated, strict=True)]


def _answers(session: Session, agents: OnPolicyAgents, counts: list[int], vectors: list[np.ndarray | None] | None,
             width: int) -> np.ndarray:
    """(N, M width): for each agent and sample Q(s, a), then with each of its own actions, as many as there are."""
    b, critics, encoding = session.b, agents.critics, Encoding(agents.together.policy.actions)
    joint = b.joint[0]
    found = np.zeros((len(counts), len(joint), width))
    found[:, :, 0] = critics.returns(b)
    for agent, count in enumerate(counts if width > 1 else ()):
        step, own = -(-AT_ONCE // count), None if vectors is None else vectors[agent]
        for part in (slice(first, first + step) for first in range(0, len(joint), step)):
            others = encoding.alternatives(joint[part], agent, None if own is None else own[part])
            found[agent, part, 1:1 + count] = critics.of_each(b, others, part)
    return found.reshape(len(found), -1)
