"""Bad input of every kind: exit status 2, one message that names file, key, found and valid, nothing left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from support.launching import environment

from netac import cli
from netac.experiment import config, linear_agents
from netac.utils import plugins
from netac.utils.errors import InputError

SHARED = Path(__file__).parents[2] / "examples" / "data" / "networked_mdp_6x5.npz"
COORDINATION = {
    "agents": 4, "iterations": 5, "seed": 0, "log_every": 10, "checkpoint_every": 1000, "allow_disconnected": False,
    "allow_mixed_hosts": False, "allow_changed_files": False, "patience": 0,
    "stagger": 0, "tensorboard": False, "envs": 1, "critic": {}, "reward_model": {},
    "evaluate_every": 0, "evaluate_episodes": 32, "evaluate_greedy": False, "evaluate_steps": 10,
    "normalise": {"observations": False, "rewards": False},
    "network": {"loss": {"probability": 0.1, "both_ways": False}, "allow_insecure": False},
    "env": {"name": "coordination", "features": "onehot", "noise": True},
    "topology": {"name": "periodic-complete", "period": 2, "weights": "metropolis"},
    "policy": {"name": "tabular", "shared": ["*"], "initial": "zeros", "scale": 0.1},
    "algorithm": {"name": "cac", "gamma": 0.9, "actor_step": 0.05, "critic_step": 0.1, "reward_step": 0.1,
                  "sampling": "markov", "omega_radius": 10.0, "lambda_radius": 10.0, "tracking": False,
                  "discounted_gradient": False,
                  "optimizer": "plain",
                  "adam_beta1": 0.9, "adam_beta2": 0.99, "adam_epsilon": 1e-5, "clip": 1.0, "actor_radius": 2.0,
                  "cppo": {"reward": "consensus", "rounds": 1, "mix_moments": False},
                  "dinno-ppo": {"rho": 0.1, "rho_growth": 1.0, "moments": "fresh"},
                  "matrpo": {"sweeps": 2, "rho": 1.0, "delta": 0.01, "damping": 0.1, "conjugate_gradients": 10,
                             "backtracks": 10, "accept": 0.1},
                  "mdac": {"batch": 5, "critic_batch": 5, "critic_rounds": 1, "mixing_rounds": 0, "reward_rounds": 1,
                           "reward_noise": 0.0},
                  "dac": {"critic": "state_value", "setting": "discounted"},
                  "dnac": {"natural_step": 0.1, "inner_steps": 1, "inner_rounds": 1},
                  "coma": {"baseline": "counterfactual", "baseline_pairs": 4},
                  "maddpg": {"buffer": 1000, "warmup": 100, "updates": 2, "tau": 0.01, "noise": 0.2, "epsilon": 0.1,
                             "temperature": 1.0, "penalty": 1e-3},
                  "qmix": {"target_every": 200, "double": True, "epsilon_start": 1.0, "epsilon_samples": 50_000,
                           "mixing_width": 32},
                  "qdpp": {"features": 16},
                  "mappo-lagrangian": {"cost_limit": [0.5], "multiplier": 1.0, "multiplier_step": 0.5},
                  "haml": {"drift": "clip", "drift_coefficient": 1.0, "neighbourhood": "everywhere"},
                  "mat": {"critic_weight": 1.0},
                  "mappo": {"parameters": "shared"}, "hatrpo": {
                      "delta": 0.01, "damping": 0.1, "conjugate_gradients": 10, "backtracks": 10, "accept": 0.1},
                  "happo": {
                      "gae_lambda": 0.95, "rollout": 10, "epochs": 2, "critic_epochs": 2, "minibatches": 1,
                      "critic_minibatches": 1, "chunk": 10, "entropy": 0.01, "decay": "none", "team_reward": "mean",
                      "advantages": "joint",
                      "value_normalisation": True, "huber": 10.0, "value_clip": 0.2, "time_limits": "bootstrap",
                      "clip_range": 0.2, "clip_over_agents": False, "order": "random"}}}
MDP = COORDINATION | {
    "agents": 2, "topology": {"name": "ring", "weights": "lazy-metropolis"},
    "env": {"name": "finite-mdp", "seed": 1, "recipe": "zhang", "states": 3, "actions": 2, "noise": 0.5, "costs": True,
            "features": "onehot"}}
ELSEWHERE = {"spatial_discount": 0.9}        # needs an environment with a graph
NAN, INF = float("nan"), float("inf")
WRONG = {int: ["5", True, 1.5, NAN, -1, 10**30, [1], {}], float: ["0.1", True, NAN, INF, -0.5, 1e30, [0.1]],
         bool: ["yes", 1, 0.0, []], str: [7, 1.5, False, "no-such-thing", [], {}],
         list: ["*", 1, [1], {"a": 1}, ["zzz*"]]}
NUMBERS = {"cost_limit": ["5", True, NAN, INF, 1e30, "*", [True], ["5"], [[1.0]], {}]}       # one, or several


def leaves(table: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """(keys, value) of every value in nested tables."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def changed(tables: dict, path: tuple[str, ...], value: object = None, name: str | None = None) -> dict:
    """The tables with the value at `path` replaced, or its key renamed to `name`."""
    first, *rest = path
    if rest:
        return tables | {first: changed(tables[first], tuple(rest), value, name)}
    if name is None:
        return tables | {first: value}
    return {name if key == first else key: inner for key, inner in tables.items()}


