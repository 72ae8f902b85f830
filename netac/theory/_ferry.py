"""A small game with every part of CAC's theorem in it: shared and personal policies, and two samplings that disagree.

Three agents, two actions, four states; c is the share of agents that take action 1, and agent i is paid w_i f(s, c)
with w = (1/2, 1, 3/2):

    0 start      f = 1 - c^2                 then state 1
    1 gate       f = 1 - (c - 0.65)^2        then state 0, 2 or 3 with probability 0.1, 0.45, 0.45
    2, 3 banks   f = c and f = 1 - c         then the other bank with probability f

and from everywhere, with probability 1/4, back to the start (0.4) or the gate (0.6).  Play begins at the start, where
the discounted visitation is three times the stationary share.  The shared logit (feature 0) is one for start and gate,
so that the best c lies between 0 and 0.65, nearer to that of the state that counts more; the personal logit (feature 1)
is one for both banks, where opposite actions are wanted.  So the best policies are inside the simplex, and those of the
two samplings differ.  The reward model's features are one-hot in (s, c): it and V are exact, eps_app = 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netac.exact import FiniteMDP
from netac.theory._walk import save_game

AGENTS, STATES, HOME = 3, 4, 0.25


def ferry() -> FiniteMDP:
    """The game."""
    c = _shares()
    f = np.stack([1.0 - c**2, 1.0 - (c - 0.65)**2, c, 1.0 - c])
    P = np.zeros((STATES, len(c), STATES))
    P[0, :, 1] = 1.0
    P[1] = [0.1, 0.0, 0.45, 0.45]
    for bank, other in ((2, 3), (3, 2)):
        P[bank, :, other], P[bank, :, bank] = f[bank], 1.0 - f[bank]
    P = (1.0 - HOME) * P + HOME * np.array([0.4, 0.6, 0.0, 0.0])
    return FiniteMDP(P, f[:, :, None] * np.array([0.5, 1.0, 1.5]), np.eye(STATES)[0], 0.8)


def reward_features() -> np.ndarray:
    """(S J, S (N + 1)) features one-hot in (s, c)."""
    ones = np.rint(_shares() * AGENTS).astype(int)
    return np.eye(STATES * (AGENTS + 1))[(np.arange(STATES)[:, None] * (AGENTS + 1) + ones).ravel()]


def tables(folder: Path) -> dict[str, Any]:
    """The experiment file's tables for the game and its policies; writes their files into `folder`."""
    x = np.zeros((STATES, 2, 2))
    x[:2, 1, 0] = x[2:, 1, 1] = 1.0
    np.savez(folder / "features.npz", phi=np.eye(STATES),
             psi=reward_features().reshape(STATES, 2**AGENTS, -1))
    np.savez(folder / "policy.npz", x=x)
    return {"env": {"name": "finite-mdp", "path": save_game(ferry(), folder / "game.npz"),
                    "features": str(folder / "features.npz")},
            "policy": {"name": "log-linear", "features": str(folder / "policy.npz"), "shared": ["f0"]}}


def _shares() -> np.ndarray:
    """(A^N,) the share of agents that take action 1 in each joint action."""
    return np.array([bin(joint).count("1") for joint in range(2**AGENTS)]) / AGENTS
