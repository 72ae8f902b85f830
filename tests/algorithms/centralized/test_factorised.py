"""What mixes utilities: derivatives, monotony, jointly best actions, and what each form can represent; greedy play."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from programs.arena import Arena
from support.neural_variants import arena

import netac
from netac.agents.alignment import aligned
from netac.agents.neural.passes import Seen
from netac.agents.neural.utilities import utility_policy
from netac.algorithms.centralized import qdpp, qmix, qplex, vdn
from netac.algorithms.centralized._mixing import Utilities
from netac.envs._batched import Step
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.sampling.encoding import Encoding
from netac.sampling.replay import Replay
from netac.utils.spaces import ActionSpace

NAMES = ("vdn", "qmix", "qplex", "qdpp")
WIDTH, FEATURES = 3, 4
several_times = settings(max_examples=25, deadline=None)
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3)
seeds = st.integers(0, 10**6)

# --- the four mixtures ---


def spaces_of(counts: list[int]) -> list[ActionSpace]:
    return [ActionSpace(count + 1) for count in counts]


def mixture(name: str, spaces: list[ActionSpace]):
    """What mixes, and how many numbers it does so by."""
    encode = Encoding(spaces)
    columns = [encode.columns(agent) for agent in range(len(spaces))]
    mixes = {"vdn": vdn.mix, "qmix": partial(qmix.mix, h=WIDTH), "qplex": qplex.mix,
             "qdpp": partial(qdpp.mix, columns=columns)}
    options = {"qmix": {"mixing_width": WIDTH}, "qdpp": {"features": FEATURES}}.get(name, {})
    module = {"vdn": vdn, "qmix": qmix, "qplex": qplex, "qdpp": qdpp}[name]
    weights = module.requirements(module.Settings(**options)).weights
    return mixes[name], weights(spaces) if weights else 0


def drawn(rng: np.random.Generator, spaces: list[ActionSpace], samples: int) -> Utilities:
    """Utilities of actions drawn evenly; the last agent takes no part in the last sample."""
    actions = np.array([space.random(rng, samples) for space in spaces])
    part = np.ones(actions.shape, dtype=bool)
    part[-1, -1] = len(spaces) == 1
    Q = rng.standard_normal(actions.shape) * part
    return Utilities(Q, Q + rng.random(Q.shape) * part, Encoding(spaces)(actions, part))


@pytest.mark.parametrize("name", NAMES)
@several_times
@given(counts=sizes, seed=seeds)
def test_derivatives_are_those_of_what_is_mixed(name, counts, seed):
    rng, spaces, M, h = np.random.default_rng(seed), spaces_of(counts), 3, 1e-6
    mix, K = mixture(name, spaces)
    told, w = drawn(rng, spaces, M), rng.standard_normal((M, K))
    mixed = mix(w, told)
    assert mixed.total.shape == (M,) and mixed.Q.shape == (len(spaces), M)

    def differs(by: np.ndarray, **changes: np.ndarray) -> None:
        ends = [mix(w + step * changes.get("w", 0.0), Utilities(
            told.Q + step * changes.get("Q", 0.0), told.V + step * changes.get("V", 0.0), told.joint)).total
            for step in (h, -h)]
        np.testing.assert_allclose(by, (ends[0] - ends[1]) / (2 * h), rtol=1e-4, atol=1e-5)

    for _ in range(3):
        along = rng.standard_normal(told.Q.shape)
        differs((mixed.Q * along).sum(axis=0), Q=along)
        if mixed.V is not None:
            differs((mixed.V * along).sum(axis=0), V=along)
        if K:
            along = rng.standard_normal(w.shape)
            differs((mixed.w * along).sum(axis=1), w=along)


@pytest.mark.parametrize("name", ["vdn", "qmix", "qplex"])
@several_times
@given(counts=sizes, seed=seeds)
def test_best_actions_are_jointly_best_whatever_the_weights(name, counts, seed):
    """IGM, over all joint actions: no other has a larger Q_tot."""
    rng, spaces = np.random.default_rng(seed), spaces_of(counts)
    mix, K = mixture(name, spaces)
    values = [rng.standard_normal(space.n_actions) for space in spaces]
    joint = list(product(*(range(space.n_actions) for space in spaces)))
    Q = np.array([[own[a] for own, a in zip(values, actions, strict=True)] for actions in joint]).T
    V = np.repeat([[own.max()] for own in values], len(joint), axis=1)
    w = rng.standard_normal((len(joint), K)) if name == "qplex" else np.repeat(
        rng.standard_normal((1, K)), len(joint), axis=0)
    total = mix(w, Utilities(Q, V)).total
    assert total[joint.index(tuple(own.argmax() for own in values))] >= total.max() - 1e-12
    if name == "qmix":
        assert (mix(w, Utilities(Q)).Q >= 0.0).all()


@several_times
@given(counts=sizes, seed=seeds)
def test_quality_is_what_is_left_without_diversity(counts, seed):
    """Q-DPP's Q_tot is never more than the sum of the utilities, which it is with orthogonal vectors, or alone."""
    rng, spaces = np.random.default_rng(seed), spaces_of(counts)
    mix, K = mixture("qdpp", spaces)
    told = drawn(rng, spaces, 4)
    total = mix(rng.standard_normal((4, K)), told).total
    assert (total <= told.Q.sum(axis=0) + 1e-9).all() and np.isfinite(total).all()
    vectors = [np.tile(3.0 * np.eye(FEATURES)[i], space.n_actions) for i, space in enumerate(spaces)]
    orthogonal, alike = np.tile(np.concatenate(vectors), (4, 1)), np.ones((4, K))
    np.testing.assert_allclose(mix(orthogonal, told).total, vdn.mix(None, told).total, atol=1e-9)
    lost = told.Q.sum(axis=0) - mix(alike, told).total
    assert (lost[:-1] > 5.0).all() if len(spaces) > 1 else np.allclose(lost, 0.0)


