"""The options that trainers have in common."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from netac.agents.steps import Common, NonNegative, Radius, Step
from netac.algorithms.policy_gradient.options import UP_TO_ONE, Clipping, CriticPasses, OnRollouts
from netac.utils.options import Options

Finite = Field(ge=-1e12, le=1e12, allow_inf_nan=False)


class OfTeam(Options):
    """What trainers with advantages make of the team's rewards."""

    team_reward: Literal["mean", "sum"] | None = Field(None, description=(
        "of the agents' rewards, for critics to learn from; by default a critic of the state learns from the mean, and "
        "critics of the agents' own observations each from its agent's rewards"))
    advantages: Literal["joint", "agent", "raw"] = Field("joint", description=(
        "to mean 0 and deviation 1: over all samples in which any agent took part, agent by agent over its own, or not "
        "at all"))


class OnPolicy(OnRollouts, CriticPasses, OfTeam):
    """Options of the on-policy trainers."""


class Clipped(OnPolicy, Clipping):
    """Options of the trainers that clip probability ratios."""


Baseline = Literal["counterfactual", "optimal", "none"]


class Baselined(Options):
    """Options of the trainers with one critic whose agents may learn from baselines of their own actions."""

    baseline: Baseline | None = Field(None, description=(
        "without it policies learn from generalised advantage estimates of V(s); else there is a critic Q(s, a), and "
        "they learn from Q - b_i(s, a_-i): what the agent expects over its own action, what makes the gradient's "
        "variance least, or 0"))
    baseline_pairs: int = Field(4, ge=2, le=1000, description=(
        "action vectors: a baseline is a mean over so many pairs of own actions, mean + deviation z and "
        "mean - deviation z"))

    @property
    def judged(self) -> Literal["state", "action"]:
        """What the critic's values are of."""
        return "action" if self.baseline else "state"


class InTurn(Options):
    """Options of the trainers whose agents learn one after the other."""

    order: Literal["random", "fixed"] = Field("random", description=(
        "of the agents: drawn anew every time, or 0, 1, ..."))


class Sequential(OnPolicy, InTurn):
    """Options of the on-policy trainers among these."""


class Sharing(Options):
    """The option of the trainers whose agents may share their parameters."""

    parameters: Literal["shared", "separate"] | None = Field(None, description=(
        "one policy for all agents, or one each; by default shared where the networks of all agents have the same "
        "shapes"))


class Shareable(OnPolicy, Sharing):
    """Options of the on-policy trainers among these."""


class Limited(Options):
    """The option of the trainers that keep costs within limits."""

    cost_limit: Annotated[float, Finite] | list[Annotated[float, Finite]] = Field(description=(
        "largest mean cost of a step: one for all agents, or a list of one for each; of an episode of T steps, a T-th "
        "of what it may cost"))

    def limits(self, agents: int) -> np.ndarray:
        """(N,) of all agents."""
        return np.broadcast_to(np.array(self.cost_limit, dtype=float), agents).copy()


class Replayed(Common):
    """Options of the trainers that learn from a replay of earlier policies' samples."""

    gamma: float | None = Field(0.95, ge=0, le=1, allow_inf_nan=False, description=UP_TO_ONE)
    actor_step: Step = Field(1e-3, description="alpha: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma")
    critic_step: Step = Field(1e-3, description="beta, the step size of critics")
    clip: Radius = Field(10.0, description="largest norm of a gradient")
    rollout: int = Field(10, ge=1, le=10**6, description="steps of every game in an iteration")
    updates: int = Field(10, ge=1, le=10**6, description="updates after the steps of an iteration, a batch each")
    buffer: int = Field(100_000, ge=1, le=10**9, description="joint samples the replay keeps")
    batch: int = Field(256, ge=1, le=10**6, description="samples of an update, drawn evenly from the replay")
    warmup: int = Field(1000, ge=0, le=10**12, description="joint samples before the first update")
    tau: float = Field(0.01, gt=0, le=1, description=(
        "what part of the way targets go towards what they follow, in an update"))
    target_every: int | None = Field(None, ge=1, le=10**12, description=(
        "hard updates in the place of these: targets become what they follow after every so many updates"))
    huber: Radius = Field(None, description="where the critics' loss becomes linear")
    team_reward: Literal["mean", "sum"] | None = Field(None, description=(
        "of the agents' rewards, for critics to learn from; by default each agent's critic learns from its own "
        "rewards, and one critic of the team from the mean"))

    def follows(self, number: int) -> float:
        """What part of the way targets go after update `number`, from 0 on."""
        if self.target_every is None:
            return self.tau
        return float((number + 1) % self.target_every == 0)


class OffPolicy(Replayed):
    """Options of the trainers whose policies climb critics of the joint action."""

    noise: NonNegative = Field(0.2, description=(
        "action vectors: standard deviation of the exploration noise, in half-ranges of the actions (in their own "
        "units where they are not bounded on both sides)"))
    epsilon: float = Field(0.0, ge=0, le=1, description=(
        "discrete actions: how often one is drawn evenly in training, not from the policy"))
    temperature: float = Field(1.0, gt=0, le=100, description="discrete actions: of the softmax that gradients pass")
    penalty: NonNegative = Field(1e-3, description="coefficient of the mean square of the policies' outputs")


class Factorised(Replayed, Sharing):
    """Options of the trainers that factorise the team's action value into the agents' utilities."""

    actor_step: Step = Field(5e-4, description=(
        "alpha, the step size of utilities: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma"))
    critic_step: Step = Field(5e-4, description="beta, the step size of what mixes them")
    batch: int = Field(32, ge=1, le=10**6, description="sequences of an update, drawn evenly from the replay")
    chunk: int | None = Field(None, ge=1, le=10**6, description=(
        "steps of a sequence, over which utilities with memory are unrolled; a divisor of rollout; by default that "
        "with memory, and 1 without"))
    double: bool = Field(True, description=(
        "double Q-learning: the utilities choose a', their targets value it; else the targets do both"))
    epsilon_start: float = Field(1.0, ge=0, le=1, description="how often an action is drawn evenly at first")
    epsilon: float = Field(0.05, ge=0, le=1, description="how often it is in the end")
    epsilon_samples: int = Field(50_000, ge=0, le=10**12, description=(
        "joint samples over which that falls, linearly, from epsilon_start to epsilon"))

    def exploration(self, samples: int) -> float:
        """How often an action is drawn evenly after so many joint samples."""
        left = 1.0 - min(1.0, samples / self.epsilon_samples) if self.epsilon_samples else 0.0
        return self.epsilon + left * (self.epsilon_start - self.epsilon)
