"""Runs with networks: the same bits for any number of processes, and for runs that were stopped and resumed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pettingzoo")

from support.neural_variants import NAMES, experiment
from support.run_folders import all_checkpoints, stopped_copy
from support.variants import fingerprint

import netac
from netac.comm import checkpoints
from netac.results.tables import read_metrics

PROGRAM = Path(__file__).parents[1] / "programs" / "every_neural_variant.py"
SAVED = [name for name in NAMES if not name.startswith("restarting")]
ITERATIONS, CHECKPOINTS = 12, [5, 10, 12]
STOPPED_AT = 10
WIRED = ("cac", "cac-gaussian", "mdac-double", "dnac", "matrpo")
_four = {name for k, name in enumerate(NAMES) if name in WIRED or (k % 2 and experiment(name)["agents"] >= 4)}
ON = {4: sorted(_four), 2: [name for name in NAMES if name not in _four and experiment(name)["agents"] >= 2]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Every variant's run folder with all its checkpoints, made in a single process, and what it came to."""
    folder = tmp_path_factory.mktemp("runs")
    return folder, all_checkpoints(NAMES, experiment, folder)


@pytest.fixture
def stopped(folders, tmp_path):
    """`stopped(name, iteration)`: a folder like that of a run killed before the first checkpoint after `iteration`."""
    return lambda name, iteration, folder=tmp_path: stopped_copy(folders[0] / name, folder / name, iteration)


def launched(done) -> dict[str, dict]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.long), 4])
def test_every_variant_gives_the_same_bits(mpirun, folders, processes):
    """On 4 processes; the others are begun on one process and go on with 3, below."""
    found = launched(mpirun(processes, [sys.executable, PROGRAM, *ON[processes]]))
    assert found.keys() == set(ON[processes])
    for name, run in found.items():
        assert run["fingerprint"] == folders[1][name], name
    for name in WIRED if processes == 4 else ():
        # one agent per process, games in every process: what is on the wire is what is counted
        assert run_bytes(folders[1][name]) * processes == found[name]["wire_bytes"], name


def run_bytes(told: str) -> float:
    return json.loads(told)[0]["bytes_per_agent"]


def test_variants_differ_and_move(folders):
    assert len(set(folders[1].values())) == len(NAMES)
    for name in NAMES:
        kept = [np.load(folders[0] / name / "checkpoints" / f"{k:012d}.npz")["parameters"] for k in CHECKPOINTS]
        assert all(np.isfinite(each).all() for each in kept)
        moved = np.abs(kept[-1] - kept[0]).max(axis=1)
        assert (moved > 1e-4).all(), (name, moved)


def test_the_other_seed_gives_another_run(folders):
    for name in ("cac", "root-walk"):
        assert fingerprint(netac.run(experiment(name, seed=12))) != folders[1][name]


@pytest.mark.parametrize("name", SAVED)
def test_resumes_from_every_checkpoint_to_the_same_bits(name, folders, stopped, tmp_path):
    found = [int(path.stem) for path in checkpoints.existing(folders[0] / name / "checkpoints")]
    assert found == CHECKPOINTS
    for iteration in CHECKPOINTS[:-1]:
        folder = stopped(name, iteration, tmp_path / str(iteration))
        assert fingerprint(netac.run(experiment(name), out=folder, resume=True)) == folders[1][name], iteration


@pytest.mark.parametrize("name", ["cac-normalised", "root-cac"])
def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_anew(name, folders, stopped):
    assert fingerprint(netac.run(experiment(name), out=stopped(name, 0), resume=True)) == folders[1][name]


