"""`netac watch`: how far runs and studies are, from their files alone."""

from __future__ import annotations

import math
import os
import shutil
import time

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import netac
from netac import cli
from netac.results import watching
from netac.utils.errors import InputError

GAME = {"agents": 4, "iterations": 40, "env": "coordination", "topology": "ring", "log_every": 5, "algorithm": "cac"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A comparison of two cells with two seeds."""
    out = tmp_path_factory.mktemp("watch") / "out"
    netac.compare(GAME, ["cac", "iac"], 2, jobs=1, out=out)
    return out


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def halve(run) -> None:
    """Let a run be as it was after half of its iterations."""
    (run / "summary.json").unlink()
    lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(lines[:1 + 1 + 4]) + lines[6][:3])       # header, 0, 5, 10, 15, 20; torn


def test_what_has_ended_and_what_goes_on(folder):
    assert [(run.cell, run.state, run.share) for run in watching.look(folder)] == [
        (name, "done", 1.0) for name in ("cac", "cac", "iac", "iac")]
    halve(folder / "runs" / "cac" / "seed-001")
    shutil.rmtree(folder / "runs" / "iac" / "seed-001")
    (folder / "runs" / "iac" / "seed-001").mkdir()
    (folder / "comparison_runs.csv").unlink()
    runs = watching.look(folder)
    assert [(run.state, run.share) for run in runs] == [("done", 1.0), ("running", 0.5), ("done", 1.0),
                                                        ("waiting", 0.0)]
    assert runs[1].left == pytest.approx(runs[1].seconds) and math.isnan(runs[3].left)
    usual = np.mean([run.seconds / run.share for run in runs[:3]])
    assert watching.remaining(runs) == pytest.approx(runs[1].left + usual)
    then = time.time() - 3600
    os.utime(folder / "runs" / "cac" / "seed-001" / "metrics.csv", (then, then))
    assert watching.look(folder)[1].state == "quiet"


def test_failures_are_told(folder):
    table = folder / "comparison_runs.csv"
    table.write_text(table.read_text().replace("iac,1,ok", "iac,1,failed"))
    (folder / "runs" / "iac" / "seed-001" / "summary.json").unlink()
    assert [run.state for run in watching.look(folder)] == ["done", "done", "done", "failed"]
    said = CliRunner().invoke(cli.cli, ["watch", str(folder)], catch_exceptions=False, env={"COLUMNS": "80"})
    assert said.exit_code == 0 and "1/2 1 failed" in said.output and "3 done, 1 failed" in said.output
    assert max(map(len, said.output.splitlines())) <= 80


def test_a_run_alone(folder):
    run, = watching.look(folder / "runs" / "cac" / "seed-000")
    assert (run.cell, run.state, len(run.rewards)) == ("seed-000", "done", 8)


def test_looking_changes_nothing(folder):
    def everything():
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    before = everything()
    watching.look(folder)
    assert everything() == before


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(),
                                  lambda path: (path / "runs").mkdir(parents=True)])
def test_what_is_no_run(tmp_path, make):
    make(tmp_path / "out")
    with pytest.raises(InputError):
        watching.look(tmp_path / "out")


@given(st.lists(st.floats(-1e6, 1e6), max_size=100))
def test_bars_grow_with_values(values):
    bars = watching.sparkline(np.array(values))
    assert len(bars) == min(len(values), watching.WIDTH)
    if len(values) <= watching.WIDTH:
        order = np.argsort(values, kind="stable")
        heights = [watching.BARS.index(bars[place]) for place in order]
        assert heights == sorted(heights)
