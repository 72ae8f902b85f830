"""Local optimizers: plain steps, clipping, Adam against torch's; each agent by itself, all state in rows and counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import netac
from netac.agents.optimizers import PARTS, Optimizer
from netac.agents.parameters import Layout
from netac.comm import checkpoints
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.recorder import Recorder

SIZES = {"omega": 5, "lam": 3, "theta": 7}
ADAM = (0.8, 0.95, 1e-3)


def layout(dtype="float32"):
    return Layout(**SIZES, shared=4, mixed=("omega", "lam", "shared"), dtype=dtype)


def gradients(rng, n, dtype="float32"):
    return {part: (10.0 ** rng.uniform(-4, 3) * rng.standard_normal((n, SIZES[part]))).astype(dtype) for part in PARTS}


def test_plain_steps_of_one_sample_are_the_gradients_themselves():
    directions = Optimizer(layout(), 2).over(1)
    for part, g in gradients(np.random.default_rng(0), 2).items():
        assert getattr(directions, part)(g) is g


@given(seed=st.integers(0, 10**6), n=st.integers(1, 4), samples=st.integers(1, 50), clip=st.floats(1e-3, 1e3),
       dtype=st.sampled_from(["float32", "float64"]))
def test_means_are_clipped_agent_by_agent_and_part_by_part(seed, n, samples, clip, dtype):
    g = gradients(np.random.default_rng(seed), n, dtype)
    g["lam"][0] = 0.0
    directions = Optimizer(layout(dtype), n, clip=clip).over(samples)
    for part in PARTS:
        given_away = g[part].copy()
        found = getattr(directions, part)(given_away)
        assert found.dtype == dtype and (given_away == g[part]).all()
        for i in range(n):
            mean = g[part][i].astype(float) / samples
            length = np.linalg.norm(mean)
            np.testing.assert_allclose(found[i], mean * min(1.0, clip / length) if length else mean,
                                       rtol=1e-5, atol=1e-12)
            assert np.linalg.norm(found[i].astype(float)) <= clip * (1 + 1e-5)


@pytest.mark.parametrize("samples", [1, 6])
@pytest.mark.parametrize("n", [1, 3])
def test_adam_is_torchs(n, samples):
    torch = pytest.importorskip("torch")
    rng, optimizer = np.random.default_rng(n), Optimizer(layout(), n, ADAM)
    x = {part: torch.zeros((n, size), dtype=torch.float64, requires_grad=True) for part, size in SIZES.items()}
    theirs = torch.optim.Adam(x.values(), lr=1.0, betas=ADAM[:2], eps=ADAM[2], maximize=True)
    mine = {part: np.zeros((n, size)) for part, size in SIZES.items()}
    for _ in range(20):
        for part, g in gradients(rng, n).items():
            x[part].grad = torch.from_numpy(g.astype(float) / samples)
            mine[part] += getattr(optimizer.over(samples), part)(g)
        theirs.step()
        for part in PARTS:
            np.testing.assert_allclose(mine[part], x[part].detach().numpy(), rtol=2e-5, atol=1e-5)
    assert optimizer.counts.tolist() == [[20, 20, 20]] * n


def test_parts_count_their_own_steps():
    optimizer, rng = Optimizer(layout(), 1, ADAM), np.random.default_rng(0)
    first = optimizer.over(1).theta(gradients(rng, 1)["theta"])
    np.testing.assert_allclose(np.abs(first), 1.0, rtol=0.2)     # without the correction of the bias it were far from 1
    for _ in range(3):
        optimizer.over(2).omega(gradients(rng, 1)["omega"])
    assert optimizer.counts.tolist() == [[3, 0, 1]]


def test_every_agent_is_by_itself():
    together = Optimizer(layout(), 3, ADAM, clip=0.5)
    alone = [Optimizer(layout(), 1, ADAM, clip=0.5) for _ in range(3)]
    rng = np.random.default_rng(1)
    for _ in range(5):
        for part, g in gradients(rng, 3).items():
            found = getattr(together.over(4), part)(g).copy()
            for i, one in enumerate(alone):
                np.testing.assert_array_equal(getattr(one.over(4), part)(g[i:i + 1]), found[i:i + 1])
    np.testing.assert_array_equal(together.rows, np.concatenate([one.rows for one in alone]))


@given(rests=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=12),
       seed=st.integers(0, 10**6), clip=st.sampled_from([None, 0.5]), dtype=st.sampled_from(["float32", "float64"]))
def test_agents_without_a_gradient_rest(rests, seed, clip, dtype):
    """Each moves, bit for bit, as one that had been alone with its own gradients."""
    together = Optimizer(layout(dtype), 2, ADAM, clip)
    alone = [Optimizer(layout(dtype), 1, ADAM, clip) for _ in range(2)]
    rng = np.random.default_rng(seed)
    for resting in rests:
        g = gradients(rng, 2, dtype)
        g["omega"][resting], g["lam"][resting] = 0.0, -0.0
        for part in PARTS:
            found = getattr(together.over(3), part)(g[part]).copy()
            for i, one in enumerate(alone):
                if resting[i] and part != "theta":
                    assert not found[i].any()
                else:
                    np.testing.assert_array_equal(getattr(one.over(3), part)(g[part][i:i + 1]), found[i:i + 1])
    np.testing.assert_array_equal(together.rows, np.concatenate([one.rows for one in alone]))
    moves = len(rests) - np.sum(rests, axis=0)
    assert together.counts.dtype == np.int64
    assert together.counts.tolist() == [[moves[i], moves[i], len(rests)] for i in range(2)]


def test_bad_gradients_are_no_rest():
    optimizer = Optimizer(layout(), 2, ADAM)
    g = np.array([[np.nan, 0.0, 0.0], [0.0, 0.0, 1e-30]], np.float32)
    found = optimizer.over(1).lam(g)
    assert np.isnan(found[0, 0]) and found[1, 2] > 0 and optimizer.counts.tolist() == [[0, 1, 0]] * 2


TABLES = {"agents": 2, "iterations": 6, "env": "coordination", "topology": "complete", "checkpoint_every": 2,
          "algorithm": {"name": "iac", "optimizer": "adam"}}


@pytest.mark.parametrize("optimizer", ["plain", "adam"])
def test_checkpoints_keep_every_agents_counts(optimizer, tmp_path):
    tables = TABLES | {"algorithm": {"name": "iac", "optimizer": optimizer}}
    netac.run(tables, out=tmp_path)
    kept = checkpoints.newest(tmp_path / "checkpoints")
    assert kept["rows_optimizer_counts"].tolist() == [[6, 0, 6] if optimizer == "adam" else [0, 0, 0]] * 2
    parts = assemble(prepare(config.read(tables).experiment()))
    kept["rows_optimizer_counts"][1] = [4, 0, 2]
    Recorder(parts, None).restore(kept)
    assert parts.agents.optimizer.counts[1].tolist() == [4, 0, 2]


def test_rows_and_counts_are_the_whole_state():
    one, other, rng = Optimizer(layout(), 2, ADAM), Optimizer(layout(), 2, ADAM), np.random.default_rng(2)
    for _ in range(4):
        for part, g in gradients(rng, 2).items():
            getattr(one.over(1), part)(g)
    other.rows[:], other.counts[:] = one.rows, one.counts
    for part, g in gradients(rng, 2).items():
        np.testing.assert_array_equal(getattr(one.over(1), part)(g), getattr(other.over(1), part)(g))
    assert Optimizer(layout(), 2).rows.shape == (2, 0)
    assert Optimizer(layout(), 2, ADAM).rows.shape == (2, 2 * sum(SIZES.values()))


def test_moments_stay_as_precise_as_the_parameters():
    optimizer = Optimizer(layout(), 1, ADAM)
    assert optimizer.rows.dtype == np.float32
    assert optimizer.over(1).lam(np.zeros((1, 3), np.float32)).tolist() == [[0.0, 0.0, 0.0]]
