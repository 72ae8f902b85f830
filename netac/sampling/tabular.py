"""Joint samples of a tabular environment, for the agents of this process.

Every process steps the same seeded environment, so that only actions are sent (one Allgather).  Several samples at once
are drawn through response tables: with the policies fixed, each agent's action (hence the next state) is computed for
every state and sample at once, and the chain is then followed through the table.  It gives the same samples as drawing
one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netac.agents.distributions import choose
from netac.agents.policies import LogLinear, Tabular
from netac.agents.protocols import LEFT_OUT
from netac.agents.tabular_batch import TabularBatch
from netac.comm.channels import Everyone
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.comm.shared_memory import Host
from netac.envs._tabular import TabularEnvironment
from netac.exact import FiniteMDP, stationary_distribution, transition, visitation_distribution
from netac.sampling.chains import Chain, FreshDraws, RestartingChain
from netac.sampling.protocol import RUNNING, SECOND, Features, Sampling
from netac.sampling.tally import Tally
from netac.utils.errors import RunError
from netac.utils.spaces import ActionSpace, joint_space
from netac.utils.streams import Purpose, Stream, student_t4

if TYPE_CHECKING:
    from mpi4py import MPI

TABLE_STATES = 64           # with more states, samples are drawn one after the other


@dataclass
class TabularFeed:
    """One chain with its agents' streams; `pending` is the joint action already chosen for the current state."""

    chain: Chain
    actions: Stream
    noise: Stream | None
    privacy: Stream
    pending: tuple[np.ndarray, np.ndarray] | None = None      # own (n, 1), joint (N, 1)


