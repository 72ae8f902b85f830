"""Policies, critics and feature maps, each against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.critics import dot, weighted_sum
from netac.agents.distributions import choose
from netac.agents.policies import LogLinear, Tabular, shared_first
from netac.agents.tabular_batch import TabularBatch
from netac.comm.placement import Placement
from netac.envs._features import ActionHistogram, ActionsOneHot, JointTable, counts, joint_index
from netac.experiment.run import run
from netac.utils.errors import InputError


def random_batch(rng, agents, states, actions, samples, policy, theta):
    s = rng.integers(states, size=samples)
    own = rng.integers(actions, size=(agents, samples))
    pi, _ = choose(policy.logits(theta, s), np.zeros((1, 1, 1)))
    return TabularBatch(s, s, own, own, pi, np.zeros((agents, samples)), np.zeros((samples, 1)), np.zeros((samples, 1)))


def log_pi(policy, theta, b):
    """log pi_i(a_e|s_e), (n, M), from the logits alone."""
    logits = policy.logits(theta, b.states)
    normalised = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.take_along_axis(normalised, b.own[:, :, None], axis=2)[:, :, 0]


def policies(rng, agents, states, actions):
    order = rng.permutation(states * actions)
    yield Tabular(states, actions, states * actions)
    yield Tabular(states, actions, 2, order)
    yield LogLinear(rng.standard_normal((1, states, actions, 3)), 1)
    yield LogLinear(rng.standard_normal((agents, states, actions, 4)), 4)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), agents=st.integers(1, 4), states=st.integers(1, 4), actions=st.integers(2, 4),
       samples=st.integers(1, 6))
def test_policy_gradients_are_those_of_log_pi(seed, agents, states, actions, samples):
    rng = np.random.default_rng(seed)
    for policy in policies(rng, agents, states, actions):
        theta = rng.standard_normal((agents, policy.size))
        b = random_batch(rng, agents, states, actions, samples, policy, theta)
        weights, h, step = rng.standard_normal((agents, samples)), rng.standard_normal(theta.shape), 1e-6
        gradient = policy.gradient(theta, b, weights)
        for column in range(policy.size):
            moved = np.zeros_like(theta)
            moved[:, column] = step
            slope = (log_pi(policy, theta + moved, b) - log_pi(policy, theta - moved, b)) / (2 * step)
            np.testing.assert_allclose(gradient[:, column], (weights * slope).sum(axis=1), atol=1e-7)
        along = (log_pi(policy, theta + step * h, b) - log_pi(policy, theta - step * h, b)) / (2 * step)
        np.testing.assert_allclose(policy.score_products(theta, b, h), along, atol=1e-7)


@pytest.mark.parametrize("algorithm", ["cac", "iac", "dac", "mdac", "dnac"])
def test_log_linear_with_one_hot_features_is_tabular(tmp_path, algorithm):
    states, actions = 3, 2
    x = np.eye(states * actions).reshape(states, actions, -1)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "own.npz", x=np.broadcast_to(x, (4, *x.shape)))
    experiment = {"agents": 4, "iterations": 50, "topology": "ring", "algorithm": algorithm,
                  "env": {"name": "finite-mdp", "seed": 5, "states": states, "actions": actions}}
    tabular = run(experiment).parameters
    for file in ("x.npz", "own.npz"):
        found = run(experiment | {"policy": {"name": "log-linear", "features": str(tmp_path / file)}}).parameters
        for name, values in tabular.items():
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12)
    assert np.abs(tabular["theta"]).max() > 1e-3


def test_personal_features_stay_personal_and_shared_ones_agree(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.standard_normal((4, 3, 2, 5)))
    theta = run({"agents": 4, "iterations": 2000, "topology": {"name": "complete", "weights": "uniform"},
                 "algorithm": {"name": "cac", "actor_step": 0.2},
                 "env": {"name": "finite-mdp", "seed": 5, "states": 3, "actions": 2},
                 "policy": {"name": "log-linear", "features": str(tmp_path / "x.npz"), "shared": ["f0", "f3"]},
                 }).parameters["theta"]
    shared, personal = theta[:, :2], theta[:, 2:]
    assert np.ptp(personal, axis=0).min() > 5 * np.ptp(shared, axis=0).max() > 0


def test_shared_first():
    order, shared = shared_first(["s0.a0", "s0.a1", "s1.a0", "s1.a1"], ["s1.*"])
    assert order.tolist() == [2, 3, 0, 1] and shared == 2
    assert shared_first(["f0", "f1"], [])[1] == 0
    with pytest.raises(InputError, match="matches no parameter"):
        shared_first(["f0", "f1"], ["f0", "g*"])


@given(st.integers(0, 2**32), st.integers(2, 9))
def test_choose_inverts_the_distribution_function(seed, actions):
    rng = np.random.default_rng(seed)
    logits, uniforms = 3 * rng.standard_normal((2, 3, actions)), rng.random((2, 3, 50))
    uniforms[0, 0, :2] = 0.0, 1 - 2**-53
    pi, chosen = choose(logits, uniforms)
    np.testing.assert_allclose(pi.sum(axis=-1), 1.0)
    below = np.cumsum(pi, axis=-1)
    edge = 1e-12
    before = np.where(chosen > 0, np.take_along_axis(below, np.maximum(chosen - 1, 0), axis=-1), 0.0)
    assert (uniforms >= before - edge).all() and (uniforms <= np.take_along_axis(below, chosen, axis=-1) + edge).all()
    assert chosen[0, 0, 0] == 0 and chosen[0, 0, 1] == actions - 1


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.booleans(),
       st.integers(1, 60))
def test_agents_are_worked_on_a_block_at_a_time_with_the_same_bits(seed, agents, states, samples, own, block):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((agents, 20))[:, :4 * states].reshape(agents, states, 4)
    uniforms = rng.random((agents if own else 1, 1, samples))
    whole = choose(logits, uniforms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netac.agents._categorical._BLOCK", block)
        parts = choose(logits, uniforms)
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one, other) and one.dtype == other.dtype and one.shape == other.shape


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 5), st.integers(1, 40))
def test_kernels_give_the_same_bits_for_every_number_of_agents(seed, agents, samples, width):
    rng = np.random.default_rng(seed)
    parameters, weights = rng.standard_normal((agents, width + 2))[:, 1:-1], rng.standard_normal((agents, samples))
    features = rng.standard_normal((samples, width))
    for i in range(agents):
        assert (dot(parameters, features)[i] == dot(parameters[i:i + 1], features)[0]).all()
        assert (weighted_sum(weights, features)[i] == weighted_sum(weights[i:i + 1], features)[0]).all()
    np.testing.assert_allclose(dot(parameters, features), parameters @ features.T)
    np.testing.assert_allclose(weighted_sum(weights, features), weights @ features)


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
def test_features_of_alternatives_are_those_of_the_changed_joint_action(seed, agents, states, actions, samples):
    rng = np.random.default_rng(seed)
    s, a = rng.integers(states, size=samples), rng.integers(actions, size=(agents, samples))
    table = rng.standard_normal((states * actions**agents, 3))
    here = range(agents // 2, agents)
    for psi in (ActionsOneHot(agents, actions), ActionHistogram(agents, actions), JointTable(states, agents, actions),
                JointTable(states, agents, actions, table)):
        assert psi(s, a).shape == (samples, psi.size)
        for row, agent in enumerate(here):
            for b in range(actions):
                changed = a.copy()
                changed[agent] = b
                np.testing.assert_allclose(psi.alternatives(s, a, here)[row, :, b], psi(s, changed), atol=1e-15)


def test_feature_definitions():
    a = np.array([[1, 0], [1, 2]])
    states = np.array([0, 1])
    np.testing.assert_allclose(ActionsOneHot(2, 3)(states, a)[0], np.array([0, 1, 0, 0, 1, 0]) / np.sqrt(2))
    np.testing.assert_allclose(ActionHistogram(2, 3)(states, a), [[0, 1, 0], [0.5, 0, 0.5]])
    assert joint_index(a, 3).tolist() == [4, 2]
    assert counts(a, 3).tolist() == [[0, 2, 0], [1, 0, 1]]
    assert JointTable(2, 2, 3)(states, a).argmax(axis=1).tolist() == [4, 9 + 2]


@given(st.integers(1, 60), st.data())
def test_placement_deals_contiguous_blocks(agents, data):
    processes = data.draw(st.integers(1, agents))
    blocks = [Placement(agents, processes, rank).local for rank in range(processes)]
    assert [i for block in blocks for i in block] == list(range(agents))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1
    owners = [Placement(agents, processes).owner(i) for i in range(agents)]
    assert owners == [rank for rank, block in enumerate(blocks) for _ in block]
