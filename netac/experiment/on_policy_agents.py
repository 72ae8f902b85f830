"""Agents of a central trainer: networks as policies, critics of the global state or of the agents' own observations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from netac.agents.alignment import aligned
from netac.agents.networks._factory import feed_forward
from netac.agents.neural.critics import NeuralActionValue, NeuralStateValue, neural_critic
from netac.agents.neural.policies import NeuralPolicy, neural_policy
from netac.agents.neural.tensors import UnlikeAgentsError
from netac.agents.parameters import Layout, Parameters
from netac.agents.steps import Common
from netac.algorithms.centralized._costs import LimitedCosts
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import OnPolicy
from netac.algorithms.policy_gradient.critics import Critics
from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs._batched import drawn_evenly, has_costs, state_shape
from netac.experiment.budget import fits
from netac.experiment.environment_graph import ground_of
from netac.experiment.linear_agents import discounts, refuse_endless_discounts
from netac.experiment.make_env import Environment, GamesSource, closed
from netac.experiment.neural_agents import NetworkTable, PlayingAgents, read_part, read_policy, value_name
from netac.experiment.schema import Experiment, NetworkCritic, NetworkPolicy
from netac.sampling.encoding import Encoding
from netac.sampling.game import GameSampler
from netac.sampling.protocol import Features
from netac.utils.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

SettingsT = TypeVar("SettingsT", bound=Common)
MadeT = TypeVar("MadeT")
TRIES = 50       # steps of random play in which rewards may be seen to differ


@dataclass(frozen=True)
class CentrallyTrained(PlayingAgents):
    """What the agents of any trainer are made of; see `PlayingAgents`."""

    has_trainer: ClassVar[bool] = True

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        own = self.value if self.needs.critics == "own" else None
        return Layout(omega=own.size if own else 0, lam=0, theta=self.policy.size, shared=self.policy.shared,
                      dtype="float32")

    def sampler(self, agents: Any, placement: Placement, ledger: Ledger, seed: int,
                settings: Common, comm: MPI.Intracomm | None, play: bool = False) -> GameSampler:
        """What draws their samples, for a trainer.

        Args:
            play: without one, and without what explores.
        """
        ground, policy = self.ground, self.policy.of(agents.local) if play else agents.policy
        return GameSampler(ground.make, policy, placement, ledger, seed, False, settings.discount, Features(), comm,
                           replicated=ground.replicated, stagger=self.stagger, sight=ground.sight,
                           trainer=not play,
                           state=not play and self.needs.critics == "state",
                           normalise_observations=self.normalise.observations, learning=not play,
                           discounted=not play and discounts(settings))


@dataclass(frozen=True)
class Central(CentrallyTrained):
    """What the agents of an on-policy trainer are made of; see `PlayingAgents`.

    Attributes:
        value: V of the global state, or Q of it and the joint action (of one critic), or V of observations (of all
            agents).
        needs: `netac.algorithms.centralized._on_policy.TrainerRequirements`.
        log_every: iterations between those whose diagnostics are written.
        costs: V of each agent's costs, of the global state, where the algorithm asks for them.
    """

    policy: NeuralPolicy
    value: NeuralStateValue | NeuralActionValue
    log_every: int = 1
    costs: NeuralStateValue | None = None

    def agents(self, local: range, seed: int, settings: OnPolicy) -> OnPolicyAgents:
        """The agents `local`, at their initial values; on process 0 with the trainer's critic."""
        x = Parameters(self.layout, len(local))
        x.theta[:] = self.policy.initial(seed, local)
        optimizer = settings.make_optimizer(self.layout, len(local))
        if self.needs.critics == "own":
            x.omega[:] = self.value.initial(seed, local)
            critics = Critics(self.value.of(local), x.omega, optimizer, np.zeros((len(local), 3)), settings, seed)
        else:
            critics = _of_trainer(self.value, range(1), local, seed, settings, self.needs.value == "action")
        limited = None if self.costs is None else self._limited(self.costs, local, seed, settings)
        own = self.needs.critics == "own"
        return OnPolicyAgents(x, self.policy.of(local), optimizer, critics, own, own and self.needs.shared, local, seed,
                              OnPolicyReport.of(len(local), self.log_every, self.needs.beside), limited)

    def _limited(self, V: NeuralStateValue, local: range, seed: int, settings: Any) -> LimitedCosts:
        """What the trainer knows of costs, multipliers at their initial values."""
        N, multiplier = self.ground.agents, getattr(settings, "multiplier", 1.0)
        nu = np.full(N, multiplier + np.log(-np.expm1(-multiplier)))                  # softplus(nu) = multiplier
        return LimitedCosts(_of_trainer(V, range(N), local, seed, settings, name="costs"), settings.limits(N), nu)


