"""From an experiment to its parts: environment, topology, agents, world and network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from netac import topology
from netac.agents.parameters import Layout
from netac.agents.steps import Common
from netac.algorithms.centralized._off_policy import OffPolicyAgents, ReplayRequirements
from netac.algorithms.centralized._on_policy import OnPolicyAgents, TrainerRequirements
from netac.algorithms.decentralized._base import NetworkedAgents
from netac.comm.agreement import agreed
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.comm.trainer_links import TrainerLinks
from netac.exact import FiniteMDP
from netac.experiment import linear_agents
from netac.experiment.config import ALGORITHMS, NETWORKS, Experiment
from netac.experiment.linear_agents import Linear, make_linear
from netac.experiment.make_env import Environment, GamesSource, make_environment
from netac.sampling.tabular import TabularSampler
from netac.utils import plugins
from netac.utils.errors import InputError, did_you_mean

if TYPE_CHECKING:                # loads torch
    from netac.experiment.neural_agents import Neural
    from netac.experiment.on_policy_agents import Central
    from netac.sampling.game import GameSampler

LARGEST_AGENT = 50_000_000      # numbers an agent may hold
EXACT_SAMPLING = ("stationary", "iid")


@dataclass(frozen=True)
class Setting:
    """What every process knows of an experiment, whichever agents it holds.

    Attributes:
        experiment: complete, with all defaults filled in.
        environment: made and checked.
        model: what agents are made of: a `netac.experiment.linear_agents.Linear`, `netac.experiment.neural_agents.Neural` or, with a trainer,
            `netac.experiment.on_policy_agents.Central`.
        topology: loaded.
        settings: the algorithm's options, gamma known.
        algorithm: the algorithm's module.
    """

    experiment: Experiment
    environment: Environment
    model: Linear | Neural | Central
    topology: topology.Topology
    settings: Common
    algorithm: ModuleType

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        return self.model.layout

    @property
    def plays_games(self) -> bool:
        """Whether the agents live in `netac.sampling.game.GameSampler`: networks do."""
        return not isinstance(self.model, Linear)

    @property
    def trains_centrally(self) -> bool:
        """Whether there is a central trainer."""
        return isinstance(self.algorithm.requirements(self.settings), TrainerRequirements)

    @property
    def efficient_over(self) -> int:
        """How many last iterations decide whether a run of the coordination game is efficient: of a trainer, those of as many
        samples as they are iterations of other algorithms."""
        wanted = self.environment.EFFICIENT_OVER
        if self.trains_centrally:
            wanted = -(-wanted // (self.experiment.envs * self.settings.rollout))
        return min(self.experiment.iterations, wanted)

    @property
    def mdp(self) -> FiniteMDP | None:
        """The whole model, where the agents' exact quantities can be computed from it: those of linear agents."""
        return self.environment.mdp if isinstance(self.model, Linear) else None


def prepare(experiment: Experiment, folder: Path | None = None) -> Setting:
    """Make the environment, load the topology and fill in what depends on them; nothing is written.

    Args:
        experiment: as read from a file.
        folder: where relative paths of the topology start.

    Raises:
        InputError: for whatever in the experiment cannot be made.
    """
    N = experiment.agents
    environment = make_environment(experiment.env, N, experiment.envs)
    module = plugins.module(ALGORITHMS, experiment.algorithm["name"], "algorithm")
    settings = module.Settings(**{k: v for k, v in experiment.algorithm.items() if k != "name"})
    needs = module.requirements(settings)
    central = isinstance(needs, TrainerRequirements)
    networks = central or _networks_wanted(experiment, environment)
    settings = settings.model_copy(update={
        "gamma": settings.gamma if settings.gamma is not None else 0.95 if environment.gamma is None else environment.gamma,
        "optimizer": settings.optimizer or ("adam" if networks else "plain")})
    if environment.mdp is not None:
        environment.mdp = replace(environment.mdp, gamma=settings.gamma)
    if isinstance(needs, ReplayRequirements):
        from netac.experiment.off_policy_agents import make_replaying
        model = make_replaying(experiment, environment, needs, settings)
    elif central:
        from netac.experiment.on_policy_agents import make_central
        model = make_central(experiment, environment, needs, settings)
    elif settings.sampling in EXACT_SAMPLING and (networks or environment.mdp is None):
        raise InputError("exact distributions are known for tabular policies in finite MDPs only", key="algorithm.sampling",
                         found=settings.sampling, valid='"markov" or "double" here')
    elif networks:
        from netac.experiment.neural_agents import make_neural
        model = make_neural(experiment, environment, needs)
    else:
        model = make_linear(experiment.policy, environment, needs)
    size = model.layout.total
    if size > LARGEST_AGENT:
        raise InputError(f"each agent would hold {size:,} parameters", key="policy" if networks else "env.features",
                         valid=f'at most {LARGEST_AGENT:,}; features = "histogram", features of your own, smaller networks')
    loaded = topology.load(experiment.topology, N, folder=folder)
    complete = experiment.model_copy(update={
        "algorithm": {"name": experiment.algorithm["name"], **settings.model_dump()}, "topology": dict(loaded.spec),
        **model.tables})
    return Setting(complete, environment, model, loaded, settings, module)


