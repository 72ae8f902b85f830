"""SMAX's functions of one game, compiled for many games at once, on one thread of the CPU and in single precision.

Of jaxmarl only `jaxmarl.environments.smax` is imported.  The packages above it import all its other environments, which
takes five seconds more, 230 MiB, packages that are not asked for here, and prints; what is imported leaves them as they
were, so that an `import jaxmarl` later on is what it would have been.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from netac.utils.errors import InputError, raised

EXTRA = 'pip install "netac[smax]"'
ABOVE = {"jaxmarl": "", "jaxmarl.environments": "environments"}      # packages, by where they are in jaxmarl's folder
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}
PLATFORMS = "JAX_PLATFORMS"
REUSED = 8                               # times as many games are played a part at a time rather than compiled anew

Leaves = tuple[Any, ...]                 # a game's state as arrays of JAX's, with an axis of games first


@dataclass(frozen=True)
class Rules:
    """What is played: SMAX's own options, by its names."""

    scenario: str
    enemy_shoots: bool
    attack_mode: str
    see_enemy_actions: bool
    walls_cause_death: bool
    won_battle_bonus: float
    max_steps: int


class Battles:
    """`width` games at once.  A state is a tuple of arrays, each of which has a name.

    Random numbers are JAX's, by keys: with the seed of its episode a game begins with fold_in(key(seed), 0), and
    its step t = 1, 2, ... has fold_in(key(seed), t).

    Args:
        rules: what is played.
        width: W.

    Attributes:
        names: of a state's arrays.
        blank: a state that no game is in.
        begin: seeds (W,), which games begin, (W,) bool, and a state -> the state.
        advance: seeds, a state, and the allies' actions (W, N) -> the state, and the allies' rewards (W,), all equal.
        look: a state -> observations (W, N, size), global states (W, S), and what the allies may do (W, N, actions).
    """

    def __init__(self, rules: Rules, width: int):
        jax, smax = _loaded()
        jnp = jax.numpy
        self.width = width
        with _settings(jax):
            options = asdict(rules)
            env = smax.HeuristicEnemySMAX(scenario=smax.map_name_to_scenario(options.pop("scenario")), **options)

            def key(seed: Any, number: Any) -> Any:
                return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), number)

            seeds = jax.ShapeDtypeStruct((width,), np.uint32)
            state = jax.eval_shape(jax.vmap(lambda seed: env.reset(key(seed, 0))[1]), seeds)
            paths, shape = jax.tree_util.tree_flatten_with_path(state)
            self.names = tuple(path[-1].name for path, _ in paths)
            leaves = tuple(leaf for _, leaf in paths)

            def begin(seed: Any, begins: Any, leaves: Leaves) -> Leaves:
                first = jax.tree.leaves(env.reset(key(seed, 0))[1])
                return tuple(jnp.where(begins, new, old) for new, old in zip(first, leaves, strict=True))

            def advance(seed: Any, leaves: Leaves, actions: Any) -> tuple[Leaves, Any]:
                state = jax.tree.unflatten(shape, leaves)
                told = {ally: actions[i] for i, ally in enumerate(env.agents)}
                _, state, rewards, *_ = env.step_env(key(seed, state.state.step + 1), state, told)
                return tuple(jax.tree.leaves(state)), rewards[env.agents[0]]

            def look(leaves: Leaves) -> tuple[Any, Any, Any]:
                state = jax.tree.unflatten(shape, leaves)
                seen, allowed = env.get_obs(state), env.get_avail_actions(state)
                return (jnp.stack([seen[ally] for ally in env.agents]), env.get_world_state(state),
                        jnp.stack([allowed[ally] for ally in env.agents]).astype(bool))

            def compiled(function: Callable, *shapes: Any) -> Any:
                return jax.jit(jax.vmap(function)).lower(*shapes).compile(ONE_THREAD)

            self.begin = compiled(begin, seeds, jax.ShapeDtypeStruct((width,), bool), leaves)
            self.advance = compiled(advance, seeds, leaves,
                                    jax.ShapeDtypeStruct((width, len(env.agents)), np.int32))
            self.look = compiled(look, leaves)
            self.blank = tuple(np.zeros(leaf.shape, leaf.dtype) for leaf in leaves)


_compiled: dict[Rules, Battles] = {}


def battles(rules: Rules, games: int) -> Battles:
    """Battles for so many games, as they were compiled for those that this process asked for first.

    Compiling takes as long as some ten thousand steps, and evaluations play another number of games than training:
    more games than were compiled for are played a part at a time.  What a game gives does not depend on it.
    """
    held = _compiled.get(rules)
    if held is None or games > REUSED * held.width:
        held = _compiled[rules] = Battles(rules, games)
    return held


def _loaded() -> tuple[Any, ModuleType]:
    """JAX, and SMAX.

    Raises:
        InputError: one of them cannot be imported, or JAX may not use the CPU.
    """
    try:
        with _cpu_alone():
            jax = importlib.import_module("jax")
            jax.devices("cpu")
        with _settings(jax):             # SMAX makes arrays when it is imported
            return jax, _smax()
    except Exception as error:
        said = f"{PLATFORMS} names it, or is not set" if "backend" in str(error) else EXTRA
        raise InputError(f"SMAX cannot be loaded: {raised(error)}", key="env.name", found="smax", valid=said) from error


@contextmanager
def _cpu_alone() -> Iterator[None]:
    """Where JAX is imported here first, and nothing was said, it takes no GPU: nor the memory of one."""
    chosen = "jax" in sys.modules or PLATFORMS in os.environ
    if not chosen:
        os.environ[PLATFORMS] = "cpu"
    try:
        yield
    finally:
        if not chosen:
            del os.environ[PLATFORMS]


@contextmanager
def _settings(jax: Any) -> Iterator[None]:
    """What games depend on, whatever else in this process uses JAX has set."""
    with ExitStack() as stack:
        for setting in (jax.enable_x64(False), jax.threefry_partitionable(True),
                        jax.default_device(jax.devices("cpu")[0])):
            stack.enter_context(setting)
        yield


def _smax() -> ModuleType:
    """`jaxmarl.environments.smax` without the packages above it."""
    spec = find_spec("jaxmarl")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'jaxmarl'", name="jaxmarl")
    folder = Path(spec.submodule_search_locations[0])
    absent = [name for name in ABOVE if name not in sys.modules]
    for name in absent:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder / ABOVE[name])]
    try:
        return importlib.import_module("jaxmarl.environments.smax")
    finally:
        for name in absent:
            del sys.modules[name]
