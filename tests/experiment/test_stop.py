"""Runs that are stopped before their end, by a number of iterations or by a function of the user's, and go on."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support.launching import ROOT

import netac
from netac import cli
from netac.results import watching
from netac.results.comparison import load_comparison
from netac.results.curves import last_tenth
from netac.utils.errors import InputError, RunError

GAME = {"agents": 4, "iterations": 47, "env": "coordination", "topology": "ring", "log_every": 5,
        "checkpoint_every": 20, "evaluate_every": 9, "evaluate_episodes": 2, "evaluate_steps": 3,
        "algorithm": {"name": "cac", "actor_step": 0.05}}
TIMES = ("seconds", "evaluation_seconds")
OF_TIME = ("wall_seconds", "iterations_per_second", "evaluation_seconds", "wire_messages", "wire_bytes", "processes")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as handle:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(handle)]


def untimed(summary: dict) -> dict:
    return {key: value for key, value in summary.items() if key not in OF_TIME}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that is not stopped."""
    return netac.run(GAME, out=tmp_path_factory.mktemp("whole") / "run")


def assert_is_whole(folder: Path, whole) -> None:
    assert untimed(netac.load_result(folder).summary) == untimed(whole.summary)
    for name in ("metrics.csv", "evaluations.csv"):
        assert rows(folder / name) == rows(whole.folder / name)


