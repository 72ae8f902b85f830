"""The networks, random streams and chains of joint samples that the transcribed runs with networks need.

Plain loops, double precision, nothing of netac but the games themselves.  Where a `Task` says so something is done
wrongly on purpose, so that a test can see that it would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
from scipy.special import ndtri

from .dense import barred
from .sampling import ACTION, PRIVACY_NOISE, RESTART, REWARD_NOISE, SMALLEST_UNIFORM, CoordinationGame, Stream


class Net:
    """Dense layers with tanh between them, as flat numbers: shared tensors first, each in the order it is declared.

    Args:
        sizes: inputs, widths of hidden layers, outputs.
        deviations: how many numbers log_std has; 0: there is none.
        shared: patterns of names.
    """

    def __init__(self, sizes, deviations=0, shared=()):
        layers = [*(f"dense{k}" for k in range(1, len(sizes) - 1)), "output"]
        shapes = {}
        for name, before, after in zip(layers, sizes, sizes[1:], strict=False):
            shapes |= {f"{name}.weight": (after, before), f"{name}.bias": (after,)}
        if deviations:
            shapes["log_std"] = (deviations,)
        self.layers, self.deviations, self.shapes = layers, deviations, shapes
        common = [name for name in shapes if any(fnmatchcase(name, pattern) for pattern in shared)]
        self.places, end = {}, 0
        for name in [*common, *(name for name in shapes if name not in common)]:
            first, end = end, end + int(np.prod(shapes[name]))
            self.places[name] = slice(first, end)
            if name in common:
                self.shared = end
        self.size, self.shared = end, self.shared if common else 0

    def of(self, p, name):
        return p[self.places[name]].reshape(self.shapes[name])

    def activations(self, p, x):
        """The input, what every hidden layer gives, and the output."""
        found = [np.asarray(x, dtype=float)]
        for name in self.layers:
            z = self.of(p, f"{name}.weight") @ found[-1] + self.of(p, f"{name}.bias")
            found.append(z if name == "output" else np.tanh(z))
        return found

    def __call__(self, p, x):
        return self.activations(p, x)[-1]

    def gradient(self, p, x, pull, deviations=None):
        """pull' d output / d p, and `deviations` where log_std is."""
        found, activations = np.zeros(len(p)), self.activations(p, x)
        for k in reversed(range(len(self.layers))):
            name = self.layers[k]
            found[self.places[f"{name}.weight"]] = np.outer(pull, activations[k]).ravel()
            found[self.places[f"{name}.bias"]] = pull
            pull = (self.of(p, f"{name}.weight").T @ pull) * (1.0 - activations[k] ** 2)
        if deviations is not None:
            found[self.places["log_std"]] = deviations
        return found


@dataclass
class Task:
    """What is run: see `netac`'s experiment file for the options.

    Attributes:
        make: makes the E games of a chain.
        W: function from the iteration t to the dense (N, N) weights.
        policy, value, reward_model: (N) nets each; `value` is of V, or of Q.
        start: initial theta, omega, lam, one row of numbers per agent.
        wrong: what is done wrongly on purpose.
    """

    make: Callable
    W: Callable
    seed: int
    iterations: int
    gamma: float
    steps: dict
    policy: list[Net]
    value: list[Net]
    reward_model: list[Net] | None
    start: dict
    sampling: str = "markov"
    adam: tuple | None = None
    clip: float | None = None
    entropy: float = 0.0
    own_first: bool = True
    state: bool = False
    normalise_observations: bool = False
    normalise_rewards: bool = False
    stagger: int = 0
    options: dict = field(default_factory=dict)
    wrong: str = ""

    def __post_init__(self):
        games = self.make()
        self.agents, self.games, self.actions = games.agents, games.games, games.actions
        self.firsts = np.cumsum([0, *(space.n_actions or space.size for space in self.actions)]).tolist()

    # --- the joint action as numbers ---

    def numbers(self, a, part):
        """One-hot or clipped vector, agent after agent; zeros for those who take no part."""
        found = np.zeros(self.firsts[-1])
        for i, space in enumerate(self.actions):
            if part[i] and space.n_actions:
                found[self.firsts[i] + int(a[i])] = 1.0
            elif part[i]:
                found[self.firsts[i]:self.firsts[i + 1]] = self.bounded(i, a[i])
        return found

    def bounded(self, i, a):
        space = self.actions[i]
        return np.minimum(np.maximum(np.float32(a).astype(float), space.low), space.high)

    def replaced(self, numbers, i, b):
        found = numbers.copy()
        found[self.firsts[i]:self.firsts[i + 1]] = np.eye(self.actions[i].n_actions)[b]
        return found

    def as_seen(self, numbers, i):
        if not self.own_first or self.wrong == "agent order":
            return numbers
        own = slice(self.firsts[i], self.firsts[i + 1])
        return np.concatenate([numbers[own], np.delete(numbers, own)])

    # --- policies ---

    def draw(self, i, theta_i, obs, u, bars):
        out = self.policy[i](theta_i, obs) + bars
        if self.actions[i].n_actions:
            c = np.cumsum(np.exp(out - max(out)))
            return sum(1 for k in range(len(c) - 1) if c[k] <= u[0] * c[-1])
        z = ndtri(np.maximum(u[:len(out)], SMALLEST_UNIFORM))
        return out + np.exp(self.policy[i].of(theta_i, "log_std")) * z

    def chances(self, i, theta_i, obs, bars):
        out = self.policy[i](theta_i, obs) + (0.0 if self.wrong == "forgotten masks" else bars)
        e = np.exp(out - max(out))
        return e / sum(e)

    def score(self, i, theta_i, obs, a, bars):
        """grad log pi_i(a|o)."""
        net = self.policy[i]
        if self.actions[i].n_actions:
            pi = self.chances(i, theta_i, obs, bars)
            return net.gradient(theta_i, obs, np.eye(len(pi))[int(a)] - pi)
        if self.wrong == "clipped score":
            a = self.bounded(i, a)
        sigma = np.exp(net.of(theta_i, "log_std"))
        z = (a - net(theta_i, obs)) / sigma
        return net.gradient(theta_i, obs, z / sigma, z**2 - 1.0)

    def entropy_gradient(self, i, theta_i, obs, bars):
        net = self.policy[i]
        if self.actions[i].n_actions:
            pi = self.chances(i, theta_i, obs, bars)
            H = -sum(p * np.log(p) for p in pi if p > 0)
            return net.gradient(theta_i, obs, np.array([-p * (np.log(p) + H) if p > 0 else 0.0 for p in pi]))
        return net.gradient(theta_i, obs, np.zeros(net.deviations), np.ones(net.deviations))