def test_runs_go_on_with_another_number_of_processes(mpirun, folders, stopped, tmp_path):
    names = [name for name in NAMES if experiment(name)["agents"] >= 3 and (name in ON[2] or name not in SAVED)]
    expected = dict(folders[1])
    for name in names:
        stopped(name, CHECKPOINTS[0], tmp_path / "several")
        if name not in SAVED:
            one = stopped(name, CHECKPOINTS[0], tmp_path / "one")
            expected[name] = fingerprint(netac.run(experiment(name), out=one, resume=True))
    found = launched(mpirun(3, [sys.executable, PROGRAM, tmp_path / "several"]))
    assert found.keys() == set(names)
    for name, run in found.items():
        assert run["fingerprint"] == expected[name], name
        last = (checkpoints.newest(each / name / "checkpoints") for each in (
            folders[0] if name in SAVED else tmp_path / "one", tmp_path / "several"))
        one, several = ({key: array for key, array in kept.items() if key not in ("seconds", "wire", "metrics_sha256")}
                        for kept in last)
        assert one.keys() == several.keys()
        for key, array in one.items():
            np.testing.assert_array_equal(array, several[key], err_msg=f"{name} {key}")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SAVED])
def test_games_that_cannot_be_saved_begin_anew_and_this_is_said(name, folders, stopped, capfd):
    folder = stopped(name, STOPPED_AT)
    result = netac.run(experiment(name), out=folder, resume=True)
    told = capfd.readouterr().err
    assert (told.count("netac: note: the environment cannot be saved: its games begin anew") == 1
            and told.count("\n") == 1)
    assert result.metrics["iteration"].tolist() == [0, 3, 6, 9, 12]
    before, after = (read_metrics(each / "metrics.csv") for each in (folders[0] / name, folder))
    for column in set(before) - {"seconds"}:
        np.testing.assert_array_equal(before[column][:4], after[column][:4], err_msg=column)
    assert result.summary["env_steps"] == json.loads(folders[1][name])[0]["env_steps"]
    assert all(np.isfinite(rows).all() for rows in result.parameters.values())


def test_games_that_can_be_saved_are_resumed_in_silence(stopped, capfd):
    netac.run(experiment("root-cac"), out=stopped("root-cac", STOPPED_AT), resume=True)
    assert capfd.readouterr().err == ""


def test_a_resumed_timetable_begins_a_new_episode(stopped, monkeypatch):
    """Iterations 10 to 14 of games of four steps, begun anew: the fourth of them, 13, ends the first episode."""
    from netac.sampling.tally import Episodes
    ended, add = [], Episodes.add

    def noting(self, team, done, *measured):
        ended.append(done.all())
        return add(self, team, done, *measured)

    monkeypatch.setattr(Episodes, "add", noting)
    longer = experiment("restarting-root-dac", iterations=15)
    netac.run(longer, out=stopped("restarting-root-dac", STOPPED_AT), resume=True)
    assert ended == [False, False, False, True, False]


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_plain_arrays(name, folders):
    for path in checkpoints.existing(folders[0] / name / "checkpoints"):
        with np.load(path, allow_pickle=False) as kept:
            assert all(kept[key].dtype.kind in "fiub" for key in kept.files)
            assert kept["parameters"].dtype == np.float32


@pytest.mark.parametrize("name", ["cac", "cac-normalised", "mdac-double"])
def test_checkpoints_do_not_change_a_run(name, folders):
    tables = experiment(name)
    for every in (1, 100):
        assert fingerprint(netac.run(tables | {"checkpoint_every": every})) == folders[1][name]
    with_checkpoints = netac.run(tables | {"log_every": 1})
    assert with_checkpoints.summary["parameters_sha256"] == json.loads(folders[1][name])[0]["parameters_sha256"]


def test_a_checkpoint_of_other_networks_is_refused(stopped):
    folder = stopped("cac", STOPPED_AT)
    wider = experiment("cac") | {"policy": {"name": "mlp", "hidden": [7], "shared": ["*"]}}
    with pytest.raises(netac.InputError, match=r"of another experiment, which differs in critic.hidden, policy.hidden"):
        netac.run(wider, out=folder, resume=True)
