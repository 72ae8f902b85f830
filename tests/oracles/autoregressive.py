"""MAT transcribed: loops over tokens, heads and what tokens attend to, in double precision; derivatives are torch's.

Parameters are one row of numbers, looked up by name.  Where a `Job` says so something is done wrongly on purpose, so
that a test can see that it would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri

from .dense import one_hot
from .sampling import SMALLEST_UNIFORM
from .trainers import FORGETTING, ORDER, SMALL, Adam, Job, Trainer

DOUBLE = torch.float64


@dataclass
class Sequencer:
    """The model of N agents.

    Attributes:
        shapes: of its tensors by name, in the order in which they lie in a row.
        heads, blocks: of attentions, of encoder and decoder.
        seen, done: numbers of the longest observation, and of the longest action.
        identity: whether tokens end with a one-hot vector of whose they are.
        wrong: what is done wrongly on purpose.
    """

    shapes: Mapping[str, tuple[int, ...]]
    heads: int
    blocks: int
    seen: int
    done: int
    identity: bool
    wrong: str = ""

    def __post_init__(self):
        self.places, end = {}, 0
        for name, shape in self.shapes.items():
            self.places[name], end = slice(end, end + int(np.prod(shape))), end + int(np.prod(shape))
        self.size = end

    def of(self, p, name):
        return p[self.places[name]].reshape(self.shapes[name])

    def linear(self, p, name, x):
        found = x @ self.of(p, f"{name}.weight").T
        return found + self.of(p, f"{name}.bias") if f"{name}.bias" in self.shapes else found

    def norm(self, p, name, x):
        centred = x - x.mean(dim=1, keepdim=True)
        return (centred / (centred**2).mean(dim=1, keepdim=True).add(1e-5).sqrt()
                * self.of(p, f"{name}.weight") + self.of(p, f"{name}.bias"))

    @staticmethod
    def gelu(x):
        return 0.5 * x * (1 + torch.erf(x / 2**0.5))

    def dense(self, p, name, x):
        return self.linear(p, f"{name}.second", self.gelu(self.linear(p, f"{name}.first", x)))

    def head(self, p, name, x):
        return self.linear(p, f"{name}.output", self.norm(p, f"{name}.norm", self.gelu(
            self.linear(p, f"{name}.dense", x))))

    def attention(self, p, name, queries, others, causal):
        """Tokens, (M, width) each, attend to others: to those that are not later, if `causal`."""
        Q = [self.linear(p, f"{name}.query", x) for x in queries]
        K, V = ([self.linear(p, f"{name}.{part}", x) for x in others] for part in ("key", "values"))
        size, found = Q[0].shape[1] // self.heads, []
        for m, q in enumerate(Q):
            parts = []
            for h in range(self.heads):
                of = slice(h * size, (h + 1) * size)
                looked = range(m + 1) if causal and self.wrong != "sees later actions" else range(len(K))
                scores = [torch.exp((q[:, of] * K[j][:, of]).sum(dim=1, keepdim=True) / size**0.5) for j in looked]
                parts.append(sum(s * V[j][:, of] for s, j in zip(scores, looked, strict=True)) / sum(scores))
            found.append(self.linear(p, f"{name}.project", torch.cat(parts, dim=1)))
        return found

    def encode(self, p, obs):
        """What the encoder makes of N tokens (M, seen), and their values (M,)."""
        x = [self.norm(p, "encoder.norm", self.gelu(self.linear(p, "encoder.embed", own))) for own in obs]
        for k in range(self.blocks):
            name = f"encoder.blocks.{k}"
            heard = self.attention(p, f"{name}.attention", x, x, causal=False)
            x = [self.norm(p, f"{name}.norm1", own + more) for own, more in zip(x, heard, strict=True)]
            x = [self.norm(p, f"{name}.norm2", own + self.dense(p, f"{name}.dense", own)) for own in x]
        return x, [self.head(p, "encoder.value", own)[:, 0] for own in x]

    def decode(self, p, encoded, before):
        """Outputs (M, A) of the first tokens, given the actions of those before, one token fewer."""
        M, numbers = len(encoded[0]), self.shapes["decoder.embed.weight"][1]
        start = torch.zeros(M, numbers, dtype=DOUBLE)
        start[:, 0] = 1.0
        tokens = [start, *(torch.cat([torch.zeros(M, 1, dtype=DOUBLE), own], dim=1) for own in before)]
        x = [self.norm(p, "decoder.norm", self.gelu(self.linear(p, "decoder.embed", own))) for own in tokens]
        for k in range(self.blocks):
            name = f"decoder.blocks.{k}"
            heard = self.attention(p, f"{name}.own", x, x, causal=True)
            x = [self.norm(p, f"{name}.norm1", own + more) for own, more in zip(x, heard, strict=True)]
            heard = self.attention(p, f"{name}.across", encoded, x, causal=True)
            x = [self.norm(p, f"{name}.norm2", own + more) for own, more in zip(encoded, heard, strict=False)]
            x = [self.norm(p, f"{name}.norm3", own + self.dense(p, f"{name}.dense", own)) for own in x]
        return [self.head(p, "decoder.action", own) for own in x]


class Mat(Trainer):
    """One run; `job.policy` holds the model, `job.theta` its numbers."""

    def __init__(self, job: Job):
        super().__init__(job)
        self.model, self.moments = job.policy[0], [np.zeros(3)]
        self.climb = Adam(self.model.size, self.o)
        ends = np.cumsum([0, *(0 if space.choices else space.size for space in self.spaces)])
        self.deviations = [slice(*ends[i:i + 2]) for i in range(self.N)]

    def run(self):
        for k in range(self.job.iterations):
            self.k = k
            random = (self.o["order"] == "random") != (self.wrong == "other order")
            self.order = self.drawn(k, ORDER).permutation(self.N).tolist() if random else list(range(self.N))
            left = 1 - k / self.job.iterations if self.o["decay"] == "linear" else 1.0
            self.learn_from(self.play(), left)
        return self.theta[0]

    # --- tokens ---

    def whose(self, i, M):
        return torch.eye(self.N, dtype=DOUBLE)[i].expand(M, self.N) if self.model.identity else torch.zeros(M, 0)

    def padded(self, x, width):
        x = torch.from_numpy(np.asarray(np.float32(x), dtype=float))
        return torch.cat([x, torch.zeros(len(x), width - x.shape[1], dtype=DOUBLE)], dim=1)

    def tokens(self, obs):
        """Observations (N) arrays (M, n_i) in the order of the agents' turns."""
        return [torch.cat([self.padded(obs[i], self.model.seen), self.whose(i, len(obs[i]))], dim=1)
                for i in self.order]

    def told(self, i, a):
        """What later agents are told of actions (M,) or (M, d)."""
        choices = self.spaces[i].choices
        columns = a.reshape(len(a), -1)
        numbers = np.concatenate([one_hot(columns[:, c].astype(int), n) for c, n in enumerate(choices)],
                                 axis=1) if choices else columns
        if self.wrong == "deaf":
            numbers = 0.0 * numbers
        return torch.cat([self.padded(numbers, self.model.done), self.whose(i, len(a))], dim=1)

    # --- distributions ---

    def log_std(self, p, i):
        return self.model.of(p, "log_std")[self.deviations[i]]

    def choices(self, i, out, bars):
        """Log probabilities (M, n) of every choice of an agent."""
        logits = (out[:, :sum(self.spaces[i].choices)] + torch.from_numpy(bars)).split(self.spaces[i].choices, dim=1)
        return [torch.log_softmax(each, dim=1) for each in logits]

    def drawn_action(self, i, out, u, bars):
        if self.spaces[i].choices:
            found = []
            for c, log_pi in enumerate(self.choices(i, out, bars)):
                below = np.cumsum(np.exp(log_pi.numpy()), axis=1)
                found.append((below[:, :-1] <= u[:, c:c + 1] * below[:, -1:]).sum(axis=1))
            return found[0] if self.spaces[i].n_actions else np.stack(found, axis=1).astype(float)
        d = self.spaces[i].size
        z = ndtri(np.maximum(u[:, :d], SMALLEST_UNIFORM))
        return out[:, :d].numpy() + np.exp(self.log_std(torch.from_numpy(self.theta[0]), i).numpy()) * z

    def log_and_entropy(self, p, i, out, a, bars):
        """log pi(a), and the entropy, (M,) each."""
        if self.spaces[i].choices:
            columns, logs, H = a.reshape(len(a), -1).astype(int), 0.0, 0.0
            for c, log_pi in enumerate(self.choices(i, out, bars)):
                logs = logs + log_pi.gather(1, torch.from_numpy(columns[:, c:c + 1]))[:, 0]
                H = H - (log_pi.exp() * log_pi).sum(dim=1)
            return logs, H
        d, log_std = self.spaces[i].size, self.log_std(p, i)
        z = (torch.from_numpy(a) - out[:, :d]) / log_std.exp()
        logs = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(dim=1)
        return logs, (log_std + 0.5 * np.log(2 * np.pi * np.e)).sum().expand(len(a))

    def acts(self, obs, bars):
        """One after the other, each told what those before did."""
        p, a, before = torch.from_numpy(self.theta[0]), [None] * self.N, []
        with torch.no_grad():
            encoded, _ = self.model.encode(p, self.tokens(obs))
            for m, i in enumerate(self.order):
                out = self.model.decode(p, encoded[:m + 1], before)[m]
                a[i] = self.drawn_action(i, out, self.uniforms(self.streams[i]), bars[i])
                before.append(self.told(i, a[i]))
        return a

    def packed(self, a):
        found = np.zeros((self.N, self.E, max(space.size for space in self.spaces)))
        for i, space in enumerate(self.spaces):
            own = a[i].reshape(self.E, space.size)
            found[i, :, :space.size] = own if space.choices else np.clip(
                np.float32(own).astype(float), space.low, space.high)
        return found[:, :, 0].astype(int) if all(space.n_actions for space in self.spaces) else found

    # --- learning ---

    def passed(self, p, b, part):
        """log pi and entropy of every agent, (N) each, and values, (N, M), of the samples `part`."""
        M = b.done.size
        obs = [own.reshape(M, -1)[part] for own in b.obs]
        a = [own.reshape(M, *own.shape[2:])[part] for own in b.a]
        encoded, values = self.model.encode(p, self.tokens(obs))
        outputs = self.model.decode(p, encoded, [self.told(i, a[i]) for i in self.order[:-1]])
        found = [None] * self.N
        for m, i in enumerate(self.order):
            found[i] = (*self.log_and_entropy(p, i, outputs[m], a[i], self.bars(i, b)[part]), values[m])
        return [torch.stack(each) for each in zip(*found, strict=True)]

    def team(self, values, there):
        """Means over the agents that are there: (N, ...) -> (...)."""
        found = np.zeros(there.shape[1:])
        for at in np.ndindex(found.shape):
            those = [values[(i, *at)] for i in range(self.N) if there[(i, *at)] or self.wrong == "all agents count"]
            found[at] = np.mean(those) if those else 0.0
        return found

    def learn_from(self, b, left):
        o, M, T = self.o, b.done.size, len(b.done)
        p = torch.from_numpy(self.theta[0])
        with torch.no_grad():
            old, _, V = (each.numpy() for each in self.passed(p, b, np.arange(M)))
            after = self.model.encode(p, self.tokens([own.reshape(M, -1) for own in b.next_obs]))[1]
            V_next = np.stack([after[self.order.index(i)].numpy() for i in range(self.N)])
        r, bootstrap, on = self.fates(b, 0)
        mean, deviation = self.scale(0) if o["value_normalisation"] else (0.0, 1.0)
        there = b.goes_on | (b.active & ~b.goes_on & ~b.terminated)
        shape = (self.N, T, self.E)
        v = self.team(V.reshape(shape) * deviation + mean, b.active)
        v_next = self.team(V_next.reshape(shape) * deviation + mean, there)
        A = np.zeros((T + 1, self.E))
        for t in reversed(range(T)):
            delta = r[t] + o["gamma"] * np.where(bootstrap[t], v_next[t], 0.0) - v[t]
            A[t] = delta + o["gamma"] * o["gae_lambda"] * np.where(on[t], A[t + 1], 0.0)
        A, masks = A[:T].ravel(), b.active.reshape(self.N, -1)
        R, someone = A + v.ravel(), masks.any(axis=0)
        if o["value_normalisation"]:
            news = np.array([R[someone].mean(), (R[someone]**2).mean(), 1.0])
            self.moments[0] = FORGETTING * self.moments[0] + (1 - FORGETTING) * news
            mean, deviation = self.scale(0)
            R = (R - mean) / deviation
        if o["advantages"] == "joint":
            A = (A - A[someone].mean()) / (A[someone].std() + SMALL)
        A = self.weighted(np.stack([self.own(A, masks[i]) for i in range(self.N)]), b)
        for part in self.parts(M, self.k, self.N + 1):
            self.step(b, part, A[:, part], R[part], old[:, part], V[:, part], masks[:, part], left)

    def step(self, b, part, A, R, old, V, masks, left):
        p = torch.tensor(self.theta[0], requires_grad=True)
        logs, H, values = self.passed(p, b, part)
        ratio = (logs - torch.from_numpy(old)).exp()
        weights = self.clipped(ratio.detach().numpy(), A)
        pulls = np.stack([self.value_pull(values[i].detach().numpy(), R, V[i]) for i in range(self.N)])
        c = 0.0 if self.wrong == "no entropy" else self.o["entropy"]
        each = (torch.from_numpy(weights) * logs + c * H
                + self.o["critic_weight"] * (self.wrong != "no values") * torch.from_numpy(pulls) * values)
        if self.wrong == "own means":
            mean = masks / np.maximum(masks.sum(axis=1, keepdims=True), 1) / self.N
        else:
            mean = np.ones(masks.shape) / masks.size if self.wrong == "no mask" else masks / masks.sum()
        (torch.from_numpy(mean) * each).sum().backward()
        g = self.climb(p.grad.numpy())
        steps = np.full(len(g), self.o["actor_step"])
        for name, place in self.model.places.items():
            if name.startswith("encoder"):
                steps[place] = self.o["critic_step"]
        self.theta[0] = self.theta[0] + left * steps * g
