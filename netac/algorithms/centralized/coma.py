"""COMA: counterfactual multi-agent policy gradients (Foerster et al., 2018), and the optimal baseline (slides 004).

The trainer holds one critic Q(s, a) of the global state and the joint action.  From trajectories of pi_k it learns
the returns of TD(lambda), with Q as it was before,

    y_t = Q(s_t, a_t) + sum_l (gamma lambda)^l delta_{t+l},   delta_t = r_t + gamma Q(s_{t+1}, a_{t+1}) - Q(s_t, a_t)

A state in which all agents terminated has the value 0; where an episode was truncated, or the rollout stops, the sum
stops, and a_{t+1} is drawn from pi_k but not played.  Then all agents learn at once, agent i with

    X_i(s, a) = Q(s, a) - b_i(s, a_-i)
    "counterfactual":  b_i = E[Q(s, a_-i, .)] over a_i from pi_i                            (Foerster et al., eq. 4)
    "optimal":         b_i = E[Q(s, a_-i, .) |grad log pi_i|^2] / E[|grad log pi_i|^2]      (slides 004)
    "none":            b_i = 0

The optimal baseline is that of the least variance of X_i grad log pi_i, the gradient being that with respect to the
policy's outputs.  For discrete actions both are exact.  For action vectors they are means over draws other than the
action that was played, so that the gradient stays unbiased; from few draws the optimal one is noisy, and may leave more
variance than the counterfactual one.

One step on all samples is that of the policy gradient; several of them ascend PPO's clipped surrogate, with X_i in the
place of the joint advantage: with `epochs`, `baseline = "optimal"` is MAPPO with the optimal baseline.  X_i are brought
to one scale as `advantages` says, which subtracts their mean, too; "raw" leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from netac.algorithms.centralized._counterfactual import use_baseline
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import Baseline, Baselined, Clipped, Shareable
from netac.algorithms.centralized._sessions import sessions
from netac.algorithms.centralized._simultaneous import at_once
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler


class Settings(Clipped, Shareable, Baselined):
    """Options of COMA."""

    baseline: Baseline = Field("counterfactual", description=(
        "b_i(s, a_-i): what the agent expects over its own action, what makes the gradient's variance least, or 0"))
    gae_lambda: float = Field(0.8, ge=0, le=1, description="lambda of the critic's returns, TD(lambda)")
    epochs: int = Field(1, ge=1, le=10**4, description="passes over the samples for the policies")


def requirements(settings: Settings) -> TrainerRequirements:
    """One critic of the global state and the joint action."""
    return TrainerRequirements(shared=settings.parameters != "separate", value="action")


def iterations(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: Settings,
               times: range) -> Iterator[None]:
    """Iterations k in `times`."""
    epsilon = settings.epsilon(links.placement.agents)
    for session in sessions(agents, sampler, links, settings, times):       # trajectories of pi_k, returns y
        use_baseline(session, agents, links, settings)                      # Q on the returns, X_i = Q - b_i
        at_once(session, agents, links, settings, partial(clipped, epsilon=epsilon), epsilon)
        session.fit()
        yield
