"""MADDPG and HADDPG transcribed: plain NumPy in double precision, with its own networks, optimizers, replay and games.

Where a `ReplayJob` says so something is done wrongly on purpose, so that a test can see that it would notice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from .dense import backward, barred, forward, log_softmax, one_hot
from .sampling import ACTION, SMALLEST_UNIFORM, Stream
from .trainers import ORDER, Adam, Job

REPLAY, RELAXATION = 8, 9


@dataclass
class ReplayJob(Job):
    """What is run, see `Job`; `value` has a net for every critic, of the state beside the joint action.

    Attributes:
        theta_targets, omega_targets: initial numbers of the target networks.
    """

    theta_targets: list[np.ndarray] = field(default_factory=list)
    omega_targets: list[np.ndarray] = field(default_factory=list)


@dataclass
class Sample:
    """One joint step of one game; lists have an entry per agent; `bars` are of what is not allowed."""

    obs: list
    next_obs: list
    state: np.ndarray
    next_state: np.ndarray
    a: list
    r: np.ndarray
    active: np.ndarray
    valued: np.ndarray
    bars: list
    next_bars: list


class ReplayTrainer:
    """One run."""

    def __init__(self, job: ReplayJob):
        self.job, self.o, self.wrong = job, job.options, job.wrong
        self.games = job.make()
        self.games.begin(job.seed, 0)
        self.N, self.E, self.spaces = self.games.agents, self.games.games, self.games.actions
        self.theta, self.omega, self.theta_targets, self.omega_targets = (
            [row.astype(float) for row in rows]
            for rows in (job.theta, job.omega, job.theta_targets, job.omega_targets))
        self.climbs, self.falls = ([Adam(len(row), self.o) for row in rows] for rows in (self.theta, self.omega))
        ends = np.cumsum([0, *(space.n_actions or space.size for space in self.spaces)])
        self.columns = [slice(*ends[i:i + 2]) for i in range(self.N)]
        self.streams = [Stream(job.seed, ACTION, 0, self.N, i) for i in range(self.N)]
        self.ring, self.seen = {}, 0

    def drawn(self, *key):
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.job.seed, spawn_key=key)))

    def run(self):
        for k in range(self.job.iterations):
            for _ in range(self.o["rollout"]):
                self.step()
            if self.seen < self.o["warmup"]:
                continue
            slots = self.drawn(REPLAY, k).integers(len(self.ring), size=(self.o["updates"], self.o["batch"]))
            relaxations = [self.drawn(RELAXATION, k, i) for i in range(self.N)]
            for u, chosen in enumerate(slots):
                noise, next_noise = ([stream.random((len(chosen), space.n_actions)) if space.n_actions else None
                                      for stream, space in zip(relaxations, self.spaces, strict=True)]
                                     for _ in range(2))
                self.update(k * self.o["updates"] + u, [self.ring[j] for j in chosen], noise, next_noise)
        return self.theta, self.omega

    # --- the games ---

    def bounds(self, i):
        low, high = np.array(self.spaces[i].low), np.array(self.spaces[i].high)
        both = np.isfinite(low) & np.isfinite(high) & (self.wrong != "no tanh")
        return np.where(both, (low + high) / 2, 0.0), np.where(both, (high - low) / 2, 1.0), both

    def act(self, i, obs, u, bars):
        """In the games: (E,) or (E, d), and as numbers (E, outputs)."""
        out, space = forward(self.job.policy[i], self.theta[i], obs)[-1] + bars, self.spaces[i]
        if space.n_actions:
            p, even = np.exp(log_softmax(out)), (bars == 0) / (bars == 0).sum(axis=1, keepdims=True)
            below = np.cumsum((1 - self.o["epsilon"]) * p + self.o["epsilon"] * even, axis=1)
            a = (below[:, :-1] <= u[:, :1] * below[:, -1:]).sum(axis=1)
            return a, one_hot(a, space.n_actions)
        centre, half, both = self.bounds(i)
        z = ndtri(np.maximum(u[:, :out.shape[1]], SMALLEST_UNIFORM))
        a = centre + half * np.where(both, np.tanh(out), out) + self.o["noise"] * half * z
        a = np.clip(np.float32(a).astype(float), space.low, space.high)
        return a, a

    def step(self):
        games, size = self.games, max(space.size for space in self.spaces)
        obs, state, active = games.observe(range(self.N)), games.state(), games.active.copy()
        bars = barred(games)
        acted = [self.act(i, obs[i].astype(float), self.streams[i].take(self.E * size).reshape(self.E, size), bars[i])
                 for i in range(self.N)]
        if all(space.n_actions for space in self.spaces):
            told = np.array([a for a, _ in acted])
        else:
            told = np.zeros((self.N, self.E, size))
            for i, (a, _) in enumerate(acted):
                told[i, :, :self.spaces[i].size] = a.reshape(self.E, -1)
        step = games.step(told)
        valued = (games.active | active) & ~step.terminated
        after, next_state, next_bars = games.observe(range(self.N)), games.state(), barred(games)
        for e in range(self.E):
            numbers = [x[e] * active[i, e] for i, (_, x) in enumerate(acted)]
            self.ring[self.seen % self.o["buffer"]] = Sample(
                [x[e] for x in obs], [x[e] for x in after], state[e], next_state[e], numbers, step.r[:, e],
                active[:, e], valued[:, e], [x[e] for x in bars], [x[e] for x in next_bars])
            self.seen += 1
        if step.done.any():
            games.restart(step.done)

    # --- an update ---

    def update(self, number, batch, noise, next_noise):
        o, wrong = self.o, self.wrong
        state, next_state = (np.array([getattr(x, name) for x in batch], dtype=float)
                             for name in ("state", "next_state"))
        stored = np.array([np.concatenate(x.a) for x in batch])
        r, active, valued = (np.array([getattr(x, name) for x in batch]).T for name in ("r", "active", "valued"))
        obs, next_obs, bars, next_bars = (
            [np.array([getattr(x, name)[i] for x in batch], dtype=float) for i in range(self.N)]
            for name in ("obs", "next_obs", "bars", "next_bars"))
        if wrong == "forgotten masks":
            bars, next_bars = ([0.0 * own for own in each] for each in (bars, next_bars))
        thetas = self.theta if wrong == "no target policies" else self.theta_targets
        following = [self.mu(i, thetas[i], next_obs[i], next_noise[i], next_bars[i])[0] for i in range(self.N)]
        following = np.concatenate([a * valued[i][:, None] for i, a in enumerate(following)], axis=1)
        current = [self.mu(i, self.theta[i], obs[i], noise[i], bars[i])[0] * active[i][:, None]
                   for i in range(self.N)]
        self.fit(state, next_state, stored, following, r, active, valued)
        if self.job.algorithm == "maddpg":
            gradients = []
            for i in range(self.N):
                joint = (np.concatenate(current, axis=1) if wrong == "others' new actions" else stored).copy()
                joint[:, self.columns[i]] = current[i]
                gradients.append(self.uphill(i, i, state, joint, obs[i], noise[i], active[i], bars[i]))
            if o["parameters"] == "shared" and wrong != "apart":
                gradients = [np.mean(gradients, axis=0)] * self.N
            for i, g in enumerate(gradients):
                self.step_up(i, g)
        else:
            random = (o["order"] == "random") != (wrong == "other order")
            joint = stored.copy() if wrong == "others' stored actions" else np.concatenate(current, axis=1)
            for i in self.drawn(ORDER, number).permutation(self.N) if random else range(self.N):
                joint[:, self.columns[i]] = current[i]
                self.step_up(i, self.uphill(0, i, state, joint, obs[i], noise[i], active[i], bars[i]))
                if wrong not in ("earlier agents' old actions", "others' stored actions"):
                    joint[:, self.columns[i]] = self.mu(
                        i, self.theta[i], obs[i], noise[i], bars[i])[0] * active[i][:, None]
        tau = 1.0 if wrong == "hard targets" else o["tau"]
        self.theta_targets = [(1 - tau) * old + tau * new
                              for old, new in zip(self.theta_targets, self.theta, strict=True)]
        self.omega_targets = [(1 - tau) * old + tau * new
                              for old, new in zip(self.omega_targets, self.omega, strict=True)]

    def fit(self, state, next_state, stored, following, r, active, valued):
        o, team = self.o, len(self.omega) == 1 and self.job.algorithm == "haddpg"
        omegas = self.omega if self.wrong == "no target critics" else self.omega_targets
        for c, omega in enumerate(list(self.omega)):
            own = r[c]
            if team or o["team_reward"] is not None:
                own = r.sum(axis=0) / (1 if o["team_reward"] == "sum" else self.N)
            if self.wrong == "team's reward":
                own = r.mean(axis=0)
            bootstrap_mask, took_part = (valued.any(axis=0), active.any(axis=0)) if team else (valued[c], active[c])
            if self.wrong == "never ends":
                bootstrap_mask = np.ones_like(bootstrap_mask)
            if self.wrong == "no value beyond":
                bootstrap_mask = np.zeros_like(bootstrap_mask)
            beyond = forward(self.job.value[c], omegas[c], np.concatenate([next_state, following], axis=1))[-1][:, 0]
            y = own + o["gamma"] * np.where(bootstrap_mask, beyond, 0.0)
            layers = forward(self.job.value[c], omega, np.concatenate([state, stored], axis=1))
            h = np.inf if o["huber"] is None or self.wrong == "no huber" else o["huber"]
            pull = np.clip(y - layers[-1][:, 0], -h, h) * self.mean_over(took_part)
            self.omega[c] = omega + o["critic_step"] * self.falls[c](
                backward(self.job.value[c], omega, layers, pull[:, None]))

    def mean_over(self, mask):
        return np.full(len(mask), 1 / len(mask)) if self.wrong == "no mask" else mask / max(mask.sum(), 1)

    def mu(self, i, theta, obs, noise, bars):
        """The action as numbers (M, outputs), its derivative's transposed product as a function, and activations."""
        layers, space = forward(self.job.policy[i], theta, obs), self.spaces[i]
        out = layers[-1] + bars
        if space.n_actions:
            g = 0.0 if self.wrong == "no gumbel" else -np.log(-np.log(np.maximum(noise, SMALLEST_UNIFORM)))
            temperature = 1.0 if self.wrong == "no temperature" else self.o["temperature"]
            p = np.exp(log_softmax((out + g) / temperature))
            def pulled(q):
                return (p * q - p * (p * q).sum(axis=1, keepdims=True)) / temperature
            a = p if self.wrong == "soft actions" else one_hot((out + g).argmax(axis=1), space.n_actions)
            return a, pulled, layers
        centre, half, both = self.bounds(i)
        a = np.clip(centre + half * np.where(both, np.tanh(out), out), space.low, space.high)
        return a, lambda q: q * half * np.where(both, 1 - np.tanh(out) ** 2, 1.0), layers

    def step_up(self, i, g):
        self.theta[i] = self.theta[i] + self.o["actor_step"] * self.climbs[i](g)

    def uphill(self, c, i, state, joint, obs, noise, active, bars):
        """The gradient in theta_i of the mean of Q_c at `joint`, less the penalty."""
        net, omega = self.job.value[c], self.omega[c]
        layers, q = forward(net, omega, np.concatenate([state, joint], axis=1)), np.ones((len(state), 1))
        for k in reversed(range(len(net.layers))):
            q = q @ net.of(omega, f"{net.layers[k]}.weight") * (1 - layers[k] ** 2 if k else 1.0)
        _, pulled, layers = self.mu(i, self.theta[i], obs, noise, bars)
        pull = pulled(q[:, state.shape[1]:][:, self.columns[i]])
        if self.wrong != "no penalty":
            pull = pull - 2 * self.o["penalty"] * (bars == 0) * layers[-1] / layers[-1].shape[1]
        return backward(self.job.policy[i], self.theta[i], layers, self.mean_over(active)[:, None] * pull)
