"""Agents of a central trainer with a replay: differentiable policies, and critics of the state and the joint action."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from netac.agents.alignment import aligned
from netac.agents.neural.critics import NeuralActionValue, neural_critic
from netac.agents.neural.reparametrised import ReparametrisedPolicy, reparametrised_policy
from netac.agents.parameters import Layout, Parameters
from netac.algorithms.centralized._action_values import ActionValues
from netac.algorithms.centralized._off_policy import (
    OffPolicyAgents,
    OffPolicyReport,
    ReplayAgents,
    ReplayRequirements,
)
from netac.algorithms.centralized._options import OffPolicy
from netac.envs._batched import state_shape
from netac.experiment.environment_graph import ground_of
from netac.experiment.make_env import Environment
from netac.experiment.neural_agents import NetworkTable, read_part, read_policy, seeing_actions
from netac.experiment.on_policy_agents import (
    CentrallyTrained,
    of_sharing,
    refuse_for_trainers,
    shared_or_separate,
    with_team_reward,
)
from netac.experiment.schema import Experiment, NetworkCritic, NetworkPolicy
from netac.sampling.encoding import Encoding
from netac.sampling.replay import Replay
from netac.utils.errors import InputError


@dataclass(frozen=True)
class Replaying(CentrallyTrained):
    """What the agents of a trainer with a replay are made of; see `PlayingAgents`.

    Attributes:
        policy: without what explores.
        value: Q of the joint action, of each agent or of the team.
        needs: `netac.algorithms.centralized._off_policy.ReplayRequirements`.
    """

    policy: ReparametrisedPolicy
    value: NeuralActionValue

    def agents(self, local: range, seed: int, settings: OffPolicy) -> OffPolicyAgents:
        """The agents of this process, at their initial values; on process 0 with the trainer's critics."""
        n, names = len(local), range((len(self.policy.actions) if self.needs.every else 1) * (0 in local))
        x, targets = Parameters(self.layout, n), aligned(n, self.policy.size)
        x.theta[:] = targets[:] = self.policy.initial(seed, local)
        exploring = replace(self.policy, deviation=settings.noise, epsilon=settings.epsilon)
        omega, omega_targets = (aligned(len(names), self.value.size) for _ in range(2))
        omega[:] = omega_targets[:] = self.value.initial(seed, names)
        held = Layout(omega=self.value.size, lam=0, theta=0, shared=0, dtype="float32")
        critics = ActionValues(omega, omega_targets, settings.make_optimizer(held, len(names)), self.value.of(names),
                               self.value.of(names), self.needs.every, settings)
        return ReplayAgents(x, exploring.of(local), settings.make_optimizer(self.layout, n), targets,
                            self.policy.of(local), critics, Replay(self.ground.probe, local, settings.buffer), local,
                            seed, OffPolicyReport(np.zeros(n), np.zeros((2, len(names)))))


def make(experiment: Experiment, environment: Environment, needs: ReplayRequirements, settings: OffPolicy) -> Replaying:
    """The agents that the tables [policy] and [critic] describe, each kind of network tried out once.

    Raises:
        InputError: a table does not hold, a network does not fit its spaces or has a memory, or the replay is too
            small.
    """
    ground = ground_of(environment, experiment, state=True)
    games, policies_see = ground.probe, ground.sight.shapes(ground.sight.policy)
    refuse_for_trainers(experiment, needs, settings, ground)
    settings, notes = with_team_reward(settings, ground, one_critic=not needs.every)
    refuse_buffer(settings.buffer, settings.batch)
    policy = read_policy(experiment, policies_see[0])
    policy = replace(policy, options=policy.options.model_copy(update={"entropy": 0.0}))
    seen = (state_shape(games),) * (games.agents if needs.every else 1)
    critic = read_part(NetworkCritic, experiment.critic, seeing_actions(policy.network, seen[0]), seen[0], "critic")
    critic = replace(critic, options=critic.options.model_copy(update={"sees": "state", "joint": "agents"}))
    if critic.network.table().get("hidden") == []:
        raise InputError("without a hidden layer Q(s, a) were f(s) + g(a), and an action as good or bad in all states",
                         key="critic.hidden", found=[], valid="widths of hidden layers, e.g. [64]")

    def networks(shared: bool) -> tuple[NetworkTable[NetworkPolicy], ReparametrisedPolicy]:
        table = of_sharing(policy, shared)
        return table, reparametrised_policy(policy.network, policies_see, games.actions, games.names,
                                            table.options.initial, settings.temperature, settings.penalty,
                                            table.options.shared)

    (policy, policies), shared, _ = shared_or_separate(needs, settings, networks)
    names = games.names if needs.every else ("the trainer",)
    value = neural_critic("action_value", critic.network, seen, names, Encoding(games.actions).size, False,
                          policy.options.initial)
    return Replaying(ground, experiment.stagger, policies, value, replace(needs, shared=shared),
                     {"policy": policy, "critic": critic}, experiment.normalise, settings, notes)


def refuse_buffer(buffer: int, batch: int, chunk: int = 1) -> None:
    """Refuse a replay that holds fewer than `batch` sequences of `chunk` steps.

    Raises:
        InputError: it does.
    """
    if buffer < batch * chunk:
        batches = f"algorithm.batch = {batch}" if chunk == 1 else f"algorithm.batch x chunk = {batch * chunk}"
        raise InputError("the replay is smaller than a batch", key="algorithm.buffer", found=buffer,
                         valid=f"at least {batches}")
