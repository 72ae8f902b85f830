"""NetworkedAgents with linear critics and tabular or log-linear policies, on environments with finitely many states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netac.agents.parameters import Layout, Parameters
from netac.agents.policies import LogLinear, Tabular, shared_first
from netac.agents.steps import Common
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements, SingleSample
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs import TabularEnvironment
from netac.experiment.schema import Experiment, Policy
from netac.sampling.tabular import TabularSampler
from netac.utils.errors import InputError
from netac.utils.files import finite_numbers, load_npz
from netac.utils.options import Options, checked
from netac.utils.spaces import ActionSpace, joint_space
from netac.utils.streams import Purpose, Stream, normal

if TYPE_CHECKING:
    from mpi4py import MPI

EXACT_SAMPLING = ("stationary", "iid")


@dataclass(frozen=True)
class Linear:
    """What linear agents are made of.

    Attributes:
        environment: made and checked.
        policy: the policies of all agents.
        wanted: the table [policy].
        needs: what the algorithm asks for.
        settings: the algorithm's options.
    """

    environment: TabularEnvironment
    policy: Tabular | LogLinear
    wanted: Policy
    needs: Requirements
    settings: Any

    notes: ClassVar[tuple[str, ...]] = ()
    plays_games: ClassVar[bool] = False
    has_trainer: ClassVar[bool] = False
    acts_centrally: ClassVar[bool] = False

    @property
    def parts(self) -> dict[str, Options]:
        """The tables of the experiment that say how the agents are made, complete."""
        return {"policy": self.wanted}

    @property
    def layout(self) -> Layout:
        """What each agent holds."""
        env, needs, policy = self.environment, self.needs, self.policy
        return Layout(omega=env.phi.shape[1] if needs.value == "state" else env.psi.size,
                      lam=env.psi.size if needs.reward_model else 0, theta=policy.size, shared=policy.shared,
                      mu=int(needs.mu), mixed=needs.mixed, state=needs.state, agents=env.agents)

    def describe(self) -> str:
        """Nothing to say at a run's start."""
        return ""

    def agents(self, local: range, seed: int, settings: Common) -> NetworkedAgents:
        """The agents `local`, at their initial values."""
        policy = self.policy.of(local)
        x = Parameters(self.layout, len(local))
        x.theta[:] = self._initial(policy, local, seed)
        return NetworkedAgents(x, policy, settings.make_optimizer(self.layout, len(local)))

    def ledger(self) -> Ledger:
        """Where traffic is counted: one joint action is announced at a time."""
        env = self.environment
        return Ledger(env.agents, joint_space([ActionSpace(n_actions=env.actions)]).nbytes)

    def sampler(self, agents: NetworkedAgents, placement: Placement, ledger: Ledger, seed: int, settings: SingleSample,
                comm: MPI.Intracomm | None, play: bool = False) -> TabularSampler:
        """What draws their samples, whether they learn or play."""
        return TabularSampler(self.environment, self.policy.of(placement.local), placement, ledger, seed,
                              settings.sampling, settings.discount, self.needs.features, comm)

    def _initial(self, policy: Tabular | LogLinear, agents: range, seed: int) -> np.ndarray:
        """Initial policies of `agents`, (n, d), in stored order."""
        wanted, theta0 = self.wanted, self.environment.theta0
        if wanted.initial == "normal":
            stream = Stream(seed, Purpose.INITIAL, 0, self.environment.agents, agents, normal)
            return wanted.scale * stream.take(policy.size).T
        if wanted.initial == "environment" and theta0 is not None and isinstance(policy, Tabular):
            rows = np.asarray(theta0, dtype=float)[agents.start:agents.stop].reshape(len(agents), -1)
            return rows if policy.order is None else rows.take(policy.order, axis=1)
        return np.zeros((len(agents), policy.size))


def make(experiment: Experiment, environment: TabularEnvironment, needs: Requirements, settings: Any) -> Linear:
    """Linear agents as the table [policy] describes them.

    Raises:
        InputError: the table, or its file of features, does not hold, or the environment cannot be sampled so.
    """
    if environment.mdp is None:
        refuse_exact_sampling(settings)
    refuse_endless_discounts(settings, endless=True)
    wanted = checked(Policy, {"name": "tabular"} | experiment.policy, "policy")
    if (wanted.name == "log-linear") != (wanted.features is not None):
        raise InputError("log-linear policies need features, tabular ones have none", key="policy.features",
                         found=wanted.features, valid='an .npz file with name = "log-linear"')
    return Linear(environment, make_policy(wanted, environment), wanted, needs, settings)


def refuse_exact_sampling(settings: Any) -> None:
    """Refuse to sample from exact distributions, where they are not known.

    Raises:
        InputError: the algorithm wants to.
    """
    if getattr(settings, "sampling", "") in EXACT_SAMPLING:
        raise InputError("exact distributions are known for tabular policies in finite MDPs only",
                         key="algorithm.sampling", found=settings.sampling, valid='"markov" or "double" here')


def discounts(settings: Any) -> bool:
    """Whether the steps of episodes are to weigh gamma^t in the policies' gradient."""
    return getattr(settings, "discounted_gradient", False)


def refuse_endless_discounts(settings: Any, endless: bool) -> None:
    """Refuse to let step t weigh gamma^t where there is no end to t.

    Args:
        endless: whether episodes never end.

    Raises:
        InputError: the algorithm wants to, and they do not.
    """
    if discounts(settings) and endless:
        instead = ' (sampling = "double" shows the discounted visitation)' if hasattr(settings, "sampling") else ""
        raise InputError("gamma^t comes to nothing where episodes never end", key="algorithm.discounted_gradient",
                         found=True, valid=f"false{instead}, or an environment whose episodes end")


def make_policy(policy: Policy, env: TabularEnvironment) -> Tabular | LogLinear:
    """The policies of all agents."""
    if policy.name == "tabular" or policy.features is None:
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
