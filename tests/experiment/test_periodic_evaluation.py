"""Evaluations during training: they change nothing, depend on nothing but the policies, and keep the best ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from programs import zoo
from support.variants import fingerprint
from test_resume import keep_all, put_back  # noqa: F401

import netac
from netac import cli
from netac.experiment import config, periodic_evaluation
from netac.results.curves import stack_curves
from netac.results.plots import draw_runs
from netac.results.records import load_run
from netac.results.statistics import mean_interval
from netac.utils.errors import InputError, RunError

HERE, TESTS = str(Path(__file__).parent), str(Path(__file__).parents[1])
TIMES = ("seconds", "evaluation_seconds")
COLUMNS = ("iteration", "env_steps", "episodes", "reward", "episode_return", "episode_return_stderr",
           "episode_return_low", "episode_return_high", "episode_length", *TIMES)
EVALUATED = {"evaluate_every": 3, "evaluate_episodes": 5}
NETWORKS = {"envs": 2, "policy": {"name": "mlp", "hidden": [4]}}


class GlobalNoise(zoo.Walk):
    """Rewards that draw from NumPy's global generator, as users' environments do."""

    def step(self, actions):
        observations, rewards, *others = super().step(actions)
        noise = np.random.normal()
        return observations, {name: reward + noise for name, reward in rewards.items()}, *others


class Failing(zoo.Walk):
    """Of which `licences` may be made."""

    made, licences = 0, 100

    def __init__(self):
        super().__init__()
        type(self).made += 1

    def reset(self, seed=None, options=None):
        if type(self).made > type(self).licences:
            raise OSError("no more licences")
        return super().reset(seed, options)


CASES = {
    "tabular": {"agents": 3, "env": "coordination", "algorithm": "cac", "topology": "ring"},
    "dac": {"agents": 4, "env": {"name": "finite-mdp", "seed": 3, "states": 4}, "algorithm": "dac",
            "topology": "one-peer-exponential"},
    "iid": {"agents": 3, "env": {"name": "finite-mdp", "seed": 5, "states": 3, "actions": 3}, "topology": "ring",
            "algorithm": {"name": "cac", "sampling": "iid"}},
    "one agent": {"agents": 1, "env": "coordination", "algorithm": "iac"},
    "networks": {"agents": 2, "env": "coordination", "algorithm": "mdac", **NETWORKS},
    "spread": {"agents": 3, "env": {"name": "spread", "max_cycles": 6}, "algorithm": "cac", **NETWORKS,
               "normalise": {"observations": True, "rewards": True}, "critic": {"sees": "state"}},
    "users": {"agents": 2, "env": {"factory": "test_periodic_evaluation:GlobalNoise", "folder": HERE},
              "algorithm": "iac", **NETWORKS},
    "on process 0": {"agents": 2, "env": {"factory": "programs.zoo:Walk", "folder": TESTS}, **NETWORKS,
                     "normalise": {"observations": True},
                     "algorithm": {"name": "happo", "rollout": 5, "team_reward": "mean"}},
    **{name: {"agents": 3, "env": {"name": "spread", "max_cycles": 6}, **NETWORKS, "normalise": {"observations": True},
              "algorithm": {"name": name, "rollout": 5, "team_reward": "mean"}} for name in ("happo", "ippo")},
}


def tables(name: str, **more) -> dict:
    """A run of 8 iterations: evaluated after 0, 3, 6 and 8 of them."""
    return {"iterations": 8, "seed": 4, "topology": "complete",
            "log_every": 2, "checkpoint_every": 3} | CASES[name] | more


def rows(result) -> dict[str, list]:
    """The evaluations of a run, but for the clock."""
    return {name: column.tolist() for name, column in result.evaluations.items() if name not in TIMES}


def told(result) -> str:
    """All of a run but its evaluations."""
    summary = {key: value for key, value in result.summary.items() if "evaluation" not in key}
    return fingerprint(netac.RunResult(None, summary, result.metrics, result.parameters))


@pytest.mark.parametrize("name", CASES)
def test_evaluations_change_nothing_and_depend_on_the_policies_alone(name, tmp_path):
    np.random.seed(7)
    plain = netac.run(tables(name))
    assert plain.evaluations == {} and "best_evaluation" not in plain.summary
    np.random.seed(7)
    found = netac.run(tables(name, **EVALUATED), out=tmp_path / "run")
    assert told(found) == told(plain)
    assert tuple(found.evaluations) == COLUMNS
    np.testing.assert_array_equal(found.evaluations["iteration"], [0, 3, 6, 8])
    np.testing.assert_array_equal(found.evaluations["episodes"], 5)
    if name != "users":                     # whose noise nobody can seed
        assert rows(netac.run(tables(name, **EVALUATED))) == rows(found)
        often = rows(netac.run(tables(name, evaluate_every=1, evaluate_episodes=5)))
        assert {key: [cells[k] for k in (0, 3, 6, 8)] for key, cells in often.items()} == rows(found)


@pytest.mark.parametrize("name", ["tabular", "dac", "spread", "happo"])
def test_a_row_tells_what_playing_the_policies_gives(name, tmp_path, monkeypatch):
    result = netac.run(tables(name, **EVALUATED, evaluate_steps=4), out=tmp_path / "run")
    monkeypatch.setattr(netac.experiment.evaluate.Wanted, "__init__",
                        _with_streams(netac.experiment.evaluate.Wanted.__init__))
    played = netac.evaluate(tmp_path / "run", episodes=5, steps=4)
    sums, last = played.rewards.sum(axis=1), {key: column[-1] for key, column in result.evaluations.items()}
    assert len(set(sums)) > 1 and (played.lengths == 4).all()
    assert last["episode_return"] == pytest.approx(sums.mean()) and last["reward"] == pytest.approx(sums.mean() / 4)
    assert last["episode_return_stderr"] == pytest.approx(sums.std(ddof=1) / np.sqrt(5)) and last["episode_length"] == 4
    assert (last["episode_return_low"], last["episode_return_high"]) == mean_interval(sums)[1:]
    assert last["env_steps"] == result.summary["env_steps"]


def _with_streams(init):
    """`netac evaluate` with the random streams of evaluations during training."""
    def changed(self, *arguments, **options):
        init(self, *arguments, **options | {"streams": periodic_evaluation.STREAMS})
    return changed


def test_netac_evaluate_plays_other_episodes(tmp_path):
    result = netac.run(tables("spread", **EVALUATED), out=tmp_path / "run")
    assert netac.evaluate(tmp_path / "run", episodes=5).sums.mean() != result.evaluations["episode_return"][-1]


def test_greedy_evaluations_of_tabular_agents(tmp_path):
    tame = tables("tabular", evaluate_every=8, evaluate_episodes=2, evaluate_greedy=True, iterations=40)
    result = netac.run(tame | {"algorithm": {"name": "cac", "actor_step": 0.5}})
    actions = result.parameters["theta"].argmax(axis=1)
    reward = np.mean([(a - 3.5) ** 2 + (actions == a).sum() - 1 for a in actions])
    assert result.evaluations["reward"][-1] == pytest.approx(reward) and result.evaluations["episode_length"][-1] == 200
    assert result.evaluations["episode_return_stderr"][-1] == 0


PROGRAM = """\
import json, sys, netac
from test_periodic_evaluation import CASES, EVALUATED, rows, tables, told
found = {}
for name in sys.argv[2:]:
    result = netac.run(tables(name, **EVALUATED), out=f"{sys.argv[1]}/{name}")
    found[name] = [told(result), rows(result), result.summary["best_evaluation"]]
