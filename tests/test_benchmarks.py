"""What `python -m benchmarks` keeps: rows measured at different times stand in one table."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.report import Measured, document, keep, read
from benchmarks.timing import Row

RACE = Row("netac / a loop", "1 us", "2 us", 0.5, (0.4, 0.6), 1)
SLOW = Row("netac / a peer", "3 us", "2 us", 1.5, (1.4, 1.6), 1, note="of two agents")
TOLD = Row("memory", "1 MB", "")


def test_rows_are_read_as_they_were_kept(tmp_path):
    found = {"cac": Measured((RACE, TOLD), "monday"), "mdac": Measured((SLOW,), "tuesday")}
    assert read(tmp_path / "results.json") == {}
    keep(tmp_path / "results.json", found)
    assert read(tmp_path / "results.json") == found


def test_every_row_names_the_run_it_is_of():
    text = document([Measured((RACE,), "monday"), Measured((SLOW, TOLD), "tuesday"), Measured((RACE,), "monday")])
    assert "| netac / a loop | 1 us | 2 us | 0.50 | 0.40 - 0.60 | <= 1 | yes | 1 |" in text
    assert "| netac / a peer (of two agents) | 3 us | 2 us | 1.50 | 1.40 - 1.60 | <= 1 | **no** | 2 |" in text
    assert "| memory | 1 MB |  |  |  |  |  | 2 |" in text and "1. monday\n2. tuesday\n" in text and "3." not in text


def test_what_is_measured_again_takes_the_place_of_what_there_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmarks, "KEPT", tmp_path / "results.json")
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(benchmarks, "machine", lambda: "today")
    keep(tmp_path / "results.json", {"tag": Measured((RACE,), "monday"), "mdac": Measured((SLOW,), "monday"),
                                     "gone": Measured((SLOW,), "monday")})
    found = {"mdac": [RACE], "start": [SLOW]}
    for names, status in (["mdac"], 0), (["start", "mdac"], 1):
        monkeypatch.setattr(benchmarks, "measure", lambda name: found[name])
        monkeypatch.setattr("sys.argv", ["benchmarks", *names])
        assert benchmarks.main() == status
    kept = read(tmp_path / "results.json")
    assert list(kept) == ["start", "mdac", "tag"]                 # in the order of NAMES, without what is no more
    assert [each.where for each in kept.values()] == ["today", "today", "monday"] and kept["mdac"].rows == (RACE,)
    assert (tmp_path / "RESULTS.md").read_text() == document([*kept.values()])
    assert "netac / a peer" in capsys.readouterr().out


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "nothing"])
    with pytest.raises(SystemExit):
        benchmarks.main()
    assert "unknown: nothing; there are start, " in capsys.readouterr().err
