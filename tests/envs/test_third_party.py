"""Environments of other packages: a dozen are trained in always, all of them by `pytest -m third_party` where their
packages are installed (tests/third_party.txt)."""

from __future__ import annotations

import math
import os
import sys
from importlib.metadata import Distribution

import pytest

pytest.importorskip("pettingzoo")
pytest.importorskip("torch")

from support.third_party import LITTLE, OLDER, PLAYED, REFUSED, SAMPLES, Played, Refused, rows, versions

import netac
from netac.utils.errors import InputError

PAIR = ("iac", "ippo")      # one of either world


def named(case: Played | Refused) -> str:
    """The case as pytest shows it."""
    return "-".join([case.package, case.factory, *map(str, case.kwargs.values())])


@pytest.fixture
def installed(case: Played | Refused) -> None:
    """The case's package; without it the test is skipped, where CI=true it fails."""
    release = getattr(case, "release", "")
    found = {each.version for each in Distribution.discover(name=case.package, path=[OLDER] if release else sys.path)}
    if not found:
        missing = f"{case.package} is not installed: tests/third_party.txt says how"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    assert (release or versions()[case.package]) in found, "another version than the page's: tests/third_party.txt"


def played(*cases: Played | Refused):
    """A test of each of the cases, run where third-party packages are asked for."""
    def marked(test):
        for mark in (pytest.mark.parametrize("case", cases, ids=named), pytest.mark.usefixtures("installed"),
                     pytest.mark.timeout(1200), pytest.mark.third_party):
            test = mark(test)
        return test
    return marked


def total(result: netac.RunResult) -> float:
    """How many episodes ended."""
    return sum(ended for ended in result.metrics["episodes"] if not math.isnan(ended))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("case", [case for case in PLAYED if case.always], ids=named)
def test_a_dozen_always(case):
    for algorithm in LITTLE:
        short = {"envs": 1, "iterations": case.steps + 1 if algorithm in SAMPLES else 2}
        assert total(netac.run(case.experiment(algorithm, **short))) > 0, f"{algorithm}: no episode ended"


@played(*PLAYED)
def test_every_algorithm_learns_past_the_end_of_an_episode(case):
    for algorithm, tables in case.variants:
        result = netac.run(case.experiment(algorithm, **tables))
        assert total(result) > 0, f"{algorithm}: no episode ended"


@played(*PLAYED)
def test_the_page_says_what_agents_see_and_do(case):
    env = case.make()
    cells = case.cells(env)
    assert env.resumable == case.shipped and (env.state_shape is not None) == case.state
    env.close()
    (row,) = [row for row in rows("### Environments that were run") if row[:2] == cells[:2]]
    assert (*row[:7], row[8]) == cells


@played(*[case for case in PLAYED if case.together and case.agents > 1])
def test_two_processes_give_the_same_bits(case, mpirun):
    tables = {algorithm: case.experiment(algorithm) for algorithm in PAIR}
    program = (f"import netac\nfor name, table in {tables!r}.items(): "
               f"print(name, netac.run(table).summary['parameters_sha256'], flush=True)")
    alone = {name: netac.run(table).summary["parameters_sha256"] for name, table in tables.items()}
    done = mpirun(2, [sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout + done.stderr
    for name, found in alone.items():
        assert f"{name} {found}" in done.stdout


@played(*PLAYED)
def test_runs_go_on_after_a_stop(case, tmp_path):
    for algorithm in PAIR:
        table = case.experiment(algorithm, iterations=2)
        netac.run(table, out=tmp_path / algorithm)
        result = netac.run(table | {"iterations": 3}, out=tmp_path / algorithm, resume=True)
        assert result.summary["iterations"] == 3 and math.isfinite(result.summary["final_reward"])


@played(*REFUSED)
def test_what_does_not_run_is_refused_with_the_reason(case):
    with pytest.raises(InputError) as caught:
        netac.run(case.experiment())
    assert case.message in str(caught.value)


def test_the_page_lists_what_is_played():
    listed = rows("### Environments that were run")
    assert [(row[:3], row[8]) for row in listed] == [
        ((case.packed, case.name, str(case.agents)), case.needs) for case in PLAYED]
    assert all(int(row[7].replace(",", "")) > 0 for row in listed)


def test_the_page_lists_what_is_refused():
    assert rows("### Environments that do not run") == [case.cells for case in REFUSED]
