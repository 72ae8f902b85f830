"""No algorithm keeps what it does not declare: every file, and those CONTRIBUTING.md shows, is stopped and resumed.

A file with other choices (`Literal`, `bool`) among the options of its own is run with each of them.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import tomli_w
from support.launching import ROOT, environment
from support.neural_variants import policy_of
from support.pages import shown_files
from support.run_folders import stopped_copy
from support.variants import SMALL_MDP

import netac
from netac.comm import checkpoints
from netac.experiment.config import ALGORITHMS
from netac.utils import plugins

SHOWN = {path: text for path, text in shown_files("CONTRIBUTING.md").items() if path.startswith("netac/algorithms/")}
NAMES = [*plugins.module_names(ALGORITHMS), *(Path(path).stem for path in SHOWN)]
STOPPED_AT, ITERATIONS = 3, 6
FEW = {"rollout": 4, "epochs": 2, "minibatches": 2, "critic_minibatches": 2, "batch": 3, "buffer": 30, "warmup": 9,
       "updates": 2, "inner_steps": 2, "team_reward": "mean"}


@pytest.fixture
def offer(tmp_path, monkeypatch) -> Callable[[dict[str, str]], None]:
    """`offer({"netac/algorithms/decentralized/pac.py": text})`: netac has these files, too."""
    def files(texts: dict[str, str]) -> None:
        for path, text in texts.items():
            package, folder = str(Path(path).parent).replace("/", "."), (tmp_path / path).parent
            folder.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
            parent, name = importlib.import_module(package), Path(path).stem
            if str(folder) not in parent.__path__:
                monkeypatch.setattr(parent, "__path__", [*parent.__path__, str(folder)])
            monkeypatch.setattr(parent, name, None, raising=False)          # and is as before afterwards
            monkeypatch.setitem(sys.modules, f"{package}.{name}", None)
            monkeypatch.delitem(sys.modules, f"{package}.{name}")
        importlib.invalidate_caches()

    return files


def experiment(name: str, **options: Any) -> dict[str, Any]:
    """A few iterations of an algorithm, with a checkpoint in the middle."""
    module = plugins.module(ALGORITHMS, name, "algorithm")
    few = {key: value for key, value in FEW.items() if key in module.Settings.model_fields} | options
    networks = {"envs": 2, "policy": policy_of(name, {"name": "mlp", "hidden": [4]})}
    agents, env = SMALL_MDP
    if "cost_limit" in module.Settings.model_fields:
        few, env = few | {"cost_limit": 0.4}, env | {"costs": True}
    return {"agents": agents, "iterations": ITERATIONS, "seed": 3, "env": env, "topology": "path", "log_every": 2,
            "checkpoint_every": STOPPED_AT, "algorithm": {"name": name, **few},
            **(networks if ".centralized." in module.__name__ else {})}


def switches(name: str) -> list[dict[str, Any]]:
    """No option, and every other choice of the options that an algorithm's file adds itself."""
    settings, found = plugins.module(ALGORITHMS, name, "algorithm").Settings, [{}]
    for key in settings.__annotations__.keys() & settings.model_fields.keys():
        kind, usual = settings.model_fields[key].annotation, settings.model_fields[key].default
        choices = (False, True) if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
        found += [{key: choice} for choice in choices if choice != usual]
    return found


def differing(tables: dict[str, Any], folder: Path) -> set[str]:
    """What comes out otherwise of a run that is stopped in the middle and resumed: "parameters", columns of metrics."""
    whole = netac.run(tables, out=folder / "whole")
    stopped = stopped_copy(folder / "whole", folder / "stopped", STOPPED_AT)
    assert checkpoints.newest(stopped / "checkpoints")["progress"][0] == STOPPED_AT
    resumed = netac.run(tables, out=stopped, resume=True)
    assert whole.metrics.keys() == resumed.metrics.keys()
    found = {name for name, column in whole.metrics.items()
             if name != "seconds" and not np.array_equal(column, resumed.metrics[name], equal_nan=True)}
    one, other = whole.summary["parameters_sha256"], resumed.summary["parameters_sha256"]
    return found | ({"parameters"} if one != other else set())


