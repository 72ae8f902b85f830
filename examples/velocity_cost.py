"""Multi-Agent MuJoCo with a cost: 1 for every agent in a step in which the robot moves forwards faster than it may."""

from typing import Any

from gymnasium_robotics import mamujoco_v1
from pettingzoo.utils import BaseParallelWrapper


class VelocityCost(BaseParallelWrapper):
    """`env`, an environment of `mamujoco_v1`, whose infos have a `cost`.

    Args:
        fastest: m/s.
    """

    def __init__(self, env: Any, fastest: float):
        super().__init__(env)
        self._fastest = fastest

    def step(self, actions: dict) -> tuple[dict, dict, dict, dict, dict]:
        """One joint step."""
        *answer, infos = self.env.step(actions)
        infos = {agent: {**info, "cost": float(info["x_velocity"] > self._fastest)} for agent, info in infos.items()}
        return *answer, infos


def make(fastest: float = 1.0, **options: Any) -> VelocityCost:
    """An environment with options of `mamujoco_v1.parallel_env`."""
    return VelocityCost(mamujoco_v1.parallel_env(**options), fastest)
