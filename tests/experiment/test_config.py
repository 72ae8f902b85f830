"""From a file to typed settings: read once, prepared once, other algorithms left alone, old run folders resumed."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from support.costs import LIMITS
from support.launching import ROOT, environment

import netac
from netac.envs import ActionSpace, Step, coordination
from netac.experiment import build, config, evaluate, make_env, schema
from netac.experiment.build import BUILDERS, prepare
from netac.experiment.evaluate import Stage, Wanted
from netac.utils import plugins
from netac.utils.errors import InputError
from netac.utils.plugins import BuiltIn, Factory
from netac.utils.progress import Progress

HERE = str(Path(__file__).parent)
TABLES = {"agents": 2, "iterations": 4, "env": "coordination", "topology": "path", "algorithm": "cac"}
MLP = TABLES | {"policy": {"name": "mlp", "hidden": [4]}}
TRAINED = MLP | {"envs": 4, "algorithm": {"name": "mappo", "rollout": 5, "minibatches": 4, "critic_minibatches": 4,
                                          "team_reward": "mean"}}
REPLAY = MLP | {"algorithm": {"name": "maddpg", "warmup": 5, "batch": 4, "buffer": 50}}
SPREAD = TABLES | {"env": {"name": "spread", "max_cycles": 5}, "algorithm": "iac",
                   "normalise": {"observations": True, "rewards": True}}
COMPLETE = """\
agents = 2
iterations = 4
seed = 0
envs = 1
stagger = 0
log_every = 10
checkpoint_every = 1000
evaluate_every = 0
evaluate_episodes = 32
evaluate_greedy = false
tensorboard = false
allow_disconnected = false
allow_mixed_hosts = false
allow_changed_files = false

[env]
name = "coordination"
features = "onehot"
noise = true

[topology]
name = "path"
weights = "metropolis"

[policy]
name = "tabular"
shared = [
    "*",
]
initial = "environment"
scale = 0.1

[critic]

[reward_model]

[normalise]
observations = false
rewards = false

[algorithm]
name = "cac"
discounted_gradient = false
gamma = 0.95
actor_step = 0.05
critic_step = 0.1
optimizer = "plain"
adam_beta1 = 0.9
adam_beta2 = 0.999
adam_epsilon = 1e-05
sampling = "markov"
reward_step = 0.1
tracking = false
"""


class Six:
    """Games that are always six, whatever their factory is told."""

    def __init__(self, agents: int, games: int):
        self.agents, self.games = agents, 6
        self.observations, self.actions = ((1,),) * agents, (ActionSpace(n_actions=2),) * agents
        self.active = np.ones((agents, 6), dtype=bool)

    def begin(self, seed, chain):
        """Nothing is drawn."""

    def observe(self, agents):
        """The same to all."""
        return [np.zeros((6, 1), np.float32) for _ in agents]

    def step(self, actions):
        """Episodes of one step."""
        return Step(np.ones((self.agents, 6)), np.zeros((self.agents, 6), bool), np.ones(6, bool))

    def restart(self, games):
        """Nothing is drawn."""


def read(tables: dict, **overrides) -> schema.Experiment:
    """The experiment of some tables."""
    return config.read(tables, overrides).experiment()


# --- reading ---

@pytest.mark.parametrize("tables", [TABLES, MLP, MLP | {"reward_model": {"hidden": [3]}}, SPREAD, TRAINED, REPLAY])
def test_what_is_complete_is_prepared_to_the_same(tables):
    """As the other processes of a launch do, which are given the complete experiment."""
    one = prepare(read(tables))
    other = prepare(one.experiment)
    assert other.experiment == one.experiment and other.layout == one.layout
    assert prepare(read(one.experiment.tables())).experiment == one.experiment


def test_reading_gives_typed_settings():
    found = read(TABLES | {"algorithm": {"name": "cac", "actor_step": {"c": 1.0, "sigma": 0.5}}})
    assert isinstance(found.env, BuiltIn) and found.env.settings == coordination.Settings()
    assert found.algorithm.called == "cac" and found.algorithm.settings.actor_step.sigma == 0.5
    assert found.algorithm.module.__name__ == "netac.algorithms.decentralized.cac"
    own = read(TABLES | {"env": {"factory": "some.module:make", "kwargs": {"a": 1}}}).env
    assert isinstance(own, Factory) and (own.called, own.kwargs) == ("some.module:make", {"a": 1})


def test_what_was_read_is_used_as_it_is(monkeypatch):
    """The environment's options reach its `make` as the object that reading gave, and are not made again."""
    found, seen = read(TABLES), []
    usual = coordination.make
    monkeypatch.setattr(coordination, "make", lambda settings, agents: seen.append(settings) or usual(settings, agents))
    complete = prepare(found).experiment
    assert seen == [found.env.settings] and seen[0] is found.env.settings
    assert complete.env is found.env


