"""`topology = { name = "environment", radius = ... }`: agents talk to those who are near as an iteration begins."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

pytest.importorskip("torch")

import netac
from netac import cli
from netac.comm import agreement, network
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.experiment import config, following
from netac.experiment.build import prepare
from netac.experiment.run import checked_setting
from netac.topology import certify
from netac.topology.connectivity import joined
from netac.utils import distances
from netac.utils.errors import InputError, RunError

HERE = str(Path(__file__).parent)
ITERATIONS = 9
SPREAD, TAG = {"name": "spread", "max_cycles": 4}, {"name": "tag", "max_cycles": 4, "num_good": 1}
PURSUIT = {"name": "pursuit", "x_size": 7, "y_size": 6, "n_evaders": 3, "max_cycles": 4}
ROLLOUT = {"rollout": 3, "epochs": 1, "minibatches": 1}


def tables(env="spread", agents: int = 4, radius: float = 0.9, algorithm="cac", **others) -> dict:
    env = {"spread": SPREAD, "tag": TAG, "pursuit": PURSUIT}.get(env, env) if isinstance(env, str) else env
    made = {"name": "mlp", "hidden": [3]}
    return {"agents": agents, "iterations": ITERATIONS, "seed": 4, "envs": 2, "env": env,
            "topology": {"name": "environment", "radius": radius}, "allow_disconnected": True, "policy": made,
            "algorithm": algorithm, "log_every": 1} | others


def parameters(tables: dict) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in netac.run(tables).parameters.items()}


# --- who is near whom ---

@given(arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)),
              elements=st.integers(-3, 3) | st.floats(-3, 3)),
       st.sampled_from([0.5, 1.0, math.sqrt(2), math.sqrt(3), 2.5]))
def test_near_is_what_a_plain_loop_says(positions, radius):
    N, E, _ = positions.shape
    found = distances.near(positions, radius)
    assert found.shape == (E, N, N)
    for e in range(E):
        for i in range(N):
            for j in range(N):
                apart = math.sqrt(sum((a - b) ** 2 for a, b in zip(positions[i, e], positions[j, e], strict=True)))
                assert found[e, i, j] == (i != j and apart <= radius), (i, j)


def test_near_does_not_depend_on_how_many_are_looked_at_at_a_time(monkeypatch):
    positions = np.random.default_rng(0).normal(size=(17, 3, 2))
    whole = distances.near(positions, 1.0)
    for block in (1, 60, 200):
        monkeypatch.setattr(distances, "BLOCK", block)
        np.testing.assert_array_equal(distances.near(positions, 1.0), whole)
    np.testing.assert_array_equal(distances.near(positions[:, 1:2], 1.0)[0], whole[1])


def test_nobody_is_near_who_is_infinitely_far():
    assert not distances.near(np.array([[[0.0]], [[1e200]], [[math.inf]], [[math.nan]]]), 1e100).any()


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), *(
    st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=9) for _ in range(3)))))
def test_parts_are_joined_as_networkx_joins_them(drawn):
    n, *steps = drawn
    graph, parts = nx.empty_graph(n), np.arange(n)
    for edges in steps:
        graph.add_edges_from(edges)
        parts = joined(parts, *np.array(edges, dtype=np.int64).reshape(-1, 2).T)
        for part in nx.connected_components(graph):
            assert set(parts[list(part)]) == {min(part)}


# --- the graphs of a run ---

class Witness(following.Following):
    """Writes down where agents were, by the games' state, when iterations began."""

    places: list[np.ndarray]

    def begin(self, t: int) -> None:
        state = self._games.get_state()
        at = state["pursuers"] if "pursuers" in state else state["positions"][:self._games.agents]
        self.places.append(at[:, 0].astype(float))
        super().begin(t)


@pytest.fixture
def witnessed(monkeypatch):
    """`witnessed(tables)`: the result of a run, and the edges that a plain loop finds for every iteration."""
    monkeypatch.setattr("netac.experiment.build.Following", Witness)

    def run(tables: dict) -> tuple[netac.RunResult, list[list[tuple[int, int]]]]:
        Witness.places = []
        result, radius, n = netac.run(tables), tables["topology"]["radius"], tables["agents"]
        return result, [[(i, j) for i in range(n) for j in range(i + 1, n)
                         if math.dist(at[i], at[j]) <= radius] for at in Witness.places]

    return run


