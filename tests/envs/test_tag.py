"""netac's tag against mpe2's `simple_tag_v3`, game by game to the last bit, with preys that learn and scripted ones."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import pytest

pytest.importorskip("mpe2")

from mpe2 import simple_tag_v3
from mpe2._mpe_utils.core import Action
from mpe2.simple_tag import simple_tag
from support.original_particles import Original, moves_by_new_velocities, replay

from netac.envs import tag

MIXED = {"max_cycles": 40, "terminate_on_success": True}


def hunt(pursuers: int, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Pursuers to the prey that is nearest, braking in time, preys away from the nearest pursuer."""
    hunters, preys = np.split(arrays["positions"], [pursuers])
    away = preys[None] - hunters[:, None]                                       # (P, G, 2)
    distances = np.hypot(away[..., 0], away[..., 1])
    to_preys = away[np.arange(pursuers), distances.argmin(axis=1)] - 0.3 * arrays["velocities"][:pursuers]
    return np.concatenate([to_preys, away[distances.argmin(axis=0), np.arange(len(preys))]])


def events(pursuers: int, speed: float, arrays: dict[str, np.ndarray]) -> dict[str, int]:
    positions, preys = arrays["positions"], arrays["positions"][pursuers:]
    radii = np.array([0.075] * pursuers + [0.05] * len(preys))
    gaps = np.hypot(*(positions[:, None] - positions).transpose(2, 0, 1)) - radii[:, None] - radii
    blocked = np.hypot(*(positions[:, None] - arrays["landmarks"]).transpose(2, 0, 1)) - radii[:, None] - 0.2
    fastest = np.hypot(*arrays["velocities"].T) > np.array([1.0] * pursuers + [1.3 * speed] * len(preys)) - 1e-9
    return {"hits": int((gaps[:pursuers, pursuers:] < 0).sum()),
            "pursuers together": int((gaps[:pursuers, :pursuers] < 0).sum()) - pursuers,
            "preys together": int((gaps[pursuers:, pursuers:] < 0).sum()) - len(preys),
            "pursuers at obstacles": int((blocked[:pursuers] < 0).sum()),
            "preys at obstacles": int((blocked[pursuers:] < 0).sum()),
            "fast pursuers": int(fastest[:pursuers].sum()), "fast preys": int(fastest[pursuers:].sum()),
            "bound": int(((np.abs(preys) >= 0.9) & (np.abs(preys) < 1)).sum()),
            "outside": int(((np.abs(preys) >= 1) & (np.abs(preys) < 2.15)).sum()),
            "far out": int((np.abs(preys) > 2.16).sum()), "at the edge": int((np.abs(preys) >= 1.2).sum())}


def flee(agent, world, continuous: bool) -> Action:
    """The scripted prey in plain loops, as mpe2 lets worlds have scripts."""
    least, dx, dy = math.inf, 0.0, 0.0
    for other in world.agents:
        if other.adversary:
            x, y = (other.state.p_pos - agent.state.p_pos).tolist()
            distance = math.sqrt(x * x + y * y)
            if distance < least:
                least, dx, dy = distance, x, y
    push = [-dx / max(abs(dx), abs(dy)), -dy / max(abs(dx), abs(dy))]
    for axis in (0, 1):
        place = agent.state.p_pos[axis]
        if (place <= -1.2 and push[axis] < 0) or (place >= 1.2 and push[axis] > 0):
            push[axis] = 0.0
    if not continuous:
        axis = 0 if abs(push[0]) >= abs(push[1]) else 1
        push[1 - axis], push[axis] = 0.0, float(np.sign(push[axis]))
    action = Action()
    action.u, action.c = np.array(push) * agent.accel, np.zeros(world.dim_c)
    return action


