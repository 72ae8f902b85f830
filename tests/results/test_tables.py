"""metrics.csv: exact to the bit, whole after any kill, going on where a checkpoint stands."""

from __future__ import annotations

import csv
import itertools
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netac.results.tables import CsvWriter, csv_text, read_metrics, read_rows
from netac.utils.errors import InputError, RunError

COLUMNS = ("iteration", "env_steps", "reward", "J")
ANY_TEST = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROWS = st.lists(st.fixed_dictionaries({
    "iteration": st.integers(0, 2**53), "env_steps": st.integers(-(2**63), 2**63 - 1),
    "reward": st.floats(allow_nan=False), "J": st.none() | st.floats(width=32, allow_nan=False)}), max_size=12)


def write(file, rows, columns=COLUMNS, keep=0):
    with CsvWriter(file, columns, rows=keep) as writer:
        for row in rows:
            writer.write(row)


def some_rows(count, start=0):
    return [{"iteration": k, "env_steps": 5 * k, "reward": math.sin(k), "J": 1 / (k + 1)}
            for k in range(start, start + count)]


@ANY_TEST
@given(rows=ROWS)
def test_rows_come_back_bit_for_bit(tmp_path, rows):
    write(tmp_path / "m.csv", rows)
    table = read_metrics(tmp_path / "m.csv")
    assert tuple(table) == COLUMNS
    for name in COLUMNS:
        expected = [math.nan if row[name] is None else row[name] for row in rows]
        np.testing.assert_array_equal(table[name], np.array(expected, dtype=table[name].dtype))
        assert table[name].dtype == (np.int64 if rows and name in ("iteration", "env_steps") else np.float64)


@ANY_TEST
@given(rows=ROWS, data=st.data())
def test_a_file_torn_anywhere_gives_its_whole_rows(tmp_path, rows, data):
    file = tmp_path / "m.csv"
    write(file, rows)
    whole = file.read_bytes()
    header = whole.index(b"\n") + 1
    torn = whole[:data.draw(st.integers(header, len(whole)))]
    file.write_bytes(torn)
    assert len(read_metrics(file)["iteration"]) == torn.count(b"\n") - 1


@ANY_TEST
@given(count=st.integers(1, 20), data=st.data())
def test_a_resumed_file_equals_an_uninterrupted_one(tmp_path, count, data):
    kept = data.draw(st.integers(1, count))
    torn = data.draw(st.sampled_from(["", "7", "7,3.5", "7,35,0.1,0.2"]))
    write(tmp_path / "whole.csv", some_rows(count + 5))
    write(tmp_path / "resumed.csv", some_rows(count))
    with (tmp_path / "resumed.csv").open("a") as file:
        file.write(torn)
    write(tmp_path / "resumed.csv", some_rows(count + 5 - kept, start=kept), keep=kept)
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_the_text_of_a_row(tmp_path):
    file = tmp_path / "m.csv"
    with CsvWriter(file, ("a", "b", "c", "d", "e")) as writer:
        writer.write({"a": np.int64(3), "b": 0.1 + 0.2, "c": np.float32(0.1), "d": None, "e": math.nan})
        assert file.read_text() == "a,b,c,d,e\n3,0.30000000000000004,0.10000000149011612,,nan\n"  # not yet closed
        writer.write({"e": 1e300})
        writer.sync()
        assert writer.rows == 2
        with pytest.raises(ValueError, match="'reword'"):
            writer.write({"reword": 1.0})
    assert file.read_text().endswith("\n,,,,1e+300\n")
    assert math.isnan(read_metrics(file)["a"][1])
    with pytest.raises(ValueError, match="do not fit a CSV header"):
        CsvWriter(file, ("a", "b,c"))


def test_a_new_writer_starts_the_file_anew(tmp_path):
    write(tmp_path / "m.csv", some_rows(3))
    write(tmp_path / "m.csv", some_rows(1))
    assert len(read_metrics(tmp_path / "m.csv")["iteration"]) == 1


def test_a_killed_writer_loses_no_row_it_reported(tmp_path):
    program = ("import itertools, sys\nfrom netac.results.tables import CsvWriter\n"
               "writer = CsvWriter(sys.argv[1], ('k', 'x'))\n"
               "for k in itertools.count():\n    writer.write({'k': k, 'x': k / 7})\n    print(k, flush=True)\n")
    file = tmp_path / "m.csv"
    with subprocess.Popen([sys.executable, "-c", program, file], stdout=subprocess.PIPE, text=True) as writer:
        reported = [int(line) for line in itertools.islice(writer.stdout, 500)][-1]
        time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    table = read_metrics(file)
    assert len(table["k"]) > reported == 499
    np.testing.assert_array_equal(table["k"], np.arange(len(table["k"])))
    np.testing.assert_array_equal(table["x"], np.arange(len(table["k"])) / 7)


