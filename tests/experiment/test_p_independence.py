"""The result of a run does not depend on the number of processes: every algorithm, variant, environment, schedule."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.variants import NAMES, experiment

PROGRAMS = Path(__file__).parents[1] / "programs"
PROCESSES = (2, 3, 5, 6, 8)


@pytest.fixture(scope="module")
def in_one_process():
    """What every variant gives in a single process."""
    from support.variants import fingerprint

    import netac
    return {name: fingerprint(netac.run(experiment(name))) for name in NAMES}


@pytest.mark.parametrize("processes", [pytest.param(p, marks=[pytest.mark.long] if p in (2, 5, 6) else [])
                                       for p in PROCESSES])
def test_every_variant_gives_the_same_bits(mpirun, in_one_process, processes):
    done = mpirun(processes, [sys.executable, PROGRAMS / "every_variant.py"])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = {name for name in NAMES if experiment(name)["agents"] >= processes}
    assert found.keys() == wanted and wanted
    assert {name: run["fingerprint"] for name, run in found.items()} == {name: in_one_process[name] for name in wanted}
    for name in wanted:
        if experiment(name)["agents"] == processes and experiment(name)["env"]["name"] == "coordination":
            # one agent per process: what is on the wire is what is counted, environment and consensus together
            per_agent = json.loads(in_one_process[name])[0]["bytes_per_agent"]
            assert found[name]["wire_bytes"] == per_agent * processes, name


def test_an_mpi_without_persistent_collectives_and_no_shared_memory_give_the_same(mpirun, in_one_process):
    done = mpirun(3, [sys.executable, PROGRAMS / "every_variant.py", "old-mpi"])
    assert done.returncode == 0, done.stderr
    assert {name: run["fingerprint"] for name, run in json.loads(done.stdout).items()} == in_one_process


def test_variants_differ(in_one_process):
    assert len(set(in_one_process.values())) == len(NAMES)


@pytest.mark.parametrize(("way", "expected"), [
    ("shared", {"shared"}), ("messages", {"neighbourhoods"}), ("old-mpi", {"shared", "neighbourhoods"}),
    pytest.param("unordered", {"shared"}, marks=pytest.mark.long),
    *(pytest.param(way, {"neighbourhoods"}, marks=pytest.mark.long) for way in (
        "one-without-memory", "one-old-mpi", "one-nearly-full", "one-without-place"))])
def test_exchanges_equal_dense_algebra_and_hand_counts(mpirun, way, expected):
    done = mpirun(4, [sys.executable, PROGRAMS / "exchanges.py", way])
    assert done.returncode == 0, done.stderr
    checked = json.loads(done.stdout)
    assert checked["graphs"] > 64 and checked["point_to_point"] > 0, checked
    assert {kind for kind in ("shared", "neighbourhoods") if checked[kind]} == expected, checked


T, N = 20, 8
WIDTH = 1 + 8 * N + 8          # omega, lambda, theta: what CAC mixes
MDAC = {"batch": 4, "critic_rounds": 3, "mixing_rounds": 2, "reward_rounds": 3}
DNAC = MDAC | {"inner_steps": 2, "inner_rounds": 3}


@pytest.mark.parametrize(("algorithm", "options", "samples", "rounds", "doubles"), [
    ("iac", {}, 1, 0, 0),
    ("cac", {}, 1, 1, WIDTH),
    ("cac", {"sampling": "double"}, 2, 1, WIDTH),
    ("cac", {"tracking": True}, 1, 1, 2 * WIDTH),
    ("dac", {}, 1, 1, 1 + 8 * N),
    ("dac", {"setting": "average"}, 1, 1, 2 + 8 * N),
    ("dac", {"critic": "action_value"}, 1, 1, 8 * N),
    ("mdac", MDAC, 4, 3 + 2 + 3, 5 * 1 + 3 * 4),
    ("dnac", DNAC, 4, 3 + 2 + 3 + 2 * 3, 5 * 1 + 3 * 4 + 2 * 3 * 4),
])
@pytest.mark.parametrize(("topology", "neighbours"), [("ring", 2), ("complete", N - 1), ("one-peer-exponential", 1),
                                                      ("disconnected", 0)])
def test_traffic_is_what_a_hand_count_says(algorithm, options, samples, rounds, doubles, topology, neighbours):
    import netac
    tables = {"agents": N, "iterations": T, "env": "coordination", "topology": topology, "allow_disconnected": True,
              "algorithm": {"name": algorithm, **options}}
    summary = netac.run(tables).summary
    shown = T * samples * (N - 1)
    if options.get("critic") == "action_value":
        shown += N - 1                                   # the first action; later ones were shown as a'
    assert summary["env_steps"] == T * samples
    assert summary["bytes_environment_per_agent"] == shown
    assert summary["messages_per_agent"] == shown + T * rounds * neighbours
    assert summary["bytes_consensus_per_agent"] == 8 * T * doubles * neighbours
    assert summary["wire_messages"] == summary["wire_bytes"] == 0
