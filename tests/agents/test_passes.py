"""Passes without torch against the torch modules: outputs, gradients, slopes, tangents; and alone or with others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.alignment import aligned
from netac.agents.networks._kernel import Workspace
from netac.agents.neural import flat
from netac.agents.neural.flat import Flat
from netac.agents.neural.modules import Modules
from netac.agents.neural.networks import networks
from netac.agents.neural.passes import Passes, Seen

ACTIVATIONS = st.sampled_from(["tanh", "relu", "elu"])
WIDTHS = st.lists(st.integers(1, 9), max_size=3)
DENSE = st.fixed_dictionaries({"name": st.just("mlp"), "hidden": WIDTHS, "activation": ACTIVATIONS})
IMAGES = st.fixed_dictionaries({
    "name": st.just("cnn"), "hidden": WIDTHS, "activation": ACTIVATIONS,
    "channels": st.lists(st.integers(1, 5), min_size=1, max_size=2), "kernel": st.integers(1, 3),
    "stride": st.integers(1, 2), "padding": st.integers(0, 2),
    "layout": st.sampled_from(["channels-first", "channels-last"])}).filter(
        lambda spec: spec["stride"] == 1 or len(spec["channels"]) == 1 or spec["padding"] > 0)


def both(spec, shapes, outputs, joint, rng):
    """The passes of the agents by kernels and by torch, and the same rows for both."""
    made = networks("critic", spec, shapes, outputs, [f"a{k}" for k in range(len(shapes))], joint=joint)
    rows = aligned(len(shapes), made.size)
    rows[:] = made.rows(1, made.agents) + 0.3 * rng.standard_normal(rows.shape)
    return made.passes, Passes(made.modules(), len(shapes), made.size), rows


def seen_by(rng, shapes, M, joint):
    """Random observations and joint actions of M samples."""
    draw = lambda shape: rng.standard_normal((M, *shape)).astype(np.float32)                        # noqa: E731
    return Seen([draw(shape) for shape in shapes], [draw((joint,)) for _ in shapes] if joint else None)


@settings(max_examples=60)
@given(spec=st.one_of(DENSE, IMAGES), alike=st.lists(st.integers(1, 3), min_size=1, max_size=3),
       M=st.integers(1, 6), joint=st.integers(0, 4), together=st.sampled_from([0, 2**15]), seed=st.integers(0, 10**6))
def test_kernels_are_the_modules(spec, alike, M, joint, together, seed):
    """... for agents in groups of different shapes, computed together or one by one."""
    rng, first = np.random.default_rng(seed), spec.get("layout") == "channels-first"
    shapes, outputs = [], []
    for k, count in enumerate(alike):
        image = (5 + k, 5, 2)
        shape = (3 + k,) if spec["name"] == "mlp" else (image[2], *image[:2]) if first else image
        shapes, outputs = shapes + [shape] * count, outputs + [1 + k] * count
    fast, slow, rows = both(spec, shapes, outputs, joint, rng)
    assert isinstance(fast._engine, Flat) and isinstance(slow._engine, Modules)
    seen, direction = seen_by(rng, shapes, M, joint), rng.standard_normal(rows.shape)
    pulls = [rng.standard_normal((M, size)) for size in outputs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "TOGETHER", together)
        for keep in (False, True):
            for one, two in zip(fast.forward(rows, seen, keep).outputs, slow.forward(rows, seen, keep).outputs,
                                strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
        other = seen_by(rng, shapes, M + 1, joint)
        fast.forward(rows, other)                                   # leaves what is kept alone
        if not joint:
            for one, two in zip(fast.tangents(rows, seen, direction), slow.tangents(rows, seen, direction),
                                strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
        found = [passes.backward(passes.again(rows, seen), pulls).copy() for passes in (fast, slow)]
        np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)
        if joint and set(outputs) == {1}:
            for one, two in zip(fast.slopes(rows, seen), slow.slopes(rows, seen), strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@settings(max_examples=40)
@given(spec=st.one_of(DENSE, IMAGES), N=st.integers(2, 5), M=st.integers(1, 40), seed=st.integers(0, 10**6),
       joint=st.integers(0, 3), outputs=st.integers(1, 4))
def test_an_agents_bits_do_not_depend_on_who_is_beside_it(spec, N, M, seed, joint, outputs):
    """... nor on whether its row, or its observation, lies elsewhere."""
    rng = np.random.default_rng(seed)
    shape = (3,) if spec["name"] == "mlp" else (2, 5, 6) if spec["layout"] == "channels-first" else (5, 6, 2)
    made = networks("critic", spec, [shape] * N, [outputs] * N, [f"a{k}" for k in range(N)], joint=joint)
    rows = aligned(N, made.size)
    rows[:] = made.rows(1, made.agents) + 0.3 * rng.standard_normal(rows.shape)
    seen, pulls = seen_by(rng, [shape] * N, M, joint), list(rng.standard_normal((N, M, outputs)))
    whole = [own.copy() for own in made.passes.forward(rows, seen, keep=True).outputs]
    gradient = made.passes.backward(made.passes.again(rows, seen), pulls).copy()
    for agent in range(N):
        alone = replace(made, agents=range(agent, agent + 1)).passes
        elsewhere = np.empty(seen.observations[agent].size + 3, np.float32)[3:].reshape(M, *shape)
        elsewhere[:] = seen.observations[agent]
        own = Seen([elsewhere], seen.joint and seen.joint[agent:agent + 1])
        row = aligned(1, made.size)
        row[:] = rows[agent]
        np.testing.assert_array_equal(alone.forward(row, own, keep=True).outputs[0], whole[agent])
        np.testing.assert_array_equal(alone.backward(alone.again(row, own), pulls[agent:agent + 1])[0],
                                      gradient[agent])


@settings(max_examples=30)
@given(spec=st.one_of(DENSE, IMAGES), alike=st.lists(st.integers(1, 3), min_size=1, max_size=3), M=st.integers(1, 6),
       together=st.sampled_from([0, 2**15]), seed=st.integers(0, 10**6), kept=st.booleans())
def test_passes_in_parts_have_the_bits_of_passes_of_all(spec, alike, M, together, seed, kept):
    """... and cover all agents once, in order; what was kept is used as it is."""
    rng = np.random.default_rng(seed)
    shape = (3,) if spec["name"] == "mlp" else (2, 5, 6) if spec["layout"] == "channels-first" else (5, 6, 2)
    outputs = [k for k, count in enumerate(alike, 1) for _ in range(count)]
    shapes = [shape] * len(outputs)
    passes, _, rows = both(spec, shapes, outputs, 0, rng)
    seen, pulls = seen_by(rng, shapes, M, 0), [rng.standard_normal((M, size)) for size in outputs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "TOGETHER", together)
        done = passes.again(rows, seen)
        whole = [own.copy() for own in done.outputs]
        gradient = passes.backward(done, pulls).copy()
        if kept:
            passes.forward(rows, seen, keep=True)
        parts, last = [], 0
        passes.gradient.fill(np.nan)
        for part in passes.each(rows, seen):
            assert part.rows.start == last
            last = part.rows.stop
            for own, wanted in zip(part.outputs, whole[part.rows], strict=True):
                np.testing.assert_array_equal(own, wanted)
            passes.backward(part, pulls[part.rows])
            parts.append(part)
    assert last == len(shapes)
    assert len(parts) == (1 if kept else len(shapes) if not together else len(alike))
    np.testing.assert_array_equal(passes.gradient, gradient)


@pytest.mark.parametrize("spec", [{"name": "mlp", "hidden": [64, 64]}, {"name": "mlp", "hidden": [32], "activation":
                                                                        "relu"}])
@pytest.mark.parametrize("M", [1, 20, 4000])
def test_bits_at_the_sizes_of_the_examples(spec, M):
    rng, N = np.random.default_rng(0), 3
    made = networks("policy", spec, [(18,)] * N, [5] * N, list("abc"))
    rows = aligned(N, made.size)
    rows[:] = made.rows(1, made.agents)
    seen, pulls = seen_by(rng, [(18,)] * N, M, 0), list(rng.standard_normal((N, M, 5)))
    made.passes.forward(rows, seen, keep=True)
    gradient = made.passes.backward(made.passes.again(rows, seen), pulls).copy()
    for agent in range(N):
        alone = replace(made, agents=range(agent, agent + 1)).passes
        own = Seen(seen.observations[agent:agent + 1])
        one = alone.backward(alone.again(rows[agent:agent + 1], own), pulls[agent:agent + 1])
        np.testing.assert_array_equal(one[0], gradient[agent])


@pytest.mark.parametrize("name", ["silu", "gelu"])
def test_options_without_a_kernel_are_left_to_torch(name):
    made = networks("policy", {"name": "mlp", "hidden": [4], "activation": name}, [(3,)], [2], ["a"])
    assert isinstance(made.passes._engine, Modules)


def test_parameters_are_read_where_they_lie():
    made = networks("critic", {"name": "mlp", "hidden": [4]}, [(3,)] * 2, [1] * 2, ["a", "b"])
    rows, seen = aligned(2, made.size), Seen([np.ones((2, 3), np.float32)] * 2)
    rows[:] = made.rows(0, range(2))
    before = [own.copy() for own in made.passes.forward(rows, seen).outputs]
    rows[:, made.tensors[0].places["output.bias"]] += 1.0
    for one, two in zip(made.passes.forward(rows, seen).outputs, before, strict=True):
        np.testing.assert_allclose(one, two + 1.0, rtol=1e-6)


def test_a_workspace_uses_its_memory_again_and_aligns_items():
    work = Workspace()
    first = work("a", 3, 5, 7)
    assert all(row.__array_interface__["data"][0] % 64 == 0 for row in first)
    assert work("a", 3, 5, 7) is first and first.shape == (3, 5, 7)
    assert np.shares_memory(work("a", 2, 5, 7), first)
    assert not np.shares_memory(work("b", 3, 5, 7), first)
    assert work("a", 300, 5, 7).shape == (300, 5, 7)
    np.testing.assert_array_equal(work.ones(4), np.ones((1, 1, 4)))
    np.testing.assert_array_equal(work.ones(9), np.ones((1, 1, 9)))


@pytest.mark.parametrize("spec", [{"name": "mlp", "hidden": [64, 64]}, {"name": "cnn", "hidden": [8]}])
def test_rows_that_are_held_give_the_same_numbers_and_are_let_go(spec):
    rng, N, shape = np.random.default_rng(0), 3, (18,) if spec["name"] == "mlp" else (7, 7, 3)
    made = networks("policy", spec, [shape] * N, [5] * N, list("abc"))
    rows, seen = aligned(N, made.size), seen_by(rng, [shape] * N, 20, 0)
    rows[:] = made.rows(1, made.agents)
    before = [own.copy() for own in made.passes.forward(rows, seen).outputs]
    with made.passes.held(rows, 20):
        for one, two in zip(made.passes.forward(rows, seen).outputs, before, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
        alone = replace(made, agents=range(1, 2)).passes
        with alone.held(rows[1:2], 20):
            own = alone.forward(rows[1:2], Seen(seen.observations[1:2])).outputs[0].copy()
        np.testing.assert_array_equal(own, made.passes.forward(rows, seen).outputs[1])
        more = seen_by(rng, [shape] * N, 21, 0)
        others = [found.copy() for found in made.passes.forward(rows, more).outputs]
    for one, two in zip(made.passes.forward(rows, more).outputs, others, strict=True):
        np.testing.assert_array_equal(one, two)              # other numbers of samples are passes like any other
    rows += 1.0
    assert all(np.abs(one - two).max() > 0.1
               for one, two in zip(made.passes.forward(rows, seen).outputs, before, strict=True))