def test_qplex_with_weights_of_one_is_the_sum():
    told = drawn(np.random.default_rng(0), spaces_of([2, 3]), 5)
    np.testing.assert_allclose(qplex.mix(np.full((5, 2), np.log(np.e - 1.0)), told).total, vdn.mix(None, told).total)


# --- r = a_1 a_2 ---

ACTIONS = np.arange(-10.0, 11.0)
PAYOFF = np.outer(ACTIONS, ACTIONS)
EVERY = np.indices(PAYOFF.shape).reshape(2, -1)


def test_the_form_of_qplex_represents_the_product():
    """With positive weights and agents whose best actions are (10, 10), which is jointly best."""
    A = np.where(ACTIONS == 10.0, 0.0, -1.0)
    V, Q = np.full(EVERY.shape, 50.0), 50.0 + A[EVERY]
    falls = np.maximum((100.0 - PAYOFF.ravel()) / np.maximum((Q < V).sum(axis=0), 1), 1e-4)
    w = np.tile(np.log(np.expm1(np.minimum(falls, 500.0)))[:, None], (1, 2))
    mixed = qplex.mix(w, Utilities(Q, V))
    assert (mixed.Q > 0.0).all()                               # lambda
    assert np.abs(mixed.total - PAYOFF.ravel()).max() <= 1e-3


def fitted(name: str, file: Path) -> np.ndarray:
    """Q_tot of all joint actions in units of the largest reward, learned from evenly drawn ones."""
    np.savez(file, payoff=PAYOFF / PAYOFF.max())
    tables = {"agents": 2, "iterations": 15, "envs": 64, "env": {"name": "matrix", "path": str(file)}, "seed": 1,
              "topology": "complete", "policy": {"name": "mlp", "hidden": [8]},
              "critic": {"name": "mlp", "hidden": [32]},
              "algorithm": {"name": name, "epsilon_start": 1.0, "epsilon": 1.0, "rollout": 5, "batch": 128,
                            "updates": 20, "warmup": 300, "actor_step": 0.02, "critic_step": 0.01, "gamma": 0.0,
                            "parameters": "separate"}}
    parts = assemble(prepare(config.read(tables).experiment()))
    for _ in parts.setting.algorithm.iterations(parts.agents, parts.sampler, parts.network, parts.setting.settings,
                                                range(15)):
        pass
    agents, mix = parts.agents, mixture(name, [ActionSpace(21)] * 2)[0]
    if name == "qmix":
        mix = partial(qmix.mix, h=32)
    b = agents.replay.take(np.zeros(EVERY.shape[1], dtype=int))
    values = [Q[0] for Q in agents.policy.values(agents.parameters.theta, Seen(b.obs))]
    Q = np.array([own[a] for own, a in zip(values, EVERY, strict=True)])
    V = np.repeat([[own.max()] for own in values], Q.shape[1], axis=1)
    joint = Encoding([ActionSpace(21)] * 2)(EVERY, np.ones(EVERY.shape, dtype=bool))
    network = agents.critics.hypernetwork
    w = None if network is None else network(agents.critics.omega, b.state, joint)
    return mix(w, Utilities(Q, V, joint)).total


