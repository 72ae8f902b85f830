"""Comparisons: the tables' columns and numbers, and what the pictures show."""

from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from rich.console import Console

from netac.results.comparison import (
    SeedResult,
    Shown,
    compare_results,
    format_table,
    load_comparison,
)
from netac.results.comparison_plots import draw_comparisons, plot_comparisons
from netac.results.plots import draw_runs, plot_runs
from netac.results.records import RunRecord
from netac.results.statistics import iqm_interval, rate_interval
from netac.utils.errors import InputError, RunError

COLUMNS = ["algorithm", "seeds", "failed", "final_reward", "final_reward_low", "final_reward_high", "env_steps",
           "bytes_per_agent", "wall_seconds"]
RATE = ["efficient_rate", "efficient_rate_low", "efficient_rate_high"]
AT_SAMPLES = ["samples_compared", "reward_at_samples", "reward_at_samples_low", "reward_at_samples_high"]


def result(algorithm, seed, *, batch=1, iterations=200, efficient=None):
    """A run whose reward after k joint samples is k + seed, drawing `batch` samples an iteration."""
    samples = batch * np.arange(1, iterations + 1)
    curve = {"iteration": np.arange(1, iterations + 1), "env_steps": samples,
             "reward": samples - (batch - 1) / 2 + seed}
    return SeedResult(algorithm, seed, final_reward=100.0 + seed, env_steps=samples[-1], bytes_per_agent=8 * 200,
                      wall_seconds=1.5, efficient=efficient, curve=curve)


@pytest.fixture
def results():
    return [*(result("cac", seed, efficient=True) for seed in range(6)),
            *(result("mdac", seed, batch=5, efficient=seed > 1) for seed in range(5)),
            SeedResult("mdac", 5, status="failed", error='agent 3, iteration 7: reward is "NaN", it seems')]


