"""Whether an environment keeps to PettingZoo's interface: a few random steps; what is wrong, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from netac.envs._pettingzoo_game import Game, Seats
from netac.envs._pettingzoo_spaces import ApiError, Reader, of_state, reader, writer
from netac.utils.errors import InputError, raised, short
from netac.utils.spaces import ActionSpace

try:
    import gymnasium
    from gymnasium import spaces
    from pettingzoo import AECEnv, ParallelEnv
    from pettingzoo.utils.conversions import aec_to_parallel
except ModuleNotFoundError as missing:
    raise InputError("PettingZoo environments need packages that are not installed", key="env", found=missing.name,
                     valid='pip install "netac[pettingzoo]"') from None

SEED = 20_000      # of the episodes played here
STEPS = 3
NEEDED = ("possible_agents", "observation_space", "action_space", "reset", "step")


@dataclass(frozen=True)
class Checked:
    """What is known of an environment that passed.

    Attributes:
        seats: its agents and their spaces.
        state: reads its global state; None where it has none.
        resumable: `get_state` and `set_state` bring back everything.
        warnings: what is not as it should be, but does no harm to a run.
        masked: whether agents are told which actions they may take.
        has_costs: whether steps tell what they cost.
    """

    seats: Seats
    state: Reader | None
    resumable: bool
    warnings: tuple[str, ...]
    masked: bool
    has_costs: bool


def key_of(source: str) -> str:
    """The key at fault: users' environments are "package.module:function"."""
    return "env.factory" if ":" in source else "env"


def as_parallel(env: Any, source: str) -> Any:
    """A PettingZoo environment with its parallel interface.

    Raises:
        InputError: it is something else, or its agents act one after the other and their actions are vectors.
    """
    def refuse(problem: str, valid: str) -> NoReturn:
        raise InputError(f"{source}: {problem}", key=key_of(source), valid=valid)

    if isinstance(env, AECEnv):
        if getattr(env, "metadata", {}).get("is_parallelizable"):
            return aec_to_parallel(env)
        if any(isinstance(env.action_space(agent), spaces.Box) for agent in env.possible_agents):
            refuse(f"the agents of {short(env)} act one after the other (metadata has no is_parallelizable = True), "
                   "and their actions are vectors, of which none can be masked while others act",
                   "a ParallelEnv; an AECEnv with Discrete or MultiDiscrete actions; or one that changes its state "
                   'only after the last agent of a cycle and says so with metadata = {"is_parallelizable": True}')
        from netac.envs._pettingzoo_turns import InTurns
        return InTurns(env)
    if isinstance(env, gymnasium.vector.VectorEnv):
        refuse(f"{type(env).__name__} is several games of one agent side by side (a VectorEnv of gymnasium)",
               "a ParallelEnv or AECEnv of pettingzoo, with several agents; `envs` plays several games")
    if isinstance(env, gymnasium.Env):
        from netac.envs._gymnasium_lists import InLists, agents_in_lists
        if agents_in_lists(env):
            return InLists(env)
        refuse(f"{type(env).__name__} is an environment of gymnasium, which has one agent",
               "a ParallelEnv or AECEnv of pettingzoo, with several agents, or an environment of gymnasium whose "
               "spaces are Tuples, with a part for each agent")
    if isinstance(env, type):
        refuse(f"gives the class {env.__name__}, not an environment", "a function that returns an environment")
    lacking = [] if isinstance(env, ParallelEnv) else [name for name in NEEDED if not hasattr(env, name)]
    if lacking:
        if hasattr(env, "get_agent_ids") or hasattr(env, "with_agent_groups"):
            refuse(f"{type(env).__name__} is an environment of RLlib", "a ParallelEnv of pettingzoo")
        if any(kind.__module__.partition(".")[0] == "gym" for kind in type(env).__mro__):
            refuse(f"{type(env).__name__} is an environment of gym, which gymnasium replaced",
                   "a ParallelEnv of pettingzoo")
        refuse(f"gives {short(env)}, which is no PettingZoo environment: it has no {', '.join(lacking)}",
               "a ParallelEnv or AECEnv of pettingzoo")
    return env


def examine(env: Any, agents: int, source: str) -> Checked:
    """Play a few random steps, twice from one seed, and see that all answers are as PettingZoo's interface promises.

    Observations outside their space's bounds or of another dtype, and games that do not repeat themselves, are only
    warned of.

    Args:
        env: a `ParallelEnv`; it is left in the midst of an episode.
        agents: how many agents the experiment has.
        source: what messages call the environment.

    Raises:
        InputError: the first thing that is wrong, and how to mend it.
    """
    try:
        found = _seats(env)
        if len(found.ids) != agents:
            raise InputError(f"{source} has another number of agents than the experiment", key="agents", found=agents,
                             valid=f"{len(found.ids)}, or arguments of the environment (env.kwargs) that change its "
                                   "number")
        return _check(env, found)
    except ApiError as error:
        raise InputError(f"{source}: {error.problem}", key=key_of(source), valid=error.mend) from error.__cause__