if netac.comm.launch.communicator().rank == 0:
    print(json.dumps(found))
"""


@pytest.mark.parametrize(("processes", "names"), [
    (2, ["on process 0", "networks", "tabular", "dac", "spread", "happo"]),
    pytest.param(3, ["tabular", "dac", "spread", "happo", "ippo"], marks=pytest.mark.long)])
def test_the_number_of_processes_does_not_matter(processes, names, tmp_path, mpirun):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, tmp_path / "program.py", tmp_path / "all", *names]
    done = mpirun(processes, command, env={"PYTHONPATH": HERE})
    assert done.returncode == 0, done.stderr
    for name, (run, evaluated, best) in json.loads(done.stdout).items():
        alone = netac.run(tables(name, **EVALUATED), out=tmp_path / "one" / name)
        assert [told(alone), rows(alone), alone.summary["best_evaluation"]] == [run, evaluated, best], name
        one, all_ = (np.load(tmp_path / place / name / "checkpoints" / "best.npz") for place in ("one", "all"))
        assert sorted(one) == sorted(all_) and all((one[key] == all_[key]).all() for key in one), name


@pytest.mark.parametrize("name", ["tabular", "spread", "happo"])
def test_a_resumed_run_has_the_same_rows_and_the_same_best(name, tmp_path, keep_all):      # noqa: F811
    def found(result):
        with np.load(tmp_path / "checkpoints" / "best.npz") as best:
            return (rows(result), told(result), result.summary["best_evaluation"],
                    {key: best[key].tobytes() for key in best})

    changed = tables(name, evaluate_every=2, evaluate_episodes=3)
    whole = found(netac.run(changed, out=tmp_path))
    assert whole[0]["iteration"] == [0, 2, 4, 6, 8]
    for iteration in (6, 3, 0):
        put_back(tmp_path, iteration)
        (tmp_path / "checkpoints" / "best.npz").write_bytes(b"of a later iteration")
        with open(tmp_path / "evaluations.csv", "a") as file:
            file.write("9,1,")                                            # torn by a kill
        assert found(netac.run(changed, out=tmp_path, resume=True)) == whole, iteration
    assert rows(netac.load_result(tmp_path)) == whole[0]


def test_the_best_policies_are_kept_and_can_be_played(tmp_path):
    folder = tmp_path / "run"
    changed = tables("tabular", evaluate_every=1, evaluate_episodes=4)
    result = netac.run(changed | {"algorithm": {"name": "iac", "actor_step": 0.5}}, out=folder)
    returns = result.evaluations["episode_return"]
    best = int(returns.argmax())
    assert 0 < best < 8, "the case should have its best in between"
    assert (result.summary["best_evaluation"]["iteration"] == best
            and result.summary["last_evaluation"]["iteration"] == 8)
    assert result.summary["best_evaluation"]["episode_return"] == returns[best]
    shorter = netac.run(changed | {"algorithm": {"name": "iac", "actor_step": 0.5}, "iterations": best})
    with np.load(folder / "checkpoints" / "best.npz") as kept:
        np.testing.assert_array_equal(kept["parameters"][:, -8:], shorter.parameters["theta"])
    assert [netac.evaluate(folder, which=which, steps=3).iteration for which in ("best", "last")] == [best, 8]
    assert not np.array_equal(netac.evaluate(folder, which="best").rewards,
                              netac.evaluate(folder, which="last").rewards)


def test_the_command_plays_the_best(tmp_path):
    netac.run(tables("tabular", **EVALUATED), out=tmp_path / "run")
    best = json.loads((tmp_path / "run" / "summary.json").read_text())["best_evaluation"]["iteration"]
    for which, iteration in (("best", best), ("last", 8)):
        done = CliRunner().invoke(cli.cli, ["evaluate", str(tmp_path / "run"), "--which", which],
                                  catch_exceptions=False)
        assert done.exit_code == 0
        assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["iteration"] == iteration


def test_events_tell_evaluations_too(tmp_path):
    pytest.importorskip("tensorboardX")
    from test_tensorboard import shown
    result = netac.run(tables("tabular", **EVALUATED, tensorboard=True), out=tmp_path / "run")
    points = shown(tmp_path / "run" / "tensorboard")["evaluation/episode_return"]
    assert [step for step, _ in points] == [0, 3, 6, 8]
    assert [value for _, value in points] == pytest.approx(result.evaluations["episode_return"].tolist())


def test_algorithms_may_be_evaluated_at_intervals_of_their_own():
    named = {"name": "happo", "rollout": 5, "team_reward": "mean", "happo": {"evaluate_every": 4}}
    assert rows(netac.run(tables("happo", **EVALUATED, algorithm=named)))["iteration"] == [0, 4, 8]


def test_the_best_networks_are_loaded_with_their_statistics(tmp_path):
    changed = tables("happo", evaluate_every=2, evaluate_episodes=4, env={"name": "spread", "max_cycles": 6})
    netac.run(changed, out=tmp_path / "run")
    seen = {f"agent_{k}": np.full(18, 0.3, np.float32) for k in range(3)}
    with np.load(tmp_path / "run" / "checkpoints" / "best.npz") as kept:
        best = {key: kept[key] for key in kept}
    assert best["rows_observation_statistics"].shape == (3, 1 + 2 * 18)
    policies = {which: netac.load(tmp_path / "run", which=which) for which in ("best", "last")}
    np.testing.assert_array_equal(policies["best"]._normaliser.rows, best["rows_observation_statistics"])
    assert all(0 <= action < 5 for action in policies["best"](seen).values())
    assert netac.evaluate(tmp_path / "run", episodes=2, which="best").iteration == best["progress"][0]


def test_runs_without_evaluations_have_no_best_policies(tmp_path):
    netac.run(tables("spread"), out=tmp_path / "run")
    assert not (tmp_path / "run" / "evaluations.csv").exists()
    for ask in (netac.evaluate, netac.load):
        with pytest.raises(InputError, match=r"has kept the best policies.*evaluate_every"):
            ask(tmp_path / "run", which="best")
        with pytest.raises(InputError, match=r"no such policies.*last, best"):
            ask(tmp_path / "run", which="first")


@pytest.mark.parametrize(("key", "value"), [("evaluate_every", -1), ("evaluate_every", 2.5), ("evaluate_episodes", 0),
                                            ("evaluate_episodes", True), ("evaluate_greedy", "yes"),
                                            ("evaluate_steps", 0)])
def test_bad_values(key, value):
    with pytest.raises(InputError, match=key):
        netac.run(tables("tabular", **{key: value}))


def test_old_experiment_files_load_and_new_ones_are_complete(tmp_path):
    netac.run(tables("tabular", evaluate_steps=7), out=tmp_path / "run")
    file = tmp_path / "run" / "experiment.toml"
    complete = file.read_text()
    assert all(line in complete for line in ("evaluate_every = 0", "evaluate_episodes = 32", "evaluate_greedy = false",
                                             "evaluate_steps = 7"))
    file.write_text("".join(line for line in complete.splitlines(keepends=True) if not line.startswith("evaluate_")))
    assert config.read(file).experiment().evaluate_every == 0
    assert netac.evaluate(tmp_path / "run", episodes=1).iteration == 8


def test_a_failure_in_the_second_environment_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Failing, "made", 0)
    changed = tables("users", env={"factory": "test_periodic_evaluation:Failing", "folder": HERE}, envs=1)
    netac.run(changed)
    monkeypatch.setattr(Failing, "licences", 2 * Failing.made)
    netac.run(changed)
    monkeypatch.setattr(Failing, "made", Failing.licences - Failing.made // 2)
    with pytest.raises((RunError, InputError), match="no more licences"):
        netac.run(changed | EVALUATED, out=tmp_path / "run")


def test_pictures_have_a_panel_of_evaluations(tmp_path):
    for seed in (1, 2):
        netac.run(tables("tabular", seed=seed, **EVALUATED), out=tmp_path / str(seed))
    netac.run(tables("tabular", seed=3), out=tmp_path / "plain")
    records = [load_run(tmp_path / name) for name in ("1", "2", "plain")]
    panel = draw_runs(records, ["evaluation"]).axes[0]
    shown = stack_curves([{"iteration": r.evaluations["iteration"], "env_steps": r.evaluations["env_steps"],
                           "evaluation": r.evaluations["episode_return"]} for r in records[:2]], "evaluation")
    (line,) = panel.lines
    np.testing.assert_array_equal(line.get_xdata(), [0, 3, 6, 8])
    np.testing.assert_allclose(line.get_ydata(), shown["evaluation"].mean(axis=0))
    assert "return of an evaluation's episodes" in [axes.get_ylabel() for axes in draw_runs(records).axes]
    with pytest.raises(InputError, match="no run has this column"):
        draw_runs(records[2:], ["evaluation"])


def test_mean_intervals():
    rng = np.random.default_rng(0)
    cover = np.mean([low <= 0 <= high for _, low, high in (mean_interval(rng.normal(size=40)) for _ in range(300))])
    assert 0.89 <= cover <= 0.98
    assert mean_interval([3.7]) == mean_interval(np.full(7, 3.7)) == (3.7, 3.7, 3.7)
    x = rng.normal(size=9)
    assert mean_interval(x) == mean_interval(x[::-1]) and mean_interval(x).estimate == pytest.approx(x.mean())
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