def changed(options: dict) -> Callable:
    """What mpe2's object is told of options that it does not have as arguments."""
    def change(env) -> None:
        if "prey_speed" in options:        # mpe2 1.1 stays at its first stage, whatever `set_curriculum_stage` is told
            env.scenario.CURRICULUM_STAGES = [{"prey_speed_factor": options["prey_speed"]}]
        if options.get("num_landmark_neighbors") == 0:
            env.scenario.num_landmark_neighbors = 0
        if options.get("shaped"):
            lines = inspect.getsource(simple_tag.Scenario)
            assert lines.count("shape = False") == 2
            names = dict(vars(simple_tag))
            exec(lines.replace("shape = False", "shape = True"), names)         # mpe2's own lines, the switch turned
            env.scenario.__class__ = names["Scenario"]
        if options.get("dynamics") == "v2":
            moves_by_new_velocities(env)
        if options.get("prey") == "scripted":
            for agent in env.world.agents:
                if not agent.adversary:
                    agent.action_callback = partial(flee, continuous=options.get("continuous_actions", False))
    return change


def begin(pursuers: int, seed: int, crowd: float, options: dict) -> Original:
    known = {name: value for name, value in options.items() if name in inspect.signature(simple_tag.raw_env).parameters}
    if known.get("num_landmark_neighbors") == 0:
        del known["num_landmark_neighbors"]
    return Original.begin(simple_tag_v3, seed, crowd, changed(options), num_adversaries=pursuers,
                          curriculum="prey_speed" in options, **known)


def make(pursuers: int, games: int = 1, **options) -> tag.Tag:
    settings = tag.Settings(**options)
    return tag.make(settings, pursuers + (settings.num_good if settings.prey == "learning" else 0), games)


def bodies(preys: int, obstacles: int, continuous: bool = False, **options) -> dict:
    return {"num_good": preys, "num_obstacles": obstacles, "continuous_actions": continuous, **options}


PUBLISHED = bodies(1, 8, True, prey="scripted", max_cycles=50)
CASTS = ((1, 1, 0), (1, 1, 2), (1, 2, 0), (1, 3, 5), (2, 1, 1), (2, 2, 3), (3, 1, 8), (3, 2, 0), (4, 3, 2), (6, 2, 5))
REPLAYS = {       # pursuers, games, share of the plane in which games begin, options
    "default": (3, 8, 1.0, {}),
    "default-continuous": (3, 8, 1.0, {"continuous_actions": True}),
    **{f"{p}-{g}-{o}-{'continuous' if continuous else 'discrete'}{'-crowd' if crowd < 1 else ''}":
       (p, 2, crowd, bodies(g, o, continuous, **MIXED))
       for (p, g, o), continuous, crowd in product(CASTS, (False, True), (1.0, 0.3))},
    **{f"sees-{others}-agents-{obstacles}-obstacles-of-{p}-{g}-{o}{'-continuous' if continuous else ''}":
       (p, 2, 0.6, bodies(g, o, continuous, num_agent_neighbors=others, num_landmark_neighbors=obstacles))
       for (p, g, o, others, obstacles), continuous in product(
           ((3, 1, 2, 1, 1), (3, 1, 2, 2, None), (1, 2, 4, None, 3), (4, 2, 3, 3, 2), (1, 1, 0, 4, 3), (2, 3, 5, 9, 7),
            (5, 3, 0, 4, None), (3, 1, 8, None, 0), (3, 2, 4, 2, 0)), (False, True))},
    **{f"speed-{speed}{'-continuous' if continuous else ''}": (
        3, 3, 0.2, bodies(1, 2, continuous, prey_speed=speed, terminate_on_success=True))
       for speed, continuous in product((0.5, 0.75, 1.0), (False, True))},
    **{f"shaped-{p}-{g}{'-continuous' if continuous else ''}": (
        p, 2, 0.5, bodies(g, 2, continuous, shaped=True))
       for (p, g), continuous in product(((3, 1), (1, 2), (4, 3)), (False, True))},
    **{f"scripted-{p}-{g}-{o}-{'continuous' if continuous else 'discrete'}": (
        p, 3, crowd, bodies(g, o, continuous, prey="scripted", max_cycles=50, terminate_on_success=g == 2))
       for (p, g, o, crowd), continuous in product(
           ((3, 1, 8, 1.0), (3, 1, 2, 0.4), (1, 1, 0, 1.0), (2, 2, 3, 0.7), (5, 3, 1, 1.0)), (False, True))},
    "scripted-sees-2-agents-3-obstacles": (
        3, 2, 0.8, PUBLISHED | {"num_agent_neighbors": 2, "num_landmark_neighbors": 3}),
    "scripted-sees-9-agents": (3, 2, 0.8, PUBLISHED | {"num_agent_neighbors": 9, "num_good": 2}),
    "scripted-slow": (3, 2, 0.8, PUBLISHED | {"prey_speed": 0.5, "num_good": 3, "continuous_actions": False}),
    "scripted-as-published": (3, 6, 1.0, PUBLISHED | {"num_landmark_neighbors": 0, "shaped": True, "dynamics": "v2"}),
    "sooner": (3, 4, 0.4, bodies(2, 3, dynamics="v2", max_cycles=50)),
    "one-step": (2, 4, 0.05, bodies(1, 0, max_cycles=1, terminate_on_success=True)),
    "long": (2, 2, 1.0, bodies(2, 2, True, max_cycles=120)),
    "on-top-of-each-other": (3, 3, 1e-3, bodies(2, 3, max_cycles=30)),
}
TALLIES: dict[str, Counter] = {}


