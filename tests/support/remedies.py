"""Experiments that are refused, with what their message offers and the remedy made of it."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from support import network_remedies
from support.neural_variants import SAMPLER, arena
from support.remedy_case import HERE, REMOVED, Case


def nested(tables: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The tables with dotted keys changed."""
    for dotted, value in changes.items():
        first, _, rest = dotted.partition(".")
        if rest:
            inner = tables.get(first)
            tables = tables | {first: nested(inner if isinstance(inner, dict) else {}, {rest: value})}
        elif value is REMOVED:
            tables = {key: kept for key, kept in tables.items() if key != first}
        else:
            tables = tables | {first: value}
    return tables


def placed(tables: Any, folder: Path) -> Any:
    """The tables with HERE in their texts replaced by the folder."""
    if isinstance(tables, dict):
        return {key: placed(value, folder) for key, value in tables.items()}
    if isinstance(tables, list):
        return [placed(value, folder) for value in tables]
    return tables.replace(HERE, str(folder)) if isinstance(tables, str) else tables


PAJEK = "*Vertices 4\n*Edges\n1 2\n2 3\n3 4\n4 1\n"
GRAPH_FILES = {
    "plain.edgelist": "0 1\n1 2\n2 3\n3 0\n", "twice.edgelist": "0 1\n1 0\n1 2\n2 3\n",
    "quarrel.edgelist": "0 1 0.1\n1 0 0.2\n1 2 0.1\n2 3 0.1\n", "half.edgelist": "0 1 0.1\n1 0\n1 2 0.1\n2 3 0.1\n",
    "heavy.edgelist": "0 1 4\n1 2 5\n2 3 1\n3 0 3\n", "table.edgelist": "0 1 2 3\n1 2 3 0\n",
    "one_way.graphml": '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed">'
                       '<edge source="a" target="b"/><edge source="b" target="c"/><edge source="c" target="d"/>'
                       '</graph></graphml>',
    "plain.net": PAJEK, "uncounted.net": PAJEK.replace(" 4\n*", "\n*"),
    "fifth.net": PAJEK.replace("\n*E", '\n5 "e"\n*E'),
    "beyond.net": PAJEK + "4 5\n", "ragged.net": "*Vertices 4\n*Matrix\n0 1 1\n"}


def write_files(folder: Path) -> None:
    """The files that cases name: models and features, whole ones and others, topologies."""
    P, r, xi = np.full((2, 4, 2), 0.5), np.zeros((2, 4, 2)), [0.5, 0.5]
    whole = {"P": P, "r": r, "xi": xi}
    models: dict[str, dict[str, Any]] = {
        "whole": whole, "no_xi": {"P": P, "r": r}, "theta0": whole | {"theta0": np.zeros((2, 3))},
        "theta0_right": whole | {"theta0": np.zeros((2, 2, 2))}, "gamma": whole | {"gamma": [0.9, 0.9]},
        "flat": whole | {"P": np.ones(3)}, "flat_r": whole | {"r": np.ones(3)}, "xi": whole | {"xi": [0.5, 0.25, 0.25]},
        "axes": whole | {"r": np.zeros((2, 4, 3))}, "rows": whole | {"P": P * 0.9}, "negative": whole | {"P": P * [3,
                                                                                                                   -1]},
        "gamma_1": whole | {"gamma": 1.0}, "unequal": {"P": np.full((2, 2, 3, 2), 0.5), "r": np.zeros((2, 2, 3, 2)),
                                                       "xi": xi},
        "costs_wide": whole | {"costs": np.zeros((3, 4, 3, 5))}, "costs": whole | {"costs": np.zeros((2, 2, 2, 2))},
        "x": {"x": np.zeros((3, 2, 1))}, "x_wide": {"x": np.zeros((3, 3, 1))},
        "features": {"phi": np.eye(3), "psi": np.zeros((3, 4, 1))}, "no_psi": {"phi": np.eye(3)},
        "psi_wide": {"phi": np.eye(3), "psi": np.zeros((3, 5, 1))},
        "payoff": {"payoff": np.eye(2)}, "no_payoff": {"x": np.eye(2)}, "payoff_3": {"payoff": np.zeros((2, 2, 2))},
        "weights": {"W": np.full((4, 4), 0.25)}, "weights_a_b": {"A": np.full((4, 4), 0.25), "B": np.eye(4)}}
    for name, arrays in models.items():
        np.savez(folder / f"{name}.npz", **arrays)
    for name, text in GRAPH_FILES.items():
        (folder / name).write_text(text)
    for file in (TOWN / "town.net.xml", TOWN / "town.rou.xml"):
        shutil.copy(file, folder)
    for name, text in ROADS.items():
        (folder / f"{name}.net.xml").write_text(text)
    network_remedies.write_files(folder)
    (folder / "ring.txt").write_text("0 1\n")
    (folder / "ring.py").write_text("import networkx as nx\n\n\ndef graph(t, n):\n    return nx.cycle_graph(n)\n")