def told_of(edges: list[list[tuple[int, int]]], folder: Path) -> str:
    """The file of a topology that is told the graphs."""
    file = folder / "told.py"
    file.write_text(f"import networkx as nx\nEDGES = {edges}\n\n\ndef graph(t, n):\n    told = nx.empty_graph(n)\n"
                    "    told.add_edges_from(EDGES[t] if t < len(EDGES) else [])\n    return told\n")
    return str(file)


CASES = {
    "cac": tables(), "cac-double": tables(algorithm={"name": "cac", "sampling": "double"}),
    "cac-tag": tables("tag"), "cac-scripted-prey": tables({**TAG, "prey": "scripted"}, radius=0.7),
    "cac-pursuit": tables("pursuit", radius=2.0), "dac": tables(algorithm="dac"),
    "dac-two": tables(agents=2, algorithm="dac"),
    "mdac": tables(algorithm={"name": "mdac", "batch": 2, "critic_rounds": 2, "mixing_rounds": 1, "reward_rounds": 2}),
    "cppo": tables(algorithm={"name": "cppo", **ROLLOUT, "rounds": 2}),
    "dsgt-ppo": tables(algorithm={"name": "dsgt-ppo", **ROLLOUT}),
    "dinno-ppo": tables(algorithm={"name": "dinno-ppo", **ROLLOUT}),
    "lazy": tables(topology={"name": "environment", "radius": 0.9, "weights": "lazy-metropolis"}),
    "max-degree": tables(topology={"name": "environment", "radius": 0.9, "weights": "max-degree"})}


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_one_over_the_graphs_that_a_plain_loop_finds(name, witnessed, tmp_path):
    """Parameters, to the last bit, of a run over a topology that is told the graphs, and what is logged of them."""
    asked = CASES[name]
    result, edges = witnessed(asked)
    told = {"path": told_of(edges, tmp_path), "weights": asked["topology"].get("weights", "metropolis")}
    other = netac.run(asked | {"topology": told})
    assert len(edges) == ITERATIONS and len(set(map(tuple, edges))) > 1
    for quantity, array in result.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[quantity])
    for column in ("messages", "bytes_consensus", "reward", "consensus_error"):
        np.testing.assert_array_equal(result.metrics[column], other.metrics[column])
    check_what_is_told(result, edges, asked["agents"])


def check_what_is_told(result: netac.RunResult, edges: list, n: int) -> None:
    graphs = [nx.empty_graph(n) for _ in edges]
    for graph, found in zip(graphs, edges, strict=True):
        graph.add_edges_from(found)
    degrees, whole = [2 * len(found) / n for found in edges], [nx.is_connected(graph) for graph in graphs]
    np.testing.assert_allclose(result.metrics["neighbours"][1:], degrees, rtol=1e-15)
    np.testing.assert_array_equal(result.metrics["connected"][1:], whole)
    assert np.isnan(result.metrics["connected"][0])
    assert result.summary["neighbours"] == pytest.approx(np.mean(degrees), rel=1e-15)
    assert result.summary["connected"] == pytest.approx(np.mean(whole), rel=1e-15)
    ends, union = [-1], nx.empty_graph(n)
    for t, graph in enumerate(graphs):
        union = nx.compose(union, graph)
        if nx.is_connected(union):
            ends.append(t)
            union = nx.empty_graph(n)
    lengths = [after - before for before, after in pairwise(ends)]
    waited = len(graphs) - 1 - ends[-1]
    assert result.summary["connected_within"] == (max([*lengths, waited]) if lengths else None)


def test_what_is_told_is_the_mean_since_the_last_row(witnessed):
    result, edges = witnessed(tables(log_every=4))
    degrees = [2 * len(found) / 4 for found in edges]
    np.testing.assert_allclose(result.metrics["neighbours"][1:],
                               [np.mean(degrees[:4]), np.mean(degrees[4:8]), np.mean(degrees[8:])], rtol=1e-15)


