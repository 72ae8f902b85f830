"""Trimmed mean, median and clipping, against plain loops written from their equations."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.conditioned import Processes, Watching, digraph, load, network, of

from netac.comm.conditions import _robust
from netac.utils.errors import InputError

GRAPHS = {"complete": lambda: load("complete", 7), "ring": lambda: load("ring", 6), "star": lambda: load("star", 6),
          "erdos-renyi": lambda: load({"name": "erdos-renyi", "probability": 0.6, "seed": 1}, 9),
          "directed": lambda: of(digraph(8, 20)), "none": lambda: load("disconnected", 3),
          "one": lambda: load("complete", 1), "two": lambda: load("complete", 2)}
TABLES = {"trimmed-0": {"trimmed-mean": 0}, "trimmed-1": {"trimmed-mean": 1}, "trimmed-2": {"trimmed-mean": 2},
          "median": {"median": True}, "clipping": {"clipping": 0.7}}
LOSS = {"loss": {"probability": 0.3, "both_ways": False}, "allow_insecure": True}      # nor need anybody mix


def trimmed(own: float, heard: list[float], f: int) -> float:
    if len(heard) < 2 * f + 1:
        return own
    left = sorted(heard)[f:len(heard) - f]
    return (own + sum(left)) / (len(heard) - 2 * f + 1)


def expected(name: str, x: np.ndarray, said: np.ndarray, arrived: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Of one round: `said` is what agents send, `arrived` (N, N)."""
    found = x.copy()
    for i in range(len(x)):
        heard = [j for j in range(len(x)) if arrived[i, j]]
        if name == "clipping":
            for j in heard:
                apart = said[j] - x[i]
                length = np.sqrt(sum(number**2 for number in apart))
                found[i] = found[i] + W[i, j] * min(1.0, 0.7 / length if length else 1.0) * apart
            continue
        for k in range(x.shape[1]):
            values = [said[j, k] for j in heard]
            if name == "median":
                found[i, k] = np.median([x[i, k], *values])
            else:
                found[i, k] = trimmed(x[i, k], values, int(name[-1]))
    return found


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_round_is_that_of_the_equation(name, graph):
    watching, topology = Watching(), GRAPHS[graph]()
    through, rng = network(topology, {**TABLES[name], **LOSS}, watching), np.random.default_rng(0)
    for t in range(6):
        x = rng.standard_normal((topology.agents, 1 + 4 * (t % 2)))
        mixed = through.mix(t, x)
        assert np.allclose(mixed, expected(name, x, x, watching.arrived, topology.matrix(t).toarray()), rtol=0,
                           atol=1e-12)


@pytest.mark.parametrize("name", TABLES)
def test_the_sum_is_so_many_times_a_location_of_the_neighbours_values(name):
    watching, topology, rng = Watching(), load({"name": "erdos-renyi", "probability": 0.6, "seed": 1}, 9), \
        np.random.default_rng(1)
    through = network(topology, {**TABLES[name], **LOSS}, watching)
    degree = (topology.matrix(0).toarray() != 0).sum(axis=1) - 1
    for t in range(4):
        x = rng.standard_normal((9, 3))
        through.post(t, x, "x", sums=True)
        found = through.wait()
        for i in range(9):
            heard = np.flatnonzero(watching.arrived[i])
            if name == "clipping":
                apart = x[heard] - x[i]
                length = np.sqrt((apart**2).sum(axis=1, keepdims=True))
                wanted = degree[i] * x[i] + (np.minimum(1, 0.7 / length) * apart).sum(axis=0)
            elif name == "median":
                wanted = degree[i] * (np.median(x[heard], axis=0) if len(heard) else x[i])
            else:
                f = int(name[-1])
                left = np.sort(x[heard], axis=0)[f:len(heard) - f]
                wanted = degree[i] * (left.mean(axis=0) if len(heard) > 2 * f else x[i])
            assert np.allclose(found[i], wanted, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(k=st.integers(1, 14), seed=st.integers(0, 2**16), width=st.integers(1, 5), f=st.integers(0, 4))
def test_any_number_of_neighbours_and_ties(k, seed, width, f):
    x = np.random.default_rng(seed).integers(-3, 4, (k + 1, width)).astype(float)
    topology = load("star", k + 1)
    for name, table in ((f"trimmed-{f}", {"trimmed-mean": f, "allow_insecure": True}), ("median", {"median": True})):
        arrived = topology.matrix(0).toarray() != 0
        np.fill_diagonal(arrived, False)
        assert np.allclose(network(topology, table).mix(0, x), expected(name, x, x, arrived, np.eye(k + 1)), rtol=0,
                           atol=1e-13)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), f=st.integers(1, 3), lies=st.lists(st.sampled_from(
    [np.nan, np.inf, -np.inf, 1e308, -1e308, -0.0, 0.3]), min_size=3, max_size=3), single=st.booleans())
