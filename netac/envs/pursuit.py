"""Pursuit-evasion, many games at once: PettingZoo's SISL `pursuit_v5`, step for step.

Pursuers move on a map with a building in its middle and catch evaders that wander at random.  Observations, rewards
(to the last bit), terminations, truncations and the state are those of `pettingzoo.sisl.pursuit_v5.parallel_env` from
the same positions and evader moves: Gupta et al., 2017, "Cooperative multi-agent control using deep reinforcement
learning", in PettingZoo 1.27's version.  PettingZoo moves its agents one after the other, and what its parallel
interface calls a reward is the sum over these moves.  With pursuers 0..j moved, i gets

    r_i^j = tag_reward * #{evaders on the four cells around i} / N,    j = 0, ..., N - 1,

(at the map's rim i's own cell stands for the one beyond), and with the last move also `catch_reward` if it had a part
in catching an evader, and `urgency_reward`; `shared_reward` replaces r_i^j by the mean over i.  Then the caught evaders
leave and the others move.  A game is terminated when no evader is left, except that in step `max_cycles` it is
truncated instead.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from netac.envs._batched import Step
from netac.envs._pursuit_map import GONE, MOVES, Map, draw
from netac.envs._pursuit_picture import picture
from netac.utils.errors import InputError
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose, Stream

TRIES_AT_START = 100       # placements tried before settings are refused
TRIES = 100_000            # and before a later start of a game gives up, which does not happen by chance
ACTIONS = len(MOVES)
CHANNELS = 3               # walls, pursuers, evaders
PURSUERS, EVADERS = 1, 2
_ONE = np.float32(1.0)


class Settings(Options):
    """Options of `env = { name = "pursuit" }`, named as PettingZoo's, with its defaults; `n_pursuers` is `agents`."""

    x_size: int = Field(16, ge=1, le=512, description="columns of the map")
    y_size: int = Field(16, ge=1, le=512, description="rows of the map")
    max_cycles: int = Field(500, ge=1, le=10**9, description="steps after which a game is truncated")
    shared_reward: bool = Field(True, description="every pursuer gets the mean of all pursuers' rewards")
    n_evaders: int = Field(30, ge=1, le=10_000, description="evaders at the start of a game")
    obs_range: int = Field(7, ge=1, le=63, description="side of the square that a pursuer sees, an odd number")
    n_catch: int = Field(
        2, ge=1, le=10_000, description="pursuers on an evader's cell that catch it, where surround = false")
    freeze_evaders: bool = Field(False, description="evaders stay where they are")
    tag_reward: float = Field(0.01, ge=-1e6, le=1e6, description="for every evader beside a pursuer")
    catch_reward: float = Field(5.0, ge=-1e6, le=1e6, description="for a part in catching an evader")
    urgency_reward: float = Field(-0.1, ge=-1e6, le=1e6, description="added in every step")
    surround: bool = Field(
        True, description="evaders are caught when surrounded; false: by n_catch pursuers on their cell")
    constraint_window: float = Field(
        1.0, gt=0, le=1, description="games begin within a window placed at random, its sides relative to the map's")

    @model_validator(mode="after")
    def _odd(self) -> Settings:
        if self.obs_range % 2 == 0:
            raise ValueError(f"obs_range must be an odd number (found {self.obs_range})")
        return self


