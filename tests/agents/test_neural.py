"""Neural policies and critics: gradients against independent modules, the flat buffer, reuse of forward passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles.networks import (
    BOX,
    CNN,
    DISCRETE,
    IMAGE,
    KINDS,
    MLP,
    VECTOR,
    F,
    distribution,
    flattened,
    make_critic,
    make_policy,
    names,
    reference,
    rows_of,
    samples,
)
from support.user_networks import Counting

from netac.agents.alignment import aligned, is_aligned
from netac.agents.networks._factory import read_network
from netac.agents.neural.critics import neural_critic
from netac.agents.neural.policies import neural_policy
from netac.agents.transitions import Transitions
from netac.experiment.neural_agents import seeing_actions
from netac.utils.options import Options
from netac.utils.plugins import BuiltIn
from netac.utils.spaces import ActionSpace
from netac.utils.streams import normal


def sample_weight(active):
    """An agent's samples weighted so that the mean over all is that over the active ones."""
    return np.array([len(active) / sum(active) if each else 0.0 for each in active])


@pytest.mark.parametrize("M", [1, 5])
@pytest.mark.parametrize(("spec", "observation", "space"), KINDS)
@pytest.mark.parametrize("N", [1, 2])
def test_policy_gradients_are_those_of_an_independent_module(N, spec, observation, space, M):
    rng = np.random.default_rng(M)
    policy = make_policy(N, spec, observation, space, entropy=0.3)
    theta = rows_of(policy, N, rng)
    b = samples(rng, policy, theta, [observation] * N, M, masked=True)
    weights = rng.standard_normal((N, M))
    gradient = policy.gradient(theta, b, weights)
    assert gradient.dtype == np.float32
    for i in range(N):
        places = policy.networks.tensors[i].places
        forward, taken = reference(spec, observation, space.outputs, 0, theta[i], places)
        chance = distribution(forward, taken, space, b.obs[i])
        active = torch.tensor(sample_weight(b.active[i]))
        gain = torch.tensor(weights[i]) * chance.log_prob(torch.tensor(b.own[i])) + 0.3 * chance.entropy()
        (active * gain).sum().backward()
        np.testing.assert_allclose(gradient[i], flattened(taken, places, policy.size), rtol=2e-4, atol=2e-5)
        if space.n_actions:
            np.testing.assert_allclose(b.pi[i], chance.probs.detach().numpy(), atol=1e-6)
            assert b.own[i].shape == (M,)
        else:
            assert b.pi[i] is None and b.own[i].shape == (M, 3)


@pytest.mark.parametrize(("spec", "observation", "space"), KINDS)
def test_policy_gradients_are_finite_differences(spec, observation, space):
    rng = np.random.default_rng(7)
    policy = make_policy(1, spec, observation, space)
    theta = rows_of(policy, 1, rng)
    b, weights = samples(rng, policy, theta, [observation], 4), rng.standard_normal((1, 4))
    places, gradient = policy.networks.tensors[0].places, policy.gradient(theta, b, weights)[0].copy()

    def gain(row):
        chance = distribution(*reference(spec, observation, space.outputs, 0, row, places), space, b.obs[0])
        return (torch.tensor(weights[0]) * chance.log_prob(torch.tensor(b.own[0]))).sum().item()

    for _ in range(5):
        direction = rng.standard_normal(policy.size)
        direction /= np.linalg.norm(direction)
        start, step = theta[0].astype(float), 1e-6
        slope = (gain(start + step * direction) - gain(start - step * direction)) / (2 * step)
        assert gradient @ direction == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("spec", "observation", "space"), KINDS)
