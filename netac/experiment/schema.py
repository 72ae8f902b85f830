"""What may stand in an experiment file: every key of it with its range, and the tables of policies and critics.

The options of an algorithm, an environment or a network are declared in its own file, as `Settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, InstanceOf

from netac.experiment.network_table import Conditions
from netac.utils.errors import InputError
from netac.utils.options import Options
from netac.utils.plugins import BuiltIn, Factory
from netac.utils.sight import Scope

ALGORITHMS = ("netac.algorithms.decentralized", "netac.algorithms.centralized")
ENVIRONMENTS = "netac.envs"
NETWORKS = "netac.agents.networks"
LINEAR = ("tabular", "log-linear")
PARTS = ("policy", "critic", "reward_model")                              # the tables that may hold networks


class Normalise(Options):
    """The table [normalise]: by running statistics, every agent's own."""

    observations: bool = Field(False, description="observations to mean 0 and deviation 1, clipped to +-10")
    rewards: bool = Field(False, description="rewards divided by the deviation of the discounted return")


class Policy(Options):
    """The table [policy] of linear agents."""

    name: Literal["tabular", "log-linear"] = Field(
        "tabular", description='"tabular": one logit per state and action; "log-linear": logits x(s,a)\'theta')
    shared: list[str] = Field(["*"], description=(
        'patterns of the names of the shared coordinates, e.g. ["*"], ["s0.*"], ["f[0-3]"], [] (only CAC mixes them)'))
    features: str | None = Field(None, description=(
        "log-linear: an .npz file with x, (S, A, d) or (N, S, A, d)"))
    initial: Literal["environment", "zeros", "normal"] = Field(
        "environment", description="initial theta: the environment's theta0 if it has one, else zeros; or normal draws")
    scale: float = Field(0.1, ge=0, le=1e6, allow_inf_nan=False, description="standard deviation of normal draws")


class NetworkPolicy(Options):
    """The table [policy] of networks, besides the network's own options."""

    shared: list[str] = Field(["*"], description=(
        'patterns of the names of the shared tensors, e.g. ["*"], ["conv*"], [] (only CAC mixes them); agents whose '
        'networks have different shapes share nothing if nothing is said'))
    sees: Scope = Field("own", description=(
        "what policies see: the agent's own observation; its neighbours' besides, in the environment's graph; or the "
        "environment's global state"))
    entropy: float = Field(0.0, ge=0, le=1e6, allow_inf_nan=False, description="coefficient of an entropy bonus")
    initial: Literal["common", "independent"] = Field("common", description=(
        "common: what is shared, and critics, begin equal in all agents; independent: every agent draws all of its "
        "own"))
    log_std: float = Field(-0.5, ge=-20, le=2, allow_inf_nan=False, description=(
        "action vectors: initial logarithm of the standard deviations"))
    deviations: Literal["learned", "fixed"] = Field("learned", description=(
        "action vectors: whether the standard deviations are learned, or stay as they are"))

    def of_networks(self) -> dict[str, Any]:
        """What networks need to know of it."""
        return self.model_dump(exclude={"sees"})


class NetworkCritic(Options):
    """The table [critic], besides the network's own options."""

    sees: Scope | None = Field(None, description=(
        "what V, Q and R see, as policy.sees; by default what policies see, but the global state where critics are "
        "mixed and agents see different things; the trainers know for themselves"))
    joint: Literal["own-first", "agents"] | None = Field(None, description=(
        "order of the joint action that Q and R see: the agent's own first, then the others', or agent 0, 1, ...; by "
        "default own-first with observations, if all agents have the same actions: what is mixed must mean the same to "
        "all agents"))


class UserEnvironment(Factory):
    """The table [env] of a user's own environment."""

    check: Literal["lenient", "strict"] = Field("lenient", description=(
        "lenient: where a PettingZoo environment does not keep to its interface, and a run does not suffer from it, a "
        "note says so; strict: the environment is refused"))
    neighbours: str | None = Field(None, description=(
        'a file with the graph of the problem, for topology = "environment", where the environment has no attribute '
        "`neighbours`"))


