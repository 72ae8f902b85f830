"""Finite networked Markov decision processes: from an .npz file, or random by seed (two published recipes).

File format (every array a plain one; nothing is unpickled): `P` (S, A, ..., A, S') with one axis per agent, or
(S, A^N, S'); `r` the same axes, with or without that of s', then the agents; `xi` (S,); optionally `gamma`, `theta0`
(N, S, A) and `costs`, what steps cost each agent beside its rewards, shaped as `r` without the axis of s'.

Recipes: "folded-normal": transition weights |N(0,1)| normalised over s', rewards U[0,1], no noise (the experiments of
Chen et al., 2021); "zhang": weights U[0,1] + 1e-5, mean rewards U[0,4], observed with noise U[-0.5, 0.5] (section 6 of
Zhang et al., 2018).  Both start uniformly.  With `costs = true` steps cost each agent U[0,1].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from netac.envs._features import JointTable, joint_index
from netac.exact import FiniteMDP
from netac.utils.errors import InputError
from netac.utils.files import finite_numbers, load_npz
from netac.utils.options import Options

ARRAYS = "P, r, xi and optionally gamma, theta0, costs"
RANDOM = {"recipe": "folded-normal", "states": 5, "actions": 2}     # of a random MDP, where nothing else is said
LARGEST_MODEL = 200_000_000     # numbers in P: 1.6 GB


class Settings(Options):
    """Options of `env = { name = "finite-mdp" }`: either `path`, or `seed` with the sizes."""

    path: str | None = Field(
        None, pattern=r"\.npz$", description=f"an .npz file with {ARRAYS}")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="draw a random MDP from this seed instead")
    recipe: Literal["folded-normal", "zhang"] | None = Field(
        None, description="how a random MDP is drawn: folded-normal (default) or zhang")
    states: int | None = Field(None, ge=1, le=10_000, description="states of a random MDP (default 5)")
    actions: int | None = Field(None, ge=1, le=1000, description="actions per agent of a random MDP (default 2)")
    noise: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False,
                                description="half-width of uniform noise on observed rewards (zhang: 0.5; else 0)")
    costs: bool | None = Field(None, description="whether the steps of a random MDP have costs (default false)")
    features: str = Field("onehot", pattern=r"^onehot$|\.npz$",
                          description='"onehot", or an .npz file with phi (S, K) and psi (S, A^N, L)')

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, table: dict) -> dict:
        return {**RANDOM, **table} if table.get("seed") is not None else table

    @model_validator(mode="after")
    def _one_source(self) -> Settings:
        if (self.path is None) == (self.seed is None):
            raise ValueError("needs either `path` (an .npz file) or `seed` (a random MDP), and not both")
        unused = [key for key in (*RANDOM, "costs") if getattr(self, key) is not None]
        if self.path is not None and unused:
            raise ValueError(f"`{unused[0]}` is for random MDPs (`seed`), but an .npz file is given (`path`)")
        return self


def make(settings: Settings, agents: int) -> FiniteEnvironment:
    """The environment for `agents` agents."""
    if settings.path is None:
        assert settings.seed is not None and settings.states and settings.actions and settings.recipe     # _fill_in
        mdp, theta0 = random_mdp(settings.seed, agents, settings.states, settings.actions, settings.recipe), None
        r, costs = mdp.r[:, :, None], random_costs(settings.seed, mdp) if settings.costs else None
    else:
        mdp, r, theta0, costs = read_mdp(Path(settings.path), agents)
    phi, psi = np.eye(mdp.states), JointTable(mdp.states, agents, mdp.actions)
    if settings.features != "onehot":
        phi, psi = read_features(Path(settings.features), mdp)
    usual = 0.5 if settings.path is None and settings.recipe == "zhang" else 0.0
    return FiniteEnvironment(mdp, r, phi, psi, usual if settings.noise is None else settings.noise, theta0, costs)


def random_mdp(seed: int, agents: int, states: int, actions: int, recipe: str, gamma: float = 0.95) -> FiniteMDP:
    """A random networked MDP by one of the two recipes of the module's docstring."""
    joint = actions**agents
    if states * joint * (states + agents) > LARGEST_MODEL:
        raise InputError("the MDP would not fit into memory", key="env.states", found=f"{states} x {actions}^{agents}",
                         valid=f"states^2 x actions^agents up to {LARGEST_MODEL:,} numbers")
    rng = np.random.default_rng(seed)
    if recipe == "folded-normal":
        P, r = np.abs(rng.standard_normal((states, joint, states))), rng.random((states, joint, agents))
    else:
        P, r = rng.random((states, joint, states)) + 1e-5, 4.0 * rng.random((states, joint, agents))
    return FiniteMDP(P / P.sum(axis=-1, keepdims=True), r, np.full(states, 1.0 / states), gamma)


def random_costs(seed: int, mdp: FiniteMDP) -> np.ndarray:
    """Of the random MDP of the same seed: (S, J, N)."""
    return np.random.default_rng([seed, 1]).random(mdp.r.shape)


class ModelFile(NamedTuple):
    """What an .npz file holds."""

    mdp: FiniteMDP
    r: np.ndarray
    """(S, J, S' or 1, N) rewards."""
    theta0: np.ndarray | None
    """(N, S, A) logits to begin with, if it has them."""
    costs: np.ndarray | None
    """(S, J, N), if it has them."""


