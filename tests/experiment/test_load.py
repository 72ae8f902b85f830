"""netac.load: trained networks act in an environment outside netac."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pettingzoo.sisl import pursuit_v5
from programs import zoo
from support.original_pursuit import Original
from support.original_pursuit import make as make_pursuit

import netac
from netac.utils.errors import InputError
from netac.utils.files import load_npz

SMALL = {"x_size": 8, "y_size": 8, "n_evaders": 4, "surround": False, "max_cycles": 12}
PURSUIT = {"agents": 3, "iterations": 6, "envs": 3, "env": {"name": "pursuit", **SMALL}, "topology": "complete",
           "policy": {"name": "cnn", "channels": [3, 4], "shared": ["conv*"]}, "normalise": {"observations": True},
           "algorithm": {"name": "cac", "actor_step": 0.05}}
HERE = str(Path(__file__).parent)
SAMPLER = {"agents": 5, "iterations": 4, "envs": 2, "env": {"factory": "test_load:sampler", "folder": HERE},
           "topology": "disconnected", "allow_disconnected": True,
           "policy": {"name": "mlp", "hidden": [8], "shared": [], "log_std": 1.0, "initial": "independent"},
           "algorithm": "iac"}


def sampler() -> zoo.Sampler:
    """Every kind of space; not `zoo.Sampler` itself, which would be given the number of agents."""
    return zoo.Sampler()


def game(agents: int) -> dict:
    """Networks in the coordination game, all personal."""
    return {"agents": agents, "iterations": 30, "env": "coordination",
            "policy": {"name": "mlp", "hidden": [6], "shared": [], "initial": "independent"},
            "algorithm": {"name": "cac", "actor_step": 0.05}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Run folders: pursuit, sampler, one, two (agents of the coordination game)."""
    folder = tmp_path_factory.mktemp("runs")
    for name, tables in {"pursuit": PURSUIT, "sampler": SAMPLER, "one": game(1), "two": game(2)}.items():
        netac.run(tables, out=folder / name)
    return folder


def state(agents: int) -> dict[str, np.ndarray]:
    return {f"agent_{k}": np.ones(1, np.float32) for k in range(agents)}


def test_agents_of_netacs_pursuit_act_on_pettingzoos(runs):
    env = pursuit_v5.parallel_env(n_pursuers=3, **SMALL)
    policies = netac.load(runs / "pursuit")
    observations, _ = env.reset(seed=0)
    assert policies.names == tuple(env.possible_agents)
    steps = 0
    while env.agents:
        actions = policies(observations)
        assert list(actions) == env.agents
        assert all(env.action_space(name).contains(action) for name, action in actions.items())
        observations, *_ = env.step(actions)
        steps += 1
    assert steps == 12


def test_both_pursuits_show_the_same(runs):
    """The layout of observations, agent by agent: what is learned in one means the same in the other."""
    theirs = Original.begin(3, 5, **SMALL)
    ours = make_pursuit(3, 1, **SMALL)
    ours.begin(0, 0)
    pursuers, evaders = theirs.positions()
    ours.set_state(ours.get_state() | {"pursuers": pursuers[:, None], "evaders": evaders[:, None]})
    for name, mine in zip(ours.names, ours.observe(range(3)), strict=True):
        np.testing.assert_array_equal(mine[0], theirs.first_observations[name])
    assert len({mine.tobytes() for mine in ours.observe(range(3))}) == 3      # and agents see different things


def test_every_kind_of_space(runs):
    """The environment asserts that its action spaces contain the actions; vectors beyond bounds are common here."""
    env, policies = zoo.Sampler(length=200), netac.load(runs / "sampler")
    observations, _ = env.reset(seed=3)
    while env.agents:
        observations, *_ = env.step(policies(observations))
    vectors = np.concatenate([given["whole"].ravel() for given in env.given])
    assert vectors.min() == -1.0 and vectors.max() == 2.0 and len(set(vectors)) > 300
    assert ({int(given["scalar"]) for given in env.given} == {-1, 0}
            and {int(given["box"]) for given in env.given} == {0, 1, 2})
    greedy = netac.load(runs / "sampler", greedy=True)
    assert all(np.array_equal(one, greedy(observations)[name]) for name, one in greedy(observations).items())


