"""Agents of a central trainer: networks as policies, critics of the global state or of the agents' own observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.agents.alignment import aligned
from netac.agents.networks._factory import feed_forward
from netac.agents.neural import NeuralActionValue, NeuralPolicy, NeuralStateValue, neural_critic, neural_policy
from netac.agents.parameters import Layout, Parameters
from netac.agents.reparametrised import ReparametrisedPolicy
from netac.agents.steps import Common
from netac.algorithms.centralized._critics import Critics
from netac.algorithms.centralized._diagnostics import COLUMNS, OnPolicyReport
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.centralized._options import OffPolicy, OnPolicy
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs._batched import BatchedEnvironment
from netac.experiment.config import Experiment, Normalise
from netac.experiment.make_env import Environment
from netac.experiment.neural_agents import NetworkCritic, NetworkPolicy, Playground, network_table, playground
from netac.sampling.encoding import Encoding
from netac.sampling.game import GameSampler
from netac.sampling.hosts import state_shape
from netac.sampling.tabular import Features
from netac.utils.errors import InputError

TRIES = 50       # steps of random play in which rewards may be seen to differ


@dataclass(frozen=True)
class Central:
    """What the agents of a trainer are made of.

    Attributes:
        ground: where they play.
        policy: the policies of all agents.
        value: V of the global state, or Q of it and the joint action (of one critic), or V of observations (of all agents).
        needs: what the trainer asks for.
        tables: the tables of the experiment that say how the agents are made, complete.
        normalise: what is normalised.
    """

    ground: Playground
    policy: NeuralPolicy | ReparametrisedPolicy
    value: NeuralStateValue | NeuralActionValue
    needs: TrainerRequirements
    tables: dict[str, Any]
    normalise: Normalise

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        local = self.needs.critics == "observation"
        return Layout(omega=self.value.size if local else 0, lam=0, theta=self.policy.size, shared=self.policy.shared,
                      dtype="float32")

    def describe(self) -> str:
        """Which tensors there are, with shapes and counts."""
        return "\n".join([self.policy.describe(), self.value.describe()])

    def agents(self, local: range, seed: int, settings: OnPolicy) -> OnPolicyAgents:
        """The agents `local`, at their initial values; on process 0 with the trainer's critic."""
        x = Parameters(self.layout, len(local))
        x.theta[:] = self.policy.initial(seed, local)
        optimizer = settings.make_optimizer(self.layout, len(local))
        if self.needs.critics == "observation":
            x.omega[:] = self.value.initial(seed, local)
            critics = Critics(self.value.of(local), x.omega, optimizer, np.zeros((len(local), 3)), settings, seed)
        else:
            mine = range(int(0 in local))
            omega = aligned(len(mine), self.value.size)
            omega[:] = self.value.initial(seed, mine)
            critics = Critics(self.value.of(mine), omega, settings.make_optimizer(
                Layout(omega=self.value.size, lam=0, theta=0, shared=0, dtype="float32"), len(mine)),
                np.zeros((len(mine), 3)), settings, seed, self.needs.value == "action")
        own = self.needs.critics == "observation"
        return OnPolicyAgents(x, self.policy.of(local), optimizer, critics, own, own and self.needs.shared, local, seed,
                      OnPolicyReport(np.zeros((len(local), len(COLUMNS)))))

    def sampler(self, agents: OnPolicyAgents, placement: Placement, ledger: Ledger, seed: int, settings: Common, comm,
              trainer: bool = True) -> GameSampler:
        """Where they live.

        Args:
            trainer: False to play without one, and without what explores.
        """
        ground, policy = self.ground, agents.policy if trainer else self.policy.of(agents.local)
        return GameSampler(ground.make, policy, placement, ledger, seed, False, settings.gamma, Features(), comm,
                     replicated=ground.replicated, stagger=ground.stagger, trainer=trainer,
                     state=trainer and self.needs.critics == "state",
                     normalise_observations=self.normalise.observations)


