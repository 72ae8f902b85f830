"""Pursuit-evasion as netac makes it, and PettingZoo's own games beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pettingzoo.sisl import pursuit_v5

from netac.envs import pursuit


def make(agents: int, games: int = 1, **options) -> pursuit.Pursuit:
    return pursuit.make(pursuit.Settings(**options), agents, games)


@dataclass
class Original:
    """A game of PettingZoo's: its evaders move by `rng`, and what they did is written down."""

    env: object
    rng: np.random.Generator
    freeze: bool
    moves: list[int] = field(default_factory=list)

    @classmethod
    def begin(cls, agents: int, seed: int, **options) -> Original:
        env = pursuit_v5.parallel_env(n_pursuers=agents, **options)
        self = cls(env, np.random.default_rng([1, seed]), options.get("freeze_evaders", False))
        if not self.freeze:
            self.base.evader_controller = self
        self.first_observations, _ = env.reset(seed=seed)
        self.places = {id(evader): place for place, evader in enumerate(self.base.evaders)}
        return self

    @property
    def base(self):
        return self.env.unwrapped.env

    def act(self, _) -> int:
        self.moves.append(int(self.rng.integers(5)))
        return self.moves[-1]

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        evaders = np.full((len(self.places), 2), -1)
        for evader in self.base.evader_layer.allies:
            evaders[self.places[id(evader)]] = evader.current_position()
        return np.array([each.current_position() for each in self.base.pursuers]), evaders

    def step(self, actions: np.ndarray) -> tuple[tuple, np.ndarray]:
        """What `env.step` answers, and the moves (n_evaders,) of all evaders, 0 for caught ones."""
        self.moves.clear()
        answer = self.env.step({name: int(a) for name, a in zip(self.env.agents, actions, strict=True)})
        all_moves = np.zeros(len(self.places), dtype=int)
        left = [self.places[id(evader)] for evader in self.base.evader_layer.allies]
        all_moves[left] = 4 if self.freeze else self.moves
        return answer, all_moves
