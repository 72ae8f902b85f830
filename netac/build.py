"""From an experiment to its parts: environment, topology, policies, agents, world and network."""

from __future__ import annotations

import importlib
import inspect
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np

from netac import plugins, topology
from netac.agents.parameters import Layout, Parameters
from netac.agents.policies import LogLinear, Tabular, shared_first
from netac.config import ALGORITHMS, ENVIRONMENTS, Experiment, Policy
from netac.decentralized._base import Agents, Common, Requirements
from netac.envs import TabularEnvironment, check
from netac.errors import InputError
from netac.processes.agreement import agreed
from netac.processes.ledger import Ledger
from netac.processes.network import Network
from netac.processes.placement import Placement
from netac.processes.world import World
from netac.results.files import finite_numbers, load_npz
from netac.streams import Purpose, Stream, normal

LARGEST_AGENT = 50_000_000      # numbers an agent may hold
EXACT_SAMPLING = ("stationary", "iid")


@dataclass(frozen=True)
class Setting:
    """What every process knows of an experiment, whichever agents it holds.

    Attributes:
        experiment: complete, with all defaults filled in.
        environment: made and checked.
        policy: the policies of all agents.
        topology: loaded.
        settings: the algorithm's options, gamma known.
        algorithm: the algorithm's module.
    """

    experiment: Experiment
    environment: TabularEnvironment
    policy: Tabular | LogLinear
    topology: topology.Topology
    settings: Common
    algorithm: ModuleType

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        return make_layout(self.environment, self.policy, self.algorithm.requirements(self.settings))


def prepare(experiment: Experiment, folder: Path | None = None) -> Setting:
    """Make the environment, load the topology and fill in what depends on them; nothing is written.

    Args:
        experiment: as read from a file.
        folder: where relative paths of the topology start.

    Raises:
        InputError: for whatever in the experiment cannot be made.
    """
    N = experiment.agents
    environment = make_environment(experiment.env, N)
    module = plugins.module(ALGORITHMS, experiment.algorithm["name"], "algorithm")
    settings = module.Settings(**{k: v for k, v in experiment.algorithm.items() if k != "name"})
    if settings.gamma is None:
        settings = settings.model_copy(update={"gamma": 0.95 if environment.gamma is None else environment.gamma})
    if environment.mdp is not None:
        environment.mdp = replace(environment.mdp, gamma=settings.gamma)
    elif settings.sampling in EXACT_SAMPLING:
        raise InputError("exact distributions are known for finite MDPs only", key="algorithm.sampling",
                         found=settings.sampling, valid='"markov" or "double" with this environment')
    complete = experiment.model_copy(update={
        "algorithm": {"name": experiment.algorithm["name"], **settings.model_dump()}})
    policy = make_policy(experiment.policy, environment)
    size = make_layout(environment, policy, module.requirements(settings)).total
    if size > LARGEST_AGENT:
        raise InputError(f"each agent would hold {size:,} parameters", key="env.features",
                         valid=f'at most {LARGEST_AGENT:,}; features = "histogram", or features of your own')
    loaded = topology.load(experiment.topology, N, folder=folder)
    return Setting(complete.model_copy(update={"topology": dict(loaded.spec)}), environment, policy, loaded, settings, module)


def make_environment(spec: dict, agents: int) -> TabularEnvironment:
    """The environment of the table [env], checked."""
    if "factory" in spec:
        made = _call_factory(spec, agents)
        try:
            return check(made, agents, spec["factory"])
        except InputError:
            raise
        except Exception as error:     # what a user's function gives may be anything
            raise InputError(f"what it gives fails as an environment: {type(error).__name__}: {error}", key="env.factory",
                             found=spec["factory"], valid="an object as described by netac.envs.TabularEnvironment") from error
    module = plugins.module(ENVIRONMENTS, spec["name"], "environment")
    settings = module.Settings(**{key: value for key, value in spec.items() if key != "name"})
    try:
        return check(module.make(settings, agents), agents, spec["name"])
    except InputError as error:
        raise error if error.file or (error.key or "").startswith("env") else error.located(key="env") from None


