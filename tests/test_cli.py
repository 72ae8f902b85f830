"""Every command as a user gives it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.launching import environment

from netac import cli, topology
from netac.experiment import config, linear_agents, run_folder
from netac.utils import plugins
from netac.utils.errors import InputError

EXPERIMENT = """\
agents = 4
iterations = 30
env = "coordination"
topology = "ring"
[algorithm]
name = "cac"
actor_step = 0.01
batch = 3
[algorithm.mdac]
actor_step = 0.02
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with an experiment file, game.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "game.toml").write_text(EXPERIMENT)
    return tmp_path


def netac(*arguments: str) -> str:
    """What a command that succeeds prints."""
    found = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def experiment(folder: Path) -> dict:
    return tomllib.loads((folder / "experiment.toml").read_text())


def test_run_writes_a_whole_folder(here):
    said = netac("run", "game.toml")
    folder = here / "runs" / "game-cac-seed0"
    assert {path.name for path in folder.iterdir()} == {".lock", "experiment.toml", "metrics.csv", "summary.json",
                                                        "checkpoints"}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters_sha256"] in said.replace("\n", "").replace(" ", "")
    assert set(summary) >= {"algorithm", "env", "agents", "processes", "seed", "iterations", "env_steps",
                            "final_reward", "consensus_error", "messages_per_agent", "bytes_per_agent", "wall_seconds",
                            "iterations_per_second", "parameters_sha256", "versions", "kernels"}
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [0, 10, 20, 30]
    assert set(rows[0]) >= {"iteration", "env_steps", "reward", "consensus_error", "messages", "bytes_environment",
                            "bytes_consensus", "bytes_trainer", "seconds"}


def test_the_experiment_a_run_writes_gives_the_same_run(here):
    netac("run", "game.toml", "--out", "one", "--set", "algorithm.mdac.batch=2", "--set", "algorithm=mdac")
    netac("run", "one/experiment.toml", "--out", "two")
    one, two = (json.loads((here / name / "summary.json").read_text()) for name in ("one", "two"))
    assert one["parameters_sha256"] == two["parameters_sha256"] and experiment(here / "one") == experiment(here / "two")


def test_default_folders_are_numbered_and_resume_takes_the_newest(here):
    for _ in range(3):
        netac("run", "game.toml")
    netac("run", "game.toml", "--resume")
    netac("run", "game.toml", "--set", "seed=4", "--set", "algorithm=iac")
    assert sorted(path.name for path in (here / "runs").iterdir()) == [
        "game-cac-seed0", "game-cac-seed0-2", "game-cac-seed0-3", "game-iac-seed4"]


def test_starts_at_the_same_time_each_have_a_folder_of_their_own(here):
    source = config.read("game.toml")
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda _: run_folder.default_folder(source, False), range(8)))
    assert len(set(places)) == 8 and all(place.is_dir() for place in places)
    assert run_folder.default_folder(source, True) == Path("runs/game-cac-seed0-8")


def test_a_folder_that_nothing_is_written_into_is_given_back(here):
    with pytest.raises(InputError, match="topology"):
        CliRunner().invoke(cli.cli, ["run", "game.toml", "--set", "topology=disconnected"], catch_exceptions=False)
    assert [path.name for path in here.iterdir()] == ["game.toml"]


@pytest.mark.parametrize(("sets", "expected"), [
    ([], {"name": "cac", "actor_step": 0.01}),
    (["algorithm.actor_step=0.5"], {"name": "cac", "actor_step": 0.5}),
    (["algorithm=mdac"], {"name": "mdac", "actor_step": 0.02, "batch": 3}),
    (["algorithm.name=mdac"], {"name": "mdac", "actor_step": 0.02, "batch": 3}),
    (["algorithm=mdac", "algorithm.actor_step=0.5"], {"name": "mdac", "actor_step": 0.5, "batch": 3}),
    (["algorithm=mdac", "algorithm.mdac.actor_step=0.6"], {"name": "mdac", "actor_step": 0.6, "batch": 3}),
    (["algorithm=iac"], {"name": "iac", "actor_step": 0.01}),
    (["algorithm={name='dac',critic='action_value'}"], {"name": "dac", "actor_step": 0.01, "critic": "action_value"}),
    (["algorithm.actor_step={c=1.0,sigma=0.6}"], {"name": "cac", "actor_step": {"c": 1.0, "sigma": 0.6}}),
])
def test_precedence(here, sets, expected):
    netac("run", "game.toml", "--out", "run", *(word for text in sets for word in ("--set", text)))
    found = experiment(here / "run")["algorithm"]
    assert {key: found[key] for key in expected} == expected
    assert "batch" not in found or found["name"] == "mdac"


