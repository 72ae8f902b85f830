"""Studies: what varies, the cells that it makes, budgets, and comparisons of them."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.launching import environment

import netac
from netac import cli
from netac.experiment import config, study
from netac.experiment.dry_run import foretell
from netac.experiment.expense import Budget, rehearse
from netac.results import marl_eval
from netac.results.cells import STUDY, read_study
from netac.results.comparison import load_comparison
from netac.results.comparison_plots import draw_comparisons
from netac.results.profiles import draw_profiles, share_above
from netac.results.statistics import iqm_interval
from netac.utils.errors import InputError

GAME = {"agents": 4, "iterations": 20, "env": "coordination", "topology": "ring", "log_every": 5,
        "algorithm": {"name": "cac", "actor_step": 0.05}}
GOSSIP = """\
import networkx as nx

def graph(t, n):
    return nx.path_graph(n)
"""
SEED_AND_SECONDS = ("wall_seconds",)


def cells(**more) -> list[tuple[str | None, dict]]:
    return [(cell.algorithm, cell.values) for cell in study.plan(config.read(GAME), **more).cells]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as handle:
        return [{key: value for key, value in row.items() if key not in SEED_AND_SECONDS}
                for row in csv.DictReader(handle)]


# --- what varies ---


@pytest.mark.parametrize(("text", "key", "values"), [
    ("topology=ring,complete,graphs/gossip.py", "topology", ["ring", "complete", "graphs/gossip.py"]),
    ("algorithm.actor_step=0.02,5e-2", "algorithm.actor_step", [0.02, 0.05]),
    ("agents= 4, 8", "agents", [4, 8]),
    ('topology={name="periodic-complete",period=5},ring', "topology",
     [{"name": "periodic-complete", "period": 5}, "ring"]),
    ("policy.hidden=[8, 8],[]", "policy.hidden", [[8, 8], []]),
    ('env="a,b",c', "env", ["a,b", "c"]),
    ("normalise.rewards=true,false", "normalise.rewards", [True, False]),
])
def test_values_are_toml_or_text(text, key, values):
    assert study.parse_vary(text) == (key, values)


@given(st.lists(st.one_of(st.integers(-9, 9), st.booleans(), st.lists(st.integers(0, 9), max_size=3),
                          st.text("abc[]{}(),='", max_size=6).map(lambda text: json.dumps(text))), min_size=1))
def test_what_is_written_as_toml_is_read_again(values):
    told = [value if isinstance(value, str) else json.dumps(value) for value in values]
    assert study.parse_vary("key=" + ",".join(told))[1] == [
        json.loads(value) if isinstance(value, str) else value for value in values]


def test_every_combination_is_a_cell_algorithms_first_and_tables_before_what_is_in_them():
    found = cells(algorithms=["cac", "iac"], vary={"topology.weights": ["metropolis", "lazy-metropolis"],
                                                  "topology": ["ring", "star"]})
    assert found == [(name, {"topology": graph, "topology.weights": rule}) for name, graph, rule in itertools.product(
        ["cac", "iac"], ["ring", "star"], ["metropolis", "lazy-metropolis"])]


def test_a_file_says_the_same(tmp_path):
    file = tmp_path / "game.toml"
    file.write_text('agents = 4\niterations = 5\nenv = "coordination"\nalgorithm = "cac"\n'
                    '[study]\nseeds = 3\n[study.vary]\nalgorithm.name = ["cac", "iac"]\n'
                    'topology = ["ring", { name = "star" }]\n')
    source = config.read(file)
    found = [(cell.algorithm, cell.told) for cell in study.plan(source).cells]
    assert found == [(name, {"topology": graph}) for name in ("cac", "iac") for graph in ("ring", "{name=star}")]
    assert [cell.algorithm for cell in study.plan(source, ["dac"]).cells] == ["dac", "dac"]     # said: comes first
    assert study.table_of(source).seeds == 3
    assert netac.run(file).summary["algorithm"] == "cac"


def test_cells_may_be_listed_and_take_part_in_every_combination():
    listed = [{"agents": 4, "algorithm": {"name": "cac"}}, {"agents": 8, "algorithm": "iac"}]
    assert cells(cells=listed) == [("cac", {"agents": 4}), ("iac", {"agents": 8})]
    assert cells(cells=listed, vary={"topology": ["ring", "star"]}) == [
        ("cac", {"agents": 4, "topology": "ring"}), ("cac", {"agents": 4, "topology": "star"}),
        ("iac", {"agents": 8, "topology": "ring"}), ("iac", {"agents": 8, "topology": "star"})]


@given(st.lists(st.tuples(st.text(max_size=100), st.text(max_size=100)), min_size=2, max_size=5, unique=True))
def test_folders_of_unlike_cells_are_unlike_and_can_be_made(values):
    names = [study.Cell("cac", {"topology": a, "b": b}).folder("cac") for a, b in values]
    assert len(set(names)) == len({(a, b) for a, b in values})
    assert all(len(name.encode()) < 255 and "/" not in name and "\0" not in name and not name.startswith(".")
               for name in names)


# --- comparisons ---


def test_a_study_over_topologies_and_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gossip.py").write_text(GOSSIP)
    vary = {"topology": ["ring", "gossip.py"], "agents": [3, 4]}
    found = netac.compare(GAME, ["cac", "iac"], 2, vary=vary, jobs=1, out="out")
    assert [(row["algorithm"], row["topology"], row["agents"]) for row in found.rows] == [
        (name, graph, number) for name in ("cac", "iac") for graph in ("ring", "gossip.py") for number in ("3", "4")]
    assert [row["algorithm"] for row in rows(tmp_path / "out" / "comparison.csv")] == ["cac"] * 4 + ["iac"] * 4
    direct = netac.run(GAME, set={"topology": "gossip.py", "agents": 3, "algorithm.name": "iac", "seed": 1}).summary
    said, = [row for row in found.runs if (row["algorithm"], row["topology"], row["agents"], row["seed"]) == (
        "iac", "gossip.py", "3", 1)]
    assert said["final_reward"] == direct["final_reward"] and said["bytes_per_agent"] == direct["bytes_per_agent"]

    shown = load_comparison("out")                     # drawn again from the folder alone
    assert list(shown.curves) == list(found.curves) == [", ".join((row["algorithm"], row["topology"], row["agents"]))
                                                        for row in found.rows]
    assert shown.keys == ("algorithm", "topology", "agents")


def test_a_study_is_a_tidy_table_with_every_runs_folder(tmp_path, monkeypatch):
    vary = {"algorithm.actor_step": [0.02, 0.05], "topology": ["ring", {"name": "star"}], "allow_disconnected": [True]}
    frame = netac.study(GAME, vary=vary, seeds=2, jobs=1, out=tmp_path / "out")
    monkeypatch.setattr("netac.experiment.compare.find_spec", lambda name: None)
    table = netac.study(GAME, vary=vary, seeds=2, jobs=1, out=tmp_path / "out")
    assert isinstance(table, dict) and list(frame.columns) == list(table)
    assert list(table)[:6] == ["algorithm", "topology", "allow_disconnected", "algorithm.actor_step", "seed", "status"]
    assert table["seed"] == [0] * 4 + [1] * 4 and table["algorithm.actor_step"] == [0.02, 0.05] * 4
    assert table["topology"] == ["ring", "ring", "{name=star}", "{name=star}"] * 2
    assert table["allow_disconnected"] == [True] * 8
    for place, folder in enumerate(table["folder"]):
        known = netac.load_result(folder)
        assert known.folder == Path(folder) and known.summary["seed"] == table["seed"][place]
        for name in ("final_reward", "env_steps", "bytes_per_agent", "wall_seconds"):
            assert table[name][place] == known.summary[name] == frame[name][place]
    assert frame.groupby("algorithm.actor_step")["final_reward"].count().to_dict() == {0.02: 4, 0.05: 4}
    with pytest.raises(TypeError):
        netac.study(GAME, vary=vary)


def test_interrupted_or_begun_anew_it_comes_to_the_same(tmp_path):
    arguments = {"vary": {"algorithm.actor_step": [0.02, 0.05]}, "jobs": 1, "seeds": 2}
    netac.compare(GAME, out=tmp_path / "whole", **arguments)
    netac.compare(GAME, out=tmp_path / "part", vary={"algorithm.actor_step": [0.05]}, jobs=1, seeds=1)
    netac.compare(GAME, out=tmp_path / "part", **arguments)
    for name in ("comparison.csv", "comparison_runs.csv"):
        assert rows(tmp_path / "part" / name) == rows(tmp_path / "whole" / name)


def test_what_varies_tells_lines_apart(tmp_path):
    two = netac.compare(GAME, ["cac", "iac"], 1, vary={"topology": ["ring", "complete"]}, jobs=1)
    lines = {line.get_label(): (line.get_color(), line.get_linestyle())
             for line in draw_comparisons([two.shown]).axes[0].lines}
    assert list(lines) == [f"{name}, {graph} (1 seed)" for name in ("CAC", "IAC") for graph in ("ring", "complete")]
    cac, cac_complete, iac, iac_complete = lines.values()
    assert cac[0] == cac_complete[0] != iac[0] == iac_complete[0]                  # colours: algorithms
    assert cac[1] == iac[1] != cac_complete[1] == iac_complete[1]                  # dashes: topologies


def test_two_numbers_make_a_map(tmp_path):
    steps = {"algorithm.actor_step": [0.05, 0.02], "algorithm.critic_step": [0.1, 0.2]}
    found = netac.compare(GAME, None, 1, vary=steps, jobs=1)
    panel = draw_comparisons([found.shown]).axes[-2]
    assert panel.get_xlabel() == "algorithm.actor_step" and panel.get_ylabel() == "algorithm.critic_step"
    wanted = {(row["algorithm.actor_step"], row["algorithm.critic_step"]): row["final_reward"] for row in found.rows}
    drawn = panel.images[0].get_array()
    for (i, up), (j, across) in itertools.product(enumerate(("0.1", "0.2")), enumerate(("0.02", "0.05"))):
        assert drawn[i, j] == wanted[across, up]
    one = netac.compare(GAME, ["cac", "iac"], 1, vary={"algorithm.actor_step": [0.05, 0.02]}, jobs=1)
    assert not any(axes.images for axes in draw_comparisons([one.shown]).axes)


def test_of_many_cells_the_best_are_drawn(tmp_path):
    steps = [0.001 * k for k in range(1, 31)]
    found = netac.compare(GAME | {"iterations": 10}, None, 1, vary={"algorithm.actor_step": steps}, jobs=1)
    figure = draw_comparisons([found.shown])
    best = sorted((row["final_reward"] for row in found.rows), reverse=True)[:24]
    kept = [found.shown.final[name][0] for name in found.shown.best(24).curves]
    assert len(figure.axes[0].lines) == 24 and sorted(kept, reverse=True) == best
    assert "the best 24 of 30 cells" in figure.get_suptitle()


# --- budgets ---


@pytest.mark.parametrize("algorithm", ["cac", "dac", "mdac", "iac", "dnac"])
def test_a_budget_of_samples_is_spent_by_the_fewest_iterations(algorithm):
    found = netac.compare(GAME, [algorithm], 1, budget="samples=101", jobs=1)
    drawn, iterations = found.runs[0]["env_steps"], read_iterations(found)
    assert 101 <= drawn < 101 + drawn / iterations


def read_iterations(found) -> int:
    return int(max(found.curves[next(iter(found.curves))]["iteration"]))


def test_budgets_of_bytes_and_simulated_seconds_are_spent(tmp_path):
    found = netac.compare(GAME, ["cac", "dac"], 1, budget="bytes=30_000", jobs=1, out=tmp_path / "a")
    assert all(30_000 <= row["bytes_per_agent"] <= 32_000 for row in found.runs)
    known = read_study(tmp_path / "a")
    assert known.budget == "bytes=30_000" and len({cell.iterations for cell in known.cells.values()}) == 2
    clocked = GAME | {"network": {"clock": {"latency": 0.01}}}
    found = netac.compare(clocked, ["cac"], 1, budget="simulated_seconds=0.5", jobs=1)
    seconds = found.curves["cac"]["network_seconds"][-1]
    assert 0.5 <= seconds <= 0.6


def test_iterations_that_seconds_buy_are_measured_once(tmp_path, monkeypatch):
    arguments = {"budget": "seconds=0.05", "jobs": 1, "out": tmp_path / "out"}
    netac.compare(GAME, ["cac"], 1, **arguments)
    monkeypatch.setattr("netac.experiment.expense.rehearse", lambda *_: pytest.fail("measured again"))
    netac.compare(GAME, ["cac"], 1, **arguments)


def test_a_rehearsal_counts_what_a_run_does():
    costs, summary = rehearse(GAME), netac.run(GAME).summary
    assert costs["samples"] == summary["env_steps"] / 20
    assert costs["bytes"] == pytest.approx(summary["bytes_per_agent"] / 20, rel=1e-12)
    assert costs["seconds"] > 0 and "simulated_seconds" not in costs


def test_what_is_foretold_is_what_is_run(tmp_path):
    arguments = {"vary": {"topology": ["ring", "star"]}, "seeds": 2, "jobs": 1}
    before = foretell(GAME, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists() and before.seconds > 0
    assert [(row["cell"], row["runs left"]) for row in before.rows] == [("cac, topology=ring", 2),
                                                                        ("cac, topology=star", 2)]
    found = netac.compare(GAME, out=tmp_path / "out", **arguments)
    assert [row["samples"] for row in before.rows] == [row["env_steps"] for row in found.rows]
    assert [row["runs left"] for row in foretell(GAME, out=tmp_path / "out", **arguments).rows] == [0, 0]


# --- in parts, pairs, and for other tools ---


def test_runs_may_be_performed_one_by_one_and_collected(tmp_path):
    arguments = {"vary": {"topology": ["ring", "star"]}, "seeds": 2, "jobs": 1}
    whole = netac.compare(GAME, **arguments)
    for only in (3, 0, 1):
        netac.compare(GAME, out=tmp_path / "out", only=only, **arguments)
    assert not (tmp_path / "out" / "comparison.csv").exists()
    part = netac.compare(GAME, out=tmp_path / "out", collect=True, **arguments)
    lacking, = [row for row in part.runs if row["status"] != "ok"]
    assert (lacking["topology"], lacking["seed"]) == ("ring", 1) and "missing" in lacking["error"]
    netac.compare(GAME, out=tmp_path / "out", only=2, **arguments)
    found = netac.compare(GAME, out=tmp_path / "out", collect=True, **arguments)
    assert [row["final_reward"] for row in found.runs] == [row["final_reward"] for row in whole.runs]
    with pytest.raises(InputError, match="there is no such run"):
        netac.compare(GAME, out=tmp_path / "out", only=4, **arguments)


def test_slurm_is_asked_for_every_run(tmp_path, monkeypatch):
    """The script's own last line does what a task does; sbatch is played by a shell."""
    monkeypatch.chdir(tmp_path)
    Path("a game.toml").write_text('agents = 3\niterations = 4\nenv = "coordination"\nalgorithm = "cac"\n')
    said = CliRunner().invoke(cli.cli, ["compare", "a game.toml", "--vary", "topology=ring,star", "--seeds", "1",
                                        "--out", "my out", "--set", "log_every=2", "--slurm"], catch_exceptions=False)
    script = Path("my out") / "slurm.sh"
    assert said.exit_code == 0 and str(script) in said.output and "#SBATCH --array=0-1\n" in script.read_text()
    for task in ("0", "1"):
        done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=100,
                              env=environment(SLURM_ARRAY_TASK_ID=task))
        assert done.returncode == 0, done.stderr
    assert len(list(Path("my out").glob("runs/*/seed-000/summary.json"))) == 2


