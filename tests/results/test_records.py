"""Run folders read back; learning curves of several seeds on one grid."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.results.curves import interval_means, reward_at, stack_curves, thin
from netac.results.records import load_run, load_summary, write_summary
from netac.results.tables import CsvWriter
from netac.utils.errors import InputError, RunError


def make_run(folder):
    (folder / "experiment.toml").write_text('agents = 2\nalgorithm = { name = "cac" }\n')
    with CsvWriter(folder / "metrics.csv", ("iteration", "reward")) as writer:
        writer.write({"iteration": 1, "reward": 0.5})
    write_summary(folder, {"algorithm": "cac", "seed": 0})


def test_a_run_folder_comes_back(tmp_path):
    make_run(tmp_path)
    record = load_run(str(tmp_path))
    assert record.folder == tmp_path
    assert record.summary == {"algorithm": "cac", "seed": 0}
    assert record.experiment == {"agents": 2, "algorithm": {"name": "cac"}}
    assert record.metrics["reward"].tolist() == [0.5]


def test_a_summary_keeps_its_order_and_is_json_for_everyone(tmp_path):
    write_summary(tmp_path, {"z": np.float64(0.1), "a": np.int64(3), "flag": np.bool_(True), "nan": math.nan,
                             "inner": {"low": -np.inf, "list": (1, np.nan)}, "array": np.array([[1.5, np.nan]]),
                             "place": Path("runs/ä"), "nothing": None})

    def refuse(name):
        pytest.fail(f"{name} is not JSON")

    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert list(summary) == ["z", "a", "flag", "nan", "inner", "array", "place", "nothing"]
    assert summary == load_summary(tmp_path) == {
        "z": 0.1, "a": 3, "flag": True, "nan": None, "inner": {"low": None, "list": [1, None]},
        "array": [[1.5, None]], "place": "runs/ä", "nothing": None}


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        load_run(tmp_path / "none")
    with pytest.raises(InputError, match=r"not the folder of a run: experiment.toml, metrics.csv, summary.json mis"):
        load_run(tmp_path)
    make_run(tmp_path)
    (tmp_path / "summary.json").unlink()
    with pytest.raises(InputError, match=r"has not finished: summary\.json missing"):
        load_run(tmp_path)
    for text, message in [('{"a": ', "is not valid JSON"), ("[1]", "is not a JSON object"), ("", "is not valid JSON")]:
        (tmp_path / "summary.json").write_text(text)
        with pytest.raises(InputError, match=message):
            load_run(tmp_path)
    (tmp_path / "experiment.toml").write_text("agents = \n")
    with pytest.raises(InputError, match=r"experiment\.toml: is not valid TOML"):
        load_run(tmp_path)
    (tmp_path / "summary.json").unlink()
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(RunError, match="it is a folder"):
        write_summary(tmp_path, {})


def test_what_a_run_writes_with_loads_nothing_heavy():
    program = ("import sys, netac.utils.files, netac.results.tables, netac.results.records\n"
               "print([name for name in ('scipy', 'matplotlib', 'rich', 'pydantic', 'torch') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


INTERVALS = st.lists(st.tuples(st.integers(1, 5), st.floats(-100, 100)), min_size=1, max_size=20)


def as_curve(intervals):
    lengths, rewards = zip(*intervals, strict=True)
    return {"iteration": np.arange(1, len(lengths) + 1), "env_steps": np.cumsum(lengths), "reward": np.array(rewards)}


def sample_by_sample(intervals):
    """The reward of every single joint sample, constant over an interval."""
    return np.concatenate([np.full(length, reward) for length, reward in intervals])


@given(intervals=INTERVALS, data=st.data())
def test_interval_means_are_means_over_single_samples(intervals, data):
    curve, single = as_curve(intervals), sample_by_sample(intervals)
    edges = sorted(data.draw(st.sets(st.integers(0, len(single)), min_size=2)))
    means = interval_means(curve["env_steps"], np.stack([curve["reward"], -curve["reward"]]), np.array(edges))
    expected = [single[low:high].mean() for low, high in itertools.pairwise(edges)]
    np.testing.assert_allclose(means, [expected, np.negative(expected)], atol=1e-9)


@given(intervals=INTERVALS, tenths=st.integers(1, 10))
def test_reward_at_is_the_mean_over_the_last_tenth_of_the_samples(intervals, tenths):
    curve, single = as_curve(intervals), np.repeat(sample_by_sample(intervals), 10)  # a sample in ten pieces
    samples = len(single) // 10 * tenths / 10
    pieces = len(single) // 10 * tenths
    exact = np.repeat(single, 10)[9 * pieces:10 * pieces].mean()
    assert reward_at(curve, samples) == pytest.approx(exact, abs=1e-8)


def test_reward_at_needs_the_samples_and_skips_rows_without_reward():
    curve = {"env_steps": np.array([10, 20, 30]), "reward": np.array([1.0, np.nan, 3.0])}
    assert reward_at(curve, 30) == pytest.approx(3.0)
    assert reward_at(curve, 20) == pytest.approx(3.0)  # the row at 30 now tells of all samples since 10
    assert reward_at(curve, 10) == pytest.approx(1.0)
    assert math.isnan(reward_at(curve, 31))
    assert math.isnan(reward_at(curve, 0))
    assert math.isnan(reward_at({"env_steps": np.arange(2), "reward": np.full(2, np.nan)}, 1))


def test_runs_with_equal_grids_are_stacked_as_they_are():
    curves = [{"iteration": np.arange(1, 5), "env_steps": 5 * np.arange(1, 5), "reward": row}
              for row in np.random.default_rng(0).normal(size=(3, 4))]
    stacked = stack_curves(curves, "reward")
    np.testing.assert_array_equal(stacked["iteration"], [1, 2, 3, 4])
    np.testing.assert_array_equal(stacked["env_steps"], [5, 10, 15, 20])
    np.testing.assert_array_equal(stacked["reward"], [curve["reward"] for curve in curves])


def test_runs_with_other_grids_meet_on_the_range_they_share():
    fine = {"iteration": np.arange(1, 9), "env_steps": np.arange(1, 9), "J": 2.0 * np.arange(1, 9)}
    coarse = {"iteration": np.array([2, 4, 6, 10]), "env_steps": np.array([2, 4, 6, 10]),
              "J": np.array([0.0, 4.0, np.nan, 10.0])}
    stacked = stack_curves([fine, coarse], "J")
    np.testing.assert_array_equal(stacked["iteration"], [2, 3, 4, 5, 6, 7, 8])
    np.testing.assert_allclose(stacked["J"], [[4, 6, 8, 10, 12, 14, 16], [0, 2, 4, 5, 6, 7, 8]])
    late = {"iteration": np.array([20]), "env_steps": np.array([20]), "J": np.array([1.0])}
    with pytest.raises(ValueError, match="share no iterations"):
        stack_curves([fine, late], "J")
    with pytest.raises(ValueError, match="a run has no J"):
        stack_curves([fine, late | {"J": np.array([np.nan])}], "J")
    with pytest.raises(ValueError, match="no runs"):
        stack_curves([], "J")


@settings(max_examples=50)
@given(rows=st.integers(1, 400), points=st.integers(1, 60))
def test_thinning_keeps_the_end_and_the_overall_mean(rows, points):
    rewards = np.random.default_rng(rows).normal(size=(2, rows))
    curve = {"iteration": np.arange(rows), "env_steps": np.arange(rows), "reward": rewards}
    thinned = thin(curve, points)
    assert 1 <= len(thinned["iteration"]) <= points or rows == 1
    assert thinned["iteration"][-1] == rows - 1
    assert thinned["reward"].shape == (2, len(thinned["iteration"]))
    if rows > points:  # the first row, at 0 samples, stands for none
        weights = np.diff(thinned["env_steps"], prepend=0)
        np.testing.assert_allclose(thinned["reward"] @ weights / (rows - 1), rewards[:, 1:].mean(axis=1), atol=1e-12)
