"""What the decentralized algorithms have in common: their agents, step sizes, projections and shared options.

An algorithm is one module with `Settings` (its options), `requirements(settings)` (what its agents hold, keep and mix)
and `iterations(agents, sampler, network, settings, times)`, a generator that performs iteration t between two yields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from netac.agents.critics import ActionValue, RewardModel, StateValue
from netac.agents.optimizers import Optimizer
from netac.agents.parameters import Parameters, Shape
from netac.agents.protocols import ActionValueFunction, DifferentiablePolicy, RewardFunction, ValueFunction
from netac.agents.steps import Common, Discounting
from netac.sampling.protocol import Features, Sampling


class SingleSample(Common, Discounting):
    """Options of the algorithms that draw one joint sample an iteration."""

    sampling: Sampling = Field("markov", description=(
        "markov: one running chain; double: a second, restarting chain for the actor (Algorithm 2); stationary and "
        "iid: independent draws from exact distributions, finite MDPs only"))


def project(x: np.ndarray, radius: float) -> None:
    """Project every agent's row of (n, d) onto the ball of `radius`, in place."""
    x *= np.minimum(1.0, radius / np.maximum(np.sqrt(np.vecdot(x, x)), np.finfo(float).tiny))[:, None]


def tracked(x: Parameters, *directions: np.ndarray) -> tuple[np.ndarray, ...]:
    """Turn y, already mixed to W y, into W y + g - g of the step before, in place.

    Args:
        directions: g of what is mixed: (n, size) each, in the order of a row, theta's, with its personal part, last.

    Returns:
        As many directions: y, and g for the personal part of theta.
    """
    y, g, shared, (*others, g_theta) = x["y"], x["g"], x.shared.shape[1], directions
    y -= g
    for kept, direction in zip(x.parts("g"), (*others, g_theta[:, :shared]), strict=True):
        kept[:] = direction
    y += g
    *y_others, y_shared = x.parts("y")
    return *y_others, np.concatenate([y_shared, g_theta[:, shared:]], axis=1)


@dataclass(frozen=True)
class Requirements:
    """An algorithm's answer to `requirements(settings)`: what its agents hold, keep and mix, what batches must show.

    All that a run needs in order to go on after a stop is declared here.  What an iteration leaves to the next in a
    local variable of `iterations` is lost at a resume, and the run ends elsewhere: a test that every algorithm has to
    pass finds it.

    Attributes:
        value: V(s), or Q(s, a) of the joint action; omega (n, K) are its weights.  Read by the builders of agents, who
            make the critic, and by the exact measures.
        reward_model: whether agents hold lambda (n, L), the weights of R(s, a); without one it is (n, 0).  Read by the
            builders of agents.
        mu: whether they hold an average reward, (n, 1); else it is (n, 0).  Read by the builders of agents.
        state: what else they keep from one iteration to the next, by name: `like("theta")` (n, d),
            `like("omega", "lam")` (n, K + L), `like("mixed")`, `numbers(3)` (n, 3), `per_edge()` (n, N),
            `per_edge("theta")` (n, N, d); see `netac.agents.parameters`.  It is 0 before iteration 0, and
            `agents.parameters["name"]` in `iterations`, to be written in place.  Read by `Layout`, which gives it its
            columns of the agents' rows; checkpoints keep whole rows.
        mixed: what consensus averages, of "mu", "omega", "lam", "shared" (the shared part of theta) and the names of
            `state`: `agents.parameters.mixed` (n, width), which the network sends as one message.  Read by `Layout`,
            which lays it side by side, by the measures of disagreement (omega, lambda and theta alone), and by the
            builder of networks: what is mixed must mean the same in all agents.
        features: which features and actions a batch has.  Read by the sampler; see `netac.sampling.protocol.Features`.
        builder: what makes such agents, a key of `netac.experiment.build.BUILDERS`.
        entropy_bonus: whether `policy.entropy` may be more than 0.  Read by the builder of networks.
    """

    builder: ClassVar[str] = "decentralized"

    value: Literal["state", "action"] = "state"
    reward_model: bool = False
    mu: bool = False
    state: Mapping[str, Shape] = field(default_factory=dict)
    mixed: tuple[str, ...] = ()
    features: Features = Features()
    entropy_bonus: bool = True


@dataclass(frozen=True)
class NetworkedAgents:
    """The agents of this process: their parameters, the functions those are parameters of, and their local optimizers.

    The functions are linear ones or networks; algorithms ask them for values, and for gradients weighted and summed
    over samples: sum_e w_e grad log pi_i(a_e|s_e), and the same of V, R and Q.  The optimizer makes the sum a mean.
    Where an agent took part in some of the M samples only, the sum is M times the mean over those.
    """

    parameters: Parameters
    policy: DifferentiablePolicy
    optimizer: Optimizer
    V: ValueFunction = StateValue()
    R: RewardFunction = RewardModel()
    Q: ActionValueFunction = ActionValue()

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What agents hold besides parameters and optimizers, (n, D) each: declared state with a dtype of its own."""
        return {f"state_{name}": rows for name, rows in self.parameters.beside.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Empty: all that these algorithms keep belongs to agents, and is in `rows`."""
        return {}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Nothing to take up; see `state`."""
