"""Numbers of any size get an answer soon: a message, or the work begins; what is refused, and what would be valid."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from support.neural_variants import policy_of

from netac import cli, topology
from netac.envs import spread
from netac.experiment import config
from netac.experiment.evaluate import evaluate
from netac.experiment.run import checked_setting, run
from netac.experiment.schema import ALGORITHMS, ENVIRONMENTS, Experiment
from netac.topology.loading import _builtin, _module_family
from netac.utils import memory, plugins, progress
from netac.utils.errors import InputError
from netac.utils.memory import Room, in_words, largest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LINEAR: dict[str, Any] = {"agents": 4, "iterations": 3, "env": "coordination", "topology": "ring", "algorithm": "cac"}
GAMES: dict[str, Any] = {"agents": 3, "iterations": 2, "env": {"name": "spread"}, "topology": "ring",
                         "policy": {"name": "mlp", "hidden": [8]}, "algorithm": "cac"}
MDP = LINEAR | {"agents": 2, "env": {"name": "finite-mdp", "seed": 1}}
SECONDS = 20


def with_key(tables: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The tables with a value at a dotted key."""
    first, _, rest = key.partition(".")
    if not rest:
        return tables | {first: value}
    inner = tables.get(first, {})
    return tables | {first: with_key({"name": inner} if isinstance(inner, str) else inner, rest, value)}


def is_number(annotation: Any) -> bool:
    """Whether an option may be a number."""
    return annotation in (int, float) or any(map(is_number, get_args(annotation)))


