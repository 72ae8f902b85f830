"""The games, policies, random streams and chains of joint samples that the transcribed algorithms run on.

Plain loops, float64, nothing of netac.  Every uniform comes from the generator of its purpose and chain: Philox with
SeedSequence(seed, spawn_key=(purpose, chain)).  Of every N numbers the i-th is agent i's (N = 1 for the environment);
those of game e begin at place e 2^64.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

ENVIRONMENT, ACTION, REWARD_NOISE, PRIVACY_NOISE, RESTART = 0, 1, 2, 3, 5
SMALLEST_UNIFORM = 2.0**-54
SAMPLINGS = {  # the critic's kind of chain and the actor's, or None where the critic's samples serve the actor too
    "markov": ("running", None),
    "stationary": ("stationary", None),
    "double": ("running", "restarting"),
    "iid": ("stationary", "visitation"),
}


# --- games ------------------------------------------------------------------------------------------

@dataclass
class CoordinationGame:
    """One state, actions 0..7, r_i = (a_i - 3.5)^2 + #{j != i: a_j = a_i} + Gumbel(0, 1)."""

    agents: int
    features: str = "onehot"
    states = 1
    actions = 8
    xi = np.ones(1)

    def next_state_distribution(self, s, a):
        return np.ones(1)

    def phi(self, s):
        return np.ones(1)

    def psi(self, s, a):
        if self.features == "onehot":
            x = np.zeros(8 * self.agents)
            for j in range(self.agents):
                x[8 * j + a[j]] = 1 / np.sqrt(self.agents)
            return x
        x = np.zeros(8)
        for j in range(self.agents):
            x[a[j]] += 1 / self.agents
        return x

    def noiseless_reward(self, s, a, s_next, i):
        same = sum(1 for j in range(self.agents) if j != i and a[j] == a[i])
        return (a[i] - 3.5) ** 2 + same

    def reward_noise(self, u):
        return -np.log(-np.log(u))


class FiniteGame:
    """P (S, J, S') or (S, A, ..., A, S'), r (S, J, N) or (S, J, S', N) or the same with an axis per agent."""

    def __init__(self, P, r, xi, phi=None, psi=None, noise=0.0):
        self.states, self.agents, self.noise = len(xi), r.shape[-1], noise
        self.xi = np.array(xi, dtype=float)
        self.P = np.array(P, dtype=float).reshape(self.states, -1, self.states)
        self.joint = self.P.shape[1]
        self.actions = next(A for A in itertools.count(1) if A**self.agents >= self.joint)
        r = np.array(r, dtype=float)
        self.r = np.empty((self.states, self.joint, self.states, self.agents))
        if r.size == self.r.size:
            self.r[:] = r.reshape(self.r.shape)
        else:
            self.r[:] = r.reshape(self.states, self.joint, 1, self.agents)
        self.phi_rows = np.eye(self.states) if phi is None else phi
        self.psi_rows = np.eye(self.states * self.joint) if psi is None else psi

    def joint_index(self, a):
        index = 0
        for action in a:
            index = index * self.actions + action
        return index

    def next_state_distribution(self, s, a):
        return self.P[s, self.joint_index(a)]

    def phi(self, s):
        return self.phi_rows[s]

    def psi(self, s, a):
        return self.psi_rows[s * self.joint + self.joint_index(a)]

    def noiseless_reward(self, s, a, s_next, i):
        return self.r[s, self.joint_index(a), s_next, i]

    def reward_noise(self, u):
        return self.noise * (2 * u - 1)


# --- policies, inverse distribution functions, exact distributions over states ----------------------

def probabilities(game, theta_i, s):
    """pi_i(. | s): softmax of the logits theta_i[s A : (s + 1) A]."""
    logits = theta_i[s * game.actions:(s + 1) * game.actions]
    e = np.exp(logits - max(logits))
    return e / sum(e)


def score(game, theta_i, s, action):
    """grad log pi_i(action | s) with respect to all of theta_i."""
    g = np.zeros(game.states * game.actions)
    pi = probabilities(game, theta_i, s)
    for b in range(game.actions):
        g[s * game.actions + b] = (1.0 if b == action else 0.0) - pi[b]
    return g


def draw_state(p, u):
    """The number of k < S - 1 with p_0 + ... + p_k <= u."""
    c = np.cumsum(p)
    return sum(1 for k in range(len(p) - 1) if c[k] <= u)


def draw_action(game, theta_i, s, u):
    """The number of k < A - 1 with c_k <= u c_{A-1}, c the running sums of exp(logit - largest logit)."""
    logits = theta_i[s * game.actions:(s + 1) * game.actions]
    c = np.cumsum(np.exp(logits - max(logits)))
    return sum(1 for k in range(game.actions - 1) if c[k] <= u * c[-1])


def transition_matrix(game, theta):
    """P_theta (S, S'), joint action by joint action."""
    P = np.zeros((game.states, game.states))
    for s in range(game.states):
        pi = [probabilities(game, theta[i], s) for i in range(game.agents)]
        for a in itertools.product(range(game.actions), repeat=game.agents):
            weight = 1.0
            for i in range(game.agents):
                weight *= pi[i][a[i]]
            P[s] += weight * game.next_state_distribution(s, a)
    return P