def test_score_products_are_those_of_per_sample_gradients(spec, observation, space):
    rng, N, M = np.random.default_rng(1), 2, 4
    policy = make_policy(N, spec, observation, space)
    theta = rows_of(policy, N, rng)
    b, h = samples(rng, policy, theta, [observation] * N, M, masked=True), rng.standard_normal((N, policy.size))
    found = policy.score_products(theta, b, h)
    for e in range(M):
        weights = np.zeros((N, M))
        weights[:, e] = 1.0
        scores = policy.gradient(theta, replace(b, active=None), weights).astype(float)
        np.testing.assert_allclose(found[:, e], np.vecdot(scores, h) * b.active[:, e], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("space", [DISCRETE, BOX])
def test_means_are_those_of_the_samples_an_agent_took_part_in(space):
    """... of the batch as it is used: joined first, then cut; agent 1 takes part in none of the second half."""
    rng, M = np.random.default_rng(4), 3
    policy, V, R = (make_policy(2, space=space, entropy=0.2), make_critic("state_value", 2),
                    make_critic("reward_model", 2))
    theta, omega, lam = (rows_of(part, 2, rng) for part in (policy, V, R))
    whole = Transitions.joined([samples(rng, policy, theta, [VECTOR] * 2, M) for _ in range(4)])
    whole.active = rng.integers(2, size=(2, 4 * M)).astype(float)
    whole.active[0, ::4], whole.active[1, 2 * M:] = 1.0, 0.0
    assert replace(whole, active=None).sample_weight is None
    for b in (whole, *whole.parts(2 * M)):
        weights = rng.standard_normal(b.r.shape)
        for part, rows in ((policy, theta), (V, omega), (R, lam)):
            found = part.gradient(rows, b, weights) / b.r.shape[1]
            for i in range(2):
                mine = np.flatnonzero(b.active[i])
                alone = part.gradient(rows, only(b, mine), weights[:, mine])[i] / len(mine) if len(mine) else 0.0
                np.testing.assert_allclose(found[i], alone, rtol=1e-4, atol=1e-5)


def only(b, which):
    """Some of the samples, everyone taking part in them."""
    lists = {name: [own[which] for own in getattr(b, name)] for name in ("obs", "seen", "own", "joint")}
    return replace(b, **lists, r=b.r[:, which], active=None)


def test_score_products_leave_the_forward_pass_for_the_gradient():
    rng = np.random.default_rng(1)
    policy = make_policy(2, {"factory": "support.user_networks:Counting"})
    theta = rows_of(policy, 2, rng)
    Counting.calls = 0
    b = samples(rng, policy, theta, [VECTOR] * 2, 3)
    policy.score_products(theta, b, theta)
    policy.gradient(theta, b, b.r)
    assert Counting.calls == 2
    policy.gradient(theta, b, b.r)
    assert Counting.calls == 4


@pytest.mark.parametrize("M", [1, 5])
@pytest.mark.parametrize(("spec", "observation"), [(MLP, VECTOR), (CNN, IMAGE)])
@pytest.mark.parametrize("what", ["state_value", "reward_model", "action_value"])
def test_critics_are_those_of_an_independent_module(what, spec, observation, M):
    rng, N = np.random.default_rng(M), 2
    policy, critic = make_policy(N, spec, observation), make_critic(what, N, spec, observation)
    theta, rows = rows_of(policy, N), rows_of(critic, N, rng)
    b, weights = samples(rng, policy, theta, [observation] * N, M, masked=True), rng.standard_normal((N, M))
    joint = None if what == "state_value" else b.joint
    values, gradient = critic(rows, b), critic.gradient(rows, b, weights).copy()
    after = None if what == "reward_model" else critic.next(rows, b)
    assert values.dtype == float and gradient.dtype == np.float32
    for i in range(N):
        places = critic.networks.tensors[i].places
        forward, taken = reference(spec, observation, 1, F, rows[i], places)
        expected = forward(b.seen[i], joint and joint[i])[:, 0]
        (expected * torch.tensor(weights[i] * sample_weight(b.active[i]))).sum().backward()
        np.testing.assert_allclose(values[i], expected.detach().numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(gradient[i], flattened(taken, places, critic.size), rtol=2e-4, atol=2e-5)
        if after is not None:
            expected = forward(b.next_seen[i], joint and b.next_joint[i])[:, 0].detach().numpy()
            np.testing.assert_allclose(after[i], expected * b.bootstrap_mask[i], rtol=1e-4, atol=1e-5)


def test_expected_action_value_sums_over_own_actions_of_agents_that_differ():
    rng, M = np.random.default_rng(2), 3
    spaces, shapes = [ActionSpace(2), ActionSpace(4)], [VECTOR, (3,)]
    policy = neural_policy(MLP, shapes, spaces, names(2))
    Q = neural_critic("action_value", MLP, shapes, names(2), F, mixed=False)
    theta, omega = rows_of(policy, 2), rows_of(Q, 2, rng)
    b = samples(rng, policy, theta, shapes, M)
    b.alternatives = [rng.random((M, space.n_actions, F)).astype(np.float32) for space in spaces]
    found = Q.expected(omega, b)
    for i, space in enumerate(spaces):
        forward, _ = reference(MLP, shapes[i], 1, F, omega[i], Q.networks.tensors[i].places)
        values = np.stack([forward(b.seen[i], b.alternatives[i][:, a])[:, 0].detach().numpy()
                           for a in range(space.n_actions)], 1)
        np.testing.assert_allclose(found[i], (b.pi[i] * values).sum(1), rtol=1e-4, atol=1e-5)


def test_actions_are_drawn_by_inversion():
    rng, M = np.random.default_rng(3), 4000
    policy = make_policy(1, space=DISCRETE)
    theta = rows_of(policy, 1, rng)
    obs, u = [np.repeat(rng.standard_normal((1, *VECTOR)).astype(np.float32), M, axis=0)], rng.random((1, M, 1))
    own, pi = policy.act(theta, obs, u)
    assert (own[0] == (u[0] > np.cumsum(pi[0], axis=1)).sum(1)).all()
    np.testing.assert_allclose(np.bincount(own[0], minlength=5) / M, pi[0][0], atol=0.04)
    policy = make_policy(1, space=BOX, log_std=-1.0)
    theta = rows_of(policy, 1)
    own, _ = policy.act(theta, obs, rng.random((1, M, 3)))
    np.testing.assert_allclose(own[0].std(0), np.exp(-1.0), rtol=0.05)
    u = rng.random((1, M, 3))
    mean = policy.act(theta, obs, np.full((1, M, 3), 0.5))[0][0]
    np.testing.assert_allclose(policy.act(theta, obs, u)[0][0], mean + np.exp(-1.0) * normal(u[0]), atol=1e-6)


def test_deviations_that_are_fixed_have_no_gradient_and_change_no_other():
    rng, N = np.random.default_rng(4), 2
    learned, fixed = (make_policy(N, space=BOX, entropy=0.1, deviations=how) for how in ("learned", "fixed"))
    theta, place = rows_of(learned, N, rng), learned.networks.tensors[0].places["log_std"]
    b = samples(rng, learned, theta, [VECTOR] * N, 5)
    weights, v = rng.standard_normal((N, 5)), rng.standard_normal(theta.shape).astype(np.float32)
    v[:, place] = 0.0
    for ask in (lambda policy: policy.gradient(theta, b, weights), lambda policy: policy.fisher_product(theta, b, v)):
        wanted, found = ask(learned).copy(), ask(fixed).copy()
        assert (found[:, place] == 0).all()
        wanted[:, place] = 0.0
        np.testing.assert_array_equal(found, wanted)
    assert (learned.gradient(theta, b, weights)[:, place] != 0).all()


@pytest.mark.parametrize("N", [1, 3])
def test_parameters_are_views_of_the_callers_buffer(N):
    rng = np.random.default_rng(0)
    V = make_critic("state_value", N)
    flat = aligned(N, 16 + V.size)
    omega = flat[:, 16:]
    omega[:] = V.initial(0, range(N))
    assert is_aligned(omega)
    b = samples(rng, make_policy(N), rows_of(make_policy(N), N), [VECTOR] * N, 2)
    before = V(omega, b)
    omega[:, V.networks.tensors[0].places["output.bias"]] += 2.0
    np.testing.assert_allclose(V(omega, b), before + 2.0, atol=1e-5)
    assert not np.allclose(V.gradient(omega, b, b.r), 0.0)
    assert np.shares_memory(V.gradient(omega, b, b.r), V.gradient(omega, b, b.r))


def test_other_arrays_are_bound_or_copied_and_never_mixed_up():
    rng, N = np.random.default_rng(0), 2
    V = make_critic("state_value", N)
    omega, b = rows_of(V, N, rng), samples(rng, make_policy(N), rows_of(make_policy(N), N), [VECTOR] * N, 3)
    others = [omega.copy() + 0.1, np.asfortranarray(omega - 0.1), omega.astype(float) * 2, rows_of(V, N, rng)]
    expected = {}
    for k, rows in enumerate([omega, *others]):
        fresh = V.of(range(N))
        expected[k] = fresh(rows, b), fresh.gradient(rows, b, b.r).copy()
    for k in [0, 1, 0, 2, 3, 2, 4, 0, 1, 1, 4, 4]:
        rows = [omega, *others][k]
        np.testing.assert_array_equal(V(rows, b), expected[k][0])
        V.next([omega, *others][(k + 1) % 5], b)
        np.testing.assert_array_equal(V.gradient(rows, b, b.r), expected[k][1])


def test_a_temporary_copy_is_read_again_at_every_call():
    rng = np.random.default_rng(0)
    V, policy = make_critic("state_value", 2), make_policy(2)
    rows = rows_of(V, 2).copy()
    b = samples(rng, policy, rows_of(policy, 2), [VECTOR] * 2, 3)
    before = V(rows, b)
    rows[:, V.networks.tensors[0].places["output.bias"]] += 1.0
    np.testing.assert_allclose(V(rows, b), before + 1.0, atol=1e-5)


@pytest.mark.parametrize(("spec", "observation", "space"), KINDS)
def test_reuse_gives_the_bits_of_recomputation(spec, observation, space):
    rng, N = np.random.default_rng(5), 2
    policy = make_policy(N, spec, observation, space)
    V, R = (make_critic(what, N, spec, observation) for what in ("state_value", "reward_model"))
    theta, omega, lam = (rows_of(part, N, rng) for part in (policy, V, R))
    b = samples(rng, policy, theta, [observation] * N, 6)
    V(omega, b)
    R(lam, b)
    for part, rows in ((policy, theta), (V, omega), (R, lam)):
        once = part.gradient(rows, b, b.r).copy()
        np.testing.assert_array_equal(part.gradient(rows, b, b.r), once)


def test_forward_passes_are_reused_once_and_for_the_same_arrays_only():
    rng, N = np.random.default_rng(5), 2
    spec = {"factory": "support.user_networks:Counting"}
    policy, V = make_policy(N, spec), make_critic("state_value", N, spec)
    theta, omega = rows_of(policy, N), rows_of(V, N)

    def calls(function, *arguments):
        Counting.calls = 0
        function(*arguments)
        return Counting.calls / N

    b = samples(rng, policy, theta, [VECTOR] * N, 4)
    assert calls(policy.gradient, theta[:], b, b.r) == 0
    assert calls(policy.gradient, theta, b, b.r) == 1
    policy.act(theta, b.obs, rng.random((N, 4, 1)))
    assert calls(policy.gradient, theta, samples(rng, policy, theta, [VECTOR] * N, 4), b.r) == 0    # it has acted since
    assert calls(policy.gradient, theta, b, b.r) == 1
    policy.act(theta, b.obs, rng.random((N, 4, 1)), keep=False)
    assert calls(policy.gradient, theta, b, b.r) == 1
    assert calls(V, omega, b) == 1
    assert calls(V.next, omega, b) == 1
    assert calls(V.gradient, omega, b, b.r) == 0
    V(omega, b)
    assert calls(V.gradient, omega.copy(), b, b.r) == 1
    V(omega, b)
    assert calls(V.gradient, omega, next(b.parts(2)), b.r[:, :2]) == 1


class Radial(Options):
    """Options of a network that has no hidden layers."""

    centres: int = 3


@pytest.mark.parametrize(("critic", "observation", "hidden"), [
    ({"name": "cnn", "hidden": []}, (7, 7, 3), [64]), ({"name": "cnn", "hidden": [8]}, (7, 7, 3), [8]),
    ({"name": "mlp", "hidden": [16]}, (5,), [16]), ({"factory": "a:B"}, (7, 7, 3), [64]),
    ({"factory": "a:B"}, (5,), [64, 64]), ({"name": "radial", "centres": 3}, (5,), None)])
def test_a_usual_reward_model_has_a_hidden_layer_where_view_and_actions_meet(critic, observation, hidden):
    network = (BuiltIn("netac.agents.networks", "radial", Radial(**{k: v for k, v in critic.items() if k != "name"}))
               if critic.get("name") == "radial" else read_network(critic, "critic"))
    assert seeing_actions(network, observation).table().get("hidden") == hidden
