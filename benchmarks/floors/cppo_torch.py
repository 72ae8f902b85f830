"""Coordinated PPO on cooperative navigation with nothing but torch and the batched game: the whole training loop.

Every agent has a policy and a critic of its own observations, `nn.Sequential` and `torch.optim.Adam` (foreach) each.
An iteration plays as `happo_torch` does; then every agent learns in full batches from the team's rewards, and all
networks become the means over agents of the ones before, plus what each changed.  No metrics, no checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.floors.happo_torch import Happo, Settings, mlp


class Cppo(Happo):
    """The agents and their games; arguments as those of `Happo`."""

    def __init__(self, environment, hidden: Sequence[int], settings: Settings):
        super().__init__(environment, hidden, settings)
        width, agents = environment.observations[0][0], environment.agents
        self._critics = [mlp(width, hidden, 1, 1.0) for _ in range(agents)]
        self._adams = [torch.optim.Adam(net.parameters(), size, eps=1e-5, foreach=True)
                       for nets, size in ((self._actors, settings.actor_step), (self._critics, settings.critic_step))
                       for net in nets]
        self._of_agents = torch.zeros(agents, 3)

    @torch.no_grad()
    def _parameters(self) -> torch.Tensor:
        """All networks' numbers, (agents, width)."""
        return torch.stack([torch.nn.utils.parameters_to_vector([*actor.parameters(), *critic.parameters()])
                            for actor, critic in zip(self._actors, self._critics, strict=True)])

    def iterate(self) -> None:
        """One iteration; `reward` is then the mean reward per step and agent."""
        before = self._parameters()
        mixed = before.mean(dim=0, keepdim=True)
        obs, actions, rewards, done, _ = self._play()
        self.reward = rewards.mean().item()
        seen, last, E = obs.flatten(1, 2), self._last, self._shape[1]
        for agent, critic in enumerate(self._critics):
            self._moments, self._critic = self._of_agents[agent], critic
            mean, deviation = self._scale()
            with torch.no_grad():
                raw = critic(seen[agent])[:, 0]
                v = (raw * deviation + mean).view(self._shape)
                v_next = torch.cat([v[1:], v[:1]])
                v_next[torch.from_numpy(done)] = (critic(last[agent])[:, 0] * deviation + mean).view(-1, E)
                A = self._advantages(rewards, v, v_next, done)
            self._climb(agent, seen[agent], actions[agent].flatten()[:, None], (A - A.mean()) / (A.std() + 1e-5))
            self._adams.append(self._adams[len(self._actors) + agent])       # that `_fit` steps with
            self._fit(seen[agent], raw, A + v.flatten())
            self._adams.pop()
        with torch.no_grad():
            for row, actor, critic in zip(mixed + self._parameters() - before, self._actors, self._critics,
                                          strict=True):
                torch.nn.utils.vector_to_parameters(row, [*actor.parameters(), *critic.parameters()])

    def _play(self) -> tuple[torch.Tensor, ...]:
        """As `Happo._play`; what the agents saw where games ended, and last, stays in `_last`, (agents, K E, width)."""
        played = super()._play()
        agents, width = len(self._actors), self._seen.shape[2]
        self._last = played[-1].view(-1, agents, width).movedim(1, 0)
        return played
