"""The environment of an experiment: a built-in one by name, or whatever a user's function makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from netac.envs import BatchedEnvironment, TabularEnvironment, check, check_batched, check_number
from netac.envs._seeing import as_seen
from netac.envs._spatial import DiscountedGames
from netac.envs._tabular_games import TabularGames
from netac.experiment.budget import refuse_games
from netac.experiment.schema import UserEnvironment
from netac.utils import plugins
from netac.utils.errors import InputError, quietly, raised
from netac.utils.plugins import BuiltIn, Factory
from netac.utils.sight import Sight

KINDS = ("a netac.envs.TabularEnvironment, a netac.envs.BatchedEnvironment (its factory takes `games`), a PettingZoo "
         "ParallelEnv or AECEnv, or an environment of gymnasium whose agents act in lists")


@dataclass(frozen=True)
class GamesSource:
    """An environment with a state of its own, or one played as if it had.

    Attributes:
        several: makes as many games as it is told.
        games: E, how many are played side by side.
        probe: games that were made to look at their spaces and are closed; never played by a run.
        replicated: every process may step the games; else only process 0 does.
        endless: whether episodes have no end.
        weights: (N, N), with which agents learn from sums of all rewards; None: each from its own.
        wanted: what policies and critics see; None: everyone its own.
    """

    several: Callable[[int], BatchedEnvironment]
    games: int
    probe: BatchedEnvironment
    replicated: bool
    endless: bool = False
    weights: np.ndarray | None = None
    wanted: Sight | None = None
    mdp: None = None

    def make(self) -> BatchedEnvironment:
        """E games."""
        made = as_seen(self.several(self.games), self.sight)
        return made if self.weights is None else DiscountedGames(made, self.weights)

    def seen(self, sight: Sight) -> GamesSource:
        """The same, seen so."""
        return replace(self, wanted=sight, probe=as_seen(self.probe, sight))

    @property
    def sight(self) -> Sight:
        """What policies and critics see."""
        return self.wanted or Sight.of(self.probe)

    @property
    def agents(self) -> int:
        """N."""
        return self.probe.agents

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found odd about it, though it does no harm."""
        return getattr(self.probe, "warnings", ())

    @property
    def gamma(self) -> float | None:
        """The discount the environment comes with."""
        return self.probe.gamma


Environment = TabularEnvironment | GamesSource


def as_games(environment: Environment, games: int) -> GamesSource:
    """Where networks play: an environment with finitely many states is played as games that show them one-hot."""
    if isinstance(environment, GamesSource):
        return environment
    refuse_games(environment.agents, games)
    several: Callable[[int], Any] = partial(TabularGames, environment)          # which do not draw
    return GamesSource(several, games, several(games), replicated=True, endless=True)


def is_batched(module: ModuleType) -> bool:
    """Whether a built-in environment's module makes games (its `make` takes `games`)."""
    return "games" in inspect.signature(module.make).parameters


def make_environment(env: BuiltIn | Factory, agents: int, games: int) -> Environment:
    """The environment that the table [env] stands for, checked.

    Args:
        games: E, how many games are played side by side.

    Raises:
        InputError: it cannot be made, or is not what netac asks of an environment.
    """
    if isinstance(env, Factory):
        return _from_factory(env, agents, games)
    module, settings = env.module, env.settings
    try:
        if not is_batched(module):
            return check(module.make(settings, agents), agents, env.name)
        refuse_games(agents, games)
        several = partial(module.make, settings, agents)
        return GamesSource(several, games, several(games), getattr(module, "REPLICATED", True))
    except InputError as error:
        located = error.file or (error.key or "").startswith(("env", "agents"))
        raise error if located else error.located(key="env") from error.__cause__


def _from_factory(factory: Factory, agents: int, games: int) -> Environment:
    """What the user's function makes, looked at once and closed, so that a run whose process 0 alone plays may hold a
    port or a lock.  Each of the other processes of a launch makes one copy as well, for its spaces."""
    function, source = plugins.import_path(factory, "env"), factory.factory
    strict = isinstance(factory, UserEnvironment) and factory.check == "strict"

    def several(games: int) -> Any:
        return plugins.call(function, factory, "env", agents=agents, games=games)

    made = several(games)
    try:
        if hasattr(made, "possible_agents") or hasattr(made, "agent_iter"):
            return _from_pettingzoo(several, made, agents, games, source, strict)
        if hasattr(made, "restart") and hasattr(made, "observe"):
            probe = closed(check_batched(made, agents, games, source))
            return GamesSource(lambda games: check_number(several(games), "games", games, source), games, probe,
                               replicated=True)
        if hasattr(made, "reset"):
            return _from_pettingzoo(several, made, agents, games, source, strict)
        return check(made, agents, source)
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:     # what a user's function gives may be anything
        raise InputError(f"what it gives fails as an environment: {raised(error)}", key="env.factory",
                         found=source, valid=KINDS) from error


def _from_pettingzoo(several: Callable[[int], object], made: object, agents: int, games: int, source: str,
                     strict: bool) -> GamesSource:
    from netac.envs._pettingzoo import ParallelGames

    def played(games: int, made: object = None) -> ParallelGames:
        return ParallelGames(partial(several, games), agents, games, source, made)

    probe = closed(played(games, made))
    found = GamesSource(played, games, probe, replicated=False)
    if strict and found.warnings:
        raise InputError(f"{source}: {found.warnings[0]}", key="env.check", found="strict",
                         valid='an environment without this, or "lenient"')
    return found


def closed(games: BatchedEnvironment) -> BatchedEnvironment:
    """The games, closed, so that only their spaces are read on; a missing or failing `close` of a user's is ignored."""
    quietly(lambda: games.close())
    return games
