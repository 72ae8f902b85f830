"""Rollouts: T joint steps of E games in arrays, for algorithms that learn from many samples at once.

M = T E samples, step after step: sample t E + e is step t of game e.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

import numpy as np

from netac.agents.alignment import aligned
from netac.agents.sequences import Sequences, chunked
from netac.agents.transitions import Transitions
from netac.sampling.encoding import Encoding
from netac.sampling.feeds import Advance, GameFeed
from netac.sampling.game import GameSampler
from netac.sampling.hosts import View
from netac.utils.spaces import joint_space


@dataclass(frozen=True)
class Rollout:
    """What the agents of a process did, and what critics see of it.

    Critics are each agent's own (then there are n of them here), or there is one, the trainer's, on process 0, and the
    lists are empty and the arrays of no rows elsewhere.

    Attributes:
        obs: (n) own observations, (M, *shape_i), single precision.
        own: (n) own actions, (M,) discrete ones or (M, d_i) vectors.
        active: (n, M) 1.0 where the agent took part, else 0.0; None where all did.
        seen: (critics) arrays (M, *shape): what they see of s.
        final_obs: (critics) arrays (K + E, *shape): what they see of the final s' of the K games that ended, then of s'
            of the last step.
        ended: (K,) the samples after which a game ended, ascending.
        r: (n, T, E) own rewards.
        everyone: (N, T, E) all agents' rewards; of no rows where the games are not stepped.
        bootstrap_mask: (agents, T, E) 1.0 where s' has a value (the agent did not terminate), else 0.0: of the agents
            whose critics are here, or of all N with the trainer's.
        taking_part: (agents, T, E) as `active`, of the same.
        done: (T, E) 1.0 where the game ended with that step.
        ends: (critics, T, E) 1.0 where what a critic judges ended: the game, or its agent's part in it.
        sequences: how the samples follow each other, for policies with memory; None for the others.
        everyone_active: (N, M) bool, which of all agents took part; None where all did in all.
        joint, final_joint: for what sees actions: (M, F) the joint action as numbers, as each agent sees it, and, of
            the trainer's critic, (K + E, F) those that the policies drew, for it alone, in the states of `final_obs`;
            zeros for agents that took no part, or have none in s'.
        told: (M, S) the joint actions as drawn and announced, see `netac.utils.spaces.ProductSpace`, NaN for agents
            that took no part; None where nobody asks for them.
        allowed: (n) arrays (M, outputs_i) bool, what was allowed of the actions that policies learn from; None: all.
        discounts: (M,) gamma^t of step t of an episode, where the policies' gradient is discounted; else None.
        costs: (N, T, E) what steps cost all agents, of no rows where the games are not stepped; None where nobody asks.
    """

    obs: list[np.ndarray]
    own: list[np.ndarray]
    active: np.ndarray | None
    seen: list[np.ndarray]
    final_obs: list[np.ndarray]
    ended: np.ndarray
    r: np.ndarray
    everyone: np.ndarray
    bootstrap_mask: np.ndarray
    taking_part: np.ndarray
    done: np.ndarray
    ends: np.ndarray
    sequences: Sequences | None = None
    everyone_active: np.ndarray | None = None
    joint: list[np.ndarray] = field(default_factory=list)
    final_joint: list[np.ndarray] = field(default_factory=list)
    told: np.ndarray | None = None
    allowed: list[np.ndarray] | None = None
    discounts: np.ndarray | None = None
    costs: np.ndarray | None = None

    @property
    def mean_reward(self) -> float:
        """A step's, mean over all agents; 0 where the games are not stepped."""
        return float(self.everyone.mean()) if len(self.everyone) else 0.0

    @property
    def present(self) -> np.ndarray | None:
        """(M,) the fraction of all N agents that took part; None where all did in all."""
        return None if self.everyone_active is None else self.everyone_active.mean(axis=0)

    @property
    def _learned(self) -> list[np.ndarray]:
        """(n) the actions that policies learn from: own ones or, where they are told, joint ones."""
        return self.own if self.told is None else [self.told] * len(self.own)

    def of(self, row: int) -> Transitions:
        """What the policy of one agent of this process learns from."""
        one = slice(row, row + 1)
        active = None if self.active is None else self.active[one]
        return Transitions(obs=self.obs[one], own=self._learned[one], active=active,
                           sequences=None if self.sequences is None else self.sequences.of(row),
                           allowed=None if self.allowed is None else self.allowed[one])

    @property
    def samples(self) -> Transitions:
        """What the policies of all agents of this process learn from."""
        return Transitions(obs=self.obs, own=self._learned, active=self.active, sequences=self.sequences,
                           allowed=self.allowed)

    def among(self, samples: Transitions, whose: Literal["own", "all", "any"]) -> Transitions:
        """Of this process's agents, or critics, such that the mean over agents of their means is one over

        - "own": the samples of each agent by itself, then over agents;
        - "all": all samples of all agents alike (shared parameters: paper 001, eq. 5; paper 002, eq. 4);
        - "any": the samples in which any agent took part, in which there is a joint ratio (paper 002, eq. 6).
        """
        if whose == "own" or self.present is None:
            return samples
        return replace(samples, active=np.ones((len(samples.obs or samples.seen), self.done.size))
                       if samples.active is None else samples.active,
                       shares=self.present if whose == "all" else np.ceil(self.present))

    def of_every_agent(self) -> Rollout:
        """The trainer's, as N critics of the state judge and learn from it, one for each agent's part in its games."""
        T, E = self.done.shape
        N = len(self.bootstrap_mask)
        ends = np.repeat(self.done[None] > 0, N, axis=0)
        if self.everyone_active is not None and N:
            ends[:, :-1] |= ~self.everyone_active.reshape(N, T, E)[:, 1:]
        return replace(self, seen=self.seen * N, final_obs=self.final_obs * N, ends=ends)

    def next_values(self, values: np.ndarray, final: np.ndarray) -> np.ndarray:
        """V(s') from V(s) (critics, M) and V of `final_obs`, (critics, K + E): (critics, T, E)."""
        T, E = self.done.shape
        following = np.concatenate([values[:, E:], final[:, len(self.ended):]], axis=1)
        following[:, self.ended] = final[:, :len(self.ended)]
        return following.reshape(-1, T, E)


