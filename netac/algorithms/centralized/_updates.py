"""One iteration of a trainer with a replay: steps of the games, then updates, each from a batch of the replay.

Actions go from agents to the trainer as numbers, derivatives of its critics with respect to them from the trainer to
agents: a row for each agent, of M x W numbers, W being the widest action's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netac.agents.steps import step_size
from netac.agents.transitions import sample_weight
from netac.algorithms.centralized._off_policy import OffPolicyAgents
from netac.algorithms.centralized._options import OffPolicy
from netac.algorithms.policy_gradient.learner import Learner
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.encoding import Encoding
from netac.sampling.game import GameSampler
from netac.sampling.replay import ReplayBatch
from netac.utils.streams import Purpose, generator

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.reparametrised import ReparametrisedPolicy

Uniforms = Sequence[np.ndarray | None]


@dataclass(frozen=True)
class Update:
    """What one update learns from.

    Attributes:
        number: of the update, from 0 on.
        b: M samples of the replay.
        noise, next_noise: (n) uniforms with which agents draw discrete actions in s and s', None for vectors.
    """

    number: int
    b: ReplayBatch
    noise: Uniforms
    next_noise: Uniforms
    _agents: OffPolicyAgents
    _links: TrainerLinks
    _encode: Encoding
    _alpha: np.ndarray
    _beta: np.ndarray
    _settings: OffPolicy

    @property
    def _size(self) -> int:
        return self.b.active.shape[1]

    @property
    def _widths(self) -> list[int]:
        return [space.outputs for space in self._agents.policy.actions]

    def propose(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Every agent tells the trainer a'_j = mu'_j(o'_j) and a_j = mu_j(o_j).

        Returns:
            (M, F) each on the trainer, zeros for agents that take no part; None elsewhere.
        """
        agents, learner, b = self._agents, self._agents.together, self.b
        following = agents.target_policy.numbers(agents.targets, b.next_obs, self.next_noise, allowed=b.next_allowed)
        now = learner.policy.numbers(learner.theta, b.obs, self.noise, keep=True, allowed=b.allowed)
        told = self._links.gather(np.concatenate([self._packed(following), self._packed(now)], axis=1))
        if told is None:
            return None, None
        then, there = np.split(told, 2, axis=1)
        return self._joint(then, b.valued), self._joint(there, b.part)

    def regress(self, next_joint: np.ndarray | None) -> None:
        """Every critic's step down the mean of (r + gamma Q'(s', a') - Q(s, a))^2 / 2."""
        if next_joint is not None:
            critics = self._agents.critics
            b = critics.samples(self.b, next_joint)
            self._agents.report.critics[:] += critics.regress(b, critics.returns(b), self._beta)

    def climb(self, joint: np.ndarray | None, shared: bool) -> None:
        """All agents at once: theta_i ascends the mean of Q_i(s, a) in a_i = mu_i(o_i), the others' actions being the
        replay's.

        Args:
            joint: (M, F) all agents' mu(o).
            shared: whether all climb the mean of their gradients.
        """
        slopes = None
        if joint is not None:
            own = [self._encode.columns(agent) for agent in range(len(self._widths))]
            asked = [self.b.joint.copy() for _ in own]
            for each, columns in zip(asked, own, strict=True):
                each[:, columns] = joint[:, columns]
            found = self._agents.critics.slopes(self.b.state, asked)
            slopes = self._packed([slope[:, columns] for slope, columns in zip(found, own, strict=True)])
        told = self._links.scatter(slopes, self._size * max(self._widths))
        self._agents.report.norms[:] += self._ascend(self._agents.together, slice(None), self._unpacked(told),
                                                           self._links.mean if shared else None)

    def improve(self, agent: int, joint: np.ndarray | None) -> None:
        """One agent alone: theta_i ascends the mean of the team's Q(s, a) in a_i = mu_i(o_i), the others' as in
        `joint`.

        Args:
            joint: (M, F) joint actions, changed in place: the agent's is that of its new policy.
        """
        own, slopes, agents = self._encode.columns(agent), None, self._agents
        if joint is not None:
            slopes = agents.critics.slopes(self.b.state, [joint])[0][:, own]

        def answer(slopes: np.ndarray) -> np.ndarray:
            row, learner = agents.local.index(agent), agents.apart[agent]
            one = slice(row, row + 1)
            agents.report.norms[one] += self._ascend(learner, one, [slopes])
            obs, noise = self.b.obs[one], self.noise[one]
            return learner.policy.numbers(learner.theta, obs, noise, allowed=self._allowed(one))[0]

        answered = self._links.ask(agent, slopes, (self._size, self._widths[agent]), answer)
        if joint is not None:
            joint[:, own] = answered * self.b.part[agent][:, None]

    def follow(self) -> None:
        """All targets go a part tau of the way: theta' <- tau theta + (1 - tau) theta', omega' likewise."""
        self._agents.follow(self._settings.follows(self.number))

    def _ascend(self, learner: Learner[ReparametrisedPolicy], rows: slice, slopes: list[np.ndarray],
                whole: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """A step along the mean of slopes' grad a over the samples an agent took part in; the norms of it, (n,).

        Args:
            whole: applied to the gradients (n, d) before the step.
        """
        active, obs, noise, theta = self.b.active[rows], self.b.obs[rows], self.noise[rows], learner.theta
        gradient = learner.policy.gradient(theta, obs, noise, slopes, None if active.all() else sample_weight(active),
                                           self._allowed(rows))
        gradient = gradient if whole is None else whole(gradient)
        norms = np.sqrt(np.vecdot(gradient, gradient)).astype(float) / self._size
        theta += self._alpha * learner.direction(self._size)(gradient)
        return norms

    def _allowed(self, rows: slice) -> list[np.ndarray] | None:
        """What some of the agents were allowed to do in s."""
        return None if self.b.allowed is None else self.b.allowed[rows]

    # --- layout of messages ---

    def _packed(self, numbers: list[np.ndarray]) -> np.ndarray:
        """(agents) arrays (M, outputs_i) -> (agents, M x W)."""
        rows = np.zeros((len(numbers), self._size, max(self._widths)))
        for row, own in zip(rows, numbers, strict=True):
            row[:, :own.shape[1]] = own
        return rows.reshape(len(rows), -1)

    def _unpacked(self, rows: np.ndarray) -> list[np.ndarray]:
        """(n, M x W) of this process's agents -> (n) arrays (M, outputs_i)."""
        whole = rows.reshape(len(rows), self._size, -1)
        return [row[:, :self._widths[agent]] for row, agent in zip(whole, self._agents.local, strict=True)]

    def _joint(self, rows: np.ndarray, part: np.ndarray) -> np.ndarray:
        """All agents' rows -> (M, F) single precision, zeros where `part` (N, M) is false."""
        whole = rows.reshape(len(rows), self._size, -1)
        return self._encode.joint.beside([row[:, :width] for row, width in zip(whole, self._widths, strict=True)], part)


def updates(agents: OffPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: OffPolicy,
            times: range) -> Iterator[Iterator[Update]]:
    """Iterations k in `times`: T joint steps of all games, then updates; none before there are `warmup` samples."""
    alpha, beta = (step_size(step, times.stop, agents.parameters)
                   for step in (settings.actor_step, settings.critic_step))
    encode, replay = Encoding(sampler.environment.actions), agents.replay
    for k in times:
        replay.collect(sampler, agents.parameters.theta, settings.rollout)
        yield _drawn(k, agents, links, encode, alpha, beta, settings) if replay.added >= settings.warmup else iter(())


def _drawn(k: int, agents: OffPolicyAgents, links: TrainerLinks, encode: Encoding, alpha: np.ndarray, beta: np.ndarray,
           settings: OffPolicy) -> Iterator[Update]:
    """The updates of iteration k."""
    streams = [generator(agents.seed, Purpose.RELAXATION, k, agent) for agent in agents.local]
    for number, b in agents.batches(k, links, settings):
        noise, following = (agents.policy.noise(streams, settings.batch) for _ in range(2))
        yield Update(number, b, noise, following, agents, links, encode, alpha, beta, settings)
