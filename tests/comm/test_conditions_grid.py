"""Every condition of the network with every decentralized algorithm, linear and with networks; no algorithm knows one.

What each condition does is in the tests of its own; that nothing depends on processes and stops: test_conditioned_runs.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.condition_cases import CASES, GRID, LINEAR, NEURAL, Case, experiment
from support.condition_networks import network

import netac
from netac.comm.exchange import COLUMNS, SECONDS
from netac.experiment import config, network_table, schema
from netac.experiment.run_result import RunResult
from netac.utils import plugins

CONDITIONS = plugins.module_names(network_table.CONDITIONS)
ALGORITHMS = Path(netac.__file__).parent / "algorithms"
ALONE, TIME_ONLY = "iac", "clock, wait"        # an algorithm that exchanges nothing; a case that changes no number


@cache
def without(kind: str, algorithm: str, case: str) -> RunResult:
    """The run on a case's graph without its conditions."""
    same = next(name for name, other in CASES.items() if other.graph == CASES[case].graph)
    return netac.run(experiment(kind, algorithm, Case({}, CASES[case].graph))) if same == case else without(
        kind, algorithm, same)


def test_there_is_a_case_of_every_condition():
    for again in (True, False):
        cases = [case for case in CASES.values() if again or not case.again]
        assert {key for case in cases for key in case.table} - {network_table.INSECURE} == set(CONDITIONS)


def test_there_is_a_case_of_every_decentralized_algorithm():
    package = "netac.algorithms.decentralized"
    assert package in schema.ALGORITHMS
    for name in plugins.module_names(package):
        trajectories = "rollout" in plugins.module(package, name, "").Settings.model_fields
        assert name in (NEURAL if trajectories else LINEAR)


@pytest.mark.parametrize(("kind", "algorithm", "case"), GRID, ids=map(" - ".join, GRID))
def test_every_algorithm_runs_under_every_condition(kind, algorithm, case):
    found, plain = netac.run(experiment(kind, algorithm, CASES[case])), without(kind, algorithm, case)
    assert all(np.isfinite(values).all() for values in found.parameters.values())
    changed = found.summary["parameters_sha256"] != plain.summary["parameters_sha256"]
    assert changed == (algorithm != ALONE and case != TIME_ONLY)
    tells_what_happened(found, plain, CASES[case], algorithm != ALONE)
    tells_which_conditions_were_on(found, CASES[case])


def tells_what_happened(found: RunResult, plain: RunResult, case: Case, exchanges: bool) -> None:
    """The columns that the conditions declare are there, and what they count can be."""
    made = network(case.table, found.summary["agents"], case.graph, iterations=found.summary["iterations"])
    columns = {name: found.metrics[name] for name in COLUMNS if name in found.metrics}
    assert tuple(columns) == made.columns and not set(plain.metrics) & set(COLUMNS)
    messages = found.metrics["messages"]
    for name, column in columns.items():
        assert column[0] >= 0.0 and (np.diff(column) >= 0.0).all() and column[-1] == found.summary[name]
        assert bool(column[-1]) == (exchanges and name in case.strikes) or name not in case.strikes
        if name in ("lost", "delayed"):
            assert (column <= messages).all()
    if exchanges and "compressed_bits" in columns:
        used, needed = (run.summary["bytes_consensus_per_agent"] for run in (found, plain))
        assert columns["compressed_bits"][-1] / 8 <= used < needed
    if exchanges and SECONDS in columns:
        clock, T = case.table["clock"], found.summary["iterations"]
        least = clock.get("period", clock["latency"] + clock["compute"] / 4) * T
        assert least - 1e-9 <= columns[SECONDS][-1] < 10.0
        if clock.get("schedule") == "beat":
            assert columns[SECONDS][-1] == pytest.approx(least)


def tells_which_conditions_were_on(found: RunResult, case: Case) -> None:
    """The summary has the table with all defaults, and it says the same."""
    table: dict[str, Any] = found.summary["network"]
    assert table.keys() == {network_table.INSECURE, *case.table}
    said = config.read(experiment("linear", "cac", Case(table, case.graph))).experiment().network
    assert said == config.read(experiment("linear", "cac", case)).experiment().network


def test_a_run_without_conditions_tells_of_none():
    assert "network" not in without("linear", "cac", "loss").summary


SOURCES = sorted(ALGORITHMS.rglob("*.py"))


def test_no_algorithm_knows_of_conditions():
    """They import no more than the network (or the trainer's links) of netac.comm, and name no condition."""
    assert len(SOURCES) > 30
    asked, names = set(), {*CONDITIONS, *(name.replace("-", "_") for name in CONDITIONS if "-" in name)}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "[network]" not in text and "comm.conditions" not in text and "comm.exchange" not in text, path
        for node in ast.walk(ast.parse(text)):
            for module in imported(node):
                assert not module.startswith("netac.comm") or module in (
                    "netac.comm.network", "netac.comm.trainer_links"), (path, module)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, (path, node.lineno)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "network":
                asked.add(node.attr)
    assert asked <= {"post", "wait", "settle", "mix", "degrees", "heard", "relay", "gathering"}, asked


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "netac.comm":
        return [f"netac.comm.{alias.name}" for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
