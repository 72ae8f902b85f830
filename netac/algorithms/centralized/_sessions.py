"""One iteration of a trainer, up to the point where policies learn: trajectories, rewards of the team, advantages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from netac.agents.steps import step_size
from netac.algorithms.centralized._costs import Charge
from netac.algorithms.centralized._on_policy import OnPolicyAgents
from netac.algorithms.centralized._options import OnPolicy
from netac.algorithms.policy_gradient.advantages import deviation, normalised
from netac.algorithms.policy_gradient.critics import Judgement
from netac.algorithms.policy_gradient.values import team_reward
from netac.comm.trainer_links import TrainerLinks
from netac.sampling.game import GameSampler
from netac.sampling.rollout import Rollout, Rollouts


@dataclass
class Session:
    """What iteration k has to learn from.

    Attributes:
        k: the iteration.
        b: trajectories of pi_k.
        alpha: the step size of policies.
        measured: whether its diagnostics are asked for.
        A: (critics, M) advantages: the trainer's, of no rows on other processes, or (n, M) each agent's own.
        own: whether they are each agent's own.
        scale: by which A was divided, on the trainer.
        charge: what b cost; None where the algorithm does not ask.
    """

    k: int
    b: Rollout
    alpha: np.ndarray
    measured: bool
    _beta: np.ndarray
    _agents: OnPolicyAgents
    _links: TrainerLinks
    _settings: OnPolicy
    _judged: Judgement
    charge: Charge | None = None
    A: np.ndarray = field(init=False)
    own: bool = field(init=False)
    scale: float = field(default=1.0, init=False)
    _fitted: bool = field(default=False, init=False)

    def use(self, advantages: np.ndarray, own: bool) -> None:
        """Let policies learn from `advantages`, as `A`, normalised here if the option `advantages` is "joint"."""
        self.A, self.own = advantages, own
        if self._settings.advantages == "joint":
            self.A, self.scale = _jointly(advantages, self.b, self._links, own)

    def fit_critics(self) -> None:
        """Regress the critics on the returns; a second call does nothing."""
        if not self._fitted:
            self._fitted = True
            self._agents.critics.fit(self.b, self._judged, self._beta, self.k,
                                     self._links.mean if self._agents.critics_are_shared else None)
            if self.charge is not None and self._agents.limited is not None:
                self._agents.limited.critics.fit(self.charge.b, self.charge.judged, self._beta, self.k)

    def fit(self) -> None:
        """Regress the critics on the returns, if that was not done yet, and collect the iteration's diagnostics."""
        self.fit_critics()
        self._links.meet()
        self._agents.report.close(partial(self._links.gather, counted=False), self.b.mean_reward, self.scale,
                                  self.measured, self._beside())

    def _beside(self) -> np.ndarray | None:
        """(N, K) what is reported of costs."""
        limited, K = self._agents.limited, len(self._agents.report.beside)
        if limited is None or self.charge is None:
            return None
        return np.stack([self.charge.mean, limited.multipliers[:len(self.charge.mean)]][:K], axis=1)


def sessions(agents: OnPolicyAgents, sampler: GameSampler, links: TrainerLinks, settings: OnPolicy,
             times: range) -> Iterator[Session]:
    """Iterations k in `times`; with a critic of actions, the algorithm passes its advantages to `Session.use`."""
    critics, dtype = agents.critics, agents.parameters.flat.dtype
    limited = agents.limited
    rollouts = Rollouts(sampler, settings.rollout, not agents.critics_are_local, settings.chunk, critics.of_actions,
                        costs=limited is not None)
    alpha, beta = (step_size(step, times.stop, agents.parameters)
                   for step in (settings.actor_step, settings.critic_step))
    for k in times:
        b = rollouts.collect(agents.parameters.theta)
        judged = critics.judge(b, _rewards(b, links, settings, agents.critics_are_local))
        left = np.array(settings.left(k, times.stop), dtype)
        session = Session(k, b, alpha * left, agents.report.measures(k, times.stop), beta * left, agents, links,
                          settings, judged, None if limited is None else limited.charge(b))
        if not critics.of_actions:
            session.use(judged.advantages.reshape(len(judged.advantages), b.done.size), agents.critics_are_local)
        yield session


def _jointly(A: np.ndarray, b: Rollout, links: TrainerLinks, own: bool) -> tuple[np.ndarray, float]:
    """A brought to mean 0 and deviation 1, and the deviation before.

    Mean and deviation are over all samples in which any agent took part or, if each agent has its `own` advantages,
    over every agent's samples, all agents together.
    """
    if not own:
        part = b.taking_part.reshape(len(b.taking_part), b.done.size)
        together = part.max(axis=0, keepdims=True) if len(part) else part
        return (normalised(A, together), deviation(A, together).item()) if len(A) else (A, 1.0)
    part = np.ones(A.shape) if b.active is None else b.active
    total, count = links.sum(np.stack([(part * A).sum(axis=1), part.sum(axis=1)], axis=1))
    centred = part * (A - total / max(count, 1.0))
    squares, = links.sum((centred**2).sum(axis=1, keepdims=True))
    spread = float(np.sqrt(squares / max(count, 1.0)))
    return centred / (spread + 1e-5), spread


def _rewards(b: Rollout, links: TrainerLinks, settings: OnPolicy, local: bool) -> np.ndarray:
    """What critics learn from, (critics, T, E): the team's reward; own ones, if agents have critics and no
    `team_reward`.
    """
    if local and settings.team_reward is None:
        return b.r
    team = team_reward(b.everyone, settings.team_reward) if len(b.everyone) else b.everyone
    if not local:
        return team
    T, E = b.done.shape
    rows = np.repeat(team.reshape(1, -1), links.placement.agents, axis=0) if links.is_trainer else None
    return links.scatter(rows, T * E).reshape(-1, T, E)