def test_the_table_has_the_columns_and_numbers(results, tmp_path):
    comparison = compare_results(results)
    assert [list(row) for row in comparison.rows] == [COLUMNS + RATE + AT_SAMPLES] * 2
    assert comparison.column("algorithm").tolist() == ["cac", "mdac"]
    assert comparison.column("seeds").tolist() == [6, 5]
    assert comparison.column("failed").tolist() == [0, 1]
    assert comparison.column("env_steps").tolist() == [200, 1000]
    assert comparison.column("samples_compared").tolist() == [200, 200]
    row = comparison.rows[1]
    assert tuple(row[name] for name in COLUMNS[3:6]) == iqm_interval(100 + np.arange(5.0))
    assert tuple(row[name] for name in RATE) == rate_interval(np.array([0, 0, 1, 1, 1]))
    # samples 181..200 have rewards of mean 190.5 + seed, whoever draws them
    np.testing.assert_allclose(comparison.column("reward_at_samples"), [190.5 + 2.5, 190.5 + 2.0])
    comparison.write(tmp_path)
    with (tmp_path / "comparison.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == COLUMNS + RATE + AT_SAMPLES
    assert [float(line["reward_at_samples"]) for line in table] == comparison.column("reward_at_samples").tolist()


def test_every_run_has_its_row(results, tmp_path):
    compare_results(results).write(tmp_path)
    with (tmp_path / "comparison_runs.csv").open() as file:
        runs = list(csv.DictReader(file))
    assert list(runs[0]) == ["algorithm", "seed", "status", "final_reward", "env_steps", "bytes_per_agent",
                             "wall_seconds", "efficient", "reward_at_samples", "error"]
    assert [(run["algorithm"], int(run["seed"])) for run in runs] == [(run.algorithm, run.seed) for run in results]
    assert runs[0]["status"] == "ok"
    assert runs[0]["efficient"] == "true"
    assert runs[0]["error"] == ""
    assert float(runs[0]["reward_at_samples"]) == pytest.approx(190.5)
    assert runs[-1]["status"] == "failed"
    assert runs[-1]["error"] == results[-1].error
    assert runs[-1]["final_reward"] == runs[-1]["efficient"] == runs[-1]["reward_at_samples"] == ""


def test_samples_compared_is_what_every_run_reached(results):
    short = result("cac", 9, iterations=50, efficient=True)
    assert compare_results([*results, short]).rows[0]["samples_compared"] == 50
    assert compare_results(results[6:]).rows[0]["samples_compared"] == 1000


def test_other_environments_have_no_efficient_rate():
    comparison = compare_results([result("cac", 0), result("iac", 0)])
    assert list(comparison.rows[0]) == COLUMNS + AT_SAMPLES
    assert "efficient" not in comparison.runs[0]
    row = comparison.rows[0]
    assert row["final_reward_low"] == row["final_reward"] == row["final_reward_high"] == 100.0


def test_an_algorithm_of_failures_has_empty_cells(results, tmp_path):
    failures = [SeedResult("iac", seed, status="failed", error="x") for seed in range(3)]
    comparison = compare_results([*results, *failures])
    row = comparison.rows[2]
    assert (row["seeds"], row["failed"], row["samples_compared"]) == (0, 3, 200)
    assert {row[name] for name in [*COLUMNS[3:], *RATE, *AT_SAMPLES[1:]]} == {None}
    assert np.isnan(comparison.column("final_reward")[2])
    only = compare_results(failures)
    assert only.rows[0]["samples_compared"] is None
    only.write(tmp_path)
    assert (tmp_path / "comparison.csv").read_text().splitlines()[1] == "iac,0,3" + "," * 10
    screen_text(only)
    with pytest.raises(ValueError, match="no results"):
        compare_results([])
    with pytest.raises(RunError, match="its folder does not exist"):
        only.write(tmp_path / "nowhere")


def screen_text(comparison, width=80):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(format_table(comparison, "coordination"))
    return capture.get()


def test_the_screen_table_fits_80_columns_and_shows_every_number(results):
    text = screen_text(compare_results(results))
    assert "…" not in text
    for expected in ("cac", "6/6", "5/6", "102.5", "[0.23,0.88]", "200 samples", "193.0", "1,000", "1.60", "1.50 s"):
        assert expected in text
    assert "at" not in screen_text(compare_results(results[:6])).split("─")[0].split()  # one algorithm: nothing to add


def test_a_result_comes_from_a_run_folder():
    summary = {"algorithm": "cac", "seed": 3, "final_reward": None, "env_steps": 10, "bytes_per_agent": 5,
               "wall_seconds": 0.1, "efficient": True}
    metrics = {"iteration": np.arange(2), "env_steps": np.arange(2), "reward": np.zeros(2)}
    taken = SeedResult.from_record(RunRecord(Path("x"), summary, metrics, {}))
    assert (taken.algorithm, taken.seed, taken.status, taken.env_steps, taken.efficient) == ("cac", 3, "ok", 10, True)
    assert np.isnan(taken.final_reward)
    assert taken.curve is metrics
    with pytest.raises(InputError, match=r"x/summary\.json: has no algorithm, seed"):
        SeedResult.from_record(RunRecord(Path("x"), dict.fromkeys(list(summary)[2:]), metrics, {}))


def test_the_comparison_picture_shows_every_algorithm_against_iterations_and_samples(results):
    shown = Shown.of(results, "title")
    assert shown.curves["mdac"]["reward"].shape == (5, 200)
    assert {name: outcomes.tolist() for name, outcomes in shown.efficient.items()} == {
        "cac": [True] * 6, "mdac": [False, False, True, True, True]}
    figure = draw_comparisons([shown])
    iterations, samples, rates = figure.axes
    assert figure.get_suptitle() == "title"
    assert [text.get_text() for text in iterations.get_legend().get_texts()] == ["CAC (6 seeds)", "MDAC (5 seeds)"]
    assert [line.get_xdata()[-1] for line in iterations.lines] == [200, 200]
    assert [line.get_xdata()[-1] for line in samples.lines] == [200, 200]
    assert samples.get_xlabel() == "joint samples drawn (as far as all did)"
    assert [bar.get_height() for bar in rates.patches] == [1.0, 0.6]
    colours = [to_rgba(line.get_color()) for line in iterations.lines]
    assert colours == [bar.get_facecolor() for bar in rates.patches]
    assert len(set(colours)) == 2
    assert len(draw_comparisons([Shown({"cac": shown.curves["cac"]})]).axes) == 2


def test_bars_of_many_algorithms_look_as_their_lines_do_and_names_do_not_meet():
    names = ["cac", "dac", "mdac", "iac", "cppo", "dinno-ppo", "happo", "hatrpo", "mappo", "ippo"]
    shown = Shown.of([result(name, seed, efficient=seed > 0) for name in names for seed in range(3)])
    figure = draw_comparisons([shown])
    lines, bars = figure.axes[0].lines, figure.axes[-1].patches
    assert [bar.get_facecolor()[:3] for bar in bars] == [to_rgb(line.get_color()) for line in lines]
    dashed = [line.get_linestyle() != "-" for line in lines]
    assert [bool(bar.get_hatch()) for bar in bars] == dashed and any(dashed)
    figure.draw_without_rendering()
    labels = figure.axes[-1].get_yticklabels()
    assert labels[5].get_text() == "DINNO-PPO 2/3"
    places = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for k, one in enumerate(places) for other in places[k + 1:])