@pytest.mark.parametrize("algorithm", ["cac", {"name": "mdac", "batch": 2, "mixing_rounds": 2},
                                       {"name": "cppo", **ROLLOUT, "rounds": 2}])
@pytest.mark.parametrize(("radius", "other"), [(1e6, "complete"), (1e-9, "disconnected")])
def test_everybody_and_nobody_near_is_as_complete_and_disconnected(algorithm, radius, other):
    asked = tables(algorithm=algorithm, radius=radius)
    assert parameters(asked) == parameters(asked | {"topology": other})


def test_one_agent_is_alone_and_two_hear_each_other_or_not():
    alone = netac.run(tables(agents=1))
    assert (alone.summary["neighbours"], alone.summary["connected"], alone.summary["connected_within"]) == (0, 1, 1)
    two = tables(agents=2, radius=1.0)
    assert len({parameters(two)["theta"], *(parameters(two | {"topology": other})["theta"]
                                            for other in ("complete", "disconnected"))}) == 3
    uniform = {"name": "environment", "radius": 1.0, "weights": "uniform"}          # of two agents any graph will do
    assert parameters(two | {"topology": uniform}) == parameters(two)


# --- before a run ---

def setting(tables: dict):
    return prepare(config.read(tables).experiment())


@pytest.mark.parametrize("env", ["spread", "tag", "pursuit"])
def test_the_rehearsal_begins_as_the_run_does_and_can_be_looked_at_again(env, witnessed):
    asked = tables(env, radius=1.5)
    _, edges = witnessed(asked)
    found = setting(asked).topology
    graphs = [sorted(found.graph(t).edges) for t in range(12)]
    assert graphs[0] == edges[0] and len(set(map(tuple, graphs))) > 2
    assert [sorted(found.graph(t).edges) for t in range(12)] == graphs
    assert sorted(setting(asked).topology.graph(9).edges) == graphs[9] == sorted(found.graph(9).edges)


def test_the_certificate_promises_nothing():
    loaded = setting(tables(radius=0.8)).topology
    certificate = certify(loaded)
    whole = sum(nx.is_connected(loaded.graph(t)) for t in range(100))
    assert certificate.rehearsed == whole and 0 < whole < 100 and certificate.steps == 100 and not certificate.problems
    rows = dict(certificate.as_rows())
    assert rows["graphs that connect all agents"] == f"{whole} of 100 (measured, not promised)"
    assert rows["smallest B with connected unions"].endswith("(measured, not promised)")
    assert "nobody can promise" in certificate.note and f"{whole} did" in certificate.note
    assert certify(setting(tables(topology="ring")).topology).note is None


def test_a_run_says_so_before_it_begins():
    notes = checked_setting(config.read(tables(radius=1.2))).notes
    assert any("nobody can promise that the graphs connect" in note for note in notes)


def test_the_graph_command_measures(tmp_path):
    file = tmp_path / "near.toml"
    file.write_text('agents = 3\niterations = 5\nenv = "spread"\nalgorithm = "cac"\n'
                    'topology = { name = "environment", radius = 0.8 }\npolicy = { name = "mlp", hidden = [4] }\n')
    done = CliRunner().invoke(cli.cli, ["graph", str(file), "--plot", str(tmp_path / "near.png")],
                              catch_exceptions=False)
    assert done.exit_code == 0 and (tmp_path / "near.png").exists()
    assert "steps of random play looked at" in done.output and "measured, not promised" in done.output
    assert "the certificate holds" not in done.output
    shorter = CliRunner().invoke(cli.cli, ["graph", str(file), "--steps", "7"], catch_exceptions=False)
    assert " of 7 (measured" in shorter.output


def test_agents_that_are_never_near_are_refused_unless_it_is_meant(tmp_path):
    asked = tables(radius=0.01, allow_disconnected=False)
    with pytest.raises(InputError, match=r"100 steps of random play, within a radius of 0\.01, is not") as told:
        netac.run(asked, out=tmp_path / "out")
    assert "a larger radius, or allow_disconnected = true" in told.value.valid and not (tmp_path / "out").exists()