def test_sums_and_monotonic_mixtures_miss_the_product_and_qplex_learns_it(tmp_path):
    """Of the four corners at +-1 the former miss one by 1 or more: they prefer one of an agent's extreme actions,
    whatever the other does."""
    left = {}
    for name in ("vdn", "qmix", "qplex"):
        error = fitted(name, tmp_path / "product.npz") - PAYOFF.ravel() / PAYOFF.max()
        left[name] = np.square(error).sum() / np.square(PAYOFF / PAYOFF.max()).sum()
        assert name == "qplex" or np.abs(error).max() >= 1.0, name
    assert left["vdn"] >= 0.95 and left["qmix"] >= 0.5 and left["qplex"] <= 0.05, left


# --- utilities and sequences ---


@several_times
@given(data=st.data(), seed=seeds, sizes=st.lists(st.lists(st.integers(2, 4), min_size=1, max_size=3), min_size=1,
                                                  max_size=3), epsilon=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_masked_action_is_never_chosen(data, seed, sizes, epsilon):
    rng, N, M = np.random.default_rng(seed), len(sizes), 9
    spaces = [ActionSpace(each[0]) if len(each) == 1 else ActionSpace(nvec=tuple(each)) for each in sizes]
    policy = utility_policy({"name": "mlp", "hidden": [3]}, [(2,)] * N, spaces, [f"a{i}" for i in range(N)], [],
                            "independent")
    policy = type(policy)(policy.networks, policy.actions, epsilon)
    theta = aligned(N, policy.size)
    theta[:] = rng.standard_normal(theta.shape)
    obs = [rng.standard_normal((M, 2)).astype(np.float32) for _ in range(N)]
    masks = [np.concatenate([_some(rng, M, n) for n in space.choices], axis=1) for space in spaces]
    taken, pi = policy.act(theta, obs, rng.random((N, M, 3)), allowed=masks)
    for row, (space, actions, mask, chances) in enumerate(zip(spaces, taken, masks, pi, strict=True)):
        assert (mask >= policy.numbers(row, actions)).all() and (chances[~mask] == 0.0).all()
        values = rng.standard_normal((M, space.outputs))
        best = policy.numbers(row, policy.best(row, values, mask))
        assert (mask >= best).all() and (best.sum(axis=1) == len(space.choices)).all()
        for part, own, free in zip(*map(space.of_choices, (best, values, mask)), strict=True):
            assert ((part * own).sum(axis=1) == np.where(free, own, -np.inf).max(axis=1)).all()
        if epsilon == 0.0:
            assert ((chances == 0.0) | (chances == 1.0)).all()


def _some(rng: np.random.Generator, samples: int, n: int) -> np.ndarray:
    mask = rng.random((samples, n)) < 0.5
    mask[np.arange(samples), rng.integers(n, size=samples)] = True
    return mask


@several_times
@given(games=st.integers(1, 5), chunks=st.integers(1, 6), length=st.integers(1, 4), capacity=st.integers(1, 9))
def test_sequences_are_steps_of_one_game_one_after_the_other(games, chunks, length, capacity):
    environment = Arena(2, games)
    environment.begin(0, 0)
    replay = Replay(environment, range(2), capacity * length, length, memory=3, acting=True)
    for t in range(chunks * length):
        j = t * games + np.arange(games)
        shown = SimpleNamespace(obs=[np.repeat(j[:, None] + i, 5, axis=1) for i in range(2)],
                                state=np.repeat(j[:, None], 3, axis=1), active=np.ones((2, games), bool))
        step = Step(np.tile(j, (2, 1)).astype(float), np.zeros((2, games), bool), j % 3 == 0)
        replay.add(SimpleNamespace(
            view=shown, after=shown, active=shown.active, again=step.done, own=[j % 3, (j + 1) % 3],
            joint=np.tile(j % 3, (2, 1)), outcome=SimpleNamespace(everyone=step, valued=shown.active)),
            np.tile(j[:, None], (2, 1, 3)))
    assert replay.held == min(chunks * games, capacity)
    b = replay.take(np.arange(replay.held))
    found = b.state[:, 0].reshape(length, -1)
    assert (np.diff(found, axis=0) == games).all() and len({*found[0]}) == replay.held
    assert (found[0] >= (chunks * games - capacity) // games * games * length).all()
    np.testing.assert_array_equal(b.obs[1][:, 0], b.state[:, 0] + 1)
    np.testing.assert_array_equal(b.own[1], (b.state[:, 0] + 1) % 3)
    np.testing.assert_array_equal(b.r[0], b.state[:, 0])
    np.testing.assert_array_equal(b.memory[0][:, 0], found[0])
    assert length == 1 or (b.again == (b.state[:, 0] % 3 == 0)).all()
    again = Replay(environment, range(2), capacity * length, length, memory=3, acting=True)
    again.restore(replay.state())
    for name, rows in again.rows.items():
        rows[:] = replay.rows[name]
    for one, other in zip(vars(again.take(np.arange(replay.held))).values(), vars(b).values(), strict=True):
        np.testing.assert_equal(one, other)


# --- runs ---

TABLES = {"agents": 2, "iterations": 3, "envs": 2, "env": arena(masks=True, falls=2.0), "topology": "complete",
          "log_every": 1, "policy": {"name": "gru", "hidden": [4], "units": 3},
          "critic": {"name": "mlp", "hidden": [4]}}
SMALL = {"rollout": 5, "updates": 2, "batch": 4, "buffer": 40, "warmup": 20, "team_reward": "mean", "epsilon": 1.0}


@pytest.mark.parametrize("name", NAMES)
def test_trained_agents_play_greedily_and_diagnostics_tell_of_the_team(name, tmp_path):
    netac.run(TABLES | {"algorithm": {"name": name, **SMALL}}, out=tmp_path / "run")
    one, other = (netac.evaluate(tmp_path / "run", episodes=3, greedy=greedy) for greedy in (False, True))
    np.testing.assert_array_equal(one.rewards, other.rewards)
    policies, again = netac.load(tmp_path / "run", seed=1), netac.load(tmp_path / "run", seed=2, greedy=True)
    observations = {name: np.linspace(-1, 1, 5, dtype="f4") for name in policies.names}
    for _ in range(3):                                          # which they remember
        for agent, action in policies(observations, masks={policies.names[0]: [0, 1, 0]}).items():
            assert agent != policies.names[0] or action == 1
        again(observations, masks={policies.names[0]: [0, 1, 0]})
    assert policies(observations) == again(observations)
    names, *lines = (line.split(",") for line in (tmp_path / "run" / "diagnostics.csv").read_text().splitlines())
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    assert [row["agent"] for row in rows] == 2 * ["0", "1", "all"]           # none before there are 20 samples
    assert all(float(row["policy_gradient"]) > 0.0 for row in rows if row["agent"] != "all")
    assert all(np.isfinite(float(row["critic_loss"])) for row in rows if row["agent"] == "all")


def test_exploration_falls_in_a_line_and_stays():
    options = vdn.Settings(epsilon_start=0.9, epsilon=0.1, epsilon_samples=80)
    assert [options.exploration(samples) for samples in (0, 20, 80, 10**6)] == pytest.approx([0.9, 0.7, 0.1, 0.1])
    assert vdn.Settings(epsilon_samples=0, epsilon=0.2).exploration(0) == 0.2
    copied = vdn.Settings(target_every=3)
    assert [copied.follows(number) for number in range(6)] == [0, 0, 1, 0, 0, 1] and vdn.Settings().follows(7) == 0.01


@pytest.mark.parametrize("name", NAMES)
def test_a_game_of_one_step_is_solved(name, tmp_path):
    np.savez(tmp_path / "sum.npz", payoff=np.add.outer([0.0, 1.0, 0.3], [0.2, 0.0, 1.0]))
    tables = {"agents": 2, "iterations": 15, "envs": 10, "env": {"name": "matrix", "path": str(tmp_path / "sum.npz")},
              "topology": "complete", "policy": {"name": "mlp", "hidden": [8]},
              "critic": {"name": "mlp", "hidden": [8]},
              "algorithm": {"name": name, "batch": 32, "warmup": 100, "rollout": 5, "updates": 15, "actor_step": 0.02,
                            "critic_step": 0.01, "epsilon_samples": 500, "parameters": "separate"}}
    netac.run(tables, out=tmp_path / "run")
    assert netac.evaluate(tmp_path / "run", episodes=2).rewards.mean() == 2.0