def chances(folder: Path, observations: dict[str, np.ndarray]) -> np.ndarray:
    """Probabilities of the CNN's actions from nothing but the checkpoint's numbers: (N, 5)."""
    kept = load_npz(max((folder / "checkpoints").glob("*.npz")))
    found = []
    sizes = {"conv1.weight": (3, 3, 3, 3), "conv1.bias": (3,), "conv2.weight": (4, 3, 3, 3), "conv2.bias": (4,),
             "output.weight": (5, 36), "output.bias": (5,)}
    theta = netac.load_result(folder).parameters["theta"]
    for k, shown in enumerate(observations.values()):
        numbers, at = {}, 0
        for name, shape in sizes.items():
            numbers[name] = torch.tensor(theta[k, at:at + np.prod(shape)].reshape(shape))
            at += np.prod(shape)
        assert at == theta.shape[1]
        count, mean, squares = np.split(kept["rows_observation_statistics"][k], [1, 148])
        x = (shown.astype(float).ravel() - mean) / np.sqrt(squares / count + 1e-8)
        x = torch.tensor(np.clip(x, -10, 10).reshape(1, 7, 7, 3), dtype=torch.float32).permute(0, 3, 1, 2)
        for layer in ("conv1", "conv2"):
            x = torch.relu(torch.nn.functional.conv2d(x, numbers[f"{layer}.weight"], numbers[f"{layer}.bias"]))
        logits = x.reshape(1, -1) @ numbers["output.weight"].T + numbers["output.bias"]
        found.append(torch.softmax(logits.double(), dim=1).numpy()[0])
    return np.stack(found)


def test_actions_are_those_of_the_trained_networks(runs):
    observations, _ = pursuit_v5.parallel_env(n_pursuers=3, **SMALL).reset(seed=2)
    wanted = chances(runs / "pursuit", observations)
    assert np.abs(wanted - 0.2).max() > 0.05                       # something was learned
    policies = netac.load(runs / "pursuit", seed=4)
    drawn = np.array([[int(action) for action in policies(observations).values()] for _ in range(2000)])
    for k in range(3):
        found = np.bincount(drawn[:, k], minlength=5) / 2000
        assert np.abs(found - wanted[k]).max() < 5 * np.sqrt(0.25 / 2000)
    greedy = netac.load(runs / "pursuit", greedy=True)(observations)
    assert [int(action) for action in greedy.values()] == wanted.argmax(axis=1).tolist()


@pytest.mark.parametrize(("name", "agents"), [("one", 1), ("two", 2)])
def test_greedy_agents_do_what_they_do_when_evaluated(runs, name, agents):
    found = netac.evaluate(runs / name, episodes=2, steps=5, greedy=True)
    taken = netac.load(runs / name, greedy=True)(state(agents))
    assert (found.actions == np.array(list(taken.values()))).all() and found.actions.shape == (2, 5, agents)


def test_draws_are_an_agents_own(runs):
    def play(seed: int, who: list[str]) -> list[dict]:
        policies = netac.load(runs / "two", seed=seed)
        return [policies({name: state(2)[name] for name in who}) for _ in range(50)]

    both = play(0, ["agent_0", "agent_1"])
    assert both == play(0, ["agent_0", "agent_1"]) != play(1, ["agent_0", "agent_1"])
    assert play(0, ["agent_1"]) == [{"agent_1": each["agent_1"]} for each in both]
    assert [list(each) for each in play(0, [])] == [[]] * 50
    assert list(netac.load(runs / "two")(dict(reversed(state(2).items())))) == ["agent_1", "agent_0"]


@pytest.mark.parametrize(("observations", "says"), [
    ({"agent_2": np.ones(1)}, r"no such agent \(found 'agent_2'; valid: agent_0, agent_1\)"),
    ({"agent_1": np.ones(3)}, r"'agent_1': the observation is not an array of \(1,\) numbers .*valid: shape \(1,\)"),
    ({"agent_1": [[1], [2, 3]]}, "not an array"), ({"agent_1": ["x"]}, "not an array"),
    ({"agent_1": None}, "not an array"), ({"agent_0": np.array([np.nan])}, "'agent_0': the observation holds nan"),
    (({}, {}), "should be a dictionary .*found 'tuple'"),
])
def test_observations_that_do_not_fit(runs, observations, says):
    with pytest.raises(InputError, match=says):
        netac.load(runs / "two")(observations)


@pytest.mark.parametrize(("observations", "says"), [
    ({"nobody": 0}, "no such agent .*valid: box, scalar, whole, many, dict"),
    ({"box": np.ones((3, 2))}, r"'box': observation has shape \(3, 2\) instead of \(2, 3\)"),
    ({"whole": 7}, r"'whole': observation is not in Discrete\(4, start=2\)"),
    ({"dict": {"z": np.ones(2)}}, r"'dict': observation\['a'\] is missing"),
])
def test_observations_that_do_not_fit_their_space(runs, observations, says):
    with pytest.raises(InputError, match=says):
        netac.load(runs / "sampler")(observations)


def test_runs_that_cannot_be_loaded(runs, tmp_path):
    netac.run({"agents": 2, "iterations": 2, "env": "coordination", "algorithm": "cac"}, out=tmp_path / "linear")
    with pytest.raises(InputError, match="linear: the agents of this run are linear"):
        netac.load(tmp_path / "linear")
    with pytest.raises(InputError, match="nowhere"):
        netac.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="seed: should be a whole number"):
        netac.load(runs / "one", seed=-1)
