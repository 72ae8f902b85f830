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

Blocks = tuple[Any, ...]                 # a state as arrays of JAX's


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


@dataclass(frozen=True)
class Stored:
    """Where one of the arrays is that a game's state is made of: what is alike in type lies side by side.

    Attributes:
        block: in which block of numbers.
        numbers: which of them.
        shape: of the array.
    """

    block: int
    numbers: slice
    shape: tuple[int, ...]


class Battles:
    """`width` games at once, whose states are a few blocks of numbers, since every array takes time to hand over.

    Random numbers are JAX's, by keys: with the seed of its episode a game begins with fold_in(key(seed), 0), and
    its step t = 1, 2, ... has fold_in(key(seed), t).  What is seen of games is a pair: numbers (W, K), all allies'
    observations and then the global state, and what the allies may do (W, N, actions).

    Args:
        rules: what is played.
        width: W.

    Attributes:
        places: of a state's arrays, by name.
        blank: a state that no game is in.
        begin: seeds (W,), which games begin, (W,) bool, and a state -> the state, and what is seen of it.
        step: seeds, seeds of the next episodes, a state, and the allies' actions (W, N) -> the allies' rewards (W,),
            all equal, the state and what is seen of it, and both once more with games that are over begun anew.
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

            state = jax.eval_shape(lambda seed: env.reset(key(seed, 0))[1], jax.ShapeDtypeStruct((), np.uint32))
            paths, tree = jax.tree_util.tree_flatten_with_path(state)
            self.places, blocks = _places({path[-1].name: leaf for path, leaf in paths})

            def packed(state: Any) -> Blocks:
                parts: list[list[Any]] = [[] for _ in blocks]
                for leaf, place in zip(jax.tree.leaves(state), self.places.values(), strict=True):
                    parts[place.block].append(leaf.reshape(-1))
                return tuple(map(jnp.concatenate, parts))

            def unpacked(state: Blocks) -> Any:
                return jax.tree.unflatten(tree, [
                    state[place.block][place.numbers].reshape(place.shape) for place in self.places.values()])

            def seen(state: Any) -> tuple[Any, Any]:
                shown, allowed = env.get_obs(state), env.get_avail_actions(state)
                return (jnp.concatenate([*(shown[ally] for ally in env.agents), env.get_world_state(state)]),
                        jnp.stack([allowed[ally] for ally in env.agents]).astype(bool))

            def either(these: Any, one: Any, other: Any) -> Any:
                return jax.tree.map(lambda a, b: jnp.where(these, a, b), one, other)

            def begin(seed: Any, begins: Any, state: Blocks) -> Any:
                state = either(begins, packed(env.reset(key(seed, 0))[1]), state)
                return state, seen(unpacked(state))

            def step(seed: Any, following: Any, state: Blocks, actions: Any) -> Any:
                before = unpacked(state)
                told = {ally: actions[i] for i, ally in enumerate(env.agents)}
                _, after, rewards, over, _ = env.step_env(key(seed, before.state.step + 1), before, told)
                first = env.reset(key(following, 0))[1]
                found, begun = ((packed(each), seen(each)) for each in (after, first))
                return rewards[env.agents[0]], *found, *either(over["__all__"], begun, found)

            def compiled(function: Callable, *shapes: Any) -> Any:
                return jax.jit(jax.vmap(function)).lower(*shapes).compile(ONE_THREAD)

            def numbers(kind: Any, *shape: int) -> Any:
                return jax.ShapeDtypeStruct((width, *shape), kind)

            self.blank = tuple(np.zeros((width, size), kind) for kind, size in blocks)
            blank = tuple(numbers(kind, size) for kind, size in blocks)
            seeds, actions = numbers(np.uint32), numbers(np.int32, len(env.agents))
            self.begin = compiled(begin, seeds, numbers(bool), blank)
            self.step = compiled(step, seeds, seeds, blank, actions)


def _places(leaves: dict[str, Any]) -> tuple[dict[str, Stored], list[tuple[np.dtype, int]]]:
    """Where arrays lie by name, and types and sizes of the blocks."""
    kinds = sorted({np.dtype(leaf.dtype) for leaf in leaves.values()}, key=str)
    sizes, found = [0] * len(kinds), {}
    for name, leaf in leaves.items():
        block = kinds.index(np.dtype(leaf.dtype))
        found[name] = Stored(block, slice(sizes[block], sizes[block] + leaf.size), leaf.shape)
        sizes[block] += leaf.size
    return found, list(zip(kinds, sizes, strict=True))


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
        jax = _jax()
        with _settings(jax):             # SMAX makes arrays when it is imported
            return jax, _smax()
    except Exception as error:
        said = f"{PLATFORMS} with cpu among others, or not set" if "backend" in str(error) else EXTRA
        raise InputError(f"SMAX cannot be loaded: {raised(error)}", key="env.name", found="smax", valid=said) from error


def _jax() -> Any:
    """JAX.  Where it is imported here first it computes in the thread that calls, since waking another one takes as
    long as a step of some games; and unless JAX_PLATFORMS is set it takes no GPU, nor the memory of one."""
    first = "jax" not in sys.modules
    chosen = not first or PLATFORMS in os.environ
    if not chosen:
        os.environ[PLATFORMS] = "cpu"
    try:
        jax = importlib.import_module("jax")
    finally:
        if not chosen:
            del os.environ[PLATFORMS]
    if first:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.devices("cpu")
    return jax


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
