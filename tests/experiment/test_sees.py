"""What policies and critics see: their own, their neighbours', the state; what that costs, and how it is played on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from programs.arena import Arena
from support.neural_variants import ROOT, arena

import netac
from netac.agents.normalisation import ObservationNormaliser
from netac.comm import checkpoints
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.description import Interface
from netac.utils.errors import InputError

AGENTS, GAMES, ITERATIONS, OWN = 4, 3, 6, 5          # numbers an agent of the arena sees by itself


def tables(policy: str = "own", critic: str | None = None, algorithm: str = "cac", env: Any = None,
           **more: Any) -> dict[str, Any]:
    return {"agents": AGENTS, "iterations": ITERATIONS, "envs": GAMES, "env": env or arena(line=True),
            "topology": "ring", "policy": {"name": "mlp", "hidden": [6], "sees": policy},
            "critic": {"hidden": [5]} | ({} if critic is None else {"sees": critic}),
            "algorithm": {"name": algorithm} | ({"rollout": 2} if algorithm in ("cppo", "happo", "ippo") else {}),
            } | more


def model(**changed: Any) -> Any:
    return prepare(config.read(tables(**changed)).experiment()).model


@pytest.mark.parametrize(("policy", "critic", "sizes"), [
    ("own", None, (5, 5)), ("neighbours", None, (17, 17)), ("own", "neighbours", (5, 17)),
    ("neighbours", "own", (17, 5)), ("neighbours", "state", (17, 3)), ("state", None, (3, 3)),
    ("own", "state", (5, 3))])
def test_widths_of_what_networks_see(policy, critic, sizes):
    """Own 5 numbers; two places of 5 for neighbours, and two numbers that say whether they are filled."""
    found = model(policy=policy, critic=critic)
    assert (found.policy.networks.inputs[0], found.value.networks.inputs[0]) == ((sizes[0],), (sizes[1],))
    assert found.parts["policy"].table()["sees"] == policy
    assert found.parts["critic"].table()["sees"] == (critic or policy)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("policy", "critic"), [("own", "neighbours"), ("neighbours", "own"), ("state", "state"),
                                                ("neighbours", "state")])
def test_samples_show_it(policy, critic, normalise):
    setting = prepare(config.read(tables(policy, critic, normalise={"observations": normalise})).experiment())
    parts = assemble(setting)
    batch = parts.sampler.sample(parts.agents.parameters.theta, 1)
    plain = assemble(prepare(config.read(tables("own", "own")).experiment()))
    own = plain.sampler.sample(plain.agents.parameters.theta, 1).obs
    sight = setting.model.ground.sight
    for seen, scope in ((batch.obs, policy), (batch.seen, critic)):
        assert [each.shape[1:] for each in seen] == list(sight.shapes(scope))
    if not normalise and policy != "state":
        narrow, wide = (batch.obs, batch.seen) if policy == "own" else (batch.seen, batch.obs)
        if critic != "state":
            for few, many in zip(narrow, wide, strict=True):
                np.testing.assert_array_equal(few, many[:, :OWN])
        np.testing.assert_array_equal(wide[1][:, OWN:2 * OWN], own[0])
        np.testing.assert_array_equal(wide[1][:, 2 * OWN:3 * OWN], own[2])
        assert (wide[0][:, OWN:2 * OWN] == 0).all() and (wide[0][:, -2:] == [0, 1]).all()
    parts.sampler.close()
    plain.sampler.close()


@pytest.mark.parametrize("env", [arena(line=True, length=4, falls=9.0), arena(ROOT, line=True, length=4, falls=9.0)],
                         ids=["every process", "process 0"])
@pytest.mark.parametrize("critic", ["own", "neighbours"])
def test_what_neighbours_tell_is_counted(env, critic):
    """At the start, after each of 6 steps, and where games begin anew: after 4."""
    seen = netac.run(tables("neighbours", critic, env=env)).summary
    plain = netac.run(tables(env=env)).summary
    times, links = 1 + ITERATIONS + 1, 2 * (AGENTS - 1)
    told = times * links * 4 * OWN * GAMES / AGENTS
    assert seen["bytes_environment_per_agent"] - plain["bytes_environment_per_agent"] == told
    assert seen["messages_per_agent"] - plain["messages_per_agent"] == times * links / AGENTS


def test_who_sees_the_state_tells_nobody():
    assert (netac.run(tables("state")).summary["bytes_environment_per_agent"]
            == netac.run(tables()).summary["bytes_environment_per_agent"])


def test_a_trainer_tells_agents_what_their_neighbours_see():
    """It has all observations; what it sends an agent is as much longer."""
    seen, plain = (netac.run(tables(policy, algorithm="happo", env=arena(line=True, length=4, falls=9.0))).summary
                   for policy in ("neighbours", "own"))
    shown = 1 + 2 * ITERATIONS + 3                       # two steps an iteration; games begin anew after 4, 8 and 12
    assert seen["bytes_trainer_per_agent"] - plain["bytes_trainer_per_agent"] == shown * 4 * (17 - OWN) * GAMES
    assert seen["bytes_environment_per_agent"] == plain["bytes_environment_per_agent"]


LOADED = {"own": tables("own", "neighbours", normalise={"observations": True}), "neighbours": tables("neighbours"),
          "normalised": tables("neighbours", "own", normalise={"observations": True}),
          "state": tables("state", normalise={"observations": True}),
          "trainer": tables("neighbours", algorithm="ippo")}


@pytest.mark.parametrize("name", LOADED)
def test_loaded_policies_act_as_they_were_trained(name, tmp_path):
    result = netac.run(LOADED[name], out=tmp_path / "run")
    policies = netac.load(tmp_path / "run", greedy=True)
    setting = prepare(config.read(LOADED[name]).experiment())
    games = setting.model.ground.several(1)
    games.begin(5, 0)
    own = games.observe(range(AGENTS))
    actions = policies(dict(zip(policies.names, (each[0] for each in own), strict=True)), games.state()[0])
    sight = setting.model.ground.sight
    shown = {"own": lambda: own, "neighbours": lambda: sight.wide(own, range(AGENTS)),
             "state": lambda: [games.state()] * AGENTS}[sight.widest]()
    if LOADED[name].get("normalise"):
        normaliser = ObservationNormaliser(list(sight.shapes(sight.widest)))
        kept = checkpoints.policies(tmp_path / "run" / "checkpoints", ITERATIONS, "last")
        normaliser.rows[:] = kept["rows_observation_statistics"]
        shown = normaliser.apply(shown)
    seen = sight.part(shown, sight.policy, range(AGENTS))
    expected, _ = setting.model.policy.of(range(AGENTS)).act(result.parameters["theta"], seen, None, False, None)
    assert [int(actions[agent]) for agent in policies.names] == [int(each[0]) for each in expected]
    played = netac.evaluate(tmp_path / "run", episodes=3, steps=4)
    assert np.isfinite(played.sums).all()


def test_the_state_is_asked_for(tmp_path):
    netac.run(tables("state"), out=tmp_path / "run")
    policies = netac.load(tmp_path / "run")
    observations = {name: np.zeros(OWN) for name in policies.names}
    for state in (None, np.zeros(4), np.full(3, np.nan), "north"):
        with pytest.raises(InputError, match=r"^state: .*see the environment's global state.*env.state"):
            policies(observations, state)
    assert set(policies(observations, np.zeros(3))) == set(policies.names)


def test_a_run_of_an_older_netac_is_of_own_observations():
    interface = Interface.of(model())
    table = interface.as_table()
    assert Interface.from_table(table) == interface
    del table["sight"]
    assert Interface.from_table(table).observations == ((OWN,),) * AGENTS


REFUSED = {
    "no graph": (tables("neighbours", env=arena()), "policy.sees", ["no graph", "env.neighbours", '"own"']),
    "critics without a graph": (tables("own", "neighbours", env=arena()), "critic.sees", ["no graph"]),
    "a graph that changes": (tables("neighbours", env={"factory": "test_sees:changing", "folder": str(
        Path(__file__).parent)}), "policy.sees", ["a graph that changes"]),
    "no state": (tables("state", env=arena("zoo:Walk")) | {"agents": 2}, "policy.sees", ["no global state", '"own"']),
    "a critic that sees less": (tables("state", "own"), "critic.sees", ["no less", '"state"']),
    "no scope": (tables("everything"), "policy.sees", ["'everything'", "neighbours"]),
    "a number": (tables(3), "policy.sees", ["3", "neighbours"]),
    "critics' no scope": (tables("own", "far"), "critic.sees", ["'far'", "neighbours"]),
    "a trainer's critic": (tables("neighbours", "own", algorithm="happo"), "critic.sees", ["state"]),
    "a trainer's local critic": (tables("neighbours", "own", algorithm="ippo"), "critic.sees",
                                 ["what its policies see", '"neighbours"']),
    "linear agents": (tables() | {"env": "coordination", "policy": {"name": "tabular", "sees": "own"}, "critic": {},
                                  "envs": 1}, "policy.sees", ["unknown key"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_seen_is_refused(case, tmp_path):
    changed, key, says = REFUSED[case]
    with pytest.raises(InputError) as told:
        netac.run(changed, out=tmp_path / "out")
    assert told.value.key == key and all(each in str(told.value) for each in says), str(told.value)
    assert not (tmp_path / "out").exists()


def changing(agents, games):
    class Changing(Arena):
        @staticmethod
        def neighbours(t):
            return nx.path_graph(agents) if t % 2 else nx.star_graph(agents - 1)

    made = Changing(agents, games)
    del made.neighbours
    return made
