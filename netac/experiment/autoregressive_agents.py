"""Agents of a central trainer that holds one model of all of them, and acts for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from netac.agents.networks._factory import feed_forward, read_network
from netac.agents.neural.autoregressive import AutoregressivePolicy, autoregressive_policy
from netac.agents.parameters import Layout, Parameters
from netac.agents.steps import Common
from netac.algorithms.centralized._autoregressive import AutoregressiveAgents, AutoregressiveRequirements
from netac.algorithms.centralized.mat import Settings
from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.experiment.environment_graph import ground_of
from netac.experiment.make_env import Environment
from netac.experiment.neural_agents import read_part
from netac.experiment.on_policy_agents import CentrallyTrained, refuse_for_trainers, refuse_parts, with_team_reward
from netac.experiment.schema import Experiment, NetworkCritic, NetworkPolicy
from netac.sampling.game import GameSampler
from netac.utils.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

NETWORK = "transformer"
MODEL = Layout(omega=0, lam=0, theta=0, shared=0, dtype="float32")       # without its theta


@dataclass(frozen=True)
class Autoregressive(CentrallyTrained):
    """What the agents of such a trainer are made of; see `PlayingAgents`.

    Attributes:
        policy: the model.
        value: None: it gives the values, too.
        needs: `netac.algorithms.centralized._autoregressive.AutoregressiveRequirements`.
        log_every: iterations between those whose diagnostics are written.
    """

    policy: AutoregressivePolicy
    value: None
    log_every: int = 1

    acts_centrally: ClassVar[bool] = True

    @property
    def layout(self) -> Layout:
        """What each agent holds: a row as long as the model, which is that of agent 0."""
        return replace(MODEL, theta=self.policy.size)

    def agents(self, local: range, seed: int, settings: Settings) -> AutoregressiveAgents:
        """The agents `local`, all or none, with the model at its initial values."""
        x, n = Parameters(self.layout, len(local)), len(local)
        x.theta[:] = self.policy.initial(seed, local)
        return AutoregressiveAgents(x, self.policy, settings.make_optimizer(MODEL, n),
                                    settings.make_optimizer(self.layout, 1), local, seed,
                                    OnPolicyReport.of(n, self.log_every))

    def sampler(self, agents: AutoregressiveAgents, placement: Placement, ledger: Ledger, seed: int, settings: Common,
                comm: MPI.Intracomm | None, play: bool = False) -> GameSampler:
        """What draws their samples: by process 0 alone, which has all of them, unless they are only played."""
        return super().sampler(agents, placement, ledger, seed, settings, comm if play else None, play)


def make(experiment: Experiment, environment: Environment, needs: AutoregressiveRequirements,
         settings: Settings) -> Autoregressive:
    """The agents that the table [policy] describes.

    Raises:
        InputError: a table does not hold, or the network is none over all agents.
    """
    refuse_parts(experiment.envs, settings, memory=False)
    ground = ground_of(environment, experiment)
    games, sight = ground.probe, ground.sight
    refuse_for_trainers(experiment, needs, settings, ground)
    settings, notes = with_team_reward(settings, ground, one_critic=True)
    table, seen = experiment.policy, sight.shapes(sight.policy)
    if "factory" in table or table.get("name", NETWORK) != NETWORK:
        key = "factory" if "factory" in table else "name"
        raise InputError(f"{experiment.algorithm.name} has one model of all agents", key=f"policy.{key}",
                         found=table[key], valid=f'"{NETWORK}", or without it')
    policy = read_part(NetworkPolicy, {"name": NETWORK} | table, None, seen[0], "policy")
    policy = replace(policy, options=policy.options.model_copy(
        update={"entropy": settings.entropy, "shared": ["*"], "initial": "common"}))
    critic = read_network({"name": "mlp"}, "critic")
    read_part(NetworkCritic, experiment.critic, feed_forward(critic), seen[0], "critic")       # there is none
    wanted = policy.options
    model = autoregressive_policy(policy.network, seen, games.actions, wanted.entropy, wanted.log_std,
                                  wanted.deviations)
    return Autoregressive(ground, experiment.stagger, model, None, needs, {"policy": policy}, experiment.normalise,
                          settings, notes, log_every=experiment.log_every)
