"""Networks of one's own: any `torch.nn.Module` serves as policy or critic.

netac calls the class with those of `observation` (a shape), `outputs` (logits, means, or 1 for a critic) and `joint`
(how many numbers the joint action has; for reward models) that its signature names, and with `kwargs` of the experiment
file.
"""

import torch
from torch import nn


class Landmarks(nn.Module):
    """A policy for cooperative navigation that reads every landmark and every other agent by the same small network."""

    def __init__(self, observation: tuple[int, ...], outputs: int, width: int = 32):
        super().__init__()
        self.agents = (observation[0] - 4) // 6 + 1       # 4 + 2 N + 2 (N - 1) + 2 (N - 1) numbers
        self.reader = nn.Linear(4 + 2, width)             # shared: what a position, seen from the agent, means to it
        self.output = nn.Linear(width, outputs)           # personal

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """(M, observation) -> (M, outputs)."""
        own, positions = observation[:, :4], observation[:, 4:4 + 2 * (2 * self.agents - 1)]
        others = positions.reshape(len(observation), -1, 2)
        pairs = torch.cat([own[:, None].expand(-1, others.shape[1], -1), others], dim=2)
        return self.output(torch.tanh(self.reader(pairs)).mean(dim=1))