@pytest.mark.parametrize("name", NAMES)
def test_an_algorithm_that_is_stopped_goes_on_to_the_same_end(name, tmp_path, offer):
    offer(SHOWN)
    for number, options in enumerate(switches(name)):
        assert differing(experiment(name, **options), tmp_path / str(number)) == set(), options


def test_every_file_and_every_choice_is_looked_at():
    assert {"cac", "iac", "dac", "mdac", "dnac", "happo", "maddpg", "pac", "maa2c"} <= set(NAMES)
    assert switches("cac") == [{}, {"tracking": True}] and len(switches("dac")) == 3


KEEPING = '''
"""Everybody follows a sum of its gradients that fades and is mixed."""

import numpy as np

from netac.agents.parameters import like, numbers, per_edge
from netac.algorithms.decentralized._base import Requirements, SingleSample
from netac.sampling.tabular import RUNNING


class Settings(SingleSample):
    """None of its own."""


def requirements(settings):
    """What is kept."""
    return Requirements({declared})


def iterations(agents, sampler, network, settings, times):
    """Iterations t in `times`."""
    x, policy = agents.parameters, agents.policy
    y = {kept}
    for t in times:
        b = sampler.sample(x.theta, feed=RUNNING)
        y[...] = network.mix(t, y) / 2 + {shaped}(policy.gradient(x.theta, b, b.r))
        x.theta += 0.1 * {used}
        yield
'''
WHOLE = {"shaped": "", "used": "y"}
PLACES = {
    "declared": {"declared": 'state={"y": like("theta")}', "kept": 'x["y"]', **WHOLE},
    "mixed": {"declared": 'state={"y": like("shared", "personal")}, mixed=("y",)', "kept": "x.mixed", **WHOLE},
    "of another type": {"declared": 'state={"y": like("theta", dtype="float32")}', "kept": 'x["y"]',
                        "shaped": "np.float32", "used": "y"},
    "so many numbers": {"declared": 'state={"z": numbers(2), "y": numbers(1)}', "kept": 'x["y"]',
                        "shaped": "(lambda g: g.sum(axis=1, keepdims=True))", "used": "y"},
    "for every edge": {"declared": 'state={"y": per_edge("theta")}', "kept": 'x.flat[:, x.layout.columns["y"]]',
                       "shaped": "(lambda g: np.tile(g, 3))", "used": 'x["y"][:, -1]'},
    "local": {"declared": "", "kept": "np.zeros_like(x.theta)", **WHOLE},
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_kept_in_a_local_variable_is_noticed(place, tmp_path, offer):
    """The same algorithm five times with a tracker that is declared, and once with one that is not."""
    text = KEEPING
    for word, replaced in PLACES[place].items():
        text = text.replace(f"{{{word}}}", replaced)
    offer({"netac/algorithms/decentralized/keeping.py": text})
    found = differing(experiment("keeping"), tmp_path)
    assert found >= {"parameters", "J"} if place == "local" else found == set()


def test_a_run_that_is_killed_goes_on_to_the_same_end(tmp_path):
    """With kill -9, and the trackers where they were."""
    tables = experiment("cac", tracking=True) | {"iterations": 5000, "log_every": 500, "checkpoint_every": 500}
    out, file = tmp_path / "run", tmp_path / "game.toml"
    file.write_text(tomli_w.dumps(tables))
    process = subprocess.Popen([sys.executable, "-m", "netac", "run", file, "--out", out], cwd=ROOT, env=environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not checkpoints.existing(out / "checkpoints") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert checkpoints.existing(out / "checkpoints") and not (out / "summary.json").exists()
    resumed, whole = netac.run(file, out=out, resume=True), netac.run(file)
    assert resumed.summary["parameters_sha256"] == whole.summary["parameters_sha256"]
    assert np.array_equal(resumed.metrics["J"], whole.metrics["J"])
