"""Battles of SMAX, many at once: allies, one agent each, against a team that follows a script (extra `smax`).

SMAX is of jaxmarl (Rutherford et al., 2024, "JaxMARL: multi-agent RL environments and algorithms in JAX"), whose
functions play here: StarCraft II's micro-management (SMAC, Samvelyan et al., 2019) without StarCraft II, on a map of
32 x 32 with units of StarCraft's speeds, ranges, health and cooldowns.  The scenarios have SMAC's names, which say who
fights whom; in those named smacv2 units and places are drawn anew in every episode (Ellis et al., 2023).

An agent moves in one of four directions, stands (action 4), or shoots at an enemy within its range; masks say what it
may do.  It sees the units within its sight: 13 numbers for each other unit, allies first, then 10 of its own; zeros for
who is out of sight or dead.  The global state is 12 numbers a unit.  In every step all allies are paid the same,

    r = (1 / enemies) sum over the enemies of the share of its health that it has lost
        + `won_battle_bonus` if all enemies are dead, and not all allies.

A battle ends when all of a team are dead (terminated) or with the first step after `max_steps` (truncated).  What it
is measured by is `win_rate`, 1 if it was won and else 0.  An agent that dies is terminated and takes no part from then
on; with `dead = "waiting"` it goes on to stand there, sees zeros, and values what the others gain, as in jaxmarl's own
learners.  Rewards are the team's either way, those of the dead as well.

Process 0 of a launch plays all games: loading and compiling takes some 20 seconds and 400 MiB a process, and what is
compiled for the CPU of one machine may round otherwise than for another's.  The other processes do not load JAX.
Episode k = 0, 1, ... of game e has the seed `netac.utils.streams.episode_seed(seed, chain, e, k)`; which of JAX's
keys its steps have is told by `netac.envs._smax_battles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from netac.envs._batched import Step
from netac.utils.errors import InputError, did_you_mean
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace
from netac.utils.streams import episode_seed

if TYPE_CHECKING:
    from netac.envs._smax_battles import Battles

REPLICATED = False
SCENARIOS = {"3m": (3, 3), "2s3z": (5, 5), "25m": (25, 25), "3s5z": (8, 8), "8m": (8, 8), "5m_vs_6m": (5, 6),
             "10m_vs_11m": (10, 11), "27m_vs_30m": (27, 30), "3s5z_vs_3s6z": (8, 9), "3s_vs_5z": (3, 5),
             "6h_vs_8z": (6, 8), "smacv2_5_units": (5, 5), "smacv2_10_units": (10, 10),
             "smacv2_20_units": (20, 20)}            # allies and enemies
OTHER, OWN, IN_STATE = 13, 10, 12        # numbers that tell of another unit, of oneself, of a unit in the state
MOVES, STAND = 5, 4                      # actions that do not shoot, and the last of them
SIDE = 32.0                              # of the map
RADII = np.array([0.375, 0.5625, 0.625, 0.5, 0.375, 0.625])           # by the type of a unit
HEALTH = np.array([45.0, 125.0, 160.0, 150.0, 35.0, 80.0])
NBYTES = 400 << 20                       # of JAX, and of what it compiles


class Settings(Options):
    """Options of `env = { name = "smax" }`, most of them SMAX's own; `agents` is the number of allies."""

    scenario: str = Field("3m", description=f"who fights whom: {', '.join(SCENARIOS)}")
    attack_mode: Literal["closest", "random"] = Field(
        "closest", description="which ally an enemy begins to shoot at, of those within its range")
    enemy_shoots: bool = Field(True, description="false: enemies only come near")
    see_enemy_actions: bool = Field(True, description="whether what enemies in sight last did is seen, too")
    walls_cause_death: bool = Field(True, description="whether who touches the edge of the map dies")
    won_battle_bonus: float = Field(1.0, ge=0.0, le=1e6, description="what a battle that was won pays")
    max_steps: int = Field(100, ge=1, le=10**6, description=(
        "a battle is truncated with the first step after so many"))
    dead: Literal["inactive", "waiting"] = Field("inactive", description=(
        "inactive: who dies is terminated and takes no part any more; "
        "waiting: stands there until the end, and is paid what the others are"))

    @field_validator("scenario")
    @classmethod
    def _known(cls, scenario: str) -> str:
        if scenario not in SCENARIOS:
            raise ValueError(f"there is no scenario {scenario!r}{did_you_mean(scenario, list(SCENARIOS))}; "
                             f"there are {', '.join(SCENARIOS)}")
        return scenario