def _call_factory(spec: dict, agents: int) -> TabularEnvironment:
    module_name, _, function_name = spec["factory"].partition(":")
    if spec["folder"] and spec["folder"] not in sys.path:
        sys.path.append(spec["folder"])
    try:
        made = importlib.import_module(module_name)
        for part in function_name.split("."):
            made = getattr(made, part)
    except Exception as error:
        raise InputError(f"cannot be imported: {type(error).__name__}: {error}", key="env.factory",
                         found=spec["factory"], valid='an importable "package.module:function"') from error
    kwargs = dict(spec["kwargs"])
    try:
        with suppress(ValueError):                       # some built-in functions have no signature
            inspect.signature(made).bind(agents=agents, **kwargs)
    except TypeError as error:
        raise InputError(f"cannot be called: {error}", key="env.kwargs", found=kwargs,
                         valid=f"the keyword arguments of {spec['factory']}, which takes `agents` too") from None
    try:
        return made(agents=agents, **kwargs)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"failed: {type(error).__name__}: {error}", key="env.factory", found=spec["factory"]) from error


def make_policy(policy: Policy, env: TabularEnvironment) -> Tabular | LogLinear:
    """The policies of all agents."""
    if policy.name == "tabular":
        names = [f"s{s}.a{a}" for s in range(env.states) for a in range(env.actions)]
        order, shared = shared_first(names, policy.shared)
        natural = (order == np.arange(len(names))).all()
        return Tabular(env.states, env.actions, shared, None if natural else order)
    x = load_npz(policy.features).get("x")
    shapes = [(env.states, env.actions), (env.agents, env.states, env.actions)]
    if x is None or x.shape[:-1] not in shapes or not finite_numbers(x) or not x.shape[-1]:
        raise InputError("the array x is missing, has the wrong shape or is not finite", file=policy.features, key="x",
                         found=None if x is None else x.shape, valid=" or ".join(f"{(*s, 'd')}" for s in shapes))
    order, shared = shared_first([f"f{k}" for k in range(x.shape[-1])], policy.shared)
    rows = x[None] if x.ndim == 3 else x
    return LogLinear(np.ascontiguousarray(rows[..., order], dtype=float), shared)


def make_layout(env: TabularEnvironment, policy: Tabular | LogLinear, needs: Requirements) -> Layout:
    """What each agent holds."""
    return Layout(omega=env.phi.shape[1] if needs.value == "state" else env.psi.size,
                  lam=env.psi.size if needs.reward_model else 0, theta=policy.size, shared=policy.shared,
                  mu=int(needs.mu), h=policy.size if needs.h else 0, mixed=needs.mixed)


@dataclass(frozen=True)
class Parts:
    """What one process works with."""

    setting: Setting
    placement: Placement
    agents: Agents
    world: World
    network: Network
    ledger: Ledger
    comm: object


def assemble(setting: Setting, comm=None) -> Parts:
    """The parts of this process, parameters at their initial values."""
    experiment = setting.experiment
    placement = Placement(experiment.agents, *((comm.size, comm.rank) if comm else ()))
    ledger = Ledger(experiment.agents)
    policy = setting.policy.of(placement.local)
    agents = Agents(Parameters(setting.layout, len(placement.local)), policy)
    agents.parameters.theta[:] = initial_theta(setting, policy, placement.local)
    features = setting.algorithm.requirements(setting.settings).features
    world = World(setting.environment, policy, placement, ledger, experiment.seed, setting.settings.sampling,
                  setting.settings.gamma, features, comm)
    matrix = setting.topology.matrix
    if comm is not None and setting.topology.foreign:
        matrix = agreed(setting.topology, placement, comm)
    network = Network(matrix, placement, ledger, comm)
    return Parts(setting, placement, agents, world, network, ledger, comm)


def initial_theta(setting: Setting, policy: Tabular | LogLinear, agents: range) -> np.ndarray:
    """Initial policies of `agents`, (n, d), in stored order."""
    wanted, theta0 = setting.experiment.policy, setting.environment.theta0
    if wanted.initial == "normal":
        draws = Stream(setting.experiment.seed, Purpose.INITIAL, 0, agents, normal).take(policy.size)
        return wanted.scale * draws.T
    if wanted.initial == "environment" and theta0 is not None and wanted.name == "tabular":
        rows = np.asarray(theta0, dtype=float)[agents.start:agents.stop].reshape(len(agents), -1)
        return rows if policy.order is None else rows[:, policy.order]
    return np.zeros((len(agents), policy.size))
