"""Agents without a trainer that learn from trajectories: networks as policies, critics and models of the reward."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from netac.agents.neural.joint_policies import joint_policy
from netac.agents.neural.policies import neural_policy
from netac.algorithms.decentralized._rollouts import BESIDE, NetworkedRollouts, RolloutAgents, RolloutRequirements
from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport
from netac.comm.ledger import Ledger
from netac.envs._batched import has_masks
from netac.experiment import neural_agents
from netac.experiment.make_env import Environment
from netac.experiment.neural_agents import Neural
from netac.experiment.on_policy_agents import refuse_parts
from netac.experiment.schema import Experiment
from netac.utils.errors import InputError


@dataclass(frozen=True)
class OnTrajectories(Neural):
    """What such agents are made of; see `Neural`.

    Attributes:
        log_every: iterations between those whose diagnostics are written.
    """

    log_every: int = 1

    def ledger(self) -> Ledger:
        """Where traffic is counted: agents whose policies are over joint actions announce what they may do with what
        they do."""
        ledger, games = super().ledger(), self.ground.probe
        if self.needs.joint and has_masks(games):
            ledger.action_bytes += -(-max(space.outputs for space in games.actions) // 8)
        return ledger

    def agents(self, local: range, seed: int, settings: Any) -> RolloutAgents:
        """The agents `local`, at their initial values."""
        made = super().agents(local, seed, settings)
        return RolloutAgents(parameters=made.parameters, policy=self.policy.of(local), optimizer=made.optimizer,
                             V=made.V, R=made.R, local=local, count=self.ground.probe.agents, seed=seed,
                             settings=settings, report=OnPolicyReport.of(len(local), self.log_every, BESIDE))


def make(experiment: Experiment, environment: Environment, needs: RolloutRequirements,
         settings: NetworkedRollouts) -> OnTrajectories:
    """The agents that the tables [policy], [critic] and [reward_model] describe.

    Raises:
        InputError: as that of `netac.experiment.neural_agents.make`; samples that cannot be dealt; a policy that is
            not shared as a whole where agents are to agree on it.
    """
    made = neural_agents.make(experiment, environment, needs, settings, entropy=settings.entropy, recurrent=True,
                              make_policy=joint_policy if needs.joint else neural_policy)
    refuse_parts(experiment.envs, settings, memory=made.policy.memory > 0)
    if needs.agreeing and made.policy.shared < made.policy.size:
        raise InputError(f"the agents of {experiment.algorithm.name} are to agree on one policy, but a part is not "
                         "shared", key="policy.shared", found=made.parts["policy"].options.shared,
                         valid='["*"], with agents whose spaces are alike; or algorithm.name = "cppo"')
    return OnTrajectories(**{each.name: getattr(made, each.name) for each in fields(made)},
                          log_every=experiment.log_every)