def make(settings: Settings, agents: int, games: int) -> Smax:
    """`games` battles.

    Raises:
        InputError: something is not installed, or the scenario has another number of allies.
    """
    _ask_for_packages()
    allies, _ = SCENARIOS[settings.scenario]
    if allies != agents:
        raise InputError(f"{settings.scenario} has another number of allies", key="agents", found=agents,
                         valid=f"agents = {allies}")
    return Smax(settings, games)


def _ask_for_packages() -> None:
    for package in ("jax", "jaxmarl"):
        if find_spec(package) is None:
            raise InputError(f"needs {package}, which is not installed", key="env.name", found="smax",
                             valid='pip install "netac[smax]"')


class Smax:
    """E battles; the interface is `netac.envs._batched.BatchedEnvironment`.  JAX is loaded when they begin.

    Games are played W at a time (`netac.envs._smax_battles`), in parts; the last part may have lanes that nobody looks
    at.  A part's state and what is seen of it are kept as JAX has them.

    Args:
        settings: what is played.
        games: E.
    """

    gamma = None
    resumable = True
    measures = ("win_rate",)
    common_reward = True

    def __init__(self, settings: Settings, games: int):
        self._settings, self.games = settings, games
        allies, enemies = SCENARIOS[settings.scenario]
        self.agents = allies
        self.names = tuple(f"ally_{i}" for i in range(allies))
        self.observations = ((OTHER * (allies - 1 + enemies) + OWN,),) * allies
        self.actions = (ActionSpace(n_actions=MOVES + enemies),) * allies
        self.state_shape = (IN_STATE * (allies + enemies),)
        self.nbytes = NBYTES + 8 * games * (allies + enemies) * self.observations[0][0]
        self.active = np.ones((allies, games), dtype=bool)
        self._won = np.zeros(games, dtype=bool)
        self._episodes = np.zeros(games, dtype=np.int64)
        self._seed = self._chain = 0
        self._battles: Battles | None = None

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with episode 0 of the run's seed and of chain `chain`.

        Raises:
            InputError: JAX or SMAX cannot be loaded.
        """
        self._seed, self._chain = seed, chain
        if self._battles is None:
            from netac.envs._smax_battles import Rules, battles
            self._battles = battles(Rules(**self._settings.model_dump(exclude={"dead"})), self.games)
        parts = -(-self.games // self._battles.width)
        self._seeds = np.zeros(parts * self._battles.width, dtype=np.uint32)         # of episodes under way,
        self._following = self._seeds.copy()                                         # and of the next ones
        self._states: list[tuple[Any, ...]] = [self._battles.blank] * parts
        self._seen: list[tuple[Any, Any]] = [(None, None)] * parts
        self._begun: list[tuple[Any, Any]] = []      # states, and what is seen, with games that are over begun anew
        self._over = np.zeros(self.games, dtype=bool)
        self._episodes[:] = -1
        self._know_following(np.arange(self.games))
        self.restart(np.ones(self.games, dtype=bool))

    @property
    def _played(self) -> Battles:
        assert self._battles is not None, "games begin first"
        return self._battles

    def restart(self, games: np.ndarray) -> None:
        """Begin the next episode of the games of the mask (E,); for those that a step has ended it is done already."""
        places = np.flatnonzero(games)
        self._episodes[places] += 1
        self._seeds[places] = self._following[places]
        self._know_following(places)
        if self._begun and np.array_equal(games, self._over):
            self._states, self._seen = ([each[k] for each in self._begun] for k in (0, 1))
        else:
            self._begin(games)
        self._begun = []
        self._take_part()

    def _begin(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) with their seeds, and look at all."""
        for part, (seeds, mask) in enumerate(zip(self._parts(self._seeds), self._parts(self._lanes(games)),
                                                 strict=True)):
            self._states[part], self._seen[part] = self._played.begin(seeds, mask, self._states[part])

    def _know_following(self, games: np.ndarray) -> None:
        for e in games.tolist():
            self._following[e] = episode_seed(self._seed, self._chain, e, int(self._episodes[e]) + 1)

    def _lanes(self, array: np.ndarray) -> np.ndarray:
        """(E, ...) with zeros for the lanes that nobody looks at."""
        lanes = np.zeros((len(self._seeds), *array.shape[1:]), array.dtype)
        lanes[:self.games] = array
        return lanes

    def _parts(self, lanes: np.ndarray) -> np.ndarray:
        """One array (W, ...) a part."""
        return lanes.reshape(-1, self._played.width, *lanes.shape[1:])

    def _whole(self, parts: Sequence[Any]) -> np.ndarray:
        """(E, ...) of arrays (W, ...) of JAX's, not to be written to."""
        found = [np.asarray(part) for part in parts]
        return (found[0] if len(found) == 1 else np.concatenate(found))[:self.games]

    def _of_state(self, name: str) -> np.ndarray:
        """(E, ...) one of the arrays that a state is made of."""
        place = self._played.places[name]
        block = self._whole([state[place.block] for state in self._states])
        return block[:, place.numbers].reshape(self.games, *place.shape)

    def _take_part(self) -> np.ndarray:
        """See who lives: (E, units) bool."""
        alive = self._of_state("unit_alive")
        if self._settings.dead == "inactive":
            self.active = alive[:, :self.agents].T.copy()
        return alive

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, size) each, see the module."""
        size, numbers = self.observations[0][0], self._whole([part[0] for part in self._seen])
        return [numbers[:, agent * size:(agent + 1) * size].copy() for agent in agents]

    def state(self) -> np.ndarray:
        """Of all units health, place, cooldown, type (zeros of the dead); then all units' teams, and types: (E, S)."""
        return self._whole([part[0] for part in self._seen])[:, -self.state_shape[0]:].copy()

    def action_masks(self, agents: range) -> list[np.ndarray]:
        """What `agents` may do: (E, 5 + enemies) each; the dead stand."""
        allowed = self._whole([part[1] for part in self._seen])
        return [allowed[:, agent].copy() for agent in agents]

    def positions(self) -> np.ndarray:
        """Where the allies are, the dead where they fell: (N, E, 2), from 0 to 32."""
        return self._of_state("unit_positions")[:, :self.agents].swapaxes(0, 1).astype(np.float64)

    def step(self, actions: np.ndarray) -> Step:
        """A step of all battles, with actions (N, E); what the dead do makes no difference."""
        lanes = self._lanes(actions.T.astype(np.int32))
        lanes[self.games:] = STAND
        rewards, self._begun = [], []
        for part, (seeds, following, told) in enumerate(zip(
                self._parts(self._seeds), self._parts(self._following), self._parts(lanes), strict=True)):
            paid, self._states[part], self._seen[part], *begun = self._played.step(
                seeds, following, self._states[part], told)
            self._begun.append((begun[0], begun[1]))
            rewards.append(paid)
        alive, self._over = self._take_part(), self._of_state("done").copy()
        fallen, beaten = (np.all(~team, axis=1, keepdims=True).T for team in np.split(alive, [self.agents], axis=1))
        self._won = (beaten & ~fallen)[0]
        terminated = np.repeat(fallen | beaten, self.agents, axis=0) | ~self.active
        r = np.repeat(self._whole(rewards)[None], self.agents, axis=0).astype(np.float64)
        return Step(r, terminated, self._over.copy())

    def measured(self) -> dict[str, np.ndarray]:
        """Which battles are won, (E,) zeros and ones."""
        return {"win_rate": self._won.astype(np.float64)}

    def get_state(self) -> dict[str, np.ndarray]:
        """The arrays of SMAX's state, with an axis of games first, and the numbers of the episodes (E,)."""
        return {"episodes": self._episodes.copy()} | {
            name: self._of_state(name).copy() for name in self._played.places}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin` with the same seed and chain."""
        everyone = np.arange(self.games)
        self._episodes[:] = state["episodes"] - 1
        self._know_following(everyone)
        self._seeds[everyone] = self._following[everyone]
        self._episodes += 1
        self._know_following(everyone)
        blocks: list[np.ndarray] = [np.zeros((len(self._seeds), block.shape[1]), block.dtype)
                                    for block in self._played.blank]
        for name, place in self._played.places.items():
            blocks[place.block][:self.games, place.numbers] = state[name].reshape(self.games, -1)
        self._states = list(zip(*map(self._parts, blocks), strict=True))
        self._begun = []
        self._begin(np.zeros(self.games, dtype=bool))
        self._take_part()

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one battle: who stands where, and how much health is left."""
        from netac.envs._smax_picture import picture
        places, health, types, alive = (self._of_state(f"unit_{name}")[game]
                                        for name in ("positions", "health", "types", "alive"))
        return picture(2.0 * places / SIDE - 1.0, 2.0 * RADII[types] / SIDE, alive * health / HEALTH[types],
                       self.agents)

    def close(self) -> None:
        """Nothing is held but what is compiled, which other games may use."""
