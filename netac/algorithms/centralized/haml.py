"""HAML: heterogeneous-agent mirror learning (Kuba et al., 2022; slides 004, lines 848-900).

One update of which others are instances (slides, lines 873-900): agents learn one after the other, in an order
i_1, ..., i_n, agent i_m given what i_1, ..., i_{m-1} have become, each leaving its old policy as far as a drift, a
"notion of distance" (lines 875-876), is worth it, and never its neighbourhood:

    M(s, a) = prod_{j < m} pibar^{i_j}(a^{i_j}|s) / pi^{i_j}(a^{i_j}|s) A(s, a)
    theta^{i_m} <- argmax E[ratio M] - D(pi_theta | pi, M)   over pi_theta in U(pi),   ratio = pi_theta(a|s) / pi(a|s)
    D = E[d(log ratio, M)] over the actions of pi;   d >= 0, and at ratio 1 both d and its derivative are 0

A drift need be neither convex nor differentiable everywhere (lines 852-859): what a clip takes off is one.

    drift = "none":  d = 0                                               HAA2C (lines 898-900)
    drift = "clip":  d = max(0, (ratio - clip(ratio, 1 +- epsilon)) M)   HAPPO (lines 890-892)
    drift = "kl":    d = c (ratio - 1 - log ratio)                       HATRPO (lines 890-892), with a penalty in the
                                                                         place of its bound: D = c KL(pi || pi_theta)

U(pi) is "everywhere"; or "kl", where the mean KL divergence in the samples is at most delta, the constraint of HATRPO.
The maximum is climbed towards by gradient steps.  What they come to outside of U goes half of the way back to the old
policy, again and again, until it is inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from netac.algorithms.centralized._counterfactual import use_baseline
from netac.algorithms.centralized._mirror import Mirror, draw_back
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Baselined, Sequential
from netac.algorithms.centralized._sequential import in_turn
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.policy_gradient.drifts import mirrored
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Sequential, Mirror, Baselined):
    """Options of HAML."""


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state (with a `baseline` of the joint action, too), and policies of the agents' own."""
    return TrainerRequirements(value=settings.judged)


def check(settings: Settings, agents: int) -> None:
    """Refuse a user's function that is no drift, or no neighbourhood, before a run begins.

    Raises:
        InputError: it is not.
    """
    settings.check(agents)


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    (drift, epsilon), inside = settings.drifting(links.placement.agents), settings.inside(links.placement.agents)
    within = None if inside is None else partial(draw_back, inside=inside, halvings=settings.backtracks)
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, A by GAE
        use_baseline(session, agents, links, settings)                      # or Q(s, a) - b_i in the place of A
        in_turn(session, agents, links, settings, partial(mirrored, drift=drift), epsilon, within=within)
        session.fit()                                                       # V on the returns
        yield