def test_bytes_that_all_runs_counted_are_a_panel_and_an_axis(results):
    def with_bytes(result, rate):
        samples = result.curve["env_steps"]
        return dataclasses.replace(result, curve={**result.curve, "bytes_environment": samples * rate,
                                                  "bytes_consensus": samples * 2.0 * rate})

    counted = [with_bytes(each, 5 if each.algorithm == "cac" else 1) for each in results if each.status == "ok"]
    shown = Shown.of(counted)
    curves = shown.curves
    np.testing.assert_allclose(curves["cac"]["bytes"], 15 * curves["cac"]["env_steps"])
    figure = draw_comparisons([shown])
    assert len(figure.axes) == 4
    sent = figure.axes[2]
    assert (sent.get_xlabel(), sent.get_xscale()) == ("bytes sent per agent", "log")
    assert [line.get_xdata()[-1] for line in sent.lines] == [curve["bytes"][-1] for curve in curves.values()]
    assert "bytes" not in Shown.of([counted[0], results[1]]).curves["cac"]


def test_an_algorithm_keeps_its_colour_whatever_it_is_compared_with(results):
    shown = Shown.of(results)
    both, alone = draw_comparisons([shown]).axes[0], draw_comparisons([Shown({"mdac": shown.curves["mdac"]})]).axes[0]
    assert both.lines[1].get_color() == alone.lines[0].get_color() != both.lines[0].get_color()


def record(algorithm, seed, *, env="finite-mdp", step=1, start=1, **settings):
    iterations = np.arange(start, start + 60, step)
    decay = np.exp(-iterations / 20.0)
    error = np.where(iterations % 5 == 0, 0.0, decay)
    metrics = {"iteration": iterations, "env_steps": iterations, "reward": 1 - decay + seed, "consensus_error": error,
               "J": np.where(iterations % 10 == 1, 1 - decay, np.nan), "seconds": iterations / 9}
    return RunRecord(Path(f"runs/{algorithm}-{seed}"), {"algorithm": algorithm, "env": env}, metrics,
                     {"seed": seed, "log_every": step, "algorithm": {"name": algorithm}, **settings})