@pytest.mark.parametrize(("text", "table", "expected"), [
    ("topology=complete", "topology", {"name": "complete"}),
    ("topology.weights=lazy-metropolis", "topology", {"name": "ring", "weights": "lazy-metropolis"}),
    ("topology={name='gossip',seed=3}", "topology", {"name": "gossip", "seed": 3}),
    ("topology={path='line.edgelist'}", "topology", {"weights": "metropolis"}),
    ("topology=line.edgelist", "topology", {"weights": "metropolis"}),
    ("env.features=histogram", "env", {"name": "coordination", "features": "histogram"}),
    ("env={name='finite-mdp',seed=2,states=3}", "env", {"name": "finite-mdp", "states": 3, "actions": 2}),
    ("policy=tabular", "policy", {"name": "tabular"}),
    ('policy.shared=["*.a1"]', "policy", {"shared": ["*.a1"]}),
    ("agents=7", None, {"agents": 7}),
])
def test_every_key_can_be_set(here, text, table, expected):
    (here / "line.edgelist").write_text("0 1\n1 2\n2 3\n")
    netac("run", "game.toml", "--out", "run", "--set", text)
    found = experiment(here / "run")
    found = found[table] if table else found
    assert {key: found[key] for key in expected} == expected


def test_help_documents_every_option():
    said = netac("run", "--help")
    models = [config.Experiment, linear_agents.Policy]
    for package in (config.ALGORITHMS, config.ENVIRONMENTS):
        models += [plugins.module(package, name, "").Settings for name in plugins.module_names(package)]
    names = [name for model in models for name in model.model_fields]
    assert len(names) > 50
    for name in [*names, *topology.names(), *topology.weight_names()]:
        assert f"  {name} " in said or f"  {name}\n" in said or f'"{name}"' in said, name


@pytest.mark.parametrize("command", [[], ["run"], ["compare"], ["graph"], ["evaluate"], ["plot"], ["theory"],
                                     ["list"]])
def test_every_command_has_help(command):
    assert "--help" in netac(*command, "--help")


def test_list_shows_what_there_is():
    everything = netac("list")
    for name in ("cac", "dnac", "coordination", "finite-mdp", "one-peer-exponential", "lazy-metropolis"):
        assert name in everything
    assert "cac" not in netac("list", "envs") and "coordination" in netac("list", "envs")


def test_comparisons_are_drawn_again_below_each_other_and_not_with_runs(here):
    for out in ("one", "two"):
        netac("compare", "game.toml", "--algorithms", "iac,cac", "--seeds", "1", "--jobs", "1", "--out", out)
    netac("plot", "one", "--out", "again.png")
    assert (here / "again.png").read_bytes() == (here / "one" / "comparison.png").read_bytes()
    netac("plot", "one", "two", "--out", "both.png")
    assert (here / "both.png").read_bytes().startswith(b"\x89PNG")
    for mixed in (["one", "one/runs/cac/seed-000"], ["one", "--columns", "reward"]):
        found = CliRunner().invoke(cli.cli, ["plot", *mixed, "--out", "none.png"])
        assert "is the folder of a comparison" in str(found.exception)
    assert not (here / "none.png").exists()


def test_graph_evaluate_and_plot(here):
    said = netac("graph", "game.toml", "--plot", "ring.png")
    assert "smallest B" in said and "the certificate holds" in said and (here / "ring.png").stat().st_size > 1000
    assert "64" in netac("graph", "one-peer-exponential", "--agents", "64")
    netac("run", "game.toml", "--out", "run")
    netac("evaluate", "run", "--episodes", "3", "--steps", "20")
    assert json.loads((here / "run" / "evaluation.json").read_text())["episodes"] == 3
    netac("plot", "run", "--out", "curves.png")
    assert (here / "curves.png").read_bytes().startswith(b"\x89PNG")


def started(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment(**variables), capture_output=True,
                          text=True, timeout=100)


