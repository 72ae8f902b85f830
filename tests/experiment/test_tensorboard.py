"""TensorBoard event files: what they hold, read record by record, also over kills and resumptions."""

from __future__ import annotations

import csv
import importlib.util
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import environment

import netac
from netac.comm import checkpoints
from netac.results import tensorboard
from netac.utils.errors import InputError, RunError

pytest.importorskip("tensorboardX")

from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c

TABLES = {"agents": 3, "iterations": 12, "env": "coordination", "topology": "ring", "algorithm": "cac", "log_every": 3,
          "checkpoint_every": 4, "tensorboard": True}
NEURAL = {"agents": 2, "iterations": 12,
          "env": {"name": "pursuit", "x_size": 6, "y_size": 6, "n_evaders": 2, "max_cycles": 4},
          "policy": {"name": "mlp", "hidden": [4]}, "algorithm": "cac", "log_every": 3, "checkpoint_every": 4,
          "envs": 2, "tensorboard": True}


def records(file: Path) -> list[event_pb2.Event]:
    """The events of a file, lengths and checksums verified."""
    data, found = file.read_bytes(), []
    while data:
        size, check = struct.unpack("<QI", data[:12])
        body, (after,) = data[12:12 + size], struct.unpack("<I", data[12 + size:16 + size])
        assert (check, after) == (masked_crc32c(data[:8]), masked_crc32c(body))
        found.append(event_pb2.Event.FromString(body))
        data = data[16 + size:]
    return found


def shown(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a folder: files by name; a start voids all steps from its own on."""
    tags: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        first, *events = records(file)
        assert first.file_version == "brain.Event:2"
        for event in events:
            if event.session_log.status == event_pb2.SessionLog.START:
                tags = {tag: [point for point in points if point[0] < event.step] for tag, points in tags.items()}
            for value in event.summary.value:
                tags.setdefault(value.tag, []).append((event.step, value.simple_value))
    return tags


def expected(folder: Path, step: str, names: list[str] | None = None) -> dict[str, list[tuple[int, float]]]:
    """The same from metrics.csv, without the column of time."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("iteration", "seconds")] if names is None else names
    return {name: points for name in names if (points := [(int(row[step]), pytest.approx(float(row[name]), rel=1e-6))
                                                          for row in rows if row[name]])}


def check(folder: Path) -> None:
    """Event files and metrics.csv say the same."""
    found = shown(folder / "tensorboard")
    assert len(found.pop("seconds")) == len(next(iter(found.values())))
    assert found == expected(folder, "iteration")
    by_env_steps = {f"by_env_steps/{name}": points for name, points in
                    expected(folder, "env_steps", [each for each in tensorboard.BY_ENV_STEPS if each in found]).items()}
    assert shown(folder / "tensorboard" / "env_steps") == by_env_steps and by_env_steps


@pytest.mark.parametrize("tables", [TABLES, NEURAL], ids=["linear", "networks"])
def test_event_files_hold_what_metrics_csv_holds(tables, tmp_path):
    netac.run(tables, out=tmp_path)
    check(tmp_path)
    assert [step for step, _ in shown(tmp_path / "tensorboard")["env_steps"]] == [0, 3, 6, 9, 12]
    assert ("by_env_steps/episode_return" in shown(tmp_path / "tensorboard" / "env_steps")) == (tables is NEURAL)


@pytest.mark.parametrize("tables", [TABLES, NEURAL], ids=["linear", "networks"])
@pytest.mark.parametrize("kept", [0, 4, 8])
def test_a_resumed_run_shows_no_step_twice(tables, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "KEPT", 1000)
    whole = netac.run(tables, out=tmp_path).summary["parameters_sha256"]
    for _ in range(2):                                            # two resumptions within a second
        (tmp_path / "summary.json").unlink()
        for path in checkpoints.existing(tmp_path / "checkpoints"):
            if int(path.stem) > kept:
                path.unlink()
        assert netac.run(tables, out=tmp_path, resume=True).summary["parameters_sha256"] == whole
    assert len(list((tmp_path / "tensorboard").glob("events.*"))) == 3
    check(tmp_path)


@pytest.mark.parametrize("before", [True, False])
def test_event_files_may_begin_or_end_with_a_resumption(before, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "KEPT", 1000)
    netac.run(TABLES | {"tensorboard": before}, out=tmp_path)
    (tmp_path / "summary.json").unlink()
    (tmp_path / "checkpoints" / f"{12:012d}.npz").unlink()
    netac.run(TABLES | {"tensorboard": not before}, out=tmp_path, resume=True)
    steps = [step for step, _ in shown(tmp_path / "tensorboard")["env_steps"]]
    assert steps == ([0, 3, 6, 9, 12] if before else [9, 12])


def test_a_run_from_before_there_were_event_files_resumes(tmp_path):
    tables = {key: value for key, value in TABLES.items() if key != "tensorboard"}
    netac.run(tables, out=tmp_path)
    file = tmp_path / "experiment.toml"
    file.write_text(file.read_text().replace("tensorboard = false\n", ""))
    netac.run(tables, out=tmp_path, resume=True)
    with pytest.raises(InputError,
                       match="seed: the run in this folder is of another experiment, which differs in seed "):
        netac.run(tables | {"seed": 4}, out=tmp_path, resume=True)


def test_rows_are_there_when_they_are_logged(tmp_path):
    writer = tensorboard.EventWriter(tmp_path / "tensorboard")
    for t in (0, 5):
        row = {"iteration": t, "env_steps": 2 * t, "reward": None if t == 0 else 1.5, "episodes": t}
        writer.write(row)
        assert [step for step, _ in shown(tmp_path / "tensorboard")["episodes"]] == list(range(0, t + 1, 5))
    assert shown(tmp_path / "tensorboard")["reward"] == [(5, 1.5)]
    assert shown(tmp_path / "tensorboard" / "env_steps") == {"by_env_steps/reward": [(10, 1.5)]}
    writer.close()


def test_no_event_files_unless_asked_for(tmp_path):
    netac.run(TABLES | {"tensorboard": False}, out=tmp_path / "run")
    netac.run(TABLES)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_the_package_is_missed_before_anything_is_written(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == "tensorboardX" else real(name, *rest))
    with pytest.raises(InputError,
                       match=r'tensorboard: event files need tensorboardX.*pip install "netac\[tensorboard\]"'):
        netac.run(TABLES, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    class Full:
        def write_event(self, event):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    writer = tensorboard.EventWriter(tmp_path / "tensorboard")
    writer.close()
    writer._by_iteration._file = writer._by_env_steps._file = Full()
    with pytest.raises(RunError, match=r"cannot write .*tensorboard: the disk is full"):
        writer.write({"iteration": 0, "env_steps": 0})
    writer.close()


def test_linear_runs_write_them_without_torch(tmp_path):
    program = ("import sys, netac\n"
               f"netac.run({TABLES!r}, out={str(tmp_path / 'run')!r})\n"
               "print([name for name in sys.modules if name.partition('.')[0] in ('torch', 'matplotlib', 'pandas')])\n"
               "import torch; print(torch.zeros(1).item())")
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True,
                          timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n0.0\n", ""), done.stderr
    check(tmp_path / "run")


def test_process_0_alone_writes(tmp_path, mpirun):
    (tmp_path / "two.py").write_text(f"import netac\nnetac.run({TABLES!r}, out='run')\n")
    done = mpirun(2, [sys.executable, "two.py"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "run" / "tensorboard").glob("events.*"))) == 1
    check(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["processes"] == 2