def misspelt(key: str) -> str:
    """The key with its last two letters exchanged (a doubled one: one more)."""
    swapped = key[:-2] + key[-1] + key[-2]
    return swapped if swapped != key else key + key[-1]


def wrong_values() -> Iterator[tuple[str, dict, str]]:
    """(title, tables, what the message must name) for values of the wrong type or out of range."""
    for title, base in (("coordination", COORDINATION), ("mdp", MDP), ("elsewhere", COORDINATION | ELSEWHERE)):
        for path, value in leaves(base):
            if title == "elsewhere" and path[0] not in ELSEWHERE:
                continue
            if title == "mdp" and path[0] not in ("env", "agents"):
                continue
            for wrong in NUMBERS.get(path[-1], WRONG[type(value)]):
                yield f"{title} {'.'.join(path)} {wrong!r:.20}", changed(base, path, wrong), path[-1]


def misspellings() -> Iterator[tuple[str, dict, tuple[str, str]]]:
    """(title, tables, (wrong, right)) for every key of every table."""
    for title, base in (("coordination", COORDINATION), ("mdp", MDP)):
        tables = ([((name,), None) for name in ("env", "topology", "policy", "algorithm")]
                  if title == "coordination" else [])
        for path, _ in [*leaves(base), *tables]:
            if path[-1] == "name" or (title == "mdp" and path[0] != "env"):
                continue
            yield (f"{title} {'.'.join(path)}", changed(base, path, name=misspelt(path[-1])),
                   (misspelt(path[-1]), path[-1]))


