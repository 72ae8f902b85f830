"""The theory laboratory: verdicts, reports, the command, and the quick form of every experiment."""

from __future__ import annotations

import csv
import importlib
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from netac import cli, theory
from netac.envs.finite_mdp import random_mdp
from netac.theory import Claim, Finding, Lab, Table
from netac.theory._report import shortened, write
from netac.utils import plugins
from netac.utils.errors import InputError, RunError

NAMES = plugins.module_names(theory.PACKAGE)
CLAIM = Claim("it falls", "paper 001, Theorem 2", "least gain", 0.5, "<=", 1.0)


def taking() -> list[str]:
    return [name for name in NAMES if getattr(module(name), "TAKES_GAME", False)]


def module(name: str):
    return importlib.import_module(f"{theory.PACKAGE}.{name.replace('-', '_')}")


@pytest.mark.parametrize(("changes", "verdict"), [
    ({}, "holds"), ({"measured": 1.0}, "holds"), ({"measured": 1.1}, "FAILS"),
    ({"measured": 1.1, "tolerance": 0.1}, "holds"),
    ({"measured": 1.2, "tolerance": 0.1}, "FAILS"), ({"measured": math.nan}, "FAILS"), ({"relation": ">="}, "FAILS"),
    ({"relation": ">=", "measured": 0.95, "tolerance": 0.1}, "holds"), ({"refuted": True}, "refuted"),
    ({"refuted": True, "measured": 2.0}, "NOT REFUTED"), ({"refuted": True, "measured": math.nan}, "NOT REFUTED"),
    ({"measured": math.inf}, "FAILS"), ({"measured": -math.inf}, "holds")])
def test_a_number_decides(changes, verdict):
    claim = replace(CLAIM, **changes)
    assert claim.verdict == verdict
    assert claim.passes == (verdict in ("holds", "refuted"))


def finding(*claims: Claim) -> Finding:
    return Finding(claims,
                   (Table("numbers", "Some | numbers", [{"n": 1, "x": 0.25, "y": None}, {"n": 1000, "x": 1e-9}]),),
                   lambda: Figure(figsize=(1, 1)))


def test_one_claim_that_fails_is_enough():
    assert finding(CLAIM).passes
    assert not finding(CLAIM, replace(CLAIM, measured=2.0)).passes


def test_a_report_holds_claims_tables_and_a_picture(tmp_path):
    files = write(finding(CLAIM, replace(CLAIM, refuted=True)), tmp_path, "gap | test", ["What it is."])
    assert {file.name for file in files} == {path.name for path in tmp_path.iterdir()} == {
        "claims.csv", "numbers.csv", "picture.png", "report.md"}
    with (tmp_path / "claims.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["holds", "refuted"]
    assert float(rows[0]["measured"]) == 0.5
    assert (tmp_path / "numbers.csv").read_text() == "n,x,y\n1,0.25,\n1000,1e-09,\n"
    text = (tmp_path / "report.md").read_text()
    assert "| **refuted** | it falls | 0.5 (least gain) | <= 1 |" in text and "| 1,000 | 1e-09 | - |" in text
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (True, "true"), ("text", "text"), (12345, "12,345"),
                                             (0.00012345, "0.0001234")])
def test_cells_are_short(value, text):
    assert shortened(value) == text


def netac(*arguments: str | Path) -> tuple[int, str]:
    found = CliRunner().invoke(cli.cli, ["theory", *map(str, arguments)])
    if isinstance(found.exception, InputError):
        return found.exception.exit_status, str(found.exception)
    return found.exit_code, found.output


def test_the_command_prints_and_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, said = netac("parameter-sharing", "--quick", "--jobs", 1)
    assert status == 0 and "holds  J*_share / J* = 2 / 2^n (paper 001, Proposition 1)" in said
    assert {path.name for path in (tmp_path / "runs" / "theory" / "parameter-sharing").iterdir()} == {
        "claims.csv", "picture.png", "report.md", "sharing.csv"}


def test_a_claim_that_fails_is_told_and_ends_with_status_1(tmp_path, monkeypatch):
    monkeypatch.setattr(module("parameter-sharing"), "best_shared", lambda n: 1.0)
    status, said = netac("parameter-sharing", "--quick", "--jobs", 1, "--out", tmp_path)
    assert status == 1 and "FAILS  J*_share" in said and "written:" in said
    assert "**FAILS**" in (tmp_path / "report.md").read_text()


