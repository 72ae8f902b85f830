"""Everything in examples/ and graphs/, and the files that README.md and CONTRIBUTING.md show, run as written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support.launching import ROOT, environment
from support.pages import shown_files

import netac
from netac.experiment import config, linear_agents
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


def named(path: Path) -> str:
    """A test's name for a file."""
    return path.name


@pytest.mark.parametrize("file", EXPERIMENTS, ids=named)
def test_an_example_runs_as_written(file, tmp_path):
    if file.name == "halfcheetah.toml":
        pytest.importorskip("gymnasium_robotics")
    out = tmp_path / "run"
    run_netac("run", file.relative_to(ROOT), "--set", "iterations=3", "--out", out)
    summary, asked = load_summary(out), tomllib.loads(file.read_text())
    assert (summary["agents"], summary["iterations"]) == (asked["agents"], 3)
    assert np.isfinite(summary["final_reward"])


COMMENTED = re.compile(r"^# ((?:\[[\w.]+\]|\w+ = \S).*)$", re.MULTILINE)
"""A setting, or the head of a table, that an example shows commented out."""


def test_what_is_commented_out_in_the_first_example_is_valid_too(tmp_path):
    """Other environments and topologies one at a time, all other settings at once."""
    text = (EXAMPLES / "coordination.toml").read_text()
    (tmp_path / "graphs").symlink_to(GRAPHS)
    file = tmp_path / "examples" / "coordination.toml"
    file.parent.mkdir()
    commented = COMMENTED.findall(text)
    others = [line for line in commented if line.startswith(("env =", "topology ="))]
    assert len(others) >= 5 and len(commented) >= 25
    for line in others:
        key = line.split(" =")[0]
        file.write_text("\n".join(line if old.startswith(f"{key} =") else old for old in text.splitlines()))
        netac.run(file, set={"iterations": 3})

    def uncommented(found: re.Match[str]) -> str:
        return found[0] if found[1] in others or found[1].startswith("features =") else found[1]

    file.write_text(COMMENTED.sub(uncommented, text))
    for algorithm in ("cac", "dac", "mdac", "dnac", "iac"):
        netac.run(file, set={"iterations": 3, "algorithm.name": algorithm})


def test_the_first_examples_and_the_help_document_every_option():
    """Every option of the algorithms and of [policy] stands in two examples, all of them and the environments' in the help."""
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


@pytest.mark.parametrize("file", TOPOLOGIES, ids=named)
def test_a_topology_of_the_gallery_is_certified_and_runs(file, tmp_path):
    path = file.relative_to(ROOT)
    assert "the certificate holds" in run_netac("graph", path, "--agents", "5")
    run_netac("run", "examples/coordination.toml", "--set", f"topology={path}", "--set", "iterations=10", "--out", tmp_path)
    assert load_summary(tmp_path)["messages_per_agent"] > 10 * 4      # more than the actions alone


def test_the_python_example_runs():
    printed = run_python("examples/python_api.py").splitlines()
    assert [line.split(":")[0] for line in printed] == ["actor_step 0.02", "actor_step 0.05", "cac", "iac"]


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
    shutil.copytree(ROOT / "netac", tmp_path / "netac", ignore=shutil.ignore_patterns("__pycache__"))
    files = shown_files("CONTRIBUTING.md")
    assert len(files) == 8
    for path, text in files.items():
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)
    listed = run_netac("list", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    for path in files:
        assert re.search(rf"^\W*{Path(path).stem}\b", listed, re.MULTILINE), path
    commands = re.findall(r"^netac (.+)$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(commands) == 8
    for number, command in enumerate(commands):
        words = command.replace("examples/", f"{EXAMPLES}/").split()
        more = ["--set", "iterations=5"] if words[0] == "run" else []
        more += ["--out", tmp_path / str(number)] if words[0] in ("run", "theory") else []
        run_netac(*words, *more, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    shown = [Path(path).stem for path in files]
    kept = [(tmp_path / str(number) / "experiment.toml").read_text() for number in (0, 1, 2, 3, 4, 6)]
    for name, text in zip([*shown[:5], shown[6]], kept, strict=True):
        assert f'"{name}"' in text
    assert "**holds**" in (tmp_path / "7" / "report.md").read_text()


def test_the_script_of_the_guide_to_exact_quantities_works_and_prints_what_it_shows(tmp_path):
    page = (ROOT / "docs" / "exact.md").read_text()
    for name, text in shown_files("docs/exact.md").items():
        (tmp_path / name).write_text(text)
        printed = re.search(rf"^\$ python {name}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        assert printed[1].splitlines() == run_python(tmp_path / name).splitlines()


def test_the_topology_that_the_readme_shows_works(tmp_path):
    name = "two_teams.py"
    (tmp_path / name).write_text(shown_files("README.md")[name])
    printed = run_netac("graph", name, "--agents", "8", cwd=tmp_path)
    block = re.search(rf"^{name}, weights .*?(?=^written)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block[0].split() == printed[:printed.index("the certificate")].split()


def test_the_script_that_the_readme_shows_works(tmp_path):
    (tmp_path / "compare.py").write_text(shown_files("README.md")["compare.py"])
    assert "(10, 8)" in run_python(tmp_path / "compare.py")


@pytest.fixture(scope="module")
def pursuers(tmp_path_factory):
    """A folder in which `runs/pursuit` holds pursuers after a few iterations."""
    folder = tmp_path_factory.mktemp("pursuit")
    run_netac("run", EXAMPLES / "pursuit.toml", "--set", "iterations=3", "--out", "runs/pursuit", cwd=folder)
    return folder


def test_trained_agents_act_as_the_readme_shows_and_as_the_example_does(pursuers):
    """One episode of PettingZoo's pursuit each, with the same random numbers."""
    (pursuers / "act.py").write_text(shown_files("README.md")["act.py"])
    shown = run_python("act.py", cwd=pursuers)
    assert re.fullmatch(r"return of an episode, mean of the agents: -?\d+\.\d\n", shown)
    assert run_python(EXAMPLES / "act.py", "runs/pursuit", cwd=pursuers) == shown


def test_the_pictures_that_the_readme_shows_are_there_and_small():
    pictures = re.findall(r"\]\((docs/\S+\.png)\)", (ROOT / "README.md").read_text())
    assert pictures
    assert sorted(path.name for path in (ROOT / "docs").glob("*.png")) == sorted(
        {Path(picture).name for picture in pictures if Path(picture).parent.name == "docs"})
    assert all((ROOT / picture).stat().st_size < 200_000 for picture in pictures)


def test_the_results_of_every_experiment_are_there_and_told():
    """`docs/theory/` has a folder for each, with its report, and its README speaks of it."""
    page = (ROOT / "docs" / "theory" / "README.md").read_text()
    names = plugins.module_names("netac.theory")
    assert sorted(path.name for path in (ROOT / "docs" / "theory").iterdir() if path.is_dir()) == names
    for name in names:
        assert f"]({name}/report.md)" in page and f"]({name}/picture.png)" in page
        report = (ROOT / "docs" / "theory" / name / "report.md").read_text()
        assert f"`netac theory {name}`" in report and "FAILS" not in report and "NOT REFUTED" not in report


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
    found = netac.compare(EXAMPLES / "coordination.toml", ["cac", "dac", "mdac", "iac"], seeds=seeds, set={"agents": agents})
    return {row["algorithm"]: row for row in found.rows}


@pytest.mark.parametrize("agents", [5, 10])
def test_cac_coordinates_better_than_dac_and_iac(agents):
    """Twelve seeds: CAC is efficient in 98 %, the others in at most a third, so the margins below are never met by chance."""
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
