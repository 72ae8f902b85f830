"""What the decentralized algorithms have in common: their agents, step sizes, projections and shared options.

An algorithm is one module with `Settings` (its options), `requirements(settings)` (what its agents hold and mix) and
`iterations(agents, world, network, settings, times)`, a generator that performs iteration t between two yields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from netac.agents.critics import ActionValue, RewardModel, StateValue
from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Parameters
from netac.agents.policies import LogLinear, Tabular
from netac.agents.steps import Common
from netac.sampling.protocol import Features, Sampling

if TYPE_CHECKING:
    from netac.agents.neural import NeuralActionValue, NeuralPolicy, NeuralRewardModel, NeuralStateValue


class SingleSample(Common):
    """Options of the algorithms that draw one joint sample an iteration."""

    sampling: Sampling = Field("markov", description=(
        'markov: one running chain; double: a second, restarting chain for the actor (Algorithm 2); stationary and iid: '
        "independent draws from exact distributions, finite MDPs only"))


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
        features: see `netac.sampling.protocol.Features`.
        builder: what makes such agents, a key of `netac.experiment.build.BUILDERS`.
    """

    builder: ClassVar[str] = "decentralized"

    value: Literal["state", "action"] = "state"
    reward_model: bool = False
    mu: bool = False
    h: bool = False
    mixed: str = "nothing"
    features: Features = Features()


@dataclass(frozen=True)
class NetworkedAgents:
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

    rows: ClassVar[dict[str, np.ndarray]] = {}      # what agents hold besides, by name

    def state(self) -> dict[str, np.ndarray]:
        """There is nothing that is no agent's."""
        return {}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Nothing."""
