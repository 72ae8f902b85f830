"""What netac asks of an environment with finitely many states and actions, and the check that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import NoReturn, Protocol

import numpy as np

from netac.exact import FiniteMDP
from netac.utils.errors import InputError


class JointFeatures(Protocol):
    """psi(s, a): see `netac.envs._features`."""

    size: int

    def __call__(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(M,), (N, M) -> (M, size)."""

    def alternatives(self, states: np.ndarray, actions: np.ndarray, agents: range) -> np.ndarray:
        """(n, M, A, size)."""


class TabularEnvironment(Protocol):
    """N agents, S states, A actions each; every method answers M independent samples at once.

    It has no state and no randomness of its own: states come in as indices, chance as uniforms in [0, 1).  So every
    process can step the same environment, and a run's random state is a handful of counters.

    Attributes:
        agents, states, actions: N, S, A.
        initial: (S,) distribution of the first state.
        reward_noise: uniforms -> additive observation noise of the rewards, elementwise; None without noise.
        phi: (S, K) features of states.
        psi: features of states and joint actions.
        theta0: (N, S, A) initial softmax logits the environment suggests, or None.
        gamma: the discount the environment comes with, or None.
        costs: a method (states, actions, next states) -> (N, M), what the samples cost each agent; None, or left out:
            there are no costs.
        neighbours: the graph of the problem, as `BatchedEnvironment` has it; may be left out.
        mdp: the whole model, where exact quantities are to be computed; else None.
    """

    agents: int
    states: int
    actions: int
    initial: np.ndarray
    reward_noise: Callable[[np.ndarray], np.ndarray] | None
    phi: np.ndarray
    psi: JointFeatures
    theta0: np.ndarray | None
    gamma: float | None
    mdp: FiniteMDP | None

    def next_states(self, states: np.ndarray, actions: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """s' of each sample: (M,), (N, M), (M,) -> (M,)."""

    def rewards(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray,
                agents: range) -> tuple[np.ndarray, np.ndarray]:
        """Rewards of `agents`, (n, M), and the mean over all N, (M,), without observation noise."""


def check_gamma(gamma: object, source: str) -> None:
    """Refuse what the environment `source` comes with unless it is None or a discount."""
    if gamma is not None and not (isinstance(gamma, Real) and not isinstance(gamma, bool) and 0 <= float(gamma) < 1):
        raise InputError(f"{source}: `gamma` is not a discount", key="env", found=gamma,
                         valid="None, or a number in [0, 1)")


_OPTIONAL = {"reward_noise": None, "theta0": None, "gamma": None, "mdp": None}


def check(environment: TabularEnvironment, agents: int, source: str) -> TabularEnvironment:
    """Call everything once with two samples and see that shapes and values are as promised.

    Attributes that may be None may be left out.

    Raises:
        InputError: naming what of `source` is missing or wrong.
    """
    def refuse(what: str, found: object, valid: str) -> NoReturn:
        raise InputError(f"{source}: {what}", key="env", found=found, valid=valid)

    for name, value in _OPTIONAL.items():
        if not hasattr(environment, name):
            setattr(environment, name, value)
    missing = [name for name in (*TabularEnvironment.__annotations__, "next_states", "rewards")
               if not hasattr(environment, name)]
    if missing:
        refuse("the environment lacks something", ", ".join(missing),
               "an object as described by netac.envs.TabularEnvironment")
    if environment.agents != agents:
        refuse("the environment has another number of agents", environment.agents, f"{agents}, as the experiment says")
    check_gamma(environment.gamma, source)
    S, A = environment.states, environment.actions
    initial = np.asarray(environment.initial, dtype=float)
    if initial.shape != (S,) or not np.isclose(initial.sum(), 1.0) or (initial < 0).any():
        refuse("`initial` is not a distribution over the states", initial, f"{S} non-negative numbers that sum to 1")
    if np.shape(environment.phi)[:1] != (S,) or np.ndim(environment.phi) != 2:
        refuse("`phi` has the wrong shape", np.shape(environment.phi), f"({S}, K)")
    states, actions, uniforms = np.zeros(2, dtype=int), np.zeros((agents, 2), dtype=int), np.array([0.25, 0.75])
    rewards, team = environment.rewards(states, actions, states, range(agents))
    answers = {"next_states": (environment.next_states(states, actions, uniforms), (2,)),
               "rewards": (rewards, (agents, 2)), "rewards (team mean)": (team, (2,)),
               "psi": (environment.psi(states, actions), (2, environment.psi.size))}
    charged: Callable | None = getattr(environment, "costs", None)
    if charged is not None:
        answers["costs"] = charged(states, actions, states), (agents, 2)
    for name, (answer, shape) in answers.items():
        if np.shape(answer) != shape:
            refuse(f"`{name}` answers two samples with the wrong shape", np.shape(answer), f"{shape}")
    if charged is not None and not np.isfinite(answers["costs"][0]).all():
        refuse("`costs` answers with numbers that are not finite", answers["costs"][0].tolist(), "numbers")
    if environment.theta0 is not None and np.shape(environment.theta0) != (agents, S, A):
        refuse("`theta0` has the wrong shape", np.shape(environment.theta0), f"({agents}, {S}, {A})")
    return environment