@pytest.mark.parametrize("arguments", [
    ["run", "missing.toml"], ["run", "game.toml", "--set", "x"], ["compare", "game.toml", "--algorithms", "cac,cca"],
    ["compare", "game.toml", "--algorithms", "cac,cac"], ["compare", "game.toml", "--algorithms", ","],
    ["compare", "game.toml", "--algorithms", "cac", "--set", "batch=2"],
    ["compare", "game.toml", "--algorithms", "cac", "--set", "algorithm.inner_steps=2"],
    ["compare", "game.toml", "--algorithms", "cac", "--out", "game.toml"], ["graph", "ring"],
    ["graph", "rign", "--agents", "4"],
    ["graph", "disconnected", "--agents", "4"], ["graph", "ring", "--agents", "4", "--set", "period=2"],
    ["evaluate", "nowhere"], ["evaluate", "."], ["plot", "nowhere"], ["plot", "game.toml"],
])
def test_bad_combinations(here, monkeypatch, capfd, arguments):
    monkeypatch.setattr(sys, "argv", ["netac", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capfd.readouterr().err
    assert ended.value.code == 2 and told.startswith("netac: error: ") and told.count("\n") == 1, told
    assert {path.name for path in here.iterdir()} == {"game.toml"}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as handle:
        return list(csv.DictReader(handle))


def test_compare_ignores_keys_of_the_others(here):
    netac("compare", "game.toml", "--algorithms", "cac,mdac", "--seeds", "2", "--out", "both", "--jobs", "1",
          "--set", "algorithm.critic_rounds=2")
    found = rows(here / "both" / "comparison.csv")
    assert [(row["algorithm"], row["seeds"], row["failed"]) for row in found] == [("cac", "2", "0"), ("mdac", "2", "0")]
    assert set(found[0]) >= {"final_reward", "final_reward_low", "final_reward_high", "env_steps", "bytes_per_agent",
                             "wall_seconds", "efficient_rate"}
    assert len(rows(here / "both" / "comparison_runs.csv")) == 4
    assert (here / "both" / "comparison.png").stat().st_size > 1000
    assert experiment(here / "both" / "runs" / "mdac" / "seed-001")["algorithm"]["critic_rounds"] == 2


FRAGILE = """\
import os
from faulty import Faulty

class Fragile(Faulty):
    def rewards(self, *arguments):
        if self._calls == 10 and FAIL and os.path.exists("fail"):
            FAIL
        return super().rewards(*arguments)

def make(agents):
    return Fragile(agents, "nan", -1, -1)
"""


@pytest.mark.parametrize(("fail", "says"), [
    pytest.param("raise ValueError('no luck')", "no luck", marks=pytest.mark.long),
    ("os._exit(3)", "its process died")])
def test_compare_survives_failed_runs_and_tries_them_again(here, fail, says):
    (here / "fragile.py").write_text(
        FRAGILE.replace("        if self._calls == 10 and FAIL", "        if self._calls == 10").replace("FAIL", fail))
    (here / "fail").touch()
    command = ["-m", "netac", "compare", "game.toml", "--algorithms", "cac", "--seeds", "2", "--jobs", "2",
               "--out", "out", "--set", "env={factory='fragile:make'}"]
    path = {"PYTHONPATH": f"{here}:{Path(__file__).parent / 'programs'}"}
    done = started(*command, **path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("netac: cac, seed 0 failed: ") == 1 and says in done.stderr
    assert [row["status"] for row in rows(here / "out" / "comparison_runs.csv")] == ["failed", "failed"]
    (here / "fail").unlink()
    done = started(*command, **path)
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in rows(here / "out" / "comparison_runs.csv")] == ["ok", "ok"]


def test_compare_into_a_folder_of_another_comparison(here):
    netac("compare", "game.toml", "--algorithms", "iac", "--seeds", "1", "--out", "out")
    done = started("-m", "netac", "compare", "game.toml", "--algorithms", "iac", "--seeds", "1",
                   "--out", "out", "--set", "agents=5")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "agents: the run in this folder is of another experiment" in done.stderr and "object" not in done.stderr


def test_compare_gives_the_same_numbers_however_it_runs(here, mpirun: Callable):
    words = ["compare", "game.toml", "--algorithms", "cac,iac", "--seeds", "2"]
    netac(*words, "--out", "plain")
    netac(*words, "--out", "launched", "--processes", "2")
    done = mpirun(2, [sys.executable, "-m", "netac", *words, "--out", "inside"])
    assert done.returncode == 0, done.stderr
    wanted = ("algorithm", "seed", "final_reward", "parameters_sha256")
    tables = [[{key: row.get(key) for key in wanted} for row in rows(here / name / "comparison_runs.csv")]
              for name in ("plain", "launched", "inside")]
    assert tables[0] == tables[1] == tables[2] and len(tables[0]) == 4
    assert json.loads((here / "launched" / "runs" / "cac" / "seed-000" / "summary.json").read_text())["processes"] == 2


SCRIPT = """\
import netac
if __name__ == "__main__":
    result = netac.run("game.toml", set={"algorithm": "dac"}, out="from-python")
    table = netac.compare({"agents": 4, "iterations": 10, "env": "coordination", "algorithm": "cac"}, ["cac", "iac"], seeds=2)
    print(result.summary["parameters_sha256"], result.parameters["theta"].shape, result.metrics["iteration"].tolist(),
          [(row["algorithm"], row["seeds"], row["final_reward"]) for row in table.rows], table.curves["cac"]["reward"].shape)
"""  # noqa: E501


def test_a_script_gives_the_same_under_mpirun(here, mpirun):
    (here / "script.py").write_text(SCRIPT)
    alone = started("script.py")
    assert alone.returncode == 0, alone.stderr
    assert "(4, 8) [0, 10, 20, 30] [('cac', 2, " in alone.stdout
    (here / "from-python").rename(here / "alone")
    together = mpirun(4, [sys.executable, "script.py"])
    assert together.returncode == 0, together.stderr
    assert together.stdout.splitlines() == alone.stdout.splitlines() * 4
