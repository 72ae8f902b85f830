"""Traffic signals, played by SUMO where the extra `traffic` is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from support.launching import ROOT, environment

import netac
from netac.envs import traffic
from netac.envs._batched import check_batched
from netac.envs._traffic_lights import between
from netac.envs._traffic_roads import read_roads
from netac.experiment import config
from netac.experiment.run import checked_setting
from netac.results.records import load_run
from netac.utils.errors import InputError, RunError
from netac.utils.streams import episode_seed

TOWN, PROGRAMS = ROOT / "tests" / "data" / "town", ROOT / "tests" / "programs"
FILES = {"net": str(TOWN / "town.net.xml"), "routes": str(TOWN / "town.rou.xml")}
SUMO = find_spec("libsumo") is not None
with_sumo = pytest.mark.skipif(not SUMO, reason="no libsumo (the extra traffic)")
with_networks = pytest.mark.skipif(find_spec("sumo_rl") is None or not SUMO, reason="no sumo-rl (the extra traffic)")


def make(games: int = 1, **options) -> traffic.Traffic:
    return traffic.make(traffic.Settings(**{**FILES, "seconds": 100, **options}), 3, games)


def tables(**changes) -> dict:
    return {"agents": 3, "iterations": 4, "seed": 1, "env": {"name": "traffic", **FILES, "seconds": 40},
            "topology": "environment", "envs": 2, "log_every": 1, "checkpoint_every": 2, "evaluate_every": 4,
            "evaluate_episodes": 2, "algorithm": {"name": "cppo", "rollout": 6}} | changes


def play(env: traffic.Traffic, steps: int, seed: int) -> list[np.ndarray]:
    """Everything that is seen in so many steps of random actions, those of a game by its number alone."""
    rngs, seen = [np.random.default_rng([seed, e]) for e in range(env.games)], []
    for _ in range(steps):
        step = env.step(np.array([[int(rng.integers(space.n_actions)) for rng in rngs] for space in env.actions]))
        seen += [step.r, step.done, env.state(), *env.observe(range(3)), *env.measured().values()]
        if step.done.any():
            env.restart(step.done)
            seen.append(env.state())
    return seen


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, first, second)) and len(first) == len(second)


# --- what is refused, most of it before SUMO is needed ---

@pytest.mark.parametrize(("options", "says"), [
    ({}, "needs either `network`"), ({"net": "x"}, "needs either `network`"),
    ({"network": "grid4x4", "net": "x", "routes": "y"}, "needs either `network`"),
    ({"network": "grid4"}, r"no network 'grid4' \(did you mean '\w+'\?\); there are grid4x4, arterial4x4"),
    ({**FILES, "seconds": 7}, r"`seconds` must be a multiple of `delta_time` \(found 7 and 5\)"),
    ({**FILES, "reward": "speed"}, "env.reward: should be 'queue', 'pressure' or 'diff-waiting-time'"),
    ({**FILES, "control": "police"}, "env.control: should be"), ({**FILES, "yellow": -1}, "env.yellow"),
    ({"net": "nowhere.net.xml", "routes": FILES["routes"]}, r"env\.net: there is no such file"),
    ({"net": FILES["net"], "routes": "nowhere.rou.xml"}, r"env\.routes: there is no such file")])
def test_options_that_do_not_hold(options, says):
    with pytest.raises(InputError, match=says):
        checked_setting(config.read(tables(env={"name": "traffic", **options})))


@with_sumo
def test_another_number_of_agents_than_of_signals():
    with pytest.raises(InputError, match=r"^agents: .*town.net.xml has another .* \(found 4; valid: agents = 3\)"):
        checked_setting(config.read(tables(agents=4)))


@pytest.mark.parametrize(("missing", "env"), [("libsumo", FILES), ("sumo_rl", {"network": "grid4x4"})])
def test_without_the_extra_a_message_says_what_to_install(monkeypatch, missing, env):
    there = traffic.find_spec
    monkeypatch.setattr(traffic, "find_spec", lambda name: None if name == missing else there(name) or True)
    with pytest.raises(InputError, match=(rf'^env\.name: needs {missing.replace("_", "-")}, which is not installed '
                                          r'\(found .traffic.; valid: pip install "netac\[traffic\]"\)$')):
        checked_setting(config.read(tables(env={"name": "traffic", **env})))


@with_sumo
@pytest.mark.parametrize(("file", "text", "says"), [
    ("routes", '<routes><vehicle id="0" depart="0"><route edges="nowhere"/></vehicle></routes>',
     "The edge 'nowhere' within the route for vehicle '0' is not known"),
    ("routes", "<routes><vehicle", "unexpected end of input"),
    ("net", (TOWN / "town.net.xml").read_text().replace('toLane="0"', 'toLane="7"'), "Invalid lane index")])
def test_what_sumo_does_not_load_is_told_in_its_words(tmp_path, file, text, says):
    (bad := tmp_path / "bad.xml").write_text(text)
    with pytest.raises(InputError, match=f"^env: SUMO cannot load its files: .*{says}"):
        netac.run(tables(env={"name": "traffic", **FILES, file: str(bad)}), out=tmp_path / "run")
    assert os.listdir(tmp_path) == ["bad.xml"]


# --- what is played ---

@with_sumo
def test_games_are_as_promised_and_have_the_signals_as_agents():
    env = make(2)
    signals = read_roads(TOWN / "town.net.xml").signals
    assert env.names == ("a", "b", "c") and [space.n_actions for space in env.actions] == [3, 3, 2]
    assert [shape for shape, in env.observations] == [each.seen for each in signals] == [14, 14, 9]
    assert env.neighbours == {"a": ["b"], "b": ["a", "c"], "c": ["b"]}
    check_batched(env, 3, 2, "traffic")
    env.close()


@with_sumo
def test_equal_seeds_give_equal_episodes_whatever_else_is_played():
    one, three = make(), make(3)
    one.begin(5, 1)
    three.begin(5, 1)
    alone, among = play(one, 25, 0), play(three, 25, 0)
    assert sum(int(each[0]) for each in alone if each.dtype == bool) == 1                    # an episode has ended
    for mine, theirs in zip(alone, among, strict=True):
        axis = next(k for k, size in enumerate(theirs.shape) if size == 3 and mine.shape[k] == 1)
        assert np.array_equal(mine, theirs.take([0], axis=axis))
    one.begin(5, 2)
    assert not same(alone, play(one, 25, 0))
    one.begin(5, 1)
    assert same(alone, play(one, 25, 0))                     # in a process that has played before
    one.close()
    three.close()
    assert len({episode_seed(5, c, e, k) for c in range(3) for e in range(3) for k in range(3)}) == 27


@with_sumo
def test_games_go_on_from_what_was_kept():
    env, resumed = make(2, reward="diff-waiting-time"), make(2, reward="diff-waiting-time")
    for steps in (0, 7, 20, 27):
        env.begin(4, 0)
        play(env, steps, 0)
        kept = {name: array.copy() for name, array in env.get_state().items()}
        expected = [env.state(), *play(env, 22, 1)]
        resumed.begin(4, 0)
        play(resumed, 3, 2)
        resumed.set_state(kept)
        assert same(expected, [resumed.state(), *play(resumed, 22, 1)]), steps
    env.close()
    resumed.close()


@with_sumo
@pytest.mark.parametrize(("reward", "control"), [("queue", "agents"), ("diff-waiting-time", "agents"),
                                                 ("pressure", "fixed-time"), ("diff-waiting-time", "actuated")])
def test_against_plain_loops_over_vehicles_and_sumos_own_account_of_trips(tmp_path, reward, control):
    done = subprocess.run([sys.executable, PROGRAMS / "traffic_oracle.py", tmp_path, reward, control], text=True,
                          capture_output=True, env=environment(), timeout=100)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert max(found["worst"].values()) < 1e-6, found["worst"]
    assert found["measures"] == pytest.approx(found["sumo"], abs=0.005)
    assert found["entered"] > found["arrived"] > 200 and found["measures"]["waiting_time"] > 10
    check = {"agents": check_chosen, "fixed-time": check_programme, "actuated": check_actuated}[control]
    for each in read_roads(TOWN / "town.net.xml").signals:
        check(each, [(state, len([*run])) for state, run in groupby(found["states"][each.name])])


def check_chosen(each, shown):
    """Green phases of at least 5 seconds; 3 of yellow before one in which somebody loses green."""
    assert len({state for state, _ in shown}) > len(each.greens) and any("y" in state for state, _ in shown)
    for (state, seconds), (following, _) in pairwise(shown):
        if "y" in state:
            assert seconds == 3 and following in each.greens
        else:
            changing = {other: between(state, other) for other in each.greens if other != state}
            assert seconds >= 5 and state in each.greens and following in {
                middle if "y" in middle else other for other, middle in changing.items()}


def check_programme(each, shown):
    """The file's phases, one after the other."""
    programme = [(phase.state, int(phase.duration)) for phase in each.phases]
    assert shown[:-1] == [programme[k % len(programme)] for k in range(len(shown) - 1)]


