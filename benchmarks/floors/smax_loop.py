"""SMAX as jaxmarl's users play it: one compiled program for all steps of all games, with random actions."""

from __future__ import annotations

from collections.abc import Callable

from netac.envs import _smax_battles


def compiled_play(scenario: str, games: int, steps: int) -> Callable[[], None]:
    """A function that plays so many steps of so many games, each time other ones, and begins anew those that end.

    It has the environment's own `step`, which does so by itself, and is compiled for one thread, as netac's games are.
    """
    jax, smax = _smax_battles._loaded()
    env = smax.HeuristicEnemySMAX(scenario=smax.map_name_to_scenario(scenario))

    def act(key, state):
        allowed = env.get_avail_actions(state)
        keys = jax.random.split(key, len(env.agents))
        return {ally: jax.random.categorical(own, jax.numpy.where(allowed[ally], 0.0, -jax.numpy.inf))
                for ally, own in zip(env.agents, keys, strict=True)}

    def step(carried, _):
        key, states = carried
        key, acting, moving = jax.random.split(key, 3)
        actions = jax.vmap(act)(jax.random.split(acting, games), states)
        seen, states, rewards, dones, _ = jax.vmap(env.step)(jax.random.split(moving, games), states, actions)
        told = sum(each.sum() for each in seen.values()) + rewards[env.agents[0]].sum() + dones["__all__"].sum()
        return (key, states), told

    def play(key):
        key, first = jax.random.split(key)
        _, states = jax.vmap(env.reset)(jax.random.split(first, games))
        return jax.lax.scan(step, (key, states), None, steps)[1].sum()

    compiled = jax.jit(play).lower(jax.random.key(0)).compile(_smax_battles.ONE_THREAD)
    numbers = iter(range(10**9))
    return lambda: compiled(jax.random.key(next(numbers))).block_until_ready()
