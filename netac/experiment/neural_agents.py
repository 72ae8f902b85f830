"""NetworkedAgents whose policies and critics are torch modules, on environments that are played as E games side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import Field

from netac.agents.networks._factory import complete
from netac.agents.neural import (
    NeuralActionValue,
    NeuralPolicy,
    NeuralRewardModel,
    NeuralStateValue,
    neural_critic,
    neural_policy,
)
from netac.agents.parameters import Layout, Parameters
from netac.agents.steps import Common
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs._batched import BatchedEnvironment
from netac.envs._tabular_games import TabularGames
from netac.experiment.config import Experiment, Factory, Normalise
from netac.experiment.make_env import Environment, GamesSource
from netac.sampling.game import Encoding, GameSampler
from netac.utils.errors import InputError, did_you_mean
from netac.utils.options import Options, checked


class NetworkPolicy(Options):
    """The table [policy] of networks, besides the network's own options."""

    shared: list[str] = Field(["*"], description=(
        'patterns of the names of the shared tensors, e.g. ["*"], ["conv*"], [] (only CAC mixes them)'))
    entropy: float = Field(0.0, ge=0, le=1e6, allow_inf_nan=False, description="coefficient of an entropy bonus")
    initial: Literal["common", "independent"] = Field("common", description=(
        "common: what is shared, and critics, begin equal in all agents; independent: every agent draws all of its own"))
    log_std: float = Field(-0.5, ge=-20, le=2, allow_inf_nan=False, description=(
        "action vectors: initial logarithm of the standard deviations"))


class NetworkCritic(Options):
    """The table [critic], besides the network's own options."""

    input: Literal["observation", "state"] | None = Field(None, description=(
        "what V, Q and R see: the agent's own observation (the default), or the environment's global state; the trainers know "
        "for themselves"))
    joint: Literal["own-first", "agents"] | None = Field(None, description=(
        "order of the joint action that Q and R see: the agent's own first, then the others', or agent 0, 1, ...; by default "
        "own-first with observations, if all agents have the same actions: what is mixed must mean the same to all agents"))


@dataclass(frozen=True)
class Playground:
    """Where networks play.

    Attributes:
        make: makes E games.
        probe: games to ask for their spaces.
        replicated: whether every process may step them.
        stagger: steps over which first episodes are cut short.
    """

    make: Callable[[], BatchedEnvironment]
    probe: BatchedEnvironment
    replicated: bool
    stagger: int


@dataclass(frozen=True)
class Neural:
    """What agents with networks are made of.

    Attributes:
        ground: where they play.
        policy: the policies of all agents.
        value: V, or Q of the joint action; reward_model: R, None where the algorithm has none.
        needs: what the algorithm asks for.
        tables: the tables of the experiment that say how the agents are made, complete.
        normalise: what is normalised.
    """

    ground: Playground
    policy: NeuralPolicy
    value: NeuralStateValue | NeuralActionValue
    reward_model: NeuralRewardModel | None
    needs: Requirements
    tables: dict[str, Any]
    normalise: Normalise

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        needs, policy = self.needs, self.policy
        return Layout(omega=self.value.size, lam=self.reward_model.size if self.reward_model else 0, theta=policy.size,
                      shared=policy.shared, mu=int(needs.mu), h=policy.size if needs.h else 0, mixed=needs.mixed,
                      dtype="float32")

    def describe(self) -> str:
        """Which tensors are shared and which are personal, and how many numbers there are."""
        parts = [self.policy, self.value, *([self.reward_model] if self.reward_model else [])]
        return "\n".join(part.describe() for part in parts)

    def agents(self, local: range, seed: int, settings: Common) -> NetworkedAgents:
        """The agents `local`, at their initial values."""
        x = Parameters(self.layout, len(local))
        x.theta[:] = self.policy.initial(seed, local)
        x.omega[:] = self.value.initial(seed, local)
        critics = {"V" if self.needs.value == "state" else "Q": self.value.of(local)}
        if self.reward_model is not None:
            x.lam[:] = self.reward_model.initial(seed, local)
            critics["R"] = self.reward_model.of(local)
        return NetworkedAgents(x, self.policy.of(local), settings.make_optimizer(self.layout, len(local)), **critics)

    def sampler(self, agents: NetworkedAgents, placement: Placement, ledger: Ledger, seed: int, settings: Common, comm) -> GameSampler:
        """Where they live."""
        ground = self.ground
        return GameSampler(ground.make, agents.policy, placement, ledger, seed, settings.sampling == "double", settings.gamma,
                     self.needs.features, comm, replicated=ground.replicated, stagger=ground.stagger,
                     state=self.tables["critic"]["input"] == "state", own_first=self.tables["critic"]["joint"] == "own-first",
                     normalise_observations=self.normalise.observations, normalise_rewards=self.normalise.rewards)


