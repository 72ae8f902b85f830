"""Samples for agents with networks: E games side by side, stepped by a host, sampled for the agents of this process.

It answers the questions of `netac.sampling.protocol.Sampler`; a batch of M samples are M / E joint steps of all games.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.agents.normalisation import ObservationNormaliser, RewardNormaliser
from netac.agents.transitions import Transitions
from netac.comm.channels import Everyone, ToTrainer
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.comm.shared_memory import Host
from netac.envs._batched import BatchedEnvironment, has_masks, state_shape
from netac.sampling.encoding import Encoding
from netac.sampling.feeds import Advance, GameFeed, Told
from netac.sampling.hosts import AtRoot, Elsewhere, Outcome, Replicated, View
from netac.sampling.protocol import RUNNING, SECOND, Features
from netac.sampling.tally import Episodes, Tally
from netac.utils.errors import RunError
from netac.utils.sight import Sight
from netac.utils.streams import Purpose, Stream, student_t4

if TYPE_CHECKING:
    from mpi4py import MPI


class GameSampler:
    """Draws batches of joint samples for the agents of this process.

    Args:
        make: makes the E games of a chain; called once per chain in every process.
        policy: the policies of this process's agents.
        placement, ledger, comm: who is where, where traffic is counted, the launch's communicator (or None).
        seed: the run's seed.
        double: whether the actor has games of its own, which begin anew with probability 1 - gamma after every step.
        gamma: discount.
        features: what a batch must hold.
        replicated: whether every process may step the games; else process 0 does.
        stagger: steps over which the games' first episodes are cut short; 0: all begin together.
        state: whether critics are shown the global state.
        sight: what policies and critics see of what the games show; None: all of it.
        trainer: whether the algorithm is a central trainer: process 0 steps the games, and it alone gets joint actions
            and states.
        own_first: whether the joint action is shown to each agent with its own action first; else in agent order.
        normalise_observations, normalise_rewards: by running statistics, each agent's own.
        learning: whether these statistics are updated, and `rows` hold the policies' memories of games under way.
        discounted: whether the steps of the running chain's episodes come with gamma^t.
    """

    def __init__(self, make: Callable[[], BatchedEnvironment], policy: Any, placement: Placement, ledger: Ledger,
                 seed: int, double: bool, gamma: float, features: Features, comm: MPI.Intracomm | None = None, *,
                 replicated: bool = True, stagger: int = 0, state: bool = False, sight: Sight | None = None,
                 trainer: bool = False, own_first: bool = False, normalise_observations: bool = False,
                 normalise_rewards: bool = False, learning: bool = True, discounted: bool = False):
        self.policy, self.placement, self.ledger = policy, placement, ledger
        self._seed, self._gamma, self._features, self._comm, self._discounted = seed, gamma, features, comm, discounted
        self._replicated, self._with_state = replicated and not trainer, state
        self.trainer = trainer
        self._agents = placement.local
        self.environment = environment = make()
        self.games = environment.games
        spaces = environment.actions
        self._encode, self._own_first = Encoding(spaces), own_first
        self._joint = self._encode.joint
        self._exchange: Everyone | ToTrainer | None = None
        n = len(self._agents)
        shapes = list(environment.observations)
        self._sight = sight or Sight.of(environment)
        self._told = self._sight.told
        self._observations = ObservationNormaliser(
            shapes[self._agents.start:self._agents.stop], max(map(prod, shapes))) if normalise_observations else None
        self._states = ObservationNormaliser([state_shape(environment)]) if normalise_observations and state else None
        own_critics = 0 if state else len(shapes)              # they learn from the agents' rewards
        masks = sum(-(-space.outputs // 8) for space in spaces) if has_masks(environment) else 0
        self._nbytes = 4 * (sum(map(prod, shapes)) + own_critics) + masks     # a trainer sends all agents of a game
        self._rewards = RewardNormaliser(n, self.games, gamma) if normalise_rewards else None
        self._staggered = stagger > 0
        self._cuts = stagger * np.arange(self.games) // self.games   # the step after which a game is cut short; 0: none
        self.learning = learning
        self.episodes = Episodes(np.zeros(self.games), np.zeros(self.games, dtype=np.int64))
        self.tally = Tally()
        self.feeds = [self.feed(RUNNING, environment)]
        if double:
            self.feeds.append(self.feed(SECOND, make(), restarting=True))

    @property
    def resumable(self) -> bool:
        """Whether the games can be saved; a user's environment that does not say so cannot."""
        return getattr(self.environment, "resumable", False)

    def feed(self, index: int, environment: BatchedEnvironment, restarting: bool = False) -> GameFeed:
        """`environment`, begun, with the random streams of number `index`."""
        host: Replicated | AtRoot | Elsewhere = Replicated(environment, self._agents, self._with_state)
        if self.trainer and not self._agents:
            host = Elsewhere(environment)
        elif self._comm is not None and not self._replicated:
            host = AtRoot(environment, self.placement, self.ledger, self._with_state, self._comm, self.trainer)
        seed, N, own = self._seed, self.placement.agents, self._agents
        restarts = Stream(seed, Purpose.RESTART, index, None, range(self.games)) if restarting else None
        view = self._seen(host.begin(seed, index), index == RUNNING)
        self._count(self.games)
        size = getattr(self.policy, "memory", 0)
        return GameFeed(host, view, Stream(seed, Purpose.ACTION, index, N, own),
                    Stream(seed, Purpose.PRIVACY_NOISE, index, N, own, student_t4), restarts,
                    memory=np.zeros((len(own), self.games, size), dtype=np.float32) if size else None)

    # --- sampling ---

    def sample(self, theta: np.ndarray, samples: int = 1, feed: int = RUNNING) -> Transitions:
        """`samples` joint steps of all games with the policies at `theta` (n, d): M = samples E joint samples."""
        steps = [self._sample(theta, self.feeds[feed], feed == RUNNING) for _ in range(samples)]
        batch = steps[0] if samples == 1 else Transitions.joined(steps)
        self.tally.rewards.append(batch.r)
        return batch

    def _sample(self, theta: np.ndarray, source: GameFeed, running: bool) -> Transitions:
        step = self.advance(theta, source, running)
        view, after, outcome = step.view, step.after, step.outcome
        encoded = self._encode(step.joint, view.active)
        batch = Transitions(
            obs=view.obs, next_obs=after.obs, seen=view.seen, next_seen=after.seen,
            own=step.own, pi=step.pi, allowed=step.allowed, joint=self.shown(encoded), r=step.r,
            active=None if step.active.all() else step.active.astype(float),
            bootstrap_mask=None if not outcome.terminated.any() else 1.0 - outcome.terminated,
            discounts=step.discounts)
        if self._features.psi_own:
            batch.alternatives = self.shown(encoded, self._encode.alternatives)
        if self._features.psi_next:
            following = self._act(theta, source, after, self.allowed(after))[2]
            batch.next_joint = self.shown(self._encode(following, outcome.valued))
            source.pending = following if source.restarts is None else None
        self.renew(step, source, running)
        return batch

    def advance(self, theta: np.ndarray, source: GameFeed, running: bool = True, keep: bool = True) -> Advance:
        """One joint step of all games; `renew` must follow before the next.

        Args:
            keep: whether gradients for what was seen will be asked for.
        """
        view = source.view
        allowed = self.allowed(view)
        own, pi, joint = self._act(theta, source, view, allowed, source.pending, keep)
        active = view.active[self._agents.start:self._agents.stop]
        played: Told = None if joint is None else self._joint.clip(joint)
        outcome = source.host.step(played)
        self.ledger.samples += self.games
        self._count(self.games)
        learn = running and self._observations is not None
        after = self._seen(outcome.view, running, not learn or outcome.valued.any(axis=0))
        discounts = self._gamma**self.episodes.lengths if self._discounted and running else None
        source.steps += 1
        again = outcome.done | (self._cuts == source.steps) if self._staggered else outcome.done.copy()
        r = outcome.r if self._rewards is None else self._rewards.apply(
            outcome.r, again, active, learn=running and self.learning)
        if running:
            self.tally.team += float(np.add.reduce(outcome.team))
            self.tally.samples += self.games
            self.episodes.add(outcome.team, outcome.done, outcome.measured)
            if outcome.costs is not None:
                self.tally.charge(outcome.costs, view.active)
            if self._staggered:
                self.episodes.forget(again & ~outcome.done)
        return Advance(view, own, pi, joint, active, r, outcome, after, again, allowed, self.allowed(after), discounts)

    def renew(self, step: Advance, source: GameFeed, running: bool = True) -> None:
        """Restart the games that ended or were cut short, and by chance those of the actor's own chain."""
        again, after = step.again, step.after
        if source.restarts is not None:
            again |= source.restarts.take()[0] >= self._gamma
        if again.any():
            after = self._seen(source.host.restart(again), running, again)
            source.forget(again)
            self._count(int(again.sum()))
            if source.pending is not None:
                source.pending[:, again] = -1
        source.view = after

    def _count(self, games: int) -> None:
        """Count what tells agents what they see in so many games: the trainer, rewards as well, or their neighbours."""
        if self.trainer:
            self.ledger.trainer(self.placement.agents, games * self._nbytes)
        elif self._told[0]:
            self.ledger.neighbours(self._told[0], games * self._told[1])

    def play(self, theta: np.ndarray, source: GameFeed) -> tuple[np.ndarray, Outcome]:
        """One joint step that nobody learns from: the joint action, (N, E) or (N, E, size), and what it gave."""
        joint = self._act(theta, source, source.view, self.allowed(source.view))[2]
        outcome = source.host.step(self._joint.clip(joint))
        view = source.host.restart(outcome.done) if outcome.done.any() else outcome.view
        source.view = self._seen(view, learn=False)
        source.forget(outcome.done)
        return joint, outcome

    def foreseen(self, theta: np.ndarray, source: GameFeed, after: View) -> np.ndarray | None:
        """A joint action in s' that will not be played, (N, E) or (N, E, size); memories stay as they were.

        None on processes that do not get joint actions.
        """
        memory = None if source.memory is None else source.memory.copy()
        joint = self._act(theta, source, after, self.allowed(after), keep=False)[2]
        if memory is not None and source.memory is not None:
            source.memory[:] = memory
        return joint

    def allowed(self, view: View) -> list[np.ndarray] | None:
        """What the agents of this process may do, (n) arrays (E, outputs_i) bool; None: all at any time."""
        return None if view.allowed is None else [
            view.allowed[:, self._encode.columns(agent)] for agent in self._agents]

    def _act(self, theta: np.ndarray, source: GameFeed, view: View, allowed: list[np.ndarray] | None,
             pending: np.ndarray | None = None,
             keep: bool = True) -> tuple[list[np.ndarray], list[np.ndarray | None], Told]:
        """Own actions (list), their probabilities (list), and the joint action (N, E) or (N, E, size).

        Actions that were chosen before (`pending`, as in `GameFeed`) are kept, and only their probabilities are those
        at `theta`: they are not announced again, and nothing is exchanged where no game began anew.
        """
        new = None if pending is None else pending[0] < 0
        n, size = len(self._agents), self._joint.size
        uniforms = source.actions.take(self.games * size).T.reshape(n, self.games, size)
        own, pi = self.policy.act(theta, view.obs, uniforms, keep, source.memory, allowed)
        if not self.trainer:
            self.ledger.announced += self.games if new is None else int(new.sum())
        if new is not None and pending is not None:
            joint = np.where(new, self._gather(own), pending) if new.any() else pending
            return list(joint[self._agents.start:self._agents.stop]), pi, joint
        return own, pi, self._gather(own)

    def _gather(self, own: list[np.ndarray]) -> Told:
        """All agents' actions, rounded as when sent: (n) own ones -> (N, E, ...); with a trainer, only on process 0."""
        rows = self._joint.stack(own, self._agents) if own else self._joint.of_nobody(self.games)
        sent = rows.astype(self._joint.wire)
        width = self.games * self._joint.size
        if self.trainer:
            agents = self.placement.agents
            self.ledger.trainer(agents, agents * width * sent.itemsize)
        if self._comm is not None:
            if self._exchange is None:
                wire = self._joint.wire
                self._exchange = (ToTrainer(self.placement, width, wire, self._comm) if self.trainer else
                                  Host(self._comm, self.placement).everyone(width, wire))
            self.ledger.wire(self._exchange.messages, self._exchange.bytes)
            gathered = self._exchange.gather(sent.reshape(len(sent), width))
            if gathered is None:
                return None
            sent = gathered.reshape(-1, *sent.shape[1:])
        return sent.astype(self._joint.dtype)

    def shown(self, encoded: np.ndarray, change: Callable | None = None) -> list[np.ndarray]:
        """The joint action (E, F), or what `change` makes of it for an agent, as each agent sees it."""
        if change is None and not self._own_first:
            return [encoded] * len(self._agents)
        shown = [encoded if change is None else change(encoded, agent) for agent in self._agents]
        if not self._own_first:
            return shown
        return [self._encode.own_first(each, agent) for each, agent in zip(shown, self._agents, strict=True)]

    def _seen(self, view: View, learn: bool, games: np.ndarray | np.bool | bool = True) -> View:
        """The view as networks see it, normalised where that is asked for.

        Args:
            learn: whether the statistics are updated.
            games: (E,) which games show something new that has a value for an agent.

        Raises:
            RunError: a number is not finite.
        """
        for agent, own in zip([*self._agents, None], [*view.obs, view.state], strict=True):
            if own is not None and not isfinite(np.vdot(own, own)) and not np.isfinite(own).all():
                what = f"observation in game {np.argwhere(~np.isfinite(own))[0, 0]}" if agent is not None else (
                    "global state")
                raise RunError(f"the environment's {what} holds {own[~np.isfinite(own)][0]}", agent=agent)
        if self._observations is None:
            return self._divided(view)
        if learn and self.learning:
            self._observations.update(view.obs, view.active[self._agents.start:self._agents.stop] & games)
            if view.state is not None and self._states is not None:
                self._states.update([view.state], np.ones((1, self.games), dtype=bool) & games)
        state = view.state
        if state is not None and self._states is not None:
            state = self._states.apply([state])[0]
        return self._divided(View(self._observations.apply(view.obs), state, view.active, view.allowed))

    def _divided(self, view: View) -> View:
        """The view with what policies see of it, and what critics see."""
        shown, sight = view.obs, self._sight
        view.obs = sight.part(shown, sight.policy, self._agents)
        view.seen = [view.state] * len(shown) if view.state is not None else (
            view.obs if sight.policy == sight.critics else sight.part(shown, sight.critics, self._agents))
        return view

    def privacy_noise(self, samples: int) -> np.ndarray:
        """e_i of the actor's samples, standard deviation 1, drawn by each agent for itself: (n, M)."""
        return self.feeds[-1].privacy.take(samples).T

    def close(self) -> None:
        """Release what games and exchange hold."""
        for feed in self.feeds:
            feed.host.close()
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    # --- checkpoints ---

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent of this process keeps for itself, (n, D) each: arrays that may be assigned into."""
        memory = self.feeds[0].memory if self.learning else None      # only learning games are resumed
        kept = {"observation_statistics": self._observations, "reward_statistics": self._rewards}
        rows = {name: each.rows for name, each in kept.items() if each is not None}
        return rows if memory is None else {**rows, "memory": memory.reshape(len(memory), -1)}

    def state(self) -> dict[str, np.ndarray]:
        """Positions of all streams and games, whole on process 0."""
        kept = {"episodes": np.concatenate([self.episodes.returns, self.episodes.lengths])}
        if self._states is not None:
            kept["state_statistics"] = self._states.rows.copy()
        for k, feed in enumerate(self.feeds):
            kept[f"feed{k}"] = np.array([feed.actions.position, feed.privacy.position,
                                         feed.restarts.position if feed.restarts else 0, feed.steps])
            if feed.pending is not None:
                kept[f"feed{k}_pending"] = feed.pending
            kept |= {f"feed{k}_games_{name}": array for name, array in feed.host.get_state().items()}
        return kept

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up the positions of a checkpoint; the agents' statistics of normalisation have been taken up before."""
        self.episodes.returns[:], lengths = np.split(state["episodes"], 2)
        self.episodes.lengths[:] = lengths
        if not self.resumable:
            self.episodes.forget(np.ones(self.games, dtype=bool))
            if self._rewards is not None:
                self._rewards.rows[:, -self.games:] = 0.0      # returns of episodes that are not resumed
        if self._states is not None:
            self._states.rows[:] = state["state_statistics"]
        for k, feed in enumerate(self.feeds):
            actions, privacy, restarts, steps = state[f"feed{k}"].tolist()
            feed.steps = steps if self.resumable else 0
            feed.actions.seek(actions)
            feed.privacy.seek(privacy)
            if feed.restarts:
                feed.restarts.seek(restarts)
            feed.pending = state.get(f"feed{k}_pending")
            if feed.pending is not None and not self.resumable:
                feed.pending = np.full_like(feed.pending, -1)
            if not self.resumable:
                feed.forget(np.ones(self.games, dtype=bool))
            prefix = f"feed{k}_games_"
            games = {name[len(prefix):]: array for name, array in state.items() if name.startswith(prefix)}
            feed.view = self._seen(feed.host.set_state(games), learn=False)
