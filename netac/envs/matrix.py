"""Matrix games of one state and one common payoff: Proposition 1's game, the IGM counter-example, climbing, \
penalty, yours.

All agents get the same reward r(a_1, ..., a_N), without noise, and see the same constant 1.  Built in:

proposition-1: n agents (n even) with actions 0, 1; r = 1 for (0^{n/2}, 1^{n/2}) and (1^{n/2}, 0^{n/2}), else 0.  The
    best joint policy gets 1, the best one that all agents share 2 / 2^n (Kuba et al., 2022, "Trust region policy
    optimisation in multi-agent reinforcement learning", Proposition 1).
product: two agents, action k standing for a = k - 10 in {-10, ..., 10}; r = a_1 a_2, at best 100, by (-10, -10) or
    (10, 10).  Around the policies' means (1, -1) agent 1's advantage is largest at -10 and agent 2's at 10, which
    together give -100: the individual-global-max (IGM) condition of value decomposition fails.
climbing: two agents, r = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]; at best 11, by (0, 0).
penalty: two agents, r = [[10, 0, k], [0, 2, 0], [k, 0, 10]] with the option `penalty` as k; at best 10, by (0, 0) or
    (2, 2).  Both from Claus and Boutilier, 1998, "The dynamics of reinforcement learning in cooperative multiagent
    systems".

A file of yours holds an array `payoff` of shape (A_1, ..., A_N), the agents' numbers of actions.  An episode is
terminated after `horizon` steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from netac.envs._batched import Step
from netac.utils.errors import InputError
from netac.utils.files import finite_numbers, load_npz
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace

PENALTY = -100.0                # where nothing else is said
LARGEST_TABLE = 2**20           # payoffs of Proposition 1's game that are written down; it is played without a table
CLIMBING = ((11.0, -30.0, 0.0), (-30.0, 7.0, 6.0), (0.0, 0.0, 5.0))


class Settings(Options):
    """Options of `env = { name = "matrix" }`: either `game`, or `path`."""

    game: Literal["proposition-1", "product", "climbing", "penalty"] | None = Field(
        None, description="proposition-1 (default, an even number of agents), or of two agents: product, climbing, "
                          "penalty")
    path: str | None = Field(
        None, pattern=r"\.npz$", description="an .npz file with payoff (A_1, ..., A_N) instead of a game")
    penalty: float | None = Field(None, ge=-1e6, le=0, allow_inf_nan=False,
                                  description="k of the game penalty, at most 0 (default -100)")
    horizon: int = Field(1, ge=1, le=10**9, description="steps after which an episode is terminated")
    identity: bool = Field(False, description="agents see who they are, one-hot, and not a constant 1")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, table: dict) -> dict:
        if table.get("game") is None and table.get("path") is None:
            table = table | {"game": "proposition-1"}
        if table.get("game") == "penalty" and table.get("penalty") is None:
            table = table | {"penalty": PENALTY}
        return table

    @model_validator(mode="after")
    def _one_source(self) -> Settings:
        if self.game is not None and self.path is not None:
            raise ValueError("needs either `game` or `path` (an .npz file), and not both")
        if self.penalty is not None and self.game != "penalty":
            raise ValueError('`penalty` is for game = "penalty"')
        return self


def make(settings: Settings, agents: int, games: int) -> CommonPayoff:
    """`games` games of `agents` agents.

    Raises:
        InputError: the game is for another number of agents, or its file is not as it should be.
    """
    if settings.game == "proposition-1":
        _refuse_odd(agents)
        n_actions, payoff = (2,) * agents, opposite_halves
    else:
        table = payoff_table(settings, agents)
        n_actions, payoff = table.shape, lambda actions: table[tuple(actions)]
    spaces = tuple(ActionSpace(n_actions=n) for n in n_actions)
    return CommonPayoff(spaces, payoff, games, settings.horizon, settings.identity)


def opposite_halves(actions: np.ndarray) -> np.ndarray:
    """Proposition 1's rewards of joint actions, (n, E) zeros and ones -> (E,): 1 where each half of the agents agrees
    and the halves differ, else 0."""
    like_first = actions ^ (np.arange(len(actions)) >= len(actions) // 2)[:, None]     # the second half's flipped
    return (like_first == like_first[0]).all(axis=0).astype(float)


def payoff_table(settings: Settings, agents: int) -> np.ndarray:
    """Every joint action's reward: doubles, one axis for each agent.

    Raises:
        InputError: the game is for another number of agents or has too many joint actions to write down, or its file is
            not as it should be.
    """
    if settings.path is not None:
        return _read(Path(settings.path), agents)
    if settings.game == "proposition-1":
        _refuse_odd(agents)
        if 2**agents > LARGEST_TABLE:
            raise InputError("the game has too many joint actions to list them all", key="agents", found=agents,
                             valid=f"{LARGEST_TABLE.bit_length() - 1} at most")
        table, half = np.zeros((2,) * agents), agents // 2
        table[(0,) * half + (1,) * half] = table[(1,) * half + (0,) * half] = 1.0
        return table
    if agents != 2:
        raise InputError(f"the game {settings.game!r} is for two agents", key="agents", found=agents,
                         valid="2, or a game of your own: path")
    if settings.game == "product":
        values = np.arange(-10.0, 11.0)
        return np.multiply.outer(values, values)
    k = settings.penalty
    return np.array(CLIMBING if settings.game == "climbing" else ((10.0, 0.0, k), (0.0, 2.0, 0.0), (k, 0.0, 10.0)))


def _refuse_odd(agents: int) -> None:
    if agents % 2:
        raise InputError("Proposition 1's game is for an even number of agents", key="agents", found=agents,
                         valid="2, 4, 6, ...")


def _read(path: Path, agents: int) -> np.ndarray:
    arrays = load_npz(path)
    if "payoff" not in arrays:
        raise InputError("the file lacks an array", file=path, key="payoff", found=sorted(arrays), valid="payoff")
    payoff = arrays["payoff"]
    if not finite_numbers(payoff):
        raise InputError("holds something else than finite numbers", file=path, key="payoff", found=str(payoff.dtype))
    if payoff.ndim != agents or not payoff.size:
        shape = ", ".join(f"A_{agent + 1}" for agent in range(min(agents, 3))) + (", ..." if agents > 3 else "")
        raise InputError("has the wrong shape", file=path, key="payoff", found=payoff.shape,
                         valid=f"({shape}): one axis for each of {agents} agents, as long as it has actions")
    return payoff.astype(float)


class CommonPayoff:
    """E games of one state in which all agents get the same reward.

    The interface is `netac.envs._batched.BatchedEnvironment`.

    Args:
        actions: (N) action spaces.
        payoff: rewards (E,) of joint actions, as `step` takes them.
        games: E.
        horizon: steps of an episode.
        identity: whether an agent sees who it is, one-hot, instead of a constant 1.
    """

    state_shape, gamma, resumable = (1,), None, True

    def __init__(self, actions: tuple[ActionSpace, ...], payoff: Callable[[np.ndarray], np.ndarray], games: int,
                 horizon: int, identity: bool = False):
        self.agents, self.games, self.actions = len(actions), games, actions
        self.names = tuple(f"agent_{agent}" for agent in range(self.agents))
        self.observations = ((self.agents if identity else 1,),) * self.agents
        self.active = np.ones((self.agents, games), dtype=bool)
        self._payoff, self._horizon, self._identity = payoff, horizon, identity
        self._steps = np.zeros(games, dtype=np.int64)

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew; nothing is drawn at random."""
        self._steps[:] = 0

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew."""
        self._steps[games] = 0

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, 1) ones, or (E, N) with a one for oneself."""
        seen = np.zeros((len(agents), self.games, *self.observations[0]), dtype=np.float32)
        for row, agent in zip(seen, agents, strict=True):
            row[:, agent if self._identity else 0] = 1.0
        return list(seen)

    def state(self) -> np.ndarray:
        """The one state: (E, 1) ones."""
        return np.ones((self.games, *self.state_shape), dtype=np.float32)

    def step(self, actions: np.ndarray) -> Step:
        """Pay every agent for the joint action: (N, E) whole numbers, or (N, E, size) doubles."""
        self._steps += 1
        done = self._steps >= self._horizon
        return Step(np.tile(self._payoff(actions), (self.agents, 1)), np.tile(done, (self.agents, 1)), done)

    def get_state(self) -> dict[str, np.ndarray]:
        """The episodes' steps so far, (E,)."""
        return {"steps": self._steps.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin`."""
        self._steps[:] = state["steps"]

    def close(self) -> None:
        """Nothing is held."""
