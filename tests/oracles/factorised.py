"""VDN, QMIX, QPLEX and Q-DPP transcribed: loops over sequences, steps and agents in double precision, with its own
networks, replay, optimizers and games; derivatives are torch's.

Where a `FactorisedJob` says so something is done wrongly on purpose, so that a test can see that it would notice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .dense import barred
from .replays import REPLAY, Sample
from .sampling import ACTION, Stream
from .trainers import Adam, Task

DELTA = 1e-3


class Layers:
    """Dense layers with tanh between them, or those and a GRU before the output, as flat numbers.

    Args:
        sizes: inputs, widths of hidden layers, outputs.
        units: what is remembered; 0: nothing.
    """

    def __init__(self, sizes, units=0):
        *before, outputs = sizes
        shapes, self.units, self.hidden = {}, units, [f"dense{k}" for k in range(1, len(before))]
        for name, one, two in zip(self.hidden, before, before[1:], strict=False):
            shapes |= {f"{name}.weight": (two, one), f"{name}.bias": (two,)}
        last = before[-1]
        if units:
            shapes |= {"cell.weight_ih": (3 * units, last), "cell.weight_hh": (3 * units, units),
                       "cell.bias_ih": (3 * units,), "cell.bias_hh": (3 * units,)}
            last = units
        shapes |= {"output.weight": (outputs, last), "output.bias": (outputs,)}
        self.places, end = {}, 0
        for name, shape in shapes.items():
            self.places[name], end = slice(end, end + int(np.prod(shape))), end + int(np.prod(shape))
        self.shapes, self.size = shapes, end

    def __call__(self, p, x, h):
        """(outputs,), and what is remembered then, for one x."""
        def linear(name, x, kind=""):
            weight, bias = (p[self.places[f"{name}.{part}{kind}"]].view(self.shapes[f"{name}.{part}{kind}"])
                            for part in ("weight", "bias"))
            return weight @ x + bias

        for name in self.hidden:
            x = torch.tanh(linear(name, x))
        if self.units:
            (ir, iz, new), (hr, hz, hn) = linear("cell", x, "_ih").chunk(3), linear("cell", h, "_hh").chunk(3)
            r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            x = h = (1 - z) * torch.tanh(new + r * hn) + z * h
        return linear("output", x), h


@dataclass
class FactorisedJob(Task):
    """What is run, see `Task`.

    Attributes:
        utilities: layers, one for each agent; `mixing` those of the trainer, None for VDN.
        theta, theta_targets, omega, omega_targets: their initial numbers.
        wrong: what is done wrongly on purpose.
    """

    utilities: list[Layers]
    mixing: Layers | None
    theta: list[np.ndarray]
    theta_targets: list[np.ndarray]
    omega: list[np.ndarray]
    omega_targets: list[np.ndarray]
    wrong: str = ""


@dataclass
class Step(Sample):
    """A `Sample` in a sequence; `memory` is that before it, `again`, whether its game ended."""

    memory: list
    again: bool


class FactorisedTrainer:
    """One run."""

    def __init__(self, job: FactorisedJob):
        self.job, self.o, self.wrong = job, job.options, job.wrong
        self.games = job.make()
        self.games.begin(job.seed, 0)
        self.N, self.E, self.spaces = self.games.agents, self.games.games, self.games.actions
        self.theta, self.theta_targets, self.omega, self.omega_targets = (
            [torch.tensor(row, dtype=torch.float64) for row in rows]
            for rows in (job.theta, job.theta_targets, job.omega, job.omega_targets))
        self.adams, self.mixing_adams = ([Adam(len(row), self.o) for row in rows] for rows in (self.theta, self.omega))
        self.streams = [Stream(job.seed, ACTION, 0, self.N, i) for i in range(self.N)]
        self.memory = [[torch.zeros(net.units, dtype=torch.float64) for _ in range(self.E)] for net in job.utilities]
        self.L, self.t, self.seen = self.o["chunk"], 0, 0
        self.ring, self.under_way = {}, [[] for _ in range(self.E)]

    def run(self):
        for k in range(self.job.iterations):
            past = min(1.0, self.seen / self.o["epsilon_samples"]) if self.wrong != "constant epsilon" else 1.0
            epsilon = self.o["epsilon_start"] + past * (self.o["epsilon"] - self.o["epsilon_start"])
            for _ in range(self.o["rollout"]):
                self.step(epsilon)
            if self.seen < self.o["warmup"]:
                continue
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.job.seed, spawn_key=(REPLAY, k))))
            slots = rng.integers(len(self.ring), size=(self.o["updates"], self.o["batch"]))
            for u, chosen in enumerate(slots):
                self.update(k * self.o["updates"] + u, [self.ring[j] for j in chosen])

    # --- the games ---

    def step(self, epsilon):
        games = self.games
        obs, state, active = games.observe(range(self.N)), games.state(), games.active.copy()
        bars = barred(games)
        before = [[h.numpy().copy() for h in own] for own in self.memory]
        told = np.zeros((self.N, self.E), dtype=int)
        for i, net in enumerate(self.job.utilities):
            uniforms = self.streams[i].take(self.E)
            for e in range(self.E):
                Q, self.memory[i][e] = net(self.theta[i], number(obs[i][e]), self.memory[i][e])
                free = bars[i][e] == 0
                chances = epsilon * free / free.sum()
                chances[np.where(free, Q.numpy(), -np.inf).argmax()] += 1 - epsilon
                told[i, e] = (np.cumsum(chances)[:-1] <= uniforms[e] * chances.sum()).sum()
        step = games.step(told)
        valued = (games.active | active) & ~step.terminated
        after, next_state, next_bars = games.observe(range(self.N)), games.state(), barred(games)
        for e in range(self.E):
            self.under_way[e].append(Step(
                [x[e] for x in obs], [x[e] for x in after], state[e], next_state[e], list(told[:, e]), step.r[:, e],
                active[:, e], valued[:, e], [x[e] for x in bars], [x[e] for x in next_bars],
                [own[e] for own in before], bool(step.done[e])))
            if step.done[e]:
                for own in self.memory:
                    own[e] = torch.zeros_like(own[e])
            if len(self.under_way[e]) == self.L:
                number_of = self.t // self.L * self.E + e
                self.ring[number_of % (self.o["buffer"] // self.L)] = self.under_way[e]
                self.under_way[e] = []
        self.t += 1
        self.seen += self.E
        if step.done.any():
            games.restart(step.done)

    # --- an update ---

    def update(self, which, sequences):
        theta, omega = ([row.clone().requires_grad_() for row in rows] for rows in (self.theta, self.omega))
        targets, omega_targets = self.theta_targets, self.omega_targets
        if self.wrong == "no targets":
            targets, omega_targets = ([row.detach() for row in rows] for rows in (theta, omega))
        losses = []
        for sequence in sequences:
            memories = [[number(h) * (self.wrong != "forgotten memory") for h in sequence[0].memory] for _ in range(2)]
            for step in sequence:
                Q, V, Q_then, V_then, following = self.told(step, theta, targets, memories)
                if not step.active.any():
                    continue
                total = self.mixed(omega, step.state, Q, V, step.a, step.active)
                with torch.no_grad():
                    beyond = self.mixed(omega_targets, step.next_state, Q_then, V_then, following, step.valued)
                y = self.reward(step) + self.o["gamma"] * self.left(step) * beyond
                losses.append(self.loss(y - total))
        (sum(losses) / len(losses)).backward()
        self.learn(theta, omega)
        tau = self.o["tau"] if self.o["target_every"] is None else float((which + 1) % self.o["target_every"] == 0)
        if self.wrong == "other targets":
            tau = 0.0 if tau == 1.0 else 1.0
        for targets, rows in (self.theta_targets, self.theta), (self.omega_targets, self.omega):
            targets[:] = [(1 - tau) * old + tau * new for old, new in zip(targets, rows, strict=True)]

    def reward(self, step):
        if self.wrong == "the first agent's reward":
            return step.r[0]
        return step.r.sum() if self.o["team_reward"] == "sum" else step.r.mean()

    def left(self, step):
        if self.wrong == "never ends":
            return 1.0
        return float(step.valued.any() and not (self.wrong == "no value beyond" and step.again))

    def loss(self, error):
        h = self.o["huber"]
        if h is None or self.wrong == "no huber" or abs(error) <= h:
            return error**2 / 2
        return h * (abs(error) - h / 2)

    def told(self, step, theta, targets, memories):
        """Q_i(a_i), V_i, Q'_i(a'_i), V'_i and a'_i of all agents; the memories go on."""
        found = []
        for i, net in enumerate(self.job.utilities):
            after = []
            for which, rows in enumerate((theta, targets)):
                Q, memories[which][i] = net(rows[i], number(step.obs[i]), memories[which][i])
                then, _ = net(rows[i], number(step.next_obs[i]), memories[which][i])
                after.append((Q, then))
                if step.again and self.wrong != "no new beginning":
                    memories[which][i] = torch.zeros_like(memories[which][i])
            (Q, then), (_, target) = after
            free, later = (torch.tensor(bars[i] == 0) for bars in (step.bars, step.next_bars))
            if self.wrong == "forgotten masks":
                free, later = torch.ones_like(free), torch.ones_like(later)
            double = self.o["double"] != (self.wrong == "the other chooses")
            a = int((then if double else target).detach().masked_fill(~later, -np.inf).argmax())
            found.append((Q[step.a[i]], Q.masked_fill(~free, -np.inf).max(), target[a],
                          target.masked_fill(~later, -np.inf).max(), a))
        return zip(*found, strict=True)

    def mixed(self, omega, state, Q, V, a, part):
        """Q_tot; agents that take no part count as 0."""
        if self.wrong == "absent agents count":
            part = np.ones_like(part)
        Q, V = (torch.stack([each if there else torch.zeros_like(each) for each, there in zip(own, part, strict=True)])
                for own in (Q, V))
        name, net, state = self.job.algorithm, self.job.mixing, number(state)
        if name == "vdn":
            return sum(Q)
        if name == "qmix":
            w, h = net(omega[0], state, None)[0], self.o["mixing_width"]
            W, b, v, c = w.split([self.N * h, h, h, 1])
            W, v = (W, v) if self.wrong == "signed weights" else (abs(W), abs(v))
            return v @ torch.nn.functional.elu(W.view(self.N, h).T @ Q + b) + c[0]
        ones = [torch.eye(space.n_actions, dtype=torch.float64)[k] * bool(there)
                for space, k, there in zip(self.spaces, a, part, strict=True)]
        if name == "qplex":
            lam = torch.nn.functional.softplus(net(omega[0], torch.cat([state, *ones]), None)[0])
            if self.wrong == "equal weights":
                lam = torch.ones_like(lam)
            return sum(V) + sum(lam * (Q - V))
        w, P, first, B = net(omega[0], state, None)[0], self.o["features"], 0, []
        for space, one, there in zip(self.spaces, ones, part, strict=True):
            rows = w[first * P:(first + space.n_actions) * P].view(space.n_actions, P)
            if there:
                u = one @ rows
                B.append(u if self.wrong == "vectors of any length" else u / u.norm())
            first += space.n_actions
        if not B or self.wrong == "quality alone":
            return sum(Q)
        B = torch.stack(B)
        return sum(Q) + torch.logdet((B @ B.T + DELTA * torch.eye(len(B), dtype=torch.float64)) / (1 + DELTA))

    def learn(self, theta, omega):
        gradients = [row.grad.numpy() for row in theta]
        mixing = [torch.zeros_like(row) if row.grad is None else row.grad for row in omega]
        if self.o["parameters"] == "shared":
            total = np.sum(gradients, axis=0) / (self.N if self.wrong == "mean of gradients" else 1)
            gradients = [total] * self.N
        with torch.no_grad():
            for i, g in enumerate(gradients):
                self.theta[i] = self.theta[i] - self.o["actor_step"] * number(self.adams[i](g))
            for c, g in enumerate(mixing):
                self.omega[c] = self.omega[c] - self.o["critic_step"] * number(self.mixing_adams[c](g.numpy()))


def number(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)
