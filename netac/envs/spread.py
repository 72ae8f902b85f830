"""Cooperative navigation: `simple_spread_v3` of MPE, where N agents spread over N landmarks without colliding.

The environment is that of the package mpe2 (1.1), through the adapter for PettingZoo environments; Lowe et al., 2017.
Rewards are each agent's own, not the team's sum:

    r_i = (1 - local_ratio) * global + local_ratio * local_i,
    global = - sum over landmarks of the distance to the nearest agent, local_i = - #{agents that i collides with}.

Version 3 does not count an agent's collision with itself, as version 2 did: numbers published for v2 are lower by
local_ratio per agent and step (by 37.5 in the team's sum over 25 steps of 3 agents).  Episodes are truncated, never
terminated, after `max_cycles` steps, unless `terminate_on_success`.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field

from netac.envs._batched import BatchedEnvironment
from netac.errors import InputError
from netac.options import Options

REPLICATED = False     # one process steps it: it is slow


class Settings(Options):
    """Options of `env = { name = "spread" }`, named as mpe2's, with its defaults; its `N` is `agents`."""

    local_ratio: float = Field(0.5, ge=0, le=1, description="weight of an agent's own collisions; 1 - it is the team's weight")
    max_cycles: int = Field(25, ge=1, le=10**9, description="steps after which an episode is truncated")
    continuous_actions: bool = Field(False, description="five forces in [0, 1] instead of one of five moves")
    terminate_on_success: bool = Field(False, description="an episode ends when every landmark is covered (within 0.1)")
    num_agent_neighbors: int | None = Field(
        None, ge=1, le=10_000, description="an agent sees only so many of the nearest other agents")
    num_landmark_neighbors: int | None = Field(
        None, ge=1, le=10_000, description="an agent sees only so many of the nearest landmarks")


def make(settings: Settings, agents: int, games: int) -> BatchedEnvironment:
    """`games` copies with `agents` agents each.

    Raises:
        InputError: mpe2 is not installed.
    """
    from netac.envs._pettingzoo import ParallelGames
    try:
        from mpe2 import simple_spread_v3
    except ModuleNotFoundError as error:
        raise InputError("the environment needs a package that is not installed", key="env.name", found=error.name,
                         valid='pip install "netac[pettingzoo]"') from None
    return ParallelGames(partial(simple_spread_v3.parallel_env, N=agents, render_mode="rgb_array", **settings.model_dump()),
                         agents, games, "spread")