TOWN = Path(__file__).parents[1] / "data" / "town"
GREEN, RED = '<phase duration="9" state="G"/>', '<phase duration="9" state="r"/>'
ROADS = {"empty": "<net></net>", "red": f'<net><tlLogic id="t">{RED}</tlLogic></net>',
         "uneven": f'<net><tlLogic id="t">{GREEN}<phase duration="9" state="rr"/></tlLogic></net>',
         "routes": "<routes></routes>", "cut": "<net>"}
LINEAR = {"agents": 4, "iterations": 2, "env": "coordination", "topology": "complete", "algorithm": {"name": "cac"}}
MDP = LINEAR | {"agents": 2, "env": {"name": "finite-mdp", "seed": 1, "recipe": "zhang", "states": 3, "actions": 2}}
GAMES = {"agents": 3, "iterations": 2, "env": arena(), "topology": "complete", "policy": {"name": "mlp", "hidden": [4]},
         "algorithm": {"name": "cac"}}
HUNT = GAMES | {"env": {"name": "pursuit", "x_size": 7, "y_size": 6, "n_evaders": 3}, "policy": {"name": "cnn"}}
TAG = GAMES | {"env": {"name": "tag"}, "algorithm": {"name": "iac"}}
NEAR = GAMES | {"env": "spread", "topology": {"name": "environment", "radius": 2.0}}
TRAFFIC = GAMES | {"env": {"name": "traffic", "net": f"{HERE}/town.net.xml", "routes": f"{HERE}/town.rou.xml"},
                   "algorithm": {"name": "iac"}}
SMAX = GAMES | {"env": {"name": "smax", "scenario": "3m"}}
MATRIX = GAMES | {"agents": 2, "env": {"name": "matrix", "game": "climbing"}}
SEEING, ACTING = arena(extra=2), arena(actions="different")


def trained(name: str, **options: Any) -> dict[str, Any]:
    """Games with a trainer."""
    return GAMES | {"algorithm": {"name": name, **options}}


def user(name: str, **kwargs: Any) -> dict[str, Any]:
    """The table of a network of a user's own."""
    return {"factory": f"support.user_networks:{name}", "folder": str(Path(__file__).parents[1]), "kwargs": kwargs}


def model(name: str) -> dict[str, Any]:
    """The key `env` with a model of `write_files`."""
    return {"env": f"{HERE}/{name}.npz"}


def graph_file(name: str) -> dict[str, Any]:
    """The key `topology` with a file of `write_files`."""
    return {"topology": f"{HERE}/{name}"}


