"""Small PettingZoo environments: well-behaved ones of every kind, and one that breaks whichever rule it is told to."""

from __future__ import annotations

import copy
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

MIXED = {
    "box": (spaces.Box(-1.0, 1.0, (2, 3)), spaces.Discrete(3)),
    "scalar": (spaces.Box(0, 255, (), np.uint8), spaces.Discrete(2, start=-1)),
    "whole": (spaces.Discrete(4, start=2), spaces.Box(-1.0, 2.0, (2, 2))),
    "many": (spaces.MultiDiscrete([2, 3], start=[1, -1]), spaces.Box(-3, 5, (1,), np.int32)),
    "dict": (spaces.Dict({"z": spaces.Box(-np.inf, np.inf, (2,), np.float64), "a": spaces.Discrete(3),
                          "pair": spaces.Tuple((spaces.MultiBinary(2), spaces.Box(0, 1, (1, 2), np.float32)))}),
             spaces.Box(np.array([-np.inf, 0], np.float32), np.array([np.inf, 1], np.float32))),
}


class Sampler(ParallelEnv):
    """Observations drawn from the agents' spaces with the episode's seed; keeps the actions it was given.

    Args:
        agents: names with (observation space, action space).
        length: steps of an episode, which is truncated.
    """

    def __init__(self, agents=None, length=5):
        self.possible_agents = list(agents or MIXED)
        self._spaces = copy.deepcopy(agents or MIXED)
        self._length = length
        self.given, self.seeds = [], []

    def observation_space(self, agent):
        return self._spaces[agent][0]

    def action_space(self, agent):
        return self._spaces[agent][1]

    def reset(self, seed=None, options=None):
        self.agents, self._t = self.possible_agents[:], 0
        self.seeds.append(seed)
        self._draws = copy.deepcopy({agent: space for agent, (space, _) in self._spaces.items()})
        for k, space in enumerate(self._draws.values()):
            space.seed(None if seed is None else seed % 10**6 + k)
        return self._observed(), {agent: {} for agent in self.agents}

    def _observed(self):
        self.observed = {agent: space.sample() for agent, space in self._draws.items()}
        return self.observed

    def step(self, actions):
        assert all(self.action_space(agent).contains(action) for agent, action in actions.items()), actions
        self.given.append(actions)
        self._t += 1
        ended = self._t == self._length
        names = self.agents
        answer = (self._observed(), {agent: float(k) for k, agent in enumerate(names)}, dict.fromkeys(names, False),
                  dict.fromkeys(names, ended), {agent: {} for agent in names})
        self.agents = [] if ended else names
        return answer


