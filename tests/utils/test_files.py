"""Files that stay whole: kills, full disks, files in place of folders, damaged archives."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.killing import kill, leftovers, start

from netac.utils.errors import InputError, RunError
from netac.utils.files import atomic_savez, atomic_write, load_npz, make_run_folder, read_text

TEXT_WRITER = """
import itertools, sys
from netac.utils.files import atomic_write
for k in itertools.count():
    atomic_write(sys.argv[1], f"{k % 10}" * (1 + 40_000 * (k % 3)))
"""
ARRAY_WRITER = """
import itertools, sys
import numpy as np
from netac.utils.files import atomic_savez
for k in itertools.count():
    atomic_savez(sys.argv[1], {"a": np.full(5_000, k), "b": np.full(3_000, float(k))})
"""


def text_is_whole(file: Path) -> bool:
    text = file.read_text()
    return len(set(text)) == 1 and len(text) in (1, 40_001, 80_001)


def arrays_are_whole(file: Path) -> bool:
    arrays = load_npz(file)
    return arrays["a"].shape == (5_000,) and arrays["b"].shape == (3_000,) and \
        len(np.unique(np.concatenate([arrays["a"], arrays["b"]]))) == 1


@pytest.mark.parametrize(("program", "whole"), [(TEXT_WRITER, text_is_whole), (ARRAY_WRITER, arrays_are_whole)])
def test_a_reader_sees_whole_files_whenever_the_writer_is_killed(tmp_path, program, whole):
    file = tmp_path / "file"
    for round_ in range(4):
        writer = start(program, file)
        try:
            deadline = time.monotonic() + 20
            while not file.exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            end = time.monotonic() + 0.2 + 0.013 * round_
            reads = 0
            while time.monotonic() < end:
                assert whole(file)
                reads += 1
            assert reads > 3
            assert writer.poll() is None
        finally:
            kill(writer)
        assert whole(file)


def test_what_fails_while_writing_leaves_the_old_file_and_no_temporary(tmp_path):
    file = tmp_path / "state.npz"
    atomic_savez(file, {"x": np.arange(3)})
    with pytest.raises(TypeError, match="'bad' holds Python objects"):
        atomic_savez(file, {"x": np.arange(9), "bad": np.array([{}], dtype=object)})

    class Unlucky(dict):
        def items(self):
            yield from super().items()
            if self.pop("armed", None) is None:
                raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"cannot write .*state\.npz: the disk is full"):
        atomic_savez(file, Unlucky(x=np.arange(9), armed=np.arange(2)))
    assert load_npz(file)["x"].tolist() == [0, 1, 2]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("write", [
    lambda path: atomic_write(path, "x" * 100_000),
    lambda path: atomic_write(path, "x"),
    lambda path: atomic_savez(path, {"x": np.zeros(10_000)}),
])
def test_a_full_disk_is_told_in_plain_words(tmp_path, write):
    link = tmp_path / "metrics.csv"
    link.symlink_to("/dev/full")
    for path in ("/dev/full", link):
        with pytest.raises(RunError, match=f"cannot write {path}: the disk is full"):
            write(path)
    assert not Path("/dev/full").is_file()
    assert leftovers(tmp_path) == []


def test_unwritable_places_are_told_in_plain_words(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="it is a folder"):
        atomic_write(tmp_path / "folder", "x")
    with pytest.raises(RunError, match="a file stands where a folder is needed"):
        atomic_write(tmp_path / "file" / "inner", "x")
    with pytest.raises(RunError, match="its folder does not exist"):
        atomic_write(tmp_path / "nowhere" / "inner", "x")
    with pytest.raises(RunError, match="the name is too long"):
        atomic_write(tmp_path / ("x" * 300), "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_link_is_written_through_and_modes_follow_the_umask(tmp_path):
    (tmp_path / "link").symlink_to("target")
    atomic_write(tmp_path / "link", "ä")
    assert (tmp_path / "link").is_symlink()
    assert read_text(tmp_path / "target") == "ä"
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / "target").stat().st_mode == plain.stat().st_mode


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"file": np.arange(6).reshape(2, 3), "allow_pickle": np.array(2.5), "empty": np.zeros((0, 4)),
              "big_endian": np.arange(3, dtype=">i4"), "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    atomic_savez(tmp_path / "a.npz", arrays)
    back = load_npz(tmp_path / "a.npz")
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype
    with np.load(tmp_path / "a.npz") as plain:
        assert plain["allow_pickle"] == 2.5


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    file = tmp_path_factory.mktemp("archive") / "state.npz"
    atomic_savez(file, {"theta": np.linspace(0, 1, 40), "t": np.array(7)})
    return file.read_bytes()


def test_a_directory_that_hides_an_array_is_refused(archive, tmp_path):
    first = archive.index(b"PK\x01\x02")
    second = archive.index(b"PK\x01\x02", first + 1)
    damaged = bytearray(archive)
    damaged[first + 32] = archive.index(b"PK\x05\x06") - second  # the first entry's comment now covers the second entry
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with np.load(tmp_path / "damaged.npz") as plain:
        assert plain.files == ["theta"]
    with pytest.raises(InputError, match="has lost entries"):
        load_npz(tmp_path / "damaged.npz")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_read_right(archive, tmp_path, data):
    position = data.draw(st.integers(0, len(archive) - 1))
    if data.draw(st.booleans(), label="cut"):
        damaged = archive[:position]
    else:
        damaged = archive[:position] + bytes([data.draw(st.integers(0, 255))]) + archive[position + 1:]
    file = tmp_path / "damaged.npz"
    file.write_bytes(damaged)
    try:
        arrays = load_npz(file)
    except InputError as error:
        assert str(file) in str(error)
        return
    assert len(damaged) == len(archive)
    np.testing.assert_array_equal(arrays["theta"], np.linspace(0, 1, 40))
    assert arrays["t"] == 7


def test_what_is_no_archive_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("one.npy", "pickled.npz", "text.npz", "empty.npz"):
        with pytest.raises(InputError, match=rf"{name}: is not a whole \.npz file"):
            load_npz(tmp_path / name)
    with pytest.raises(InputError, match="there is no such file"):
        load_npz(tmp_path / "none.npz")
    with pytest.raises(InputError, match="it is a folder"):
        load_npz(tmp_path)


def test_run_folders_are_made_or_refused(tmp_path):
    folder = make_run_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert make_run_folder(folder) == folder
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", tmp_path / "file" / "run", "/dev/full", "/dev/full/run", "a\0b", "/proc/netac",
                tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="cannot create this folder") as caught:
            make_run_folder(bad)
        assert caught.value.exit_status == 2
    with pytest.raises(InputError, match="cannot write into this folder"):
        make_run_folder("/proc/self")


@pytest.mark.parametrize("torn", [False, True])
def test_a_byte_order_mark_is_left_out_and_wide_characters_are_named(tmp_path, torn):
    file = tmp_path / "text"
    file.write_bytes("a = 1\n\ufeff".encode("utf-8-sig"))
    assert read_text(file, torn) == "a = 1\n\ufeff"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        file.write_bytes("a = 1\n".encode(encoding))
        kind = encoding[:6].upper()
        with pytest.raises(InputError, match=rf"is {kind} text \(valid: the same text saved as UTF-8\)"):
            read_text(file, torn)
    file.write_bytes("Zürich".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not UTF-8 text .*valid: the same text saved as UTF-8"):
        read_text(file, torn)
    file.write_bytes(b"\xef\xbb")
    if torn:
        assert read_text(file, torn) == ""


def test_files_that_are_compressed_are_read_or_told(tmp_path):
    file = tmp_path / "text.GZ"
    file.write_bytes(gzip.compress("ä".encode("utf-8-sig")))
    assert read_text(file) == "ä"
    for damaged in (b"plain", gzip.compress(b"text")[:-3], gzip.compress(b"text" * 99)[:20] + b"x" * 20):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"text.GZ: is not a whole gzip file"):
            read_text(file)
