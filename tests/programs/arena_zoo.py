"""One game of the arena as a PettingZoo environment, whose agents may differ in what they see and do."""

from __future__ import annotations

import numpy as np
from arena import Saved
from gymnasium import spaces
from pettingzoo import ParallelEnv
from zoo import Sampler


class Colosseum(ParallelEnv):
    """An arena of one game; options are those of `arena.Arena`.

    Args:
        told: where masks are, if there are any: in "observation" or in "info".
    """

    def __init__(self, agents: int, told: str = "observation", **options):
        self._masked, self._told = options.get("masks", False), told
        self.render_mode = None
        self._arena = Saved(agents, 1, **options)
        self.possible_agents = list(self._arena.names)
        self._numbers = {name: i for i, name in enumerate(self.possible_agents)}

    @property
    def neighbours(self):
        return self._arena.neighbours

    def observation_space(self, agent):
        seen = spaces.Box(-np.inf, np.inf, self._arena.observations[self._numbers[agent]])
        action = self._arena.actions[self._numbers[agent]]
        if not self._masked or self._told != "observation" or not action.choices:
            return seen
        return spaces.Dict({"observation": seen, "action_mask": spaces.MultiBinary(action.outputs)})

    def action_space(self, agent):
        space = self._arena.actions[self._numbers[agent]]
        if space.nvec:
            return spaces.MultiDiscrete(space.nvec, start=np.arange(space.size))
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
        return self._observed(self.agents), self._infos(self.agents)

    def state(self):
        return self._arena.state()[0]

    def _observed(self, names):
        shown = self._arena.observe(range(self._arena.agents))
        seen = {name: shown[self._numbers[name]][0] for name in names}
        if not self._masked or self._told != "observation":
            return seen
        masks = self._masks()
        return {name: {"observation": own, "action_mask": masks[name]} if name in masks else own
                for name, own in seen.items()}

    def _infos(self, names):
        masks = self._masks() if self._masked and self._told == "info" else {}
        return {name: {"action_mask": masks[name]} for name in names if name in masks}

    def _masks(self):
        masks = self._arena.action_masks(range(self._arena.agents))
        return {name: masks[i][0].astype(np.int8) if not self._arena.actions[i].nvec or self._told == "observation" else
                tuple(self._arena.actions[i].of_choices(masks[i][0].astype(np.int8)))
                for name, i in self._numbers.items() if self._arena.actions[i].choices}

    def step(self, actions):
        width = max(space.size for space in self._arena.actions)
        chosen = np.zeros((self._arena.agents, 1, width))
        for name, action in actions.items():
            i = self._numbers[name]
            space = self._arena.actions[i]
            chosen[i, 0, :space.size] = (action if space.n_actions else action - np.arange(space.size) if space.nvec
                                         else np.clip(action, space.low, space.high))
        acted = self.agents
        step = self._arena.step(chosen)
        going_on = set(self.agents)
        terminated = {name: bool(step.terminated[self._numbers[name], 0]) for name in acted}
        return (self._observed(acted), {name: float(step.r[self._numbers[name], 0]) for name in acted}, terminated,
                {name: name not in going_on and not terminated[name] for name in acted}, self._costly(acted))

    def _costly(self, names):
        infos, costs = self._infos(names), self._arena.costs() if self._arena.costs else None
        return infos if costs is None else {
            name: {**infos.get(name, {}), "cost": float(costs[self._numbers[name], 0])} for name in names}

    def get_state(self):
        return self._arena.get_state()

    def set_state(self, state):
        self._arena.set_state(state)


def sampler():
    """Five agents, no two of which see or do the same."""
    return Sampler()
