"""Every algorithm against its independent plain-NumPy transcription: from seed to parameters, 60 iterations, 1e-10."""

import numpy as np
import pytest
from oracles import sampling as games
from oracles import transcription

from netac import topology
from netac.experiment.run import run

ITERATIONS, SEED = 60, 7
STATES, MDP_SEED = 3, 11


def finite_mdp(agents, actions=2, recipe="zhang"):
    """netac's environment table and the transcription's game, of the same random MDP with noisy rewards."""
    from netac.envs.finite_mdp import random_mdp
    mdp = random_mdp(MDP_SEED, agents, STATES, actions, recipe)
    noise = 0.5 if recipe == "zhang" else 0.0
    table = {"name": "finite-mdp", "seed": MDP_SEED, "states": STATES, "actions": actions, "recipe": recipe}
    return table, games.FiniteGame(mdp.P, mdp.r, mdp.xi, noise=noise)


def coordination(agents, features="onehot"):
    return {"name": "coordination", "features": features}, games.CoordinationGame(agents, features)


SETTINGS = {
    "coordination-5": (5, *coordination(5), {"name": "periodic-complete", "period": 5}),
    "coordination-4-histogram-gossip": (4, *coordination(4, "histogram"),
                                        {"name": "gossip", "base": "ring", "seed": 3}),
    "mdp-3-ring": (3, *finite_mdp(3), "ring"),
    "mdp-4-gossip": (4, *finite_mdp(4, recipe="folded-normal"), {"name": "gossip", "base": "ring", "seed": 3}),
    "mdp-2": (2, *finite_mdp(2, actions=3), "path"),
    "mdp-1": (1, *finite_mdp(1), "complete"),
    "coordination-1": (1, *coordination(1), "complete"),
    "mdp-4-disconnected": (4, *finite_mdp(4), "disconnected"),
}
STEPS = {"alpha": 0.05, "beta": 0.1}
NETAC_STEPS = {"actor_step": 0.05, "critic_step": 0.1, "gamma": 0.9}


def netac(where, algorithm, options, **more):
    agents, env, _, graphs = SETTINGS[where]
    return run({"agents": agents, "iterations": ITERATIONS, "seed": SEED, "env": env, "topology": graphs,
                "allow_disconnected": True, "algorithm": {"name": algorithm, **NETAC_STEPS, **options},
                **more}).parameters


def oracle(where, algorithm, **options):
    agents, _, game, graphs = SETTINGS[where]
    loaded = topology.load(graphs, agents)
    return getattr(transcription, algorithm)(game=game, W=lambda t: loaded.matrix(t).toarray(), seed=SEED,
                                             iterations=ITERATIONS, gamma=0.9, **STEPS, **options)


def assert_same(found, expected, names=("theta", "omega", "lam")):
    for name in names:
        mine = found["lambda" if name == "lam" else name]
        np.testing.assert_allclose(mine, expected[name], rtol=0, atol=1e-10, err_msg=name)
        assert mine.size == 0 or np.abs(mine).max() > 1e-3, f"{name} never moved"


def samplings(setting):
    return ["markov", "double"] + (["stationary", "iid"] if setting.startswith("mdp") else [])


CASES = [(setting, sampling) for setting in SETTINGS for sampling in samplings(setting)]


