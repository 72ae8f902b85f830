"""What the decentralized algorithms that learn from trajectories have in common: agents, options, and one rollout.

An iteration of theirs: every agent acts for L steps in E games with its policy, hears what its neighbours sent, judges
its trajectories with its own critic, and improves on them.  Nobody sees another agent's observations, rewards,
gradients or advantages, but what the algorithm says it sends.  With `discounted_gradient = true` the advantages A_i
are gamma^t as much in step t of an episode, as in the gradient of the discounted return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np
from pydantic import Field

from netac.agents.parameters import Parameters, Shape, numbers
from netac.agents.steps import Step, step_size
from netac.agents.transitions import Transitions
from netac.algorithms.decentralized._base import NetworkedAgents, Requirements
from netac.algorithms.policy_gradient.advantages import own_advantages
from netac.algorithms.policy_gradient.critics import Critics, Judgement
from netac.algorithms.policy_gradient.diagnostics import OnPolicyReport
from netac.algorithms.policy_gradient.learner import Learner, Measured, weights_of
from netac.algorithms.policy_gradient.minibatches import deal
from netac.algorithms.policy_gradient.options import Clipping, OnRollouts
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.algorithms.policy_gradient.values import value_loss
from netac.comm.network import Network
from netac.sampling.game import GameSampler
from netac.sampling.rollout import Rollout, Rollouts

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.critics import NeuralStateValue
    from netac.agents.neural.policies import NeuralPolicy

BESIDE = ("disagreement", "undone")      # columns of diagnostics.csv after the trainers'
STATISTICS = "value_statistics"
MODEL = 2**31 + 1     # in the place of an agent's number where the reward models' samples are shuffled


class NetworkedRollouts(OnRollouts):
    """Options of the decentralized algorithms that learn from trajectories."""

    reward: Literal["own", "model", "consensus"] = Field("consensus", description=(
        "what an agent maximises: its own reward; its model R_i(s,a) of the team's, learned and mixed (CAC); or the "
        "average of the neighbours' rewards of the rollout (MDAC)"))
    reward_rounds: int = Field(1, ge=1, le=10**6, description='T\', rounds of averaging rewards (reward = "consensus")')
    reward_step: Step = Field(5e-4, description='zeta, the step size of lambda (reward = "model")')
    advantages: Literal["agent", "raw"] = Field("agent", description=(
        "to mean 0 and deviation 1 over the agent's own samples, or as they are"))


class ClippedRollouts(NetworkedRollouts, Clipping):
    """Options of those among them that clip probability ratios."""


@dataclass(frozen=True)
class RolloutRequirements(Requirements):
    """An algorithm's answer, see `Requirements`, where its agents learn from trajectories.

    Attributes:
        agreeing: whether agents are to agree on their whole policies, so that a part that is not shared is refused.
        mutual: whether dual variables belong to edges, so that whom an agent hears must hear it, too.
        joint: whether every agent's policy is over the actions of all agents.
    """

    builder: ClassVar[str] = "rollouts"

    agreeing: bool = False
    mutual: bool = False
    joint: bool = False


def rollout_requirements(settings: NetworkedRollouts, mixed: tuple[str, ...], agreeing: bool = False,
                         mutual: bool = False, joint: bool = False, **state: Shape) -> RolloutRequirements:
    """Agents that mix `mixed`, and a model of the reward with it if there is one; they keep `state` besides."""
    model = settings.reward == "model"
    return RolloutRequirements(reward_model=model, mixed=(*mixed, "lam") if model and mixed else mixed,
                               agreeing=agreeing, mutual=mutual, joint=joint,
                               state={STATISTICS: numbers(3, dtype="float64"), **state})


@dataclass(frozen=True, kw_only=True)
class RolloutAgents(NetworkedAgents):
    """The agents of this process; see `NetworkedAgents`.

    Attributes:
        local: which they are.
        count: N, of all processes.
        seed: of the run.
        settings: the algorithm's options.
        report: what the last iteration did.
    """

    policy: NeuralPolicy
    local: range
    count: int
    seed: int
    settings: NetworkedRollouts
    report: OnPolicyReport

    @cached_property
    def learner(self) -> Learner[NeuralPolicy]:
        """Their policies."""
        return Learner(self.policy, self.parameters.theta, self.optimizer)

    @cached_property
    def critics(self) -> Critics:
        """Their critics V_i."""
        x, V = self.parameters, cast("NeuralStateValue", self.V)
        return Critics(V, x.omega, self.optimizer, x[STATISTICS], self.settings, self.seed)

    def state(self) -> dict[str, np.ndarray]:
        """The rewards and gains that the next report compares with."""
        return {"trace": self.report.trace.copy()}

    def restore(self, kept: dict[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self.report.trace[:] = kept["trace"]


@dataclass(frozen=True)
class Steps:
    """The step sizes of a run, by what they are for; see `NetworkedRollouts`.

    Attributes:
        alpha, beta, zeta: of theta, omega and lambda, in the first iteration.
        left: what is left of them, from the iteration.
    """

    alpha: np.ndarray
    beta: np.ndarray
    zeta: np.ndarray
    left: Callable[[int], float]

    @classmethod
    def of(cls, settings: NetworkedRollouts, T: int, x: Parameters) -> Steps:
        """Those of a run of T iterations."""
        return cls(step_size(settings.actor_step, T, x), step_size(settings.critic_step, T, x),
                   step_size(settings.reward_step, T, x), partial(settings.left, T=T))

    def at(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Those of theta, omega and lambda in iteration k."""
        left = np.array(self.left(k), self.alpha.dtype)
        return self.alpha * left, self.beta * left, self.zeta * left

    def along(self, k: int, directions: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The steps of iteration k along directions of omega, of lambda where there is one, and of theta."""
        alpha, beta, zeta = self.at(k)
        sizes = (beta, zeta, alpha) if len(directions) == 3 else (beta, alpha)
        return [size * direction for size, direction in zip(sizes, directions, strict=True)]


@dataclass(frozen=True)
class Evidence:
    """What the agents learn from in one iteration.

    Attributes:
        b: their trajectories.
        judged: what their critics say of these.
        A: (n, M) advantages, divided by `scales` (n,).
    """

    b: Rollout
    judged: Judgement
    A: np.ndarray
    scales: np.ndarray

    @cached_property
    def samples(self) -> Transitions:
        """What the policies learn from."""
        return self.b.among(self.b.samples, "own")

    @property
    def size(self) -> int:
        """M."""
        return self.b.done.size


def evidence(k: int, b: Rollout, agents: RolloutAgents, network: Network) -> Evidence:
    """The rewards that agents maximise, and generalised advantages by their own V_i.

    With `reward = "model"` R_i(s,a) takes the place of the reward in the advantage, while V_i learns from the agent's
    own rewards: lines 6 and 9 of CAC.
    """
    settings, critics = agents.settings, agents.critics
    r, T, E = b.r, *b.done.shape
    if settings.reward == "consensus":
        r = network.mix(k, np.ascontiguousarray(r.reshape(-1, T * E)), settings.reward_rounds,
                        "rewards").reshape(-1, T, E)
    judged = critics.judge(b, r)
    A = judged.advantages
    if settings.reward == "model":
        told = agents.R(agents.parameters.lam, Transitions(seen=b.seen, joint=b.joint))
        A = critics.judge(b, told.reshape(-1, T, E)).advantages
    return Evidence(b, judged, *own_advantages(A.reshape(len(A), T * E), b.active, settings.advantages, b.discounts))


def fit_reward_models(k: int, e: Evidence, agents: RolloutAgents, zeta: np.ndarray) -> None:
    """Regress R_i(s,a) on the agents' own rewards, in the passes and minibatches of the critics."""
    settings: Any = agents.settings
    lam, b = agents.parameters.lam, e.b
    if not lam.shape[1]:
        return
    samples, r = Transitions(seen=b.seen, joint=b.joint, active=b.active), b.r.reshape(len(b.r), e.size)
    direction = agents.optimizer.over(e.size // settings.critic_minibatches).lam
    for part in deal(e.size, settings.critic_minibatches, settings.critic_epochs, agents.seed, k, MODEL):
        here, told = (samples, r) if part is None else (samples.take(part), r[:, part])
        lam += zeta * direction(agents.R.gradient(lam, here, told - agents.R(lam, here)))


def gradients(e: Evidence, agents: RolloutAgents, old: np.ndarray, part: np.ndarray | None,
              epsilon: float) -> list[np.ndarray]:
    """Gradients of everything an agent improves, at the parameters now, summed over samples: of omega, of lambda where
    there is one, and of theta.

    What improves is minus the critic's loss, minus half the squared error of the reward model, the clipped surrogate.

    Args:
        old: (n, M) log probabilities at the policies that drew the samples.
        part: the samples of the step; None: all.
    """
    x, settings, b = agents.parameters, agents.settings, e.b
    seen, samples = Transitions(seen=b.seen, joint=b.joint, active=b.active), e.samples
    known: tuple[np.ndarray, ...] = (
        agents.critics.targets(e.judged), e.judged.values, old, e.A, b.r.reshape(len(b.r), e.size))
    if part is not None:
        seen, samples, known = seen.take(part), samples.take(part), tuple(each[:, part] for each in known)
    targets, values, old, A, r = known
    pulls, _ = value_loss(agents.V(x.omega, seen), targets, values, settings.value_clip, settings.huber, seen.active)
    found = [agents.V.gradient(x.omega, seen, pulls)]
    if x.lam.shape[1]:
        found.append(agents.R.gradient(x.lam, seen, r - agents.R(x.lam, seen)))
    weigh = weights_of(partial(clipped, epsilon=epsilon), old, A, samples.active)
    return [*found, agents.policy.gradient_by(x.theta, samples, weigh)]


def directions(agents: RolloutAgents, sums: list[np.ndarray], size: int) -> list[np.ndarray]:
    """The local optimizer's directions, from gradients that are sums over `size` samples, as `gradients` gives them."""
    mean = agents.optimizer.over(size)
    each = (mean.omega, mean.lam, mean.theta) if len(sums) == 3 else (mean.omega, mean.theta)
    return [direction(gradient) for direction, gradient in zip(each, sums, strict=True)]


def parts_of(k: int, e: Evidence, agents: RolloutAgents) -> Iterator[np.ndarray | None]:
    """The samples of the policies' steps in iteration k, the same ones for all agents."""
    settings = agents.settings
    return deal(e.size, settings.minibatches, settings.epochs, agents.seed, k, agents.count + 1,
                chunks=e.samples.chunks)


class Turn(NamedTuple):
    """An iteration k of an algorithm that mixes with every gradient step.

    Attributes:
        directions: of every step in turn, as `directions` gives them, at the parameters before what is mixed of these
            became its mixture.
        close: to be called after the steps; tells what they did.
    """

    k: int
    directions: Iterator[list[np.ndarray]]
    close: Callable[[], None]


def turns(agents: RolloutAgents, sampler: GameSampler, network: Network, times: range) -> Iterator[Turn]:
    """The iterations k in `times`: trajectories of pi_k, rewards and advantages."""
    x, settings = agents.parameters, cast("ClippedRollouts", agents.settings)
    trajectories = Rollouts(sampler, settings.rollout, False, settings.chunk, settings.reward == "model")
    epsilon = settings.epsilon(agents.count)
    for k in times:
        b = trajectories.collect(x.theta)
        x[STATISTICS][:] += shared_statistics(k, network, x[STATISTICS], settings)
        e = evidence(k, b, agents, network)
        measured = Measured(agents.learner, e.samples, epsilon)
        agents.critics.learn_scale(e.judged, b.active)
        before, drift = x.mixed.copy(), np.zeros_like(x.mixed)
        yield Turn(k, _mixed(k, e, agents, network, measured.old, epsilon, drift),
                   partial(report, k, times.stop, e, agents, network, measured, drift, before, x.mixed))


def _mixed(k: int, e: Evidence, agents: RolloutAgents, network: Network, old: np.ndarray, epsilon: float,
           drift: np.ndarray) -> Iterator[list[np.ndarray]]:
    """`Turn.directions`; the exchange is under way while they are computed, and adds what it moves to `drift`."""
    x = agents.parameters
    for part in parts_of(k, e, agents):
        network.post(k, x.mixed)
        before = x.mixed.copy()
        g = directions(agents, gradients(e, agents, old, part, epsilon), e.size if part is None else len(part))
        network.settle()
        drift += x.mixed - before
        yield g


def shared_statistics(k: int, network: Network, statistics: np.ndarray, settings: NetworkedRollouts,
                      rounds: int = 1) -> np.ndarray | float:
    """What mixing moves the statistics by, (n, 3), by which values are normalised; 0 where they are not."""
    return network.mix(k, statistics, rounds, "statistics") - statistics if settings.value_normalisation else 0.0


def mixture(k: int, network: Network, rounds: int) -> np.ndarray:
    """The mixture of what was posted, after `rounds` rounds in all, as an array of its own: (n, width)."""
    mixed = network.wait()
    return network.mix(k, mixed, rounds - 1).copy() if rounds > 1 else mixed.copy()


def report(k: int, last: int, e: Evidence, agents: RolloutAgents, network: Network, measured: Measured,
           drift: np.ndarray, before: np.ndarray, now: np.ndarray) -> None:
    """Tell what iteration k of those before `last` did.

    Args:
        measured: of the samples.
        drift: (n, width) W x - x of what agents shall have in common; of several rounds their sum.
        before, now: (n, width) what that was before the iteration, and is.
    """
    asked = agents.report.measures(k, last)
    if asked:
        moved = now - before
        far, way = (np.sqrt(np.vecdot(each, each, dtype=float)) for each in (drift, moved))
        agents.report.rows[:] = np.concatenate([
            measured.rows(e.A, e.b.active, e.scales), far[:, None],
            np.divide(far, way, out=np.zeros_like(far), where=way > 0)[:, None]], axis=1)
    agents.report.close(network.gathering.rows, e.b.mean_reward, 1.0, asked)
