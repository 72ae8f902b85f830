"""What the tests of netac's batched games share: playing them at random, and what holds of all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netac.envs import BatchedEnvironment


def snapshot(env: BatchedEnvironment) -> list[np.ndarray]:
    return [*env.observe(range(env.agents)), env.state(), *env.get_state().values()]


def play(env: BatchedEnvironment, steps: int, seed: int) -> list[np.ndarray]:
    """Everything seen while `env` is played with random actions, independent of the number of games (8 at most)."""
    rng, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        whole, vectors = rng.integers(5, size=(8, 8)) % (env.actions[0].n_actions or 5), rng.random((8, 8, 5))
        step = env.step((whole if env.actions[0].n_actions else vectors)[:env.agents, :env.games])
        seen += [step.r, step.terminated, step.done, *snapshot(env)]
        env.restart(step.done)
        seen += snapshot(env)
    return seen


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True))


def check_seeds(make: Callable[[], BatchedEnvironment], seed: int, chain: int) -> None:
    """Equal seeds and chains give equal games, and other chains others."""
    first, second = make(), make()
    first.begin(seed, chain)
    second.begin(seed, chain + 1)
    play(second, 5, seed)
    other = play(second, 10, seed)
    second.begin(seed, chain)
    assert equal(snapshot(first), snapshot(second))
    same = play(first, 10, seed)
    assert equal(same, play(second, 10, seed))
    assert not equal(same, other)


def check_resuming(make: Callable[[], BatchedEnvironment], seed: int, steps: int) -> None:
    """Games go on bit for bit from what `get_state` gave after so many steps."""
    env, resumed = make(), make()
    env.begin(seed, 1)
    play(env, steps, 0)
    saved = {name: np.array(value) for name, value in env.get_state().items()}
    expected = [*snapshot(env), *play(env, 15, 1)]
    resumed.begin(seed, 1)
    play(resumed, 3, 2)
    resumed.set_state(saved)
    assert equal(expected, [*snapshot(resumed), *play(resumed, 15, 1)])


def check_views(env: BatchedEnvironment) -> None:
    """Agents 1 to 3 of 5 see by themselves what they see among all, and what they were shown stays as it was."""
    env.begin(0, 0)
    everybody, some = env.observe(range(5)), env.observe(range(1, 4))
    assert equal(some, everybody[1:4])
    state = env.state()
    kept, kept_state = [each.copy() for each in some], state.copy()
    play(env, 5, 0)
    assert equal([*some, state], [*kept, kept_state])
    assert not equal(env.observe(range(1, 4)), kept)