@pytest.mark.parametrize("radius", [0, -1, math.nan, math.inf, "far", True])
def test_radii_that_are_none_are_refused(radius):
    with pytest.raises(InputError) as told:
        netac.run(tables(radius=radius))
    assert told.value.key == "topology.radius"


LINEAR = {"policy": {}, "envs": 1}


@pytest.mark.parametrize(("env", "more"), [
    ("coordination", LINEAR), ({"name": "coordination"}, {}), ("platoon", {}),
    ({"factory": "test_following:plain", "folder": HERE}, {}),
    ({"factory": "test_following:third_party", "folder": HERE}, {"agents": 2})])
def test_environments_that_do_not_say_where_agents_are_are_refused(env, more, tmp_path):
    asked = tables(env, **more)
    with pytest.raises(InputError, match="does not tell every process where agents are") as told:
        netac.run(asked, out=tmp_path / "out")
    assert told.value.key == "topology.radius" and "spread" in told.value.valid and not (tmp_path / "out").exists()


def test_games_that_process_0_alone_steps_are_refused(monkeypatch):
    monkeypatch.setattr("netac.envs.spread.REPLICATED", False, raising=False)
    with pytest.raises(InputError, match="does not tell every process where agents are") as told:
        netac.run(tables())
    assert told.value.key == "topology.radius"


@pytest.mark.parametrize(("weights", "says"), [("uniform", "complete graphs"), ("file", "no weights of their own"),
                                               ("out-degree", "only the columns")])
def test_weights_that_do_not_hold_on_every_graph_are_refused(weights, says):
    topology = {"name": "environment", "radius": 0.9, "weights": weights}
    with pytest.raises(InputError, match=says) as told:
        netac.run(tables(topology=topology))
    assert told.value.key == "topology.weights" and '"metropolis"' in told.value.valid
    netac.run(tables(topology=topology | {"weights": "metropolis"}))
    if weights == "out-degree":
        netac.run(tables(topology=topology, network={"push-sum": True}))


# --- conditions of the network ---

LIARS = {"adversaries": {"attack": "sign-flip", "number": 1}, "trimmed-mean": 1}


@pytest.mark.parametrize(("table", "says"), [
    (LIARS, "depends on where agents are"), ({"top-k": 0.5}, "other listeners from time to time"),
    ({"push-sum": True, "loss": 0.1}, "on a graph that changes"),
    ({"clock": {"schedule": "asynchronous", "compute": 0.1}}, "a graph that does not change")])
def test_conditions_that_must_know_the_graphs_are_refused(table, says):
    with pytest.raises(InputError, match=says) as told:
        netac.run(tables(network=table))
    assert told.value.key.startswith("network.")


@pytest.mark.parametrize("table", [
    LIARS | {"allow_insecure": True}, {"trimmed-mean": 1, "allow_insecure": True},
    {"top-k": {"k": 2, "feedback": "none"}}, {"push-sum": True}, {"loss": 0.3}, {"delay": 2}, {"skip": 2},
    {"event-trigger": 0.1}, {"sleep": {"probability": 0.3}}, {"noise": 0.01},
    {"clock": {"schedule": "beat", "period": 0.1, "latency": 0.02}}], ids=json.dumps)
def test_the_others_see_the_graphs_of_the_run(table, witnessed, tmp_path):
    asked = tables(network=table)
    result, edges = witnessed(asked)
    other = netac.run(asked | {"topology": told_of(edges, tmp_path)})
    for quantity, array in result.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[quantity])


# --- games of one's own ---

