"""What the decentralized algorithms have in common: their agents, step sizes, projections and shared options.

An algorithm is one module with `Settings` (its options), `requirements(settings)` (what its agents hold and mix) and
`iterations(agents, world, network, settings, times)`, a generator that performs iteration t between two yields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from netac.agents.critics import ActionValue, RewardModel, StateValue
from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Layout, Parameters
from netac.agents.policies import LogLinear, Tabular
from netac.options import Options
from netac.processes.world import Features, Sampling

if TYPE_CHECKING:
    from netac.agents.neural import NeuralActionValue, NeuralPolicy, NeuralRewardModel, NeuralStateValue


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
    """Options every decentralized algorithm has."""

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

    def make_optimizer(self, layout: Layout, agents: int) -> Optimizer:
        """The local optimizers of `agents` agents."""
        adam = (self.adam_beta1, self.adam_beta2, self.adam_epsilon) if self.optimizer == "adam" else None
        return Optimizer(layout, agents, adam, self.clip)


class SingleSample(Common):
    """Options of the algorithms that draw one joint sample an iteration."""

    sampling: Sampling = Field("markov", description=(
        'markov: one running chain; double: a second, restarting chain for the actor (Algorithm 2); stationary and iid: '
        "independent draws from exact distributions, finite MDPs only"))


def step_size(step: float | TDependent, T: int, x: Parameters) -> np.ndarray:
    """A step size as a number of the parameters' type: of no dimension, by which NumPy multiplies faster than by a float."""
    return np.array(step.at(T) if isinstance(step, TDependent) else step, x.flat.dtype)


def project(x: np.ndarray, radius: float) -> None:
    """Project every agent's row of (n, d) onto the ball of `radius`, in place."""
    x *= np.minimum(1.0, radius / np.maximum(np.sqrt(np.vecdot(x, x)), np.finfo(float).tiny))[:, None]


@dataclass(frozen=True)
class Requirements:
    """What an algorithm's agents hold and mix, and what its batches must show.

    Attributes:
        value: V(s), or Q(s, a) of the joint action.
        reward_model, mu, h: whether agents hold lambda, an average reward, a natural direction.
        mixed: what consensus averages, a key of `netac.agents.parameters.MIXED`.
        features: see `netac.processes.world.Features`.
    """

    value: Literal["state", "action"] = "state"
    reward_model: bool = False
    mu: bool = False
    h: bool = False
    mixed: str = "nothing"
    features: Features = Features()


@dataclass(frozen=True)
class Agents:
    """The agents of this process: their parameters, the functions those are parameters of, and their local optimizers.

    The functions are linear ones or networks; algorithms ask them for values, and for gradients weighted and summed over
    samples: sum_e w_e grad log pi_i(a_e|s_e), and the same of V, R and Q.  The optimizer makes the sum a mean.  Where an agent
    took part in some of the M samples only, the sum is M times the mean over those.
    """

    parameters: Parameters
    policy: Tabular | LogLinear | NeuralPolicy
    optimizer: Optimizer
    V: StateValue | NeuralStateValue = StateValue()
    R: RewardModel | NeuralRewardModel = RewardModel()
    Q: ActionValue | NeuralActionValue = ActionValue()