TABLES = {
    "policy of another kind": Case(GAMES, {"policy": "tabular"}, '"mlp"', {"policy": "mlp"}),
    "no such policy": Case(GAMES, {"policy": "mpl"}, "mlp", {"policy": "mlp"}),
    "no such critic": Case(GAMES, {"critic": "cmn"}, "mlp", {"critic": "mlp"}),
    "no such environment": Case(LINEAR, {"env": "cordination"}, "coordination", {"env": "coordination"}),
    "an environment without a name": Case(LINEAR, {"env": {}}, "coordination", {"env.name": "coordination"}),
    "no such algorithm": Case(LINEAR, {"algorithm.name": "cca"}, "cac", {"algorithm.name": "cac"}),
    "an algorithm that is a number": Case(LINEAR, {"algorithm.name": 3}, "cac", {"algorithm.name": "cac"}),
    "no such option": Case(LINEAR, {"algorithm.actor_stpe": 0.1}, "actor_step",
                           {"algorithm.actor_stpe": REMOVED, "algorithm.actor_step": 0.1}),
    "no such option of one": Case(LINEAR, {"algorithm.mdac": {"bach": 2}}, "batch", {"algorithm.mdac": {"batch": 2}}),
    "no such key": Case(LINEAR, {"agnets": 4}, "agents", {"agnets": REMOVED, "agents": 4}),
    "no agents": Case(LINEAR, {"agents": REMOVED}, "a whole number", {"agents": 3}),
    "a negative number": Case(LINEAR, {"agents": -1}, ">= 1", {"agents": 1}),
    "a table that is a number": Case(LINEAR, {"env": 3}, "a name", {"env": "coordination"}),
    "no such file": Case(MDP, {"env": f"{HERE}/missing.npz"}, "tried", model("whole")),
    "a name and a factory": Case(GAMES, {"policy": user("Counting") | {"name": "mlp"}}, "name, of a built-in network",
                                 {"policy": {"name": "mlp"}}),
    "options of networks": Case(LINEAR, {"envs": 4}, 'policy.name = "mlp"', {"policy": "mlp"}),
    "or without the option": Case(LINEAR, {"critic": {"hidden": [3]}}, "without it", {"critic": REMOVED}),
    "a network too large": Case(GAMES, {"policy.hidden": [60_000, 60_000]}, "at most", {"policy.hidden": [10]}),
    "agents too large": Case(GAMES, {"policy.hidden": [65536, 64] * 4, "critic": {"hidden": [65536, 64] * 4}},
                             "smaller networks", {"policy.hidden": [10], "critic": {"hidden": [10]}}),
    "no features": Case(MDP, {"policy": {"name": "log-linear"}}, 'an .npz file with name = "log-linear"',
                        {"policy.features": f"{HERE}/x.npz"}),
    "features of another shape": Case(MDP, {"policy": {"name": "log-linear", "features": f"{HERE}/x_wide.npz"}},
                                      "(3, 2, 'd')", {"policy.features": f"{HERE}/x.npz"}),
    "sampling that is not known": Case(LINEAR, {"algorithm.sampling": "iid"}, '"markov" or "double"',
                                       {"algorithm.sampling": "double"}),
    "a pattern without a match": Case(LINEAR, {"policy": {"shared": ["zzz*"]}}, "s0.a0", {"policy.shared": ["s0.a0"]}),
    "a layer without a match": Case(GAMES, {"policy.shared": ["conv*"]}, "dense1.weight",
                                    {"policy.shared": ["dense1.weight"]}),
    "a trainer's sampling": Case(MDP, {"policy": "mlp", "algorithm.sampling": "stationary"}, '"markov"',
                                 {"algorithm.sampling": "markov"}),
}

