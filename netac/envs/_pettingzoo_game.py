"""One copy of a PettingZoo environment, in which every answer is read and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netac.envs._pettingzoo_spaces import MASK, ApiError, Reader, Writer
from netac.utils.errors import InputError, NetacError, raised, short
from netac.utils.pulse import pulse

OLD_RESET = "(observations, infos), two dictionaries with an entry for every agent (PettingZoo 1.23 and later)"
OLD_STEP = ("(observations, rewards, terminations, truncations, infos), five dictionaries; "
            "before PettingZoo 1.22 terminations and truncations were one, `dones`")
COST = "cost"
RUNS = "an environment that runs with any actions of its action spaces; try it on its own first"


@dataclass(frozen=True)
class Seats:
    """What all copies have in common: agents in the order of `possible_agents`, and their spaces."""

    ids: tuple
    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What messages call the agents."""
        return tuple(map(str, self.ids))

    def shown(self, agent: int, observation: Any) -> np.ndarray:
        """An observation of one agent, as the environment gives it, as networks see it: single precision.

        Raises:
            InputError: it is not of the agent's space.
        """
        row = np.zeros(self.readers[agent].shape, dtype=np.float32)
        try:
            self.readers[agent].write(observation, row)
        except ApiError as error:
            raise InputError(f"{self.ids[agent]!r}: {error.problem}", valid=error.mend) from None
        return row

    def mask(self, agent: int, observation: Any) -> Any:
        """The action mask that an observation of one agent holds, which has been shown; None where it holds none."""
        return observation.get(MASK) if self.readers[agent].masked else None

    def taken(self, agent: int, action: np.ndarray) -> np.ndarray | np.integer:
        """An action of one agent, a whole number or a vector within its bounds, as the environment takes it."""
        return self.writers[agent](action)


class Game:
    """An environment with what its agents see now.  Whatever it does against the rules raises ApiError.

    An agent takes part while the environment lists it in `agents`.  The observation that comes with its end is shown
    until the next step, zeros from then on; it may be missing for an agent that terminated, since s' has no value then.

    Args:
        env: a `ParallelEnv`.
        seats: its agents and spaces.
        shown: (N) arrays into which observations are written, zeros at first.
        active: (N,) bool, kept up to date: who takes part in the next step.
        allowed: (N) arrays (outputs_i,) bool, kept up to date: what agents may do in it.  All that is not said to be
            forbidden is allowed; None: nobody asks.

    Attributes:
        valued: (N,) bool, for whom what is shown has a value: who takes part, or was truncated with the last step.
        steps: since the last reset, the one that fails included.
        answer: what `reset` or `step` returned last.
        masked: whether a mask was ever read.
        acted: who took part in the last step, by index.
    """

    def __init__(self, env: Any, seats: Seats, shown: list[np.ndarray], active: np.ndarray,
                 allowed: list[np.ndarray] | None = None):
        self.env, self.seats, self.shown, self.active, self.allowed = env, seats, shown, active, allowed
        self.masked = False
        self.valued = active.copy()
        self.steps = 0
        self.acted: list[int] = []
        self.answer: tuple[dict, ...] = ()
        self._index = {agent: i for i, agent in enumerate(seats.ids)}

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self.steps = 0
        answer = self._call("reset", seed=seed)
        if not isinstance(answer, tuple) or [isinstance(part, dict) for part in answer] != [True, True]:
            raise ApiError(f"reset returned {_described(answer)}", OLD_RESET)
        self.answer = answer
        listed = self._listed()
        if not listed:
            raise ApiError("no agent takes part after reset", "reset sets self.agents = self.possible_agents[:]")
        self.active[:] = False
        for i, row in enumerate(self.shown):
            if i in listed:
                self._show(i, answer[0])
            else:
                row[...] = 0.0
        self.active[list(listed)] = True
        self.valued[:] = self.active
        self._permit(*answer)

    def step(self, actions: np.ndarray, r: np.ndarray, terminated: np.ndarray) -> bool:
        """One joint step, in which only the agents that take part act.

        Args:
            actions: (N,) whole numbers or (N, largest size) numbers.
            r, terminated: (N,) zeros, to be filled with the rewards, and with True for the agents that terminated (also
                if they were truncated, too): their s' has no value.

        Returns:
            Whether the game is over: no agent goes on.
        """
        ids, acted = self.seats.ids, np.flatnonzero(self.active).tolist()
        self.acted = acted
        self.steps += 1
        answer = self._call("step", {ids[i]: self.seats.writers[i](actions[i]) for i in acted})
        if not isinstance(answer, tuple) or [isinstance(part, dict) for part in answer] != [True] * 5:
            raise ApiError(f"step returned {_described(answer)}", OLD_STEP)
        self.answer = answer
        observations, rewards, terminations, truncations, infos = answer
        listed, ended = self._listed(), set()
        for i in acted:
            agent = ids[i]
            terminated[i], truncated = _ends(agent, i, terminations.get(agent), truncations.get(agent))
            if terminated[i] or truncated:
                ended.add(i)
            elif i not in listed:
                raise ApiError(f"{agent!r} has left `agents` though it was neither terminated nor truncated",
                               "its entry in terminations or in truncations is True in the step in which it leaves", i)
            if agent not in rewards:
                raise ApiError(f"step returned no reward for {agent!r}, which took part",
                               "rewards of all who took part", i)
            r[i] = _number(rewards[agent], "reward", agent, i)
        going_on = listed - ended
        if going_on and listed & ended:
            i = min(listed & ended)
            raise ApiError(f"{ids[i]!r} has ended but is still listed in `agents`",
                           "agents leave self.agents in the step in which they are terminated or truncated", i)
        for i, row in enumerate(self.shown):
            if i in going_on or (i in ended and not (terminated[i] and ids[i] not in observations)):
                self._show(i, observations)
            else:
                row[...] = 0.0
        self.active[:] = False
        self.active[list(going_on)] = True
        self.valued[:] = self.active
        self.valued[[i for i in ended if not terminated[i]]] = True
        self._permit(observations, infos)
        return not going_on

    @property
    def has_costs(self) -> bool:
        """Whether the infos of the last step tell what it cost all who took part."""
        told = [self.answer[-1].get(self.seats.ids[i]) for i in self.acted]
        return bool(told) and all(isinstance(info, dict) and COST in info for info in told)

    def costs(self) -> np.ndarray:
        """What the last step cost each agent, (N,); 0 for whoever took no part."""
        costs = np.zeros(len(self.seats.ids))
        for i in self.acted:
            agent = self.seats.ids[i]
            info = self.answer[-1].get(agent)
            if not isinstance(info, dict) or COST not in info:
                raise ApiError(f"the info of {agent!r} has no {COST!r}, though infos had one before",
                               f"infos[agent][{COST!r}] of all who took part in a step", i)
            costs[i] = _number(info[COST], COST, agent, i)
        return costs

    def _call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        try:
            answer = getattr(self.env, name)(*arguments, **keywords)
            pulse.beats += 1
            return answer
        except (NetacError, ApiError, KeyboardInterrupt):
            raise
        except BaseException as error:     # what a user's environment raises may be anything
            if isinstance(error, TypeError) and "seed" in str(error):
                raise ApiError(f"reset takes no seed: {error}", "def reset(self, seed=None, options=None)") from error
            raise ApiError(f"{name} failed: {raised(error)}", RUNS) from error

    def _listed(self) -> set[int]:
        """Indices of the agents the environment lists."""
        try:
            return {self._index[agent] for agent in self.env.agents}
        except AttributeError:
            raise ApiError("it has no attribute `agents`",
                           "self.agents lists those who take part in the next step") from None
        except (KeyError, TypeError):
            raise ApiError(f"`agents` is {short(self.env.agents)}, not all of it in `possible_agents`",
                           f"agents among {short(list(self.seats.ids))}") from None

    def _permit(self, observations: dict, infos: dict) -> None:
        """Read what agents may do: of their masks in observations, or else in infos."""
        if self.allowed is None:
            return
        for i, (agent, reader, row) in enumerate(zip(self.seats.ids, self.seats.readers, self.allowed, strict=True)):
            row[:] = True
            told = observations if reader.masked else infos
            if not self.valued[i] or not isinstance(told.get(agent), dict) or MASK not in told[agent]:
                if reader.masked and self.active[i]:
                    raise ApiError(f"{agent!r}: the observation has no {MASK}", "one in every observation", i)
                continue
            space, self.masked = self.seats.writers[i].action, True
            try:
                row[:] = space.mask(told[agent][MASK])
            except ValueError as error:
                raise ApiError(f"the action mask of {agent!r} {error}", "1 where an action may be taken, else 0; "
                               "none for agents whose actions are vectors", i) from None
            if space.lacks(row):
                if self.active[i]:
                    raise ApiError(f"the action mask of {agent!r} allows nothing", "at least one action that every "
                                   "agent listed in `agents` may take, such as one that does nothing", i)
                row[:] = True

    def _show(self, i: int, observations: dict) -> None:
        agent = self.seats.ids[i]
        if agent not in observations:
            raise ApiError(f"there is no observation for {agent!r}", "observations of all agents listed in `agents`, "
                           "and the last one of agents that are truncated", i)
        try:
            self.seats.readers[i].write(observations[agent], self.shown[i])
        except ApiError as error:
            raise ApiError(f"{agent!r}: {error.problem}", error.mend, i) from None


