"""One iteration of a trainer that factorises the team's action value: steps of the games, then updates of sequences.

Numbers of the agents' utilities go from agents to the trainer, derivatives with respect to them from the trainer to
agents: rows of M numbers for each agent.  With shared parameters gradients go to the trainer, and their sum to agents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from netac.agents.protocols import LEFT_OUT
from netac.agents.sequences import Sequences
from netac.agents.steps import step_size
from netac.algorithms.centralized._mixing import Mix, Mixer, Utilities
from netac.algorithms.centralized._off_policy import ReplayAgents
from netac.algorithms.centralized._options import Factorised
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.encoding import Encoding
from netac.sampling.game import GameSampler
from netac.sampling.replay import ReplayBatch

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.passes import Seen
    from netac.agents.neural.utilities import UtilityPolicy

FactorisedAgents: TypeAlias = "ReplayAgents[UtilityPolicy, Mixer]"
Told: TypeAlias = "tuple[Utilities, Utilities] | None"      # of s and s'; None but on the trainer


@dataclass(frozen=True)
class FactorisedUpdate:
    """What one update learns from.

    Attributes:
        number: of the update, from 0 on.
        b: M = L B samples of the replay, B sequences of L steps.
    """

    number: int
    b: ReplayBatch
    _agents: FactorisedAgents
    _links: TrainerLinks
    _encode: Encoding
    _alpha: np.ndarray
    _beta: np.ndarray
    _settings: Factorised
    _pulled: list[list[np.ndarray]] = field(default_factory=list)     # what a and the best action are, as numbers

    @property
    def _size(self) -> int:
        return self.b.active.shape[1]

    @property
    def _widest(self) -> int:
        return max(space.size for space in self._agents.policy.actions)

    def tell(self) -> Told:
        """Every agent tells the trainer Q_i(o_i, a_i) and Q'_i(o'_i, a'_i), a'_i being the best of what is allowed.

        It is the best by Q_i ("double"), or by Q'_i.  Where the mixing asks for them, agents tell the largest
        utilities and a'_i, too.
        """
        agents, b, needs, M = self._agents, self.b, self._agents.critics.needs, self._size
        policy, after = agents.policy, self._after
        now = policy.values(agents.parameters.theta, self._seen, keep=True)
        targets = agents.target_policy.values(agents.targets, self._seen)
        rows = np.zeros((len(now), 2 + 2 * needs.maxima + self._widest * needs.actions, M))
        for k, (row, Q, Q_target) in enumerate(zip(rows, now, targets, strict=True)):
            here, chosen, valued = Q[:M], Q[after], Q_target[after]
            free, later = (None if each is None else each[k] for each in (b.allowed, b.next_allowed))
            following = policy.best(k, chosen if self._settings.double else valued, later)
            pulled = [policy.numbers(k, b.own[k])]
            row[0] = np.vecdot(pulled[0], here)
            row[1] = np.vecdot(policy.numbers(k, following), valued)
            if needs.maxima:
                pulled.append(policy.numbers(k, policy.best(k, here, free)))
                row[2] = np.vecdot(pulled[1], here)
                row[3] = np.vecdot(policy.numbers(k, policy.best(k, valued, later)), valued)
            if needs.actions:
                each = following.reshape(M, -1)
                row[-self._widest:][:each.shape[1]] = each.T
            self._pulled.append(pulled)
        told = self._links.gather(rows.reshape(len(rows), -1))
        return None if told is None else self._of_team(told.reshape(len(told), -1, M))

    def regress(self, told: Told, mix: Mix) -> np.ndarray | None:
        """The step of what mixes, down the mean of (y - Q_tot)^2 / 2 with y = r + gamma Q'_tot(s', a').

        Returns:
            (N, C, M) what pulls at the agents' utilities, on the trainer; None elsewhere.
        """
        if told is None:
            return None
        critics, (now, following) = self._agents.critics, told
        found, pulls = critics.regress(self.b, now, critics.returns(self.b, following, mix), mix, self._beta)
        self._agents.report.critics[:] += found
        return pulls

    def descend(self, pulls: np.ndarray | None) -> None:
        """The step of all agents' utilities down the same: with shared parameters of the sum of their gradients."""
        agents, M, learner = self._agents, self._size, self._agents.together
        told = self._links.scatter(None if pulls is None else pulls.reshape(len(pulls), -1), M * len(self._pulled[0]))
        at_outputs = []
        for pulled, row, obs in zip(self._pulled, told, self._seen.observations, strict=True):
            at = np.zeros((len(obs), pulled[0].shape[1]))
            for numbers, pull in zip(pulled, row.reshape(-1, M), strict=True):
                at[:M] += numbers * pull[:, None]
            at_outputs.append(at)
        gradient = learner.policy.gradient(learner.theta, self._seen, at_outputs)
        if self._settings.parameters != "separate":
            gradient[:] = self._links.sum(gradient)
        agents.report.norms[:] += np.sqrt(np.vecdot(gradient, gradient)).astype(float) / M
        learner.theta[:] += self._alpha * learner.direction(M)(gradient)

    def follow(self) -> None:
        """Targets: theta' <- tau theta + (1 - tau) theta', omega' likewise; or they become theta and omega."""
        self._agents.follow(self._settings.follows(self.number))

    # --- sequences: where s' is seen ---

    @cached_property
    def _beyond(self) -> np.ndarray:
        """(K,) samples whose s' is not the s of a sample: after the last steps, and where a game ended."""
        last = np.zeros(self._size, dtype=bool) if self.b.again is None else self.b.again.copy()
        last[-self._sequences:] = True
        return np.flatnonzero(last)

    @cached_property
    def _after(self) -> np.ndarray:
        """(M,) where s' is among the M samples and the K states beyond them."""
        found = np.arange(self._size) + self._sequences
        found[self._beyond] = self._size + np.arange(len(self._beyond))
        return found

    @property
    def _sequences(self) -> int:
        """B."""
        return self._settings.batch

    @cached_property
    def _seen(self) -> Seen:
        """What agents see in the samples, and then in the states beyond."""
        from netac.agents.neural.passes import Seen

        b, B, beyond = self.b, self._sequences, self._beyond
        obs = [np.concatenate([own, after[beyond]]) for own, after in zip(b.obs, b.next_obs, strict=True)]
        if b.memory is None:
            return Seen(obs)
        fresh = np.zeros(self._size, dtype=bool)
        if b.again is not None:
            fresh[B:] = b.again[:-B]
        return Seen(obs, sequences=Sequences(np.arange(self._size).reshape(-1, B), b.memory, fresh, beyond))

    def _of_team(self, rows: np.ndarray) -> tuple[Utilities, Utilities]:
        """(N, C, M) of all agents -> what they say of a, and of a'; 0 of those that take no part, or have no s'."""
        b, needs = self.b, self._agents.critics.needs
        now, then = ([rows[:, c] * there for c in range(k, 2 + 2 * needs.maxima, 2)]
                     for k, there in enumerate((b.part, b.valued)))
        joint = self._joint(rows[:, -self._widest:]) if needs.actions else LEFT_OUT
        return (Utilities(now[0], now[1] if needs.maxima else LEFT_OUT, b.joint),
                Utilities(then[0], then[1] if needs.maxima else LEFT_OUT, joint))

    def _joint(self, rows: np.ndarray) -> np.ndarray:
        """Next actions (N, widest, M) -> (M, F) single precision, zeros for agents that have no s'."""
        joint = self._encode.joint
        return joint.beside([space.encode(space.read(row.T)) for space, row in zip(joint.spaces, rows, strict=True)],
                            self.b.valued)


def updates(agents: FactorisedAgents, sampler: GameSampler, links: TrainerLinks, settings: Factorised,
            times: range) -> Iterator[Iterator[FactorisedUpdate]]:
    """Iterations k in `times`: T joint steps of all games, then updates; none before there are `warmup` samples."""
    alpha, beta = (step_size(step, times.stop, agents.parameters)
                   for step in (settings.actor_step, settings.critic_step))
    encode, replay = Encoding(sampler.environment.actions), agents.replay
    for k in times:
        sampler.policy = replace(agents.policy, epsilon=settings.exploration(replay.added))
        replay.collect(sampler, agents.parameters.theta, settings.rollout)
        yield (FactorisedUpdate(number, b, agents, links, encode, alpha, beta, settings)
               for number, b in (agents.batches(k, links, settings) if replay.added >= settings.warmup else ()))