class Crowd:
    """Agents on a line that step to either side; `fault` is what is wrong with the positions."""

    state_shape, gamma, resumable = None, None, False

    def __init__(self, agents, games, fault):
        self.agents, self.games, self.fault = agents, games, fault
        self.names = tuple(f"a{i}" for i in range(agents))
        self.observations = ((1,),) * agents
        self.actions = (netac.envs.ActionSpace(n_actions=2),) * agents
        self.active = np.ones((agents, games), dtype=bool)

    def begin(self, seed, chain):
        self.x, self.t = np.tile(np.arange(float(self.agents))[:, None], self.games), 0

    def observe(self, agents):
        return [self.x[i, :, None].astype(np.float32) for i in agents]

    def positions(self):
        if self.fault == "own":
            return self.x[:, :, None]
        if self.fault == "raises later" and self.t > 2:
            raise ValueError("lost")
        at = self.x[:, :, None].copy()
        if self.fault == "nan later" and self.t > 2:
            at[1, 0] = np.nan
        if self.fault == "whole":
            return at.astype(int)
        return {"flat": at[:, :, 0], "turned": at.swapaxes(0, 1)}.get(self.fault, at)

    def step(self, actions):
        self.x += 0.6 * actions - 0.3
        self.t += 1
        shape = self.agents, self.games
        return netac.envs.Step(np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(self.games, dtype=bool))

    def restart(self, games):
        self.x[:, games] = np.arange(float(self.agents))[:, None]


def crowd(agents, games, fault=""):
    return Crowd(agents, games, fault)


def plain(agents, games):
    made = Crowd(agents, games, "")
    found = {name: getattr(made, name) for name in dir(made) if not name.startswith("_") and name != "positions"}
    return type("Plain", (), {"__getattr__": lambda self, name: getattr(made, name) if name in found else (
        _ for _ in ()).throw(AttributeError(name))})()


def third_party():
    import sys
    sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
    import zoo
    return zoo.Walk()


def of_crowd(fault: str, **others) -> dict:
    env = {"factory": "test_following:crowd", "folder": HERE, "kwargs": {"fault": fault}}
    return tables(env, agents=3, radius=1.1, **others)


def test_games_of_ones_own_may_say_where_agents_are():
    result = netac.run(of_crowd(""))
    assert 0 < result.summary["neighbours"] < 2


@pytest.mark.parametrize(("fault", "says"), [
    ("flat", "wrong shape"), ("turned", "wrong shape"), ("whole", "wrong shape or type"), ("own", "own array"),
    ("raises later", "step 3: ValueError: lost")])
def test_positions_that_are_none_are_refused(fault, says):
    with pytest.raises(InputError, match=says) as told:
        netac.run(of_crowd(fault))
    assert told.value.key == "env"


def test_agents_that_are_nowhere_end_the_run():
    with pytest.raises(RunError, match=r"`positions` hold \[nan\]") as told:
        netac.run(of_crowd("nan later"))
    assert (told.value.agent, told.value.iteration) == (1, 3)


# --- processes ---

def test_a_process_with_other_graphs_is_told_of_its_environment():
    class Comm:
        size = 2

        def Allgather(self, own, digests):  # noqa: N802
            digests[0], digests[1] = own, own + np.uint64(1)

    loaded = setting(tables()).topology
    with pytest.raises(RunError, match="the environment must be a function of states") as told:
        agreement.agreed(loaded, Placement(4, 2, 0), Comm())(0)
    assert list(told.value.agent) == [2, 3]


@pytest.mark.parametrize(("entries", "kept"), [(10**6, network.CACHE), (40, network.FEWEST)])
def test_plans_of_graphs_that_are_always_new_do_not_pile_up(monkeypatch, entries, kept):
    """And what an old graph gives, when it comes again, is what it gave."""
    monkeypatch.setattr(network, "ENTRIES", entries)
    graphs = [csr_array(np.eye(4) + step * (np.ones((4, 4)) - 4 * np.eye(4))) for step in np.linspace(0.01, 0.2, 50)]
    talk = network.Network(lambda t: graphs[t % 50], Placement(4), Ledger(4))
    x = np.random.default_rng(0).normal(size=(4, 2))
    for t in range(120):
        np.testing.assert_allclose(talk.mix(t, x), graphs[t % 50] @ x, rtol=1e-12)
        assert len(talk._routes) == min(t + 1, kept)
        assert talk._entries == 16 * len(talk._routes)
