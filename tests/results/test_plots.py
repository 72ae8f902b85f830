"""Pictures: whole or not there, in the format their name says."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import numpy as np
import pytest

import netac
from netac.results.animation import animate
from netac.results.plots import draw_runs
from netac.results.records import load_run
from netac.topology import load
from netac.topology.drawing import draw
from netac.utils.errors import InputError, RunError
from netac.utils.pictures import save_figure

WRITERS = {
    "topology.png": lambda file: draw(load("ring", 5), file, steps=5),
    "topology.svg": lambda file: draw(load("ring", 5), file, steps=5),
    "episode.gif": lambda file: animate(np.zeros((3, 2), dtype=int), 2, np.arange(3.0), file),
}
HEADS = {".png": b"\x89PNG", ".svg": b"<?xml", ".gif": b"GIF89a"}


@contextlib.contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file can grow beyond `limit` bytes meanwhile, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", WRITERS)
def test_a_picture_that_does_not_fit_leaves_the_old_one(tmp_path, name):
    file, write = tmp_path / name, WRITERS[name]
    write(file)
    whole = file.read_bytes()
    assert whole.startswith(HEADS[file.suffix]) and len(whole) > 2000
    with small_files(1000), pytest.raises(RunError, match=f"cannot write .*{name}: the file is too large"):
        write(file)
    assert file.read_bytes() == whole and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", WRITERS)
def test_a_picture_in_no_folder_is_refused(tmp_path, name):
    with pytest.raises(RunError, match=f"cannot write .*{name}: its folder does not exist"):
        WRITERS[name](tmp_path / "nowhere" / name)


def test_endings_that_are_no_format(tmp_path):
    with pytest.raises(InputError, match=r"is not a picture format .*\.png, \.pdf, \.svg"):
        WRITERS["topology.png"](tmp_path / "ring.picture")
    with pytest.raises(InputError, match=r"should be a \.gif file"):
        WRITERS["episode.gif"](tmp_path / "episode.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 200 + "/" + "y" * 200, r"run $\frac", "a\nb\x07"])
def test_names_that_a_picture_cannot_show_as_they_are(tmp_path, name):
    runs = []
    for k in range(2):
        folder = tmp_path / str(k) / name
        netac.run({"agents": 2, "iterations": 2 + k, "env": "coordination", "topology": "complete", "algorithm": "iac"},
                  out=folder)
        runs.append(load_run(folder))
    figure = draw_runs(runs)
    save_figure(lambda: figure, tmp_path / "curves.png", {})
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(set(labels)) == 2 and max(map(len, labels)) < 90