NETWORKS = {
    "an image that is none": Case(GAMES, {"policy": "cnn"}, '"mlp" for vectors', {"policy": "mlp"}),
    "an image too small": Case(HUNT, {"policy.channels": [3, 3, 3, 3]}, "more `padding`", {"policy.padding": 1}),
    "or fewer channels": Case(HUNT, {"policy.channels": [3, 3, 3, 3]}, "fewer `channels`", {"policy.channels": [3, 3]}),
    "or a smaller kernel": Case(HUNT, {"policy.channels": [3, 3, 3, 3]}, "smaller `kernel`", {"policy.kernel": 1}),
    "a critic with memory": Case(trained("mappo"), {"critic": "gru"}, '"mlp"', {"critic": "mlp"}),
    "a policy with memory": Case(GAMES, {"policy": "gru"}, '"mlp"', {"policy": "mlp"}),
    "or a trainer": Case(GAMES, {"policy": "gru"}, 'algorithm.name = "happo"', {"algorithm.name": "happo"}),
    "a model of one agent": Case(trained("mat") | {"policy": {}}, {"policy": "mlp"}, '"transformer", or without it',
                                 {"policy": "transformer"}),
    "a model of all agents": Case(GAMES, {"policy": "transformer"}, 'algorithm.name = "mat"',
                                  {"algorithm.name": "mat"}),
    "or networks of one agent each": Case(GAMES, {"policy": "transformer"}, '"mlp"', {"policy": "mlp"}),
    "a replay with memory": Case(trained("maddpg"), {"policy": "gru"}, '"mappo"', {"algorithm.name": "mappo"}),
    "entropy of a direction": Case(GAMES, {"algorithm.name": "dnac", "policy.entropy": 0.1}, "0",
                                   {"policy.entropy": 0.0}),
    "Q of vectors": Case(GAMES, {"env": arena(actions="box"), "algorithm": {"name": "dac", "critic": "action_value"}},
                         '"state_value"', {"algorithm.critic": "state_value"}),
    "no state": Case(GAMES | {"agents": 5, "env": SAMPLER, "algorithm": {"name": "iac"}}, {"critic.sees": "state"},
                     '"own"', {"critic.sees": "own"}),
    "no common order": Case(GAMES, {"env": ACTING, "critic.joint": "own-first"}, '"agents"',
                            {"critic.joint": "agents"}),
    "no state for policies": Case(GAMES | {"agents": 5, "env": SAMPLER, "algorithm": {"name": "iac"}},
                                  {"policy.sees": "state"}, '"own"', {"policy.sees": "own"}),
    "critics that see less": Case(GAMES, {"policy.sees": "state", "critic.sees": "own"}, '"state"',
                                  {"critic.sees": "state"}),
    "neighbours that see what cannot stand beside": Case(
        GAMES | {"agents": 5, "env": SAMPLER, "algorithm": {"name": "iac"}}, {"policy.sees": "neighbours"}, '"own"',
        {"policy.sees": "own"}),
    "neighbours without a graph": Case(GAMES, {"critic.sees": "neighbours"}, '"own"', {"critic.sees": "own"}),
    "what only critics say": Case(GAMES, {"reward_model.sees": "state"}, "critic.sees",
                                  {"reward_model": REMOVED, "critic.sees": "state"}),
    "shared layers of unlike agents": Case(GAMES, {"env": ACTING, "policy.shared": ["*"]}, "[] for none",
                                           {"policy.shared": []}),
    "or some layers": Case(GAMES, {"env": ACTING, "policy.shared": ["*"]}, "patterns of layers whose shape does not",
                           {"policy.shared": ["dense*"]}),
    "critics of unlike agents": Case(GAMES, {"env": SEEING, "critic.sees": "own"}, '"state"',
                                     {"critic.sees": "state"}),
    "one-way edges": Case(GAMES | {"algorithm": {"name": "dinno-ppo"}}, {"topology": "one-peer-exponential"},
                          'as "exponential"', {"topology": "exponential"}),
    "or no duals": Case(GAMES | {"algorithm": {"name": "dinno-ppo"}}, {"topology": "one-peer-exponential"},
                        'algorithm.name = "cppo"', {"algorithm.name": "cppo"}),
    "one-way edges of ratios": Case(GAMES | {"algorithm": {"name": "matrpo"}}, {"topology": "one-peer-exponential"},
                                    'as "exponential"', {"topology": "exponential"}),
    "moments of plain steps": Case(GAMES | {"algorithm": {"name": "cppo", "optimizer": "plain"}},
                                   {"algorithm.mix_moments": True}, "false", {"algorithm.mix_moments": False}),
    "or Adam's": Case(GAMES | {"algorithm": {"name": "cppo", "optimizer": "plain"}}, {"algorithm.mix_moments": True},
                      'algorithm.optimizer = "adam"', {"algorithm.optimizer": "adam"}),
    "a part of a policy to agree on": Case(GAMES | {"algorithm": {"name": "dinno-ppo"}}, {"policy.shared": ["dense1*"]},
                                           '["*"]', {"policy.shared": ["*"]}),
    "or an algorithm that mixes parts": Case(GAMES | {"algorithm": {"name": "dinno-ppo"}},
                                             {"policy.shared": ["dense1*"]}, 'algorithm.name = "cppo"',
                                             {"algorithm.name": "cppo"}),
    "a clip range in a trust region": Case(GAMES | {"algorithm": {"name": "matrpo"}},
                                           {"algorithm.matrpo": {"clip_range": 0.1}}, "delta",
                                           {"algorithm.matrpo": {"delta": 0.1}}),
    "or nothing mixed": Case(GAMES, {"env": SEEING, "critic.sees": "own"}, 'algorithm.name = "iac"',
                             {"algorithm.name": "iac"}),
    "nothing mixed where there is no state": Case(GAMES | {"agents": 5}, {"env": SAMPLER}, 'algorithm.name = "iac"',
                                                  {"algorithm.name": "iac"}),
    "no room for the joint action": Case(GAMES, {"reward_model": user("Counting")},
                                         "__init__(self, observation, outputs,",
                                         {"reward_model": user("Wide")}),
    "no module": Case(GAMES, {"policy": {"factory": "builtins:dict"}}, "torch.nn.Module", {"policy": user("Counting")}),
    "no such class": Case(GAMES, {"policy": user("Countin")}, 'an importable "package.module:function"',
                          {"policy": user("Counting")}),
    "no such function": Case(GAMES, {"policy": {"factory": "no.such:Net"}}, 'an importable "package.module:function"',
                             {"policy": user("Counting")}),
    "arguments it does not know": Case(GAMES, {"policy": user("Counting", layers=3)}, "keyword arguments of",
                                       {"policy": user("Counting")}),
}