def make_neural(experiment: Experiment, environment: Environment, needs: Requirements) -> Neural:
    """The agents that the tables [policy], [critic] and [reward_model] describe, each kind of network tried out once.

    Raises:
        InputError: a table does not hold, a network does not fit its spaces, or agents cannot share what they should.
    """
    ground = playground(experiment, environment)
    games = ground.probe
    wanted, policy_spec = network_table(NetworkPolicy, experiment.policy, {}, games.observations[0], "policy")
    if needs.h and wanted.entropy:
        raise InputError("the natural direction knows no entropy bonus", key="policy.entropy", found=wanted.entropy, valid="0")
    policy = neural_policy(policy_spec, games.observations, games.actions, games.names, **wanted.model_dump())
    seen = games.observations
    if experiment.critic.get("input") == "state":
        if games.state_shape is None:
            raise InputError("this environment has no global state", key="critic.input", found="state", valid='"observation"')
        seen = (games.state_shape,) * games.agents
    critic, critic_spec = network_table(NetworkCritic, experiment.critic, policy_spec, seen[0], "critic")
    critic = critic.model_copy(update={"input": critic.input or "observation"})
    alike = len(set(games.actions)) == 1
    if critic.joint == "own-first" and not alike:
        raise InputError("agents with different actions have no common order of them", key="critic.joint", found="own-first",
                         valid='"agents"')
    critic = critic.model_copy(update={
        "joint": critic.joint or ("own-first" if alike and critic.input == "observation" else "agents")})
    joint = Encoding(games.actions).size
    if needs.value == "action" and not all(space.n_actions for space in games.actions):
        raise InputError("an action value Q(s, a) with action vectors has no sum over own actions", key="algorithm.critic",
                         found="action_value", valid='"state_value" with this environment')
    value = neural_critic(f"{needs.value}_value", critic_spec, seen, games.names, joint, needs.mixed != "nothing",
                          wanted.initial)
    tables = {"policy": {**wanted.model_dump(), **policy_spec}, "critic": {**critic.model_dump(), **critic_spec}}
    model = None
    if needs.reward_model:
        for key in NetworkCritic.model_fields.keys() & experiment.reward_model.keys():
            raise InputError("the reward model sees what the critic sees", key=f"reward_model.{key}",
                             found=experiment.reward_model[key], valid=f"critic.{key}")
        _, spec = network_table(Options, experiment.reward_model, seeing_actions(critic_spec, seen[0]), seen[0],
                                "reward_model")
        model = neural_critic("reward_model", spec, seen, games.names, joint, needs.mixed != "nothing", wanted.initial)
        tables["reward_model"] = spec
    return Neural(ground, policy, value, model, needs, tables, experiment.normalise)


def playground(experiment: Experiment, environment: Environment) -> Playground:
    """The games of an experiment; those of an environment with finitely many states show them one-hot."""
    if isinstance(environment, GamesSource):
        return Playground(environment.make, environment.probe, environment.replicated, experiment.stagger)
    make = partial(TabularGames, environment, experiment.envs)
    return Playground(make, make(), True, experiment.stagger)


def network_table(model: type[Options], table: dict[str, Any], basis: dict[str, Any], observation: tuple[int, ...],
           key: str) -> tuple[Any, dict[str, Any]]:
    """The options of `model` in a table, and the network that the rest of it describes, complete.

    Args:
        basis: the network on which the table is laid where it has neither a name nor a factory of its own, if that is a
            built-in one that can see the observation; else the usual one.

    Raises:
        InputError: an unknown key, or one that does not hold.
    """
    own = {name: value for name, value in table.items() if name in model.model_fields}
    spec = {name: value for name, value in table.items() if name not in model.model_fields}
    if "factory" in spec:
        known = [*Factory.model_fields, *model.model_fields]
        for name in spec:
            if name not in known:
                raise InputError(f"unknown key{did_you_mean(name, known)}", key=f"{key}.{name}", valid=", ".join(known))
    elif "name" not in spec:
        fits = "name" in basis and (basis["name"] != "cnn" or len(observation) > 1)
        spec = (basis if fits else _usual(observation)) | spec
    return checked(model, own, key), complete(spec, key, model.model_fields)


def seeing_actions(critic_spec: dict[str, Any], observation: tuple[int, ...]) -> dict[str, Any]:
    """The usual network of R(s,a) and Q(s,a): the critic's, with a hidden layer, since without one it were f(s) + g(a)."""
    spec = critic_spec if "name" in critic_spec else complete(_usual(observation), "reward_model")
    return spec | {"hidden": [64]} if spec.get("hidden") == [] else spec


def _usual(observation: tuple[int, ...]) -> dict[str, Any]:
    """The network for observations of some shape, where nothing is said."""
    return {"name": "mlp" if len(observation) < 2 else "cnn"}
