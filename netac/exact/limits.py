"""How large a game may be to be solved exactly."""

from __future__ import annotations

from netac.utils.errors import InputError

LARGEST = 20_000_000      # numbers in P: 160 MB


def refuse_large(states: int, agents: int, actions: int) -> None:
    """Refuse a game whose transition probabilities are more than `LARGEST` numbers, S A^N S.

    Raises:
        InputError: with the size and the limit.
    """
    numbers = states * actions**agents * states
    if numbers > LARGEST:
        raise InputError("the game is too large to be solved exactly", key="P",
                         found=f"{states} x {actions}^{agents} x {states} = {numbers:,} numbers",
                         valid=f"states x actions^agents x states up to {LARGEST:,}")
