"""The environment of an experiment: a built-in one by name, or whatever a user's function makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import ModuleType

from netac.envs import BatchedEnvironment, TabularEnvironment, check, check_batched
from netac.experiment.config import ENVIRONMENTS
from netac.utils import plugins
from netac.utils.errors import InputError

KINDS = ("a netac.envs.TabularEnvironment, a netac.envs.BatchedEnvironment (its factory takes `games`), or a PettingZoo "
         "ParallelEnv or AECEnv")


@dataclass(frozen=True)
class GamesSource:
    """An environment with a state of its own.

    Attributes:
        make: makes E games.
        probe: games that were made to look at their spaces and are closed; never played by a run.
        replicated: every process may step the games; else only process 0 does.
    """

    make: Callable[[], BatchedEnvironment]
    probe: BatchedEnvironment
    replicated: bool
    mdp: None = None

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


def is_batched(module: ModuleType) -> bool:
    """Whether a built-in environment's module makes games (its `make` takes `games`)."""
    return "games" in inspect.signature(module.make).parameters


def make_environment(spec: dict, agents: int, games: int) -> Environment:
    """The environment of the table [env], checked.

    Args:
        games: E, how many games are played side by side.
    """
    if "factory" in spec:
        return _from_factory(spec, agents, games)
    module = plugins.module(ENVIRONMENTS, spec["name"], "environment")
    settings = module.Settings(**{key: value for key, value in spec.items() if key != "name"})
    try:
        if not is_batched(module):
            return check(module.make(settings, agents), agents, spec["name"])
        make = partial(module.make, settings, agents, games)
        return GamesSource(make, make(), getattr(module, "REPLICATED", True))
    except InputError as error:
        raise error if error.file or (error.key or "").startswith(("env", "agents")) else error.located(key="env") from None


def _from_factory(spec: dict, agents: int, games: int) -> Environment:
    """What the user's function makes, looked at once and closed, so that a run whose process 0 alone plays may hold a port or
    a lock.  Each of the other processes of a launch makes one copy as well, for its spaces."""
    function, source = plugins.import_path(spec, "env"), spec["factory"]
    make = partial(plugins.call, function, spec, "env", agents=agents, games=games)
    made = make()
    try:
        if hasattr(made, "possible_agents") or hasattr(made, "agent_iter"):
            return _from_pettingzoo(make, made, agents, games, source)
        if hasattr(made, "restart") and hasattr(made, "observe"):
            return GamesSource(make, _closed(check_batched(made, agents, games, source)), replicated=True)
        if hasattr(made, "reset"):
            return _from_pettingzoo(make, made, agents, games, source)
        return check(made, agents, source)
    except InputError:
        raise
    except (Exception, SystemExit) as error:     # what a user's function gives may be anything
        raise InputError(f"what it gives fails as an environment: {type(error).__name__}: {error}", key="env.factory",
                         found=source, valid=KINDS) from error


def _from_pettingzoo(make: Callable, made: object, agents: int, games: int, source: str) -> GamesSource:
    from netac.envs._pettingzoo import ParallelGames
    several = partial(ParallelGames, make, agents, games, source)
    return GamesSource(several, _closed(several(made)), replicated=False)


def _closed(games: BatchedEnvironment) -> BatchedEnvironment:
    """The games, whose spaces can be read on."""
    with suppress(Exception, SystemExit):
        games.close()
    return games
