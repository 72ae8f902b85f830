"""From an experiment to its parts: environment, topology, agents, sampler and network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from netac import topology
from netac.agents.parameters import Layout
from netac.agents.steps import Common
from netac.comm.agreement import agreed
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.comm.trainer_links import TrainerLinks
from netac.exact import FiniteMDP
from netac.experiment import budget, fingerprint
from netac.experiment.environment_graph import neighbours_of, spatially_discounted
from netac.experiment.following import Following
from netac.experiment.make_env import Environment, GamesSource, make_environment
from netac.experiment.schema import LINEAR, NETWORKS, Experiment
from netac.sampling.protocol import Sampler
from netac.utils import plugins
from netac.utils.errors import InputError, did_you_mean
from netac.utils.progress import doing

if TYPE_CHECKING:                # loads torch, MPI, and algorithms that are not asked for
    from mpi4py import MPI

    from netac.algorithms.centralized._autoregressive import AutoregressiveAgents
    from netac.algorithms.centralized._off_policy import ReplayAgents
    from netac.algorithms.centralized._on_policy import OnPolicyAgents
    from netac.algorithms.decentralized._base import NetworkedAgents

    AnyAgents: TypeAlias = NetworkedAgents | OnPolicyAgents | ReplayAgents | AutoregressiveAgents

LARGEST_AGENT = 50_000_000      # numbers an agent may hold
BUILDERS = {                    # what an algorithm's requirements name -> modules that make linear agents, and networks
    "decentralized": ("linear_agents", "neural_agents"),
    "rollouts": (None, "rollout_agents"),
    "on-policy": (None, "on_policy_agents"),
    "off-policy": (None, "off_policy_agents"),
    "factorised": (None, "factorised_agents"),
    "autoregressive": (None, "autoregressive_agents")}


class Model(Protocol):
    """What agents are made of: what the `make` of a builder's module gives.

    Attributes:
        plays_games: whether they play games, with networks; else they live in an environment of finitely many states.
        has_trainer: whether a central trainer collects what they do; else they talk to their neighbours.
        acts_centrally: whether the trainer acts for its agents: process 0 holds all of them, and the others none.
        needs: what the algorithm asks for.
        settings: the algorithm's options, complete.
        notes: what was chosen for the user where nothing was said and only one choice was left.
        policy: the policies of all agents.
        parts: the tables of the experiment that say how they are made, complete, by their keys.
        layout: what each agent holds.
    """

    plays_games: bool
    has_trainer: bool
    acts_centrally: bool
    needs: Any
    settings: Any
    notes: tuple[str, ...]
    policy: Any
    parts: dict[str, Any]
    layout: Layout

    def describe(self) -> str:
        """What to say of them at a run's start; may be nothing."""

    def agents(self, local: range, seed: int, settings: Any) -> AnyAgents:
        """The agents `local`, at their initial values."""

    def ledger(self) -> Ledger:
        """Where their traffic is counted."""

    def sampler(self, agents: Any, placement: Placement, ledger: Ledger, seed: int, settings: Any,
                comm: MPI.Intracomm | None, play: bool = False) -> Sampler:
        """What draws their samples; `play`: they are played only, without a trainer and without what explores."""


