"""Agents of a central trainer that factorises the team's action value: utilities, and what mixes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from netac.agents.alignment import aligned
from netac.agents.networks._factory import feed_forward
from netac.agents.neural.critics import NeuralWeights, neural_weights
from netac.agents.neural.utilities import UtilityPolicy, utility_policy
from netac.agents.parameters import Layout, Parameters
from netac.algorithms.centralized._factorised import FactorisedAgents
from netac.algorithms.centralized._mixing import Mixer, MixingRequirements
from netac.algorithms.centralized._off_policy import OffPolicyReport, ReplayAgents
from netac.algorithms.centralized._options import Factorised
from netac.envs._batched import BatchedEnvironment, state_shape
from netac.experiment.environment_graph import ground_of
from netac.experiment.make_env import Environment
from netac.experiment.neural_agents import NetworkTable, read_part, read_policy, seeing_actions
from netac.experiment.off_policy_agents import refuse_buffer
from netac.experiment.on_policy_agents import (
    CentrallyTrained,
    of_sharing,
    refuse_chunk,
    refuse_for_trainers,
    shared_or_separate,
    with_team_reward,
)
from netac.experiment.schema import Experiment, NetworkCritic, NetworkPolicy
from netac.sampling.encoding import Encoding
from netac.sampling.replay import Replay
from netac.utils.errors import InputError


@dataclass(frozen=True)
class Factorising(CentrallyTrained):
    """What the agents of such a trainer are made of; see `PlayingAgents`.

    Attributes:
        policy: utilities, without exploration.
        value: the network that gives what utilities are mixed by, if there is one.
        needs: `netac.algorithms.centralized._mixing.MixingRequirements`.
    """

    policy: UtilityPolicy
    value: NeuralWeights | None

    def agents(self, local: range, seed: int, settings: Factorised) -> FactorisedAgents:
        """The agents of this process, at their initial values; on process 0 with what the trainer mixes by."""
        n, value = len(local), self.value
        x, targets = Parameters(self.layout, n), aligned(n, self.policy.size)
        x.theta[:] = targets[:] = self.policy.initial(seed, local)
        assert settings.chunk is not None, "options are complete before they are used"
        replay = Replay(self.ground.probe, local, settings.buffer, settings.chunk, self.policy.memory, acting=True)
        size, names = (0, range(0)) if value is None else (value.size, range(int(0 in local)))
        omega, omega_targets = (aligned(len(names), size) for _ in range(2))
        if value is not None:
            omega[:] = omega_targets[:] = value.initial(seed, names)
        mixing = Mixer(omega, omega_targets, settings.make_optimizer(
            Layout(omega=size, lam=0, theta=0, shared=0, dtype="float32"), len(names)), self.needs, settings,
            *(None if value is None else value.of(names) for _ in range(2)))
        return ReplayAgents(x, self.policy.of(local), settings.make_optimizer(self.layout, n), targets,
                            self.policy.of(local), mixing, replay, local, seed,
                            OffPolicyReport(np.zeros(n), np.zeros((2, int(0 in local)))))


def make(experiment: Experiment, environment: Environment, needs: MixingRequirements,
         settings: Factorised) -> Factorising:
    """The agents that the tables [policy] and [critic] describe, each kind of network tried out once.

    Raises:
        InputError: a table does not hold, a network does not fit its spaces, actions are vectors, or sequences do not
            fit the rollouts or the replay.
    """
    ground = ground_of(environment, experiment, state=True)
    games, seen = ground.probe, ground.sight.shapes(ground.sight.policy)
    if not all(space.choices for space in games.actions):
        raise InputError(f"{experiment.algorithm.name} compares what every single action is worth, and these are "
                         "vectors", key="algorithm.name", found=experiment.algorithm.name,
                         valid="maddpg, haddpg, happo, mappo and others with this environment")
    refuse_for_trainers(experiment, needs, settings, ground)
    settings, notes = with_team_reward(settings, ground, one_critic=True)
    policy = read_policy(experiment, seen[0])
    policy = replace(policy, options=policy.options.model_copy(update={"entropy": 0.0}))

    def utilities(shared: bool) -> tuple[NetworkTable[NetworkPolicy], UtilityPolicy]:
        table = of_sharing(policy, shared)
        return table, utility_policy(policy.network, seen, games.actions, games.names, table.options.shared,
                                     table.options.initial)

    (policy, policies), shared, more = shared_or_separate(needs, settings, utilities)
    settings = settings.model_copy(update={
        "parameters": "shared" if shared else "separate",
        "chunk": settings.chunk or (settings.rollout if policies.memory else 1)})
    assert settings.chunk is not None, "it was filled in"
    refuse_chunk(settings.rollout, settings.chunk)
    refuse_buffer(settings.buffer, settings.batch, settings.chunk)
    parts, value = _mixing(experiment, games, needs, policy)
    return Factorising(ground, experiment.stagger, policies, value, replace(needs, shared=shared),
                       {"policy": policy, **parts}, experiment.normalise, settings, notes + more)


def _mixing(experiment: Experiment, games: BatchedEnvironment, needs: MixingRequirements,
            policy: NetworkTable) -> tuple[dict[str, NetworkTable], NeuralWeights | None]:
    """The network that gives what utilities are mixed by, if there is one, with the table [critic]."""
    state, acting = state_shape(games), needs.value == "action"
    basis = seeing_actions(policy.network, state) if acting else feed_forward(policy.network)
    table = read_part(NetworkCritic, experiment.critic, basis, state, "critic")
    if needs.weights is None:
        return {}, None
    table = replace(table, options=table.options.model_copy(
        update={"sees": "state", "joint": "agents" if acting else None}))
    joint = Encoding(games.actions).size if acting else 0
    return {"critic": table}, neural_weights(table.network, state, needs.weights(games.actions), joint)
