"""A transformer over agents, for the trainer `mat`: an encoder of what all agents see, a decoder of what they do.

Of Wen et al., 2022, "Multi-agent reinforcement learning is a sequence modeling problem", section 4.1 (slides 004, lines
780-789), in the form of its published code: layers are normalised after what they are added to.  Each of N agents is a
token, in the order in which they act:

- the encoder lets all see all, and gives the value V(o_m) of every one;
- the decoder is shown what those before m did, a sign for the beginning in the place of the last one's action, and what
  the encoder made of what agents see; m attends to those up to itself, so that its outputs depend on no later action.

Its first layer is linear, without the normalisation of raw observations that the published code begins with.
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from netac.agents.networks._layers import Width, gain_of, started
from netac.agents.networks._torch import torch
from netac.utils.errors import InputError
from netac.utils.options import Options

SMALL = 0.01      # gain of layers that nothing comes after but a sum or the outputs
gelu = torch.nn.functional.gelu


class Settings(Options):
    """Options of `name = "transformer"`."""

    width: Width = Field(64, description="numbers of a token, a multiple of heads")
    heads: int = Field(1, ge=1, le=1024, description="of every attention")
    blocks: int = Field(1, ge=1, le=64, description="of the encoder, and of the decoder")
    identity: bool = Field(True, description=(
        "whether tokens say whose they are; without it agents that see and do the same are told apart by their turn "
        "alone, as in the paper"))

    @model_validator(mode="after")
    def _divides(self) -> Settings:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be split among {self.heads} heads: a multiple of heads")
        return self


def make(settings: Settings, observation: tuple[int, ...], outputs: int, joint: int = 0, gain: float = 1.0,
         ) -> Transformer:
    """The module for N agents.

    Args:
        observation: (N, numbers of what one sees).
        outputs: N (A + 1): of every agent what its action is drawn from, and its value.
        joint: N times the numbers of an action.

    Raises:
        InputError: these are not of several agents: another algorithm asks for it.
    """
    if len(observation) != 2 or not joint or joint % observation[0] or outputs % observation[0]:
        raise InputError("a transformer is one network over all agents, which the trainer holds", key="name",
                         found="transformer", valid='algorithm.name = "mat", or a network of one agent: "mlp", "cnn"')
    agents, seen = observation
    return Transformer(settings, seen, joint // agents, outputs // agents - 1, gain)


class Transformer(torch.nn.Module):
    """Encoder and decoder: (M, N, seen), (M, N numbers) -> (M, N (A + 1)): A outputs and the value of every token."""

    def __init__(self, settings: Settings, seen: int, numbers: int, outputs: int, gain: float):
        super().__init__()
        self._numbers = numbers
        self.encoder = Encoder(settings, seen, gain)
        self.decoder = Decoder(settings, numbers, outputs, gain)

    def forward(self, observation: torch.Tensor, joint: torch.Tensor) -> torch.Tensor:
        """Outputs and values of all agents, given what those before them did."""
        encoded = self.encoder(observation)
        outputs = self.decoder(encoded, joint.unflatten(1, (-1, self._numbers)))
        return torch.cat([outputs, self.encoder.values(encoded)], dim=2).flatten(1)


class Encoder(torch.nn.Module):
    """What agents see, each knowing what all others see; and its value."""

    def __init__(self, settings: Settings, seen: int, gain: float):
        super().__init__()
        self.embed, self.norm = _wide(seen, settings.width), torch.nn.LayerNorm(settings.width)
        self.blocks = torch.nn.ModuleList(EncoderBlock(settings) for _ in range(settings.blocks))
        self.value = Head(settings.width, 1, gain)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """(M, N, seen) -> (M, N, width)."""
        x = self.norm(gelu(self.embed(observation)))
        for block in self.blocks:
            x = block(x)
        return x

    def values(self, encoded: torch.Tensor) -> torch.Tensor:
        """(M, N, width) -> (M, N, 1)."""
        return self.value(encoded)


class Decoder(torch.nn.Module):
    """What agents' actions are drawn from."""

    def __init__(self, settings: Settings, numbers: int, outputs: int, gain: float):
        super().__init__()
        self.embed = _wide(1 + numbers, settings.width, bias=False)
        self.norm = torch.nn.LayerNorm(settings.width)
        self.blocks = torch.nn.ModuleList(DecoderBlock(settings) for _ in range(settings.blocks))
        self.action = Head(settings.width, outputs, gain)

    def forward(self, encoded: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """(M, m, width), (M, m, numbers) of the first m agents -> (M, m, A); the last one's action is not looked at."""
        before = torch.nn.functional.pad(actions[:, :-1], (1, 0, 1, 0))
        before[:, 0, 0] = 1.0                      # the beginning
        x = self.norm(gelu(self.embed(before)))
        for block in self.blocks:
            x = block(x, encoded)
        return self.action(x)


class EncoderBlock(torch.nn.Module):
    """Attention of all to all, and two dense layers."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.attention, self.norm1 = Attention(settings), torch.nn.LayerNorm(settings.width)
        self.dense, self.norm2 = Dense(settings.width), torch.nn.LayerNorm(settings.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, N, width) -> the same."""
        x = self.norm1(x + self.attention(x, x, causal=False))
        return self.norm2(x + self.dense(x))


class DecoderBlock(torch.nn.Module):
    """Attention of what was done to what was done before, of what is seen to that, and two dense layers."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.own, self.norm1 = Attention(settings), torch.nn.LayerNorm(settings.width)
        self.across, self.norm2 = Attention(settings), torch.nn.LayerNorm(settings.width)
        self.dense, self.norm3 = Dense(settings.width), torch.nn.LayerNorm(settings.width)

    def forward(self, x: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        """(M, m, width) of actions and of what the encoder gave -> the same."""
        x = self.norm1(x + self.own(x, x, causal=True))
        x = self.norm2(encoded + self.across(encoded, x, causal=True))
        return self.norm3(x + self.dense(x))


class Attention(torch.nn.Module):
    """softmax(Q K' / sqrt(width of a head)) V, head by head; causal: token m attends to tokens up to m."""

    def __init__(self, settings: Settings):
        super().__init__()
        self._heads = settings.heads
        self.query, self.key, self.values, self.project = (
            started(torch.nn.Linear(settings.width, settings.width), SMALL) for _ in range(4))

    def forward(self, queries: torch.Tensor, others: torch.Tensor, causal: bool) -> torch.Tensor:
        """(M, m, width), (M, m, width) -> (M, m, width)."""
        Q, K, V = (layer(x).unflatten(2, (self._heads, -1)).transpose(1, 2)
                   for layer, x in ((self.query, queries), (self.key, others), (self.values, others)))
        scores = Q @ K.transpose(2, 3) / math.sqrt(Q.shape[3])
        if causal:
            tokens = queries.shape[1]
            scores = scores.masked_fill(torch.ones(tokens, tokens, dtype=torch.bool).triu(1), -math.inf)
        return self.project((scores.softmax(dim=3) @ V).transpose(1, 2).flatten(2))


class Dense(torch.nn.Module):
    """Two dense layers of one width."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = _wide(width, width), started(torch.nn.Linear(width, width), SMALL)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width) -> the same."""
        return self.second(gelu(self.first(x)))


class Head(torch.nn.Module):
    """A dense layer, normalised, and the outputs."""

    def __init__(self, width: int, outputs: int, gain: float):
        super().__init__()
        self.dense, self.norm = _wide(width, width), torch.nn.LayerNorm(width)
        self.output = started(torch.nn.Linear(width, outputs), gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., outputs)."""
        return self.output(self.norm(gelu(self.dense(x))))


def _wide(inputs: int, width: int, bias: bool = True) -> torch.nn.Linear:
    """A dense layer before an activation, with orthogonal weights."""
    layer = torch.nn.Linear(inputs, width, bias=bias)
    if bias:
        started(layer, gain_of("gelu"))
    else:
        torch.nn.init.orthogonal_(layer.weight, gain_of("gelu"))
    return layer
