"""VDN's update with nothing but torch: utilities with a GRU, sequences of one length from a replay of tensors.

A network for each agent, or one for all; dense layers see all steps at once, the cell one after the other.  Double
Q-learning, `torch.optim.Adam` (foreach), clipped gradients, targets that follow.  No masks, no games that end within a
sequence, no checks, no counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu


@dataclass(frozen=True)
class Settings:
    """Named as in an experiment file; `hidden` and `units` are the network's."""

    hidden: int
    units: int
    batch: int
    gamma: float
    actor_step: float
    tau: float
    clip: float = 10.0


class Utility(nn.Module):
    """A dense layer, a GRU cell, and an output for every action."""

    def __init__(self, width: int, actions: int, settings: Settings):
        super().__init__()
        self.dense, self.output = nn.Linear(width, settings.hidden), nn.Linear(settings.units, actions)
        self.cell = nn.GRUCell(settings.hidden, settings.units)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """(L, B, width) from the memory 0 -> (L, B, actions)."""
        memory, memories = obs.new_zeros(obs.shape[1], self.cell.hidden_size), []
        for x in relu(self.dense(obs)):
            memory = self.cell(x, memory)
            memories.append(memory)
        return self.output(torch.stack(memories))


class Vdn:
    """The agents and their replay.

    Args:
        obs: (N, L + 1, S, width) what N agents saw in S sequences, the last time after the last step.
        taken: (N, L, S) what they did.
        r: (L, S) rewards of the team.
        actions: how many there are.
        shared: whether there is one network for all agents.
    """

    def __init__(self, obs: np.ndarray, taken: np.ndarray, r: np.ndarray, actions: int, settings: Settings,
                 shared: bool):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._obs, self._taken, self._r = (torch.from_numpy(np.ascontiguousarray(each)) for each in (obs, taken, r))
        self._settings, self._shared = settings, shared
        self._nets, self._targets = (nn.ModuleList(Utility(obs.shape[3], actions, settings)
                                                   for _ in range(1 if shared else len(obs))) for _ in range(2))
        self._targets.load_state_dict(self._nets.state_dict())
        self._adam = torch.optim.Adam(self._nets.parameters(), settings.actor_step, eps=1e-5, foreach=True)

    def update(self) -> None:
        """One update."""
        settings, nets = self._settings, list(self._nets.parameters())
        drawn = torch.randint(self._r.shape[1], (settings.batch,))
        obs, taken, r = self._obs[:, :, drawn], self._taken[:, :, drawn], self._r[:, drawn]
        values = self._values(self._nets, obs)                                   # (N, L + 1, B, A)
        with torch.no_grad():
            best = values[:, 1:].argmax(dim=3, keepdim=True)
            y = r + settings.gamma * self._values(self._targets, obs)[:, 1:].gather(3, best)[..., 0].sum(dim=0)
        total = values[:, :-1].gather(3, taken[..., None])[..., 0].sum(dim=0)
        self._adam.zero_grad()
        ((y - total) ** 2 / 2).mean().backward()
        for net in self._nets:
            nn.utils.clip_grad_norm_(net.parameters(), settings.clip, foreach=True)
        self._adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self._targets.parameters()), nets, settings.tau)

    def _values(self, nets: nn.ModuleList, obs: torch.Tensor) -> torch.Tensor:
        if not self._shared:
            return torch.stack([net(own) for net, own in zip(nets, obs, strict=True)])
        N, steps, batch, width = obs.shape
        together = obs.movedim(0, 1).reshape(steps, N * batch, width)
        return nets[0](together).view(steps, N, batch, -1).movedim(1, 0)
