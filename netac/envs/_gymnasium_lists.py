"""Environments of gymnasium with several agents, who see, act and are paid in lists, with PettingZoo's interface.

`reset` gives (observations, info) and `step(actions)` (observations, rewards, terminated, truncated, info), in which
observations and rewards are lists or tuples with an entry for each agent, in the order of the spaces, which are Tuples
(rware, lbforaging).  One reward is everybody's, and so is one flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from netac.envs._pettingzoo_spaces import MASK, ApiError


def agents_in_lists(env: gymnasium.Env) -> int:
    """How many agents an environment of gymnasium has, whose spaces are Tuples of theirs; 0 where they are not."""
    both = [env.observation_space, env.action_space]
    if not all(isinstance(space, spaces.Tuple) for space in both):
        return 0
    number, other = map(len, both)
    return number if number == other else 0


class InLists(ParallelEnv):
    """An environment of gymnasium with the interface of PettingZoo; its agents are agent_0, agent_1, ...

    An agent that has ended before the others is given its last action.  Masks that the info holds as a list
    (`action_mask`), go to the agents' infos.

    Args:
        gymnasium_env: an environment of which `agents_in_lists` is not 0.
    """

    def __init__(self, gymnasium_env: gymnasium.Env):
        self.gymnasium_env = gymnasium_env
        self.possible_agents = [f"agent_{k}" for k in range(agents_in_lists(gymnasium_env))]
        self.metadata, self.render_mode = gymnasium_env.metadata, gymnasium_env.render_mode
        self.agents: list[str] = []
        self._places = {agent: k for k, agent in enumerate(self.possible_agents)}
        self._last: dict[str, Any] = {}

    def observation_space(self, agent: str) -> spaces.Space:
        """The agent's part of the Tuple."""
        return _part(self.gymnasium_env.observation_space, self._places[agent])

    def action_space(self, agent: str) -> spaces.Space:
        """The agent's part of the Tuple."""
        return _part(self.gymnasium_env.action_space, self._places[agent])

    @property
    def unwrapped(self) -> Any:
        """The environment."""
        return self.gymnasium_env.unwrapped

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Begin an episode."""
        observations, info = self.gymnasium_env.reset(seed=seed, options=options)
        self.agents = self.possible_agents[:]
        return self._dealt("observations", observations), self._infos(info)

    def step(self, actions: dict) -> tuple[dict, ...]:
        """A step of all agents."""
        self._last.update(actions)
        observations, rewards, terminated, truncated, info = self.gymnasium_env.step(
            tuple(self._last[agent] for agent in self.possible_agents))
        ends = [self._dealt(name, told, flag=True) for name, told in
                (("terminated", terminated), ("truncated", truncated))]
        acted = self.agents
        told = (self._dealt("observations", observations), self._dealt("rewards", rewards, flag=True), *ends,
                self._infos(info))
        self.agents = [agent for agent in acted if not (ends[0][agent] or ends[1][agent])]
        return tuple({agent: each[agent] for agent in acted if agent in each} for each in told)

    def _dealt(self, what: str, told: Any, flag: bool = False) -> dict[str, Any]:
        """What every agent is told; `flag`: one number may be everybody's."""
        if flag and np.ndim(told) == 0:
            return dict.fromkeys(self.possible_agents, told)
        if not isinstance(told, Sequence | np.ndarray) or len(told) != len(self.possible_agents):
            found = f"{len(told)} of them" if isinstance(told, Sequence | np.ndarray) else type(told).__name__
            raise ApiError(f"{what} are no list with an entry for each of {len(self.possible_agents)} agents, but "
                           f"{found}", "a list or tuple, as the spaces are Tuples")
        return dict(zip(self.possible_agents, told, strict=True))

    def _infos(self, info: Any) -> dict[str, dict]:
        masks = info.get(MASK) if isinstance(info, dict) else None
        if masks is None:
            return {agent: {} for agent in self.possible_agents}
        return {agent: {MASK: mask} for agent, mask in self._dealt("action masks", masks).items()}

    def render(self) -> Any:
        """The environment's picture."""
        return self.gymnasium_env.render()

    def close(self) -> None:
        """Close the environment."""
        self.gymnasium_env.close()


def _part(space: spaces.Space, k: int) -> spaces.Space:
    assert isinstance(space, spaces.Tuple), "the spaces of all agents are Tuples"
    return space[k]