TRAINERS = {
    "unlike agents that share": Case(trained("mappo", parameters="shared"), {"env": ACTING}, '"separate"',
                                     {"algorithm.parameters": "separate"}),
    "gamma^t without an end": Case(trained("happo"), {"env": "coordination", "algorithm.discounted_gradient": True},
                                   "false", {"algorithm.discounted_gradient": False}),
    "gamma^t without an end, or double": Case(
        LINEAR, {"algorithm.discounted_gradient": True}, 'sampling = "double"',
        {"algorithm.discounted_gradient": False, "algorithm.sampling": "double"}),
    "gamma^t without an end, elsewhere": Case(GAMES, {"env": "coordination", "algorithm.discounted_gradient": True},
                                              "episodes end", {"env": arena()}),
    "a return without an end": Case(trained("happo"), {"env": "coordination", "algorithm.gamma": 1.0}, "below 1",
                                    {"algorithm.gamma": 0.99}),
    "a limit without costs": Case(trained("macpo", cost_limit=0.5), {"agents": 3}, "happo",
                                  {"algorithm.name": "happo"}),
    "one limit too few": Case(trained("macpo", cost_limit=0.5) | {"env": arena(priced=True)}, {
        "algorithm.cost_limit": [0.5, 0.5]}, "a list of 3", {"algorithm.cost_limit": [0.5, 0.5, 0.5]}),
    "rewards normalised": Case(trained("happo"), {"normalise.rewards": True}, "false", {"normalise.rewards": False}),
    "or returns": Case(trained("happo"), {"normalise.rewards": True}, "algorithm.value_normalisation",
                       {"normalise": REMOVED, "algorithm.value_normalisation": True}),
    "critics of observations": Case(trained("happo"), {"critic.sees": "own"}, '"state"',
                                    {"critic.sees": "state"}),
    "critics of the state": Case(trained("ippo"), {"critic.sees": "state"}, '"own", or without it',
                                 {"critic": REMOVED}),
    "an order of one's own": Case(trained("coma"), {"critic.joint": "own-first"}, '"agents"',
                                  {"critic.joint": "agents"}),
    "chunks": Case(trained("happo", rollout=8), {"policy": "gru", "algorithm.chunk": 3},
                   "a divisor of algorithm.rollout = 8",
                   {"algorithm.chunk": 4}),
    "chunks to deal": Case(trained("happo", rollout=8, chunk=4), {"policy": "gru", "algorithm.minibatches": 8},
                           "envs x rollout / chunk", {"algorithm.minibatches": 2}),
    "samples to deal": Case(trained("happo", rollout=10), {"algorithm.minibatches": 4}, "a divisor of envs x rollout",
                            {"algorithm.minibatches": 5}),
    "a small replay": Case(trained("maddpg"), {"algorithm.buffer": 100}, "at least algorithm.batch = 256",
                           {"algorithm.buffer": 256}),
    "a small replay of sequences": Case(trained("qmix", rollout=10), {"algorithm.buffer": 100, "algorithm.chunk": 5},
                                        "at least algorithm.batch x chunk = 160", {"algorithm.buffer": 160}),
    "sequences of no rollout": Case(trained("vdn", rollout=8), {"algorithm.chunk": 3},
                                    "a divisor of algorithm.rollout = 8", {"algorithm.chunk": 4}),
    "utilities of vectors": Case(trained("vdn"), {"env": arena(actions="box")}, "maddpg",
                                 {"algorithm.name": "maddpg"}),
    "a large replay": Case(trained("maddpg"), {"algorithm.buffer": 10**9}, "at most", {"algorithm.buffer": 10**6}),
    "a critic without a hidden layer": Case(trained("maddpg"), {"critic.hidden": []}, "[64]", {"critic.hidden": [64]}),
}

