"""A run that was stopped anywhere goes on to the same result, bit for bit: in one process, and with damaged files."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.variants import NAMES, experiment, fingerprint

import netac
from netac.comm import checkpoints
from netac.utils.errors import InputError

SMALL = experiment("cac-schedule")


@pytest.fixture
def keep_all(monkeypatch):
    """Keeps every checkpoint, so that a run can be put back to any of them."""
    monkeypatch.setattr(checkpoints, "KEPT", 1000)


def put_back(folder: Path, iteration: int) -> None:
    """Makes a finished run look as if it had been killed shortly before its first checkpoint after `iteration`."""
    (folder / "summary.json").unlink()
    for path in checkpoints.existing(folder / "checkpoints"):
        if int(path.stem) > iteration:
            path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_resumes_from_every_checkpoint(name, tmp_path, keep_all):
    tables = experiment(name)
    whole = fingerprint(netac.run(tables, out=tmp_path))
    assert [int(path.stem) for path in checkpoints.existing(tmp_path / "checkpoints")] == [13, 26, 39, 40]
    for iteration in (39, 13, 26):
        put_back(tmp_path, iteration)
        assert fingerprint(netac.run(tables, out=tmp_path, resume=True)) == whole, iteration


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_anew(tmp_path, keep_all):
    whole = fingerprint(netac.run(SMALL, out=tmp_path))
    put_back(tmp_path, 0)
    assert fingerprint(netac.run(SMALL, out=tmp_path, resume=True)) == whole


@pytest.mark.parametrize("every", [1, 7, 40, 1000])
def test_checkpoints_do_not_change_the_run(every, tmp_path):
    tables = SMALL | {"checkpoint_every": every}
    assert fingerprint(netac.run(tables, out=tmp_path)) == fingerprint(netac.run(SMALL))


def test_only_the_newest_checkpoints_stay(tmp_path):
    netac.run(SMALL | {"checkpoint_every": 3}, out=tmp_path)
    assert [int(path.stem) for path in checkpoints.existing(tmp_path / "checkpoints")] == [39, 40]


def test_a_finished_run_is_not_run_again(tmp_path):
    first = netac.run(SMALL, out=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")
              if path.suffix in {".csv", ".json", ".npz"}}
    again = netac.run(SMALL, out=tmp_path, resume=True)
    assert fingerprint(again) == fingerprint(first) and again.summary == first.summary
    assert before == {path: path.stat().st_mtime_ns for path in before} and len(before) == 4


def extended(tables: dict, first: int, out: Path) -> netac.RunResult:
    """The run of `first` iterations, gone on with for as many as the tables say."""
    netac.run(tables | {"iterations": first}, out=out)
    return netac.run(tables, out=out, resume=True)


@pytest.mark.parametrize("first", [10, 30, 36])
@pytest.mark.parametrize("name", ["cac-double", "mdac", "dac-state_value-average"])
def test_a_finished_run_goes_on_for_more_iterations_and_is_what_one_run_is(name, first, tmp_path, capfd):
    tables = experiment(name) | {"log_every": 2}
    whole, longer = netac.run(tables, out=tmp_path / "whole"), extended(tables, first, tmp_path / "longer")
    assert "begun with" in (said := capfd.readouterr().err) and f"goes on to {tables['iterations']}\n" in said
    assert longer.summary["parameters_sha256"] == whole.summary["parameters_sha256"]
    assert longer.summary["bytes_per_agent"] == whole.summary["bytes_per_agent"]
    for column in whole.metrics:
        if column != "seconds":
            np.testing.assert_array_equal(longer.metrics[column], whole.metrics[column])
    assert longer.summary["final_reward"] == whole.summary["final_reward"]
    assert (tmp_path / "longer/experiment.toml").read_text() == (tmp_path / "whole/experiment.toml").read_text()


def test_the_last_tenth_of_a_longer_run_is_of_its_own_iterations(tmp_path):
    tables = experiment("dac-state_value-average") | {"log_every": 1}
    longer = extended(tables, 39, tmp_path)                     # of its last 4 iterations it has made one
    assert longer.summary["final_reward"] == longer.metrics["reward"][-1]


@pytest.mark.parametrize("option", ["actor_step", "critic_step"])
def test_what_depends_on_the_number_of_iterations_is_told_of_a_longer_run(option, tmp_path, capfd):
    tables = SMALL | {"algorithm": {"name": "cac", option: {"c": 1.0, "sigma": 0.6}}}
    whole, longer = netac.run(tables), extended(tables, 20, tmp_path)
    assert f"; what algorithm.{option} gives depends on the number of iterations" in capfd.readouterr().err
    assert longer.summary["parameters_sha256"] != whole.summary["parameters_sha256"]


def test_a_longer_run_that_is_killed_goes_on_and_is_unfinished_until_its_end(tmp_path, keep_all):
    tables = experiment("dac-state_value-average")
    whole = extended(tables, 20, tmp_path)
    put_back(tmp_path, 26)
    assert fingerprint(netac.run(tables, out=tmp_path, resume=True)) == fingerprint(whole)
    put_back(tmp_path, 20)                                      # to what the shorter run left, without its summary
    assert fingerprint(netac.run(tables, out=tmp_path, resume=True)) == fingerprint(whole)


def test_a_run_goes_on_for_fewer_iterations_not_at_all_and_for_more_with_nothing_else_changed(tmp_path):
    tables = experiment("dac-state_value-average")
    netac.run(tables, out=tmp_path)
    with pytest.raises(InputError, match=r"found 40; valid: iterations = 40 or more, as in the folder; another"):
        netac.run(tables | {"iterations": 20}, out=tmp_path, resume=True)
    with pytest.raises(InputError, match=r"differs in iterations, seed .*valid: iterations = 40 or more"):
        netac.run(tables | {"iterations": 50, "seed": 99}, out=tmp_path, resume=True)
    assert netac.run(tables | {"iterations": 50}, out=tmp_path, resume=True).summary["iterations"] == 50


@pytest.mark.parametrize("written", [1, 2])
def test_no_run_goes_on_from_a_checkpoint_with_other_random_numbers(written, tmp_path, keep_all):
    """Neither a run that was stopped nor one that is to be longer; what has ended is read as before."""
    tables = experiment("dac-state_value-average")
    whole = fingerprint(netac.run(tables, out=tmp_path))
    for path in checkpoints.existing(tmp_path / "checkpoints"):
        kept = {name: array for name, array in np.load(path).items() if name != checkpoints.MANIFEST}
        kept["format"] = np.int64(written)
        np.savez(path, **(checkpoints.sealed(kept) if written == 2 else kept))
    says = rf"format: the checkpoint was written by an older netac, .*\(found {written}; valid: format 3: another --out"
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(InputError, match=says):
        netac.run(tables | {"iterations": 50}, out=tmp_path, resume=True)
    assert {path: path.read_bytes() for path in files} == files
    for ended in (netac.load_result(tmp_path), netac.run(tables, out=tmp_path, resume=True)):
        assert fingerprint(ended) == whole
    put_back(tmp_path, 26)
    with pytest.raises(InputError, match=says) as caught:
        netac.run(tables, out=tmp_path, resume=True)
    assert caught.value.exit_status == 2 and "\n" not in str(caught.value)


WRITES = ("write", "fsync", "replace")


def run_until(k: int, folder: Path) -> bool:
    """Run SMALL in a child process that dies in its k-th write, fsync or rename; whether it did (else it finished)."""
    child = os.fork()
    if child == 0:
        status, seen = 1, 0

        def dying(name: str) -> Callable:
            real = getattr(os, name)

            def call(*arguments, **options):
                nonlocal seen
                if seen == k:
                    if name == "write":                     # half a line
                        real(arguments[0], arguments[1][:len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1
                return real(*arguments, **options)

            return call

        try:
            for name in WRITES:
                setattr(os, name, dying(name))
            netac.run(SMALL, out=folder)
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
    return status != 0


def test_a_kill_at_any_write_loses_nothing(tmp_path):
    whole, k = fingerprint(netac.run(SMALL)), 0
    while run_until(k, folder := tmp_path / str(k)):
        assert fingerprint(netac.run(SMALL, out=folder, resume=True)) == whole, k
        assert not [path for path in folder.rglob("*") if path.name.endswith(".netac-tmp")]
        k += 1
    assert k > 20      # rows, checkpoints, experiment and summary were all interrupted


def stopped(folder: Path) -> str:
    """A run of SMALL that has checkpoints after 26 and 39 iterations and no summary; what it must come to."""
    whole = fingerprint(netac.run(SMALL, out=folder))
    (folder / "summary.json").unlink()
    (folder / "checkpoints" / f"{40:012d}.npz").unlink()
    return whole


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(os.urandom(500)),
    "flipped": lambda path: path.write_bytes(bytes(b ^ (k == 400) for k, b in enumerate(path.read_bytes()))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_is_passed_over(damage, tmp_path, keep_all):
    whole = stopped(tmp_path)
    DAMAGE[damage](tmp_path / "checkpoints" / f"{39:012d}.npz")
    assert checkpoints.newest(tmp_path / "checkpoints")["progress"][0] == 26
    assert fingerprint(netac.run(SMALL, out=tmp_path, resume=True)) == whole


def test_a_finished_run_with_a_damaged_last_checkpoint_makes_it_again(tmp_path):
    whole = fingerprint(netac.run(SMALL, out=tmp_path))
    DAMAGE["cut"](tmp_path / "checkpoints" / f"{40:012d}.npz")
    with pytest.raises(InputError, match="the final checkpoint is missing or damaged"):
        netac.load_result(tmp_path)
    with pytest.raises(InputError, match="the final checkpoint is missing or damaged"):
        netac.evaluate(tmp_path)
    assert fingerprint(netac.run(SMALL, out=tmp_path, resume=True)) == whole
    assert fingerprint(netac.load_result(tmp_path)) == whole


def test_a_torn_row_goes(tmp_path):
    whole = stopped(tmp_path)
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(metrics.read_text() + "42,17,3.1")
    assert fingerprint(netac.run(SMALL, out=tmp_path, resume=True)) == whole


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda folder: (folder / "metrics.csv").unlink(), "there is no such file"),
    (lambda folder: (folder / "metrics.csv").write_text("a,b\n"), "has other columns than this run"),
    (lambda folder: np.savez(folder / "checkpoints" / f"{39:012d}.npz", progress=np.array([39]), a=np.ones(3)),
     "does not fit the experiment"),
    (lambda folder: shutil.rmtree(folder / "checkpoints") or (folder / "checkpoints").write_text(""), "checkpoints"),
    (lambda folder: (folder / "experiment.toml").write_text("agents = ["), "experiment.toml: is not valid TOML"),
])
def test_what_cannot_be_resumed_is_said(spoil, says, tmp_path):
    stopped(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=says):
        netac.run(SMALL, out=tmp_path, resume=True)


@pytest.mark.parametrize("change",
                         [{"seed": 12}, {"log_every": 8}, {"topology": "ring"}, {"algorithm": {"name": "iac"}}])
def test_another_experiment_does_not_go_on(change, tmp_path):
    stopped(tmp_path)
    with pytest.raises(InputError, match=f"{next(iter(change))}.*of another experiment"):
        netac.run(SMALL | change, out=tmp_path, resume=True)


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    netac.run(SMALL, out=tmp_path)
    with pytest.raises(InputError, match="this folder holds a run"):
        netac.run(SMALL, out=tmp_path)


def test_a_folder_that_holds_other_files_is_not_used(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(InputError, match="this folder holds other files"):
        netac.run(SMALL, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == ["thesis.tex"]
