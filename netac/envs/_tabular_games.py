"""A finite environment as games for networks: every agent observes the state, one-hot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netac.envs._batched import Step
from netac.envs._tabular import TabularEnvironment
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose, Stream, invert


class TabularGames:
    """E runs of `environment` side by side, which never end; the interface is `netac.envs.BatchedEnvironment`."""

    resumable = True

    def __init__(self, environment: TabularEnvironment, games: int):
        self._environment, self.agents, self.games, self.gamma = (
            environment, environment.agents, games, environment.gamma)
        self.names = tuple(f"agent_{agent}" for agent in range(self.agents))
        self.observations = ((environment.states,),) * self.agents
        self.actions = (ActionSpace(n_actions=environment.actions),) * self.agents
        self.state_shape = (environment.states,)
        self.active = np.ones((self.agents, games), dtype=bool)

    def begin(self, seed: int, chain: int) -> None:
        """All games anew."""
        transform = self._environment.reward_noise
        self._moves = Stream(seed, Purpose.ENVIRONMENT, chain, None, range(self.games))
        self._noise = Stream(seed, Purpose.REWARD_NOISE, chain, self.agents, range(self.agents),
                             transform) if transform else None
        self._states = np.zeros(self.games, dtype=np.int64)
        self._moved: tuple[np.ndarray, ...] = ()             # s, a and s' of the last step
        self.restart(np.ones(self.games, dtype=bool))

    def observe(self, agents: range) -> list[np.ndarray]:
        """The state, one-hot, for each of `agents`."""
        return [self.state()] * len(agents)

    def state(self) -> np.ndarray:
        """(E, S)."""
        return np.eye(self._environment.states, dtype=np.float32)[self._states]

    def step(self, actions: np.ndarray) -> Step:
        """All games one step on: actions (N, E)."""
        environment, states = self._environment, self._states
        self._states = environment.next_states(states, actions, self._moves.take()[0])
        self._moved = states, actions, self._states
        r, team = environment.rewards(states, actions, self._states, range(self.agents))
        if self._noise is not None:
            r = r + self._noise.take(self.games).T
        return Step(r, np.zeros(r.shape, dtype=bool), np.zeros(self.games, dtype=bool), team)

    @property
    def costs(self) -> Callable[[], np.ndarray] | None:
        """Gives what the last step cost each agent, (N, E); None where the environment has no costs."""
        charged: Any = getattr(self._environment, "costs", None)
        return None if charged is None else lambda: charged(*self._moved)

    def restart(self, games: np.ndarray) -> None:
        """The games of the mask draw their states from the initial distribution."""
        drawn = invert(self._environment.initial, self._moves.take()[0])
        self._states = np.where(games, drawn, self._states)

    def get_state(self) -> dict[str, np.ndarray]:
        """States and positions of the streams."""
        noise = self._noise.position if self._noise else 0
        return {"states": self._states, "positions": np.array([self._moves.position, noise])}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there."""
        self._states = state["states"].astype(np.int64)
        moves, noise = state["positions"].tolist()
        self._moves.seek(moves)
        if self._noise is not None:
            self._noise.seek(noise)

    def close(self) -> None:
        """Nothing to give back."""
