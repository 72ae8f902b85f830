"""Environments of other packages: what the tests play, and what docs/environments.md says of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netac.envs import BatchedEnvironment
from netac.experiment.config import read
from netac.experiment.make_env import make_environment
from support.launching import ROOT

PROGRAMS = str(Path(__file__).parents[1] / "programs")
PAGE = ROOT / "docs" / "environments.md"
REQUIREMENTS = ROOT / "tests" / "third_party.txt"

OLDER = f"{sys.prefix}/older"                    # releases that netac does not take, each package alone

SAMPLES = {"iac": {}, "cac": {}, "dac": {}, "mdac": {"batch": 3}}
ROLLOUT = {"rollout": 6, "epochs": 1, "critic_epochs": 1}
OPTIONS = SAMPLES | dict.fromkeys(("cppo", "mappo", "ippo", "happo", "coma"), ROLLOUT) | {
    "maddpg": {"rollout": 6, "updates": 1, "batch": 8, "warmup": 8, "buffer": 64}}
ALL = tuple(OPTIONS)
LITTLE = ("cac", "cppo", "happo")                # a decentralized algorithm of each kind, and a central trainer
MOST = ("iac", "cac", "cppo", "mappo", "ippo", "happo")      # where the others take long
TURNS = "agents act in turn, told by masks"
UNCHECKED = {"disable_env_checker": True}        # gymnasium's check does not know of rewards in lists
STATE = {"critic": {"sees": "state"}}


@dataclass(frozen=True)
class Played:
    """An environment that runs.

    Attributes:
        package: the one it comes from, as PyPI calls it.
        factory: as in an experiment file; without a colon, the name of one that netac ships.
        agents: how many it has.
        kwargs: its arguments.
        soon: arguments that make its episodes end within a few steps.
        algorithms: those that were run.
        always: every run of the tests trains in it with those of `LITTLE`.
        state: it has a global state: CAC, MDAC and cppo run with critics of it, too.
        together: two processes can make it at the same time and see the same games.
        release: of the package, where it is another one than that beside netac; it lies in `OLDER`.
        steps: about as many are needed for an episode to end.
        needs: what the page says of it.
    """

    package: str
    factory: str
    agents: int
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    soon: Mapping[str, Any] = field(default_factory=dict)
    algorithms: tuple[str, ...] = ALL
    always: bool = False
    state: bool = True
    together: bool = True
    release: str = ""
    steps: int = 6
    needs: str = ""

    @property
    def name(self) -> str:
        """The factory and the arguments, as the page shows them."""
        return shown(self.factory, self.kwargs)

    @property
    def packed(self) -> str:
        """Its package and the release, as the page shows them."""
        return f"{self.package} {self.release or versions()[self.package]}"

    @property
    def shipped(self) -> bool:
        """Whether it is one of netac's own, played by another package."""
        return ":" not in self.factory

    @property
    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """Each algorithm, and what it is run with besides its options."""
        mixing = [name for name in ("cac", "mdac", "cppo") if name in self.algorithms and self.state]
        return [(name, {}) for name in self.algorithms] + [(name, STATE) for name in mixing]

    def experiment(self, algorithm: str, **tables: Any) -> dict[str, Any]:
        """A short experiment in which episodes end."""
        iterations = {"mdac": 3 + self.steps // 3}.get(algorithm, 2 * self.steps if algorithm in SAMPLES else 4)
        options = OPTIONS[algorithm] if algorithm in SAMPLES else OPTIONS[algorithm] | {"rollout": self.steps}
        return {"agents": self.agents, "iterations": iterations, "envs": 2, "log_every": 1,
                "env": self.table({**self.kwargs, **self.soon}),
                "policy": {"name": "mlp", "hidden": [8]}, "algorithm": {"name": algorithm, "gamma": 0.9, **options},
                **tables}

    def table(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The table [env] with these arguments."""
        if self.shipped:
            return {"name": self.factory, **kwargs}
        return {"factory": self.factory, "kwargs": dict(kwargs), "folder": PROGRAMS}

    def make(self) -> BatchedEnvironment:
        """One game, as the page describes it."""
        env = read({"agents": self.agents, "iterations": 1, "env": self.table(self.kwargs)}).experiment("iac").env
        return make_environment(env, self.agents, 1).make()

    def cells(self, env: BatchedEnvironment) -> tuple[str, ...]:
        """The page's row but for the speed: what was played, and what agents see and do."""
        algorithms = "all" if self.algorithms == ALL else ", ".join(self.algorithms)
        return (self.packed, self.name, str(self.agents), sizes(env.observations),
                ", ".join(unlike(space.n_actions or f"real: {space.size}" for space in env.actions)),
                sizes([env.state_shape]) if self.state else "none", algorithms, self.needs)


@dataclass(frozen=True)
class Refused:
    """An environment that does not run, with the reason that the page gives and a part of netac's message."""

    package: str
    factory: str
    reason: str
    message: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    agents: int = 2

    @property
    def cells(self) -> tuple[str, ...]:
        """The page's row."""
        return f"{self.package} {versions()[self.package]}", shown(self.factory, self.kwargs), self.reason

    def experiment(self) -> dict[str, Any]:
        """An experiment with it."""
        return Played(self.package, self.factory, self.agents, self.kwargs).experiment("mappo")


def shown(factory: str, kwargs: Mapping[str, Any]) -> str:
    """A factory and its arguments, as code."""
    return (f"`{factory}`" + "".join(f" `{key} = {json.dumps(value)}`" for key, value in kwargs.items())
            ).replace("|", r"\|")


def unlike(things: Iterable[Any]) -> list[str]:
    """Things that differ, in the order in which they come first."""
    return list(dict.fromkeys(map(str, things)))


def sizes(shapes: Iterable[tuple[int, ...] | None]) -> str:
    """Shapes of arrays, each once."""
    return ", ".join(unlike(" x ".join(map(str, shape)) for shape in shapes if shape))


def versions() -> dict[str, str]:
    """The pinned versions of the packages that are played, by their names."""
    lines = REQUIREMENTS.read_text().splitlines() + (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line))


def rows(heading: str) -> list[tuple[str, ...]]:
    """The rows of the table under a heading of the page, cell by cell."""
    section = PAGE.read_text().partition(f"\n{heading}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in lines[2:]]


def _mpe(name: str, agents: int, **options: Any) -> Played:
    return Played("mpe2", f"mpe2.{name}:parallel_env", agents, soon={"max_cycles": 5}, **options)


def _zoo(name: str, agents: int, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Played:
    return Played("pettingzoo", f"pettingzoo.{name}", agents, kwargs or {}, {"max_cycles": 5}, **options)


def _robot(scenario: str, parts: str, agents: int, **options: Any) -> Played:
    return Played("gymnasium-robotics", "gymnasium_robotics:mamujoco_v1.parallel_env", agents,
                  {"scenario": scenario, "agent_conf": parts}, {"max_episode_steps": 5}, **options)


def _magent(name: str, agents: int, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Played:
    return Played("magent2", f"magent2.environments.{name}:parallel_env", agents, kwargs or {}, {"max_cycles": 5},
                  **options)


def _momaland(module: str, agents: int, weights: list[float], **options: Any) -> Played:
    needs = options.pop("needs", "")
    return Played("momaland", "wrapped:scalar", agents, {"module": f"momaland.envs.{module}", "weights": weights},
                  needs="weights of the objectives" + needs, **options)


PLAYED = (
    _mpe("simple_v3", 1),
    _mpe("simple_spread_v3", 3),
    _mpe("simple_tag_v3", 4, always=True),
    _mpe("simple_adversary_v3", 3),
    _mpe("simple_crypto_v3", 3),
    _mpe("simple_push_v3", 2),
    _mpe("simple_reference_v3", 2, always=True),
    _mpe("simple_speaker_listener_v4", 2),
    _mpe("simple_world_comm_v3", 6, always=True),
    _mpe("collect_treasure_v1", 8),
    _mpe("simple_formation_v1", 4),
    _mpe("simple_line_v1", 4),
    _zoo("sisl.pursuit_v5:parallel_env", 8),
    _zoo("sisl.multiwalker_v9:parallel_env", 3, always=True, needs="box2d"),
    Played("pettingzoo", "wrapped:waterworld", 2, soon={"max_cycles": 5}, state=False, release="1.25.0",
           needs="pymunk 6"),
    _zoo("butterfly.knights_archers_zombies_v11:parallel_env", 4, always=True),
    _zoo("butterfly.knights_archers_zombies_v11:env", 4),
    _zoo("butterfly.pistonball_v6:parallel_env", 2, {"n_pistons": 2}, algorithms=MOST, always=True,
         needs="pymunk; images of 457 x 120"),
    _zoo("butterfly.cooperative_pong_v6:parallel_env", 2, algorithms=MOST, needs="images of 280 x 480"),
    _zoo("classic.rps_v2:parallel_env", 2, state=False),
    _zoo("classic.rps_v2:env", 2, state=False),
    Played("pettingzoo", "pettingzoo.classic.tictactoe_v3:env", 2, always=True, state=False, steps=10,
           needs=TURNS),
    Played("pettingzoo", "pettingzoo.classic.connect_four_v3:env", 2, state=False, steps=43, needs=TURNS),
    Played("rware", "gymnasium:make", 2, {"id": "rware:rware-tiny-2ag-easy-v2", **UNCHECKED}, {"max_steps": 5},
           always=True, state=False),
    Played("lbforaging", "gymnasium:make", 2, {"id": "lbforaging:Foraging-5x5-2p-1f-coop-v3", **UNCHECKED},
           {"max_episode_steps": 5}, always=True, state=False, together=False, needs="no seeds: games do not repeat"),
    _robot("HalfCheetah", "2x3", 2),
    _robot("Hopper", "3x1", 3),
    _robot("Walker2d", "2x3", 2),
    _robot("Swimmer", "2x1", 2),
    _robot("Ant", "4x2", 4, always=True),
    _robot("Humanoid", "9|8", 2),
    _robot("ManySegmentSwimmer", "5x1", 5, always=True, together=False,
           needs="one process: it writes files into its package"),
    _magent("battle_v4", 12, {"map_size": 16}),
    _magent("combined_arms_v6", 12, {"map_size": 16}),
    _magent("adversarial_pursuit_v4", 9, {"map_size": 16}),
    _magent("battlefield_v5", 24),
    _magent("tiger_deer_v4", 121, algorithms=("iac", "ippo", "mappo")),
    _momaland("crazyrl.surround.surround_v0", 4, [0.5, 0.5], steps=40),
    _momaland("crazyrl.catch.catch_v0", 4, [0.5, 0.5], steps=40),
    _momaland("crazyrl.escort.escort_v0", 4, [0.5, 0.5], steps=40),
    _momaland("item_gathering.moitem_gathering_v0", 2, [0.5, 0.3, 0.2], soon={"num_timesteps": 5}),
    _momaland("multiwalker_stability.momultiwalker_stability_v0", 3, [0.5, 0.5], soon={"max_cycles": 5},
              needs="; box2d"),
    _momaland("beach.mobeach_v0", 100, [0.5, 0.5], algorithms=("iac", "ippo", "mappo")),
    Played("DSSE", "DSSE:DroneSwarmSearch", 2, {"drone_amount": 2}, {"timestep_limit": 5}, state=False),
    Played("frondori-kitchen", "frondori_kitchen.env:KitchenEnv", 2, soon={"max_steps": 5}, state=False),
    Played("frondori-football", "frondori_football.env:FootballEnv", 2, soon={"max_ticks": 5}, state=False),
    Played("PyFlyt", "PyFlyt.pz_envs:MAQuadXHoverEnv", 4, soon={"max_duration_seconds": 0.2}, state=False),
    Played("pypzbattlesnake", "pypzbattlesnake.env:BattleSnake", 4,
           {"teams_count": 2, "team_snakes_count": 2, "size": [5, 5]}, state=False, together=False,
           needs="no seeds: games do not repeat"),
    Played("pymapf", "wrapped:mapf", 6, {"scenario": "random_obstacles"}, {"max_steps": 5}),
    Played("mosaic_multigrid", "wrapped:mosaic", 4, {"name": "SoccerGame4HIndAgObsEnv16x11N2"}, {"max_steps": 5}),
    Played("dm-control", "wrapped:soccer", 2, {"team_size": 1}, {"time_limit": 0.1}, state=False, needs="shimmy"),
    Played("sumo-rl", "wrapped:traffic", 4, {"net": "2x2grid"}, {"num_seconds": 30}, algorithms=MOST,
           state=False, needs="eclipse-sumo"),
    Played("libsumo", "traffic", 4, {"network": "2x2grid"}, {"seconds": 30}, always=True,
           needs="of netac: `env.name`; `sumo-rl`"),
)

REFUSED = (
    Refused("multi-agent-ale-py", "pettingzoo.atari.pong_v3:parallel_env", "its ROMs are not on PyPI",
            "rom pong is not installed"),
    Refused("vmas", "vmas:make_env", "an interface of its own", "no PettingZoo environment",
            {"scenario": "balance", "num_envs": 1}),
    Refused("overcooked", "wrapped:kitchen", "an interface of its own", "no PettingZoo environment",
            {"name": "cramped_room"}),
    Refused("laser-learning-environment", "wrapped:lasers", "an interface of its own", "no PettingZoo environment",
            {"level": 2}),
    Refused("momaland", "momaland.envs.crazyrl.surround.surround_v0:parallel_env",
            "a reward is a vector: `wrapped:scalar` weighs it", "is not a number", agents=4),
    Refused("momaland", "wrapped:scalar", "its step fails with NumPy 2.4", "setting an array element with a sequence",
            {"module": "momaland.envs.gem_mining.mogem_mining_v0", "weights": [0.5, 0.5]}, 20),
    Refused("momaland", "wrapped:scalar", "its networks cannot be read with NetworkX 3.6", "KeyError: 'edges'",
            {"module": "momaland.envs.route_choice.moroute_choice_v0", "weights": [0.5, 0.5]}),
    Refused("PyFlyt", "PyFlyt.pz_envs:MAFixedwingDogfightEnv", "observes 30 numbers where its space says 34",
            "has shape (30,) instead of (34,)"),
    Refused("multigrid", "wrapped:multigrid", "an observation holds a text", "observation['mission']",
            {"name": "EmptyEnv", "agents": 2}),
    Refused("cogrid", "wrapped:overcooked_grid", "has no observation_space", "no attribute 'observation_spaces'",
            {"name": "Overcooked-CrampedRoom-V0"}),
    Refused("generals", "wrapped:generals", "has no observation_space before a reset", "no attribute 'game'"),
    Refused("pogema", "wrapped:paths", "the version that PyPI gives beside pydantic 2.14 fails", "GridConfig",
            {"num_agents": 2}),
)