@dataclass
class Sample:
    """One joint step of one game; lists have an entry per agent."""

    obs: list
    next_obs: list
    seen: list
    next_seen: list
    a: list
    told: np.ndarray
    next_told: np.ndarray | None
    r: list
    active: list
    terminated: list
    bars: list
    age: int


class Statistics:
    """All that was ever seen or earned, to be averaged anew every time."""

    def __init__(self, task):
        self.obs = [[] for _ in range(task.agents)]
        self.states = []
        self.returns = [[] for _ in range(task.agents)]
        self.so_far = np.zeros((task.agents, task.games))


def normalised(x, samples):
    mean, variance = np.mean(samples, axis=0), np.var(samples, axis=0)
    return np.clip((x - mean) / np.sqrt(variance + 1e-8), -10.0, 10.0)


class Chain:
    """E games and how they are sampled; `index` 0 is the running chain, 1 the actor's own, which begins anew."""

    def __init__(self, task, index, statistics):
        self.task, self.index, self.statistics = task, index, statistics
        self.games = task.make()
        self.games.begin(task.seed, index)
        self._actions = [Stream(task.seed, ACTION, index, task.agents, i) for i in range(task.agents)]
        self._privacy = [Stream(task.seed, PRIVACY_NOISE, index, task.agents, i) for i in range(task.agents)]
        self._restarts = [Stream(task.seed, RESTART, index, None, e) for e in range(task.games)]
        self._pending, self._steps, self._ages = {}, 0, np.zeros(task.games, dtype=int)
        self._size = max(space.size for space in task.actions)
        self._shown = self._look(range(task.games))

    def privacy_noise(self, i, count, deviation):
        from scipy.special import stdtrit
        u = np.maximum(self._privacy[i].take(count), SMALLEST_UNIFORM)
        return deviation * stdtrit(4.0, u) / np.sqrt(2.0)

    def _look(self, new):
        """obs[i][e], seen[i][e], who takes part and what is not allowed; statistics learn from the games `new`, which
        show something new that has a value, if this chain teaches."""
        task, known, active = self.task, self.statistics, self.games.active.copy()
        obs = [own.astype(float) for own in self.games.observe(range(task.agents))]
        state = self.games.state().astype(float) if task.state else None
        if task.normalise_observations and self.index == 0:
            for i in range(task.agents):
                known.obs[i] += [obs[i][e] for e in new if active[i, e]]
            if task.state:
                known.states += [state[e] for e in new]
        if task.normalise_observations:
            obs = [normalised(own, seen) for own, seen in zip(obs, known.obs, strict=True)]
            state = normalised(state, known.states) if task.state else None
        return obs, [state] * task.agents if task.state else obs, active, barred(self.games)

    def _drawn(self, theta, obs, bars):
        """a[e][i]."""
        task, size = self.task, self._size
        uniforms = [stream.take(task.games * size).reshape(task.games, size) for stream in self._actions]
        return [[task.draw(i, theta[i], obs[i][e], uniforms[i][e], bars[i][e]) for i in range(task.agents)]
                for e in range(task.games)]

    def _packed(self, a):
        task = self.task
        if all(space.n_actions for space in task.actions):
            return np.array(a).T
        packed = np.zeros((task.agents, task.games, self._size))
        for e in range(task.games):
            for i, space in enumerate(task.actions):
                packed[i, e, :space.size] = a[e][i] if space.n_actions else task.bounded(i, a[e][i])
        return packed

    def samples(self, theta, count=1, with_next=False):
        return [x for _ in range(count) for x in self._step(theta, with_next)]

    def _step(self, theta, with_next):
        task, E, (obs, seen, active, bars) = self.task, self.task.games, self._shown
        a = self._drawn(theta, obs, bars)
        a = [self._pending.get(e, a[e]) for e in range(E)]
        self._pending = {}
        answer = self.games.step(self._packed(a))
        after, after_seen, going_on, after_bars = self._look([e for e in range(E) if any(
            self.games.active[i, e] or (active[i, e] and not answer.terminated[i, e]) for i in range(task.agents))])
        ended = [[active[i, e] and not going_on[i, e] for i in range(task.agents)] for e in range(E)]
        following = self._drawn(theta, after, after_bars) if with_next else None
        self._steps += 1
        cut = np.array([e > 0 and self._steps == task.stagger * e // E for e in range(E)]) & ~answer.done
        again = answer.done | cut
        if self.index and task.wrong != "no restarts":
            again |= np.array([stream.take(1)[0] >= task.gamma for stream in self._restarts])
        r = self._rewards(answer.r, answer.done | cut, active)
        if with_next and not self.index:
            self._pending = {e: following[e] for e in range(E) if not again[e]}
        found = []
        for e in range(E):
            terminated = [bool(answer.terminated[i, e]) for i in range(task.agents)]
            goes_on = [bool(going_on[i, e]) or (ended[e][i] and not terminated[i]) for i in range(task.agents)]
            if task.wrong == "terminated values":
                terminated = [False] * task.agents
            if task.wrong == "truncated ends":
                terminated = ended[e]
            found.append(Sample(
                [own[e] for own in obs], [own[e] for own in after], [own[e] for own in seen],
                [own[e] for own in after_seen],
                a[e], task.numbers(a[e], active[:, e]), task.numbers(following[e], goes_on) if with_next else None,
                [r[i, e] for i in range(task.agents)],
                [bool(active[i, e]) or task.wrong == "no mask" for i in range(task.agents)], terminated,
                [own[e] for own in bars], int(self._ages[e])))
        self._ages = np.where(again & (task.wrong != "age of the run"), 0, self._ages + 1)
        self._shown = after, after_seen, going_on, after_bars
        if again.any():
            self.games.restart(again)
            self._shown = self._look(np.flatnonzero(again))
        if task.wrong == "new episode":
            for e, x in enumerate(found):
                x.next_obs, x.next_seen = ([own[e] for own in part] for part in self._shown[:2])
        return found

    def _rewards(self, r, done, active):
        task, known = self.task, self.statistics
        if not task.normalise_rewards:
            return r
        scaled = np.zeros(r.shape)
        for i in range(task.agents):
            for e in range(task.games):
                if self.index == 0 and active[i, e]:
                    known.so_far[i, e] = task.gamma * known.so_far[i, e] + r[i, e]
                    known.returns[i].append(known.so_far[i, e])
            variance = np.var(known.returns[i])
            scaled[i] = np.clip(r[i] / np.sqrt(variance + 1e-8), -10.0, 10.0) if variance > 0 else r[i]
        if self.index == 0:
            known.so_far[:, done] = 0.0
        return scaled


class CoordinationGames:
    """E plays of the coordination game at once, which never end; everyone sees its one state."""

    def __init__(self, agents, games):
        self.agents, self.games, self._game = agents, games, CoordinationGame(agents)
        self.actions = (Eight(),) * agents
        self.active = np.ones((agents, games), dtype=bool)

    def begin(self, seed, chain):
        self._noise = [Stream(seed, REWARD_NOISE, chain, self.agents, i) for i in range(self.agents)]

    def observe(self, agents):
        return [np.ones((self.games, 1))] * len(agents)

    def state(self):
        return np.ones((self.games, 1))

    def restart(self, games):
        pass

    def step(self, actions):
        r = np.array([[self._game.noiseless_reward(0, actions[:, e], 0, i) for e in range(self.games)]
                      for i in range(self.agents)])
        r += [self._game.reward_noise(stream.take(self.games)) for stream in self._noise]
        return Answer(r, np.zeros(r.shape, dtype=bool), np.zeros(self.games, dtype=bool))


@dataclass
class Eight:
    """Eight actions."""

    n_actions: int = 8
    size: int = 1


@dataclass
class Answer:
    """What a joint step gives."""

    r: np.ndarray
    terminated: np.ndarray
    done: np.ndarray
