"""The differential game r = a_1 a_2 of one state: real actions, one common reward, the product of them all.

From (-0.25, 0.25), the means of two normal policies of unit variance, simultaneous trust-region steps lower the return
and sequential ones raise it (Kuba et al., 2022, "Trust region policy optimisation in multi-agent reinforcement
learning", Figure 1).  Agents that draw their actions independently get the product of their means.  The optimum is
clip^N, with all actions at `clip`; without it there is none.  All agents see the same constant 1; an episode is
terminated after `horizon` steps.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from netac.envs.matrix import CommonPayoff
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace


class Settings(Options):
    """Options of `env = { name = "differential" }`."""

    clip: float | None = Field(
        None, gt=0, le=1e6, description="actions are clipped to [-clip, clip]; by default they are not")
    horizon: int = Field(1, ge=1, le=10**9, description="steps after which an episode is terminated")


def make(settings: Settings, agents: int, games: int) -> CommonPayoff:
    """`games` games of `agents` agents, each with one real action."""
    bound = math.inf if settings.clip is None else settings.clip
    return CommonPayoff((ActionSpace(low=(-bound,), high=(bound,)),) * agents, product, games, settings.horizon)


def product(actions: np.ndarray) -> np.ndarray:
    """The rewards of joint actions: (N, E, 1) doubles -> (E,) products over the agents."""
    return actions[..., 0].prod(axis=0)