def test_pairs_hold_cells_against_each_other():
    found = netac.compare(GAME, ["cac", "iac"], 4, vary={"topology": ["ring", "complete"]}, jobs=1)
    assert [(row["cell"], row["other"]) for row in found.pairs] == list(itertools.combinations(found.curves, 2))
    rewards = {name: [row["final_reward"] for row in found.runs if (row["algorithm"], row["topology"]) == tuple(
        name.split(", "))] for name in found.curves}
    for row in found.pairs:
        own, others = rewards[row["cell"]], rewards[row["other"]]
        wins = [(a > b) + 0.5 * (a == b) for a in own for b in others]
        assert row["probability"] == pytest.approx(sum(wins) / 16, abs=1e-12)
        assert row["probability_low"] <= row["probability"] <= row["probability_high"]
        assert row["seeds_in_common"] == 4
        assert row["difference"] == iqm_interval(np.subtract(own, others)).estimate
    square = draw_profiles(found.shown, found.pairs).axes[1].images[0].get_array()
    assert np.allclose((square + square.T)[~np.eye(4, dtype=bool)], 1.0)


def test_profiles_are_shares_of_runs():
    values = np.array([1.0, 2.0, 2.0, 5.0])
    estimate, low, high = share_above(values, np.array([0.0, 1.0, 2.0, 4.9, 5.0]))
    assert estimate.tolist() == [1.0, 0.75, 0.25, 0.25, 0.0]
    assert (low <= estimate).all() and (estimate <= high).all() and high[-1] == 0.0 and low[0] == 1.0