ENVIRONMENTS = {
    "another number of agents": Case(GAMES, {"env": arena("zoo:Turns")}, "2", {"agents": 2}),
    "a batched environment of other agents": Case(GAMES, {"env": arena(agents=2)}, "3", {"env": arena()}),
    "a strict check": Case(GAMES | {"agents": 2}, {"env": arena("zoo:Forgetful") | {"check": "strict"}}, '"lenient"',
                           {"env.check": "lenient"}),
    "distances without a graph": Case(LINEAR, {"spatial_discount": 0.9}, "no spatial_discount",
                                      {"spatial_discount": REMOVED}),
    "sums over too many": Case({"agents": 8, "iterations": 2, "env": "platoon", "topology": "environment",
                                "policy": {"name": "mlp", "hidden": [1]}, "spatial_discount": 0.9, "algorithm": {
                                    "name": "iac"}}, {"agents": 2001}, "at most 2,000", {"agents": 2000}),
    "a program for a graph": Case(GAMES | {"agents": 4, "topology": "environment"},
                                  {"env": arena() | {"neighbours": "graph.py"}}, "a list of edges",
                                  {"env.neighbours": f"{HERE}/plain.edgelist"}),
    "no graph of its own": Case(LINEAR, {"topology": "environment"}, "another topology", {"topology": "ring"}),
    "no environment": Case(LINEAR, {"env": {"factory": "os:getcwd"}}, "PettingZoo ParallelEnv", {"env": arena()}),
    "an MDP too large": Case(MDP, {"env.states": 10_000, "env.actions": 100}, "states^2 x actions^agents",
                             {"env.states": 10, "env.actions": 2}),
    "a file without an array": Case(MDP, model("no_xi"), "P, r, xi", model("whole")),
    "a file of other agents": Case(MDP | {"agents": 3}, model("whole"), "`agents = 2`", {"agents": 2}),
    "a start of another shape": Case(MDP, model("theta0"), "(2, 2, 2)", model("theta0_right")),
    "critic features without an array": Case(MDP, {"env.features": f"{HERE}/no_psi.npz"}, "phi and psi",
                                             {"env.features": f"{HERE}/features.npz"}),
    "critic features of another shape": Case(MDP, {"env.features": f"{HERE}/psi_wide.npz"}, "(3, 4, 'd')",
                                             {"env.features": f"{HERE}/features.npz"}),
    "gamma of two": Case(MDP, model("gamma"), "one number", model("whole")),
    "gamma of 1": Case(MDP, model("gamma_1"), "gamma < 1", model("whole")),
    "P of one axis": Case(MDP, model("flat"), "(S, J, S)", model("whole")),
    "r of one axis": Case(MDP, model("flat_r"), "then the agents", model("whole")),
    "xi of another length": Case(MDP, model("xi"), "(2,), one number per state", model("whole")),
    "joint actions that do not fit": Case(MDP | {"agents": 3}, model("axes"), "joint actions",
                                          {"agents": 2} | model("whole")),
    "axes of unequal length": Case(MDP, model("unequal"), "of one length", model("whole")),
    "probabilities that do not sum to 1": Case(MDP, model("rows"), "a distribution over the next", model("whole")),
    "costs of another shape": Case(MDP, model("costs_wide"), "(2, 2, 2, 2)", model("costs")),
    "negative probabilities": Case(MDP, model("negative"), "", model("whole")),
    "a game for two": Case(MATRIX, {"agents": 3}, "2, or a game of your own: path", {"agents": 2}),
    "or one's own": Case(MATRIX, {"agents": 3}, "a game of your own",
                         {"env": {"name": "matrix", "path": f"{HERE}/payoff_3.npz"}}),
    "an even number": Case(MATRIX, {"env.game": "proposition-1", "agents": 3}, "4", {"agents": 4}),
    "no payoff": Case(MATRIX, {"env": {"name": "matrix", "path": f"{HERE}/no_payoff.npz"}}, "payoff",
                      {"env.path": f"{HERE}/payoff.npz"}),
    "a payoff of three": Case(MATRIX, {"env": {"name": "matrix", "path": f"{HERE}/payoff_3.npz"}},
                              "one axis for each of 2",
                              {"env.path": f"{HERE}/payoff.npz"}),
    "no pursuers": Case(TAG, {"env.num_good": 3}, "4 or more", {"agents": 4}),
    "or preys that do not learn": Case(TAG, {"env.num_good": 3}, 'env.prey = "scripted"', {"env.prey": "scripted"}),
    "a crowd": Case(HUNT, {"env.n_evaders": 500}, "a larger map", {"env.x_size": 60, "env.y_size": 60}),
}

