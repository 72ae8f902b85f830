"""`topology = "environment"`: agents talk over the graph that the environment has."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner

import netac
from netac import cli
from netac.experiment import config, environment_graph
from netac.experiment.build import prepare
from netac.experiment.make_env import make_environment
from netac.utils.errors import InputError

HERE = str(Path(__file__).parent)
PROGRAMS = str(Path(__file__).parents[1] / "programs")
PATH = {0: [1], 1: [0, 2], 2: [1]}


class Cart:
    """Three agents push a cart; `neighbours` is what it is told to be."""

    states, actions = 3, 2

    def __init__(self, agents, graph):
        self.agents, self.initial, self.phi, self.neighbours = agents, np.eye(3)[0], np.eye(3), graph
        self.psi = netac.envs.JointTable(3, agents, 2)

    def next_states(self, states, actions, uniforms):
        return np.clip(states + np.where(uniforms < actions.mean(axis=0), 1, -1), 0, 2)

    def rewards(self, states, actions, next_states, agents):
        own = next_states - 0.2 * actions
        return own[agents.start:agents.stop], own.mean(axis=0)


GRAPHS = {
    "dictionary": PATH, "graph": nx.path_graph(3), "names": {"a": ["b"], "b": ["c"], "c": []},
    "function": lambda t: nx.star_graph(2) if t % 2 else nx.path_graph(3),
    "four": nx.path_graph(4), "others": nx.Graph([(1, 2), (2, 3)]), "directed": nx.DiGraph([(0, 1), (1, 2)]),
    "number": 7, "several": nx.MultiGraph([(0, 1), (1, 2)]), "loop": nx.Graph([(0, 1), (1, 2), (1, 1)]), "none": None,
    "fails": lambda t: 1 / 0, "later": lambda t: nx.path_graph(3 if t < 2 else 4),
}


def make(agents, graph):
    return Cart(agents, GRAPHS[graph])


def tables(graph: str = "graph", **others) -> dict:
    return {"agents": 3, "iterations": 6, "algorithm": "cac", "topology": "environment",
            "env": {"factory": "test_environment_graph:make", "folder": HERE, "kwargs": {"graph": graph}}} | others


def matrices(changed: dict, number: int = 4) -> list[np.ndarray]:
    loaded = prepare(config.read(changed).experiment()).topology
    return [loaded.matrix(t).toarray() for t in range(number)]


@pytest.mark.parametrize("graph", ["dictionary", "graph"])
def test_agents_talk_over_it(graph):
    for W, expected in zip(matrices(tables(graph)), matrices(tables(topology="path")), strict=True):
        np.testing.assert_array_equal(W, expected)
    found, other = netac.run(tables(graph)), netac.run(tables(topology="path"))
    np.testing.assert_array_equal(found.parameters["theta"], other.parameters["theta"])
    assert found.summary["messages_per_agent"] == other.summary["messages_per_agent"]


def test_it_may_change_from_iteration_to_iteration():
    path, star = (matrices(tables(topology=name), 1)[0] for name in ("path", "star"))
    for t, W in enumerate(matrices(tables("function"))):
        np.testing.assert_array_equal(W, star if t % 2 else path)


def test_agents_may_be_called_by_their_names():
    """Of an environment of PettingZoo, which has names for its agents."""
    env = {"factory": "test_environment_graph:walk", "folder": HERE}
    found = matrices({"agents": 2, "iterations": 3, "algorithm": "cac", "topology": "environment", "env": env}, 1)
    np.testing.assert_array_equal(found[0], np.full((2, 2), 0.5))


def walk():
    import sys
    sys.path.insert(0, PROGRAMS)
    import zoo

    class Named(zoo.Walk):
        @property
        def neighbours(self):
            first, second = self.possible_agents
            return {first: [second]}

    return Named()


@pytest.mark.parametrize(("graph", "says"), [
    ("four", "a graph of 4 nodes"), ("others", "a graph of 3 nodes"), ("names", "a graph of 3 nodes"),
    ("directed", "a directed graph"), ("number", "int"), ("several", "MultiGraph"), ("loop", "self loop"),
    ("none", "the environment has no graph of its own"), ("fails", "division by zero")])
def test_what_is_no_graph_of_the_agents_is_refused(graph, says, tmp_path):
    with pytest.raises(InputError) as told:
        netac.run(tables(graph), out=tmp_path / "out")
    assert says in str(told.value) and not (tmp_path / "out").exists()
    assert told.value.key == {"none": "topology.name", "loop": None}.get(graph, "env")


def test_what_becomes_none_later_is_found_by_the_certificate():
    with pytest.raises(InputError, match="a graph of 4 nodes") as told:
        netac.run(tables("later"))
    assert told.value.key == "env"


def test_a_file_may_have_it(tmp_path):
    nx.write_graphml(nx.path_graph(3), tmp_path / "path.graphml")
    changed = tables("none")
    changed["env"] |= {"neighbours": str(tmp_path / "path.graphml")}
    np.testing.assert_array_equal(matrices(changed, 1)[0], matrices(tables(topology="path"), 1)[0])
    nx.write_graphml(nx.path_graph(4), tmp_path / "path.graphml")
    with pytest.raises(InputError, match="has 4 nodes"):
        matrices(changed, 1)
    for other, says in {"nowhere.graphml": "nowhere.graphml", __file__: "must be a file with a graph"}.items():
        changed["env"]["neighbours"] = other
        with pytest.raises(InputError, match=says) as told:
            matrices(changed, 1)
        assert told.value.key == "env.neighbours"


def test_vehicles_of_a_platoon_are_in_a_line():
    experiment = config.read({"agents": 5, "iterations": 3, "env": "platoon", "topology": "environment",
                              "algorithm": "cac"}).experiment()
    graph = environment_graph.neighbours_of(make_environment(experiment.env, 5, 1), experiment)
    assert graph.period == 1 and nx.utils.graphs_equal(graph.at(3), nx.path_graph(5))


def test_the_certificate_is_of_the_environments_graph(tmp_path):
    file = tmp_path / "game.toml"
    file.write_text('agents = 6\niterations = 5\nenv = "platoon"\ntopology = "environment"\nalgorithm = "cac"\n')
    done = CliRunner().invoke(cli.cli, ["graph", str(file)], catch_exceptions=False)
    assert done.exit_code == 0 and "environment, weights metropolis" in done.output
    assert "edges per iteration                 5" in done.output
    with pytest.raises(InputError, match="no graph of its own"):
        CliRunner().invoke(cli.cli, ["graph", "environment", "--agents", "4"], catch_exceptions=False)


def test_the_number_of_processes_does_not_matter(mpirun, tmp_path):
    import json
    import sys
    program = tmp_path / "program.py"
    program.write_text(f"import json, sys\nsys.path.insert(0, {HERE!r})\nimport netac\n"
                       "from test_environment_graph import tables\n"
                       "found = [netac.run(tables(graph)).summary['parameters_sha256']"
                       " for graph in ('graph', 'function')]\n"
                       "if netac.comm.launch.communicator().rank == 0:\n    print(json.dumps(found))\n")
    done = mpirun(2, [sys.executable, program])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [netac.run(tables(graph)).summary["parameters_sha256"]
                                       for graph in ("graph", "function")]