def check_actuated(each, shown):
    """The file's phases, those of green for 5 to 50 seconds, not always as long."""
    order = [phase.state for phase in each.phases]
    assert [state for state, _ in shown] == [order[k % len(order)] for k in range(len(shown))]
    greens = [seconds for state, seconds in shown[:-1] if state in each.greens]
    assert all(5 <= seconds <= 50 for seconds in greens) and len({*greens}) > 1


@with_networks
@pytest.mark.parametrize(("name", "signals"), [("grid4x4", 16), ("cologne1", 1), ("ingolstadt7", 7)])
def test_networks_of_sumo_rl(name, signals):
    check_network(name, signals)


@with_networks
@pytest.mark.long
@pytest.mark.parametrize(("name", "signals"), [
    ("arterial4x4", 16), ("cologne3", 3), ("cologne8", 8), ("ingolstadt1", 1), ("ingolstadt21", 21),
    ("single-intersection", 1), ("2way-single-intersection", 1), ("double", 2), ("2x2grid", 4), ("3x3grid", 9),
    ("4x4", 16), ("nguyen", 8)])
def test_all_other_networks_of_sumo_rl(name, signals):
    check_network(name, signals)


def check_network(name, signals):
    """It is played, and vehicles come."""
    env = traffic.make(traffic.Settings(network=name, seconds=120), signals, 1)
    env.begin(0, 0)
    for _ in range(24):
        step = env.step(np.zeros((signals, 1), dtype=int))
    assert step.done.all() and env.measured()["travel_time"][0] > 0 and np.isfinite(env.state()).all()
    assert env.state().max() <= 1 and env.state()[0, :env.actions[0].n_actions].tolist() == [
        1, *[0] * (env.actions[0].n_actions - 1)]
    env.close()