def test_what_an_environment_or_its_agents_decide_is_filled_in_without_changing_what_was_read(tmp_path):
    game = TABLES | {"env": {"name": "finite-mdp", "seed": 1, "states": 2, "actions": 2},
                     "algorithm": {"name": "cac", "gamma": 0.5}}
    found = read(game)
    setting = prepare(found)
    assert (setting.mdp.gamma, setting.environment.mdp.gamma, setting.settings.gamma) == (0.5, 0.95, 0.5)
    assert found.algorithm.settings.optimizer is None and setting.settings.optimizer == "plain"
    assert prepare(read(MLP)).settings.optimizer == "adam" and prepare(read(MLP)).mdp is None


def test_the_file_in_a_run_folder_is_complete_and_as_it_always_was(tmp_path):
    netac.run(TABLES, out=tmp_path / "run")
    assert (tmp_path / "run" / "experiment.toml").read_text() == COMPLETE


def test_the_table_of_a_users_network_is_written_as_it_always_was(tmp_path):
    policy = {"factory": "support.user_networks:Counting", "shared": []}
    netac.run(TABLES | {"algorithm": "iac", "policy": policy}, out=tmp_path / "run")
    text = (tmp_path / "run" / "experiment.toml").read_text()
    start = text.index("[policy]")
    assert [line.split(" =")[0] for line in text[start:text.index("[critic]")].splitlines() if line] == [
        "[policy]", "shared", "sees", "entropy", "initial", "log_std", "deviations", "folder", "factory",
        "[policy.kwargs]"]


# --- other algorithms ---

LOADED = """
    import json, sys
    import netac
    from netac.experiment import config
    tables = json.loads(sys.argv[1])
    config.read(tables).experiment()
    def loaded():
        start = "netac.algorithms."
        return sorted(name.removeprefix(start) for name in sys.modules if name.startswith(start))
    first = loaded()
    netac.run(tables)
    print(json.dumps([first, loaded(), "torch" in sys.modules]))
"""
ONLY_CAC = ["centralized", "decentralized", "decentralized._base", "decentralized.cac"]


