"""The graph that an environment has: who is whose neighbour in the problem itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy.sparse import csr_array

from netac import topology
from netac.envs._spatial import DiscountedTable, reward_weights
from netac.experiment.following import Rehearsal
from netac.experiment.make_env import Environment, GamesSource, as_games, make_environment
from netac.experiment.schema import Experiment, UserEnvironment
from netac.topology.edges import Graph, links, of_pairs
from netac.topology.parts import Neighbours
from netac.utils.distances import near
from netac.utils.errors import InputError, raised
from netac.utils.sight import Scope, places

MOST_WEIGHTED = 2_000           # agents whose rewards are weighted: N^2 numbers
VALID = ("an undirected networkx graph on the agents 0, ..., N - 1 or on their names, a dictionary from each to its "
         "neighbours, or a function that gives one for every t")


def neighbours_of(environment: Environment, experiment: Experiment, folder: Path | None = None,
                  radius: float | None = None) -> Neighbours | None:
    """The environment's graph: of the file that `env.neighbours` names, or its attribute `neighbours`; else None.

    Args:
        environment: that of `experiment`.
        folder: where relative paths start.
        radius: how near agents must be to hear each other: the graphs are then those of a rehearsal.

    Raises:
        InputError: the file cannot be used, or the attribute is no graph of these agents, or nobody knows where agents
            are.
    """
    env, agents = experiment.env, experiment.agents
    if radius is not None:
        return _of_those_near(environment, experiment, radius)
    if isinstance(env, UserEnvironment) and env.neighbours is not None:
        of_file = topology.load({"path": env.neighbours}, agents, folder=folder, key="env.neighbours")
        return Neighbours(of_file.as_given, of_file.period)
    holder = environment.probe if isinstance(environment, GamesSource) else environment
    given = getattr(holder, "neighbours", None)
    if given is None:
        return None
    ids = tuple(getattr(holder, "ids", getattr(holder, "names", range(agents))))
    if callable(given):
        return Neighbours(partial(_asked, given, ids), None)
    graph = _on_agents(given, ids)
    return Neighbours(lambda t: graph, 1)


def graph_of(experiment: Experiment, folder: Path | None = None, radius: float | None = None) -> Neighbours | None:
    """The same for an experiment whose environment is not there yet; it is made, and looked at."""
    return neighbours_of(make_environment(experiment.env, experiment.agents, 1), experiment, folder, radius)


def _of_those_near(environment: Environment, experiment: Experiment, radius: float) -> Neighbours:
    """The graphs of a rehearsal.

    Raises:
        InputError: nobody knows where agents are, or process 0 alone, which steps the games.
    """
    if not isinstance(environment, GamesSource) or not environment.replicated or not hasattr(
            environment.probe, "positions"):
        raise InputError("the environment does not tell every process where agents are", key="radius", found=radius,
                         valid='env = "spread", "tag", "pursuit" or games of one\'s own with a method `positions` '
                               "(netac.envs.BatchedEnvironment); or another topology")
    rehearsal = Rehearsal(environment.several, experiment.seed)
    return Neighbours(lambda t: of_pairs(near(rehearsal.positions(t), radius)[0]), None)


def spatially_discounted(environment: Environment, experiment: Experiment) -> Environment:
    """The environment with rewards as `spatial_discount` says.

    Raises:
        InputError: it has no graph, or one that changes, or too many agents.
    """
    if experiment.agents > MOST_WEIGHTED:
        raise InputError("every agent's reward is a sum over all agents", key="spatial_discount",
                         found=f"{experiment.agents:,} agents", valid=f"at most {MOST_WEIGHTED:,} agents")
    i, j = _lasting_links(environment, experiment, "distances are those in the environment's graph",
                          "spatial_discount", "no spatial_discount")
    n = experiment.agents
    weights = reward_weights(csr_array((np.ones(len(i)), (i, j)), shape=(n, n)), experiment.spatial_discount or 0.0)
    if isinstance(environment, GamesSource):
        return replace(environment, weights=weights)
    return DiscountedTable(environment, weights)


def ground_of(environment: Environment, experiment: Experiment, state: bool = False) -> GamesSource:
    """The games that networks play, with what policies and critics see of them.

    Args:
        state: whether it is settled that critics see the state.

    Raises:
        InputError: they cannot see that.
    """
    ground = as_games(environment, experiment.envs)
    policy = _scope(experiment.policy, "own")
    critics = "state" if state else _scope(experiment.critic, policy)
    sight = replace(ground.sight, policy=policy, critics=critics)
    if policy == "state" and sight.state is None:
        raise InputError("this environment has no global state", key="policy.sees", found="state", valid='"own"')
    if policy == "state" != critics:
        raise InputError("critics see no less than policies that see the state", key="critic.sees", found=critics,
                         valid='"state"')
    if "neighbours" in (policy, critics):
        key = "policy.sees" if policy == "neighbours" else "critic.sees"
        if len({shape[:-1] for shape in sight.own}) > 1 or () in sight.own:
            raise InputError("neighbours' observations stand beside each other along their last axis", key=key,
                             found="observations of shapes " + ", ".join(map(str, sorted(set(sight.own)))),
                             valid='vectors, or images of one size; or "own"')
        i, j = _lasting_links(environment, experiment, "neighbours are those in the environment's graph", key, '"own"')
        sight = replace(sight, places=places(i, j, experiment.agents))
    return ground if sight == ground.sight else ground.seen(sight)


def _scope(table: dict[str, Any], usual: Scope) -> Scope:
    """What is to be seen; what is no scope is refused where the table is read."""
    return next((scope for scope in get_args(Scope) if scope == table.get("sees")), usual)


def _lasting_links(environment: Environment, experiment: Experiment, problem: str, key: str,
                   instead: str) -> tuple[np.ndarray, np.ndarray]:
    """The links of the environment's graph, which is always the same; refused with `problem` if it is not."""
    neighbours = neighbours_of(environment, experiment)
    if neighbours is None or neighbours.period != 1:
        raise InputError(problem, key=key, found="no graph" if neighbours is None else "a graph that changes",
                         valid="an environment with `neighbours`, the same in every step, env.neighbours = a file with "
                               f"a graph, or {instead}")
    return links(neighbours.at(0))


def _asked(given: Callable[[int], Any], ids: Sequence[Hashable], t: int) -> Graph:
    try:
        found = given(t)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise InputError(f"the environment's neighbours(t={t}) raised {raised(error)}", key="env",
                         valid=VALID) from error
    return _on_agents(found, ids)


def _on_agents(given: Any, ids: Sequence[Hashable]) -> Graph:
    """The graph with agents for nodes."""
    import networkx as nx
    agents = range(len(ids))
    try:
        graph = nx.Graph(given) if isinstance(given, dict) else given
    except (TypeError, nx.NetworkXError):
        raise _refused(type(given).__name__, ids) from None
    if not isinstance(graph, nx.Graph) or graph.is_multigraph():
        raise _refused(type(graph).__name__, ids)
    if graph.is_directed():
        raise _refused("a directed graph", ids)
    nodes = set(graph)
    if nodes == set(agents):
        return graph
    if nodes == set(ids):
        return nx.relabel_nodes(graph, dict(zip(ids, agents, strict=True)))
    raise _refused(f"a graph of {len(graph)} nodes", ids)


def _refused(found: str, ids: Sequence[Hashable]) -> InputError:
    return InputError(f"the environment's `neighbours` is no graph of its {len(ids)} agents", key="env", found=found,
                      valid=VALID)