def test_another_metric_may_be_shown():
    found = netac.compare(GAME, ["cac"], 2, jobs=1, metric="consensus_error")
    direct = [netac.run(GAME, set={"seed": seed}).metrics["consensus_error"] for seed in (0, 1)]
    assert np.array_equal(found.curves["cac"]["consensus_error"], direct)
    assert draw_comparisons([found.shown]).axes[0].get_ylabel() == "consensus error"
    with pytest.raises(InputError, match="--metric: is no column"):
        netac.compare(GAME, ["cac"], 1, jobs=1, metric="loss")


def test_marl_eval_gets_every_run(tmp_path):
    long = GAME | {"iterations": 200}
    found = netac.compare(long, ["cac", "iac"], 3, vary={"agents": [4]}, jobs=1, out=tmp_path / "out")
    told = json.loads(marl_eval.write(found.shown, tmp_path).read_text())["coordination"]["4 agents"]
    assert list(told) == ["cac 4", "iac 4"] and all(list(runs) == ["run_0", "run_1", "run_2"] for runs in told.values())
    steps = told["cac 4"]["run_1"]
    assert [steps[f"step_{k}"]["step_count"] for k in range(20)] == list(range(10, 201, 10))
    mean = np.mean([steps[f"step_{k}"]["reward"] for k in range(20)])
    assert mean == pytest.approx(netac.run(long, set={"seed": 1, "log_every": 200}).metrics["reward"][-1])
    assert steps["absolute_metrics"]["reward"] == pytest.approx(
        np.mean([steps[f"step_{k}"]["reward"] for k in (18, 19)]))


