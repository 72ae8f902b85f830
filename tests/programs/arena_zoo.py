"""One game of the arena as a PettingZoo environment, whose agents may differ in what they see and do."""

from __future__ import annotations

import numpy as np
from arena import Saved
from gymnasium import spaces
from pettingzoo import ParallelEnv
from zoo import Sampler


class Colosseum(ParallelEnv):
    """An arena of one game; options are those of `arena.Arena`."""

    def __init__(self, agents: int, **options):
        self.render_mode = None
        self._arena = Saved(agents, 1, **options)
        self.possible_agents = list(self._arena.names)
        self._numbers = {name: i for i, name in enumerate(self.possible_agents)}

    @property
    def neighbours(self):
        return self._arena.neighbours

    def observation_space(self, agent):
        return spaces.Box(-np.inf, np.inf, self._arena.observations[self._numbers[agent]])

    def action_space(self, agent):
        space = self._arena.actions[self._numbers[agent]]
        return (spaces.Discrete(space.n_actions) if space.n_actions
                else spaces.Box(np.float32(space.low), np.float32(space.high)))

    @property
    def agents(self):
        return [name for name, i in self._numbers.items() if self._arena.active[i, 0]]

    @agents.setter
    def agents(self, names):
        pass

    def reset(self, seed=None, options=None):
        self._arena.begin(seed, 0)
        return self._observed(self.agents), {}

    def state(self):
        return self._arena.state()[0]

    def _observed(self, names):
        shown = self._arena.observe(range(self._arena.agents))
        return {name: shown[self._numbers[name]][0] for name in names}

    def step(self, actions):
        width = max(space.size for space in self._arena.actions)
        chosen = np.zeros((self._arena.agents, 1, width))
        for name, action in actions.items():
            i = self._numbers[name]
            space = self._arena.actions[i]
            chosen[i, 0, :space.size] = action if space.n_actions else np.clip(action, space.low, space.high)
        acted = self.agents
        step = self._arena.step(chosen)
        going_on = set(self.agents)
        terminated = {name: bool(step.terminated[self._numbers[name], 0]) for name in acted}
        return (self._observed(acted), {name: float(step.r[self._numbers[name], 0]) for name in acted}, terminated,
                {name: name not in going_on and not terminated[name] for name in acted}, {})

    def get_state(self):
        return self._arena.get_state()

    def set_state(self, state):
        self._arena.set_state(state)


def sampler():
    """Five agents, no two of which see or do the same."""
    return Sampler()
