"""The trainers transcribed from their papers: plain NumPy in double precision, its own networks, optimizers and games.

Where a `Job` says so something is done wrongly on purpose, so that a test can see that it would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from .dense import backward, barred, forward, log_softmax, natural_step, one_hot
from .mirror import less_drift, way_back
from .neural_games import Net
from .sampling import ACTION, SMALLEST_UNIFORM, Stream

SHUFFLE, ORDER = 6, 7
CRITICS = 2**31        # whose samples are shuffled for critics
SEQUENTIAL, LOCAL = ("happo", "hatrpo", "haa2c", "haml", "macpo", "mappo-lagrangian"), ("ippo",)
TRUSTING, CLIPPING = ("hatrpo", "macpo"), ("happo", "mappo-lagrangian")
FORGETTING, FLOOR, SMALL = 0.99999, 1e-2, 1e-5


@dataclass
class Task:
    """What is run, without its networks.

    Attributes:
        make: makes the E games.
        options: all the algorithm's options.
    """

    make: Callable
    algorithm: str
    seed: int
    iterations: int
    options: dict


@dataclass
class Job(Task):
    """What is run, see `Task`.

    Attributes:
        policy, value: nets, one per agent; `value` of one net where the trainer has the critic.
        theta, omega: their initial numbers.
        wrong: what is done wrongly on purpose.
        of_costs, costs: nets, one per agent, and their initial numbers, of the critics of costs.
    """

    policy: list[Net]
    value: list[Net]
    theta: list[np.ndarray]
    omega: list[np.ndarray]
    wrong: str = ""
    of_costs: list[Net] = field(default_factory=list)
    costs: list[np.ndarray] = field(default_factory=list)


@dataclass
class Play:
    """T joint steps of E games; lists have an entry per agent, arrays are (N, T, E) or (T, E); `next_` is of s', `bars`
    of what is not allowed (`dense.barred`), `ages` how many steps of the episode came before."""

    obs: list = field(default_factory=list)
    next_obs: list = field(default_factory=list)
    a: list = field(default_factory=list)
    state: np.ndarray | None = None
    next_state: np.ndarray | None = None
    r: np.ndarray | None = None
    active: np.ndarray | None = None
    terminated: np.ndarray | None = None
    goes_on: np.ndarray | None = None
    done: np.ndarray | None = None
    foreseen: np.ndarray | None = None
    bars: list = field(default_factory=list)
    ages: np.ndarray | None = None


class Adam:
    """Kingma and Ba (2015), Algorithm 1, after the gradient was cut to the norm `clip`; gradients of 0 are no step."""

    def __init__(self, size, options):
        self.m, self.v, self.t, self.options = np.zeros(size), np.zeros(size), 0, options

    def __call__(self, g):
        clip = self.options["clip"]
        if clip is not None and np.linalg.norm(g) > clip:
            g = g * clip / np.linalg.norm(g)
        if self.options["optimizer"] == "plain" or not g.any():
            return g
        b1, b2 = self.options["adam_beta1"], self.options["adam_beta2"]
        self.t += 1
        self.m, self.v = b1 * self.m + (1 - b1) * g, b2 * self.v + (1 - b2) * g * g
        return self.m / (1 - b1**self.t) / (np.sqrt(self.v / (1 - b2**self.t)) + self.options["adam_epsilon"])


class Trainer:
    """One run."""

    def __init__(self, job: Job):
        self.job, self.o, self.wrong = job, job.options, job.wrong
        self.games = job.make()
        self.games.begin(job.seed, 0)
        self.N, self.E, self.spaces = self.games.agents, self.games.games, self.games.actions
        self.theta, self.omega = ([row.astype(float) for row in rows] for rows in (job.theta, job.omega))
        self.local, self.shared = job.algorithm in LOCAL, self.o.get("parameters") == "shared"
        self.climbs = [Adam(len(row), self.o) for row in self.theta]
        self.falls = [Adam(len(row), self.o) for row in self.omega]
        self.moments = [np.zeros(3) for _ in self.omega]
        self.epsilon = self.o.get("clip_range", 0.0) / (
            self.N if self.o.get("clip_over_agents") and self.wrong != "one range" else 1)
        size = max(space.size for space in self.spaces)
        self.uniforms = lambda stream: stream.take(self.E * size).reshape(self.E, size)
        self.streams = [Stream(job.seed, ACTION, 0, self.N, i) for i in range(self.N)]
        self.age = np.zeros(self.E, dtype=int)

    def drawn(self, k, *key):
        """A generator of its own."""
        return np.random.Generator(np.random.PCG64(
            np.random.SeedSequence(self.job.seed, spawn_key=(*key[:1], k, *key[1:]))))

    def run(self):
        for k in range(self.job.iterations):
            left = 1 - k / self.job.iterations if self.o["decay"] == "linear" and self.wrong != "no decay" else 1.0
            self.iteration(k, self.play(), self.o["actor_step"] * left, self.o["critic_step"] * left)
        return self.theta, self.omega

    def iteration(self, k, b, alpha, beta):
        A, targets, values = self.judge(b)
        self.learn(k, b, A, alpha)
        self.fit(k, b, targets, values, beta)

    # --- trajectories ---

    def act(self, i, obs, u, bars):
        out = forward(self.job.policy[i], self.theta[i], obs)[-1] + bars
        if self.spaces[i].n_actions:
            below = np.cumsum(np.exp(log_softmax(out)), axis=1)
            return (below[:, :-1] <= u[:, :1] * below[:, -1:]).sum(axis=1)
        z = ndtri(np.maximum(u[:, :out.shape[1]], SMALLEST_UNIFORM))
        return out + np.exp(self.job.policy[i].of(self.theta[i], "log_std")) * z

    def acts(self, obs, bars):
        """What all agents do."""
        return [self.act(i, obs[i].astype(float), self.uniforms(self.streams[i]), bars[i]) for i in range(self.N)]

    def packed(self, a):
        if all(space.n_actions for space in self.spaces):
            return np.array(a)
        found = np.zeros((self.N, self.E, max(space.size for space in self.spaces)))
        for i, space in enumerate(self.spaces):
            numbers = (a[i][:, None] if space.n_actions
                       else np.clip(np.float32(a[i]).astype(float), space.low, space.high))
            found[i, :, :space.size] = numbers
        return found

    def play(self):
        """T steps of all games with the current policies; games that are over begin anew."""
        games, agents, told, ages = self.games, range(self.N), [], []
        if self.wrong == "age of the rollout":
            self.age[:] = 0
        for t in range(self.o["rollout"]):
            obs, state, active = games.observe(agents), games.state(), games.active.copy()
            bars = barred(games)
            a = self.acts(obs, bars)
            step = games.step(self.packed(a))
            told.append((*obs, *a, state, step.r, active, step.terminated, games.active.copy(), step.done,
                         *games.observe(agents), games.state(), self.foreseen(t, active, step), *bars))
            ages.append(self.age)
            self.age = np.where(step.done & (self.wrong != "age of the run"), 0, self.age + 1)
            if step.done.any():
                games.restart(step.done)
        columns = [np.stack(column) for column in zip(*told, strict=True)]
        N, rest = self.N, columns[2 * self.N:]
        by_agent = [np.moveaxis(rest[j], 0, 1) for j in (1, 2, 3, 4)]
        return Play(columns[:N], rest[6:6 + N], columns[N:2 * N], rest[0], rest[6 + N], *by_agent, rest[5],
                    rest[7 + N], rest[8 + N:], np.array(ages))

    def foreseen(self, t, active, step):
        """What else is drawn in s'."""
        return np.zeros((self.E, 0))

    # --- critics ---

    def judge(self, b):
        """A by GAE and the returns, (critics, T, E), and what critics said, in their own units."""
        T, gamma, lam = len(b.done), self.o["gamma"], self.o["gae_lambda"]
        A, targets, said = [], [], []
        for c, omega in enumerate(self.omega):
            seen, beyond = (b.obs[c], b.next_obs[c]) if self.local else (b.state, b.next_state)
            raw, after = (self.value(c, omega, x) for x in (seen, beyond))
            v, v_next = self.returned(c, raw), self.returned(c, after)
            r, bootstrap_mask, passes = self.fates(b, c)
            advantage = np.zeros((T + 1, self.E))
            for t in reversed(range(T)):
                delta = r[t] + gamma * np.where(bootstrap_mask[t], v_next[t], 0.0) - v[t]
                advantage[t] = delta + gamma * lam * np.where(passes[t], advantage[t + 1], 0.0)
            A.append(advantage[:T])
            targets.append(advantage[:T] + v)
            said.append(raw)
        return np.stack(A), np.stack(targets), np.stack(said)

    def fates(self, b, c):
        """(T, E) rewards, whether s' has a value, and whether the trajectory goes on in the next sample."""
        truncated = b.active & ~b.goes_on & ~b.terminated
        bootstrap_mask, on = b.goes_on | truncated, b.goes_on & ~b.done
        if self.o["time_limits"] == "end" and self.wrong != "limits go on":
            bootstrap_mask = bootstrap_mask & ~b.done
        if self.wrong == "truncated ends":
            bootstrap_mask = on
        if self.wrong == "never ends":
            bootstrap_mask, on = np.ones_like(bootstrap_mask), np.ones_like(on)
        if self.local and self.o["team_reward"] is None:
            r = b.r[c]
        else:
            r = b.r.sum(axis=0) / (1 if self.o["team_reward"] == "sum" else self.N)
        return (r, bootstrap_mask[c], on[c]) if self.local else (r, bootstrap_mask.any(axis=0), on.any(axis=0))

    def value(self, c, omega, x):
        return forward(self.job.value[c], omega, x.reshape(-1, x.shape[-1]).astype(float))[-1][:, 0].reshape(
            x.shape[:-1])

    def scale(self, c):
        m, s, k = self.moments[c]
        return (m / k, np.sqrt(max(s / k - (m / k) ** 2, FLOOR))) if k else (0.0, 1.0)

    def returned(self, c, said):
        mean, deviation = self.scale(c)
        return said * deviation + mean if self.o["value_normalisation"] else said

    def fit(self, k, b, targets, values, beta):
        """Huber's loss, clipped, of all critics; one critic of all agents climbs the mean of their gradients."""
        M = b.done.size
        masks = b.active if self.local else b.active.any(axis=0, keepdims=True)
        wanted = []
        for c, target in enumerate(targets):
            if self.o["value_normalisation"]:
                x = target[masks[c]]
                if x.size:
                    news = np.array([x.mean(), (x**2).mean(), 1.0])
                    self.moments[c] = FORGETTING * self.moments[c] + (1 - FORGETTING) * news
                mean, deviation = self.scale(c)
                target = (target - mean) / deviation
            wanted.append(target.ravel())
        for part in self.parts(M, k, CRITICS, "critic_"):
            gradients = []
            for c, omega in enumerate(self.omega):
                x = (b.obs[c] if self.local else b.state).reshape(M, -1)[part].astype(float)
                pull = self.value_pull(self.value(c, omega, x), wanted[c][part], values[c].ravel()[part])
                pull = pull * self.mean_over(masks[c].ravel()[part], self.local and self.shared and b.active.reshape(
                    self.N, -1)[:, part])
                gradients.append(backward(self.job.value[c], omega, forward(self.job.value[c], omega, x),
                                          pull[:, None]))
            if self.local and self.shared and self.wrong != "apart":
                gradients = [np.mean(gradients, axis=0)] * len(gradients)
            for c, g in enumerate(gradients):
                self.omega[c] = self.omega[c] + beta * self.falls[c](g)

    def value_pull(self, v, target, old):
        def loss(e):
            h = np.inf if self.o["huber"] is None or self.wrong == "no huber" else self.o["huber"]
            return (np.where(np.abs(e) <= h, e**2 / 2, h * (np.abs(e) - h / 2) if np.isfinite(h) else 0.0),
                    np.clip(e, -h, h))

        free, pull = loss(target - v)
        c = self.o["value_clip"]
        if c is None or self.wrong == "no value clip":
            return pull
        held, _ = loss(target - np.clip(v, old - c, old + c))
        return np.where((held > free) & (np.abs(v - old) > c), 0.0, pull)

    def mean_over(self, mask, all_masks=False, joint=False):
        """Weights of an agent's samples: means over its own, over those of all agents, or those any took part in."""
        if self.wrong == "no mask":
            return np.full(len(mask), 1 / len(mask))
        if all_masks is False or self.wrong == "own means":
            return mask / max(mask.sum(), 1)
        return mask / max(all_masks.any(axis=0).sum() if joint else all_masks.sum() / self.N, 1 / self.N)

    # --- policies ---

    def parts(self, M, k, whose, of=""):
        """The samples of every step: all of them, or parts of a permutation."""
        minibatches, generator = self.o[f"{of}minibatches"], self.drawn(k, SHUFFLE, whose)
        for _ in range(self.o[f"{of}epochs"]):
            yield from [np.arange(M)] if minibatches == 1 else generator.permutation(M).reshape(minibatches, -1)

    def bars(self, i, b):
        """What was added to the outputs, (M, outputs)."""
        found = b.bars[i].reshape(b.done.size, -1)
        return 0.0 * found if self.wrong == "forgotten masks" else found

    def logs(self, i, b, part):
        """log pi_i(a|o), d log pi / d outputs, d log pi / d log_std, d H / d outputs, d H / d log_std; activations."""
        net, theta, M = self.job.policy[i], self.theta[i], b.done.size
        layers = forward(net, theta, b.obs[i].reshape(M, -1)[part].astype(float))
        out, a = layers[-1] + self.bars(i, b)[part], b.a[i].reshape(M, *b.a[i].shape[2:])[part]
        if self.spaces[i].n_actions:
            log_pi = log_softmax(out)
            pi, chosen = np.exp(log_pi), one_hot(a, out.shape[1])
            H = -(pi * log_pi).sum(axis=1, keepdims=True)
            return (log_pi * chosen).sum(axis=1), chosen - pi, None, -pi * (log_pi + H), None, layers
        log_std = net.of(theta, "log_std")
        z = (a - out) / np.exp(log_std)
        log_pi = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(axis=1)
        return log_pi, z / np.exp(log_std), z**2 - 1, np.zeros_like(out), np.ones_like(out), layers

    def log_prob(self, i, b):
        return self.logs(i, b, np.arange(b.done.size))[0]

    def entropy(self, i, b):
        """H(pi_i(.|o)) of every sample."""
        net, x = self.job.policy[i], b.obs[i].reshape(b.done.size, -1).astype(float)
        if self.spaces[i].n_actions:
            log_pi = log_softmax(forward(net, self.theta[i], x)[-1] + self.bars(i, b))
            return -(np.exp(log_pi) * log_pi).sum(axis=1)
        return np.full(len(x), (net.of(self.theta[i], "log_std") + 0.5 * np.log(2 * np.pi * np.e)).sum())

    def climb(self, i, b, part, weights):
        """Mean over the agent's own samples of weights grad log pi + entropy grad H."""
        _, of_out, of_std, H_out, H_std, layers = self.logs(i, b, part)
        together = self.shared or self.job.algorithm == "jrppo"
        mean = self.mean_over(b.active[i].ravel()[part], together and b.active.reshape(self.N, -1)[:, part],
                              self.job.algorithm == "jrppo")[:, None]
        c = 0.0 if self.wrong == "no entropy" else self.o["entropy"]
        deviations = None if of_std is None else (mean * (weights[:, None] * of_std + c * H_std)).sum(axis=0)
        return backward(self.job.policy[i], self.theta[i], layers, mean * (weights[:, None] * of_out + c * H_out),
                        deviations)

    def clipped(self, ratio, M):
        """d / d log ratio of min(ratio M, clip(ratio, 1 +- epsilon) M)."""
        low, high = 1 - self.epsilon, 1 + self.epsilon
        stopped = ((ratio > high) & (M > 0)) | ((ratio < low) & (M < 0))
        return np.where(stopped & (self.wrong != "no clip"), 0.0, ratio * M)

    def own(self, A, mask):
        """To mean 0, deviation 1 by the agent's samples, where that is asked for."""
        if self.o["advantages"] != "agent" or not mask.any():
            return A
        return (A - A[mask].mean()) / (A[mask].std() + SMALL)

    def weighted(self, A, b):
        """Times gamma^t in step t of an episode, where that is asked for."""
        if not self.o["discounted_gradient"] or self.wrong == "undiscounted":
            return A
        return A * self.o["gamma"] ** b.ages.ravel()

    def learn(self, k, b, A, alpha):
        masks = b.active.reshape(self.N, -1)
        A = A.reshape(len(A), -1)
        own = self.local or self.o.get("baseline") is not None
        if self.o["advantages"] == "joint":
            among = masks if own else masks.any(axis=0, keepdims=True)
            A = (A - A[among].mean()) / (A[among].std() + SMALL)
        if not own:
            A = np.repeat(A, self.N, axis=0)
        A = self.weighted(np.stack([self.own(A[i], masks[i]) for i in range(self.N)]), b)
        (self.in_turn if self.job.algorithm in SEQUENTIAL else self.at_once)(k, b, A, masks, alpha)

    def in_turn(self, k, b, A, masks, alpha):
        random = (self.o["order"] == "random") != (self.wrong == "other order")
        order = self.drawn(k, ORDER).permutation(self.N) if random else range(self.N)
        log_factor = np.zeros(b.done.size)
        for i in order:
            factor = np.exp(log_factor)
            if self.wrong == "factor clipped":
                factor = np.clip(factor, 1 - self.epsilon, 1 + self.epsilon)
            M = self.less(i, b, A[i] * (1.0 if self.wrong == "no factor" else factor))                        # eq. 10
            old = self.log_prob(i, b)
            if self.job.algorithm in TRUSTING:
                self.trust(i, b, M, old)
            else:
                start, drift = self.theta[i], self.o.get("drift", "clip" if self.job.algorithm in CLIPPING else "none")
                for part in self.parts(b.done.size, k, i):
                    weights = less_drift(self, drift, np.exp(self.logs(i, b, part)[0] - old[part]), M[part])
                    self.theta[i] = self.theta[i] + alpha * self.climbs[i](self.climb(i, b, part, weights))
                if self.o.get("neighbourhood") == "kl":
                    way_back(self, i, b, start)
            log_factor += np.where(masks[i] | (self.wrong == "no mask"), self.log_prob(i, b) - old, 0.0)

    def less(self, i, b, M):
        """M less what an agent's steps cost it."""
        return M

    def trust(self, i, b, M, old):
        """Equation 8 and the line search."""
        everything, start, o = np.arange(b.done.size), self.theta[i], self.o
        mean = self.mean_over(b.active[i].ravel())
        g, H = self.climb(i, b, everything, M), self.entropy(i, b)
        net, spaces = self.job.policy[i], self.spaces[i]
        layers = forward(net, start, b.obs[i].reshape(len(mean), -1).astype(float))
        whole = [(slice(None), None if spaces.n_actions else slice(None))]
        step, kl = natural_step(net, start, layers, mean, whole, g, o, self.wrong, self.bars(i, b))
        for j in range(o["backtracks"]):
            self.theta[i] = start + 0.5**j * step
            gain = mean @ (np.exp(self.log_prob(i, b) - old) * M - M)
            if self.wrong != "search without entropy":
                gain += o["entropy"] * (mean @ (self.entropy(i, b) - H))
            if kl(self.theta[i]) <= o["delta"] and gain > 0 and gain >= o["accept"] * 0.5**j * (g @ step):
                return
            if self.wrong == "no search":
                return
        self.theta[i] = start

    def at_once(self, k, b, A, masks, alpha):
        """PPO of all agents side by side: with ratios of their own, or with one ratio, the product of all."""
        old = [self.log_prob(i, b) for i in range(self.N)]
        joint = self.job.algorithm == "jrppo" and self.wrong != "own ratios"
        for part in self.parts(b.done.size, k, self.N + 1):
            logs = np.stack([self.logs(i, b, part)[0] - old[i][part] for i in range(self.N)])
            if joint:
                taking_part = np.where(masks[:, part] | (self.wrong == "no mask"), logs, 0.0)
                logs = np.repeat(taking_part.sum(axis=0, keepdims=True), self.N, axis=0)
            gradients = [self.climb(i, b, part, self.clipped(np.exp(logs[i]), A[i][part])) for i in range(self.N)]
            if self.shared and self.wrong != "apart":
                gradients = [np.mean(gradients, axis=0)] * self.N
            for i, g in enumerate(gradients):
                self.theta[i] = self.theta[i] + alpha * self.climbs[i](g)