def numeric(model: Any) -> list[str]:
    """The options of a model that may be numbers."""
    return [name for name, field in model.model_fields.items() if is_number(field.annotation)]


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every numeric key of an experiment file, with tables in which it may stand."""
    for key in numeric(Experiment):
        yield key, GAMES if key in ("envs", "stagger") else LINEAR
        yield key, with_key(GAMES, "evaluate_every", 1)
    for name in plugins.module_names(ALGORITHMS):
        module = plugins.module(ALGORITHMS, name, "algorithm")
        games = "decentralized" not in module.__name__
        of_games = GAMES | {"policy": policy_of(name, GAMES["policy"])}
        yield from ((f"algorithm.{key}", with_key(of_games if games else LINEAR, "algorithm.name", name))
                    for key in numeric(module.Settings))
    for name in plugins.module_names(ENVIRONMENTS):
        tables = {"finite-mdp": MDP, "coordination": LINEAR}.get(name, GAMES | {"env": {"name": name}})
        for key in numeric(plugins.module(ENVIRONMENTS, name, "env").Settings):
            yield f"env.{key}", tables
    for name in topology.names():
        for key, (kind, _) in _module_family(_builtin(name), name).options.items():
            if is_number(kind):
                yield f"topology.{key}", with_key(LINEAR, "topology.name", name)
        yield "agents", with_key(with_key(LINEAR, "topology.name", name), "env.features", "histogram")


CASES = list(cases())


@pytest.fixture
def small(monkeypatch):
    """A machine of 400 MB."""
    monkeypatch.setattr(memory, "room", lambda: Room(400 << 20, 400 << 20))


def test_there_are_keys_of_every_kind():
    keys = {key for key, _ in CASES}
    assert {"agents", "envs", "evaluate_steps", "algorithm.batch", "algorithm.buffer", "env.states", "env.max_cycles",
            "topology.period", "topology.neighbours", "topology.probability"} <= keys and len(CASES) > 250


@given(st.sampled_from(CASES), st.integers(0, 12))
@settings(max_examples=30)
def test_every_number_gets_an_answer(case, power):
    key, tables = case
    there = memory.room
    memory.room = lambda: Room(400 << 20, 400 << 20)
    try:
        checked_setting(config.read(with_key(tables, key, 10**power)))
    except InputError as error:
        assert error.key and (key.rpartition(".")[2] in error.key or error.valid or error.problem), error
    finally:
        memory.room = there


@pytest.mark.long
@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("place", range(len(CASES)), ids=[f"{key}-{k}" for k, (key, _) in enumerate(CASES)])
def test_every_number_gets_an_answer_on_this_machine(place, tmp_path):
    key, tables = CASES[place]
    for power in range(13):
        file, out = tmp_path / "experiment.toml", tmp_path / f"out{power}"
        file.write_text(tomli_w.dumps(with_key(tables, key, 10**power)))
        answered(["run", str(file), "--out", str(out)], tmp_path / "told", out / "metrics.csv")


@pytest.mark.long
@pytest.mark.parametrize("arguments", [
    "compare FILE --algorithms cac,iac --out OUT --seeds",
    "compare FILE --algorithms cac,iac --seeds 2 --out OUT --jobs",
    "compare FILE --algorithms cac,iac --seeds 2 --out OUT --processes", "evaluate RUN --steps",
    "evaluate RUN --episodes", "graph ring --steps 5 --agents", "graph gossip --agents 5 --steps",
    "graph periodic-complete --agents 5 --set period=1000000 --plot PNG --steps", "theory policy-iteration --quick "
    "--out OUT --jobs", "theory policy-iteration --quick --out OUT --seed"])
def test_every_number_of_a_command_gets_an_answer_on_this_machine(arguments, tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(tomli_w.dumps(LINEAR))
    run(str(file), out=tmp_path / "run")
    for power in range(13):
        names = {"FILE": file, "RUN": tmp_path / "run", "OUT": tmp_path / f"out{power}", "PNG": tmp_path / "x.png"}
        words = [str(names.get(word, word)) for word in arguments.split()]
        answered([*words, str(10**power)], tmp_path / "told")


def answered(words: list[str], told: Path, begun: Path | None = None) -> None:
    """Assert that a command ends, says what it is doing or has begun to write within the time."""
    with told.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "netac", *words], stderr=stream, stdout=stream)
        try:
            until = time.monotonic() + SECONDS
            while process.poll() is None and time.monotonic() < until:
                if (begun is not None and begun.exists()) or b" ...\n" in told.read_bytes():
                    break
                time.sleep(0.1)
            else:
                assert process.returncode in (0, 1, 2), words
                assert b"Traceback" not in told.read_bytes(), words
        finally:
            process.kill()
            process.wait()


# --- what is refused ---

@pytest.mark.parametrize(("tables", "key", "value", "says"), [
    (LINEAR, "agents", 7 * 10**6, "features"), (GAMES, "agents", 3000, "at most"), (GAMES, "envs", 10**5, "at most"),
    (with_key(LINEAR, "algorithm.name", "mdac"), "algorithm.batch", 10**7, "at most"),
    (with_key(LINEAR, "env.features", "histogram") | {"algorithm": "dnac"}, "agents", 10**7, "at most"),
    (with_key(GAMES, "algorithm.name", "mappo"), "algorithm.rollout", 10**6, "at most"),
    (with_key(GAMES, "algorithm.name", "maddpg"), "algorithm.buffer", 10**9, "at most"),
    (LINEAR | {"evaluate_every": 1, "evaluate_episodes": 1000}, "evaluate_steps", 10**6, "at most"),
    (with_key(LINEAR, "env.features", "histogram") | {"topology": "complete"}, "agents", 20_000, "at most")])
def test_what_cannot_be_is_refused_and_the_remedy_works(tables, key, value, says, small):
    with pytest.raises(InputError) as caught:
        checked_setting(config.read(with_key(tables, key, value)))
    assert says in caught.value.valid
    if says == "at most":
        assert caught.value.key == key and caught.value.found == value
        less = int(caught.value.valid.split()[2].replace(",", ""))
        checked_setting(config.read(with_key(tables, key, less)))
        with pytest.raises(InputError):
            checked_setting(config.read(with_key(tables, key, less + less // 4 + 2)))


def test_what_can_be_is_not_refused():
    tables = tomllib.loads((EXAMPLES / "many_agents.toml").read_text())
    setting = checked_setting(config.read(tables))
    assert sum(setting.sizes.values()) < 2 << 30


def test_a_million_agents_fit_into_sixteen_gigabytes():
    tables = tomllib.loads((EXAMPLES / "many_agents.toml").read_text())
    for name in ("cac", "dac", "mdac", "dnac", "iac"):
        setting = checked_setting(config.read(with_key(tables | {"agents": 10**4}, "algorithm.name", name)))
        assert 100 * (sum(setting.sizes.values()) - setting.sizes["the program"]) < 48 << 30


def test_evaluations_that_cannot_be(tmp_path, small):
    run(LINEAR, out=tmp_path / "run")
    for arguments, key in (({"steps": 10**9}, "--steps"), ({"episodes": 10**9}, "--episodes")):
        with pytest.raises(InputError, match=rf"^{key}: would take .* of memory") as caught:
            evaluate(tmp_path / "run", **arguments)
        assert "at most" in caught.value.valid


def test_steps_that_no_episode_has_are_not_refused(tmp_path):
    tables = with_key(GAMES, "env.max_cycles", 4)
    run(tables, out=tmp_path / "run")
    assert evaluate(tmp_path / "run", episodes=2, steps=10**12).rewards.shape == (2, 4)


@pytest.mark.parametrize(("option", "says"), [("--seeds", "at most 50,000"), ("--jobs", "at most 4")])
def test_comparisons_that_cannot_be(option, says, tmp_path, monkeypatch, capsys, small):
    file = tmp_path / "experiment.toml"
    file.write_text(tomli_w.dumps(LINEAR))
    seeds = ["--seeds", "50"] if option == "--jobs" else []
    monkeypatch.setattr(sys, "argv", ["netac", "compare", str(file), "--algorithms", "cac,iac", *seeds, option,
                                      str(10**9), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 2 and f"netac: error: {option}: " in told and says in told, told


@pytest.mark.parametrize("arguments", [
    ["ring", "--agents", str(10**12)], ["gossip", "--agents", "5", "--steps", str(10**12)],
    ["erdos-renyi", "--agents", str(10**6)], ["alternating", "--agents", str(10**9)]])
def test_graphs_that_cannot_be(arguments, monkeypatch, capsys, small):
    monkeypatch.setattr(sys, "argv", ["netac", "graph", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 2 and "would take" in told and "at most" in told and told.count("\n") == 1, told


def test_a_file_whose_graph_cannot_be_is_refused_before_it_is_read(tmp_path, small):
    file = tmp_path / "large.graphml"
    with file.open("wb") as handle:
        handle.truncate(100 << 20)                 # a hole: nothing is written
    with pytest.raises(InputError, match=r"topology.path: would take .* most of it for the graph in this file"):
        topology.load(str(file), 4)


def test_games_that_are_only_looked_at_take_nothing():
    games = spread.make(spread.Settings(), 2000, 100)
    assert games.nbytes > 10 << 30 and not hasattr(games, "_seen")


# --- memory and words ---

def test_limits_of_a_group_count(tmp_path, monkeypatch):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/jobs/one\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    inner = tmp_path / "groups" / "jobs" / "one"
    inner.mkdir(parents=True)
    for folder, most in ((inner, "max"), (inner.parent, "512000")):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text("12000\n")
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "groups")
    found = memory.room()
    assert (found.total, found.free, found.whose) == (512_000, 500_000, "this cgroup")
    (inner.parent / "memory.max").write_text("max\n")
    assert memory.room().total == 1_024_000 and memory.room().whose == "this machine"


@given(st.integers(1, 10**12), st.integers(1, 10**13))
def test_the_largest_number_that_fits(most, below):
    found = largest(lambda k: k <= most, below)
    if below <= 1:
        assert found is None
    else:
        assert found is not None and found <= most and found < below and 1.2 * found + 1 >= min(most, below - 1)


def test_sizes_in_words():
    assert [in_words(size) for size in (12, 87 << 40, 1000)] == ["12 bytes", "87 TiB", "0.977 KiB"]


def test_what_takes_long_is_told(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SLOW", 0.01)
    with progress.doing("nothing"):
        time.sleep(0.05)
    told, until = "", time.monotonic() + 10
    with progress.telling(), progress.doing("outer"), progress.doing("inner"):
        while not told and time.monotonic() < until:
            time.sleep(0.01)
            told = capsys.readouterr().err
    assert told == "netac: note: inner ...\n"


PEAK = """
import sys, tomllib
from netac.experiment import config
from netac.experiment.run import checked_setting, run
tables = tomllib.loads(sys.argv[1])
estimate = sum(checked_setting(config.read(tables)).sizes.values())
run(tables, out=sys.argv[2])
print(estimate, 1024 * int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]))
"""


@pytest.mark.parametrize("tables", [
    tomllib.loads((EXAMPLES / "many_agents.toml").read_text()) | {"iterations": 2, "agents": 50_000},
    LINEAR | {"agents": 1200}, with_key(LINEAR, "algorithm.name", "mdac") | {"algorithm": {
        "name": "mdac", "batch": 400_000}},
    LINEAR | {"agents": 400, "algorithm": {"name": "dac", "critic": "action_value"}},
    GAMES | {"agents": 70, "policy": {"name": "mlp"}},
    GAMES | {"envs": 100, "algorithm": {"name": "mappo", "rollout": 500, "epochs": 1}},
    pytest.param(GAMES | {"envs": 100, "agents": 6, "algorithm": {"name": "matrpo", "rollout": 100, "sweeps": 2}},
                 marks=pytest.mark.long)],
    ids=["many agents", "one-hot features", "a large batch", "actions of others", "networks", "rollouts",
         "joint actions"])
def test_estimates_are_within_a_factor_of_two(tables, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    told = subprocess.run([sys.executable, "-c", PEAK, tomli_w.dumps(tables), str(tmp_path / "run")], check=True,
                          capture_output=True, text=True, env=environment).stdout
    estimate, peak = map(int, told.split())
    assert peak / 2 < estimate < 2 * peak, (in_words(estimate), in_words(peak))