@pytest.mark.parametrize(("until", "ends"), [(1, 5), (5, 5), (12, 15), (20, 20), (44, 45)])
def test_a_stopped_run_is_readable_and_goes_on_as_if_it_had_not_been_stopped(tmp_path, whole, until, ends):
    out = tmp_path / "run"
    found = netac.run(GAME, out=out, until=until)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["stopped"] is True and summary["iterations"] == ends == found.metrics["iteration"][-1]
    assert summary["final_reward"] == last_tenth(found.metrics, "reward")
    assert rows(out / "metrics.csv") == rows(whole.folder / "metrics.csv")[:1 + ends // 5]
    assert netac.load_result(out).parameters["theta"].tolist() == found.parameters["theta"].tolist()
    assert [run.state for run in watching.look(out)] == ["stopped"]
    before = (out / "metrics.csv").read_bytes()
    assert netac.run(GAME, out=out, resume=True, until=until).summary == found.summary      # nothing is left to do
    assert (out / "metrics.csv").read_bytes() == before
    netac.run(GAME, out=out, resume=True)
    assert_is_whole(out, whole)


@settings(max_examples=8)
@given(stops=st.lists(st.integers(1, 60), max_size=4))
def test_any_stops_come_to_the_same_end(tmp_path_factory, whole, stops):
    out = tmp_path_factory.mktemp("stops") / "run"
    for until in stops:
        netac.run(GAME, out=out, resume=True, until=until)
    netac.run(GAME, out=out, resume=True)
    assert_is_whole(out, whole)


def test_a_kill_after_a_stop_leaves_no_summary_of_the_past(tmp_path, whole):
    """The run goes on from a stop and dies: what it had told is not told any more, and rows of the stop stay."""
    out = tmp_path / "run"
    netac.run(GAME, out=out, until=10)

    def die(moment):
        if moment.iteration == 31:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        netac.run(GAME, out=out, resume=True, on_iteration=die)
    assert not (out / "summary.json").exists()
    stopped = netac.run(GAME, out=out, resume=True, until=10).summary       # its checkpoint is behind the stop
    assert stopped["iterations"] == 20 and stopped["stopped"]
    netac.run(GAME, out=out, resume=True)
    assert_is_whole(out, whole)


def test_functions_hear_every_iteration_and_evaluation(whole):
    heard, evaluated = [], []
    found = netac.run(GAME, on_iteration=heard.append, on_evaluation=evaluated.append)
    assert untimed(found.summary) == untimed(whole.summary)                 # listening changes nothing
    assert [moment.iteration for moment in heard] == list(range(1, 48))
    logged = [moment for moment in heard if moment.row is not None]
    assert [moment.row["iteration"] for moment in logged] == [5, 10, 15, 20, 25, 30, 35, 40, 45, 47]
    assert [moment.row["reward"] for moment in logged] == found.metrics["reward"][1:].tolist()
    assert all((moment.parameters is None) == (moment.row is None) for moment in heard)
    assert logged[0].parameters["theta"].tolist() != logged[-1].parameters["theta"].tolist()
    assert logged[-1].parameters["theta"].tolist() == found.parameters["theta"].tolist()
    assert [moment.row["iteration"] for moment in evaluated] == found.evaluations["iteration"].tolist() == [
        0, 9, 18, 27, 36, 45, 47]
    assert {moment.iterations for moment in heard + evaluated} == {47} and heard[0].folder is None


@pytest.mark.parametrize(("functions", "ends"), [
    ({"on_iteration": lambda moment: moment.iteration == 11}, 15),
    ({"on_iteration": lambda moment: np.bool_(moment.iteration >= 30)}, 30),
    ({"on_evaluation": lambda moment: moment.iteration >= 9}, 10),
    ({"on_evaluation": lambda moment: moment.iteration == 0}, 5),
    ({"on_iteration": lambda moment: moment.iteration == 46}, None),
    ({"on_iteration": lambda moment: False, "until": 12}, 15),
])
def test_a_function_stops_a_run_at_the_next_row(tmp_path, whole, functions, ends):
    out = tmp_path / "run"
    found = netac.run(GAME, out=out, **functions)
    assert found.summary.get("stopped") == (None if ends is None else True)
    assert found.summary["iterations"] == (ends or 47)
    netac.run(GAME, out=out, resume=True)
    assert_is_whole(out, whole)


@pytest.mark.parametrize(("function", "says"), [
    (lambda moment: 3, "iteration 0: on_iteration answered 3, and may answer True"),
    (lambda moment: moment.nothing, r"iteration 0: on_iteration: AttributeError.*test_stop.py, line"),
])
def test_what_a_function_does_wrong_is_told(function, says):
    with pytest.raises(RunError, match=says):
        netac.run(GAME, on_iteration=function)


@pytest.mark.parametrize(("arguments", "says"), [
    ({"until": 0}, "--until: a run can be stopped after its first iteration at the earliest"),
    ({"until": 2.5}, "--until: .*found 2.5"),
    ({"on_iteration": "print"}, "on_iteration: cannot be called"),
    ({"on_evaluation": 3}, "on_evaluation: cannot be called"),
])
def test_what_cannot_be_asked_for_is_told_before_anything_is_written(tmp_path, arguments, says):
    with pytest.raises(InputError, match=says):
        netac.run(GAME, out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def late(moment):
    """Stops a run after its iteration 12; at the top of a module, as worker processes want it."""
    return moment.iteration >= 12


def test_a_comparisons_runs_call_functions_and_stay_as_they_were_stopped(tmp_path):
    arguments = {"algorithms": ["cac", "iac"], "seeds": 1, "out": tmp_path / "out"}
    heard = []
    found = netac.compare(GAME, jobs=1, on_iteration=lambda moment: heard.append(moment.folder.parent.name) or (
        moment.iteration >= 12), **arguments)
    assert {run["status"] for run in found.runs} == {"ok"}
    assert found.curves["cac"]["iteration"].tolist() == [5, 10, 15]
    assert heard == ["cac"] * 15 + ["iac"] * 15
    again = netac.compare(GAME, jobs=2, on_iteration=late, **arguments)              # taken as they are
    assert [run["final_reward"] for run in again.runs] == [run["final_reward"] for run in found.runs]
    assert netac.compare(GAME, jobs=1, **arguments).curves["iac"]["iteration"][-1] == 47       # nobody stops them


def test_functions_of_a_comparison_are_sent_to_its_processes(tmp_path):
    table = netac.study(GAME, vary={"topology": ["ring", "star"]}, seeds=1, jobs=2, on_iteration=late,
                        out=tmp_path / "out")
    assert list(table["status"]) == ["ok", "ok"] and list(table["env_steps"]) == [15, 15]


@pytest.mark.parametrize(("arguments", "says"), [
    ({"on_iteration": lambda moment: True, "jobs": 2}, "on_iteration: cannot be sent .*valid: .*jobs=1"),
    ({"on_evaluation": 3, "jobs": 1}, "on_evaluation: cannot be called"),
    ({"on_iteration": late, "processes": 2}, "on_iteration: runs on several processes call no functions"),
])
def test_functions_that_a_comparison_cannot_call(tmp_path, arguments, says):
    with pytest.raises(InputError, match=says):
        netac.compare(GAME, ["cac"], 1, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


PROGRAM = """\
import json, sys
import netac

asked = json.loads(sys.argv[1])
heard = []
found = netac.run(asked, out=sys.argv[2], resume=True, on_iteration=lambda moment: heard.append(moment) or (
    moment.row is not None and moment.row["reward"] is not None and moment.iteration >= 13))
print(len(heard), found.summary["iterations"])
"""


def test_all_processes_stop_at_the_same_iteration(tmp_path, mpirun, whole):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = mpirun(2, [sys.executable, "program.py", json.dumps(GAME), "run"], cwd=tmp_path,
                  env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 15", "15 15"]            # process 0 hears, and both end
    alone = netac.run(GAME, out=tmp_path / "alone", until=15)
    assert untimed(netac.load_result(tmp_path / "run").summary)["parameters_sha256"] == alone.summary[
        "parameters_sha256"]
    assert rows(tmp_path / "run" / "metrics.csv") == rows(tmp_path / "alone" / "metrics.csv")
    netac.run(GAME, out=tmp_path / "run", resume=True)                      # on one process
    assert rows(tmp_path / "run" / "metrics.csv") == rows(whole.folder / "metrics.csv")


def test_the_command_line_stops_and_goes_on(tmp_path, monkeypatch, whole):
    import tomli_w
    monkeypatch.chdir(tmp_path)
    (tmp_path / "game.toml").write_text(tomli_w.dumps(GAME))
    done = CliRunner().invoke(cli.cli, ["run", "game.toml", "--until", "12", "--out", "run"])
    assert done.exit_code == 0, done.output
    assert "stopped" in done.output
    assert CliRunner().invoke(cli.cli, ["run", "game.toml", "--resume", "--out", "run"]).exit_code == 0
    assert_is_whole(tmp_path / "run", whole)


def test_a_comparison_takes_a_stopped_run_for_none(tmp_path):
    out = tmp_path / "out"
    game = {key: value for key, value in GAME.items() if not key.startswith("evaluate")}
    netac.run(game, out=out / "runs" / "cac" / "seed-000", until=12)
    with pytest.raises(InputError, match="holds no finished runs"):
        load_comparison(out)
    found = netac.compare(game, ["cac"], 1, jobs=1, out=out, collect=True)
    assert [(row["status"], "has been stopped" in row["error"]) for row in found.runs] == [("failed", True)]


@given(st.integers(1, 100), st.integers(1, 60))
def test_the_last_tenth_is_that_of_the_iterations(log_every, points):
    iterations = np.arange(points) * log_every
    curve = {"iteration": iterations, "x": np.arange(points) * 1.0}
    for end in iterations[1:].tolist():
        last = range(end - max(1, end // 10) + 1, end + 1)
        own = [value for at, value in zip(iterations, curve["x"], strict=True) if at in last]
        assert own and last_tenth(curve, "x", end) == pytest.approx(np.mean(own))
    assert np.isnan(last_tenth({"iteration": iterations[:0], "x": curve["x"][:0]}, "x"))
