"""What agents with networks learn from: joint samples, with observations instead of features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from netac.agents.protocols import LEFT_OUT
from netac.agents.sequences import Sequences

BY_AGENT = ("r", "active", "bootstrap_mask")     # arrays (n, M); all others have their samples along the first axis


@dataclass(slots=True)
class Transitions:
    """M joint samples, seen by the n agents of this process; M = steps x E, the games of one step side by side.

    Lists have one entry per agent of this process (or per critic), since agents may differ in their spaces.  What
    nobody asks for may be left out.

    Attributes:
        obs, next_obs: (M, *shape_i) own observations of s and s' (of the final s' where an episode ended).
        seen, next_seen: (M, *shape) what the agent's critics see of s and s': its own observations, or the global
            state.
        own: (M,) own discrete actions, or (M, d_i) several choices or action vectors as drawn, before these are clipped
            to their bounds.
        pi: (M, A_i) action probabilities at the theta the samples were drawn with; None where they are not listed.
        allowed: (M, outputs_i) bool, which actions were allowed, see `Distribution.mask`; None where all were.
        joint: (M, F) the joint action as numbers: one-hot or vector, agent after agent, or each agent's own first and
            then the others'; zeros for agents that took no part.
        r: (n, M) rewards.
        active: (n, M) 1.0 where the agent took part, else 0.0; None where all did.
        bootstrap_mask: (n, M) 1.0 where s' has a value for the agent (it did not terminate), else 0.0; None where all
            have.
        next_joint: (M, F) the joint action taken in s', where the algorithm asks for it.
        alternatives: (M, A_i, F) `joint` with the agent's own action replaced by each of its A_i, where the algorithm
            asks for them.
        sequences: how the samples follow each other, for policies with memory; None for the others.
        discounts: (M,) gamma^t of step t of an episode, where the policies' gradient is discounted; else None.
        shares: (M,) how much of the team each sample stands for, where means are not those of agents by themselves;
            comes with `active`.
    """

    obs: list[np.ndarray] = field(default_factory=list)
    next_obs: list[np.ndarray] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    next_seen: list[np.ndarray] = field(default_factory=list)
    own: list[np.ndarray] = field(default_factory=list)
    pi: list[np.ndarray | None] = field(default_factory=list)
    joint: list[np.ndarray] = field(default_factory=list)
    r: np.ndarray = LEFT_OUT
    active: np.ndarray | None = None
    bootstrap_mask: np.ndarray | None = None
    next_joint: list[np.ndarray] = LEFT_OUT
    alternatives: list[np.ndarray] = LEFT_OUT
    sequences: Sequences | None = None
    shares: np.ndarray | None = None
    allowed: list[np.ndarray] | None = None
    discounts: np.ndarray | None = None

    def discounted(self, advantages: np.ndarray) -> np.ndarray:
        """Advantages (n, M) as they weigh in the policies' gradient: times gamma^t, where that is asked for."""
        return advantages if self.discounts is None else self.discounts * advantages

    @property
    def chunks(self) -> np.ndarray | None:
        """(L, C) samples that belong together, a column each, where minibatches must not part them; else None."""
        return None if self.sequences is None else self.sequences.steps

    @property
    def sample_weight(self) -> np.ndarray | None:
        """(n, M) weights that make means over M samples means over those the agent took part in; None where all did.

        They are M / (how many those are), and 0.0 elsewhere: of this batch, not of the ones it was joined or cut from.
        With `shares` they are M / (the sum of these), in the place of M / (how many those are).
        """
        if self.active is None:
            return None
        if self.shares is not None:
            return self.active * (len(self.shares) / (self.shares.sum() or 1.0))
        return sample_weight(self.active)

    def take(self, part: np.ndarray | slice) -> Transitions:
        """Some of the samples; of sequences whole chunks, columns of `chunks`, flattened."""
        held = ((name, getattr(self, name)) for name in FIELDS)
        return Transitions(**{name: _cut(name, value, part) for name, value in held if value is not None})

    def parts(self, size: int) -> Iterator[Transitions]:
        """Samples 0, ..., size - 1, then the next `size`, to the end; M is a multiple of `size`."""
        for first in range(0, self.r.shape[1], size):
            yield self.take(slice(first, first + size))

    @staticmethod
    def joined(steps: list[Transitions]) -> Transitions:
        """The samples of several steps, without sequences, as one batch, step after step."""
        return Transitions(**{name: _join(name, [getattr(step, name) for step in steps], steps) for name in FIELDS})


FIELDS = tuple(each.name for each in fields(Transitions))


def sample_weight(active: np.ndarray) -> np.ndarray:
    """(n, M) of `active` (n, M): it times M / (how many samples the agent took part in)."""
    return active * (active.shape[1] / np.maximum(active.sum(axis=1, keepdims=True), 1.0))


def _cut(name: str, value: Any, part: Any) -> Any:
    if isinstance(value, list):
        return [None if array is None else array[part] for array in value]
    if isinstance(value, Sequences):
        return value.take(part)
    return value[:, part] if name in BY_AGENT else value[part]


def _join(name: str, values: list, steps: list[Transitions]) -> Any:
    if name in ("active", "bootstrap_mask"):
        if all(value is None for value in values):
            return None
        return np.concatenate([np.ones(step.r.shape) if value is None else value
                               for value, step in zip(values, steps, strict=True)], axis=1)
    if isinstance(values[0], list):
        return [None if parts[0] is None else np.concatenate(parts) for parts in zip(*values, strict=True)]
    return None if values[0] is None else np.concatenate(values, axis=1 if name in BY_AGENT else 0)
