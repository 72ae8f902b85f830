"""Small experiments in the arena that trainers and their transcriptions go through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One experiment, for netac and for its transcription.

    Attributes:
        arena: options of `Arena`.
        options: of the trainer, besides the usual ones.
        wrong: mistakes that must show in this case.
        seed: of the run, one with which every tensor moves and every mistake shows.
    """

    trainer: str
    arena: dict[str, Any] = field(default_factory=dict)
    agents: int = 3
    envs: int = 2
    options: dict[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    seed: int = 5


LASTING = {"falls": 2.0}                           # games end by time alone
LEAVING = {"falls": 0.6}                           # agents terminate, one by one
LATE = {"falls": 2.0, "late": True, "length": 3}   # agent 0 is truncated before the others
MASKED = {"actions": "different", "masks": True}
BOX, MIXED = {"actions": "box"}, {"actions": "mixed", "extra": 1}