@pytest.mark.third_party
def test_marl_evals_own_tools_read_it(tmp_path):
    process = pytest.importorskip("marl_eval.utils.data_processing_utils")
    found = netac.compare(GAME | {"iterations": 200}, ["cac", "iac"], 3, jobs=1)
    told = json.loads(marl_eval.write(found.shown, tmp_path).read_text())
    data = process.data_process_pipeline(raw_data=told, metrics_to_normalize=["reward"])
    matrix, _ = process.create_matrices_for_rliable(
        data_dictionary=data, environment_name="coordination", metrics_to_normalize=["reward"])
    rewards = matrix["mean_norm_reward"]
    assert {name: values.shape for name, values in rewards.items()} == {"cac": (3, 1), "iac": (3, 1)}


# --- bad input ---


@pytest.mark.parametrize(("arguments", "says"), [
    ({}, "a comparison needs something that varies"),
    ({"vary": {"seed": [1, 2]}}, "every cell has the same seeds"),
    ({"vary": {"topology": []}}, "has no values"),
    ({"vary": {"topology": ["ring", "ring"]}}, "is named twice"),
    ({"vary": {"topology": "ring"}}, "should be a list of values"),
    ({"algorithms": ["cac"], "vary": {"algorithm.name": ["iac"]}}, "is there twice"),
    ({"vary": {"topolgy": ["ring"]}}, "unknown key"),
    ({"vary": {"algorithm.actor_stp": [0.1]}}, "unknown key"),
    ({"vary": {"topology": ["ring", "rign"]}}, "in the cell topology=rign"),
    ({"vary": {"agents": [4, 0]}}, "in the cell agents=0"),
    ({"vary": {"agents": [4], "agents.x": [1]}}, "is not a table"),
    ({"cells": [{"agents": 4}, {"agents": 4}]}, "is there twice"),
    ({"cells": [{"agents": 4}], "vary": {"agents": [3]}}, "varies, and is in the cells, too"),
    ({"algorithms": ["cac"], "budget": "smaples=3"}, "cannot be understood"),
    ({"algorithms": ["cac"], "budget": "samples=-3"}, "cannot be understood"),
    ({"algorithms": ["cac"], "budget": "simulated_seconds=3"}, "its network has no clock"),
    ({"cells": [{"agents": 1}], "budget": "bytes=3"}, "its agents send nothing"),
    ({"algorithms": ["cac"], "seeds": 0}, "at least one seed"),
])
def test_what_cannot_be_made_is_told_before_anything_runs(tmp_path, arguments, says):
    with pytest.raises(InputError, match=says) as caught:
        netac.compare(GAME, out=tmp_path / "out", jobs=1, **arguments)
    assert str(caught.value).count("\n") == 0 and not (tmp_path / "out").exists()


def test_a_damaged_study_is_named(tmp_path):
    netac.compare(GAME, ["iac"], 1, jobs=1, out=tmp_path / "out")
    (tmp_path / "out" / STUDY).write_text('{"keys": [], "budget": null, "cells": [{"folder": 3}]}')
    with pytest.raises(InputError, match="is damaged"):
        load_comparison(tmp_path / "out")


def test_budgets_read_as_they_are_written():
    assert Budget.parse("simulated-seconds=1e3") == Budget("simulated_seconds", 1000.0)
    assert str(Budget.parse("samples=100_000")) == "samples=100000"
