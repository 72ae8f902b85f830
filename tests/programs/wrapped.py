"""Third-party environments that need a line of Python before netac can step them: factories for `env.factory`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def scalar(module: str, weights: list[float], **kwargs: Any) -> Any:
    """A multi-objective environment of MOMAland whose rewards are the weighted sums of its objectives."""
    import numpy as np
    from momaland.utils.parallel_wrappers import LinearizeReward
    env = import_module(module).parallel_env(**kwargs)
    return LinearizeReward(env, {agent: np.array(weights) for agent in env.possible_agents})


def mapf(**kwargs: Any) -> Any:
    """Multi-agent path finding of pymapf, whose spaces become gymnasium's."""
    from pymapf.rl.env import MAPFEnv
    from pymapf.rl.wrappers import PettingZooParallel
    return PettingZooParallel(MAPFEnv(**kwargs))


def mosaic(name: str, **kwargs: Any) -> Any:
    """A grid of MOSAIC multigrid without its mission, which is a text."""
    from mosaic_multigrid import envs
    from mosaic_multigrid.pettingzoo import PettingZooWrapper
    from mosaic_multigrid.wrappers import ImgObsWrapper
    return PettingZooWrapper(ImgObsWrapper(getattr(envs, name)(**kwargs)))


def soccer(**kwargs: Any) -> Any:
    """Soccer of dm_control in PettingZoo's form."""
    from dm_control.locomotion import soccer as dm_soccer
    from shimmy import DmControlMultiAgentCompatibilityV0
    return DmControlMultiAgentCompatibilityV0(dm_soccer.load(**kwargs))


def waterworld(**kwargs: Any) -> Any:
    """Waterworld, which PettingZoo had until 1.25: that release lies in a folder of its own, PREFIX/older."""
    from pettingzoo import sisl
    if (older := f"{sys.prefix}/older/pettingzoo/sisl") not in sisl.__path__:
        sisl.__path__.append(older)
    return import_module("pettingzoo.sisl.waterworld.waterworld").parallel_env(**kwargs)


def traffic(net: str, **kwargs: Any) -> Any:
    """A net that SUMO-RL brings, with the SUMO of the package eclipse-sumo."""
    import sumo
    os.environ.setdefault("SUMO_HOME", sumo.SUMO_HOME)
    from pettingzoo.utils.agent_selector import AgentSelector
    from sumo_rl.environment import env
    env.agent_selector = AgentSelector            # PettingZoo 1.27 calls it so
    folder = Path(env.__file__).parents[1] / "nets" / net
    files = {"net_file": f"{folder}/{net.removesuffix('grid')}.net.xml",
             "route_file": f"{folder}/{net.removesuffix('grid')}.rou.xml"}
    return env.parallel_env(**files, **kwargs)


def paths(**kwargs: Any) -> Any:
    """Path finding of POGEMA."""
    from pogema import GridConfig
    from pogema.integrations.pettingzoo import parallel_env
    return parallel_env(GridConfig(**kwargs))


def generals() -> Any:
    """Generals.io."""
    from generals.agents import RandomAgent
    from generals.envs.pettingzoo_generals import PettingZooGenerals
    return PettingZooGenerals({name: RandomAgent(id=name) for name in ("red", "blue")})


def overcooked_grid(name: str) -> Any:
    """A kitchen of CoGrid."""
    from cogrid.envs import registry
    return registry.make(name)


def kitchen(name: str) -> Any:
    """A kitchen of the package overcooked."""
    from overcooked import Overcooked
    return Overcooked.from_layout(name)


def lasers(level: int) -> Any:
    """A level of the Laser Learning Environment."""
    from lle import LLE
    return LLE.level(level).build()


def multigrid(name: str, **kwargs: Any) -> Any:
    """A grid of the package multigrid."""
    from multigrid import envs
    from multigrid.pettingzoo import PettingZooWrapper
    return PettingZooWrapper(getattr(envs, name)(**kwargs))
