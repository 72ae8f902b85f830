"""How far several agents' policies have moved together; of one agent, see `netac.agents.distributions`."""

from __future__ import annotations

import numpy as np


def joint_tv_bound(tvs: np.ndarray) -> np.ndarray:
    """Upper bound of the total variation of the joint policy, paper 002, proposition 2: the agents' sum, at most 1.

    Args:
        tvs: (N, ...) of every agent: per state, for a bound per state, or largest over states, for one of the largest.

    Returns:
        (...).
    """
    return np.minimum(np.asarray(tvs, dtype=float).sum(axis=0), 1.0)