def test_a_file_that_cannot_be_gone_on_with_is_refused_and_left(tmp_path):
    file = tmp_path / "m.csv"
    with pytest.raises(InputError, match="there is no such file"):
        CsvWriter(file, COLUMNS, rows=1)
    write(file, some_rows(3))
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"fewer rows than the checkpoint counts.*found 3; valid: at least 4 rows"):
        CsvWriter(file, COLUMNS, rows=4)
    with pytest.raises(InputError, match="other columns"):
        CsvWriter(file, ("iteration", "reward"), rows=1)
    assert file.read_bytes() == before
    with pytest.raises(InputError, match="is not a file"):
        CsvWriter("/dev/full", COLUMNS, rows=1)


def test_a_full_disk_is_told_and_leaves_no_torn_line(tmp_path, monkeypatch):
    with pytest.raises(RunError, match="cannot write /dev/full: the disk is full"):
        CsvWriter("/dev/full", COLUMNS)
    with pytest.raises(RunError, match="it is a folder"):
        CsvWriter(tmp_path, COLUMNS)
    resource = pytest.importorskip("resource")
    file = tmp_path / "m.csv"
    writer = CsvWriter(file, COLUMNS)
    writer.write(some_rows(1)[0])
    before = file.read_bytes()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))  # the next row fits only in part
        with pytest.raises(RunError, match="the file is too large"):
            writer.write(some_rows(1, start=1)[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes() == before
    writer.write(some_rows(1, start=1)[0])
    writer.close()
    writer.close()
    assert read_metrics(file)["iteration"].tolist() == [0, 1]


@pytest.mark.parametrize(("text", "message"), [
    ("", "has no header line"),
    ("iteration,reward", "has no header line"),
    ("a,b,a\n1,2,3\n", "names a column twice"),
    ("a,b\n1,2\n1\n3,4\n", "line 3 has 1 cells"),
    ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells"),
    ("a,b\n1,2\n1,x\n", "b: line 3 is not a number"),
    ("a,b\n1,\ufffd\n", "b: line 2 is not a number"),
])
def test_a_damaged_file_is_refused_with_line_and_column(tmp_path, text, message):
    file = tmp_path / "m.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_metrics(file)
    assert str(file) in str(caught.value)


def test_other_files_are_refused_and_windows_lines_are_read(tmp_path):
    file = tmp_path / "m.csv"
    with pytest.raises(InputError, match="there is no such file"):
        read_metrics(file)
    file.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_metrics(file)
    file.write_bytes(b"a,b\r\n1,2.5\r\n")
    assert read_metrics(file)["b"].tolist() == [2.5]
    file.write_text(f"a\n{2**70}\n")
    assert read_metrics(file)["a"].tolist() == [float(2**70)]


def test_csv_text_quotes_what_needs_it():
    text = csv_text(("name", "ok", "x"), [{"name": 'a "b", c', "ok": True}, {"x": 1.5, "ok": np.False_}])
    assert text == 'name,ok,x\n"a ""b"", c",true,\n,false,1.5\n'


TEXTS = st.text(st.one_of(st.sampled_from(',"\r\n ;\t'), st.characters(codec="utf-8")), max_size=8)
TEXT_ROWS = st.lists(st.fixed_dictionaries({"iteration": st.integers(0, 99), "agent": TEXTS, "note": TEXTS}),
                     max_size=6)


def as_text(rows):
    return [{"iteration": str(row["iteration"]), "agent": row["agent"], "note": row["note"]} for row in rows]


@ANY_TEST
@given(rows=TEXT_ROWS)
def test_any_text_in_a_cell_comes_back(tmp_path, rows):
    file = tmp_path / "m.csv"
    write(file, rows, ("iteration", "agent", "note"))
    assert read_rows(file) == as_text(rows)
    assert file.read_bytes().decode() == csv_text(("iteration", "agent", "note"), rows)
    with file.open(newline="", encoding="utf-8") as lines:            # as anybody's reader takes it
        assert list(csv.DictReader(lines)) == as_text(rows)


@ANY_TEST
@given(rows=TEXT_ROWS.filter(len), data=st.data())
def test_a_file_with_text_torn_anywhere_is_read_and_gone_on_with(tmp_path, rows, data):
    file, columns = tmp_path / "m.csv", ("iteration", "agent", "note")
    write(file, rows, columns)
    whole = file.read_bytes()
    ends = [len(csv_text(columns, rows[:k]).encode()) for k in range(len(rows) + 1)]
    torn = data.draw(st.integers(ends[0], len(whole)))
    file.write_bytes(whole[:torn])
    kept = sum(end <= torn for end in ends) - 1
    assert read_rows(file) == as_text(rows[:kept])
    if kept:
        write(file, rows[kept:], columns, keep=kept)
        assert file.read_bytes() == whole


def test_quotes_that_are_never_closed_hide_no_rows_of_numbers(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text('a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(InputError, match="line 3 opens a quote that is never closed"):
        read_metrics(file)
    file.write_text('a,b\n1,"2"x\n3,4\n')
    with pytest.raises(InputError, match="line 2 is not CSV"):
        read_metrics(file)
