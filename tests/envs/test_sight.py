"""What agents see with their neighbours, number by number, as a plain loop puts it together."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs.arena import Arena

from netac.envs._seeing import SeeingGames, as_seen
from netac.topology.edges import links
from netac.utils.sight import EMPTY, Sight, places


def of(graph: nx.Graph) -> tuple[tuple[int, ...], ...]:
    return places(*links(graph), len(graph))


def looped(obs: list[np.ndarray], graph: nx.Graph, agent: int) -> np.ndarray:
    """(E, *shape) from the observations of all, by the words of netac.utils.sight."""
    longest = max(own.shape[-1] for own in obs)
    before = max(sum(j < i for j in graph[i]) for i in graph)
    behind = max(sum(j > i for j in graph[i]) for i in graph)
    nothing, shown, filled = np.zeros((*obs[0].shape[:-1], longest)), [obs[agent]], []
    low, high = sorted(j for j in graph[agent] if j < agent), sorted(j for j in graph[agent] if j > agent)
    seats = [None] * (before - len(low)) + low + high + [None] * (behind - len(high))
    for neighbour in seats:
        padded = nothing.copy()
        if neighbour is not None:
            padded[..., :obs[neighbour].shape[-1]] = obs[neighbour]
        shown.append(padded)
        filled.append(np.full((*obs[0].shape[:-1], 1), float(neighbour is not None)))
    return np.concatenate([*shown, *filled], axis=-1).astype(np.float32)


@given(st.integers(1, 6), st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_as_in_a_plain_loop(agents, density, seed, unlike, images):
    graph, rng = nx.gnp_random_graph(agents, density, seed=seed), np.random.default_rng(seed)
    lead = (3, 2, 2) if images else (3,)
    obs = [rng.normal(size=(*lead, 2 + (i % 2) * unlike)).astype(np.float32) for i in range(agents)]
    sight = Sight(tuple(own.shape[1:] for own in obs), None, "neighbours", "own", of(graph))
    shown = sight.wide(obs, range(agents))
    for agent in range(agents):
        np.testing.assert_array_equal(shown[agent], looped(obs, graph, agent))
        assert shown[agent].shape[1:] == sight.shapes("neighbours")[agent] and shown[agent].dtype == np.float32
    for own, part in zip(obs, sight.part(shown, "own", range(agents)), strict=True):
        np.testing.assert_array_equal(own, part)
    for agent in range(agents):
        np.testing.assert_array_equal(sight.wide(obs, [agent])[0], shown[agent])
    edges = graph.number_of_edges()
    assert sight.told == (2 * edges, sum(4 * graph.degree[i] * own[0].size for i, own in enumerate(obs)))


def test_who_is_before_and_who_is_behind_stand_at_the_same_places():
    assert of(nx.path_graph(4)) == ((EMPTY, 1), (0, 2), (1, 3), (2, EMPTY))
    assert of(nx.cycle_graph(4))[0] == (EMPTY, EMPTY, 1, 3)
    assert of(nx.empty_graph(2)) == ((), ())
    assert of(nx.path_graph(1)) == ((),)


def test_a_table_holds_it():
    sight = Sight(((2,), (3,)), (4,), "neighbours", "own", of(nx.path_graph(2)))
    assert Sight.from_table(sight.own, sight.as_table()) == sight


@pytest.mark.parametrize("scope", ["neighbours", "state"])
def test_games_show_it(scope):
    games, plain = Arena(3, 2, extra=1), Arena(3, 2, extra=1)
    sight = Sight(games.observations, games.state_shape, scope, scope,
                  of(nx.path_graph(3)) if scope == "neighbours" else ())
    seen = as_seen(games, sight)
    assert isinstance(seen, SeeingGames) and as_seen(plain, Sight(plain.observations)) is plain
    for each in (seen, plain):
        each.begin(3, 0)
        each.step(np.ones((3, 2), dtype=int))
    own = plain.observe(range(3))
    for agent, shown in enumerate(seen.observe(range(1, 3)), start=1):
        np.testing.assert_array_equal(
            shown, plain.state() if scope == "state" else looped(own, nx.path_graph(3), agent))
        assert shown.shape[1:] == seen.observations[agent]
    np.testing.assert_array_equal(seen.state(), plain.state())
    np.testing.assert_array_equal(seen.active, plain.active)