class TabularSampler:
    """Draws batches of joint samples for the agents of this process.

    Args:
        environment: the environment, the same in every process.
        policy: the policies of this process's agents.
        placement, ledger, comm: who is where, where traffic is counted, the launch's communicator (or None).
        seed: the run's seed.
        sampling: "markov": one running chain; "double": a second chain, restarting with probability 1 - gamma, for the
            actor; "stationary": independent draws from mu_theta; "iid": the critics' from mu_theta, the actor's from
            the discounted visitation d_theta (finite MDPs only).
        gamma: discount.
        features: what a batch must hold.
    """

    episodes = None        # there are none: the chain does not end
    resumable = True

    def __init__(self, environment: TabularEnvironment, policy: Tabular | LogLinear, placement: Placement,
                 ledger: Ledger, seed: int, sampling: Sampling, gamma: float, features: Features,
                 comm: MPI.Intracomm | None = None):
        self.environment, self.policy, self.placement, self.ledger = environment, policy, placement, ledger
        self._seed, self._comm, self._features, self._gamma = seed, comm, features, gamma
        self._agents = placement.local
        self._phi = np.ascontiguousarray(environment.phi, dtype=float)
        self._wire = joint_space([ActionSpace(n_actions=environment.actions)]).wire
        self._exchanges: dict[int, Everyone] = {}              # of actions, by the number of samples
        self._all_states = np.arange(environment.states)
        self.games = 1                                         # joint samples drawn side by side
        self._theta: np.ndarray = LEFT_OUT                     # at which the exact distributions are asked for
        self.tally = Tally()
        chains = (RUNNING, SECOND) if sampling in ("double", "iid") else (RUNNING,)
        self.feeds = [self.feed(index, self._chain(index, sampling)) for index in chains]

    def _chain(self, index: int, sampling: Sampling) -> Chain:
        env, seed = self.environment, self._seed
        if sampling in ("stationary", "iid"):
            return FreshDraws(seed, index, env.initial, self._stationary if index == RUNNING else self._visitation)
        if index == SECOND:
            return RestartingChain(seed, index, env.initial, self._gamma)
        return Chain(seed, index, env.initial)

    def feed(self, index: int, chain: Chain) -> TabularFeed:
        """`chain` with the agents' streams of number `index`."""
        seed, N, own, transform = self._seed, self.placement.agents, self._agents, self.environment.reward_noise
        noise = Stream(seed, Purpose.REWARD_NOISE, index, N, own, transform) if transform else None
        return TabularFeed(chain, Stream(seed, Purpose.ACTION, index, N, own), noise,
                           Stream(seed, Purpose.PRIVACY_NOISE, index, N, own, student_t4))

    def sample(self, theta: np.ndarray, samples: int = 1, feed: int = RUNNING) -> TabularBatch:
        """`samples` joint samples with the policies at `theta` (n, d).

        The batch's `pi` is at this theta.  Where the algorithm uses a', the running chain keeps a' as its next
        action (Zhang et al., Algorithm 1).
        """
        self._theta = theta
        source, environment, wanted = self.feeds[feed], self.environment, self._features
        follow_on = wanted.psi_next and feed == RUNNING
        if follow_on:
            states, next_states, own, joint, next_joint, pi = self._draw_with_next(source, theta, samples)
        else:
            states, next_states, own, joint, pi = self._draw(source, theta, samples)
        self.ledger.samples += samples
        r, team = environment.rewards(states, joint, next_states, self._agents)
        if source.noise is not None:
            r = r + source.noise.take(samples).T
        tally = self.tally
        tally.rewards.append(r)
        if feed == RUNNING:
            tally.team += team.item() if samples == 1 else float(team.sum())
            tally.samples += samples
        phi = self._phi if states is self._all_states else self._phi.take(states, axis=0)
        phi_next = phi if next_states is states else self._phi.take(next_states, axis=0)
        batch = TabularBatch(states, next_states, joint, own, pi, r, phi, phi_next)
        if wanted.psi:
            batch.psi = environment.psi(states, joint)
        if follow_on:
            batch.psi_next = environment.psi(next_states, next_joint)
        if wanted.psi_own:
            batch.psi_own = environment.psi.alternatives(states, joint, self._agents)
        return batch

    def privacy_noise(self, samples: int) -> np.ndarray:
        """e_i of the actor's samples, standard deviation 1, drawn by each agent for itself: (n, M)."""
        return self.feeds[-1].privacy.take(samples).T

    def play(self, theta: np.ndarray, source: TabularFeed, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`samples` steps of a chain without rewards: states (M,), next states (M,), joint actions (N, M)."""
        states, next_states, _, joint, _ = self._draw(source, theta, samples)
        return states, next_states, joint

    def _draw(self, source: TabularFeed, theta: np.ndarray, samples: int) -> tuple[np.ndarray, ...]:
        """states, next_states, own actions, joint actions, pi of `samples` samples."""
        states = self.environment.states
        if states == 1:
            return self._draw_stateless(source, theta, samples)
        if samples == 1 or states > TABLE_STATES:
            return _joined([self._draw_one(source, theta) for _ in range(samples)])
        return self._draw_table(source, theta, samples)

    # --- one sample after the other ---

    def _act(self, source: TabularFeed, theta: np.ndarray,
             states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """pi (n, 1, A), own actions (n, 1) and joint actions (N, 1) in one state."""
        pi, own = choose(self.policy.logits(theta, states), source.actions.take().T[:, :, None])
        own = own[:, :, 0]
        self.ledger.announced += 1
        return pi, own, self._gather(own)

    def _draw_one(self, source: TabularFeed, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        chain, u, states = source.chain, None, self._all_states[:1]
        if self.environment.states > 1:
            u = chain.uniforms(1)
            starts = chain.starts(u)
            states = np.array([chain.state]) if starts is None else starts
        pi, own, joint = self._act(source, theta, states)
        next_states = self._move(chain, states, joint, u)
        return states, next_states, own, joint, pi

    def _move(self, chain: Chain, states: np.ndarray, joint: np.ndarray, u: np.ndarray | None) -> np.ndarray:
        if u is None:
            return states
        next_states = self.environment.next_states(states, joint, u[:, 0])
        chain.advance(int(next_states[0]), u)
        return next_states

    def _draw_with_next(self, source: TabularFeed, theta: np.ndarray, samples: int) -> tuple[np.ndarray, ...]:
        """Samples (s, a, s', a'); on a chain a' is the next sample's a, independent samples draw both afresh."""
        if samples != 1:
            raise RunError("a batch of several samples has no a': algorithms ask for psi_next one sample at a time")
        chain, u, states = source.chain, None, self._all_states[:1]
        if self.environment.states > 1:
            u = chain.uniforms(1)
            starts = chain.starts(u)
            states = np.array([chain.state]) if starts is None else starts
        if source.pending is None or isinstance(chain, FreshDraws):
            pi, own, joint = self._act(source, theta, states)
        else:
            own, joint = source.pending
            pi = choose(self.policy.logits(theta, states), np.zeros((len(own), 1, 1)))[0]
        next_states = self._move(chain, states, joint, u)
        _, next_own, next_joint = self._act(source, theta, next_states)
        source.pending = (next_own, next_joint)
        return states, next_states, own, joint, next_joint, pi

    # --- many at once ---

    def _respond(self, source: TabularFeed, theta: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
        """pi (n, S, A), and the action of every own agent in every state and sample, (n, S, M)."""
        self.ledger.announced += samples
        return choose(self.policy.logits(theta, self._all_states), source.actions.take(samples).T[:, None, :])

    def _draw_stateless(self, source: TabularFeed, theta: np.ndarray, samples: int) -> tuple[np.ndarray, ...]:
        pi, responses = self._respond(source, theta, samples)
        own, states = responses[:, 0], self._all_states
        if samples > 1:
            states, pi = np.zeros(samples, dtype=np.int64), np.repeat(pi, samples, axis=1)
        return states, states, own, own if self._comm is None else self._gather(own), pi

    def _draw_table(self, source: TabularFeed, theta: np.ndarray, samples: int) -> tuple[np.ndarray, ...]:
        S, n = self.environment.states, len(self._agents)
        pi, responses = self._respond(source, theta, samples)
        u = source.chain.uniforms(samples)
        answers = self._gather(responses.reshape(n, S * samples))
        moves = self.environment.next_states(np.repeat(self._all_states, samples), answers, np.tile(u[:, 0], S))
        states = source.chain.walk(moves.reshape(S, samples), u)
        at = states * samples + np.arange(samples)
        joint = answers.take(at, axis=1)
        return states, moves.take(at), joint[self._agents.start:self._agents.stop], joint, pi.take(states, axis=1)

    # --- messages ---

    def _gather(self, own: np.ndarray) -> np.ndarray:
        """All agents' actions: (n, M) -> (N, M), by one Allgather."""
        if self._comm is None:
            return own
        exchange = self._exchanges.get(own.shape[1])
        if exchange is None:
            exchange = Host(self._comm, self.placement).everyone(own.shape[1], self._wire)
            self._exchanges[own.shape[1]] = exchange
        self.ledger.wire(exchange.messages, exchange.bytes)
        return exchange.gather(own).astype(np.int64)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent keeps for itself: nothing but counters, which `state` holds."""
        return {}

    def close(self) -> None:
        """Release what the exchanges hold of MPI."""
        for exchange in self._exchanges.values():
            exchange.close()
        self._exchanges.clear()

    # --- exact distributions: known to the experiment, not traffic between agents ---

    @property
    def _mdp(self) -> FiniteMDP:
        mdp = self.environment.mdp
        assert mdp is not None, "without a model, exact sampling is refused before"
        return mdp

    def _joint_pi(self) -> np.ndarray:
        pi, _ = choose(self.policy.logits(self._theta, self._all_states), np.zeros((1, 1, 1)))
        if self._comm is None:
            return pi
        exchange = Everyone(self.placement, pi[0].size, pi.dtype, self._comm)
        everyone = exchange.gather(pi.reshape(len(pi), -1)).reshape(-1, *pi.shape[1:])
        exchange.close()
        return everyone

    def _stationary(self) -> np.ndarray:
        return stationary_distribution(transition(self._mdp, self._joint_pi()))

    def _visitation(self) -> np.ndarray:
        mdp = self._mdp
        return visitation_distribution(transition(mdp, self._joint_pi()), mdp.xi, self._gamma)

    # --- checkpoints ---

    def state(self) -> dict[str, np.ndarray]:
        """Positions of all streams and chains, the same in every process."""
        kept = {}
        for k, feed in enumerate(self.feeds):
            pending = np.zeros(0, dtype=np.int64) if feed.pending is None else feed.pending[1][:, 0]
            noise = feed.noise.position if feed.noise else 0
            kept[f"chain{k}"] = np.array([feed.chain.state, feed.chain.stream.position, feed.actions.position, noise,
                                          feed.privacy.position])
            kept[f"chain{k}_pending"] = pending
        return kept

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up the positions of a checkpoint."""
        for k, feed in enumerate(self.feeds):
            where, environment, actions, noise, privacy = state[f"chain{k}"].tolist()
            if not 0 <= where < self.environment.states:
                raise ValueError(f"state {where} is none of the environment's {self.environment.states}")
            feed.chain.state = where
            feed.chain.stream.seek(environment)
            feed.actions.seek(actions)
            feed.privacy.seek(privacy)
            if feed.noise:
                feed.noise.seek(noise)
            joint = state[f"chain{k}_pending"].astype(np.int64)
            if len(joint):
                feed.pending = joint[self._agents.start:self._agents.stop, None], joint[:, None]


def _joined(samples: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """Single samples (states, next_states, own, joint, pi) as one batch."""
    if len(samples) == 1:
        return samples[0]
    parts = list(zip(*samples, strict=True))
    return (np.concatenate(parts[0]), np.concatenate(parts[1]), *(np.concatenate(part, axis=1) for part in parts[2:]))
