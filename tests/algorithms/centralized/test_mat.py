"""The multi-agent transformer: who depends on whom, what is drawn and how likely it is, and acting by `netac.load`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from programs.arena import SPACES
from support.neural_variants import arena

import netac
from netac.agents.alignment import aligned
from netac.agents.networks._factory import read_network
from netac.agents.networks._torch import torch
from netac.agents.neural.autoregressive import AutoregressivePolicy, autoregressive_policy
from netac.agents.transitions import Transitions

M = 7
KINDS = ["discrete", "different", "box", "mixed", "several", "medley"]


def made(kind: str, N: int, seed: int, **options) -> tuple[AutoregressivePolicy, np.ndarray, list[np.ndarray]]:
    """A model of N agents that see differently much, in a drawn order, its parameters and what agents see."""
    rng, spaces = np.random.default_rng(seed), SPACES[kind]
    shapes = [(2 + i % 2,) for i in range(N)]
    network = read_network({"name": "transformer", "width": 4, **options}, "policy")
    policy = autoregressive_policy(network, shapes, [spaces[i % len(spaces)] for i in range(N)], entropy=0.1)
    theta = aligned(N, policy.size)
    theta[0] = policy.initial(seed, range(N))[0] + 0.5 * rng.standard_normal(policy.size)
    obs = [rng.standard_normal((M, *shape)).astype(np.float32) for shape in shapes]
    return policy.in_order(rng.permutation(N).tolist()), theta, obs


def uniforms(policy: AutoregressivePolicy, seed: int) -> np.ndarray:
    """For every agent's draws."""
    return np.random.default_rng(seed).random((len(policy.actions), M, max(space.size for space in policy.actions)))


def outputs(policy: AutoregressivePolicy, theta: np.ndarray, b: Transitions) -> list[np.ndarray]:
    """Something of every agent's distribution that tells two of them apart: log probabilities of one action each."""
    fixed = [space.random(np.random.default_rng(0), M) for space in policy.actions]
    return [pi.log_prob(own) for pi, own in zip(policy.distributions(theta, b), fixed, strict=True)]


@pytest.mark.parametrize("options", [{}, {"heads": 2, "blocks": 2}, {"identity": False}])
@pytest.mark.parametrize("kind", ["discrete", "mixed"])
def test_an_agent_knows_what_was_done_before_it_and_nothing_of_what_comes_after(kind, options):
    policy, theta, obs = made(kind, 4, seed=3, **options)
    own, _ = policy.act(theta, obs, uniforms(policy, 1))
    told = outputs(policy, theta, policy.shown(Transitions(obs=obs, own=own)))
    for m, agent in enumerate(policy.order):
        other = [(a + 1) % 3 if i == agent and policy.actions[i].n_actions else a + (i == agent)
                 for i, a in enumerate(own)]
        now = outputs(policy, theta, policy.shown(Transitions(obs=obs, own=other)))
        for k, later in enumerate(policy.order):
            same = now[later] == told[later]
            assert same.all() if k <= m else not same.any(), (agent, later)
    seen = [each + (i == policy.order[-1]) for i, each in enumerate(obs)]           # all see all, the last one's, too
    assert not (outputs(policy, theta, policy.shown(Transitions(obs=seen, own=own)))[policy.order[0]]
                == told[policy.order[0]]).any()


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), N=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_one_after_the_other_and_all_at_once_are_as_likely(kind, N, seed):
    """Of actions that are drawn in turn, the pass over all of them says what every turn's pass said."""
    policy, theta, obs = made(kind, N, seed)
    rng = np.random.default_rng(seed)
    masks = [rng.random((M, space.outputs)) < 0.6 if space.choices else np.ones((M, space.outputs), bool)
             for space in policy.actions]
    for mask, space in zip(masks, policy.actions, strict=True):
        mask[space.lacks(mask)] = True
    own, _ = policy.act(theta, obs, uniforms(policy, seed), allowed=masks)
    b = policy.shown(Transitions(obs=obs, own=own, allowed=masks))
    together = policy.distributions(theta, b)
    module, before = policy.model.module, torch.from_numpy(b.joint[0]).reshape(M, N, -1)
    with policy.held(theta, M), torch.no_grad():
        encoded = module.encoder(torch.from_numpy(b.seen[0]))
        for m, agent in enumerate(policy.order):
            alone = module.decoder(encoded[:, :m + 1], before[:, :m + 1])[:, m].numpy()
            pi = policy._distribution(theta, agent, alone, masks)
            np.testing.assert_allclose(together[agent].log_prob(own[agent]), pi.log_prob(own[agent]), atol=2e-5)
            again = pi.sample(uniforms(policy, seed)[agent])
            np.testing.assert_array_equal(own[agent], again)
            if policy.actions[agent].choices:
                numbers = policy.actions[agent].encode(own[agent])
                assert (masks[agent] >= numbers).all() and (together[agent].probabilities[~masks[agent]] == 0).all()