class Experiment(Options):
    """A complete experiment.

    `env` and `algorithm` are checked, typed settings.  The tables of `PARTS` are as written: what they mean is known
    when the environment is, and `netac.experiment.build.prepare` checks them and fills them in.
    """

    agents: int = Field(ge=1, le=10**7, description="N, a whole number of agents >= 1")
    iterations: int = Field(ge=1, le=10**12, description="T, a whole number of iterations >= 1")
    seed: int = Field(0, ge=0, le=2**63 - 1, description=(
        "whole number >= 0: every random stream is spawned from it"))
    env: InstanceOf[BuiltIn] | UserEnvironment = Field(description=(
        'a name, an .npz file, { name = "...", options }, or { factory = "package.module:function", kwargs = { } }'))
    topology: dict[str, Any] | str = Field("complete", description=(
        'a name, a file, { name = "...", weights = "...", options } or { path = "graphs/x.py", options }'))
    spatial_discount: float | None = Field(None, ge=0, le=1, description=(
        "alpha: agents learn from r_i = the sum over j of alpha^d(i, j) r_j, with d the distance in the environment's "
        "graph; 0: own rewards, 1: the team's sum; what is reported stays as it is"))
    envs: int = Field(1, ge=1, le=10**5, description="E, games played side by side by agents with networks")
    stagger: int = Field(0, ge=0, le=10**9, description=(
        "steps over which the games' first episodes are cut short, evenly, so that not all are at the same stage, e.g. "
        "the length of an episode; 0: all begin together"))
    policy: dict[str, Any] = Field({}, description=(
        'tabular, log-linear, mlp, cnn, { name = "...", options } or '
        '{ factory = "package.module:Class", kwargs = { } }'))
    critic: dict[str, Any] = Field({}, description=(
        "the network of V (or Q), as in policy; without a name or factory the policy's, but for the options given (the "
        "usual one for what it sees where the policy is of a factory, or a cnn and the critic sees no image)"))
    reward_model: dict[str, Any] = Field({}, description=(
        "the network of R, as in policy; without a name or factory the critic's, but for the options given and with a "
        "hidden layer"))
    normalise: Normalise = Field(Normalise(), description="the table [normalise], for networks")
    network: InstanceOf[Conditions] = Field(Conditions(), description=(
        "what happens to messages between neighbours, the table [network]: netac list conditions"))
    algorithm: InstanceOf[BuiltIn] = Field(description="a name, or the table [algorithm] with a name and options")
    log_every: int = Field(10, ge=1, le=10**12, description="iterations between rows of metrics.csv, >= 1")
    checkpoint_every: int = Field(1000, ge=1, le=10**12, description="iterations between checkpoints, >= 1")
    evaluate_every: int = Field(0, ge=0, le=10**12, description=(
        "iterations between evaluations, >= 0: the policies are played in games of their own, at the start and end, "
        "too, as evaluations.csv tells; 0: never"))
    evaluate_episodes: int = Field(32, ge=1, le=10**4, description=(
        "episodes of an evaluation, always the same ones, >= 1"))
    evaluate_greedy: bool = Field(False, description=(
        "true: agents are evaluated with their most probable action, or the mean, instead of a draw"))
    evaluate_steps: int | None = Field(None, ge=1, le=10**6, description=(
        "the most steps of an evaluation's episode; without it all it has, 200 where the environment has no end"))
    tensorboard: bool = Field(False, description=(
        "true: TensorBoard event files in the run folder's tensorboard/, too"))
    patience: int | None = Field(None, ge=0, le=10**9, description=(
        "seconds without any progress after which the launch ends, with status 1; 0: never; without it 600 in a batch "
        "job (Slurm, PBS, LSF and others), else 0"))
    allow_disconnected: bool = Field(False, description="true: run although the graphs never connect the agents")
    allow_mixed_hosts: bool = Field(False, description=(
        "true: run although hosts compute with different numeric kernels, so that processes may differ in last bits"))
    allow_changed_files: bool = Field(False, description=(
        "true: go on with a run although files of yours that the experiment names have changed since it began"))

    def tables(self) -> dict[str, Any]:
        """The experiment as plain tables, as a TOML file holds them: what is not set is left out."""
        keys = {key: getattr(self, key) for key in type(self).model_fields}
        tables = {key: value.table() if hasattr(value, "table") else value for key, value in keys.items()
                  if key != "network" or value.conditions}
        return without_none(tables)


def without_none(table: dict[str, Any]) -> dict[str, Any]:
    """The table, and those in it, without the keys that are not set."""
    return {key: without_none(value) if isinstance(value, dict) else value
            for key, value in table.items() if value is not None}


def as_table(value: Any, key: str) -> dict[str, Any]:
    """A table of its own; a string where a table may stand is its name."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise InputError("should be a name or a table", key=key, found=value)
    return dict(value)