def empty(seats: Seats, games: int) -> list[np.ndarray]:
    """Where observations of `games` games are written: one (games, *shape) array for each agent, single precision."""
    return [np.zeros((games, *each.shape), dtype=np.float32) for each in seats.readers]


def everything(seats: Seats, games: int) -> list[np.ndarray]:
    """Where masks of `games` games are written: one (games, outputs_i) array for each agent, true so far."""
    return [np.ones((games, each.action.outputs), dtype=bool) for each in seats.writers]


def plain(state: Any) -> dict[str, np.ndarray]:
    """What an environment's `get_state` gave, copied into arrays.

    Raises:
        ApiError: it is not a dictionary of numbers and arrays.
    """
    mend = "get_state() returns a dictionary whose keys are strings and whose values are numbers or numeric arrays"
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise ApiError(f"get_state returned {short(state)}", mend)
    kept = {}
    for key, value in state.items():
        try:
            kept[key] = np.array(value)
        except ValueError:
            kept[key] = np.array(None)
        if kept[key].dtype.kind not in "biufc":
            raise ApiError(f"get_state()[{key!r}] is {short(value)}, not a number or an array of numbers", mend)
    return kept


def given_back(state: dict[str, np.ndarray]) -> dict[str, Any]:
    """What `set_state` is given: numbers are numbers again."""
    return {key: value.item() if value.ndim == 0 else value.copy() for key, value in state.items()}


def _seats(env: Any) -> Seats:
    ids = getattr(env, "possible_agents", None)
    if not isinstance(ids, list | tuple) or not ids:
        raise ApiError(f"possible_agents is {short(ids)}",
                       "the list of all agents that may ever take part, set in __init__")
    try:
        if len(set(ids)) < len(ids):
            raise ApiError(f"possible_agents names an agent twice: {short(ids)}", "every agent once")
    except TypeError:
        raise ApiError(f"possible_agents holds what cannot be a key: {short(ids)}",
                       "names of agents, e.g. agent_0") from None
    readers, writers = [], []
    for i, agent in enumerate(ids):
        readers.append(reader(_space(env, "observation_space", agent, i), f"observation_space({agent!r})"))
        writers.append(writer(_space(env, "action_space", agent, i), f"action_space({agent!r})"))
    return Seats(tuple(ids), tuple(readers), tuple(writers))


def _space(env: Any, what: str, agent: Any, i: int) -> Any:
    try:
        return getattr(env, what)(agent)
    except KeyboardInterrupt:
        raise
    except BaseException as error:     # what a user's environment raises may be anything
        raise ApiError(f"{what}({agent!r}) failed: {raised(error)}",
                       f"a method {what}(agent) that returns the space of any of possible_agents", i) from error


def _check(env: Any, seats: Seats) -> Checked:
    warnings: dict[str, str] = {}     # the first of each kind
    for agent, read in zip(seats.ids, seats.readers, strict=True):
        for image in read.flattened_images:
            warnings.setdefault("image", f"{agent!r}: {image.name}, of shape {image.shape}, becomes a part of one "
                                f"vector of {read.shape[0]:,} numbers, which dense layers see")
    game = Game(env, seats, [row[0] for row in empty(seats, 1)], np.zeros(len(seats.ids), dtype=bool),
                [row[0] for row in everything(seats, 1)])
    episodes = [_play(game, warnings), _play(game, warnings)]
    if not _same(*episodes):
        what = "first observations" if not _same(episodes[0][:1], episodes[1][:1]) else "games"
        warnings["seeds"] = (f"equal seeds give different {what}, so runs cannot be repeated; draw all randomness from "
                             "a generator that reset(seed=...) makes anew")
    if has_costs := game.has_costs:
        game.costs()
    if not game.active.any():
        game.reset(SEED)
    state = _state(env, seats, warnings)
    resumable = _resumable(game, warnings)
    return Checked(seats, state, resumable, tuple(warnings.values()), game.masked, has_costs)


def inner(env: Any) -> Any:
    """What a user's function made, of what `as_parallel` made of it."""
    return getattr(env, "aec_env", getattr(env, "gymnasium_env", env))


def _play(game: Game, warnings: dict[str, str]) -> list[list[np.ndarray]]:
    """Begin the episode of SEED and take random steps; all that was shown, step by step."""
    game.reset(SEED)
    shown = [_snapshot(game)]
    _look_closer(game, warnings)
    shown += _steps(game, STEPS, warnings)
    return shown


