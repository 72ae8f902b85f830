"""Random streams: a number depends on what it is for, never on how it is fetched, by whom or with how many others."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from netac.comm.placement import Placement
from netac.utils.streams import APART, Purpose, Stream, Uniforms, gumbel, normal, student_t4

seeds, chains = st.integers(0, 2**63 - 1), st.integers(0, 10**9)
pieces = st.lists(st.integers(1, 700), min_size=1, max_size=6)
manys = st.integers(1, 40) | st.integers(690, 1500)         # agents, also so many that processes jump to their own


def plain(seed: int, purpose: int, chain: int, first: int, count: int) -> np.ndarray:
    """The numbers from place `first` on, drawn one after the other."""
    philox = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose, chain)))
    whole = first - first % 4
    return np.random.Generator(philox.advance(whole // 4)).random(first - whole + count)[first - whole:]


@settings(max_examples=60)
@given(pieces, manys, seeds, chains, st.data())
def test_every_process_takes_its_columns_of_the_whole(pieces, agents, seed, chain, data):
    rows = sum(pieces)
    whole = plain(seed, 1, chain, 0, rows * agents).reshape(rows, agents)
    processes = data.draw(st.integers(1, agents))
    ranks = data.draw(st.lists(st.integers(0, processes - 1), min_size=1, max_size=3, unique=True))
    for own in (Placement(agents, processes, rank).local for rank in ranks):
        stream = Stream(seed, Purpose.ACTION, chain, agents, own)
        taken = np.concatenate([stream.take(piece) for piece in pieces])
        assert np.array_equal(taken, whole[:, own.start:own.stop]) and stream.position == rows


@settings(max_examples=60)
@given(pieces, st.integers(1, 40) | st.integers(900, 1000), seeds, chains, st.integers(0, 2**80))
def test_games_have_numbers_of_their_own_however_many_there_are(pieces, games, seed, chain, far):
    stream = Stream(seed, Purpose.ENVIRONMENT, chain, None, range(games))
    taken = np.concatenate([stream.take(piece) for piece in pieces])
    for game in {0, games // 2, games - 1}:
        assert np.array_equal(taken[:, game], plain(seed, 0, chain, game * 2**64, len(taken)))
    one = Stream(seed, Purpose.ENVIRONMENT, chain, None, range(far, far + 1))
    assert np.array_equal(one.take(5)[:, 0], plain(seed, 0, chain, far * 2**64, 5))


@settings(max_examples=60)
@given(st.none() | manys, seeds, st.lists(st.tuples(st.integers(0, 10**15) | st.integers(0, 3000), pieces),
                                          min_size=1, max_size=4), st.data())
def test_to_seek_is_to_have_taken(number, seed, visits, data):
    first = data.draw(st.integers(0, (number or 50) - 1))
    own = range(first, data.draw(st.integers(first + 1, number or 50)))
    stream = Stream(seed, Purpose.REWARD_NOISE, 3, number, own)
    for position, pieces in visits:
        stream.seek(position)
        assert stream.position == position
        for piece in pieces:
            taken, at = stream.take(piece), stream.position - piece
            for column in {0, len(own) - 1}:
                place = (lambda t, i: i * 2**64 + t) if number is None else (lambda t, i: t * number + i)
                for row in {0, piece // 2, piece - 1}:
                    assert taken[row, column] == plain(seed, 2, 3, place(at + row, own[column]), 1)[0]


@given(st.integers(1, 30) | st.integers(1500, 2000) | st.just(APART), seeds,
       st.lists(st.tuples(st.integers(0, 2**70), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
                min_size=1, max_size=8))
def test_a_table_is_read_anywhere_in_any_order(width, seed, reads):
    table = Uniforms(seed, Purpose.INITIAL, 0, width)
    for first, rows, start, columns in reads:
        start = min(start, width - 1)
        end = min(start + columns, width)
        found = table.rows(range(first, first + rows), range(start, end))
        expected = [plain(seed, 4, 0, (first + k) * width + start, end - start) for k in range(rows)]
        assert np.array_equal(found, expected) and found.flags.writeable


def test_rows_that_are_passed_over_are_never_all_there(monkeypatch):
    """Many samples of one agent among some hundreds take memory for the agent, not for all."""
    drawn = []
    monkeypatch.setattr(Uniforms, "_draw", lambda self, place, out: drawn.append(out.size))
    Stream(0, Purpose.ACTION, 0, 600, range(1)).take(10_000)
    assert sum(drawn) == 600 * 10_000 and max(drawn) <= 2**16


@pytest.mark.parametrize("number", [None, 1000])
def test_blocks_are_of_some_size(number):
    """What is fetched ahead is some megabytes, whatever the number of agents."""
    stream = Stream(0, Purpose.ACTION, 0, number, range(1000))
    stream.take()
    assert 10 <= len(stream._block) <= 100 and Stream(0, Purpose.ACTION, 0, 10**6, range(10**6))._rows == 1


def test_purposes_chains_and_seeds_differ():
    keys = list(product((0, 1), (Purpose.ACTION, Purpose.REPLAY), (0, 1)))
    found = [Stream(seed, purpose, chain, 5, range(5)).take(3).tobytes() for seed, purpose, chain in keys]
    assert len(set(found)) == len(keys)


def test_numbers_are_uniform_and_agents_and_times_are_independent():
    taken = Stream(7, Purpose.ACTION, 0, 900, range(900)).take(400)
    assert taken.min() >= 0 and taken.max() < 1 and len(np.unique(taken)) == taken.size
    assert (taken * 2**53 % 1 == 0).all() and (taken * 2**52 % 1 != 0).any()
    assert stats.kstest(taken.ravel(), "uniform").pvalue > 1e-4
    by_agent, by_time = np.corrcoef(taken.T), np.corrcoef(taken)
    for found, count in ((by_agent, 400), (by_time, 900)):
        z = found[np.triu_indices(len(found), 1)] * np.sqrt(count)
        assert abs(z).max() < 6 and abs(z.std() - 1) < 0.02


def test_quantile_functions():
    u = np.linspace(0.001, 0.999, 200)
    np.testing.assert_allclose(gumbel(u), stats.gumbel_r.ppf(u), rtol=1e-10)
    np.testing.assert_allclose(normal(u), stats.norm.ppf(u), rtol=1e-10)
    np.testing.assert_allclose(student_t4(u), stats.t(4).ppf(u) / stats.t(4).std(), rtol=1e-8)
    assert np.isfinite([gumbel(np.array([0.0, 1 - 2**-53])), student_t4(np.array([0.0, 1 - 2**-53]))]).all()
