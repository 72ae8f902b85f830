"""The mean of what is mixed: kept by what befalls both directions of an edge and by codes, and moved by what does not.

That push-sum keeps it whatever is lost is in test_condition_push_sum; delays, events and noise: ..._combinations.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.condition_networks import network

GRAPHS = ["ring", "path", "star", "complete", "tree", {"name": "erdos-renyi", "probability": 0.5, "seed": 2},
          {"name": "geometric", "radius": 0.7, "seed": 1}]
CHANGING = [{"name": "gossip", "probability": 0.4}, {"name": "periodic-complete", "period": 3},
            {"name": "alternating", "of": ["ring", "star"]}]
WEIGHTS = ["metropolis", "lazy-metropolis", "max-degree"]

rate = st.floats(0.0, 1.0)
FAILING: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "loss": st.builds(dict, probability=rate),
    "gilbert-elliott": st.builds(dict, to_bad=rate, to_good=st.floats(0.01, 1.0), good_loss=rate, bad_loss=rate),
    "sleep": st.one_of(st.builds(dict, probability=st.floats(0.0, 0.99)), st.builds(dict, agents=st.just([0])),
                       st.builds(dict, fraction=st.sampled_from([0.5, 1.0]), start=st.just(2), end=st.just(7))),
    "skip": st.builds(dict, every=st.integers(1, 4)), "clipping": st.builds(dict, radius=st.floats(0.01, 5.0)),
    "clock": st.builds(dict, latency=st.just(0.1), compute=st.just(0.1), jitter=st.just(0.5))}
FEEDBACK = st.sampled_from(["none", "choco", "error"])
CODES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "top-k": st.builds(dict, k=st.integers(1, 8), feedback=FEEDBACK),
    "random-k": st.builds(dict, fraction=st.floats(0.05, 1.0), feedback=FEEDBACK),
    "quantisation": st.builds(dict, bits=st.integers(2, 16), bucket=st.sampled_from([3, 512]), feedback=FEEDBACK),
    "sign": st.builds(dict, bucket=st.sampled_from([3, 512]), feedback=FEEDBACK)}


def some(choices: dict[str, st.SearchStrategy], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Up to so many of the conditions, with options."""
    return st.lists(st.sampled_from(sorted(choices)), min_size=1, max_size=most, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: choices[name] for name in names}))


def drift(table: dict[str, Any], graph: dict[str, Any] | str, weights: str, agents: int, seed: int) -> float:
    """By how much twelve iterations of two rounds move the mean of numbers of size 1, at most; they come nearer."""
    given_graph = {"name": graph} if isinstance(graph, str) else graph
    through = network(table, agents, given_graph | {"weights": weights}, seed)
    x = np.random.default_rng(seed).standard_normal((agents, 9))
    mean, moved = x.mean(axis=0), 0.0
    for t in range(12):
        x = through.mix(t, x, rounds=2)
        moved = max(moved, np.abs(x.mean(axis=0) - mean).max() / max(1.0, np.abs(x).max()))
    return moved


@settings(max_examples=40, derandomize=True)
@given(table=some(FAILING, 3), graph=st.sampled_from(GRAPHS + CHANGING), weights=st.sampled_from(WEIGHTS),
       agents=st.integers(2, 9), seed=st.integers(0, 99))
def test_what_fails_both_ways_keeps_the_mean(table, graph, weights, agents, seed):
    assert drift(table, graph, weights, agents, seed) < 1e-12


@settings(max_examples=40, derandomize=True)
@given(code=some(CODES, 1), graph=st.sampled_from(GRAPHS), weights=st.sampled_from(WEIGHTS),
       agents=st.integers(2, 9), seed=st.integers(0, 99))
def test_codes_keep_the_mean_plain_or_with_feedback(code, graph, weights, agents, seed):
    assert drift(code, graph, weights, agents, seed) < 1e-12


@settings(max_examples=20, derandomize=True)
@given(code=some(CODES, 1), table=some(FAILING, 2), graph=st.sampled_from(GRAPHS + CHANGING),
       agents=st.integers(2, 9), seed=st.integers(0, 99))
def test_plain_codes_keep_it_where_messages_get_lost(code, table, graph, agents, seed):
    plain = {name: options | {"feedback": "none"} for name, options in code.items()}
    assert drift(plain | table, graph, "metropolis", agents, seed) < 1e-12


@pytest.mark.parametrize("table", [
    {"loss": {"probability": 0.3, "both_ways": False}}, {"gilbert-elliott": {"to_bad": 0.3, "both_ways": False}},
    {"top-k": {"k": 4, "feedback": "none"}, "loss": {"probability": 0.3, "both_ways": False}}], ids=str)
def test_what_fails_one_way_moves_the_mean_but_not_that_of_push_sum(table):
    assert drift(table, "ring", "metropolis", 8, 1) > 1e-2
    if "top-k" not in table:
        through = network(table | {"push-sum": True}, 8, "ring", 1)
        x = start = np.random.default_rng(1).standard_normal((8, 9))
        for t in range(400):
            x = through.mix(t, x)
        assert np.allclose(x, start.mean(axis=0), rtol=0, atol=1e-12)