def _steps(game: Game, steps: int, warnings: dict[str, str]) -> list[list[np.ndarray]]:
    """Up to `steps` steps of the game as it stands, with the same actions each time."""
    rng, shown, n = np.random.default_rng(SEED), [], len(game.seats.ids)
    for _ in range(steps):
        actions, r, terminated = _random_actions(game, rng), np.zeros(n), np.zeros(n, dtype=bool)
        done = game.step(actions, r, terminated)
        _look_closer(game, warnings)
        shown.append([*_snapshot(game), r, terminated])
        if done:
            break
    return shown


def _snapshot(game: Game) -> list[np.ndarray]:
    return [game.active.copy(), *(row.copy() for row in game.shown)]


def _same(one: list[list[np.ndarray]], other: list[list[np.ndarray]]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def _random_actions(game: Game, rng: np.random.Generator) -> np.ndarray:
    """(N, largest size): uniform among allowed actions and within bounds, normal where there are none."""
    spaces, allowed = [each.action for each in game.seats.writers], game.allowed or []
    actions = np.zeros((len(spaces), max(space.size for space in spaces)))
    for row, space, mask in zip(actions, spaces, allowed, strict=True):
        row[:space.size] = space.random(rng, 1, None if mask.all() else mask[None])[0] if space.choices else _within(
            space, rng)
    return actions


def _within(space: ActionSpace, rng: np.random.Generator) -> np.ndarray:
    """An action vector; gymnasium's own `sample` fails for bounds as wide as the numbers of their type."""
    low, high = np.array(space.low), np.array(space.high)
    bounded = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(bounded, low, -1e300), np.where(bounded, high, 1e300)
    spread = np.where(bounded, high / 2 - low / 2, 0.0)
    vector = np.where(bounded, low + 2 * spread * rng.random(len(low)), rng.standard_normal(len(low)))
    return np.clip(vector, space.low, space.high)


def _look_closer(game: Game, warnings: dict[str, str]) -> None:
    """What is too slow for every step: bounds and dtypes."""
    for i, agent in enumerate(game.seats.ids):
        if agent in game.answer[0] and game.active[i]:
            for leaf in game.seats.readers[i].leaves:
                outside = leaf.outside(game.answer[0][agent])
                if outside:
                    warnings.setdefault("bounds", f"{agent!r}: {outside}, as observation_space bounds it; networks are "
                                                  "shown it as it is")
                miscast = leaf.miscast(game.answer[0][agent])
                if miscast:
                    warnings.setdefault("dtype", f"{agent!r}: {miscast}; netac takes it as float32 in any case")


def _state(env: Any, seats: Seats, warnings: dict[str, str]) -> Reader | None:
    """The reader of the global state, None where `state()` does not exist or does not work."""
    try:
        state = env.state()
    except (NotImplementedError, AttributeError):
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:     # what a user's environment raises may be anything
        warnings["state"] = f"state() failed, so there is no global state: {raised(error)}"
        return None
    space = getattr(env, "state_space", None)
    try:
        read = reader(space if space is not None else _box_of(state), "state_space")
        read.write(state, np.zeros(read.shape, dtype=np.float32))
    except ApiError as error:
        problem = of_state(error.problem)
        warnings["state"] = f"there is no global state, since what state() gives cannot be used: {problem}"
        return None
    return read


def _box_of(state: Any) -> spaces.Box:
    try:
        return spaces.Box(-np.inf, np.inf, np.shape(state))
    except ValueError:
        raise ApiError(f"it is {short(state)}", "an array") from None


def _resumable(game: Game, warnings: dict[str, str]) -> bool:
    """Whether the environment's own `get_state` and `set_state` bring back a game: the same steps follow twice, the
    second time out of another episode, as in a run that is resumed."""
    env = game.env
    if not all(callable(getattr(type(env), name, None)) for name in ("get_state", "set_state")):
        return False
    game.reset(SEED)
    active, allowed = game.active.copy(), [row.copy() for row in game.allowed or ()]
    try:
        kept = plain(env.get_state())
        first = _steps(game, STEPS, {})
        game.reset(SEED + 1)
        env.set_state(given_back(kept))
        game.active[:] = active
        for row, before in zip(game.allowed or (), allowed, strict=True):
            row[:] = before
        if _same(first, _steps(game, STEPS, {})):
            return True
        problem = ("after set_state other steps followed than after get_state; "
                   "all that an episode's reset draws is part of it")
    except KeyboardInterrupt:
        raise
    except BaseException as error:     # what a user's environment raises may be anything
        problem = getattr(error, "problem", None) or raised(error)
    warnings["resumption"] = ("get_state and set_state cannot be used, so that resumed runs begin new episodes: "
                              f"{problem}")
    return False