def test_many_algorithms_look_different_and_are_named_below_the_panels():
    names = ("cac", "dac", "mdac", "iac", "cppo", "dinno-ppo", "happo", "hatrpo", "mappo", "ippo")
    shown = Shown.of([result(name, seed) for name in names for seed in range(2)])
    figure = draw_comparisons([shown])
    panel = figure.axes[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in panel.lines}) == len(panel.lines) == len(names)
    assert panel.get_legend() is None and legend_of(figure) == [f"{name.upper()} (2 seeds)" for name in names]
    both = draw_comparisons([shown, shown])
    assert [len(part.legends[0].get_texts()) for part in both.subfigs] == [10, 10]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_runs_that_differ_in_their_seed_are_one_line():
    figure = draw_runs([record("cac", 0), record("cac", 1, step=3), record("iac", 0)])
    assert legend_of(figure) == ["CAC (2 seeds)", "IAC"]
    assert [panel.get_ylabel() for panel in figure.axes] == ["team-mean reward per step", "$J(\\theta)$",
                                                             "consensus error"]
    reward, _, error = figure.axes
    assert [len(panel.lines) for panel in figure.axes] == [2, 2, 2]
    np.testing.assert_allclose(reward.lines[1].get_ydata(), record("iac", 0).metrics["reward"])
    assert error.get_yscale() == "log"
    assert (error.lines[1].get_ydata() > 0).all()
    assert error.get_ylim()[0] > 1e-3


def test_runs_that_differ_otherwise_are_told_apart():
    labels = legend_of(draw_runs([record("cac", 0), record("cac", 1, agents=9), record("iac", 0, env="spread")]))
    assert labels == ["CAC on finite-mdp, runs/cac-0", "CAC on finite-mdp, runs/cac-1", "IAC on spread"]


def test_runs_that_share_no_iteration_are_drawn_one_by_one():
    figure = draw_runs([record("cac", 0), record("cac", 1, start=500)], columns=["reward"])
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [1, 500]
    assert legend_of(figure) == ["CAC (2 seeds)"]


def test_a_quantity_that_is_always_zero_stays_on_a_linear_axis():
    run = record("cac", 0)
    run.metrics["consensus_error"][:] = 0
    axis = draw_runs([run], columns=["consensus_error"]).axes[0]
    assert axis.get_yscale() == "linear"
    assert len(axis.lines[0].get_ydata()) == 60