def loaded(tables: dict) -> list:
    """Modules of algorithms that are loaded after reading and after running, and whether torch is."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(LOADED), json.dumps(tables)], capture_output=True,
                          text=True, env=environment(), cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_cac_experiment_loads_no_other_algorithm_and_no_torch():
    table = {"name": "cac", "actor_step": 0.1, "cac": {"reward_step": 0.2}}
    assert loaded(TABLES | {"algorithm": table}) == [ONLY_CAC, ONLY_CAC, False]


def test_another_algorithm_is_loaded_where_the_file_speaks_of_it():
    table = {"name": "cac", "dac": {"reward_step": 0.2}}
    with_dac = sorted([*ONLY_CAC, "decentralized.dac"])
    assert loaded(TABLES | {"algorithm": table})[0] == with_dac


def test_options_that_others_know_are_left_out_and_those_nobody_knows_are_refused():
    source = config.read(TABLES | {"algorithm": {"name": "cac", "inner_steps": 3, "clip_range": 0.1}})
    assert "inner_steps" not in source.experiment().algorithm.table()
    assert config.ignored_options(source) == ["inner_steps", "clip_range"]
    with pytest.raises(InputError, match=r"^algorithm.iner_steps: unknown key \(did you mean 'inner_steps'\?\) "
                                         r"\(valid: name, .*clip_range.*inner_steps"):
        read(TABLES | {"algorithm": {"name": "cac", "iner_steps": 3}})
    with pytest.raises(InputError, match=r"^--set: algorithm.inner_steps: unknown key"):
        read(TABLES, **{"algorithm.inner_steps": 3})


# --- who makes the agents ---

def test_the_length_of_a_run_and_its_games_may_be_an_algorithms_own():
    tables = MLP | {"envs": 4, "log_every": 2, "algorithm": {"name": "cac", "iac": {"iterations": 9, "envs": 16}}}

    def told(**overrides) -> tuple[int, int]:
        experiment = read(tables, **overrides)
        return experiment.iterations, experiment.envs

    assert told() == (4, 4)
    assert told(**{"algorithm.name": "iac"}) == (9, 16)
    assert told(**{"algorithm.name": "iac", "envs": 2}) == (9, 2)          # what is said at the command line


@pytest.mark.parametrize("name", plugins.module_names(schema.ALGORITHMS))
def test_requirements_name_their_builder(name):
    module = plugins.module(schema.ALGORITHMS, name, "algorithm")
    makers = BUILDERS[module.requirements(module.Settings(**LIMITS.get(name, {}))).builder]
    for maker in filter(None, makers):
        assert callable(importlib.import_module(f"netac.experiment.{maker}").make)


def test_nothing_asks_for_the_class_of_requirements_or_models():
    kinds = {"Requirements", "TrainerRequirements", "ReplayRequirements", "Linear", "Neural",
             "CentrallyTrained", "Central", "Replaying", "MixingRequirements", "Factorising",
             "AutoregressiveRequirements", "Autoregressive"}
    for path in [*(ROOT / "netac" / "experiment").rglob("*.py"), *(ROOT / "netac" / "cli").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
                asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
                assert not asked & kinds, f"{path}, line {node.lineno}"


@pytest.mark.parametrize(("tables", "plays", "trainer"), [
    (TABLES, False, False), (MLP, True, False), (TRAINED, True, True), (REPLAY, True, True)])
def test_what_differs_is_asked_of_the_model(tables, plays, trainer):
    setting = prepare(read(tables))
    assert (setting.plays_games, setting.trains_centrally) == (plays, trainer)
    assert (setting.model.plays_games, setting.model.has_trainer) == (plays, trainer)


# --- prepared once ---

@pytest.mark.parametrize("tables", [TABLES, MLP, SPREAD, TRAINED, REPLAY],
                         ids=["linear", "mlp", "spread", "mappo", "maddpg"])
def test_a_run_with_evaluations_is_prepared_once(tables, monkeypatch):
    from netac.agents.neural import networks
    calls = {}

    def count(owner, name):
        usual = getattr(owner, name)

        def counted(*arguments, **options):
            calls[name] = calls.get(name, 0) + 1
            return usual(*arguments, **options)
        monkeypatch.setattr(owner, name, counted)

    count(make_env, "make_environment")
    monkeypatch.setattr(build, "make_environment", make_env.make_environment)
    monkeypatch.setattr(evaluate, "make_environment", make_env.make_environment)
    count(build.topology, "load")
    count(networks, "try_out")
    netac.run(tables)
    without = dict(calls)
    calls.clear()
    found = netac.run(tables | {"evaluate_every": 2, "evaluate_episodes": 3})
    assert len(found.evaluations["iteration"]) == 3
    assert calls == without and calls["make_environment"] == calls["load"] == 1


@pytest.mark.parametrize("tables", [MLP | {"envs": 2}, SPREAD, REPLAY], ids=["mlp", "spread", "maddpg"])
def test_playing_is_as_if_it_had_been_prepared_for_it(tables):
    """The same bits as with an experiment that says how many games there are and that rewards stay as they are."""
    setting = prepare(read(tables))
    plain = schema.Normalise(observations=setting.experiment.normalise.observations)
    anew = prepare(read(tables).model_copy(update={"envs": 5, "normalise": plain}))
    played = []
    for each in (setting, anew):
        stage = Stage(each, Wanted(5, 7), None)
        parts = build.assemble(each)
        rows = {f"rows_{name}": own for name, own in parts.sampler.rows.items()}
        played.append(stage.play(parts.agents.parameters.flat, rows, Progress(0, wanted=False)))
        stage.close()
    np.testing.assert_array_equal(played[0].rewards, played[1].rewards)
    np.testing.assert_array_equal(played[0].actions, played[1].actions)


def test_how_many_episodes_are_played_has_nothing_to_do_with_how_samples_are_dealt():
    """4 games of 5 steps can be dealt into 4 parts, 3 games cannot; but nobody learns from them."""
    found = netac.run(TRAINED | {"evaluate_every": 2, "evaluate_episodes": 3})
    assert found.evaluations["episodes"].tolist() == [3, 3, 3]


def test_games_of_a_user_that_do_not_heed_how_many_they_should_be_are_told():
    users = TABLES | {"env": {"factory": "test_config:Six", "folder": HERE}, "algorithm": "iac", "envs": 6}
    netac.run(users)
    with pytest.raises(InputError, match=r":Six: the environment has another number of games \(found 6; valid: 4,"):
        netac.run(users | {"evaluate_every": 2, "evaluate_episodes": 4})


# --- overrides ---

def test_overrides_are_accepted_under_both_names():
    table = TABLES | {"iterations": 20}
    one, other = netac.run(table, set={"seed": 3}), netac.run(table, overrides={"seed": 3})
    assert one.summary["parameters_sha256"] == other.summary["parameters_sha256"] and one.summary["seed"] == 3
    compared = netac.compare(table, ["cac"], seeds=1, jobs=1, overrides={"iterations": 3})
    assert compared.rows[0]["env_steps"] == 3
    for call in (lambda **both: netac.run(table, **both), lambda **both: netac.compare(table, ["cac"], **both)):
        with pytest.raises(InputError, match=r"^overrides: means the same as set"):
            call(set={"seed": 3}, overrides={"seed": 3})


# --- old run folders ---

USERS = TABLES | {"algorithm": "iac", "policy": {"factory": "support.user_networks:Counting"}}
CASES = {"linear": TABLES, "networks": MLP | {"algorithm": "iac"}, "trainer": TRAINED, "users": USERS}
NEW = {"linear": ["allow_mixed_hosts", "algorithm.reward_step", "policy.scale", "env.noise", "normalise"],
       "networks": ["allow_mixed_hosts", "policy.entropy", "policy.activation", "critic.activation"],
       "trainer": ["algorithm.epochs", "policy.log_std", "evaluate_episodes", "env.features"],
       "users": ["allow_mixed_hosts", "policy.kwargs", "policy.initial"]}


def forget(file: Path, *keys: str) -> dict:
    """Leave dotted keys out of an experiment file, as if an older netac had written it; the tables as they were."""
    tables = tomllib.loads(file.read_text())
    kept = tomllib.loads(file.read_text())
    for key in keys:
        *parents, last = key.split(".")
        there = kept
        for part in parents:
            there = there[part]
        del there[last]
    file.write_text(tomli_w.dumps(kept))
    return tables


@pytest.mark.parametrize("name", CASES)
def test_keys_that_an_older_file_lacks_count_as_their_defaults(name, tmp_path):
    tables = CASES[name]
    whole = netac.run(tables, out=tmp_path / "run").summary["parameters_sha256"]
    complete = forget(tmp_path / "run" / "experiment.toml", *NEW[name])
    assert netac.run(tables, out=tmp_path / "run", resume=True).summary["parameters_sha256"] == whole
    assert tomllib.loads((tmp_path / "run" / "experiment.toml").read_text()) == complete


@pytest.mark.parametrize(("key", "value"), [("algorithm.reward_step", 0.3), ("policy.scale", 0.5),
                                            ("env.noise", False)])
def test_what_an_older_file_lacks_is_not_something_else(key, value, tmp_path):
    netac.run(TABLES, out=tmp_path / "run")
    forget(tmp_path / "run" / "experiment.toml", key)
    with pytest.raises(InputError, match=f"another experiment, which differs in {key} "):
        netac.run(TABLES, set={key: value}, out=tmp_path / "run", resume=True)


def test_of_another_algorithm_all_that_differs_is_told(tmp_path):
    netac.run(TABLES, out=tmp_path / "run")
    with pytest.raises(InputError, match=r"differs in algorithm.critic, algorithm.name, algorithm.setting"):
        netac.run(TABLES, set={"algorithm.name": "dac"}, out=tmp_path / "run", resume=True)