class Rollouts:
    """Collects rollouts from `sampler`.

    Args:
        steps: T.
        central: whether there is one critic, the trainer's, which sees the global state; else each agent's sees what
            the sampler shows to it.
        chunk: L, the steps over which policies with memory are unrolled; T is a multiple of it.
        actions: whether models and critics are shown the joint action, too.
        told: whether policies are over joint actions, and learn from these.
        costs: whether steps come with what they cost.
    """

    def __init__(self, sampler: GameSampler, steps: int, central: bool, chunk: int = 1, actions: bool = False,
                 told: bool = False, costs: bool = False):
        self._sampler, self._steps, self._central, self._chunk = sampler, steps, central, chunk
        self._costs = costs
        self._encode = Encoding(sampler.environment.actions) if actions else None
        self._joint = joint_space(sampler.environment.actions) if told else None
        self._obs: list[np.ndarray] | None = None
        self._seen: list[np.ndarray] = []             # what critics see, each array once, where policies do not

    def collect(self, theta: np.ndarray) -> Rollout:
        """T joint steps with the policies at `theta` (n, d); observations are overwritten by the next call."""
        with self._sampler.policy.held(theta, self._sampler.games):
            return self._collected(theta)

    def _collected(self, theta: np.ndarray) -> Rollout:
        sampler, T, E = self._sampler, self._steps, self._sampler.games
        source, central, root = sampler.feeds[0], self._central, sampler.placement.rank == 0
        n, N = len(theta), sampler.placement.agents
        critics = not central or root                          # whether there are critics here
        if self._obs is None:
            self._obs = [_block(T * E, own.shape[1:]) for own in source.view.obs]
            if critics:
                self._seen = [_block(T * E, shown.shape[1:]) for shown in self._apart(source.view)]
        seen = self._seen if central else self._seen or self._obs        # each once, if all see the same
        judged = n if not central else N * root                # agents whose rewards the critics here learn from
        own: list[list[np.ndarray]] = [[] for _ in theta]
        finals: list[list[np.ndarray]] = [[] for _ in seen]
        active, done, present, ended = np.empty((n, T, E)), np.empty((T, E)), np.empty((N, T, E), dtype=bool), []
        r, everyone = np.empty((n, T, E)), np.empty((N * root, T, E))
        bootstrap_mask, left = np.ones((judged, T, E)), np.empty((0 if central else n, T, E))
        memories, joint, foreseen, told, discounts = [], [], [], [], []
        costs = np.empty((N * root, T, E)) if self._costs else None
        allowed: list[list[np.ndarray]] = [[] for _ in (theta if self._joint is None else [0])]
        for t in range(T):
            if source.memory is not None and t % self._chunk == 0:
                memories.append(source.memory.copy())
            now = slice(t * E, (t + 1) * E)
            step = sampler.advance(theta, source, keep=False)
            for block, shown in zip(self._obs, step.view.obs, strict=True):
                block[now] = shown
            for taken, actions in zip(own, step.own, strict=True):
                taken.append(actions)
            for known, mask in zip(allowed, self._allowed(step), strict=False):
                known.append(mask)
            active[:, t], done[t], present[:, t], r[:, t] = step.active, step.again, step.view.active, step.r
            if root:
                assert step.outcome.everyone is not None, "process 0 steps the games"
                everyone[:, t] = step.outcome.everyone.r
                if costs is not None:
                    costs[:, t] = step.outcome.costs
            if step.discounts is not None:
                discounts.append(step.discounts)
            for block, shown in zip(self._seen, self._apart(step.view) if self._seen else [], strict=True):
                block[now] = shown
            if critics and self._encode is not None:
                joint.append(self._encode(step.joint, step.view.active))
            if self._joint is not None:
                told.append(self._joint.product(step.joint, step.view.active))
            if central and root:
                bootstrap_mask[:, t] = step.outcome.valued
            elif not central:
                np.subtract(1.0, step.outcome.terminated, out=bootstrap_mask[:, t])
                left[:, t] = step.again | ~step.after.active[sampler.placement.local.start:sampler.placement.local.stop]
            if step.again.any() or t == T - 1:
                games = np.flatnonzero(step.again)
                ended.append(t * E + games)
                last = self._apart(step.after) if self._seen else [] if central else step.after.obs
                for final, shown in zip(finals, last, strict=True):
                    final.append(shown[games])
                    if t == T - 1:
                        final.append(shown)
                following = self._following(theta, source, step) if central else None
                if following is not None:
                    foreseen += [following[games], *([following] if t == T - 1 else [])]
            sampler.renew(step, source)
        each = 1 if central else n // len(seen)
        return Rollout(
            obs=self._obs, own=[np.concatenate(taken) for taken in own],
            active=None if active.all() else active.reshape(len(theta), T * E), seen=seen * each,
            final_obs=[np.concatenate(final) for final in finals] * each, ended=np.concatenate(ended), r=r,
            everyone=everyone,
            bootstrap_mask=bootstrap_mask, taking_part=present[:judged].astype(float) if central else active, done=done,
            ends=done[None] if central else left,
            sequences=self._sequences(memories, done) if memories else None,
            joint=[] if not joint else [np.concatenate(joint)] if central else sampler.shown(np.concatenate(joint)),
            final_joint=[np.concatenate(foreseen)] if foreseen else [],
            everyone_active=None if present.all() else present.reshape(N, T * E),
            told=np.concatenate(told) if told else None,
            allowed=[np.concatenate(known) for known in allowed] * (n // len(allowed)) if allowed[0] else None,
            discounts=np.concatenate(discounts) if discounts else None, costs=costs)

    def _allowed(self, step: Advance) -> list[np.ndarray]:
        """What the policies that learn were allowed to do in a step: own actions or, where they are told, joint ones.

        Empty where all may be done at any time.
        """
        if step.view.allowed is None or step.allowed is None:
            return []
        return step.allowed if self._joint is None else [step.view.allowed]

    def _apart(self, view: View) -> list[np.ndarray]:
        """What critics see, each array once; empty where it is what policies see."""
        return [view.state] if view.state is not None else [] if view.seen is view.obs else view.seen

    def _following(self, theta: np.ndarray, source: GameFeed, step: Advance) -> np.ndarray | None:
        """A joint action in s', (E, F), of the agents that go on or, where the game ended, that were truncated with
        this step.

        None where no critic needs it.
        """
        if self._encode is None:
            return None
        joint = self._sampler.foreseen(theta, source, step.after)
        outcome = step.outcome
        return None if joint is None else self._encode(joint, np.where(outcome.done, outcome.valued, step.after.active))

    def _sequences(self, memories: list[np.ndarray], done: np.ndarray) -> Sequences:
        """The chunks, from T / L memories (n, E, H) at their starts and done (T, E)."""
        fresh = np.zeros(done.shape, dtype=bool)
        fresh[1:] = done[:-1] > 0
        T, E = done.shape
        return Sequences(chunked(T, E, self._chunk), list(np.concatenate(memories, axis=1)), fresh.ravel())


def _block(samples: int, shape: tuple[int, ...]) -> np.ndarray:
    """(samples, *shape) single precision, as the networks' kernels want it."""
    return aligned(1, samples * prod(shape))[0].reshape(samples, *shape)