def stationary(game, theta):
    """mu_theta: mu P = mu and sum mu = 1, by least squares."""
    rows = np.vstack([transition_matrix(game, theta).T - np.eye(game.states), np.ones(game.states)])
    return np.linalg.lstsq(rows, np.append(np.zeros(game.states), 1.0), rcond=None)[0]


def visitation(game, theta, gamma):
    """d_theta: d = (1 - gamma) xi + gamma d P."""
    P = transition_matrix(game, theta)
    return np.linalg.solve(np.eye(game.states) - gamma * P.T, (1 - gamma) * game.xi)


# --- chains of joint samples ------------------------------------------------------------------------

@dataclass
class Sample:
    s: int
    a: list
    r: list
    s_next: int
    a_next: list | None = None


class Stream:
    """Uniforms of one purpose, chain and index out of `number`, in order; number None: the index is a game's."""

    def __init__(self, seed, purpose, chain, number, index):
        sequence = np.random.SeedSequence(seed, spawn_key=(purpose, chain))
        philox = np.random.Philox(sequence)           # it makes four numbers of each count
        self.number, self.index = (1, 0) if number is None else (number, index)
        self.generator = np.random.Generator(philox.advance(index * 2**62) if number is None else philox)

    def take(self, count):
        return np.array([[self.generator.random() for _ in range(self.number)][self.index] for _ in range(count)])

    def next(self):
        return self.take(1)[0]

    def next_positive(self):
        return max(self.next(), SMALLEST_UNIFORM)


class Chain:
    """Joint samples, one after the other, of one of four kinds.

    "running": moves by P from a first state drawn from xi.
    "restarting": moves by gamma P + (1 - gamma) xi, the sample's own s' always from P.
    "stationary", "visitation": every s fresh from the exact mu_theta or d_theta of the current policies.
    """

    def __init__(self, game, seed, number, kind, gamma):
        self.game, self.kind, self.gamma = game, kind, gamma
        self.environment = Stream(seed, ENVIRONMENT, number, 1, 0)
        self.action = [Stream(seed, ACTION, number, game.agents, i) for i in range(game.agents)]
        self.noise = [Stream(seed, REWARD_NOISE, number, game.agents, i) for i in range(game.agents)]
        self.privacy = [Stream(seed, PRIVACY_NOISE, number, game.agents, i) for i in range(game.agents)]
        self.held = None
        self.state = 0
        if game.states > 1 and kind in ("running", "restarting"):
            self.state = draw_state(game.xi, self.environment.next())

    def act(self, theta, s):
        return [draw_action(self.game, theta[i], s, self.action[i].next()) for i in range(self.game.agents)]

    def first_state(self, theta):
        if self.game.states == 1 or self.kind in ("running", "restarting"):
            return self.state
        mass = stationary(self.game, theta) if self.kind == "stationary" else visitation(self.game, theta, self.gamma)
        return draw_state(mass, self.environment.next())

    def next_state(self, s, a):
        if self.game.states == 1:
            return 0
        s_next = draw_state(self.game.next_state_distribution(s, a), self.environment.next())
        self.state = s_next
        if self.kind == "restarting":
            q, x = self.environment.next(), self.environment.next()
            if q >= self.gamma:
                self.state = draw_state(self.game.xi, x)
        return s_next

    def sample(self, theta, with_next_action=False):
        """One joint sample under policies theta; on a running chain a' is kept and becomes the next sample's a."""
        game = self.game
        s = self.first_state(theta)
        a = self.act(theta, s) if self.held is None else self.held
        s_next = self.next_state(s, a)
        r = []
        for i in range(game.agents):
            noise = game.reward_noise(self.noise[i].next_positive())
            r.append(game.noiseless_reward(s, a, s_next, i) + noise)
        a_next = self.act(theta, s_next) if with_next_action else None
        if self.kind == "running":
            self.held = a_next
        return Sample(s, a, r, s_next, a_next)

    def samples(self, theta, count):
        return [self.sample(theta) for _ in range(count)]

    def privacy_noise(self, i, std):
        """Student-t(4), of variance 2, scaled to `std`; nothing is drawn where std is 0."""
        return std / np.sqrt(2) * stdtrit(4, self.privacy[i].next_positive()) if std > 0 else 0.0


class Samplers:
    """`critic` and `actor` chains of a run, and whether they are `shared` (the same samples serve both).

    markov: one running chain.  stationary: one sample of mu_theta (CAC Algorithm 1 verbatim).
    double: running chain and restarting chain (CAC Algorithm 2).  iid: mu_theta and d_theta exactly.
    """

    def __init__(self, game, seed, sampling, gamma):
        critic, actor = SAMPLINGS[sampling]
        self.shared = actor is None
        self.critic = Chain(game, seed, 0, critic, gamma)
        self.actor = self.critic if self.shared else Chain(game, seed, 1, actor, gamma)

    def pair(self, theta, with_next_action=False):
        """One sample for the critic, one for the actor."""
        for_critic = self.critic.sample(theta, with_next_action)
        return for_critic, for_critic if self.shared else self.actor.sample(theta)
