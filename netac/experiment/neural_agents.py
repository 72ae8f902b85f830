"""NetworkedAgents whose policies and critics are torch modules, on environments played as E games side by side.

What the agents of a trainer share with them is here, too: `PlayingAgents`, and the reading of their tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

from netac.agents.distributions import MOST, distribution_of
from netac.agents.networks._factory import Network, feed_forward, read_network
from netac.agents.neural.autoregressive import AutoregressivePolicy
from netac.agents.neural.critics import (
    NeuralActionValue,
    NeuralRewardModel,
    NeuralStateValue,
    NeuralWeights,
    ValueName,
    neural_critic,
)
from netac.agents.neural.policies import NeuralPolicy, neural_policy
from netac.agents.neural.reparametrised import ReparametrisedPolicy
from netac.agents.neural.tensors import UnlikeAgentsError
from netac.agents.neural.utilities import UtilityPolicy
from netac.agents.parameters import Layout, Parameters
from netac.agents.steps import Common
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.experiment.environment_graph import ground_of
from netac.experiment.linear_agents import discounts, refuse_endless_discounts, refuse_exact_sampling
from netac.experiment.make_env import Environment, GamesSource
from netac.experiment.schema import Experiment, NetworkCritic, NetworkPolicy, Normalise
from netac.sampling.encoding import Encoding
from netac.sampling.game import GameSampler
from netac.utils.errors import InputError
from netac.utils.options import Options, checked
from netac.utils.plugins import BuiltIn
from netac.utils.spaces import joint_space

if TYPE_CHECKING:
    from mpi4py import MPI

OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class NetworkTable(Generic[OptionsT]):
    """The table [policy], [critic] or [reward_model] of networks, complete.

    Attributes:
        options: what it says besides of the network.
        network: the network.
    """

    options: OptionsT
    network: Network

    def table(self) -> dict[str, Any]:
        """As a table of an experiment file, an import path after what belongs to it."""
        network = self.network.table()
        if "factory" in network:
            network["factory"] = network.pop("factory")
        return self.options.table() | network

    def defaults(self) -> dict[str, Any]:
        """What the table says where it does not say it."""
        return self.options.defaults() | self.network.defaults()


@dataclass(frozen=True)
class PlayingAgents:
    """What agents that play games, with networks, are made of.

    Attributes:
        ground: where they play.
        stagger: steps over which the games' first episodes are cut short.
        policy: the policies of all agents.
        value: their critics, or the trainer's, or what it mixes their utilities by; None where there are none.
        needs: what the algorithm asks for.
        parts: the tables of the experiment that say how the agents are made, complete.
        normalise: what is normalised.
        settings: the algorithm's options, complete.
        notes: what was chosen for the user where nothing was said and only one choice was left.
    """

    ground: GamesSource
    stagger: int
    policy: NeuralPolicy | ReparametrisedPolicy | UtilityPolicy | AutoregressivePolicy
    value: NeuralStateValue | NeuralActionValue | NeuralWeights | None
    needs: Any
    parts: dict[str, NetworkTable]
    normalise: Normalise
    settings: Any
    notes: tuple[str, ...]

    plays_games: ClassVar[bool] = True
    acts_centrally: ClassVar[bool] = False

    def describe(self) -> str:
        """Which tensors there are, with shapes and counts, and which of them are shared."""
        return "\n".join([self.policy.describe(), *([] if self.value is None else [self.value.describe()])])

    def ledger(self) -> Ledger:
        """Where traffic is counted: the joint actions of all games are announced together."""
        games = self.ground.probe
        return Ledger(games.agents, joint_space(games.actions).nbytes, games.games)

    def to_play(self, ground: GamesSource) -> Self:
        """The same agents to be played there, with rewards as they are."""
        return replace(self, ground=replace(ground, weights=None),
                       normalise=self.normalise.model_copy(update={"rewards": False}))


@dataclass(frozen=True)
class Neural(PlayingAgents):
    """What agents with networks are made of, where there is no trainer; see `PlayingAgents`.

    Attributes:
        value: V, or Q of the joint action.
        reward_model: R, None where the algorithm has none.
        needs: `netac.algorithms.decentralized._base.Requirements`.
        critic: what V, Q and R see.
    """

    policy: NeuralPolicy
    value: NeuralStateValue | NeuralActionValue
    reward_model: NeuralRewardModel | None
    critic: NetworkCritic

    has_trainer: ClassVar[bool] = False

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        needs, policy = self.needs, self.policy
        return Layout(omega=self.value.size, lam=self.reward_model.size if self.reward_model else 0, theta=policy.size,
                      shared=policy.shared, mu=int(needs.mu), mixed=needs.mixed, state=needs.state,
                      agents=self.ground.probe.agents, dtype="float32")

    def describe(self) -> str:
        """Which tensors there are, with shapes and counts, and which of them are shared."""
        return "\n".join([super().describe(), *([self.reward_model.describe()] if self.reward_model else [])])

    def agents(self, local: range, seed: int, settings: Common) -> NetworkedAgents:
        """The agents `local`, at their initial values."""
        x = Parameters(self.layout, len(local))
        x.theta[:] = self.policy.initial(seed, local)
        x.omega[:] = self.value.initial(seed, local)
        critics: dict[str, Any] = {"V" if self.needs.value == "state" else "Q": self.value.of(local)}
        if self.reward_model is not None:
            x.lam[:] = self.reward_model.initial(seed, local)
            critics["R"] = self.reward_model.of(local)
        optimizer = settings.make_optimizer(self.layout, len(local))
        return NetworkedAgents(x, self.policy.of(local), optimizer, **critics)

    def sampler(self, agents: NetworkedAgents, placement: Placement, ledger: Ledger, seed: int, settings: Any,
                comm: MPI.Intracomm | None, play: bool = False) -> GameSampler:
        """What draws their samples, whether they learn or play."""
        ground, normalise, double = self.ground, self.normalise, getattr(settings, "sampling", "") == "double"
        return GameSampler(ground.make, agents.policy, placement, ledger, seed, double, settings.discount,
                           self.needs.features, comm, replicated=ground.replicated, stagger=self.stagger,
                           state=self.critic.sees == "state" != ground.sight.policy,
                           sight=ground.sight, own_first=self.critic.joint == "own-first",
                           normalise_observations=normalise.observations, normalise_rewards=normalise.rewards,
                           learning=not play, discounted=not play and discounts(settings))


def make(experiment: Experiment, environment: Environment, needs: Requirements, settings: Any,
         entropy: float | None = None, recurrent: bool = False,
         make_policy: Callable[..., NeuralPolicy] = neural_policy) -> Neural:
    """The agents that the tables [policy], [critic] and [reward_model] describe, each kind of network tried out once.

    Args:
        entropy: the coefficient of the bonus, where an option of the algorithm says it, not the table [policy].
        recurrent: whether policies may have a memory.
        make_policy: makes the policies of all agents.

    Raises:
        InputError: a table does not hold, a network does not fit its spaces, or agents cannot share what they should.
    """
    refuse_exact_sampling(settings)
    ground = ground_of(environment, experiment)
    games, sight = ground.probe, ground.sight
    refuse_endless_discounts(settings, ground.endless)
    seen = sight.shapes(sight.policy)
    policy = read_policy(experiment, seen[0])
    if entropy is not None:
        policy = replace(policy, options=policy.options.model_copy(update={"entropy": entropy}))
    wanted = policy.options
    if wanted.entropy and not needs.entropy_bonus:
        raise InputError("the algorithm's direction knows no entropy bonus", key="policy.entropy", found=wanted.entropy,
                         valid="0")
    notes = []

    def policies_of(policy: NetworkTable[NetworkPolicy]) -> NeuralPolicy:
        return make_policy(policy.network, seen, games.actions, games.names, **policy.options.of_networks(),
                           recurrent=recurrent)

    try:
        policies = policies_of(policy)
    except UnlikeAgentsError as error:
        if "shared" in needs.mixed:
            if "shared" in experiment.policy:
                raise InputError(error.problem, key="policy.shared", found=wanted.shared, valid=(
                    "patterns of layers whose shape does not depend on an agent's spaces, or [] for none")) from None
            notes.append(f"{error.problem}: nothing of the policies is shared (policy.shared = [])")
        policy = replace(policy, options=wanted.model_copy(update={"shared": []}))
        policies = policies_of(policy)
    if needs.value == "action" and not all(distribution_of(space).enumerated for space in games.actions):
        raise InputError("an action value Q(s, a) has no sum over own actions that are vectors, or several choices of "
                         f"more than {MOST} actions together", key="algorithm.critic", found="action_value",
                         valid='"state_value" with this environment')
    try:
        critics = _critics(experiment, needs, ground, policy)
    except UnlikeAgentsError as error:
        if "sees" in experiment.critic or sight.state is None:
            instead = '"state"' if sight.state else "agents that see the same, an environment with a global state"
            raise InputError(f"{error.problem}, and {experiment.algorithm.name} mixes critics as a whole",
                             key="critic.sees", found=sight.critics,
                             valid=f'{instead}, or algorithm.name = "iac", which mixes nothing') from None
        ground = ground_of(environment, experiment, state=True)
        critics = _critics(experiment, needs, ground, policy)
        notes.append(f'{error.problem}: critics, which are mixed as a whole, see the state (critic.sees = "state")')
    value, model, parts = critics
    return Neural(ground, experiment.stagger, policies, value, needs, {"policy": policy, **parts}, experiment.normalise,
                  settings, tuple(notes), model, parts["critic"].options)


def _critics(experiment: Experiment, needs: Requirements, ground: GamesSource,
             policy: NetworkTable[NetworkPolicy],
             ) -> tuple[NeuralStateValue | NeuralActionValue, NeuralRewardModel | None, dict[str, NetworkTable]]:
    """V or Q, and R where the algorithm has it, with the tables [critic] and [reward_model]."""
    games, sight = ground.probe, ground.sight
    if sight.critics == "state" and sight.state is None:
        raise InputError("this environment has no global state", key="critic.sees", found="state", valid='"own"')
    seen = sight.shapes(sight.critics)
    critic = read_part(NetworkCritic, experiment.critic, feed_forward(policy.network), seen[0], "critic")
    options = critic.options.model_copy(update={"sees": sight.critics})
    critic = replace(critic, options=_ordered(options, len(set(games.actions)) == 1))
    joint, mixed, initial = Encoding(games.actions).size, bool(needs.mixed), policy.options.initial
    value = neural_critic(value_name(needs.value), critic.network, seen, games.names, joint, mixed, initial)
    parts: dict[str, NetworkTable] = {"critic": critic}
    if not needs.reward_model:
        return value, None, parts
    _refuse_critic_keys(experiment.reward_model)
    parts["reward_model"] = read_part(Options, experiment.reward_model, seeing_actions(critic.network, seen[0]),
                                      seen[0], "reward_model")
    model = neural_critic("reward_model", parts["reward_model"].network, seen, games.names, joint, mixed, initial)
    return value, model, parts


def value_name(value: Literal["state", "action"]) -> ValueName:
    """What `neural_critic` calls the critic that an algorithm's requirements ask for."""
    return "state_value" if value == "state" else "action_value"