WRONG_VALUES = list(wrong_values())
MISSPELLINGS = list(misspellings())
ALSO_NEAR = {"envs": ["env"], "adam_beta1": ["adam_beta2"], "adam_beta2": ["adam_beta1"]}
MISSING = [("agents",), ("iterations",), ("env",), ("algorithm",), ("env", "name"), ("topology", "name"),
           ("algorithm", "name")]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> Callable[..., str]:
    """`refused(tables or bytes, *arguments)`: the one message with which `netac run` refuses that file."""
    monkeypatch.chdir(tmp_path)

    def run(content: dict | bytes, *arguments: str, names_file: bool = True) -> str:
        file, out = tmp_path / "bad file.toml", tmp_path / "out"
        file.write_bytes(content if isinstance(content, bytes) else tomli_w.dumps(content).encode())
        monkeypatch.setattr(sys, "argv", ["netac", "run", str(file), "--out", str(out), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said, told = capfd.readouterr()
        told = "".join(line for line in told.splitlines(True) if not line.endswith(" ...\n"))      # what takes over 2 s
        assert ended.value.code == 2, said + told
        assert said == "" and told.startswith("netac: error: ") and told.endswith("\n") and told.count("\n") == 1, told
        assert not out.exists() and not (tmp_path / "runs").exists()
        assert not names_file or str(file) in told, told
        return told

    return run


def test_there_are_at_least_200_malformed_files():
    assert len(WRONG_VALUES) + len(MISSPELLINGS) + len(MISSING) + len(TEXTS) >= 200


@pytest.mark.parametrize(("tables", "key"), [case[1:] for case in WRONG_VALUES], ids=[case[0] for case in WRONG_VALUES])
def test_wrong_values(refused, tables, key):
    told = refused(tables)
    unseen = "allow_disconnected = true" in told                                     # a period too long to be a period
    assert unseen or (key in told and ("found" in told or "there is no" in told))


@pytest.mark.parametrize(("tables", "words"), [case[1:] for case in MISSPELLINGS],
                         ids=[case[0] for case in MISSPELLINGS])
def test_misspelt_keys(refused, tables, words):
    told = refused(tables)
    meant = [words[1], *ALSO_NEAR.get(words[1], [])]
    assert any(f"did you mean '{key}'" in told for key in meant) and words[0] in told and "valid: " in told


@pytest.mark.parametrize("path", MISSING, ids=".".join)
def test_missing_keys(refused, path):
    tables = changed(COORDINATION, path, name="seed") if len(path) == 1 else changed(COORDINATION, path[:1], {
        key: value for key, value in COORDINATION[path[0]].items() if key != path[1]})
    assert path[-1] in refused(tables)


TEXTS = {
    "empty": b"", "a word": b"agents", "no value": b"agents =", "two values": b"agents = 1 2", "open string": b'a = "x',
    "open table": b"[algorithm", "twice": b"agents = 1\nagents = 2", "not UTF-8": b'a = "\xff\xfe"',
    "zeros": bytes(100), "binary": bytes(range(256)), "an image": b"\x89PNG\r\n\x1a\n", "json": b'{"agents": 3}',
    "yaml": b"agents: 3\n",
    "deep": b"a = " + b"[" * 5000 + b"]" * 5000, "long number": b"agents = " + b"9" * 5000,
    "date": b"agents = 1979-05-27", "env a number": b'agents = 2\niterations = 3\nenv = 3\nalgorithm = "cac"',
    "algorithm a list": b'agents = 2\niterations = 3\nenv = "coordination"\nalgorithm = ["cac"]',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_files_that_are_no_experiments(refused, text):
    refused(text)


@pytest.mark.parametrize(("key", "wrong", "right"), [
    ("algorithm.name", "cca", "cac"), ("env.name", "cordination", "coordination"), ("topology.name", "rign", "ring"),
    ("topology.weights", "metropoli", "metropolis")])
def test_misspelt_names(refused, key, wrong, right):
    told = refused(changed(COORDINATION, tuple(key.split(".")), wrong))
    assert f"did you mean '{right}'" in told and key in told and repr(wrong) in told


@pytest.mark.parametrize("text", ["agents", "=3", "a b=1", "agents=", "agents=many", "agents=[", "agents=nan",
                                  "agents=-1", "algorithm.nam=dac", "algorithm.batchh=2", "nonsense=1",
                                  "env.features=one", "seed.x=1",
                                  "topology.period=0", "policy.shared=[1]", "algorithm=7", "topology=no/such.py",
                                  "policy=7", "agents=" + "[" * 5000, "agents=" + "9" * 5000, "topology=ring.tx"])
def test_bad_overrides(refused, text):
    told = refused(COORDINATION, "--set", text, names_file=False)
    assert "--set" in told or text.partition("=")[0].split(".")[0] in told


def test_two_overrides_that_cannot_both_be(refused):
    assert "agents" in refused(COORDINATION, "--set", "agents=4", "--set", "agents.x=4", names_file=False)


@pytest.mark.parametrize(("change", "says"), [
    ({"agents": 10**7}, "each agent would hold 80,000,0"),
    ({"agents": 200_000, "topology": "complete", "env": {"name": "coordination", "features": "histogram"}},
     "most of it for the topology"),
    ({"env": {"name": "finite-mdp", "seed": 1, "states": 10_000, "actions": 1000}}, "would not fit into memory"),
    ({"env": {"name": "finite-mdp"}}, "needs either `path`"),
    ({"env": {"name": "finite-mdp", "path": str(SHARED), "seed": 1}}, "not both"),
    ({"env": {"name": "finite-mdp", "path": str(SHARED)}}, "`agents = 6`"),
    ({"env": {"name": "finite-mdp", "path": "missing.npz"}}, "there is no such file"),
    ({"env": "missing.npz"}, "there is no such file"),
    ({"algorithm": {"name": "cac", "sampling": "iid"}}, "finite MDPs only"),
    ({"algorithm": {"name": "mdac", "batch": 3, "critic_batch": 4}}, "critic_batch"),
    ({"algorithm": {"name": "cac", "sampling": "double", "discounted_gradient": True}}, "leave it out"),
    ({"algorithm": {"name": "mdac", "sampling": "stationary", "discounted_gradient": True}}, 'use "markov"'),
    ({"algorithm": {"name": "dac", "setting": "average", "discounted_gradient": True}}, 'setting = "discounted"'),
    ({"algorithm": {"name": "cac", "actor_step": {"c": 1.0}}}, "algorithm.actor_step"),
    ({"algorithm": {"name": "cac", "actor_step": {"c": 1.0, "sigma": 7.0}}}, "sigma"),
    ({"policy": {"shared": ["s9.*"]}}, "the pattern matches no parameter"),
    ({"policy": {"name": "log-linear"}}, "need features"),
    ({"policy": {"features": "x.npz"}}, "tabular ones have none"),
    ({"policy": {"name": "log-linear", "features": "x.npz"}}, "there is no such file"),
    ({"topology": {"path": "missing.py"}}, "there is no such topology file"),
    ({"topology": {"name": "ring", "path": "x.py"}}, "needs one of the keys name and path"),
    ({"topology": {"name": "hypercube"}, "agents": 5}, "hypercube"),
    ({"topology": "disconnected"}, "allow_disconnected = true"),
    ({"topology": {"name": "ring", "weights": "uniform"}}, "uniform"),
    ({"env": {"factory": "os"}}, "env.factory"),
    ({"env": {"factory": "no.such.module:make"}}, "cannot be imported"),
    ({"env": {"factory": "os:getcwd"}}, "fails as an environment"),
    ({"env": {"factory": "builtins:dict"}}, "fails as an environment"),
    ({"env": {"factory": "os:path.join", "kwargs": 3}}, "kwargs"),
    ({"env": {"factory": "builtins:int", "kwargs": {"x": "y"}}}, "builtins:int"),
])
def test_what_does_not_fit_together(refused, change, says):
    assert says in refused(COORDINATION | change, names_file=not says.startswith("`agents"))


def saved(path: Path, **arrays: object) -> str:
    np.savez(path, **arrays)
    return str(path)


P = np.full((2, 4, 2), 0.5)
R = np.zeros((2, 4, 2))
MODELS = {
    "no P": {"r": R, "xi": [0.5, 0.5]},
    "rows that do not sum to 1": {"P": P * 0.9, "r": R, "xi": [0.5, 0.5]},
    "negative": {"P": P * [3, -1], "r": R, "xi": [0.5, 0.5]},
    "not a number": {"P": P * np.nan, "r": R, "xi": [0.5, 0.5]},
    "infinite rewards": {"P": P, "r": R + np.inf, "xi": [0.5, 0.5]},
    "xi does not sum to 1": {"P": P, "r": R, "xi": [0.5, 0.6]},
    "xi of three states": {"P": P, "r": R, "xi": [0.5, 0.25, 0.25]},
    "rewards of three agents": {"P": P, "r": np.zeros((2, 4, 3)), "xi": [0.5, 0.5]},
    "flat": {"P": np.ones(3), "r": np.ones(3), "xi": [1.0]},
    "text": {"P": np.full((2, 4, 2), "half"), "r": R, "xi": [0.5, 0.5]},
    "objects": {"P": np.array([None, 1], dtype=object), "r": R, "xi": [0.5, 0.5]},
    "gamma 1": {"P": P, "r": R, "xi": [0.5, 0.5], "gamma": 1.0},
    "gamma text": {"P": P, "r": R, "xi": [0.5, 0.5], "gamma": "0.9"},
    "gamma of two": {"P": P, "r": R, "xi": [0.5, 0.5], "gamma": [0.9, 0.9]},
    "theta0 of another shape": {"P": P, "r": R, "xi": [0.5, 0.5], "theta0": np.zeros((2, 3))},
    "theta0 text": {"P": P, "r": R, "xi": [0.5, 0.5], "theta0": np.full((2, 2, 2), "a")},
    "complex": {"P": P.astype(complex), "r": R, "xi": [0.5, 0.5]},
    "empty": {"P": np.zeros((0, 4, 0)), "r": np.zeros((0, 4, 2)), "xi": np.zeros(0)},
}


@pytest.mark.parametrize("arrays", MODELS.values(), ids=MODELS)
def test_models_that_are_none(refused, tmp_path, arrays):
    path = saved(tmp_path / "model.npz", **arrays)
    assert path in refused(MDP | {"env": path}, names_file=False)


@pytest.mark.parametrize("content", [b"", b"not an archive", SHARED.read_bytes()[:5000]], ids=["empty", "text", "cut"])
def test_archives_that_are_none(refused, tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    assert "is not a whole .npz file" in refused(MDP | {"env": "./model.npz"}, names_file=False)


@pytest.mark.parametrize("x", [np.zeros((3, 3, 2)), np.zeros((3, 2)), np.full((3, 2, 4), np.nan), np.zeros((3, 2, 0)),
                               np.full((3, 2, 4), "a"), np.zeros((5, 3, 2, 1)), np.float64(3)],
                         ids=lambda x: str(x.shape))
def test_policy_features_that_do_not_fit(refused, tmp_path, x):
    path = saved(tmp_path / "x.npz", x=x)
    assert path in refused(MDP | {"policy": {"name": "log-linear", "features": path}}, names_file=False)


@pytest.mark.parametrize("arrays", [{"phi": np.eye(3)}, {"phi": np.eye(2), "psi": np.zeros((3, 4, 1))},
                                    {"phi": np.eye(3), "psi": np.zeros((3, 5, 1))},
                                    {"phi": np.ones(3), "psi": np.ones(3)},
                                    {"phi": np.full((3, 2), "a"), "psi": np.zeros((3, 4, 1))},
                                    {"phi": np.eye(3), "psi": np.full((3, 4, 1), np.inf)}], ids=lambda a: ",".join(a))
def test_critic_features_that_do_not_fit(refused, tmp_path, arrays):
    path = saved(tmp_path / "phi.npz", **arrays)
    assert path in refused(MDP | {"env": MDP["env"] | {"features": path}}, names_file=False)


@pytest.mark.parametrize(("lines", "says"), [
    ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
    ("def make(): raise SystemExit", "failed: SystemExit: "),
    ("import pettingzoo", '(found \'{}:make\'; valid: pip install "netac[pettingzoo]")'),
    ("import mpe2.simple_spread_v3", 'valid: pip install "netac[pettingzoo]"'),
    ("def make(): import gymnasium", 'valid: pip install "netac[pettingzoo]"'),
    ("import no_such_package", "valid: an importable \"package.module:function\"")])
def test_users_modules_that_end_python_or_lack_a_package(tmp_path, monkeypatch, lines, says):
    for package in ("pettingzoo", "mpe2", "gymnasium"):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"{package}.simple_spread_v3", raising=False)
    name = f"users_{abs(hash(lines))}"
    (tmp_path / f"{name}.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    factory = plugins.Factory(factory=f"{name}:make")
    with pytest.raises(InputError, match=f"^env.factory: .*{re.escape(says.format(name))}"):
        plugins.call(plugins.import_path(factory, "env"), factory, "env")


@pytest.mark.parametrize("name", [".", "missing.toml", "bad\nname.toml", "x" * 300 + ".toml"])
def test_what_is_no_file(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["netac", "run", name])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capfd.readouterr().err
    assert ended.value.code == 2 and told.startswith("netac: error: ") and told.count("\n") == 1, told


@pytest.mark.parametrize("command", ["run", "graph"])
def test_in_a_process_of_its_own(tmp_path, command):
    file = tmp_path / "bad.toml"
    file.write_text(tomli_w.dumps(changed(COORDINATION, ("agents",), -4)))
    done = subprocess.run([sys.executable, "-m", "netac", command, str(file)], env=environment(), cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"netac: error: {file}: agents: should be greater than or equal to 1 (found -4; "
                                  "valid: N, ")


def test_the_base_files_are_valid_and_have_every_option(tmp_path, monkeypatch):
    for tables in (COORDINATION, MDP):
        config.read(tables).experiment()
    written = {path[-1] for tables in (COORDINATION, MDP) for path, _ in leaves(tables)} | set(COORDINATION)
    models = [config.Experiment, linear_agents.Policy]
    models += [plugins.module(config.ALGORITHMS, name, "").Settings for name in plugins.module_names(config.ALGORITHMS)]
    models += [plugins.module(config.ENVIRONMENTS, name, "").Settings for name in ("coordination", "finite-mdp")]
    assert {name for model in models for name in model.model_fields} - written == {"path", *ELSEWHERE}
