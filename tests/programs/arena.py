"""Games for agents with networks: numbers that move each other, agents fall out one by one, and time runs out."""

from __future__ import annotations

import numpy as np

from netac.envs._batched import Step
from netac.utils.spaces import ActionSpace

SPACES = {"discrete": [ActionSpace(3)], "different": [ActionSpace(2), ActionSpace(4), ActionSpace(3)],
          "box": [ActionSpace(0, (-0.7, -0.5), (0.6, 0.8))],
          "mixed": [ActionSpace(3), ActionSpace(0, (-0.7, -0.5), (0.6, 0.8)), ActionSpace(0, (-0.4,), (float("inf"),))]}
SPACES |= {"single": [ActionSpace(nvec=(3,))], "several": [ActionSpace(nvec=(2, 3))],
           "many": [ActionSpace(nvec=(7, 6, 8))],
           "medley": [ActionSpace(nvec=(2, 3)), ActionSpace(3), ActionSpace(nvec=(3, 2, 2)),
                      ActionSpace(0, (-0.4,), (float("inf"),))]}
NUMBERS = 3


class Arena:
    """E games of N agents; the interface is `netac.envs.BatchedEnvironment`, less what may be left out.

    Args:
        actions: a key of `SPACES`; agent i has the entry i modulo their number.
        extra: every second agent sees so many numbers more.
        length: steps after which whoever is left is truncated.
        falls: an agent is terminated when its number rises above this; its observations go on.
        late: agent 0 is truncated alone, a step before the end.
        masks: agents are told which actions they may take; nothing is told to one that takes no part.
        fault, agent, at: from step `at` of the run on, counted from 0, `agent` of game 0 is shown or paid nan
            ("observation", "reward", "cost"), or the environment fails ("raise", "exit").
        line: whether the agents are neighbours in a line.
        priced: whether steps cost agents something: how far they moved, and how far from 0 the numbers are.
    """

    state_shape = (NUMBERS,)

    def __init__(self, agents: int, games: int, actions: str = "discrete", extra: int = 0, length: int = 5,
                 falls: float = 0.8, late: bool = False, masks: bool = False, fault: str = "", agent: int = 0,
                 at: int = 0, line: bool = False, priced: bool = False):
        spaces = SPACES[actions]
        self.agents, self.games = agents, games
        self.names = tuple(f"gladiator_{i}" for i in range(agents))
        self.actions = tuple(spaces[i % len(spaces)] for i in range(agents))
        self.observations = tuple((NUMBERS + 2 + extra * (i % 2),) for i in range(agents))
        self._length, self._falls, self._late = length, falls, late
        self.neighbours = {i: [i + 1] if i + 1 < agents else [] for i in range(agents)} if line else None
        self._fault, self._agent, self._at = fault, agent, at
        self.action_masks = self._allowed if masks else None
        self.costs = self._charged if priced else None
        rng = np.random.default_rng(5)
        self._pull, self._push = rng.normal(size=(NUMBERS, NUMBERS)), rng.normal(size=(agents, NUMBERS))
        self._pays = rng.normal(size=(agents, NUMBERS))

    def begin(self, seed: int, chain: int) -> None:
        self._key = (seed, chain)
        self.active = np.zeros((self.agents, self.games), dtype=bool)
        self._x, self._moved = np.zeros((self.games, NUMBERS)), np.zeros((self.games, self.agents))
        self._t, self._episodes = np.zeros((2, self.games), dtype=np.int64)
        self._steps = 0
        self._anew(range(self.games))

    def _anew(self, games) -> None:
        seed, chain = self._key
        for e in games:
            key = np.random.SeedSequence(seed, spawn_key=(0, chain, e, int(self._episodes[e])))
            self._x[e] = np.random.default_rng(key).uniform(-1.0, 1.0, NUMBERS)
            self._t[e], self._moved[e], self.active[:, e] = 0, 0.0, True

    def observe(self, agents: range) -> list[np.ndarray]:
        shown = []
        for i in agents:
            own = np.zeros((self.games, *self.observations[i]), dtype=np.float32)
            own[:, :NUMBERS] = np.roll(self._x, i, axis=1)
            own[:, NUMBERS], own[:, NUMBERS + 1] = self._moved[:, i], self._t / self._length
            own[:, NUMBERS + 2:] = np.cos(self._x[:, :1])
            if self._fault == "observation" and i == self._agent and self._steps > self._at:
                own[0, 1] = np.nan
            shown.append(own)
        return shown

    def _allowed(self, agents: range) -> list[np.ndarray]:
        """About half of the actions, which ones the numbers say."""
        told = []
        for i in agents:
            space = self.actions[i]
            numbers = np.arange(space.outputs)
            mask = np.sin(7.0 * self._x[:, i % NUMBERS, None] + 2.0 * numbers + self._t[:, None]) > 0.0
            for part in np.split(mask, np.cumsum(space.choices)[:-1], axis=1) if space.choices else ():
                n = part.shape[1]
                part |= ~part.any(axis=1, keepdims=True) & (np.arange(n) == self._t[:, None] % n)
            told.append(mask & self.active[i][:, None] if space.choices else np.ones_like(mask))
        return told

    def state(self) -> np.ndarray:
        return self._x.astype(np.float32)

    def step(self, actions: np.ndarray) -> Step:
        if self._steps == self._at and self._fault in ("raise", "exit"):
            raise ValueError("the sand is wet") if self._fault == "raise" else SystemExit(0)
        self._steps += 1
        r = np.zeros((self.agents, self.games))
        allowed = None if self.action_masks is None else self._allowed(range(self.agents))
        terminated, done = np.zeros(r.shape, dtype=bool), np.zeros(self.games, dtype=bool)
        self._costs = np.zeros(r.shape)
        for e in range(self.games):
            acting = np.flatnonzero(self.active[:, e])
            push = np.zeros(NUMBERS)
            for i in acting:
                space = self.actions[i]
                numbers = np.atleast_1d(actions[i, e])[:space.size].astype(float)
                if space.choices:
                    assert all(a in range(n) for a, n in zip(numbers, space.choices, strict=True)), numbers
                    chosen = space.encode(numbers[0] if space.n_actions else numbers)
                    assert allowed is None or (allowed[i][e] >= chosen).all(), f"agent {i} may not do {numbers}"
                    places = numbers * np.cumprod([1, *space.choices[:-1]])
                    self._moved[e, i] = 2.0 * places.sum() / (space.count - 1) - 1.0
                else:
                    assert (numbers >= space.low).all() and (numbers <= space.high).all(), numbers
                    self._moved[e, i] = numbers @ [1.0, -0.5][:space.size]
                push += self._moved[e, i] * self._push[i]
            before, self._x[e] = self._x[e].copy(), np.sin(self._pull @ self._x[e] + push)
            self._t[e] += 1
            last = self._t[e] == self._length
            for i in acting:
                r[i, e] = self._pays[i] @ self._x[e] + self._moved[e, i] * before[i % NUMBERS]
                self._costs[i, e] = self._moved[e, i] ** 2 + abs(before[(i + 1) % NUMBERS])
                terminated[i, e] = self._x[e, i % NUMBERS] > self._falls
            self.active[terminated[:, e], e] = False
            if last or (self._late and self._t[e] == self._length - 1):
                self.active[slice(None) if last else 0, e] = False
            done[e] = not self.active[:, e].any()
        if self._fault == "cost" and self._steps > self._at:
            self._costs[self._agent, 0] = np.nan
        if self._fault == "reward" and self._steps > self._at:
            r[self._agent, 0] = np.nan
        return Step(r, terminated, done)

    def _charged(self) -> np.ndarray:
        return self._costs.copy()

    def restart(self, games: np.ndarray) -> None:
        self._episodes[games] += 1
        self._anew(np.flatnonzero(games))


class Saved(Arena):
    """Games that can be saved and brought back."""

    resumable = True

    def get_state(self) -> dict[str, np.ndarray]:
        return {"x": self._x.copy(), "moved": self._moved.copy(), "active": self.active.copy(),
                "counts": np.concatenate([self._t, self._episodes, [self._steps]])}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._x[:], self._moved[:], self.active[:] = state["x"], state["moved"], state["active"]
        self._t[:], self._episodes[:], (self._steps,) = np.split(state["counts"], [self.games, 2 * self.games])


class Measured(Saved):
    """Games that are measured: how long each lasted, and where it ended."""

    measures = ("duration", "distance")

    def measured(self) -> dict[str, np.ndarray]:
        return {"duration": self._t.astype(float), "distance": np.abs(self._x).sum(axis=1)}


def measured(agents: int, games: int, **options) -> Measured:
    """Games with measures, with options of `Arena`."""
    return Measured(agents, games, **options)


def make(agents: int, games: int, **options) -> Saved:
    """The games, with options of `Arena`."""
    return Saved(agents, games, **options)


def forgetful(agents: int, games: int, **options) -> Arena:
    """Games that cannot be resumed."""
    return Arena(agents, games, **options)
