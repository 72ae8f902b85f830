"""What agents may not do is never drawn, has probability 0, and no gradient, whichever algorithm looks at it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from programs.arena import Saved
from support.costs import LIMITS
from support.neural_variants import arena, policy_of

import netac
from netac.agents.alignment import aligned
from netac.agents.neural.joint_policies import joint_policy
from netac.agents.neural.policies import neural_policy
from netac.agents.neural.reparametrised import reparametrised_policy
from netac.agents.transitions import Transitions
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.config import ALGORITHMS
from netac.experiment.run import iterate
from netac.utils import plugins
from netac.utils.errors import RunError
from netac.utils.progress import Progress
from netac.utils.spaces import ActionSpace, joint_space

HERE = str(Path(__file__).parent)
ACTIONS = 3
NEVER = 1                            # the action that nobody may take in `Forbidding`
FEW = {"rollout": 4, "batch": 3, "buffer": 30, "warmup": 4, "updates": 3, "team_reward": "mean", "epochs": 2,
       "entropy": 0.05, "penalty": 0.5, "delta": 0.1}
SIZES = st.lists(st.integers(2, 5), min_size=1, max_size=4)


class Forbidding(Saved):
    """An arena in which nobody may ever take action 1."""

    def _allowed(self, agents):
        masks = super()._allowed(agents)
        for mask in masks:
            mask[:, NEVER] = False
            mask[:, 0] = True
        return masks


def forbidding(agents, games, **options):
    return Forbidding(agents, games, masks=True, **options)


def nothing(agents, games, after=0):
    """Games in which agent 1 of game 0 may do nothing once so many joint steps were made."""
    made = Saved(agents, games, masks=True, falls=2.0)
    masks = made.action_masks

    def told(agents):
        found = masks(agents)
        if made._steps >= after and 1 in agents:
            found[agents.index(1)][0] = False
        return found

    made.action_masks = told
    return made


def experiment(algorithm: str, env: dict, **options) -> dict:
    """A few iterations with networks."""
    known = plugins.module(ALGORITHMS, algorithm, "algorithm").Settings.model_fields
    few = LIMITS.get(algorithm, {}) | {key: value for key, value in (FEW | options).items() if key in known}
    return {"agents": 3, "iterations": 4, "seed": 2, "envs": 3, "env": env, "topology": "ring",
            "policy": policy_of(algorithm, {"name": "mlp", "hidden": [4]}), "critic": {"name": "mlp", "hidden": [4]},
            "algorithm": {"name": algorithm, "actor_step": 0.05, **few} if "actor_step" in known else {
                "name": algorithm, **few}}


@pytest.mark.parametrize("algorithm", plugins.module_names(ALGORITHMS))
def test_what_nobody_may_do_has_no_gradient_whatever_the_algorithm(algorithm):
    """The arena fails when an agent does what it may not."""
    env = {"factory": "test_action_masks:forbidding", "folder": HERE, "kwargs": {
        "late": True, "priced": algorithm in LIMITS}}
    parts = assemble(prepare(config.read(experiment(algorithm, env)).experiment()))
    theta, tensors = parts.agents.parameters.theta, parts.agents.policy.networks.tensors
    start, head = theta.astype(float), "decoder.action.output" if algorithm == "mat" else "output"
    iterate(parts, None, False, Progress(4, False), True)
    for row, own in zip(np.abs(theta - start)[:len(tensors)], tensors, strict=True):      # or that of the only model
        bias = row[own.places[f"{head}.bias"]]
        never = np.arange(len(bias)) % ACTIONS == NEVER               # of one agent's actions, or of all agents'
        for moved in (bias[:, None], row[own.places[f"{head}.weight"]].reshape(len(bias), -1)):
            assert moved[never].max() < 1e-6 < moved[~never].max()


@settings(max_examples=30)
@given(data=st.data(), seed=st.integers(0, 10**6), sizes=SIZES, kind=st.sampled_from(["own", "joint", "relaxed"]))
def test_a_masked_action_is_never_drawn_and_its_probability_and_gradient_are_0(data, seed, sizes, kind):
    rng, N, M = np.random.default_rng(seed), len(sizes), 9
    spaces, names = [ActionSpace(size) for size in sizes], [f"agent_{i}" for i in range(N)]
    make = {"own": neural_policy, "joint": joint_policy}.get(kind)
    spec, shapes = {"name": "mlp", "hidden": [3]}, [(2,)] * N
    policy = make(spec, shapes, spaces, names, entropy=0.1) if make else reparametrised_policy(
        spec, shapes, spaces, names, "common", 0.7, 0.1)
    theta = aligned(N, policy.size)
    theta[:] = rng.standard_normal(theta.shape)
    obs = [rng.standard_normal((M, 2)).astype(np.float32) for _ in range(N)]
    masks = [rng.random((M, size)) < 0.6 for size in sizes]
    for mask, size in zip(masks, sizes, strict=True):
        never = data.draw(st.integers(0, size - 1))
        mask[:, never], mask[:, (never + 1) % size] = False, True
    uniforms = rng.random((N, M, 1))
    own, pi = policy.act(theta, obs, uniforms, True, None, masks)
    greedy, _ = policy.act(theta, obs, None, True, None, masks)
    for drawn, best, mask, chances in zip(own, greedy, masks, pi, strict=True):
        assert mask[np.arange(M), drawn].all() and mask[np.arange(M), best].all()
        assert (chances[~mask] == 0).all() and np.allclose(chances.sum(axis=1), 1.0)
    gradients = []
    if kind == "relaxed":
        noise = policy.noise([np.random.default_rng(i) for i in range(N)], M)
        numbers = policy.numbers(theta, obs, noise, allowed=masks)
        assert all((each[~mask] == 0).all() and (each.sum(axis=1) == 1).all()
                   for each, mask in zip(numbers, masks, strict=True))
        slopes = [rng.standard_normal(each.shape) for each in numbers]
        gradients.append(policy.gradient(theta, obs, noise, slopes, allowed=masks))
        outputs = [masks[i] for i in range(N)]
    else:
        space, active = joint_space(spaces), np.ones((N, M), dtype=bool)
        told = space.product(np.stack(own), active)
        outputs = masks if kind == "own" else [np.concatenate(masks, axis=1)] * N
        b = Transitions(obs=obs, own=own if kind == "own" else [told] * N, allowed=outputs)
        weights = rng.standard_normal((N, M))
        gradients.append(policy.gradient(theta, b, weights).copy())
        gradients.append(policy.gradient_by(theta, b, lambda rows, now: weights[rows] * now).copy())
        direction = rng.standard_normal(theta.shape).astype(theta.dtype)
        gradients.append(policy.fisher_product(theta, b, direction).copy())
        assert np.isfinite(policy.log_prob(theta, b)).all()
        for pi_i, mask in zip(policy.distributions(theta, b), outputs, strict=True):
            assert (pi_i.probabilities[~mask] == 0).all() and np.isfinite(pi_i.entropy()).all()
            assert np.allclose(pi_i.kl(pi_i), 0.0) and np.allclose(pi_i.tv(pi_i), 0.0)
        for i, own_tensors in enumerate(policy.networks.tensors):         # along what only masked outputs depend on
            h = np.zeros_like(theta)
            h[i, own_tensors.places["output.bias"]] = ~outputs[i].any(axis=0)
            assert (policy.score_products(theta, b, h) == 0).all()
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        for row, own_tensors, mask in zip(gradient, policy.networks.tensors, outputs, strict=True):
            never = ~mask.any(axis=0)
            assert never.any() and (row[own_tensors.places["output.bias"]][never] == 0).all()
            assert (row[own_tensors.places["output.weight"]].reshape(len(never), -1)[never] == 0).all()


def test_all_that_is_allowed_is_what_there_was_before():
    """A mask that allows everything changes no bit of a run."""
    for algorithm in ("cac", "happo", "maddpg", "qplex"):
        free = netac.run(experiment(algorithm, arena()))
        masked = netac.run(experiment(algorithm, {"factory": "test_action_masks:permitting", "folder": HERE}))
        assert free.summary["parameters_sha256"] == masked.summary["parameters_sha256"], algorithm


class Permitting(Saved):
    """An arena that says of all actions that they may be taken."""

    def _allowed(self, agents):
        return [np.ones_like(mask) for mask in super()._allowed(agents)]


def permitting(agents, games):
    return Permitting(agents, games, masks=True)


def test_nothing_allowed_at_the_start_is_an_input_error():
    env = {"factory": "test_action_masks:nothing", "folder": HERE}
    with pytest.raises(netac.InputError, match=r"`action_masks \(agent 1\)` allows nothing.*valid: at least one"):
        netac.run(experiment("cac", env))


@pytest.mark.parametrize("algorithm", ["cac", "happo"])
def test_nothing_allowed_later_is_an_error_that_names_agent_and_game(algorithm):
    env = {"factory": "test_action_masks:nothing", "folder": HERE, "kwargs": {"after": 3}}
    with pytest.raises(RunError, match="allows no action in game 0") as caught:
        netac.run(experiment(algorithm, env))
    assert caught.value.agent == 1


def test_masks_that_agents_tell_each_other_are_counted():
    """Policies over joint actions are told everyone's masks: of three actions, three bits in one octet."""
    free, masked = (netac.run(experiment("matrpo", arena(falls=2.0, masks=masks))).summary for masks in (False, True))
    assert masked["bytes_environment_per_agent"] == 2 * free["bytes_environment_per_agent"] > 0
    of_cppo = [netac.run(experiment("cppo", arena(falls=2.0, masks=masks))).summary["bytes_environment_per_agent"]
               for masks in (False, True)]
    assert of_cppo[0] == of_cppo[1] > 0
