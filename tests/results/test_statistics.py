"""Interquartile means and intervals against scipy, against brute force and against known truths."""

from __future__ import annotations

import time
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.results.statistics import iqm, iqm_interval, rate_interval

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def iqm_of_copies(values):
    """The middle half, literally: with every value four times over, cut n values off either end."""
    return scipy.stats.trim_mean(np.repeat(values, 4), 0.25)


@given(values=NUMBERS)
def test_iqm_is_the_mean_of_the_middle_half(values):
    assert iqm(np.array(values)) == pytest.approx(iqm_of_copies(values), rel=1e-12, abs=1e-9)


@given(values=NUMBERS.filter(lambda values: len(values) % 4 == 0))
def test_iqm_is_the_trimmed_mean_where_quarters_are_whole(values):
    assert iqm(np.array(values)) == pytest.approx(scipy.stats.trim_mean(values, 0.25), rel=1e-12, abs=1e-9)


def test_iqm_of_few_values_and_along_axes():
    assert iqm(np.array([3.0])) == 3.0
    assert iqm(np.array([3.0, 5.0])) == 4.0
    assert iqm(np.array([0.0, 6.0, 36.0])) == pytest.approx(10.0)
    assert iqm(np.array([3000] * 11)) == 3000
    x = np.random.default_rng(0).normal(size=(7, 5))
    np.testing.assert_allclose(iqm(x, axis=0), [iqm(column) for column in x.T], rtol=1e-14)
    np.testing.assert_allclose(iqm(x, axis=1), [iqm(row) for row in x], rtol=1e-14)
    with pytest.raises(ValueError, match="at least one value"):
        iqm(np.array([]))


def test_a_value_that_is_not_finite_is_not_trimmed_away():
    for bad in (np.nan, np.inf, -np.inf):
        x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, bad], [4.0, 4.0]])
        interval = iqm_interval(x)
        assert [np.isnan(part[1]) for part in interval] == [True] * 3
        assert np.isfinite([part[0] for part in interval]).all()


@settings(max_examples=40)
@given(values=NUMBERS, level=st.sampled_from([0.5, 0.95]))
def test_intervals_hold_the_estimate_and_widen_with_the_level(values, level):
    x = np.array(values)
    narrow, wide = iqm_interval(x, level=level), iqm_interval(x, level=0.99)
    assert wide.low <= narrow.low <= narrow.high <= wide.high
    assert wide.low <= narrow.estimate + 1e-9
    assert wide.high >= narrow.estimate - 1e-9
    assert x.min() <= wide.low
    assert wide.high <= x.max()


def test_one_seed_has_no_width_and_two_span_their_values():
    assert iqm_interval(np.array([2.5])) == (2.5, 2.5, 2.5)
    assert iqm_interval(np.array([1.0, 3.0])) == (2.0, 1.0, 3.0)
    assert all(part.shape == (4,) for part in iqm_interval(np.ones((1, 4))))


def test_bootstrap_is_deterministic_and_agrees_with_resampling_literally():
    x = np.random.default_rng(3).gumbel(size=12)
    interval = iqm_interval(x, resamples=20_000)
    assert interval == iqm_interval(x, resamples=20_000)
    assert interval != iqm_interval(x, resamples=20_000, seed=1)
    assert interval == iqm_interval(x[::-1], resamples=20_000)
    draws = np.random.default_rng(7).choice(x, size=(20_000, 12))
    literal = np.quantile(iqm(draws, axis=1), [0.025, 0.975])
    np.testing.assert_allclose([interval.low, interval.high], literal, atol=0.03)


@pytest.mark.alone
def test_bootstrap_covers_the_truth_and_is_fast():
    x = np.random.default_rng(1).normal(size=(100, 300))  # 300 repetitions of an experiment with 100 seeds; truth 0
    start = time.perf_counter()
    interval = iqm_interval(x)
    seconds = time.perf_counter() - start
    covered = np.mean((interval.low <= 0) & (interval.high >= 0))
    assert 0.91 <= covered <= 0.985
    width = np.mean(interval.high - interval.low)
    assert width == pytest.approx(2 * 1.96 * np.std(interval.estimate), rel=0.15)
    assert seconds < 1


@settings(max_examples=60)
@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=200), level=st.sampled_from([0.8, 0.95]))
def test_rate_interval_is_wilsons(outcomes, level):
    expected = scipy.stats.binomtest(sum(outcomes), len(outcomes)).proportion_ci(level, method="wilson")
    interval = rate_interval(np.array(outcomes), level=level)
    assert interval == pytest.approx((np.mean(outcomes), expected.low, expected.high), abs=1e-12)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    n, rate, z = len(outcomes), np.mean(outcomes), NormalDist().inv_cdf((1 + level) / 2)        # Wilson (1927)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
    assert interval.low == pytest.approx(0.0 if rate == 0 else centre - half, abs=1e-12)
    assert interval.high == pytest.approx(1.0 if rate == 1 else centre + half, abs=1e-12)
    assert (interval.low == 0.0) == (rate == 0) and (interval.high == 1.0) == (rate == 1)


def test_a_rate_of_no_runs_is_refused():
    with pytest.raises(ValueError, match="at least one run"):
        rate_interval(np.array([]))