def read_mdp(path: Path, agents: int | None = None) -> ModelFile:
    """The MDP of an .npz file.

    Args:
        agents: how many there should be; None: any number.
    """
    arrays: dict[str, Any] = dict(load_npz(path))
    missing = [name for name in ("P", "r", "xi") if name not in arrays]
    if missing:
        raise InputError("the file lacks an array", file=path, key=missing[0], found=sorted(arrays),
                         valid=ARRAYS)
    for name in {"P", "r", "xi", "gamma", "costs"} & arrays.keys():
        if not finite_numbers(arrays[name]):
            raise InputError("holds something else than finite numbers", file=path, key=name,
                             found=str(arrays[name].dtype))
    try:
        mdp = FiniteMDP(arrays["P"], arrays["r"], arrays["xi"], arrays.get("gamma", 0.95))
    except InputError as error:
        raise error.located(file=path) from error.__cause__
    if agents not in (None, mdp.agents):
        raise InputError("the MDP has another number of agents than the experiment", file=path, key="r",
                         found=mdp.agents, valid=f"{agents} agents, or `agents = {mdp.agents}` in the experiment")
    theta0 = arrays.get("theta0")
    expected = (mdp.agents, mdp.states, mdp.actions)
    if theta0 is not None and (theta0.shape != expected or not finite_numbers(theta0)):
        raise InputError("wrong shape or not finite", file=path, key="theta0", found=theta0.shape, valid=f"{expected}")
    costs, axes = arrays.get("costs"), (mdp.states, *[mdp.actions] * mdp.agents, mdp.agents)
    if costs is not None and costs.shape not in (mdp.r.shape, axes):
        raise InputError("wrong shape", file=path, key="costs", found=costs.shape, valid=f"{mdp.r.shape} or {axes}")
    r = arrays["r"].astype(float).reshape(*mdp.P.shape[:2], -1, mdp.agents)
    return ModelFile(mdp, r, theta0, None if costs is None else costs.astype(float).reshape(mdp.r.shape))


def read_features(path: Path, mdp: FiniteMDP) -> tuple[np.ndarray, JointTable]:
    """phi (S, K) and psi (S, A^N, L) of an .npz file."""
    arrays, pairs = load_npz(path), (mdp.states, mdp.joint_actions)
    for name, leading in {"phi": pairs[:1], "psi": pairs}.items():
        if name not in arrays:
            raise InputError("the file lacks an array", file=path, key=name, found=sorted(arrays), valid="phi and psi")
        shape = arrays[name].shape
        if shape[:-1] != leading or not finite_numbers(arrays[name]):
            raise InputError("wrong shape or not finite", file=path, key=name, found=shape, valid=f"{(*leading, 'd')}")
    table = np.ascontiguousarray(arrays["psi"].reshape(-1, arrays["psi"].shape[-1]), dtype=float)
    phi = np.ascontiguousarray(arrays["phi"], dtype=float)
    return phi, JointTable(mdp.states, mdp.agents, mdp.actions, table)


class FiniteEnvironment:
    """A finite networked MDP to be sampled; the interface is `netac.envs.TabularEnvironment`.

    Args:
        mdp: the model.
        r: (S, J, S', N) rewards, or (S, J, 1, N) where they do not depend on s'.
        phi, psi: features.
        noise: half-width of the uniform observation noise of rewards.
        theta0: (N, S, A) suggested initial logits, or None.
        charges: (S, J, N) costs, or None.
    """

    def __init__(self, mdp: FiniteMDP, r: np.ndarray, phi: np.ndarray, psi: JointTable, noise: float = 0.0,
                 theta0: np.ndarray | None = None, charges: np.ndarray | None = None):
        self.mdp, self.phi, self.psi, self.theta0, self.gamma = mdp, phi, psi, theta0, mdp.gamma
        self.agents, self.states, self.actions, self.initial = mdp.agents, mdp.states, mdp.actions, mdp.xi
        self.reward_noise = (lambda u: noise * (2.0 * u - 1.0)) if noise else None
        self._r, self._team = r, r.mean(axis=-1)
        self.charges = charges
        self._below = np.cumsum(mdp.P, axis=-1).reshape(-1, mdp.states)     # (S J, S'): distribution functions of s'
        self._below[:, -1] = np.inf                                         # rounding must not lead past the last state

    def next_states(self, states: np.ndarray, actions: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """s' by inverting the distribution function of P(.|s, a)."""
        pairs = states * self.mdp.joint_actions + joint_index(actions, self.actions)
        below = self._below.take(pairs, axis=0)
        return (below > uniforms[:, None]).argmax(axis=-1)

    def rewards(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray,
                agents: range) -> tuple[np.ndarray, np.ndarray]:
        """r_i(s, a, s') of `agents`, (n, M), and the mean over all agents, (M,)."""
        at = (states, joint_index(actions, self.actions), next_states if self._r.shape[2] > 1 else 0)
        own = self._r[..., agents.start:agents.stop][at]
        return np.ascontiguousarray(own.T), self._team[at]

    @property
    def costs(self) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None:
        """Gives what samples cost each agent, (N, M); None where there are no costs."""
        return None if self.charges is None else self._charged

    def _charged(self, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray) -> np.ndarray:
        assert self.charges is not None, "there are costs"
        return np.ascontiguousarray(self.charges[states, joint_index(actions, self.actions)].T)