TOPOLOGIES = {
    "never connected": Case(LINEAR, {"topology": "disconnected"}, "allow_disconnected = true",
                            {"allow_disconnected": True}),
    "or connected": Case(LINEAR, {"topology": "disconnected"}, "a topology whose unions are connected",
                         {"topology": "ring"}),
    "nobody ever near": Case(NEAR, {"topology.radius": 0.001}, "a larger radius", {"topology.radius": 2.0}),
    "or meant to be far": Case(NEAR, {"topology.radius": 0.001}, "allow_disconnected = true",
                               {"allow_disconnected": True}),
    "games of no places": Case(NEAR, {"env": arena()}, 'env = "spread", "tag"', {"env": "tag"}),
    "or the same graph for ever": Case(NEAR, {"env": arena()}, "another topology", {"topology": "ring"}),
    "weights of no graph": Case(NEAR, {"topology.weights": "file"}, '"lazy-metropolis"',
                                {"topology.weights": "lazy-metropolis"}),
    "columns of any graph": Case(NEAR, {"topology.weights": "out-degree"}, "push-sum = true",
                                 {"network": {"push-sum": True}}),
    "no such topology": Case(LINEAR, {"topology": "rign"}, "ring", {"topology": "ring"}),
    "no such rule": Case(LINEAR, {"topology": {"name": "ring", "weights": "metropoli"}}, "metropolis",
                         {"topology.weights": "metropolis"}),
    "no such option of a topology": Case(LINEAR, {"topology": {"name": "periodic-complete", "perido": 2}}, "period",
                                         {"topology": {"name": "periodic-complete", "period": 2}}),
    "a name and a path": Case(LINEAR, {"topology": {"name": "ring", "path": f"{HERE}/ring.py"}}, '{ name = "ring" }',
                              {"topology": {"name": "ring"}}),
    "no such topology file": Case(LINEAR, {"topology": f"{HERE}/missing.py"}, "a file; looked for",
                                  {"topology": f"{HERE}/ring.py"}),
    "another kind of file": Case(LINEAR, {"topology": f"{HERE}/ring.txt"}, ".py", {"topology": f"{HERE}/ring.py"}),
    "too few random edges": Case(LINEAR, {"agents": 12, "topology": {"name": "erdos-renyi", "probability": 0.01}},
                                 "probability", {"topology.probability": 0.9}),
    "complete and large": Case(LINEAR, {"agents": 200_000, "env": {"name": "coordination", "features": "histogram"}},
                               "a sparse topology such as ring", {"topology": "ring"}),
    "rows that do not divide": Case(LINEAR, {"agents": 6, "topology": {"name": "grid", "rows": 4}}, "a divisor",
                                    {"topology.rows": 3}),
    "no rows but one": Case(LINEAR, {"agents": 5, "topology": "grid"}, "rows = 1",
                            {"topology": {"name": "grid", "rows": 1}}),
    "no power of two": Case(LINEAR, {"agents": 5, "topology": "hypercube"}, "4", {"agents": 4}),
    "uniform on a ring": Case(LINEAR, {"topology": {"name": "ring", "weights": "uniform"}}, 'weights = "metropolis"',
                              {"topology.weights": "metropolis"}),
    "several arrays": Case(LINEAR, {"topology": f"{HERE}/weights_a_b.npz"}, "A, B",
                           {"topology": {"path": f"{HERE}/weights_a_b.npz", "array": "A"}}),
    "weights that are missing": Case(LINEAR, {"topology": {"path": f"{HERE}/plain.edgelist", "weights": "file"}},
                                     'weights = "metropolis"', {"topology.weights": "metropolis"}),
    "a file for other agents": Case(LINEAR, {"agents": 3, "topology": f"{HERE}/plain.edgelist"}, "agents = 4",
                                    {"agents": 4}),
    "no edge": Case(LINEAR, graph_file("table.edgelist"), '"u v weight"', graph_file("plain.edgelist")),
    "parallel edges": Case(LINEAR, {"topology": {"path": f"{HERE}/twice.edgelist", "parallel": "refuse"}},
                           'parallel = "merge"', {"topology.parallel": "merge"}),
    "or their sum": Case(LINEAR, {"topology": {"path": f"{HERE}/twice.edgelist", "parallel": "refuse"}},
                         'parallel = "sum"', {"topology.parallel": "sum"}),
    "parallel edges that differ": Case(LINEAR, {"topology": {"path": f"{HERE}/quarrel.edgelist"}}, 'parallel = "sum"',
                                       {"topology.parallel": "sum"}),
    "parallel edges of two kinds": Case(LINEAR, graph_file("half.edgelist"), "or on none",
                                        graph_file("twice.edgelist")),
    "weights that do not sum to 1": Case(LINEAR, {"topology": {"path": f"{HERE}/heavy.edgelist"}},
                                         'weights = "metropolis"', {"topology.weights": "metropolis"}),
    "one way without weights": Case(LINEAR, {"topology": {"path": f"{HERE}/one_way.graphml"}},
                                    'directed = false with weights = "metropolis"',
                                    {"topology.directed": False, "topology.weights": "metropolis"}),
    "one way with a rule": Case(LINEAR, {"topology": {"path": f"{HERE}/one_way.graphml", "weights": "metropolis"}},
                                "directed = false", {"topology.directed": False}),
    "vertices that are not counted": Case(LINEAR, graph_file("uncounted.net"), "*Vertices 5", graph_file("plain.net")),
    "a vertex too many": Case(LINEAR, graph_file("fifth.net"), "1 to 4", graph_file("plain.net")),
    "an edge to nowhere": Case(LINEAR, graph_file("beyond.net"), "from 1 to 4", graph_file("plain.net")),
    "a row too short": Case(LINEAR, graph_file("ragged.net"), "4 numbers", graph_file("plain.net")),
    "a directed graph": Case(LINEAR, {"topology": {"name": "one-peer-exponential", "weights": "metropolis"}},
                             'weights = "file"', {"topology.weights": "file"}),
}

