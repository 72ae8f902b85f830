"""A finite networked Markov decision process as arrays, checked once when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from netac.utils.errors import InputError

PROBABILITY_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class FiniteMDP:
    """S states, N agents with A actions each, J = A^N joint actions in C order (the last agent's action runs fastest).

    The fields are read-only and flattened to the first of the shapes below, whichever they were given in; P is not
    copied where it is contiguous float64.

    Args:
        P: (S, J, S') transition probabilities, or (S, A, ..., A, S') with one axis per agent.
        r: (S, J, N) reward of each agent, or (S, J, S', N) where it depends on the next state too: then its expectation
            is kept, which is all that exact quantities need.  In either case the axes before N are those of P.
        xi: (S,) distribution of the first state.
        gamma: discount factor in [0, 1).

    Raises:
        InputError: naming the array and what is wrong with it.
    """

    P: np.ndarray
    r: np.ndarray
    xi: np.ndarray
    gamma: float

    def __post_init__(self) -> None:
        P, r, xi, gamma = (_numbers(name, getattr(self, name)) for name in ("P", "r", "xi", "gamma"))
        _check_shapes(P, r, xi, gamma)
        _check_distributions("P", P, "every P[s, a, :] a distribution over the next state")
        _check_distributions("xi", xi, "a distribution over the first state")
        if not 0 <= gamma < 1:
            raise InputError("is out of range", key="gamma", found=float(gamma), valid="0 <= gamma < 1")
        states, agents = len(xi), r.shape[-1]
        flat_P = P.reshape(states, -1, states)
        flat_r = r.reshape(*flat_P.shape[: r.ndim - P.ndim + 2], agents)
        if r.ndim > P.ndim:
            flat_r = np.einsum("sjt,sjtn->sjn", flat_P, flat_r)
        for name, value in {"P": flat_P, "r": flat_r, "xi": xi}.items():
            view = np.ascontiguousarray(value).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        object.__setattr__(self, "gamma", float(gamma))

    @property
    def states(self) -> int:
        """S, the number of states."""
        return self.P.shape[0]

    @property
    def joint_actions(self) -> int:
        """J = A^N, the number of joint actions."""
        return self.P.shape[1]

    @property
    def agents(self) -> int:
        """N, the number of agents."""
        return self.r.shape[2]

    @property
    def actions(self) -> int:
        """A, the number of actions of each agent."""
        return actions_per_agent(self.joint_actions, self.agents)

    @cached_property
    def team_reward(self) -> np.ndarray:
        """(S, J) mean over the agents of their rewards, r-bar of Zeng et al., section 2."""
        return self.r.mean(axis=2)

    def expect_next(self, values: np.ndarray) -> np.ndarray:
        """(S, J, ...) expectation over the next state of `values` (S, ...), given state and joint action."""
        flat = self.P.reshape(-1, self.states) @ values
        return flat.reshape(self.states, self.joint_actions, *values.shape[1:])


def actions_per_agent(joint_actions: int, agents: int) -> int:
    """The A with A^N = J.

    Raises:
        InputError: where no whole number A does that.
    """
    actions = round(joint_actions ** (1 / agents))
    if actions**agents != joint_actions:
        raise InputError("the number of joint actions does not fit the number of agents", key="P", found=joint_actions,
                         valid=f"A^{agents} joint actions: {agents} agents with A actions each")
    return actions


def _numbers(name: str, value: object) -> np.ndarray:
    """`value` as finite float64 array, or an InputError that names it."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("is not an array of real numbers", key=name, found=value) from None
    if not np.isfinite(array).all():
        index = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"is not finite at {list(index)}", key=name, found=float(array[index]), valid="finite numbers")
    return array


def _check_shapes(P: np.ndarray, r: np.ndarray, xi: np.ndarray, gamma: np.ndarray) -> None:
    """Raise InputError unless the four arrays fit together as `FiniteMDP` says."""
    if gamma.ndim:
        raise InputError("is not one number", key="gamma", found=gamma.shape, valid="one number, 0 <= gamma < 1")
    if P.ndim < 3 or P.shape[0] != P.shape[-1] or not P.size:
        raise InputError("has the wrong shape", key="P", found=P.shape,
                         valid="(S, J, S) or (S, A, ..., A, S), one axis per agent")
    if r.shape[:-1] not in (P.shape[:-1], P.shape) or not r.size:
        raise InputError("has a shape that does not fit P", key="r", found=r.shape,
                         valid=f"the axes {P.shape[:-1]} or {P.shape} of P, then the agents")
    if xi.shape != P.shape[:1]:
        raise InputError("has the wrong shape", key="xi", found=xi.shape, valid=f"{P.shape[:1]}, one number per state")
    agents, action_axes = r.shape[-1], P.shape[1:-1]
    if len(action_axes) > 1 and (len(action_axes) != agents or len(set(action_axes)) > 1):
        raise InputError("has action axes that do not fit the agents", key="P", found=action_axes,
                         valid=f"{agents} axes of one length, an axis per agent of r")
    actions_per_agent(int(np.prod(action_axes)), agents)


def _check_distributions(name: str, array: np.ndarray, valid: str) -> None:
    """Raise InputError unless `array` is non-negative and sums to 1 along its last axis."""
    if array.min() < 0:
        raise InputError("has a negative probability", key=name, found=float(array.min()), valid=valid)
    sums = array.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > PROBABILITY_TOLERANCE:
        raise InputError("does not sum to 1", key=name, found=float(worst), valid=valid)