@pytest.mark.parametrize(("setting", "sampling"), CASES)
def test_cac(setting, sampling):
    expected = oracle(setting, "cac", zeta=0.2, sampling=sampling)
    assert_same(netac(setting, "cac", {"reward_step": 0.2, "sampling": sampling}), expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_cac_partly_shared_and_projected(setting):
    game = SETTINGS[setting][2]
    shared = np.zeros(game.states * game.actions, dtype=bool)
    shared.reshape(game.states, game.actions)[:, 1] = True
    options = {"omega_radius": 0.7, "lambda_radius": 0.3}
    expected = oracle(setting, "cac", zeta=0.2, shared=shared, **options)
    found = netac(setting, "cac", {"reward_step": 0.2, **options}, policy={"shared": ["*.a1"]})
    expected["theta"] = expected["theta"][:, np.argsort(~shared, kind="stable")]     # stored shared part first
    assert_same(found, expected)
    assert np.linalg.norm(found["omega"], axis=1).max() <= 0.7 + 1e-12


@pytest.mark.parametrize(("setting", "sampling"), CASES)
def test_cac_with_tracking(setting, sampling):
    options = {"tracking": True, "sampling": sampling}
    expected = oracle(setting, "cac", zeta=0.2, **options)
    assert_same(netac(setting, "cac", {"reward_step": 0.2, **options}), expected)
    untracked = oracle(setting, "cac", zeta=0.2, sampling=sampling)["omega"]
    alone = setting.endswith(("-1", "-disconnected"))       # y = g, however often it is mixed with nobody
    assert (np.abs(untracked - expected["omega"]).max() < 1e-10) == alone


@pytest.mark.parametrize("setting", SETTINGS)
def test_cac_with_tracking_partly_shared_and_projected(setting):
    game = SETTINGS[setting][2]
    shared = np.zeros(game.states * game.actions, dtype=bool)
    shared.reshape(game.states, game.actions)[:, 1] = True
    options = {"omega_radius": 0.7, "lambda_radius": 0.3, "tracking": True}
    expected = oracle(setting, "cac", zeta=0.2, shared=shared, **options)
    found = netac(setting, "cac", {"reward_step": 0.2, **options}, policy={"shared": ["*.a1"]})
    expected["theta"] = expected["theta"][:, np.argsort(~shared, kind="stable")]     # stored shared part first
    assert_same(found, expected)


@pytest.mark.parametrize(("setting", "sampling"), CASES)
def test_iac(setting, sampling):
    assert_same(netac(setting, "iac", {"sampling": sampling}), oracle(setting, "iac", sampling=sampling))


@pytest.mark.parametrize("kind", ["discounted", "average"])
@pytest.mark.parametrize("critic", ["state_value", "action_value"])
@pytest.mark.parametrize(("setting", "sampling"), CASES)
def test_dac(setting, sampling, critic, kind):
    options = {"critic": critic, "setting": kind, "sampling": sampling}
    expected = oracle(setting, "dac", zeta=0.2, **options)
    found = netac(setting, "dac", {"reward_step": 0.2, **options})
    assert_same(found, expected)
    if kind == "average":
        np.testing.assert_allclose(found["mu"][:, 0], expected["mu"], rtol=0, atol=1e-10)


BATCHES = {
    "one-batch": {"batch": 5},
    "rounds": {"batch": 4, "critic_rounds": 3, "mixing_rounds": 2, "reward_rounds": 3, "reward_noise": 0.1},
    "two-chains": {"batch": 6, "critic_batch": 3, "critic_rounds": 4, "mixing_rounds": 1, "reward_rounds": 2,
                   "reward_noise": 0.2, "sampling": "double"},
    "iid": {"batch": 3, "critic_batch": 2, "critic_rounds": 2, "sampling": "iid"},
}
BATCH_CASES = [(setting, batch) for setting in SETTINGS for batch in BATCHES
               if batch != "iid" or setting.startswith("mdp")]


@pytest.mark.parametrize(("setting", "batch"), BATCH_CASES)
def test_mdac(setting, batch):
    assert_same(netac(setting, "mdac", BATCHES[batch]), oracle(setting, "mdac", **BATCHES[batch]))


@pytest.mark.parametrize(("setting", "batch"), BATCH_CASES)
def test_dnac(setting, batch):
    options = BATCHES[batch] | {"inner_steps": 3, "inner_rounds": 2, "natural_step": 0.05}
    assert_same(netac(setting, "dnac", options), oracle(setting, "dnac", **options))


@pytest.mark.parametrize("setting", ["mdp-3-ring", "coordination-5"])
def test_t_dependent_steps(setting):
    steps = {"actor_step": {"c": 0.5, "sigma": 0.6}, "critic_step": {"c": 0.6, "sigma": 0.4},
             "reward_step": {"c": 0.7, "sigma": 0.4}}
    found = netac(setting, "cac", steps)
    agents, _, game, graphs = SETTINGS[setting]
    loaded = topology.load(graphs, agents)
    expected = transcription.cac(game=game, W=lambda t: loaded.matrix(t).toarray(), seed=SEED, iterations=ITERATIONS,
                                 gamma=0.9, alpha=0.5 / 60**0.6, beta=0.6 / 60**0.4, zeta=0.7 / 60**0.4)
    assert_same(found, expected)
