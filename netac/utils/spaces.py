"""Action spaces: what environments offer and policies choose from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActionSpace:
    """What an agent may do: one of `n_actions` actions, 0, ..., n_actions - 1, or (n_actions = 0) a vector between `low` and `high`.

    Attributes:
        n_actions: how many actions there are; 0 for vectors.
        low, high: bounds of a vector's entries (infinite ones allowed); empty for discrete actions.
    """

    n_actions: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Numbers an action consists of: 1 for discrete actions."""
        return 1 if self.n_actions else len(self.low)

    @property
    def outputs(self) -> int:
        """What a policy network gives for it: a logit for every action, or a mean for every entry."""
        return self.n_actions or len(self.low)