@pytest.mark.parametrize("name", REPLAYS)
def test_equals_mpe2(name):
    pursuers, number, crowd, options = REPLAYS[name]
    first = 1000 * list(REPLAYS).index(name)
    games = [begin(pursuers, seed, crowd, options) for seed in range(first, first + number)]
    TALLIES[name] = replay(make(pursuers, number, **options), games, first, partial(hunt, pursuers),
                           partial(events, pursuers, options.get("prey_speed", 1.0)))


def test_replays_covered_what_can_happen():
    if set(TALLIES) != set(REPLAYS):
        pytest.skip("only some replays were run")
    total = sum(TALLIES.values(), Counter())
    least = {"games": 210, "steps": 5000, "hits": 150, "pursuers together": 500, "preys together": 50,
             "pursuers at obstacles": 1000, "preys at obstacles": 300, "fast pursuers": 1000, "fast preys": 1000,
             "bound": 500, "outside": 4000, "far out": 1000, "at the edge": 4000, "terminated": 12, "truncated": 150}
    assert not {what: total[what] for what, number in least.items() if total[what] < number}
    assert TALLIES["one-step"]["hits"] and not TALLIES["one-step"]["terminated"]      # a truncation is no termination


def test_options_are_those_of_mpe2():
    known, mine = inspect.signature(simple_tag.raw_env).parameters, tag.Settings().model_dump()
    own = {"prey": "learning", "prey_speed": 1.0, "shaped": False, "obstacle_places": None, "dynamics": "v3"}
    assert {name: mine.pop(name) for name in own} == own
    assert {name: known[name].default for name in mine} == mine


def test_names_shapes_and_spaces_are_those_of_mpe2():
    for (pursuers, preys, obstacles), others, seen, continuous in product(CASTS, (None, 2), (None, 3), (False, True)):
        options = bodies(preys, obstacles, continuous, num_agent_neighbors=others, num_landmark_neighbors=seen)
        theirs = simple_tag_v3.parallel_env(num_adversaries=pursuers, **options)
        for prey in ("learning", "scripted"):
            env = make(pursuers, 2, prey=prey, **options)
            names = theirs.possible_agents if prey == "learning" else theirs.possible_agents[:pursuers]
            assert list(env.names) == names
            for name, shape, space in zip(env.names, env.observations, env.actions, strict=True):
                assert shape == theirs.observation_space(name).shape
                box = theirs.action_space(name)
                assert ((space.low, space.high) == (tuple(box.low), tuple(box.high)) if continuous
                        else space.n_actions == box.n)
            assert env.state_shape == (sum(theirs.observation_space(name).shape[0] for name in names),)
        assert make(pursuers, 2, **options).state_shape == theirs.state_space.shape


def test_stages_of_the_curriculum_are_factors_of_the_preys_speed():
    stages = [stage["prey_speed_factor"] for stage in simple_tag.Scenario.CURRICULUM_STAGES]
    assert stages == [0.5, 0.75, 1.0]
    description = tag.Settings.model_fields["prey_speed"].description
    assert all(f"{stage:g}" in description for stage in stages)