def _of_trainer(V: NeuralStateValue | NeuralActionValue, mine: range, local: range, seed: int, settings: OnPolicy,
                of_actions: bool = False, name: str = "trainer") -> Critics:
    """The critics `mine` of a trainer, at their initial values; none on processes other than 0.

    Args:
        local: the agents of this process.
        of_actions, name: see `Critics`.
    """
    mine = mine if 0 in local else mine[:0]
    omega = aligned(len(mine), V.size)
    omega[:] = V.initial(seed, mine)
    layout = Layout(omega=V.size, lam=0, theta=0, shared=0, dtype="float32")
    return Critics(V.of(mine), omega, settings.make_optimizer(layout, len(mine)), np.zeros((len(mine), 3)), settings,
                   seed, of_actions, name)


def make(experiment: Experiment, environment: Environment, needs: TrainerRequirements, settings: OnPolicy) -> Central:
    """The agents that the tables [policy] and [critic] describe, each kind of network tried out once.

    Raises:
        InputError: a table does not hold, a network does not fit its spaces, or unlike agents shall share their
            parameters.
    """
    refuse_parts(experiment.envs, settings, memory=False)
    local = needs.critics == "own"
    ground = ground_of(environment, experiment, state=not local)
    games, sight = ground.probe, ground.sight
    refuse_for_trainers(experiment, needs, settings, ground)
    if needs.costs:
        refuse_for_costs(experiment, settings, ground)
    settings, notes = with_team_reward(settings, ground, one_critic=not local)
    policies_see = sight.shapes(sight.policy)
    policy = read_policy(experiment, policies_see[0])
    policy = replace(policy, options=policy.options.model_copy(update={"entropy": settings.entropy}))
    seen = policies_see if local else (state_shape(games),)
    critic = read_part(NetworkCritic, experiment.critic, feed_forward(policy.network), seen[0], "critic")
    critic = replace(critic, options=critic.options.model_copy(update={"sees": sight.critics}))

    def networks(shared: bool) -> tuple[
            NetworkTable[NetworkPolicy], NeuralPolicy, NeuralStateValue | NeuralActionValue]:
        table = of_sharing(policy, shared)
        policies = neural_policy(policy.network, policies_see, games.actions, games.names,
                                 **table.options.of_networks(), recurrent=True)
        value = neural_critic(value_name(needs.value), critic.network, seen, games.names if local else ("the trainer",),
                              Encoding(games.actions).size, local and shared, table.options.initial)
        return table, policies, value

    (policy, policies, value), shared, more = shared_or_separate(needs, settings, networks)
    needs, notes = replace(needs, shared=shared), notes + more
    if "parameters" in type(settings).model_fields:
        settings = settings.model_copy(update={"parameters": "shared" if shared else "separate"})
    refuse_parts(experiment.envs, settings, memory=policies.memory > 0)
    costs = None if not needs.costs else neural_critic(
        "state_value", critic.network, seen * len(games.names), games.names, 0, False, policy.options.initial)
    return Central(ground, experiment.stagger, policies, value, needs, {"policy": policy, "critic": critic},
                   experiment.normalise, settings, notes, log_every=experiment.log_every, costs=costs)


def of_sharing(policy: NetworkTable[NetworkPolicy], shared: bool) -> NetworkTable[NetworkPolicy]:
    """The table [policy] of agents who share all of their parameters, from the beginning, or none."""
    options = {"shared": ["*"], "initial": "common"} if shared else {"shared": []}
    return replace(policy, options=policy.options.model_copy(update=options))


def shared_or_separate(needs: TrainerRequirements, settings: Any,
                       networks: Callable[[bool], MadeT]) -> tuple[MadeT, bool, tuple[str, ...]]:
    """Networks that agents share, or that each has by itself; which of the two; and a note where that was chosen.

    Args:
        networks: makes them, shared or not.

    Raises:
        InputError: unlike agents shall share their parameters.
    """
    try:
        return networks(needs.shared), needs.shared, ()
    except UnlikeAgentsError as error:
        if settings.parameters == "shared":
            raise InputError(error.problem, key="algorithm.parameters", found="shared", valid='"separate"') from None
        return networks(False), False, (
            f'{error.problem}: every agent has parameters of its own (algorithm.parameters = "separate")',)