@dataclass(frozen=True)
class Setting:
    """What every process knows of an experiment, whichever agents it holds.

    Attributes:
        experiment: complete, with all defaults filled in.
        environment: made and checked.
        model: what agents are made of.
        topology: loaded.
        mdp: the whole model, where exact quantities of the agents can be computed from it: those of linear agents.
        sizes: bytes that a run takes on this host, by what they are for.
        network_notes: what a user should know of the network's conditions.
    """

    experiment: Experiment
    environment: Environment
    model: Model
    topology: topology.Topology
    mdp: FiniteMDP | None
    sizes: dict[str, int] = field(default_factory=dict)
    network_notes: tuple[str, ...] = ()

    @property
    def settings(self) -> Any:
        """The algorithm's options, with its discount and optimizer."""
        return self.experiment.algorithm.settings

    @property
    def algorithm(self) -> Any:
        """The algorithm's module."""
        return self.experiment.algorithm.module

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        return self.model.layout

    @property
    def plays_games(self) -> bool:
        """Whether the agents live in `netac.sampling.game.GameSampler`: networks do."""
        return self.model.plays_games

    @property
    def trains_centrally(self) -> bool:
        """Whether there is a central trainer."""
        return self.model.has_trainer

    @property
    def replicated(self) -> bool:
        """Whether every process steps the games by itself; else process 0 does, and shows them to the others."""
        source = self.environment
        return not self.trains_centrally and (not isinstance(source, GamesSource) or source.replicated)

    @property
    def efficient_over(self) -> int:
        """How many last iterations decide whether a run of the coordination game is efficient: of algorithms that learn
        from trajectories, those of as many samples as they are iterations of others."""
        environment: Any = self.environment          # that of the coordination game
        wanted = environment.EFFICIENT_OVER
        if hasattr(self.settings, "rollout"):
            wanted = -(-wanted // (self.experiment.envs * self.settings.rollout))
        return min(self.experiment.iterations, wanted)

    @cached_property
    def marks(self) -> dict[str, str]:
        """What its numbers depend on besides (`netac.experiment.fingerprint.of`), as it was when first asked for."""
        return fingerprint.of(self.experiment.tables(), self.plays_games)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of it: what is odd about the environment, how a graph's file was read, what was
        chosen for them."""
        return (*getattr(self.environment, "warnings", ()), *self.topology.notes, *self.model.notes,
                *self.network_notes)

    def defaults(self) -> dict[str, Any]:
        """The experiment's tables as they are where nothing is said: keys without a default are left out."""
        experiment = self.experiment
        parts = {"env": experiment.env, "normalise": experiment.normalise, "network": experiment.network,
                 "algorithm": experiment.algorithm}
        told = experiment.defaults() | {key: part.defaults() for key, part in (parts | self.model.parts).items()}
        return {key: value for key, value in told.items() if key != "network" or value}


def prepare(experiment: Experiment, folder: Path | None = None, processes: int = 1) -> Setting:
    """Make the environment, load the topology and fill in what depends on them; nothing is written.

    Args:
        experiment: as read from a file.
        folder: where relative paths of the topology start.
        processes: of the launch.

    Raises:
        InputError: for whatever in the experiment cannot be made, or would not fit into memory.
    """
    share, extent = budget.Share.of(processes), topology.expected_extent(experiment.topology)

    def taken(other: Experiment, share: budget.Share) -> budget.Sizes:
        made = (environment, model) if other is experiment else _of_agents(other)[:2]
        return budget.weigh(other, *made, share, extent)

    with doing(f"making the environment and what {experiment.agents:,} agents are made of"):
        environment, model, networks = _of_agents(experiment)
    size = model.layout.total
    if size > LARGEST_AGENT:
        raise InputError(f"each agent would hold {size:,} parameters", key="policy" if networks else "env.features",
                         valid=f'at most {LARGEST_AGENT:,}; features = "histogram", features of your own, smaller '
                               "networks")
    budget.refuse(experiment, share, taken)
    with doing(f"loading the topology of {experiment.agents:,} agents"):
        loaded = topology.load(experiment.topology, experiment.agents, folder=folder,
                               push_sum=experiment.network.push_sum,
                               neighbours=partial(neighbours_of, environment, experiment, folder))
    extent = loaded.extent
    sizes = budget.refuse(experiment, share, taken)
    complete = experiment.model_copy(update={
        "algorithm": replace(experiment.algorithm, settings=model.settings), "topology": dict(loaded.spec),
        **{key: part.table() for key, part in model.parts.items()}})
    mdp = None if model.plays_games else environment.mdp
    return Setting(complete, environment, model, loaded,
                   None if mdp is None else replace(mdp, gamma=model.settings.discount), sizes)


def _of_agents(experiment: Experiment) -> tuple[Environment, Model, bool]:
    """The environment, what the agents in it are made of, and whether they are networks."""
    environment = make_environment(experiment.env, experiment.agents, experiment.envs)
    if experiment.spatial_discount is not None:
        environment = spatially_discounted(environment, experiment)
    chosen: Common = experiment.algorithm.settings
    needs = experiment.algorithm.module.requirements(chosen)
    for_linear, for_networks = BUILDERS[needs.builder]
    networks = for_linear is None or _networks_wanted(experiment, environment)
    settings = chosen.settled(environment.gamma, networks)
    builder = import_module(f"netac.experiment.{for_networks if networks else for_linear}")
    return environment, builder.make(experiment, environment, needs, settings), networks


def _networks_wanted(experiment: Experiment, environment: Environment) -> bool:
    """Whether the agents are networks: the table [policy] says so, or else the environment.

    Raises:
        InputError: options of networks without networks, or tabular policies where states cannot be counted.
    """
    policy, stateful = experiment.policy, isinstance(environment, GamesSource)
    named, known = policy.get("name"), [*LINEAR, *plugins.module_names(NETWORKS)]
    if named is not None and named not in known:
        hint = did_you_mean(named, known) if isinstance(named, str) else ""
        raise InputError(f"there is no such policy{hint}", key="policy.name", found=named, valid=", ".join(known))
    networks = "factory" in policy or (named not in LINEAR if named is not None else stateful)
    if stateful and not networks:
        raise InputError(f"a {named} policy needs an environment with finitely many states", key="policy.name",
                         found=named, valid='"mlp", "cnn", or a network of your own: '
                                            'policy = { factory = "package.module:Class" }')
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
        following: where agents are, where the graph follows them about.
    """

    setting: Setting
    placement: Placement
    agents: AnyAgents
    sampler: Sampler
    network: Network | TrainerLinks
    ledger: Ledger
    comm: MPI.Intracomm | None
    following: Following | None = None

    def begin(self, t: int) -> None:
        """Iteration t begins: what depends on how the games stand now is fixed before they go on."""
        if self.following is not None:
            self.following.begin(t)

    def settle(self) -> None:
        """Before parameters and counts are read: complete what is under way, and tell all what each process counted."""
        self.network.settle()
        self.ledger.collect(self.placement, self.comm)

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint keeps besides agents' rows, whole on process 0."""
        following = {} if self.following is None else self.following.state()
        return self.sampler.state() | self.network.state() | self.ledger.state() | self.agents.state() | following

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave and the agents' rows.

        Agents and network come first, as they know how long rows are; the sampler needs the rows and comes after them.
        """
        local = self.placement.local
        self.agents.restore(kept)
        self.network.restore(kept)
        self.agents.parameters.flat[:] = kept["parameters"][local.start:local.stop]
        for name, rows in self.rows.items():
            rows[:] = kept[f"rows_{name}"][local.start:local.stop]
        self.sampler.restore(kept)
        self.ledger.restore(kept)
        if self.following is not None:
            self.following.restore(kept)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent keeps for itself besides its parameters, (n, D) each, by name."""
        optimizer = self.agents.optimizer
        kept = {"optimizer": optimizer.rows, "optimizer_counts": optimizer.counts,
                **self.sampler.rows, **self.network.rows, **self.agents.rows}
        return {name: rows for name, rows in kept.items() if rows.shape[1]}


def assemble(setting: Setting, comm: MPI.Intracomm | None = None, play: bool = False) -> Parts:
    """The parts of this process, parameters at their initial values.

    Args:
        play: whether agents shall only be played, without a trainer.
    """
    experiment, model = setting.experiment, setting.model
    placement = Placement(experiment.agents, *((comm.size, comm.rank) if comm else (1, 0)), model.acts_centrally)
    ledger = model.ledger()
    agents = model.agents(placement.local, experiment.seed, setting.settings)
    sampler = model.sampler(agents, placement, ledger, experiment.seed, setting.settings, comm, play)
    if model.has_trainer:
        return Parts(setting, placement, agents, sampler, TrainerLinks(placement, ledger, comm), ledger, comm)
    conditions = [] if play else experiment.network.make(setting.topology, experiment.iterations)
    graphs, following = setting.topology, None
    if graphs.radius is not None and not play:
        games: Any = sampler.environment
        following = Following(games, graphs.radius, placement.rank == 0)
        graphs = graphs.following(following.graph, following.first)
    matrix: Callable = graphs.matrix
    if comm is not None and (graphs.foreign or following is not None):
        matrix = agreed(graphs, placement, comm)
    network = Network(matrix, placement, ledger, comm, conditions, experiment.seed)
    return Parts(setting, placement, agents, sampler, network, ledger, comm, following)
