"""Robots whose joints are dealt among agents: Multi-Agent MuJoCo (de Witt et al., 2020b; extra `mamujoco`).

`scenario` is the robot, `agent_conf` says how many agents there are and how many joints each has.  All twelve tasks of
paper 001's Figure 3 (lines 294-342) are there:

    Ant 2x4, 4x2, 8x1;  HalfCheetah 2x3, 3x2, 6x1;  Walker2d 2x3, 3x2, 6x1;  ManySegmentSwimmer 10x2;
    Humanoid 17x1;  HumanoidStandup 17x1

gymnasium-robotics knows half of them.  For the others its graph of joints is dealt anew, in runs of the order `JOINTS`,
that of Multi-Agent MuJoCo's first code (HalfCheetah 3x2: back foot and shin, back thigh and front foot, front shin and
thigh).  All agents get the robot's reward.  They see their own joints, those at most `agent_obsk` joints away, and the
torso; the state is all that there is to see.

A ManySegmentSwimmer has as many joints as its agents together, and is built from a file in a temporary folder: the
package writes into its own, where processes get in each other's way.
"""

from __future__ import annotations

import os
import re
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from netac.utils.errors import InputError, did_you_mean
from netac.utils.options import Options

if TYPE_CHECKING:
    from netac.envs._pettingzoo import ParallelGames

REPLICATED = False
EXTRA = 'pip install "netac[mamujoco]"'
SWIMMER = "ManySegmentSwimmer"
JOINTS = {                         # dealt by netac: the package knows no such parts
    ("Ant", "8x1"): "hip1 ankle1 hip2 ankle2 hip3 ankle3 hip4 ankle4",
    ("HalfCheetah", "3x2"): "bfoot bshin bthigh ffoot fshin fthigh",
    ("Walker2d", "3x2"): "foot_joint leg_joint thigh_joint foot_left_joint leg_left_joint thigh_left_joint",
    ("Walker2d", "6x1"): "foot_joint leg_joint thigh_joint foot_left_joint leg_left_joint thigh_left_joint",
    **{(scenario, "17x1"): (
        "abdomen_y abdomen_z abdomen_x right_hip_x right_hip_z right_hip_y right_knee left_hip_x left_hip_z left_hip_y "
        "left_knee right_shoulder1 right_shoulder2 right_elbow left_shoulder1 left_shoulder2 left_elbow")
       for scenario in ("Humanoid", "HumanoidStandup")}}
KNOWN = {"Ant": ("2x4", "2x4d", "4x2"), "HalfCheetah": ("2x3", "6x1"), "Hopper": ("3x1",), "Humanoid": ("9|8",),
         "HumanoidStandup": ("9|8",), "Reacher": ("2x1",), "Swimmer": ("2x1",), "Walker2d": ("2x3",)}


class Settings(Options):
    """Options of `env = { name = "mamujoco" }`; `agents` is the number of parts."""

    scenario: Literal["Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "ManySegmentSwimmer", "Reacher",
                      "Swimmer", "Walker2d"] = Field(description="the robot")
    agent_conf: str = Field(description=(
        'agents x joints of each: "2x4", "2x4d" (diagonal legs), "4x2", "8x1" of Ant; "2x3", "3x2", "6x1" of '
        'HalfCheetah and Walker2d; "9|8", "17x1" of Humanoid and HumanoidStandup; "3x1" of Hopper; "2x1" of Reacher '
        'and Swimmer; any of ManySegmentSwimmer, such as "10x2"'))
    agent_obsk: int = Field(1, ge=0, le=100, description=(
        "agents see the joints at most so many joints away from their own"))
    max_episode_steps: int = Field(1000, ge=1, le=10**9, description="steps after which an episode is truncated")
    render_mode: Literal["rgb_array"] | None = Field(None, description=(
        '"rgb_array": there are pictures; netac evaluate --render says it by itself'))

    @model_validator(mode="after")
    def _parts(self) -> Settings:
        if self.scenario == SWIMMER:
            if not re.fullmatch(r"[1-9]\d?x[1-9]\d?", self.agent_conf) or self.segments < 2:
                raise ValueError("agent_conf of a ManySegmentSwimmer is agents x joints of each, two joints or more, "
                                 f'such as "10x2" (found {self.agent_conf!r})')
            return self
        known = [*KNOWN[self.scenario], *(conf for scenario, conf in JOINTS if scenario == self.scenario)]
        if self.agent_conf not in known:
            raise ValueError(f"{self.scenario} has no agent_conf {self.agent_conf!r}"
                             f"{did_you_mean(self.agent_conf, known)}; there are {', '.join(known)}")
        return self

    @property
    def segments(self) -> int:
        """How many joints agents have in all, of agents x joints."""
        agents, joints = map(int, self.agent_conf.split("x"))
        return agents * joints


def make(settings: Settings, agents: int, games: int) -> ParallelGames:
    """`games` robots with `agents` parts each.

    Raises:
        InputError: something is not installed, or there is another number of agents.
    """
    try:
        import gymnasium_robotics  # noqa: F401
        import mujoco  # noqa: F401
    except ImportError as error:
        raise InputError(f"needs {error.name or 'mujoco'}, which is not installed", key="env.name", found="mamujoco",
                         valid=EXTRA) from error
    from netac.envs._pettingzoo import ParallelGames

    return ParallelGames(partial(robot, settings), agents, games, f"{settings.scenario} {settings.agent_conf}")


def robot(settings: Settings) -> Any:
    """A PettingZoo environment of gymnasium-robotics."""
    from gymnasium_robotics import mamujoco_v1

    scenario, conf = settings.scenario, settings.agent_conf
    more = {"agent_obsk": settings.agent_obsk}
    own = {"max_episode_steps": settings.max_episode_steps, "render_mode": settings.render_mode}
    if scenario == SWIMMER:
        return mamujoco_v1.parallel_env(scenario, conf, gym_env=_swimmer(settings.segments, own), **more)
    dealt = _dealt(scenario, conf) if (scenario, conf) in JOINTS else None
    return mamujoco_v1.parallel_env(scenario, conf, agent_factorization=dealt, **more, **own)


def _dealt(scenario: str, conf: str) -> dict[str, Any]:
    """A factorisation: the joints in their order, as many to each agent."""
    from gymnasium_robotics.envs.multiagent_mujoco.obsk import get_parts_and_edges

    (every,), edges, torso = get_parts_and_edges(scenario, None)
    nodes = {node.label: node for node in every}
    order, each = [nodes[label] for label in JOINTS[scenario, conf].split()], int(conf.partition("x")[2])
    return {"partition": [tuple(order[first:first + each]) for first in range(0, len(order), each)], "edges": edges,
            "globals": torso}


def _swimmer(joints: int, options: dict[str, Any]) -> Any:
    """A swimmer with so many joints, from a file that is gone afterwards."""
    import gymnasium
    from gymnasium_robotics.envs.multiagent_mujoco.many_segment_swimmer import gen_asset

    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "swimmer.xml")
        gen_asset(joints, path)
        return gymnasium.make("Swimmer-v5", xml_file=path, **options)
