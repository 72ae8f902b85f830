"""Whatever a file of a run folder holds, reading it ends in its result or in one message: never in another result."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import netac
from netac.comm import checkpoints
from netac.results.comparison import load_comparison
from netac.results.plots import draw_runs
from netac.results.records import load_run
from netac.utils.files import load_npz

LINEAR = {"agents": 3, "iterations": 12, "env": {"name": "finite-mdp", "states": 3, "actions": 2, "seed": 1},
          "topology": {"name": "periodic-complete", "period": 3}, "log_every": 2, "checkpoint_every": 4,
          "evaluate_every": 4, "algorithm": {"name": "cac", "sampling": "double", "optimizer": "adam"}}
TRAINER = {"agents": 2, "iterations": 6, "env": {"name": "spread", "max_cycles": 5}, "log_every": 1,
           "checkpoint_every": 2, "topology": "complete", "algorithm": {"name": "happo", "rollout": 10, "epochs": 1},
           "policy": {"name": "mlp", "hidden": [4]}, "critic": {"name": "mlp", "hidden": [4]},
           "normalise": {"observations": True}}
RESIZED = re.compile("agents|fingerprint|progress|metrics|evaluations|diagnostics|games|pending|best_")
RUNS = {"linear": LINEAR, "trainer": TRAINER}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, tables in RUNS.items():
        netac.run(tables, out=folder / name)
    return {name: folder / name for name in RUNS}


def stopped(run: Path, to: Path) -> tuple[Path, Path]:
    """A copy of a finished run as it was before its last iterations, and its newest checkpoint."""
    shutil.copytree(run, to)
    (to / "summary.json").unlink()
    checkpoints.existing(to / "checkpoints")[-1].unlink()
    return to, checkpoints.existing(to / "checkpoints")[-1]


def wrong(array: np.ndarray) -> dict[str, np.ndarray | None]:
    """What an array is changed into, by what is done to it; None: it goes."""
    found = {"dropped": None, "longer": np.concatenate([array.reshape(-1), array.reshape(-1)[:1]]),
             "deeper": array[None], "text": np.array("chain"), "a table": np.zeros((2, 2), dtype="f4,i8")}
    if array.dtype.kind in "if" and array.size:
        found |= {"negated": -array - 1, "huge": np.full_like(array, 2**60)}
    if array.dtype.kind == "f" and array.size:
        found["not a number"] = np.full_like(array, np.nan)
    return found


def resumed(folder: Path, tables: dict) -> dict[str, np.ndarray] | None:
    """The parameters that the run in a folder ends with; None where it cannot go on."""
    try:
        return netac.run(tables, out=folder, resume=True).parameters
    except netac.InputError as error:
        assert str(folder) in str(error)
        return None


@pytest.mark.parametrize("name", RUNS)
def test_checkpoints_that_were_changed_are_left_out(runs, name, tmp_path, capsys):
    whole, tables = netac.load_result(runs[name]), RUNS[name]
    folder, file = stopped(runs[name], tmp_path / "run")
    arrays, missed = load_npz(file), []
    for entry, array in arrays.items():
        for what, other in wrong(array).items():
            changed = {**arrays, entry: other} if other is not None else {
                each: held for each, held in arrays.items() if each != entry}
            np.savez(file, **changed)
            read = None
            try:
                read = checkpoints.read(file)
            except netac.InputError as error:
                assert str(file) in str(error)
            same = other is not None and other.tobytes() == array.tobytes() and entry == checkpoints.MANIFEST
            if read is not None and not same and not (other is not None and np.array_equal(other, array)):
                missed.append((entry, what))
    assert not missed
    capsys.readouterr()
    parameters = resumed(folder, tables)
    told = capsys.readouterr().err
    assert f"{file}: " in told and "goes on from the start" in told
    assert parameters is not None and np.array_equal(parameters["theta"], whole.parameters["theta"])


@pytest.mark.parametrize("name", RUNS)
def test_checkpoints_with_wrong_contents_and_a_manifest_that_says_so(runs, name, tmp_path):
    """As whoever writes checkpoints by a program of their own may make them."""
    folder, file = stopped(runs[name], tmp_path / "run")
    arrays = checkpoints.read(file)
    whole, ended = file.parent, 0
    for entry, array in arrays.items():
        for what, other in wrong(array).items():
            if entry == "format" or (name == "trainer" and what not in ("dropped", "longer")):
                continue
            changed = {each: held for each, held in {**arrays, entry: other}.items() if held is not None}
            copy = tmp_path / "copy"
            shutil.copytree(folder, copy)
            checkpoints.save(copy / "checkpoints", int(file.stem), changed)
            try:
                netac.run(RUNS[name], out=copy, resume=True)
                ended += 1
                assert what in ("negated", "huge", "not a number", "dropped") or RESIZED.search(entry), (entry, what)
            except (netac.InputError, netac.RunError) as error:
                known = "the checkpoint does not fit the experiment"
                assert "Error:" not in str(error).partition(known)[0], (entry, what, str(error))
            shutil.rmtree(copy)
    assert whole.exists() and ended > 3


def test_compressed_arrays_are_refused_before_they_are_unpacked(runs, tmp_path):
    _, file = stopped(runs["linear"], tmp_path / "run")
    np.savez_compressed(file, **load_npz(file))
    with pytest.raises(netac.InputError, match="is compressed"):
        checkpoints.read(file)


def test_of_two_checkpoints_the_one_before_is_taken(runs, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(runs["linear"], folder)
    file = checkpoints.existing(folder / "checkpoints")[-1]
    file.write_bytes(file.read_bytes()[:-50])
    assert resumed(folder, LINEAR) is not None
    told = capsys.readouterr().err
    assert f"{file}: is not a whole .npz file" in told and "goes on from iteration 8" in told


def test_no_checkpoint_left_means_the_start(runs, tmp_path, capsys):
    folder, _ = stopped(runs["linear"], tmp_path / "run")
    for file in checkpoints.existing(folder / "checkpoints"):
        file.write_bytes(file.read_bytes()[:-50])
    assert resumed(folder, LINEAR) is not None
    assert "goes on from the start" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["metrics.csv", "evaluations.csv"])
@pytest.mark.parametrize("finished", [False, True])
def test_rows_that_were_changed_are_found_before_anything_runs(runs, tmp_path, table, finished):
    folder = tmp_path / "run"
    if finished:
        shutil.copytree(runs["linear"], folder)
    else:
        stopped(runs["linear"], folder)
    text = (folder / table).read_text()
    at = text.index("\n", text.index("\n") + 1) - 1
    (folder / table).write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1:])
    with pytest.raises(netac.InputError, match=f"{table}: its first .* rows are not those") as found:
        netac.run(LINEAR, out=folder, resume=True)
    assert "remove the folder's checkpoints" in str(found.value)
    shutil.rmtree(folder / "checkpoints")
    assert np.array_equal(netac.run(LINEAR, out=folder, resume=True).parameters["theta"],
                          netac.load_result(runs["linear"]).parameters["theta"])


def test_diagnostics_that_were_changed_are_found_too(runs, tmp_path):
    shutil.copytree(runs["trainer"], tmp_path / "run")
    file = tmp_path / "run" / "diagnostics.csv"
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(netac.InputError, match=r"diagnostics\.csv"):
        netac.load_result(tmp_path / "run")


GRAPH = "import networkx as nx\ndef graph(t, n):\n    return nx.{}_graph(n)\n"


@pytest.mark.parametrize("finished", [False, True])
def test_a_topology_that_was_edited_is_refused(tmp_path, finished):
    (tmp_path / "mine.py").write_text(GRAPH.format("cycle"))
    tables = LINEAR | {"topology": {"path": str(tmp_path / "mine.py")}}
    netac.run(tables, out=tmp_path / "run")
    folder = tmp_path / "run" if finished else stopped(tmp_path / "run", tmp_path / "stopped")[0]
    (tmp_path / "mine.py").write_text(GRAPH.format("complete"))
    with pytest.raises(netac.InputError, match=r"topology\.path mine\.py: was changed since the run"):
        netac.run(tables, out=folder, resume=True)
    netac.run(tables | {"allow_changed_files": True}, out=folder, resume=True)
    (tmp_path / "mine.py").write_text(GRAPH.format("path"))
    with pytest.raises(netac.InputError, match="allow_changed_files = true"):
        netac.run(tables, out=folder, resume=True)


@pytest.mark.parametrize("text", ["", "iterations = []\n", "iterations = 1.5\n", 'iterations = "x"\n'])
def test_experiments_of_a_folder_that_say_nothing_of_their_length(runs, tmp_path, text):
    shutil.copytree(runs["linear"], tmp_path / "run")
    (tmp_path / "run" / "experiment.toml").write_text(text)
    assert resumed(tmp_path / "run", LINEAR) is None


@pytest.mark.parametrize("text", ["{}", '{"algorithm": []}', "["])
def test_a_summary_that_was_changed_is_made_again(runs, tmp_path, text):
    shutil.copytree(runs["linear"], tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text(text)
    found = netac.run(LINEAR, out=tmp_path / "run", resume=True)
    assert found.summary["parameters_sha256"] == netac.load_result(runs["linear"]).summary["parameters_sha256"]


def test_other_versions_are_noted(runs, tmp_path, capsys, monkeypatch):
    folder, file = stopped(runs["linear"], tmp_path / "run")
    arrays = checkpoints.read(file)
    marks = json.loads(arrays["fingerprint"].tobytes()) | {"version of numpy": "1.0"}
    checkpoints.save(folder / "checkpoints", int(file.stem), arrays | {"fingerprint": checkpoints.as_entry(marks)})
    assert resumed(folder, LINEAR) is not None
    assert "version of numpy 1.0 then" in capsys.readouterr().err


VALUES = ("[" * 100_000, "9" * 5000, "{}", "[]", "null", "true", '"text"', "-1", "1e400")


def reads(folder: Path) -> list[Callable[[], object]]:
    return [lambda: netac.load_result(folder), lambda: load_comparison(folder.parents[2]), lambda: netac.load(folder)]


@pytest.fixture
def compared(runs, tmp_path) -> Path:
    """A run in the folder of a comparison, beside a whole one."""
    for seed in (0, 1):
        shutil.copytree(runs["linear"], tmp_path / "runs" / "cac" / f"seed-00{seed}")
    return tmp_path / "runs" / "cac" / "seed-000"


def refused_or_read(folder: Path) -> int:
    refusals = 0
    for read in reads(folder):
        try:
            read()
        except netac.InputError as error:
            refusals += 1
            assert len(str(error)) < 1000, str(error)[:300]
    return refusals


def test_wrong_values_in_a_summary(compared):
    whole = json.loads((compared / "summary.json").read_text())
    for key in whole:
        for value in VALUES:
            text = json.dumps(whole | {key: "HERE"}).replace('"HERE"', value)
            (compared / "summary.json").write_text(text)
            if key in ("algorithm", "env", "runs_at_a_time"):
                with suppress(netac.InputError):
                    draw_runs([load_run(compared)])
            refused_or_read(compared)
    for text in ("", "[]", "{", "{}", "\0", "[" * 100_000, "9" * 5000):
        (compared / "summary.json").write_text(text)
        assert refused_or_read(compared) >= (1 if text == "{}" else 2)


@pytest.mark.parametrize("table", ["metrics.csv", "evaluations.csv"])
def test_wrong_values_in_a_table(compared, table):
    header, *rows = (compared / table).read_text().splitlines()
    names = header.split(",")
    for k, name in enumerate(names):
        for value in ("", "x", "nan", "inf", "-1", "1e400", "9" * 5000, '"'):
            cells = rows[0].split(",")
            cells[k] = value
            (compared / table).write_text("\n".join([header, ",".join(cells), *rows[1:]]) + "\n")
            refused_or_read(compared)
        without = [",".join(line.split(",")[:k] + line.split(",")[k + 1:]) for line in (header, *rows)]
        (compared / table).write_text("\n".join(without) + "\n")
        assert refused_or_read(compared) >= (name == "iteration")
    for text in ("", "\n", header + "\n", f"{header}\n{rows[0]}", "\0", "a,a\n1,2\n"):
        (compared / table).write_text(text)
        refused_or_read(compared)


def test_wrong_values_in_an_experiment(compared):
    whole = (compared / "experiment.toml").read_text()
    for line in whole.splitlines():
        key, equals, _ = line.partition(" = ")
        for value in ("[" * 10_000, "9" * 5000, "[]", "true", '""', "-1") if equals else ():
            (compared / "experiment.toml").write_text(whole.replace(line, f"{key} = {value}", 1))
            refused_or_read(compared)


def test_runs_that_share_no_iterations(compared):
    file = compared / "metrics.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *(f"{1000 + k},{row.partition(',')[2]}" for k, row in enumerate(rows))]) + "\n")
    with pytest.raises(netac.InputError, match="share no iterations"):
        load_comparison(compared.parents[2])
