"""Games of mpe2's, to replay in netac what was played in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from netac.envs import BatchedEnvironment


@dataclass
class Original:
    """A game of mpe2's."""

    env: object
    seen: dict

    @classmethod
    def begin(cls, module: ModuleType, seed: int, crowd: float, change: Callable = lambda env: None,
              **options) -> Original:
        """A game that begins with everything within `crowd` of the origin; `change` gets mpe2's own object first."""
        env = module.parallel_env(**options)
        change(env.unwrapped)
        env.reset(seed=seed)
        self = cls(env, {})
        for each in (*self.world.agents, *self.world.landmarks):
            each.state.p_pos = crowd * each.state.p_pos
        self.seen = {name: env.aec_env.observe(name) for name in env.agents}
        return self

    @property
    def world(self):
        return self.env.unwrapped.world

    def arrays(self) -> dict[str, np.ndarray]:
        """Positions and velocities (n, 2) and landmarks (L, 2), as mpe2 has them: doubles."""
        agents = self.world.agents
        return {"positions": np.array([each.state.p_pos for each in agents]),
                "velocities": np.array([each.state.p_vel for each in agents]),
                "landmarks": np.array([each.state.p_pos for each in self.world.landmarks]).reshape(-1, 2)}

    def step(self, actions: Sequence) -> tuple[dict, dict, dict]:
        """Rewards, terminations and truncations."""
        self.seen, *answers, _ = self.env.step(dict(zip(self.env.agents, actions, strict=True)))
        return tuple(answers)


def moves_by_new_velocities(env) -> None:
    """Turn mpe2's world into one of versions 2: PettingZoo's `integrate_state` before its pull request 965."""
    world = env.world

    def integrate_state(p_force) -> None:
        for entity, force in zip(world.entities, p_force, strict=True):
            if entity.movable:
                entity.state.p_vel = entity.state.p_vel * (1 - world.damping)
                if force is not None:
                    entity.state.p_vel += force / entity.mass * world.dt
                speed = np.sqrt(np.square(entity.state.p_vel[0]) + np.square(entity.state.p_vel[1]))
                if entity.max_speed is not None and speed > entity.max_speed:
                    entity.state.p_vel = entity.state.p_vel / speed * entity.max_speed
                entity.state.p_pos += entity.state.p_vel * world.dt

    world.integrate_state = integrate_state


def head_for(way: np.ndarray, rng: np.random.Generator, continuous: bool) -> np.ndarray:
    """Actions (n,) or (n, 5) that often go along the larger coordinate of each `way` (n, 2); else random ones.

    Forces are multiples of 2^-12, which mpe2 subtracts in single precision without rounding.
    """
    axis = np.abs(way).argmax(axis=1)
    moves = 1 + 2 * axis + (way[np.arange(len(way)), axis] > 0)
    chosen = np.where(rng.random(len(way)) < 0.7, moves, rng.integers(5, size=len(way)))
    if not continuous:
        return chosen
    forces = (np.eye(5)[chosen] * rng.random((len(way), 1))
              + (rng.random((len(way), 1)) < 0.3) * rng.random((len(way), 5)))
    return (np.rint(4096 * np.minimum(forces, 1.0)) / 4096).astype(np.float32)


def replay(env: BatchedEnvironment, games: Sequence[Original], seed: int, way: Callable[[dict], np.ndarray],
           count: Callable[[dict], dict[str, int]]) -> Counter:
    """Play games of mpe2's and the same ones, side by side, in netac, comparing all there is after every step.

    Args:
        env: the games in netac; its agents are the first ones of mpe2's.
        way: where the agents want to go, (n, 2), from what `Original.arrays` gives.
        count: what is counted of it after every step.

    Returns:
        how often what happened.
    """
    tally, rng, continuous = Counter(games=len(games)), np.random.default_rng(seed), not env.actions[0].n_actions
    env.begin(seed, 0)
    begun = [game.arrays() for game in games]
    env.set_state(env.get_state() | {name: np.stack([each[name] for each in begun], axis=1) for name in begun[0]})
    running = dict(enumerate(games))
    for place, game in running.items():
        compare(env, place, game)
    while running:
        actions = np.zeros((env.agents, env.games, 5)) if continuous else np.zeros((env.agents, env.games), dtype=int)
        answers = {}
        for place, game in running.items():
            chosen = head_for(way(game.arrays()), rng, continuous)
            actions[:, place] = chosen[:env.agents]
            answers[place] = game.step(chosen)
        step = env.step(actions)
        for place, (r, terminations, truncations) in answers.items():
            compare(env, place, games[place])
            np.testing.assert_array_equal(step.r[:, place], list(r.values())[:env.agents], strict=True)
            assert step.terminated[:, place].tolist() == list(terminations.values())[:env.agents]
            done = not games[place].env.agents
            assert step.done[place] == done == (any(terminations.values()) or any(truncations.values()))
            tally.update(count(games[place].arrays()) | {
                "steps": 1, "terminated": any(terminations.values()), "truncated": any(truncations.values())})
            if done:
                del running[place]
        env.restart(step.done)
    return tally


def compare(env: BatchedEnvironment, place: int, game: Original) -> None:
    """What the agents see, the global state, and what is kept of the game."""
    seen = list(game.seen.values())[:env.agents]
    for mine, theirs in zip(env.observe(range(env.agents)), seen, strict=True):
        np.testing.assert_array_equal(mine[place], theirs, strict=True)
    np.testing.assert_array_equal(env.state()[place], np.concatenate(seen), strict=True)
    if len(seen) == len(game.seen):
        np.testing.assert_array_equal(env.state()[place], game.env.state(), strict=True)
    state = env.get_state()
    for name, theirs in game.arrays().items():
        np.testing.assert_array_equal(state[name][:, place], theirs, strict=True)