def roads(name: str, offers: str) -> Case:
    """A network of `ROADS`, and the town in its place."""
    return Case(TRAFFIC, {"env.net": f"{HERE}/{name}.net.xml"}, offers, {"env.net": f"{HERE}/town.net.xml"})


SIGNALS = {                                          # as far as SUMO is there to play them
    "no signals": roads("empty", "a network with <tlLogic>"),
    "a signal without green": roads("red", "green for somebody"),
    "phases of unequal length": roads("uneven", "a letter for every link"),
    "no network": roads("routes", "netconvert"), "half a network": roads("cut", "netconvert"),
    "more agents than signals": Case(TRAFFIC, {"agents": 4}, "agents = 3", {"agents": 3}),
    "routes that SUMO does not load": Case(TRAFFIC, {"env.routes": f"{HERE}/cut.net.xml"}, "a network and routes",
                                           {"env.routes": f"{HERE}/town.rou.xml"})}

BATTLES = {                                          # as far as SMAX is there
    "more agents than allies": Case(SMAX, {"agents": 4}, "agents = 3", {"agents": 3})}


CASES = {f"{group}: {name}": case for group, cases in {
    "tables": TABLES, "networks": NETWORKS, "trainers": TRAINERS, "environments": ENVIRONMENTS,
    "signals": SIGNALS if find_spec("libsumo") else {}, "battles": BATTLES if find_spec("jaxmarl") else {},
    "topologies": TOPOLOGIES, "conditions": network_remedies.CASES,
}.items() for name, case in cases.items()}