def save_game(path: Path, agents=2, states=2, **changes) -> Path:
    mdp = random_mdp(0, agents, states, 2, "folded-normal", 0.5)
    np.savez(path, **{"P": mdp.P, "r": mdp.r, "xi": mdp.xi, "gamma": mdp.gamma} | changes)
    return path


def test_bad_input_is_told(tmp_path, monkeypatch):
    game = save_game(tmp_path / "game.npz")
    other = next(name for name in NAMES if name not in taking())
    out = ("--out", tmp_path / "out")
    assert netac("policy-iteratio", *out) == (2, "there is no theory experiment called 'policy-iteratio' (did you mean "
                                                 f"'policy-iteration'?) (valid: {', '.join(NAMES)})")
    status, said = netac(other, "--game", game, *out)
    assert status == 2 and said.startswith("--game: this experiment is of games of its own") and taking()[0] in said
    status, said = netac("policy-iteration", "--game", tmp_path / "nothing.npz", *out)
    assert status == 2 and "there is no such file" in said
    monkeypatch.setattr("netac.exact.limits.LARGEST", 10)
    status, said = netac("policy-iteration", "--game", game, *out)
    assert status == 2 and "too large to be solved exactly" in said
    assert "2 x 2^2 x 2 = 16 numbers" in said and "up to 10" in said
    (tmp_path / "file").write_text("")
    assert netac("parameter-sharing", "--quick", "--out", tmp_path / "file")[0] == 2
    monkeypatch.setenv("NETAC_MPI", "1")
    status, said = netac("parameter-sharing", "--quick", *out)
    assert status == 2 and "not for mpirun" in said
    assert not (tmp_path / "out").exists()


SLOW = ("cac-rates", "mini-batch")           # 25 s each


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else [])
                                  for name in taking()])
def test_users_games(name, tmp_path):
    """A small game of rewards in [0, 1] is taken, and what is found is of it."""
    found = theory.run(name, quick=True, jobs=1, game=theory.read_game(save_game(tmp_path / "game.npz")))
    assert found.claims and found.tables


def test_the_list_names_all_experiments():
    said = CliRunner().invoke(cli.cli, ["list", "theory"]).output
    assert all(f"  {name} " in said for name in NAMES) and len(NAMES) >= 9


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else [])
                                  for name in NAMES])
def test_the_quick_form_of_every_experiment_passes(name, tmp_path):
    found = theory.run(name, quick=True, jobs=1, out=tmp_path)
    assert [claim.says for claim in found.claims if not claim.passes] == []
    assert all(math.isfinite(claim.measured) for claim in found.claims)
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert (len({table.name for table in found.tables}) == len(found.tables)
            and all(table.rows for table in found.tables))


@pytest.mark.parametrize(("name", "smaller"), [
    ("cac-rates", {6: 2, 40: 10, (1_000,): (100,), 2_000: 200}), ("mini-batch", {3: 1, 20_000: 4_000})])
def test_the_slow_experiments_run_to_their_end(name, smaller, tmp_path, monkeypatch):
    """What they find of so few samples says nothing, but it is all there."""
    monkeypatch.setattr(Lab, "choose", lambda self, quick, full: next(
        (size for usual, size in smaller.items() if quick == usual), quick))
    found = theory.run(name, quick=True, jobs=1, out=tmp_path)
    assert found.claims and found.tables and (tmp_path / "picture.png").stat().st_size > 10_000


def test_the_work_can_be_shared_and_gives_the_same():
    alone, shared = (theory.run("policy-iteration", quick=True, seed=3, jobs=jobs) for jobs in (1, 2))
    assert [claim.measured for claim in alone.claims] == [claim.measured for claim in shared.claims]
    assert [table.rows for table in alone.tables] == [table.rows for table in shared.tables]


def test_a_part_that_dies_is_told():
    with pytest.raises(RunError, match="process that did a part of the work died"):
        Lab(jobs=2).each(os._exit, [0, 0])


def test_random_numbers_depend_on_the_seed_and_the_key():
    lab = Lab(seed=1)
    assert lab.rng(2).random() == Lab(seed=1).rng(2).random()
    assert len({each.random() for each in (lab.rng(1), lab.rng(2), lab.rng(1, 2), Lab(seed=2).rng(1))}) == 4