def make_central(experiment: Experiment, environment: Environment, needs: TrainerRequirements, settings: OnPolicy) -> Central:
    """The agents that the tables [policy] and [critic] describe, each kind of network tried out once.

    Raises:
        InputError: a table does not hold, a network does not fit its spaces, or unlike agents shall share their parameters.
    """
    samples = experiment.envs * settings.rollout
    for key in ("minibatches", "critic_minibatches"):
        if samples % getattr(settings, key):
            raise InputError(f"the {samples} samples of an iteration cannot be dealt into so many equal parts",
                             key=f"algorithm.{key}", found=getattr(settings, key), valid="a divisor of envs x rollout")
    ground = playground(experiment, environment)
    games = ground.probe
    local = needs.critics == "observation"
    refuse_for_trainers(experiment, needs, settings, ground, one_critic=not local)
    policy, policy_spec = network_table(NetworkPolicy, experiment.policy, {}, games.observations[0], "policy")
    policy = policy.model_copy(update={"shared": ["*"] if needs.shared else [], "entropy": settings.entropy})
    seen = games.observations if local else (state_shape(games),)
    critic, critic_spec = network_table(NetworkCritic, experiment.critic, feed_forward(policy_spec), seen[0], "critic")
    tables = {"policy": {**policy.model_dump(), **policy_spec},
              "critic": {**critic.model_dump(), "input": needs.critics, **critic_spec}}
    names = games.names if local else ("the trainer",)
    policies = neural_policy(policy_spec, games.observations, games.actions, games.names, **policy.model_dump(), recurrent=True)
    if policies.memory:
        _refuse_chunks(experiment.envs, settings)
    return Central(ground, policies,
                   neural_critic(f"{needs.value}_value", critic_spec, seen, names, Encoding(games.actions).size,
                                 local and needs.shared, policy.initial),
                   needs, tables, experiment.normalise)


def refuse_for_trainers(experiment: Experiment, needs: TrainerRequirements, settings: OnPolicy | OffPolicy, ground: Playground,
                        one_critic: bool) -> None:
    """Refuse what no trainer can do.

    Raises:
        InputError: rewards shall be normalised, critics see something else or in another order, or one critic has no one
            reward to learn from.
    """
    if experiment.normalise.rewards:
        raise InputError("is for decentralized algorithms", key="normalise.rewards", found=True, valid="false" + (
            "; a trainer's critics normalise returns: algorithm.value_normalisation" if isinstance(settings, OnPolicy) else ""))
    if experiment.critic.get("input", needs.critics) != needs.critics:
        raise InputError(f"the critics of {experiment.algorithm['name']} see the {needs.critics}", key="critic.input",
                         found=experiment.critic["input"], valid=f'"{needs.critics}", or without it')
    if needs.value == "action" and experiment.critic.get("joint") == "own-first":
        raise InputError("a trainer's critics see the joint action in the order of the agents", key="critic.joint",
                         found="own-first", valid='"agents", or without it')
    if one_critic and settings.team_reward is None and _rewards_differ(ground):
        raise InputError("the agents' rewards differ, and a trainer with one critic learns from the team's",
                         key="algorithm.team_reward", valid='"mean" or "sum" of the agents\' rewards')


def _refuse_chunks(games: int, settings: OnPolicy) -> None:
    """Refuse rollouts that are no whole number of chunks, or chunks that cannot be dealt."""
    if settings.rollout % settings.chunk:
        raise InputError("policies with memory learn from chunks, of which a rollout is a whole number", key="algorithm.chunk",
                         found=settings.chunk, valid=f"a divisor of algorithm.rollout = {settings.rollout}")
    chunks = games * settings.rollout // settings.chunk
    if chunks % settings.minibatches:
        raise InputError(f"the {chunks} chunks of an iteration cannot be dealt into so many equal parts",
                         key="algorithm.minibatches", found=settings.minibatches, valid="a divisor of envs x rollout / chunk")


def _rewards_differ(ground: Playground) -> bool:
    """Whether agents' rewards were seen to differ in a few steps of random play."""
    games, rng = ground.make(), np.random.default_rng(0)
    games.begin(0, 0)
    differ, tries = False, TRIES if games.agents > 1 else 0
    while tries and not differ:
        step = games.step(_anything(games, rng))
        differ = bool((step.r != step.r[:1]).any())
        if step.done.any():
            games.restart(step.done)
        tries -= 1
    getattr(games, "close", bool)()
    return differ


def _anything(games: BatchedEnvironment, rng: np.random.Generator) -> np.ndarray:
    """A joint action as `BatchedEnvironment.step` takes it, drawn evenly (vectors: within their bounds, or within +-1)."""
    spaces, size = games.actions, max(space.size for space in games.actions)
    if all(space.n_actions for space in spaces):
        return np.stack([rng.integers(space.n_actions, size=games.games) for space in spaces])
    found = np.zeros((games.agents, games.games, size))
    for own, space in zip(found, spaces, strict=True):
        if space.n_actions:
            own[:, 0] = rng.integers(space.n_actions, size=games.games)
        else:
            own[:, :space.size] = rng.uniform(np.maximum(space.low, -1.0), np.minimum(space.high, 1.0),
                                              (games.games, space.size))
    return found
