"""Step sizes, and the options of local optimizers that all algorithms have."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Layout, Parameters
from netac.utils.options import Options


class TDependent(Options):
    """A step size c / T^sigma, T being the number of iterations (Proposition 1 of Zeng et al.)."""

    c: float = Field(gt=0, le=1e6, allow_inf_nan=False, description="c in c / T^sigma")
    sigma: float = Field(ge=0, le=1, allow_inf_nan=False, description="sigma in c / T^sigma")

    def at(self, T: int) -> float:
        """The step size of a run of T iterations."""
        return self.c / T**self.sigma


NonNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Step = NonNegative | TDependent
Radius = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)] | None


class Common(Options):
    """Options every algorithm has."""

    gamma: float | None = Field(None, ge=0, lt=1, allow_inf_nan=False,
                                description="discount; by default the environment's own, else 0.95")
    actor_step: Step = Field(0.05, description="alpha: a number, or { c = 1.0, sigma = 0.6 } for c / T^sigma")
    critic_step: Step = Field(0.1, description="beta, the step size of omega")
    optimizer: Literal["plain", "adam"] | None = Field(None, description=(
        "plain: the papers' steps; adam: local moments, never mixed; by default adam for networks, else plain "
        "(DNAC: the critic only)"))
    adam_beta1: float = Field(0.9, ge=0, lt=1, allow_inf_nan=False, description="decay rate of Adam's first moment")
    adam_beta2: float = Field(0.999, ge=0, lt=1, allow_inf_nan=False, description="decay rate of Adam's second moment")
    adam_epsilon: float = Field(1e-5, gt=0, le=1, allow_inf_nan=False, description="epsilon of Adam")
    clip: Radius = Field(None, description=(
        "largest norm of an agent's gradient, part by part (DNAC: the critic's only); off by default"))
    actor_radius: Radius = Field(None, description=(
        "largest norm of the direction in which an agent's theta steps, after the local optimizer: a step is at most "
        "actor_step times as long; off by default"))

    @property
    def discount(self) -> float:
        """gamma of settled options."""
        assert self.gamma is not None, "options are settled before they are used"
        return self.gamma

    def settled(self, gamma: float | None, networks: bool) -> Self:
        """With a discount and an optimizer where nothing was said of them.

        Args:
            gamma: the environment's own, if it has one.
            networks: whether the agents have networks.
        """
        usual = 0.95 if gamma is None else gamma
        return self.model_copy(update={"gamma": usual if self.gamma is None else self.gamma,
                                       "optimizer": self.optimizer or ("adam" if networks else "plain")})

    def make_optimizer(self, layout: Layout, agents: int) -> Optimizer:
        """The local optimizers of `agents` agents."""
        adam = (self.adam_beta1, self.adam_beta2, self.adam_epsilon) if self.optimizer == "adam" else None
        return Optimizer(layout, agents, adam, self.clip, self.actor_radius)


class Discounting(Options):
    """The option of algorithms whose policies learn from the steps of episodes."""

    discounted_gradient: bool = Field(False, description=(
        "whether step t of an episode weighs gamma^t in the policies' gradient, as in that of the discounted return; "
        "else all steps weigh the same"))

    @model_validator(mode="after")
    def _has_episodes(self) -> Self:
        sampling = getattr(self, "sampling", "markov")
        if self.discounted_gradient and sampling != "markov":
            raise ValueError(f'discounted_gradient = true counts the steps of episodes, which sampling = "{sampling}" '
                             'does not follow: leave it out ("double" and "iid" show the actor the discounted '
                             'visitation already), or use "markov"')
        return self


def step_size(step: float | TDependent, T: int, x: Parameters) -> np.ndarray:
    """A step size in the parameters' dtype: a 0-d array, by which NumPy multiplies faster than by a float."""
    return np.array(step.at(T) if isinstance(step, TDependent) else step, x.flat.dtype)