class Timetable(ParallelEnv):
    """Agents come and go by a timetable; observations are [steps, agent's number, parity of the seed].

    Args:
        table: for each agent (its first step, the step with which it ends, "terminated", "truncated" or "both").
        final: whether agents that end are shown a final observation.
        clock: the seed is seen in the global state.
    """

    def __init__(self, table, final=True):
        self.possible_agents = [f"agent_{k}" for k in range(len(table))]
        self._table, self._final = dict(zip(self.possible_agents, table, strict=True)), final
        self.render_mode = None
        self.closed = False

    def observation_space(self, agent):
        return spaces.Box(0.0, np.inf, (3,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def state(self):
        return np.array([[self._t, self._seed % 2]])

    def reset(self, seed=None, options=None):
        self._t, self._seed = 0, seed
        self.agents = self._present()
        return self._observed(self.agents), {agent: {} for agent in self.agents}

    def _present(self):
        return [agent for agent, (first, last, _) in self._table.items() if first <= self._t < last]

    def _observed(self, names):
        return {agent: np.array([self._t, self.possible_agents.index(agent), self._seed % 2], np.float32)
                for agent in names}

    def step(self, actions):
        assert set(actions) == set(self.agents), actions
        self._t += 1
        acted, self.agents = self.agents, self._present()
        ends = {agent: self._table[agent][2] if self._table[agent][1] == self._t else "" for agent in acted}
        seen = set(self.agents) | (set(acted) if self._final else {a for a in acted if ends[a] == "truncated"})
        return (self._observed(seen), {agent: 1.0 + actions[agent] for agent in acted},
                {agent: ends[agent] in ("terminated", "both") for agent in acted},
                {agent: ends[agent] in ("truncated", "both") for agent in acted}, {})

    def close(self):
        self.closed = True


class Closing(Timetable):
    """A timetable whose `state()` fails once nobody takes part.

    Attributes:
        asked: the steps, counted from the last reset, at which it was asked since then.
    """

    asked: ClassVar[list] = []

    def reset(self, seed=None, options=None):
        self.asked.clear()
        return super().reset(seed, options)

    def state(self):
        self.asked.append(self._t)
        if not self.agents:
            raise RuntimeError("the game is over")
        return super().state()


class Emptying(Timetable):
    """A timetable whose state is empty once nobody takes part."""

    def state(self):
        return super().state() if self.agents else np.zeros((0, 2))


class SavedTimetable(Timetable):
    """A timetable that can be saved and brought back."""

    def get_state(self):
        return {"steps": self._t, "seed": self._seed}

    def set_state(self, state):
        self._t, self._seed = state["steps"], state["seed"]
        self.agents = self._present()


class Walk(ParallelEnv):
    """A random walk of each agent, which can be saved and brought back.

    Args:
        forgets: a part of the state that `set_state` does not bring back ("lcg"), or leaves to the episode ("drift").
        picture: what `render` gives.
    """

    def __init__(self, agents=2, length=7, forgets=None, render_mode=None, picture=None):
        self.possible_agents = [f"w{k}" for k in range(agents)]
        self._length, self._forgets, self.render_mode, self._picture = length, forgets, render_mode, picture

    def observation_space(self, agent):
        return spaces.Box(-np.inf, np.inf, (1,), np.float64)

    def action_space(self, agent):
        return spaces.Box(-1.0, 1.0, (1,))

    def reset(self, seed=None, options=None):
        self.agents, self._x, self._t, self._lcg = self.possible_agents[:], np.zeros(len(self.possible_agents)), 0, seed
        self._drift = seed % 1000 / 1000 if self._forgets == "drift" else 0.0
        return self._move(0.0), {}

    def _move(self, by):
        self._lcg = (1103515245 * self._lcg + 12345) % 2**31
        self._x += by + self._lcg / 2**31 + self._drift
        return {agent: self._x[k:k + 1] for k, agent in enumerate(self.possible_agents)}

    def step(self, actions):
        self._t += 1
        names, ended = self.agents, self._t == self._length
        observations = self._move(sum(float(action[0]) for action in actions.values()))
        self.agents = [] if ended else names
        return (observations, dict(zip(names, self._x.tolist(), strict=True)), dict.fromkeys(names, False),
                dict.fromkeys(names, ended), {agent: {} for agent in names})

    def get_state(self):
        listed = np.array([agent in self.agents for agent in self.possible_agents])
        return {"x": self._x, "t": self._t, "lcg": self._lcg, "listed": listed}

    def set_state(self, state):
        self._x, self._t = state["x"], state["t"]
        self.agents = [agent for agent, listed in zip(self.possible_agents, state["listed"], strict=True) if listed]
        if self._forgets != "lcg":
            self._lcg = state["lcg"]

    def render(self):
        return np.zeros((4, 5, 3), np.uint8) if self._picture is None else self._picture


class Locked(Walk):
    """A walk that nobody else may hold a copy of until it is closed."""

    holders: ClassVar[list] = []

    def __init__(self, agents=2):
        super().__init__(agents)
        assert not self.holders, "the port is taken"
        self.holders.append(self)

    def close(self):
        self.holders.remove(self)


class Turns(AECEnv):
    """Two agents one after the other; everything changes after the second one.

    Args:
        parallel: whether metadata says that they may act at the same time.
        space: of their actions.
    """

    def __init__(self, parallel=True, space=None):
        self._space = space or spaces.Discrete(3)
        self.metadata = {"name": "turns_v0", "is_parallelizable": parallel}
        self.possible_agents, self.render_mode = ["left", "right"], None

    def observation_space(self, agent):
        return spaces.Box(0.0, 100.0, (1,))

    def action_space(self, agent):
        return self._space

    def observe(self, agent):
        return np.array([self._sum], np.float32)

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        self._sum, self._chosen = seed % 3, {}
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0), dict.fromkeys(self.agents, 0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.agent_selection = "left"

    def step(self, action):
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0
        self._chosen[agent] = int(action)
        if agent == "right":
            self._sum += sum(self._chosen.values())
            self.rewards = {name: float(self._chosen[name]) for name in self.agents}
            self.terminations = dict.fromkeys(self.agents, self._sum > 20)
        else:
            self._clear_rewards()
        self.agent_selection = "right" if agent == "left" else "left"
        self._accumulate_rewards()


class Single(gymnasium.Env):
    """An environment with one agent."""

    observation_space, action_space = spaces.Box(0, 1, (2,)), spaces.Discrete(2)


class Lists(gymnasium.Env):
    """Three agents that act and see in lists, as rware's and lbforaging's do: agent k sees [k, steps, seed's parity].

    Args:
        fault: what is not as it should be: "spaces", "one space", "rewards", "observations".
        shared: one reward, the mean, is everybody's.
        leaving: agent 0 is terminated in step 2, the others are truncated in step 4; else all in step 4 by one flag.
        masks: the info says which actions there are, as a list.
    """

    def __init__(self, fault="", shared=False, leaving=False, masks=False):
        self.observation_space = spaces.Tuple([spaces.Box(0, 9, (3,))] * (2 if fault == "spaces" else 3))
        actions = [spaces.Discrete(3)] * 3
        self.action_space = spaces.MultiDiscrete([3] * 3) if fault == "one space" else spaces.Tuple(actions)
        self._fault, self._shared, self._leaving, self._masks = fault, shared, leaving, masks
        self.given, self.closed = [], False

    def _seen(self):
        seen = tuple(np.array([k, self._t, self._seed % 2], np.float32) for k in range(3))
        return seen[:2] if self._fault == "observations" and self._t else seen

    def _info(self):
        return {"action_mask": [[1, k != self._t, 1] for k in range(3)]} if self._masks else {"time": self._t}

    def reset(self, seed=None, options=None):
        self._t, self._seed = 0, seed
        return self._seen(), self._info()

    def step(self, actions):
        self.given.append(list(actions))
        assert len(actions) == 3 and all(action in space for action, space in
                                         zip(actions, self.action_space, strict=True))
        self._t += 1
        rewards = [float(10 * k + action) for k, action in enumerate(actions)]
        told = "much" if self._fault == "rewards" else float(np.mean(rewards)) if self._shared else rewards
        terminated = [self._t >= 2, False, False] if self._leaving else False
        return self._seen(), told, terminated, self._t == 4, self._info()

    def close(self):
        self.closed = True


class Duel(AECEnv):
    """A game of turns with masks and a payment of 10 to whoever lets the other one move to 0.

    A number begins at 5 or 6 (by the seed) and each agent in turn takes 1, 2 or 3 from it, never more than there is;
    whoever takes the last one pays 10 to the other.  Agents see the number and whether it is their turn.

    Args:
        told: where masks are, "observation", "info" or "" (then whoever takes too much takes what there is).
    """

    metadata: ClassVar[dict] = {"name": "duel_v0"}

    def __init__(self, told="observation", agents=2):
        self.possible_agents, self.render_mode, self._told = [f"d{k}" for k in range(agents)], None, told

    def observation_space(self, agent):
        seen = spaces.Box(0, 9, (2,))
        return spaces.Dict({"observation": seen, "action_mask": spaces.MultiBinary(3)}) if (
            self._told == "observation") else seen

    def action_space(self, agent):
        return spaces.Discrete(3, start=1)

    def observe(self, agent):
        mine = agent == self.agent_selection
        seen = np.array([self._number, mine], np.float32)
        if self._told != "observation":
            return seen
        return {"observation": seen, "action_mask": self._mask() if mine else np.zeros(3, np.int8)}

    def _mask(self):
        return (np.arange(3) < self._number).astype(np.int8)

    def reset(self, seed=None, options=None):
        self.agents, self._number = self.possible_agents[:], 5 + seed % 2
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0.0), dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.agent_selection = self.agents[0]
        self._tell()

    def _tell(self):
        self.infos = {agent: {"action_mask": self._mask()} if self._told == "info" and agent == self.agent_selection
                      else {} for agent in self.agents}

    def step(self, action):
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        assert self.action_space(agent).contains(action) and (not self._told or action <= self._number), action
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        self._number = max(self._number - int(action), 0)
        if not self._number:
            others = [other for other in self.agents if other != agent]
            self.rewards = {agent: -10.0} | dict.fromkeys(others, 10.0 / max(len(others), 1))
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = self.agents[(self.agents.index(agent) + 1) % len(self.agents)]
        self._tell()
        self._accumulate_rewards()

    def close(self):
        pass


class Broken(ParallelEnv):
    """Two agents that see four numbers; breaks the rule `fault`, at the start or from step `after` on.

    `changed` replaces what the rule is about: any method's answer, or an attribute.
    """

    def __init__(self, fault="", after=0, changed=None):
        self.possible_agents = ["a", "b"]
        self._fault, self._after, self._changed = fault, after, changed
        if fault == "possible_agents":
            self.possible_agents = changed

    def _now(self, fault):
        return self._fault == fault and self._t >= self._after

    def observation_space(self, agent):
        if self._fault == "observation_space":
            return self._changed[agent] if isinstance(self._changed, dict) else self._changed
        return spaces.Box(-1.0, 1.0, (4,))

    def action_space(self, agent):
        return self._changed if self._fault == "action_space" else spaces.Discrete(2)

    def state(self):
        if self._fault != "state":
            raise NotImplementedError
        if isinstance(self._changed, Exception) and self._t >= self._after:
            raise self._changed
        return self._changed if self._t >= self._after else np.zeros(3)

    def _observed(self):
        observations = {agent: np.full(4, 0.5, np.float32) for agent in self.agents}
        if self._now("observations"):
            observations |= self._changed
        return {agent: value for agent, value in observations.items() if value is not ...}

    def reset(self, seed=None, options=None):
        self.agents, self._t = self.possible_agents[:], 0
        if self._fault == "reset":
            if isinstance(self._changed, BaseException):
                raise self._changed
            return self._changed
        if self._fault == "agents":
            self.agents = self._changed
        return self._observed(), {agent: {} for agent in self.agents}

    def step(self, actions):
        self._t += 1
        if self._now("step"):
            if isinstance(self._changed, BaseException):
                raise self._changed
            return self._changed
        acted = self.agents
        rewards, terminations, truncations = (dict.fromkeys(acted, value) for value in (0.0, False, False))
        observations = self._observed()
        for name, dictionary in (("rewards", rewards), ("terminations", terminations), ("truncations", truncations)):
            if self._now(name):
                dictionary |= self._changed
                for agent in [agent for agent in dictionary if dictionary[agent] is ...]:
                    del dictionary[agent]
        if self._now("listed"):
            self.agents = self._changed
        return observations, rewards, terminations, truncations, {agent: {} for agent in acted}


class Ends(Broken):
    """Ends with its first step; flags are what it is told."""

    def __init__(self, flag):
        super().__init__("terminations", changed={"a": flag, "b": flag})

    def step(self, actions):
        answer = super().step(actions)
        self.agents = []
        return answer


class NoSeed(Broken):
    """Its reset takes no seed."""

    def reset(self):
        return super().reset()


class Forgetful(Broken):
    """Draws from a generator that no seed reaches."""

    _random = np.random.default_rng()

    def _observed(self):
        return {agent: self._random.random(4, dtype=np.float32) for agent in self.agents}


class Hasty(Broken):
    """Empties `agents` before it fills what it returns at the end, as many environments do: only terminations are left.

    Args:
        seen: whether the last observations are there, too.
        flag: the flags that are left.
    """

    def __init__(self, seen=False, flag="terminations"):
        super().__init__()
        self._seen, self._flag = seen, flag

    def step(self, actions):
        observations, rewards, *_, infos = super().step(actions)
        flags = {name: dict.fromkeys(self.agents, False) for name in ("terminations", "truncations")}
        if self._t == 3:
            flags = {name: dict.fromkeys(self.agents, True) if name == self._flag else {} for name in flags}
            observations = observations if self._seen else {}
            self.agents = []
        return observations, rewards, *flags.values(), infos


class Masking(Broken):
    """Its infos hold action masks.

    Args:
        mask: agent b's.
    """

    def __init__(self, mask=(1, 1)):
        super().__init__()
        self._mask = mask

    def reset(self, seed=None, options=None):
        return super().reset()[0], {"a": {"action_mask": np.ones(2, np.int8)}, "b": {"action_mask": self._mask}}