def _ends(agent: Any, i: int, terminated: Any, truncated: Any) -> tuple[bool, bool]:
    """An agent's two flags; one may be missing (None) where the other one is True."""
    if not all(flag is None or _is_flag(flag) for flag in (terminated, truncated)):
        raise ApiError(f"terminations or truncations of {agent!r} are not True or False but "
                       f"{short(terminated)}, {short(truncated)}", "bool(...) of what they are now", i)
    if (terminated is None and not truncated) or (truncated is None and not terminated):
        where = "terminations" if terminated is None else "truncations"
        raise ApiError(f"{where} has no entry for {agent!r}, which took part",
                       "both dictionaries have an entry for every agent that acted", i)
    return bool(terminated), bool(truncated)


def _is_flag(flag: Any) -> bool:
    """Whether it is True or False, or an array of one of them alone."""
    return isinstance(flag, bool | np.bool_) or (
        isinstance(flag, np.ndarray) and flag.size == 1 and flag.dtype.kind == "b")


def _number(given: Any, what: str, agent: Any, i: int) -> float:
    """A reward or a cost: a number, or an array of one alone."""
    try:
        if not isinstance(given, float | int):
            if np.size(given) != 1 or np.asarray(given).dtype.kind not in "biuf":
                raise TypeError
            given = np.asarray(given).item()
        number = float(given)
    except (TypeError, ValueError):
        raise ApiError(f"the {what} of {agent!r} is not a number: {short(given)}",
                       "one number for each agent", i) from None
    if not math.isfinite(number):
        raise ApiError(f"the {what} of {agent!r} is {number}", f"finite {what}s", i)
    return number


def _described(answer: Any) -> str:
    """What a function returned, in words."""
    if isinstance(answer, tuple):
        return f"a tuple of {len(answer)} ({', '.join(type(part).__name__ for part in answer)})"
    return "one dictionary" if isinstance(answer, dict) else f"{type(answer).__name__} {short(answer)}"
