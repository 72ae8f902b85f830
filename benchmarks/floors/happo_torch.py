"""HAPPO on cooperative navigation with nothing but torch and the batched game: the whole training loop.

Three policies and a critic of the state, `nn.Sequential` each, `torch.optim.Adam` (foreach) each.  An iteration steps E
games T times, evaluates all samples at once, and learns in full batches: agent after agent in a drawn order, then the
critic.  No metrics, no checkpoints, no checks, one stream of random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.functional import huber_loss

MOVES = 5


def mlp(inputs: int, hidden: Sequence[int], outputs: int, gain: float) -> nn.Sequential:
    """Dense layers with relu between them, orthogonal at first."""
    sizes = [inputs, *hidden, outputs]
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, gain if layer is layers[-1] else 2.0**0.5)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*[part for layer in layers[:-1] for part in (layer, nn.ReLU())], layers[-1])


@dataclass(frozen=True)
class Settings:
    """Named as in an experiment file; defaults are netac's."""

    actor_step: float
    critic_step: float
    gamma: float
    gae_lambda: float
    clip_range: float
    entropy: float
    rollout: int
    epochs: int
    critic_epochs: int
    clip: float = 10.0
    value_clip: float = 0.2
    huber: float = 10.0


class Happo:
    """The trainer, its agents and their games.

    Args:
        environment: E games as `netac.envs.spread.make` gives them, all of which end together.
        hidden: widths of the networks' layers.
    """

    def __init__(self, environment, hidden: Sequence[int], settings: Settings):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._games, self._settings, self._shape = environment, settings, (settings.rollout, environment.games)
        width = environment.observations[0][0]
        self._actors = [mlp(width, hidden, MOVES, 0.01) for _ in range(environment.agents)]
        self._critic = mlp(environment.agents * width, hidden, 1, 1.0)
        self._adams = [torch.optim.Adam(net.parameters(), size, eps=1e-5, foreach=True) for net, size in (
            *((actor, settings.actor_step) for actor in self._actors), (self._critic, settings.critic_step))]
        self._moments = torch.zeros(3)                       # of returns, of their squares, and of 1
        environment.begin(0, 0)
        self._seen = self._look()
        self.reward = 0.0

    def _look(self) -> torch.Tensor:
        return torch.from_numpy(np.stack(self._games.observe(range(self._games.agents))))

    def iterate(self) -> None:
        """One iteration; `reward` is then the mean reward per step and agent."""
        obs, actions, rewards, done, beyond = self._play()
        states = obs.movedim(0, 2).flatten(2)                # (T, E, agents x width)
        mean, deviation = self._scale()
        with torch.no_grad():
            raw = self._critic(states.flatten(0, 1))[:, 0]
            v = (raw * deviation + mean).view(self._shape)
            v_next = torch.cat([v[1:], v[:1]])
            v_next[torch.from_numpy(done)] = (self._critic(beyond)[:, 0] * deviation + mean).view(-1, self._shape[1])
            A = self._advantages(rewards, v, v_next, done)
        targets = A + v.flatten()
        self.reward = rewards.mean().item()
        self._learn(obs.flatten(1, 2), actions.flatten(1), (A - A.mean()) / (A.std() + 1e-5))
        self._fit(states.flatten(0, 1), raw, targets)

    @torch.no_grad()
    def _play(self) -> tuple[torch.Tensor, ...]:
        """Observations (agents, T, E, width), actions (agents, T, E), team rewards (T, E), steps that ended all games
        or were the last, (T,), and the states after those, one after the other."""
        games, (T, E) = self._games, self._shape
        obs = torch.empty(games.agents, T, E, self._seen.shape[2])
        actions, rewards = torch.empty(games.agents, T, E, dtype=torch.int64), torch.empty(T, E)
        noise = torch.empty(T, games.agents, E, MOVES).exponential_().log()
        done, beyond = np.zeros(T, dtype=bool), []
        for t in range(T):
            obs[:, t] = self._seen
            logits = torch.stack([actor(own) for actor, own in zip(self._actors, self._seen, strict=True)])
            chosen = actions[:, t] = (logits - noise[t]).argmax(dim=2)
            step = games.step(chosen.numpy())
            rewards[t] = torch.from_numpy(step.r.mean(axis=0))
            self._seen = self._look()
            done[t] = step.done.all()
            if done[t] or t == T - 1:
                beyond.append(self._seen.movedim(0, 1).flatten(1))
            if done[t]:
                games.restart(step.done)
                self._seen = self._look()
        done[-1] = True
        return obs, actions, rewards, done, torch.cat(beyond)

    def _advantages(self, r: torch.Tensor, v: torch.Tensor, v_next: torch.Tensor, done: np.ndarray) -> torch.Tensor:
        """Generalised estimates, (T E)."""
        gamma, lam = self._settings.gamma, self._settings.gae_lambda
        delta = r + gamma * v_next - v
        A, following = torch.empty_like(delta), torch.zeros_like(delta[0])
        for t in reversed(range(len(delta))):
            following = A[t] = delta[t] if done[t] else delta[t] + gamma * lam * following
        return A.flatten()

    def _learn(self, obs: torch.Tensor, actions: torch.Tensor, A: torch.Tensor) -> None:
        """Agent after agent, in a drawn order."""
        log_factor = torch.zeros(len(A))
        for agent in torch.randperm(len(self._actors)).tolist():
            actor, own, taken = self._actors[agent], obs[agent], actions[agent, :, None]
            old = self._climb(agent, own, taken, log_factor.exp() * A)
            with torch.no_grad():
                log_factor += torch.log_softmax(actor(own), dim=1).gather(1, taken)[:, 0] - old

    def _climb(self, agent: int, own: torch.Tensor, taken: torch.Tensor, M: torch.Tensor) -> torch.Tensor:
        """Steps of one agent up the clipped surrogate of M; its log probabilities before."""
        settings, actor = self._settings, self._actors[agent]
        low, high = 1 - settings.clip_range, 1 + settings.clip_range
        with torch.no_grad():
            old = torch.log_softmax(actor(own), dim=1).gather(1, taken)[:, 0]
        for _ in range(settings.epochs):
            log_pi = torch.log_softmax(actor(own), dim=1)
            ratio = (log_pi.gather(1, taken)[:, 0] - old).exp()
            surrogate = torch.minimum(ratio * M, ratio.clamp(low, high) * M).mean()
            entropy = -(log_pi.exp() * log_pi).sum(dim=1).mean()
            self._step(agent, actor, -surrogate - settings.entropy * entropy)
        return old

    def _fit(self, states: torch.Tensor, old: torch.Tensor, targets: torch.Tensor) -> None:
        """The critic, on returns brought to one scale."""
        self._moments += (1 - 0.99999) * (
            torch.stack([targets.mean(), (targets**2).mean(), torch.ones(())]) - self._moments)
        mean, deviation = self._scale()
        farthest, huber = self._settings.value_clip, self._settings.huber
        targets = (targets - mean) / deviation
        for _ in range(self._settings.critic_epochs):
            v = self._critic(states)[:, 0]
            held = old + (v - old).clamp(-farthest, farthest)
            losses = [huber_loss(each, targets, reduction="none", delta=huber) for each in (v, held)]
            self._step(-1, self._critic, torch.maximum(*losses).mean())

    def _step(self, which: int, net: nn.Module, loss: torch.Tensor) -> None:
        adam = self._adams[which]
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), self._settings.clip, foreach=True)
        adam.step()

    def _scale(self) -> tuple[float, float]:
        """Mean and deviation of returns."""
        m, s, k = self._moments.tolist()
        return (m / k, max(s / k - (m / k) ** 2, 1e-2) ** 0.5) if k else (0.0, 1.0)