def test_f_liars_cannot_move_honest_agents_out_of_their_hull(seed, f, lies, single):
    kind = np.float32 if single else np.float64
    rng, N = np.random.default_rng(seed), 2 * f + 3
    x = rng.standard_normal((N, 4)).astype(kind)
    with np.errstate(over="ignore"):
        x[:f] = np.array(lies[:f])[:, None].astype(kind)
    for table in ({"trimmed-mean": f}, {"median": True}):
        mixed = network(load("complete", N), table).mix(0, x)[f:]
        honest = x[f:]
        assert mixed.dtype == kind
        slack = 4 * np.finfo(kind).eps * np.abs(honest).max()
        assert (mixed >= honest.min(axis=0) - slack).all() and (mixed <= honest.max(axis=0) + slack).all()


def test_a_message_that_is_no_number_does_not_move_who_clips():
    x = np.random.default_rng(2).standard_normal((4, 3))
    x[3, 1], x[2] = np.nan, 1e300
    mixed = network(load("complete", 4), {"clipping": 1.0}).mix(0, x)
    apart = np.minimum(1.0, 1.0 / np.linalg.norm(x[1] - x[0])) * (x[1] - x[0])
    assert np.allclose(mixed[0], x[0] + 0.25 * apart + 0.25 / np.sqrt(3), rtol=0, atol=1e-12)
    assert np.isfinite(mixed[:2]).all()


@pytest.mark.filterwarnings("error")
def test_clipping_says_nothing_of_agents_that_agree():
    x = np.ones((4, 3))
    for radius in (1e-300, 1.0, 1e300):
        assert np.array_equal(network(load("complete", 4), {"clipping": radius}).mix(0, x), x)


def test_clipping_keeps_the_mean_with_symmetric_weights_and_is_the_average_where_nothing_is_long():
    topology = load({"name": "erdos-renyi", "probability": 0.6, "seed": 1}, 9)
    through = network(topology, {"clipping": 0.5, "loss": 0.3})
    x = start = 10 * np.random.default_rng(3).standard_normal((9, 4))
    for t in range(50):
        x = through.mix(t, x)
    assert np.allclose(x.mean(axis=0), start.mean(axis=0), rtol=0, atol=1e-13) and not np.allclose(x, start, atol=0.5)
    for kind in (np.float32, np.float64):
        near = start.astype(kind)
        assert np.array_equal(network(topology, {"clipping": 1e3}).mix(0, near), network(topology, {}).mix(0, near))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_bits_do_not_depend_on_who_shares_a_process_or_on_blocks(name, kind, monkeypatch):
    topology, rng = load({"name": "erdos-renyi", "probability": 0.5, "seed": 2}, 24), np.random.default_rng(4)
    x = rng.standard_normal((24, 37)).astype(kind)
    x[::5, ::3] *= -0.0
    table = {**TABLES[name], **LOSS}
    for sums in (False, True):
        whole = Processes(topology, table, 1).mix(0, x, sums=sums)
        assert whole.dtype == kind
        for p in (2, 5, 24):
            assert Processes(topology, table, p).mix(0, x, sums=sums).tobytes() == whole.tobytes()
        with monkeypatch.context() as patched:
            patched.setattr(_robust, "BLOCK", 700)
            patched.setattr("netac.comm.conditions.clipping.BLOCK", 700)
            assert Processes(topology, table, 3).mix(0, x, sums=sums).tobytes() == whole.tobytes()


@pytest.mark.parametrize("k", [2, 5, _robust.FEW + 3])
def test_values_come_in_order_and_zeros_are_one(k):
    rng = np.random.default_rng(6)
    x = rng.integers(-1, 2, (k, 40, 30)) * rng.choice([-1.0, 1.0], (k, 40, 30))
    x[0, :5] = np.nan
    found = _robust.ascending(x.copy())
    assert np.array_equal(found, np.sort(np.where(np.isnan(x), np.inf, x), axis=0))
    assert not np.signbit(found[found == 0.0]).any()


def test_own_value_and_gain_of_other_conditions_hold():
    class Half(Watching):
        def arrive(self, exchange):
            exchange.own, exchange.gain = 2.0 * exchange.values, 0.5

    x, topology = np.random.default_rng(5).standard_normal((5, 3)), load("complete", 5)
    for table, location in (({"trimmed-mean": 1}, lambda i, others: (
            2 * x[i] + np.sort(others, axis=0)[1:-1].sum(axis=0)) / 3),
            ({"median": True}, lambda i, others: np.median(np.vstack([2 * x[i], others]), axis=0)),
            ({"clipping": 1e9}, lambda i, others: 2 * x[i] + 0.2 * (others - 2 * x[i]).sum(axis=0))):
        found = network(topology, table, Half()).mix(0, x)
        for i in range(5):
            others = np.delete(x, i, axis=0)
            assert np.allclose(found[i], x[i] + 0.5 * (location(i, others) - 2 * x[i]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("table, message", [
    ({"trimmed-mean": 1, "median": True}, "network.median: does not go with trimmed-mean"),
    ({"clipping": 1.0, "trimmed-mean": 1}, "network.clipping: does not go with trimmed-mean"),
    ({"trimmed-mean": -1}, "network.trimmed-mean.f: .*greater than or equal to 0"),
    ({"clipping": 0.0}, "network.clipping.radius"), ({"clipping": float("nan")}, "network.clipping.radius"),
    ({"median": 3}, "network.median: this condition has no options")])
def test_bad_input_is_refused(table, message):
    with pytest.raises(InputError, match=message):
        network(load("complete", 4), table)
