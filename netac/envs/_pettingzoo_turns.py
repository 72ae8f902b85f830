"""Games of PettingZoo whose agents act one after the other (`AECEnv`), played as games in which all act at once.

A joint step is the move of the agent whose turn it is.  To the others one action is allowed meanwhile, the first of
their space, which nobody looks at: its probability is 1 and its gradient 0.  So an agent's value function goes on from
move to move, and what the others' moves pay it is paid when they make them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

from netac.envs._pettingzoo_spaces import MASK, writer


class InTurns(ParallelEnv):
    """An `AECEnv` with the parallel interface.

    Args:
        aec_env: agents' actions are Discrete, MultiDiscrete or MultiBinary.
    """

    def __init__(self, aec_env: AECEnv):
        self.aec_env, self.possible_agents = aec_env, list(aec_env.possible_agents)
        self.metadata, self.render_mode = getattr(aec_env, "metadata", {}), getattr(aec_env, "render_mode", None)
        self.agents: list = []
        self._first = {agent: _only_first(self.action_space(agent)) for agent in self.possible_agents}
        if hasattr(aec_env, "state_space"):
            self.state_space = aec_env.state_space

    def observation_space(self, agent: Any) -> spaces.Space:
        """The game's own."""
        return self.aec_env.observation_space(agent)

    def action_space(self, agent: Any) -> spaces.Space:
        """The game's own."""
        return self.aec_env.action_space(agent)

    @property
    def unwrapped(self) -> Any:
        """The game."""
        return self.aec_env.unwrapped

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Begin an episode."""
        self.aec_env.reset(seed=seed, options=options)
        self._pass_the_dead()
        return self._seen(self.agents)

    def step(self, actions: dict) -> tuple[dict, dict, dict, dict, dict]:
        """The move of the agent whose turn it is; the others' actions are not looked at."""
        env, acted = self.aec_env, self.agents
        env.step(actions[env.agent_selection])
        rewards, terminations, truncations = (
            {agent: told[agent] for agent in acted} for told in (env.rewards, env.terminations, env.truncations))
        shown = {agent: env.observe(agent) for agent in acted}
        self._pass_the_dead()
        observations, infos = self._seen(acted, shown)
        return observations, rewards, terminations, truncations, infos

    def _pass_the_dead(self) -> None:
        """Until it is somebody's turn who still plays; whoever has ended is out."""
        env = self.aec_env
        while env.agents and (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            env.step(None)
        self.agents = [agent for agent in env.agents if not (env.terminations[agent] or env.truncations[agent])]

    def _seen(self, agents: list, shown: dict | None = None) -> tuple[dict, dict]:
        """Observations (those of whoever has ended from before, `shown`) and infos, with masks."""
        env, observations, infos = self.aec_env, {}, {}
        for agent in agents:
            plays = agent in self.agents
            seen = env.observe(agent) if plays or shown is None else shown[agent]
            info = dict(env.infos.get(agent) or {})
            if plays and agent == env.agent_selection:
                if MASK not in info:
                    info[MASK] = np.ones_like(self._first[agent])
            else:
                info[MASK] = self._first[agent]
                if isinstance(seen, dict) and MASK in seen:
                    seen = {**seen, MASK: self._first[agent]}
            observations[agent], infos[agent] = seen, info
        return observations, infos

    def state(self) -> np.ndarray:
        """The game's own."""
        return self.aec_env.state()

    def render(self) -> Any:
        """The game's picture."""
        return self.aec_env.render()

    def close(self) -> None:
        """Close the game."""
        self.aec_env.close()


def _only_first(space: spaces.Space) -> np.ndarray:
    """The mask that allows the first action alone: zeros and ones, (outputs,)."""
    action = writer(space, "the action space").action
    everything = np.ones(action.outputs, dtype=bool)
    return action.encode(action.first(everything)).astype(np.int8)