def _refuse_critic_keys(table: dict[str, Any]) -> None:
    """Refuse what only the table [critic] may say in [reward_model]."""
    for key, found in table.items():
        if key in NetworkCritic.model_fields:
            raise InputError("the reward model sees what the critic sees", key=f"reward_model.{key}", found=found,
                             valid=f"critic.{key}")


def _ordered(critic: NetworkCritic, alike: bool) -> NetworkCritic:
    """With the order of joint actions; `alike`: all agents have the same actions."""
    if critic.joint == "own-first" and not alike:
        raise InputError("agents with different actions have no common order of them", key="critic.joint",
                         found="own-first", valid='"agents"')
    usual = "own-first" if alike and critic.sees != "state" else "agents"
    return critic.model_copy(update={"joint": critic.joint or usual})


def read_policy(experiment: Experiment, observation: tuple[int, ...]) -> NetworkTable[NetworkPolicy]:
    """The table [policy] of networks.

    Raises:
        InputError: as `read_part`.
    """
    return read_part(NetworkPolicy, experiment.policy, None, observation, "policy")


def read_part(model: type[OptionsT], table: dict[str, Any], basis: Network | None, observation: tuple[int, ...],
              key: str) -> NetworkTable[OptionsT]:
    """The options of `model` in a table, and the network that the rest of it describes.

    Args:
        basis: the network on which the table is laid where it has neither a name nor a factory of its own, if that is a
            built-in one that can see the observation; else the usual one.

    Raises:
        InputError: an unknown key, or one that does not hold.
    """
    own = {name: value for name, value in table.items() if name in model.model_fields}
    spec = {name: value for name, value in table.items() if name not in model.model_fields}
    if "factory" not in spec and "name" not in spec:
        usual = _usual(observation)
        if isinstance(basis, BuiltIn) and (basis.name != "cnn" or len(observation) > 1):
            usual = basis.table()
        spec = usual | spec
    return NetworkTable(checked(model, own, key), read_network(spec, key, model.model_fields))


def seeing_actions(critic: Network, observation: tuple[int, ...]) -> Network:
    """The usual network of R(s,a) and Q(s,a): the critic's, with a hidden layer (else it were f(s) + g(a))."""
    network = critic if isinstance(critic, BuiltIn) else read_network(_usual(observation), "reward_model")
    assert isinstance(network, BuiltIn), "the usual network is one of netac's own"
    if getattr(network.settings, "hidden", None) != []:
        return network
    return replace(network, settings=network.settings.model_copy(update={"hidden": [64]}))


def _usual(observation: tuple[int, ...]) -> dict[str, Any]:
    """The network for observations of some shape, where nothing is said."""
    return {"name": "mlp" if len(observation) < 2 else "cnn"}