def test_a_column_no_run_has_is_an_error_with_a_suggestion(tmp_path):
    with pytest.raises(InputError, match=r"rewrad: no run has this column \(did you mean 'reward'\?\)"):
        plot_runs([record("cac", 0)], tmp_path / "a.png", columns=["rewrad"])
    with pytest.raises(InputError, match="iteration: no run has this column"):
        plot_runs([record("cac", 0)], tmp_path / "a.png", columns=["iteration"])
    bare = RunRecord(Path("x"), {"algorithm": "cac"}, {"iteration": np.arange(3)}, {})
    with pytest.raises(InputError, match="logged nothing to draw"):
        plot_runs([bare], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_written_whole_and_the_same_each_time(results, tmp_path):
    for name in ("a.png", "b.png"):
        plot_comparisons([Shown.of(results, "title")], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    plot_runs([record("cac", 0)], tmp_path / "c.pdf")
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(InputError, match=r"is not a picture format \(found '.xyz'; valid: .png, .pdf, .svg\)"):
        plot_runs([record("cac", 0)], tmp_path / "c.xyz")
    (tmp_path / "full.png").symlink_to("/dev/full")
    with pytest.raises(RunError, match="the disk is full"):
        plot_runs([record("cac", 0)], tmp_path / "full.png")


def test_drawing_leaves_pyplot_and_the_settings_alone(tmp_path):
    program = ("import sys, numpy as np, matplotlib\nfrom netac.results.comparison import Shown\n"
               "from netac.results.comparison_plots import plot_comparisons\n"
               "names = ('font.size', 'axes.grid', 'svg.hashsalt')\n"
               "before = [matplotlib.rcParams[name] for name in names]\n"
               "x = np.arange(1, 4)\n"
               "curve = {'iteration': x, 'env_steps': x, 'reward': np.ones((2, 3))}\n"
               "plot_comparisons([Shown({'cac': curve})], sys.argv[1])\n"
               "print('matplotlib.pyplot' in sys.modules, "
               "before == [matplotlib.rcParams[name] for name in names])")
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a.png"], capture_output=True, text=True)
    assert done.stdout == "False True\n"


def test_a_curve_that_begins_after_the_samples_all_drew_is_left_out_of_that_panel(results):
    shown = Shown.of([*results[:6], result("mappo", 0, batch=20, iterations=2), result("happo", 0, iterations=10)])
    iterations, samples, _ = draw_comparisons([shown]).axes
    assert [len(line.get_xdata()) > 0 for line in iterations.lines] == [True, True, True]
    assert [len(line.get_xdata()) > 0 for line in samples.lines] == [True, False, True]


def test_iterations_that_are_not_alike_are_not_put_side_by_side(results):
    first, *_ = draw_comparisons([Shown.of([results[0], result("mappo", 0, batch=1000)])]).axes
    assert first.get_xlabel() == "joint samples drawn (as far as all did)"


def timed(result, runs_at_a_time):
    summary = {"algorithm": result.algorithm, "seed": result.seed, "final_reward": 1.0, "env_steps": 200,
               "bytes_per_agent": 8, "wall_seconds": 2.0, "runs_at_a_time": runs_at_a_time}
    evaluations = {"iteration": np.array([0, 200]), "env_steps": np.array([0, 200]),
                   "episode_return": np.array([-80.0, -40.0 + result.seed])}
    metrics = {**result.curve, "seconds": result.curve["iteration"] / 100}
    return SeedResult.from_record(RunRecord(Path("x"), summary, metrics, {}, evaluations))


def test_seconds_are_a_panel_where_runs_had_the_machine_to_themselves(results):
    alone, beside = ([timed(each, number) for each in (results[0], results[6])] for number in (1, 2))
    assert "seconds" in Shown.of(alone).curves["cac"] and "seconds" not in Shown.of(beside).curves["cac"]
    *_, seconds, _ = draw_comparisons([Shown.of(alone)]).axes
    assert seconds.get_xlabel() == "seconds of training"
    assert [line.get_xdata()[-1] for line in seconds.lines] == [2.0, 2.0]
    assert not [axes for axes in draw_comparisons([Shown.of(beside)]).axes
                if axes.get_xlabel() == "seconds of training"]


def test_evaluations_are_a_panel_and_columns_of_the_table(results):
    group = [timed(each, 2) for each in results[:6]]
    panel = draw_comparisons([Shown.of(group)]).axes[-1]
    assert panel.get_ylabel() == "return of an evaluation's episodes"
    assert panel.lines[0].get_ydata().tolist() == [-80.0, -40.0 + 2.5]
    row, = compare_results(group).rows
    names = ("evaluation", "evaluation_low", "evaluation_high")
    assert tuple(row[name] for name in names) == iqm_interval(-40 + np.arange(6.0))
    console = Console(width=80, record=True)
    console.print(format_table(compare_results(group)))
    assert "evaluated" in console.export_text()
    assert "evaluation" not in compare_results(results).rows[0]


def test_several_comparisons_are_rows_of_one_picture(results):
    figure = draw_comparisons([Shown.of(results, "one"), Shown.of(results[:6], "other")])
    assert [part.get_suptitle() for part in figure.subfigs] == ["one", "other"]
    assert [len(part.axes) for part in figure.subfigs] == [3, 3]


def test_a_folder_without_finished_runs_is_no_comparison(tmp_path):
    (tmp_path / "runs" / "cac" / "seed-000").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no finished runs of a comparison"):
        load_comparison(tmp_path)