def refuse_for_trainers(experiment: Experiment, needs: TrainerRequirements, settings: Common,
                        ground: GamesSource) -> None:
    """Refuse what no trainer can do.

    Raises:
        InputError: rewards shall be normalised, critics see something else or in another order, or returns have no
            bound.
    """
    if settings.discount == 1.0 and ground.endless:
        raise InputError("the undiscounted return of episodes without an end is infinite", key="algorithm.gamma",
                         found=1.0, valid="a discount below 1 with this environment")
    refuse_endless_discounts(settings, ground.endless)
    if experiment.normalise.rewards:
        instead = "; a trainer's critics normalise returns: algorithm.value_normalisation"
        raise InputError("is for decentralized algorithms", key="normalise.rewards", found=True,
                         valid="false" + (instead if "value_normalisation" in type(settings).model_fields else ""))
    usual = "state" if needs.critics == "state" else ground.sight.policy
    if experiment.critic.get("sees", usual) != usual:
        what = "the state" if needs.critics == "state" else "what its policies see"
        raise InputError(f"the critics of {experiment.algorithm.name} see {what}", key="critic.sees",
                         found=experiment.critic["sees"], valid=f'"{usual}", or without it')
    if needs.value == "action" and experiment.critic.get("joint") == "own-first":
        raise InputError("a trainer's critics see the joint action in the order of the agents", key="critic.joint",
                         found="own-first", valid='"agents", or without it')


def refuse_for_costs(experiment: Experiment, settings: Any, ground: GamesSource) -> None:
    """Refuse what cannot be kept within limits.

    Raises:
        InputError: the environment's steps have no costs, or there are not as many limits as agents.
    """
    if not has_costs(ground.probe):
        raise InputError("there is a cost limit, but the steps of this environment have no costs", key="env",
                         found=experiment.env.called, valid="one with costs, such as a finite-mdp with costs, or a "
                         'PettingZoo environment with infos[agent]["cost"]; or algorithm.name = "happo"')
    limits = settings.cost_limit
    if isinstance(limits, list) and len(limits) not in (1, experiment.agents):
        raise InputError("the number of limits is not that of the agents", key="algorithm.cost_limit", found=limits,
                         valid=f"one number, or a list of {experiment.agents}, one for each agent")


def with_team_reward(settings: SettingsT, ground: GamesSource, one_critic: bool) -> tuple[SettingsT, tuple[str, ...]]:
    """The options with the reward that one critic learns from, if nothing is said and rewards differ, and a note of it.

    The mean is what CAC, DAC and MDAC maximise as well.
    """
    if not one_critic or vars(settings)["team_reward"] is not None or not _rewards_differ(ground):
        return settings, ()
    return settings.model_copy(update={"team_reward": "mean"}), (
        "the agents' rewards differ: the trainer's critic learns from their mean (algorithm.team_reward = \"mean\")",)


def refuse_parts(games: int, settings: Any, memory: bool) -> None:
    """Refuse samples that cannot be dealt into minibatches; with policies that have a memory also chunks.

    Raises:
        InputError: they cannot.
    """
    samples = games * settings.rollout
    for key in ("minibatches", "critic_minibatches"):
        if samples % getattr(settings, key, 1):
            raise InputError(f"the {samples} samples of an iteration cannot be dealt into so many equal parts",
                             key=f"algorithm.{key}", found=getattr(settings, key), valid="a divisor of envs x rollout")
    if not memory:
        return
    refuse_chunk(settings.rollout, settings.chunk)
    chunks = samples // settings.chunk
    if chunks % settings.minibatches:
        raise InputError(f"the {chunks} chunks of an iteration cannot be dealt into so many equal parts",
                         key="algorithm.minibatches", found=settings.minibatches,
                         valid="a divisor of envs x rollout / chunk")


def refuse_chunk(rollout: int, chunk: int) -> None:
    """Refuse chunks of which a rollout is not a whole number.

    Raises:
        InputError: it is not.
    """
    if rollout % chunk:
        raise InputError("policies with memory learn from chunks, of which a rollout is a whole number",
                         key="algorithm.chunk", found=chunk, valid=f"a divisor of algorithm.rollout = {rollout}")


def _rewards_differ(ground: GamesSource) -> bool:
    """Whether agents' rewards were seen to differ in a few steps of random play, unless the games say that they never
    do."""
    if not fits(ground.probe) or (ground.weights is None and getattr(ground.probe, "common_reward", False)):
        return False
    games, rng = ground.make(), np.random.default_rng(0)
    games.begin(0, 0)
    differ, tries = False, TRIES if games.agents > 1 else 0
    while tries and not differ:
        step = games.step(drawn_evenly(games, rng))
        differ = bool((step.r != step.r[:1]).any())
        if step.done.any():
            games.restart(step.done)
        tries -= 1
    closed(games)
    return differ
