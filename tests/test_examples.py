"""Everything in examples/ and graphs/, and the files that CONTRIBUTING.md shows, run as written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.launching import ROOT, environment
from support.pages import shown_files

import netac
from netac.experiment import config, linear_agents, network_table
from netac.results.records import load_run, load_summary
from netac.utils import plugins

EXAMPLES, GRAPHS = ROOT / "examples", ROOT / "graphs"
EXPERIMENTS = sorted(EXAMPLES.glob("*.toml"))
TOPOLOGIES = sorted(path for path in GRAPHS.iterdir() if path.suffix in (".py", ".graphml", ".edgelist"))
J_OF_THE_AUTHORS = {25: 0.5073, 50: 0.5228, 100: 0.5515, 150: 0.5710, 199: 0.5816}       # examples/data/README.md


def run_netac(*arguments: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """What `netac ARGUMENTS` prints; it must succeed."""
    return run_python("-m", "netac", *arguments, cwd=cwd, **variables)


def run_python(*arguments: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """What this interpreter prints; it must succeed."""
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, env=environment(**variables), text=True,
                          capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


LESS = {"traffic_grid.toml": ("--set", "evaluate_every=0"), "mamujoco.toml": ("--set", "envs=2")}     # in seconds


def named(path: Path) -> str:
    """A test's name for a file."""
    return path.name


@pytest.mark.parametrize("file", EXPERIMENTS, ids=named)
def test_an_example_runs_as_written(file, tmp_path):
    if file.name.startswith(("halfcheetah", "mamujoco")):
        pytest.importorskip("gymnasium_robotics")
    if file.name == "traffic_grid.toml" and not (find_spec("libsumo") and find_spec("sumo_rl")):
        pytest.skip("no SUMO (the extra traffic)")
    if file.name == "smax_3m.toml":
        pytest.skip("tests/envs/test_smax.py runs it, with fewer games: compiling takes a while")
    out, less = tmp_path / "run", LESS.get(file.name, ())
    run_netac("run", file.relative_to(ROOT), "--set", "iterations=3", *less, "--out", out)
    summary, asked = load_summary(out), tomllib.loads(file.read_text())
    assert (summary["agents"], summary["iterations"]) == (asked["agents"], 3)
    assert np.isfinite(summary["final_reward"])


COMMENTED = re.compile(r"^# ((?:\[[\w.-]+\]|[\w-]+ = \S).*)$", re.MULTILINE)
"""A setting, or the head of a table, that an example shows commented out."""


def test_what_is_commented_out_in_the_first_example_is_valid_too(tmp_path):
    """Other environments and topologies one at a time, and conditions of the network, all other settings at once."""
    text = (EXAMPLES / "coordination.toml").read_text()
    (tmp_path / "graphs").symlink_to(GRAPHS)
    file = tmp_path / "examples" / "coordination.toml"
    file.parent.mkdir()
    commented = COMMENTED.findall(text)
    others = [line for line in commented if line.startswith(("env =", "topology ="))]
    heads = [number for number, line in enumerate(commented) if line.startswith("[")]
    network = next(number for number in heads if commented[number].startswith("[network]"))
    conditions = commented[network + 1:min(number for number in heads if number > network)]
    assert len(others) >= 5 and len(commented) >= 25 and len(conditions) >= 2
    for line in others:
        key = line.split(" =")[0]
        file.write_text("\n".join(line if old.startswith(f"{key} =") else old for old in text.splitlines()))
        netac.run(file, set={"iterations": 3})
    for line in conditions:
        file.write_text(f"{text}\n[network]\n{line}\n")
        assert netac.run(file, set={"iterations": 3}).summary["network"].keys() >= {line.split(" =")[0]}

    def uncommented(found: re.Match[str]) -> str:
        return found[0] if found[1] in [*others, *conditions] or found[1].startswith("features =") else found[1]

    file.write_text(COMMENTED.sub(uncommented, text))
    for algorithm in ("cac", "dac", "mdac", "dnac", "iac"):
        netac.run(file, set={"iterations": 3, "algorithm.name": algorithm})


def test_the_first_examples_and_the_help_document_every_option():
    """Every option of the algorithms and of [policy] stands in two examples, all others in the help too."""
    text = "".join((EXAMPLES / name).read_text() for name in ("coordination.toml", "spread.toml"))
    shown = run_netac("run", "--help")
    models = [config.Experiment, linear_agents.Policy]
    models += [plugins.module(config.ALGORITHMS, name, "").Settings for name in plugins.module_names(config.ALGORITHMS)]
    for option in {name for model in models for name in model.model_fields}:
        assert re.search(rf"^(# )?\[?{option}\b", text, re.MULTILINE), option
        assert re.search(rf"^ *{option}\b", shown, re.MULTILINE), option
    for name in plugins.module_names(config.ENVIRONMENTS):
        for option in plugins.module(config.ENVIRONMENTS, name, "").Settings.model_fields:
            assert re.search(rf"^ *{option}\b", shown, re.MULTILINE), option
    for name in plugins.module_names(network_table.CONDITIONS):
        own = re.search(rf"^network\.{name}\n((?:  .+\n)+)", shown, re.MULTILINE)
        for option in plugins.module(network_table.CONDITIONS, name, "").Settings.model_fields:
            assert own and re.search(rf"^  {option}\b", own[1], re.MULTILINE), (name, option)
    assert re.search(rf"^  {network_table.INSECURE}\b", shown, re.MULTILINE)