def make(settings: Settings, agents: int, games: int) -> Pursuit:
    """`games` games with `agents` pursuers each.

    Raises:
        InputError: the agents find no room on the map.
    """
    ground = Map(settings.x_size, settings.y_size, settings.obs_range // 2)
    place(ground, settings, agents, np.random.default_rng(0), TRIES_AT_START)
    return Pursuit(settings, ground, agents, games)


def place(ground: Map, settings: Settings, pursuers: int, rng: np.random.Generator,
          tries: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of pursuers (N,) and evaders (n_evaders,) at the start of a game.

    They are drawn from PettingZoo's distribution, given that its placement succeeds.

    Raises:
        InputError: there was no room in any of `tries` placements.
    """
    groups = (pursuers, settings.n_evaders)
    most: list[int] = []
    for _ in range(tries):
        placed = draw(ground, settings.constraint_window, groups, rng)
        most = max(most, [len(cells) for cells in placed])
        if most == list(groups):
            return placed[0], placed[1]
    key, what = ("agents", "pursuers") if most[0] < pursuers else ("env.n_evaders", "evaders")
    window = f", window {settings.constraint_window:g}" if settings.constraint_window < 1 else ""
    room = f"no two of which may start side by side (map {settings.x_size} x {settings.y_size}{window})"
    raise InputError(f"there is no room for so many {what}, {room}", key=key, found=groups[len(most) - 1],
                     valid=f"about {most[-1]} at most, or a larger map" if most[-1] else "a larger map or window")


class Pursuit:
    """See the module; the interface is `netac.envs._batched.BatchedEnvironment`.

    Every step takes `n_evaders` uniforms of each game's stream, caught evaders included, and every new game has a
    generator of its own; so positions, steps and episodes played are all there is to save.

    Args:
        settings, ground: what is played, and where.
        agents, games: pursuers N of each of E games.

    Attributes:
        nbytes: what the games take of memory, from `begin` on.
    """

    gamma = None
    resumable = True

    def __init__(self, settings: Settings, ground: Map, agents: int, games: int):
        self.agents, self.games, self.active = agents, games, np.ones((agents, games), dtype=bool)
        self.names = tuple(f"pursuer_{i}" for i in range(agents))
        self.observations = ((settings.obs_range, settings.obs_range, CHANNELS),) * agents
        self.actions = (ActionSpace(n_actions=ACTIONS),) * agents
        self.state_shape = (settings.y_size, settings.x_size, CHANNELS)
        self._settings, self._map = settings, ground
        self.nbytes = games * (4 * CHANNELS * ground.cells + 8 * (8 * agents + 6 * settings.n_evaders)
                               + 8 * agents * settings.obs_range**2 * CHANNELS)
        self._ready = False

    def _make_ready(self) -> None:
        """Make the arrays, which games that are only asked for their spaces do without."""
        settings, ground, agents, games, self._ready = self._settings, self._map, self.agents, self.games, True
        rows = ground.cells // ground.width
        self._grid = np.zeros((games, rows, ground.width, CHANNELS), dtype=np.float32)
        self._grid[..., 0] = ~ground.free.reshape(rows, ground.width)
        self._flat = self._grid.reshape(-1)
        self._first = np.arange(games) * ground.cells            # (E,) cell 0 of every game, counted through all games
        self._views = self._all_windows(settings.obs_range)
        self._corner = ground.sight * (ground.width + 1)         # from a cell back to its window's first
        self._pursuers = np.full((agents, games), GONE)
        self._evaders = np.full((settings.n_evaders, games), GONE)
        self._steps, self._episodes = np.zeros(games, dtype=np.int64), np.zeros(games, dtype=np.int64)

    def _all_windows(self, side: int) -> np.ndarray:
        """(cells of all games, side, side * 3) view of the grid: entry k is the window whose first cell is number k."""
        row, cell, number = self._grid.strides[1:]
        count = self._flat.size // CHANNELS - (side - 1) * (self._map.width + 1)
        return np.lib.stride_tricks.as_strided(self._grid, (count, side, side * CHANNELS), (cell, row, number),
                                               writeable=False)

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with the random streams of the run's seed and of chain `chain`."""
        if not self._ready:
            self._make_ready()
        self._key = seed, chain
        self._uniforms = Stream(seed, Purpose.ENVIRONMENT, chain, None, range(self.games))
        self._episodes[:] = -1
        self.restart(np.ones(self.games, dtype=bool))

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew, the k-th game played in place e with generator (seed, chain, e, k).

        Raises:
            InputError: the agents found no room.
        """
        self._count_all(0)
        for game in np.flatnonzero(games).tolist():
            self._episodes[game] += 1
            key = (Purpose.ENVIRONMENT, self._key[1], game, 1 + int(self._episodes[game]))
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._key[0], spawn_key=key)))
            self._pursuers[:, game], self._evaders[:, game] = place(self._map, self._settings, self.agents, rng, TRIES)
        self._steps[games] = 0
        self._count_all(1)

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, obs_range, obs_range, 3) each, by y, x and channel (walls, pursuers, evaders)."""
        corners = self._pursuers[agents.start:agents.stop] + (self._first - self._corner)
        return list(self._views[corners].reshape(len(agents), self.games, *self.observations[0]))

    def positions(self) -> np.ndarray:
        """On which cells pursuers stand, column and row from 0: (N, E, 2)."""
        return self._map.positions(self._pursuers).astype(float)

    def state(self) -> np.ndarray:
        """The whole map, by y, x and channel: (E, y_size, x_size, 3)."""
        return self._grid[:, *self._map.inner].copy()

    def step(self, actions: np.ndarray, evader_moves: np.ndarray | None = None) -> Step:
        """Move all games on.

        Args:
            actions: (N, E) whole numbers 0..4.
            evader_moves: (n_evaders, E) whole numbers 0..4 in place of random ones; those of caught evaders do not
                matter.
        """
        before = self._touching()
        self._move(PURSUERS, self._pursuers, actions)
        after = self._touching()
        caught = self._caught()
        caught_by = self._catchers(caught) if caught.any() else np.zeros((self.agents, self.games), dtype=bool)
        if evader_moves is None:
            evader_moves = self._evader_moves()
        self._move(EVADERS, self._evaders, evader_moves, caught)
        self._steps += 1
        none_left, late = ~self._evaders.any(axis=0), self._steps >= self._settings.max_cycles
        terminated = np.broadcast_to(none_left & ~late, (self.agents, self.games)).copy()
        return Step(self._rewards(before, after, caught_by), terminated, none_left | late)

    def _evader_moves(self) -> np.ndarray:
        if self._settings.freeze_evaders:
            return np.full(self._evaders.shape, MOVES.index((0, 0)))
        return (self._uniforms.take(len(self._evaders)) * ACTIONS).astype(np.intp)

    def _move(self, channel: int, at: np.ndarray, actions: np.ndarray, caught: np.ndarray | None = None) -> None:
        """Move agents `at` (K, E) in place, the caught ones to `GONE`, and count them anew."""
        self._count(channel, at, 0)
        self._map.moves.take(at * ACTIONS + actions, out=at)
        if caught is not None:
            at[caught] = GONE
        self._count(channel, at, 1)

    def _count(self, channel: int, at: np.ndarray, here: int) -> None:
        """Take agents `at` (K, E) off the grid (here = 0), or put them there."""
        cells = ((at + self._first) * CHANNELS + channel).ravel()
        if here:
            np.add.at(self._flat, cells, _ONE)
        else:
            self._flat[cells] = 0.0

    def _count_all(self, here: int) -> None:
        """Take all agents off the grid (here = 0), or put them there."""
        self._count(PURSUERS, self._pursuers, here)
        self._count(EVADERS, self._evaders, here)

    def _on(self, channel: int, cells: np.ndarray) -> np.ndarray:
        """How many agents stand on `cells` (..., E)."""
        return self._flat.take((cells + self._first) * CHANNELS + channel)

    def _touching(self) -> np.ndarray:
        """(N, E) evaders beside each pursuer, doubles."""
        cells = self._map.touched.take(self._pursuers, axis=0).transpose(2, 0, 1)
        return self._on(EVADERS, cells).sum(axis=0, dtype=float)

    def _caught(self) -> np.ndarray:
        """(n_evaders, E) bool: the evaders that are caught where the pursuers stand now; never those that are gone."""
        if not self._settings.surround:
            return self._on(PURSUERS, self._evaders) >= self._settings.n_catch
        cells = self._map.around.take(self._evaders, axis=0).transpose(2, 0, 1)
        return (self._on(PURSUERS, cells) > 0).sum(axis=0) == self._map.needed.take(self._evaders)

    def _catchers(self, caught: np.ndarray) -> np.ndarray:
        """(N, E) bool: the pursuers on the cell of a caught evader, or beside it where evaders are surrounded."""
        where = np.zeros(self._first.size * self._map.cells, dtype=bool)
        where[(self._evaders + self._first)[caught]] = True
        if not self._settings.surround:
            return where.take(self._pursuers + self._first)
        beside = self._map.around.take(self._pursuers, axis=0) + self._first[:, None]
        return np.any(where.take(beside), axis=-1)

    def _rewards(self, before: np.ndarray, after: np.ndarray, caught_by: np.ndarray) -> np.ndarray:
        """(N, E) sums of the module docstring's r_i^j over j, with PettingZoo's operations in its order.

        Args:
            before, after: (N, E) evaders beside each pursuer where it was and where it went.
            caught_by: (N, E) bool, who had a part in catching an evader.
        """
        settings, agents = self._settings, self.agents
        still, moved = settings.tag_reward * before / agents, settings.tag_reward * after / agents
        last = moved + settings.catch_reward * caught_by + settings.urgency_reward
        if settings.shared_reward:
            return self._shared(still, moved, last)
        total = np.zeros_like(still)
        for mover in range(agents - 1):
            total[:mover + 1] += moved[:mover + 1]
            total[mover + 1:] += still[mover + 1:]
        return total + last

    def _shared(self, still: np.ndarray, moved: np.ndarray, last: np.ndarray) -> np.ndarray:
        now, total = still.T.copy(), np.zeros(self.games)     # (E, N): NumPy adds up rows as PettingZoo's mean does
        for mover in range(self.agents - 1):
            now[:, mover] = moved[mover]
            total += now.mean(axis=-1)
        now[:] = last.T
        total += now.mean(axis=-1)
        return np.broadcast_to(total, still.shape).copy()

    def get_state(self) -> dict[str, np.ndarray]:
        """Positions (N or n_evaders, E, 2), x and y, -1 for caught evaders; steps and episodes (E,); uniforms taken."""
        return {"pursuers": self._map.positions(self._pursuers), "evaders": self._map.positions(self._evaders),
                "steps": self._steps.copy(), "episodes": self._episodes.copy(),
                "uniforms": np.array(self._uniforms.position)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin` with the same seed and chain."""
        self._count_all(0)
        self._pursuers[:], self._evaders[:] = (self._map.number(state[name]) for name in ("pursuers", "evaders"))
        self._count_all(1)
        self._steps[:], self._episodes[:] = state["steps"], state["episodes"]
        self._uniforms.seek(int(state["uniforms"]))

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one game: the building, pursuers with what they see, and evaders."""
        counts = self._grid[(game, *self._map.inner)]
        return picture(self._map.building, counts[..., PURSUERS], counts[..., EVADERS], self._map.sight)

    def close(self) -> None:
        """Nothing is held."""