def _networks_wanted(experiment: Experiment, environment: Environment) -> bool:
    """Whether the agents are networks: the table [policy] says so, or else the environment.

    Raises:
        InputError: options of networks without networks, or tabular policies where states cannot be counted.
    """
    policy, stateful = experiment.policy, isinstance(environment, GamesSource)
    named, known = policy.get("name"), [*linear_agents.NAMES, *plugins.module_names(NETWORKS)]
    if named is not None and named not in known:
        hint = did_you_mean(named, known) if isinstance(named, str) else ""
        raise InputError(f"there is no such policy{hint}", key="policy.name", found=named, valid=", ".join(known))
    networks = "factory" in policy or (named not in linear_agents.NAMES if named is not None else stateful)
    if stateful and not networks:
        raise InputError(f"a {named} policy needs an environment with finitely many states", key="policy.name", found=named,
                         valid='"mlp", "cnn", or a network of your own: policy = { factory = "package.module:Class" }')
    if not networks:
        usual = Experiment.model_fields
        for key in ("envs", "stagger", "critic", "reward_model", "normalise"):
            if getattr(experiment, key) != usual[key].default:
                raise InputError("is for networks only", key=key, found=getattr(experiment, key),
                                 valid='policy.name = "mlp" or "cnn", or without it')
    return networks


@dataclass(frozen=True)
class Parts:
    """What one process works with.

    Attributes:
        rows: what each agent keeps for itself besides its parameters, (n, D) each: optimizer, running statistics.
    """

    setting: Setting
    placement: Placement
    agents: NetworkedAgents | OnPolicyAgents | OffPolicyAgents
    sampler: TabularSampler | GameSampler
    network: Network | TrainerLinks
    ledger: Ledger
    comm: object

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint keeps besides agents' rows, whole on process 0."""
        return self.sampler.state() | self.ledger.state() | self.agents.state()

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take it up, and the agents' rows before the world, which needs them; agents know how long their rows are."""
        local = self.placement.local
        self.agents.restore(kept)
        self.agents.parameters.flat[:] = kept["parameters"][local.start:local.stop]
        for name, rows in self.rows.items():
            rows[:] = kept[f"rows_{name}"][local.start:local.stop]
        self.sampler.restore(kept)
        self.ledger.restore(kept)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """By name."""
        optimizer = self.agents.optimizer
        kept = {"optimizer": optimizer.rows, "optimizer_counts": optimizer.counts, **self.sampler.rows, **self.agents.rows}
        return {name: rows for name, rows in kept.items() if rows.shape[1]}


def assemble(setting: Setting, comm=None, play: bool = False) -> Parts:
    """The parts of this process, parameters at their initial values.

    Args:
        play: whether agents shall only be played, without a trainer.
    """
    experiment, model = setting.experiment, setting.model
    placement = Placement(experiment.agents, *((comm.size, comm.rank) if comm else ()))
    ledger = Ledger(experiment.agents)
    agents = model.agents(placement.local, experiment.seed, setting.settings)
    central = setting.trains_centrally
    sampler = model.sampler(agents, placement, ledger, experiment.seed, setting.settings, comm,
                        **({"trainer": not play} if central else {}))
    if central:
        return Parts(setting, placement, agents, sampler, TrainerLinks(placement, ledger, comm), ledger, comm)
    matrix = setting.topology.matrix
    if comm is not None and setting.topology.foreign:
        matrix = agreed(setting.topology, placement, comm)
    network = Network(matrix, placement, ledger, comm)
    return Parts(setting, placement, agents, sampler, network, ledger, comm)