@pytest.mark.parametrize("file", TOPOLOGIES, ids=named)
def test_a_topology_of_the_gallery_is_certified_and_runs(file, tmp_path):
    path = file.relative_to(ROOT)
    assert "the certificate holds" in run_netac("graph", path, "--agents", "5")
    run_netac("run", "examples/coordination.toml", "--set", f"topology={path}", "--set", "iterations=10",
              "--out", tmp_path)
    assert load_summary(tmp_path)["messages_per_agent"] > 10 * 4      # more than the actions alone


def test_the_python_example_runs():
    printed = run_python("examples/python_api.py").splitlines()
    assert [line.split(":")[0] for line in printed] == ["actor_step 0.02", "actor_step 0.05", "cac", "iac"]


@pytest.mark.long
def test_the_python_example_says_the_same_once_under_mpirun(mpirun):
    alone = run_python("examples/python_api.py")
    together = mpirun(2, [sys.executable, "examples/python_api.py"], cwd=ROOT)
    assert (together.returncode, together.stdout) == (0, alone), together.stderr


def test_an_environment_of_ones_own_is_learnt():
    """Everybody pushes in the end: reward 1 less the effort."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        result = netac.run(EXAMPLES / "custom_env.toml")
    finally:
        sys.path.remove(str(EXAMPLES))
    assert result.summary["final_reward"] == pytest.approx(0.8, abs=0.02)


def test_the_files_that_contributing_shows_work(tmp_path):
    shutil.copytree(ROOT / "netac", tmp_path / "netac")                      # with what Python compiled of it
    files = shown_files("CONTRIBUTING.md")
    assert len(files) == 9
    for path, text in files.items():
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)
    listed = run_netac("list", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    for path in files:
        assert re.search(rf"^\W*{Path(path).stem}\b", listed, re.MULTILINE), path
    commands = re.findall(r"^netac (.+)$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(commands) == 9
    for number, command in enumerate(commands):
        words = [word.replace("examples/", f"{EXAMPLES}/") for word in command.split()]
        more = ["--set", "iterations=5"] if words[0] == "run" else []
        more += ["--out", tmp_path / str(number)] if words[0] in ("run", "theory") else []
        run_netac(*words, *more, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    shown = [Path(path).stem for path in files]
    kept = [(tmp_path / str(number) / "experiment.toml").read_text() for number in (0, 1, 2, 3, 4, 6)]
    for name, text in zip([*shown[:5], shown[6]], kept, strict=True):
        assert f'"{name}"' in text
    assert load_summary(tmp_path / "7")["network"]["jam"]["agents"] == [0, 1]
    assert "**holds**" in (tmp_path / "8" / "report.md").read_text()


@pytest.mark.long
def test_mdac_follows_the_curve_of_its_authors(tmp_path):
    """The mean J of ten seeds is within 0.01 of their table at every t."""
    netac.compare(EXAMPLES / "mdp_mdac.toml", ["mdac"], seeds=10, out=tmp_path)
    metrics = [load_run(folder).metrics for folder in sorted((tmp_path / "runs" / "mdac").iterdir())]
    assert len(metrics) == 10
    for t, expected in J_OF_THE_AUTHORS.items():
        J = [run["J"][run["iteration"] == t].item() for run in metrics]
        assert np.mean(J) == pytest.approx(expected, abs=0.01), t


def coordination(agents: int, seeds: int) -> dict[str, dict]:
    """Rows of a comparison on the coordination game, by algorithm."""
    found = netac.compare(EXAMPLES / "coordination.toml", ["cac", "dac", "mdac", "iac"], seeds=seeds,
                          set={"agents": agents})
    return {row["algorithm"]: row for row in found.rows}


@pytest.mark.long
@pytest.mark.parametrize("agents", [5, 10])
def test_cac_coordinates_better_than_dac_and_iac(agents):
    """Twelve seeds: CAC is efficient in 98 %, others in at most a third: the margins below are not met by chance."""
    rows = coordination(agents, 12)
    for other in ("dac", "iac"):
        assert rows["cac"]["efficient_rate"] > rows[other]["efficient_rate"]
        assert rows["cac"]["reward_at_samples"] > rows[other]["reward_at_samples"]
    assert rows["cac"]["samples_compared"] == 3000 and rows["mdac"]["env_steps"] == 15000
    assert rows["cac"]["efficient_rate"] >= 0.75


@pytest.mark.long
@pytest.mark.parametrize("agents", [5, 10])
def test_over_a_hundred_seeds_cac_is_most_often_efficient_and_earns_most(agents):
    rows = coordination(agents, 100)
    assert rows["cac"]["efficient_rate"] >= 0.9
    for other in ("dac", "mdac", "iac"):
        assert rows["cac"]["efficient_rate"] > rows[other]["efficient_rate"]
        assert rows["cac"]["reward_at_samples"] > rows[other]["reward_at_samples"]
    assert {row["samples_compared"] for row in rows.values()} == {3000}
