"""Any PettingZoo environment as games side by side: E copies of it, each with seeds of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from netac.envs._batched import Step
from netac.envs._pettingzoo_check import as_parallel, empty, everything, examine, given_back, inner, key_of, plain
from netac.envs._pettingzoo_game import Game
from netac.envs._pettingzoo_spaces import ApiError, of_state
from netac.utils.errors import InputError, NetacError, RunError, quietly, raised
from netac.utils.progress import note
from netac.utils.streams import episode_seed


class ParallelGames:
    """E copies of a PettingZoo environment; the interface is `netac.envs._batched.BatchedEnvironment`.

    Agents come in the order of `possible_agents`; who is not listed in `agents` takes no part, gets no reward and is
    shown zeros, but for the observation that comes with its end.  An agent that is both terminated and truncated is
    terminated.  Observations that are a Box keep their shape, others are flat, whole numbers one-hot
    (`gymnasium.spaces.flatten`).  Box actions are flat; those of whole numbers are rounded.  Agents do what the
    `action_mask` of their observation or of their info allows, where the first observations or steps have one.  Where
    the infos of the first steps have `cost`, those are the agents' costs.

    Episode k = 0, 1, ... of game e is reset with a seed of 31 bits from
    `SeedSequence(seed, spawn_key=(Purpose.ENVIRONMENT, chain, e, 1 + k))`.  Games are resumed where they stood if the
    environment has `get_state()` and `set_state(state)` with a dictionary of numbers and arrays and they bring back
    everything (tried at start); else `set_state` begins the next episode of every game.

    Args:
        make: makes a copy; called here for the first one unless it is given, and for the others in `begin`.
        agents: how many agents there must be.
        games: E.
        source: what messages call the environment: "package.module:function", or its name.
        first: the first copy, if it was made before.

    Attributes:
        warnings: what the check found not as it should be though it does no harm to a run.
        gymnasium_spaces: (N) pairs of the agents' spaces, of observations and of actions.

    Raises:
        InputError: the environment does not keep to the interface; what is wrong and how to mend it.
    """

    gamma: float | None = None

    def __init__(self, make: Callable[[], Any], agents: int, games: int, source: str, first: Any = None):
        self._make, self._source = make, source
        self._envs = [as_parallel(make() if first is None else first, source)]
        checked = examine(self._envs[0], agents, source)
        self._seats, self._state, self.resumable, self.warnings = (
            checked.seats, checked.state, checked.resumable, checked.warnings)
        self.agents, self.games, self.names = agents, games, self._seats.names
        self.observations = tuple(each.shape for each in self._seats.readers)
        self.actions = tuple(each.action for each in self._seats.writers)
        self.gymnasium_spaces = tuple(
            (self._envs[0].observation_space(agent), self._envs[0].action_space(agent)) for agent in self.ids)
        self.state_shape = self._state.shape if self._state else None
        self.active = np.zeros((agents, games), dtype=bool)
        self._shown = empty(self._seats, games)
        self._allowed = everything(self._seats, games) if checked.masked else None
        self._states = np.zeros((games, *(self.state_shape or ())), dtype=np.float32)
        self._known: list[tuple[int, int] | None] = [None] * games     # of which episode and step `_states` are
        self._stood_in = False
        self._has_costs = checked.has_costs
        self._games: list[Game] = []
        self._episodes = np.zeros(games, dtype=np.int64)
        self._seed = self._chain = 0

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with episode 0 of the run's seed and of chain `chain`."""
        self._seed, self._chain = seed, chain
        while len(self._envs) < self.games:
            self._envs.append(self._copy())
        self._games = [Game(env, self._seats, [each[e] for each in self._shown], self.active[:, e],
                            None if self._allowed is None else [each[e] for each in self._allowed])
                       for e, env in enumerate(self._envs)]
        self._episodes[:] = 0
        self._known = [None] * self.games
        self._reset(range(self.games))

    def _copy(self) -> Any:
        """Another copy of the environment, with the same agents and spaces."""
        def refuse(problem: str, valid: str) -> NoReturn:
            raise InputError(f"{self._source}: {problem}", key=key_of(self._source), valid=valid)

        made = self._make()
        env = as_parallel(made, self._source)
        if any(env is other or inner(other) is made for other in self._envs):
            refuse("gives the same environment when called again", "a function that makes a new one every time")
        first, ids = self._envs[0], self._seats.ids
        if tuple(env.possible_agents) != ids or any(
                getattr(env, what)(agent) != getattr(first, what)(agent)
                for what in ("observation_space", "action_space") for agent in ids):
            refuse("gives environments that differ in their agents or spaces", "the same agents and spaces every time")
        return env

    def _reset(self, games: Iterable[int]) -> None:
        for e in games:
            try:
                self._games[e].reset(episode_seed(self._seed, self._chain, e, int(self._episodes[e])))
            except ApiError as error:
                raise self._failure(e, error) from error

    def observe(self, agents: range) -> list[np.ndarray]:
        """The current observations of `agents`: one (E, *shape) array each, single precision."""
        return [self._shown[i].copy() for i in agents]

    @property
    def action_masks(self) -> Callable[[range], list[np.ndarray]] | None:
        """Gives what agents may do, (E, outputs_i) bool each; None where they are not told."""
        return None if self._allowed is None else self._masks

    def _masks(self, agents: range) -> list[np.ndarray]:
        assert self._allowed is not None, "there are masks"
        return [self._allowed[i].copy() for i in agents]

    @property
    def ids(self) -> tuple:
        """What the environment calls its agents: the keys of its dictionaries."""
        return self._seats.ids

    @property
    def neighbours(self) -> Any:
        """What the environment has for a graph: its attribute, None without one."""
        return getattr(getattr(self._envs[0], "unwrapped", self._envs[0]), "neighbours", None)

    def state(self) -> np.ndarray:
        """The current global state, (E, *state_shape), single precision; zeros of a game that ended without a
        truncated agent: its s' has no value, and the environment is not asked.

        A game that ended with a truncated agent is asked once.  If `state()` fails then, or gives what cannot be used,
        which works while agents take part, the state before the last step stands for s', and a note says so.

        Raises:
            RunError: `state()` fails in a game that goes on, or what it gives cannot be used.
        """
        for e, game in enumerate(self._games):
            if self._known[e] == (at := (int(self._episodes[e]), game.steps)):
                continue
            if game.valued.any():
                self._ask(e)
            else:
                self._states[e] = 0.0
            self._known[e] = at
        return self._states.copy()

    def _ask(self, e: int) -> None:
        """Read the state of game e."""
        assert self._state is not None, "there is no global state"
        row = np.zeros_like(self._states[e])
        try:
            self._state.write(self._envs[e].state(), row)
        except KeyboardInterrupt:
            raise
        except BaseException as error:     # what a user's environment raises may be anything
            problem = of_state(error.problem) if isinstance(error, ApiError) else f"state() failed: {raised(error)}"
            if self.active[:, e].any():
                raise self._failure(e, ApiError(problem, getattr(error, "mend", ""))) from error
            if not self._stood_in:
                self._stood_in = True
                note(f"{self._source}: {problem} at the end of an episode, which was truncated: here and from now on "
                     "the state before the last step stands for the one after it")
        else:
            self._states[e] = row

    def step(self, actions: np.ndarray) -> Step:
        """Move all games on.

        Raises:
            RunError: an environment failed or broke the interface; names agent, game, episode and step.
        """
        r, terminated = np.zeros((self.agents, self.games)), np.zeros((self.agents, self.games), dtype=bool)
        done = np.zeros(self.games, dtype=bool)
        for e, game in enumerate(self._games):
            try:
                done[e] = game.step(actions[:, e], r[:, e], terminated[:, e])
            except ApiError as error:
                raise self._failure(e, error) from error
        return Step(r, terminated, done)

    @property
    def costs(self) -> Callable[[], np.ndarray] | None:
        """Gives what the last step cost each agent, (N, E), as infos tell; None where they do not."""
        return self._charged if self._has_costs else None

    def _charged(self) -> np.ndarray:
        return np.stack([self._asked(e, "step", game.costs) for e, game in enumerate(self._games)], axis=1)

    @property
    def measures(self) -> tuple[str, ...]:
        """The names that the environment gives what it measures of an episode: its attribute, nothing without one."""
        return tuple(getattr(getattr(self._envs[0], "unwrapped", self._envs[0]), "measures", ()))

    def measured(self) -> dict[str, np.ndarray]:
        """What the environments measure, `measured()` of each one whose game has ended; NaN of the others.

        Raises:
            RunError: a number is missing, or `measured` fails.
        """
        found = {name: np.full(self.games, np.nan) for name in self.measures}
        for e in np.flatnonzero(~self.active.any(axis=0)).tolist():
            env = getattr(self._envs[e], "unwrapped", self._envs[e])
            told = self._asked(e, "measured", partial(_numbers_of, env, tuple(found)))
            for name, number in told.items():
                found[name][e] = number
        return found

    def _failure(self, game: int, error: ApiError) -> RunError:
        at = f"game {game}, episode {self._episodes[game]}, step {self._games[game].steps}"
        return RunError(f"{self._source}: {error.problem} ({at})", agent=error.agent)

    def restart(self, games: np.ndarray) -> None:
        """Begin the next episode of the games of the mask (E,)."""
        self._episodes[games] += 1
        self._reset(np.flatnonzero(games).tolist())

    def get_state(self) -> dict[str, np.ndarray]:
        """Which episode each game is in; where games can be resumed also where they stand and what is shown."""
        state: dict[str, np.ndarray] = {"episodes": self._episodes.copy()}
        if self.resumable:
            state |= {"active": self.active.copy(), "steps": np.array([game.steps for game in self._games])}
            state |= {f"observation{i}": shown.copy() for i, shown in enumerate(self._shown)}
            state |= {f"allowed{i}": allowed.copy() for i, allowed in enumerate(self._allowed or ())}
            for e, env in enumerate(self._envs):
                kept = self._asked(e, "get_state", partial(_state_of, env))
                state |= {f"game{e}.{key}": value for key, value in kept.items()}
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there; games that cannot be resumed begin their next episode."""
        self._episodes[:] = state["episodes"]
        if not self.resumable:
            self.restart(np.ones(self.games, dtype=bool))
            return
        self.active[:] = state["active"]
        self._known = [None] * self.games
        for i, shown in enumerate(self._shown):
            shown[:] = state[f"observation{i}"]
        for i, allowed in enumerate(self._allowed or ()):
            allowed[:] = state[f"allowed{i}"]
        for e, (env, game) in enumerate(zip(self._envs, self._games, strict=True)):
            game.steps, game.valued[:] = int(state["steps"][e]), self.active[:, e]
            prefix = f"game{e}."
            kept = given_back({key.removeprefix(prefix): value for key, value in state.items()
                               if key.startswith(prefix)})
            self._asked(e, "set_state", partial(env.set_state, kept))

    def _asked(self, game: int, what: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except NetacError:
            raise
        except ApiError as error:
            raise self._failure(game, error) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:     # what a user's environment raises may be anything
            problem = f"{what} failed: {raised(error)}"
            raise self._failure(game, ApiError(problem, "")) from error

    @property
    def drawable(self) -> bool:
        """Whether the first game was made for pictures."""
        return _render_mode(self._envs[0]) == "rgb_array"

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one game as it stands: (height, width, 3), bytes.

        Raises:
            InputError: the environment was not made for pictures.
            RunError: what it draws is no picture.
        """
        env = self._envs[game]
        if _render_mode(env) != "rgb_array":
            raise InputError(f"{self._source} was not made for pictures", key="env.kwargs",
                             found=_render_mode(env),
                             valid='an environment that takes render_mode = "rgb_array" and has it as an attribute')
        picture = self._asked(game, "render", env.render)
        if not isinstance(picture, np.ndarray) or picture.shape[2:] != (3,) or picture.dtype != np.uint8:
            found = getattr(picture, "shape", type(picture).__name__)
            raise self._failure(game, ApiError(f"render() gave {found}, not bytes of shape (height, width, 3)", ""))
        return picture

    def close(self) -> None:
        """Close all copies; failures to close are ignored."""
        for env in self._envs:
            quietly(env.close)


def _numbers_of(env: Any, names: tuple[str, ...]) -> dict[str, float]:
    told = env.measured()
    return {name: float(told[name]) for name in names}


def _state_of(env: Any) -> dict[str, np.ndarray]:
    return plain(env.get_state())


def _render_mode(env: Any) -> str | None:
    """What an environment was made to draw, as it or the robot that it divides among its agents (MAMuJoCo) says."""
    return getattr(env, "render_mode", getattr(getattr(env, "single_agent_env", None), "render_mode", None))
