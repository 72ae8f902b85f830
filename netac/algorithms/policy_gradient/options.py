"""The options that algorithms which learn from trajectories have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from netac.agents.steps import Common, Discounting, NonNegative, Radius, Step
from netac.utils.options import Options

UP_TO_ONE = "discount; 1 where all episodes end"


class TrajectoryOptions(Common, Discounting):
    """Options of algorithms that learn from trajectories of the current policies."""

    gamma: float | None = Field(0.99, ge=0, le=1, allow_inf_nan=False, description=UP_TO_ONE)
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of the generalised advantage estimate")
    actor_step: Step = Field(5e-4, description="alpha: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma")
    critic_step: Step = Field(5e-4, description="beta, the step size of critics")
    clip: Radius = Field(10.0, description="largest norm of a gradient")
    rollout: int = Field(200, ge=1, le=10**6, description="steps of every game in an iteration")
    epochs: int = Field(5, ge=1, le=10**4, description="passes over the samples")
    minibatches: int = Field(1, ge=1, le=10**6, description="parts of the samples, one step each, in a pass")
    entropy: NonNegative = Field(0.01, description="coefficient of the entropy bonus")
    time_limits: Literal["bootstrap", "end"] = Field("bootstrap", description=(
        "what is left of an episode that its time limit cuts short: V(s'), as if it went on; or nothing"))
    decay: Literal["none", "linear"] = Field("none", description=(
        "step sizes: constant, or falling to 0 at the last iteration"))
    value_normalisation: bool = Field(True, description=(
        "critics learn returns less their running mean, by their deviation"))
    huber: Radius = Field(10.0, description="where the critics' loss becomes linear (in deviations, if normalised)")
    value_clip: Radius = Field(0.2, description=(
        "how far a critic's values may move in an iteration before its loss is clipped (in deviations, if normalised)"))

    def left(self, k: int, T: int) -> float:
        """What is left of the step sizes in iteration k of T: 1, or 1 - k / T."""
        return 1.0 - k / T if self.decay == "linear" else 1.0


class OnRollouts(TrajectoryOptions):
    """Options of those among them whose policies may have a memory."""

    chunk: int = Field(10, ge=1, le=10**6, description=(
        "policies with memory: steps over which they are unrolled to learn; minibatches are made of whole chunks"))


class CriticPasses(Options):
    """Options of algorithms whose critics have passes of their own."""

    critic_epochs: int = Field(5, ge=1, le=10**4, description="passes over the samples for critics")
    critic_minibatches: int = Field(1, ge=1, le=10**6, description="the same in a pass for critics")


class Clipping(Options):
    """Options of algorithms that clip probability ratios."""

    clip_range: float = Field(0.2, gt=0, le=100, description="epsilon: ratios beyond 1 +- epsilon are clipped")
    clip_over_agents: bool = Field(False, description="epsilon / N instead of epsilon (paper 002)")

    def epsilon(self, agents: int) -> float:
        """Half the width of the clip range of `agents` = N agents.

        With epsilon / N, ratios within 1 +- epsilon / N of all of them keep the total variation of the joint policy
        below epsilon (paper 002, theorem 3 and the text after it).
        """
        return self.clip_range / agents if self.clip_over_agents else self.clip_range


class Bounded(Options):
    """Options of algorithms that may bound the KL divergence of policies from the old ones."""

    delta: float = Field(0.01, gt=0, le=100, description=(
        "largest mean KL divergence of an agent's new policy from its old one"))
    backtracks: int = Field(10, ge=1, le=100, description="how often the step is halved before it is given up")


class TrustRegion(Bounded):
    """Options of algorithms whose policies take natural steps under a bound on their KL divergence."""

    damping: float = Field(0.1, ge=0, le=100, description="added to the diagonal of H")
    conjugate_gradients: int = Field(10, ge=1, le=1000, description="iterations of the method of conjugate gradients")
    accept: float = Field(0.1, ge=0, le=1, description="least improvement of the objective, over the expected one")