@settings(max_examples=10, deadline=None)
@given(kind=st.sampled_from(KINDS), N=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_the_gradient_is_that_of_the_surrogate_with_values_and_entropy(kind, N, seed):
    policy, theta, obs = made(kind, N, seed)
    own, _ = policy.act(theta, obs, uniforms(policy, seed))
    rng, b = np.random.default_rng(seed), policy.shown(Transitions(obs=obs, own=own))
    w, v = rng.standard_normal((2, N, M))

    def objective(at: np.ndarray) -> float:
        found = float((v * policy.values(at, obs)).sum())
        for i, pi in enumerate(policy.distributions(at, b)):
            found += float((w[i] * pi.log_prob(own[i]) + policy.entropy * pi.entropy()).sum())
        return found

    gradient = policy.gradient(theta, b, lambda rows, now: w, lambda values: v)[0].astype(float)
    direction = rng.standard_normal(policy.size)
    step, ahead, behind = 2e-3 / np.linalg.norm(direction), theta.copy(), theta.copy()
    ahead[0] += step * direction
    behind[0] -= step * direction
    slope = (objective(ahead) - objective(behind)) / (2 * step)
    assert slope == pytest.approx(gradient @ direction, rel=0.02, abs=0.02 * np.linalg.norm(gradient))


def experiment(**more) -> dict:
    """A short run of four unlike agents with masks."""
    return {"agents": 4, "iterations": 2, "seed": 1, "envs": 2, "env": arena(actions="medley", masks=True),
            "policy": {"width": 4}, "evaluate_every": 2, "evaluate_episodes": 2,
            "algorithm": {"name": "mat", "rollout": 6, "epochs": 2, "team_reward": "mean"}, **more}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mat") / "run"
    netac.run(experiment(), out=folder)
    return folder


@pytest.mark.parametrize("which", ["last", "best"])
def test_loaded_agents_act_together(trained, which):
    """Each knows what those before it do, as in training; masks are heeded, and equal seeds give equal actions."""
    one, two = (netac.load(trained, seed=5, which=which) for _ in range(2))
    rng = np.random.default_rng(0)
    for _ in range(4):
        seen = {name: rng.standard_normal(5).astype(np.float32) for name in one.names}
        masks = {one.names[0]: ([0, 1], [0, 0, 1])}
        found = one(seen, masks=masks)
        assert found["gladiator_0"].tolist() == [1, 2]
        for name, action in two(seen, masks=masks).items():
            np.testing.assert_array_equal(action, found[name])
    greedy = netac.load(trained, greedy=True, which=which)
    obs = [seen[name][None] for name in greedy.names]
    policy = greedy._policy.policy
    expected, _ = policy.act(greedy._theta, obs, None)
    for name, own in zip(greedy.names, expected, strict=True):
        np.testing.assert_allclose(greedy(seen)[name], policy.actions[greedy.names.index(name)].rounded(own[0]),
                                   rtol=1e-6)


def test_evaluations_are_repeatable_and_greedy_ones_differ(trained):
    found = [netac.evaluate(trained, episodes=3, greedy=greedy).summary()["episode_return"]
             for greedy in (False, False, True)]
    assert found[0] == found[1] != found[2]


def test_a_run_says_what_its_numbers_are(trained):
    result = netac.load_result(trained)
    theta = result.parameters["theta"]
    assert theta.shape[0] == 4 and theta[0].any() and not theta[1:].any()
    assert result.metrics["bytes_environment"][-1] == result.metrics["bytes_consensus"][-1] == 0.0