# --- runs ---

@with_sumo
def test_runs_are_the_same_for_every_p_and_after_a_kill(tmp_path, mpirun):
    pytest.importorskip("torch")
    less = {"evaluate_episodes": 1}
    whole = netac.run(tables(iterations=6, **less), out=tmp_path / "whole")
    measures = ["waiting_time", "travel_time", "entry_delay", "queue", "throughput"]
    assert [*whole.metrics][-5:] == measures and [*whole.evaluations][-5:] == measures
    assert whole.metrics["waiting_time"][-1] > 0 and whole.summary["throughput"] > 0
    netac.run(tables(iterations=4, **less), out=tmp_path / "parts")
    parts = netac.run(tables(iterations=6, **less), out=tmp_path / "parts", resume=True)
    assert parts.summary["parameters_sha256"] == whole.summary["parameters_sha256"]
    file = tmp_path / "town.toml"
    shutil.copy(tmp_path / "whole" / "experiment.toml", file)
    done = mpirun(2, [sys.executable, "-m", "netac", "run", file, "--out", tmp_path / "two"])
    assert done.returncode == 0, done.stderr
    timed = {"seconds", "evaluation_seconds"}
    for table in ("metrics", "evaluations"):
        one, two = (getattr(load_run(tmp_path / name), table) for name in ("whole", "two"))
        for name in one.keys() - timed:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    for name in whole.metrics.keys() - timed:
        np.testing.assert_array_equal(whole.metrics[name], parts.metrics[name], err_msg=name)


@with_sumo
def test_baselines_are_played_with_the_same_seeds(tmp_path):
    pytest.importorskip("torch")
    netac.run(tables(evaluate_every=0, iterations=1), out=tmp_path)
    trained, fixed, actuated = (netac.evaluate(tmp_path, 2, set={"env.seconds": 300, "env.control": control})
                                for control in ("agents", "fixed-time", "actuated"))
    assert fixed.measured.keys() == {*traffic.MEASURES} and fixed.rewards.shape == (2, 60)
    waits = [each.summary()["waiting_time"] for each in (trained, fixed, actuated)]
    assert len({*waits}) == 3 and waits[2] < waits[1]
    assert trained.summary()["waiting_time_stderr"] == pytest.approx(
        np.std(trained.measured["waiting_time"], ddof=1) / np.sqrt(2))
    with pytest.raises(InputError, match=r"^--set: iterations: is a part of what was trained"):
        netac.evaluate(tmp_path, 1, set={"iterations": 7})
    with pytest.raises(InputError, match=r"^--set: env.name: is a part of what was trained"):
        netac.evaluate(tmp_path, 1, set={"env.name": "spread"})


# --- processes that end ---

@with_sumo
def test_a_simulation_that_is_killed_ends_the_game_with_a_message():
    env = make(2)
    env.begin(0, 0)
    env._children[1]._process.kill()
    started = time.monotonic()
    with pytest.raises(RunError, match=r"^SUMO \(game 1\) was ended by SIGKILL \(episode 0, step 0\)$"):
        env.step(np.zeros((3, 2), dtype=int))
    assert time.monotonic() - started < 5
    env.close()
    assert not [child for child in simulations() if child]


def simulations(of: int | None = None) -> list[int]:
    """The processes with a simulation, those that `of` has started (by default this process)."""
    parent, found = os.getpid() if of is None else of, []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and b"_traffic_simulation" in (entry / "cmdline").read_bytes()
            if ours and int(re.search(r"PPid:\s*(\d+)", (entry / "status").read_text())[1]) == parent:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@with_sumo
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_simulations_end_with_the_process_that_started_them(ending):
    program = (f"import sys, numpy as np\nsys.path[:0] = [{str(ROOT)!r}]\nfrom netac.envs import traffic\n"
               f"traffic._try = lambda *_: None\nenv = traffic.make(traffic.Settings(**{FILES!r}), 3, 2)\n"
               "env.begin(0, 0)\nprint('begun', flush=True)\n"
               "while True:\n    if env.step(np.zeros((3, 2), dtype=int)).done.any(): env.restart(np.ones(2, bool))\n")
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, start_new_session=True)
    assert parent.stdout.readline() == "begun\n"
    children = simulations(parent.pid)
    assert len(children) == 2
    os.killpg(parent.pid, ending) if ending == signal.SIGINT else parent.kill()
    said = parent.communicate(timeout=20)[1]
    assert parent.returncode != 0 and "Error" not in said.replace("KeyboardInterrupt", "")
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)
